"""Inputs: what the shell hands to the engine. Not journaled; the facts drawn from them are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from msgspec import Struct

from gambler_ai.core.model import BarFrame, Trade
from gambler_ai.core.orders import OrderReport
from gambler_ai.core.reports import BrokerReport
from gambler_ai.core.structures import OptionQuote


@dataclass(frozen=True)
class BarsClosed:
    """New bars and last trades of all symbols; ``quarantined`` says of a symbol why its newest price is not there."""

    at: datetime
    frame: BarFrame
    trades: Mapping[str, Trade]
    quarantined: Mapping[str, str] = field(default_factory=dict)
    #: Contracts that were asked for: chains, and what is held. Those without a quote that can be one are not in it.
    quotes: Mapping[str, OptionQuote] = field(default_factory=dict)
    daily: BarFrame | None = None
    #: Why a chain, or quotes of what is held, could not be read; "" if all that was asked for came.
    unread: str = ""


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
LEARNER_RESET = "learner-reset"
RECALL = "recall"  # asked by `db restore`: the books may be older than the last order
REQUESTS = (
    HALT, RESUME_TRADING, FLATTEN, ADOPT, RESOLVE, MOVE_STOP, MOVE_TARGET, RISK_RESET, RECALL, LEARNER_RESET,
)  # fmt: skip


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
