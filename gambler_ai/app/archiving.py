"""Sessions of another bot that are archived here: shown, never traded, never reconciled.

An archived session has a row of its own and a journal that names its files, and nothing in the tables that a runner or
a limit reads: what was held is a component beside it. Its account is nobody's, so that no runner takes it over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct

from gambler_ai.ancestors.fno import DAY, PORTFOLIO, SYSTEM, PastBooks
from gambler_ai.app.ancestry import Reading
from gambler_ai.clock import Clock
from gambler_ai.core import events as ev
from gambler_ai.core.components import StructComponent
from gambler_ai.core.evolution import evolve
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.errors import CheckpointCorrupt, ConfigError
from gambler_ai.storage import components, journal, lease, sessions
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SCRIPT, SessionInfo

#: The account of all of them: no broker has one of that name.
ACCOUNT = "archived"
#: What is kept of each file -> the component that it is.
NAMES = {SYSTEM: "archived.system", DAY: "archived.day", PORTFOLIO: "archived.portfolio"}
#: Why it is closed: said to whoever resumes it.
REASON = "archived: files of another bot"


class Archived(Struct, frozen=True):
    """Into which session it went; ``known`` is file -> the session that has the same already."""

    session_id: str
    stored: tuple[str, ...]
    known: dict[str, str]


class Kept(Struct, frozen=True):
    """One file of an archived session, by the name it usually has."""

    kind: str
    books: PastBooks


def is_archived(info: SessionInfo) -> bool:
    """Whether a session is another bot's, kept here to be looked at."""
    return info.account_id == ACCOUNT


def check_alone(reading: Reading) -> bool:
    """Whether the files are to be archived.

    Raises:
        ConfigError: some are and some are not; one call does one of the two, whole or not at all.
    """
    count = sum(isinstance(found.memory, PastBooks) for found in reading.found)
    if 0 < count < len(reading.found):
        raise ConfigError(
            f"{count} of {len(reading.found)} files are an F&O system's, which are archived by themselves",
            hint="nothing was imported; give the others in a call of their own",
        )
    return count > 0


def archive(database: Database, wall: Clock, reading: Reading) -> Archived:
    """Keep what the files hold as one archived session, all of it or nothing; what is here is not written again.

    Raises:
        SessionLeased: another import is at work.
        StorageError: it could not be written; nothing was.
    """
    with database.read() as db:
        known = _known(db, reading)
    session_id: str = ""
    stored: tuple[str, ...] = ()
    if len(known) < len(reading.found):
        session_id, stored, known = _store(database, wall, reading)
    files = {report.kind: report.path for report in reading.reports}
    return Archived(session_id, stored, {files[kind]: where for kind, where in known.items()})


def _store(database: Database, wall: Clock, reading: Reading) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """Write what is new. Returns session and components ("" and () if another import was first), what was known."""
    now = wall.now()
    session_id = sessions.new_id(now)
    held = lease.acquire(database, ACCOUNT, session_id, lease.signature(now, "an import, "), wall)
    try:
        with held.writing(database) as db:
            known = _known(db, reading)
            new = {found.kind: found.memory for found in reading.found if found.kind not in known}
            if new:
                _write(db, session_id, held.token, wall, reading, new)
        with database.write() as db:
            held.release(db)
    finally:
        held.close()
    return session_id if new else "", tuple(sorted(NAMES[kind] for kind in new)), known


def _known(db: Any, reading: Reading) -> dict[str, str]:
    """Kinds whose content is archived already -> in which session."""
    found: dict[str, str] = {}
    for one in reading.found:
        sha256 = components.packed(_component(one.kind, one.memory).dump()).sha256
        rows = components.elsewhere(db, ACCOUNT, "", NAMES[one.kind])
        same = next((row.session_id for row in rows if row.sha256 == sha256), None)
        if same is not None:
            found[one.kind] = same
    return found


def _write(
    db: Any, session_id: str, token: int, wall: Clock, reading: Reading, new: Mapping[str, Any]
) -> None:  # fmt: skip
    now = wall.now()
    state = SessionState(session_id, ACCOUNT, _plan(list(new.values())), now, now)
    files = {r.path: {"kind": r.kind, "sha256": r.sha256} for r in reading.reports if r.kind in new}
    facts: list[ev.Fact] = [
        ev.RunStarted(now, 0.0, resumed=False, token=token), ev.ParametersSet(now, {"archived": files}),
        ev.RunEnded(now, sessions.CLOSED, REASON),
    ]  # fmt: skip
    sessions.insert(db, state, broker=SCRIPT, trading_url=SCRIPT, genesis=journal.GENESIS, wall=now)
    head = journal.append(db, state, facts, evolve(state, facts), journal.GENESIS, token)
    sessions.update(db, state, head=head, checkpoints=0, wall=now)
    for kind, memory in new.items():
        component = _component(kind, memory)
        components.save(
            db, session_id, ACCOUNT, component.name, payload=component.dump(), schema=component.schema,
            format=component.format, libraries=component.libraries, seq=state.seq, at=now, wall=now, token=token,
        )  # fmt: skip


def kept(db: Any, info: SessionInfo) -> list[Kept]:
    """What an archived session holds, the fullest file first; nothing of one that is ours, or does not verify."""
    if not is_archived(info):
        return []
    found = []
    for kind, name in NAMES.items():
        newest = components.newest(db, info.id, name, ACCOUNT)
        if newest is None:
            continue
        component = _component(kind, PastBooks(None, ()))
        try:
            component.load(newest.payload, newest.info.schema)
        except CheckpointCorrupt:
            continue
        found.append(Kept(kind, component.state))
    return found


def all_archived(database: Database) -> list[tuple[SessionInfo, list[Kept]]]:
    """All archived sessions, newest first, with what is in them."""
    with database.read() as db:
        return [(info, kept(db, info)) for info in sessions.of_account(db, ACCOUNT)]


def next_steps(done: Archived) -> tuple[str, ...]:
    """What a person may do with it."""
    steps = [
        f"{path} is archived already, in session {where}: nothing was written" for path, where in done.known.items()
    ]
    if done.session_id:
        steps.append(f"look at it: gambler-ai sessions show {done.session_id}; nothing in it is traded or reconciled")
    return tuple(steps)


def _component(kind: str, memory: Any) -> StructComponent[Any]:
    return StructComponent(NAMES[kind], memory, _as_it_is)


def _as_it_is(state: Any, _: ev.Fact) -> Any:
    return state


def _plan(found: Sequence[PastBooks]) -> Plan:
    """A plan is what a session has; this one never runs. Its symbols are what was held."""
    symbols = dict.fromkeys(position.symbol for books in found for position in books.positions)
    return Plan(
        symbols=tuple(symbols), duration_s=60.0, interval_s=60.0, checkpoint_interval_s=30.0, timeframe_s=300,
        strategy=SCRIPT, stop_loss_pct=Decimal(2), take_profit_pct=Decimal(4), position_size=Decimal(10_000),
        keep_checkpoints=1, speed=1.0, feed="iex",
    )  # fmt: skip
