"""What is listed: one row an asset, and the splits of the shipped prices in one table."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from gambler_ai.exchange.hashing import make_uuid

REAL, SYNTHETIC, USER = "real-daily", "synthetic", "user"  # where prices come from


class Asset(NamedTuple):
    """``series`` names the prices it answers from; ``start`` and ``daily`` shape a synthetic path."""

    symbol: str
    name: str
    exchange: str
    label: str
    series: str
    start: float = 0.0
    daily: float = 0.0
    fractionable: bool = True
    shortable: bool = True
    easy_to_borrow: bool = True

    @property
    def id(self) -> str:
        return asset_id(self.symbol)


def asset_id(symbol: str) -> str:
    """The same for ever, in every exchange."""
    return make_uuid("asset", symbol)


_ROWS = (
    Asset("AAPL", "Apple Inc. Common Stock", "NASDAQ", REAL, "AAPL"),
    Asset("MSFT", "Microsoft Corporation Common Stock", "NASDAQ", REAL, "MSFT"),
    # The shipped GOOG series is Google before 2014: the class A share, which is GOOGL today. Both answer
    # from it.
    Asset("GOOG", "Alphabet Inc. Class C Capital Stock", "NASDAQ", REAL, "GOOG"),
    Asset("GOOGL", "Alphabet Inc. Class A Common Stock", "NASDAQ", REAL, "GOOG"),
    Asset("IBM", "International Business Machines Corporation", "NYSE", REAL, "IBM"),
    Asset("FB", "Facebook, Inc. Class A Common Stock", "NASDAQ", REAL, "FB"),
    Asset("TSLA", "Tesla, Inc. Common Stock", "NASDAQ", SYNTHETIC, "TSLA", 220.0, 0.030),
    Asset("NVDA", "NVIDIA Corporation Common Stock", "NASDAQ", SYNTHETIC, "NVDA", 120.0, 0.028),
    Asset("AMZN", "Amazon.com, Inc. Common Stock", "NASDAQ", SYNTHETIC, "AMZN", 150.0, 0.020),
    Asset("META", "Meta Platforms, Inc. Class A Common Stock", "NASDAQ", SYNTHETIC, "META", 300.0, 0.022),
    Asset("SPY", "SPDR S&P 500 ETF Trust", "ARCA", SYNTHETIC, "SPY", 400.0, 0.010),
    # A share that is as dear as this one is traded whole, and nobody lends it.
    Asset(
        "BRK.A",
        "Berkshire Hathaway Inc. Class A",
        "NYSE",
        SYNTHETIC,
        "BRK.A",
        120_000.0,
        0.012,
        fractionable=False,
        easy_to_borrow=False,
    ),
    Asset("QQQ", "Invesco QQQ Trust, Series 1", "NASDAQ", SYNTHETIC, "QQQ", 350.0, 0.013),
)
ASSETS = {row.symbol: row for row in _ROWS}

# (series, first day at the new price): new shares for one old. The prices are as traded, so a position held over such
# a day is multiplied (`deeds`).
SPLITS = {
    ("AAPL", date(2000, 6, 21)): 2,
    ("AAPL", date(2005, 2, 28)): 2,
    ("MSFT", date(2003, 2, 18)): 2,
}
