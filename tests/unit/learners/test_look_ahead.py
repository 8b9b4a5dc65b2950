"""No look-ahead: two markets that are one until an instant give the same signals, scores and decisions until then.

The vendor here tells bars as a file of history does: whole, the one that is still forming too, with what it will have
come to. What is not closed must be left out by us.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from gambler_ai.broker import convert
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Engine
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.model import Instrument, MarketView, Proposal, Side, Trade, round_price
from gambler_ai.learners.adviser import Panel
from gambler_ai.strategies.base import Strategy
from tests.unit.fakes import DAY, LIMITS, MARKET, D, bracket_of, fill_of, make_plan, make_state, reported
from tests.unit.learners.series import installed, known

OPEN = datetime(2008, 10, 7, 13, 30, tzinfo=UTC)
FIVE, MINUTES, SYMBOLS = timedelta(minutes=5), 255, ("AAPL", "MSFT", "IBM")
#: Minutes of the day before, so that each feature can be reckoned from the first scan on.
BEFORE = 390
#: In the middle of a bar: of the one that is forming the rest is different.
PARTED = 222


class Leans(Strategy, frozen=True):
    """Follows the last bar of each symbol that is not held."""

    name = "leans"
    history: int = 2

    def propose(self, view: MarketView) -> Sequence[Proposal]:
        close = view.frame.close
        return [
            Proposal(symbol, Side.BUY if close[-1, i] > close[-2, i] else Side.SELL, view.frame.newest_at(i), "leans")
            for i, symbol in enumerate(view.frame.symbols)
            if len(view.frame) > 1 and symbol not in view.held
        ]


class Market:
    """Prices by the minute: the same for all until minute `PARTED` of the day, of a seed's own from there on."""

    def __init__(self, seed: int) -> None:
        same, other = np.random.default_rng(11), np.random.default_rng(seed)
        moves = same.normal(0, 0.001, (BEFORE + MINUTES + 5, len(SYMBOLS)))
        late = BEFORE + PARTED
        moves[late:] = other.normal(0, 0.004, moves[late:].shape)
        self._price = 60 * np.exp(np.cumsum(moves, axis=0))

    def trades(self, minute: int, at: datetime) -> dict[str, Trade]:
        """The last ones: of the minute that has ended."""
        prices = self._price[BEFORE + minute - 1]
        return {s: Trade(s, round_price(Decimal(str(prices[i]))), at) for i, s in enumerate(SYMBOLS)}

    def bars(self, minute: int) -> dict[str, list[dict[str, Any]]]:
        """Every bar that has begun."""
        return {symbol: rows[: -(-(BEFORE + minute) // 5)] for symbol, rows in self._bars.items()}

    @cached_property
    def _bars(self) -> dict[str, list[dict[str, Any]]]:
        return {symbol: [self._bar(first, i) for first in range(0, BEFORE + MINUTES, 5)]
                for i, symbol in enumerate(SYMBOLS)}  # fmt: skip

    def _bar(self, first: int, column: int) -> dict[str, Any]:
        at = OPEN + timedelta(minutes=first - BEFORE)
        if first < BEFORE:
            at += timedelta(minutes=BEFORE) - timedelta(days=1)
        part = self._price[first : first + 5, column]
        volume = round(part[-1] * 1000) % 977
        return {"t": at.isoformat(), "o": part[0], "h": part.max(), "l": part.min(), "c": part[-1], "v": volume}


class Day:
    """A day of a session through the engine: a scan right after a bar has closed, and one while the next is forming; a
    position is left ten minutes after its entry."""

    def __init__(self, name: str, market: Market) -> None:
        self.learner = installed(name)
        plan = make_plan(symbols=SYMBOLS, position_size=D(1_000), learning=LearningRules((name,)))
        self.state = make_state(plan=plan, day=DAY)
        self.facts: list[ev.Fact] = []
        self.known: list[tuple[datetime, bytes]] = []
        self._market = market
        every = {s: Instrument(s) for s in SYMBOLS}
        memory = {name: self.learner}
        self._engine = Engine(
            self.state, Leans(), LIMITS, every, lambda ids: set(), memory, Panel(self.state, memory)
        )  # fmt: skip
        self._since: dict[str, int] = {}

    def live(self) -> None:
        market = replace(MARKET, at=OPEN, next_close=OPEN + timedelta(hours=20))
        self._take(self._engine.step(reported(OPEN, market=market)).facts)
        for minute in (m for m in range(1, MINUTES) if m % 5 in (0, 1)):
            self._minute(minute, OPEN + timedelta(minutes=minute, seconds=1))

    def _minute(self, minute: int, at: datetime) -> None:
        trades = self._market.trades(minute, at)
        for symbol in [s for s, since in self._since.items() if minute - since >= 10]:
            self._leave(symbol, trades[symbol].price, at)
        frame = convert.bars(SYMBOLS, FIVE, self._market.bars(minute), at, self._engine.history)
        facts = self._engine.step(ev.BarsClosed(at, frame, trades)).facts
        self._take(facts)
        for fact in facts:
            if isinstance(fact, ev.IntentPlanned):
                self._fill(fact, trades[fact.intent.symbol].price, minute, at)
        self.known.append((at, self.learner.dump()))

    def _fill(self, fact: ev.IntentPlanned, price: Decimal, minute: int, at: datetime) -> None:
        parent = bracket_of(fact.intent, limit="new", stop="held")
        fill = fill_of(parent, str(fact.intent.qty), str(price), at=at)
        self._take(self._engine.record(ev.OrderUpdated(at, parent), ev.FillReported(at, fill)).facts)
        self._since[fact.intent.symbol] = minute

    def _leave(self, symbol: str, price: Decimal, at: datetime) -> None:
        del self._since[symbol]
        intent = self.state.intents[self.state.positions[symbol].position_id].intent
        whole = bracket_of(intent, limit="canceled", stop="filled")
        stop = replace(whole.legs[1], filled_qty=intent.qty)
        gone = replace(whole, legs=(whole.legs[0], stop), updated_at=at)
        fill = fill_of(stop, str(intent.qty), str(price), at=at)
        self._take(self._engine.record(ev.OrderUpdated(at, gone), ev.FillReported(at, fill)).facts)

    def _take(self, facts: list[ev.Fact]) -> None:
        for fact in facts:
            self.learner.apply(fact)
        self.facts += facts


def until(day: Day, at: datetime) -> list[bytes]:
    """Everything that was decided and learned up to an instant."""
    return [msgspec.json.encode(fact) for fact in day.facts if fact.at <= at]


@pytest.mark.parametrize("name", known())
def test_what_comes_later_changes_nothing_that_was_decided_before(name):
    one, two = Day(name, Market(1)), Day(name, Market(2))
    one.live()
    two.live()
    parted = OPEN + timedelta(minutes=PARTED, seconds=30)
    assert until(one, parted) == until(two, parted)
    assert [k for k in one.known if k[0] <= parted] == [k for k in two.known if k[0] <= parted]
    signals = [f.intent.signal for f in one.facts if isinstance(f, ev.IntentPlanned) and f.at <= parted]
    scored = [signal for signal in signals if signal is not None and name in signal.scores]
    assert len(signals) > 40
    assert len(scored) > 10, "it speaks, and with the same words"
    assert all(signal is not None and len(signal.features) == 13 for signal in signals)
    assert [msgspec.json.encode(f) for f in one.facts] != [msgspec.json.encode(f) for f in two.facts]
    assert one.learner.dump() != two.learner.dump(), "from there on they live apart"
