"""Books against broker without a word written or sent: what a reconciliation would come to."""

from __future__ import annotations

from gambler_ai.app.assembly import build_engine, plan_of
from gambler_ai.app.desk import Desk
from gambler_ai.app.reopening import reopen
from gambler_ai.app.strategies import Onlooker
from gambler_ai.app.venue import EMBEDDED, Venue, open_alpaca
from gambler_ai.core import control
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.evolution import evolve
from gambler_ai.core.state import SessionState
from gambler_ai.errors import SessionLeased
from gambler_ai.storage import lease, requests
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.executor import read_broker
from gambler_ai.trading.recovery import restore
from gambler_ai.trading.requesting import reading


def compare(desk: Desk, info: SessionInfo) -> bool:
    """A session's books against its broker. True if they agree."""
    if info.broker == EMBEDDED and lease.is_held(desk.database, info.account_id):
        raise SessionLeased(
            f"session {info.id} runs now, and its exchange with it; it compares itself every minute",
            hint="see what it found: gambler-ai sessions show " + info.id,
        )
    restored = restore(desk.database, info)
    with desk.database.read() as db:
        asked = [one for one in requests.waiting(db, info.id) if one.kind == ev.RECALL]
    for request in asked:  # what a resume would begin with
        evolve(restored.state, control.take(restored.state, request, restored.state.last_at, None))
    venue = reopen(desk, info, restored.state)
    try:
        desk.watcher.opening(venue, desk.database.name, restored.state.plan)
        desk.watcher.resumed(info, restored)
        return _show_difference(desk, venue, restored.state)
    finally:
        venue.on_close()


def compare_without_session(desk: Desk) -> bool:
    """An account without a session: whatever it holds is a difference."""
    venue = open_alpaca(desk.settings)
    now = venue.clock.now()
    plan = plan_of(desk.settings)
    account_id = venue.broker.account_id()
    desk.watcher.opening(venue, desk.database.name, plan)
    empty = SessionState(session_id="none", account_id=account_id, plan=plan, started_at=now, last_at=now)
    return _show_difference(desk, venue, empty)


def _show_difference(desk: Desk, venue: Venue, state: SessionState) -> bool:
    """Two readings on a state nobody keeps: what both show is what a reconciliation would act on."""
    engine = build_engine(desk.database, state, {}, Onlooker())
    decisions = Decisions()
    facts: list[ev.Fact] = []
    waiting: tuple[str, ...] = ()
    for _ in range(2):
        report = read_broker(venue.broker, reading(state, reconcile=True), waiting)
        waiting = report.waiting
        decisions = engine.step(ev.BrokerReported(venue.clock.now(), report, reconcile=True))
        facts += decisions.facts
    desk.watcher.planned(decisions.discrepancies, facts)
    return not decisions.discrepancies
