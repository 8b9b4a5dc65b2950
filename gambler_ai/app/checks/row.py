"""One finding of the doctor's."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gambler_ai.errors import BrokerError, ConfigError, GamblerError, StorageError

Status = Literal["ok", "warn", "fail", "skip"]


class Row(Struct, frozen=True):
    """What was looked at, what was found, and, where that is not well, what mends it.

    ``code``: what a failure makes the program end with; 0 for every other status.
    """

    name: str
    status: Status
    found: str
    fix: str = ""
    code: int = 0


def ok(name: str, found: str) -> Row:
    """It is as it should be."""
    return Row(name, "ok", found)


def warn(name: str, found: str, fix: str) -> Row:
    """It works, and somebody should know."""
    return Row(name, "warn", found, fix)


def skip(name: str, why: str) -> Row:
    """It was not looked at."""
    return Row(name, "skip", why)


def fail(name: str, found: str, fix: str, kind: type[GamblerError]) -> Row:
    """It does not work; ``kind`` is the error it would end in."""
    return Row(name, "fail", found, fix, kind.exit_code)


def failed(name: str, error: GamblerError) -> Row:
    """It ended in an error of ours, which has a line for the user and most often a hint."""
    return Row(name, "fail", error.message, error.hint or _FIXES.get(error.exit_code, ""), error.exit_code)


#: Where an error has no hint of its own.
_FIXES = {
    ConfigError.exit_code: "mend the setting that is named; see them all: gambler-ai config show",
    BrokerError.exit_code: "nothing is lost by waiting; then look again: gambler-ai doctor",
    StorageError.exit_code: "keep the database as it is; start on another with --database-url and --new",
}

#: The branches of the program's troubles; `fail` takes one.
CONFIG, BROKER, STORAGE, PROGRAM = ConfigError, BrokerError, StorageError, GamblerError
