"""Alpaca's JSON to core types and back. What does not fit raises ValueError; the fence names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from msgspec import structs

from gambler_ai.broker.hours import in_regular_hours
from gambler_ai.core.bars import as_told
from gambler_ai.core.contracts import parse, underlying_of
from gambler_ai.core.events import MarketReport, PositionReport
from gambler_ai.core.model import (
    AHEAD,
    ZERO,
    Account,
    Activity,
    BarFrame,
    Fill,
    Instrument,
    Side,
    Trade,
    is_sane_price,
)
from gambler_ai.core.orders import MLEG, OrderReport
from gambler_ai.core.text import one_line

Json = Mapping[str, Any]

#: Characters of a symbol, a status, a type, and of a number.
LABEL_MAX, NUMBER_MAX = 32, 64
#: Powers of ten on either side of the point beyond which nothing is a price, a quantity or an account.
DIGITS_MAX = 18
#: What is reckoned with instants stays far from where a calendar ends.
YEARS = range(1900, 2200)
#: A bracket has two; a multi-leg option order four.
LEGS_MAX = 8
#: Levels of options trading are told as 0 to 3; more may come.
LEVELS = range(10)


_FILL_SIDES = {"buy": Side.BUY, "sell": Side.SELL, "sell_short": Side.SELL}


def instant(text: str) -> datetime:
    """RFC3339 with up to nine fraction digits (BEHAVIOUR 1) to aware UTC; Python keeps six."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError(f"instant without a zone: {text!r:.60}")
    found = value.astimezone(UTC)
    if found.year not in YEARS:
        raise ValueError(f"an instant in the year {found.year}")
    return found


def wire_instant(value: datetime) -> str:
    """An instant as Alpaca takes it."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def maybe_instant(text: Any) -> datetime | None:
    """The same, or None for null and ""."""
    return instant(str(text)) if text else None


def number(value: Any) -> Decimal:
    """A decimal string or number, finite and of a size that money and quantities have."""
    text = str(value)
    result = Decimal(text) if len(text) <= NUMBER_MAX and "_" not in text else Decimal("NaN")
    if not result.is_finite() or result.adjusted() > DIGITS_MAX or result.adjusted() < -DIGITS_MAX:
        raise ValueError(f"not a number of ours: {text[:40]!r}")
    return result


def maybe(value: Any) -> Decimal | None:
    """The same, or None for null and ""."""
    return None if value is None or value == "" else number(value)


def _amount(value: Any) -> Decimal:
    """A quantity of an order: not below zero; zero for null (an order by value has none)."""
    result = maybe(value) or ZERO
    if result < 0:
        raise ValueError(f"a quantity of {result}")
    return result


def account(body: Json) -> Account:
    """GET /v2/account."""
    equity = number(body["equity"])
    return Account(
        cash=number(body["cash"]), equity=equity, portfolio_value=maybe(body.get("portfolio_value")) or equity,
        buying_power=number(body["buying_power"]), currency=_label(body.get("currency") or "USD"),
        last_equity=maybe(body.get("last_equity")), options_level=_options_level(body),
        options_buying_power=maybe(body.get("options_buying_power")),
    )  # fmt: skip


def _options_level(body: Json) -> int | None:
    """The lower of what was approved and what the owner allows; None if neither is told as a level."""
    told = [body.get("options_approved_level"), body.get("options_trading_level")]
    return min((int(level) for level in told if type(level) is int and level in LEVELS), default=None)


def market(body: Json) -> MarketReport:
    """GET /v2/clock."""
    return MarketReport(
        at=instant(body["timestamp"]), is_open=bool(body["is_open"]), next_open=instant(body["next_open"]),
        next_close=instant(body["next_close"]),
    )  # fmt: skip


def instrument(body: Json) -> Instrument:
    """GET /v2/assets/{symbol}."""
    return Instrument(
        symbol=_label(body["symbol"]), tradable=bool(body["tradable"]) and body.get("status") == "active",
        shortable=bool(body["shortable"]) and bool(body["easy_to_borrow"]),
        fractionable=bool(body["fractionable"]),
    )  # fmt: skip


def order(body: Json) -> OrderReport:
    """An order entity, its legs within.

    The parent of a multi-leg order names no symbol and no side (BEHAVIOUR 3, mleg): it has the underlying of its
    first leg, and buys if its legs open. Its prices are net: below zero is a credit.
    """
    several = is_mleg_parent(body)
    legs = tuple(_order(leg, _label(leg["symbol"]), Side(leg["side"])) for leg in _legs(body))
    if not several:
        return structs.replace(_order(body, _label(body["symbol"]), Side(body["side"])), legs=legs)
    if not legs:
        raise ValueError("an order of several legs without them")
    opens = all(str(leg.get("position_intent")).endswith("_to_open") for leg in _legs(body))
    side = Side.BUY if opens else Side.SELL
    return structs.replace(_order(body, underlying_of(legs[0].symbol), side, price=maybe), legs=legs)


def is_mleg_parent(body: Json) -> bool:
    """Whether an order is one of several contracts, and not a leg of it."""
    return body.get("order_class") == MLEG and not body.get("symbol")


def _order(body: Json, symbol: str, side: Side, price: Callable[[Any], Decimal | None] | None = None) -> OrderReport:
    """An order without its legs; ``price`` reads what is above zero for any other than an order of several legs."""
    price = price or _price
    submitted = instant(body.get("submitted_at") or body["created_at"])
    return OrderReport(
        order_id=word(body["id"]), client_order_id=word(body["client_order_id"]),
        symbol=symbol, side=side, qty=_amount(body["qty"]),
        filled_qty=_amount(body["filled_qty"]), filled_avg_price=price(body["filled_avg_price"]),
        type=_label(body["type"] or ""), order_class=_label(body.get("order_class") or "simple"),
        time_in_force=_label(body["time_in_force"]), limit_price=price(body.get("limit_price")),
        stop_price=price(body.get("stop_price")), status=_label(body["status"]), submitted_at=submitted,
        updated_at=instant(body["updated_at"]) if body.get("updated_at") else submitted,
        replaced_by=_maybe_word(body.get("replaced_by")), replaces=_maybe_word(body.get("replaces")),
    )  # fmt: skip


def _price(value: Any) -> Decimal | None:
    """A price of one instrument: not below zero."""
    result = maybe(value)
    if result is not None and result < 0:
        raise ValueError(f"a price of {result}")
    return result


def _legs(body: Json) -> Sequence[Json]:
    legs = body.get("legs") or ()
    if len(legs) > LEGS_MAX or any(leg.get("legs") for leg in legs):
        raise ValueError("an order with more legs than there are")
    return legs


def fill(body: Json) -> Fill:
    """A FILL activity. A contract that is worth nothing may be got rid of for nothing; a share never is."""
    symbol, qty, price = _label(body["symbol"]), number(body["qty"]), number(body["price"])
    if qty <= 0 or not (is_sane_price(price) or (price == 0 and parse(symbol) is not None)):
        raise ValueError(f"a fill of {qty} at {price}")
    return Fill(
        activity_id=word(body["id"]), order_id=word(body["order_id"]), symbol=symbol,
        side=_FILL_SIDES[body["side"]], qty=qty, price=price,
        at=instant(body["transaction_time"]),
    )  # fmt: skip


def activity(body: Json) -> Activity:
    """An activity that is no trade. Its ``date`` is all that some of them say of when it was (BEHAVIOUR 5)."""
    at = body.get("created_at") or body["date"]
    price = maybe(body.get("price"))
    return Activity(
        activity_id=word(body["id"]), type=one_line(str(body["activity_type"]), 16).upper(),
        sub_type=one_line(str(body.get("activity_sub_type") or ""), 16), symbol=_label(body.get("symbol") or ""),
        qty=maybe(body.get("qty")), amount=maybe(body.get("net_amount")),
        at=instant(f"{at}T00:00:00Z" if len(str(at)) == len("2020-08-31") else str(at)),
        price=None if price is None else _sane(price), group=_maybe_word(body.get("group_id")) or "",
    )  # fmt: skip


def position(body: Json) -> PositionReport:
    """A position; Alpaca's ``qty`` is signed already, some replies only say ``side``."""
    qty = number(body["qty"])
    if body.get("side") == "short" and qty > 0:
        qty = -qty
    mark = body.get("current_price")
    return PositionReport(
        symbol=_label(body["symbol"]), qty=qty, avg_entry_price=number(body["avg_entry_price"]),
        current_price=None if mark is None or mark == "" else _sane(Decimal(str(mark))),
    )  # fmt: skip


def _sane(price: Decimal) -> Decimal | None:
    """None for a mark that is no price: what is held is known all the same."""
    return price if is_sane_price(price) else None


def trade(symbol: str, body: Json) -> Trade:
    """A latest trade, as it is told: its price may be none."""
    return Trade(symbol=symbol, price=Decimal(str(body["p"])), at=instant(body["t"]))


def bars(
    symbols: Sequence[str], interval: timedelta, body: Mapping[str, Sequence[Json]], end: datetime, keep: int
) -> BarFrame:
    """Bar lists to one frame: the newest ``keep`` bars of regular hours that had closed by ``end``, as they were told.

    Pre-market and after-hours bars are left out: they are thin, and a strategy would see a night as neighbouring bars.
    What cannot be a bar is in it too, and what is surely from the future: who takes it in says what of it is believed.
    """
    last, never = int((end - interval).timestamp()), (end + AHEAD).timestamp()
    columns = {}
    for symbol in symbols:
        rows = [(_stamp(b["t"]), b["o"], b["h"], b["l"], b["c"], b["v"]) for b in body.get(symbol) or ()]
        closed = [row for row in rows if row[0] > never or (row[0] <= last and in_regular_hours(row[0], interval))]
        columns[symbol] = np.asarray(closed[-keep:], dtype=np.float64).reshape(-1, 6)
    return as_told(tuple(symbols), interval, columns)


def _stamp(text: str) -> int:
    return int(instant(text).timestamp())


def _maybe_word(value: Any) -> str | None:
    return word(value) if value else None


def word(value: Any) -> str:
    """An id, as it is: it is compared, so what cannot be stored is refused and not mended."""
    text = str(value)
    if not text or len(text) > 128 or not text.isprintable():
        raise ValueError(f"not an id: {text[:40]!r}")
    return text


def _label(value: Any) -> str:
    """A short text that is stored and shown."""
    return one_line(str(value), LABEL_MAX)
