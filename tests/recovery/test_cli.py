"""What a user can get wrong, and what a program can rely on: lines, exit codes, JSON, and no secrets."""

import json
import os
import socket
from decimal import Decimal
from pathlib import Path

import pytest

from tests.databases import sqlite_only
from tests.recovery.harness import PROGRAM, SCRIPT, Ended, World, audit


def check_error(ended: Ended, code: int, *words: str) -> None:
    """One clear line, perhaps a hint below it, and the right exit code."""
    assert ended.code == code, ended
    assert "Traceback" not in ended.out + ended.err
    first, *rest = ended.err.strip().splitlines()
    assert first.startswith("error: "), ended
    assert len(rest) <= 1, ended
    for word in words:
        assert word in ended.err, ended


@pytest.fixture
def bare(make_world) -> World:
    """No keys, no exchange, nothing in the home."""
    made: World = make_world(exchange=False)
    return made


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--symbols", "NOSUCH"], ["NOSUCH"]),
        (["--symbols", "AA PL"], ["AA PL", "--symbols"]),
        (["--symbols", ""], ["--symbols"]),
        (["--duration", "0"], ["--duration"]),
        (["--duration", "nan"], ["--duration"]),
        (["--duration", "soon"], ["--duration"]),
        (["--interval", "-5"], ["--interval"]),
        (["--checkpoint-interval", "0"], ["--checkpoint-interval"]),
        (["--timeframe", "5Fortnights"], ["--timeframe", "5Fortnights", "5Min"]),
        (["--stop-loss-pct", "100"], ["--stop-loss-pct"]),
        (["--take-profit-pct", "much"], ["--take-profit-pct"]),
        (["--position-size", "-1"], ["--position-size"]),
        (["--keep-checkpoints", "0"], ["--keep-checkpoints"]),
        (["--speed", "-1"], ["--speed"]),
        (["--broker", "none"], ["--broker"]),
        (["--no-such-option"], ["--no-such-option"]),
        (["--dry-run"], ["--reconcile-only"]),
        (["--resume", "--new"], ["--resume", "--new"]),
        (["--resume-session", "../../etc"], ["../../etc"]),
        (["--database-url", "nonsense"], ["nonsense"]),
        (["--database-url", "oracle9://x/y"], ["oracle9"]),
        (["--config", "missing.toml"], ["missing.toml"]),
        (["--config", "."], ["cannot be read"]),
        (["--config", "bad.toml"], ["bad.toml", "TOML"]),
        (["--config", "bad.json"], ["bad.json", "JSON"]),
        (["--config", "unknown.toml"], ["no setting 'colour'"]),
        (["--config", "secret.toml"], ["api_secret"]),
        (["--config", "value.toml"], ["duration"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and value[0].startswith("--") else "",
)
def test_a_wrong_option_is_named(bare: World, args: list[str], words: list[str]):
    files = {
        "bad.toml": "symbols = [", "bad.json": "{", "unknown.toml": "colour = 1", "value.toml": "duration = -1",
        "secret.toml": 'api_secret = "hunter2"',
    }  # fmt: skip
    for name, text in files.items():
        (bare.folder / name).write_text(text)
    ended = bare.run(*args)
    check_error(ended, 2, *words)
    assert "hunter2" not in ended.out + ended.err
    assert not bare.database.exists() or bare.rows("SELECT * FROM sessions") == []


def test_a_file_that_is_no_database(bare: World):
    path = bare.folder / "notes.txt"
    path.write_text("these are not rows\n" * 500)
    check_error(bare.run("--database-url", f"sqlite:///{path}"), 5, "notes.txt")
    assert path.read_text().startswith("these are not rows")


def test_nothing_to_resume(bare: World):
    check_error(bare.run("--resume"), 5, "no session")
    check_error(bare.run("--resume-session", "2026"), 5, "2026")
    check_error(bare.run("sessions", "show", "2026"), 5, "2026")
    check_error(bare.run("--reconcile-only"), 5, "no session")


def test_a_broker_that_does_not_answer(bare: World):
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port, and nobody answers
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        keys = {"ALPACA_API_KEY": "PKX", "ALPACA_API_SECRET": "s3cr3t", "ALPACA_TRADING_URL": url}
        ended = bare.run("--symbols", "AAPL", **keys)
    check_error(ended, 3, url.removeprefix("http://"))
    assert "s3cr3t" not in ended.out + ended.err


@pytest.mark.parametrize(
    "place",
    [
        {"ALPACA_TRADING_URL": "https://api.alpaca.markets"},
        {"ALPACA_TRADING_URL": "http://paper-api.alpaca.markets"},
        {"ALPACA_TRADING_URL": "https://paper-api.alpaca.markets.example.org"},
        {"ALPACA_DATA_URL": "https://example.org"},
        {"ALPACA_TRADING_STREAM_URL": "wss://api.alpaca.markets/stream"},
    ],
    ids=lambda place: next(iter(place.values())),
)
def test_only_paper_and_loopback_addresses(bare: World, place: dict[str, str]):
    ended = bare.run("--symbols", "AAPL", ALPACA_API_KEY="PKX", ALPACA_API_SECRET="s3cr3t", **place)
    check_error(ended, 2, "loopback")


def test_alpaca_without_keys(bare: World):
    check_error(bare.run("--broker", "alpaca"), 3, "ALPACA_API_KEY")


def test_wrong_keys(world: World):
    ended = world.trade(ALPACA_API_SECRET="hunter2")
    check_error(ended, 3, "keys")
    assert "hunter2" not in ended.out + ended.err
    world.trade(duration=6, crash_at="fill.after_commit:1").was_killed()
    check_error(world.resume(ALPACA_API_SECRET="hunter2"), 3, "keys")
    world.resume().ok()
    audit(world)


def test_a_closed_market_says_when_it_opens(make_world):
    world: World = make_world("--at", "2008-10-07T18:00")
    ended = world.trade("--when-closed", "exit")
    check_error(ended, 75, "closed", "2008-10-08 13:30")
    assert world.rows("SELECT * FROM sessions") == []


def test_a_fresh_start_beside_an_interrupted_session_is_refused(world: World):
    world.trade(crash_at="fill.after_commit:1").was_killed()
    session = world.session()["id"]
    check_error(world.trade(), 6, session, "--resume", "--new")
    world.session()
    world.trade("--new", duration=8).ok()
    assert len(world.rows("SELECT * FROM sessions")) == 2
    bought = [r for r in world.there.accepted() if r["symbol"] == "AAPL"]
    assert len(bought) == 1, "the position of the other session was doubled"


@pytest.mark.parametrize(
    ("flag", "value", "stored"),
    [
        ("--stop-loss-pct", "3", "2"), ("--take-profit-pct", "9", "4"), ("--position-size", "500", "10000"),
        ("--symbols", "AAPL", "AAPL,MSFT"), ("--timeframe", "1Min", "300"),
    ],
)  # fmt: skip
def test_a_resume_refuses_what_would_change_the_trading(bare: World, flag: str, value: str, stored: str):
    bare.trade(crash_at="recovery.replayed").was_killed()
    check_error(bare.resume(flag, value), 2, flag, value, stored, "--new")


def test_operational_flags_apply_on_resume_and_are_journaled(world: World):
    world.trade(duration=20, crash_at="fill.after_commit:1").was_killed()
    flags = ("--duration", "3", "--interval", "30", "--checkpoint-interval", "60", "--keep-checkpoints", "5")
    ended = world.resume(*flags).ok()
    plan = json.loads(world.session()["plan"])
    wanted = {"duration_s": 180.0, "interval_s": 30.0, "checkpoint_interval_s": 60.0, "keep_checkpoints": 5}
    assert plan | wanted == plan
    (fact,) = world.facts("PlanChanged")
    assert set(fact["changes"]) == set(wanted)
    assert world.session()["last_at"].startswith("2008-10-07T13:38:15")
    assert len(world.rows("SELECT * FROM checkpoints")) == 5
    assert "duration" in ended.out


def test_a_resume_after_the_full_duration_runs_the_stored_one_anew(world: World):
    world.trade(duration=12).ok()
    assert world.session()["last_at"].startswith("2008-10-07T13:42:00")
    world.resume().ok()
    assert world.session()["last_at"].startswith("2008-10-07T13:54:00")
    audit(world)


def test_a_resume_runs_what_was_left(world: World):
    world.trade(duration=12, crash_at="checkpoint.after:13").was_killed()
    world.resume().ok()
    assert world.session()["last_at"].startswith("2008-10-07T13:42:00")


def test_three_ways_to_call_it_take_the_same_options(bare: World):
    helps = [
        bare.run("run", "--help", program=PROGRAM).ok().out,
        bare.run("--help", program=PROGRAM).ok().out,
        bare.run("run", "--help", program=SCRIPT).ok().out,
        bare.run("--help", program=SCRIPT).ok().out,
    ]
    options = {word for word in helps[0].split() if word.startswith("--")}
    assert len(options) > 20
    for text in helps[1:]:
        assert options <= set(text.split())
    check_error(bare.run("--duration", "0", program=SCRIPT), 2, "--duration")
    check_error(bare.run("run", "--duration", "0", program=SCRIPT), 2, "--duration")


def test_the_script_starts_and_resumes(bare: World):
    bare.trade(duration=12, program=SCRIPT, crash_at="fill.after_commit:1").was_killed()
    ended = bare.run("run", "--resume", program=SCRIPT).ok()
    assert bare.positions() == {"AAPL": 99, "MSFT": Decimal(-400)}
    assert "python scripts/alpaca_paper_trading_recovery.py --resume-session" in ended.out


def test_the_seeds_lines_are_there(bare: World):
    run = bare.trade("--keep-checkpoints", "7", duration=12).ok().out
    for line in ("Checkpoint #10 created", "Creating final checkpoint...", "Total checkpoints created: 24"):
        assert line in run
    assert "Cleaned up 17 old checkpoints" in run
    session = bare.session()["id"]
    again = bare.run("--resume-session", session[:-2], "--duration", "2").ok().out
    lines = (
        f"Resumed session: {session}", "Restored from checkpoint", "Last known portfolio value: $",
        "Symbols: AAPL,MSFT", "Started: 2008-10-07 09:30:00", "Active positions: 2", "Closed trades: 0",
    )  # fmt: skip
    for line in lines:
        assert line in again
    assert f"--resume-session {session}" in again


def test_json_for_programs(world: World):
    assert json.loads(world.run("sessions", "list", "--json").ok().out) == []
    world.trade(duration=28).ok()
    (listed,) = json.loads(world.run("sessions", "list", "--json").ok().out)
    shown = json.loads(world.run("sessions", "show", listed["id"], "--json").ok().out)
    found = json.loads(world.run("sessions", "checkpoints", listed["id"], "--json", "--limit", "3").ok().out)
    assert [row["number"] for row in found] == [listed["checkpoints"] - n for n in range(3)]
    assert {name: shown[name] for name in listed} == listed
    assert {(p["symbol"], p["qty"], p["stop_price"]) for p in shown["positions"]} == {("MSFT", "-400", "24.74")}
    assert [(t["symbol"], t["reason"]) for t in shown["trades"]] == [("AAPL", "stop")]
    assert len(shown["fills"]) == len(world.there.fills()) == 3
    for text in world.run("sessions", "list").ok().out, world.run("sessions", "show", listed["id"]).ok().out:
        assert listed["id"] in text


@sqlite_only
def test_the_secret_is_nowhere(world: World):
    secret, token = world.there.names["ALPACA_API_SECRET"], world.there.names["GAMBLER_EXCHANGE_TOKEN"]
    world.trade(duration=12, crash_at="fill.after_commit:1").was_killed()
    world.resume().ok()
    world.show()
    world.run("--resume", ALPACA_TRADING_URL="https://api.alpaca.markets")
    texts = [text for ended in world.outputs for text in (ended.out, ended.err)]
    files = [Path(folder) / name for folder, _, names in os.walk(world.home) for name in names]
    assert len(files) >= 2
    for hidden in (secret, token):
        assert not any(hidden in text for text in texts)
        assert not [path for path in files if hidden.encode() in path.read_bytes()]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    assert oct(world.home.stat().st_mode & 0o777) == "0o700"


def test_init_db_makes_the_database_and_does_nothing_else(bare: World):
    assert "Database ready" in bare.run("--init-db").ok().out
    assert bare.rows("SELECT * FROM sessions") == []
    bare.run("--init-db").ok()


def test_quiet_says_only_what_a_person_has_to_know(bare: World):
    out = bare.trade("--quiet", duration=12).ok().out
    assert "Checkpoint #" not in out
    assert "--resume-session" in out
    assert len(out.splitlines()) < 20


def test_an_exchange_opens_on_no_day_without_prices(bare: World):
    check_error(bare.run("exchange", "serve", "--at", "2031-01-01T10:00"), 2, "prices until 2013-03-01", "2031-01-01")


def test_what_cannot_be_is_said_before_anything_is_done(bare: World):
    bare.trade(duration=6, crash_at="fill.after_commit:1").was_killed()
    before = bare.session()
    check_error(bare.run("orders", "resolve", "nope", "--as", "gone"), 2, "no order 'nope'")
    check_error(bare.resume("--broker", "alpaca"), 2, "--broker alpaca differs", "embedded")
    assert bare.session() == before
    alone = bare.run("sessions")
    assert (alone.code, alone.err) == (2, "")
    closed = before["id"]
    assert "is closed" in bare.run("sessions", "close", closed, "--yes").ok().out
    assert "was closed already" in bare.run("sessions", "close", closed, "--yes").ok().out
