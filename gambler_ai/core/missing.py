"""What to do with an order that the broker does not know: send the same bytes again, wait, or give it up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from gambler_ai.core import degraded, protection, replacing
from gambler_ai.core import events as ev
from gambler_ai.core.model import REGULAR_SESSION, Side
from gambler_ai.core.options import planning
from gambler_ai.core.orders import IntentRecord, OrderIntent, Purpose, Status
from gambler_ai.core.state import SessionState

#: VOID needs all of these, in session time (RECOVERY_PROTOCOL 2.1): quiet since the last possible byte,
#: so many look-ups in a row that missed, and so long between the first and now.
VOID_QUIET = timedelta(seconds=30)
VOID_MISSES = 3
VOID_SPAN = timedelta(seconds=10)
#: And so long since we took the account: its last owner may have sent in its last moment (RECOVERY_PROTOCOL 2.2).
LOCK_DELAY = timedelta(seconds=30)
#: An order that the broker says it has and does not show for so long is a person's to look at.
DISPUTE_AFTER = timedelta(minutes=5)
#: Session time before the same bytes are sent a second and further time; it doubles up to the last.
RESEND_PAUSE, RESEND_PAUSE_MAX = timedelta(seconds=15), timedelta(seconds=60)


def settle(state: SessionState, at: datetime, report: ev.BrokerReport) -> Iterator[ev.Fact]:
    """Facts on the ids that ``report`` looked up in vain; each has to be applied before the next is drawn."""
    for coid, answer in report.lookups.items():
        record = state.intents.get(coid)
        if answer is not None or record is None or record.status is not Status.UNKNOWN:
            continue
        yield ev.LookupMissed(at, coid)
        record = state.intents[coid]
        if record.exists:  # its word that the id is taken outweighs any number of look-ups that miss
            if at - (record.first_miss_at or at) >= DISPUTE_AFTER:
                yield ev.IntentDisputed(
                    at, coid, f"the broker says that it has it, and {record.misses} look-ups missed it"
                )
        elif not (record.refused or record.resolved) and _still_wanted(state, record.intent, at, report):
            if not _is_kept_back(state, record.intent) and at - (record.sent_at or at) >= _resend_pause(record):
                yield ev.ResendPlanned(at, coid)
        elif _is_void(state, record, at):
            until = at if replacing.is_over(state, record.intent) else watched_until(report.market)
            yield ev.IntentVoided(at, coid, f"{record.misses} look-ups missed it and {_why(state, record, at)}", until)


def watched_until(market: ev.MarketReport) -> datetime:
    """The end of the next session day; the broker names its close only while the market is closed.

    While it is open: that of a regular one, and none is longer.
    """
    return market.next_open + REGULAR_SESSION if market.is_open else market.next_close


def _is_void(state: SessionState, record: IntentRecord, at: datetime) -> bool:
    return (
        record.misses >= VOID_MISSES
        and at - (record.first_miss_at or at) >= VOID_SPAN
        and at - (record.sent_at or at) >= VOID_QUIET
        and (state.run_started_at is None or at - state.run_started_at >= LOCK_DELAY)
    )


def _is_kept_back(state: SessionState, intent: OrderIntent) -> bool:
    """No entry goes out while something is degraded, and it is not given up for that before its time."""
    return intent.purpose is Purpose.ENTRY and bool(degraded.against(state.degraded, intent.symbol))


def _still_wanted(state: SessionState, intent: OrderIntent, at: datetime, report: ev.BrokerReport) -> bool:
    market = report.market
    if intent.purpose is Purpose.REPLACE:
        return replacing.is_wanted(state, intent)
    if intent.purpose is not Purpose.ENTRY and intent.structure_id:
        return market.is_open and _fits_its_structure(state, intent, at, report)
    if intent.purpose is not Purpose.ENTRY:
        held = state.positions.get(intent.symbol)
        takes = market.is_open or intent.purpose is Purpose.PROTECT  # a closed market takes no exit
        theirs = {p.symbol: p.qty for p in report.positions}
        # Not against shares that are gone: it would open a position the other way round.
        if not takes or held is None or not protection.is_there(held, theirs):
            return False
        meant = (intent.position_id, intent.qty, intent.side)
        return (held.position_id, abs(held.qty), held.exit_side) == meant
    in_time = intent.valid_until is not None and at <= intent.valid_until
    stopped = state.stopping or state.halts or ev.ALL in state.exits
    return in_time and market.is_open and not stopped


def _fits_its_structure(state: SessionState, intent: OrderIntent, at: datetime, report: ev.BrokerReport) -> bool:
    """Whether an order of a structure would still do what it was decided for, and no more.

    One that closes takes no more than is held, on the side it is held, and only what the broker shows as well. A leg
    that is still to be opened belongs to what is held and is to be kept.
    """
    structure = state.structures.get(intent.structure_id)
    if structure is None:
        return False
    mine = {s: p for s, p in state.positions.items() if p.structure_id == structure.structure_id}
    theirs = {p.symbol: p.qty for p in report.positions}
    if not all(protection.is_there(position, theirs) for position in mine.values()):
        return False
    if intent.purpose is Purpose.LEG:
        left = planning.why_left(state, structure) or state.stopping
        in_time = intent.valid_until is None or at <= intent.valid_until
        return bool(mine) and intent.symbol not in mine and in_time and not left
    return all(
        symbol in mine and mine[symbol].exit_side is side and abs(mine[symbol].qty) >= qty
        for symbol, side, qty in _closes(intent)
    )  # fmt: skip


def _closes(intent: OrderIntent) -> list[tuple[str, Side, Decimal]]:
    """What an order takes out, by symbol."""
    legs = msgspec.json.decode(intent.body).get("legs")
    if legs is None:
        return [(intent.symbol, intent.side, intent.qty)]
    return [(leg["symbol"], Side(leg["side"]), Decimal(leg["ratio_qty"]) * intent.qty) for leg in legs]


def _why(state: SessionState, record: IntentRecord, at: datetime) -> str:
    """Why an order that is not there is not sent again."""
    intent = record.intent
    if replacing.is_over(state, intent):
        return "what it replaces is done"
    if record.refused:
        return f"it was refused when it was sent again ({record.note})"
    if record.resolved:
        return "a person's word on it was taken"
    if intent.valid_until is not None and at > intent.valid_until:
        return "its signal has expired"
    return "nothing is entered now" if intent.purpose is Purpose.ENTRY else "it is not wanted any more"


def _resend_pause(record: IntentRecord) -> timedelta:
    """None before the first: a broker that has just failed is asked again, one that keeps failing less often."""
    if not record.resends:
        return timedelta()
    return min(RESEND_PAUSE * int(2 ** min(record.resends - 1, 10)), RESEND_PAUSE_MAX)
