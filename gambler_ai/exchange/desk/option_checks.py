"""What account and book say to an order for contracts: its intent, the level, the cover, the money (BEHAVIOUR 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.checks import insufficient_qty, intent
from gambler_ai.exchange.desk.collateral import cover_of
from gambler_ai.exchange.desk.exposure import exposure, free_shares
from gambler_ai.exchange.desk.orders import Order
from gambler_ai.exchange.numbers import CENT, ZERO, plain
from gambler_ai.exchange.options.contracts import Contract, parse_symbol
from gambler_ai.exchange.refusal import forbidden, unprocessable

COVERED, LONG, SPREADS = 1, 2, 3  # levels: covered calls and cash-secured puts; long contracts too; everything here
APPROVED_LEVEL = SPREADS  # what a paper account has


def level_of(book: Book) -> int:
    """The effective level: what is approved, or less if the owner has set less."""
    return min(book.account.settings.max_options_trading_level, APPROVED_LEVEL)


def check_level(book: Book, needed: int) -> None:
    """Raises Refusal: the owner has suspended trading, or the level does not reach."""
    if book.account.settings.suspend_trade:
        raise forbidden("new orders are rejected by user request")
    level = level_of(book)
    if not level:
        raise forbidden("account is not authorized to trade options")
    if level < needed:
        raise forbidden(f"options trading level {needed} is required, the account has {level}")


def check_intent(book: Book, symbol: str, side: str, wanted: str) -> str:
    """What the order does to the position; it may not say that it does something else. Raises Refusal."""
    inferred = intent(side, book.position_qty(symbol))
    if wanted and wanted != inferred:
        raise unprocessable(f"position intent mismatch, inferred: {inferred}, specified: {wanted}")
    return inferred


def check_closing(book: Book, symbol: str, qty: Decimal) -> None:
    """What closes may take what the position has and nothing else holds."""
    refusal = insufficient_qty(book, symbol, qty)
    if refusal:
        raise refusal


def check_cover(
    book: Book, moves: Mapping[Contract, Decimal], cost: Decimal, *, power: Decimal, without: Order | None = None
) -> Decimal:
    """The moves (signed contracts of one underlying) cost so many dollars, or bring them; what it all blocks.

    Raises Refusal: for calls that nothing covers, and for money that is not there.
    """
    underlying = next(iter(moves)).underlying
    held = exposure(book, underlying, without=without)
    wanted = dict(held)
    for contract, qty in moves.items():
        wanted[contract] = wanted.get(contract, ZERO) + qty
    if level_of(book) < SPREADS:
        held, wanted = _short_only(held), _short_only(wanted)
    before, after = cover_of(held), cover_of(wanted)
    if after.shares > before.shares and after.shares > free_shares(book, underlying):
        raise forbidden("account not eligible to trade uncovered option contracts")
    required = after.amount - before.amount + cost
    if required > power and required > 0:
        needed, available = plain(required.quantize(CENT)), plain(power.quantize(CENT))
        raise forbidden(
            f"insufficient options buying power (required: {needed}, available: {available})",
            options_buying_power=available,
            required=needed,
        )
    return max(required, ZERO)


def _short_only(quantities: Mapping[Contract, Decimal]) -> dict[Contract, Decimal]:
    """Below level 3 no long contract covers a short one: calls need shares and puts cash."""
    return {contract: qty for contract, qty in quantities.items() if qty < 0}


def moves_of(symbols: Iterable[tuple[str, Decimal]]) -> dict[Contract, Decimal]:
    """Signed quantities by contract."""
    found: dict[Contract, Decimal] = {}
    for symbol, qty in symbols:
        contract = parse_symbol(symbol)
        assert contract is not None
        found[contract] = qty
    return found
