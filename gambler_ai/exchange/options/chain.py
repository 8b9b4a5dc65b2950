"""Which contracts a question is about, in the order of their symbols, and no more of them than are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from gambler_ai.exchange.instants import new_york
from gambler_ai.exchange.options.contracts import Contract
from gambler_ai.exchange.options.market import OptionMarket

_FRIDAY = 4


class Wanted(NamedTuple):
    """Filters; None is no filter. ``active`` False asks for those that have expired."""

    underlyings: Sequence[str]
    kind: str | None = None
    first: date | None = None
    last: date | None = None
    strike_least: Decimal | None = None
    strike_most: Decimal | None = None
    active: bool = True


def weekend_after(us: int) -> date:
    """The Sunday of the week, or of the next one when the weekend has begun."""
    today = new_york(us).date()
    ahead = today if today.weekday() <= _FRIDAY else today + timedelta(days=7)
    return ahead + timedelta(days=6 - ahead.weekday())


def select(options: OptionMarket, wanted: Wanted, us: int, after: Contract | None = None) -> Iterator[Contract]:
    """Lazily; ``after`` is the last contract of the page before."""
    for underlying in sorted(set(wanted.underlyings)):
        if after is not None and underlying < after.underlying:
            continue
        resumed = after if after is not None and underlying == after.underlying else None
        expiries = [expiry for expiry in _expiries(options, wanted, underlying, us) if _is_within(wanted, expiry)]
        if resumed is not None:
            expiries = [expiry for expiry in expiries if expiry >= resumed.expiry]
        for contract in options.listing.contracts(underlying, expiries, us):
            if (resumed is None or contract.symbol > resumed.symbol) and _fits(wanted, contract):
                yield contract


def _expiries(options: OptionMarket, wanted: Wanted, underlying: str, us: int) -> list[date]:
    if wanted.active:
        return options.listing.expiries(us)
    first = options.underlyings.daily(underlying).days[0]
    return options.listing.past_expiries(us, max(first, wanted.first or first))


def _is_within(wanted: Wanted, expiry: date) -> bool:
    return (wanted.first is None or wanted.first <= expiry) and (wanted.last is None or expiry <= wanted.last)


def _fits(wanted: Wanted, contract: Contract) -> bool:
    return (
        (wanted.kind is None or contract.kind == wanted.kind)
        and (wanted.strike_least is None or contract.strike >= wanted.strike_least)
        and (wanted.strike_most is None or contract.strike <= wanted.strike_most)
    )
