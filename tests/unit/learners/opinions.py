"""Strategies that a chooser of the tests chooses among."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from gambler_ai.core.events import DayOpened, Fact
from gambler_ai.core.model import round_price
from gambler_ai.strategies import MarketView, MoveStop, Proposal, Side, Strategy, StructComponent


def entries(view: MarketView, side: Side, reason: str, **words: str) -> list[Proposal]:
    """One in each symbol."""
    frame = view.frame
    return [Proposal(symbol, side, frame.newest_at(i), reason, context=words) for i, symbol in enumerate(frame.symbols)]


class Up(Strategy, frozen=True):
    """Always buys, and leaves nothing alone that it is shown."""

    def propose(self, view: MarketView) -> list[Proposal | MoveStop]:
        at = {symbol: view.frame.newest_at(i) for i, symbol in enumerate(view.frame.symbols)}
        out = [Proposal(symbol, Side.SELL, at[symbol], "enough", exit=True) for symbol in view.held]
        moves = [MoveStop(symbol, round_price(view.trades[symbol].price), "closer") for symbol in view.held]
        return [*entries(view, Side.BUY, "up"), *out, *moves]


class Down(Up, frozen=True):
    """Always sells."""

    bars: int = 3

    @property
    def history(self) -> int:
        return self.bars

    def propose(self, view: MarketView) -> list[Proposal | MoveStop]:
        wishes = super().propose(view)
        return [w for w in wishes if isinstance(w, MoveStop) or w.exit] + entries(view, Side.SELL, "down")


class Meddler(Up, frozen=True):
    """Wants to be out of everything, and its stops moved, whoever holds it."""

    def propose(self, view: MarketView) -> list[Proposal | MoveStop]:
        out = [replace(wish, exit=True) for wish in entries(view, Side.SELL, "out of it")]
        return [*out, *(MoveStop(wish.symbol, round_price(Decimal(1)), "moved") for wish in out)]


class Broken(Strategy, frozen=True):
    def propose(self, view: MarketView) -> list[Proposal]:
        raise ZeroDivisionError("no opinion")


class Days(Struct, frozen=True):
    seen: int = 0


class Nosy(Strategy, frozen=True):
    """Says what it sees; its own words are three."""

    bars: int = 5

    @property
    def history(self) -> int:
        return self.bars

    def components(self) -> list[StructComponent[Days]]:
        return [StructComponent("nosy.days", Days(), _count)]

    def propose(self, view: MarketView) -> list[Proposal]:
        days = view.memory["nosy.days"].state.seen
        held, entered, words = sorted(view.held), sorted(view.entered), {s: dict(w) for s, w in view.contexts.items()}
        said = f"{len(view.frame)} bars, {days} days, {held} {entered} {words} {sorted(view.memory)}"
        return entries(view, Side.BUY, said, own="word", mine="too", third="one")


def _count(days: Days, fact: Fact) -> Days:
    return Days(days.seen + 1) if isinstance(fact, DayOpened) else days


class Wordy(Strategy, frozen=True):
    """Gives an order more words than a chooser leaves room for, or one of the chooser's own."""

    words: int = 6
    stolen: bool = False

    def propose(self, view: MarketView) -> list[Proposal]:
        more = {"regime": "mine"} if self.stolen else {}
        return entries(view, Side.BUY, "wordy", **{f"w{n}": "x" for n in range(self.words)}, **more)
