"""``/v2/test``, Alpaca's stream for trying a client: one symbol, FAKEPACA, traded at every hour of every day. Pure.

A trade every fifteen seconds, anywhere between two prices, by the seed. It has no history and takes no orders.
"""

from __future__ import annotations

from typing import Any

from gambler_ai.exchange.hashing import chance
from gambler_ai.exchange.instants import DAY, MINUTE, SECOND, from_us
from gambler_ai.exchange.prices.bars import Bar
from gambler_ai.exchange.prices.market import Market, Tick, quote_around
from gambler_ai.exchange.streams.subscriptions import EVERYTHING, Subscription
from gambler_ai.exchange.wire.market_data import bar_entity, quote_entity, trade_entity

FAKEPACA = "FAKEPACA"
_EVERY_US, _SIZE = 15 * SECOND, 100
_LOW, _WIDTH = 1_300_000, 500  # ten-thousandths of a dollar; how many cents up from there
_MINUTES_MOST = 390  # of one move, as many as the other feeds tell


def _price(seed: int, at_us: int) -> int:
    return _LOW + int(chance(seed, FAKEPACA, at_us) * _WIDTH) * 100


def _bar(seed: int, start_us: int, length_us: int) -> Bar:
    prices = [_price(seed, at_us) for at_us in range(start_us, start_us + length_us, _EVERY_US)]
    value = sum(prices) // len(prices)
    volume = _SIZE * len(prices)
    ends = prices[0], max(prices), min(prices), prices[-1]
    return Bar(start_us, start_us + length_us, *ends, volume, len(prices), value)


def rows_of_test(market: Market, subscription: Subscription, begin_us: int, end_us: int) -> list[dict[str, Any]]:
    """As ``tape.rows_of_move``; statuses, bands and corrections stay silent."""
    wanted = {channel for channel, names in subscription.items() if names & {FAKEPACA, EVERYTHING}}
    seed, last_us = market.seed, end_us // _EVERY_US * _EVERY_US
    rows: list[dict[str, Any]] = []
    first, last = begin_us // MINUTE, end_us // MINUTE  # of minutes: those from first to last have closed
    for minute in range(max(first, last - _MINUTES_MOST), last) if "bars" in wanted else ():
        bar = _bar(seed, minute * MINUTE, MINUTE)
        rows.append({"T": "b", "S": FAKEPACA} | bar_entity(bar) | {"t": from_us(bar.start_us)})
    if "dailyBars" in wanted and first < last:
        midnight_us = (end_us - 1) // DAY * DAY
        day = _bar(seed, midnight_us, end_us // MINUTE * MINUTE - midnight_us)
        rows.append({"T": "d", "S": FAKEPACA} | bar_entity(day) | {"t": from_us(midnight_us)})
    if last_us > begin_us:
        price = _price(seed, last_us)
        tick = Tick(last_us, price, *quote_around(price), _SIZE)
        at = {"S": FAKEPACA, "t": from_us(last_us)}
        if "trades" in wanted:
            rows.append({"T": "t"} | trade_entity(tick) | at)
        if "quotes" in wanted:
            rows.append({"T": "q"} | quote_entity(tick) | at)
    return rows
