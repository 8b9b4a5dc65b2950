"""The life of an order: a row for each line of BEHAVIOUR 3 ("Lifecycle", "Cancel / replace", "Classes", "Time in
force") and 4, as a script of what is done and what is seen.

A step is (what, name, ...): ``post`` an order's fields and the status of the reply, ``to`` a New York instant of
November 2007, ``is`` a status (and more fields), ``legs`` their statuses, ``del`` and ``patch`` with the answer,
``close`` a position with parameters and the answer, ``has`` a position's fields, ``rejected`` what a fault makes of it.
Each order is of one share, so that none fills in parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from tests.unit.exchange.conftest import World
from tests.unit.exchange.test_refusals import new_york

FAR = {"type": "limit", "limit_price": 1}  # a buy that never fills
NEAR = {"type": "limit", "limit_price": 900}  # a buy that fills at the next tick
GTC = {"time_in_force": "gtc"}
UP, DOWN = {"take_profit": {"limit_price": 900}}, {"stop_loss": {"stop_price": 1}}
TRAIL = {"type": "trailing_stop", "trail_percent": 5}
OCO = {"order_class": "oco", "side": "sell", "type": "limit"}
MORNING, PRE, NOON, EVENING, NIGHT = "13 10:00", "13 8:00", "13 12:00", "13 17:00", "13 21:00"
HALF = "23 11:00"  # the day after Thanksgiving closes at 13:00

Step = tuple[Any, ...]


class Row(NamedTuple):
    """``line`` says which line of BEHAVIOUR it holds up."""

    line: str
    start: str
    steps: tuple[Step, ...]


def life(line: str, start: str, *steps: Step) -> Row:
    return Row(line, start, steps)


ROWS = [
    # Lifecycle
    life("POST reply: pending_new in session", MORNING, ("post", "a", FAR, "pending_new"), ("is", "a", "new")),
    life("POST reply: accepted out of session", NIGHT, ("post", "a", FAR, "accepted"), ("is", "a", "accepted"),
         ("to", "14 9:30"), ("is", "a", "new")),
    life("then filled", MORNING, ("post", "a", {}, "pending_new"), ("is", "a", "filled", {"filled_qty": "1"})),
    life("a 200 can still become rejected", MORNING, ("fault", "rejected_after"), ("post", "a", FAR, "pending_new"),
         ("is", "a", "rejected")),
    life("expired: day at close", MORNING, ("post", "a", FAR, "pending_new"), ("to", "13 15:59"), ("is", "a", "new"),
         ("to", "13 16:00"), ("is", "a", "expired", {"expired_at": "2007-11-13T21:00:00Z"})),
    life("expired: day at an early close", HALF, ("post", "a", FAR, "pending_new"), ("to", "23 12:59"),
         ("is", "a", "new"), ("to", "23 13:00"), ("is", "a", "expired", {"expires_at": "2007-11-23T18:00:00Z"})),
    life("day orders of the evening live to the next close", NIGHT, ("post", "a", FAR, "accepted"),
         ("to", "14 15:59"), ("is", "a", "new", {"expires_at": "2007-11-14T21:00:00Z"}), ("to", "14 16:00"),
         ("is", "a", "expired")),
    # 90 days on is Monday, 11 February 2008
    life("gtc expires 90 days on, at 16:15", MORNING, ("post", "a", FAR | GTC, "pending_new"),
         ("to", "13 23:00"), ("is", "a", "new", {"expires_at": "2008-02-11T21:15:00Z"}), ("days", 88),
         ("is", "a", "new"), ("days", 2), ("is", "a", "expired", {"expired_at": "2008-02-11T21:15:00Z"})),
    # cancel
    life("DELETE: 204, then canceled", MORNING, ("post", "a", FAR, "pending_new"), ("del", "a", 204, ""),
         ("is", "a", "canceled", {"canceled_at": "2007-11-13T15:00:00Z"})),
    life("DELETE out of hours stays pending_cancel", NIGHT, ("post", "a", FAR, "accepted"), ("del", "a", 204, ""),
         ("is", "a", "pending_cancel"), ("del", "a", 422, "order pending cancel"), ("to", "14 9:30"),
         ("is", "a", "canceled")),
    life("DELETE of a filled one", MORNING, ("post", "a", {}, "pending_new"),
         ("del", "a", 422, 'order is already in "filled" state')),
    life("DELETE of a canceled one: 204", MORNING, ("post", "a", FAR, "pending_new"), ("del", "a", 204, ""),
         ("del", "a", 204, "")),
    life("DELETE of an expired one", MORNING, ("post", "a", FAR, "pending_new"), ("to", "13 16:00"),
         ("del", "a", 422, 'order is already in "expired" state')),
    life("DELETE of a replaced one", MORNING, ("post", "a", FAR, "pending_new"),
         ("patch", "a", {"limit_price": 2}, "b"), ("del", "a", 422, 'order is already in "replaced" state')),
    life("DELETE of a rejected one", MORNING, ("fault", "rejected_after"), ("post", "a", FAR, "pending_new"),
         ("del", "a", 422, 'order is already in "rejected" state')),
    life("204 of a cancel that then fills", MORNING, ("post", "a", FAR, "pending_new"), ("fault", "cancel_filled"),
         ("del", "a", 204, ""), ("is", "a", "filled")),
    # replace
    life("PATCH: a new id, the old is replaced", MORNING, ("post", "a", FAR, "pending_new"),
         ("patch", "a", {"limit_price": 2}, "b"), ("is", "a", "replaced"), ("is", "b", "new", {"limit_price": "2"})),
    life("PATCH not while accepted", NIGHT, ("post", "a", FAR, "accepted"),
         ("patch", "a", {"limit_price": 2}, "unable to replace order, order isn't sent to exchange yet")),
    life("PATCH not while pending_cancel", NIGHT, ("post", "a", FAR, "accepted"), ("del", "a", 204, ""),
         ("patch", "a", {"limit_price": 2}, "cannot replace order in pending_cancel status")),
    life("PATCH not while pending_replace", MORNING, ("post", "a", FAR, "pending_new"), ("fault", "replace_rejected"),
         ("patch", "a", {"limit_price": 2}, "b"), ("is", "a", "pending_replace"),
         ("patch", "a", {"limit_price": 3}, "cannot replace order in pending_replace status")),
    life("PATCH of a filled one", MORNING, ("post", "a", {}, "pending_new"),
         ("patch", "a", {"qty": 2}, "cannot replace order in filled status")),
    life("PATCH of a replaced one", MORNING, ("post", "a", FAR, "pending_new"), ("patch", "a", {"qty": 2}, "b"),
         ("patch", "a", {"qty": 3}, "order already replaced")),
    life("PATCH: nothing new", MORNING, ("post", "a", FAR, "pending_new"),
         ("patch", "a", {"limit_price": 1, "qty": "1"}, "order parameters are not changed")),
    life("PATCH: notional never", NIGHT, ("post", "a", FAR | {"qty": None, "notional": 5}, "accepted"),
         ("to", "14 9:31"), ("patch", "a", {"limit_price": 2}, "cannot replace notional orders")),
    life("PATCH: no notional", MORNING, ("post", "a", FAR, "pending_new"),
         ("patch", "a", {"notional": 20}, "notional cannot be replaced")),
    life("PATCH: fractional qty not", MORNING, ("post", "a", FAR | {"qty": "1.5"}, "pending_new"),
         ("patch", "a", {"qty": 2}, "qty of fractional orders cannot be replaced"),
         ("patch", "a", GTC, "fractional orders must be DAY orders"), ("patch", "a", {"limit_price": 2}, "b")),
    life("PATCH: time in force", MORNING, ("post", "a", FAR, "pending_new"), ("patch", "a", GTC, "b"),
         ("to", "13 17:00"), ("is", "b", "new")),
    life("PATCH: ids are unique for ever", MORNING, ("post", "a", FAR | {"client_order_id": "x"}, "pending_new"),
         ("patch", "a", {"qty": 2, "client_order_id": "x"}, "client_order_id must be unique"),
         ("patch", "a", {"qty": 2, "client_order_id": "y"}, "b"), ("is", "b", "new", {"client_order_id": "y"})),
    life("PATCH: the wash table holds", MORNING, ("post", "p", {}, "pending_new"), ("post", "a", FAR, "pending_new"),
         ("post", "b", {"side": "sell", "type": "limit", "limit_price": 900}, "pending_new"),
         ("patch", "b", {"limit_price": 1}, "potential wash trade detected. use complex orders")),
    life("replace 200, then the old fills and the new is rejected", MORNING, ("post", "a", FAR, "pending_new"),
         ("fault", "replace_filled"), ("patch", "a", {"limit_price": 2}, "b"), ("is", "a", "filled"),
         ("is", "b", "rejected")),
    # classes
    life("bracket: legs held, TP new on the fill, stop stays held", MORNING,
         ("post", "a", {"order_class": "bracket"} | UP | DOWN, "pending_new"), ("reply legs", "a", "held held"),
         ("legs", "a", "new held"), ("to", "13 16:00"), ("legs", "a", "expired expired")),
    life("bracket: an entry that waits", MORNING,
         ("post", "a", FAR | {"order_class": "bracket"} | UP | {"stop_loss": {"stop_price": "0.5"}}, "pending_new"),
         ("legs", "a", "held held"), ("del", "a", 204, ""), ("is", "a", "canceled"),
         ("legs", "a", "canceled canceled")),
    life("bracket: an entry that expires", MORNING,
         ("post", "a", FAR | {"order_class": "bracket"} | UP | {"stop_loss": {"stop_price": "0.5"}}, "pending_new"),
         ("to", "13 16:00"), ("is", "a", "expired"), ("legs", "a", "expired expired")),
    life("bracket: canceling a leg cancels the other", MORNING,
         ("post", "a", {"order_class": "bracket"} | UP | DOWN, "pending_new"), ("del leg", "a", 1),
         ("legs", "a", "canceled canceled"), ("has", {"qty": "1", "qty_available": "1"})),
    life("bracket: the take-profit fills, the stop ends", MORNING,
         ("post", "a", {"order_class": "bracket"} | UP | DOWN, "pending_new"),
         ("patch leg", "a", 0, {"limit_price": "1.01"}), ("legs", "a", "filled canceled"), ("has", None)),
    life("bracket: the stop elects, the take-profit ends", MORNING,
         ("post", "a", {"order_class": "bracket"} | UP | DOWN, "pending_new"),
         ("patch leg", "a", 1, {"stop_price": 800}), ("to", "13 10:01"), ("legs", "a", "canceled filled"),
         ("has", None)),
    life("bracket: a stop-limit stop", MORNING,
         ("post", "a", {"order_class": "bracket"} | UP | {"stop_loss": {"stop_price": 2, "limit_price": 1}},
          "pending_new"), ("legs", "a", "new held"), ("leg", "a", 1, {"type": "stop_limit", "limit_price": "1"})),
    life("oto: one leg, which works after the fill", MORNING,
         ("post", "a", {"order_class": "oto"} | DOWN, "pending_new"), ("legs", "a", "new"),
         ("has", {"qty_available": "0"})),
    life("oco: the parent is the take-profit, the leg the stop", MORNING, ("post", "p", {}, "pending_new"),
         ("post", "a", OCO | UP | DOWN, "pending_new"), ("is", "a", "new", {"limit_price": "900"}),
         ("legs", "a", "held"), ("has", {"qty_available": "0"}), ("del", "a", 204, ""), ("legs", "a", "canceled"),
         ("has", {"qty_available": "1"})),
    # trailing stops
    life("trailing_stop: new at once, in session", MORNING, ("post", "p", {}, "pending_new"),
         ("post", "a", TRAIL | {"side": "sell"}, "new")),
    life("trailing_stop: new at once, out of session", NIGHT, ("post", "a", TRAIL, "new"), ("is", "a", "new"),
         ("to", "14 9:29"), ("is", "a", "new"), ("patch", "a", {"trail": 4}, "b"),
         ("is", "b", "new", {"trail_percent": "4"})),
    life("trailing_stop: regular hours only", NIGHT, ("post", "a", TRAIL, "new"), ("to", "14 9:29"),
         ("unmoved", "a"), ("to", "14 16:00"), ("is", "a", "expired")),
    # time in force
    life("ioc: what cannot be had at once is canceled", MORNING, ("post", "a", FAR | {"time_in_force": "ioc"},
         "pending_new"), ("is", "a", "canceled")),
    life("ioc: fills at once", MORNING, ("post", "a", NEAR | {"time_in_force": "ioc"}, "pending_new"),
         ("is", "a", "filled")),
    life("fok: all or canceled", MORNING, ("post", "a", FAR | {"time_in_force": "fok"}, "pending_new"),
         ("is", "a", "canceled"), ("post", "b", NEAR | {"time_in_force": "fok", "qty": 400}, "pending_new"),
         ("is", "b", "filled", {"filled_qty": "400"})),
    life("ioc of the night meets the open", NIGHT, ("post", "a", FAR | {"time_in_force": "ioc"}, "accepted"),
         ("to", "14 9:30"), ("is", "a", "canceled")),
    life("opg fills at the official open", PRE, ("post", "a", {"time_in_force": "opg"}, "accepted"), ("to", "13 9:29"),
         ("is", "a", "accepted"), ("to", "13 9:30"),
         ("is", "a", "filled", {"filled_avg_price": "160.85", "filled_at": "2007-11-13T14:30:00Z"})),
    life("opg: a limit that the open does not meet is canceled", PRE, ("post", "a", FAR | {"time_in_force": "opg"},
         "accepted"), ("to", "13 9:30"), ("is", "a", "canceled")),
    life("opg taken from 19:00 on for the next day", "13 19:00", ("post", "a", {"time_in_force": "opg"}, "accepted"),
         ("to", "14 9:30"), ("is", "a", "filled", {"filled_at": "2007-11-14T14:30:00Z"})),
    life("opg of a weekend", "17 12:00", ("post", "a", {"time_in_force": "opg"}, "accepted"), ("to", "19 9:30"),
         ("is", "a", "filled", {"filled_at": "2007-11-19T14:30:00Z"})),
    life("cls fills at the official close", MORNING, ("post", "a", {"time_in_force": "cls"}, "pending_new"),
         ("is", "a", "new"), ("to", "13 15:59"), ("is", "a", "new"), ("to", "13 16:00"),
         ("is", "a", "filled", {"filled_avg_price": "169.96", "filled_at": "2007-11-13T21:00:00Z"})),
    life("cls: a limit that the close does not meet is canceled", MORNING,
         ("post", "a", FAR | {"time_in_force": "cls"}, "pending_new"), ("to", "13 16:00"), ("is", "a", "canceled")),
    life("cls of the morning before the open", PRE, ("post", "a", {"time_in_force": "cls"}, "accepted"),
         ("to", "13 9:30"), ("is", "a", "new"), ("to", "13 16:00"), ("is", "a", "filled")),
    life("cls on a half day", HALF, ("post", "a", {"time_in_force": "cls"}, "pending_new"), ("to", "23 13:00"),
         ("is", "a", "filled", {"filled_at": "2007-11-23T18:00:00Z"})),
    # extended hours
    life("not extended: queues to the next open", EVENING, ("post", "a", NEAR, "accepted"), ("to", "14 9:29"),
         ("is", "a", "accepted"), ("to", "14 9:30"), ("is", "a", "filled", {"filled_at": "2007-11-14T14:30:00Z"})),
    life("not extended: waits beside one that is", EVENING, ("post", "a", NEAR, "accepted"),
         ("post", "b", FAR | {"extended_hours": True}, "pending_new"), ("to", "13 18:00"), ("is", "b", "new"),
         ("is", "a", "accepted")),
    life("extended: trades in the pre-market", PRE, ("post", "a", NEAR | {"extended_hours": True}, "pending_new"),
         ("is", "a", "filled")),
    life("extended: of the night trades from 4:00 on", NIGHT,
         ("post", "a", NEAR | {"extended_hours": True}, "accepted"),
         ("to", "14 3:59"), ("is", "a", "accepted"), ("to", "14 4:05"), ("is", "a", "filled")),
    life("extended: a day order expires at 20:00", EVENING,
         ("post", "a", FAR | {"extended_hours": True}, "pending_new"),
         ("is", "a", "new", {"expires_at": "2007-11-14T01:00:00Z"}), ("to", "13 19:59"), ("is", "a", "new"),
         ("to", "13 20:00"), ("is", "a", "expired")),
    life("extended: at 17:00 after an early close", HALF, ("post", "a", FAR | {"extended_hours": True}, "pending_new"),
         ("to", "23 16:59"), ("is", "a", "new"), ("to", "23 17:00"), ("is", "a", "expired")),
    life("extended: canceled at once in the evening", EVENING,
         ("post", "a", FAR | {"extended_hours": True}, "pending_new"), ("del", "a", 204, ""), ("is", "a", "canceled")),
    life("extended gtc goes on", EVENING, ("post", "a", FAR | GTC | {"extended_hours": True}, "pending_new"),
         ("to", "14 12:00"), ("is", "a", "new")),
    # positions
    life("close: whole, by a market order", MORNING, ("post", "p", {"qty": "1.5"}, "pending_new"),
         ("close", {}, 200, {"qty": "1.5", "side": "sell", "type": "market"}), ("has", None)),
    life("close: a quantity", MORNING, ("post", "p", {"qty": 1}, "pending_new"), ("close", {"qty": "0.25"}, 200, {}),
         ("has", {"qty": "0.75"})),
    life("close: a percentage", MORNING, ("post", "p", {"qty": "1.5"}, "pending_new"),
         ("close", {"percentage": "50"}, 200, {"qty": "0.75"}), ("has", {"qty": "0.75"})),
    life("close: a percentage of whole shares is whole shares", MORNING,
         ("post", "p", {"qty": 3, "time_in_force": "fok"}, "pending_new"),
         ("close", {"percentage": "50"}, 200, {"qty": "1"})),
    life("close: not both", MORNING, ("post", "p", {}, "pending_new"),
         ("close", {"qty": 1, "percentage": 5}, 422, {"message": "only one of qty or percentage is accepted"})),
    life("close: more than there is", MORNING, ("post", "p", {}, "pending_new"),
         ("close", {"qty": 2}, 403, {"available": "1"})),
    life("close: does not cancel what rests", MORNING, ("post", "p", {}, "pending_new"),
         ("post", "a", {"side": "sell", "type": "stop", "stop_price": 1}, "pending_new"),
         ("close", {}, 403, {"available": "0", "held_for_orders": "1"}), ("is", "a", "new")),
    life("close: a short one", MORNING, ("post", "p", {"side": "sell"}, "pending_new"), ("has", {"qty": "-1"}),
         ("close", {}, 200, {"side": "buy"}), ("has", None)),
]  # fmt: skip


class Stage:
    """Plays the steps of one row."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.orders: dict[str, Any] = {}

    def play(self, what: str, *args: Any) -> None:
        getattr(self, what.replace(" ", "_") + "_")(*args)

    def post_(self, name: str, fields: Mapping[str, Any], status: str) -> None:
        found = self.orders[name] = self.world.order(**{"qty": 1} | dict(fields))
        assert found["status"] == status

    def fault_(self, kind: str) -> None:
        more = {"seconds": 3600} if kind == "replace_rejected" else {}
        self.world.faults.replace([{"kind": kind} | more])

    def to_(self, when: str) -> None:
        self.world.exchange.advance(new_york(when))

    def days_(self, count: int) -> None:
        self.world.pass_time(days=count)

    def is_(self, name: str, status: str, more: Mapping[str, Any] | None = None) -> None:
        found = self.world.look(self.orders[name]["id"])
        expected = {"status": status} | dict(more or {})
        assert {key: found[key] for key in expected} == expected

    def unmoved_(self, name: str) -> None:
        found = self.world.look(self.orders[name]["id"])
        assert {key: found[key] for key in ("hwm", "stop_price", "status")} == {
            key: self.orders[name][key] for key in ("hwm", "stop_price", "status")
        }

    def _legs(self, name: str) -> Any:
        return self.world.look(self.orders[name]["id"])["legs"]

    def reply_legs_(self, name: str, statuses: str) -> None:
        assert [leg["status"] for leg in self.orders[name]["legs"]] == statuses.split()

    def legs_(self, name: str, statuses: str) -> None:
        assert [leg["status"] for leg in self._legs(name)] == statuses.split()

    def leg_(self, name: str, number: int, fields: Mapping[str, Any]) -> None:
        assert {key: self._legs(name)[number][key] for key in fields} == fields

    def del_(self, name: str, status: int, message: str) -> None:
        got, body = self.world.call("DELETE", f"/v2/orders/{self.orders[name]['id']}")
        assert (got, (body or {}).get("message", "")) == (status, message)

    def del_leg_(self, name: str, number: int) -> None:
        assert self.world.call("DELETE", f"/v2/orders/{self._legs(name)[number]['id']}") == (204, None)

    def patch_(self, name: str, changes: Mapping[str, Any], outcome: str) -> None:
        """``outcome`` is the name of the new order, or the message of the refusal."""
        status, body = self.world.call("PATCH", f"/v2/orders/{self.orders[name]['id']}", changes)
        if len(outcome) > 1:
            assert body.get("message") == outcome
            assert status == (403 if "wash" in outcome else 422)
            return
        assert (status, body.get("replaces")) == (200, self.orders[name]["id"]), body
        self.orders[outcome] = body

    def patch_leg_(self, name: str, number: int, changes: Mapping[str, Any]) -> None:
        leg = self._legs(name)[number]
        assert self.world.call("PATCH", f"/v2/orders/{leg['id']}", changes)[0] == 200

    def close_(self, params: Mapping[str, Any], status: int, fields: Mapping[str, Any]) -> None:
        got, body = self.world.call("DELETE", "/v2/positions/AAPL", **params)
        assert (got, {key: body[key] for key in fields}) == (status, fields)

    def has_(self, fields: Mapping[str, Any] | None) -> None:
        status, body = self.world.call("GET", "/v2/positions/AAPL")
        assert (status == 404) == (fields is None)
        assert fields is None or {key: body[key] for key in fields} == fields


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.line)
def test_each_line_of_the_life_of_an_order(make_world, row):
    stage = Stage(make_world(new_york(row.start)))
    for step in row.steps:
        stage.play(*step)


def test_the_instants_are_new_yorks():
    assert new_york("13 10:00") == datetime.fromisoformat("2007-11-13T10:00:00-05:00")
    assert new_york("13 21:00") == datetime.fromisoformat("2007-11-13T21:00:00-05:00")


# trailing stops


@pytest.mark.parametrize(("side", "terms"), [("sell", {"trail_price": "1.5"}), ("buy", {"trail_percent": "0.9"})])
def test_a_trailing_stop_follows_and_never_turns_back(make_world, side, terms):
    """Tick by tick: the mark is the best trade since, the stop its distance behind, and the end a market order."""
    world = make_world(new_york(MORNING))
    if side == "sell":
        world.filled(qty=1)
    order = world.order(side=side, qty=1, type="trailing_stop", **terms)
    best = world.last()
    for wait_s in (15, 30, 14, 1) * 300:  # from tick to tick
        world.pass_time(seconds=wait_s)
        last, found = world.last(), world.look(order["id"])
        best = max(best, last) if side == "sell" else min(best, last)
        away = Decimal(terms["trail_price"]) if side == "sell" else -best * Decimal(terms["trail_percent"]) / 100
        stop = (best - away).quantize(Decimal("0.0001"))
        hit = last <= stop if side == "sell" else last >= stop
        assert (Decimal(found["hwm"]), Decimal(found["stop_price"])) == (best, stop)
        assert found["status"] == ("filled" if hit else "new")
        if hit:
            bid, ask = world.quote()
            assert Decimal(found["filled_avg_price"]) == (bid if side == "sell" else ask)
            return
    raise AssertionError("it never came to its stop")


def test_another_trail_keeps_the_mark(make_world):
    world = make_world(new_york(MORNING))
    world.filled(qty=2, time_in_force="fok")
    old = world.order(side="sell", qty=1, type="trailing_stop", trail_price="8", time_in_force="gtc")
    world.pass_time(minutes=30)
    mark = world.look(old["id"])["hwm"]
    status, new = world.call("PATCH", f"/v2/orders/{old['id']}", {"trail": 9.5})
    assert (status, new["hwm"], new["trail_price"], new["trail_percent"]) == (200, mark, "9.5", None)
    assert Decimal(new["stop_price"]) == Decimal(mark) - Decimal("9.5")
    assert world.look(old["id"])["replaced_by"] == new["id"]
    for changes, message in [
        ({"trail": "9.5"}, "order parameters are not changed"),
        ({"trail": "-1"}, "trail_price must be > 0"),
        ({"trail": 1_000}, "trail must leave a stop price > 0"),
        ({"stop_price": 5}, "trailing stop orders require no stop or limit price"),
        ({"time_in_force": "fok"}, "trailing_stop orders must be DAY or GTC orders"),
    ]:
        body = world.call("PATCH", f"/v2/orders/{new['id']}", changes)[1]
        assert body["message"] == message
    assert world.call("PATCH", f"/v2/orders/{new['id']}", {"qty": 2, "trail": ""})[1]["qty"] == "2"


def test_the_mark_outlives_a_restart(make_world):
    world = make_world(new_york(MORNING), file=True)
    order = world.order(qty=1, type="trailing_stop", trail_price="20")
    world.pass_time(minutes=100)
    found = world.look(order["id"])
    assert found["hwm"] != order["hwm"]
    world.close()
    assert make_world(None, file=True).look(order["id"]) == found


def test_a_notional_exit_holds_what_it_is_taken_to_sell(make_world):
    world = make_world(new_york(NIGHT))
    world.order(qty=5, time_in_force="opg")
    world.exchange.advance(new_york("14 21:00"))
    order = world.order(side="sell", qty=None, notional="300")
    last = world.last()
    free = Decimal(world.get("/v2/positions/AAPL")["qty_available"])
    assert free == 5 - (300 / last).quantize(Decimal("1e-9"))
    assert order["qty"] is None
    assert world.call("DELETE", "/v2/positions/AAPL")[0] == 403
    world.exchange.advance(new_york("15 9:31"))
    sold = world.look(order["id"])
    assert sold["qty"] == sold["filled_qty"] != "0"
    assert Decimal(world.get("/v2/positions/AAPL")["qty_available"]) == 5 - Decimal(sold["qty"])


def test_a_stop_that_elected_is_replaced_as_the_limit_order_that_it_is(make_world):
    world = make_world(new_york(MORNING))
    world.filled(qty=1)
    stop = {"type": "stop_limit", "side": "sell", "qty": 1}
    order = world.order(stop_price=str(world.last()), limit_price="900", **stop)
    for minutes in range(1, 200):  # until the market is far above the stop again
        world.pass_time(minutes=minutes)
        if world.last() > Decimal(order["stop_price"]):
            break
    status, new = world.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1"})
    assert (status, world.look(new["id"])["status"]) == (200, "filled")


# order lists


def test_order_lists_page_both_ways(world):
    ids = []
    for price in range(1, 8):
        ids.append(world.order(type="limit", limit_price=price, symbol="AAPL" if price % 2 else "MSFT")["id"])
        world.pass_time(seconds=1)

    def pages(**params: Any) -> list[str]:
        found: list[str] = []
        while rows := world.get("/v2/orders", limit=2, **params):
            found += [row["id"] for row in rows]
            params["before_order_id" if params["direction"] == "desc" else "after_order_id"] = found[-1]
        return found

    assert pages(direction="desc") == ids[::-1]
    assert pages(direction="asc") == ids
    assert pages(direction="asc", symbols="AAPL,IBM") == ids[::2]
    times = [world.look(one)["submitted_at"] for one in ids]
    between = world.get("/v2/orders", after=times[1], until=times[4], direction="asc")
    assert [row["id"] for row in between] == ids[2:4]
    assert world.get("/v2/orders", side="sell") == []
    assert len(world.get("/v2/orders", side="buy", asset_class="us_option,us_equity")) == 7
    assert world.get("/v2/orders", asset_class="us_option") == []
    assert world.get("/v2/orders", status="closed") == []


def test_the_limit_is_fifty_unless_told_otherwise(world):
    for number in range(52):
        world.order(type="limit", limit_price=1, qty=number + 1)
    assert len(world.get("/v2/orders")) == 50
    assert len(world.get("/v2/orders", limit=500)) == 52
