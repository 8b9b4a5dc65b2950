"""StateManager: sessions and checkpoints for people who script against them, without a broker.

    from gambler_ai.trading.state_manager import StateManager

    with StateManager("sqlite:///sessions.sqlite3") as state_manager:
        state_manager.create_session(["AAPL", "MSFT"], initial_capital=100_000)
        state_manager.create_checkpoint(account_info={"portfolio_value": 100_000.00},
                                        strategy_params={"stop_loss_pct": 2.0})
        restored = state_manager.restore_from_latest_checkpoint()

It writes through the same journal, lease and checkpoints as a runner: it can look after a runner's session
while that one is down, and never at the same time. Its own sessions have no broker; no runner resumes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from types import TracebackType
from typing import Any, Self

import msgspec

from gambler_ai.clock import Clock, SystemClock
from gambler_ai.core.components import Plain
from gambler_ai.core.engine import Decisions
from gambler_ai.core.events import AccountReported, Fact, ParametersSet, RunEnded, RunStarted
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import ZERO, Account
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.errors import ConfigError, NoActiveSession, SessionNotFound
from gambler_ai.storage import checkpoints, components, journal, lease, sessions
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SCRIPT, SessionInfo
from gambler_ai.trading.carrying import risk_carried
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.memory import Stored
from gambler_ai.trading.recall import refuse_other_format, stored_of, taken
from gambler_ai.trading.recovery import Restored, restore


class StateManager:
    """One active session at a time: create or resume it, write and restore its checkpoints, end it."""

    def __init__(self, database: str | Database, *, clock: Clock | None = None) -> None:
        """``database`` is a URL, or the project's own database object.

        Raises:
            ConfigError: the URL is not one.
            StorageError: the database cannot be used.
        """
        self._database = Database(database) if isinstance(database, str) else database
        self._database.prepare()
        self._clock = clock or SystemClock()
        self._state: SessionState | None = None
        self._ledger: Ledger | None = None
        self._is_script = True
        self._left_as = "stopped"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def session_id(self) -> str | None:
        """The active session's id, None when there is none."""
        return self._state.session_id if self._state is not None else None

    # -- sessions ---------------------------------------------------------------------------------

    def create_session(
        self,
        symbols: Sequence[str],
        initial_capital: float | Decimal,
        duration_minutes: float = 60,
        scan_interval_seconds: float = 60,
        parameters: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin a session, take its lease and make it the active one. Returns its id.

        Raises:
            ConfigError: a value is not allowed.
        """
        self._let_go()
        capital = _amount("initial_capital", initial_capital)
        plan = _plan(symbols, duration_minutes, scan_interval_seconds)
        plain = _plain(parameters or {})
        now = self._clock.now()
        session_id = sessions.new_id(now)
        state = SessionState(
            session_id=session_id, account_id=f"{SCRIPT}-{session_id}", plan=plan, started_at=now, last_at=now
        )
        held = lease.acquire(self._database, state.account_id, session_id, self._owner(), self._clock)
        with held.writing(self._database) as db:
            sessions.insert(db, state, broker=SCRIPT, trading_url=SCRIPT, genesis=journal.GENESIS, wall=now)
        self._state = state
        self._is_script, self._left_as = True, "stopped"
        self._ledger = Ledger(self._database, held, state, head=journal.GENESIS, created=0, wall=self._clock)
        account = Account(cash=capital, equity=capital, portfolio_value=capital, buying_power=capital)
        started = RunStarted(now, plan.duration_s, resumed=False, token=held.token)
        self._record(started, AccountReported(now, account), ParametersSet(now, plain))
        return session_id

    def resume_session(self, session_id: str | None = None) -> str:
        """Make a session active again: the one named, else the newest that is not completed.

        A runner's session is handed what its account remembers of risk, unless it knows that already.

        Raises:
            SessionNotFound: there is none.
            SessionLeased: a runner holds it; the message names the owner.
            CheckpointCorrupt: it cannot be restored.
        """
        self._let_go()
        info = self._find(session_id)
        held = lease.acquire(self._database, info.account_id, info.id, self._owner(), self._clock)
        try:
            info = self._find(info.id)
            found = restore(self._database, info)
        except BaseException:
            held.close()
            raise
        self._state = found.state
        self._ledger = Ledger(
            self._database, held, found.state, head=found.head, created=info.checkpoints, wall=self._clock
        )
        self._is_script = info.broker == SCRIPT
        self._left_as = info.status if info.status in ("finished", "completed") else "stopped"
        carried = risk_carried(self._database, info.account_id, info.id, self._now())  # it is the last to write
        self._record(RunStarted(self._now(), found.state.remaining_s, resumed=True, token=held.token), *carried)
        return info.id

    def end_session(self, status: str = "completed", reason: str = "ended by script") -> None:
        """End the active session and give its account back. "stopped" leaves it to be resumed.

        Raises:
            NoActiveSession, ConfigError.
        """
        if status not in ("completed", "stopped"):
            raise ConfigError(f"a session ends as completed or stopped, not {status!r}")
        self._end(status, reason)

    def close(self) -> None:
        """Leave the active session resumable and give the database back."""
        self._let_go()
        self._database.close()

    # -- checkpoints ------------------------------------------------------------------------------

    def create_checkpoint(
        self, account_info: Mapping[str, Any] | None = None, strategy_params: Mapping[str, Any] | None = None
    ) -> int:
        """Store the state as it is, with the account and parameters given. Returns the checkpoint's number.

        ``account_info`` may hold portfolio_value, equity, cash and buying_power; what is left out keeps its value.

        Raises:
            NoActiveSession, ConfigError.
        """
        state, ledger = self._active()
        facts: list[Fact] = []
        if account_info is not None:
            facts.append(AccountReported(self._now(), _account(state.account, account_info)))
        if strategy_params is not None:
            facts.append(ParametersSet(self._now(), _plain(strategy_params)))
        self._record(*facts)
        return ledger.checkpoint().number

    def restore_from_latest_checkpoint(self) -> dict[str, Any]:
        """The active session as stored: newest checkpoint that verifies, and the journal after it.

        Raises:
            NoActiveSession, CheckpointCorrupt.
            SessionNotFound: it has no checkpoint yet.
        """
        state, _ledger = self._active()
        with self._database.read() as db:
            info = sessions.find(db, state.session_id)
        found = restore(self._database, info)
        if found.checkpoint is None:
            raise SessionNotFound(f"session {info.id} has no checkpoint yet", hint="create_checkpoint() makes one")
        return _restored(info, found, found.checkpoint)

    def list_checkpoints(self, limit: int = 10) -> list[dict[str, Any]]:
        """The newest ``limit`` checkpoints of the active session, newest first.

        Raises:
            NoActiveSession.
        """
        state, _ledger = self._active()
        with self._database.read() as db:
            return [_described(info) for info in checkpoints.listed(db, state.session_id, limit)]

    def get_checkpoint_stats(self) -> dict[str, Any]:
        """How many checkpoints the active session has stored (``total_checkpoints``), ever had, and their bytes.

        Raises:
            NoActiveSession.
        """
        state, ledger = self._active()
        with self._database.read() as db:
            count, size = checkpoints.stored(db, state.session_id)
            newest = checkpoints.listed(db, state.session_id, 1)
        return {
            "session_id": state.session_id,
            "total_checkpoints": count,
            "created_checkpoints": ledger.created,
            "total_bytes": size,
            "latest_checkpoint": newest[0].created_at if newest else None,
            "latest_number": newest[0].number if newest else None,
        }

    def cleanup_old_checkpoints(self, keep_count: int = 100, older_than_hours: float | None = None) -> int:
        """Delete all but the newest ``keep_count``, and of those only the ones older than that if it is given.

        The newest one that verifies is never deleted. Returns how many were.

        Raises:
            NoActiveSession.
            ConfigError: ``keep_count`` is below one.
        """
        _state, ledger = self._active()
        older = timedelta(hours=older_than_hours) if older_than_hours is not None else None
        return ledger.prune(keep_count, older)

    # -- what components remember -----------------------------------------------------------------

    def save_component(self, name: str, value: Any) -> int:
        """Store a value of your own under ``name`` with the active session. Returns the number of its row.

        ``value``: None, bools, texts, finite numbers, Decimals, lists, and dicts whose keys are texts. One that is
        stored already is not written again.

        Raises:
            NoActiveSession.
            ConfigError: the name is no word of at most 32 letters, or the value is not plain (it says where),
                or what is stored under that name is none.
        """
        _state, ledger = self._active()
        Plain(name, value).dump()  # refused before anything is touched
        plain, stored = self._taken(name, None)
        plain.set(value)
        ledger.memory.put(plain, stored)
        self._record(*ledger.memory.take_told(), remember=True)
        return ledger.memory.number(name)

    def load_component(self, name: str, default: Any = None) -> Any:
        """What is stored under ``name``: by the active session, else by an earlier one of its account.

        ``default`` if there is nothing. What does not verify is set aside, and the one before it taken. Of a
        strategy's component it is the plain values: `list_components` tells their schema.

        Raises:
            NoActiveSession, ConfigError.
        """
        _state, ledger = self._active()
        plain, _stored = self._taken(name, default)
        self._record(*ledger.memory.take_told())
        return plain.value

    def list_components(self) -> list[dict[str, Any]]:
        """Each stored row of what the active session remembers: by name, newest first; ``set_aside`` says why.

        Raises:
            NoActiveSession.
        """
        state, _ledger = self._active()
        with self._database.read() as db:
            return [msgspec.structs.asdict(info) for info in components.listed(db, state.session_id)]

    # -- within -----------------------------------------------------------------------------------

    def _active(self) -> tuple[SessionState, Ledger]:
        if self._state is None or self._ledger is None:
            raise NoActiveSession("no session is active", hint="call create_session() or resume_session() first")
        return self._state, self._ledger

    def _record(self, *facts: Fact, remember: bool = False) -> None:
        state, ledger = self._active()
        try:
            ledger.commit(Decisions(facts=list(facts), changes=evolve(state, facts)), remember=remember)
        except BaseException:  # what is in memory is not what is stored: only a resume can tell
            self._state = self._ledger = None
            ledger.drop()
            raise

    def _taken(self, name: str, default: Any) -> tuple[Plain, Stored]:
        """The newest good value of a name, and how far it is stored; what is bad is told with the next record."""
        state, ledger = self._active()
        plain = Plain(name, default)
        with self._database.read() as db:
            refuse_other_format(db, plain, state)
            found = taken(db, plain, state)
        for aside in found.aside:
            ledger.memory.tell(aside)
        return plain, stored_of(plain, found, state.session_id)

    def _end(self, status: str, reason: str) -> None:
        _state, ledger = self._active()
        self._record(RunEnded(self._now(), status, reason))
        ledger.release()
        self._state = self._ledger = None

    def _now(self) -> Any:
        """Session time: ours for a session of a script; a runner's stands still while a script looks after it."""
        state, _ledger = self._active()
        return max(self._clock.now(), state.last_at) if self._is_script else state.last_at

    def _find(self, session_id: str | None) -> SessionInfo:
        with self._database.read() as db:
            info = sessions.find(db, session_id) if session_id is not None else sessions.newest_open(db, scripts=True)
            if info is None:
                raise sessions.nothing_to_resume(db)
        return info

    def _let_go(self) -> None:
        if self._ledger is not None:
            self._end(self._left_as, "left by script")

    def _owner(self) -> str:
        return lease.signature(self._clock.now(), "script, ")


def _plan(symbols: Sequence[str], duration_minutes: float, scan_interval_seconds: float) -> Plan:
    if isinstance(symbols, str) or not symbols or "" in symbols:
        raise ConfigError("symbols must be a list of names, such as ['AAPL', 'MSFT']")
    if not duration_minutes > 0 or not scan_interval_seconds > 0:
        raise ConfigError("duration_minutes and scan_interval_seconds must be above zero")
    return Plan(
        symbols=tuple(symbols), duration_s=duration_minutes * 60, interval_s=scan_interval_seconds,
        checkpoint_interval_s=30.0, timeframe_s=300, strategy=SCRIPT, stop_loss_pct=Decimal(2),
        take_profit_pct=Decimal(4), position_size=Decimal(10_000), keep_checkpoints=100, speed=1.0, feed="iex",
    )  # fmt: skip


def _account(before: Account, given: Mapping[str, Any]) -> Account:
    known = {"portfolio_value", "equity", "cash", "buying_power"}
    amounts = {name: _amount(name, given[name]) for name in known & set(given)}
    if "portfolio_value" in amounts:
        amounts.setdefault("equity", amounts["portfolio_value"])
    return msgspec.structs.replace(before, **amounts)


def _amount(name: str, value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < ZERO:
        raise ConfigError(f"{name} must be an amount, not {value!r}")
    return amount


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` as JSON keeps them; what JSON cannot hold is refused."""
    try:
        return msgspec.json.decode(msgspec.json.encode(dict(values)), type=dict[str, Any])
    except (TypeError, msgspec.MsgspecError) as error:
        raise ConfigError(f"parameters must be plain values: {error}") from None


def _described(info: CheckpointInfo) -> dict[str, Any]:
    return {
        "number": info.number,
        "created_at": info.created_at,
        "at": info.at,
        "portfolio_value": info.account.portfolio_value,
        "cash": info.account.cash,
        "active_positions": info.active_positions,
        "closed_trades": info.closed_trades,
        "bytes": info.length,
        "sha256": info.sha256,
    }


def _restored(info: SessionInfo, found: Restored, checkpoint: CheckpointInfo) -> dict[str, Any]:
    state = found.state
    return {
        "session_id": info.id,
        "symbols": list(state.plan.symbols),
        "checkpoint_number": checkpoint.number,
        "checkpoint_time": checkpoint.at,
        "replayed_facts": found.replayed,
        "positions": [
            msgspec.structs.asdict(p) | {"side": p.side, "order_ids": [o.order_id for o in state.live_orders(p.symbol)]}
            for p in state.positions.values()
        ],
        "account": msgspec.structs.asdict(state.account),
        "portfolio_value": state.account.portfolio_value,
        "strategy_params": dict(state.parameters),
        "active_positions": state.active_positions,
        "closed_trades": state.closed_trades,
    }
