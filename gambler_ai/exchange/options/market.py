"""Quotes, trades and bars of contracts, made from the ticks of their underlying when asked for.

Middle: the model's value at the underlying's last trade, the surface's volatility and the time left (calendar days of
365, to the close of the last session), and never less than what exercise is worth. Quote: 1 % of that and a cent on
each side, outward to the tick: a cent under $3, five cents from there (the Penny Program; every underlying is in
it). A bid may be zero: nobody buys. Trades: at some of the underlying's ticks, more of them near the money, at the
middle rounded to the tick. Contracts trade in regular hours only.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from gambler_ai.exchange.hashing import key, uniforms
from gambler_ai.exchange.instants import DAY
from gambler_ai.exchange.numbers import SCALE, to_decimal
from gambler_ai.exchange.options import pricing
from gambler_ai.exchange.options.contracts import CALL, Contract, parse_symbol
from gambler_ai.exchange.options.grid import tick_instant, ticks_until
from gambler_ai.exchange.options.listing import ContractListing
from gambler_ai.exchange.options.surface import Surface
from gambler_ai.exchange.prices.daily import CENT
from gambler_ai.exchange.prices.market import Market, Tick
from gambler_ai.exchange.prices.sessions import Session

WIDE_TICK, WIDE_FROM = 5 * CENT, 3 * SCALE
TRADES_AT_THE_MONEY, TRADES_FADE, TRADES_LEAST = 0.15, 6.0, 0.002
OLDEST_TRADE_SESSIONS = 10  # so far back a last trade is looked for
QUOTE_SIZE = 25
YEAR_US = 365 * DAY
MAX_CACHED_DAYS, MAX_ANSWERS = 512, 64
V = TypeVar("V")


class Value(NamedTuple):
    """The model at an instant; ``middle`` in ten-thousandths, ``spot`` and ``volatility`` as the formula takes them."""

    middle: int
    spot: float
    years: float
    volatility: float


class OptionTrade(NamedTuple):
    """A trade; ``price`` in ten-thousandths, ``size`` in contracts."""

    at_us: int
    price: int
    size: int


def tick_of(price: int) -> int:
    """How far apart prices are around this one."""
    return CENT if price < WIDE_FROM else WIDE_TICK


def rounded(price: int) -> int:
    tick = tick_of(price)
    return max((price + tick // 2) // tick * tick, CENT)


def quote_around(middle: int) -> tuple[int, int]:
    """Bid and ask. The bid is zero where nothing is left of it."""
    tick, half = tick_of(middle), middle // 100 + CENT
    return max((middle - half) // tick * tick, 0), max(-((-middle - half) // tick) * tick, CENT)


def _mark(value: Value) -> Decimal:
    return to_decimal((value.middle + CENT // 2) // CENT * CENT)


class OptionMarket:
    """Prices of contracts: a function of the underlying's, of the seed and of time. Nothing is stored."""

    def __init__(self, market: Market, seed: int) -> None:
        self.underlyings = market
        self.listing = ContractListing(market)
        self._surface = Surface(market, seed)
        self._seed = seed
        self._answers: dict[tuple[str, int], Any] = {}
        self._trades: OrderedDict[tuple[Contract, date], list[int]] = OrderedDict()

    # at an instant

    def tick(self, symbol: str, us: int) -> Tick | None:
        """The contract's quote and last trade at or before ``us``; None for what is not listed then."""
        contract = parse_symbol(symbol)
        if contract is None or not self.listing.is_listed(contract, us):
            return None
        found = self._place(contract.underlying, min(us, self.listing.close_us(contract.expiry)))
        return None if found is None else self.tick_at(contract, *found)

    def tick_at(self, contract: Contract, session: Session, place: int) -> Tick | None:
        """At the underlying's tick of this number in a session; None when it has no prices that day."""
        value = self.value_at(contract, session, place)
        if value is None:
            return None
        bid, ask = quote_around(value.middle)
        trade = self._last_trade(contract, session, place)
        last = trade.price if trade is not None else rounded(value.middle)
        return Tick(tick_instant(session, place), last, bid, ask, QUOTE_SIZE)

    def value(self, contract: Contract, us: int) -> Value | None:
        """The model at the underlying's last tick in regular hours; None before its first."""
        found = self._place(contract.underlying, min(us, self.listing.close_us(contract.expiry)))
        return None if found is None else self.value_at(contract, *found)

    def value_at(self, contract: Contract, session: Session, place: int) -> Value | None:
        day = self.underlyings.day(contract.underlying, session)
        if day is None:
            return None
        at_us = tick_instant(session, place)
        return self._value(contract, int(day.prices[place]), session.day, at_us)

    def _value(self, contract: Contract, spot: int, day: date, at_us: int) -> Value:
        years = max(self.listing.close_us(contract.expiry) - at_us, 1) / YEAR_US
        price, strike = spot / SCALE, float(contract.strike)
        level = self._surface.volatility(contract.underlying, day, spot=price, strike=strike, years=years)
        model = round(pricing.value(contract.kind, price, strike, years, level) * SCALE)
        worth = spot - round(strike * SCALE)
        worth = worth if contract.kind == CALL else -worth
        return Value(max(model, worth, 0), price, years, level)

    def mark(self, symbol: str, us: int) -> Decimal:
        """What a share of the contract counts in the account: the middle, in whole cents."""
        contract = parse_symbol(symbol)
        value = None if contract is None else self.value(contract, us)
        return Decimal(0) if value is None else _mark(value)

    def spot(self, underlying: str, us: int) -> Decimal:
        """Its last trade in regular hours: what contracts are settled by. Zero for one that never traded."""
        found = self._place(underlying, us)
        day = self.underlyings.day(underlying, found[0]) if found is not None else None
        return Decimal(0) if found is None or day is None else to_decimal(int(day.prices[found[1]]))

    def last_close(self, symbol: str, us: int) -> Decimal:
        """The mark at the last close before the New York day of ``us``, in the shares of today."""
        contract, before = parse_symbol(symbol), self.session_before(us)
        if contract is None or before is None:
            return Decimal(0)
        spot = self.underlyings.last_close(contract.underlying, us)
        if spot is None:
            return Decimal(0)
        return _mark(self._value(contract, spot, before.day, before.close_us))

    def session_before(self, us: int) -> Session | None:
        """The newest session that was over when the New York day of ``us`` began."""
        return self._recent(("before", us), lambda: self._found_before(us))

    def _found_before(self, us: int) -> Session | None:
        sessions = self.underlyings.sessions
        index = sessions.last_index_opened_by(us)
        if index is not None and sessions.session(index).start_us <= us < sessions.session(index).start_us + DAY:
            index -= 1
        return sessions.session(index) if index is not None and index >= 0 else None

    def _place(self, underlying: str, us: int) -> tuple[Session, int] | None:
        """The session and the number of the underlying's last tick in regular hours by ``us``."""
        return self._recent((underlying, us), lambda: self._found_place(underlying, us))

    def _found_place(self, underlying: str, us: int) -> tuple[Session, int] | None:
        sessions, first = self.underlyings.sessions, self.underlyings.daily(underlying).days[0]
        index = sessions.last_index_opened_by(us)
        while index is not None and index >= 0 and sessions.days[index] >= first:
            session = sessions.session(index)
            if self.underlyings.day(underlying, session) is not None:
                return session, ticks_until(session, us) - 1
            index -= 1
        return None

    def _recent(self, question: tuple[str, int], find: Callable[[], V]) -> V:
        """A chain asks the same of each contract: what the sessions say does not change."""
        if question not in self._answers:
            if len(self._answers) >= MAX_ANSWERS:
                self._answers.clear()
            self._answers[question] = find()
        found: V = self._answers[question]
        return found

    # trades

    def last_trade(self, contract: Contract, us: int) -> OptionTrade | None:
        """The last trade at or before ``us``; None when there was none for some days."""
        found = self._place(contract.underlying, min(us, self.listing.close_us(contract.expiry)))
        return None if found is None else self._last_trade(contract, *found)

    def _last_trade(self, contract: Contract, session: Session, place: int) -> OptionTrade | None:
        sessions = self.underlyings.sessions
        index = sessions.first_index_closing_after(session.open_us)
        assert index is not None
        for back in range(min(OLDEST_TRADE_SESSIONS, index + 1)):
            session = sessions.session(index - back)
            places = self._trade_places(contract, session)
            if back:
                place = session.minutes * 60
            known = bisect_right(places, place)
            if known:
                return self._trade(contract, session, places[known - 1])
        return None

    def trades(self, contract: Contract, session: Session, until_us: int) -> Iterator[OptionTrade]:
        """The trades of a session up to an instant, oldest first."""
        for place in self._trade_places(contract, session):
            if tick_instant(session, place) > until_us:
                return
            yield self._trade(contract, session, place)

    def _trade(self, contract: Contract, session: Session, place: int) -> OptionTrade:
        value = self.value_at(contract, session, place)
        assert value is not None
        size = 1 + key(self._seed, "option size", contract.symbol, session.day, place) % 20
        return OptionTrade(tick_instant(session, place), rounded(value.middle), size)

    def _trade_places(self, contract: Contract, session: Session) -> list[int]:
        """At which of the underlying's ticks it trades that day."""
        found = self._trades.get((contract, session.day))
        if found is None:
            found = self._trades[contract, session.day] = self._drawn(contract, session)
            if len(self._trades) > MAX_CACHED_DAYS:
                self._trades.popitem(last=False)
        return found

    def _drawn(self, contract: Contract, session: Session) -> list[int]:
        day = self.underlyings.day(contract.underlying, session)
        if day is None or session.day > contract.expiry or not self.listing.is_listed(contract, session.open_us):
            return []
        away = abs(math.log(float(contract.strike) * SCALE / float(day.prices[0])))
        share = TRADES_LEAST + TRADES_AT_THE_MONEY * math.exp(-TRADES_FADE * away)
        dice = uniforms(key(self._seed, "option trades", contract.symbol, session.day), (day.prices.size,))
        places: npt.NDArray[np.int64] = np.flatnonzero(dice < share)
        return [int(place) for place in places]

    # figures of the model

    def greeks(self, contract: Contract, value: Value) -> pricing.Greeks:
        strike = float(contract.strike)
        return pricing.greeks(contract.kind, value.spot, strike, value.years, value.volatility)

    def open_interest(self, contract: Contract, us: int) -> int:
        """Contracts in others' hands last night: a seeded number, larger near the money."""
        close = self.underlyings.last_close(contract.underlying, us)
        if not close:
            return 0
        away = abs(math.log(float(contract.strike) * SCALE / close))
        most = 200 + key(self._seed, "interest", contract.symbol) % 9_800
        return int(most * math.exp(-TRADES_FADE * away))
