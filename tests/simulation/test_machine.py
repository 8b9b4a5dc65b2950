"""A model broker against recovery: whatever happens, a calm while later our books are the broker's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions, Engine
from gambler_ai.core.evolution import apply
from gambler_ai.core.model import Instrument, Side
from gambler_ai.core.orders import IN_FLIGHT, Status
from gambler_ai.core.protection import Protection, protections
from gambler_ai.core.state import SessionState
from gambler_ai.trading.requesting import expected
from tests.allowance import Allowance
from tests.simulation.model_broker import DONE, ModelBroker, market_at
from tests.unit.fakes import AT, FIVE, LIMITS, Told, bars_closed, make_plan, make_state, wish

SYMBOLS = ("AAPL", "MSFT")
#: What becomes of a request: answered, the answer is lost, or the request is.
OUTCOMES = ("answered", "answer lost", "request lost")
CALM = timedelta(seconds=20)
CALM_ROUNDS = 60
#: At night.
EXAMPLES, BATCHES = 20_000, 1_000
_encoder = msgspec.json.Encoder(order="deterministic", decimal_format="string")
_decoder = msgspec.json.Decoder(ev.Fact)


class Recovery(RuleBasedStateMachine):
    """The engine and its journal on one side, a broker that knows what it did on the other."""

    #: Rules played, in all stories of this class.
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.broker = ModelBroker()
        self.now = AT
        self.journal: list[bytes] = []
        self.todo: list[ev.Fact] = []
        self.bodies: dict[str, str] = {}  # as they were queued: the engine may have forgotten an order by then
        self.look_again = False
        self.engine = self._engine(self._empty())
        self._read(reconcile=True)

    @staticmethod
    def _empty() -> SessionState:
        return make_state(plan=make_plan(symbols=SYMBOLS, max_positions=2))

    def _engine(self, state: SessionState) -> Engine:
        self.strategy = Told()
        known = {s: Instrument(s) for s in SYMBOLS}
        return Engine(state, self.strategy, LIMITS, known, lambda ids: set())

    def _commit(self, decisions: Decisions) -> None:
        """Store what was decided; then, and only then, it may be sent."""
        self.journal += [_encoder.encode(fact) for fact in decisions.facts]
        kinds = (ev.IntentPlanned, ev.ResendPlanned, ev.CancelPlanned)
        self.todo += [fact for fact in decisions.facts if isinstance(fact, kinds)]
        self.bodies |= {coid: record.intent.body for coid, record in self.engine.state.intents.items()}

    def _step(self, event: ev.Input) -> None:
        self._commit(self.engine.step(event))

    def _pass(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # -- ours -------------------------------------------------------------------------------------

    @rule(symbol=st.sampled_from(SYMBOLS), side=st.sampled_from(Side))
    def propose(self, symbol: str, side: Side) -> None:
        self._pass(301)
        self.strategy.proposals = [wish(symbol, side, self.now - FIVE)]
        self._step(bars_closed(self.now, (symbol,)))
        self.strategy.proposals = []

    @rule(symbol=st.sampled_from((*SYMBOLS, ev.ALL)))
    def leave(self, symbol: str) -> None:
        self._commit(self.engine.record(ev.ExitRequested(self.now, symbol, "asked")))

    @precondition(lambda self: self.todo)
    @rule(outcome=st.sampled_from(OUTCOMES))
    def send(self, outcome: str) -> None:
        self._pass(0.1)
        fact = self.todo.pop(0)
        if isinstance(fact, ev.CancelPlanned):
            if outcome != "request lost":
                self.broker.cancel(fact.order_id, self.now)
            self._step(ev.CancelAnswered(self.now, fact.order_id, "" if outcome == "answered" else "no answer"))
            return
        coid = fact.intent.client_order_id if isinstance(fact, ev.IntentPlanned) else fact.client_order_id  # type: ignore[union-attr]
        answer: Any = ev.SubmitUnanswered(self.now, coid, outcome)
        if outcome != "request lost":
            order = self.broker.submit(self.bodies[coid], self.now)
            if outcome == "answered":
                answer = (
                    ev.SubmitAnswered(self.now, coid, order)
                    if order is not None
                    else ev.SubmitRefused(self.now, coid, "client_order_id must be unique", duplicate=True)
                )
        self._step(answer)

    @rule(misses=st.booleans(), late=st.booleans(), reconcile=st.booleans(), seconds=st.sampled_from([1, 15, 61]))
    def read(self, misses: bool, late: bool, reconcile: bool, seconds: int) -> None:
        self._pass(seconds)
        self._read(misses=misses, late=late, reconcile=reconcile)

    def _read(self, *, reconcile: bool, misses: bool = False, late: bool = False) -> None:
        report = self.broker.report(market_at(self.now), expected(self.engine.state), misses=misses, late=late)
        self._step(ev.BrokerReported(self.now, report, reconcile))

    @rule()
    def reading_fails(self) -> None:
        self._step(ev.BrokerFailed(self.now, ev.BROKER, "no answer"))

    @rule(sent=st.booleans())
    def crash(self, sent: bool) -> None:
        """Memory is gone; what was queued may have left before."""
        for fact in self.todo if sent else ():
            if isinstance(fact, ev.CancelPlanned):
                self.broker.cancel(fact.order_id, self.now)
            else:
                coid = fact.intent.client_order_id if isinstance(fact, ev.IntentPlanned) else fact.client_order_id  # type: ignore[union-attr]
                self.broker.submit(self.bodies[coid], self.now)
        self.todo.clear()
        state = self._replayed()
        self.engine = self._engine(state)
        unknown = [c for c, record in state.intents.items() if record.status is Status.PLANNED]
        restart = [ev.IntentUnknown(self.now, coid, "restarted") for coid in unknown]
        self._commit(self.engine.record(ev.RunStarted(self.now, 3600.0, resumed=True, token=1), *restart))

    def _replayed(self) -> SessionState:
        state = self._empty()
        for row in self.journal:
            apply(state, _decoder.decode(row))
        return state

    # -- the broker's -----------------------------------------------------------------------------

    @precondition(lambda self: self.broker.working())
    @rule(which=st.integers(0, 30), part=st.integers(1, 4))
    def fill(self, which: int, part: int) -> None:
        self._pass(1)
        working = self.broker.working()
        self.broker.fill(working[which % len(working)], part, self.now)

    @precondition(lambda self: self.broker.working())
    @rule(which=st.integers(0, 30), status=st.sampled_from(("canceled", "expired")))
    def end_by_hand(self, which: int, status: str) -> None:
        self._pass(1)
        working = self.broker.working()
        self.broker.cancel(working[which % len(working)][1], self.now, status)

    # -- what must hold ---------------------------------------------------------------------------

    @invariant()
    def journal_makes_the_state(self) -> None:
        type(self).steps += 1
        assert _encoder.encode(self._replayed()) == _encoder.encode(self.engine.state)

    @invariant()
    def each_fill_is_booked_at_most_once(self) -> None:
        booked = [a for ids in self.engine.state.fill_ids.values() for a in ids]
        assert len(booked) == len(set(booked))

    def teardown(self) -> None:
        """Nothing goes wrong any more: a while later both sides agree, and what is held is protected."""
        for _ in range(CALM_ROUNDS):
            while self.todo:
                self.send("answered")
            for coid, order_id in self.broker.working():  # a market order does not rest
                if self.broker.orders[coid].type == "market" and self.broker.orders[coid].order_id == order_id:
                    self.broker.fill((coid, order_id), 4, self.now)
            self._pass(CALM.total_seconds())
            self._read(reconcile=True)
        self.agree()

    def agree(self) -> None:
        state = self.engine.state
        assert not self.todo
        assert not [c for c, r in state.intents.items() if r.status in IN_FLIGHT]
        for symbol in SYMBOLS:
            ours = state.positions[symbol].qty if symbol in state.positions else 0
            assert ours + state.foreign.get(symbol, 0) == self.broker.qty(symbol), symbol
        assert state.fills == len(self.broker.fills)
        decisions: dict[str, str] = {}
        for row in self.journal:
            fact = _decoder.decode(row)
            if isinstance(fact, ev.IntentPlanned):
                decision, coid = fact.intent.decision_id, fact.intent.client_order_id
                assert decisions.setdefault(decision, coid) == coid
        for position, status, why in protections(state):
            stops = [
                o for head in self.broker.orders.values() for o in (head, *head.legs)
                if o.symbol == position.symbol and o.type == "stop" and o.status not in (*DONE, "held")
            ]  # fmt: skip
            assert status is Protection.PROTECTED, why
            assert sum(o.qty - o.filled_qty for o in stops) == abs(position.qty)


def seeded(number: int) -> type[Recovery]:
    """The same machine with another seed."""
    return seed(number)(type(f"Recovery{number}", (Recovery,), {}))


def run(examples: int, steps: int, machine: type[Recovery] = Recovery, **more: Any) -> None:
    every = tuple(HealthCheck)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=every, **more
        ),
    )  # fmt: skip


def test_our_books_become_the_brokers_after_whatever_happened() -> None:
    run(25, 30, derandomize=True, database=None)


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_our_books_become_the_brokers_after_twenty_thousand_stories(
    allowance: Allowance, count: Callable[..., None]
) -> None:
    """A batch at a time, each of another seed, for as long as there is."""
    first = allowance.seed * BATCHES
    count("stories of the state machine, in all", EXAMPLES)
    for number in allowance.share(range(first, first + BATCHES)):
        machine = seeded(number)
        run(EXAMPLES // BATCHES, 50, machine, database=None)
        count("stories of the state machine", EXAMPLES // BATCHES)
        count("steps of the state machine", machine.steps)
