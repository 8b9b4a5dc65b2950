"""What is remembered of risk: from facts alone, to the digit, and never wider after a restart."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import risk_record, snapshot
from gambler_ai.core.evolution import apply, evolve
from gambler_ai.core.model import Account, ClosedTrade
from gambler_ai.core.risk_record import RECENT, Result, RiskRecord, pause_end
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.state import SessionState
from tests.unit.fakes import AT, DAY, D, after, bracket_of, entry, fill_of, make_plan, make_state

STORED = Path(__file__).parents[2] / "stored"
TWICE = RiskRules(max_loss_streak=2, loss_pause_min=D(30))


def money(equity: str) -> ev.AccountReported:
    return ev.AccountReported(AT, Account(cash=D(equity), equity=D(equity)))


def trade(pnl: str | None, minute: int = 0) -> ClosedTrade:
    return ClosedTrade(
        "p", "AAPL", "long", D(10), D(100), AT, D(100), after(minutes=minute), None if pnl is None else D(pnl), "stop",
        "momentum",
    )  # fmt: skip


def after_trades(*pnls: str | None, record: RiskRecord | None = None) -> RiskRecord:
    record = record or RiskRecord()
    for number, pnl in enumerate(pnls):
        record = risk_record.closed(record, trade(pnl, number), after(minutes=number))
    return record


def paused(*pnls: str | None, rules: RiskRules = TWICE) -> datetime | None:
    return pause_end(after_trades(*pnls), rules)


def test_the_peak_is_the_highest_that_the_broker_stated_and_drawdown_is_measured_from_it():
    state = make_state()
    evolve(state, [money("100000"), money("104000"), money("98800"), money("101920")])
    record = state.risk
    assert (record.peak, record.peak_at, record.equity) == (D(104_000), AT, D(101_920))
    assert (record.drawdown_pct, record.worst_pct) == (D(2), D(5))


def with_position() -> tuple[SessionState, Decimal]:
    """Ten shares at 100 are held, and the broker has stated 100,000 since."""
    state = make_state()
    parent = bracket_of(entry())
    evolve(state, [
        ev.IntentPlanned(AT, entry()), ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, "10")),
        ev.Marked(AT, {"AAPL": D(100)}, {}), money("100000"),
    ])  # fmt: skip
    return state, state.positions["AAPL"].avg_entry_price


def test_marks_move_equity_between_two_statements_and_never_the_peak():
    state, _ = with_position()
    evolve(state, [ev.Marked(AT, {"AAPL": D(90), "MSFT": D(1)}, {})])
    assert (state.risk.equity, state.risk.stated, state.risk.drawdown_pct) == (D(99_900), D(100_000), D("0.1"))
    evolve(state, [ev.Marked(AT, {"AAPL": D(5_000)}, {})])  # a fault of the feed, perhaps
    assert (state.risk.equity, state.risk.peak, state.risk.drawdown_pct) == (D(149_000), D(100_000), D(0))
    evolve(state, [money("100010")])
    assert (state.risk.equity, state.risk.peak) == (D(100_010), D(100_010))


def test_nothing_is_measured_before_the_broker_has_said_anything():
    state = make_state()
    evolve(state, [ev.Marked(AT, {"AAPL": D(90)}, {}), ev.DayOpened(AT, DAY)])
    assert state.risk == RiskRecord(day=DAY)
    assert state.risk.drawdown_pct == 0
    assert state.risk.day_pnl is None


def test_a_days_profit_is_against_what_was_known_before_it():
    state = make_state()
    evolve(state, [money("100000"), ev.DayOpened(AT, DAY), money("99000")])
    assert (state.risk.day_equity, state.risk.day_pnl) == (D(100_000), D(-1000))
    evolve(state, [ev.DayOpened(AT, DAY), money("98000")])  # told again on the same day
    assert state.risk.day_pnl == D(-2000)
    evolve(state, [ev.DayOpened(AT, "2008-10-08"), money("98500")])
    assert state.risk.day_pnl == D(500)


def test_the_first_day_begins_with_the_first_statement():
    state = make_state()
    evolve(state, [ev.DayOpened(AT, DAY), money("100000"), money("100700")])
    assert state.risk.day_pnl == D(700)


def test_streaks_totals_and_the_last_ten():
    record = after_trades("1", "2", "-3", "-4", "-5", "0", None, "6", *["7"] * 9, "-8")
    assert (record.wins, record.losses, record.flats, record.trades) == (12, 4, 1, 17)
    assert (record.won, record.lost) == (D(72), D(20))
    assert (record.streak, record.longest_wins, record.longest_losses) == (-1, 10, 3)
    assert len(record.recent) == RECENT
    assert [r.pnl for r in record.recent] == [*[D(7)] * 9, D(-8)]
    assert record.recent[-1].symbol == "AAPL"


def test_a_flat_trade_ends_no_streak_and_one_without_a_price_says_nothing():
    assert after_trades("-1", "0", None, "-1").streak == -2
    assert after_trades(None) == RiskRecord()


def test_losses_in_a_row_pause_from_the_last_one_on():
    assert paused("-1", "5", "-1") is None
    assert paused("-1", "5", "-1", "-1") == after(minutes=33)
    assert paused("-1", "-1", "-1") == after(minutes=32)  # each one anew
    assert paused("-1", "-1", "0", None) == after(minutes=31)
    assert paused("-1", "-1", rules=RiskRules()) is None


def test_a_win_ends_the_pause_and_no_loss_before_it_counts_again():
    assert paused("-1", "-1", "5") is None
    assert paused("-1", "-1", "5", "-1") is None
    before = replace(after_trades("-1", "-1"), paused_until=after(hours=9))
    assert pause_end(after_trades("5", record=before), TWICE) is None


def test_a_loss_that_is_told_late_makes_no_pause_shorter():
    record = risk_record.closed(RiskRecord(), trade("-1"), after(minutes=20))
    assert pause_end(risk_record.closed(record, trade("-1"), AT), TWICE) == after(minutes=50)


def test_a_pause_is_as_long_as_the_longer_of_its_own_rules_and_the_present_ones():
    record = after_trades("-1", "-1")  # until minute 31
    began = risk_record.kept(record, pause_end(record, TWICE))
    assert pause_end(began, RiskRules()) == after(minutes=31)
    assert pause_end(began, RiskRules(max_loss_streak=2, loss_pause_min=D(5))) == after(minutes=31)
    assert pause_end(began, RiskRules(max_loss_streak=2, loss_pause_min=D(60))) == after(minutes=61)
    assert pause_end(began, RiskRules(max_loss_streak=1)) == after(minutes=61)
    assert risk_record.kept(began, after(minutes=2)) == began
    assert risk_record.kept(record, None) == record


def lost_at(minutes: int) -> list[ev.Fact]:
    """The stop of the position fills."""
    parent, at = bracket_of(entry(), stop="filled"), after(minutes=minutes)
    return [ev.OrderUpdated(at, parent), ev.FillReported(at, fill_of(parent.legs[1], "10", price="90", at=at))]


def test_a_round_trip_of_the_session_is_counted():
    state, _ = with_position()
    evolve(state, lost_at(5))
    assert (state.risk.losses, state.risk.lost, state.risk.streak) == (1, D(100), -1)
    assert state.risk.lost_at == state.risk.recent[0].at == after(minutes=5)


@pytest.mark.parametrize(("then", "now"), [("90", "5"), ("5", "90")])
def test_a_replay_with_the_rules_of_today_gives_the_record_that_lived(then: str, now: str):
    """The session's row has the plan of its end; its first journal row was written under another."""
    changed = ev.PlanChanged(after(minutes=20), {"risk.loss_pause_min": (f'"{then}"', f'"{now}"')})
    kept = [ev.PauseKept(after(minutes=20), after(minutes=95))] if then == "90" else []
    facts = [*lost_at(5), changed, *kept]
    lived, again = with_position()[0], with_position()[0]
    lived.plan = make_plan(risk=RiskRules(max_loss_streak=1, loss_pause_min=D(then)))
    again.plan = make_plan(risk=RiskRules(max_loss_streak=1, loss_pause_min=D(now)))
    evolve(lived, facts)
    evolve(again, facts)
    assert again.risk == lived.risk
    assert again.plan == lived.plan
    assert pause_end(lived.risk, lived.plan.risk) == after(minutes=95)


# -- what was stored before the last loss was remembered ------------------------------------------


def test_a_pause_in_a_checkpoint_of_before_runs_to_its_end():
    """Version 5, stored a moment after a loss, with a pause of 90 minutes."""
    state = snapshot.load((STORED / "state-version-5.json").read_bytes(), 5)
    assert (state.risk.streak, state.risk.lost_at) == (-1, AT)
    assert pause_end(state.risk, state.plan.risk) == after(minutes=90)
    assert pause_end(state.risk, RiskRules()) == after(minutes=90)
    assert pause_end(state.risk, RiskRules(max_loss_streak=1, loss_pause_min=D(120))) == after(minutes=120)
    assert snapshot.load(snapshot.dump(state), snapshot.STATE_VERSION) == state


def test_a_handing_over_of_before_is_read_with_its_pause():
    stored = msgspec.to_builtins(after_trades("5", "-1", "-2", "0"))
    del stored["lost_at"]
    stored["paused_until"] = "2008-10-07T15:31:00Z"
    fact: Any = {"type": "RiskCarried", "at": AT.isoformat(), "session_id": "s-0", "record": stored}
    state = make_state()
    apply(state, msgspec.convert(fact, ev.Fact, strict=False))
    assert (state.risk.streak, state.risk.lost_at) == (-2, after(minutes=2))
    assert state.risk.paused_until == after(minutes=91)


def test_a_record_of_before_takes_no_loss_for_one_in_a_row_that_is_none():
    before = [Result("AAPL", D(pnl), after(minutes=n)) for n, pnl in enumerate(("-1", "3", "-2"))]
    record = RiskRecord(streak=-1, recent=tuple(before))
    assert risk_record.of_before(record).lost_at == after(minutes=2)
    assert risk_record.of_before(replace(record, streak=2)).lost_at is None
    told_late = (replace(before[0], at=after(minutes=9)), *before[1:])
    assert risk_record.of_before(replace(record, recent=told_late)).lost_at == after(minutes=2)
    assert risk_record.of_before(replace(record, streak=-4, recent=())).lost_at is None
    late = replace(record, streak=-2, recent=(replace(before[0], at=after(minutes=9)), before[2]))
    assert risk_record.of_before(late).lost_at == after(minutes=9)


def test_a_reset_begins_the_peak_anew_and_keeps_the_totals():
    state = make_state()
    evolve(state, [money("100000"), money("90000")])
    state.risk = replace(after_trades("-1", "-1", record=state.risk), paused_until=after(hours=9))
    evolve(state, [ev.RiskReset(after(hours=1), "looked")])
    record = state.risk
    assert (record.peak, record.peak_at, record.drawdown_pct, record.worst_pct) == (
        D(90_000),
        after(hours=1),
        D(0),
        D(0),
    )
    assert (record.streak, pause_end(record, TWICE), record.reset_at) == (0, None, after(hours=1))
    assert (record.losses, record.longest_losses, len(record.recent)) == (2, 2, 2)


def test_a_reset_before_anything_is_known_invents_no_peak():
    state = make_state()
    apply(state, ev.RiskReset(AT, "looked"))
    assert (state.risk.peak, state.risk.peak_at) == (None, None)


def test_the_next_session_begins_where_the_last_one_ended():
    old, new = make_state(), make_state(session_id="s-2")
    evolve(old, [money("110000"), ev.DayOpened(AT, DAY), money("99000")])
    old.risk = after_trades("-1", "-1", record=old.risk)
    evolve(new, [ev.RiskCarried(AT, "s-1", old.risk), money("99000"), ev.DayOpened(AT, DAY)])
    record = new.risk
    assert (record.peak, record.drawdown_pct, record.worst_pct) == (D(110_000), D(10), D(10))
    assert (record.streak, record.day_pnl) == (-2, D(-11_000))
    assert pause_end(record, TWICE) == after(minutes=31)
    assert record.carried_from == "s-1"


def test_marks_of_another_session_do_not_move_what_was_carried():
    """What the old session's books explain is not in the new one's."""
    old, _ = with_position()
    evolve(old, [ev.Marked(AT, {"AAPL": D(90)}, {})])
    new = make_state()
    evolve(new, [ev.RiskCarried(AT, "s-1", old.risk), ev.Marked(AT, {"AAPL": D(80)}, {})])
    assert new.risk.equity == old.risk.equity == D(99_900)


@pytest.mark.parametrize("seed", range(5))
def test_an_older_state_has_no_memory_and_a_newer_one_is_the_same_after_any_replay(seed):
    random = Random(seed)
    facts: list[ev.Fact] = []
    for minute in range(40):
        at = after(minutes=minute)
        kinds: list[ev.Fact] = [
            ev.AccountReported(at, Account(cash=D(1), equity=Decimal(random.randrange(90_000, 110_000)))),
            ev.Marked(at, {"AAPL": Decimal(random.randrange(90, 110))}, {}),
            ev.DayOpened(at, f"2008-10-{random.randrange(7, 12):02d}"), ev.RiskReset(at, "x"),
        ]  # fmt: skip
        facts.append(random.choice(kinds))
    state, _ = with_position()
    evolve(state, facts)
    for cut in range(0, 40, 7):
        again, _ = with_position()
        evolve(again, facts[:cut])
        evolve(again, facts[cut:])
        assert again.risk == state.risk


def test_what_the_session_traded_before_is_not_counted_twice_after_a_statement():
    """The broker's word has our open profit in it already."""
    state, entry_price = with_position()
    evolve(state, [ev.Marked(AT, {"AAPL": D(110)}, {}), money("100100")])
    assert (entry_price, state.risk.equity, state.risk.stated_pnl) == (D(100), D(100_100), D(100))
    evolve(state, [ev.Marked(AT, {"AAPL": D(111)}, {})])
    assert state.risk.equity == D(100_110)
    assert replace(state.risk, equity=None).drawdown_pct == 0
