"""Alpaca's JSON to our types: what is right comes over exactly, what is hostile raises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.broker import convert
from gambler_ai.core.model import Side
from tests.unit.fakes import AT, FIVE, D

WHEN = "2008-10-07T14:00:00.123456789Z"
SEEN = datetime(2008, 10, 7, 14, 0, 0, 123456, tzinfo=UTC)
ORDER: dict[str, Any] = {
    "id": "o-1", "client_order_id": "ga1-x", "symbol": "AAPL", "side": "buy", "qty": "10", "filled_qty": "4",
    "filled_avg_price": "100.25", "type": "market", "order_class": "bracket", "time_in_force": "gtc",
    "limit_price": None, "stop_price": None, "status": "partially_filled", "submitted_at": WHEN, "updated_at": WHEN,
    "created_at": WHEN, "replaced_by": None, "legs": None, "some_new_key": {"x": 1},
}  # fmt: skip
FILL = {
    "id": "20081007::a", "order_id": "o-1", "symbol": "AAPL", "side": "buy", "qty": "0.123456789", "price": "100.25",
    "transaction_time": WHEN,
}  # fmt: skip
ACCOUNT = {
    "cash": "-1.50", "equity": "100000", "buying_power": "200000.01", "portfolio_value": "99999", "currency": "USD",
}  # fmt: skip
CLOCK = {
    "timestamp": "2008-10-07T10:00:00.123456789-04:00", "is_open": True, "next_open": "2008-10-08T09:30:00-04:00",
    "next_close": "2008-10-07T16:00:00-04:00",
}  # fmt: skip
ASSET = {
    "symbol": "AAPL", "status": "active", "tradable": True, "shortable": True, "easy_to_borrow": True,
    "fractionable": False,
}  # fmt: skip
SPLIT = {
    "id": "20200831000000000::s", "activity_type": "SPLIT", "activity_sub_type": "FSPLIT", "date": "2020-08-31",
    "symbol": "AAPL", "qty": "30", "net_amount": "0", "status": "executed",
}  # fmt: skip
CALL, PUT = "AAPL071221C00160000", "AAPL071221P00150000"
LEG: dict[str, Any] = {
    **ORDER, "id": "o-3", "client_order_id": "theirs", "symbol": CALL, "qty": "2", "filled_qty": "2", "type": "",
    "filled_avg_price": "3.2", "order_class": "mleg", "position_intent": "buy_to_open", "time_in_force": "day",
}  # fmt: skip
MLEG: dict[str, Any] = {
    **ORDER, "symbol": "", "side": "", "order_class": "mleg", "position_intent": "", "qty": "2", "type": "limit",
    "filled_qty": "2", "limit_price": "-1.25", "filled_avg_price": "-1.3", "time_in_force": "day",
    "legs": [LEG, {**LEG, "id": "o-4", "symbol": PUT, "side": "sell", "position_intent": "sell_to_open"}],
}  # fmt: skip
EXERCISE = {
    "id": "20071221::x", "activity_type": "OPEXC", "date": "2007-12-21", "symbol": CALL, "qty": "-2",
    "net_amount": "0", "group_id": "g-1", "status": "executed",
}  # fmt: skip
POSITION = {"symbol": "AAPL", "qty": "10", "side": "long", "avg_entry_price": "100", "current_price": "101.5"}


def test_an_order_comes_over_whole():
    leg = {**ORDER, "id": "o-2", "side": "sell", "type": "stop", "stop_price": "98.01", "status": "held"}
    report = convert.order({**ORDER, "legs": [leg]})
    assert (report.order_id, report.client_order_id, report.side, report.qty) == ("o-1", "ga1-x", Side.BUY, D(10))
    assert (report.filled_qty, report.filled_avg_price, report.status) == (D(4), D("100.25"), "partially_filled")
    assert (report.submitted_at, report.updated_at) == (SEEN, SEEN)
    assert [(x.order_id, x.stop_price, x.legs) for x in report.legs] == [("o-2", D("98.01"), ())]


def test_what_alpaca_leaves_empty_is_filled_in_or_none():
    bare = {**ORDER, "qty": None, "filled_qty": "0", "filled_avg_price": "", "order_class": "", "submitted_at": None,
            "updated_at": None, "replaced_by": ""}  # fmt: skip
    report = convert.order(bare)
    assert (report.qty, report.filled_avg_price, report.order_class, report.replaced_by) == (D(0), None, "simple", None)
    assert report.submitted_at == report.updated_at == SEEN


def test_the_others_come_over_whole():
    fill = convert.fill(FILL)
    assert (fill.activity_id, fill.qty, fill.price, fill.at) == ("20081007::a", D("0.123456789"), D("100.25"), SEEN)
    assert convert.fill({**FILL, "side": "sell_short"}).side is Side.SELL
    account = convert.account(ACCOUNT)
    assert (account.cash, account.portfolio_value, account.currency) == (D("-1.50"), D(99999), "USD")
    short = {k: v for k, v in ACCOUNT.items() if k not in ("portfolio_value", "currency")}
    assert convert.account(short).portfolio_value == D(100000)
    market = convert.market(CLOCK)
    assert (market.at, market.is_open, market.next_close) == (SEEN, True, datetime(2008, 10, 7, 20, 0, tzinfo=UTC))
    position = convert.position(POSITION)
    assert (position.qty, position.current_price) == (D(10), D("101.5"))
    for odd in ("Infinity", "NaN", "0", "-3", "1e9", "", None):
        assert convert.position({**POSITION, "current_price": odd}).current_price is None, odd
    trade = convert.trade("AAPL", {"p": 100.1, "t": WHEN})
    assert (trade.price, trade.at) == (D("100.1"), SEEN)


def test_an_order_of_several_contracts_is_one_on_their_underlying_at_a_net_price():
    report = convert.order(MLEG)
    assert (report.symbol, report.side, report.order_class, report.qty) == ("AAPL", Side.BUY, "mleg", D(2))
    assert (report.limit_price, report.filled_avg_price) == (D("-1.25"), D("-1.3")), "a credit is below zero"
    assert [(x.symbol, x.side, x.qty, x.type, x.order_class) for x in report.legs] == [
        (CALL, Side.BUY, D(2), "", "mleg"), (PUT, Side.SELL, D(2), "", "mleg"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("intents", "side"),
    [
        (("buy_to_open", "sell_to_open"), Side.BUY),
        (("sell_to_open", "sell_to_open"), Side.BUY),
        (("sell_to_close", "buy_to_close"), Side.SELL),
        (("buy_to_open", "sell_to_close"), Side.SELL),
        (("buy_to_open", None), Side.SELL),
    ],
)
def test_what_opens_is_a_buy_and_all_else_a_sale(intents, side):
    legs = [{**LEG, "position_intent": intent} for intent in intents]
    assert convert.order({**MLEG, "legs": legs}).side is side


@pytest.mark.parametrize(
    ("approved", "trading", "level"),
    [(3, 3, 3), (3, 1, 1), (2, 3, 2), (0, 3, 0), (None, 2, 2), (2, None, 2), (None, None, None), ("3", 2, 2),
     (True, None, None), (-1, 99, None), (2.0, None, None)],
)  # fmt: skip
def test_the_level_is_the_lower_of_what_was_approved_and_what_the_owner_allows(approved, trading, level):
    account = convert.account({
        **ACCOUNT, "options_approved_level": approved, "options_trading_level": trading, "options_buying_power": "7.5",
    })  # fmt: skip
    assert (account.options_level, account.options_buying_power) == (level, D("7.5"))
    assert convert.account(ACCOUNT).options_buying_power is None


def test_an_activity_of_a_contract_has_its_price_and_its_group():
    found = convert.activity({**EXERCISE, "price": "160"})
    assert (found.type, found.symbol, found.qty, found.price, found.group) == ("OPEXC", CALL, D(-2), D(160), "g-1")
    bare = convert.activity({**EXERCISE, "price": "0", "group_id": None})
    assert (bare.price, bare.group) == (None, "")


def test_a_contract_may_be_got_rid_of_for_nothing_and_a_share_never():
    assert convert.fill({**FILL, "symbol": CALL, "price": "0"}).price == 0
    with pytest.raises(ValueError, match="at 0"):
        convert.fill({**FILL, "price": "0"})


def test_a_position_in_contracts_may_have_no_price():
    body = {**POSITION, "symbol": CALL, "asset_class": "us_option", "qty": "-2", "side": "short", "current_price": None}
    position = convert.position(body)
    assert (position.symbol, position.qty, position.current_price) == (CALL, D(-2), None)


@pytest.mark.parametrize(
    ("body", "qty"),
    [
        ({"qty": "-10", "side": "short"}, D(-10)),
        ({"qty": "10", "side": "short"}, D(-10)),
        ({"qty": "-10", "side": "long"}, D(-10)),
        ({"qty": "0.5"}, D("0.5")),
    ],
)
def test_a_short_is_negative_however_it_is_told(body, qty):
    assert convert.position({**POSITION, **body, "current_price": None}).qty == qty


@pytest.mark.parametrize(
    ("change", "tradable", "shortable"),
    [
        ({}, True, True),
        ({"status": "inactive"}, False, True),
        ({"tradable": False}, False, True),
        ({"shortable": False}, True, False),
        ({"easy_to_borrow": False}, True, False),
    ],
)
def test_an_asset_is_tradable_and_shortable_only_if_all_say_so(change, tradable, shortable):
    asset = convert.instrument({**ASSET, **change})
    assert (asset.tradable, asset.shortable, asset.fractionable) == (tradable, shortable, False)


NUMBERS: tuple[Any, ...] = ("NaN", "inf", "-Infinity", "sNaN", "ten", "1e", True, [], {})
INSTANTS: tuple[Any, ...] = ("yesterday", 1223388000, "2008-10-07", "2008-13-07T14:00:00Z")
NEEDED = (
    "id", "client_order_id", "symbol", "side", "qty", "filled_qty", "filled_avg_price", "type", "time_in_force",
    "status",
)  # fmt: skip
HOSTILE: list[tuple[Any, dict[str, Any]]] = [
    *((convert.order, {**ORDER, "qty": bad}) for bad in NUMBERS),
    *((convert.order, {**ORDER, key: bad}) for key in ("id", "client_order_id") for bad in ("", "x" * 129)),
    *((convert.order, {**ORDER, key: "2008-10-07T14:00:00"}) for key in ("submitted_at", "updated_at")),
    *((convert.order, {**ORDER, "submitted_at": bad}) for bad in INSTANTS),
    *((convert.order, {k: v for k, v in ORDER.items() if k != gone}) for gone in NEEDED),
    (convert.order, {**ORDER, "side": "hold"}),
    (convert.order, {**ORDER, "replaces": "x" * 129}),
    (convert.order, {**ORDER, "replaced_by": "x" * 129}),
    *((convert.activity, {**SPLIT, "qty": bad}) for bad in ("NaN", "inf", "many")),
    *((convert.activity, {k: v for k, v in SPLIT.items() if k != gone}) for gone in ("id", "activity_type", "date")),
    (convert.activity, {**SPLIT, "date": "soon"}),
    (convert.activity, {**SPLIT, "id": ""}),
    (convert.order, {**ORDER, "legs": [{"id": "x"}]}),
    (convert.order, {**ORDER, "legs": "many"}),
    *((convert.fill, {**FILL, "qty": bad}) for bad in ("0", "-1", "NaN", "inf", None, "")),
    *((convert.fill, {**FILL, "price": bad}) for bad in ("0", "-1", "NaN", "10000000", "1e999")),
    *((convert.fill, {k: v for k, v in FILL.items() if k != gone}) for gone in FILL),
    (convert.fill, {**FILL, "side": "hold"}),
    (convert.fill, {**FILL, "side": ""}),
    (convert.fill, {**FILL, "transaction_time": "2008-10-07T14:00:00"}),
    *((convert.account, {**ACCOUNT, key: "NaN"}) for key in ("cash", "equity", "buying_power")),
    *((convert.account, {**ACCOUNT, key: None}) for key in ("cash", "equity", "buying_power")),
    (convert.account, {**ACCOUNT, "portfolio_value": "inf"}),
    *((convert.position, {**POSITION, key: "NaN"}) for key in ("qty", "avg_entry_price")),
    *((convert.position, {**POSITION, key: None}) for key in ("qty", "avg_entry_price")),
    *((convert.market, {**CLOCK, key: "2008-10-07T14:00:00"}) for key in ("timestamp", "next_open", "next_close")),
    (convert.market, {"timestamp": WHEN}),
    (convert.instrument, {"symbol": "AAPL"}),
    *((convert.order, {**ORDER, key: "-0.01"}) for key in ("limit_price", "stop_price", "filled_avg_price")),
    *((convert.order, {**MLEG, "legs": legs}) for legs in (None, [], "many", [{**LEG, "legs": [LEG]}])),
    *((convert.order, {**MLEG, "legs": [{**LEG, key: "-1"}]}) for key in ("limit_price", "filled_avg_price")),
    *((convert.order, {**MLEG, "legs": [{**LEG, key: ""}]}) for key in ("side", "id")),
    (convert.order, {**MLEG, "limit_price": "NaN"}),
    (convert.order, {**MLEG, "order_class": "bracket"}),
    *((convert.fill, {**FILL, "symbol": CALL, "price": bad}) for bad in ("-0.01", "NaN", "", "10000000")),
    (convert.activity, {**EXERCISE, "group_id": "x" * 129}),
    (convert.activity, {**EXERCISE, "price": "NaN"}),
    (convert.account, {**ACCOUNT, "options_buying_power": "NaN"}),
]  # fmt: skip


@pytest.mark.parametrize(("parse", "body"), HOSTILE, ids=lambda v: v.__name__ if callable(v) else None)
def test_what_is_hostile_raises_what_the_fence_names(parse, body):
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError, ArithmeticError)):
        parse(body)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from([ORDER, MLEG]), st.sampled_from(sorted(ORDER)), anything)
def test_no_field_of_an_order_can_do_worse_than_that(order, key, value):
    try:
        report = convert.order({**order, key: value})
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
        return
    assert report.qty.is_finite()
    assert report.submitted_at.tzinfo is UTC


def test_a_status_that_fills_a_page_is_cut():
    assert len(convert.order({**ORDER, "status": "x" * 5000}).status) == 32


@given(
    st.datetimes(
        min_value=datetime(1900, 1, 1),  # noqa: DTZ001 (hypothesis wants it so)
        max_value=datetime(2199, 12, 31),  # noqa: DTZ001
        timezones=st.just(UTC),
    )
)
def test_an_instant_goes_and_comes_back(instant):
    text = convert.wire_instant(instant)
    assert text.endswith("Z")
    assert convert.instant(text) == instant


@pytest.mark.parametrize("text", [WHEN, "2008-10-07T10:00:00.123456789-04:00", "2008-10-07T14:00:00.123456Z"])
def test_nine_digits_of_a_second_are_cut_to_six(text):
    assert convert.instant(text) == SEEN


def bar(minutes: float, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "t": convert.wire_instant(AT + timedelta(minutes=minutes)),
        "o": 1,
        "h": 2,
        "l": 0.5,
        "c": 1.5,
        "v": 100,
        "n": 3,
    }
    return row | changes


def test_bars_are_those_that_have_closed_and_those_that_cannot_be():
    """What is not sane is passed on, so that somebody hears of it (`core.sieve`)."""
    rows = {"A": [bar(-10), bar(-5), bar(0), bar(0.5), bar(5)], "B": [bar(-5, c=float("nan"))], "C": None}
    frame = convert.bars(("A", "B", "C", "D"), FIVE, rows, AT + timedelta(seconds=1), 10)  # type: ignore[arg-type]
    assert frame.symbols == ("A", "B", "C", "D")
    found = [datetime.fromtimestamp(int(t), UTC) for t in frame.times[:, 0]]
    assert found == [AT - 2 * FIVE, AT - FIVE, AT + FIVE]
    assert frame.close[:, 0].tolist() == [1.5, 1.5, 1.5]
    assert frame.times[-1, 1] == (AT - FIVE).timestamp()
    assert np.isnan(frame.close[:, 1:]).all()


def test_a_bar_has_closed_at_the_last_instant_of_it():
    assert len(convert.bars(("A",), FIVE, {"A": [bar(0)]}, AT + FIVE, 10)) == 1
    assert len(convert.bars(("A",), FIVE, {"A": [bar(0)]}, AT + FIVE - timedelta(seconds=1), 10)) == 0


@pytest.mark.parametrize(
    ("start", "interval", "kept"),
    [
        ("2008-10-07T13:25", 5, False),  # 9:25 in New York, summer time
        ("2008-10-07T13:30", 5, True),
        ("2008-10-07T19:55", 5, True),
        ("2008-10-07T20:00", 5, False),
        ("2008-11-07T14:29", 1, False),  # winter time
        ("2008-11-07T14:30", 1, True),
        ("2008-11-07T20:59", 1, True),
        ("2008-11-07T21:00", 1, False),
        ("2008-11-08T00:30", 5, False),  # the next day in UTC, the same evening in New York
        ("2008-10-07T13:00", 60, True),  # half of it is regular
        ("2008-10-07T12:00", 60, False),
        ("2008-10-07T04:00", 24 * 60, True),
    ],
)
def test_bars_of_extended_hours_are_left_out(start, interval, kept):
    rows = {"A": [bar(0, t=start + ":00Z")]}
    end = datetime.fromisoformat(start).replace(tzinfo=UTC) + timedelta(days=2)
    assert len(convert.bars(("A",), timedelta(minutes=interval), rows, end, 3)) == kept


def test_the_newest_bars_are_kept():
    rows = [bar(5 * n) for n in range(-10, 0)]
    assert len(convert.bars(("A",), FIVE, {"A": rows}, AT, 3)) == 3


@pytest.mark.parametrize("bad", [{"t": "2008-10-07T14:00:00"}, {"o": "x"}, {"c": [1, 2]}])
def test_a_bar_that_is_none_raises(bad):
    with pytest.raises((ValueError, TypeError)):
        convert.bars(("A",), FIVE, {"A": [bar(-5, **bad)]}, AT, 3)


def test_an_activity_that_is_no_trade_comes_over_with_what_it_has():
    split = convert.activity(SPLIT)
    assert (split.type, split.sub_type, split.symbol, split.qty) == ("SPLIT", "FSPLIT", "AAPL", D(30))
    assert split.at == datetime(2020, 8, 31, tzinfo=UTC), "only its day is known"
    assert convert.activity({**SPLIT, "created_at": WHEN}).at == SEEN
    fee = {"id": "20200831::f", "activity_type": "fee", "date": "2020-08-31", "net_amount": "-0.02"}
    found = convert.activity(fee)
    assert (found.type, found.symbol, found.qty, found.amount) == ("FEE", "", None, D("-0.02"))


def test_an_order_says_whose_place_it_took():
    report = convert.order({**ORDER, "replaces": "o-0", "replaced_by": "o-2"})
    assert (report.replaces, report.replaced_by) == ("o-0", "o-2")
