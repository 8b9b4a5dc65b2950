"""Signals stored with entries, advice on them, and the one outcome of each round trip that one of them began."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.engine import Decisions, Engine
from gambler_ai.core.evolution import apply
from gambler_ai.core.learning import Advice, Signal
from gambler_ai.core.model import Instrument, MarketView, Proposal, Side
from gambler_ai.core.orders import OrderIntent
from gambler_ai.core.risk import Code
from gambler_ai.core.state import SessionState
from tests.unit.fakes import (
    AT,
    DAY,
    FIVE,
    LIMITS,
    D,
    Desk,
    Told,
    after,
    bars_closed,
    bracket_of,
    entry,
    fill_of,
    held,
    kinds,
    make_state,
    only,
    report_of,
    reported,
    wish,
)

SIGNAL = Signal({"along_1": 0.5}, {"attention": 0.625}, b"\x01", {"regime": "trend"})
WORDS = replace(wish(), context={"regime": "range"})


class Advises:
    """Gives the advice it was told to give, or raises it."""

    bars = 64

    def __init__(self, advice: Advice | BaseException) -> None:
        self.advice = advice
        self.asked: list[tuple[Proposal, MarketView]] = []
        self.prepared = 0

    def prepare(self) -> None:
        self.prepared += 1

    def advise(self, proposal: Proposal, view: MarketView) -> Advice:
        self.asked.append((proposal, view))
        if isinstance(self.advice, BaseException):
            raise self.advice
        return self.advice


def engine_of(*proposals: Proposal, advice: Advice | BaseException | None, state: SessionState | None = None) -> Engine:
    adviser = None if advice is None else Advises(advice)
    instruments = {s: Instrument(s) for s in ("AAPL", "MSFT")}
    return Engine(
        state or make_state(day=DAY), Told(*proposals), LIMITS, instruments, lambda ids: set(), adviser=adviser
    )  # fmt: skip


def scanned(
    *proposals: Proposal, advice: Advice | BaseException | None, symbols: Sequence[str] = ("AAPL",)
) -> Decisions:
    engine = engine_of(*proposals, advice=advice)
    engine.step(reported())
    return engine.step(bars_closed(symbols=symbols))


def planned(decisions: Decisions) -> OrderIntent:
    return only(ev.IntentPlanned, decisions).intent


# -- advice ---------------------------------------------------------------------------------------


def test_what_was_known_is_stored_with_the_intent_in_its_transaction():
    assert planned(scanned(wish(), advice=Advice(SIGNAL))).signal == SIGNAL


def test_without_learners_the_strategys_words_are_stored_and_nothing_where_it_has_none():
    assert planned(scanned(WORDS, advice=None)).signal == Signal(context={"regime": "range"}, decided_at=AT)
    assert planned(scanned(wish(), advice=None)).signal is None
    assert planned(scanned(wish(), advice=Advice(Signal()))).signal is None


def test_what_goes_to_the_broker_and_its_id_know_nothing_of_the_signal():
    with_signal, without = (planned(scanned(wish(), advice=a)) for a in (Advice(SIGNAL), None))
    assert replace(with_signal, signal=None) == without
    assert "regime" not in with_signal.body


def test_the_adviser_is_asked_once_for_each_entry_with_the_view_of_the_strategy():
    engine = engine_of(wish(), wish("MSFT"), replace(wish(), exit=True), advice=Advice(SIGNAL))
    engine.step(reported())
    engine.step(bars_closed(symbols=("AAPL", "MSFT")))
    adviser, strategy = engine._adviser, engine._strategy
    assert isinstance(adviser, Advises)
    assert isinstance(strategy, Told)
    assert [proposal.symbol for proposal, _view in adviser.asked] == ["AAPL", "MSFT"]
    assert {id(view) for _proposal, view in adviser.asked} == {id(strategy.views[0])}


def test_the_engine_wants_as_many_bars_as_its_adviser_and_prepares_it():
    engine = engine_of(advice=Advice(SIGNAL))
    assert engine.history == 64
    engine.prepare()
    assert isinstance(engine._adviser, Advises)
    assert engine._adviser.prepared == 1
    assert engine_of(advice=None).history == 1


def test_low_confidence_is_a_denial_with_the_learners_words():
    denied = only(ev.Denied, scanned(wish(), advice=Advice(SIGNAL, denial="attention gives it 0.400, 0.6 wanted")))
    assert (denied.code, denied.context) == (Code.LOW_CONFIDENCE, "attention gives it 0.400, 0.6 wanted")
    assert (denied.symbol, denied.side) == ("AAPL", Side.BUY)


def test_a_learner_that_could_not_be_asked_is_another_code():
    denied = only(ev.Denied, scanned(wish(), advice=Advice(SIGNAL, denial="attention has failed", failed=True)))
    assert denied.code == Code.LEARNER_FAILED


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3), ZeroDivisionError()])
def test_an_adviser_that_raises_denies_this_entry_and_no_more(error):
    engine = engine_of(wish(), advice=error)
    engine.step(reported())
    decisions = engine.step(bars_closed())
    assert kinds(decisions) == ["Denied", "Marked"]
    denied = only(ev.Denied, decisions)
    assert denied.code == Code.LEARNER_FAILED
    assert denied.context.startswith(type(error).__name__)
    assert isinstance(engine._adviser, Advises)
    engine._adviser.advice = Advice(SIGNAL)
    later = bars_closed(after(minutes=5))
    engine._strategy = Told(wish(signal_at=AT))
    engine.step(reported(after(minutes=5)))
    assert kinds(engine.step(later)) == ["IntentPlanned", "Marked"]


@pytest.mark.parametrize("advice", [Advice(SIGNAL, denial="too unsure"), KeyError("x")])
def test_the_reason_of_a_denial_is_the_limit_before_the_learner(advice):
    state = make_state(day=DAY, halts={ev.PERSON: "lunch"})
    engine = engine_of(wish(), advice=advice, state=state)
    engine.step(reported())
    assert only(ev.Denied, engine.step(bars_closed())).code == Code.HALTED


def test_an_exit_is_not_asked_about():
    engine = engine_of(replace(wish(side=Side.SELL), exit=True), advice=KeyError("x"))
    _held(engine)
    engine.step(reported())
    later = bars_closed(after(minutes=5))
    engine._strategy = Told(replace(wish(side=Side.SELL, signal_at=AT), exit=True))
    assert "ExitRequested" in kinds(engine.step(later))


def _held(engine: Engine, signal: Signal | None = SIGNAL) -> OrderIntent:
    """Ten AAPL bought at 100, their bracket resting."""
    intent = entry(signal=signal)
    parent = bracket_of(intent, limit="new", stop="held")
    engine.record(ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, "10")))
    return intent


# -- a share of the size --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "left", "qty"), [("1", "1", "100"), ("1", "0.5", "50"), ("0.5", "0.5", "25"), ("0.37", "1", "37")]
)
def test_a_share_scales_the_size(asked, left, qty):
    decisions = scanned(replace(wish(), share=D(asked)), advice=Advice(SIGNAL, D(left)))
    assert planned(decisions).qty == D(qty)


@pytest.mark.parametrize("left", ["1", "0.9", "0.31", "0.02"])
def test_a_share_never_widens_a_limit(left):
    """It is a part of what is wanted; what limits leave is the whole of it."""
    state = make_state(day=DAY)
    state.plan = replace(state.plan, max_order_value=D(3_000))
    engine = engine_of(wish(), advice=Advice(SIGNAL, D(left)), state=state)
    engine.step(reported())
    decisions = engine.step(bars_closed())
    wanted = D(10_000) * D(left)
    if wanted > 3_000:
        assert only(ev.Denied, decisions).code == Code.MAX_ORDER_VALUE
    else:
        assert planned(decisions).qty * 100 <= wanted


def test_a_share_too_small_for_one_whole_share_is_denied():
    denied = only(ev.Denied, scanned(wish(), advice=Advice(SIGNAL, D("0.0001"))))
    assert denied.code == Code.NO_BUYING_POWER
    assert "0.0001 of 10,000.00 a position" in denied.context


# -- outcomes -------------------------------------------------------------------------------------


def _exit(engine: Engine, intent: OrderIntent, qty: str, price: str, number: int = 1) -> Decisions:
    """A fill of its stop leg, by a reading."""
    parent = bracket_of(intent, limit="canceled", stop="filled")
    stop = replace(parent.legs[1], filled_qty=D(qty))
    whole = replace(parent, legs=(parent.legs[0], stop), updated_at=after(minutes=number))
    fill = fill_of(stop, qty, price, number, at=after(minutes=number))
    return engine.record(ev.OrderUpdated(after(minutes=number), whole), ev.FillReported(after(minutes=number), fill))


def outcomes(decisions: Decisions) -> list[ev.OutcomeKnown]:
    return [fact for fact in decisions.facts if isinstance(fact, ev.OutcomeKnown)]


def test_a_closed_round_trip_is_told_with_its_signal_in_the_step_of_its_last_fill():
    engine = engine_of(advice=None)
    intent = _held(engine)
    decisions = _exit(engine, intent, "10", "98")
    assert kinds(decisions)[-2:] == ["FillReported", "OutcomeKnown"]
    [known] = outcomes(decisions)
    assert known.at == after(minutes=1)
    told = known.outcome
    assert (told.position_id, told.symbol, told.side, told.signal) == (intent.client_order_id, "AAPL", "long", SIGNAL)
    assert (told.pnl, told.return_pct, told.won) == (D(-20), -2.0, False)
    assert (told.entry_at, told.exit_at) == (AT, after(minutes=1))
    assert len(decisions.changes.closed) == 1


def test_a_round_trip_that_leaves_in_pieces_is_one_outcome_with_the_last():
    engine = engine_of(advice=None)
    intent = _held(engine)
    assert outcomes(_exit(engine, intent, "4", "98", 1)) == []
    [known] = outcomes(_exit(engine, intent, "6", "99", 2))
    assert (known.outcome.pnl, known.outcome.return_pct) == (D(-14), -1.4)


def test_no_signal_no_outcome():
    engine = engine_of(advice=None)
    intent = _held(engine, None)
    decisions = _exit(engine, intent, "10", "98")
    assert len(decisions.changes.closed) == 1
    assert outcomes(decisions) == []


def test_an_exit_for_more_than_was_held_is_one_outcome_and_what_it_turned_into_is_nobodys():
    engine = engine_of(advice=None)
    intent = _held(engine)
    [known] = outcomes(_exit(engine, intent, "13", "99"))
    assert known.outcome.pnl == D(-10)
    turned = engine.state.positions["AAPL"]
    assert (turned.qty, turned.signal) == (D(-3), None)
    back = fill_of(bracket_of(intent).legs[0], "3", "97", 7, side=Side.BUY, at=after(minutes=3))
    decisions = engine.record(ev.FillReported(after(minutes=3), back))
    assert len(decisions.changes.closed) == 1
    assert outcomes(decisions) == []


def test_an_entry_that_meets_the_other_side_closes_that_and_decides_nothing_about_what_is_left():
    """Nobody decided a position of that size without a stop: it is taken out, and teaches nothing."""
    engine = engine_of(advice=None)
    intent = entry(signal=SIGNAL)
    parent = report_of(intent, "filled", "10")
    short = entry(side=Side.SELL, qty="4")
    sold = report_of(short, "filled", "4")
    engine.record(
        ev.IntentPlanned(AT, short), ev.OrderUpdated(AT, sold), ev.FillReported(AT, fill_of(sold, "4")),
        ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, "10")),
    )  # fmt: skip
    left = engine.state.positions["AAPL"]
    assert (left.qty, left.stop_price, left.signal) == (D(6), None, None)


@pytest.mark.parametrize(("price", "pnl", "share"), [(D(99), D(-10), -1.0), (None, None, None)])
def test_what_a_reconciliation_closes_is_an_outcome_too_and_says_when_nobody_knows_the_price(price, pnl, share):
    engine = engine_of(advice=None)
    _held(engine)
    [known] = outcomes(engine.record(ev.Adjusted(after(minutes=1), "AAPL", D(0), price, "sold by hand")))
    assert (known.outcome.pnl, known.outcome.return_pct, known.outcome.won) == (pnl, share, False)


def test_a_part_that_a_reconciliation_takes_is_none_yet():
    engine = engine_of(advice=None)
    _held(engine)
    assert outcomes(engine.record(ev.Adjusted(after(minutes=1), "AAPL", D(4), D(99), "sold by hand"))) == []
    assert engine.state.positions["AAPL"].signal == SIGNAL


def test_a_split_keeps_the_signal_and_the_outcome_is_of_what_was_paid():
    engine = engine_of(advice=None)
    intent = _held(engine)
    engine.record(ev.SplitApplied(AT, "AAPL", 2, 1, D(20), "2 for 1", ("act-1",)))
    assert engine.state.positions["AAPL"].signal == SIGNAL
    [known] = outcomes(_exit(engine, intent, "20", "49"))
    assert (known.outcome.pnl, known.outcome.return_pct) == (D(-20), -2.0)


def test_the_outcome_comes_with_the_reading_that_brought_the_fill():
    """Through a whole reading of the broker, as in a session."""
    engine = engine_of(advice=None)
    intent = _held(engine)
    parent = bracket_of(intent, limit="canceled", stop="filled")
    stop = replace(parent.legs[1], filled_qty=D(10))
    whole = replace(parent, legs=(parent.legs[0], stop), updated_at=after(minutes=1))
    fill = fill_of(stop, "10", "98", at=after(minutes=1))
    decisions = engine.step(reported(after(minutes=1), orders=[whole], fills=[fill], reconcile=True))
    assert len(outcomes(decisions)) == 1
    again = engine.step(reported(after(minutes=2), orders=[whole], fills=[fill], reconcile=True))
    assert outcomes(again) == [], "the same reading again is no second one"


def test_a_replay_of_the_facts_tells_no_outcome_by_itself():
    """It is in the journal; `apply` only says that one is due."""
    engine = engine_of(advice=None)
    intent = _held(engine)
    facts = _exit(engine, intent, "10", "98").facts
    state = make_state(day=DAY)
    for fact in (ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, bracket_of(intent, limit="new"))):
        apply(state, fact)
    apply(state, ev.FillReported(AT, fill_of(bracket_of(intent, limit="new"), "10")))
    journaled = [msgspec.json.decode(msgspec.json.encode(fact), type=ev.Fact) for fact in facts]
    due = [outcome for fact in journaled for outcome in apply(state, fact).outcomes]
    assert due == [fact.outcome for fact in journaled if isinstance(fact, ev.OutcomeKnown)]
    assert due[0].signal == SIGNAL
    assert snapshot.dump(state) == snapshot.dump(engine.state)


def test_what_another_opened_and_we_took_over_has_no_signal():
    desk = Desk(state=make_state(day=DAY))
    desk.record(ev.Adopted(AT, "AAPL", D(10), D(100), "asked"))
    assert desk.state.positions["AAPL"].signal is None


def test_the_words_of_what_is_held_are_shown_to_the_strategy():
    engine = engine_of(wish("MSFT"), advice=None)
    _held(engine)
    later = after(minutes=5)
    engine.step(reported(later, positions=[held("AAPL", "10")], orders=[bracket_of(entry(), limit="new")]))
    engine.step(bars_closed(later, symbols=("AAPL", "MSFT")))
    assert isinstance(engine._strategy, Told)
    [view] = engine._strategy.views
    assert dict(view.contexts) == {"AAPL": {"regime": "trend"}}


# -- stored ---------------------------------------------------------------------------------------


def _with_signal(signal: Signal) -> SessionState:
    engine = engine_of(advice=None)
    _held(engine, signal)
    return engine.state


def test_a_state_with_signals_survives_its_snapshot_and_gives_the_same_bytes():
    state = _with_signal(SIGNAL)
    payload = snapshot.dump(state)
    again = snapshot.load(payload, snapshot.STATE_VERSION)
    assert again == state
    assert again.positions["AAPL"].signal == SIGNAL
    assert snapshot.dump(again) == payload


def test_its_bytes_do_not_depend_on_the_order_of_its_words():
    one = Signal({"a": 1.0, "b": 2.0}, {"x": 0.5, "y": 0.25}, b"", {"k": "1", "l": "2"})
    two = Signal({"b": 2.0, "a": 1.0}, {"y": 0.25, "x": 0.5}, b"", {"l": "2", "k": "1"})
    assert snapshot.dump(_with_signal(one)) == snapshot.dump(_with_signal(two))


@pytest.mark.parametrize("age", [timedelta(minutes=1), FIVE])
def test_features_come_back_as_the_very_numbers(age):
    values = {f"f{i}": value for i, value in enumerate([0.1, 1 / 3, -0.0, 5e-324, 1.7976931348623157e308])}
    state = _with_signal(Signal(values))
    state.last_at += age
    again = snapshot.load(snapshot.dump(state), snapshot.STATE_VERSION)
    found = again.positions["AAPL"].signal
    assert found is not None
    assert {name: value.hex() for name, value in found.features.items()} == {n: v.hex() for n, v in values.items()}
