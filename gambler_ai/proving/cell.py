"""One scenario in a world of its own, killed where it is told to be, taken up again, and audited."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from gambler_ai.clock import SystemClock
from gambler_ai.proving.audit import Violation, audit, entries
from gambler_ai.proving.exchange import Exchange
from gambler_ai.proving.processes import KILLED, PATIENCE_S, Ended, Start, Surprise
from gambler_ai.proving.scenarios import AT, RESUME, Args, Run, Scenario
from gambler_ai.proving.world import World, bare_env

#: A session that has come to its end has nothing to take up.
COMPLETED = "completed"
DURATION = "--duration"
#: Minutes of market time for a session that has none left: as good as none.
MOMENT_MIN = 0.05
#: Points behind this one are not of the recovery any more.
RECOVERED = "recovery.settled"


class Arm(NamedTuple):
    """Where to kill: in which run of the scenario, at which pass of a point; then ``inside`` its recovery."""

    step: int
    point: str
    nth: int
    inside: str = ""


@dataclass
class Told:
    """What a run of a scenario came to.

    ``passed`` counts the points that each run passed, ``recovery`` names those up to the end of the recovery,
    ``first_request_s`` is from the start of the process that takes up to its first request.
    """

    killed: bool = False
    killed_inside: bool = False
    entries: list[tuple[str, str]] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    passed: dict[int, Counter[str]] = field(default_factory=dict)
    recovery: list[str] = field(default_factory=list)
    first_request_s: float | None = None
    processes: int = 0


@dataclass(frozen=True)
class Ways:
    """How processes are started: forked, or anew as a person does; ``database`` is a URL, "" for a file."""

    forked: Start
    anew: Start
    database: str


class Performance:
    """One scenario, once. The folder is its own."""

    def __init__(self, scenario: Scenario, folder: Path, ways: Ways, arm: Arm | None, *, anew: bool = False) -> None:
        """``anew``: what takes up a killed run is started as a person starts it, with its imports."""
        self._scenario = scenario
        self._folder = folder
        self._ways = ways
        self._arm = arm
        self._anew = anew
        self._told = Told()
        self._until = datetime.min.replace(tzinfo=UTC)  # the market's time at which the run of a session is to end

    def play(self) -> Told:
        """All steps, and the audit. What goes wrong in between is a violation too."""
        shutil.rmtree(self._folder, ignore_errors=True)  # of a try that was not killed
        self._folder.mkdir(mode=0o700, parents=True)
        try:
            env = bare_env(self._folder, self._ways.database)
            (self._folder / "gambler").mkdir(mode=0o700)
            with self._exchange(env) as exchange:
                world = World(self._folder, env, exchange, self._ways.forked)
                self._perform(world)
                self._told.violations += audit(world.books, exchange, self._scenario.foreign)
                self._told.entries = entries(world.books, exchange)
        except (Surprise, OSError, LookupError, ValueError) as error:  # what hands found was not as it should be
            self._told.violations.append(Violation("each run ends as it should", str(error) or type(error).__name__))
        return self._told

    @contextmanager
    def _exchange(self, env: Mapping[str, str]) -> Iterator[Exchange]:
        file = str(self._folder / "account.sqlite3")
        exchange = Exchange(self._ways.forked, env, self._folder, "--file", file, *AT, *self._scenario.exchange)
        try:
            yield exchange
        finally:
            exchange.stop()

    def _perform(self, world: World) -> None:
        for number, step in enumerate(self._scenario.steps):
            if isinstance(step, Run):
                self._run(world, number, step)
            else:
                step(world)

    def _run(self, world: World, number: int, step: Run) -> None:
        armed = self._arm is not None and self._arm.step == number
        tell = self._folder / f"passed.{number}"
        specs = [f"@{tell}", step.killed_at]
        args = step.arguments(world)
        if DURATION in args:
            minutes = float(args[args.index(DURATION) + 1])
            self._until = world.there.now() + timedelta(minutes=minutes)
        if self._arm is not None and armed:
            specs = [f"{self._arm.point}:{self._arm.nth}"]
        ended = self._start(world, args, ",".join(filter(None, specs)))
        if armed and ended.code == KILLED:
            self._told.killed = True
            self._take_up(world, step)
        elif ended.code not in step.endings:
            raise Surprise(_said(ended))
        if not armed and tell.exists():
            self._told.passed[number] = Counter(tell.read_text().split())

    def _take_up(self, world: World, step: Run) -> None:
        """Until the run has come to its end in spite of all."""
        assert self._arm is not None
        if self._arm.inside:
            args = self._again(world, step)
            if args is not None:
                ended = self._start(world, args, f"{self._arm.inside}:1")
                self._told.killed_inside = ended.code == KILLED
        args = self._again(world, step)
        if args is None:
            return
        tell = self._folder / "recovery"
        begun_s = SystemClock().monotonic()
        specs = ",".join(filter(None, [f"@{tell}", step.killed_at]))
        again = replace(world, starter=self._ways.anew) if self._anew else world
        ended = self._start(again, args, specs)
        if tell.exists():
            names = tell.read_text().split()
            end = names.index(RECOVERED) + 1 if RECOVERED in names else len(names)
            self._told.recovery = list(dict.fromkeys(names[:end]))
        first_s = _first_request_s(world.there, begun_s)
        self._told.first_request_s = None if first_s is None else first_s - begun_s
        if ended.code not in step.endings:
            raise Surprise(_said(ended))

    def _again(self, world: World, step: Run) -> Args | None:
        """What takes up a run that was killed; None when there is nothing left of it to do."""
        again = step.again or step.arguments(world)
        resumes = again[:1] == RESUME
        try:
            status = world.books.rows("SELECT status FROM sessions")
        except (OSError, Surprise):
            status = []
        if not status:
            return step.arguments(world) if resumes else again
        if status[0]["status"] == COMPLETED and (resumes or not world.books.positions()):
            return None  # of a command too: it has closed what a completed session still held
        return self._what_is_left(world, again) if resumes else again

    def _what_is_left(self, world: World, again: Args) -> Args:
        """A resume for the time that the killed run still had; one whose time was used up would run all of it anew."""
        left_min = (self._until - world.there.now()).total_seconds() / 60
        return (*RESUME, DURATION, f"{max(left_min, MOMENT_MIN):g}") if DURATION in again or left_min <= 0 else again

    def _start(self, world: World, args: Args, crash_at: str) -> Ended:
        self._told.processes += 1
        ended = world.start(*args, crash_at=crash_at).end(PATIENCE_S)
        with (self._folder / "output").open("a", encoding="utf-8") as out:
            out.write(f"$ GAMBLER_CRASH_AT={crash_at} gambler-ai {' '.join(args)}\n{ended.out}{ended.err}")
            out.write(f"[{ended.code}]\n\n")
        return ended


def _first_request_s(exchange: Exchange, after_s: float) -> float | None:
    """When the first request after an instant arrived; both by this machine's monotonic clock."""
    arrived: list[dict[str, float]] = exchange.get("/_exchange/requests")
    return next((row["monotonic_s"] for row in arrived if row["monotonic_s"] >= after_s), None)


def _said(ended: Ended) -> str:
    last = (ended.err.strip() or ended.out.strip()).splitlines()[-2:]
    return f"it ended with {ended.code}: {' '.join(last)}"
