"""`exchange serve|status|orders|step|reset`, with the real program."""

import json
from typing import Any

import pytest
import requests

from tests.recovery.harness import PATIENCE_S, Exchange, World

BRACKET = {
    "time_in_force": "gtc", "order_class": "bracket", "take_profit": {"limit_price": 100},
    "stop_loss": {"stop_price": 80},
}  # fmt: skip


@pytest.fixture
def served(make_world: Any) -> World:
    """An exchange that stands at ten in New York, and the environment of its owner."""
    made: World = make_world("--at", "2008-10-07T10:00")
    return made


def test_its_owner_looks_steps_and_resets(served: World):
    said = served.run("exchange", "status").ok().out
    assert "2008-10-07 10:00:00 New York, open until 16:00, paused" in said
    assert "$100,000.00, of which $100,000.00 cash" in said
    assert served.run("exchange", "orders").ok().out == "No open order. All of them: --all\n"
    served.there.place("AAPL", "buy", "10", **BRACKET)

    stepped = json.loads(served.run("exchange", "step", "5m", "--json").ok().out)
    assert stepped["status"]["now"] == "2008-10-07T14:05:00Z"
    assert {order["status"] for order in stepped["orders"]} <= {"filled", "new", "held"}
    assert [held["symbol"] for held in stepped["status"]["positions"]] == ["AAPL"]

    shown = served.run("exchange", "orders").ok().out.splitlines()
    assert [line.split()[4:6] for line in shown[1:]] == [["limit", "gtc"], ["stop", "gtc"]]
    assert len(served.run("exchange", "orders", "--all").ok().out.splitlines()) == 4

    unconfirmed = served.run("exchange", "reset")
    assert (unconfirmed.code, unconfirmed.err.splitlines()[0]) == (
        2, "error: a reset forgets the account; confirm it with --yes",
    )  # fmt: skip
    before = json.loads(served.run("exchange", "status", "--json").ok().out)
    after = json.loads(served.run("exchange", "reset", "--yes", "--cash", "5000", "--json").ok().out)
    assert after["account_number"] != before["account_number"]
    assert (after["equity"], after["begun_with"], after["orders"], after["positions"]) == ("5000", "5000", 0, [])
    assert "Profit      +0.00" in served.run("exchange", "status").ok().out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("step", "soon"), "error: 'soon' is no instant to step to"),
        (("step", "9:30"), "error: the market is at 2008-10-07 10:00:00 already; time does not go back"),
        (("reset", "--yes", "--cash", "-1"), "error: --cash: '-1' is not an amount above zero"),
        (("serve", "--rate-limit", "0"), "error: --rate-limit: '0' is neither a number of requests a minute nor off"),
        (("serve", "--at", "noon"), "error: --at: 'noon' is not a time; write 2008-10-07 or 2008-10-07T10:00"),
        (("status", "--env-file", "none.env"), "error: --env-file none.env cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(served: World, args: tuple[str, ...], said: str):
    ended = served.run("exchange", *args)
    assert (ended.code, ended.err.splitlines()[0]) == (2, said)


def test_a_market_that_moves_by_itself_is_not_stepped(world: World):
    there = Exchange(world.base_env, world.folder, "--speed", "60", paused=False)
    try:
        ended = world.run("exchange", "step", **there.env)
        assert (ended.code, ended.err.splitlines()[0]) == (
            2, "error: this market moves by itself, 60x: it cannot be stepped",
        )  # fmt: skip
    finally:
        there.stop()


def test_another_exchanges_token_is_refused(served: World):
    ended = served.run("exchange", "status", GAMBLER_EXCHANGE_TOKEN="0" * 32)
    assert ended.code == 3
    assert ended.err.splitlines()[0] == "error: the token is not this exchange's"


@pytest.mark.parametrize(("args", "status"), [(("--pdt",), 403), ((), 200)])
def test_the_day_trading_rule_holds_where_it_is_asked_for(world: World, args: tuple[str, ...], status: int):
    there = Exchange(world.base_env, world.folder, "--cash", "20000", *args)
    try:
        names = there.names
        keys = {"APCA-API-KEY-ID": names["ALPACA_API_KEY"], "APCA-API-SECRET-KEY": names["ALPACA_API_SECRET"]}
        order = {"symbol": "AAPL", "qty": "1", "type": "market", "time_in_force": "day"}
        sides = ("buy", "sell") * 3 + ("buy",)
        replies = [
            requests.post(there.url + "/v2/orders", json=order | {"side": side}, headers=keys, timeout=PATIENCE_S)
            for side in sides
        ]
        assert [reply.status_code for reply in replies] == [*[200] * 6, status]
        assert status == 200 or replies[-1].json()["code"] == 40310100
    finally:
        there.stop()


def test_what_it_prints_can_be_pasted(world: World):
    """The lines for Python run as they stand, and the file for a shell names the whole addresses."""
    env_file = world.folder / "keys.env"
    run = world.start("exchange", "serve", "--at", "2008-10-07T10:00", "--env-file", str(env_file))
    run.wait_for("prices = ")
    ended = run.kill()
    lines = ended.out.splitlines()
    code = "\n".join(lines[lines.index("# Python, with alpaca-py") :])
    compile(code, "pasted", "exec")
    names = dict(line.removeprefix("export ").split("=", 1) for line in env_file.read_text().splitlines())
    assert set(names) == {
        "ALPACA_API_KEY", "ALPACA_API_SECRET", "ALPACA_TRADING_URL", "ALPACA_DATA_URL", "ALPACA_TRADING_STREAM_URL",
        "ALPACA_DATA_STREAM_URL", "GAMBLER_EXCHANGE_TOKEN",
    }  # fmt: skip
    assert names["ALPACA_DATA_STREAM_URL"].endswith("/v2/iex")
    assert names["ALPACA_TRADING_STREAM_URL"].endswith("/stream")
    assert all(f'"{names[name]}"' in code for name in ("ALPACA_API_KEY", "ALPACA_API_SECRET", "ALPACA_TRADING_URL"))
    assert env_file.stat().st_mode & 0o777 == 0o600


def test_it_opens_at_noon_of_a_quiet_day_and_a_day_alone_is_its_open(world: World):
    for args, now in (((), "2012-10-10T16:00:00Z"), (("--at", "2008-10-07"), "2008-10-07T13:30:00Z")):
        run = world.start("exchange", "serve", "--paused", "--json", *args)
        assert json.loads(run.wait_for("{"))["now"] == now
        run.kill()


def test_an_old_file_goes_on_where_it_was(world: World):
    args = ("exchange", "serve", "--paused", "--json", "--file", str(world.folder / "old.sqlite3"))
    for opens in (("--at", "2008-10-07T10:00"), ()):
        run = world.start(*args, *opens)
        assert json.loads(run.wait_for("{"))["now"] == "2008-10-07T14:00:00Z"
        run.kill()


@pytest.mark.parametrize(
    ("args", "limit"),
    [
        ((), "200"), (("--rate-limit", "7"), "7"), (("--rate-limit", "off"), None), (("--speed", "60"), None),
        (("--paused",), None), (("--paused", "--rate-limit", "9"), "9"),
    ],
)  # fmt: skip
def test_requests_are_counted_where_alpaca_would(world: World, args: tuple[str, ...], limit: str | None):
    there = Exchange(world.base_env, world.folder, *args, paused=False)
    try:
        headers = {
            "APCA-API-KEY-ID": there.names["ALPACA_API_KEY"], "APCA-API-SECRET-KEY": there.names["ALPACA_API_SECRET"],
        }  # fmt: skip
        reply = requests.get(f"{there.url}/v2/clock", headers=headers, timeout=PATIENCE_S)
        assert reply.headers.get("X-RateLimit-Limit") == limit
    finally:
        there.stop()
