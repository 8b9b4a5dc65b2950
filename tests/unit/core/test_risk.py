"""Each reason to deny, in the order in which they are asked; and the size of what is not denied."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import risk
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import Account, Instrument, Side, Trade
from gambler_ai.core.orders import IntentRecord, Status
from gambler_ai.core.risk import Approved, Code, Denial
from gambler_ai.core.risk_record import RiskRecord
from gambler_ai.core.risk_rules import RiskRules, Sizing
from tests.unit.core.test_sizing import frame_of
from tests.unit.fakes import (
    AT,
    CLOSE,
    DAY,
    FIVE,
    LIMITS,
    MARKET,
    MONEY,
    SHUT,
    D,
    after,
    bracket_of,
    entry,
    fill_of,
    make_plan,
    make_state,
    protect,
    wish,
)

TRADE = Trade("AAPL", D(100), AT)
LISTED = [Instrument("AAPL"), Instrument("SOLD", shortable=False), Instrument("GONE", tradable=False)]
KNOWN = {instrument.symbol: instrument for instrument in LISTED}


PAIR = frame_of({"AAPL": [100.0 + n % 3 for n in range(20)], "MSFT": [50 + n % 3 / 2 for n in range(20)]})


def review(proposal=None, *, state=None, at=AT, limits=LIMITS, market=MARKET, trade=TRADE, frame=None):
    return risk.review(proposal or wish(), state or make_state(), at, limits, market, KNOWN, trade, frame)


def alike_state(most: str, correlation_bars: int = 10):
    rules = RiskRules(max_correlation=D(most), correlation_bars=correlation_bars)
    return make_state(plan=make_plan(risk=rules), intents=with_intent(Status.WORKING, "MSFT").intents)


def with_intent(status: Status, symbol: str = "AAPL"):
    intent = entry(symbol)
    watched = AT if status is Status.VOID else None
    record = IntentRecord(intent=intent, status=status, watch_until=watched)
    return make_state(intents={intent.client_order_id: record})


def with_position(**legs: str):
    state = make_state()
    intent, parent = entry(), bracket_of(entry(), **legs)
    evolve(
        state, [ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, "10"))]
    )
    return state


def resting():
    """An order of ours rests although no intent of it is open."""
    state = make_state()
    evolve(state, [ev.IntentPlanned(AT, entry()), ev.OrderUpdated(AT, bracket_of(entry(), limit="new"))])
    return state


DENIED: dict[str, tuple[dict[str, Any], Code, str]] = {
    "halted": ({"state": make_state(stopping="SIGTERM")}, Code.HALTED, "SIGTERM"),
    "halted by a person": ({"state": make_state(halts={"person": "lunch"})}, Code.HALTED, "person: lunch"),
    "closing": ({"state": make_state(exits={"*": "enough"})}, Code.HALTED, "closing everything: enough"),
    "positions": (
        {"state": make_state(plan=make_plan(max_positions=3), intents=with_intent(Status.UNKNOWN, "MSFT").intents),
         "limits": replace(LIMITS, elsewhere={"IBM": "s-2", "GE": "s-3", "MSFT": "s-3"})}, Code.MAX_POSITIONS,
        "3 held or being opened, 3 allowed",
    ),
    "orders of the day": (
        {"state": make_state(plan=make_plan(max_orders_per_day=5), day=DAY, day_entries=2),
         "limits": replace(LIMITS, entries_elsewhere={DAY: 3, "2008-10-06": 9})}, Code.MAX_ORDERS_PER_DAY,
        "5 entries sent on 2008-10-07, 5 allowed",
    ),
    "orders of the minute": (
        {"state": make_state(plan=make_plan(max_orders_per_minute=3), day=DAY, intents={
            "x": IntentRecord(intent=entry(decided_at=AT - timedelta(seconds=59)), status=Status.CANCELED),
            "y": IntentRecord(intent=entry("MSFT", decided_at=AT), status=Status.FILLED),
        }), "limits": replace(LIMITS, recent_elsewhere=(AT - timedelta(seconds=30),))}, Code.MAX_ORDERS_PER_MINUTE,
        "3 entries sent within a minute, 3 allowed",
    ),
    "loss without a halt": (
        {"state": make_state(
            plan=make_plan(max_daily_loss=D(500)), day=DAY, account=replace(MONEY, equity=D(99_500))
        )}, Code.HALTED, "500.00 lost on 2008-10-07, 500.00 allowed",
    ),
    "order value": (
        {"state": make_state(plan=make_plan(max_order_value=D("9999.99")))}, Code.MAX_ORDER_VALUE,
        "10,000.00 dollars, 9,999.99 allowed",
    ),
    "drawdown by our own marks": (
        {"state": make_state(
            plan=make_plan(risk=RiskRules(max_drawdown_pct=D(5))), risk=RiskRecord(equity=D(95), peak=D(100))
        )}, Code.DRAWDOWN, "5.00 % below the peak of 100.00, 5 % allowed",
    ),
    "losses in a row": (
        {"state": make_state(
            plan=make_plan(risk=RiskRules(max_loss_streak=3)),
            risk=RiskRecord(streak=-3, lost_at=AT - timedelta(minutes=59)),
        )}, Code.LOSS_STREAK, "3 losses in a row; nothing is entered until 2008-10-07 14:01 UTC",
    ),
    "losses in a row by the rules of before": (
        {"state": make_state(risk=RiskRecord(streak=-3, paused_until=AT + timedelta(minutes=1)))}, Code.LOSS_STREAK,
        "3 losses in a row; nothing is entered until 2008-10-07 14:01 UTC",
    ),
    "too much alike": (
        {"state": alike_state("0.9"), "frame": PAIR}, Code.MAX_CORRELATION, "1.00 with MSFT, 0.9 allowed",
    ),
    "nothing to compare": (
        {"state": alike_state("0.9", correlation_bars=30), "frame": PAIR}, Code.MAX_CORRELATION,
        "AAPL and MSFT do not have 31 bars in common",
    ),
    "no room": (
        {"state": make_state(plan=make_plan(risk=RiskRules(max_exposure_pct=D(10)))),
         "limits": replace(LIMITS, values_elsewhere={"IBM": D(9_950)})}, Code.NO_ROOM,
        "50.00 buys no whole share at 100 (9,950.00 in all positions, 10,000.00 allowed)",
    ),
    "no size": (
        {"state": make_state(plan=make_plan(risk=RiskRules(sizing=Sizing.ATR)))}, Code.NO_SIZE,
        "0.00 buys no whole share at 100 (its 15 newest bars are not all there)",
    ),
    "degraded": (
        {"state": make_state(degraded={"market data": "timeout", "broker": "502"})}, Code.DEGRADED,
        "broker: 502; market data: timeout",
    ),
    "bare": (
        {"state": with_position(stop="canceled"), "proposal": wish("MSFT")}, Code.UNPROTECTED, "AAPL without a stop",
    ),
    "limit far away": ({"proposal": replace(wish(), limit_price=D("49.99"))}, Code.ABSURD_PRICE, "a limit of 49.99"),
    "limit beyond the target": (
        {"proposal": replace(wish(), limit_price=D(104))}, Code.ABSURD_PRICE,
        "a limit of 104 is beyond the target, 104.00",
    ),
    "market unknown": ({"market": None}, Code.MARKET_CLOSED, ""),
    "market closed": ({"market": SHUT}, Code.MARKET_CLOSED, "next open 2008-10-07 20:00 UTC"),
    "last minutes": (
        {"at": CLOSE - FIVE}, Code.MARKET_CLOSED, "no entries in the last 0:05:00 of a session",
    ),
    "not listed": ({"proposal": wish("NONE")}, Code.NOT_TRADABLE, "NONE is not tradable"),
    "not tradable": ({"proposal": wish("GONE")}, Code.NOT_TRADABLE, "GONE is not tradable"),
    "not shortable": ({"proposal": wish("SOLD", Side.SELL)}, Code.NOT_SHORTABLE, "SOLD cannot be sold short"),
    "position": ({"state": with_position()}, Code.POSITION_OPEN, "10 held"),
    "taken": (
        {"limits": replace(LIMITS, taken={"AAPL": "s-2"})}, Code.SYMBOL_BLOCKED,
        "session s-2 has an entry in it under way",
    ),
    "foreign": (
        {"state": make_state(foreign={"AAPL": D(-7)})}, Code.FOREIGN_POSITION, "-7 in the account are not ours",
    ),
    "foreign contracts": (
        {"state": make_state(foreign={"AAPL081122C00100000": D(-2)})}, Code.FOREIGN_POSITION,
        "-2 AAPL081122C00100000 in the account are not ours",
    ),
    "void": ({"state": with_intent(Status.VOID)}, Code.SYMBOL_BLOCKED, "is void"),
    "disputed": ({"state": with_intent(Status.DISPUTED)}, Code.SYMBOL_BLOCKED, "is disputed"),
    "planned": ({"state": with_intent(Status.PLANNED)}, Code.ORDER_OPEN, "is planned"),
    "unknown": ({"state": with_intent(Status.UNKNOWN)}, Code.ORDER_OPEN, "is unknown"),
    "working": ({"state": with_intent(Status.WORKING)}, Code.ORDER_OPEN, "is working"),
    "legs rest": ({"state": resting()}, Code.ORDER_OPEN, "an order of ours still rests at the broker"),
    "old bar": ({"at": AT + 2 * FIVE + timedelta(seconds=1)}, Code.STALE_DATA, "the signal's bar closed 0:10:01 ago"),
    "no trade": ({"trade": None}, Code.STALE_DATA, "no trade recent enough to price it"),
    "old trade": (
        {"trade": Trade("AAPL", D(100), AT - 2 * FIVE - timedelta(seconds=1))}, Code.STALE_DATA,
        "no trade recent enough to price it",
    ),
    "absurd price": ({"trade": Trade("AAPL", D("NaN"), AT)}, Code.ABSURD_PRICE, "last trade at NaN"),
    "no money": (
        {"state": make_state(account=Account(buying_power=D("101")))}, Code.NO_BUYING_POWER,
        "98.98 buys no whole share at 100",
    ),
    "debt": (
        {"state": make_state(account=Account(buying_power=D(-5)))}, Code.NO_BUYING_POWER, "0.00 buys no whole share",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DENIED)
def test_it_is_denied_with_its_code_and_its_reason(case):
    given_, code, context = DENIED[case]
    verdict = review(**given_)
    assert isinstance(verdict, Denial)
    assert verdict.code is code
    assert context in verdict.context


def test_each_code_is_tried_here_or_in_the_engine():
    assert {code for _, code, _ in DENIED.values()} == set(Code) - {
        Code.STRATEGY_FAILED, Code.BAD_STOP, Code.LOW_CONFIDENCE, Code.LEARNER_FAILED,
        Code.NO_OPTIONS_LEVEL, Code.MAX_PER_STRATEGY, Code.MAX_PER_SECTOR,  # `options/test_review.py`
    }  # fmt: skip


@pytest.mark.parametrize(
    "allowed",
    [
        {"at": AT + 2 * FIVE, "trade": Trade("AAPL", D(100), AT)},
        {"at": CLOSE - FIVE - timedelta(seconds=1), "proposal": wish(signal_at=CLOSE - 2 * FIVE),
         "trade": Trade("AAPL", D(100), CLOSE - FIVE)},
        {"state": make_state(foreign={"IBM": D(5), "IBM081122C00100000": D(5)})},
        {"limits": replace(LIMITS, taken={"IBM": "s-2"})},
        {"state": make_state(intents={"x": IntentRecord(intent=entry(), status=Status.VOID)})},
        {"state": make_state(plan=make_plan(max_positions=2), intents=with_intent(Status.UNKNOWN, "MSFT").intents),
         "limits": replace(LIMITS, elsewhere={"MSFT": "s-2"})},
        {"state": make_state(plan=make_plan(max_order_value=D(10_000), max_positions=1, max_orders_per_day=1))},
        {"state": make_state(plan=make_plan(max_orders_per_day=1), day=DAY),
         "limits": replace(LIMITS, entries_elsewhere={"2008-10-06": 9})},
        {"state": make_state(plan=make_plan(max_orders_per_minute=1), intents={
            "x": IntentRecord(intent=entry(decided_at=AT - timedelta(minutes=1)), status=Status.CANCELED),
            "y": IntentRecord(intent=protect("x"), status=Status.CANCELED)}),
         "limits": replace(LIMITS, recent_elsewhere=(AT - timedelta(minutes=1),))},
    ],
    ids=["last instant of the signal", "last instant before the cutoff", "foreign elsewhere", "taken elsewhere",
         "void and no longer watched", "a symbol counts once whoever has it", "the last of each limit",
         "the limit of another day", "the limit of another minute, and what is no entry"],
)  # fmt: skip
def test_the_last_moment_that_is_allowed_is_allowed(allowed):
    assert isinstance(review(**allowed), Approved)


@pytest.mark.parametrize(
    ("side", "price", "qty", "stop", "target"),
    [
        (Side.BUY, "100", "100", "98.00", "104.00"),
        (Side.SELL, "100", "97", "102.00", "96.00"),  # a short costs 3 % more
        (Side.BUY, "99.99", "100", "97.99", "103.99"),
        (Side.BUY, "3.333", "3000", "3.27", "3.47"),
        (Side.BUY, "0.5", "20000", "0.4900", "0.5200"),
        (Side.BUY, "10000", "1", "9800.00", "10400.00"),
    ],
)
def test_an_entry_is_whole_shares_worth_the_position_size(side, price, qty, stop, target):
    verdict = review(wish(side=side), trade=Trade("AAPL", D(price), AT))
    assert isinstance(verdict, Approved)
    assert (f"{verdict.qty:f}", verdict.ref_price) == (qty, D(price))
    assert (str(verdict.stop_price), str(verdict.target_price)) == (stop, target)


def test_what_is_in_flight_is_reserved_and_what_the_broker_counts_is_not():
    in_flight = {
        status: IntentRecord(intent=entry("MSFT", qty="60", client_order_id=status.value), status=status)
        for status in (Status.PLANNED, Status.UNKNOWN, Status.WORKING, Status.VOID)
    }
    state = make_state(intents={s.value: r for s, r in in_flight.items()}, account=Account(buying_power=D(20_000)))
    assert risk.reserved(state) == 2 * 60 * 100 * D("1.03")
    verdict = review(state=state)
    assert isinstance(verdict, Approved)
    assert verdict.qty == 72  # (20,000 x 0.98 - 12,360) / 100


@given(
    st.sampled_from(list(Side)), st.integers(1, 10**9).map(lambda c: D(c) / 100),
    st.integers(0, 10**8).map(lambda c: D(c) / 100), st.integers(1, 10**8).map(lambda c: D(c) / 100),
)  # fmt: skip
def test_no_entry_costs_more_than_its_share_of_what_is_there(side, price, power, size):
    state = make_state(account=Account(buying_power=power), plan=make_plan(position_size=size))
    verdict = review(wish(side=side), state=state, trade=Trade("AAPL", price, AT))
    cost = price * (risk.SHORT_MARGIN if side is Side.SELL else 1)
    budget = min(size, power * risk.BUYING_POWER_USED)
    if isinstance(verdict, Approved):
        assert verdict.qty == verdict.qty.to_integral_value()
        assert verdict.qty >= 1
        assert verdict.qty * cost <= budget
        assert (verdict.qty + 1) * cost > budget
    else:
        assert verdict.code in (Code.NO_BUYING_POWER, Code.ABSURD_PRICE)
        assert cost > budget or price >= 10_000_000


def test_a_proposal_is_reviewed_a_while_after_its_bar():
    assert isinstance(review(at=after(minutes=9), trade=Trade("AAPL", D(100), after(minutes=9))), Approved)


@pytest.mark.parametrize(
    ("side", "limit", "qty", "ref", "stop", "target"),
    [
        (Side.BUY, "99", "101", "99", "97.02", "102.96"),  # waits below: the limit is what it costs
        (Side.BUY, "101", "99", "101", "98.00", "104.00"),  # takes what is there: stop and target of what it gets
        (Side.SELL, "101", "96", "101", "103.02", "96.96"),
        (Side.SELL, "99", "97", "100", "102.00", "96.00"),
    ],
)
def test_a_limit_entry_costs_its_limit_at_most(side, limit, qty, ref, stop, target):
    verdict = review(replace(wish(side=side), limit_price=D(limit)))
    assert isinstance(verdict, Approved)
    assert (f"{verdict.qty:f}", verdict.ref_price, verdict.limit_price) == (qty, D(ref), D(limit))
    assert (str(verdict.stop_price), str(verdict.target_price)) == (stop, target)


@pytest.mark.parametrize(
    ("side", "pct", "limit"),
    [(Side.BUY, "0.1", "100.10"), (Side.SELL, "0.1", "99.90"), (Side.BUY, "-0.255", "99.74"), (Side.BUY, None, None)],
)
def test_a_plan_makes_limits_beyond_the_last_price_and_a_proposals_own_wins(side, pct, limit):
    plan = make_plan(limit_pct=None if pct is None else D(pct))
    verdict = review(wish(side=side), state=make_state(plan=plan))
    assert isinstance(verdict, Approved)
    assert verdict.limit_price == (None if limit is None else D(limit))
    own = review(replace(wish(side=side), limit_price=D("99.99")), state=make_state(plan=plan))
    assert isinstance(own, Approved)
    assert own.limit_price == D("99.99")
