"""What is wrong becomes a fact when it begins and another when it ends, and is no line a tick in between."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from gambler_ai.core import events as ev
from gambler_ai.core.degraded import SKEW_MAX_S, Condition, named, parts
from gambler_ai.core.model import BarFrame, agree, is_sane_price, jumps
from gambler_ai.core.options import prices as option_prices
from gambler_ai.core.state import SessionState

#: Session time after which what still lasts is told once more.
REMIND = timedelta(minutes=10)
#: Bars after which prices are stale.
STALE_BARS = 2
#: What a whole reading of the broker ends, and what prices do.
_ENDED_BY_A_READING = (Condition.BROKER, Condition.READS, Condition.RATE)
_OF_AN_OPEN_MARKET = (Condition.STALE, Condition.UNQUOTED)
#: What the rate limit of the prices' host is told under.
PRICES = "prices"


class Watch:
    """Keeps an eye on what one process sees; the state knows what is wrong, this knows when it was told."""

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._told: dict[str, datetime] = {}
        self._open_since: datetime | None = None  # the market, as far as this process has seen
        self._unquoted: dict[str, datetime] = {}  # underlyings of structures that cannot be valued -> since when
        self._odd: dict[str, Decimal] = {}  # marks that were too far from the last to be taken at once

    def begun(self, at: datetime, name: str, reason: str) -> list[ev.Fact]:
        """Tell it, unless that was done a moment ago."""
        told = self._told.get(name)
        if name in self._state.degraded and told is not None and at - told < REMIND:
            return []
        self._told[name] = at
        return [ev.Degraded(at, name, reason)]

    def ended(self, at: datetime, *names: str) -> list[ev.Fact]:
        """Tell the end of those that are still told."""
        for name in names:
            self._told.pop(name, None)
        return [ev.Restored(at, name) for name in names if name in self._state.degraded]

    def failed(self, event: ev.BrokerFailed) -> list[ev.Fact]:
        """A reading that did not come."""
        return self.begun(event.at, event.condition or event.name, event.reason)

    def limited(self, at: datetime, until: datetime | None) -> list[ev.Fact]:
        """An order that was not answered; ``until`` when that was for the broker's limit."""
        return [] if until is None else self.begun(at, Condition.RATE, limited_until(until))

    def read(self, event: ev.BrokerReported) -> list[ev.Fact]:
        """A whole reading."""
        at, market = event.at, event.report.market
        facts = self.ended(at, *_ENDED_BY_A_READING)
        if waiting := len(event.report.waiting):
            orders = "1 order" if waiting == 1 else f"{waiting} orders"
            facts += self.begun(at, Condition.LOOKUPS, f"{orders} not looked up yet")
        else:
            facts += self.ended(at, Condition.LOOKUPS)
        if abs(event.skew_s) > SKEW_MAX_S:
            side = "ahead of" if event.skew_s > 0 else "behind"
            text = f"this machine's clock is {abs(event.skew_s):.0f} s {side} the broker's"
            facts += self.begun(at, Condition.CLOCK, text)
        else:
            facts += self.ended(at, Condition.CLOCK)
        if not market.is_open:
            self._open_since = None
            self._unquoted.clear()
            waited = [name for name in self._state.degraded if parts(name)[0] in _OF_AN_OPEN_MARKET]
            facts += self.ended(at, *waited)  # nothing is expected of a closed market
        elif self._open_since is None:
            self._open_since = at
        return facts

    def scanned(self, event: ev.BarsClosed, market: ev.MarketReport | None) -> list[ev.Fact]:
        """Prices came; what of them is not believed is in ``event.quarantined``."""
        at = event.at
        facts = self.ended(at, Condition.MARKET_DATA, named(Condition.RATE, PRICES))
        if event.unread:
            facts += self.begun(at, Condition.OPTION_PRICES, event.unread)
        elif event.quotes:
            facts += self.ended(at, Condition.OPTION_PRICES)
        for symbol in event.frame.symbols:
            name = named(Condition.ABSURD, symbol)
            why = event.quarantined.get(symbol)
            facts += self.begun(at, name, why) if why else self.ended(at, name)
        if market is not None and market.is_open and at < market.next_close and self._open_since is not None:
            for column, symbol in enumerate(event.frame.symbols):
                facts += self._aged(at, event.frame, column, named(Condition.STALE, symbol), self._open_since)
            facts += [] if event.unread else self._unvalued(event)
        return facts

    def _unvalued(self, event: ev.BarsClosed) -> list[ev.Fact]:
        """Structures whose stop and target wait, since a contract of theirs has no price."""
        at, facts = event.at, []
        missing = option_prices.unpriced(self._state, option_prices.of_today(event.quotes, at))
        self._unquoted = {underlying: self._unquoted.get(underlying, at) for underlying in missing}
        for underlying, since in self._unquoted.items():
            if at - since > STALE_BARS * event.frame.interval:
                text = f"no price of {', '.join(missing[underlying])}: stop and target wait"
                facts += self.begun(at, named(Condition.UNQUOTED, underlying), text)
        told = (name for name in self._state.degraded if parts(name)[0] is Condition.UNQUOTED)
        return facts + self.ended(at, *[name for name in told if parts(name)[1] not in missing])

    def _aged(self, at: datetime, frame: BarFrame, column: int, name: str, since: datetime) -> list[ev.Fact]:
        newest = frame.newest_at(column) if len(frame) and frame.times[-1, column] else None
        closed = newest + frame.interval if newest is not None else since
        if at - max(closed, since) <= STALE_BARS * frame.interval:
            return self.ended(at, name)
        return self.begun(at, name, "no bar yet" if newest is None else f"the newest bar closed at {closed:%F %T} UTC")

    def heard(self, event: ev.Woken) -> list[ev.Fact]:
        """A stream told something."""
        return self.ended(event.at, named(Condition.STREAM, event.stream))

    def silent(self, event: ev.StreamSilent) -> list[ev.Fact]:
        """A stream did not tell what was read."""
        return self.begun(event.at, named(Condition.STREAM, event.stream), event.reason)

    def believed(self, prices: Mapping[str, Decimal | None]) -> dict[str, Decimal]:
        """The broker's marks that may be gone by: one that jumps has to be told twice."""
        found = {}
        for symbol, price in prices.items():
            if price is None or not is_sane_price(price):
                continue
            last, odd = self._state.marks.get(symbol), self._odd.pop(symbol, None)
            if last is not None and jumps(float(price), float(last)):
                self._odd[symbol] = price
                if odd is None or not agree(float(price), float(odd)):
                    continue
            found[symbol] = price
        return found


def limited_until(until: datetime) -> str:
    """How a rate limit is told."""
    return f"the broker wants no request until {until:%F %T} UTC"
