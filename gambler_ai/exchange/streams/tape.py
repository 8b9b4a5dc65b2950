"""What a move of the market says to the subscribers of its data (BEHAVIOUR 8). Pure.

The channels, and what this market has to say on them:

- ``trades``, ``quotes``: the last of each step. ``corrections`` and ``cancelErrors`` come with trades and stay silent:
  no trade here is ever taken back.
- ``bars``: each minute with trades, once it has closed, pre-market and after-hours too.
- ``updatedBars``: one minute in fifty of a symbol, by the seed, has a trade that is reported late. Its bar is told
  without the shares of that trade, and half a minute later whole, as history has it; its prices are the same.
- ``dailyBars``: the day so far, each time a minute of regular hours has closed.
- ``statuses``: trading begins at the open and ends at the close. There are no other halts.
- ``lulds``: bands of 5 % around the newest minute's close, each time one of regular hours has closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from gambler_ai.exchange.hashing import chance
from gambler_ai.exchange.instants import MINUTE, from_us
from gambler_ai.exchange.numbers import SCALE
from gambler_ai.exchange.prices.bars import Bar, minute_rows
from gambler_ai.exchange.prices.daily import CENT
from gambler_ai.exchange.prices.market import Market
from gambler_ai.exchange.prices.sessions import Session
from gambler_ai.exchange.streams.subscriptions import EVERYTHING, Subscription
from gambler_ai.exchange.wire.market_data import TAPE, bar_entity, quote_entity, trade_entity

LATE_CHANCE = 0.02
LATE_US = MINUTE // 2
BAND = 20  # a twentieth of the price, on each side
RESUMED = {"sc": "T", "sm": "Trading Resumption", "rc": "", "rm": ""}
HALTED = {"sc": "H", "sm": "Trading Halt", "rc": "", "rm": ""}
Row = dict[str, Any]


class Move(NamedTuple):
    """The market has gone from one instant (excluded) to another (included), within a day of it."""

    market: Market
    session: Session
    begin_us: int
    end_us: int

    def has(self, us: int) -> bool:
        return self.begin_us < us <= self.end_us

    def closed(self, symbol: str, lag_us: int = 0) -> Iterator[Bar]:
        """Minutes that ended in this move, or so long before it."""
        minutes = self.market.minutes(symbol, self.session)
        if minutes is not None:
            edge = -MINUTE - lag_us + 1
            yield from minute_rows(minutes.between(self.begin_us + edge, self.end_us + edge))


def rows_of_move(market: Market, subscription: Subscription, begin_us: int, end_us: int) -> list[Row]:
    """However far the market moved: each minute bar that closed meanwhile, but only those of the newest day, and of
    trades, quotes and the day's bar only the last. So a market that is advanced by an hour in one call says sixty bars,
    one trade and one quote a symbol, and one that is advanced by a year says one day's bars. ``t`` is an aware
    datetime: each codec writes it in its own way.
    """
    index = market.sessions.last_index_opened_by(end_us, extended=True)
    if index is None:
        return []
    move = Move(market, market.sessions.session(index), begin_us, end_us)
    rows: list[Row] = []
    if begin_us < move.session.session_close_us + LATE_US + MINUTE:
        timed: list[tuple[int, int, str, Row]] = []
        for rank, (channel, tell) in enumerate(_TIMED):
            for symbol in _listed(market, subscription[channel]):
                timed += [(at_us, rank, symbol, row) for at_us, row in tell(move, symbol)]
        timed.sort(key=lambda row: row[:3])
        rows += [row for *_, row in timed]
        rows += _days(move, subscription)
    return rows + _ticks(move, subscription)


def _listed(market: Market, names: frozenset[str]) -> frozenset[str]:
    return frozenset(market.assets) if EVERYTHING in names else names & market.assets.keys()


def _row(kind: str, symbol: str, bar: Bar) -> Row:
    return {"T": kind, "S": symbol} | bar_entity(bar) | {"t": from_us(bar.start_us)}


def late_shares(move: Move, symbol: str, bar: Bar) -> int:
    """How many shares of a minute are reported late; 0 mostly."""
    seed = move.market.seed
    late = bar.trades > 1 and bar.volume > 1 and chance(seed, "late", symbol, bar.start_us) < LATE_CHANCE
    return max(1, bar.volume // (2 * bar.trades)) if late else 0


def _bars(move: Move, symbol: str) -> Iterator[tuple[int, Row]]:
    for bar in move.closed(symbol):
        late = late_shares(move, symbol, bar)
        told = bar._replace(volume=bar.volume - late, trades=bar.trades - 1) if late else bar
        yield bar.end_us, _row("b", symbol, told)


def _updated(move: Move, symbol: str) -> Iterator[tuple[int, Row]]:
    for bar in move.closed(symbol, LATE_US):
        if late_shares(move, symbol, bar):
            yield bar.end_us + LATE_US, _row("u", symbol, bar)


def _statuses(move: Move, symbol: str) -> Iterator[tuple[int, Row]]:
    for at_us, status in ((move.session.open_us, RESUMED), (move.session.close_us, HALTED)):
        if move.has(at_us) and move.market.minutes(symbol, move.session) is not None:
            yield at_us, {"T": "s", "S": symbol, **status, "t": from_us(at_us), "z": TAPE}


def _lulds(move: Move, symbol: str) -> Iterator[tuple[int, Row]]:
    for bar in move.closed(symbol):
        if move.session.open_us <= bar.start_us < move.session.close_us:
            width = max(bar.close // BAND // CENT * CENT, CENT)
            up, down = (bar.close + width) / SCALE, max(bar.close - width, CENT) / SCALE
            yield bar.end_us, {"T": "l", "S": symbol, "u": up, "d": down, "i": "B", "t": from_us(bar.end_us), "z": TAPE}


#: What has an instant of its own, in the order in which it is told at one instant.
_TIMED: tuple[tuple[str, Callable[[Move, str], Iterator[tuple[int, Row]]]], ...] = (
    ("statuses", _statuses), ("bars", _bars), ("updatedBars", _updated), ("lulds", _lulds),
)  # fmt: skip


def _days(move: Move, subscription: Subscription) -> list[Row]:
    """The days so far, of the symbols of which a regular minute has closed."""
    rows: list[Row] = []
    for symbol in sorted(_listed(move.market, subscription["dailyBars"])):
        newest = max((bar.start_us for bar in move.closed(symbol)), default=0)
        oldest = min((bar.start_us for bar in move.closed(symbol)), default=0)
        if newest >= move.session.open_us and oldest < move.session.close_us:
            day = move.market.day_so_far(symbol, move.session, move.end_us)
            if day is not None:
                rows.append(_row("d", symbol, day))
    return rows


def _ticks(move: Move, subscription: Subscription) -> list[Row]:
    rows: list[Row] = []
    for_trades, for_quotes = (_listed(move.market, subscription[channel]) for channel in ("trades", "quotes"))
    for symbol in sorted(for_trades | for_quotes):
        tick = move.market.tick(symbol, move.end_us)
        if tick is None or tick.at_us <= move.begin_us:
            continue
        at = {"S": symbol, "t": from_us(tick.at_us)}
        if symbol in for_trades:
            rows.append({"T": "t"} | trade_entity(tick) | at)
        if symbol in for_quotes:
            rows.append({"T": "q"} | quote_entity(tick) | at)
    return rows
