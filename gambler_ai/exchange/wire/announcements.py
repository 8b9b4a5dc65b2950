"""Alpaca's JSON for corporate actions. Here only splits happen."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from gambler_ai.exchange.hashing import make_uuid
from gambler_ai.exchange.instants import new_york
from gambler_ai.exchange.numbers import plain
from gambler_ai.exchange.prices.assets import Asset


class Announcement(NamedTuple):
    """A split that is effective: ``ratio`` new shares for one old, from ``day`` on."""

    symbol: str
    day: date
    ratio: Decimal

    @property
    def id(self) -> str:
        return make_uuid("announcement", self.symbol, self.day, self.ratio)


def announcements(splits: Iterable[tuple[int, str, Decimal]], assets: Collection[Asset]) -> list[Announcement]:
    """One an asset of the series that was split."""
    return [
        Announcement(asset.symbol, new_york(at_us).date(), ratio)
        for at_us, series, ratio in splits for asset in assets if asset.series == series
    ]  # fmt: skip


def announcement_entity(row: Announcement) -> dict[str, Any]:
    """Decimals are strings; there is no CUSIP, and every date is the day of the new price."""
    day = row.day.isoformat()
    new, old = row.ratio.as_integer_ratio()
    return {
        "id": row.id,
        "corporate_action_id": make_uuid("corporate action", row.symbol, row.day),
        "ca_type": "split",
        "ca_sub_type": "stock_split" if row.ratio > 1 else "reverse_split",
        "initiating_symbol": row.symbol,
        "initiating_original_cusip": "",
        "target_symbol": row.symbol,
        "target_original_cusip": "",
        "declaration_date": day,
        "ex_date": day,
        "record_date": day,
        "payable_date": day,
        "cash": "0",
        "old_rate": plain(Decimal(old)),
        "new_rate": plain(Decimal(new)),
    }
