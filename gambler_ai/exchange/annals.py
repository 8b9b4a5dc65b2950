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


class Annals:
    """Two lists that only grow, and when each standing plan was first seen; what is not saved yet is counted."""

    def __init__(self, deeds: list[Done], activities: list[Activity], first_seen: dict[str, str]) -> None:
        self.deeds = deeds
        self.activities = activities
        self.first_seen = first_seen
        self._saved = len(deeds), len(activities), len(first_seen)

    @property
    def has_changes(self) -> bool:
        return self._saved != (len(self.deeds), len(self.activities), len(self.first_seen))

    def unsaved(self) -> tuple[list[Done], list[Activity]]:
        return self.deeds[self._saved[0] :], self.activities[self._saved[1] :]

    def saved(self) -> None:
        self._saved = len(self.deeds), len(self.activities), len(self.first_seen)
