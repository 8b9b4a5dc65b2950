"""Stops that follow the market: the best price seen, and a distance from it (BEHAVIOUR 3, "trailing_stop")."""

from __future__ import annotations

from decimal import Decimal

from gambler_ai.exchange.desk.orders import SELL, Order
from gambler_ai.exchange.numbers import MARKET_STEP, rounded


def stop_behind(side: str, hwm: Decimal, trail_price: Decimal | None, trail_percent: Decimal | None) -> Decimal:
    """The stop that belongs to a high-water mark (a low-water mark for buys), in ten-thousandths of a dollar."""
    distance = trail_price if trail_price is not None else hwm * (trail_percent or Decimal(0)) / 100
    return rounded(hwm - distance if side == SELL else hwm + distance, MARKET_STEP)


def follow(order: Order, last: Decimal) -> bool:
    """Move the mark and the stop with a better last trade, never back. Has it moved?"""
    assert order.hwm is not None
    if last <= order.hwm if order.side == SELL else last >= order.hwm:
        return False
    order.hwm = last
    order.stop_price = stop_behind(order.side, last, order.trail_price, order.trail_percent)
    return True
