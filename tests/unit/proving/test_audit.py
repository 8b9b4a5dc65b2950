"""Each rule of the audit, with both sides in agreement and then not."""

import hashlib
import json
import zlib
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gambler_ai.proving.audit import GENESIS, RULES, Sides
from gambler_ai.proving.exchange import Fill
from gambler_ai.proving.remembering import Chain, linked

AT = datetime(2008, 10, 7, 13, 35, tzinfo=UTC)
COID, CHILD = "ga1-a", "ga1-b"
FILL = Fill("act-1", "AAPL", "buy", Decimal(99), Decimal("101.01"), AT)
SHORT = Fill("act-2", "MSFT", "sell", Decimal(400), Decimal("24.24"), AT)


def chained(*payloads: str) -> list[dict[str, Any]]:
    rows, head = [], GENESIS
    for seq, payload in enumerate(payloads, 1):
        head = hashlib.sha256(f"{head}\n{seq}\n{payload}".encode()).hexdigest()
        rows.append({"seq": seq, "kind": "Marked", "payload": payload, "hash": head, "at": AT.isoformat()})
    return rows


def leg(kind: str, **fields: str) -> dict[str, Any]:
    row = {"id": kind, "client_order_id": f"x-{kind}", "symbol": "AAPL", "side": "sell", "qty": "99"}
    return row | {"filled_qty": "0", "type": kind, "status": "new"} | fields


def posted(coid: str = COID, order_id: str | None = "o1") -> dict[str, Any]:
    return {"client_order_id": coid, "order_id": order_id}


def intent(**fields: str) -> dict[str, Any]:
    return {"symbol": "AAPL", "side": "buy", "qty": "99", "decision_id": "d1", "purpose": "entry"} | fields


def remembered(number: int, seq: int, set_aside: str = "") -> dict[str, Any]:
    """A row of what has seen so many facts."""
    chain = Chain()
    for _ in range(seq):
        chain = linked(chain, "Marked", AT)
    payload = zlib.compress(msgspec.msgpack.encode(("remembering", chain)))
    return {"number": number, "seq": seq, "set_aside": set_aside, "payload": payload}


JOURNAL = chained('{"a":1}', '{"b":2}')
ENTRY = {
    "id": "o1", "client_order_id": COID, "symbol": "AAPL", "side": "buy", "qty": "99", "filled_qty": "99",
    "type": "market", "status": "filled",
}  # fmt: skip
HELD = {"qty": "99", "stop_price": "98.98", "target_price": "105.04"}
GOOD: dict[str, Any] = {
    "session": {"seq": 2, "journal_hash": JOURNAL[-1]["hash"]},
    "journal": JOURNAL,
    "intents": {COID: intent()},
    "held": {"AAPL": HELD},
    "fills": [FILL],
    "resends": Counter(),
    "orders": [ENTRY | {"legs": [leg("stop"), leg("limit")]}],
    "log": [posted()],
    "executions": [("o1", FILL)],
    "positions": {"AAPL": Decimal(99)},
    "foreign": frozenset(),
    "remembered": [remembered(1, 1), remembered(2, 2)],
    "structures": [],
    "trades": [],
    "activities": [],
}


def broken(good: dict[str, Any] = GOOD, **fields: Any) -> dict[str, list[str]]:
    """Rule -> what it finds, of the rules that find something."""
    sides = Sides(**(good | fields))
    return {rule: found for rule, check in RULES.items() if (found := list(check(sides)))}


def test_two_sides_that_agree_break_nothing():
    assert broken() == {}


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "a row was changed": ({"journal": [JOURNAL[0] | {"payload": "{}"}, JOURNAL[1]]}, "the journal verifies"),
    "a row is missing": ({"journal": JOURNAL[1:]}, "the journal verifies"),
    "the last row is missing": ({"journal": JOURNAL[:1]}, "the journal verifies"),
    "an instant without UTC": (
        {"journal": [JOURNAL[0], JOURNAL[1] | {"at": "2008-10-07T13:35:00+02:00"}]}, "the journal verifies",
    ),
    "a fact was forgotten": ({"remembered": [remembered(1, 1) | {"seq": 2}]}, "nothing is forgotten"),
    "a fact was seen twice": ({"remembered": [remembered(1, 2) | {"seq": 1}]}, "nothing is forgotten"),
    "a memory from nowhere": ({"remembered": [remembered(1, 3)]}, "nothing is forgotten"),
    "a memory was set aside": ({"remembered": [remembered(1, 1, "rot")]}, "nothing is forgotten"),
    "accepted twice": ({"log": [posted(), posted()], "resends": Counter([COID])}, "no order twice"),
    "one signal, two ids": (
        {"log": [posted(), posted(CHILD, "o2")], "intents": {COID: intent(), CHILD: intent()}}, "no order twice",
    ),
    "sent and not stored": ({"log": [posted(), posted(CHILD, None)]}, "written before it is sent"),
    "sent again without a plan": ({"log": [posted(order_id=None), posted()]}, "no attempt too many"),
    "another quantity": ({"intents": {COID: intent(qty="98")}}, "the order that was asked for"),
    "another side": ({"intents": {COID: intent(side="sell")}}, "the order that was asked for"),
    "a fill is lost": ({"fills": []}, "no fill lost"),
    "a fill of nobody's": ({"fills": [FILL, SHORT]}, "no fill lost"),
    "a fill twice": ({"fills": [FILL, FILL]}, "no fill lost"),
    "a fill at another price": ({"fills": [FILL._replace(price=Decimal(1))]}, "no fill lost"),
    "fewer shares": ({"held": {"AAPL": HELD | {"qty": "98"}}}, "positions agree"),
    "a position nobody knows of": ({"positions": {"AAPL": Decimal(99), "IBM": Decimal(1)}}, "positions agree"),
    "no stop": ({"orders": [ENTRY | {"legs": [leg("limit")]}]}, "what is held is protected"),
    "a stop on the wrong side": (
        {"orders": [ENTRY | {"legs": [leg("stop", side="buy"), leg("limit")]}]}, "what is held is protected",
    ),
    "a stop for a part": (
        {"orders": [ENTRY | {"legs": [leg("stop", filled_qty="1"), leg("limit")]}]}, "what is held is protected",
    ),
    "a canceled target": (
        {"orders": [ENTRY | {"legs": [leg("stop"), leg("limit", status="canceled")]}]}, "what is held is protected",
    ),
    "the price of the stop is lost": ({"held": {"AAPL": HELD | {"stop_price": None}}}, "what is held is protected"),
    "an order without a position": (
        {"orders": [*GOOD["orders"], leg("limit", symbol="IBM")]}, "nothing rests without a position",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_agree_is_found(case: str):
    fields, rule = CASES[case]
    assert rule in broken(**fields)


def test_a_resend_that_was_planned_is_allowed():
    assert broken(log=[posted(order_id=None), posted()], resends=Counter([COID])) == {}


def test_what_others_hold_is_theirs():
    theirs: dict[str, Any] = {"positions": {"AAPL": Decimal(99), "IBM": Decimal(1)}, "foreign": frozenset({"IBM"})}
    assert broken(**theirs, orders=[*GOOD["orders"], leg("limit", symbol="IBM")]) == {}
    assert broken(held={"AAPL": HELD | {"qty": "98"}}, foreign=frozenset({"AAPL"})) == {}


# -- structures -----------------------------------------------------------------------------------

SHORT_CALL, LONG_CALL = "MSFT081010C00030000", "MSFT081010C00035000"
WAY_OUT, OTHER = "ga1-x", "ga1-o"


def contract(order_id: str, symbol: str, side: str, intent_of: str = "open", filled: str = "2") -> dict[str, Any]:
    """A leg of a spread at the exchange."""
    return {
        "id": order_id, "client_order_id": f"x-{order_id}", "symbol": symbol, "side": side, "qty": "2",
        "filled_qty": filled, "ratio_qty": "1", "position_intent": f"{side}_to_{intent_of}", "type": "limit",
        "status": "filled",
    }  # fmt: skip


def spread(coid: str = COID, order_id: str = "o1", **fields: Any) -> dict[str, Any]:
    """The order that sold one call and bought another, as the exchange has it: neither symbol nor side."""
    legs = [contract(f"{order_id}-s", SHORT_CALL, "sell"), contract(f"{order_id}-l", LONG_CALL, "buy")]
    return {
        "id": order_id, "client_order_id": coid, "symbol": "", "side": "", "qty": "2", "filled_qty": "2",
        "order_class": "mleg", "type": "limit", "limit_price": "-0.7", "status": "filled", "legs": legs,
    } | fields  # fmt: skip


def asked(coid: str = COID, ratio: str = "1", **fields: Any) -> dict[str, Any]:
    """Its intent."""
    legs = [
        {"symbol": SHORT_CALL, "ratio_qty": ratio, "side": "sell", "position_intent": "sell_to_open"},
        {"symbol": LONG_CALL, "ratio_qty": "1", "side": "buy", "position_intent": "buy_to_open"},
    ]
    body = json.dumps({"client_order_id": coid, "qty": "2", "limit_price": "-0.70", "legs": legs})
    row = intent(symbol="MSFT", qty="2", structure_id=COID, status="filled")
    return row | {"body": body} | fields


def told(seq: int, kind: str, **fact: Any) -> dict[str, Any]:
    return {"kind": kind, "payload": json.dumps(fact | {"type": kind}), "seq": seq, "at": AT.isoformat()}


def sealed(*rows: dict[str, Any]) -> dict[str, Any]:
    """A journal of these facts, and the session that ends with it."""
    links = chained(*(row["payload"] for row in rows))
    journal = [link | {"kind": row["kind"]} for link, row in zip(links, rows, strict=True)]
    return {"journal": journal, "session": {"seq": len(rows), "journal_hash": journal[-1]["hash"]}}


def executed(number: int, order_id: str, symbol: str, side: str, price: str) -> tuple[str, Fill]:
    return order_id, Fill(f"act-{number}", symbol, side, Decimal(2), Decimal(price), AT)


def booked(order_id: str, fill: Fill) -> dict[str, Any]:
    return told(0, "FillReported", fill={
        "order_id": order_id, "symbol": fill.symbol, "side": fill.side, "qty": f"{fill.qty}", "price": f"{fill.price}",
    })  # fmt: skip


SOLD, BOUGHT = executed(1, "o1-s", SHORT_CALL, "sell", "1.2"), executed(2, "o1-l", LONG_CALL, "buy", "0.5")
OPEN = [booked(*SOLD), booked(*BOUGHT)]
ROW = {
    "structure_id": COID, "units": 2, "cash": "140", "settled": 0, "ended_at": None,
    "legs": json.dumps([{"symbol": SHORT_CALL, "ratio": -1}, {"symbol": LONG_CALL, "ratio": 1}]),
}  # fmt: skip
LEGS = {SHORT_CALL: {"qty": "-2", "structure_id": COID}, LONG_CALL: {"qty": "2", "structure_id": COID}}
SPREAD: dict[str, Any] = GOOD | sealed(*OPEN) | {
    "intents": {COID: asked()}, "held": LEGS, "fills": [SOLD[1], BOUGHT[1]], "orders": [spread()],
    "executions": [SOLD, BOUGHT], "positions": {SHORT_CALL: Decimal(-2), LONG_CALL: Decimal(2)}, "remembered": [],
    "structures": [ROW],
}  # fmt: skip
ASSIGNED = told(
    0,
    "OptionSettled",
    symbol=SHORT_CALL,
    qty="-2",
    how="assigned",
    shares="-200",
    price="30",
    activity_ids=["a1", "a2"],
)  # fmt: skip
ACTIVITY = {"id": "a1", "activity_type": "OPASN", "symbol": SHORT_CALL, "qty": "2"}
#: The short call was assigned: the shares are short, and it cost what they brought.
DELIVERED: dict[str, Any] = SPREAD | sealed(*OPEN, ASSIGNED) | {
    "held": {LONG_CALL: LEGS[LONG_CALL], "MSFT": {"qty": "-200", "structure_id": COID}},
    "positions": {LONG_CALL: Decimal(2), "MSFT": Decimal(-200)}, "activities": [ACTIVITY],
    "structures": [ROW | {"cash": "6140", "settled": 1}],
}  # fmt: skip
GONE = [
    told(0, "Adjusted", symbol=SHORT_CALL, qty="0", price="1.0"),
    told(0, "Adjusted", symbol=LONG_CALL, qty="0", price="0.4"),
]
#: Closed by hand, each leg at a price that is known.
CLOSED: dict[str, Any] = SPREAD | sealed(*OPEN, *GONE) | {
    "held": {}, "positions": {}, "structures": [ROW | {"cash": "20", "ended_at": AT.isoformat()}],
    "trades": [{"structure_id": COID, "number": 1, "pnl": "20"}],
}  # fmt: skip
UNEVEN = {"held": {LONG_CALL: LEGS[LONG_CALL]}, "positions": {LONG_CALL: Decimal(2)}}
EXPLAINED = told(0, "Reconciled", discrepancies=[{"kind": "structure uneven", "order_id": COID}])
ADJUSTED = [*OPEN, told(0, "Adjusted", symbol=SHORT_CALL, qty="0", price=None)]


@pytest.mark.parametrize("good", [SPREAD, DELIVERED, CLOSED], ids=["open", "assigned", "closed"])
def test_structures_that_are_whole_break_nothing(good: dict[str, Any]):
    assert broken(good) == {}


def test_one_that_is_uneven_and_told_so_or_with_an_exit_on_its_way_is_explained():
    rows = {"structures": [ROW | {"cash": "140"}]}
    assert list(broken(SPREAD | sealed(*ADJUSTED), **UNEVEN, **rows)) == ["what is held is protected"]
    assert broken(SPREAD | sealed(*ADJUSTED, EXPLAINED), **UNEVEN, **rows) == {}
    leaving = {COID: asked(), WAY_OUT: asked(WAY_OUT, purpose="exit", status="working")}
    assert broken(SPREAD | sealed(*ADJUSTED), **UNEVEN, **rows, intents=leaving) == {}


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a leg in another ratio": (SPREAD, {"intents": {COID: asked(ratio="2")}}, "the order that was asked for"),
    "a leg the exchange does not have": (
        SPREAD, {"orders": [spread(legs=spread()["legs"][:1])]}, "the order that was asked for",
    ),
    "at another net price": (SPREAD, {"orders": [spread(limit_price="-0.8")]}, "the order that was asked for"),
    "opened twice": (
        SPREAD, {"intents": {COID: asked(), OTHER: asked(OTHER, symbol="MSFT")}}, "each structure is opened once",
    ),
    "a leg drawn twice": (
        SPREAD,
        {"intents": {COID: asked(), **{i: asked(i, purpose="leg", symbol=SHORT_CALL) for i in (WAY_OUT, OTHER)}}},
        "each structure is opened once",
    ),
    "opened by nothing": (
        SPREAD, {"structures": [ROW, ROW | {"structure_id": OTHER, "ended_at": "x", "cash": "0"}]},
        "each structure is opened once",
    ),
    "more than was planned": (SPREAD, {"structures": [ROW | {"units": 1}]}, "each structure is opened once"),
    "half of it": (SPREAD, UNEVEN, "what is held is protected"),
    "a structure that is over is held": (
        SPREAD, {"structures": [ROW | {"ended_at": AT.isoformat()}]}, "what is held is protected",
    ),
    "a structure nobody knows is held": (SPREAD, {"structures": []}, "what is held is protected"),
    "an open one of which nothing is held": (
        CLOSED, {"structures": [ROW | {"cash": "20"}], "trades": []}, "what is held is protected",
    ),
    "an assignment is lost": (
        SPREAD, {"activities": [ACTIVITY]}, "no settlement lost",
    ),
    "an assignment twice": (DELIVERED, sealed(*OPEN, ASSIGNED, ASSIGNED), "no settlement lost"),
    "an expiry of nobody's": (DELIVERED, {"activities": []}, "no settlement lost"),
    "another quantity of it": (DELIVERED, {"activities": [ACTIVITY | {"qty": "1"}]}, "no settlement lost"),
    "its cash is another": (SPREAD, {"structures": [ROW | {"cash": "139"}]}, "the money of a structure adds up"),
    "its trade says something else": (
        CLOSED, {"trades": [CLOSED["trades"][0] | {"pnl": "21"}]}, "the money of a structure adds up",
    ),
    "its trade knows no price": (
        CLOSED, {"trades": [CLOSED["trades"][0] | {"pnl": None}]}, "the money of a structure adds up",
    ),
    "no trade": (CLOSED, {"trades": []}, "the money of a structure adds up"),
    "legs that no fill brought": (SPREAD, sealed(*OPEN[:1]), "the money of a structure adds up"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_structure_is_found(case: str):
    good, fields, rule = WRONG[case]
    assert rule in broken(good, **fields)


def test_each_rule_is_broken_by_a_case():
    assert {rule for _, rule in CASES.values()} | {rule for *_, rule in WRONG.values()} == set(RULES)
