"""The exchange against Alpaca's own OpenAPI documents: what it answers, and what it answers to what they generate."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from requests.structures import CaseInsensitiveDict
from starlette.routing import Match

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.rest.catalogue import NOT_SERVED
from gambler_ai.exchange.rest.routes import CONTROL_PREFIX, ROUTES
from tests.openapi import DIFFERENCES, Validator, documents, needs_documents, operation_of, operations
from tests.unit.exchange.conftest import World, order_body

pytestmark = needs_documents

START = datetime(2007, 11, 13, 15, 0, tzinfo=UTC)  # 10:00 in New York, a Tuesday
#: Requests that each operation gets; at night in rounds, each of another seed, as many as there is time for.
EXAMPLES, ROUND, ROUNDS = 5, 100, 10

CONTRACT, HIGHER = "MSFT071221C00035000", "MSFT071221C00036000"
SPREAD = {
    "order_class": "mleg", "qty": "2", "type": "market", "time_in_force": "day",
    "legs": [
        {"symbol": CONTRACT, "ratio_qty": "1", "side": "buy", "position_intent": "buy_to_open"},
        {"symbol": HIGHER, "ratio_qty": "1", "side": "sell", "position_intent": "sell_to_open"},
    ],
}  # fmt: skip

#: Query strings for each GET route; one that is not here is asked without.
QUERIES = {
    "/v2/orders": ("status=all&limit=500", "status=all&nested=true", "status=closed&direction=asc", ""),
    "/v2/orders:by_client_order_id": ("client_order_id=mine",),
    "/v2/account/activities": ("", "activity_types=FILL,SPLIT&page_size=2", "category=non_trade_activity",
        "activity_types=OPEXC,OPTRD",
    ),
    "/v2/account/portfolio/history": (
        "", "period=1D", "period=1W&timeframe=15Min", "period=1D&timeframe=1H&intraday_reporting=continuous",
        "period=1A&pnl_reset=no_reset&cashflow_types=ALL",
    ),
    "/v2/assets": ("", "status=active&exchange=NASDAQ", "asset_class=crypto"),
    "/v2/calendar": (
        "start=2007-11-01&end=2007-11-30", "start=2007-11-26T00:00:00Z&end=2007-11-26&date_type=SETTLEMENT",
    ),
    "/v2/watchlists:by_name": ("name=mine",),
    "/v2/corporate_actions/announcements": ("ca_types=split&since=2005-01-01&until=2005-03-31",),
    "/v3/clock": ("", "markets=NYSE,XNAS&time=2007-11-23T20:00:00Z"),
    "/v3/calendar/{market}": ("", "start=2007-11-20&end=2007-11-27&timezone=UTC"),
    "/v2/stocks/bars": ("symbols=AAPL,MSFT&timeframe=5Min&start=2007-11-12&limit=100",),
    "/v2/stocks/{symbol}/bars": ("timeframe=1Day&start=2007-10-01",),
    "/v2/stocks/{kind}/latest": ("symbols=AAPL,MSFT",),
    **{
        f"/v2/stocks/{one}{kind}": (f"{'' if one else 'symbols=AAPL,MSFT&'}start=2007-11-13&limit=100",)
        for kind in ("trades", "quotes", "auctions")
        for one in ("", "{symbol}/")
    },
    "/v2/stocks/snapshots": ("symbols=AAPL,MSFT",),
    "/v2/stocks/meta/conditions/{ticktype}": ("tape=A",),
    "/v2/options/contracts": ("", "underlying_symbols=MSFT&show_deliverables=true&limit=5", "status=inactive&limit=3"),
    "/v1beta1/options/bars": (f"symbols={CONTRACT}&timeframe=1Day&start=2007-11-01",),
    "/v1beta1/options/trades": (f"symbols={CONTRACT}&start=2007-11-13&limit=20",),
    "/v1beta1/options/trades/latest": (f"symbols={CONTRACT}",),
    "/v1beta1/options/quotes/latest": (f"symbols={CONTRACT}&feed=indicative",),
    "/v1beta1/options/snapshots": (f"symbols={CONTRACT}",),
    "/v1beta1/options/snapshots/{underlying_symbol}": ("limit=20", "type=put&expiration_date=2007-12-21"),
}  # fmt: skip


class Account:
    """An exchange in which something has happened, and ids of it for the parameters of paths."""

    def __init__(self) -> None:
        self.world = world = World(Exchange.open(None, start=START, seed=7))
        self.validator = Validator()
        world.session.hooks["response"].append(self.validator)
        bought = world.filled(symbol="AAPL", qty=10, client_order_id="mine")
        world.filled(symbol="IBM", qty=4, side="sell")
        world.bracket(symbol="MSFT", qty=7)
        world.filled(symbol=CONTRACT, qty=1)
        assert world.call("POST", f"/v2/positions/{CONTRACT}/exercise")[0] == 200
        assert world.call("POST", "/v2/orders", SPREAD)[0] == 200
        world.order(symbol="GOOG", qty=1, type="limit", limit_price="1", time_in_force="gtc")
        world.exchange.deeds.do("split", {"kind": "split", "symbol": "AAPL", "ratio": "2", "on": "2007-11-13"})
        _, watched = world.call("POST", "/v2/watchlists", {"name": "mine", "symbols": ["AAPL", "MSFT"]})
        day = {"ca_types": "split", "since": "2005-02-28", "until": "2005-02-28"}
        (announced,) = world.get("/v2/corporate_actions/announcements", **day)
        world.pass_time(days=1)
        self.known: dict[str, tuple[str, ...]] = {
            "order_id": (bought["id"],), "symbol": ("AAPL",), "symbol_or_asset_id": ("AAPL", "IBM"),
            "type": ("FILL", "SPLIT"), "activity_type": ("FILL", "SPLIT"),
            "watchlist_id": (watched["id"],), "market": ("NYSE", "XNAS"),
            "id": (announced["id"],), "kind": ("bars", "quotes", "trades"),
            "symbol_or_id": (CONTRACT,), "underlying_symbol": ("MSFT",), "ticktype": ("trade", "quote"),
            "symbol_or_contract_id": (CONTRACT,),
        }  # fmt: skip

    def paths(self, route: str) -> Iterator[str]:
        names = re.findall(r"\{(\w+)\}", route)
        missing = [name for name in names if name not in self.known]
        assert not missing, f"{route}: no example of {missing}; add one to Account.known"
        for values in product(*(self.known[name] for name in names)):
            path = route
            for name, value in zip(names, values, strict=True):
                path = path.replace(f"{{{name}}}", value)
            yield path


@pytest.fixture
def account() -> Iterator[Account]:
    made = Account()
    yield made
    made.world.close()


def served() -> list[Any]:
    """The operations of the documents that a route answers."""
    found = []
    for method, _, operation in operations():
        path = re.sub(r"\{[^}]*\}", "x", operation.path)
        scope = {"type": "http", "path": path, "root_path": "", "method": method}
        if any(route.matches(scope)[0] == Match.FULL for route in ROUTES):
            found.append(operation)
    return found


def test_each_documented_operation_is_served_or_said_not_to_be():
    there = {operation.path for operation in served()}
    missing = {operation.path for _, _, operation in operations()} - there
    assert not [path for path in missing if not path.startswith(tuple(NOT_SERVED))]


def test_each_get_route_answers_as_documented(account):
    ours = set()
    for route in ROUTES:
        if "GET" not in (route.methods or ()) or route.path.startswith(CONTROL_PREFIX):
            continue
        for path, query in product(account.paths(route.path), QUERIES.get(route.path, ("",))):
            reply = account.world.session.get(f"{account.world.session.url}{path}?{query}")
            assert reply.status_code == 200, f"{path}?{query}: {reply.text}"
            if operation_of("GET", path) is None:
                ours.add(route.path)
    assert ours <= {"/v2/stocks/{symbol}/{kind}/latest"}, "routes that Alpaca's documents do not have"


def test_each_order_reply_is_as_documented(account):
    world = account.world
    bodies = [
        order_body(), order_body(type="limit", limit_price="100"), order_body(notional="150.55", qty=None),
        order_body(symbol="MSFT", type="stop", stop_price="500"), order_body(symbol="IBM", side="buy", qty=1),
        order_body(symbol="MSFT", type="stop_limit", stop_price="500", limit_price="501", time_in_force="gtc"),
        order_body(symbol=HIGHER, qty=1, side="buy"), SPREAD,
    ]  # fmt: skip
    taken = [world.call("POST", "/v2/orders", body) for body in bodies]
    assert [status for status, _ in taken] == [200] * len(bodies), taken
    world.bracket(symbol="GOOG", qty=2)
    limit = world.order(symbol="MSFT", type="limit", limit_price="1")
    world.pass_time(minutes=1)
    assert world.call("PATCH", f"/v2/orders/{limit['id']}", {"limit_price": "1.5"})[0] == 200
    assert world.call("POST", "/v2/orders", order_body(qty=-1))[0] == 422
    assert world.call("DELETE", "/v2/positions/AAPL", qty="1")[0] == 200
    assert world.call("DELETE", "/v2/positions", cancel_orders="true")[0] == 207
    assert world.call("DELETE", "/v2/orders")[0] == 207
    for row in world.get("/v2/orders", status="all"):
        world.look(row["id"])
    seen = {(method, path) for method, path, _ in account.validator.seen}
    assert seen >= {("POST", "/v2/orders"), ("PATCH", "/v2/orders/{order_id}"), ("DELETE", "/v2/positions")}


def test_what_is_not_as_documented_fails(account):
    """The validator must be able to say no."""
    reply = account.world.session.get(account.world.session.url + "/v2/account")
    reply._content = reply.content.replace(b'"cash":"', b'"cash":1,"was":"')
    with pytest.raises(Exception, match="cash"):
        account.validator(reply)


def test_each_difference_is_one():
    """A document that has caught up needs no row any more."""
    for difference in DIFFERENCES:
        assert difference.reason
        assert difference.document in documents()


def test_no_documented_request_is_answered_without_keys():
    world = World(Exchange.open(None, start=START, seed=7))
    found = served()
    assert len(found) > 40
    for headers in ({}, {"APCA-API-KEY-ID": "PKBAD", "APCA-API-SECRET-KEY": "bad"}, {"Authorization": "Bearer bad"}):
        world.session.headers = CaseInsensitiveDict(headers)
        for operation in found:
            path = re.sub(r"\{[^}]*\}", "x", operation.path)
            assert world.call(operation.method.upper(), path)[0] == 401, operation.path
    world.close()


def generated(account: Account, operation: Any, number: int, examples: int) -> Counter[int]:
    """Requests as the document describes them; in every other one, ids are those that there are."""
    import schemathesis
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

    world, statuses = account.world, Counter[int]()
    checks = [schemathesis.checks.not_a_server_error, response_schema_conformance, content_type_conformance]
    asked = 0

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        nonlocal asked
        asked += 1
        if asked % 2:
            case.path_parameters = case.path_parameters and {
                name: account.known.get(name, (value,))[0] for name, value in case.path_parameters.items()
            }
            if isinstance(case.body, dict) and case.path == "/v2/orders":
                case.body |= {"symbol": "AAPL", "side": "buy", "qty": "1"}
        reply = case.call(base_url=world.session.url, session=world.session)
        statuses[reply.status_code] += 1
        case.validate_response(reply, checks=checks)

    run()
    return statuses


def test_generated_requests_meet_no_fault(account, record_property):
    account.world.session.hooks["response"].clear()
    found = served()
    statuses = sum((generated(account, operation, 1, EXAMPLES) for operation in found), Counter[int]())
    record_property("answers", dict(sorted(statuses.items())))
    assert statuses.total() >= EXAMPLES * len(found) // 2
    assert statuses[200] > 40
    assert not [status for status in statuses if status >= 500]


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_many_generated_requests_meet_no_fault(account, allowance, count):
    account.world.session.hooks["response"].clear()
    points = list(product(served(), range(ROUNDS)))
    count("rounds of generated requests, in all", len(points))
    for operation, number in allowance.share(points):
        statuses = generated(account, operation, allowance.seed + number, ROUND)
        assert not [status for status in statuses if status >= 500], f"{operation.method} {operation.path}"
        count("generated requests", statuses.total())
        count("rounds of generated requests")
