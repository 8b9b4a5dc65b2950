"""The life of an order: our own moves follow the table, the broker's word never raises, an id is its decision."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gambler_ai.core.model import Side, is_sane_price, round_price
from gambler_ai.core.orders import (
    FINAL,
    FROM_ALPACA,
    IN_FLIGHT,
    TRANSITIONS,
    Purpose,
    Role,
    Status,
    bracket_body,
    client_order_id,
    entry_decision_id,
    market_body,
    moved,
    observed,
    oco_body,
    position_decision_id,
    role_of,
    stop_body,
)
from gambler_ai.errors import IllegalTransition
from tests.unit.fakes import AT, D, entry, protect, report_of

S = Status
AT_BROKER = {
    S.WORKING, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.PENDING_REPLACE, S.FILLED, S.CANCELED, S.EXPIRED,
    S.REJECTED, S.REPLACED,
}  # fmt: skip

# The life cycle as ARCHITECTURE 5 and RECOVERY_PROTOCOL 2.1 draw it, written down a second time.
LEGAL = {
    S.PLANNED: AT_BROKER | {S.UNKNOWN, S.VOID, S.DISPUTED},
    S.UNKNOWN: AT_BROKER | {S.VOID, S.DISPUTED},
    S.WORKING: AT_BROKER | {S.DISPUTED},
    S.PARTIALLY_FILLED: AT_BROKER - {S.WORKING, S.REJECTED} | {S.DISPUTED},
    S.PENDING_CANCEL: AT_BROKER | {S.DISPUTED},
    S.PENDING_REPLACE: AT_BROKER | {S.DISPUTED},
    S.VOID: {S.DISPUTED},
    S.DISPUTED: AT_BROKER | {S.VOID},
    **{s: set() for s in (S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED, S.REPLACED, S.DENIED)},
}
PAIRS = [(before, to) for before in Status for to in Status if before is not to]


@pytest.mark.parametrize(("before", "to"), PAIRS, ids=lambda s: s.value)
def test_our_own_move_is_legal_only_if_the_table_has_it(before, to):
    if to in LEGAL[before]:
        assert moved(before, to) is to
    else:
        with pytest.raises(IllegalTransition, match=f"from {before} to {to}"):
            moved(before, to)


@pytest.mark.parametrize("status", list(Status))
def test_a_move_to_where_it_is_changes_nothing(status):
    assert moved(status, status) is status


def test_the_table_has_every_status():
    assert {before: set(to) for before, to in TRANSITIONS.items()} == LEGAL


def test_final_and_in_flight_are_what_the_protocol_says():
    assert {S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED, S.REPLACED, S.DENIED, S.VOID} == FINAL
    assert {S.PLANNED, S.UNKNOWN} == IN_FLIGHT
    assert {s for s in Status if s.is_final} == FINAL
    assert not S.DISPUTED.is_final


WIRE = {
    **dict.fromkeys(
        ("new", "accepted", "pending_new", "held", "accepted_for_bidding", "stopped", "suspended", "calculated",
         "pending_review", "done_for_day"), S.WORKING,
    ),
    **{s.value: s for s in AT_BROKER - {S.WORKING}},
}  # fmt: skip


def test_each_status_string_of_alpaca_has_its_meaning():
    assert FROM_ALPACA == WIRE


@pytest.mark.parametrize("text", sorted(WIRE))
@pytest.mark.parametrize("before", [S.PLANNED, S.UNKNOWN, S.WORKING, S.PENDING_CANCEL, S.PENDING_REPLACE, S.DISPUTED])
def test_a_report_on_an_order_under_way_is_taken_as_it_is(before, text):
    assert observed(before, text) == (WIRE[text], "")


@pytest.mark.parametrize(
    ("before", "text", "after", "odd"),
    [
        (S.VOID, "new", S.WORKING, "arrived after it was given up"),
        (S.VOID, "filled", S.FILLED, "arrived after it was given up"),
        (S.VOID, "canceled", S.CANCELED, "arrived after it was given up"),
        (S.CANCELED, "filled", S.FILLED, "filled after canceled"),
        (S.EXPIRED, "filled", S.FILLED, "filled after expired"),
        (S.REJECTED, "filled", S.FILLED, "filled after rejected"),
        (S.FILLED, "new", S.FILLED, "working after filled"),
        (S.FILLED, "canceled", S.FILLED, "canceled after filled"),
        (S.FILLED, "partially_filled", S.FILLED, "partially_filled after filled"),
        (S.CANCELED, "pending_cancel", S.CANCELED, "pending_cancel after canceled"),
        (S.CANCELED, "new", S.CANCELED, "working after canceled"),
        (S.FILLED, "filled", S.FILLED, ""),
        (S.CANCELED, "canceled", S.CANCELED, ""),
        (S.PARTIALLY_FILLED, "new", S.WORKING, ""),
        (S.PARTIALLY_FILLED, "filled", S.FILLED, ""),
        (S.PLANNED, "brand_new", S.WORKING, "unknown status 'brand_new'"),
        (S.UNKNOWN, "", S.WORKING, "unknown status ''"),
        (S.WORKING, "FILLED", S.WORKING, "unknown status 'FILLED'"),
        (S.PARTIALLY_FILLED, "brand_new", S.PARTIALLY_FILLED, "unknown status 'brand_new'"),
        (S.FILLED, "brand_new", S.FILLED, "unknown status 'brand_new'"),
        (S.VOID, "brand_new", S.VOID, "unknown status 'brand_new'"),
    ],
)
def test_a_report_that_does_not_fit_is_named(before, text, after, odd):
    assert observed(before, text) == (after, odd)


LIVE_WORDS = sorted(text for text, status in WIRE.items() if status not in FINAL)


@pytest.mark.parametrize("text", LIVE_WORDS)
@pytest.mark.parametrize("before", [S.CANCELED, S.EXPIRED, S.REJECTED, S.REPLACED])
def test_an_order_that_was_done_and_is_alive_at_a_later_moment_is_alive(before, text):
    assert observed(before, text, newer=True) == (WIRE[text], f"{WIRE[text]} after {before}")
    assert observed(before, text)[0] is before


@pytest.mark.parametrize("text", [*LIVE_WORDS, "canceled", "no such word"])
def test_what_is_filled_stays_filled_whatever_is_said_later(text):
    assert observed(S.FILLED, text, newer=True)[0] is S.FILLED


@given(st.sampled_from(list(Status)), st.one_of(st.sampled_from(sorted(WIRE)), st.text(max_size=40)))
def test_no_report_ever_raises_and_a_final_order_is_only_ever_reopened_from_void(before, text):
    status, odd = observed(before, text)
    if before.is_final and before is not S.VOID:
        assert status.is_final
    if text not in WIRE:
        assert odd
    assert status not in (S.PLANNED, S.UNKNOWN)


PARTS = {"account_id": "acc-1", "session_id": "s-1", "decision_id": "entry|m|AAPL|buy|t", "attempt": 0}


def an_id(**changes):
    return client_order_id(**{**PARTS, **changes})


def test_the_same_decision_has_the_same_id_for_ever():
    # A literal, so that no later change of the recipe can orphan the orders of a running session.
    assert an_id() == an_id()
    assert client_order_id("acc-1", "s-1", "entry|momentum|AAPL|buy|2008-10-07T13:55:00+00:00") == (
        "ga1-otmeev7dgl5utroemguhv7b34m"
    )


@pytest.mark.parametrize(
    "change", [{"account_id": "acc-2"}, {"session_id": "s-2"}, {"decision_id": "entry|m|AAPL|sell|t"}, {"attempt": 1}]
)
def test_an_id_differs_in_each_part_of_its_decision(change):
    assert an_id(**change) != an_id()


def test_parts_cannot_run_into_each_other():
    assert an_id(account_id="a", session_id="bc") != an_id(account_id="ab", session_id="c")


@given(st.text(), st.text(), st.text(), st.integers(0, 10**9))
def test_an_id_is_short_plain_and_ours(account, session, decision, attempt):
    coid = client_order_id(account, session, decision, attempt)
    assert coid.startswith("ga1-")
    assert len(coid) == 30  # Alpaca took 48 once
    assert set(coid[4:]) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_a_decision_is_named_by_what_was_seen():
    assert entry_decision_id("m", "AAPL", Side.BUY, AT) == "entry|m|AAPL|buy|2008-10-07T14:00:00+00:00"
    ids = {
        entry_decision_id("m", "AAPL", Side.BUY, AT),
        entry_decision_id("n", "AAPL", Side.BUY, AT),
        entry_decision_id("m", "MSFT", Side.BUY, AT),
        entry_decision_id("m", "AAPL", Side.SELL, AT),
        entry_decision_id("m", "AAPL", Side.BUY, AT + timedelta(minutes=5)),
    }
    assert len(ids) == 5
    assert position_decision_id(Purpose.EXIT, "p", 3) == "exit|p|3"


BODIES = [
    (
        bracket_body("ga1-x", "AAPL", Side.BUY, D("10"), D("104.00"), D("98.00")),
        '{"symbol":"AAPL","qty":"10","side":"buy","type":"market","time_in_force":"gtc","order_class":"bracket",'
        '"take_profit":{"limit_price":"104.00"},"stop_loss":{"stop_price":"98.00"},"client_order_id":"ga1-x"}',
    ),
    (
        oco_body("ga1-x", "AAPL", Side.SELL, D("4"), D("104.00"), D("98.00")),
        '{"symbol":"AAPL","qty":"4","side":"sell","type":"limit","time_in_force":"gtc","order_class":"oco",'
        '"take_profit":{"limit_price":"104.00"},"stop_loss":{"stop_price":"98.00"},"client_order_id":"ga1-x"}',
    ),
    (
        market_body("ga1-x", "AAPL", Side.SELL, D("0.5")),
        '{"symbol":"AAPL","qty":"0.5","side":"sell","type":"market","time_in_force":"day","client_order_id":"ga1-x"}',
    ),
    (
        stop_body("ga1-x", "AAPL", Side.SELL, D("0.5"), D("98.01")),
        '{"symbol":"AAPL","qty":"0.5","side":"sell","type":"stop","time_in_force":"day","stop_price":"98.01",'
        '"client_order_id":"ga1-x"}',
    ),
]


@pytest.mark.parametrize(("body", "expected"), BODIES, ids=["bracket", "oco", "market", "stop"])
def test_a_body_is_exactly_these_bytes(body, expected):
    assert body == expected


@pytest.mark.parametrize("qty", ["1E+2", "0.000000001", "1E-9"])
def test_no_quantity_is_written_with_an_exponent(qty):
    sent = json.loads(market_body("ga1-x", "AAPL", Side.BUY, D(qty)))["qty"]
    assert "E" not in sent.upper()
    assert D(sent) == D(qty)


def test_the_hash_of_an_intent_is_of_its_bytes():
    intent = entry()
    assert intent.body_sha256 != replace(intent, body=intent.body + " ").body_sha256
    assert len(intent.body_sha256) == 64


@pytest.mark.parametrize(
    ("purpose", "changes", "role"),
    [
        (Purpose.ENTRY, {}, Role.ENTRY),
        (Purpose.PROTECT, {"order_class": "oco"}, Role.TARGET),
        (Purpose.PROTECT, {"order_class": "simple", "type": "stop"}, Role.STOP),
        (Purpose.EXIT, {"order_class": "simple", "type": "market"}, Role.EXIT),
    ],
)
def test_what_an_order_does_follows_from_why_it_was_asked_for(purpose, changes, role):
    intent = entry() if purpose is Purpose.ENTRY else protect("p")
    assert role_of(purpose, replace(report_of(intent), **changes)) is role


@pytest.mark.parametrize(
    ("price", "rounded"),
    [("100.005", "100.00"), ("100.015", "100.02"), ("1", "1.00"), ("0.99996", "1.0000"), ("0.12345", "0.1234")],
)
def test_prices_are_rounded_to_what_alpaca_takes(price, rounded):
    assert str(round_price(Decimal(price))) == rounded


@pytest.mark.parametrize(
    ("price", "sane"),
    [("0.0001", True), ("9999999.99", True), ("10000000", False), ("0", False), ("-1", False), ("NaN", False),
     ("sNaN", False), ("Infinity", False)],
)  # fmt: skip
def test_a_price_is_finite_above_zero_and_below_ten_million(price, sane):
    assert is_sane_price(Decimal(price)) is sane
