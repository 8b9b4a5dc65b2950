"""The boundary to a strategy's code for structures: what it returned, checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from math import gcd, isfinite
from typing import Any

from msgspec.structs import replace

from gambler_ai.core.checks import REASON_MAX, WORD_MAX, check_symbol, checked_signal_at, is_number
from gambler_ai.core.contracts import MULTIPLIER, underlying_of
from gambler_ai.core.model import MAX_PRICE
from gambler_ai.core.structures import ExitRules, Greeks, Leg, StructureProposal
from gambler_ai.core.text import one_line

#: Contracts in one order (BEHAVIOUR 3, mleg); with shares there is one, since Alpaca takes no shares in such an order.
CONTRACTS_LEAST, CONTRACTS_MOST = 2, 4


def checked_structures(found: Iterable[Any], underlyings: Collection[str], at: datetime) -> list[StructureProposal]:
    """What a strategy proposed at ``at``, if all of it makes sense.

    Raises:
        ValueError: it is no list of structures, or one of them makes no sense.
    """
    if isinstance(found, StructureProposal) or not isinstance(found, Iterable):
        raise ValueError(f"propose returned {found!r:.80}, not a list of StructureProposals")
    return [checked_structure(item, underlyings, at) for item in found]


def checked_structure(proposal: Any, symbols: Collection[str], at: datetime) -> StructureProposal:
    """A proposed structure, if all of it makes sense.

    Raises:
        ValueError: it does not.
    """
    if not isinstance(proposal, StructureProposal):
        raise ValueError(f"{proposal!r:.80} is not a StructureProposal")
    p: Any = proposal  # its annotations are promises of somebody else's code
    check_symbol(p.underlying, symbols)
    name = p.strategy
    if not isinstance(name, str) or not name or one_line(name, WORD_MAX) != name or "|" in name:
        raise ValueError(f"strategy {name!r:.40} is not a name of 1 to {WORD_MAX} letters without a bar")
    if not isinstance(p.reason, str):
        raise ValueError(f"reason {p.reason!r:.40} is not a str")
    legs = _checked_legs(p.legs, str(p.underlying))
    _check_prices(p)
    if p.confidence is not None and not (is_number(p.confidence) and 0 <= p.confidence <= 1):
        raise ValueError(f"confidence of {p.confidence!r:.40} is not a Decimal from 0 to 1")
    _check_exits(p.exits)
    _check_greeks(p.greeks)
    return replace(
        proposal, strategy=str(name), underlying=str(p.underlying), legs=legs, reason=one_line(p.reason, REASON_MAX),
        signal_at=checked_signal_at(p.signal_at, at),
        greeks={leg.symbol: p.greeks[leg.symbol] for leg in legs if leg.symbol in p.greeks},
    )  # fmt: skip


def _checked_legs(legs: Any, underlying: str) -> tuple[Leg, ...]:
    """Two to four contracts of an underlying, each once; or its shares, and a contract sold on them."""
    if not isinstance(legs, tuple) or not all(isinstance(leg, Leg) for leg in legs):
        raise ValueError(f"legs of {legs!r:.80} are not a tuple of Legs")
    for leg in legs:
        if not isinstance(leg.symbol, str) or type(leg.ratio) is not int or not leg.ratio:
            raise ValueError(f"{leg!r:.80} is not a symbol with a whole ratio")
        if underlying_of(leg.symbol) != underlying:
            raise ValueError(f"leg {leg.symbol:.40} is not on {underlying}")
    if len({leg.symbol for leg in legs}) < len(legs):
        raise ValueError("two legs are of one symbol")
    contracts = [leg for leg in legs if leg.contract is not None]
    shares = [leg for leg in legs if leg.contract is None]
    if not (_is_covered(contracts, shares) or (not shares and CONTRACTS_LEAST <= len(contracts) <= CONTRACTS_MOST)):
        raise ValueError(
            f"legs are neither {CONTRACTS_LEAST} to {CONTRACTS_MOST} contracts "
            f"nor {MULTIPLIER} shares of {underlying} for each contract that is sold on them"
        )
    if gcd(*(leg.ratio for leg in contracts)) > 1:
        raise ValueError("the ratios of its contracts have a common divisor: that is several units")
    return tuple(Leg(str(leg.symbol), leg.ratio) for leg in legs)


def _is_covered(contracts: list[Leg], shares: list[Leg]) -> bool:
    if not len(contracts) == len(shares) == 1:
        return False
    return contracts[0].ratio < 0 and shares[0].ratio == -contracts[0].ratio * MULTIPLIER


def _check_prices(p: Any) -> None:
    for field in ("entry_price", "stop_price", "target_price", "max_loss", "max_profit"):
        _check_net(field, getattr(p, field), optional=field != "entry_price")
    if p.max_loss is not None and p.max_loss <= 0:
        raise ValueError(f"max_loss of {p.max_loss} is not above zero; None is for what no leg bounds")
    if p.stop_price is not None and p.stop_price >= p.entry_price:
        raise ValueError(f"stop_price of {p.stop_price} is not below the entry_price of {p.entry_price}")
    if p.target_price is not None and p.target_price <= p.entry_price:
        raise ValueError(f"target_price of {p.target_price} is not above the entry_price of {p.entry_price}")


def _check_net(name: str, price: Any, *, optional: bool) -> None:
    if not (optional and price is None) and not (is_number(price) and abs(price) < MAX_PRICE):
        raise ValueError(f"{name} of {price!r:.40} is not a Decimal that can be a net price")


def _check_exits(exits: Any) -> None:
    if not isinstance(exits, ExitRules):
        raise ValueError(f"exits {exits!r:.40} are not ExitRules")
    for name in ("days_left", "max_days"):
        value = getattr(exits, name)
        if value is not None and (type(value) is not int or value < 0):
            raise ValueError(f"{name} of {value!r:.40} is not a whole number of days")
    if exits.time_value is not None and not (is_number(exits.time_value) and exits.time_value >= 0):
        raise ValueError(f"time_value of {exits.time_value!r:.40} is not a Decimal from 0 up")


def _check_greeks(greeks: Any) -> None:
    if not isinstance(greeks, dict) or not all(isinstance(g, Greeks) for g in greeks.values()):
        raise ValueError(f"greeks of {greeks!r:.80} are not a dict of Greeks by contract")
    for symbol, g in greeks.items():
        numbers = (g.delta, g.gamma, g.theta, g.vega, 0.0 if g.iv is None else g.iv)
        if not all(isinstance(x, float | int) and isfinite(x) for x in numbers):
            raise ValueError(f"greeks of {symbol!r:.40} are not all finite numbers")
