"""What a seed draws for an options session beside the rest: its day, its strategy, its limits, its troubles.

Contracts are short-dated, and days near an expiry come more often than they do: expiry, exercise and assignment are to
happen while a process runs, and while none does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from gambler_ai.core import events as ev
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.exchange.options.expiries import is_expiry
from gambler_ai.strategies import Strategy
from gambler_ai.strategies.options.covered_call import CoveredCall
from gambler_ai.strategies.options.iron_condor import IronCondor
from gambler_ai.strategies.options.mix import OptionsMix
from gambler_ai.strategies.options.straddle import Straddle, Strangle
from gambler_ai.strategies.options.vertical import Vertical

#: One seed in so many is a session in options.
ONE_IN = 4
STRATEGIES: dict[str, type[Strategy]] = {
    one.name: one for one in (IronCondor, Straddle, Strangle, Vertical, CoveredCall, OptionsMix)
}
#: How it meets an expiry: by day, alive over the close and the night, or dead over both.
DAYTIME, RUNNING, DEAD = "daytime", "running", "dead"
WAYS, SHARES_OF_WAYS = (DAYTIME, RUNNING, DEAD), (0.4, 0.4, 0.2)
#: Sessions over a close begin so many minutes before it; nothing that expires is opened in the last 30.
LATE_MINUTES = (34.0, 75.0)
LAST_DAY_SHARE = 0.8
#: Others are so long at most: a chain is much to read.
MINUTES_MAX = 150.0
#: Of those that see a night, in so many of them a share splits.
SPLIT_SHARE = 0.1
#: Contracts of so many days are traded.
_DAYS = ((0, 3), (0, 8), (1, 8), (3, 14))
_MIX = ("iron_condor", "straddle", "strangle", "vertical")
#: Dollars that a structure may lose; a unit with shares costs a hundred of them.
_CAPITAL, _SHARES = (2_000, 5_000, 12_000, 40_000), (20_000, 40_000, 80_000)
#: A share of it costs more than a unit of any structure may.
DEAR = "BRK.A"
#: Endpoints that only such a session asks, and how much a fault there is worth.
ENDPOINTS = (("GET", "/v1beta1/options", 6), ("GET", "/v1beta1/options/snapshots", 4))
#: What is done from outside, beside what is done to shares, and how often compared with that.
DEEDS = {"close leg": 8, "exercise": 3, "sell leg": 2, ev.FLATTEN: 3}
#: What an order in several legs may meet.
_ORDER_FAULTS = (
    "lost_reply", "504_after", "502_after", "cut_json", "rejected_after", "late_arrival", "500", "reset",
    "accepted_only", "fill_first", "hang_unhandled",
)  # fmt: skip
#: Of an options session those of its orders that a fault is about.
_OF_ITS_ORDERS = ("mleg", "mleg", "to_open", "to_close")


def is_options(seed: int) -> bool:
    """Whether a seed draws a session in options; apart from all else it draws, so that the others stay as they are."""
    return bool(np.random.default_rng((seed, 2)).integers(0, ONE_IN) == 0)


def day(dice: np.random.Generator, days: Sequence[date], *, late: bool) -> int:
    """The index of its first day: an expiry if it begins ``late``, else one, or one of the days before, or any."""
    index = int(dice.integers(60, len(days) - 12))
    if not late and dice.random() < 0.3:
        return index
    while not is_expiry(days, days[index]):
        index += 1
    return index if late else index - int(dice.choice([0, 0, 1, 1, 2]))


def left_minutes(dice: np.random.Generator) -> float:
    """What is left of a day of expiry when a late session begins."""
    return round(float(dice.uniform(*LATE_MINUTES)), 2)


def after_the_open_s(dice: np.random.Generator) -> float:
    """When one that lay dead is there again: so many seconds after the next open, or before it."""
    return float(dice.choice([-600.0, -60.0, 0.0, 5.0, 400.0, 1_500.0]))


def plan(dice: np.random.Generator, symbols: tuple[str, ...], strategy: str) -> dict[str, Any]:
    """Fields of a plan that other sessions do not have, or have otherwise."""
    found: dict[str, Any] = {
        "universe": "options", "strategy": strategy, "limit_pct": None, "learning": LearningRules(),
        "position_size": Decimal(int(dice.integers(15_000, 60_000))),
    }  # fmt: skip
    if dice.random() < 0.7:
        found |= {"max_order_value": None, "max_daily_loss": None}
    if dice.random() < 0.7:
        found["capital_per_trade"] = Decimal(int(dice.choice(_SHARES if strategy == CoveredCall.name else _CAPITAL)))
    if dice.random() < 0.2:
        found["max_per_strategy"] = int(dice.integers(1, 3))
    sectors = {}
    if dice.random() < 0.2:
        found["max_per_sector"], sectors = 1, dict.fromkeys(symbols[:2], "one")
    if dice.random() < 0.2:
        found["learning"] = LearningRules(min_confidence=Decimal(str(dice.choice(["0.1", "0.3", "0.5"]))))
    if dice.random() < 0.3:
        found["autosave_iterations"] = int(dice.integers(1, 20))
    found["risk"] = rules(dice, sectors)
    return found


def rules(dice: np.random.Generator, sectors: dict[str, str]) -> RiskRules:
    """Rules of size and rest, in some of them."""
    given: dict[str, Any] = {"sectors": sectors}
    if dice.random() < 0.15:
        given |= {"max_loss_streak": int(dice.integers(1, 4)), "loss_pause_min": Decimal(int(dice.choice([5, 30])))}
    if dice.random() < 0.15:
        given["max_exposure_pct"] = Decimal(int(dice.integers(10, 60)))
    return RiskRules(**given)


def strategy(dice: np.random.Generator, *, late: bool) -> dict[str, Any]:
    """A strategy and its parameters; what begins ``late`` trades what expires today, as a rule."""
    days = _DAYS[:1] if late and dice.random() < LAST_DAY_SHARE else _DAYS
    name = str(dice.choice([*STRATEGIES, "iron_condor", "covered_call"]))
    if name == OptionsMix.name:
        of = tuple(str(one) for one in dice.choice(_MIX, size=int(dice.integers(2, 4)), replace=False))
        return {
            "class": name,
            "of": of,
            "settings": {f"{one}.{k}": v for one in of for k, v in _of(dice, one, days).items()},
        }
    return {"class": name, **_of(dice, name, days)}


def _of(dice: np.random.Generator, name: str, days: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Parameters of one: near expiries, and exits near enough to come."""
    least, most = days[int(dice.integers(0, len(days)))]
    found: dict[str, Any] = {
        "dte_min": least, "dte_max": most, "min_open_minutes": int(dice.choice([0, 5])), "max_spread_pct": 200.0,
    }  # fmt: skip
    found["exit_days_left"] = int(dice.integers(0, least)) if least and dice.random() < 0.6 else None
    if (share := float(dice.choice([0.0, 0.02, 0.1, 0.5]))) > 0:
        found["profit_share"] = share
    if name in ("strangle", "iron_condor", "vertical", "covered_call"):
        found["delta"] = float(dice.choice([0.15, 0.25, 0.4, 0.4 if name == "iron_condor" else 0.6]))
    if name in ("straddle", "strangle", "covered_call"):
        found["loss_share"] = float(dice.choice([0.05, 0.3, 0.9]))
    if name in ("iron_condor", "vertical"):
        found |= {"width_strikes": int(dice.integers(1, 3)), "loss_multiple": float(dice.choice([0.5, 2.0]))}
    if name == "vertical":
        found["direction"] = str(dice.choice(["bull_put", "bear_call", "bull_call", "bear_put"]))
    return found


def order_fault(dice: np.random.Generator) -> dict[str, Any]:
    """What some orders of structures meet, entries and exits alike."""
    row: dict[str, Any] = {"kind": str(dice.choice(_ORDER_FAULTS)), "method": "POST", "path": "/v2/orders$"}
    row |= {"contains": str(dice.choice(_OF_ITS_ORDERS)), "times": int(dice.choice([1, 1, 2, 5]))}
    if row["kind"] in ("late_arrival", "accepted_only"):
        row["seconds"] = round(float(dice.uniform(5, 600)), 3)
    return row
