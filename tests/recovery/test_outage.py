"""The database goes away under a real session: it says so, sends nothing, and goes on or ends so that it can."""

import signal

import pytest
from sqlalchemy import make_url

from tests.databases import postgres_only, sqlite_only
from tests.recovery.harness import Running, World, audit, connected, entries

ENTRIES = [("AAPL", "buy"), ("MSFT", "sell")]


def begun(world: World, *args: str) -> Running:
    """A session that holds AAPL, at a pace that leaves time to break something."""
    run = world.start("--symbols", "AAPL,MSFT", "--duration", "14", "--speed", "60", *args)
    run.wait_for("AAPL  bought")
    return run


def check_told(world: World) -> None:
    [degraded] = world.facts("Degraded")
    [restored] = world.facts("Restored")
    assert (degraded["name"], restored["name"]) == ("database", "database")
    assert "away for" in degraded["reason"]
    audit(world)


@pytest.mark.nightly
@sqlite_only
def test_a_file_that_is_moved_away_and_put_back(world: World):
    run = begun(world)
    away = world.database.with_name("elsewhere")
    world.database.rename(away)
    assert "the file was moved or deleted" in run.wait_for("Database away: ")
    away.rename(world.database)
    run.wait_for("Database back after")
    run.end().ok()
    check_told(world)
    assert entries(world) == ENTRIES


@pytest.mark.nightly
@postgres_only
def test_a_server_that_ends_all_connections_and_admits_nobody_for_a_while(world: World, postgres):
    run = begun(world)
    name = make_url(world.url).database
    ours = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", ours)
    run.wait_for("Database away: ")
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    run.wait_for("Database back after")
    run.end().ok()
    check_told(world)
    assert entries(world) == ENTRIES


@pytest.mark.nightly
@sqlite_only
def test_a_signal_during_an_outage_ends_it_and_a_resume_goes_on(world: World):
    run = begun(world)
    away = world.database.with_name("elsewhere")
    world.database.rename(away)
    run.wait_for("Database away: ")
    run.signal(signal.SIGTERM)
    ended = run.end(10)
    assert ended.code == 75, ended
    assert "stopped while the database was away" in ended.err
    assert "nothing was lost" in ended.err
    away.rename(world.database)
    world.resume("--speed", "0").ok()
    audit(world)
    assert entries(world) == ENTRIES


@pytest.mark.nightly
@postgres_only
def test_a_lock_on_the_journal_is_ridden_out(world: World):
    run = begun(world)
    with connected(world.url) as db:
        db.execute("LOCK TABLE journal IN ACCESS EXCLUSIVE MODE")
        run.wait_for("lock timeout", patience_s=60)
    run.wait_for("Database back after")
    run.end().ok()
    check_told(world)
