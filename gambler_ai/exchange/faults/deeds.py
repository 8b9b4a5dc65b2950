"""Lines of a plan that happen to the account by themselves: what they must say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.desk.option_tickets import check_request, is_option_request
from gambler_ai.exchange.desk.tickets import parse_ticket
from gambler_ai.exchange.faults.kinds import ACCOUNT_RESET, HAND
from gambler_ai.exchange.numbers import parse_decimal
from gambler_ai.exchange.refusal import Refusal

HANDS = ("order", "cancel", "replace", "close")
ADJUST, CANCEL, LEAVE, QTY_ONLY = "adjust", "cancel", "leave", "qty_only"
#: What becomes of open orders in a split.
TREATMENTS = (ADJUST, CANCEL, LEAVE, QTY_ONLY)
RATIO_MOST = 1000


class Planned(NamedTuple):
    """One deed to come. ``at_us`` is when, None for at once (a split: at the open of its day)."""

    kind: str
    row: Mapping[str, Any]
    at_us: int | None
    key: str


def check(kind: str, row: Mapping[str, Any]) -> None:
    """Raises ConfigError for a line that cannot be done."""
    if kind == HAND:
        _check_hand(row)
    elif kind == ACCOUNT_RESET:
        cash_of(row, Decimal(1))
    else:
        _check_split(row)


def _check_hand(row: Mapping[str, Any]) -> None:
    if sum(name in row for name in HANDS) != 1:
        raise ConfigError(f"a hand has one of {', '.join(HANDS)}")
    if ("replace" in row) != ("changes" in row) or not isinstance(row.get("changes", {}), Mapping):
        raise ConfigError('"changes" is an object with what to replace, and "replace" says in which order')
    if "order" in row:
        try:
            (check_request if is_option_request(row["order"]) else parse_ticket)(row["order"])
        except Refusal as refusal:
            raise ConfigError(f'"order" is what POST /v2/orders takes: {refusal.message}') from None
        return
    target = next(row[name] for name in HANDS if name in row)
    if not isinstance(target, str) or not target:
        raise ConfigError('"cancel", "replace" and "close" name a symbol, an order\'s id or client_order_id, or "all"')


def cash_of(row: Mapping[str, Any], default: Decimal) -> Decimal:
    """What an account begins with after its reset. Raises ConfigError."""
    try:
        cash = parse_decimal(row.get("cash"))
    except ValueError:
        cash = Decimal(0)
    if cash is not None and cash <= 0:
        raise ConfigError('"cash" is an amount above zero')
    return default if cash is None else cash


def _check_split(row: Mapping[str, Any]) -> None:
    if not isinstance(row.get("symbol"), str):
        raise ConfigError('"symbol" is one that is listed')
    if row.get("orders", ADJUST) not in TREATMENTS:
        raise ConfigError(f'"orders" is one of {", ".join(TREATMENTS)}')
    ratio_of(row)
    day_of(row)


def ratio_of(row: Mapping[str, Any]) -> Decimal:
    """New shares for one old. Raises ConfigError."""
    new, _, old = str(row.get("ratio", "")).partition(":")
    try:
        ratio = (parse_decimal(new) or Decimal(0)) / (parse_decimal(old or "1") or Decimal(1))
    except (ValueError, ArithmeticError):
        ratio = Decimal(0)
    if not Decimal(1) / RATIO_MOST <= ratio <= RATIO_MOST or ratio == 1:
        raise ConfigError(f'"ratio" is new shares for one old, as "2", "3:2" or "1:10"; at most {RATIO_MOST}')
    return ratio


def day_of(row: Mapping[str, Any]) -> date:
    """The first day at the new price. Raises ConfigError."""
    try:
        return date.fromisoformat(str(row.get("on", "")))
    except ValueError:
        raise ConfigError('"on" is the first day at the new price, as 2008-10-08') from None
