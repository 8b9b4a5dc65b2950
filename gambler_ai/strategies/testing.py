"""For tests of your own strategies: a view of the market from a few closes, and what a session makes of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from gambler_ai.core import bars
from gambler_ai.core.components import Component
from gambler_ai.core.model import MarketView, MoveStop, Proposal, Trade
from gambler_ai.core.proposals import checked
from gambler_ai.strategies.base import Strategy

#: When the newest bar of a made view closes, unless a test says otherwise: 11:00 in New York.
AT = datetime(2024, 1, 3, 16, 0, tzinfo=UTC)


def view_of(
    closes: Mapping[str, Sequence[float]],
    *,
    volumes: Mapping[str, Sequence[float]] | None = None,
    held: Mapping[str, int | str | Decimal] | None = None,
    entered: Mapping[str, datetime] | None = None,
    interval: timedelta = timedelta(minutes=5),
    at: datetime = AT,
    memory: Sequence[Component] = (),
) -> MarketView:
    """What a strategy sees of these closes, oldest first; open, high and low are the close.

    Args:
        closes: prices by symbol; one with fewer bars than the others is NaN where it has none.
        volumes: as many by symbol; 1,000 a bar without them.
        held: signed quantity by symbol; short is negative.
        entered: when a position began, by symbol; those that are held and not here began as the newest bar closed.
        interval: length of a bar.
        at: when the newest bar closes.
        memory: what the strategy's components hold; `Component.apply` brings them where a test wants them.
    """
    columns = {}
    for symbol, prices in closes.items():
        traded = volumes[symbol] if volumes is not None and symbol in volumes else [1000.0] * len(prices)
        first = at - len(prices) * interval
        rows = [
            ((first + i * interval).timestamp(), price, price, price, price, volume)
            for i, (price, volume) in enumerate(zip(prices, traded, strict=True))
        ]
        columns[symbol] = np.asarray(rows, dtype=np.float64).reshape(-1, 6)
    longest = max((len(prices) for prices in closes.values()), default=0)
    frame = bars.from_columns(tuple(closes), interval, columns, max(longest, 1))
    trades = {s: Trade(s, Decimal(str(prices[-1])), at) for s, prices in closes.items() if len(prices)}
    quantities = {symbol: Decimal(qty) for symbol, qty in (held or {}).items()}
    since = dict.fromkeys(quantities, at) | dict(entered or {})
    return MarketView(at, frame, trades, quantities, since, {component.name: component for component in memory})


def proposals_of(strategy: Strategy, view: MarketView) -> list[Proposal]:
    """The orders that ``strategy`` proposes, checked as a session checks it.

    Raises:
        ValueError: a session would deny all of it, and says why.
    """
    return [p for p in checked(strategy.propose(view), view.frame.symbols, view.at) if isinstance(p, Proposal)]


def moves_of(strategy: Strategy, view: MarketView) -> list[MoveStop]:
    """The stops that ``strategy`` wants to move, checked in the same way.

    Raises:
        ValueError: a session would deny all of it, and says why.
    """
    return [m for m in checked(strategy.propose(view), view.frame.symbols, view.at) if isinstance(m, MoveStop)]
