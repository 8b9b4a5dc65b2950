"""JSON that means one thing: no NaN, no number beyond a float, no name twice, no nesting without end."""

from __future__ import annotations

import json
import math
from collections import Counter
from decimal import Decimal
from typing import Any, NoReturn

#: Places behind the point of an exact number, and its characters: more is nobody's money, and slow to write down.
_PLACES_MAX, _LENGTH_MAX = 40, 80


def loads(text: str, *, exact: bool = False) -> Any:
    """What ``text`` says; with ``exact`` a number with a point or an exponent is the Decimal that stands there.

    Raises:
        ValueError: it is not JSON, or JSON that two programs would read differently.
    """
    try:
        return (_EXACT if exact else _DECODER).decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"{counts.most_common(1)[0][0][:40]!r} is there twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _decimal(text: str) -> Decimal:
    _float(text)
    value = Decimal(text)
    if len(text) > _LENGTH_MAX or int(value.as_tuple().exponent) < -_PLACES_MAX:
        raise ValueError(f"{text[:40]} has more places than a number here may have")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_float)
_EXACT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_decimal)
