"""What holds of anything that a strategy's code proposes, checked: annotations are promises of somebody else."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

#: A reason is a line in a table, not a document.
REASON_MAX = 200
#: Letters of a name or a word.
WORD_MAX = 100


def check_symbol(symbol: Any, symbols: Collection[str]) -> None:
    """Raises ValueError: it is none of the session's."""
    if not isinstance(symbol, str) or symbol not in symbols:
        raise ValueError(f"{symbol!r:.40} is not one of this session's symbols")


def is_number(value: Any) -> bool:
    """Whether it is a Decimal that is finite."""
    return isinstance(value, Decimal) and value.is_finite()


def checked_signal_at(signal_at: Any, at: datetime) -> datetime:
    """The minute of the bar that a signal is dated by, UTC.

    A subclass of str, another zone, a bar by its end or by the moment of the scan: what is journaled is ours alone,
    and a decision is found again only by the minute that a bar began with (`core.recalling`).

    Raises:
        ValueError: it is no instant, or one to come.
    """
    if not isinstance(signal_at, datetime) or signal_at.utcoffset() is None:
        raise ValueError(f"signal_at of {signal_at!r:.60} is not an aware datetime; take frame.newest_at(column)")
    if signal_at > at:
        raise ValueError(f"signal_at of {signal_at!s:.40} is later than the market's {at}")
    return signal_at.astimezone(UTC).replace(second=0, microsecond=0)
