"""Files of other bots: all of them are read and checked together, before anything is written of any."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gambler_ai.ancestors import FILE_MAX, Found, Refused, recognise
from gambler_ai.ancestors.lesson import BotConfig, BotState, Held
from gambler_ai.ancestors.summary import taken
from gambler_ai.app.taking_up import becomes
from gambler_ai.errors import ConfigError

#: In one call; an ancestor has seven.
FILES_MAX = 100
KEYS_SAY = "its keys: give them as ALPACA_API_KEY and ALPACA_API_SECRET, or in secrets.toml (docs/CONFIGURATION.md)"
NO_SYMBOL = "it is in a position, and does not say of what"


class FileReport(Struct, frozen=True):
    """One file: what it is, what was taken of it and what will come of that, what was left out and why; or why it is
    refused."""

    path: str
    kind: str = ""
    sha256: str = ""
    taken: tuple[str, ...] = ()
    becomes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    refused: str = ""
    hint: str = ""


class Reading(NamedTuple):
    """All files: a report of each, and what is in those that are not refused."""

    reports: tuple[FileReport, ...]
    found: tuple[Found, ...]

    @property
    def refused(self) -> list[FileReport]:
        """What cannot be taken; then nothing is."""
        return [report for report in self.reports if report.refused]


def read_files(paths: Sequence[Path], zone: tzinfo) -> Reading:
    """Read and check every file; times in them that name no zone are of ``zone``. Nothing is written.

    Raises:
        ConfigError: there are none, or too many.
    """
    if not 0 < len(paths) <= FILES_MAX:
        raise ConfigError(f"give 1 to {FILES_MAX} files, not {len(paths)}")
    reports: list[FileReport] = []
    found: list[Found | None] = []
    for path in paths:
        report, one = _read(path, zone)
        if one is not None and any(other is not None and other.kind == one.kind for other in found):
            report, one = _turned_down(path, Refused(f"it is a second {one.kind}; one of a kind is taken")), None
        reports.append(report)
        found.append(one)
    _settle(reports, found)
    return Reading(tuple(reports), tuple(one for one in found if one is not None))


def _read(path: Path, zone: tzinfo) -> tuple[FileReport, Found | None]:
    try:
        data = _bytes(path)
        found = recognise(data, zone)
    except Refused as error:
        return _turned_down(path, error), None
    left_out = [*found.left_out]
    if isinstance(found.memory, BotConfig) and found.memory.has_keys:
        left_out.append(KEYS_SAY)
    sha256 = hashlib.sha256(data).hexdigest()
    memory = found.memory
    return FileReport(str(path), found.kind, sha256, taken(memory), becomes(memory), tuple(left_out)), found


def _turned_down(path: Path, error: Refused) -> FileReport:
    return FileReport(str(path), refused=error.message, hint=error.hint)


def _bytes(path: Path) -> bytes:
    """All of a regular file; a pipe that nobody writes to is not waited for."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Refused("it is no regular file")
            return file.read(FILE_MAX + 1)
    except OSError as error:
        raise Refused(f"it cannot be read: {error.strerror}") from None


def _settle(reports: list[FileReport], found: list[Found | None]) -> None:
    """Lesson 23's state says that something is held, its configuration says of what."""
    config = next((one.memory for one in found if one is not None and isinstance(one.memory, BotConfig)), None)
    for at, one in enumerate(found):
        if one is None or not isinstance(one.memory, BotState):
            continue
        held = tuple(_named(position, config) for position in one.memory.held)
        if any(not position.symbol for position in held):
            hint = "give its config.json in the same call"
            reports[at], found[at] = FileReport(reports[at].path, refused=NO_SYMBOL, hint=hint), None
        else:
            memory = BotState(held)
            found[at] = Found(one.kind, memory, one.left_out)
            reports[at] = replace(reports[at], taken=taken(memory))


def _named(held: Held, config: BotConfig | None) -> Held:
    if held.symbol or config is None:
        return held
    return replace(held, symbol=config.symbol, qty=config.qty if held.qty is None else held.qty)


def refuse_all(reading: Reading) -> ConfigError:
    """The error that says how many are refused; each report says why."""
    count, total = len(reading.refused), len(reading.reports)
    return ConfigError(
        f"{count} of {total} file{'' if total == 1 else 's'} refused; nothing was imported",
        hint="leave it out, or mend it: the report says what is wrong with each",
    )


def proposed_of(reading: Reading) -> str:
    """What its config.json comes to as ours; "" without one."""
    held = [one for found in reading.found if isinstance(found.memory, BotState) for one in found.memory.held]
    config = next((found.memory for found in reading.found if isinstance(found.memory, BotConfig)), None)
    return proposed_config(config, held) if config is not None else ""


def proposed_config(config: BotConfig, held: Sequence[Held]) -> str:
    """A `gambler.toml` that trades what the bot traded. No secret is in it."""
    lines = [
        "# Proposed by gambler-ai from another bot's config.json. Every other setting has its default;",
        "# docs/CONFIGURATION.md has them all. Keys are never in here.",
        f'symbols = ["{config.symbol}"]',
    ]
    if config.interval_s is not None:
        lines += ["", "# Seconds of session time between two looks (check_interval_seconds).", _interval(config)]
    if config.qty:
        price = next((one.entry_price for one in held if one.symbol == config.symbol and one.entry_price), None)
        worth = f"; at its last entry price that was {config.qty * price:.0f}" if price else ""
        lines += ["", f"# It bought {config.qty:f} shares at a time (trade_quantity). Here a position is sized in"]
        lines += [f"# dollars{worth}: set what one may cost, or leave the default.", "# position_size = 10000"]
    return "\n".join(lines) + "\n"


def _interval(config: BotConfig) -> str:
    assert config.interval_s is not None
    return f"interval = {config.interval_s.normalize():f}"


@contextmanager
def new_config(path: Path | None, text: str) -> Iterator[None]:
    """Write the proposal to a file of its own; it is taken back if what is done meanwhile fails.

    Raises:
        ConfigError: there is one already, or it cannot be written; or there is nothing to write.
    """
    if path is None:
        yield
        return
    if not text:
        raise ConfigError("--write-config needs a config.json among the files")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} is there already", hint="name another file, or copy the lines") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
