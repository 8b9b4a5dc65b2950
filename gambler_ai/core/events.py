"""What happened. Facts are journaled and replayed; inputs are what the shell hands to the engine.

A fact carries its instant (session time) and everything `state.apply` needs, so replay asks nobody.
Facts are tagged by name in the journal; a name, once released, keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from gambler_ai.core.model import Account, BarFrame, Fill, Side, Trade
from gambler_ai.core.orders import OrderIntent, OrderReport


class _Fact(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    at: datetime


class RunStarted(_Fact, frozen=True, tag=True):
    """A process took the session on; ``budget_s`` of session time are left to run."""

    budget_s: float
    resumed: bool
    token: int


class RunEnded(_Fact, frozen=True, tag=True):
    """The process let go of it, and how."""

    status: str
    reason: str


class PlanChanged(_Fact, frozen=True, tag=True):
    """Operational settings given on resume: name -> (before, after)."""

    changes: dict[str, tuple[str, str]]


class ParametersSet(_Fact, frozen=True, tag=True):
    """The strategy's parameters as of now (plain JSON values)."""

    parameters: dict[str, Any]


class IntentPlanned(_Fact, frozen=True, tag=True):
    """A decision. Committing it is what allows it to be sent."""

    intent: OrderIntent


class ResendPlanned(_Fact, frozen=True, tag=True):
    """The same bytes under the same id once more, after a look-up that did not find them."""

    client_order_id: str


class IntentUnknown(_Fact, frozen=True, tag=True):
    """Perhaps sent, not answered: to be looked up, never sent under another id.

    ``refused``: sent again and refused, which says nothing of the first time; so not once more.
    """

    client_order_id: str
    reason: str
    refused: bool = False


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
    """Something we rely on does not work; no entries until `Restored`."""

    name: str
    reason: str


class Restored(_Fact, frozen=True, tag=True):
    """It works again."""

    name: str


class HaltRequested(_Fact, frozen=True, tag=True):
    """No new entries from here on: a signal, a person, or a rule."""

    reason: str


Fact = (
    RunStarted | RunEnded | PlanChanged | ParametersSet | IntentPlanned | ResendPlanned | IntentUnknown | LookupMissed
    | IntentRefused | IntentVoided | IntentDisputed | OrderUpdated | FillReported | AccountReported | Marked
    | CancelPlanned | Adjusted | ForeignSeen | Denied | Reconciled | Degraded | Restored | HaltRequested
)  # fmt: skip


class PositionReport(Struct, frozen=True):
    """A position as the broker states it; ``qty`` is signed."""

    symbol: str
    qty: Decimal
    avg_entry_price: Decimal
    current_price: Decimal | None


class MarketReport(Struct, frozen=True):
    """The broker's clock."""

    at: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


@dataclass(frozen=True)
class BrokerReport:
    """One whole reading of the broker. There is no partial one: a read that fails is a `BrokerFailed`.

    ``lookups`` answers for each client order id that was asked for; None is the broker's own 404.
    """

    market: MarketReport
    account: Account
    orders: tuple[OrderReport, ...]
    fills: tuple[Fill, ...]
    positions: tuple[PositionReport, ...]
    lookups: Mapping[str, OrderReport | None]


# Inputs: what the shell hands to the engine. Not journaled; the facts drawn from them are.


@dataclass(frozen=True)
class BarsClosed:
    """New bars and last trades of all symbols."""

    at: datetime
    frame: BarFrame
    trades: Mapping[str, Trade]


@dataclass(frozen=True)
class BrokerReported:
    """A whole reading; ``reconcile`` when it is to be compared with our books as well."""

    at: datetime
    report: BrokerReport
    reconcile: bool


#: What can fail to answer: the orders and account, or the prices.
BROKER, MARKET_DATA = "broker", "market data"


@dataclass(frozen=True)
class BrokerFailed:
    """A reading that did not come: ``name`` says which, so that the one that works again can restore it."""

    at: datetime
    name: str
    reason: str


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
    """Sent, or perhaps sent, without an answer."""

    at: datetime
    client_order_id: str
    reason: str


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


Input = (
    BarsClosed | BrokerReported | BrokerFailed | SubmitAnswered | SubmitRefused | SubmitUnanswered
    | CancelAnswered | TimerElapsed | HaltRequested
)  # fmt: skip
