"""For tests of your own strategies: a view of the market from a few closes, and what a session makes of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from gambler_ai.core import bars
from gambler_ai.core.components import Component
from gambler_ai.core.model import BarFrame, MarketView, MoveStop, Proposal, Trade
from gambler_ai.core.proposals import checked
from gambler_ai.core.structure_proposals import checked_structures
from gambler_ai.core.structures import OptionQuote, StructureProposal
from gambler_ai.strategies.base import Strategy
from gambler_ai.strategies.options.made import quotes_made

#: When the newest bar of a made view closes, unless a test says otherwise: 11:00 in New York.
AT = datetime(2024, 1, 3, 16, 0, tzinfo=UTC)
_DAY = timedelta(days=1)


def view_of(
    closes: Mapping[str, Sequence[float]],
    *,
    volumes: Mapping[str, Sequence[float]] | None = None,
    held: Mapping[str, int | str | Decimal] | None = None,
    entered: Mapping[str, datetime] | None = None,
    interval: timedelta = timedelta(minutes=5),
    at: datetime = AT,
    memory: Sequence[Component] = (),
    quotes: Mapping[str, OptionQuote] | None = None,
    daily: Mapping[str, Sequence[float]] | None = None,
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
        quotes: of contracts, by symbol: `chain_of` makes them.
        daily: daily closes by symbol, oldest first, up to the day before ``at``.
    """
    frame = _frame(closes, volumes or {}, interval, at)
    trades = {s: Trade(s, Decimal(str(prices[-1])), at) for s, prices in closes.items() if len(prices)}
    quantities = {symbol: Decimal(qty) for symbol, qty in (held or {}).items()}
    since = dict.fromkeys(quantities, at) | dict(entered or {})
    return MarketView(
        at, frame, trades, quantities, since, {component.name: component for component in memory},
        quotes=dict(quotes or {}), daily=None if daily is None else _frame(daily, {}, _DAY, at - _DAY),
    )  # fmt: skip


def chain_of(
    underlying: str,
    spot: float,
    *,
    at: datetime = AT,
    days: Sequence[int] = (45,),
    strikes: Sequence[float] | None = None,
    volatility: float = 0.30,
    spread: float = 0.04,
) -> dict[str, OptionQuote]:
    """A chain of quotes to give to `view_of`, priced by Black and Scholes without a rate; change what a test is about.

    Args:
        underlying: what the contracts are on; ``spot`` is its price in dollars.
        at: when they are quoted, aware UTC.
        days: calendar days from ``at`` to each expiry.
        strikes: dollars; without them 21 of them, 2.5 % of ``spot`` apart.
        volatility: a year's, 0.30 for 30 %.
        spread: dollars from bid to ask; no bid where nothing is left of it.
    """
    return quotes_made(
        underlying, spot, at=at, days=days, strikes=strikes, volatility=volatility, spread=spread
    )  # fmt: skip


def _frame(
    closes: Mapping[str, Sequence[float]], volumes: Mapping[str, Sequence[float]], interval: timedelta, at: datetime
) -> BarFrame:  # fmt: skip
    columns = {}
    for symbol, prices in closes.items():
        traded = volumes.get(symbol, [1000.0] * len(prices))
        first = at - len(prices) * interval
        rows = [
            ((first + i * interval).timestamp(), price, price, price, price, volume)
            for i, (price, volume) in enumerate(zip(prices, traded, strict=True))
        ]
        columns[symbol] = np.asarray(rows, dtype=np.float64).reshape(-1, 6)
    longest = max((len(prices) for prices in closes.values()), default=0)
    return bars.from_columns(tuple(closes), interval, columns, max(longest, 1))


def structures_of(strategy: Strategy, view: MarketView) -> list[StructureProposal]:
    """The structures that ``strategy`` proposes, checked as a session checks them.

    Raises:
        ValueError: a session would deny all of it, and says why.
    """
    return checked_structures(strategy.propose(view), view.frame.symbols, view.at)


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
