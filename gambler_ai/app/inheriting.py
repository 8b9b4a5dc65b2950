"""What other bots left, into our database: whose account it is for, then one transaction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gambler_ai.ancestors import Memory
from gambler_ai.ancestors.history import History
from gambler_ai.ancestors.learned import QTable, Weights
from gambler_ai.ancestors.lesson import BotConfig, BotState, Held
from gambler_ai.ancestors.risk import PastRisk, taken_up
from gambler_ai.ancestors.summary import described
from gambler_ai.app import archiving
from gambler_ai.app.ancestry import FileReport, Reading, refuse_all
from gambler_ai.app.asking import whoami
from gambler_ai.app.home import make_private
from gambler_ai.app.resuming import refuse_closed
from gambler_ai.app.venue import ALPACA, open_alpaca
from gambler_ai.clock import Clock, SystemClock
from gambler_ai.config import Settings
from gambler_ai.core import events as ev
from gambler_ai.core.components import StructComponent
from gambler_ai.core.evolution import evolve
from gambler_ai.core.risk_record import RiskRecord
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.errors import CheckpointCorrupt, ConfigError
from gambler_ai.storage import components, journal, lease, requests, sessions
from gambler_ai.storage.components import ComponentInfo
from gambler_ai.storage.database import Database
from gambler_ai.storage.lease import Lease
from gambler_ai.storage.sessions import SCRIPT, SessionInfo
from gambler_ai.trading.carrying import Left, risk_left
from gambler_ai.trading.recovery import restore

#: What is kept of each kind -> the component that it is. "imported." keeps them apart from what we learn ourselves.
HISTORY, RISK, Q_TABLE, WEIGHTS = "imported.history", "imported.risk", "imported.q_table", "imported.weights"
_COMPONENTS: dict[type[Memory], str] = {History: HISTORY, PastRisk: RISK, QTable: Q_TABLE, Weights: WEIGHTS}
_SESSIONS_MAX = 10_000
_ACCOUNT = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: The session that an import for an account is filed under: it never ran and is never resumed.
_REASON = "files of another bot"

M = TypeVar("M", History, PastRisk, QTable, Weights)


class Target(Struct, frozen=True):
    """Whom it is for: a session, or an account whose next session takes it up."""

    account_id: str
    session: SessionInfo | None = None


class Outcome(Struct, frozen=True):
    """What came of an import. ``session_id`` is "" if nothing had to be stored; ``asked`` are symbols to be adopted.

    ``upgraded`` is what was done to the schema.
    """

    files: tuple[FileReport, ...]
    account_id: str = ""
    session_id: str = ""
    stored: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    upgraded: str = ""


def take(settings: Settings, reading: Reading, session_id: str | None, account_id: str | None) -> Outcome:
    """Find out whom the files are for, and keep what they hold for them.

    Raises:
        ConfigError: a file is refused, or that cannot be told.
        SessionLeased: a runner has the account.
        BrokerError: the broker has to be asked, and does not answer.
        StorageError: it could not be written; nothing was.
    """
    wall = SystemClock()
    is_archive = archiving.check_alone(reading)
    if is_archive and (session_id is not None or account_id is not None):
        raise ConfigError(
            "what an F&O system held is archived in a session of its own: it is for no session and no account",
            hint="leave --session and --account out",
        )
    make_private(settings.state_dir)
    database = Database(settings.database)
    try:
        upgraded = database.prepare()
        if is_archive:
            return replace(store_archive(database, wall, reading), upgraded=upgraded)
        needed = any(type(found.memory) in _COMPONENTS for found in reading.found)
        target = find_target(database, settings, session_id, account_id, needed=needed)
        return replace(store(database, wall, target, reading), upgraded=upgraded)
    finally:
        database.close()


def find_target(
    database: Database, settings: Settings, session_id: str | None, account_id: str | None, *, needed: bool = True
) -> Target:
    """The session or account that is named; else the newest session that can go on, else the broker's account.

    Where it is not ``needed``, since nothing is to be kept, the account may be "".

    Raises:
        ConfigError: both are named, neither can be told, or the session is closed.
        SessionNotFound: there is no such session.
        BrokerError: the broker has to be asked, and does not answer.
    """
    if session_id is not None and account_id is not None:
        raise ConfigError("give --session or --account, not both")
    if account_id is not None:
        if not _ACCOUNT.fullmatch(account_id) or account_id == archiving.ACCOUNT:
            raise ConfigError(f"{account_id[:80]!r} is no account's id", hint="gambler-ai doctor shows it")
        return Target(account_id)
    with database.read() as db:
        info = sessions.find(db, session_id) if session_id is not None else sessions.newest_open(db)
    if info is not None:
        refuse_closed(info)
        return Target(info.account_id, info)
    if not needed:
        return Target("")
    if settings.broker == "embedded" or not settings.has_keys:
        raise ConfigError(
            "no session is there that this could be for, and no account is set",
            hint="name one with --session or --account, or set the keys of the account",
        )
    return Target(_account_of_broker(settings))


def _account_of_broker(settings: Settings) -> str:
    venue = open_alpaca(settings)
    assert venue.kind == ALPACA
    try:
        return venue.broker.account_id()
    finally:
        venue.on_close()


def store_archive(database: Database, wall: Clock, reading: Reading) -> Outcome:
    """Keep what an F&O system's files hold as an archived session, all of it or nothing, and once.

    Raises:
        ConfigError: a file is refused.
        SessionLeased: another import is at work.
        StorageError: it could not be written; nothing was.
    """
    if reading.refused:
        raise refuse_all(reading)
    done = archiving.archive(database, wall, reading)
    steps = archiving.next_steps(done)
    return Outcome(reading.reports, archiving.ACCOUNT, done.session_id, done.stored, next_steps=steps)


def store(database: Database, wall: Clock, target: Target, reading: Reading) -> Outcome:
    """Keep what the files hold, all of it or nothing; what is there already is not written again.

    Raises:
        ConfigError: a file is refused.
        SessionLeased: a runner has the account.
        StorageError: it could not be written; nothing was.
    """
    if reading.refused:
        raise refuse_all(reading)
    kept = [_component(found.memory) for found in reading.found if type(found.memory) in _COMPONENTS]
    held = [one for found in reading.found if isinstance(found.memory, BotState) for one in found.memory.held]
    bequest = _Bequest(database, wall, target, reading, kept, held)
    session_id = bequest.write() if bequest.is_news() else ""
    stored = tuple(sorted(component.name for component in kept)) if session_id else ()
    asked = bequest.asked if session_id else ()
    return Outcome(reading.reports, target.account_id, session_id, stored, asked, _next_steps(target, reading, held))


class _Bequest:
    """One import on its way into the database."""

    def __init__(
        self, database: Database, wall: Clock, target: Target, reading: Reading,
        kept: Sequence[StructComponent[Any]], held: Sequence[Held],
    ) -> None:  # fmt: skip
        self._database = database
        self._wall = wall
        self._target = target
        self._reading = reading
        self._kept = kept
        self._held = held
        self.asked: tuple[str, ...] = ()

    def is_news(self) -> bool:
        """Whether any of it is not there yet."""
        session = self._target.session
        with self._database.read() as db:
            for component in self._kept:
                rows = components.listed(db, session.id, component.name) if session is not None else []
                rows = [*rows, *components.elsewhere(db, self._target.account_id, "", component.name)]
                if not rows or rows[0].sha256 != components.packed(component.dump()).sha256:
                    return True
            return session is not None and bool(self._to_ask(requests.waiting(db, session.id)))

    def write(self) -> str:
        """Store it under the account's lease. Returns the session it is filed under."""
        session, now = self._target.session, self._wall.now()
        session_id = session.id if session is not None else sessions.new_id(now)
        owner = lease.signature(now, "an import, ")
        held = lease.acquire(self._database, self._target.account_id, session_id, owner, self._wall)
        try:
            if session is None:
                self._file(held, session_id)
            else:
                self._hand_over(held, session_id)
            with self._database.write() as db:
                held.release(db)
        finally:
            held.close()
        return session_id

    def _file(self, held: Lease, session_id: str) -> None:
        """For an account: a session that says what came from where, and is done with."""
        now, account_id = self._wall.now(), self._target.account_id
        state = SessionState(session_id, account_id, _plan(self._reading, self._held), now, now)
        facts: list[ev.Fact] = [
            ev.RunStarted(now, 0.0, resumed=False, token=held.token), *self._risk(session_id, now),
            ev.ParametersSet(now, _origin(self._reading)), ev.RunEnded(now, sessions.COMPLETED, _REASON),
        ]  # fmt: skip
        with held.writing(self._database) as db:
            sessions.insert(db, state, broker=SCRIPT, trading_url=SCRIPT, genesis=journal.GENESIS, wall=now)
            head = journal.append(db, state, facts, evolve(state, facts), journal.GENESIS, held.token)
            sessions.update(db, state, head=head, checkpoints=0, wall=now)
            for component in self._kept:
                components.save(
                    db, session_id, account_id, component.name, payload=component.dump(), schema=component.schema,
                    format=component.format, libraries=component.libraries, seq=state.seq, at=now, wall=now,
                    token=held.token,
                )  # fmt: skip

    def _hand_over(self, held: Lease, session_id: str) -> None:
        """For a session: as of where it stands; what is held is asked for, and taken after the broker was read."""
        wall, account_id = self._wall.now(), self._target.account_id
        with self._database.read() as db:
            info = sessions.find(db, session_id)  # as its last owner left it
        restored = restore(self._database, info)
        state = restored.state
        facts = self._risk(session_id, state.last_at)
        with held.writing(self._database) as db:
            if facts:
                head = journal.append(db, state, facts, evolve(state, facts), restored.head, held.token)
                sessions.update(db, state, head=head, checkpoints=info.checkpoints, wall=wall)
            for component in self._kept:
                components.save(
                    db, session_id, account_id, component.name, payload=component.dump(), schema=component.schema,
                    format=component.format, libraries=component.libraries, seq=state.seq, at=state.last_at, wall=wall,
                    token=held.token,
                )  # fmt: skip
            wanted = self._to_ask(requests.waiting(db, session_id))
            for one in wanted:
                requests.add(db, info, ev.ADOPT, one.symbol, f"imported: {described(one)}", whoami(), wall)
        self.asked = tuple(one.symbol for one in wanted)

    def _risk(self, session_id: str, at: datetime) -> list[ev.Fact]:
        """The fact by which limits know of the other bot's peak and streak: it narrows what is remembered."""
        found = [component.state for component in self._kept if component.name == RISK]
        if not found:
            return []
        before = risk_left(self._database, self._target.account_id) or Left("", RiskRecord(), "")
        return Left(session_id, taken_up(before.record, found[0], at), before.halt).facts(at)

    def _to_ask(self, waiting: Sequence[ev.Request]) -> list[Held]:
        asked = {request.argument for request in waiting if request.kind == ev.ADOPT}
        return [one for one in self._held if one.symbol not in asked]


def inherited(database: Database, account_id: str, kind: type[M]) -> tuple[ComponentInfo, M] | None:
    """What an account was left of a kind, the newest that verifies; None if nothing."""
    name = _COMPONENTS[kind]
    with database.read() as db:
        for info in components.elsewhere(db, account_id, "", name):
            component = StructComponent(name, _EMPTY[kind], _as_it_is)
            try:
                component.load(components.payload(db, info, account_id), info.schema)
            except CheckpointCorrupt:
                continue
            assert isinstance(component.state, kind)
            return info, component.state
    return None


def all_inherited(database: Database, account_id: str | None = None) -> list[tuple[ComponentInfo, Any]]:
    """What every account, or one, was left: the newest of each kind."""
    with database.read() as db:
        known = sorted({info.account_id for info in sessions.listed(db, _SESSIONS_MAX)})
    accounts = known if account_id is None else [account_id]
    kinds: tuple[type[Any], ...] = (History, PastRisk, QTable, Weights)
    found = (inherited(database, account, kind) for account in accounts for kind in kinds)
    return [one for one in found if one is not None]


def _component(memory: Any) -> StructComponent[Any]:
    return StructComponent(_COMPONENTS[type(memory)], memory, _as_it_is)


def _as_it_is(state: Any, _: ev.Fact) -> Any:
    """What another bot remembered does not change by what we do."""
    return state


_ZERO = Decimal(0)
_EMPTY: dict[type[Any], Any] = {
    History: History((), ()), QTable: QTable({}, None), Weights: Weights((), ()),
    PastRisk: PastRisk(0, 0, 0, _ZERO, _ZERO, 0, 0, (), _ZERO, _ZERO, None, _ZERO, _ZERO),
}  # fmt: skip


def _origin(reading: Reading) -> dict[str, Any]:
    files = {report.path: {"kind": report.kind, "sha256": report.sha256} for report in reading.reports}
    return {"imported": files}


def _plan(reading: Reading, held: Sequence[Held]) -> Plan:
    """A plan is what a session has; this one never runs."""
    config = next((found.memory for found in reading.found if isinstance(found.memory, BotConfig)), None)
    symbols = dict.fromkeys([*([config.symbol] if config is not None else []), *(one.symbol for one in held)])
    return Plan(
        symbols=tuple(symbols), duration_s=60.0, interval_s=60.0, checkpoint_interval_s=30.0, timeframe_s=300,
        strategy=SCRIPT, stop_loss_pct=Decimal(2), take_profit_pct=Decimal(4), position_size=Decimal(10_000),
        keep_checkpoints=1, speed=1.0, feed="iex",
    )  # fmt: skip


def _next_steps(target: Target, reading: Reading, held: Sequence[Held]) -> tuple[str, ...]:
    steps: list[str] = []
    if held and target.session is not None:
        steps.append(
            f"session {target.session.id} asks its broker when it goes on, and takes what is really held there:"
            f" gambler-ai --resume {target.session.id}"
        )
    elif held:
        symbols = " ".join(f"--adopt {one.symbol}" for one in held)
        steps.append("the broker is asked when a session begins; what it really holds blocks entries until it is ours")
        steps.append(f"start one, then: gambler-ai reconcile {symbols}")
    if any(isinstance(found.memory, PastRisk) for found in reading.found):
        steps.append("limits count its peak and streak from here on: gambler-ai risk show; to forget them: risk reset")
    if any(isinstance(found.memory, BotConfig) for found in reading.found):
        steps.append("what it traded, as a gambler.toml: --write-config FILE")
    return tuple(steps)
