"""`db`: which schema there is, up and down, and what is asked before anything is lost."""

import json
import os
import subprocess

import pytest

from gambler_ai.storage.tables import SCHEMA_HEAD
from tests.recovery.harness import PROGRAM, World
from tests.recovery.test_cli import check_error
from tests.recovery.test_embedded import read_until

MINUTES = 6


@pytest.fixture
def bare(make_world) -> World:
    made: World = make_world(exchange=False, migrated=False)
    return made


def current(world: World) -> tuple[str | None, str]:
    found = json.loads(world.run("db", "current", "--json").ok().out)
    assert found["head"] == SCHEMA_HEAD
    assert found["database"] in world.run("db", "current").ok().out
    return found["revision"], found["state"]


def test_up_and_down_and_what_there_is(bare: World):
    assert current(bare) == (None, "empty")
    assert f"schema {SCHEMA_HEAD}, was empty" in bare.run("db", "upgrade").ok().out
    assert current(bare) == (SCHEMA_HEAD, "current")
    assert f"schema {SCHEMA_HEAD} already" in bare.run("db", "upgrade").ok().out
    down = json.loads(bare.run("db", "downgrade", "--to", "0001", "--yes", "--json").ok().out)
    assert (down["before"], down["revision"]) == (SCHEMA_HEAD, "0001")
    assert down["copy"]
    assert current(bare) == ("0001", "older")
    up = json.loads(bare.run("db", "upgrade", "--json").ok().out)
    assert (up["before"], up["revision"]) == ("0001", SCHEMA_HEAD)
    assert down["copy"] != up["copy"]
    bare.run("db", "downgrade", "--to", "base", "--yes").ok()
    assert current(bare) == (None, "empty")


def test_a_start_upgrades_and_says_so_where_no_program_reads(bare: World):
    bare.trade(duration=MINUTES).ok()
    bare.run("db", "downgrade", "--to", "0001", "--yes").ok()
    check_error(bare.run("sessions", "list", "--json"), 5, "schema 0001", "db upgrade")  # a look changes nothing
    started = bare.trade("--new", "--json", duration=MINUTES).ok()
    assert json.loads(started.out.splitlines()[-1])["kind"] == "ended"
    assert f"schema {SCHEMA_HEAD}, was 0001; a copy of it as it was: " in started.err
    assert len(json.loads(bare.run("sessions", "list", "--json").ok().out)) == 2


def test_nobody_is_asked_where_nobody_can_answer(bare: World):
    bare.run("db", "upgrade").ok()
    check_error(bare.run("db", "downgrade", "--to", "base"), 2, "--yes")
    check_error(bare.run("db", "downgrade", "--to", "0815", "--yes"), 2, "0815", "0001")
    check_error(bare.run("db", "downgrade", "--yes"), 2, "--to")
    assert current(bare) == (SCHEMA_HEAD, "current")


@pytest.mark.parametrize(("answer", "after"), [(b"\n", "current"), (b"y\n", "older")], ids=["Enter", "y"])
def test_on_a_terminal_it_asks(bare: World, answer: bytes, after: str):
    bare.run("db", "upgrade").ok()
    ours, theirs = os.openpty()
    command = [*PROGRAM, "db", "downgrade", "--to", "0001"]
    run = subprocess.Popen(command, env=bare.env(), cwd=bare.folder, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = read_until(ours, b"[y/N]")
    os.write(ours, answer)
    assert run.wait(60) == (0 if after == "older" else 1)
    os.close(ours)
    assert b"A copy is kept." in shown
    assert current(bare)[1] == after


def test_a_newer_schema_is_refused_by_every_command(bare: World):
    bare.trade(duration=MINUTES).ok()
    bare.write("UPDATE alembic_version SET version_num = '9999'")
    before = bare.content()
    assert current(bare) == ("9999", "unknown")
    for args in (["--resume"], ["--new"], ["sessions", "list"], ["db", "upgrade"], ["--init-db"]):
        check_error(bare.run(*args), 5, "has schema 9999", f"needs {SCHEMA_HEAD}")
    check_error(bare.run("db", "downgrade", "--to", "0001", "--yes"), 5, "has schema 9999")
    assert bare.content() == before


def test_a_schema_is_not_changed_under_a_runner(bare: World):
    run = bare.start("--symbols", "AAPL", "--duration", "600", "--speed", "60")
    run.wait_for("Session ")
    check_error(bare.run("db", "downgrade", "--to", "0001", "--yes"), 4, f"pid {run.pid} ")
    run.process.terminate()
    run.end().ok()
    assert current(bare) == (SCHEMA_HEAD, "current")
