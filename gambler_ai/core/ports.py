"""The only abstractions: what the kernel and the shell ask of a strategy, a broker and a market."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from gambler_ai.core.events import MarketReport, PositionReport
from gambler_ai.core.learning import Advice
from gambler_ai.core.model import (
    Account,
    Activity,
    BarFrame,
    Failed,
    Fill,
    Instrument,
    MarketView,
    MoveStop,
    Proposal,
    Trade,
)
from gambler_ai.core.orders import OrderReport
from gambler_ai.core.structures import ChainQuery, OptionQuote, StructureProposal


class Strategy(Protocol):
    """Opinions about the market. Pure: the same view gives the same proposals."""

    @property
    def name(self) -> str: ...

    @property
    def history(self) -> int:
        """Closed bars it wants to see of each symbol."""
        ...

    def propose(self, view: MarketView) -> Sequence[Proposal | MoveStop | StructureProposal | Failed]: ...

    def chains(self, underlyings: Collection[str], day: date) -> Sequence[ChainQuery]:
        """Contracts it wants to see on a market day; nothing unless it trades options."""
        ...

    @property
    def daily_history(self) -> int:
        """Daily bars it wants to see of each symbol, up to the last close."""
        ...


class Adviser(Protocol):
    """What has learned, and is heard before an entry is sized. Pure: the same memory and view give the same advice."""

    @property
    def bars(self) -> int:
        """Closed bars it wants to see of each symbol."""
        ...

    def prepare(self) -> None:
        """Do now what would else make the first advice slow: models are imported and built."""
        ...

    def advise(self, proposal: Proposal, view: MarketView) -> Advice:
        """What is to be stored with the entry, and what learners have against it."""
        ...


class Broker(Protocol):
    """Orders and account. Each call has a deadline of its own.

    Reads raise `BrokerUnreachable`, `BrokerRefused` or `BrokerAuthError`, never "nothing there".
    ``submit``, ``replace`` and ``cancel`` raise `OutcomeUnknown` as well: sent, or perhaps sent, and not answered.
    """

    def account_id(self) -> str: ...

    def opened_at(self) -> datetime | None:
        """When the account was opened; None if the broker does not say."""
        ...

    def account(self) -> Account: ...

    def market(self) -> MarketReport: ...

    def instruments(self, symbols: Collection[str]) -> dict[str, Instrument | None]:
        """None for a symbol the broker does not know."""
        ...

    def with_options(self, symbols: Collection[str], day: date) -> set[str]:
        """Those of ``symbols`` on which contracts are listed that expire on ``day`` or later."""
        ...

    def orders(self, since: datetime) -> list[OrderReport]:
        """All orders submitted after ``since``, whatever their status, legs within their parents."""
        ...

    def order_by_client_id(self, client_order_id: str) -> OrderReport | None:
        """None only on the broker's own 404."""
        ...

    def order(self, order_id: str) -> OrderReport | None: ...

    def fills(self, since: datetime) -> list[Fill]:
        """FILL activities after ``since``, oldest first."""
        ...

    def actions(self, since: datetime) -> list[Activity]:
        """What the broker did to the account since then that is no trade, oldest first."""
        ...

    def positions(self) -> list[PositionReport]: ...

    def submit(self, body: str) -> OrderReport:
        """Send exactly ``body``."""
        ...

    def replace(self, order_id: str, body: str) -> OrderReport:
        """Send exactly ``body``: other terms for an order that rests. The order that is to take its place."""
        ...

    def cancel(self, order_id: str) -> None:
        """Ask for a cancel; what comes of it is in the order's next report."""
        ...


class Streams(Protocol):
    """The broker's streams. What they tell is put into the feed as `Woken` and `StreamChanged`; nothing is booked."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def suspect(self, stream: str) -> None:
        """A reading brought what ``stream`` should have told: it may be deaf."""
        ...

    def market(self, *, is_open: bool) -> None:
        """Whether the market is open, so whether silence means anything."""
        ...


class MarketData(Protocol):
    """Prices. Raises as a broker's read does."""

    def bars(self, symbols: Sequence[str], interval: timedelta, start: datetime, end: datetime, keep: int) -> BarFrame:
        """Closed bars whose left edge lies in [start, end], the newest ``keep`` of each symbol."""
        ...

    def trades(self, symbols: Sequence[str]) -> dict[str, Trade]:
        """The last trade of each symbol that has one."""
        ...

    def chain(self, query: ChainQuery, spot: Decimal) -> dict[str, OptionQuote]:
        """Quotes and greeks of the contracts that ``query`` names, with the underlying at ``spot``."""
        ...

    def option_quotes(self, symbols: Sequence[str]) -> dict[str, OptionQuote]:
        """The same of these contracts; one without a quote is not in it."""
        ...
