"""`gambler-ai verify-crash` as a person runs it: green, red when a bug is planted, and gone when it is interrupted."""

import json
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from gambler_ai.clock import SystemClock
from tests.recovery.harness import PROGRAM, ROOT, Ended, Running, base_env

ONE = ("verify-crash", "--only", "submit.after", "--scenario", "limit", "--seed", "1")


def run(folder: Path, *args: str, package: Path = ROOT, command: tuple[str, ...] = PROGRAM) -> Running:
    """The command with a temporary folder of its own, from the package in ``package``."""
    (folder / "tmp").mkdir(exist_ok=True)
    env = base_env(folder) | {"TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(package)}
    return Running([*command, *args], env, folder)


def nothing_is_left(folder: Path) -> bool:
    """No file in the temporary folder, and no process that was started with it."""
    mark = str(folder / "tmp").encode()
    for process in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in process.read_bytes():
                return False
        except OSError:
            continue  # it has ended meanwhile, or is another's
    return not list((folder / "tmp").iterdir())


def test_a_kill_a_resume_and_an_audit_are_reported_and_nothing_is_left(tmp_path: Path):
    ended = run(tmp_path, *ONE, "--report", "report.json", "--json").end().ok()
    document = json.loads(ended.out)
    assert document == json.loads((tmp_path / "report.json").read_text())
    assert document["green"] is True
    assert (document["seed"], document["database"], document["mode"]) == (1, "SQLite", "only")
    assert document["counts"] | {"processes": 0} == {
        "cells": 1, "points": 1, "scenarios": 1, "kills": 1, "processes": 0, "violations": 0, "pass": 1, "fail": 0,
        "not_reached": 0,
    }  # fmt: skip
    assert document["cells"][0]["verdict"] == "pass"
    assert document["cells"][0]["first_request_s"] > 0
    assert "submit.after" in document["undisturbed"]["limit"]["points"]
    assert nothing_is_left(tmp_path)
    assert not (tmp_path / "gambler").exists()  # the user's state is not even looked at


def test_people_see_a_matrix_and_how_long_a_resume_takes(tmp_path: Path):
    ended = run(tmp_path, *ONE).end().ok()
    lines = ended.out.splitlines()
    assert "submit.after  pass" in [line.rstrip() for line in lines]
    assert "1 kills at 1 points" in ended.out
    assert "1 passed, 0 failed, 0 not reached" in ended.out
    assert "first request to the broker after" in ended.out
    assert "\x1b" not in ended.out + ended.err


@pytest.mark.nightly
def test_a_point_that_a_scenario_never_passes_is_not_green(tmp_path: Path):
    ended = run(tmp_path, "verify-crash", "--only", "void.before_commit", "--scenario", "limit").end()
    assert ended.code == 6
    assert "void.before_commit  -" in [line.rstrip() for line in ended.out.splitlines()]
    assert "0 kills at 0 points" in ended.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--only", "nowhere"), "--only: there is no crash point 'nowhere'"),
        (("--only", "submit.after+nowhere"), "--only: there is no crash point 'nowhere'"),
        (("--scenario", "holiday"), "--scenario: there is no 'holiday'"),
        (("--database-url", "sqlite:////x"), "verify-crash takes a Postgres URL"),
    ],
)
def test_what_there_is_not_is_named(tmp_path: Path, args: tuple[str, ...], says: str):
    ended = run(tmp_path, "verify-crash", *args, command=PROGRAM).end()
    assert (ended.code, ended.out if "Postgres" not in says else "") == (2, "")
    assert ended.err.startswith(f"error: {says}")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)])
def test_interrupted_it_leaves_nothing_running(tmp_path: Path, number: int):
    running = run(tmp_path, "verify-crash", "--jobs", "2")
    running.wait_for("Seed")
    wait_for_a_world(tmp_path)
    running.signal(number)
    ended = running.end()
    assert ended.code == 130
    assert ended.err.endswith("error: stopped\n       no session of yours was touched\n"), ended
    assert nothing_is_left(tmp_path)


def wait_for_a_world(folder: Path) -> None:
    """Until an exchange has an account: processes of ours are running then."""
    clock = SystemClock()
    deadline_s = clock.monotonic() + 100
    while not list((folder / "tmp").glob("*/*/account.sqlite3")):
        assert clock.monotonic() < deadline_s
        clock.sleep(0.05)


@pytest.mark.nightly
@pytest.mark.postgres
def test_on_a_server_it_makes_databases_of_its_own_and_drops_them(tmp_path: Path, postgres):
    def names():
        return {name for (name,) in postgres.execute("SELECT datname FROM pg_database")}

    before = names()
    ended = run(tmp_path, *ONE, "--database-url", postgres.url("postgres")).end().ok()
    assert "1 passed, 0 failed, 0 not reached" in ended.out
    assert names() == before
    assert nothing_is_left(tmp_path)


# -- planted bugs ---------------------------------------------------------------------------------


class Bug(NamedTuple):
    """A change of one file of the package, and the cell that must turn red by it."""

    file: str
    right: str
    wrong: str
    point: str
    scenario: str


BUGS = {
    "sends before it commits": Bug(
        "trading/runner.py",
        "        saved = self._ledger.commit(decisions, checkpoint=self._checkpoint_due, remember=self._memory_due)\n",
        "        for fact in decisions.facts:\n"
        "            if isinstance(fact, ev.IntentPlanned):\n"
        "                self._executor._submit(self._request(fact))\n"
        "        saved = self._ledger.commit(decisions, checkpoint=self._checkpoint_due, remember=self._memory_due)\n",
        "intent.inside_commit", "market",
    ),
    "a new id for what is sent again": Bug(
        "trading/runner.py", "            return sending(self.state.intents[fact.client_order_id].intent)\n",
        "            again = sending(self.state.intents[fact.client_order_id].intent)\n"
        "            object.__setattr__(again, 'body', again.body.replace('ga1-', 'ga1-x'))\n"
        "            return again\n",
        "intent.after_commit", "import",
    ),
    "forgets which bar it decided on": Bug(
        "core/engine.py", "ev.Marked(event.at, marks, fresh,", "ev.Marked(event.at, marks, {},",
        "intent.after_commit", "limit",
    ),
    "forgets what was planned when it was killed": Bug(
        "trading/runner.py", "if record.status is Status.PLANNED\n", "if record.status is Status.VOID\n",
        "intent.after_commit", "market",
    ),
    "prunes the journal": Bug(
        "trading/ledger.py", '            crashpoints.hit("prune.inside")\n',
        "            db.exec_driver_sql('DELETE FROM journal WHERE seq < 3')\n", "submit.after", "market",
    ),
    "replays nothing": Bug(
        "trading/recovery.py", "            apply(state, fact)\n", "            pass\n", "submit.after", "market",
    ),
    "reads only the fills since it looked": Bug(
        "trading/executor.py", "broker.fills(request.fills_since)", "broker.fills(market.at)", "submit.after", "market",
    ),
    "forgets a leg that was planned when it was killed": Bug(
        "trading/runner.py", "if record.status is Status.PLANNED\n",
        "if record.status is Status.PLANNED and record.intent.purpose.value != 'leg'\n", "leg.after_commit", "covered",
    ),
    "takes a settlement again that it had stored": Bug(
        "trading/recovery.py", "            apply(state, fact)\n",
        "            if type(fact).__name__ != 'OptionSettled':\n                apply(state, fact)\n",
        "settled.after_commit", "expiry",
    ),
}  # fmt: skip
NIGHTLY = [pytest.mark.nightly, pytest.mark.counts("planted bugs found")]
EACH_COMMIT = "forgets what was planned when it was killed"


def red(folder: Path, bug: Bug) -> Ended:
    """The command on a copy of the package with the bug in it."""
    package = folder / "copy"
    shutil.copytree(ROOT / "gambler_ai", package / "gambler_ai")
    shutil.copytree(ROOT / "migrations", package / "migrations")
    path = package / "gambler_ai" / bug.file
    text = path.read_text("utf-8")
    assert bug.right in text
    path.write_text(text.replace(bug.right, bug.wrong, 1), "utf-8")
    options = ("--only", bug.point, "--scenario", bug.scenario, "--seed", "2")
    where = (sys.executable, "-c", PROGRAM[2])
    return run(folder, "verify-crash", *options, package=package, command=where).end()


@pytest.mark.parametrize("name", [name if name == EACH_COMMIT else pytest.param(name, marks=NIGHTLY) for name in BUGS])
def test_a_planted_bug_is_found(tmp_path: Path, name: str):
    ended = red(tmp_path, BUGS[name])
    assert ended.code == 6, ended
    assert re.search(r"[1-9]\d* failed", ended.out), ended
    [kept] = (tmp_path / "tmp").glob("gambler-verify-*")
    assert kept.stat().st_mode & 0o077 == 0
    assert list(kept.glob("*/output"))
    if name == EACH_COMMIT:  # only a kill shows it: the cell says how to repeat it, and where its files are
        assert "gambler-ai verify-crash --only intent.after_commit --scenario market --seed 2" in ended.out
        [line] = [line for line in ended.out.splitlines() if "kept in" in line]
        assert Path(line.split("kept in ")[1].split(";")[0]).is_dir()
