"""Lengths of bars, as Alpaca writes them."""

from __future__ import annotations

import re

_TIMEFRAME = re.compile(r"(\d{1,2})(Min|Hour)")


def timeframe_s(text: str) -> int:
    """``5Min`` or ``1Hour`` in seconds.

    Raises:
        ValueError: it is neither 1 to 59 minutes nor 1 to 23 hours.
    """
    match = _TIMEFRAME.fullmatch(text)
    count, unit = (int(match[1]), match[2]) if match else (0, "")
    if not 1 <= count <= (59 if unit == "Min" else 23):
        raise ValueError(f"{text!r} is not a timeframe; write 5Min or 1Hour")
    return count * (60 if unit == "Min" else 3600)
