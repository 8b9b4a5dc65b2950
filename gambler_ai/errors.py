"""Every exception this program raises on purpose, drawn as one tree.

    GamblerError                  exit 1   never raised itself
    ├── ConfigError               exit 2   a flag, a file, a key or a value the user can mend
    ├── BrokerError               exit 3   the broker said no, or could not be asked
    │   ├── BrokerRefused         exit 3   it answered no: known not done
    │   ├── BrokerAuthError       exit 3   it does not know these keys
    │   ├── BrokerUnreachable     exit 3   nothing was sent, or nothing but a question
    │   │   └── ReadFailed        exit 3   it was reached, and a question was not answered
    │   └── OutcomeUnknown        exit 3   sent and not answered: ask, never retry blindly
    ├── SessionLeased             exit 4   another runner holds the account
    ├── StorageError              exit 5   the database cannot be used
    │   ├── SchemaMismatch        exit 5   its schema is not ours
    │   ├── SessionNotFound       exit 5   no such session
    │   ├── NoActiveSession       exit 5   the call needs one
    │   └── CheckpointCorrupt     exit 5   no checkpoint or journal row verifies
    ├── RecoveryHalted            exit 6   a person must look before anything is traded
    ├── LimitBreached             exit 6   an order beyond the session's limits was stopped where it is stored
    └── TryAgainLater             exit 75  the market is closed, or an outage outlasted patience
    IllegalTransition                      a programmer's error: never caught, crash and resume

Each carries one line a user can act on. The exit codes are listed in ``--help``.
"""

from __future__ import annotations

from typing import ClassVar

#: How the program ends, for the help and the documents.
EXIT_CODES = {
    0: "done, or stopped gracefully",
    1: "a fault of this program",
    2: "a wrong option or setting",
    3: "the broker refused, or cannot be reached",
    4: "another runner holds the account",
    5: "the database or the session",
    6: "a person must look first",
    75: "try again later: the market is closed, or an outage",
    130: "stopped at once: a second signal, or Ctrl+C at a question",
}


class GamblerError(Exception):
    """The root: whatever is below it ends in one clear line and an exit code."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(GamblerError):
    """A flag, a file, a key or a value is wrong; the user can mend it."""

    exit_code = 2


class BrokerError(GamblerError):
    """The broker said no, or could not be asked."""

    exit_code = 3

    def __init__(self, message: str, *, hint: str = "", wait_s: float | None = None) -> None:
        """``wait_s``: the broker wants fewer requests, and to be left alone for so long (0: it did not say)."""
        super().__init__(message, hint=hint)
        self.wait_s = wait_s


class BrokerRefused(BrokerError):
    """The broker answered no: what was asked is known not to have been done."""

    def __init__(self, message: str, *, status: int, code: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


class BrokerAuthError(BrokerError):
    """The broker does not know these keys."""


class BrokerUnreachable(BrokerError):
    """Nothing that could change anything was sent."""


class ReadFailed(BrokerUnreachable):
    """The broker was reached, and a question was not answered: a failing endpoint, a time-out, nonsense."""


class OutcomeUnknown(BrokerError):
    """A request that may have changed something was sent and not answered."""


class SessionLeased(GamblerError):
    """Another runner holds this account."""

    exit_code = 4


class StorageError(GamblerError):
    """The database cannot be used as it is."""

    exit_code = 5


class SchemaMismatch(StorageError):
    """The database has another schema than this program."""


class SessionNotFound(StorageError):
    """No session answers to that id."""


class NoActiveSession(StorageError):
    """The call needs a session and none is active."""


class CheckpointCorrupt(StorageError):
    """Neither a checkpoint nor the journal verifies."""


class RecoveryHalted(GamblerError):
    """A person must look before anything is traded; the text says at what."""

    exit_code = 6


class LimitBreached(GamblerError):
    """An order beyond the session's limits had passed review; nothing of it was stored or sent."""

    exit_code = 6

    def __init__(self, what: str, limit: str) -> None:
        super().__init__(
            f"{what} goes beyond {limit}; it was neither stored nor sent",
            hint="this is a fault of the program: please report it; --resume goes on from what is stored",
        )


class TryAgainLater(GamblerError):
    """Nothing is wrong here; the market is closed or the other side is down."""

    exit_code = 75


class IllegalTransition(Exception):
    """Our own code asked for a move that the table does not have: crash and resume."""
