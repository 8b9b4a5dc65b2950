"""The boundary to a strategy's code: what it returned, checked; what it raised, in one line."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from math import gcd, isfinite
from typing import Any

from msgspec.structs import replace

from gambler_ai.core.contracts import MULTIPLIER, underlying_of
from gambler_ai.core.model import MAX_PRICE, Failed, MarketView, MoveStop, Proposal, Side, is_sane_price, round_price
from gambler_ai.core.ports import Strategy
from gambler_ai.core.structures import ChainQuery, ExitRules, Greeks, Leg, StructureProposal
from gambler_ai.core.text import one_line

#: A reason is a line in a table, not a document.
REASON_MAX = 200
FAILURE_MAX = 300
#: So many words of so many letters may go with an order.
CONTEXT_MAX, WORD_MAX = 8, 100
#: Contracts of one order (BEHAVIOUR 3, mleg).
LEGS_MAX = 4
_OURS = __file__.removesuffix("core/proposals.py")


def asked(
    strategy: Strategy, view: MarketView, symbols: Collection[str]
) -> tuple[list[Proposal | MoveStop | StructureProposal], list[Failed]]:  # fmt: skip
    """What a strategy wants, and what failed. If it raises, or returns what is no proposal, nothing of it counts."""
    try:
        found = checked(strategy.propose(view), symbols, view.at)
    except (Exception, SystemExit) as error:
        return [], [Failed(strategy.name, failure(error))]
    wishes = [item for item in found if not isinstance(item, Failed)]
    return wishes, [item for item in found if isinstance(item, Failed)]


def chains(strategy: Strategy, underlyings: Collection[str], day: date) -> tuple[list[ChainQuery], list[Failed]]:
    """The contracts that a strategy wants to see, and what failed."""
    try:
        found: list[Any] = list(strategy.chains(underlyings, day))
        wrong = next((q for q in found if not isinstance(q, ChainQuery) or q.underlying not in underlyings), None)
        if wrong is not None:
            raise ValueError(f"chains returned {wrong!r:.80}, not a ChainQuery of an underlying that was named")
    except (Exception, SystemExit) as error:
        return [], [Failed(strategy.name, failure(error))]
    return found, []


def checked(
    proposals: Any, symbols: Collection[str], at: datetime
) -> list[Proposal | MoveStop | StructureProposal | Failed]:
    """What a strategy proposed at ``at``, if all of it makes sense.

    Raises:
        ValueError: it is no list of proposals, or one of them makes no sense.
    """
    single: bool = isinstance(proposals, Proposal | StructureProposal)
    if single or not isinstance(proposals, Iterable):
        raise ValueError(f"propose returned {proposals!r:.80}, not a list of Proposals")
    return [_checked_one(item, symbols, at) for item in proposals]


def _checked_one(item: Any, symbols: Collection[str], at: datetime) -> Proposal | MoveStop | StructureProposal | Failed:
    if isinstance(item, StructureProposal):
        return checked_structure(item, symbols, at)
    if isinstance(item, MoveStop):
        return _checked_move(item, symbols)
    if isinstance(item, Failed):
        return Failed(one_line(str(item.name), WORD_MAX), one_line(str(item.text), FAILURE_MAX))
    return _checked(item, symbols, at)


def _checked_move(move: MoveStop, symbols: Collection[str]) -> MoveStop:
    m: Any = move
    _check_symbol(m.symbol, symbols)
    _check_price("stop_price", m.stop_price)
    if not isinstance(m.reason, str):
        raise ValueError(f"reason {m.reason!r:.40} is not a str")
    return replace(move, symbol=str(m.symbol), reason=one_line(m.reason, REASON_MAX))


def checked_structure(proposal: StructureProposal, symbols: Collection[str], at: datetime) -> StructureProposal:
    """A proposed structure, if all of it makes sense.

    Raises:
        ValueError: it does not.
    """
    p: Any = proposal
    _check_symbol(p.underlying, symbols)
    name = p.strategy
    if not isinstance(name, str) or not name or one_line(name, WORD_MAX) != name or "|" in name:
        raise ValueError(f"strategy {name!r:.40} is not a name of 1 to {WORD_MAX} letters without a bar")
    if not isinstance(p.reason, str) or not isinstance(p.exits, ExitRules):
        raise ValueError(f"reason {p.reason!r:.40} is not a str, or exits {p.exits!r:.40} are not ExitRules")
    legs = _checked_legs(p.legs, str(p.underlying))
    for field in ("entry_price", "stop_price", "target_price", "max_loss", "max_profit"):
        _check_net(field, getattr(p, field), optional=field != "entry_price")
    if p.max_loss is not None and p.max_loss <= 0:
        raise ValueError(f"max_loss of {p.max_loss} is not above zero; None is for what no leg bounds")
    if (p.stop_price is not None and p.stop_price >= p.entry_price) or (
        p.target_price is not None and p.target_price <= p.entry_price
    ):
        raise ValueError(f"stop {p.stop_price} and target {p.target_price} do not lie around {p.entry_price}")
    if p.confidence is not None and not (_is_number(p.confidence) and 0 <= p.confidence <= 1):
        raise ValueError(f"confidence of {p.confidence!r:.40} is not a Decimal from 0 to 1")
    _check_exits(p.exits)
    _check_greeks(p.greeks)
    return replace(
        proposal, strategy=str(name), underlying=str(p.underlying), legs=legs, reason=one_line(p.reason, REASON_MAX),
        signal_at=checked_signal_at(p.signal_at, at),
        greeks={leg.symbol: p.greeks[leg.symbol] for leg in legs if leg.symbol in p.greeks},
    )  # fmt: skip


def _checked_legs(legs: Any, underlying: str) -> tuple[Leg, ...]:
    """One to four contracts of an underlying, each once, and perhaps its shares, as many as the contracts are on."""
    if not isinstance(legs, tuple) or not all(isinstance(leg, Leg) for leg in legs):
        raise ValueError(f"legs of {legs!r:.80} are not a tuple of Legs")
    for leg in legs:
        if not isinstance(leg.symbol, str) or type(leg.ratio) is not int or not leg.ratio:
            raise ValueError(f"{leg!r:.80} is not a symbol with a whole ratio")
        if underlying_of(leg.symbol) != underlying:
            raise ValueError(f"leg {leg.symbol:.40} is not on {underlying}")
    contracts = [leg for leg in legs if leg.contract is not None]
    if not 1 <= len(contracts) <= LEGS_MAX or len({leg.symbol for leg in legs}) < len(legs):
        raise ValueError(f"{len(contracts)} contracts: a structure has 1 to {LEGS_MAX}, each once")
    if gcd(*(leg.ratio for leg in contracts)) > 1:
        raise ValueError("the ratios of its contracts have a common divisor: that is several units")
    if any(leg.ratio % MULTIPLIER for leg in legs if leg.contract is None):
        raise ValueError(f"shares go with contracts by the {MULTIPLIER}")
    return tuple(Leg(str(leg.symbol), leg.ratio) for leg in legs)


def _is_number(value: Any) -> bool:
    return isinstance(value, Decimal) and value.is_finite()


def _check_net(name: str, price: Any, *, optional: bool) -> None:
    if not (optional and price is None) and not (_is_number(price) and abs(price) < MAX_PRICE):
        raise ValueError(f"{name} of {price!r:.40} is not a Decimal that can be a net price")


def _check_exits(exits: Any) -> None:
    for name in ("days_left", "max_days"):
        value = getattr(exits, name)
        if value is not None and (type(value) is not int or value < 0):
            raise ValueError(f"{name} of {value!r:.40} is not a whole number of days")
    if exits.time_value is not None and not (_is_number(exits.time_value) and exits.time_value >= 0):
        raise ValueError(f"time_value of {exits.time_value!r:.40} is not a Decimal from 0 up")


def _check_greeks(greeks: Any) -> None:
    if not isinstance(greeks, dict) or not all(isinstance(g, Greeks) for g in greeks.values()):
        raise ValueError(f"greeks of {greeks!r:.80} are not a dict of Greeks by contract")
    for symbol, g in greeks.items():
        numbers = (g.delta, g.gamma, g.theta, g.vega, 0.0 if g.iv is None else g.iv)
        if not all(isinstance(x, float | int) and isfinite(x) for x in numbers):
            raise ValueError(f"greeks of {symbol!r:.40} are not all finite numbers")


def checked_signal_at(signal_at: Any, at: datetime) -> datetime:
    """The minute of the bar that a signal is dated by, UTC.

    A subclass of str, another zone, a bar by its end or by the moment of the scan: what is journaled is ours alone,
    and a decision is found again only by the minute that a bar began with (`core.recalling`).

    Raises:
        ValueError: it is no instant, or one to come.
    """
    if not isinstance(signal_at, datetime) or signal_at.utcoffset() is None:
        raise ValueError(f"signal_at of {signal_at!r:.60} is not an aware datetime; take frame.newest_at(column)")
    if signal_at > at:
        raise ValueError(f"signal_at of {signal_at!s:.40} is later than the market's {at}")
    return signal_at.astimezone(UTC).replace(second=0, microsecond=0)


def _check_symbol(symbol: Any, symbols: Collection[str]) -> None:
    if not isinstance(symbol, str) or symbol not in symbols:
        raise ValueError(f"{symbol!r:.40} is not one of this session's symbols")


def _check_price(name: str, price: Any) -> None:
    """A price an order may have: Alpaca refuses a third place from one dollar up, a fifth below (BEHAVIOUR 3)."""
    if not isinstance(price, Decimal) or not is_sane_price(price):
        raise ValueError(f"{name} of {price!r:.40} is not a Decimal that can be a price")
    if price != round_price(price):
        raise ValueError(f"{name} of {price!s:.40} has too many places; take round_price({price!s:.40})")


def _check_context(context: Any) -> None:
    """A few short words by name: they are stored with the order."""
    if not isinstance(context, dict) or len(context) > CONTEXT_MAX:
        raise ValueError(f"context of {context!r:.80} is not a dict of {CONTEXT_MAX} words at most")
    for name, word in context.items():
        if not all(isinstance(text, str) and text and one_line(text, WORD_MAX) == text for text in (name, word)):
            raise ValueError(f"context {name!r:.80}={word!r:.80}: name and word are texts of 1 to {WORD_MAX} letters")


def _checked(proposal: Any, symbols: Collection[str], at: datetime) -> Proposal:
    if not isinstance(proposal, Proposal):
        raise ValueError(f"{proposal!r:.80} is not a Proposal")
    p: Any = proposal  # its annotations are promises of somebody else's code
    _check_symbol(p.symbol, symbols)
    if not isinstance(p.side, Side):
        raise ValueError(f"side of {p.side!r:.40} is not Side.BUY or Side.SELL")
    signal_at = checked_signal_at(p.signal_at, at)
    for name in ("stop_loss_pct", "take_profit_pct"):
        value = getattr(p, name)
        if value is not None and not (isinstance(value, Decimal) and value.is_finite() and 0 < value < 100):
            raise ValueError(f"{name} of {value!r:.40} is not a Decimal between 0 and 100")
    if p.limit_price is not None:
        _check_price("limit_price", p.limit_price)
    if not isinstance(p.reason, str) or not isinstance(p.exit, bool):
        raise ValueError(f"reason {p.reason!r:.40} is not a str, or exit {p.exit!r:.40} is not a bool")
    if not (isinstance(p.share, Decimal) and p.share.is_finite() and 0 < p.share <= 1):
        raise ValueError(f"share of {p.share!r:.40} is not a Decimal above 0 and up to 1")
    _check_context(p.context)
    return replace(
        proposal, symbol=str(p.symbol), reason=one_line(p.reason, REASON_MAX), signal_at=signal_at,
        context={str(name): str(word) for name, word in p.context.items()},
    )  # fmt: skip


def failure(error: BaseException) -> str:
    """What a strategy's code raised, with the line that did, in one line that can be stored."""
    try:
        text = str(error)
    except (Exception, SystemExit):
        text = "its own text cannot be read"
    line = _line(error)
    return f"{type(error).__name__}: {one_line(text, FAILURE_MAX - 100)}{f' (line {line})' if line else ''}"


def _line(error: BaseException) -> int:
    """The innermost line of the first file on the way there that is not ours; 0 if it was our own check that failed."""
    theirs = []
    step = error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        if not name.startswith((_OURS, "<frozen ")):
            theirs.append((name, step.tb_lineno))
        step = step.tb_next
    return next((line for name, line in reversed(theirs) if name == theirs[0][0]), 0)
