"""What an account's owner may configure, and how a change of it is checked (BEHAVIOUR 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from gambler_ai.exchange.refusal import Refusal, bad_parameter

_CHECKS = ("both", "entry", "exit")
_OPTION_LEVELS = range(4)  # 0 none, 1 covered, 2 long, 3 spreads


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The account's configurations, with the values of a new paper account. ``dtbp_check`` and ``pdt_check`` are
    retired; old clients read and write them. What day trades are looked at is ``pdt_check`` (`desk.day_trades`).
    """

    fractional_trading: bool = True
    max_margin_multiplier: str = "4"
    max_options_trading_level: int = 3
    no_shorting: bool = False
    suspend_trade: bool = False
    trade_confirm_email: str = "all"
    ptp_no_exception_entry: bool = False
    disable_overnight_trading: bool = False
    dtbp_check: str = "entry"
    pdt_check: str = "entry"


def changed(settings: Settings, changes: object) -> Settings:
    """The settings after a PATCH. What is absent, null or "" stays; unknown names are ignored (BEHAVIOUR 1). Alpaca's
    answer to a bad value is not documented: 422 with its code for a bad parameter. Raises Refusal.
    """
    if not isinstance(changes, Mapping):
        raise Refusal(400, 40010000, "request body format is invalid")
    given = {
        name: _READ[name](name, changes[name])
        for name in Settings.__struct_fields__ if changes.get(name) not in (None, "")
    }  # fmt: skip
    return replace(settings, **given)


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise bad_parameter(f"invalid {name}")


def _one_of(*words: str) -> Callable[[str, object], str]:
    def read(name: str, value: object) -> str:
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if text not in words:
            raise bad_parameter(f"invalid {name}")
        return text

    return read


def _option_level(name: str, value: object) -> int:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text not in map(str, _OPTION_LEVELS):
        raise bad_parameter(f"invalid {name}")
    return int(text)


_READ: dict[str, Callable[[str, object], Any]] = {
    "fractional_trading": _flag,
    "max_margin_multiplier": _one_of("1", "2", "4"),
    "max_options_trading_level": _option_level,
    "no_shorting": _flag,
    "suspend_trade": _flag,
    "trade_confirm_email": _one_of("all", "none"),
    "ptp_no_exception_entry": _flag,
    "disable_overnight_trading": _flag,
    "dtbp_check": _one_of(*_CHECKS),
    "pdt_check": _one_of(*_CHECKS),
}
