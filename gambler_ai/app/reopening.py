"""An earlier session, taken over: its lease, its state as stored, and the broker that it is bound to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

from gambler_ai import crashpoints
from gambler_ai.app.accepting import accepted, not_accepted
from gambler_ai.app.assembly import build_runner, instruments_of, remembered, signals
from gambler_ai.app.desk import Desk
from gambler_ai.app.notices import NothingToAccept
from gambler_ai.app.resuming import learning_of, refuse_closed
from gambler_ai.app.strategies import Onlooker
from gambler_ai.app.venue import EMBEDDED, Venue, open_alpaca, open_embedded
from gambler_ai.config import Settings
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.state import SessionState
from gambler_ai.errors import CheckpointCorrupt, ConfigError, RecoveryHalted, StorageError
from gambler_ai.storage import lease, sessions
from gambler_ai.storage.damage import keep_if_damaged
from gambler_ai.storage.lease import Lease
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.strategies import Strategy
from gambler_ai.trading.recovery import Restored, empty_state, restore
from gambler_ai.trading.runner import Runner

#: A session that is begun in the moment its account is opened is not older than it, whatever the two clocks say.
CLOCKS_APART = timedelta(minutes=5)


@contextmanager
def reopened(
    desk: Desk, info: SessionInfo, strategy: Strategy, *, accept: bool = False
) -> Iterator[tuple[Venue, Runner, Restored]]:
    """A stored session on its broker with its lease; both are given back in the end. From here on signals reach it.

    ``accept``: where its journal does not verify, its books are taken from the broker.
    """
    held, info, restored, venue = _take_over(desk, info, accept=accept)
    try:
        with signals(venue):
            desk.watcher.opening(venue, desk.database.name, restored.state.plan)
            desk.watcher.resumed(info, restored)
            # Who only looks after what is held needs no instruments, and must not be kept from it by a symbol that is
            # gone; nor learners: what closes meanwhile they learn at a resume.
            looks, plan = isinstance(strategy, Onlooker), restored.state.plan
            instruments = {} if looks else instruments_of(venue, plan)
            learning = LearningRules() if looks else learning_of(desk, plan)
            memory = remembered(desk.database, restored.state, strategy, learning)
            runner = build_runner(
                desk.database, held, venue, restored.state, instruments, strategy, head=restored.head,
                created=info.checkpoints, reporter=desk.watcher, halt_file=desk.settings.halt_file, memory=memory,
            )  # fmt: skip
            yield venue, runner, restored
    finally:
        venue.on_close()
        held.close()


def reopen(desk: Desk, info: SessionInfo, state: SessionState) -> Venue:
    """The broker the session is bound to, at an instant not before the session's last."""
    if info.broker == EMBEDDED:
        venue = open_embedded(_paced(desk, state), info.id, fresh=False)
    else:
        venue = open_alpaca(_paced(desk, state))
    try:
        if venue.trading_url != info.trading_url:
            raise ConfigError(
                f"session {info.id} trades at {info.trading_url}, not at {venue.trading_url}",
                hint=f"set ALPACA_TRADING_URL={info.trading_url}",
            )
        refuse_other_account(venue, info)
        if venue.skip_to is not None and state.last_at > venue.clock.now():
            venue.skip_to(state.last_at)
    except BaseException:
        venue.on_close()
        raise
    return venue


def refuse_other_account(venue: Venue, info: SessionInfo) -> None:
    """Refuse keys of an account that the session did not trade.

    Raises:
        RecoveryHalted.
    """
    account_id = venue.broker.account_id()
    if account_id != info.account_id:
        raise RecoveryHalted(
            f"session {info.id} belongs to account {info.account_id}, these keys to {account_id}",
            hint="a paper account that was reset is a new one, and nothing of the old one can be reached;"
            f" then: gambler-ai sessions close {info.id}, and start afresh",
        )
    _refuse_reset(venue, info)


def _refuse_reset(venue: Venue, info: SessionInfo) -> None:
    """An account that is younger than its session is not the one the session traded.

    Raises:
        RecoveryHalted.
    """
    opened_at = venue.broker.opened_at()
    if opened_at is not None and opened_at > info.started_at + CLOCKS_APART:
        raise RecoveryHalted(
            f"account {info.account_id} was opened at {opened_at:%F %R} UTC, after session {info.id} began:"
            " it was reset",
            hint="what the session held is gone with the old account;"
            f" be done with it: gambler-ai sessions close {info.id}",
        )


def _take_over(desk: Desk, info: SessionInfo, *, accept: bool) -> tuple[Lease, SessionInfo, Restored, Venue]:
    """What was read of the session before is old by now: its last owner may have ended in between."""
    held = lease.acquire(desk.database, info.account_id, info.id, lease.signature(desk.wall.now()), desk.wall)
    crashpoints.hit("recovery.leased")
    with ExitStack() as undo:
        undo.callback(held.close)
        with desk.database.read() as db:
            info = sessions.find(db, info.id)
        refuse_closed(info)
        try:
            restored = restore(desk.database, info)
        except CheckpointCorrupt as error:
            refuse_damaged(desk)
            if not accept:
                raise not_accepted(info, error) from error
            venue = reopen(desk, info, empty_state(info))
            undo.callback(venue.on_close)
            restored = accepted(desk, held, info, venue, error)
        else:
            if restored.broken:
                refuse_damaged(desk)
            venue = reopen(desk, info, restored.state)
            if accept:
                desk.watcher.noted(NothingToAccept(info.id))
        undo.pop_all()
    return held, info, restored, venue


def refuse_damaged(desk: Desk) -> None:
    """After something did not verify: a file that SQLite itself complains about is not written any more.

    Raises:
        StorageError: it is damaged; a copy was made.
    """
    told = keep_if_damaged(desk.database.path, desk.wall.now())
    if told:
        raise StorageError(f"database {desk.database.name} is damaged", hint=told)


def _paced(desk: Desk, state: SessionState) -> Settings:
    """The settings with the session's own speed and feed, unless the command line gives another speed."""
    values: dict[str, Any] = {"feed": state.plan.feed}
    if "speed" not in desk.given:
        values["speed"] = state.plan.speed
    return desk.settings.model_copy(update=values)
