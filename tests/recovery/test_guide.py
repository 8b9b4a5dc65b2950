"""What docs/RECOVERY_GUIDE.md says and no other test goes through."""

import pytest

from tests.databases import sqlite_only
from tests.recovery.harness import World, audit


@pytest.fixture
def killed(world: World) -> World:
    world.trade(duration=14, crash_at="fill.after_commit:1").was_killed()
    assert world.positions() == {"AAPL": 99}  # since 9:35 in New York, and nothing else has happened
    return world


def test_a_resume_tells_what_happened_while_it_was_dead(killed: World):
    killed.there.pass_time(minutes=25)  # AAPL's stop is hit at 9:56
    ended = killed.resume("--duration", "2").ok()
    assert "Down for" in ended.out
    assert "AAPL  stop filled meanwhile" in ended.out
    assert killed.positions() == {}
    audit(killed)


@sqlite_only
def test_an_internal_error_ends_in_one_line_and_the_session_resumes(killed: World):
    (row,) = killed.rows("SELECT updated_at FROM sessions")
    killed.write("UPDATE sessions SET updated_at = 'no time at all'")
    ended = killed.resume()
    assert ended.code == 1, ended
    assert "Traceback" not in ended.out + ended.err
    assert ended.err.startswith("error: internal error: ValueError")
    log = killed.home / "crash.log"
    assert str(log) in ended.err
    assert "no time at all" in log.read_text()
    killed.write("UPDATE sessions SET updated_at = ?", row["updated_at"])
    killed.resume().ok()
    audit(killed)
