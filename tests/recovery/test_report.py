"""`sessions report`: of a session that ended, was killed, or runs."""

import csv
import json
from decimal import Decimal

from tests.recovery.harness import World


def report(world: World, *more: str) -> str:
    return world.run("sessions", "report", world.session()["id"], *more).ok().out


def test_what_is_reported_is_what_the_exchange_did(world: World):
    world.trade(duration=28).ok()
    shown, found = world.show(), json.loads(report(world, "--json"))
    fills = world.there.fills()
    assert found["fills"] == len(fills) == 3
    for side, name in (("buy", "bought"), ("sell", "sold")):
        traded = sum(Decimal(str(f.qty)) * Decimal(str(f.price)) for f in fills if f.side.startswith(side))
        assert Decimal(found[name]) == traded
    assert [(t["symbol"], t["pnl"]) for t in found["trades"]] == [(t["symbol"], t["pnl"]) for t in shown["trades"]]
    assert found["round_trips"]["net"] == shown["realized_pnl"]
    assert found["equity"]["first"]["equity"] == "100000"
    assert (found["equity"]["days"], found["equity"]["sharpe"]) == (1, None)
    assert found["equity"]["last"]["at"] == found["last_at"] == found["curve"][-1]["at"]
    assert 0 < found["exposure"] <= 1
    (trade,) = found["trades"]
    assert trade["adverse"] <= -0.02 <= 0 <= trade["favourable"]  # it was stopped at 2 %


def test_one_that_was_killed_is_reported_as_far_as_it_came(world: World):
    world.trade(duration=28, crash_at="fill.after_commit:2").was_killed()
    text = report(world)
    assert " killed" in text
    assert "Drawdown" in text
    before = json.loads(report(world, "--json"))
    world.resume().ok()
    after = json.loads(report(world, "--json"))
    assert (before["status"], after["status"]) == ("killed", "finished")
    assert before["curve"][:-1] == after["curve"][: len(before["curve"]) - 1]


def test_one_that_runs_is_reported_while_it_runs(world: World):
    running = world.start("--symbols", "AAPL,MSFT", "--duration", "390", "--speed", "120")
    running.wait_for("fill     AAPL")
    found = json.loads(report(world, "--json"))
    running.kill()
    assert found["status"] == "running"
    assert found["equity"]["readings"] >= 1


def test_files_are_written_and_nothing_else_is_printed(world: World):
    world.trade(duration=28).ok()
    said = report(world, "--html", "r.html", "--csv", "r.csv")
    assert said == "Written: r.html\nWritten: r.csv\n"
    page = (world.folder / "r.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert world.session()["id"] in page
    with (world.folder / "r.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["symbol"] == "AAPL"
    document = json.loads(report(world, "--json", "--csv", "again.csv"))
    assert document["round_trips"]["count"] == 1
    assert (world.folder / "again.csv").read_bytes() == (world.folder / "r.csv").read_bytes()


def test_what_cannot_be_reported_is_one_line(world: World):
    ended = world.run("sessions", "report", "2026")
    assert (ended.code, "no session begins with" in ended.err) == (5, True)
    world.trade(duration=2).ok()
    ended = world.run("sessions", "report", world.session()["id"], "--html", "missing/r.html")
    assert ended.code == 2
    assert ended.err.startswith("error: --html: missing/r.html cannot be written: No such file or directory")
    assert "No round trip yet" in report(world)


def test_an_account_is_reported_over_all_of_its_sessions(world: World):
    world.trade(duration=28).ok()
    (first,) = world.rows("SELECT id, account_id FROM sessions")
    world.trade("--new", duration=30, symbols="IBM,GOOGL").ok()
    ids = [row["id"] for row in world.rows("SELECT id FROM sessions ORDER BY started_at")]
    alone = [json.loads(world.run("sessions", "report", one, "--json").ok().out) for one in ids]
    of_account = ("sessions", "report", "--account", first["account_id"][:8])
    found = json.loads(world.run(*of_account, "--json").ok().out)
    assert (found["sessions"], ids[0], len(ids)) == (ids, first["id"], 2)
    for name in ("bought", "sold"):
        assert Decimal(found[name]) == sum(Decimal(one[name]) for one in alone)
    assert found["round_trips"]["count"] == sum(one["round_trips"]["count"] for one in alone)
    assert found["trades"] == [trade for one in alone for trade in one["trades"]]
    assert (found["equity"]["first"], found["equity"]["last"]) == (
        alone[0]["equity"]["first"],
        alone[1]["equity"]["last"],
    )
    assert found["equity"]["readings"] == sum(one["equity"]["readings"] for one in alone)
    assert found["runs"] == [run for one in alone for run in one["runs"]]
    assert "2 sessions" in world.run(*of_account).ok().out
    world.run(*of_account, "--csv", "all.csv", "--html", "all.html").ok()
    with (world.folder / "all.csv").open(newline="", encoding="utf-8") as file:
        assert [row["session"] for row in csv.DictReader(file)] == [trade["session"] for trade in found["trades"]]
    assert "<title>Account" in (world.folder / "all.html").read_text("utf-8")


def test_what_is_reported_is_named_once(world: World):
    world.trade(duration=2).ok()
    for args in ((), (world.session()["id"], "--account", "x")):
        ended = world.run("sessions", "report", *args)
        assert (ended.code, ended.err.splitlines()[0]) == (2, "error: name a session, or an account with --account")
    ended = world.run("sessions", "report", "--account", "nobody")
    assert (ended.code, "no account that has a session begins with 'nobody'" in ended.err) == (5, True)
