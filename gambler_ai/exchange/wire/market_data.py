"""Alpaca's JSON for market data: all numbers are JSON numbers, sizes and counts whole ones (BEHAVIOUR 1 and 6).

Instants of the market are whole seconds. Rows are made from columns: a page may have ten thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from gambler_ai.exchange.instants import SECOND, rfc3339
from gambler_ai.exchange.numbers import SCALE
from gambler_ai.exchange.prices.bars import Bar, Columns
from gambler_ai.exchange.prices.bridge import Ints
from gambler_ai.exchange.prices.extended import Trades
from gambler_ai.exchange.prices.market import Tick, quote_around
from gambler_ai.exchange.prices.sessions import Session

VENUE, TAPE = "V", "C"  # everything trades on one venue, under one tape's plan
QUOTE_SIZE = 500  # shares on each side, always: fills have no size to run out of (BEHAVIOUR 9)
REGULAR_SALE, FORM_T = ["@"], ["@", "T"]  # the second is said of trades outside regular hours
_QUOTED = ["R"]


class BarRow(msgspec.Struct, gc=False):
    """A bar as Alpaca names its parts."""

    t: str
    o: float
    h: float
    l: float  # noqa: E741 - the wire's name
    c: float
    v: int
    n: int
    vw: float


class TradeRow(msgspec.Struct, gc=False):
    t: str
    x: str
    p: float
    s: int
    c: list[str]
    i: int
    z: str


class QuoteRow(msgspec.Struct, rename={"as_": "as"}, gc=False):
    t: str
    ax: str
    ap: float
    as_: int
    bx: str
    bp: float
    bs: int
    c: list[str]
    z: str


def stamps(us: Ints) -> list[str]:
    """RFC3339 of whole seconds."""
    texts: list[str] = np.datetime_as_string((us // SECOND).astype("datetime64[s]")).tolist()
    return [text + "Z" for text in texts]


def bar_rows(bars: Columns) -> list[BarRow]:
    prices = ((column / SCALE).tolist() for column in (bars.open, bars.high, bars.low, bars.close))
    counts = (column.tolist() for column in (bars.volume, bars.trades))
    return list(map(BarRow, stamps(bars.start_us), *prices, *counts, (bars.vwap / SCALE).tolist()))


def _conditions(trades: Trades, session: Session) -> list[list[str]]:
    regular = (trades.at_us >= session.open_us) & (trades.at_us < session.close_us)
    return [REGULAR_SALE if usual else FORM_T for usual in regular.tolist()]


def trade_rows(trades: Trades, session: Session) -> list[TradeRow]:
    rows = zip(
        stamps(trades.at_us), (trades.prices / SCALE).tolist(), trades.sizes.tolist(), _conditions(trades, session),
        (trades.at_us // SECOND).tolist(), strict=True,
    )  # fmt: skip
    return [TradeRow(at, VENUE, price, size, sold, number, TAPE) for at, price, size, sold, number in rows]


def quote_rows(trades: Trades, session: Session) -> list[QuoteRow]:
    """The quote around each trade, of its instant."""
    rows: list[QuoteRow] = []
    for at, last, sold in zip(stamps(trades.at_us), trades.prices.tolist(), _conditions(trades, session), strict=True):
        bid, ask = quote_around(last, regular=sold is REGULAR_SALE)
        rows.append(QuoteRow(at, VENUE, ask / SCALE, QUOTE_SIZE, VENUE, bid / SCALE, QUOTE_SIZE, _QUOTED, TAPE))
    return rows


def bar_entity(bar: Bar) -> dict[str, Any]:
    return {
        "t": rfc3339(bar.start_us),
        "o": bar.open / SCALE,
        "h": bar.high / SCALE,
        "l": bar.low / SCALE,
        "c": bar.close / SCALE,
        "v": bar.volume,
        "n": bar.trades,
        "vw": bar.vwap / SCALE,
    }


def quote_entity(tick: Tick) -> dict[str, Any]:
    return {
        "t": rfc3339(tick.at_us),
        "ax": VENUE,
        "ap": tick.ask / SCALE,
        "as": QUOTE_SIZE,
        "bx": VENUE,
        "bp": tick.bid / SCALE,
        "bs": QUOTE_SIZE,
        "c": _QUOTED,
        "z": TAPE,
    }


def trade_entity(tick: Tick) -> dict[str, Any]:
    return {
        "t": rfc3339(tick.at_us),
        "x": VENUE,
        "p": tick.last / SCALE,
        "s": tick.size,
        "c": REGULAR_SALE if tick.regular else FORM_T,
        "i": tick.at_us // SECOND,
        "z": TAPE,
    }


def auction_entity(day: str, opened: Sequence[Tick], closed: Sequence[Tick]) -> dict[str, Any]:
    """The auctions of a day: the first trade of its regular session, and the last."""

    def prints(ticks: Sequence[Tick], marks: str) -> list[dict[str, Any]]:
        return [
            {"t": rfc3339(tick.at_us), "x": VENUE, "p": tick.last / SCALE, "s": tick.size, "c": mark}
            for tick in ticks for mark in marks
        ]  # fmt: skip

    return {"d": day, "o": prints(opened, "OQ"), "c": prints(closed, "6M")}
