"""What comes out of a file, bounded: nothing that grows when it is walked, nests without end, or hashes for ever."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from gambler_ai.ancestors.arrays import Array, JoblibArray
from gambler_ai.ancestors.refusal import Refused

DEPTH_MAX = 32
#: Values in all, each counted as often as it is mentioned: a bomb is small in the file and large when walked.
VALUES_MAX = 500_000
#: Characters and bytes in all, counted likewise.
CHARACTERS_MAX = 64 << 20
#: Of a whole number; longer ones are nobody's count, and slow to write down.
_BITS_MAX = 256
_KEY_PARTS_MAX = 32
_KEYS = frozenset({str, bytes, int, float, bool, type(None), date, datetime})
_ATOMS = _KEYS | {Decimal, timedelta, timezone}


def check_number(value: Any) -> Any:
    """``value``, unless it is a whole number without measure.

    Raises:
        Refused.
    """
    if type(value) is int and value.bit_length() > _BITS_MAX:
        raise Refused("it holds a whole number of more than 77 digits")
    return bytes(value) if type(value) is bytearray else value


def check_key(value: Any) -> Any:
    """``value``, if it may be a key: a plain value or a flat tuple of them; hashing what is nested may never end.

    Raises:
        Refused.
    """
    if type(value) in _KEYS:
        return value
    if type(value) is tuple and len(value) <= _KEY_PARTS_MAX and all(type(part) in _KEYS for part in value):
        return value
    raise Refused(f"it has a {type(value).__name__} where a plain key belongs")


def walked(root: Any) -> Any:
    """``root`` with its arrays in place: dicts, lists, tuples and sets of numbers, texts and times, nothing else.

    Raises:
        Refused: it holds anything else, or too much.
    """
    return _Walk().go(root, 0)


class _Walk:
    def __init__(self) -> None:
        self._values = 0
        self._characters = 0

    def go(self, value: Any, depth: int) -> Any:
        """A copy of ``value``: two mentions of one list are two lists, and both are counted."""
        self._count(1, 0)
        if depth > DEPTH_MAX:
            raise Refused(f"it is nested more than {DEPTH_MAX} deep, or contains itself")
        kind = type(value)
        if kind in (str, bytes):
            self._count(0, len(value))
            return _text(value) if kind is str else value
        if kind in _ATOMS:
            return value
        if kind is dict:
            return {self.go(key, depth + 1): self.go(item, depth + 1) for key, item in value.items()}
        if kind in (list, tuple, set, frozenset):
            return kind(self.go(item, depth + 1) for item in value)
        if kind in (Array, JoblibArray) and value.value is not None:
            self._count(0, value.value.nbytes)
            return value.value
        raise Refused(f"it holds a {kind.__name__} where plain data belongs")

    def _count(self, values: int, characters: int) -> None:
        self._values += values
        self._characters += characters
        if self._values > VALUES_MAX or self._characters > CHARACTERS_MAX:
            raise Refused(f"it comes to more than {VALUES_MAX:,} values or {CHARACTERS_MAX >> 20} MB")


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("it holds a text that no database can store") from None
    return text
