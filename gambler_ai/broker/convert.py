"""Alpaca's JSON to core types and back. What does not fit raises ValueError; the fence names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from gambler_ai.core.bars import from_columns
from gambler_ai.core.events import MarketReport, PositionReport
from gambler_ai.core.model import (
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
from gambler_ai.core.orders import OrderReport

Json = Mapping[str, Any]


_FILL_SIDES = {"buy": Side.BUY, "sell": Side.SELL, "sell_short": Side.SELL}


def instant(text: str) -> datetime:
    """RFC3339 with up to nine fraction digits (BEHAVIOUR 1) to aware UTC; Python keeps six."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError(f"instant without a zone: {text!r}")
    return value.astimezone(UTC)


def wire_instant(value: datetime) -> str:
    """An instant as Alpaca takes it."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def maybe_instant(text: Any) -> datetime | None:
    """The same, or None for null and ""."""
    return instant(str(text)) if text else None


def number(value: Any) -> Decimal:
    """A decimal string or number, finite."""
    result = Decimal(str(value))
    if not result.is_finite():
        raise ValueError(f"not a finite number: {value!r}")
    return result


def maybe(value: Any) -> Decimal | None:
    """The same, or None for null and ""."""
    return None if value is None or value == "" else number(value)


def account(body: Json) -> Account:
    """GET /v2/account."""
    equity = number(body["equity"])
    return Account(
        cash=number(body["cash"]), equity=equity, portfolio_value=maybe(body.get("portfolio_value")) or equity,
        buying_power=number(body["buying_power"]), currency=str(body.get("currency") or "USD"),
        last_equity=maybe(body.get("last_equity")),
    )  # fmt: skip


def market(body: Json) -> MarketReport:
    """GET /v2/clock."""
    return MarketReport(
        at=instant(body["timestamp"]), is_open=bool(body["is_open"]), next_open=instant(body["next_open"]),
        next_close=instant(body["next_close"]),
    )  # fmt: skip


def instrument(body: Json) -> Instrument:
    """GET /v2/assets/{symbol}."""
    return Instrument(
        symbol=str(body["symbol"]), tradable=bool(body["tradable"]) and body.get("status") == "active",
        shortable=bool(body["shortable"]) and bool(body["easy_to_borrow"]),
        fractionable=bool(body["fractionable"]),
    )  # fmt: skip


def order(body: Json) -> OrderReport:
    """An order entity, its legs within."""
    submitted = instant(body.get("submitted_at") or body["created_at"])
    return OrderReport(
        order_id=_word(body["id"]), client_order_id=_word(body["client_order_id"]),
        symbol=str(body["symbol"]), side=Side(body["side"]), qty=maybe(body["qty"]) or ZERO,
        filled_qty=maybe(body["filled_qty"]) or ZERO, filled_avg_price=maybe(body["filled_avg_price"]),
        type=str(body["type"]), order_class=str(body.get("order_class") or "simple"),
        time_in_force=str(body["time_in_force"]), limit_price=maybe(body.get("limit_price")),
        stop_price=maybe(body.get("stop_price")), status=str(body["status"])[:32], submitted_at=submitted,
        updated_at=instant(body["updated_at"]) if body.get("updated_at") else submitted,
        replaced_by=_maybe_word(body.get("replaced_by")), replaces=_maybe_word(body.get("replaces")),
        legs=tuple(order(leg) for leg in body.get("legs") or ()),
    )  # fmt: skip


def fill(body: Json) -> Fill:
    """A FILL activity."""
    qty, price = number(body["qty"]), number(body["price"])
    if qty <= 0 or not is_sane_price(price):
        raise ValueError(f"a fill of {qty} at {price}")
    return Fill(
        activity_id=str(body["id"])[:128], order_id=_word(body["order_id"]), symbol=str(body["symbol"]),
        side=_FILL_SIDES[body["side"]], qty=qty, price=price,
        at=instant(body["transaction_time"]),
    )  # fmt: skip


def activity(body: Json) -> Activity:
    """An activity that is no trade. Its ``date`` is all that some of them say of when it was (BEHAVIOUR 5)."""
    at = body.get("created_at") or body["date"]
    return Activity(
        activity_id=_word(body["id"]), type=str(body["activity_type"])[:16].upper(),
        sub_type=str(body.get("activity_sub_type") or "")[:16], symbol=str(body.get("symbol") or "")[:32],
        qty=maybe(body.get("qty")), amount=maybe(body.get("net_amount")),
        at=instant(f"{at}T00:00:00Z" if len(str(at)) == len("2020-08-31") else str(at)),
    )  # fmt: skip


def position(body: Json) -> PositionReport:
    """A position; Alpaca's ``qty`` is signed already, some replies only say ``side``."""
    qty = number(body["qty"])
    if body.get("side") == "short" and qty > 0:
        qty = -qty
    return PositionReport(
        symbol=str(body["symbol"]), qty=qty, avg_entry_price=number(body["avg_entry_price"]),
        current_price=maybe(body.get("current_price")),
    )  # fmt: skip


def trade(symbol: str, body: Json) -> Trade:
    """A latest trade."""
    return Trade(symbol=symbol, price=number(body["p"]), at=instant(body["t"]))


def bars(
    symbols: Sequence[str], interval: timedelta, body: Mapping[str, Sequence[Json]], end: datetime, keep: int
) -> BarFrame:
    """Bar lists to one frame of the newest ``keep`` bars that had closed by ``end``."""
    last = int((end - interval).timestamp())
    columns = {}
    for symbol in symbols:
        rows = [(_stamp(b["t"]), b["o"], b["h"], b["l"], b["c"], b["v"]) for b in body.get(symbol) or ()]
        closed = [row for row in rows if row[0] <= last]
        columns[symbol] = np.asarray(closed[-keep:], dtype=np.float64).reshape(-1, 6)
    return from_columns(tuple(symbols), interval, columns, keep)


def _stamp(text: str) -> int:
    return int(instant(text).timestamp())


def _maybe_word(value: Any) -> str | None:
    return _word(value) if value else None


def _word(value: Any) -> str:
    text = str(value)
    if not text or len(text) > 128:
        raise ValueError(f"not an id: {text[:40]!r}")
    return text
