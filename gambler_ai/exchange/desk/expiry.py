"""How contracts end: exercised, assigned, or worthless; and what a split makes of them (BEHAVIOUR 3, "mleg", and 5).

At the close of its last session a contract that is a cent or more in the money, by the underlying's last trade, is
exercised (long, unless its owner has said not to) or assigned (short): the contract goes, shares move at the strike.
Each is two activities of one group, OPEXC or OPASN and the OPTRD of the shares; what is worthless is one OPEXP. Nobody
is assigned early. Alpaca sells what an account could not pay for in the last hour; here it is exercised all the same,
and cash may go below zero. All of it is one step of the exchange, so one commit.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from gambler_ai.exchange.annals import Activity, Annals
from gambler_ai.exchange.desk import matching
from gambler_ai.exchange.desk.accounts import MARGIN_MINIMUM, Margins, Position, held_for_orders
from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.orders import BUY, SELL, Fill
from gambler_ai.exchange.hashing import make_uuid
from gambler_ai.exchange.instants import new_york
from gambler_ai.exchange.numbers import CENT, ZERO, plain
from gambler_ai.exchange.options.contracts import CALL, MULTIPLIER, Contract, parse_symbol
from gambler_ai.exchange.prices.sessions import Session
from gambler_ai.exchange.refusal import Refusal, forbidden, unprocessable

EXERCISE, ASSIGNMENT, EXPIRATION, TRADE, ADJUSTMENT = "OPEXC", "OPASN", "OPEXP", "OPTRD", "OPCA"
_WORDS = {
    EXERCISE: "Option Exercise", ASSIGNMENT: "Option Assignment", EXPIRATION: "Option Expiration",
    TRADE: "Option Trade", ADJUSTMENT: "Option Corporate Action",
}  # fmt: skip
Mark = Callable[[str], Decimal]
Spot = Callable[[str, int], Decimal]


class _Clerk:
    """Moves contracts, shares and cash of one book at one instant, and writes each move down."""

    def __init__(self, book: Book, annals: Annals, account_id: str, us: int) -> None:
        self._book = book
        self._annals = annals
        self._account_id = account_id
        self._us = us

    def remove(self, symbol: str, qty: Decimal, kind: str, group: str, paid: Decimal = ZERO) -> None:
        """So many contracts (signed as they are held) go, for an amount in dollars."""
        position = self._book.positions[symbol]
        position.apply(-qty, position.average)
        position.day_cost += qty * position.average - paid / MULTIPLIER
        self._changed(symbol)
        self._pay(paid)
        self._note(symbol, -qty, kind, group, amount=paid)

    def trade(self, symbol: str, shares: Decimal, price: Decimal, group: str) -> None:
        """Shares (signed: bought or sold) change hands at a strike."""
        self._book.positions.setdefault(symbol, Position(symbol=symbol)).apply(shares, price)
        self._changed(symbol)
        self._pay(-shares * price)
        self._note(symbol, shares, TRADE, group, amount=-shares * price, price=price)

    def rename(self, old: str, new: str, ratio: Decimal, group: str) -> None:
        """As many more contracts of another symbol, at the same cost."""
        position = self._book.positions.pop(old)
        self._book.changed_positions.add(old)
        before = position.qty
        position.symbol = new
        position.split(ratio)
        self._book.positions[new] = position
        self._book.changed_positions.add(new)
        self._note(old, -before, ADJUSTMENT, group)
        self._note(new, position.qty, ADJUSTMENT, group)

    def group(self, *what: object) -> str:
        return make_uuid(self._account_id, "group", len(self._annals.activities), self._us, *what)

    def _changed(self, symbol: str) -> None:
        if not self._book.positions[symbol].qty:
            del self._book.positions[symbol]
        self._book.changed_positions.add(symbol)

    def _pay(self, amount: Decimal) -> None:
        if amount:
            self._book.account.cash += amount
            self._book.account_changed = True

    def _note(
        self, symbol: str, qty: Decimal, kind: str, group: str, *, amount: Decimal = ZERO, price: Decimal | None = None
    ) -> None:
        stamp, seq = new_york(self._us), len(self._annals.activities) + 1
        self._annals.activities.append(
            Activity(
                seq=seq, id=f"{stamp:%Y%m%d%H%M%S}{stamp.microsecond // 1000:03d}::{make_uuid(group, seq)}",
                group=group, account_id=self._account_id, at_us=self._us, type=kind, sub_type="", symbol=symbol,
                qty=qty, net_amount=amount, description=_WORDS[kind], price=price,
            )
        )  # fmt: skip


def moves_position(activity: Activity) -> bool:
    """Is its quantity what a position became more or less by? (A split of shares tells both of its sides.)"""
    return activity.type in _WORDS


def moves_of(annals: Annals, account_id: str) -> list[Fill]:
    """What exercise, expiry and splits of contracts have moved, as executions: for a look at positions of the past."""
    return [
        Fill(
            seq=0, id=activity.id, order_id="", symbol=activity.symbol, side=BUY if activity.qty > 0 else SELL,
            at_us=activity.at_us, qty=abs(activity.qty), price=activity.price or ZERO, cum_qty=ZERO, leaves_qty=ZERO,
            status="",
        )
        for activity in annals.activities
        if moves_position(activity) and activity.account_id == account_id
    ]  # fmt: skip


def contracts_held(book: Book) -> list[tuple[Contract, Position]]:
    """In the order of their symbols."""
    found = ((parse_symbol(symbol), book.positions[symbol]) for symbol in sorted(book.positions))
    return [(contract, position) for contract, position in found if contract is not None]


def settle(book: Book, annals: Annals, account_id: str, session: Session, spot_of: Spot) -> None:
    """At the close of a session: everything that expires with it."""
    clerk = _Clerk(book, annals, account_id, session.close_us)
    for contract, position in contracts_held(book):
        if contract.expiry <= session.day:
            spot = spot_of(contract.underlying, session.close_us)
            wanted = position.qty < 0 or not position.do_not_exercise
            if contract.intrinsic(spot) >= CENT and wanted:
                _deliver(clerk, contract, position.qty)
            else:
                clerk.remove(contract.symbol, position.qty, EXPIRATION, clerk.group(contract.symbol))


def _deliver(clerk: _Clerk, contract: Contract, qty: Decimal) -> None:
    """Exercise (qty above zero) or assignment (below): a call brings its holder shares, a put takes them."""
    group = clerk.group(contract.symbol)
    clerk.remove(contract.symbol, qty, EXERCISE if qty > 0 else ASSIGNMENT, group)
    shares = qty * MULTIPLIER * (1 if contract.kind == CALL else -1)
    clerk.trade(contract.underlying, shares, contract.strike, group)


def _long_position(book: Book, symbol: str, said_of_short: str) -> tuple[Contract, Position]:
    """Raises Refusal: what is no contract, not held, or short cannot be exercised."""
    contract = parse_symbol(symbol)
    if contract is None:
        raise unprocessable("invalid symbol")
    position = book.positions.get(symbol)
    if position is None:
        raise forbidden("no available position for the specified contract")
    if position.qty < 0:
        raise Refusal(403, 40310001, said_of_short)
    return contract, position


def exercise(book: Book, annals: Annals, account_id: str, symbol: str, us: int, figures: Callable[[], Margins]) -> None:
    """POST .../exercise: all that no open order holds, at once. Raises Refusal."""
    contract, position = _long_position(book, symbol, "cannot exercise short position")
    qty = position.qty - held_for_orders(position.qty, book.open_in(symbol))[0]
    if qty <= 0:
        raise forbidden("no available position for the specified contract")
    found, cost = figures(), qty * contract.strike * MULTIPLIER
    shares = book.position_qty(contract.underlying)
    if contract.kind == CALL and shares >= 0 and cost > found.buying_power:
        raise forbidden("insufficient buying power", buying_power=plain(found.buying_power), cost_basis=plain(cost))
    may_short = found.equity >= MARGIN_MINIMUM and not book.account.settings.no_shorting
    if contract.kind != CALL and shares < qty * MULTIPLIER and not may_short:
        raise forbidden("account is not allowed to short")
    _deliver(_Clerk(book, annals, account_id, us), contract, qty)


def refuse_exercise(book: Book, symbol: str) -> None:
    """POST .../do-not-exercise: the contract expires, whatever it is worth. Raises Refusal."""
    _, position = _long_position(book, symbol, "cannot submit DNE for short position")
    position.do_not_exercise = True
    book.changed_positions.add(symbol)


def split_contracts(
    book: Book, annals: Annals, account_id: str, underlying: str, ratio: Decimal, us: int, mark: Mark
) -> None:
    """Orders for its contracts are canceled. A split into whole shares makes more contracts at a lower strike, as the
    clearing house does; any other (a reverse split) closes the contracts in cash at the mark, since adjusted
    contracts with other deliverables are not built.
    """
    for order in [order for order in book.open_orders() if _is_of(order.symbol, underlying)]:
        if order.is_open:
            matching.end(book, order, us)
    clerk = _Clerk(book, annals, account_id, us)
    for contract, position in contracts_held(book):
        if contract.underlying != underlying:
            continue
        group = clerk.group(contract.symbol)
        if ratio > 1 and ratio % 1 == 0:
            strike = Decimal(round(contract.strike * 1000 / ratio)) / 1000
            clerk.rename(contract.symbol, contract._replace(strike=strike).symbol, ratio, group)
        else:
            value = position.qty * mark(contract.symbol) * MULTIPLIER
            clerk.remove(contract.symbol, position.qty, ADJUSTMENT, group, value)


def _is_of(symbol: str, underlying: str) -> bool:
    contract = parse_symbol(symbol)
    return contract is not None and contract.underlying == underlying
