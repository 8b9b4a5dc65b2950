"""`state export` and `state import` as a user has them: half a session here, the rest there, and the same trades."""

import json
import signal
import sqlite3
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Server
from tests.recovery.harness import PATIENCE_S, Exchange, Running, World, audit, base_env, story
from tests.recovery.test_cli import check_error

MINUTES = 14
#: What a session decided, and what came of it.
TOLD = ("IntentPlanned", "FillReported", "PositionClosed")


@pytest.fixture
def here(tmp_path: Path) -> World:
    """On a file, with the embedded exchange."""
    return at(tmp_path / "here")


@pytest.fixture
def server_url(postgres: Server) -> Iterator[str]:
    name = postgres.create()
    yield postgres.url(name)
    postgres.clear(name)


def at(folder: Path, url: str = "") -> World:
    folder.mkdir()
    return World(folder, base_env(folder, url))


def finished(world: World) -> tuple[list[Any], list[Any]]:
    """What the session came to, in our books and at its exchange, which agree."""
    (path,) = (world.home / "exchange").glob("*.sqlite3")
    world.exchange = Exchange(world.base_env, world.folder, "--file", str(path))
    try:
        audit(world)
        decided = [{k: v for k, v in fact.items() if k != "type"} for kind in TOLD for fact in world.facts(kind)]
        return story(world.exchange.fills()), decided
    finally:
        world.exchange.stop()


@pytest.mark.nightly
@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_the_same_decisions_wherever_it_goes_on(here: World, server_url: str, tmp_path: Path):
    """From a file to a server, further on there, and back to a file: as if it had stayed."""
    server, back = at(tmp_path / "server", server_url), at(tmp_path / "back")
    first, second = str(tmp_path / "first.zip"), str(tmp_path / "second.zip")
    here.trade(duration=MINUTES, crash_at="fill.after_commit:1").was_killed()
    here.run("state", "export", first).ok()

    said = json.loads(server.run("state", "import", first, "--json").ok().out)
    assert [(s["what"], s["exchange"]) for s in said["sessions"]] == [("imported", True)]
    server.resume("--speed", "0", crash_at="checkpoint.inside:3").was_killed()
    server.run("state", "export", second).ok()
    back.run("state", "import", second).ok()
    back.resume("--speed", "0").ok()

    here.resume("--speed", "0").ok()
    server.resume("--speed", "0").ok()
    fills, decided = finished(here)
    assert len(fills) > 1
    assert len(decided) > 2
    assert finished(server) == (fills, decided)
    assert finished(back) == (fills, decided)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    """A session that ended and holds something, and the file of it."""
    folder = tmp_path_factory.mktemp("exported")
    world, file = at(folder / "home"), folder / "x.zip"
    world.trade(duration=7).ok()
    world.run("state", "export", str(file)).ok()
    return world, file


def test_what_a_user_sees(exported: tuple[World, Path], tmp_path: Path):
    (here, file), there = exported, at(tmp_path / "there")
    session_id = here.session()["id"]
    out = here.run("state", "export", str(tmp_path / "again.zip")).ok().out
    assert out.split()[:2] == ["session", "broker"]
    assert f"{session_id}  exported  embedded  finished" in out
    check_error(here.run("state", "export", str(file)), 2, "it is there already", "name another file")
    check_error(here.run("state", "export", "y.zip", "--all", "--session", session_id), 2, "exclude each other")
    check_error(here.run("state", "export", "y.zip", "--session", "2001"), 5, "no session begins with '2001'")
    assert "would be imported" in there.run("state", "import", str(file), "--dry-run").ok().out
    assert not there.home.exists()
    imported = there.run("state", "import", str(file)).ok()
    assert f"{session_id}  imported  " in imported.out
    assert "here already" in there.run("state", "import", str(file)).ok().out
    shown = [json.loads(w.run("sessions", "show", session_id, "--json").ok().out) for w in (here, there)]
    assert shown[0] | {"owner": shown[1]["owner"]} == shown[1]
    there.resume("--duration", "3", "--speed", "0").ok()
    check_error(there.run("state", "import", str(file)), 5, f"session {session_id} is here and differs", "never merged")


def test_what_is_no_export_is_named(here: World, tmp_path: Path):
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 and nothing else")
    check_error(here.run("state", "import", str(tmp_path / "x.zip")), 2, "x.zip is not imported", "no whole zip file")
    check_error(here.run("state", "import", "missing.zip"), 2, "missing.zip cannot be read: No such file")
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as out:
        out.writestr("manifest.json", '{"format": "gambler-ai state", "version": 9}')
    check_error(here.run("state", "import", str(tmp_path / "new.zip")), 5, "is of format 9", "a newer one")
    assert not here.home.exists()


def test_one_that_runs_is_not_exported(here: World, tmp_path: Path):
    run = here.start("--symbols", "AAPL", "--duration", "600", "--speed", "60")
    run.wait_for("Session ")
    ended = here.run("state", "export", str(tmp_path / "x.zip"))
    check_error(ended, 4, "runs: ", f"pid {run.pid} ", "stop it first")
    run.process.terminate()
    run.end().ok()
    here.run("state", "export", str(tmp_path / "x.zip")).ok()


# -- kill -9 --------------------------------------------------------------------------------------

#: The import stands still before its first checkpoint, in the middle of its transaction.
ENDLESS = """
CREATE VIEW endless AS WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers)
  SELECT n FROM numbers;
CREATE TRIGGER stand_still BEFORE INSERT ON checkpoints BEGIN SELECT count(*) FROM endless; END;
"""


def import_again(world: World, file: Path, before: dict[str, list[str]]) -> None:
    """Nothing came in; the file of the exchange that may lie there is in nobody's way."""
    assert world.content() == before
    assert "  imported  " in world.run("state", "import", str(file)).ok().out


def test_killed_inside_its_transaction_it_leaves_nothing(exported: tuple[World, Path], tmp_path: Path):
    file, there = exported[1], at(tmp_path / "there")
    there.run("db", "upgrade").ok()
    before = there.content()
    with closing(sqlite3.connect(there.database)) as db:
        db.executescript(ENDLESS)
    run = there.start("state", "import", str(file))
    wait_until_locked(there.database, run)
    run.signal(signal.SIGKILL)
    run.end().was_killed()
    with closing(sqlite3.connect(there.database)) as db:
        db.executescript("DROP TRIGGER stand_still; DROP VIEW endless")
    assert list((there.home / "exchange").glob("*.sqlite3")), "it was killed after that, and before the commit"
    import_again(there, file, before)


def wait_until_locked(database: Path, run: Running) -> None:
    begun_s = time.monotonic()
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as db:
        while time.monotonic() - begun_s < PATIENCE_S:
            assert run.process.poll() is None, run.end()
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return
            db.execute("ROLLBACK")
    raise AssertionError("it never began to write")


@pytest.mark.postgres
def test_killed_inside_its_transaction_it_leaves_nothing_on_a_server(
    exported: tuple[World, Path], server_url: str, tmp_path: Path
):
    import psycopg

    file, there = exported[1], at(tmp_path / "there", server_url)
    before = there.content()
    with psycopg.connect(server_url.replace("+psycopg", "")) as db:
        db.execute("LOCK TABLE checkpoints IN ACCESS EXCLUSIVE MODE")
        run = there.start("state", "import", str(file))
        begun_s = time.monotonic()
        while not db.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
            assert run.process.poll() is None, run.end()
            assert time.monotonic() - begun_s < PATIENCE_S
        run.signal(signal.SIGKILL)
        run.end().was_killed()
    import_again(there, file, before)
