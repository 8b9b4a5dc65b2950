"""Who wants which market data (BEHAVIOUR 8). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
EVERYTHING = "*"
MAX_SYMBOL = 32  # characters of a name; unknown names are taken, they just have no data

Subscription = Mapping[str, frozenset[str]]  # by channel
NOTHING: Subscription = {channel: frozenset() for channel in CHANNELS}


class Wish(msgspec.Struct, rename="camel"):
    """A message of a client, of whatever action; what an action does not use is absent."""

    action: str = ""
    key: str | None = None
    secret: str | None = None
    trades: list[str] | None = None
    quotes: list[str] | None = None
    bars: list[str] | None = None
    updated_bars: list[str] | None = None
    daily_bars: list[str] | None = None
    statuses: list[str] | None = None
    lulds: list[str] | None = None

    def symbols(self) -> dict[str, frozenset[str]]:
        """By channel. Raises ValueError for what can be no symbol."""
        lists = (
            self.trades, self.quotes, self.bars, self.updated_bars, self.daily_bars, self.statuses, self.lulds,
        )  # fmt: skip
        found = {channel: frozenset(names or ()) for channel, names in zip(CHANNELS, lists, strict=True)}
        if any(len(name) > MAX_SYMBOL for names in found.values() for name in names):
            raise ValueError("that is no symbol")
        return found


def widened(current: Subscription, wish: Wish) -> Subscription:
    """Raises ValueError."""
    more = wish.symbols()
    return {channel: current[channel] | more[channel] for channel in CHANNELS}


def narrowed(current: Subscription, wish: Wish) -> Subscription:
    """Raises ValueError."""
    less = wish.symbols()
    return {channel: current[channel] - less[channel] for channel in CHANNELS}


def fits(subscription: Subscription, limit: int | None) -> bool:
    """Are these no more symbols than a plan allows, counted over all channels? ``*`` for trades or quotes is more than
    any limit; for the rest it is free, as on Alpaca's free plan.
    """
    if limit is None:
        return True
    if EVERYTHING in subscription["trades"] | subscription["quotes"]:
        return False
    return len(frozenset().union(*subscription.values()) - {EVERYTHING}) <= limit


def confirmation(subscription: Subscription) -> dict[str, Any]:
    """The whole list; whoever has trades gets their corrections too."""
    lists: dict[str, Any] = {channel: sorted(names) for channel, names in subscription.items()}
    return {"T": "subscription", **lists, "corrections": lists["trades"], "cancelErrors": lists["trades"]}
