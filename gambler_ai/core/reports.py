"""What the broker states of the account and the market, as one reading brings it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from gambler_ai.core.model import Account, Activity, Fill
from gambler_ai.core.orders import OrderReport


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

    ``lookups`` answers for each client order id that was asked for, ``by_id`` for each order that no listing showed;
    None is the broker's own 404. ``actions`` are the account's activities that are no trades, ``waiting`` the ids of
    either kind that there was no room to ask for.
    """

    market: MarketReport
    account: Account
    orders: tuple[OrderReport, ...]
    fills: tuple[Fill, ...]
    positions: tuple[PositionReport, ...]
    lookups: Mapping[str, OrderReport | None]
    by_id: Mapping[str, OrderReport | None] = field(default_factory=dict)
    actions: tuple[Activity, ...] = ()
    waiting: tuple[str, ...] = ()
