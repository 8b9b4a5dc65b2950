"""What an options session reads beside bars and trades: quotes of what it holds, chains, daily bars once a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from msgspec import Struct, field

from gambler_ai.core.model import AHEAD, NEW_YORK, BarFrame, Trade
from gambler_ai.core.ports import MarketData
from gambler_ai.core.structures import ChainQuery, OptionQuote
from gambler_ai.errors import BrokerAuthError, BrokerError

DAY = timedelta(days=1)
#: Calendar days that a trading day takes with its share of weekends and holidays, and the longest row of such.
DAYS_A_DAY, AT_LEAST = 1.5, 5 * DAY


class Wanted(Struct, frozen=True):
    """Chains, contracts by their symbols, and so many daily bars of each underlying."""

    chains: tuple[ChainQuery, ...] = ()
    held: tuple[str, ...] = ()
    daily: int = 0


class OptionPrices(Struct):
    """What came of it; ``error`` is why the rest did not."""

    quotes: dict[str, OptionQuote] = field(default_factory=dict)
    daily: BarFrame | None = None
    error: BrokerError | None = None


class OptionReader:
    """Reads prices of contracts for the executor, on its thread."""

    def __init__(self, market_data: MarketData) -> None:
        self._market_data = market_data
        self._daily: tuple[date, tuple[str, ...], int, BarFrame] | None = None

    def read(
        self, wanted: Wanted, symbols: tuple[str, ...], trades: Mapping[str, Trade], now: datetime
    ) -> OptionPrices:  # fmt: skip
        """What is held comes first: its exits wait for nothing else. After one read that fails no other is tried.

        The chain of an underlying without a believed trade is not asked for: nobody knows around which price.

        Raises:
            BrokerAuthError: as a reading of shares would.
        """
        found = OptionPrices()
        try:
            if wanted.held:
                found.quotes |= self._market_data.option_quotes(wanted.held)
            found.daily = self._daily_bars(symbols, wanted.daily, now)
            for query in wanted.chains:
                if (trade := trades.get(query.underlying)) is not None:
                    found.quotes |= self._market_data.chain(query, trade.price)
        except BrokerAuthError:
            raise
        except BrokerError as error:
            found.error = error
        found.quotes = {symbol: quote for symbol, quote in found.quotes.items() if quote.at <= now + AHEAD}
        return found

    def _daily_bars(self, symbols: Sequence[str], count: int, now: datetime) -> BarFrame | None:
        """Read once a market day: those that have closed change no more."""
        if not count:
            return None
        key = now.astimezone(NEW_YORK).date(), tuple(symbols), count
        if self._daily is None or self._daily[:3] != key:
            told = self._market_data.bars(symbols, DAY, now - count * DAYS_A_DAY * DAY - AT_LEAST, now, count)
            self._daily = (*key, _believed(told, count))
        return self._daily[3]


def _believed(told: BarFrame, keep: int) -> BarFrame:
    """Without bars that cannot be, as the sieve has it for others."""
    from gambler_ai.core import bars

    columns = {symbol: bars.column(told, i) for i, symbol in enumerate(told.symbols)}
    return bars.from_columns(told.symbols, told.interval, columns, keep)
