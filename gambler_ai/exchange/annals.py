"""What happened to the account other than by its orders, kept through a restart."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from gambler_ai.exchange.numbers import ZERO


class Done(msgspec.Struct, kw_only=True, frozen=True):
    """A deed that was done. ``key`` is its line's in a standing plan, "" for others."""

    seq: int
    at_us: int
    key: str
    kind: str
    row: dict[str, Any]
    outcome: str


class Activity(msgspec.Struct, kw_only=True, frozen=True):
    """An activity that is no fill. A split has two of one ``group``: the old shares go, the new ones come."""

    seq: int
    id: str
    group: str
    account_id: str
    at_us: int
    type: str
    sub_type: str
    symbol: str
    qty: Decimal
    net_amount: Decimal = ZERO
    description: str = ""
    price: Decimal | None = None  # a share's, where shares changed hands with it


class Watchlist(msgspec.Struct, kw_only=True):
    """One list; ``symbols`` in the owner's order, each once. A deleted one stays, so that no id comes twice."""

    id: str
    account_id: str
    name: str
    symbols: list[str]
    created_us: int
    updated_us: int
    deleted: bool = False


class Annals:
    """Two lists that only grow, when each standing plan was first seen, and the owner's watchlists by id; what is not
    saved yet is counted.
    """

    def __init__(
        self,
        deeds: list[Done],
        activities: list[Activity],
        first_seen: dict[str, str],
        watchlists: dict[str, Watchlist] | None = None,
    ) -> None:
        self.deeds = deeds
        self.activities = activities
        self.first_seen = first_seen
        self.watchlists = watchlists or {}
        self.changed_watchlists: dict[str, Watchlist] = {}
        self._saved = len(deeds), len(activities), len(first_seen)

    @property
    def has_changes(self) -> bool:
        counted = len(self.deeds), len(self.activities), len(self.first_seen)
        return bool(self.changed_watchlists) or self._saved != counted

    def keep(self, watchlist: Watchlist) -> None:
        """A new one, or one that has changed."""
        self.watchlists[watchlist.id] = self.changed_watchlists[watchlist.id] = watchlist

    def unsaved(self) -> tuple[list[Done], list[Activity]]:
        return self.deeds[self._saved[0] :], self.activities[self._saved[1] :]

    def saved(self) -> None:
        self._saved = len(self.deeds), len(self.activities), len(self.first_seen)
        self.changed_watchlists.clear()
