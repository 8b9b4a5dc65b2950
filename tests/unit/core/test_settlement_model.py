"""Contracts that end, and a broker whose endpoints lag: whatever comes first, the books end where the broker is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.contracts import multiplier_of, parse
from gambler_ai.core.model import Activity, Fill, Side
from gambler_ai.core.settlement import HOW, delivered
from tests.unit.fakes import AT, SHUT, D, Desk, reported
from tests.unit.spreads import (
    C100,
    C105,
    COID,
    P95,
    P100,
    bare_state,
    entry_of,
    fills_of,
    positions,
    report_of,
    structure_of,
)

CONDOR = {C105: -1, C100: 1, P100: 1, P95: -1}
DAYS = datetime(2008, 10, 20, 22, tzinfo=UTC)  # after the expiry, and after New York's close
STEP = timedelta(seconds=40)


class Endpoints(RuleBasedStateMachine):
    """Four contracts end by hand, by assignment or at their expiry; positions, fills and activities are read as of
    different moments, none of which ever goes back. The market is shut, so that nothing is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.at = AT
        self.truth: dict[str, Decimal] = {}
        self.history: list[dict[str, Decimal]] = [{}]  # positions, one after the other
        self.actions: list[Activity] = []
        self.by_hand: list[Fill] = []
        self.seen = {"positions": 0, "actions": 0, "fills": 0, "ours": 0}
        self.ours: list[Fill] = []

    @initialize(units=st.integers(1, 3), foreign=st.sampled_from([0, 0, 40, 100]), hands=st.booleans())
    def open(self, units: int, foreign: int, *, hands: bool) -> None:
        self.hands = hands  # a person closes some
        state, structure = bare_state(), structure_of(CONDOR, units, greeks={})
        intent = entry_of(structure)
        self.parent = report_of(intent, CONDOR)
        self.ours = fills_of(self.parent)
        self.desk = Desk(state=state)
        self.desk.record(ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, self.parent))
        self._moves({symbol: D(ratio * units) for symbol, ratio in CONDOR.items()} | {"AAPL": D(foreign)})
        self.foreign = {"AAPL": D(foreign)} if foreign else {}
        self.seen["positions"] = 1
        self.read(1)

    def _moves(self, moves: dict[str, Decimal]) -> None:
        for symbol, qty in moves.items():
            self.truth[symbol] = self.truth.get(symbol, D(0)) + qty
        self.history.append({s: q for s, q in self.truth.items() if q})

    def _end(self, symbol: str, qty: Decimal, type_: str) -> None:
        contract = parse(symbol)
        assert contract is not None
        shares = D(0) if type_ == "OPEXP" else delivered(contract, qty)
        number = len(self.actions)
        self.actions.append(Activity(f"nta-{number:03}", type_, "", symbol, -qty, D(0), self.at, group=f"g-{number}"))
        if shares:
            self.actions.append(Activity(
                f"nta-{number:03}-t", "OPTRD", "", "AAPL", shares, -shares * contract.strike, self.at, contract.strike,
                f"g-{number}",
            ))  # fmt: skip
        self._moves({symbol: -qty, "AAPL": shares})

    def _held(self) -> list[str]:
        return [symbol for symbol in CONDOR if self.truth.get(symbol)]

    @precondition(lambda self: any(self.truth.get(s, 0) < 0 for s in CONDOR))
    @rule(data=st.data())
    def assigned_early(self, data: st.DataObject) -> None:
        symbol = data.draw(st.sampled_from([s for s in CONDOR if self.truth.get(s, 0) < 0]))
        qty = data.draw(st.integers(1, int(-self.truth[symbol])))
        self.at += STEP
        self._end(symbol, D(-qty), "OPASN")

    @precondition(lambda self: self.hands and self._held() and self.at < DAYS)
    @rule(data=st.data())
    def closed_by_hand(self, data: st.DataObject) -> None:
        symbol = data.draw(st.sampled_from(self._held()))
        qty = self.truth[symbol]
        self.at += STEP
        side = Side.SELL if qty > 0 else Side.BUY
        number = len(self.by_hand)
        self.by_hand.append(Fill(f"hand-{number}", f"o-hand-{number}", symbol, side, abs(qty), D("0.50"), self.at))
        self._moves({symbol: -qty})

    @precondition(lambda self: self._held())
    @rule(worth=st.booleans())
    def expire(self, worth: bool) -> None:
        """All that is left, at once: the calls end in the money, or the puts."""
        if self.at < DAYS:  # what came before it has had its time: days pass
            self.seen = {name: self._most(name) for name in self.seen}
            self.read(2)
        self.at = max(self.at, DAYS)
        for symbol in self._held():
            contract, qty = parse(symbol), self.truth[symbol]
            assert contract is not None
            deep = (contract.right == "call") is worth
            self._end(symbol, qty, ("OPEXC" if qty > 0 else "OPASN") if deep else "OPEXP")

    @precondition(lambda self: any(seen < self._most(name) for name, seen in self.seen.items()))
    @rule(data=st.data())
    def catch_up(self, data: st.DataObject) -> None:
        """One endpoint shows more, and all are read."""
        name = data.draw(st.sampled_from([name for name, seen in self.seen.items() if seen < self._most(name)]))
        self.seen[name] = data.draw(st.integers(self.seen[name] + 1, self._most(name)))
        self.read(1)

    def _most(self, name: str) -> int:
        return {
            "positions": len(self.history) - 1, "actions": len(self.actions), "fills": len(self.by_hand),
            "ours": len(self.ours),
        }[name]  # fmt: skip

    @rule(times=st.integers(1, 3))
    def read(self, times: int) -> None:
        for _ in range(times):
            self.at += STEP
            market = replace(SHUT, at=self.at, next_open=self.at + STEP, next_close=self.at + 100 * STEP)
            self.desk.step(reported(
                self.at, reconcile=True, market=market, orders=[self.parent],
                positions=positions(self.history[self.seen["positions"]]), actions=self.actions[: self.seen["actions"]],
                fills=[*self.ours[: self.seen["ours"]], *self.by_hand[: self.seen["fills"]]],
            ))  # fmt: skip

    @invariant()
    def nothing_is_settled_more_often_than_it_ended(self) -> None:
        if not hasattr(self, "desk"):
            return
        for symbol in CONDOR:
            booked = sum((f.qty for f in self._settled() if f.symbol == symbol), D(0))
            ended = sum((-a.qty for a in self.actions if a.symbol == symbol and a.qty and a.type in HOW), D(0))
            assert abs(booked) <= abs(ended)
        ids = [one for f in self._settled() for one in f.activity_ids]
        assert len(ids) == len(set(ids))

    def _settled(self) -> list[ev.OptionSettled]:
        return [f for f in self.desk.facts if isinstance(f, ev.OptionSettled)]

    def teardown(self) -> None:
        """All endpoints have caught up, and two weeks pass."""
        if not hasattr(self, "desk"):
            return
        self.seen = {name: self._most(name) for name in self.seen}
        self.read(3)
        if not self.by_hand and not self.foreign:  # an account nets what two hold on either side
            assert not [f for f in self.desk.facts if isinstance(f, ev.Adjusted)], "what is late was taken for a loss"
            assert not [f for f in self.desk.facts if isinstance(f, ev.ForeignSeen)], "what is ours was another's"
        self.at += timedelta(days=14)
        self.read(3)
        state = self.desk.state
        held = {symbol: position.qty for symbol, position in state.positions.items()}
        for symbol in {*self.truth, *held}:
            both = held.get(symbol, D(0)) + state.foreign.get(symbol, D(0))
            assert both == self.truth.get(symbol, D(0)), symbol
        self._money_is_that_of_the_facts()

    def _money_is_that_of_the_facts(self) -> None:
        cash = D(0)
        for fact in self.desk.facts:
            if isinstance(fact, ev.FillReported):
                cash -= fact.fill.qty * fact.fill.side.sign * fact.fill.price * multiplier_of(fact.fill.symbol)
            elif isinstance(fact, ev.OptionSettled):
                cash -= fact.shares * fact.price
        structure = self.desk.state.structures.get(COID)
        if structure is not None and not any(isinstance(f, ev.Adjusted) for f in self.desk.facts):
            assert structure.cash == cash


Endpoints.TestCase.settings = settings(max_examples=30, stateful_step_count=14, deadline=None)
TestEndpoints = Endpoints.TestCase
