"""Which contracts an underlying has at an instant: a pure function of its prices up to the evening before.

Strikes stand on a grid whose step follows the price on the day the expiry was listed, from 20 % below the lowest
close since then to 20 % above the highest (35 % for monthly expiries). The range only grows, so what was listed once is
listed until it expires. A split into whole shares divides the strikes by its ratio, as the clearing house does; any
other split ends the contracts that there were (`desk.expiry`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from gambler_ai.exchange.instants import new_york
from gambler_ai.exchange.numbers import SCALE
from gambler_ai.exchange.options.contracts import CALL, PUT, Contract
from gambler_ai.exchange.options.expiries import expiries_between, first_listed, is_expiry, is_monthly, listed_expiries
from gambler_ai.exchange.prices.market import Market

# Up to which price (dollars) the strikes are so far apart (thousandths of a dollar).
_STEPS = ((10, 500), (50, 1_000), (200, 2_500), (500, 5_000), (2_000, 10_000))
_STEP_ABOVE = 50_000
DEAREST = 10_000  # dollars: nothing is listed on a share that costs more, and the symbol's strike has five digits
_STRIKE_MOST = 99_999_999
_THOUSANDTHS = SCALE // 1000
_WIDTH_MONTHLY, _WIDTH_WEEKLY = 35, 20  # percent
MAX_CACHED = 4_096


def _step(close: int) -> int:
    return next((step for below, step in _STEPS if close < below * SCALE), _STEP_ABOVE)


def splits_by(market: Market, symbol: str, us: int) -> list[tuple[date, Decimal]]:
    """The splits that an instant has behind it, oldest first."""
    found, today = market.splits(market.assets[symbol].series), new_york(us).date()
    return sorted(split for split in found if split[0] < today or (split[0] == today and us >= market.split_us(today)))


class ContractListing:
    """The contracts of one market."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._cache: dict[tuple[str, date, date, int], tuple[int, ...]] = {}

    def close_us(self, expiry: date) -> int:
        """The instant at which contracts of this expiry end."""
        sessions = self._market.sessions
        return sessions.session(bisect_left(sessions.days, expiry)).close_us

    def is_active(self, contract: Contract, us: int) -> bool:
        """Listed, and its last session is not over."""
        return self.is_listed(contract, us) and us < self.close_us(contract.expiry)

    def is_listed(self, contract: Contract, us: int) -> bool:
        """Was it listed by this instant (and, for one that has expired, to its end)?"""
        days = self._market.sessions.days
        if contract.underlying not in self._market.assets or not is_expiry(days, contract.expiry):
            return False
        wanted = int(contract.strike * 1000)
        return wanted in self._strikes(
            contract.underlying, contract.expiry, min(us, self.close_us(contract.expiry) - 1)
        )

    def strikes(self, underlying: str, expiry: date, us: int) -> list[Decimal]:
        """In dollars, ascending."""
        us = min(us, self.close_us(expiry) - 1)
        return [Decimal(strike) / 1000 for strike in self._strikes(underlying, expiry, us)]

    def expiries(self, us: int) -> list[date]:
        """Those that are listed and not over, in order."""
        days = self._market.sessions.days
        return [expiry for expiry in listed_expiries(days, new_york(us).date()) if us < self.close_us(expiry)]

    def past_expiries(self, us: int, first: date) -> list[date]:
        """Those from ``first`` on that are over."""
        days = self._market.sessions.days
        found = expiries_between(days, first, new_york(us).date())
        return [expiry for expiry in found if self.close_us(expiry) <= us]

    def contracts(self, underlying: str, expiries: Iterable[date], us: int) -> Iterable[Contract]:
        """All of these expiries, in the order of their symbols: expiry, calls before puts, strike."""
        for expiry in expiries:
            strikes = self.strikes(underlying, expiry, us)
            for kind in (CALL, PUT):
                for strike in strikes:
                    yield Contract(underlying, expiry, kind, strike)

    def _strikes(self, underlying: str, expiry: date, us: int) -> tuple[int, ...]:
        """In thousandths of a dollar."""
        splits = splits_by(self._market, underlying, us)
        today = new_york(us).date()
        place = underlying, expiry, today, len(splits)
        found = self._cache.get(place)
        if found is None:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            found = self._cache[place] = self._computed(underlying, expiry, today, splits)
        return found

    def _computed(
        self, underlying: str, expiry: date, today: date, splits: list[tuple[date, Decimal]]
    ) -> tuple[int, ...]:
        bars = self._market.daily(underlying)
        listed = first_listed(expiry)
        first, end = max(bisect_left(bars.days, listed) - 1, 0), bisect_left(bars.days, today)
        if today < listed or first >= end or bars.days[-1] < expiry:
            return ()
        width = _WIDTH_MONTHLY if is_monthly(expiry) else _WIDTH_WEEKLY
        if int(bars.ohlcv[first, 3]) > DEAREST * SCALE:
            return ()
        found: set[int] = set()
        closes: list[int] = []
        ahead = [split for split in splits if split[0] > bars.days[first]]
        for place in range(first, end):
            if ahead and ahead[0][0] <= bars.days[place]:
                found, closes = _after_split(found | _grid(closes, width), closes[-1], ahead.pop(0)[1])
            closes.append(int(bars.ohlcv[place, 3]))
        for _, ratio in ahead:  # this morning's: its first close is still to come
            found, closes = _after_split(found | _grid(closes, width), closes[-1], ratio)
        return tuple(sorted(found | _grid(closes, width)))


def _after_split(strikes: set[int], close: int, ratio: Decimal) -> tuple[set[int], list[int]]:
    kept = {round(strike / ratio) for strike in strikes} if ratio > 1 and ratio % 1 == 0 else set()
    return kept, [round(close / ratio)]


def _grid(closes: list[int], width: int) -> set[int]:
    step = _step(closes[0])
    low, high = min(closes) * (100 - width) // (100 * _THOUSANDTHS), max(closes) * (100 + width) // (100 * _THOUSANDTHS)
    return set(range(max(-(-low // step), 1) * step, min(high, _STRIKE_MOST) + 1, step))
