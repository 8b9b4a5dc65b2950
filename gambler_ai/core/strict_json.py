"""JSON that means one thing: no NaN, no number beyond a float, no name twice, no nesting without end."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, NoReturn


def loads(text: str) -> Any:
    """What ``text`` says.

    Raises:
        ValueError: it is not JSON, or JSON that two programs would read differently.
    """
    try:
        return _DECODER.decode(text)
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


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_float)
