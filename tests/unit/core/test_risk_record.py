"""What is remembered of risk: from facts alone, to the digit, and never wider after a restart."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import risk_record
from gambler_ai.core.evolution import apply, evolve
from gambler_ai.core.model import Account, ClosedTrade
from gambler_ai.core.risk_record import RECENT, RiskRecord
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.state import SessionState
from tests.unit.fakes import AT, DAY, D, after, bracket_of, entry, fill_of, make_plan, make_state

RULES = RiskRules()


def money(equity: str) -> ev.AccountReported:
    return ev.AccountReported(AT, Account(cash=D(equity), equity=D(equity)))


def trade(pnl: str | None, minute: int = 0) -> ClosedTrade:
    return ClosedTrade(
        "p", "AAPL", "long", D(10), D(100), AT, D(100), after(minutes=minute), None if pnl is None else D(pnl), "stop",
        "momentum",
    )  # fmt: skip


def after_trades(*pnls: str | None, rules: RiskRules = RULES, record: RiskRecord | None = None) -> RiskRecord:
    record = record or RiskRecord()
    for number, pnl in enumerate(pnls):
        record = risk_record.closed(record, trade(pnl, number), rules, after(minutes=number))
    return record


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
    rules = RiskRules(max_loss_streak=2, loss_pause_min=D(30))
    assert after_trades("-1", "5", "-1", rules=rules).paused_until is None
    assert after_trades("-1", "5", "-1", "-1", rules=rules).paused_until == after(minutes=33)
    assert after_trades("-1", "-1", "-1", rules=rules).paused_until == after(minutes=32)  # each one anew


def test_a_loss_that_is_told_late_makes_no_pause_shorter():
    rules = RiskRules(max_loss_streak=1, loss_pause_min=D(30))
    record = risk_record.closed(RiskRecord(), trade("-1"), rules, after(minutes=20))
    assert risk_record.closed(record, trade("-1"), rules, AT).paused_until == after(minutes=50)


def test_a_round_trip_of_the_session_is_counted_with_its_own_rules():
    state, _ = with_position()
    state.plan = make_plan(risk=RiskRules(max_loss_streak=1))
    parent = bracket_of(entry(), stop="filled")
    evolve(state, [ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent.legs[1], "10", price="90"))])
    assert (state.risk.losses, state.risk.lost, state.risk.streak) == (1, D(100), -1)
    assert state.risk.paused_until == state.risk.recent[0].at + timedelta(hours=1)


def test_a_reset_begins_the_peak_anew_and_keeps_the_totals():
    state = make_state()
    evolve(state, [money("100000"), money("90000")])
    state.risk = after_trades("-1", "-1", rules=RiskRules(max_loss_streak=2), record=state.risk)
    evolve(state, [ev.RiskReset(after(hours=1), "looked")])
    record = state.risk
    assert (record.peak, record.peak_at, record.drawdown_pct, record.worst_pct) == (
        D(90_000),
        after(hours=1),
        D(0),
        D(0),
    )
    assert (record.streak, record.paused_until, record.reset_at) == (0, None, after(hours=1))
    assert (record.losses, record.longest_losses, len(record.recent)) == (2, 2, 2)


def test_a_reset_before_anything_is_known_invents_no_peak():
    state = make_state()
    apply(state, ev.RiskReset(AT, "looked"))
    assert (state.risk.peak, state.risk.peak_at) == (None, None)


def test_the_next_session_begins_where_the_last_one_ended():
    old, new = make_state(), make_state(session_id="s-2")
    evolve(old, [money("110000"), ev.DayOpened(AT, DAY), money("99000")])
    old.risk = after_trades("-1", "-1", rules=RiskRules(max_loss_streak=2), record=old.risk)
    evolve(new, [ev.RiskCarried(AT, "s-1", old.risk), money("99000"), ev.DayOpened(AT, DAY)])
    record = new.risk
    assert (record.peak, record.drawdown_pct, record.worst_pct) == (D(110_000), D(10), D(10))
    assert (record.streak, record.paused_until, record.day_pnl) == (-2, old.risk.paused_until, D(-11_000))
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
