"""Lesson 23's two files: `state.json`, what its bot holds, and `config.json`, what it trades."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

from msgspec import Struct

from gambler_ai.ancestors.refusal import Refused
from gambler_ai.ancestors.values import Unfit, instant, number, shown, symbol

IN_POSITION = "is_in_position"
_POSITION = {
    IN_POSITION, "in_position", "symbol", "trade_symbol", "qty", "quantity", "shares", "entry_price",
    "avg_entry_price", "entry_time", "stop_loss", "take_profit", "side",
}  # fmt: skip
_CONFIG = {"trade_symbol", "symbol", "trade_quantity", "paper_trading", "check_interval_seconds", "strategy_parameters"}
_SECRETS = {"api_key", "api_secret", "secret_key"}
_POSITIONS_MAX = 1_000
_ELSEWHERE = {
    "trade_history": "trade_history: the broker has every fill",
    "last_updated": "last_updated: the broker is asked instead",
}


class Held(Struct, frozen=True):
    """A position by the file's word; "" and None where it says nothing. The broker's word wins."""

    symbol: str
    qty: Decimal | None = None
    entry_price: Decimal | None = None
    entered_at: datetime | None = None
    stop: Decimal | None = None
    target: Decimal | None = None


class BotState(Struct, frozen=True):
    """What the bot believes to hold; nothing, if it is in no position."""

    held: tuple[Held, ...]


class BotConfig(Struct, frozen=True):
    """What the bot trades. ``has_keys``: the file had keys in it, which are never taken."""

    symbol: str
    qty: Decimal | None
    interval_s: Decimal | None
    has_keys: bool


def is_config(tree: Any) -> bool:
    """Whether ``tree`` is shaped like lesson 22's and 23's configuration."""
    return type(tree) is dict and "trade_symbol" in tree and not is_state(tree)


def is_state(tree: Any) -> bool:
    """Whether ``tree`` is shaped like lesson 23's state."""
    if type(tree) is not dict:
        return False
    return IN_POSITION in tree or "in_position" in tree or type(tree.get("positions")) is dict


def parse_state(tree: dict[Any, Any], zone: tzinfo) -> tuple[BotState, list[str]]:
    """What is held, and what of the file was left out.

    Raises:
        Refused: a value is not what it should be; nothing is guessed.
    """
    try:
        if type(tree.get("positions")) is dict:
            return _many(tree, zone)
        held = _held(tree, zone, "")
        return BotState((held,) if held is not None else ()), _rest(tree, _POSITION)
    except Unfit as error:
        raise Refused(str(error)) from None


def _many(tree: dict[Any, Any], zone: tzinfo) -> tuple[BotState, list[str]]:
    positions = tree["positions"]
    if len(positions) > _POSITIONS_MAX:
        raise Unfit(f"it names more than {_POSITIONS_MAX:,} positions")
    held = []
    for name, row in positions.items():
        if type(row) is not dict:
            raise Unfit(f"position {shown(name)} is none")
        found = _held(row, zone, symbol(name))
        held += [found] if found is not None else []
    return BotState(tuple(held)), _rest(tree, {"positions", *_POSITION})


def _held(row: Mapping[Any, Any], zone: tzinfo, of: str) -> Held | None:
    """One position; None where the file says there is none."""
    is_held = row.get(IN_POSITION, row.get("in_position", of != ""))
    if type(is_held) is not bool:
        raise Unfit(f"{IN_POSITION} is neither true nor false")
    qty = _first(row, "qty", "quantity", "shares")
    if not is_held:
        if qty:
            raise Unfit(f"it is in no position, and holds {qty:f}")
        return None
    if qty is not None and qty == 0:
        raise Unfit("it is in a position of nothing")
    if str(row.get("side", "long")).lower() in ("short", "sell") and qty is not None and qty > 0:
        qty = -qty
    name = row.get("symbol", row.get("trade_symbol"))
    return Held(
        symbol=symbol(name) if name is not None else of, qty=qty,
        entry_price=_price(row, "entry_price", "avg_entry_price"), entered_at=instant(row.get("entry_time"), zone),
        stop=_price(row, "stop_loss"), target=_price(row, "take_profit"),
    )  # fmt: skip


def _first(row: Mapping[Any, Any], *names: str) -> Decimal | None:
    return next((number(row, name) for name in names if row.get(name) is not None), None)


def _price(row: Mapping[Any, Any], *names: str) -> Decimal | None:
    found = _first(row, *names)
    if found is not None and found <= 0:
        raise Unfit(f"{names[0]} is {found:f}, which is no price")
    return found


def parse_config(tree: dict[Any, Any]) -> tuple[BotConfig, list[str]]:
    """What it trades, and what of the file was left out. Keys are never taken.

    Raises:
        Refused: a value is not what it should be, or it trades with real money.
    """
    if tree.get("paper_trading", True) is not True:
        raise Refused("it trades with real money (paper_trading is not true)", hint="this program trades on paper only")
    try:
        interval = number(tree, "check_interval_seconds", at_least=Decimal(1))
        found = BotConfig(
            symbol(tree.get("trade_symbol", tree.get("symbol"))), number(tree, "trade_quantity", at_least=Decimal(0)),
            interval, has_keys=any(tree.get(name) for name in _SECRETS),
        )  # fmt: skip
    except Unfit as error:
        raise Refused(str(error)) from None
    left_out = _rest(tree, _CONFIG | _SECRETS)
    if tree.get("strategy_parameters"):
        left_out.append("strategy_parameters: its moving averages are no strategy of this program")
    return found, left_out


def _rest(tree: Mapping[Any, Any], known: set[str]) -> list[str]:
    told = [why for name, why in _ELSEWHERE.items() if name in tree]
    other = sorted(shown(key) for key in tree if key not in known and key not in _ELSEWHERE)
    return [*told, *([f"not known here: {', '.join(other[:5])}"] if other else [])]
