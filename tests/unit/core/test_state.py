"""What each fact does to a state, and that replaying them gives the same state to the last bit."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.evolution import apply, evolve
from gambler_ai.core.learning import Confidence, LearningRules, Signal
from gambler_ai.core.model import Account, Side
from gambler_ai.core.orders import Purpose, Role, Status
from gambler_ai.core.risk_record import RiskRecord
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.state import FILL_OVERLAP, ORDER_OVERLAP, SETTLED_KEPT, Changes, SessionState
from gambler_ai.errors import CheckpointCorrupt, IllegalTransition
from tests.unit.fakes import AT, D, after, bracket_of, entry, fill_of, make_plan, make_state, protect, report_of

STORED = Path(__file__).resolve().parents[2] / "stored"
ENTRY = entry()
COID = ENTRY.client_order_id


def evolved(*facts: ev.Fact, **given_state: object) -> tuple[SessionState, Changes]:
    state = make_state(**given_state)
    return state, evolve(state, facts)


def planned(**changes: object) -> ev.IntentPlanned:
    return ev.IntentPlanned(AT, replace(ENTRY, **changes))


def bought(limit: str = "new", stop: str = "held") -> list[ev.Fact]:
    parent = bracket_of(ENTRY, limit=limit, stop=stop)
    return [planned(), ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, "10"))]


def test_a_run_begins_and_ends():
    state, _ = evolved(ev.StopRequested(AT, "SIGTERM"), ev.RunStarted(after(seconds=5), 600.0, resumed=True, token=3))
    assert (state.status, state.stopping, state.run_started_at, state.run_budget_s) == (
        "running", "", after(seconds=5), 600.0,
    )  # fmt: skip
    apply(state, ev.RunEnded(after(seconds=9), "stopped", "signal"))
    assert (state.status, state.end_reason, state.last_at) == ("stopped", "signal", after(seconds=9))


@pytest.mark.parametrize(("passed_s", "left_s"), [(0, 600.0), (250, 350.0), (600, 0.0), (9000, 0.0)])
def test_what_is_left_of_a_run_is_its_budget_less_the_time_that_passed(passed_s, left_s):
    state, _ = evolved(
        ev.RunStarted(after(hours=1), 600.0, resumed=True, token=1), ev.Marked(after(hours=1, seconds=passed_s), {}, {})
    )
    assert state.remaining_s == left_s


def test_before_any_run_the_whole_duration_is_left():
    assert make_state().remaining_s == 3600.0


def test_time_never_goes_back():
    state, _ = evolved(ev.Marked(after(minutes=5), {}, {}), ev.Marked(after(minutes=1), {}, {}))
    assert state.last_at == after(minutes=5)


def test_a_changed_plan_has_numbers_of_the_right_kind():
    changes = {"keep_checkpoints": ("100", "7"), "duration_s": ("3600.0", "60.0"), "speed": ("0.0", "12")}
    state, _ = evolved(ev.PlanChanged(AT, changes))
    assert (state.plan.keep_checkpoints, state.plan.duration_s, state.plan.speed) == (7, 60.0, 12.0)
    assert isinstance(state.plan.keep_checkpoints, int)


def test_what_learners_may_do_is_changed_rule_by_rule_and_nothing_else():
    before = make_plan(learning=LearningRules(("attention",)), risk=RiskRules(max_loss_streak=3))
    state = make_state(plan=before)
    changes = {
        "learning.learners": ('["attention"]', '["attention","signal"]'), "learning.use": ("[]", '["signal"]'),
        "learning.min_confidence": ("null", '"0.60"'), "learning.confidence": ('"gate"', '"scale"'),
    }  # fmt: skip
    apply(state, ev.PlanChanged(AT, changes))
    rules = LearningRules(("attention", "signal"), ("signal",), D("0.60"), Confidence.SCALE)
    assert state.plan == replace(before, learning=rules)
    assert (str(state.plan.learning.min_confidence), type(state.plan.learning.confidence)) == ("0.60", Confidence)
    apply(state, ev.PlanChanged(AT, {"risk.max_loss_streak": ("3", "4"), "speed": ("0.0", "2")}))
    assert state.plan == replace(before, learning=rules, risk=RiskRules(max_loss_streak=4), speed=2.0)
    apply(state, ev.PlanChanged(AT, {"learning.min_confidence": ('"0.60"', "null")}))
    assert state.plan.learning == replace(rules, min_confidence=None)


def test_small_facts_set_what_they_say():
    state, changes = evolved(
        ev.ParametersSet(AT, {"lookback": 5}),
        ev.AccountReported(AT, Account(cash=D(1), equity=D(2))),
        ev.ForeignSeen(AT, {"IBM": D(7)}),
        ev.Degraded(AT, "broker", "down"),
        ev.Degraded(AT, "market data", "down"),
        ev.Restored(AT, "broker"),
        ev.Restored(AT, "never degraded"),
        ev.HaltRequested(AT, "SIGINT"),
        ev.Marked(AT, {"AAPL": D(101)}, {"AAPL": AT}),
        initial_equity=None,
    )
    assert state.parameters == {"lookback": 5}
    assert (state.account.cash, state.initial_equity) == (D(1), D(2))
    assert (state.foreign, state.degraded, state.stopping) == ({"IBM": D(7)}, {"market data": "down"}, "SIGINT")
    assert (state.marks, state.bars) == ({"AAPL": D(101)}, {"AAPL": AT})
    assert changes == Changes()
    apply(state, ev.AccountReported(AT, Account(equity=D(99))))
    assert state.initial_equity == D(2)


def test_denials_and_findings_change_nothing_but_the_time():
    before = snapshot.dump(make_state())
    item = ev.Discrepancy("gone at the broker", "AAPL", "10", "0", "?", "closed")
    state, _ = evolved(ev.Denied(AT, "AAPL", Side.BUY, "halted", ""), ev.Reconciled(AT, (item,)))
    assert snapshot.dump(state) == before


def test_a_planned_intent_is_kept_with_the_instant_of_its_sending():
    state, changes = evolved(planned())
    record = state.intents[COID]
    assert (record.status, record.sent_at, record.misses) == (Status.PLANNED, AT, 0)
    assert changes.intents == {COID: record}
    assert changes.symbols == set()


def test_an_order_for_a_position_is_counted_on_it():
    state, _ = evolved(*bought())
    changes = apply(state, ev.IntentPlanned(after(seconds=40), protect(COID)))
    assert (state.positions["AAPL"].decisions, state.positions["AAPL"].decided_at) == (1, after(seconds=40))
    assert changes.symbols == {"AAPL"}


def test_misses_are_counted_from_the_first_until_the_next_sending():
    state, _ = evolved(
        planned(), ev.IntentUnknown(AT, COID, "timeout"), ev.LookupMissed(after(seconds=5), COID),
        ev.LookupMissed(after(seconds=9), COID),
    )  # fmt: skip
    record = state.intents[COID]
    assert (record.status, record.note, record.misses, record.first_miss_at) == (
        Status.UNKNOWN, "timeout", 2, after(seconds=5),
    )  # fmt: skip
    apply(state, ev.ResendPlanned(after(seconds=11), COID))
    record = state.intents[COID]
    assert (record.status, record.misses, record.first_miss_at, record.sent_at) == (
        Status.UNKNOWN, 0, None, after(seconds=11),
    )  # fmt: skip


def forgotten(state: SessionState, since: datetime = AT) -> bool:
    """Whether what settled at ``since`` is kept up to its last instant, and gone at it."""
    apply(state, ev.Marked(since + SETTLED_KEPT - timedelta(microseconds=1), {}, {}))
    kept = bool(state.intents)
    apply(state, ev.Marked(since + SETTLED_KEPT, {}, {}))
    return kept and (state.intents, state.orders, state.fill_ids) == ({}, {}, {})


def test_a_refused_intent_is_written_kept_for_a_while_and_forgotten():
    state, changes = evolved(planned(), ev.IntentRefused(AT, COID, "insufficient buying power"))
    assert state.intents[COID].settled_at == AT
    assert state.open_intents("AAPL") == []
    assert changes.intents[COID].status is Status.REJECTED
    assert changes.intents[COID].note == "insufficient buying power"
    assert forgotten(state)


def voided() -> SessionState:
    state, _ = evolved(
        planned(), ev.IntentUnknown(AT, COID, "?"), ev.IntentVoided(AT, COID, "missed", after(days=4))
    )  # fmt: skip
    return state


def test_a_void_intent_is_watched_and_blocks_until_its_time_is_over():
    state = voided()
    assert [r.status for r in state.open_intents("AAPL")] == [Status.VOID]
    apply(state, ev.Marked(after(days=4), {}, {}))
    assert COID in state.intents
    assert state.intents[COID].settled_at is None
    over = after(days=4, seconds=1)
    apply(state, ev.Marked(over, {}, {}))
    assert (state.intents[COID].watch_until, state.intents[COID].settled_at) == (None, over)
    assert forgotten(state, over)


def test_a_void_order_that_arrives_is_taken_up():
    state = voided()
    parent = bracket_of(ENTRY, limit="new")
    evolve(state, [ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, "10"))])
    assert state.intents[COID].status is Status.FILLED
    assert state.intents[COID].watch_until is None
    assert state.positions["AAPL"].stop_price == D(98)
    apply(state, ev.Marked(after(days=9), {}, {}))
    assert COID in state.intents  # its legs are live


@pytest.mark.parametrize(
    "fact",
    [ev.IntentUnknown(AT, COID, "?"), ev.IntentVoided(AT, COID, "?", AT), ev.IntentRefused(AT, COID, "?")],
    ids=lambda f: type(f).__name__,
)
def test_an_order_that_filled_cannot_become_unknown_again(fact):
    state, _ = evolved(*bought())
    with pytest.raises(IllegalTransition):
        apply(state, fact)


def test_a_disputed_intent_is_kept():
    state, _ = evolved(planned(), ev.IntentDisputed(AT, COID, "other quantity"))
    assert (state.intents[COID].status, state.intents[COID].note) == (Status.DISPUTED, "other quantity")
    assert state.open_intents("AAPL")


def test_a_disputed_intent_is_kept_though_it_was_settled_before():
    """It blocks its symbol until a person has looked, and not for a quarter of an hour."""
    state, _ = evolved(
        planned(), ev.IntentRefused(AT, COID, "no"), ev.IntentDisputed(after(minutes=1), COID, "other quantity"),
        ev.Marked(after(hours=1), {}, {}),
    )  # fmt: skip
    assert state.open_intents("AAPL")


def test_a_report_makes_orders_of_the_parent_and_its_legs():
    parent = bracket_of(ENTRY, "new")
    state, changes = evolved(planned(), ev.OrderUpdated(AT, parent))
    roles = {o.role: (o.parent_id, o.side, o.intent_id) for o in state.orders.values()}
    assert roles == {
        Role.ENTRY: (None, Side.BUY, COID),
        Role.TARGET: (parent.order_id, Side.SELL, COID),
        Role.STOP: (parent.order_id, Side.SELL, COID),
    }
    assert changes.orders == state.orders
    assert len(state.live_orders("AAPL")) == 3
    assert state.live_orders("MSFT") == []


def test_a_filled_total_never_falls_and_a_partial_fill_is_dated_once():
    state, _ = evolved(
        planned(),
        ev.OrderUpdated(after(seconds=1), report_of(ENTRY, "partially_filled", "4")),
        ev.OrderUpdated(after(seconds=30), report_of(ENTRY, "partially_filled", "3")),
    )
    [order] = state.orders.values()
    assert (order.filled_qty, order.partial_since) == (D(4), after(seconds=1))


@pytest.mark.parametrize(
    ("status", "filled", "dated"),
    [
        ("partially_filled", "4", True), ("pending_cancel", "4", True), ("new", "4", True), ("canceled", "4", False),
        ("expired", "4", False), ("filled", "10", False), ("partially_filled", "10", False), ("new", "0", False),
    ],
)  # fmt: skip
def test_an_order_is_partly_filled_by_its_quantities_until_it_is_final(status, filled, dated):
    state, _ = evolved(
        planned(), ev.OrderUpdated(after(seconds=1), report_of(ENTRY, "partially_filled", "4")),
        ev.OrderUpdated(after(seconds=30), report_of(ENTRY, status, filled)),
    )  # fmt: skip
    [order] = state.orders.values()
    assert order.partial_since == (after(seconds=1) if dated else None)


def test_a_report_of_an_earlier_moment_changes_no_order_and_no_intent():
    state, _ = evolved(
        planned(), ev.OrderUpdated(AT, report_of(ENTRY, "partially_filled", "4", updated_at=after(seconds=5)))
    )
    before = dict(state.orders)
    earlier = report_of(ENTRY, "partially_filled", "2", updated_at=after(seconds=4))
    changes = apply(state, ev.OrderUpdated(after(seconds=9), earlier))
    assert (state.orders, changes.orders, changes.intents) == (before, {}, {})
    apply(state, ev.OrderUpdated(after(seconds=9), replace(earlier, filled_qty=D(5), updated_at=after(seconds=5))))
    assert next(iter(state.orders.values())).filled_qty == D(5)  # the same moment counts


@pytest.mark.parametrize(("booked", "on_its_way"), [(None, True), ("3", True), ("4", False), ("5", True)])
def test_a_symbol_is_filling_while_total_and_bookings_differ_either_way(booked, on_its_way):
    parent = report_of(ENTRY, "canceled", "4")
    state, _ = evolved(planned(), ev.OrderUpdated(AT, parent))
    if booked:
        apply(state, ev.FillReported(AT, fill_of(parent, booked)))
    assert state.filling() == ({"AAPL"} if on_its_way else set())


def test_a_fill_after_a_cancel_is_booked_while_the_order_is_kept():
    parent = report_of(ENTRY, "canceled")
    state, _ = evolved(planned(), ev.OrderUpdated(AT, parent))
    assert state.intents[COID].settled_at == AT
    apply(state, ev.Marked(after(minutes=14), {}, {}))
    apply(state, ev.FillReported(after(minutes=14), fill_of(parent, "4")))
    assert state.positions["AAPL"].qty == D(4)
    assert forgotten(state)


def test_what_was_settled_and_moves_again_is_settled_anew():
    parent = report_of(ENTRY, "canceled")
    state, _ = evolved(planned(), ev.OrderUpdated(AT, parent))
    late = report_of(ENTRY, "filled", "10", updated_at=after(minutes=5))
    apply(state, ev.OrderUpdated(after(minutes=5), late))
    assert state.intents[COID].settled_at is None
    apply(state, ev.Marked(after(hours=5), {}, {}))
    apply(state, ev.FillReported(after(hours=5), fill_of(late, "10")))
    assert state.intents[COID].settled_at == after(hours=5)
    assert forgotten(state, after(hours=5))


def test_a_fill_is_booked_on_its_order_and_position():
    state, changes = evolved(*bought())
    position = state.positions["AAPL"]
    assert (position.qty, position.position_id, position.stop_price, position.target_price) == (
        D(10), COID, D(98), D(104),
    )  # fmt: skip
    assert (state.fills, state.last_fill_at) == (1, AT)
    assert [f.qty for f in changes.fills] == [D(10)]
    parent = bracket_of(ENTRY)
    assert state.orders[parent.order_id].booked_qty == D(10)
    assert state.fill_ids == {parent.order_id: [f"act-{parent.order_id}-1"]}


def closing(kind: int = 1) -> list[ev.Fact]:
    """The stop (or target) fills; the other leg is canceled."""
    statuses = {"limit": "filled", "stop": "canceled"} if kind == 0 else {"limit": "canceled", "stop": "filled"}
    parent = bracket_of(ENTRY, **statuses)
    out = replace(parent.legs[kind], filled_qty=D(10), filled_avg_price=D(98))
    legs = tuple(out if i == kind else other for i, other in enumerate(parent.legs))
    return [ev.OrderUpdated(AT, replace(parent, legs=legs)), ev.FillReported(AT, fill_of(out, "10", "98"))]


@pytest.mark.parametrize(("kind", "reason"), [(0, "target"), (1, "stop")])
def test_a_finished_round_trip_is_counted_and_its_group_forgotten_after_a_while(kind, reason):
    state, changes = evolved(*bought(), *closing(kind))
    assert (state.positions, state.intents[COID].settled_at, len(state.orders)) == ({}, AT, 3)
    assert (state.closed_trades, state.realized_pnl, state.unpriced_closes, state.fills) == (1, D(-20), 0, 2)
    assert [c.reason for c in changes.closed] == [reason]
    assert len(changes.orders) == 3
    assert forgotten(state)


def test_a_group_is_kept_while_a_fill_of_it_is_missing():
    state, _ = evolved(*bought(), closing()[0])
    assert COID in state.intents
    assert "AAPL" in state.positions


def test_an_exit_at_market_is_explained_by_its_reason():
    out = protect(COID, purpose=Purpose.EXIT, reason="stop crossed while bare")
    report = report_of(out, "filled", "10")
    state, changes = evolved(
        *bought("canceled", "canceled"), ev.IntentPlanned(AT, out), ev.OrderUpdated(AT, report),
        ev.FillReported(AT, fill_of(report, "10", "97")),
    )  # fmt: skip
    assert [c.reason for c in changes.closed] == ["stop crossed while bare"]
    assert {r.settled_at for r in state.intents.values()} == {AT}
    assert forgotten(state)


def test_a_cancel_is_dated():
    parent = bracket_of(ENTRY, "new")
    state, changes = evolved(planned(), ev.OrderUpdated(AT, parent), ev.CancelPlanned(AT, parent.order_id, "late"))
    assert state.orders[parent.order_id].cancel_requested_at == AT
    assert set(changes.orders) == {o.order_id for o in (parent, *parent.legs)}


def test_an_adjustment_without_a_price_counts_as_unpriced():
    state, changes = evolved(*bought(), ev.Adjusted(AT, "AAPL", D(0), None, "closed at the broker"))
    assert (state.positions, state.closed_trades, state.unpriced_closes, state.realized_pnl) == ({}, 1, 1, D(0))
    assert changes.symbols == {"AAPL"}


def test_orders_and_fills_are_read_from_the_oldest_that_may_still_move():
    state, _ = evolved(ev.RunStarted(after(hours=2), 60.0, resumed=True, token=1))
    apply(state, ev.Marked(after(hours=3), {}, {}))
    assert state.orders_since() == after(hours=3) - ORDER_OVERLAP  # not from when the run began
    assert state.fills_since() == AT - FILL_OVERLAP
    evolve(state, bought())
    assert state.orders_since() == AT - ORDER_OVERLAP
    state.last_fill_at = after(hours=1)
    assert state.fills_since() == AT - FILL_OVERLAP  # the legs are live
    evolve(state, closing())
    assert state.fills_since() == after(hours=1) - FILL_OVERLAP


def test_what_rests_as_it_did_when_the_books_agreed_has_no_older_fill():
    """A stop may rest for weeks; the fills of all of them are not read again every quarter of a minute."""
    state, _ = evolved(*bought())
    read_to = after(days=20)
    assert state.fills_since() == AT - FILL_OVERLAP
    assert state.fills_since(read_to) == read_to - FILL_OVERLAP
    state.last_fill_at = after(days=21)
    newer = replace(
        next(iter(state.orders.values())), order_id="o-new", submitted_at=after(days=22), status=Status.WORKING
    )
    state.orders = {"o-new": newer}
    assert state.fills_since(read_to) == after(days=21) - FILL_OVERLAP


def test_an_order_that_reports_more_than_is_booked_is_read_from_its_beginning_whatever_was_read():
    state, _ = evolved(*bought())
    half = bracket_of(ENTRY, limit="partially_filled")
    target = replace(half.legs[0], filled_qty=D(4), updated_at=after(days=20))
    apply(state, ev.OrderUpdated(after(days=20), replace(half, legs=(target, half.legs[1]))))
    assert state.fills_since(after(days=20)) == AT - FILL_OVERLAP


def test_changes_add_up():
    one, two = evolved(*bought())[1], evolved(planned(symbol="MSFT"))[1]
    one.merge(two)
    assert (len(one.intents), len(one.orders), len(one.fills), one.symbols) == (1, 3, 1, {"AAPL"})


# -- a story of any length: replayed, dumped and loaded, it is the same ---------------------------

STEPS: list[list[ev.Fact]] = [
    [ev.RunStarted(AT, 600.0, resumed=False, token=1)],
    [ev.PlanChanged(AT, {"speed": ("0", "60")})],
    [ev.ParametersSet(AT, {"a": [1, 2.5, "x"], "b": None})],
    [ev.AccountReported(AT, Account(cash=D("99999.999999999"), equity=D("1E+5")))],
    [ev.Marked(AT + timedelta(microseconds=1), {"AAPL": D("101.10")}, {"AAPL": AT})],
    [ev.Degraded(AT, "broker", "zu ⚠ \x00 \ud7ff")],
    [ev.ForeignSeen(AT, {"IBM": D("0.000000001")})],
    bought(),
    closing(),
    [
        ev.IntentPlanned(AT, entry("MSFT", Side.SELL, "3")),
        ev.IntentUnknown(AT, entry("MSFT", Side.SELL).client_order_id, "?"),
    ],
    [ev.RiskCarried(AT, "s-0", RiskRecord(equity=D("1E+5"), peak=D("123456.10"), peak_at=AT, streak=-3))],
    [ev.DayOpened(AT, "2008-10-07"), ev.RiskReset(AT, "looked")],
    [ev.HaltRequested(AT, "SIGTERM"), ev.RunEnded(AT, "stopped", "signal")],
]  # fmt: skip


@given(st.lists(st.sampled_from([i for i in range(len(STEPS)) if i not in (7, 8, 9)]), max_size=12), st.integers(0, 40))
def test_a_replay_from_any_checkpoint_equals_the_live_state_bit_for_bit(order, cut):
    facts = [fact for i in [*order, 7, 8, 9] for fact in STEPS[i]]
    cut = min(cut, len(facts))
    live = make_state()
    evolve(live, facts)
    half = make_state()
    evolve(half, facts[:cut])
    restored = snapshot.load(snapshot.dump(half), snapshot.STATE_VERSION)
    journaled = [msgspec.json.decode(msgspec.json.encode(f), type=ev.Fact) for f in facts[cut:]]
    evolve(restored, journaled)
    assert snapshot.dump(restored) == snapshot.dump(live)
    assert restored == live


def test_a_snapshot_is_the_same_bytes_whatever_the_order_of_its_keys():
    one, two = make_state(), make_state()
    one.marks = {"AAPL": D(1), "MSFT": D(2)}
    two.marks = {"MSFT": D(2), "AAPL": D(1)}
    assert snapshot.dump(one) == snapshot.dump(two)
    assert snapshot.digest(snapshot.dump(one)) == snapshot.digest(snapshot.dump(two))


@pytest.mark.parametrize("version", [0, snapshot.STATE_VERSION + 1, -1])
def test_a_snapshot_of_another_version_is_refused(version):
    with pytest.raises(CheckpointCorrupt, match=f"state version {version} "):
        snapshot.load(snapshot.dump(make_state()), version)


def test_a_state_of_before_there_were_signals_is_read_and_has_none():
    """A file of version 6, as the program of then wrote it: ten AAPL held, their bracket resting."""
    state = snapshot.load((STORED / "state-version-6.json").read_bytes(), 6)
    assert (state.plan.learning, state.contexts) == (LearningRules(), {})
    assert state.positions["AAPL"].signal is None
    assert state.intents[COID].intent.signal is None
    again = snapshot.load(snapshot.dump(state), snapshot.STATE_VERSION)
    assert again == state
    apply(again, ev.FillReported(AT, fill_of(bracket_of(ENTRY).legs[1], "10", "98", 2)))
    assert "AAPL" not in again.positions


def test_a_version_that_knows_no_signals_does_not_read_one_that_has_them():
    """It would drop them without a word, and the trades they began would teach nothing."""
    state, _ = evolved(planned(signal=Signal({"along_1": 0.5})))
    assert b'"along_1":0.5' in snapshot.dump(state)
    assert snapshot.STATE_VERSION > 6


GOOD = snapshot.dump(make_state())


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b"{}", GOOD[:-1], GOOD[1:], b"\xff" + GOOD, b"[" * 100_000, b"\x80\x04N.",
     GOOD.replace(b'"AAPL"', b'"\xff\xfe"'), GOOD.replace(b'"seq":0', b'"seq":"zero"')],
    ids=range(11),
)  # fmt: skip
def test_bytes_that_are_no_state_are_refused(payload):
    with pytest.raises(CheckpointCorrupt):
        snapshot.load(payload, snapshot.STATE_VERSION)


def test_an_adopted_position_is_filed_under_the_strategys_name_not_its_place():
    """A place may be a long path; the name is what the strategy's own positions have."""
    plan = make_plan(strategy="/a/long/way/to/mine.py:Mine", strategy_name="mine")
    for known, name in ((plan, "mine"), (make_plan(), "momentum")):
        state = make_state(plan=known)
        apply(state, ev.Adopted(AT, "AAPL", D(10), D(100), "asked"))
        assert state.positions["AAPL"].strategy == name
