"""Chains and quotes of contracts over the wire: what can be a quote comes over exactly, what cannot is not there."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import PreparedRequest

from gambler_ai.broker.option_data import option_quote, quotes_of
from gambler_ai.core.structures import ChainQuery, Greeks, OptionQuote
from gambler_ai.errors import BrokerAuthError, BrokerError, BrokerRefused, ReadFailed
from tests.unit.broker.conftest import Wire, data_on
from tests.unit.broker.test_convert import CALL, PUT, WHEN, anything
from tests.unit.fakes import D

SEEN = datetime(2008, 10, 7, 14, 0, 0, 123456, tzinfo=UTC)
TOLD = {"t": WHEN, "bp": 3.1, "ap": 3.25, "bs": 4, "as": 5, "c": "A"}
GREEKS = {"delta": 0.5, "gamma": 0.02, "theta": -0.1, "vega": 0.2, "rho": 0.01}
SNAPSHOT: dict[str, Any] = {"latestQuote": TOLD, "greeks": GREEKS, "impliedVolatility": 0.33, "latestTrade": {"p": 1}}
QUOTE = OptionQuote(CALL, D("3.1"), D("3.25"), SEEN, Greeks(0.5, 0.02, -0.1, 0.2, 0.33))
QUERY = ChainQuery("AAPL", date(2007, 12, 1), date(2007, 12, 31), D(10))


def answer(**snapshots: Any) -> tuple[int, Any]:
    return 200, {"snapshots": snapshots, "next_page_token": None}


def test_a_chain_is_asked_for_around_the_price_and_read_whole():
    wire = Wire(answer(**{CALL: SNAPSHOT, PUT: {"latestQuote": TOLD}}))
    found = data_on(wire).chain(QUERY, D(160))
    assert found == {CALL: QUOTE, PUT: OptionQuote(PUT, D("3.1"), D("3.25"), SEEN)}
    assert wire.paths() == ["GET /v1beta1/options/snapshots/AAPL"]
    assert wire.queries() == [{
        "feed": "indicative", "strike_price_gte": "144.0", "strike_price_lte": "176.0", "limit": "1000",
        "expiration_date_gte": "2007-12-01", "expiration_date_lte": "2007-12-31",
    }]  # fmt: skip


def test_a_chain_is_read_page_after_page():
    pages = [(200, {"snapshots": {s: SNAPSHOT}, "next_page_token": token}) for s, token in ((CALL, "n"), (PUT, None))]
    wire = Wire(*pages)
    assert set(data_on(wire).chain(QUERY, D(160))) == {CALL, PUT}
    assert [query.get("page_token") for query in wire.queries()] == [None, "n"]


@pytest.mark.parametrize(
    "other",
    ["AAPL1071221C00160000", "MSFT071221C00160000", "AAPL", "", "AAPL080101C00160000", "AAPL071130C00160000",
     "AAPL071221C00143500", "AAPL071221C00176500"],
)  # fmt: skip
def test_a_contract_that_nobody_asked_for_is_left_out(other):
    """AAPL1 is what a split has made of a contract; the last ones lie beside the expiries or the strikes."""
    edges = ["AAPL071231C00144000", "AAPL071201C00176000"]
    found = data_on(Wire(answer(**dict.fromkeys([*edges, other], SNAPSHOT)))).chain(QUERY, D(160))
    assert set(found) == set(edges)


def test_contracts_are_asked_for_by_the_hundred():
    symbols = [f"AAPL071221C{strike:05}000" for strike in range(100, 201)]

    def reply(request: PreparedRequest) -> tuple[int, Any]:
        wire = Wire()
        wire.sent = [request]
        asked = wire.queries()[0]["symbols"].split(",")
        return answer(**dict.fromkeys([*asked, PUT], SNAPSHOT))

    wire = Wire(reply)
    assert set(data_on(wire).option_quotes(symbols)) == set(symbols), "and what comes unasked is left out"
    assert [len(query["symbols"].split(",")) for query in wire.queries()] == [100, 1]
    assert wire.paths() == ["GET /v1beta1/options/snapshots"] * 2
    assert data_on(Wire()).option_quotes([]) == {}, "for nothing nothing is asked"


@pytest.mark.parametrize(
    ("bid", "ask", "seen"),
    [
        (3.1, 3.25, (D("3.1"), D("3.25"))),
        (3.25, 3.25, (D("3.25"), D("3.25"))),
        ("3.10", "3.25", (D("3.10"), D("3.25"))),
        (0, 0.05, (None, D("0.05"))),
        (0.05, 0, (D("0.05"), None)),
        (0, 0, None),
        (3.26, 3.25, None),
        (-1, 3.25, None),
        (3.1, 10_000_000, None),
        (10_000_001, 10_000_002, None),
    ],
)
def test_what_is_crossed_or_absurd_is_no_quote_and_without_a_bid_nobody_buys(bid, ask, seen):
    quote = option_quote(CALL, {"latestQuote": {**TOLD, "bp": bid, "ap": ask}})
    assert (None if quote is None else (quote.bid, quote.ask)) == seen


@pytest.mark.parametrize("snapshot", [{}, {"latestQuote": None}, {"latestTrade": {"p": 1}, "greeks": GREEKS}])
def test_a_contract_that_is_not_quoted_is_not_there(snapshot):
    assert quotes_of({CALL: snapshot}, lambda _: True) == {}


ODD: list[Any] = ["NaN", "1e999", None, "x", True, [], "1e-99"]
BROKEN: list[Any] = [
    None, [], "x", {"latestQuote": []}, {"latestQuote": {}}, {"latestQuote": "x"},
    *({"latestQuote": {**TOLD, key: bad}} for key in ("bp", "ap") for bad in ODD),
    *({"latestQuote": {k: v for k, v in TOLD.items() if k != gone}} for gone in ("bp", "ap", "t")),
    *({"latestQuote": {**TOLD, "t": bad}} for bad in (None, 7, "soon", "2008-10-07T14:00:00", "9999-12-31T23:59:59Z")),
]  # fmt: skip


@pytest.mark.parametrize("snapshot", BROKEN, ids=str)
def test_one_that_cannot_be_read_is_left_out_and_nothing_but_such_is_an_error(snapshot):
    assert quotes_of({PUT: snapshot, CALL: SNAPSHOT}, lambda _: True) == {CALL: QUOTE}
    with pytest.raises(ValueError, match=f"none of its quotes of contracts can be read; {PUT}"):
        quotes_of({PUT: snapshot}, lambda _: True)


@pytest.mark.parametrize("bad", ["NaN", None, [], True, float("inf"), 10**400])
def test_a_greek_that_is_none_leaves_none_of_them_and_a_volatility_only_itself(bad):
    for name in ("delta", "gamma", "theta", "vega"):
        quote = option_quote(CALL, {**SNAPSHOT, "greeks": {**GREEKS, name: bad}})
        assert quote is not None
        assert quote.greeks is None
    quote = option_quote(CALL, {**SNAPSHOT, "impliedVolatility": bad})
    assert quote is not None
    assert quote.greeks == Greeks(0.5, 0.02, -0.1, 0.2, None)
    assert option_quote(CALL, {**SNAPSHOT, "greeks": "x"}) == OptionQuote(CALL, D("3.1"), D("3.25"), SEEN)


@given(st.sampled_from(["latestQuote", "greeks", "impliedVolatility"]), st.sampled_from(sorted(TOLD)), anything)
def test_no_field_of_a_snapshot_can_do_worse_than_that(part, key, value):
    for snapshot in ({**SNAPSHOT, part: value}, {**SNAPSHOT, "latestQuote": {**TOLD, key: value}}):
        found = quotes_of({CALL: snapshot, PUT: SNAPSHOT}, lambda _: True)
        assert set(found) <= {CALL, PUT}
        assert PUT in found


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ((200, "x"), ReadFailed), ((200, "null"), ReadFailed), ((200, {}), ReadFailed), ((200, []), ReadFailed),
        ((200, {"snapshots": []}), ReadFailed), ((200, {"snapshots": 1, "next_page_token": None}), ReadFailed),
        ((503, "<html>"), ReadFailed), ((429, {}), ReadFailed), ((401, {}), BrokerAuthError),
        ((403, {"message": "OPRA agreement is not signed"}), BrokerAuthError),
        ((422, {"code": 42210000, "message": "invalid underlying"}), BrokerRefused),
        ((501, {"code": 50110000, "message": "no option prices"}), ReadFailed),
    ],
    ids=str,
)  # fmt: skip
def test_chains_that_do_not_come_are_an_error_and_never_empty(reply, error):
    for ask in (lambda d: d.chain(QUERY, D(160)), lambda d: d.option_quotes([CALL])):
        with pytest.raises(error):
            ask(data_on(Wire(reply)))


def test_a_chain_that_never_ends_ends():
    wire = Wire((200, {"snapshots": {CALL: SNAPSHOT}, "next_page_token": "again"}))
    with pytest.raises(BrokerError, match="does not end"):
        data_on(wire).chain(QUERY, D(160))
    assert len(wire.sent) <= 1_001


def test_shares_and_contracts_go_through_one_session():
    wire = Wire((200, {"trades": {}}), answer(**{CALL: SNAPSHOT}))
    data = data_on(wire)
    data.trades(["AAPL"])
    data.option_quotes([CALL])
    assert wire.paths() == ["GET /v2/stocks/trades/latest", "GET /v1beta1/options/snapshots"]
    assert all(o["timeout"] for o in wire.options)
