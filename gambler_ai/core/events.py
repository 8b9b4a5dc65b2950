"""What happened. Facts are journaled and replayed; inputs are what the shell hands to the engine.

A fact carries its instant (session time) and everything `evolution.apply` needs, so replay asks nobody.
Facts are tagged by name in the journal; a name, once released, keeps its meaning.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from gambler_ai.core.hearing import PRICES as PRICES
from gambler_ai.core.hearing import TRADE_UPDATES as TRADE_UPDATES
from gambler_ai.core.hearing import StreamChanged as StreamChanged
from gambler_ai.core.hearing import StreamSilent as StreamSilent
from gambler_ai.core.hearing import Woken as Woken
from gambler_ai.core.inputs import ADOPT as ADOPT
from gambler_ai.core.inputs import BROKER as BROKER
from gambler_ai.core.inputs import FLATTEN as FLATTEN
from gambler_ai.core.inputs import HALT as HALT
from gambler_ai.core.inputs import LEARNER_RESET as LEARNER_RESET
from gambler_ai.core.inputs import MARKET_DATA as MARKET_DATA
from gambler_ai.core.inputs import MOVE_STOP as MOVE_STOP
from gambler_ai.core.inputs import MOVE_TARGET as MOVE_TARGET
from gambler_ai.core.inputs import RECALL as RECALL
from gambler_ai.core.inputs import REQUESTS as REQUESTS
from gambler_ai.core.inputs import RESOLVE as RESOLVE
from gambler_ai.core.inputs import RESUME_TRADING as RESUME_TRADING
from gambler_ai.core.inputs import RISK_RESET as RISK_RESET
from gambler_ai.core.inputs import BarsClosed as BarsClosed
from gambler_ai.core.inputs import BrokerFailed as BrokerFailed
from gambler_ai.core.inputs import BrokerReported as BrokerReported
from gambler_ai.core.inputs import CancelAnswered as CancelAnswered
from gambler_ai.core.inputs import HaltFileSeen as HaltFileSeen
from gambler_ai.core.inputs import Request as Request
from gambler_ai.core.inputs import Requested as Requested
from gambler_ai.core.inputs import SubmitAnswered as SubmitAnswered
from gambler_ai.core.inputs import SubmitRefused as SubmitRefused
from gambler_ai.core.inputs import SubmitUnanswered as SubmitUnanswered
from gambler_ai.core.inputs import TimerElapsed as TimerElapsed
from gambler_ai.core.learning import Outcome
from gambler_ai.core.model import Account, Activity, Fill, Side
from gambler_ai.core.orders import OrderIntent, OrderReport
from gambler_ai.core.reports import BrokerReport as BrokerReport
from gambler_ai.core.reports import MarketReport as MarketReport
from gambler_ai.core.reports import PositionReport as PositionReport
from gambler_ai.core.risk_record import RiskRecord


class _Fact(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    at: datetime


class RunStarted(_Fact, frozen=True, tag=True):
    """A process took the session on; ``budget_s`` of session time are left to run."""

    budget_s: float
    resumed: bool
    token: int


class StateRestored(_Fact, frozen=True, tag=True):
    """What a restart began from: a checkpoint (None: the empty state), journal rows replayed after it, and newer
    checkpoints that did not verify."""

    checkpoint: int | None
    replayed: int
    broken: tuple[str, ...] = ()


class Recovered(_Fact, frozen=True, tag=True):
    """A restart agrees with its broker. Nobody ran the session since ``since``, while ``bars`` closed undecided.

    None: prices could not be read; ``more``: the strategy's history does not reach further back. Between the
    restart's `RunStarted` and this stands what was found and done; without it the restart did not come so far.
    """

    since: datetime
    bars: int | None
    more: bool


class RunEnded(_Fact, frozen=True, tag=True):
    """The process let go of it, and how."""

    status: str
    reason: str


class RunPaused(_Fact, frozen=True, tag=True):
    """The market is waited for: time does not count until the next `RunStarted`; ``left_s`` are left to run."""

    left_s: float


class PlanChanged(_Fact, frozen=True, tag=True):
    """Operational settings given on resume: name -> (before, after)."""

    changes: dict[str, tuple[str, str]]


class ParametersSet(_Fact, frozen=True, tag=True):
    """The strategy's parameters as of now (plain JSON values)."""

    parameters: dict[str, Any]


class IntentPlanned(_Fact, frozen=True, tag=True):
    """A decision. Committing it is what allows it to be sent."""

    intent: OrderIntent


class IntentRecalled(_Fact, frozen=True, tag=True):
    """The decision behind an order of ours that restored books did not know (`core.recalling`). Sends nothing."""

    intent: OrderIntent


class ResendPlanned(_Fact, frozen=True, tag=True):
    """The same bytes under the same id once more, after a look-up that did not find them."""

    client_order_id: str


class IntentUnknown(_Fact, frozen=True, tag=True):
    """Perhaps sent, not answered: to be looked up, never sent under another id.

    ``refused``: sent again and refused, which says nothing of the first time; so not once more.
    ``exists``: the broker has said that it holds an order of this id, so no look-up that misses can take it for absent.
    """

    client_order_id: str
    reason: str
    refused: bool = False
    exists: bool = False


class LookupMissed(_Fact, frozen=True, tag=True):
    """The broker did not know the id. No proof of absence, but it counts (RECOVERY_PROTOCOL 2.1, VOID)."""

    client_order_id: str


class IntentRefused(_Fact, frozen=True, tag=True):
    """The broker answered no."""

    client_order_id: str
    reason: str


class IntentVoided(_Fact, frozen=True, tag=True):
    """Believed never to have arrived; watched until ``watch_until``."""

    client_order_id: str
    reason: str
    watch_until: datetime


class IntentDisputed(_Fact, frozen=True, tag=True):
    """What the broker holds under our id is not what we asked for."""

    client_order_id: str
    reason: str


class OrderUpdated(_Fact, frozen=True, tag=True):
    """The broker's word on an order of ours, its legs within."""

    report: OrderReport


class FillReported(_Fact, frozen=True, tag=True):
    """An execution of an order of ours, from the account's activities."""

    fill: Fill


class AccountReported(_Fact, frozen=True, tag=True):
    """The account's money as the broker states it."""

    account: Account


class Marked(_Fact, frozen=True, tag=True):
    """Last prices, and the newest bar each symbol was decided on."""

    marks: dict[str, Decimal]
    bars: dict[str, datetime]
    iteration: int | None = None  # of a scan: its number


class CancelPlanned(_Fact, frozen=True, tag=True):
    """We want an order gone. Committing it is what allows the request."""

    order_id: str
    reason: str


class Adjusted(_Fact, frozen=True, tag=True):
    """Our quantity set to the broker's, with the cause; ``price`` only when a fill of another's shows it."""

    symbol: str
    qty: Decimal
    price: Decimal | None
    cause: str


class SplitApplied(_Fact, frozen=True, tag=True):
    """``new`` shares for ``old`` ones: quantity, prices, stop and target of a position follow; ``qty`` is what is held.

    Less than the ratio gives is a part of a share that was paid out, booked at cost. What rests is `Order.stale`.
    """

    symbol: str
    new: int
    old: int
    qty: Decimal
    cause: str
    activity_ids: tuple[str, ...] = ()


class ActionNoted(_Fact, frozen=True, tag=True):
    """Something happened to a company that we hold: told once, our orders stay."""

    action: Activity


class OptionSettled(_Fact, frozen=True, tag=True):
    """So many contracts of ours (signed as they were held) ended by ``how``: exercised, assigned or expired.

    ``shares`` (signed) then changed hands at ``price``, the strike. ``activity_ids`` are what told it, once.
    """

    symbol: str
    qty: Decimal
    how: str
    shares: Decimal
    price: Decimal
    activity_ids: tuple[str, ...]


class StructureEnded(_Fact, frozen=True, tag=True):
    """Nothing of a structure is held, rests, or is on its way any more: it is a closed trade, or it never was one."""

    structure_id: str
    reason: str


class ForeignSeen(_Fact, frozen=True, tag=True):
    """Quantities in the account that are not ours: shown, left alone, blocking entries in their symbol."""

    qty: dict[str, Decimal]


class Denied(_Fact, frozen=True, tag=True):
    """We refused a proposal, and why."""

    symbol: str
    side: Side
    code: str
    context: str


class Discrepancy(Struct, frozen=True):
    """One difference between our books and the broker's, with its cause and what was done."""

    kind: str
    symbol: str
    ours: str
    broker: str
    cause: str
    action: str
    order_id: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.kind, self.symbol, self.order_id, self.broker)


class Reconciled(_Fact, frozen=True, tag=True):
    """A comparison that found something new; an empty one is not written."""

    discrepancies: tuple[Discrepancy, ...]


class Degraded(_Fact, frozen=True, tag=True):
    """Something does not work (`core.degraded`) until `Restored`; told again while it lasts, with what is new of it."""

    name: str
    reason: str


class Restored(_Fact, frozen=True, tag=True):
    """It works again."""

    name: str


class StopRequested(_Fact, frozen=True, tag=True):
    """This run is to end: a signal."""

    reason: str


class HaltRequested(_Fact, frozen=True, tag=True):
    """What `StopRequested` was called before schema 0002; only replayed."""

    reason: str


class TradingHalted(_Fact, frozen=True, tag=True):
    """No entries until `TradingResumed` from the same source, whatever is restarted meanwhile."""

    source: str
    reason: str


class TradingResumed(_Fact, frozen=True, tag=True):
    """What ``source`` had halted may go on."""

    source: str
    reason: str


class ExitRequested(_Fact, frozen=True, tag=True):
    """Out of a symbol at market; `ALL` also takes entries that still rest. It stands until `ExitDone`."""

    symbol: str
    reason: str


class ExitDone(_Fact, frozen=True, tag=True):
    """Nothing is held or rests any more where an exit was asked for."""

    symbol: str


class Adopted(_Fact, frozen=True, tag=True):
    """A quantity that another opened is ours from here on, with the plan's stop and target."""

    symbol: str
    qty: Decimal
    price: Decimal
    reason: str


class IntentResolved(_Fact, frozen=True, tag=True):
    """A person says what became of an order nobody could tell of: `GONE`, or as the broker has it."""

    client_order_id: str
    verdict: str
    reason: str


class DayOpened(_Fact, frozen=True, tag=True):
    """The first reading of a market day, which is named by the date of its close."""

    day: str


class RiskCarried(_Fact, frozen=True, tag=True):
    """A fresh session takes over what an earlier one of its account remembered of risk."""

    session_id: str
    record: RiskRecord


class PauseKept(_Fact, frozen=True, tag=True):
    """The rules were changed while a pause after losses ran: it goes on to its end, as it began."""

    until: datetime


class RiskReset(_Fact, frozen=True, tag=True):
    """A person has the peak begun anew, and losses in a row forgotten."""

    reason: str


class RequestTaken(_Fact, frozen=True, tag=True):
    """What came of something a person asked for."""

    request_id: str
    kind: str
    answer: str
    symbol: str = ""  # where it was about one


class ComponentSetAside(_Fact, frozen=True, tag=True):
    """A component's row is not used any more, or (``number`` 0) the component failed; ``used`` is what is instead."""

    name: str
    reason: str
    used: str
    session_id: str = ""
    number: int = 0


class OutcomeKnown(_Fact, frozen=True, tag=True):
    """A round trip that a stored signal began has ended: what learners learn from, and nothing else is."""

    outcome: Outcome


class LearnerReset(_Fact, frozen=True, tag=True):
    """A person has a learner forget all that it has learned."""

    name: str
    reason: str


class LearnerTaught(_Fact, frozen=True, tag=True):
    """One that knew nothing takes up what another bot had learned: values by row and name. ``source`` is the SHA-256
    of what was imported, so that it is taken up once."""

    name: str
    values: dict[str, dict[str, float]]
    source: str


class LibraryChanged(_Fact, frozen=True, tag=True):
    """A component was stored by other versions of its libraries than read it now: name -> (before, now)."""

    name: str
    versions: dict[str, tuple[str, str]]
    says: str


#: Every symbol, in an exit.
ALL = "*"
#: What a halt comes from.
PERSON, HALT_FILE, DAILY_LOSS, DRAWDOWN = "person", "HALT file", "daily loss", "drawdown"
#: What a person may say of an order nobody can tell of.
GONE, AT_BROKER = "gone", "broker"


Fact = (
    RunStarted | RunEnded | RunPaused | PlanChanged | ParametersSet | IntentPlanned | ResendPlanned | IntentUnknown
    | LookupMissed | IntentRefused | IntentVoided | IntentDisputed | OrderUpdated | FillReported | AccountReported
    | Marked | CancelPlanned | Adjusted | ForeignSeen | Denied | Reconciled | Degraded | Restored | HaltRequested
    | StopRequested | TradingHalted | TradingResumed | ExitRequested | ExitDone | Adopted | IntentResolved | DayOpened
    | RequestTaken | StateRestored | Recovered | SplitApplied | ActionNoted | RiskCarried | PauseKept | RiskReset
    | ComponentSetAside | IntentRecalled | OutcomeKnown | LearnerReset | LibraryChanged | LearnerTaught
    | OptionSettled | StructureEnded
)  # fmt: skip


Input = (
    BarsClosed | BrokerReported | BrokerFailed | SubmitAnswered | SubmitRefused | SubmitUnanswered
    | CancelAnswered | TimerElapsed | StopRequested | Requested | HaltFileSeen | Woken | StreamChanged
    | StreamSilent
)  # fmt: skip
