"""The boundary to a strategy's code: what it returned, checked; what it raised, in one line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from msgspec.structs import replace

from gambler_ai.core.checks import REASON_MAX, WORD_MAX, check_symbol, checked_signal_at
from gambler_ai.core.model import Failed, MarketView, MoveStop, Proposal, Side, is_sane_price, round_price
from gambler_ai.core.ports import Strategy
from gambler_ai.core.structure_proposals import checked_structure
from gambler_ai.core.structures import ChainQuery, StructureProposal
from gambler_ai.core.text import one_line

FAILURE_MAX = 300
#: So many words may go with an order.
CONTEXT_MAX = 8
T = TypeVar("T")
_OURS = __file__.removesuffix("core/proposals.py")


def asked(
    strategy: Strategy, view: MarketView, symbols: Collection[str]
) -> tuple[list[Proposal | MoveStop | StructureProposal], list[Failed]]:  # fmt: skip
    """What a strategy wants, and what failed. If it raises, or returns what is no proposal, nothing of it counts."""
    found, failed = tried(strategy, view, lambda wishes: checked(wishes, symbols, view.at))
    if failed:
        return [], failed
    wishes = [item for item in found if not isinstance(item, Failed)]
    return wishes, [item for item in found if isinstance(item, Failed)]


def tried(
    strategy: Strategy, view: MarketView, check: Callable[[Iterable[Any]], list[T]]
) -> tuple[list[T], list[Failed]]:  # fmt: skip
    """What a strategy proposed and ``check`` made of it; nothing, and why, if one of them raised."""
    try:
        return check(strategy.propose(view)), []
    except (Exception, SystemExit) as error:
        return [], [Failed(strategy.name, failure(error))]


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
    check_symbol(m.symbol, symbols)
    _check_price("stop_price", m.stop_price)
    if not isinstance(m.reason, str):
        raise ValueError(f"reason {m.reason!r:.40} is not a str")
    return replace(move, symbol=str(m.symbol), reason=one_line(m.reason, REASON_MAX))


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
    check_symbol(p.symbol, symbols)
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
