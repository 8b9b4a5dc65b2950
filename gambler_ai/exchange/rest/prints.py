"""Single trades, the quotes around them, and the auctions (BEHAVIOUR 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from gambler_ai.exchange.prices.extended import Trades
from gambler_ai.exchange.prices.market import Market, Tick
from gambler_ai.exchange.prices.sessions import Session
from gambler_ai.exchange.rest.asked import SILENT_FEEDS, Asked
from gambler_ai.exchange.rest.bars import sessions_of
from gambler_ai.exchange.rest.paging import Chunk, page
from gambler_ai.exchange.wire.market_data import auction_entity, quote_rows, trade_rows

AUCTION_FEEDS = ("sip",)
Rows = Callable[[Trades, Session], Sequence[Any]]
ROWS: dict[str, Rows] = {"trades": trade_rows, "quotes": quote_rows}


def prints_page(market: Market, asked: Asked, kind: str) -> tuple[dict[str, list[Any]], str | None]:
    """One page of ``trades`` or ``quotes``."""
    return page(asked.symbols, asked.after, asked.limit, partial(_chunks, market, asked, ROWS[kind]))


def _span(asked: Asked, resume: int | None) -> tuple[int, int]:
    if resume is None:
        return asked.start_us, asked.end_us
    return (asked.start_us, resume - 1) if asked.newest_first else (resume + 1, asked.end_us)


def _days(market: Market, asked: Asked, symbol: str, resume: int | None) -> Iterator[tuple[Session, Trades]]:
    """Day by day, lazily, the trades that the request means."""
    if symbol not in market.assets or asked.feed in SILENT_FEEDS:
        return
    begin, end = _span(asked, resume)
    if begin > end:
        return
    for session in sessions_of(market, symbol, (begin, end), newest_first=asked.newest_first):
        trades = market.trades(symbol, session)
        if trades is not None:
            chosen = np.flatnonzero((trades.at_us >= begin) & (trades.at_us <= end))
            yield session, trades.taken(chosen[:: -1 if asked.newest_first else 1])


def _chunks(market: Market, asked: Asked, rows: Rows, symbol: str, resume: int | None) -> Iterator[Chunk]:
    for session, trades in _days(market, asked, symbol, resume):
        yield Chunk(trades.at_us, partial(_some, rows, trades, session))


def _some(rows: Rows, trades: Trades, session: Session, span: slice) -> Sequence[Any]:
    return rows(trades.taken(span), session)


def auctions_page(market: Market, asked: Asked) -> tuple[dict[str, list[Any]], str | None]:
    """One row a day: its opening auction, and the closing one when it has been."""
    return page(asked.symbols, asked.after, asked.limit, partial(_auctions, market, asked))


def _auctions(market: Market, asked: Asked, symbol: str, resume: int | None) -> Iterator[Chunk]:
    if symbol not in market.assets:
        return
    begin, end = _span(asked, resume)
    for session in sessions_of(market, symbol, (begin, end), newest_first=asked.newest_first) if begin <= end else ():
        if not begin <= session.open_us <= end:
            continue
        ticks = market.regular_ends(symbol, session, asked.now_us)
        if ticks:
            last = ticks[-1:] if asked.now_us >= session.close_us else ()
            yield Chunk(np.array([session.open_us]), partial(_auction, session, ticks[:1], last))


def _auction(session: Session, opened: Sequence[Tick], closed: Sequence[Tick], span: slice) -> list[dict[str, Any]]:
    return [auction_entity(session.day.isoformat(), opened, closed)][span]
