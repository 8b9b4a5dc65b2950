"""SIGKILL at every named point, a resume, and an audit against the exchange's own books.

The matrix is that of `gambler-ai verify-crash`: each commit runs a sample of it, `scripts/nightly` all of it and pairs.
Below it is what needs a recipe of its own.
"""

import itertools
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gambler_ai.crashpoints import COMMITS, POINTS
from gambler_ai.proving import plan
from gambler_ai.proving.cell import Performance, Told, Ways
from gambler_ai.proving.plan import Cell, Survey
from gambler_ai.proving.processes import Running
from gambler_ai.proving.scenarios import SCENARIOS
from gambler_ai.proving.verify import Verdict, judged
from gambler_ai.storage.tables import SCHEMA_HEAD
from tests.allowance import Allowance
from tests.recovery import harness
from tests.recovery.harness import Surprise, World, audit, entries

ENTRIES = [("AAPL", "buy"), ("MSFT", "sell")]
SEED = 20081007
#: Points of each scenario that each commit kills at, by kind of database.
KILLS = {"sqlite": 1, "postgres": 1}
#: Scenarios that only a night plays; of structures each commit plays one.
AT_NIGHT = ("cancel", "replace", "covered", "expiry", "uneven")


def commits(*kinds: str) -> set[str]:
    return {f"{kind}.{stage}_commit" for kind in kinds for stage in COMMITS[kind][1]}


#: Each point, below a scenario that passes it on SQLite whatever threads do.
HOMES = {
    "market": commits("start", "end", "day", "intent", "exit", "leave", "outage") | {
        "lease.before", "lease.locked", "lease.after", "lease.renewed", "session.created", "read.before", "read.clock",
        "read.account", "read.orders", "read.fills", "read.positions", "stream.woken", "wind_down.before",
        "wind_down.after", "stop.before_checkpoint", "release.before", "release.inside", "release.after",
        "prune.before", "prune.inside", "prune.after", "rollup.before", "rollup.inside", "rollup.after",
        "submit.before", "submit.after",
    },
    "limit": commits("resend", "unknown", "missed") | {"read.lookup", "recovery.replayed", "recovery.settled"},
    "bracket": commits("protect", "reply", "fill") | {
        "checkpoint.before", "checkpoint.inside", "checkpoint.brief", "checkpoint.after", "component.blob",
        "component.inside",
    },
    "partial": commits("cancel") | {"cancel.before", "cancel.after"},
    "exit": commits("adopt", "request", "foreign"),
    "cancel": commits("void", "halt"),
    "replace": commits("dispute", "adjust", "replace") | {
        "replace.sent_before", "replace.sent_after", "read.by_id", "read.actions",
    },
    "import": {
        "recovery.leased", "recovery.fallback", "recovery.checkpoint", "recovery.replaying", "recovery.remembering",
        "migration.before",
        "migration.copied", "migration.inside", "migration.after", "copy.inside", "copy.before_rename",
        "copy.after_rename",
    },
    "condor": commits("ended"),
    "covered": commits("leg"),
    "expiry": commits("settled"),
    "uneven": commits("reconcile"),
}  # fmt: skip

Play = Callable[[str, Cell | None], Told]


@pytest.fixture
def play(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Play:
    """Plays a scenario in a world of its own, killed where the cell says."""
    numbers = itertools.count()

    def anew(args, env, cwd):
        return Running(harness.zygote().start(args, env, cwd, anew=True))

    def play_one(name: str, cell: Cell | None) -> Told:
        server = request.getfixturevalue("postgres") if backend == "postgres" else None
        database = server.create() if server is not None else ""
        ways = Ways(harness.start, anew, server.url(database) if server is not None else "")
        arm, is_anew = (cell.arm, cell.anew) if cell is not None else (None, False)
        told = Performance(SCENARIOS[name], tmp_path / f"{next(numbers)}", ways, arm, anew=is_anew).play()
        if server is not None:
            server.drop(database)
        return told

    return play_one


def undisturbed(play: Play, name: str) -> Survey:
    told = play(name, None)
    assert not told.violations, [violation.line for violation in told.violations]
    return Survey(told, 1.0)


def kill(play: Play, survey: Survey, cell: Cell) -> Told:
    cell, told, verdict = judged(cell, survey, lambda c: play(c.scenario, c))
    assert verdict is Verdict.PASS, (cell, verdict, [violation.line for violation in told.violations])
    return told


def test_no_point_is_left_out():
    assert set().union(*HOMES.values()) == set(POINTS)
    assert sum(map(len, HOMES.values())) == len(POINTS)
    assert set(HOMES) == set(SCENARIOS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.nightly) if name in AT_NIGHT else name for name in SCENARIOS]
)
def test_a_scenario_passes_its_points_and_survives_some(play: Play, backend: str, name: str):
    survey = undisturbed(play, name)
    if backend == "sqlite":
        assert [point for point in HOMES[name] if not survey.passes(point)] == []
    cells = plan.everything({name: survey}, SEED, sorted(HOMES[name]))
    picked = plan.pick(cells, KILLS[backend], SEED)
    assert len(picked) == KILLS[backend]
    for cell in picked:
        kill(play, survey, cell)


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_killed_at_every_point_of_a_scenario(play: Play, allowance: Allowance, count):
    surveys = {name: undisturbed(play, name) for name in SCENARIOS}
    cells = plan.everything(surveys, allowance.seed)
    assert len(cells) > 40 * len(SCENARIOS)
    count("kills at a named point, in all", len(cells))
    wrong = []
    for cell in allowance.share(cells):
        try:
            kill(play, surveys[cell.scenario], cell)
            count("kills at a named point")
        except (AssertionError, Surprise) as error:
            count("violations")
            wrong.append(str(error)[:800])
    assert not wrong, "\n".join([f"{len(wrong)} cells", *wrong[:10]])


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_killed_once_more_at_every_point_of_the_recovery(play: Play, allowance: Allowance, count):
    """Pairs: each point of each scenario's own, and each point of the recovery from it."""
    homes = [(name, point) for name in SCENARIOS for point in sorted(HOMES[name])]
    count("first kills of pairs, in all", len(homes))
    surveys: dict[str, Survey] = {}
    wrong = []
    for name, point in allowance.share(homes):
        survey = surveys.setdefault(name, surveys.get(name) or undisturbed(play, name))
        single = plan.cell_of(name, point, survey, allowance.seed)
        if single is None:  # on a server it may not come to this one
            continue
        count("first kills of pairs")
        recovery = sorted(kill(play, survey, single).recovery)
        for inside in replace(allowance, part=0, parts=1).share(recovery):
            pair = plan.cell_of(name, point, survey, allowance.seed, inside)
            assert pair is not None
            _, told, verdict = judged(pair, survey, lambda c: play(c.scenario, c))
            if verdict is Verdict.FAIL:
                count("violations")
                wrong.append(f"{pair}: {[violation.line for violation in told.violations]}"[:800])
            count("pairs of kills")
    assert not wrong, "\n".join([f"{len(wrong)} pairs", *wrong[:10]])


# -- recipes of their own -------------------------------------------------------------------------

#: Points passed while what was filled of an entry is protected.
WHILE_PROTECTING = ["cancel.after", "protect.before_commit", "protect.after_commit", "submit.after"]


def test_killed_while_pruning(world: World):
    options = ("--keep-checkpoints", "1", "--checkpoint-interval", "5")
    world.trade(*options, crash_at="prune.inside:2").was_killed()
    numbers = [r["number"] for r in world.rows("SELECT number FROM checkpoints ORDER BY number")]
    assert numbers == [*range(120, 241)]  # the first prune had kept #120; the second is as if it had not begun
    world.resume().ok()
    audit(world)
    assert entries(world) == ENTRIES
    assert len(world.rows("SELECT number FROM checkpoints")) == 1


def test_killed_after_a_signal(world: World):
    run = world.start("--symbols", "AAPL,MSFT", "--duration", "30", "--speed", "300", crash_at="stop.before_checkpoint")
    run.wait_for("fill     AAPL")
    run.signal(signal.SIGTERM)
    run.end().was_killed()
    world.resume("--speed", "0").ok()
    audit(world)
    assert entries(world) == ENTRIES


def test_killed_while_the_schema_changes(world: World):
    world.trade(duration=12, crash_at="submit.after:1").was_killed()
    world.run("db", "downgrade", "--to", "0001", "--yes").ok()
    before = world.content()
    assert before["alembic_version"] == ["{'version_num': '0001'}"]
    world.resume(crash_at="migration.inside").was_killed()
    assert world.content() == before
    ended = world.resume().ok()
    assert f"schema {SCHEMA_HEAD}, was 0001; a copy of it as it was: " in ended.err
    audit(world)
    assert entries(world) == ENTRIES


def test_killed_while_the_first_schema_is_made(make_world):
    world: World = make_world(exchange=False, migrated=False)
    world.trade(duration=12, crash_at="migration.inside").was_killed()
    assert world.content() == {}
    world.trade(duration=12).ok()
    assert world.session()["status"] == "finished"


def test_killed_in_each_part_of_the_recovery_in_turn(world: World):
    world.trade(duration=12, crash_at="submit.before:1").was_killed()
    for point in ("recovery.leased", "recovery.replayed", "submit.after", "fill.before_commit", "recovery.settled"):
        world.resume(crash_at=point).was_killed()
    world.resume().ok()
    audit(world)
    assert entries(world) == ENTRIES


@pytest.fixture
def partly_filled(make_world) -> World:
    """A runner killed as it sends an entry that stays partly filled for more than a minute.

    The exchange fills one order in ten in parts, by a hash of its seed, the order's number and the instant.
    With this seed the fourth order, sent at 9:35 in New York, is filled in parts five times over.
    """
    world: World = make_world("--seed", "3649")
    for _ in range(3):
        world.there.make_a_dummy()
    world.trade("--position-size", "50000", symbols="AAPL", duration=12, crash_at="submit.after:1").was_killed()
    return world


@pytest.mark.parametrize("point", WHILE_PROTECTING)
def test_killed_while_a_part_of_an_entry_is_protected(partly_filled: World, point: str):
    world = partly_filled
    world.resume(crash_at=point).was_killed()
    world.resume().ok()
    audit(world)
    assert entries(world) == [("AAPL", "buy")]
    assert 0 < world.positions()["AAPL"] < 502
    statuses = {o["status"] for o in world.there.orders() if o["order_class"] == "bracket"}
    assert statuses == {"canceled"}


def test_legs_cancelled_by_hand_while_it_was_dead_come_back(world: World):
    world.trade(duration=12, crash_at="fill.after_commit:1").was_killed()
    world.there.cancel_legs("AAPL")
    world.resume("--duration", "8", crash_at="protect.after_commit").was_killed()
    world.resume().ok()
    audit(world)
    stop = world.rows("SELECT stop_price FROM intents WHERE purpose = 'entry' AND symbol = 'AAPL'")
    again = world.rows("SELECT stop_price FROM intents WHERE purpose = 'protect' AND symbol = 'AAPL'")
    assert again == stop
