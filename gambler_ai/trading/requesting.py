"""From a state to what is asked of the broker: one reading, the bytes of one intent; and what answers end."""

from __future__ import annotations

from datetime import datetime, timedelta

from gambler_ai.core import events as ev
from gambler_ai.core.contracts import parse
from gambler_ai.core.engine import Engine
from gambler_ai.core.model import NEW_YORK
from gambler_ai.core.orders import OrderIntent, Purpose, Status
from gambler_ai.core.state import OPTIONS, SessionState
from gambler_ai.trading.executor import Read, Replace, Request, Scan, Submit
from gambler_ai.trading.option_reader import Wanted

#: An activity may be dated by its day only, and in another zone than ours.
ACTIONS_OVERLAP = timedelta(days=2)


def sending(intent: OrderIntent) -> Request:
    """An intent's bytes to where they go."""
    if intent.purpose is Purpose.REPLACE:
        return Replace(intent.client_order_id, intent.replaces, intent.body)
    return Submit(intent.client_order_id, intent.body, intent.valid_until)


def reading(
    state: SessionState, reconcile: bool, at_least: datetime | None = None, read_to: datetime | None = None
) -> Read:
    """The next reading; orders since ``at_least``, if that is earlier than what our own need.

    ``read_to`` is when the broker was last read and agreed with our books.
    """
    since, anew = state.orders_since(), reconcile and read_to is None
    expect = expected(state)
    if anew:  # of an account that was reset nothing else would tell: no order rests for a structure
        expect += [s.structure_id for s in state.structures.values() if s.filled and s.structure_id not in expect]
    return Read(
        since if at_least is None else min(since, at_least), state.fills_since(read_to), tuple(expect), reconcile,
        orders=tuple(o.order_id for o in state.orders.values() if not o.is_settled),
        actions_since=_actions_since(state, anew=anew) if reconcile or _is_another_day(state) else None,
    )  # fmt: skip


def scanning(engine: Engine, at: datetime) -> Scan:
    """The next scan; of a session in shares it asks for nothing about contracts."""
    plan, wanted = engine.state.plan, None
    if plan.universe == OPTIONS:
        # One that has expired waits for its activity and has no quote: asked for, it might cost those of all others.
        quoted = tuple(s for s in engine.held_contracts if (c := parse(s)) is not None and c.days_left(at) >= 0)
        wanted = Wanted(tuple(engine.chains(at)), quoted, engine.daily_history)
    return Scan(plan.symbols, timedelta(seconds=plan.timeframe_s), engine.history, wanted)


def expected(state: SessionState) -> list[str]:
    """Client order ids whose order has to be in a reading: unknown, said to be there, or live as far as we know."""
    return [
        coid for coid, record in state.intents.items()
        if record.status is Status.UNKNOWN
        or (record.exists and record.status is Status.DISPUTED)
        or any(not o.is_settled for o in state.orders_of(record))
    ]  # fmt: skip


def _actions_since(state: SessionState, *, anew: bool) -> datetime | None:
    """Corporate actions are of interest for as long as something is held, from when it was bought.

    In a session of options, where contracts end by them, also of what has just ended: at each resume, and from the
    first reading of a day on.
    """
    entries = [p.entry_at for p in state.positions.values()]
    entries += [s.opened_at for s in state.structures.values()]
    if state.plan.universe == OPTIONS and (anew or _is_another_day(state)):
        entries.append(state.last_at)
    return min(entries) - ACTIONS_OVERLAP if entries else None


def _is_another_day(state: SessionState) -> bool:
    """Whether the last reading was not of the market day that is known: a night has passed, or one begins."""
    return state.plan.universe == OPTIONS and state.last_at.astimezone(NEW_YORK).date().isoformat() != state.day


#: Inputs that end a request.
ANSWERS = (
    ev.BarsClosed, ev.BrokerReported, ev.BrokerFailed, ev.SubmitAnswered, ev.SubmitRefused,
    ev.SubmitUnanswered, ev.CancelAnswered,
)  # fmt: skip


def reading_of(answer: ev.Input) -> type | None:
    """Which kind of reading an answer ends, None for one that answers an order."""
    if isinstance(answer, ev.BrokerFailed):
        return Read if answer.name == ev.BROKER else Scan
    return {ev.BarsClosed: Scan, ev.BrokerReported: Read}.get(type(answer))
