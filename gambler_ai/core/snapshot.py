"""SessionState to bytes and back, with a version. Readable JSON: a person can look into a checkpoint."""

from __future__ import annotations

import hashlib
import math
import re
from decimal import Decimal
from typing import Any

import msgspec

from gambler_ai.core.risk_record import of_before
from gambler_ai.core.state import SessionState
from gambler_ai.core.text import one_line
from gambler_ai.errors import CheckpointCorrupt

#: Raised when SessionState changes its shape; an upgrade step for each older one belongs in this file.
STATE_VERSION = 8
#: Versions 1 to 4 had fewer fields (and 1 one whose meaning ended with its run): the decoder's defaults make them
#: version 5. That one knew of a pause after losses only when it ends; 6 had no signals and no rules of learning, 7 no
#: structures.
_READABLE = frozenset({1, 2, 3, 4, 5, 6, 7, STATE_VERSION})

_encoder = msgspec.json.Encoder(order="deterministic", decimal_format="string")
_decoder = msgspec.json.Decoder(SessionState)


_NO_NUMBER = re.compile(rb'"[+-]?(?:s?nan\d*|inf(?:inity)?)"', re.IGNORECASE)


def dump(state: SessionState) -> bytes:
    """The state as bytes; the same state gives the same bytes."""
    return _encoder.encode(state)


def load(payload: bytes, version: int) -> SessionState:
    """The state that `dump` wrote.

    Raises:
        CheckpointCorrupt: the version is not ours or the bytes are not a state.
    """
    if version not in _READABLE:
        raise CheckpointCorrupt(f"state version {version} is not one this program reads ({STATE_VERSION})")
    try:
        state = _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointCorrupt(f"a checkpoint does not decode: {one_line(str(error), 200)}") from error
    if may_hold_no_number(payload) and holds_no_number(state):
        raise CheckpointCorrupt("a checkpoint holds something that is no number where one belongs")
    if version < 6:
        state.risk = of_before(state.risk)
    return state


def may_hold_no_number(payload: bytes) -> bool:
    """Whether ``payload`` holds a string that a Decimal takes without being a number; it may be a symbol too."""
    return _NO_NUMBER.search(payload) is not None


def holds_no_number(value: Any) -> bool:
    """Whether a number in ``value``, however deep, is not finite: every comparison with it is false, or raises."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, Decimal):
            if not item.is_finite():
                return True
        elif isinstance(item, float):
            if not math.isfinite(item):
                return True
        elif isinstance(item, msgspec.Struct):
            todo += [getattr(item, name) for name in item.__struct_fields__]
        elif isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            todo += item
    return False


def digest(payload: bytes) -> str:
    """The checksum stored beside a payload."""
    return hashlib.sha256(payload).hexdigest()
