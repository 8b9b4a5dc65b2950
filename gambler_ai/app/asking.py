"""Asking something of a session: who asks, and waiting for the runner's answer."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Callable

from msgspec import Struct

from gambler_ai.clock import Clock
from gambler_ai.core import events as ev
from gambler_ai.errors import ConfigError
from gambler_ai.storage import lease, requests, sessions
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SessionInfo

#: What is of no use before the broker has heard of it; the rest waits for the next start if nobody runs the session.
NEED_BROKER = frozenset({ev.FLATTEN, ev.ADOPT, ev.RESOLVE, ev.MOVE_STOP, ev.MOVE_TARGET})
#: Wall seconds a runner is given to answer, and between two looks for its answer.
ANSWER_PATIENCE_S = 30.0
LOOK_S = 0.5
#: Among so many of the newest sessions the one that runs is looked for.
LISTED_MAX = 1_000


class Asked(Struct, frozen=True):
    """What came of a request; ``answer`` is empty while nobody has taken it."""

    session_id: str
    answer: str

    @property
    def refused(self) -> bool:
        """Whether it could not be done."""
        return self.answer.startswith("refused")


def whoami() -> str:
    """Who asks, for the journal."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user need not be in the list
        name = str(os.getuid())
    return f"{name} on {socket.gethostname()}"


def meant(database: Database, session_id: str | None, *, certain: bool = False) -> SessionInfo:
    """The session named; else the one that runs now, else the newest that is not completed.

    Raises:
        SessionNotFound: there is none.
        ConfigError: several run, and none is named; or, if it has to be ``certain``, none runs and several could be.
    """
    with database.read() as db:
        if session_id is not None:
            return sessions.find(db, session_id)
        newest = sessions.newest_open(db)
        if newest is None:
            raise sessions.nothing_to_resume(db)
        known = sessions.listed(db, LISTED_MAX)
    started = {info.id: info for info in known if info.status == "running"}
    found = lease.running(database, started)
    if len(found) > 1:
        raise ConfigError(f"several sessions run now: {', '.join(sorted(found))}", hint="name the one that is meant")
    could_be = [info.id for info in known if info.status not in (sessions.COMPLETED, sessions.CLOSED)]
    if certain and not found and len(could_be) > 1:
        raise ConfigError(f"no session runs now, and several could be meant: {', '.join(could_be[:5])}", hint="name it")
    return started[found[0]] if found else newest


def looked_at(database: Database, session_id: str | None) -> SessionInfo:
    """The session that is `meant`; where none is left to go on with, the newest that there is.

    Raises:
        SessionNotFound: there is none at all.
        ConfigError: several run, and none is named.
    """
    with database.read() as db:
        newest = sessions.listed(db, 1)
        is_over = sessions.newest_open(db) is None
    return newest[0] if session_id is None and is_over and newest else meant(database, session_id)


def wait_for_answer(database: Database, request_id: str, clock: Clock, is_run: Callable[[], bool]) -> str:
    """The answer to a request, "" if there is none: nobody runs the session any more, or not within our patience."""
    deadline_s = clock.monotonic() + ANSWER_PATIENCE_S
    waits = True
    while True:
        with database.read() as db:
            row = requests.find(db, request_id)
        if row is not None and row.taken_at is not None:
            return row.answer
        if not waits:
            return ""
        waits = clock.monotonic() < deadline_s and is_run()  # it may answer as it ends: so one more look
        if waits:
            clock.sleep(LOOK_S)
