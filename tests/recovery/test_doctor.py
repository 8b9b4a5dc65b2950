"""The doctor from outside: what it prints, what it ends with, and that a session beside it notices nothing."""

import json
import os
from pathlib import Path
from typing import Any

from tests.databases import sqlite_only
from tests.recovery.harness import Ended, World, audit


def rows(ended: Ended) -> dict[str, dict[str, Any]]:
    """The rows of `doctor --json` by name; the document names the exit code that the process has."""
    document = json.loads(ended.out)
    assert document["exit_code"] == ended.code
    assert ended.err == ""
    return {row["name"]: row for row in document["rows"]}


def not_well(ended: Ended) -> dict[str, str]:
    return {name: row["status"] for name, row in rows(ended).items() if row["status"] in ("warn", "fail")}


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p): (p.stat().st_mode, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


@sqlite_only
def test_before_anything_is_there(make_world):
    world: World = make_world(exchange=False)
    ended = world.run("doctor").ok()
    assert not world.home.exists()
    assert "fail" not in ended.out
    assert ended.out.splitlines()[-1].split(" ok")[0].isdigit()
    assert not_well(world.run("doctor", "--json", PYTHONUTF8="1").ok()) == {}


@sqlite_only
def test_beside_a_session_that_was_killed(world: World):
    world.trade(duration=6, crash_at="fill.after_commit:1").was_killed()
    before = files(world.home)
    ended = world.run("doctor", "--json", PYTHONUTF8="1").ok()
    assert not_well(ended) == {"sessions": "warn"}
    found = rows(ended)
    assert world.session()["id"] in found["sessions"]["found"]
    assert found["binding"]["found"].endswith("is on this account")
    assert found["account"]["status"] == found["prices"]["status"] == found["market"]["status"] == "ok"
    assert found["clock"]["status"] == "skip"  # the exchange's market has a time of its own
    after = files(world.home)
    assert set(after) == set(before)
    assert {p: c for p, c in after.items() if not p.endswith("-shm")} == {  # SQLite's readers are noted in there
        p: c for p, c in before.items() if not p.endswith("-shm")
    }
    assert world.there.env["ALPACA_API_SECRET"] not in ended.out
    world.resume().ok()
    audit(world)
    assert not_well(world.run("doctor", "--json", PYTHONUTF8="1").ok()) == {}


def test_beside_one_that_runs(make_world):
    world: World = make_world(exchange=False)
    running = world.start("--symbols", "AAPL", "--duration", "300", "--speed", "60")
    running.wait_for("Session")
    found = rows(world.run("doctor", "--json").ok())
    assert f"pid {running.pid} on" in found["lease"]["found"]
    assert "running: " in found["sessions"]["found"]
    running.kill()
    assert rows(world.run("doctor", "--json").ok())["lease"]["found"] == "nobody holds an account"


@sqlite_only
def test_what_it_ends_with(world: World):
    wrong = world.run("doctor", ALPACA_API_SECRET="hunter2")
    assert wrong.code == 3
    assert "hunter2" not in wrong.out + wrong.err
    assert "\nfail  account " in wrong.out
    assert world.run("doctor", "--offline", ALPACA_API_SECRET="hunter2").code == 0
    assert world.run("doctor", GAMBLER_COLOUR="red").code == 0  # no setting of ours, and nobody's business
    (world.folder / "gambler.toml").write_text("colour = 1\n")
    assert world.run("doctor").code == 2
    (world.folder / "gambler.toml").unlink()
    world.home.mkdir(mode=0o700)
    world.database.write_text("these are not rows\n" * 500)
    broken = world.run("doctor")
    assert (broken.code, broken.err) == (5, "")
    assert world.database.read_text().startswith("these are not rows")


def test_keys_from_the_secrets_file_trade_and_open_ones_do_not(world: World):
    keys = {name: world.there.env[name] for name in ("ALPACA_API_KEY", "ALPACA_API_SECRET")}
    path = world.home / "secrets.toml"
    world.home.mkdir(mode=0o700)
    path.write_text("".join(f'{name.lower()} = "{value}"\n' for name, value in keys.items()))
    path.chmod(0o600)
    empty = dict.fromkeys(keys, "")
    world.trade(duration=6, **empty).ok()
    audit(world)
    path.chmod(0o640)
    ended = world.trade("--new", duration=6, **empty)
    assert ended.code == 2
    assert f"chmod 600 {path}" in ended.err
    text = "".join(e.out + e.err for e in world.outputs)
    assert keys["ALPACA_API_SECRET"] not in text
    for file in world.home.iterdir():
        assert file == path or file.is_dir() or keys["ALPACA_API_SECRET"].encode() not in file.read_bytes()


def test_a_service_resumes_or_starts_with_one_command(world: World):
    def once(**more: Any) -> Ended:
        return world.trade("--resume-or-start", duration=8, **more)

    once(crash_at="fill.after_commit:1").was_killed()
    first = world.session()["id"]
    once(crash_at="recovery.leased").was_killed()  # again, in the middle of it
    ended = once().ok()
    assert f"Resumed session: {first}" in ended.out
    audit(world)
    assert world.session()["status"] in ("completed", "finished")
    once().ok()
    assert len(world.rows("SELECT * FROM sessions")) == 2
    other = world.run("--resume-or-start", "--new")
    assert (other.code, "exclude each other" in other.err) == (2, True)


@sqlite_only
def test_settings_that_cannot_work_together_stop_a_fresh_session_only(make_world):
    world: World = make_world(exchange=False)
    ended = world.trade("--position-size", "5000", "--max-order-value", "4000", duration=5)
    assert (ended.code, world.database.exists() and world.rows("SELECT * FROM sessions")) == (2, [])
    assert "--max-order-value 4000" in ended.err
    half = world.trade(duration=5, ALPACA_API_KEY="PKX")
    assert half.code == 2
    assert "ALPACA_API_SECRET" in half.err
    world.trade("--position-size", "5000", crash_at="fill.after_commit:1").was_killed()
    # The plan's own size is 5000; the default of a fresh session is not asked.
    world.resume("--max-order-value", "6000").ok()


def test_a_state_directory_that_others_may_write_to_is_closed(make_world):
    world: World = make_world(exchange=False)
    world.home.mkdir()
    world.home.chmod(0o777)
    world.trade(duration=3).ok()
    assert world.home.stat().st_mode & 0o777 == 0o700
    (file,) = (world.home / "exchange").glob("*.sqlite3")
    os.replace(file, world.folder / "elsewhere.sqlite3")
    file.symlink_to(world.folder / "elsewhere.sqlite3")
    ended = world.resume()
    assert ended.code in (2, 5)
    assert "Traceback" not in ended.err


@sqlite_only
def test_commands_that_read_take_a_configuration_file(make_world):
    world: World = make_world(exchange=False)
    (world.folder / "c.toml").write_text(f'database_url = "sqlite:///{world.folder / "there.sqlite3"}"\n')
    world.trade("--config", "c.toml", duration=3).ok()
    assert not world.database.exists()
    for command in (["sessions", "list"], ["db", "upgrade"], ["doctor"], ["config", "show"]):
        ended = world.run(*command, "--config", "c.toml").ok()
        assert not world.database.exists(), command
        assert command[0] == "sessions" or "there.sqlite3" in ended.out
    listed = json.loads(world.run("sessions", "list", "--json", "--config", "c.toml").ok().out)
    assert len(listed) == 1
    assert json.loads(world.run("sessions", "list", "--json", GAMBLER_CONFIG="c.toml").ok().out) == listed
    assert listed[0]["id"] in world.run("sessions", "show", listed[0]["id"], "--config", "c.toml").ok().out
