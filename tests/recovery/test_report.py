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
