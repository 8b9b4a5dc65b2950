"""The boundary to a strategy's code for structures: what it returned, checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from gambler_ai.core.contracts import MULTIPLIER
from gambler_ai.core.structures import ExitRules, Greeks, Leg, StructureProposal
from gambler_ai.core.text import one_line

REASON_MAX = 200
#: Contracts in one order (BEHAVIOUR 3, mleg); with shares there is one, since Alpaca takes no shares in such an order.
CONTRACTS_LEAST, CONTRACTS_MOST = 2, 4
_PRICES = ("stop_price", "target_price", "max_loss", "max_profit")


def checked_structures(found: Iterable[Any], underlyings: Collection[str], at: datetime) -> list[StructureProposal]:
    """What a strategy proposed at ``at``, if all of it makes sense.

    Raises:
        ValueError: it is no list of structures, or one of them makes no sense.
    """
    if isinstance(found, StructureProposal) or not isinstance(found, Iterable):
        raise ValueError(f"propose returned {found!r:.80}, not a list of StructureProposals")
    return [checked_structure(item, underlyings, at) for item in found]


def checked_structure(proposal: Any, underlyings: Collection[str], at: datetime) -> StructureProposal:
    """A structure that could be opened, in types that can be journaled.

    Raises:
        ValueError: it makes no sense.
    """
    if not isinstance(proposal, StructureProposal):
        raise ValueError(f"{proposal!r:.80} is not a StructureProposal")
    p: Any = proposal  # its annotations are promises of somebody else's code
    if not isinstance(p.underlying, str) or p.underlying not in underlyings:
        raise ValueError(f"{p.underlying!r:.40} is not one of this session's symbols")
    if not isinstance(p.strategy, str) or not isinstance(p.reason, str) or not isinstance(p.exits, ExitRules):
        raise ValueError(f"strategy {p.strategy!r:.40} or reason {p.reason!r:.40} is not a str, or exits no ExitRules")
    if not isinstance(p.signal_at, datetime) or p.signal_at.utcoffset() is None:
        raise ValueError(f"signal_at of {p.signal_at!r:.60} is not an aware datetime; take frame.newest_at(column)")
    if p.signal_at > at:
        raise ValueError(f"signal_at of {p.signal_at!s:.40} is later than the market's {at}")
    _check_legs(p.legs, p.underlying)
    _check_prices(p)
    _check_greeks(p.greeks, p.legs)
    return replace(
        proposal, strategy=str(p.strategy), underlying=str(p.underlying), reason=one_line(p.reason, REASON_MAX),
        signal_at=p.signal_at.astimezone(UTC).replace(second=0, microsecond=0),
    )  # fmt: skip


def _check_legs(legs: Any, underlying: str) -> None:
    if not isinstance(legs, tuple) or not all(isinstance(leg, Leg) for leg in legs):
        raise ValueError(f"legs of {legs!r:.80} are not a tuple of Legs")
    if any(not isinstance(leg.ratio, int) or isinstance(leg.ratio, bool) or not leg.ratio for leg in legs):
        raise ValueError("the ratio of a leg is not a whole number, or zero")
    if len({leg.symbol for leg in legs}) < len(legs):
        raise ValueError("two legs are of one symbol")
    contracts = [contract for leg in legs if (contract := leg.contract) is not None]
    if any(contract.underlying != underlying for contract in contracts):
        raise ValueError(f"a leg is on another underlying than {underlying}")
    shares = [leg for leg in legs if leg.contract is None]
    if not shares and CONTRACTS_LEAST <= len(contracts) <= CONTRACTS_MOST:
        return
    if not _is_covered(legs, shares, underlying):
        raise ValueError(
            f"legs are neither {CONTRACTS_LEAST} to {CONTRACTS_MOST} contracts "
            f"nor {MULTIPLIER} shares of {underlying} for each contract that is sold on them"
        )


def _is_covered(legs: tuple[Leg, ...], shares: list[Leg], underlying: str) -> bool:
    if len(legs) != 2 or len(shares) != 1 or shares[0].symbol != underlying:
        return False
    ratio = next(leg.ratio for leg in legs if leg.contract is not None)
    return ratio < 0 and shares[0].ratio == -ratio * MULTIPLIER


def _check_prices(p: Any) -> None:
    if not _is_number(p.entry_price):
        raise ValueError(f"entry_price of {p.entry_price!r:.40} is not a finite Decimal")
    for name in _PRICES:
        if getattr(p, name) is not None and not _is_number(getattr(p, name)):
            raise ValueError(f"{name} of {getattr(p, name)!r:.40} is neither a finite Decimal nor None")
    if p.stop_price is not None and p.stop_price >= p.entry_price:
        raise ValueError(f"stop_price of {p.stop_price} is not below the entry_price of {p.entry_price}")
    if p.target_price is not None and p.target_price <= p.entry_price:
        raise ValueError(f"target_price of {p.target_price} is not above the entry_price of {p.entry_price}")
    if p.max_loss is not None and p.max_loss <= 0:
        raise ValueError(
            f"max_loss of {p.max_loss} is not above zero; it is dollars a unit, None where nothing bounds it"
        )
    if p.confidence is not None and not (_is_number(p.confidence) and 0 <= p.confidence <= 1):
        raise ValueError(f"confidence of {p.confidence!r:.40} is not a Decimal from 0 to 1")


def _is_number(value: Any) -> bool:
    return isinstance(value, Decimal) and value.is_finite()


def _check_greeks(greeks: Any, legs: tuple[Leg, ...]) -> None:
    known = {leg.symbol for leg in legs if leg.contract is not None}
    if not isinstance(greeks, dict) or not all(isinstance(one, Greeks) for one in greeks.values()):
        raise ValueError(f"greeks of {greeks!r:.80} are not Greeks by symbol")
    if not greeks.keys() <= known:
        raise ValueError(f"greeks of {', '.join(map(str, greeks.keys() - known)):.80} are of no leg")
