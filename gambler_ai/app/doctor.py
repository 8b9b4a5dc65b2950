"""`doctor`: everything that a session will need, looked at before it does. It writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gambler_ai.app.assembly import check_learning, plan_of
from gambler_ai.app.checks import books, far, machine
from gambler_ai.app.checks.far import Connect
from gambler_ai.app.checks.machine import Machine
from gambler_ai.app.checks.row import Row, failed, ok, skip, warn
from gambler_ai.app.universe import expected
from gambler_ai.clock import Clock, SystemClock
from gambler_ai.config import Reading, Settings, check_together
from gambler_ai.errors import GamblerError
from gambler_ai.trading.door import halt_reason


@dataclass(frozen=True)
class Surroundings:
    """What the doctor looks at; a test puts another machine, clock or broker in its place."""

    machine: Machine = field(default_factory=Machine)
    clock: Clock = field(default_factory=SystemClock)
    connect: Connect = far.connect
    offline: bool = False


def examine(read: Callable[[], Reading], around: Surroundings) -> Iterator[Row]:
    """Row after row, in the order in which trouble should be mended. ``read`` reads the settings."""
    yield from machine.installation(around.machine)
    try:
        reading = read()
    except GamblerError as error:
        yield failed("configuration", error)
        yield skip("everything else", "the settings cannot be read")
    else:
        yield from _with(reading, around)
    yield far.embedded()


def exit_code(rows: list[Row]) -> int:
    """What the program ends with: 0, or the code of the first failure."""
    return next((row.code for row in rows if row.status == "fail"), 0)


def _with(reading: Reading, around: Surroundings) -> Generator[Row, None, None]:
    settings = reading.settings
    yield _configuration(reading)
    yield from machine.state(settings.state_dir, _database_file(settings), around.machine)
    yield _halt(settings)
    account_id = yield from far.far(reading, around.connect, around.clock, offline=around.offline)
    yield from books.books(settings, account_id)


def _configuration(reading: Reading) -> Row:
    files = [str(path) for path in (reading.config_file, reading.secrets_file) if path is not None]
    name, shown = "configuration", " and ".join(files) or "no file, none needed"
    try:
        universe = expected(reading.settings)
        check_together(reading.settings, universe)
        check_learning(plan_of(reading.settings, universe).learning, reading.settings.strategy, universe)
    except GamblerError as error:
        return failed(name, error)
    if reading.settings.checkpoint_interval > reading.settings.duration * 60:
        text = f"{shown}: --checkpoint-interval is longer than --duration: one checkpoint, at the end"
        return warn(name, text, "a smaller --checkpoint-interval makes a resume faster")
    return ok(name, shown)


def _halt(settings: Settings) -> Row:
    reason = halt_reason(settings.halt_file)
    if reason is None:
        return ok("HALT file", "none")
    return warn("HALT file", f"{settings.halt_file}: {reason}", f"nothing is entered until: rm {settings.halt_file}")


def _database_file(settings: Settings) -> Path | None:
    """For the rows on files and disks; a URL that is none has a row of its own."""
    try:
        return books.sqlite_file(settings)
    except GamblerError:
        return None
