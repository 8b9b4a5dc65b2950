"""Cash, positions and margin: pure arithmetic over fills and marks (BEHAVIOUR 2 and 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import ROUND_DOWN, Decimal

import msgspec

from gambler_ai.exchange.desk.collateral import requirement
from gambler_ai.exchange.desk.orders import ENTRY, SELL, Fill, Order
from gambler_ai.exchange.desk.settings import Settings
from gambler_ai.exchange.numbers import SHARE_STEP, ZERO
from gambler_ai.exchange.options.contracts import multiplier as units_of

MARGIN_MINIMUM = Decimal(2000)  # less equity than this: no margin, no shorts
_HALF, _MAINTENANCE = Decimal("0.5"), Decimal("0.3")

Mark = Callable[[str], Decimal]


class Position(msgspec.Struct, kw_only=True):
    """``qty`` is negative for a short. The ``day_`` pair says where the New York day began."""

    symbol: str
    qty: Decimal = ZERO
    average: Decimal = ZERO
    day_qty: Decimal = ZERO
    day_cost: Decimal = ZERO  # signed cost of today's trades
    do_not_exercise: bool = False  # of a contract: its owner wants it to expire

    def apply(self, signed: Decimal, price: Decimal) -> None:
        """One execution: opening moves the average, closing does not."""
        before, after = self.qty, self.qty + signed
        if before * signed >= 0:
            self.average = (self.average * abs(before) + price * abs(signed)) / abs(after)
        elif after * before < 0:  # through zero
            self.average = price
        elif not after:
            self.average = ZERO
        self.qty = after
        self.day_cost += signed * price

    def split(self, ratio: Decimal) -> None:
        """``ratio`` shares for one, at the same cost; less than the smallest part of a share is lost."""
        before = self.qty
        self.qty = (before * ratio).quantize(SHARE_STEP, ROUND_DOWN)
        self.average = self.average * before / self.qty if self.qty else ZERO
        self.day_qty *= ratio


class Account(msgspec.Struct, kw_only=True):
    """The account's own figures; what depends on prices is computed when asked for."""

    cash: Decimal
    last_equity: Decimal
    last_maintenance: Decimal = ZERO
    last_gross: Decimal = ZERO
    last_options: Decimal = ZERO  # what the contracts tied up then
    settings: Settings = Settings()


class Margins(msgspec.Struct, frozen=True, kw_only=True):
    """What an account is worth at some prices."""

    long_value: Decimal
    short_value: Decimal
    gross_cost: Decimal
    equity: Decimal
    largest: Decimal  # value of the largest position
    initial: Decimal
    maintenance: Decimal
    multiplier: int
    buying_power: Decimal
    regt: Decimal
    cash_power: Decimal
    options: Decimal  # what the contracts tie up: their value, and what short ones may still lose
    options_power: Decimal


def _maintenance(qty: Decimal, price: Decimal) -> Decimal:
    """Long 30 % (100 % under $2.50); short the larger of $5 a share and 30 %, under $5 $2.50 and 100 %."""
    value = abs(qty) * price
    if qty > 0:
        return value if price < Decimal("2.5") else value * _MAINTENANCE
    if price < 5:
        return max(abs(qty) * Decimal("2.5"), value)
    return max(abs(qty) * 5, value * _MAINTENANCE)


def reserved(orders: Iterable[Order]) -> Decimal:
    """What the open buys and short sells block until they fill or end; of an order that is being replaced and the new
    one the larger (BEHAVIOUR 3, "Cancel / replace").
    """
    blocks: dict[str, Decimal] = {}
    for order in orders:
        if order.reserve_price and order.role == ENTRY:
            value = order.remaining * order.reserve_price if order.notional is None else order.notional
            place = order.replaces if order.replaces in blocks else order.id
            assert place is not None
            blocks[place] = max(blocks.get(place, ZERO), value)
    return sum(blocks.values(), ZERO)


def margins(account: Account, positions: Iterable[Position], open_orders: Iterable[Order], mark: Mark) -> Margins:
    """Equity and buying power (BEHAVIOUR 2): of the day's, the night's or no margin, as equity and owner allow.
    Contracts are not marginable: what they tie up counts whole, and four times where power is four times the excess.
    """
    long_value = short_value = maintenance = gross_cost = largest = short_stock = stock = options = ZERO
    quantities: dict[str, Decimal] = {}
    for position in positions:
        price, shares = mark(position.symbol), units_of(position.symbol)
        value = position.qty * price * shares
        long_value, short_value = long_value + max(value, ZERO), short_value + min(value, ZERO)
        largest = max(largest, abs(value))
        quantities[position.symbol] = position.qty
        if shares > 1:
            options += value
            continue
        stock, short_stock = stock + abs(value), short_stock + min(value, ZERO)
        maintenance += _maintenance(position.qty, price)
        gross_cost += abs(position.qty) * position.average
    required = requirement(quantities.items(), lambda symbol: quantities.get(symbol, ZERO))
    options += required
    equity = account.cash + long_value + short_value
    initial = stock * _HALF + options
    blocked = reserved(open_orders)
    cash_power = max(account.cash + 2 * short_stock - required - blocked, ZERO)
    regt = max(2 * (equity - initial) - blocked, ZERO)
    multiplier = min(4 if equity >= MARGIN_MINIMUM else 1, int(account.settings.max_margin_multiplier))
    power = regt if multiplier == 2 else cash_power
    options_power = cash_power if multiplier == 1 else max(equity - initial - blocked, ZERO)
    if multiplier == 4:
        opened_today = max(gross_cost - account.last_gross, ZERO) + 4 * max(options - account.last_options, ZERO)
        power = max(4 * (account.last_equity - account.last_maintenance) - opened_today - blocked, ZERO)
    return Margins(
        long_value=long_value, short_value=short_value, gross_cost=gross_cost, equity=equity, largest=largest,
        initial=initial, maintenance=maintenance + options, multiplier=multiplier, buying_power=power, regt=regt,
        cash_power=cash_power, options=options, options_power=options_power,
    )  # fmt: skip


def held_for_orders(position_qty: Decimal, orders: Iterable[Order]) -> tuple[Decimal, list[str]]:
    """What the open exits hold of a position, and whose orders they are. An OCO or bracket pair counts once, and so
    does an order that is being replaced with the new one (BEHAVIOUR 4).
    """
    groups: dict[str, Decimal] = {}
    places: dict[str, str] = {}
    for order in orders:
        closes = (order.side == SELL) == (position_qty > 0)
        if not position_qty or not closes or order.waiting or order.reserve_price:
            continue
        place = places[order.id] = places.get(order.replaces or "", order.group)
        groups[place] = max(groups.get(place, ZERO), order.remaining)
    return sum(groups.values(), ZERO), list(places)


def replay(fills: Iterable[Fill], splits: Iterable[tuple[int, str, Decimal]] = ()) -> dict[str, Position]:
    """The positions that these fills make, with the splits between them: instant, symbol, ratio; oldest first."""
    positions: dict[str, Position] = {}
    ahead = list(splits)
    end = Fill(
        seq=0, id="", order_id="", symbol="", side="", at_us=1 << 62, qty=ZERO, price=ZERO, cum_qty=ZERO,
        leaves_qty=ZERO, status="",
    )  # fmt: skip
    for fill in (*fills, end):
        while ahead and ahead[0][0] < fill.at_us:
            _, symbol, ratio = ahead.pop(0)
            if symbol in positions:
                positions[symbol].split(ratio)
        if fill is end:
            break
        position = positions.setdefault(fill.symbol, Position(symbol=fill.symbol))
        position.apply(fill.signed_qty, fill.price)
        if not position.qty:
            del positions[fill.symbol]
    return positions
