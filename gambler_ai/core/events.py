"""What happened. Facts are journaled and replayed; inputs are what the shell hands to the engine.

A fact carries its instant (session time) and everything `evolution.apply` needs, so replay asks nobody.
Facts are tagged by name in the journal; a name, once released, keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from gambler_ai.core.hearing import PRICES as PRICES
from gambler_ai.core.hearing import TRADE_UPDATES as TRADE_UPDATES
from gambler_ai.core.hearing import StreamChanged as StreamChanged
from gambler_ai.core.hearing import StreamSilent as StreamSilent
from gambler_ai.core.hearing import Woken as Woken
from gambler_ai.core.model import Account, Activity, BarFrame, Fill, Side, Trade
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
    | ComponentSetAside | IntentRecalled
)  # fmt: skip


# Inputs: what the shell hands to the engine. Not journaled; the facts drawn from them are.


@dataclass(frozen=True)
class BarsClosed:
    """New bars and last trades of all symbols; ``quarantined`` says of a symbol why its newest price is not there."""

    at: datetime
    frame: BarFrame
    trades: Mapping[str, Trade]
    quarantined: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BrokerReported:
    """A whole reading; ``reconcile`` when it is to be compared with our books as well.

    ``skew_s``: by how much this machine's clock is surely ahead of the broker's (behind: below zero).
    """

    at: datetime
    report: BrokerReport
    reconcile: bool
    skew_s: float = 0.0


#: What can fail to answer: the orders and account, or the prices.
BROKER, MARKET_DATA = "broker", "market data"


@dataclass(frozen=True)
class BrokerFailed:
    """A reading that did not come: ``name`` says which, ``condition`` what is wrong where there is a closer word."""

    at: datetime
    name: str
    reason: str
    condition: str = ""


@dataclass(frozen=True)
class SubmitAnswered:
    """The broker took the order."""

    at: datetime
    client_order_id: str
    report: OrderReport


@dataclass(frozen=True)
class SubmitRefused:
    """The broker answered no; ``duplicate`` when it holds an order with that id already."""

    at: datetime
    client_order_id: str
    reason: str
    duplicate: bool


@dataclass(frozen=True)
class SubmitUnanswered:
    """Sent, or perhaps sent, without an answer; ``limited_until`` when the broker wants fewer requests until then."""

    at: datetime
    client_order_id: str
    reason: str
    limited_until: datetime | None = None


@dataclass(frozen=True)
class CancelAnswered:
    """The broker took or refused a cancel; the order's own report tells what came of it."""

    at: datetime
    order_id: str
    refused: str


@dataclass(frozen=True)
class TimerElapsed:
    """Session time reached ``at``; nothing else happened."""

    at: datetime


class Request(Struct, frozen=True):
    """What a person asks of a session: ``kind`` is one of `REQUESTS`, ``argument`` a symbol, an order's id, or ""."""

    id: str
    kind: str
    argument: str
    reason: str
    asked_by: str = ""


#: What can be asked.
HALT, RESUME_TRADING, FLATTEN, ADOPT, RESOLVE = "halt", "resume-trading", "flatten", "adopt", "resolve"
MOVE_STOP, MOVE_TARGET, RISK_RESET = "move-stop", "move-target", "risk-reset"
RECALL = "recall"  # asked by `db restore`: the books may be older than the last order
REQUESTS = (HALT, RESUME_TRADING, FLATTEN, ADOPT, RESOLVE, MOVE_STOP, MOVE_TARGET, RISK_RESET, RECALL)


@dataclass(frozen=True)
class Requested:
    """A person asked for something."""

    at: datetime
    request: Request


@dataclass(frozen=True)
class HaltFileSeen:
    """The HALT file is there (its first line is the reason), or it is not (None)."""

    at: datetime
    reason: str | None


Input = (
    BarsClosed | BrokerReported | BrokerFailed | SubmitAnswered | SubmitRefused | SubmitUnanswered
    | CancelAnswered | TimerElapsed | StopRequested | Requested | HaltFileSeen | Woken | StreamChanged
    | StreamSilent
)  # fmt: skip
