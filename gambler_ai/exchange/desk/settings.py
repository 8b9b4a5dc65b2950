"""What the account's owner has set, and which of it the desk honours (BEHAVIOUR 2, "configurations")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from gambler_ai.exchange.refusal import bad_parameter

MARGIN_MULTIPLIERS = ("1", "2", "4")
_CHECKS = ("both", "entry", "exit")
# What a setting may be; those that are not here are booleans.
_CHOICES: dict[str, tuple[object, ...]] = {
    "dtbp_check": _CHECKS,
    "max_margin_multiplier": MARGIN_MULTIPLIERS,
    "max_options_trading_level": (0, 1, 2, 3),
    "pdt_check": _CHECKS,
    "trade_confirm_email": ("all", "none"),
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Account configurations, under Alpaca's names. Kept with the account; a file that has none has these.

    The desk honours ``fractional_trading``, ``max_margin_multiplier``, ``no_shorting`` and ``suspend_trade``. There is
    no overnight session, no day-trade check, no PTP and no e-mail here; those settings are only remembered.
    """

    disable_overnight_trading: bool = False
    dtbp_check: str = "entry"
    fractional_trading: bool = True
    max_margin_multiplier: str = "4"
    max_options_trading_level: int | None = None  # None is whatever the account is approved for
    no_shorting: bool = False
    pdt_check: str = "entry"
    ptp_no_exception_entry: bool = False
    suspend_trade: bool = False
    trade_confirm_email: str = "none"


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """The settings with these changes. Null means absent and unknown names are ignored (BEHAVIOUR 1). Raises Refusal
    422 for a value that a setting cannot have.
    """
    wanted = {name: changes[name] for name in Settings.__struct_fields__ if changes.get(name) not in (None, "")}
    for name, value in wanted.items():
        choices = _CHOICES.get(name)
        if choices is None:
            fits = isinstance(value, bool)
        else:
            if name == "max_margin_multiplier" and not isinstance(value, bool):
                value = wanted[name] = str(value)
            fits = not isinstance(value, bool) and value in choices
        if not fits:
            raise bad_parameter(f"invalid {name}")
    return replace(settings, **wanted)
