"""Both streams without a socket: what a subscriber hears of what happens, and what faults make of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.desk.events import EVENTS, OrderEvent
from gambler_ai.exchange.desk.orders import TRANSITIONS
from gambler_ai.exchange.streams.lines import FEEDS, ROWS_A_MESSAGE, DataLine, Feed, Line, TradeLine
from gambler_ai.exchange.streams.outbox import CLOSE, CUT, SLOW, Outbox
from gambler_ai.exchange.wire.entities import order_entity
from tests.unit.exchange.conftest import IN_SESSION, World

IEX = FEEDS["iex"]


class Client:
    """A connection that has no socket: what it says, and what is queued for it."""

    def __init__(self, line: Line, outbox: Outbox, world: World) -> None:
        self.line, self.outbox, self.world = line, outbox, world
        world.exchange.join(line)
        world.faults.watch(line.on_faults)
        line.greet()

    def say(self, **message: Any) -> None:
        self.line.hear(msgspec.json.encode(message), msgspec.json.decode)

    def heard(self) -> list[Any]:
        """What came since the last call, as JSON has it."""
        found = []
        while (message := self.outbox.take()) is not None:
            found.append(msgspec.json.decode(msgspec.json.encode(message)))
        return found

    def events(self) -> list[str]:
        return [message["data"]["event"] for message in self.heard()]

    def kinds(self) -> list[str]:
        return [row["T"] for message in self.heard() for row in message]

    def leave(self) -> None:
        self.world.faults.unwatch(self.line.on_faults)
        self.world.exchange.leave(self.line)


def trader(world: World, *, listening: bool = True, limit: int = 1000) -> Client:
    outbox = Outbox(lambda: None, limit)
    client = Client(TradeLine(world.exchange, world.faults, outbox), outbox, world)
    if listening:
        keys = {"key_id": world.exchange.key_id, "secret_key": world.exchange.secret_key}
        client.say(action="authenticate", data=keys)
        client.say(action="listen", data={"streams": ["trade_updates"]})
        assert [message["stream"] for message in client.heard()] == ["authorization", "listening"]
    return client


def watcher(world: World, *, limit: int = 1000, feed: Feed = IEX, **channels: list[str]) -> Client:
    """Authenticated; subscribed to these channels, if any."""
    outbox = Outbox(lambda: None, limit)
    line = DataLine(world.exchange, world.faults, outbox, claim=lambda: True, feed=feed)
    client = Client(line, outbox, world)
    client.say(action="auth", key=world.exchange.key_id, secret=world.exchange.secret_key)
    if channels:
        client.say(action="subscribe", **channels)
    client.heard()
    return client


# trade updates: the conversation


@pytest.mark.parametrize("newer", [False, True])
def test_both_spellings_of_authentication_are_taken(world, newer):
    client = trader(world, listening=False)
    key, secret = world.exchange.key_id, world.exchange.secret_key
    for given, status in ((secret + "x", "unauthorized"), (secret, "authorized")):
        if newer:
            client.say(action="auth", key=key, secret=given)
        else:
            client.say(action="authenticate", data={"key_id": key, "secret_key": given})
        expected = {"stream": "authorization", "data": {"status": status, "action": "authenticate"}}
        assert client.heard() == [expected]


def test_who_is_not_authorized_hears_nothing(world):
    client = trader(world, listening=False)
    client.say(action="listen", data={"streams": ["trade_updates"]})
    (answer,) = client.heard()
    assert answer == {"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}}
    world.order()
    assert client.heard() == []


def test_listen_replaces_the_set_and_drops_unknown_names(world):
    client = trader(world)
    client.say(action="listen", data={"streams": ["account_updates"]})
    assert client.heard() == [{"stream": "listening", "data": {"streams": []}}]
    world.order()
    client.say(action="listen", data={"streams": ["x", "trade_updates"]})
    assert client.heard() == [{"stream": "listening", "data": {"streams": ["trade_updates"]}}]


def test_a_wrong_key_later_ends_the_listening(world):
    client = trader(world)
    client.say(action="auth", key="x", secret="y")
    client.heard()
    world.order()
    assert client.heard() == []


@pytest.mark.parametrize(
    "junk", [b"", b"\xff", b'{"action":"\xff"}', b"[]", b"7", b'{"z":' + b"[" * 100_000, b'{"data":3}']
)
def test_junk_is_answered_and_changes_nothing(world, junk):
    client, data = trader(world), watcher(world)
    for line in (client, data):
        line.line.hear(junk, msgspec.json.decode)
        line.line.hear(junk, msgspec.msgpack.decode)
    expected = {"T": "error", "code": 400, "msg": "invalid syntax"}
    assert data.heard() == [[expected], [expected]]
    assert [message["stream"] for message in client.heard()] == ["error", "error"]
    world.order()
    assert client.events()


# trade updates: the events


def test_every_status_has_an_event():
    assert EVENTS.keys() == TRANSITIONS.keys()


def test_an_order_is_told_in_the_order_of_its_life(world):
    client = trader(world)
    order = world.filled(qty=1)
    pending, new, fill = client.heard()
    assert [message["data"]["order"]["status"] for message in (pending, new, fill)] == ["pending_new", "new", "filled"]
    assert set(pending["data"]) == {"event", "execution_id", "timestamp", "order"}
    data = fill["data"]
    assert (data["event"], data["qty"], data["position_qty"]) == ("fill", "1", "1")
    assert data["price"] == order["filled_avg_price"]
    assert data["order"] == order
    assert len({message["data"]["execution_id"] for message in (pending, new, fill)}) == 3
    (activity,) = world.get("/v2/account/activities/FILL")
    assert activity["id"].endswith("::" + data["execution_id"])


def test_parts_of_an_order_add_up_to_its_fill(world):
    client = trader(world)
    parts: list[Any] = []
    for _ in range(60):  # one order in ten fills in parts
        world.filled(qty=10, side="sell")
        parts = [m["data"] for m in client.heard() if m["data"]["event"] in ("partial_fill", "fill")]
        if len(parts) > 1:
            break
    assert [part["event"] for part in parts] == ["partial_fill"] * (len(parts) - 1) + ["fill"]
    assert len(parts) > 1
    assert sum(int(part["qty"]) for part in parts) == 10
    assert int(parts[-1]["position_qty"]) == int(parts[0]["position_qty"]) - 10 + int(parts[0]["qty"])


def test_a_bracket_tells_its_legs_held_working_and_canceled(world):
    client = trader(world)
    order = world.bracket(qty=1)
    assert client.events() == ["pending_new", "held", "held", "new", "fill", "new"]
    world.call("DELETE", f"/v2/orders/{order['legs'][1]['id']}")
    assert client.events() == ["canceled", "canceled"]


def test_a_replaced_order_names_its_successor(world):
    client = trader(world)
    order = world.order(type="limit", limit_price="1", qty=1)
    client.heard()
    _, new = world.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "2"})
    pending, coming, replaced, working = [message["data"] for message in client.heard()]
    assert (pending["event"], pending["order"]["id"], pending["order"]["replaced_by"]) == (
        "pending_replace", order["id"], None,
    )  # fmt: skip
    assert (coming["event"], coming["order"]["id"]) == ("pending_new", new["id"])
    assert (replaced["event"], replaced["order"]["replaced_by"]) == ("replaced", new["id"])
    assert (working["event"], working["order"]["replaces"]) == ("new", order["id"])


def test_outside_the_session_orders_are_accepted_pending_and_expire(make_world):
    world = make_world(IN_SESSION - timedelta(hours=2))
    client = trader(world)
    stays = world.order(type="limit", limit_price="1", qty=1)
    goes = world.order(type="limit", limit_price="1", qty=1)
    world.call("DELETE", f"/v2/orders/{goes['id']}")
    assert client.events() == ["accepted", "accepted", "pending_cancel"]
    world.pass_time(hours=9)
    found = [(message["data"]["order"]["id"], message["data"]["event"]) for message in client.heard()]
    assert found == [(stays["id"], "new"), (goes["id"], "canceled"), (stays["id"], "expired")]


def test_an_order_kept_waiting_by_a_fault_is_told_as_accepted(world):
    client = trader(world)
    world.faults.replace([{"kind": "accepted_only", "seconds": 600}])
    world.order()
    assert client.events() == ["accepted"]


def test_a_refused_order_is_no_event(world):
    client = trader(world)
    assert world.call("POST", "/v2/orders", {"symbol": "AAPL"})[0] == 422
    assert client.heard() == []


def test_who_comes_later_hears_nothing_of_before(world):
    world.order()
    client = trader(world)
    world.pass_time(seconds=1)
    assert client.heard() == []


class Reader:
    """Looks into the exchange's file whenever it is told something."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.pairs: list[tuple[str, str]] = []

    def on_orders(self, events: Sequence[OrderEvent]) -> None:
        db = sqlite3.connect(self.path)
        stored = dict(db.execute("SELECT id, status FROM orders"))
        db.close()
        self.pairs += [(stored[event.order.id], event.order.status) for event in events[-1:]]

    def on_move(self, from_us: int, to_us: int) -> None: ...

    def on_stop(self) -> None: ...


def test_what_is_told_is_in_the_file_already(make_world, tmp_path):
    world = make_world(file=True)
    reader = Reader(str(tmp_path / "exchange.db"))
    world.exchange.join(reader)
    world.filled(qty=1)
    order = world.order(type="limit", limit_price="1", qty=1)
    world.call("DELETE", f"/v2/orders/{order['id']}")
    assert reader.pairs == [("filled", "filled"), ("new", "new"), ("canceled", "canceled")]


def test_what_could_not_be_committed_is_not_told(make_world, tmp_path):
    world = make_world(file=True)
    client = trader(world)
    db = sqlite3.connect(tmp_path / "exchange.db")
    db.execute("CREATE TRIGGER full BEFORE INSERT ON orders BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    db.commit()
    db.close()
    with pytest.raises(sqlite3.DatabaseError, match="disk full"):
        world.order()
    assert client.heard() == []
    assert client.outbox.ending == CLOSE  # nothing more will happen here


def test_an_event_shows_the_order_as_it_was_then(world):
    seen: list[Any] = []

    class Keeper:
        def on_orders(self, events: Sequence[OrderEvent]) -> None:
            seen.extend(events)

        def on_move(self, from_us: int, to_us: int) -> None: ...

        def on_stop(self) -> None: ...

    world.exchange.join(Keeper())
    world.bracket(qty=1)
    first = order_entity(seen[0].order, seen[0].legs)
    assert [first["status"], *(leg["status"] for leg in first["legs"])] == ["pending_new", "held", "held"]


# market data


def test_the_conversation_about_market_data(world):
    outbox = Outbox(lambda: None)
    free = [True, False]
    lines = [DataLine(world.exchange, world.faults, outbox, claim=free.pop, feed=IEX) for _ in range(2)]
    second, client = (Client(line, outbox, world) for line in lines)
    key, secret = world.exchange.key_id, world.exchange.secret_key
    client.say(action="subscribe", bars=["AAPL"])
    client.say(action="auth", key=key, secret="wrong")
    second.say(action="auth", key=key, secret=secret)
    assert outbox.ending == CLOSE
    connected = [{"T": "success", "msg": "connected"}]
    assert client.heard() == [
        connected,
        connected,
        [{"T": "error", "code": 401, "msg": "not authenticated"}],
        [{"T": "error", "code": 402, "msg": "auth failed"}],
        [{"T": "error", "code": 406, "msg": "connection limit exceeded"}],
    ]


def test_subscriptions_add_up_and_the_whole_list_is_confirmed(world):
    client = watcher(world, feed=Feed(2))
    client.say(action="auth", key=world.exchange.key_id, secret=world.exchange.secret_key)
    client.say(action="subscribe", bars=["MSFT"], quotes=None)
    client.say(action="subscribe", bars=["AAPL"], trades=["AAPL"])
    client.say(action="subscribe", bars=["IBM"])
    client.say(action="unsubscribe", bars=["MSFT", "SPY"])
    client.say(action="subscribe", bars=["X" * 33])
    again, first, both, refused, fewer, no_symbol = (message[0] for message in client.heard())
    assert (again["code"], refused["code"], no_symbol["code"]) == (403, 405, 400)
    assert refused["msg"] == "symbol limit exceeded"
    assert (first["T"], first["bars"], first["trades"]) == ("subscription", ["MSFT"], [])
    assert (both["bars"], both["trades"], both["corrections"]) == (["AAPL", "MSFT"], ["AAPL"], ["AAPL"])
    assert (fewer["bars"], fewer["trades"]) == (["AAPL"], ["AAPL"])


def test_who_does_not_authenticate_in_time_is_told_so(world):
    late, quiet = Outbox(lambda: None), Outbox(lambda: None)
    client = Client(DataLine(world.exchange, world.faults, late, claim=lambda: True, feed=IEX), late, world)
    other = Client(TradeLine(world.exchange, world.faults, quiet), quiet, world)
    client.line.expire()
    other.line.expire()
    assert client.heard()[-1] == [{"T": "error", "code": 404, "msg": "auth timeout"}]
    assert (late.ending, quiet.ending) == (CLOSE, CLOSE)
    done = trader(world)
    done.line.expire()
    assert done.outbox.ending == ""


def test_a_bar_comes_when_its_minute_has_closed(world):
    client = watcher(world, bars=["AAPL"])
    world.pass_time(seconds=59)
    assert client.heard() == []
    world.pass_time(seconds=1)
    ((bar,),) = client.heard()
    (shown,) = world.get("/v2/stocks/AAPL/bars", timeframe="1Min", start="2007-11-13T15:00:00Z")["bars"]
    assert bar == {"T": "b", "S": "AAPL"} | shown


def test_trades_and_quotes_are_the_last_of_each_step(world):
    client = watcher(world, trades=["AAPL", "NOPE"], quotes=["MSFT"])
    world.pass_time(hours=1)
    ((trade, quote),) = client.heard()
    assert trade == {"T": "t", "S": "AAPL"} | world.get("/v2/stocks/AAPL/trades/latest")["trade"]
    assert quote == {"T": "q", "S": "MSFT"} | world.get("/v2/stocks/MSFT/quotes/latest")["quote"]
    world.pass_time(seconds=14)  # the next trade is at fifteen
    assert client.heard() == []
    world.pass_time(seconds=1)
    assert client.kinds() == ["t", "q"]


def test_an_hour_in_one_call_is_sixty_bars_and_a_year_is_a_day_of_them(world):
    client = watcher(world, bars=["*"], trades=["AAPL"])
    world.pass_time(hours=1)
    messages = client.heard()
    assert max(len(message) for message in messages) == ROWS_A_MESSAGE
    rows = [row for message in messages for row in message]
    listed = {row["S"] for row in rows}
    assert len(listed) > 3
    assert sum(row["T"] == "b" for row in rows) == 60 * len(listed)
    assert [row["t"] for row in rows if row["T"] == "b"] == sorted(row["t"] for row in rows if row["T"] == "b")
    world.pass_time(days=365)
    per_symbol = [row["S"] for message in client.heard() for row in message if row["T"] == "b"].count("AAPL")
    assert 0 < per_symbol <= 390


def test_the_last_minute_of_a_session_is_told_and_the_night_is_silent(make_world):
    world = make_world(datetime(2007, 11, 13, 20, 59, tzinfo=UTC))
    client = watcher(world, bars=["AAPL"], trades=["AAPL"])
    world.pass_time(minutes=1)
    assert client.kinds() == ["b", "t"]
    world.pass_time(hours=4)  # 20:00: the evening is over
    assert "t" in client.kinds()
    world.pass_time(hours=7, minutes=59)
    assert client.heard() == []
    world.pass_time(hours=5, minutes=30)  # 9:29 in New York
    client.heard()
    world.pass_time(minutes=2)
    assert set(client.kinds()) == {"b", "t"}


def test_the_day_so_far_comes_with_each_minute(world):
    client = watcher(world, dailyBars=["AAPL"])
    world.pass_time(minutes=2)
    ((day,),) = client.heard()
    minutes = world.get("/v2/stocks/AAPL/bars", timeframe="1Min", start="2007-11-13T14:30:00Z")["bars"]
    assert (day["T"], day["t"], day["o"]) == ("d", "2007-11-13T05:00:00Z", minutes[0]["o"])
    assert (day["h"], day["l"]) == (max(bar["h"] for bar in minutes), min(bar["l"] for bar in minutes))
    assert (day["c"], day["v"]) == (minutes[-1]["c"], sum(bar["v"] for bar in minutes))


def test_what_was_unsubscribed_is_silent(world):
    client = watcher(world, bars=["AAPL", "MSFT"])
    client.say(action="unsubscribe", bars=["AAPL"])
    client.heard()
    world.pass_time(minutes=1)
    assert [row["S"] for message in client.heard() for row in message] == ["MSFT"]


def test_a_connection_that_has_left_is_told_nothing(world):
    client, data = trader(world), watcher(world, bars=["AAPL"])
    client.leave()
    data.leave()
    world.faults.replace([{"kind": "stream_cut", "times": "always"}])
    world.order()
    world.pass_time(minutes=1)
    assert (client.heard(), data.heard(), client.outbox.ending) == ([], [], "")


# faults


def test_a_cut_without_pieces_acts_at_once_and_once(world):
    first, second = trader(world), trader(world)
    world.faults.replace([{"kind": "stream_cut", "stream": "trade_updates"}])
    assert sorted([first.outbox.ending, second.outbox.ending]) == ["", CUT]


def test_a_cut_waits_for_who_is_not_there_yet(world):
    client, data = trader(world, listening=False), watcher(world)
    world.faults.replace([{"kind": "stream_cut"}])
    client.say(action="auth", key=world.exchange.key_id, secret=world.exchange.secret_key)
    assert (client.outbox.ending, data.outbox.ending) == ("", "")
    client.say(action="listen", data={"streams": ["trade_updates"]})
    assert client.outbox.ending == CUT


def test_a_cut_with_pieces_takes_the_message_with_it(world):
    client = trader(world)
    world.faults.replace([{"kind": "stream_cut", "symbol": "MSFT", "contains": '"event":"fill"'}])
    world.order(symbol="AAPL", qty=1)
    assert client.events() == ["pending_new", "new", "fill"]
    world.order(symbol="MSFT", qty=1)
    assert client.outbox.ending == CUT
    assert client.heard() == []


def test_faults_keep_to_their_stream(world):
    client, data = trader(world), watcher(world, trades=["AAPL"])
    world.faults.replace([{"kind": "stream_mute", "stream": "data"}, {"kind": "stream_cut", "stream": "data"}])
    world.order(qty=1)
    world.pass_time(minutes=1)
    assert client.events() == ["pending_new", "new", "fill"]
    assert data.heard() == []


def test_drop_and_repeat_act_on_one_message(world):
    client = trader(world)
    world.faults.replace([{"kind": "stream_drop"}, {"kind": "stream_repeat"}])
    world.order(qty=1)
    assert client.events() == ["new", "new", "fill"]
    data = watcher(world, bars=["AAPL"])
    world.faults.replace([{"kind": "stream_drop", "contains": '"T":"b"'}, {"kind": "stream_repeat", "stream": "data"}])
    for _ in range(3):
        world.pass_time(minutes=1)
    assert data.kinds() == ["b", "b", "b"]


def test_a_mute_swallows_events_and_answers_until_its_market_seconds_are_over(world):
    client = trader(world)
    world.faults.replace([{"kind": "stream_mute", "seconds": 60, "client_order_id": "mine"}])
    world.order(qty=1)
    assert client.events() == ["pending_new", "new", "fill"]
    world.order(qty=1, client_order_id="mine")
    world.pass_time(seconds=59)
    world.order(qty=1)
    client.say(action="listen", data={"streams": ["trade_updates"]})
    assert client.heard() == []
    world.pass_time(seconds=1)
    world.order(qty=1)
    assert client.events() == ["pending_new", "new", "fill"]


def test_a_mute_for_good_ends_with_the_connection(world):
    client = trader(world)
    world.faults.replace([{"kind": "stream_mute"}])
    world.faults.replace([])
    world.pass_time(days=3)
    world.order()
    assert client.heard() == []
    again = trader(world)
    world.order()
    assert again.heard()


def test_an_authentication_can_be_refused(world):
    world.faults.replace([{"kind": "stream_refuse", "at": "auth", "times": 2}])
    client = trader(world, listening=False)
    client.say(action="auth", key=world.exchange.key_id, secret=world.exchange.secret_key)
    assert client.heard()[0]["data"]["status"] == "unauthorized"
    data = watcher(world)
    data.say(action="subscribe", bars=["AAPL"])
    assert data.heard()[0][0]["code"] == 401
    assert watcher(world, bars=["AAPL"]).line.listening


def test_faults_of_streams_leave_requests_alone(world):
    world.faults.replace([{"kind": kind, "times": "always"} for kind in ("stream_drop", "stream_refuse")])
    assert world.order()["id"]


@pytest.mark.parametrize(
    "row",
    [
        {"kind": "stream_cut", "path": "/v2/"},
        {"kind": "stream_cut", "stream": "news"},
        {"kind": "stream_cut", "seconds": 3},
        {"kind": "stream_refuse", "at": "noon"},
        {"kind": "stream_refuse", "symbol": "AAPL"},
        {"kind": "500", "stream": "data"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(world, row):
    with pytest.raises(ConfigError):
        world.faults.replace([row])


# bounds


def test_a_full_queue_ends_the_connection_and_frees_its_memory(world):
    client = trader(world, limit=4)
    world.order(qty=1)
    assert client.outbox.ending == ""
    world.order(qty=1)
    assert client.outbox.ending == SLOW
    assert client.heard() == []
    world.order(qty=1)
    assert client.heard() == []


def test_the_outbox_wakes_for_the_first_message_and_for_the_end():
    woken: list[int] = []
    outbox = Outbox(lambda: woken.append(1), 2)
    for number in range(2):
        outbox.put(number)
    assert len(woken) == 1
    outbox.end(CLOSE)
    assert len(woken) == 2
    outbox.put(2)
    assert [outbox.take() for _ in range(3)] == [0, 1, None]
    outbox.end(CUT)
    outbox.end(CLOSE)
    assert outbox.ending == CUT
