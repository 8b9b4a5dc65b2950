"""What all options strategies share: when they look, which expiry they take, and what a proposal of theirs says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar

from msgspec import Meta

from gambler_ai.core.contracts import Right, underlying_of
from gambler_ai.core.model import NEW_YORK, Failed, MarketView, MoveStop, Proposal
from gambler_ai.core.state import OPTIONS
from gambler_ai.core.structures import (
    ChainQuery,
    ExitRules,
    Greeks,
    Leg,
    OptionQuote,
    StructureProposal,
    natural_price,
    net_price,
)  # fmt: skip
from gambler_ai.strategies.base import Strategy
from gambler_ai.strategies.options import iv_rank
from gambler_ai.strategies.options.chain import Expiry, chains
from gambler_ai.strategies.options.exits import Levels
from gambler_ai.strategies.options.payoff import Payoff, payoff
from gambler_ai.strategies.options.probability import probability_of_profit, years_between
from gambler_ai.strategies.options.quality import Quality, flaw

#: When trading begins, by New York's clock.
OPENS = time(9, 30)
_PLACES = Decimal("0.0001")

Rank = Annotated[float, Meta(ge=0, le=100)]
Share = Annotated[float, Meta(gt=0, le=10)]
Delta = Annotated[float, Meta(ge=0.01, le=0.99)]
Pct = Annotated[float, Meta(ge=0, le=100)]


class OptionsStrategy(Strategy, frozen=True, kw_only=True):
    """One structure for each underlying that has none; a class of its own says of which `legs`.

    Expiry: of those ``dte_min`` to ``dte_max`` days away the nearest to the middle that has what is asked for; strikes
    are looked at within ``strikes_pct`` of the underlying. ``iv_rank_min`` and ``iv_rank_max`` bound the IV rank
    (`iv_rank`). Entered from ``min_open_minutes`` after the open, on quotes not older than ``max_quote_minutes`` with a
    spread of ``max_spread_pct`` of the middle at most. Left at its target (``profit_share``), ``exit_days_left`` days
    before expiry, after ``max_days``, and when a short leg in the money has ``time_value`` dollars a share or less over
    its exercise.
    """

    universe: ClassVar[str] = OPTIONS
    options_level: ClassVar[int] = 3

    dte_min: Annotated[int, Meta(ge=0, le=1000)] = 30
    dte_max: Annotated[int, Meta(ge=0, le=1000)] = 60
    strikes_pct: Annotated[float, Meta(ge=1, le=200)] = 40.0
    iv_rank_min: Rank | None = None
    iv_rank_max: Rank | None = None
    min_open_minutes: Annotated[int, Meta(ge=0, le=390)] = 5
    max_spread_pct: Annotated[float, Meta(gt=0, le=200)] = 20.0
    max_quote_minutes: Annotated[int, Meta(ge=1, le=1440)] = 15
    profit_share: Share | None = 0.5
    exit_days_left: Annotated[int, Meta(ge=0, le=1000)] | None = 21
    time_value: Annotated[float, Meta(ge=0, le=100)] | None = 0.05
    max_days: Annotated[int, Meta(ge=1, le=1000)] | None = None

    def __post_init__(self) -> None:
        if self.dte_min > self.dte_max:
            raise ValueError(f"dte_min ({self.dte_min}) must not be above dte_max ({self.dte_max})")
        if self.exit_days_left is not None and self.exit_days_left >= self.dte_min:
            raise ValueError(
                f"exit_days_left ({self.exit_days_left}) must be below dte_min ({self.dte_min}), or null for never: "
                "what is entered would be left at once"
            )
        low, high = self.iv_rank_min, self.iv_rank_max
        if low is not None and high is not None and low > high:
            raise ValueError(f"iv_rank_min ({low}) must not be above iv_rank_max ({high})")

    @property
    def daily_history(self) -> int:
        """The closes of an IV rank if one is asked for."""
        return iv_rank.CLOSES if self.looks_at_rank else 0

    @property
    def looks_at_rank(self) -> bool:
        """Whether an IV rank decides."""
        return self.iv_rank_min is not None or self.iv_rank_max is not None

    def chains(self, underlyings: Collection[str], day: date) -> Sequence[ChainQuery]:
        first, last = day + timedelta(days=self.dte_min), day + timedelta(days=self.dte_max)
        return [ChainQuery(one, first, last, Decimal(str(self.strikes_pct))) for one in underlyings]

    # what a class of its own says

    def legs(self, expiry: Expiry, spot: Decimal) -> Sequence[Leg]:
        """One unit of contracts of this expiry with the underlying at ``spot``; nothing where there is none."""
        return ()

    def levels(self, entry: Decimal, ends: Payoff) -> Levels:
        """Its stop and target, when it is entered at the natural price ``entry``."""
        return Levels(None, None)

    # what it proposes

    def propose(self, view: MarketView) -> Sequence[Proposal | MoveStop | StructureProposal | Failed]:
        """A structure for each underlying of which nothing is held and whose chain has one."""
        found: list[StructureProposal] = []
        if not self._may_enter(view.at) or not len(view.frame):
            return found
        listed, held = chains(view.quotes), {underlying_of(symbol) for symbol in view.held}
        for column, underlying in enumerate(view.frame.symbols):
            if underlying in held or underlying not in view.trades or not view.frame.times[-1, column]:
                continue
            for expiry in self._expiries(listed.get(underlying, []), view.at):
                one = self._proposal(view, column, expiry)
                if one is not None:
                    found.append(one)
                    break
        return found

    def _may_enter(self, at: datetime) -> bool:
        now = at.astimezone(NEW_YORK)
        return now >= datetime.combine(now.date(), OPENS, NEW_YORK) + timedelta(minutes=self.min_open_minutes)

    def _expiries(self, listed: Collection[Expiry], at: datetime) -> list[Expiry]:
        """Those of the window, the nearest to its middle first; the earlier of two that are as near."""
        today, twice_middle = at.astimezone(NEW_YORK).date(), self.dte_min + self.dte_max
        days = {one.expiry: (one.expiry - today).days for one in listed}
        inside = [one for one in listed if self.dte_min <= days[one.expiry] <= self.dte_max]
        return sorted(inside, key=lambda one: (abs(2 * days[one.expiry] - twice_middle), one.expiry))

    def _proposal(self, view: MarketView, column: int, expiry: Expiry) -> StructureProposal | None:
        """None where the chain is too thin, its quotes are not to be traded on, or the rank is another."""
        spot = view.trades[expiry.underlying].price
        legs = tuple(self.legs(expiry, spot))
        greeks = self._greeks(legs, view)
        volatility = expiry.implied_volatility(spot)
        if not legs or greeks is None or volatility is None:
            return None
        rank = _rank(view, expiry.underlying, volatility) if self.looks_at_rank else None
        entry, value = _prices(legs, view.quotes, spot)
        if entry is None or value is None or not self._is_ranked(rank):
            return None
        ends = payoff(legs, entry)
        left = self.levels(entry, ends)
        if not _can_win_and_lose(ends) or not left.hold(value):
            return None
        years = years_between(view.at, expiry.ends_at)
        chance = probability_of_profit(legs, entry, spot=spot, volatility=volatility, years=years)
        return StructureProposal(
            strategy=self.name, underlying=expiry.underlying, legs=legs, signal_at=view.frame.newest_at(column),
            reason=_reason(expiry, view.at, entry, chance, rank), entry_price=entry, stop_price=left.stop,
            target_price=left.target, exits=self._exits, max_loss=ends.max_loss, max_profit=ends.max_profit,
            confidence=Decimal(str(chance)).quantize(_PLACES), greeks=greeks,
        )  # fmt: skip

    def _greeks(self, legs: Sequence[Leg], view: MarketView) -> dict[str, Greeks] | None:
        """Of its contracts; None if one of them is not to be traded."""
        rule = Quality(Decimal(str(self.max_spread_pct)), timedelta(minutes=self.max_quote_minutes))
        found: dict[str, Greeks] = {}
        for leg in legs:
            quote = view.quotes.get(leg.symbol)
            if leg.contract is None:
                continue
            if quote is None or quote.greeks is None or flaw(leg, quote, rule, view.at) is not None:
                return None
            found[leg.symbol] = quote.greeks
        return found

    def _is_ranked(self, rank: float | None) -> bool:
        if not self.looks_at_rank:
            return True
        low, high = self.iv_rank_min, self.iv_rank_max
        return rank is not None and (low is None or rank >= low) and (high is None or rank <= high)

    @property
    def _exits(self) -> ExitRules:
        time_value = None if self.time_value is None else Decimal(str(self.time_value))
        return ExitRules(days_left=self.exit_days_left, time_value=time_value, max_days=self.max_days)


class ByDelta(OptionsStrategy, frozen=True, kw_only=True):
    """Strikes by ``delta`` (without sign), or ``distance_pct`` percent out of the money if that is given."""

    delta: Delta = 0.30
    distance_pct: Pct | None = None

    def strike(self, expiry: Expiry, right: Right, spot: Decimal) -> Decimal | None:
        """The one that is asked for, or none near it."""
        if self.distance_pct is not None:
            return expiry.by_distance(right, spot, Decimal(str(self.distance_pct)))
        return expiry.by_delta(right, self.delta)


class Winged(ByDelta, frozen=True, kw_only=True):
    """With a wing further out: ``width`` dollars away, or without it ``width_strikes`` strikes."""

    width: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    width_strikes: Annotated[int, Meta(ge=1, le=100)] = 2

    def wing(self, expiry: Expiry, right: Right, strike: Decimal) -> Decimal | None:
        """The strike of the wing of ``strike``."""
        if self.width is not None:
            return expiry.apart(right, strike, Decimal(str(self.width)))
        return expiry.further(right, strike, self.width_strikes)


def _prices(
    legs: Sequence[Leg], quotes: Mapping[str, OptionQuote], spot: Decimal
) -> tuple[Decimal | None, Decimal | None]:  # fmt: skip
    """Natural price and value of a unit; shares count at the underlying's last trade."""
    contracts = [leg for leg in legs if leg.contract is not None]
    shares = sum((leg.weight * spot for leg in legs if leg.contract is None), Decimal(0))
    natural = natural_price(contracts, quotes)
    value = net_price(contracts, {leg.symbol: quotes[leg.symbol].mid for leg in contracts if leg.symbol in quotes})
    return (None if natural is None else natural + shares), (None if value is None else value + shares)


def _can_win_and_lose(ends: Payoff) -> bool:
    """Quotes by which one of them is impossible, such as a wing dearer than what it protects, are wrong."""
    return (ends.max_profit is None or ends.max_profit > 0) and (ends.max_loss is None or ends.max_loss > 0)


def _rank(view: MarketView, underlying: str, volatility: float) -> float | None:
    daily = view.daily
    if daily is None or underlying not in daily.symbols:
        return None
    return iv_rank.iv_rank(daily.close[:, daily.symbols.index(underlying)], volatility)


def _reason(expiry: Expiry, at: datetime, entry: Decimal, chance: float, rank: float | None) -> str:
    days = (expiry.expiry - at.astimezone(NEW_YORK).date()).days
    paid = "credit" if entry < 0 else "debit"
    ranked = "" if rank is None else f", IV rank {rank:.0f}"
    return f"{days} days, {paid} {abs(entry):.2f}, {chance * 100:.0f} % likely to end with a profit{ranked}"
