"""A strategy from a user's file trades, fails, is killed and goes away, and the session outlives all of it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from gambler_ai.core.risk import Code
from tests.recovery.harness import ROOT, Ended, World, audit, entries

#: Buys and sells on the bars it is told to (minutes after 13:30 UTC), and breaks on purpose after some minute.
SCRIPTED = '''
"""Trades by the clock of the bars."""
from msgspec import Meta
from gambler_ai.strategies import MarketView, Proposal, Side, Strategy


class Scripted(Strategy):
    """Buys at one bar, leaves at another, raises from a third on."""

    buy_at: int = 0
    leave_at: int = 1000
    raise_at: int = 1000
    symbols: tuple[str, ...] = ("AAPL",)

    def propose(self, view: MarketView) -> list[Proposal]:
        found = []
        for i, symbol in enumerate(view.frame.symbols):
            at = view.frame.newest_at(i)
            minute = (at.hour - 13) * 60 + at.minute - 30
            if minute >= self.raise_at:
                raise RuntimeError("no more ideas")
            if symbol in self.symbols and symbol in view.held and minute >= self.leave_at:
                found.append(Proposal(symbol, Side.SELL, at, "out of time", exit=True))
            elif symbol in self.symbols and minute == self.buy_at:
                found.append(Proposal(symbol, Side.BUY, at, "in time"))
        return found
'''


def write(world: World, text: str = SCRIPTED, name: str = "mine.py") -> Path:
    path = world.folder / name
    path.write_text(text)
    return path


def check_error(ended: Ended, *words: str) -> None:
    assert ended.code == 2, ended
    assert "Traceback" not in ended.out + ended.err
    assert len(ended.err.strip().splitlines()) <= 2, ended
    for word in words:
        assert word in ended.err, ended


def pytest_in(world: World, file: str) -> str:
    """What pytest says of a user's test, in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", file]
    ended = subprocess.run(command, cwd=world.folder, env=world.env(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def plan(world: World) -> dict[str, object]:
    found: dict[str, object] = json.loads(world.session()["plan"])
    return found


def test_a_file_trades_and_its_failure_costs_only_its_own_scans(world: World):
    path = write(world)
    ended = world.trade("--strategy", "mine.py", "--set", "raise_at=5", duration=15).ok()
    assert entries(world) == [("AAPL", "buy")]
    denied = world.facts("Denied")
    assert len(denied) >= 4
    assert {(d["code"], d["symbol"]) for d in denied} == {("strategy_failed", "*")}
    assert {d["context"] for d in denied} == {"strategy scripted: RuntimeError: no more ideas (line 21)"}
    assert "no more ideas (line 21)" in ended.out
    assert "Traceback" not in ended.out + ended.err
    assert set(world.positions()) == {"AAPL"}
    audit(world)  # and AAPL is protected
    wanted = {"buy_at": 0, "leave_at": 1000, "raise_at": 5, "symbols": ["AAPL"]}
    assert (plan(world)["strategy"], plan(world)["strategy_parameters"]) == (f"{path}:Scripted", wanted)
    (fact,) = world.facts("ParametersSet")
    assert fact["parameters"]["parameters"] == wanted
    assert [row["strategy"] for row in world.rows("SELECT strategy FROM positions")] == ["scripted"]


def test_a_failure_is_told_with_quiet_too(world: World):
    write(world)
    ended = world.trade("--quiet", "--strategy", "mine.py", "--set", "raise_at=0", duration=6).ok()
    assert "strategy scripted: RuntimeError: no more ideas" in ended.out


def test_what_a_strategy_asks_to_leave_is_left(world: World):
    write(world)
    world.trade("--strategy", "mine.py", "--set", "leave_at=10", duration=25).ok()
    assert world.positions() == {}
    (trade,) = world.show()["trades"]
    assert trade["reason"] == "out of time"
    audit(world)


@pytest.mark.parametrize(
    "point",
    [
        "fill.after_commit:1",
        *(pytest.param(f"submit.{stage}:1", marks=pytest.mark.nightly) for stage in ("after", "before")),
    ],
)
def test_a_killed_session_resumes_with_its_file_and_its_parameters(world: World, point: str):
    write(world)
    given = ("--strategy", "./mine.py:Scripted", "--set", "leave_at=10", "--set", "symbols=AAPL,MSFT")
    world.trade(*given, duration=25, crash_at=point).was_killed()
    elsewhere = world.folder / "elsewhere"
    elsewhere.mkdir()
    home, world.folder = world.folder, elsewhere
    ended = world.resume().ok()
    world.folder = home
    assert sorted(entries(world)) == [("AAPL", "buy"), ("MSFT", "buy")]
    assert world.positions() == {}
    assert {t["reason"] for t in world.show()["trades"]} == {"out of time"}
    assert "not the code" not in ended.out
    assert world.facts("PlanChanged") == []
    audit(world)


def test_a_file_that_is_gone_is_one_error_and_the_session_waits_for_it(world: World):
    path = write(world)
    world.trade("--strategy", "mine.py", duration=15, crash_at="fill.after_commit:1").was_killed()
    before = world.session()
    path.rename(path.with_suffix(".away"))
    check_error(world.resume(), f"{path} cannot be read", before["id"], "--resume", "--new")
    assert world.session() == before
    world.run("--reconcile-only").ok()  # comparing and protecting needs nobody's opinion
    audit(world)
    path.with_suffix(".away").rename(path)
    world.resume().ok()
    audit(world)


def test_a_file_that_changed_is_told_and_journaled_once(world: World):
    path = write(world)
    world.trade("--strategy", "mine.py", duration=15, crash_at="fill.after_commit:1").was_killed()
    first = plan(world)["strategy_sha256"]
    write(world, SCRIPTED + "\n# a better idea\n")
    ended = world.resume("--quiet", crash_at="checkpoint.after:2").was_killed()
    assert f"{path} is not the code this session traded with so far" in ended.out
    (fact,) = world.facts("PlanChanged")
    assert fact["changes"] == {"strategy_sha256": [first, plan(world)["strategy_sha256"]]}
    assert "not the code" not in world.resume().ok().out
    audit(world)


def test_a_file_that_broke_or_calls_itself_another_is_refused(world: World):
    write(world)
    world.trade("--strategy", "mine.py", duration=15, crash_at="fill.after_commit:1").was_killed()
    write(world, SCRIPTED + "\n1 / 0\n")
    check_error(world.resume(), "mine.py", "ZeroDivisionError", "--new")
    write(world, SCRIPTED.replace("    buy_at: int", "    name = 'other'\n    buy_at: int"))
    check_error(world.resume(), "calls itself 'other' now", "'scripted'")
    write(world, SCRIPTED.replace("leave_at: int = 1000", "leaves_at: int = 1000").replace("self.leave_at", "7"))
    check_error(world.resume(), "no parameter 'leave_at'")
    write(world)
    world.resume().ok()
    audit(world)


def test_a_resume_refuses_another_strategy_or_parameter(world: World):
    write(world)
    write(world, name="other.py")
    start = ("--strategy", "mine.py", "--set", "leave_at=10")
    world.trade(*start, duration=20, crash_at="fill.after_commit:1").was_killed()
    check_error(world.resume("--strategy", "momentum"), "--strategy momentum", "mine.py:Scripted", "--new")
    check_error(world.resume("--strategy", "other.py"), "--strategy other.py", "mine.py:Scripted")
    check_error(world.resume("--set", "leave_at=11"), "--set leave_at=11", "(10)", "--new")
    check_error(world.resume("--set", "leave_at=soon"), "leave_at must be a whole number")
    check_error(world.resume("--set", "colour=1"), "no parameter 'colour'")
    world.resume(*start, GAMBLER_STRATEGY="nobody").ok()  # the same again is no conflict; a setting is no flag
    audit(world)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--strategy", "momentun"], ["no strategy 'momentun'", "mean_reversion"]),
        (["--strategy", "gone.py"], ["gone.py cannot be read"]),
        (["--strategy", "broken.py"], ["broken.py", "ValueError: not today (line 2)"]),
        (["--strategy", "mine.py:Nobody"], ["no 'Nobody'"]),
        (["--strategy", "nowhere.at_all:X"], ["no module 'nowhere.at_all'"]),
        (["--set", "lookback"], ["--set lookback", "NAME=VALUE"]),
        (["--set", "lookback=1", "--set", "lookback=2"], ["--set lookback is given twice"]),
        (["--set", "lookback=0"], ["lookback must be a whole number from 1 to 500 (got '0')"]),
        (["--set", "window=3"], ["no parameter 'window'", "volume_bars"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_what_is_wrong_is_one_line_and_nothing_is_begun(make_world, args: list[str], words: list[str]):
    bare: World = make_world(exchange=False)
    write(bare)
    write(bare, "\nraise ValueError('not today')\n", "broken.py")
    check_error(bare.trade(*args), *words)
    assert not bare.database.exists() or bare.rows("SELECT * FROM sessions") == []


def test_settings_name_a_strategy_and_its_parameters(make_world):
    bare: World = make_world(exchange=False)
    write(bare)
    (bare.folder / "gambler.toml").write_text('strategy = "mine.py"\n[parameters]\nbuy_at = 5\nsymbols = ["MSFT"]\n')
    bare.trade("--set", "leave_at=20", duration=6).ok()
    assert plan(bare)["strategy_parameters"] == {"buy_at": 5, "leave_at": 20, "raise_at": 1000, "symbols": ["MSFT"]}
    bare.trade("--new", duration=6, GAMBLER_STRATEGY="mean_reversion").ok()
    assert [json.loads(r["plan"])["strategy_name"] for r in bare.rows("SELECT plan FROM sessions")] == [
        "scripted", "mean_reversion",
    ]  # fmt: skip
    assert "Strategy    mean_reversion (lookback 20" in bare.outputs[-1].out


def test_strategies_are_listed_shown_and_begun(make_world):
    bare: World = make_world(exchange=False)
    listed = json.loads(bare.run("strategies", "list", "--json").ok().out)
    assert {row["name"]: row["universe"] for row in listed} == {
        **dict.fromkeys(("momentum", "mean_reversion", "breakout", "chooser"), "shares"),
        **dict.fromkeys(("straddle", "strangle", "vertical", "iron_condor", "covered_call", "options_mix"), "options"),
    }
    assert listed[0]["parameters"][1] == {
        "name": "lookback", "allowed": "a whole number from 1 to 500", "default": 5, "required": False,
        "minimum": 1, "maximum": 500,
    }  # fmt: skip
    shown = bare.run("strategies", "list").ok().out
    assert "lookback" in shown
    assert "iron_condor  built in, options" in shown
    made = bare.run("strategies", "new", "my_cross", "--dir", "own").ok().out
    assert {path.name for path in (bare.folder / "own").iterdir()} == {"my_cross.py", "test_my_cross.py"}
    shown = bare.run("strategies", "show", "own/my_cross.py").ok().out
    assert "a whole number from 2 to 500" in shown
    command = next(line for line in made.splitlines() if line.startswith("Run it:")).split()[3:]
    bare.run(*command, "--speed", "0", "--duration", "60").ok()
    assert [t["symbol"] for t in bare.show()["trades"]] == ["MSFT"]
    tested = pytest_in(bare, "own/test_my_cross.py")
    assert "3 passed" in tested


@pytest.mark.parametrize(
    ("args", "traded"),
    [
        pytest.param(["breakout", "--set", "channel=10"], [("MSFT", "sell")], marks=pytest.mark.nightly),
        pytest.param(
            ["mean_reversion", "--set", "rsi_max=35", "--set", "max_bars=4"],
            [("MSFT", "buy")],
            marks=pytest.mark.nightly,
        ),
    ],
    ids=["breakout", "mean_reversion"],
)
def test_the_built_ins_trade_on_the_default_day(world: World, args: list[str], traded: list[tuple[str, str]]):
    world.trade("--interval", "300", "--strategy", *args, duration=60).ok()
    assert entries(world) == traded
    audit(world)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["new", "my-cross"], ["'my-cross' is no name"]),
        (["new", "class"], ["'class' is no name"]),
        (["new", "../x"], ["'../x' is no name"]),
        (["new", "json"], ["a module 'json' already"]),
        (["new", "mine"], ["mine.py is there already"]),
        (["new", "tested"], ["test_tested.py is there already"]),
        (["new", "x", "--dir", "mine.py"], ["mine.py"]),
        (["show", "nobody"], ["no strategy 'nobody'"]),
        (["show", "gone.py"], ["gone.py cannot be read"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0] in ("new", "show") else "",
)
def test_a_wrong_name_is_one_line_and_nothing_is_overwritten(make_world, args: list[str], words: list[str]):
    bare: World = make_world(exchange=False)
    for name in ("mine.py", "test_tested.py"):
        write(bare, dedent(SCRIPTED), name)
    before = sorted(path.name for path in bare.folder.iterdir())
    check_error(bare.run("strategies", *args), *words)
    assert sorted(path.name for path in bare.folder.iterdir()) == before
    assert (bare.folder / "mine.py").read_text() == dedent(SCRIPTED)


@pytest.mark.nightly
def test_the_guide_does_what_it_says(make_world):
    bare: World = make_world(exchange=False)
    guide = (ROOT / "docs/STRATEGIES.md").read_text()
    mine, test, remembering = re.findall(r"```python\n(from .*?)```", guide, re.DOTALL)
    write(bare, mine, "dips.py")
    write(bare, test, "test_dips.py")
    tested = pytest_in(bare, "test_dips.py")
    assert "1 passed" in tested
    [line] = re.findall(r"^scripts/run (--strategy dips.py .*)$", guide, re.MULTILINE)
    assert "down" in bare.run(*line.split()).ok().out
    (table,) = re.findall(r"```toml\n(strategy.*?)```", guide, re.DOTALL)
    (bare.folder / "gambler.toml").write_text(table)
    bare.run("--new", "--duration", "1", "--speed", "0").ok()
    newest = bare.rows("SELECT plan FROM sessions ORDER BY id DESC")[0]
    write(bare, remembering, "streaks.py")
    bare.run("--new", "--duration", "6", "--speed", "0", "--strategy", "streaks.py:Streaks").ok()
    assert bare.rows("SELECT name FROM components WHERE name = 'streaks'")
    assert json.loads(newest["plan"])["strategy_parameters"] == {"fall_pct": 0.5}


def test_the_guide_names_every_code():
    guide = (ROOT / "docs/STRATEGIES.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", guide, re.MULTILINE)
    assert {str(code) for code in Code} <= set(re.findall(r"`(\w+)`", " ".join(rows)))
