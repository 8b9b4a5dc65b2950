"""What the broker's word on one order comes to: its answer to a submit, and what a reading shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from gambler_ai.core import events as ev
from gambler_ai.core import reconcile
from gambler_ai.core.orders import FROM_ALPACA, IN_FLIGHT, OrderReport, Purpose, Status, observed
from gambler_ai.core.state import SessionState

_WAITING = frozenset({Status.PLANNED, Status.UNKNOWN, Status.VOID, Status.DISPUTED})


def refused(state: SessionState, event: ev.SubmitRefused) -> ev.IntentUnknown | ev.IntentRefused | None:
    """What a refusal says; None once it is known, by a person or a reading, what became of the order."""
    record = state.intents.get(event.client_order_id)
    if record is None or record.status not in IN_FLIGHT:
        return None
    if event.duplicate:  # it landed: what it became is looked up
        return ev.IntentUnknown(event.at, event.client_order_id, event.reason, exists=True)
    if record.status is Status.UNKNOWN:  # the first one may have landed, and be why
        return ev.IntentUnknown(event.at, event.client_order_id, event.reason, refused=True)
    return ev.IntentRefused(event.at, event.client_order_id, event.reason)


def seen(state: SessionState, at: datetime, report: OrderReport) -> Iterator[ev.Fact | ev.Discrepancy]:
    """What an order of ours, as the broker shows it, has us record; each has to be applied before the next is drawn."""
    owner = state.owner_of(report)
    record = state.intents.get(owner or "")
    if record is None:
        return
    own, news = report.client_order_id == owner, reconcile.is_news(state, report)
    if not (news or (own and record.status in _WAITING)):
        return
    if own and not record.resolved and not reconcile.is_as_asked(record, report):
        if record.status is not Status.DISPUTED:
            text = f"the broker holds {report.side} {report.qty:f} {report.symbol} under this id"
            yield ev.IntentDisputed(at, report.client_order_id, text)
        return
    known = state.orders.get(report.order_id)
    _status, odd = observed(record.status, report.status, newer=known is not None and known.is_before(report))
    if own and odd:
        yield ev.Discrepancy(
            kind=reconcile.Kind.ORDER_ODD, symbol=report.symbol, ours=record.status.value,
            broker=report.status, cause=odd, action="the broker's word taken", order_id=report.order_id,
        )  # fmt: skip
    yield from (*reconcile.moved(state, report), *reconcile.revived(state, report))
    yield ev.OrderUpdated(at, report)
    rejected = FROM_ALPACA.get(report.status) is Status.REJECTED and not record.status.is_final
    if own and rejected and record.intent.purpose is Purpose.REPLACE:
        text = "the broker took the replacement and then refused it; the order that rests stays"
        yield ev.IntentRefused(at, report.client_order_id, text)
