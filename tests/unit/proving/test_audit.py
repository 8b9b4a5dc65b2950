"""Each rule of the audit, with both sides in agreement and then not."""

import hashlib
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
}


def broken(**fields: Any) -> dict[str, list[str]]:
    """Rule -> what it finds, of the rules that find something."""
    sides = Sides(**(GOOD | fields))
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
    theirs = {"positions": {"AAPL": Decimal(99), "IBM": Decimal(1)}, "foreign": frozenset({"IBM"})}
    assert broken(**theirs, orders=[*GOOD["orders"], leg("limit", symbol="IBM")]) == {}
    assert broken(held={"AAPL": HELD | {"qty": "98"}}, foreign=frozenset({"AAPL"})) == {}


def test_each_rule_is_broken_by_a_case():
    assert {rule for _, rule in CASES.values()} == set(RULES)
