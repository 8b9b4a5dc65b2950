"""The names that a pickle of plain data mentions, and what each makes here. No other name is known."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from msgspec import Struct

from gambler_ai.ancestors.arrays import Array, Dtype, JoblibArray, scalar
from gambler_ai.ancestors.plain import check_key
from gambler_ai.ancestors.refusal import Refused

#: Python 2's and NumPy 1's names of what is called otherwise now.
_MOVED = {
    "__builtin__": "builtins", "copy_reg": "copyreg", "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
}  # fmt: skip
_WORD = re.compile(r"[^\x21-\x7e]")
#: A name in a message: what does not fit was never one.
_NAME_MAX = 100
_DECIMAL_CHARACTERS_MAX = 80
_DECIMAL_EXPONENT_MAX = 40
_MODELS = ("sklearn", "xgboost", "lightgbm", "catboost", "keras", "tensorflow", "torch", "joblib")


class Name(Struct, frozen=True):
    """A name that a pickle mentions: a text, and nothing behind it."""

    dotted: str


def name_of(module: str, attribute: str) -> Name:
    """The name, if it is one of the known.

    Raises:
        Refused: it is any other; the message has it.
    """
    dotted = f"{_MOVED.get(module, module)}.{attribute}"
    if dotted in CONSTRUCTORS or dotted in _MENTIONED:
        return Name(dotted)
    shown = _WORD.sub("?", f"{module}.{attribute}")
    shown = shown if len(shown) <= _NAME_MAX else f"{shown[: _NAME_MAX - 3]}..."
    raise Refused(f"the pickle names {shown}, which is not plain data", hint=_hint(module))


def _hint(module: str) -> str:
    if module.partition(".")[0] in _MODELS:
        return "a trained model is code, and not taken over: one is trained anew from closed trades, --learners signal"
    return "of a pickle only plain containers, numbers, times and numeric arrays are taken"


def fill(target: Any, state: Any) -> None:
    """Give an array, or what describes one, what its pickle says of it."""
    try:
        target.fill(state)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused("the pickle describes an array in a way that is not known") from None


def _set(items: Any = ()) -> set[Any]:
    return {check_key(item) for item in _items(items)}


def _frozenset(items: Any = ()) -> frozenset[Any]:
    return frozenset(_set(items))


def _dict(*nothing: Any) -> dict[Any, Any]:
    if nothing:
        raise TypeError
    return {}


def _default_dict(factory: Any = None) -> dict[Any, Any]:
    """Without its default: what was stored is there, what was not is not."""
    if factory is not None and type(factory) is not Name:
        raise TypeError
    return {}


def _deque(items: Any = (), length_max: Any = None) -> list[Any]:
    if length_max is not None and type(length_max) is not int:
        raise TypeError
    return list(_items(items))


def _items(value: Any) -> Any:
    if type(value) not in (list, tuple, set, frozenset):
        raise TypeError
    return value


def _latin(text: Any, encoding: Any = "latin1") -> bytes:
    """How protocols 0 to 2 write bytes."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise TypeError
    return text.encode("latin-1")


def _bytes(*nothing: Any) -> bytes:
    if nothing:
        raise TypeError
    return b""


def _raw(state: Any, length: int) -> bytes:
    found = state.encode("latin-1") if type(state) is str else state  # as Python 2 wrote it
    if type(found) is not bytes or len(found) != length:
        raise TypeError
    return found


def _date(state: Any) -> date:
    raw = _raw(state, 4)
    return date(raw[0] << 8 | raw[1], raw[2], raw[3])


def _datetime(state: Any, zone: Any = None) -> datetime:
    """Checked field by field: the constructor takes such bytes unseen."""
    raw = _raw(state, 10)
    if zone is not None and type(zone) is not timezone:
        raise TypeError
    fold, month = raw[2] >> 7, raw[2] & 0x7F
    micro = raw[7] << 16 | raw[8] << 8 | raw[9]
    return datetime(raw[0] << 8 | raw[1], month, raw[3], raw[4], raw[5], raw[6], micro, tzinfo=zone, fold=fold)


def _timedelta(days: Any = 0, seconds: Any = 0, micros: Any = 0) -> timedelta:
    if any(type(value) is not int for value in (days, seconds, micros)):
        raise TypeError
    return timedelta(days, seconds, micros)


def _timezone(offset: Any, name: Any = None) -> timezone:
    if type(offset) is not timedelta or not (name is None or type(name) is str):
        raise TypeError
    return timezone(offset)


def _decimal(text: Any) -> Decimal:
    if type(text) is not str or len(text) > _DECIMAL_CHARACTERS_MAX:
        raise TypeError
    value = Decimal(text)
    if value.is_finite() and abs(value.adjusted()) > _DECIMAL_EXPONENT_MAX:
        raise TypeError
    return value


def _reconstruct(kind: Any, shape: Any, _code: Any) -> Array:
    if kind != Name("numpy.ndarray") or type(shape) is not tuple:
        raise TypeError
    return Array()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    found = Array()
    found.set(data, dtype, shape, is_fortran=order == "F")
    return found


#: What a pickle may mention and not call: the kinds of empty arrays and of a defaultdict's defaults.
_MENTIONED = frozenset({"numpy.ndarray", "builtins.int", "builtins.float", "builtins.str", "builtins.bool"})
CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "builtins.set": _set, "builtins.frozenset": _frozenset, "builtins.list": _deque, "builtins.dict": _dict,
    "builtins.bytes": _bytes, "_codecs.encode": _latin,
    "collections.OrderedDict": _dict, "collections.defaultdict": _default_dict, "collections.deque": _deque,
    "datetime.datetime": _datetime, "datetime.date": _date, "datetime.timedelta": _timedelta,
    "datetime.timezone": _timezone, "decimal.Decimal": _decimal,
    "numpy.dtype": Dtype, "numpy._core.multiarray.scalar": scalar,
    "numpy._core.multiarray._reconstruct": _reconstruct, "numpy._core.numeric._frombuffer": _from_buffer,
    "joblib.numpy_pickle.NumpyArrayWrapper": JoblibArray,
}  # fmt: skip
