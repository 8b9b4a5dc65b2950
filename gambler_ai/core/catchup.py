"""What happened while nobody ran the session: drawn from the facts that a restart came to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

import numpy as np
from msgspec import Struct

from gambler_ai.core import events as ev
from gambler_ai.core.contracts import underlying_of
from gambler_ai.core.model import BarFrame, ClosedTrade
from gambler_ai.core.orders import OrderIntent, Purpose, Role
from gambler_ai.core.protection import CROSSED
from gambler_ai.core.state import SessionState


class CatchUp(Struct, frozen=True):
    """Session time from the last stored fact to the restart, and what it brought.

    ``bars`` is how many closed without being decided on (of the symbol with most; ``more`` when the strategy's
    history does not reach further back), None when the prices could not be read.
    """

    since: datetime
    until: datetime
    bars: int | None
    more: bool
    fills: int
    closed: tuple[ClosedTrade, ...]
    stops: tuple[str, ...]  # symbols whose stop was filled meanwhile
    exits: tuple[str, ...]  # symbols whose stop was crossed while nothing rested for them: closed now
    rearmed: tuple[str, ...]
    given_up: tuple[str, ...]  # symbols of entries that never arrived and are not wanted any more
    differences: int
    settled: tuple[str, ...] = ()  # contracts of ours that ended meanwhile, each with how
    left: tuple[str, ...] = ()  # underlyings of structures that are closed now, by a rule that fired or by request
    #: Structures that were held, with nothing of theirs at the broker to guard them.
    unguarded: int = 0

    @property
    def down(self) -> timedelta:
        """How long nobody ran it. Books that were taken from the broker may begin after its clock's last reading."""
        return max(self.until - self.since, timedelta())


def caught_up(
    since: datetime, until: datetime, state: SessionState, facts: Collection[ev.Fact],
    closed: Collection[ClosedTrade], bars: tuple[int, bool] | None,
) -> CatchUp:  # fmt: skip
    """The report; ``facts`` and ``closed`` are what the restart came to, ``state`` is the one after it."""
    intents = [f.intent for f in facts if isinstance(f, ev.IntentPlanned)]
    fills = [f.fill for f in facts if isinstance(f, ev.FillReported)]
    orders = {f.order_id: state.orders.get(f.order_id) for f in fills}
    voided = [state.intents[f.client_order_id].intent.symbol for f in facts if isinstance(f, ev.IntentVoided)]
    return CatchUp(
        since=since, until=until, bars=None if bars is None else bars[0], more=bool(bars and bars[1]),
        fills=len(fills), closed=tuple(closed),
        stops=_names(o.symbol for o in orders.values() if o is not None and o.role is Role.STOP),
        exits=_names(i.symbol for i in intents if i.reason == CROSSED),
        rearmed=_names(i.symbol for i in intents if i.purpose is Purpose.PROTECT),
        given_up=_names(voided), differences=sum(isinstance(f, ev.Reconciled) for f in facts),
        settled=_names(f"{f.symbol} {f.how}" for f in facts if isinstance(f, ev.OptionSettled)),
        left=_names(_left(state, facts, intents)), unguarded=len(_unguarded(state, facts, closed)),
    )  # fmt: skip


def _left(state: SessionState, facts: Collection[ev.Fact], intents: Collection[OrderIntent]) -> list[str]:
    asked = {f.symbol for f in facts if isinstance(f, ev.ExitRequested)}
    return [s.underlying for s in state.structures.values() if s.structure_id in asked] + [
        underlying_of(i.symbol) for i in intents if i.structure_id and i.purpose is Purpose.EXIT
    ]


def _unguarded(state: SessionState, facts: Collection[ev.Fact], closed: Collection[ClosedTrade]) -> set[str]:
    """Structures of which something was held while nobody ran the session, those that ended by it among them."""
    ended = {f.structure_id for f in facts if isinstance(f, ev.StructureEnded)}
    held = {s.structure_id for s in state.structures.values() if s.filled}
    return held | (ended & {trade.position_id for trade in closed})


def bars_passed(frame: BarFrame, decided: Mapping[str, datetime]) -> tuple[int, bool]:
    """How many bars of ``frame`` are newer than what was decided on, and whether there may be more."""
    most, more = 0, False
    for column, symbol in enumerate(frame.symbols):
        if symbol in decided:
            newer = int(np.count_nonzero(frame.times[:, column] > decided[symbol].timestamp()))
            if newer > most:
                most, more = newer, newer == len(frame)
    return most, more


def _names(symbols: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(symbols)))
