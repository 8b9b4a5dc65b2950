"""How large an entry may be and when there is none: what a person sets, stored with the plan."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from msgspec import Struct

from gambler_ai.core.model import ZERO


class Sizing(StrEnum):
    """What the value of an entry is drawn from."""

    FIXED = "fixed"
    EQUITY = "equity"
    ATR = "atr"
    KELLY = "kelly"


class RiskRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules of size and of rest. Percent is of the account's equity unless it says otherwise; None is no limit.

    Raises:
        ValueError: a value is out of its bounds, or rules that need each other are not together.
    """

    name: ClassVar[str] = "risk"

    sizing: Sizing = Sizing.FIXED
    size_pct: Decimal = Decimal(10)
    risk_pct: Decimal = Decimal(1)
    atr_period: int = 14
    atr_multiple: Decimal = Decimal(2)
    kelly_fraction: Decimal = Decimal("0.5")
    kelly_trades: int = 20
    loss_scale_pct: Decimal = ZERO
    drawdown_scale_pct: Decimal | None = None
    max_trade_pct: Decimal | None = None
    max_symbol_pct: Decimal | None = None
    max_sector_pct: Decimal | None = None
    max_exposure_pct: Decimal | None = None
    max_correlation: Decimal | None = None
    correlation_bars: int = 60
    max_drawdown_pct: Decimal | None = None
    max_loss_streak: int | None = None
    loss_pause_min: Decimal = Decimal(60)
    sectors: dict[str, str] = {}

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not (Decimal(value).is_finite() and least <= value <= most):
                raise ValueError(f"{name} must be from {least} to {most} (got {value})")
        if self.max_sector_pct is not None and not self.sectors:
            raise ValueError("max_sector_pct needs sectors: name them as AAPL:technology,XOM:energy")

    @property
    def bars(self) -> int:
        """Closed bars of each symbol that the rules look at."""
        ranges = self.atr_period + 1 if self.sizing is Sizing.ATR else 0
        common = 2 * self.correlation_bars + 1  # a symbol without a trade in some minutes has fewer in common
        return max(ranges, common if self.max_correlation is not None else 0)


_PERCENT = (Decimal("0.01"), Decimal(100))
#: An account on margin holds more than its equity.
_ON_MARGIN = (Decimal("0.01"), Decimal(1000))
#: What a value may be, both ends within.
BOUNDS: dict[str, tuple[Decimal, Decimal]] = {
    "size_pct": _ON_MARGIN, "risk_pct": _PERCENT, "atr_period": (Decimal(1), Decimal(1000)),
    "atr_multiple": (Decimal("0.1"), Decimal(100)), "kelly_fraction": (Decimal("0.01"), Decimal(1)),
    "kelly_trades": (Decimal(2), Decimal(100_000)), "loss_scale_pct": (ZERO, Decimal(99)),
    "drawdown_scale_pct": _PERCENT, "max_trade_pct": _ON_MARGIN, "max_symbol_pct": _ON_MARGIN,
    "max_sector_pct": _ON_MARGIN, "max_exposure_pct": _ON_MARGIN, "max_correlation": (ZERO, Decimal(1)),
    "correlation_bars": (Decimal(10), Decimal(1000)), "max_drawdown_pct": _PERCENT,
    "max_loss_streak": (Decimal(1), Decimal(1000)), "loss_pause_min": (Decimal(1), Decimal(100_000)),
}  # fmt: skip
#: What each rule is, for the documents and for who asks.
TEXTS = {
    "sizing": "What an entry may cost: fixed (--position-size), equity (a share of it), atr (so that a move of"
    " `atr_multiple` average ranges loses `risk_pct`), kelly (the fraction that won most so far).",
    "size_pct": "Percent of equity of one entry with sizing equity; at most so much with atr and kelly.",
    "risk_pct": "Percent of equity that sizing atr puts at risk.",
    "atr_period": "Bars whose true ranges are averaged.",
    "atr_multiple": "Average ranges that a price may go against an entry before `risk_pct` is lost.",
    "kelly_fraction": "Part of Kelly's fraction that is taken.",
    "kelly_trades": "Round trips before Kelly is believed; until then --position-size holds.",
    "loss_scale_pct": "Each loss in a row makes the next entry smaller by this percent of itself.",
    "drawdown_scale_pct": "Entries shrink in step with the drawdown, to nothing at this percent below the peak.",
    "max_trade_pct": "Percent of equity that one entry may cost.",
    "max_symbol_pct": "Percent of equity in one symbol, over all sessions of the account.",
    "max_sector_pct": "Percent of equity in one of `sectors`, over all sessions of the account.",
    "max_exposure_pct": "Percent of equity in all positions together, long and short alike.",
    "max_correlation": "No entry that moves more alike with something held than this, from 0 to 1.",
    "correlation_bars": "Bars whose returns are compared for it.",
    "max_drawdown_pct": "At this percent below the peak nothing is entered until `gambler-ai risk reset`.",
    "max_loss_streak": "So many losses in a row, and nothing is entered for `loss_pause_min`.",
    "loss_pause_min": "Minutes of session time that a pause after losses takes.",
    "sectors": "Symbol to sector, as AAPL:technology,XOM:energy or a table; one without is its own.",
}
