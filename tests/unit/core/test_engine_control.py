"""Halts, exits, days and their losses: what the engine makes of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.model import Account
from gambler_ai.core.orders import Status
from gambler_ai.core.risk import Code
from tests.unit.core.test_engine import COID, missed, unknown
from tests.unit.fakes import (
    AT,
    DAY,
    FIVE,
    LIMITS,
    MARKET,
    MONEY,
    SHUT,
    D,
    Desk,
    after,
    bars_closed,
    bracket_of,
    entry,
    fill_of,
    held,
    kinds,
    make_plan,
    make_state,
    only,
    report_of,
    reported,
    wish,
)

# -- halts, limits and exits ----------------------------------------------------------------------


def wishes_exit(symbol: str = "AAPL"):
    return replace(wish(symbol), exit=True)


def asked(kind: str, argument: str = "", at=AT) -> ev.Requested:
    return ev.Requested(at, ev.Request(id=f"r-{kind}", kind=kind, argument=argument, reason="lunch", asked_by="ann"))


def test_a_halted_session_denies_with_who_and_why_and_goes_on_when_resumed():
    desk = Desk(wish()).opened()
    assert kinds(desk.step(asked("halt"))) == ["TradingHalted", "RequestTaken"]
    denied = only(ev.Denied, desk.step(bars_closed()))
    assert (denied.code, denied.context) == (Code.HALTED, "person: lunch (ann)")
    desk.step(asked("resume-trading"))
    desk.strategy.proposals = [wish(signal_at=AT)]
    assert "IntentPlanned" in kinds(desk.step(bars_closed(AT + FIVE)))


def test_what_is_asked_wants_the_broker_to_be_looked_at():
    assert Desk().opened().step(asked("halt")).look_again


def test_the_halt_file_halts_once_and_resumes_once_and_no_other_halt():
    desk = Desk()
    steps = [ev.HaltFileSeen(AT, reason) for reason in (None, "upgrade", "another word", None, None)]
    assert [kinds(desk.step(step)) for step in steps] == [[], ["TradingHalted"], [], ["TradingResumed"], []]
    desk.step(asked("halt"))
    assert kinds(desk.step(ev.HaltFileSeen(AT, None))) == []
    assert desk.state.halts == {"person": "lunch (ann)"}


@pytest.mark.parametrize(
    "stands", [{"halts": {"person": "lunch"}}, {"exits": {"*": "enough"}}, {"stopping": "SIGTERM"}], ids=str
)
def test_an_entry_is_not_sent_again_against_a_persons_word(stands):
    desk = unknown(Desk())
    for name, value in stands.items():
        setattr(desk.state, name, value)
    assert "ResendPlanned" not in kinds(desk.step(missed(after(seconds=15))))


def test_what_a_person_left_to_the_broker_is_never_sent_again():
    desk = unknown(Desk())
    desk.record(ev.IntentResolved(AT, COID, ev.AT_BROKER, "?"))
    for seconds in (1, 6, 11, 31):
        assert "ResendPlanned" not in kinds(desk.step(missed(after(seconds=seconds))))
    assert desk.state.intents[COID].status is Status.VOID


def test_what_a_person_left_to_the_broker_is_taken_though_it_is_another():
    other = replace(report_of(entry(), "filled", "7"), qty=D(7))
    desk = unknown(Desk())
    desk.step(reported(lookups={COID: other}))
    assert desk.state.intents[COID].status is Status.DISPUTED
    desk.step(asked("resolve", f"{COID} broker"))
    found = desk.step(reported(lookups={COID: other}, fills=[fill_of(other, "7")], positions=[held("AAPL", "7")]))
    assert "IntentDisputed" not in kinds(found)
    assert desk.state.positions["AAPL"].qty == D(7)


def exiting(desk: Desk) -> str:
    """An exit of ten AAPL, sent and not answered."""
    desk.opened()
    desk.holding(limit="canceled", stop="canceled")
    desk.record(ev.ExitRequested(AT, "AAPL", "enough"))
    out = only(ev.IntentPlanned, desk.step(reported(after(minutes=1), positions=[held("AAPL", "10")]))).intent
    assert out.purpose == "exit"
    desk.step(ev.SubmitUnanswered(after(minutes=1), out.client_order_id, "timeout"))
    return out.client_order_id


@pytest.mark.parametrize(("market", "again"), [(MARKET, True), (SHUT, False)], ids=["open", "closed"])
def test_an_exit_that_never_arrived_is_sent_again_while_the_market_is_open(market, again):
    """At night it would wait for the open with nothing to protect its shares meanwhile."""
    desk = Desk()
    coid = exiting(desk)
    decisions = desk.step(
        reported(after(minutes=2), lookups={coid: None}, positions=[held("AAPL", "10")], market=market)
    )
    assert ("ResendPlanned" in kinds(decisions)) is again


def test_an_exit_is_done_when_its_fill_is_booked_and_the_symbol_is_free_again():
    desk = Desk(wish(signal_at=after(minutes=5)))
    coid = exiting(desk)
    sold = report_of(desk.state.intents[coid].intent, "filled", "10")
    parent = bracket_of(entry(), limit="canceled", stop="canceled")
    seen = desk.step(reported(after(minutes=2), orders=[parent, sold], positions=[]))
    assert "ExitDone" not in kinds(seen)
    done = desk.step(reported(after(minutes=3), orders=[parent, sold], fills=[fill_of(sold, "10")]))
    assert kinds(done) == ["FillReported", "ExitDone"]
    assert desk.state.exits == {}
    assert "IntentPlanned" in kinds(desk.step(bars_closed(after(minutes=10))))


def test_a_strategy_may_leave_what_it_opened_once_and_nothing_else():
    desk = Desk(wishes_exit()).opened()
    assert kinds(desk.step(bars_closed())) == ["Marked"], "nothing is held"
    desk.holding()
    decisions = desk.step(bars_closed(AT + FIVE))
    assert only(ev.ExitRequested, decisions) == ev.ExitRequested(AT + FIVE, "AAPL", "it moved")
    assert decisions.look_again
    assert kinds(desk.step(bars_closed(AT + 2 * FIVE))) == ["Marked"], "asked for already"
    other = Desk(wishes_exit()).opened()
    other.holding()
    other.state.positions["AAPL"] = replace(other.state.positions["AAPL"], strategy="another")
    assert kinds(other.step(bars_closed())) == ["Marked"]


def test_a_halt_does_not_keep_a_strategy_in():
    desk = Desk(wishes_exit()).opened()
    desk.holding()
    desk.step(asked("halt"))
    assert "ExitRequested" in kinds(desk.step(bars_closed()))


def test_everything_is_asked_to_be_closed_once():
    desk = Desk()
    assert kinds(desk.engine.leave_all(AT, "the end")) == ["ExitRequested"]
    assert kinds(desk.engine.leave_all(AT, "the end")) == []


def test_nothing_of_another_session_is_adopted():
    desk = Desk(limits=replace(LIMITS, elsewhere={"IBM": "s-2"}))
    desk.step(reported(reconcile=True, positions=[held("IBM", "5")]))
    assert "session s-2 has IBM" in only(ev.RequestTaken, desk.step(asked("adopt", "IBM"))).answer


# -- the day and its loss -------------------------------------------------------------------------


def with_loss(limit: str, **changes) -> Desk:
    return Desk(wish(), state=make_state(day=DAY, plan=make_plan(max_daily_loss=D(limit)), **changes))


def money(equity: str, last: str | None = "100000", cash: str = "100000") -> Account:
    return replace(MONEY, equity=D(equity), cash=D(cash), last_equity=None if last is None else D(last))


def test_a_day_is_named_by_its_close_and_begins_with_the_first_reading_of_an_open_market():
    desk = Desk(state=make_state())
    assert "DayOpened" not in kinds(desk.step(reported(market=SHUT)))
    assert only(ev.DayOpened, desk.step(reported())).day == DAY
    assert "DayOpened" not in kinds(desk.step(reported(after(hours=1))))


def test_the_days_loss_halts_at_the_limit_and_not_a_cent_before():
    desk = with_loss("500")
    assert kinds(desk.step(reported(reconcile=True, account=money("99500.01")))) == ["AccountReported"]
    halted = only(ev.TradingHalted, desk.step(reported(reconcile=True, account=money("99500"))))
    assert (halted.source, halted.reason) == ("daily loss", "500.00 lost on 2008-10-07, 500.00 allowed")
    assert kinds(desk.step(reported(reconcile=True, account=money("99000")))) == ["AccountReported"]
    assert only(ev.Denied, desk.step(bars_closed())).code == Code.HALTED


def test_a_loss_that_was_made_good_still_halts_for_the_rest_of_its_day():
    desk = with_loss("500")
    desk.step(reported(reconcile=True, account=money("99000")))
    desk.step(reported(reconcile=True, account=money("100500")))
    assert "daily loss" in desk.state.halts


def test_the_loss_is_against_the_last_close_and_else_against_the_sessions_first_equity():
    """A fresh session that begins with the loss made has its own first equity; the broker's last close stays."""
    assert "TradingHalted" in kinds(
        with_loss("500", initial_equity=D(99_000)).step(reported(reconcile=True, account=money("99000")))
    )
    silent = with_loss("500", initial_equity=D(100_000))
    assert "TradingHalted" in kinds(silent.step(reported(reconcile=True, account=money("99000", None))))


def test_a_limit_that_was_lowered_is_held_though_the_account_did_not_move():
    desk = with_loss("5000")
    desk.step(reported(reconcile=True, account=money("99000")))
    desk.record(ev.PlanChanged(AT, {"max_daily_loss": ("5000", "500")}))
    assert kinds(desk.step(reported(reconcile=True, account=money("99000")))) == ["TradingHalted"]


def test_another_day_begins_without_the_loss_of_the_last_one_and_with_its_own_money():
    desk = with_loss("500")
    desk.step(reported(reconcile=True, account=money("99000")))
    tomorrow = replace(MARKET, next_close=MARKET.next_close + timedelta(days=1))
    account = money("99000", "99000")  # its cash is yesterday's: only the last close has moved
    decisions = desk.step(reported(after(days=1), market=tomorrow, account=account))
    assert kinds(decisions) == ["DayOpened", "TradingResumed", "AccountReported"]
    assert desk.state.halts == {}


def test_another_day_takes_back_no_halt_of_a_person():
    desk = Desk(state=make_state(day="2008-10-06", halts={"person": "lunch", "HALT file": "x"}))
    assert kinds(desk.step(reported())) == ["DayOpened"]
    assert set(desk.state.halts) == {"person", "HALT file"}


def test_no_loss_is_judged_while_the_market_is_closed_or_without_a_limit():
    lost = reported(reconcile=True, account=money("1"))
    assert kinds(Desk().step(lost)) == ["AccountReported"]
    shut = reported(reconcile=True, account=money("1"), market=SHUT)
    assert kinds(with_loss("500").step(shut)) == ["AccountReported"]


def test_an_entry_carries_the_day_its_limits_count():
    assert only(ev.IntentPlanned, Desk(wish()).opened().step(bars_closed())).intent.market_day == DAY


@pytest.mark.parametrize(
    "answer",
    [ev.SubmitUnanswered(AT, COID, "timeout"), ev.SubmitRefused(AT, COID, "no", duplicate=False),
     ev.SubmitRefused(AT, COID, "must be unique", duplicate=True)],
    ids=["unanswered", "refused", "duplicate"],
)  # fmt: skip
def test_an_answer_that_comes_after_a_persons_word_changes_nothing(answer):
    """The request hung while somebody said that the order is gone."""
    desk = unknown(Desk().opened())
    desk.record(ev.ResendPlanned(AT, COID), ev.IntentResolved(AT, COID, ev.GONE, "looked it up"))
    assert kinds(desk.step(answer)) == []
    assert desk.state.intents[COID].status is Status.VOID
