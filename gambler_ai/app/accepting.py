"""``--accept-broker-state``: a journal that does not verify, and a person who lets the broker's word stand for it."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from gambler_ai.app.desk import Desk
from gambler_ai.app.notices import BooksAccepted
from gambler_ai.app.venue import Venue
from gambler_ai.core import events as ev
from gambler_ai.core import reconcile
from gambler_ai.core.evolution import apply, evolve
from gambler_ai.core.orders import OrderIntent
from gambler_ai.core.state import Changes, SessionState
from gambler_ai.errors import CheckpointCorrupt, RecoveryHalted
from gambler_ai.storage import journal, rebuild, sessions
from gambler_ai.storage.lease import Lease
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.carrying import Left, risk_left
from gambler_ai.trading.executor import Read, read_broker
from gambler_ai.trading.recovery import Restored, empty_state

#: How far before its first order a session's orders and fills are read; what our clock and the broker's may differ by.
OVERLAP = timedelta(minutes=1)


def not_accepted(info: SessionInfo, error: CheckpointCorrupt) -> RecoveryHalted:
    """What a resume says of a journal that does not verify."""
    return RecoveryHalted(
        f"{error.message}; session {info.id} trades nothing until a person has looked, its stops rest at the broker",
        hint="restore a backup of the database; or take the broker's word for all orders of this session:"
        " --resume --accept-broker-state (what is stored is kept)",
    )


def accepted(desk: Desk, held: Lease, info: SessionInfo, venue: Venue, error: CheckpointCorrupt) -> Restored:
    """The books of a session from what the broker holds of its orders; stored in one transaction.

    The account's memory of risk is in no order: it is handed over from what is set aside.

    Raises:
        BrokerError: it could not be asked; nothing was changed.
    """
    with desk.database.read() as db:
        intents = rebuild.intents_of(db, info.id)
    state, left = empty_state(info), risk_left(desk.database, info.account_id)
    since = min([i.decided_at for i in intents], default=info.started_at) - OVERLAP
    report = read_broker(venue.broker, Read(since, since, tuple(i.client_order_id for i in intents), reconcile=True))
    with held.writing(desk.database) as db:
        kept = rebuild.set_aside(db, info, f"its journal does not verify ({error.message})")
        facts, changes = _books(state, info, intents, report, error.message, kept)
        facts += _handed_over(state, info, left, changes, kept)
        head = journal.append(db, state, facts, changes, journal.GENESIS, held.token)
        sessions.update(db, state, head=head, checkpoints=info.checkpoints, wall=desk.wall.now())
    desk.watcher.noted(BooksAccepted(info.id, error.message, kept, len(state.orders), state.fills, dict(state.foreign)))
    return Restored(state, head, None, (), len(facts))


def _books(
    state: SessionState, info: SessionInfo, intents: list[OrderIntent], report: ev.BrokerReport, why: str, kept: str
) -> tuple[list[ev.Fact], Changes]:
    facts: list[ev.Fact] = []
    changes, at = Changes(), info.last_at

    def take(fact: ev.Fact) -> None:
        changes.merge(apply(state, fact))
        facts.append(fact)

    take(ev.Reconciled(at, (_discrepancy(info, why, kept),)))
    take(ev.ParametersSet(at, info.parameters))
    listed = {order.client_order_id: order for order in report.orders}
    for intent in intents:
        # What was held then: orders for it are counted, so that the next one has an id of its own.
        for fill in reconcile.unbooked_fills(state, report):
            if fill.at <= intent.decided_at + OVERLAP:
                take(ev.FillReported(at, fill))
        order = listed.get(intent.client_order_id) or report.lookups.get(intent.client_order_id)
        take(ev.IntentPlanned(at, intent))
        if order is not None:
            take(ev.OrderUpdated(at, order))
        else:
            take(ev.IntentUnknown(at, intent.client_order_id, "the broker does not list it"))
    for fill in reconcile.unbooked_fills(state, report):
        take(ev.FillReported(at, fill))
    take(ev.AccountReported(at, report.account))
    if (foreign := reconcile.foreign_quantities(state, at, report)) is not None:
        take(foreign)
    return facts, changes


def _handed_over(
    state: SessionState, info: SessionInfo, left: Left | None, changes: Changes, kept: str
) -> list[ev.Fact]:
    """Peak, streak, pause and halt, with the round trips that ended since they were stored; of these the books know."""
    if left is None:
        return []
    left = replace(left, session_id=kept) if left.session_id == info.id else left
    facts = left.counting(changes.closed).facts(info.last_at)
    changes.merge(evolve(state, facts))
    return facts


def _discrepancy(info: SessionInfo, why: str, kept: str) -> ev.Discrepancy:
    return ev.Discrepancy(
        kind=reconcile.Kind.JOURNAL_BROKEN, symbol="", ours=f"{info.seq} rows", broker="its orders and fills",
        cause=why, action=f"the books were taken from the broker (--accept-broker-state); kept as session {kept}",
    )  # fmt: skip
