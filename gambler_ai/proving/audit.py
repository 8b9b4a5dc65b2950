"""Both sides' books laid side by side: what must hold of a session however often it was killed."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from gambler_ai.proving import structures
from gambler_ai.proving.books import Books
from gambler_ai.proving.exchange import FINAL, OURS, Exchange, Fill
from gambler_ai.proving.remembering import Chain, Remembering, linked

GENESIS = "0" * 64
ZERO = Decimal(0)


class Violation(NamedTuple):
    """A rule that does not hold, and one line that says what was found."""

    rule: str
    found: str

    @property
    def line(self) -> str:
        """Both, as a person reads them."""
        return f"{self.rule}: {self.found}"


@dataclass(frozen=True)
class Sides:
    """Both sides as they were at one moment, read once."""

    session: Mapping[str, Any]
    journal: Sequence[Mapping[str, Any]]
    intents: Mapping[str, Mapping[str, Any]]
    held: Mapping[str, Mapping[str, Any]]
    fills: Sequence[Fill]
    resends: Counter[str]
    orders: Sequence[Mapping[str, Any]]
    log: Sequence[Mapping[str, Any]]
    executions: Sequence[tuple[str, Fill]]
    positions: Mapping[str, Decimal]
    foreign: frozenset[str]
    remembered: Sequence[Mapping[str, Any]]
    structures: Sequence[Mapping[str, Any]]
    trades: Sequence[Mapping[str, Any]]
    activities: Sequence[Mapping[str, Any]]


def audit(books: Books, exchange: Exchange, foreign: Collection[str] = ()) -> list[Violation]:
    """Every rule that does not hold; empty when all is well.

    ``foreign`` names symbols that somebody else trades in this account.

    Raises:
        Surprise: one of the sides cannot be read.
    """
    sides = read(books, exchange, foreign)
    return [Violation(rule, found) for rule, check in RULES.items() for found in check(sides)]


def read(books: Books, exchange: Exchange, foreign: Collection[str] = ()) -> Sides:
    """Both sides, whole."""
    orders_of = {r["id"]: r["order_id"] for r in exchange.get("/v2/account/activities/FILL", direction="asc")}
    return Sides(
        session=books.session(),
        journal=books.journal(),
        intents={r["client_order_id"]: r for r in books.rows("SELECT * FROM intents")},
        held={r["symbol"]: r for r in books.rows("SELECT * FROM positions")},
        fills=books.fills(),
        resends=Counter(f["client_order_id"] for f in books.facts("ResendPlanned")),
        orders=exchange.orders(),
        log=[r for r in exchange.log() if (r["client_order_id"] or "").startswith(OURS)],
        executions=[(orders_of[f.activity_id], f) for f in exchange.fills()],
        positions=exchange.positions(),
        foreign=frozenset(foreign),
        remembered=books.rows(_REMEMBERED, Remembering.name),
        structures=books.rows("SELECT * FROM structures"),
        trades=books.rows("SELECT * FROM closed_trades"),
        activities=exchange.get("/v2/account/activities", activity_types=",".join(structures.ACTIVITIES)),
    )


def _journal(s: Sides) -> Iterator[str]:
    head, number = GENESIS, 0
    for number, row in enumerate(s.journal, 1):
        head = hashlib.sha256(f"{head}\n{number}\n{row['payload']}".encode()).hexdigest()
        known = head[: max(1, len(row["hash"]))] if row.get("rolled_up") else head
        if (row["seq"], row["hash"]) != (number, known):
            yield f"row {row['seq']} is not row {number} of this chain"
            return
        if datetime.fromisoformat(row["at"]).utcoffset() != timedelta(0):
            yield f"row {number} has an instant without UTC"
    if (s.session["seq"], s.session["journal_hash"]) != (number, head):
        yield f"it ends at row {number}, its session says {s.session['seq']}"


_REMEMBERED = (
    "SELECT c.number, c.seq, c.set_aside, b.payload FROM components c JOIN blobs b ON b.sha256 = c.sha256"
    " WHERE c.name = ? ORDER BY c.number"
)


def _remembers(s: Sides) -> Iterator[str]:
    """What is stored of a strategy that counts facts is a function of the journal up to the row that it names."""
    chains = [Chain()]
    for row in s.journal:
        chains.append(linked(chains[-1], row["kind"], datetime.fromisoformat(row["at"])))
    for row in s.remembered:
        _name, found = msgspec.msgpack.decode(zlib.decompress(bytes(row["payload"])))
        if row["set_aside"] or row["seq"] >= len(chains) or found != msgspec.to_builtins(chains[row["seq"]]):
            yield f"#{row['number']} of journal row {row['seq']} is not what happened: {found} {row['set_aside']}"


def _no_order_twice(s: Sides) -> Iterator[str]:
    accepted = Counter(r["client_order_id"] for r in s.log if r["order_id"])
    for coid, times in accepted.items():
        if times > 1:
            yield f"{coid} was accepted {times} times"
    decisions = Counter(
        (row["symbol"], row["side"], row["decision_id"]) for coid in accepted
        if (row := s.intents.get(coid)) is not None and row["purpose"] == "entry"
    )  # fmt: skip
    for (symbol, side, _), times in decisions.items():
        if times > 1:
            yield f"one signal to {side} {symbol} became {times} orders"


def _written_ahead(s: Sides) -> Iterator[str]:
    for coid in sorted({r["client_order_id"] for r in s.log} - set(s.intents)):
        yield f"{coid} was sent and no row knows it"


def _attempts(s: Sides) -> Iterator[str]:
    """A commit allows one request: the plan one, each resend that was planned one more."""
    for coid, times in Counter(r["client_order_id"] for r in s.log).items():
        if times > 1 + s.resends[coid]:
            yield f"{coid} was sent {times} times, and {1 + s.resends[coid]} were allowed"


def _as_asked(s: Sides) -> Iterator[str]:
    for order in s.orders:
        row = s.intents.get(order["client_order_id"])
        if row is not None and order.get("order_class") == structures.MLEG:
            yield from structures.legs_as_asked(row, order)
        elif row is not None and row["symbol"] not in s.foreign:
            theirs = (order["symbol"], order["side"], Decimal(order["qty"]))
            ours = (row["symbol"], row["side"], Decimal(row["qty"]))
            if theirs != ours:
                yield f"{order['client_order_id']}: asked for {ours}, the exchange has {theirs}"


def _fills(s: Sides) -> Iterator[str]:
    mine = {leg["id"] for o in s.orders if o["client_order_id"].startswith(OURS) for leg in family(o)}
    theirs = {fill.activity_id: fill for order_id, fill in s.executions if order_id in mine}
    ours = {fill.activity_id: fill for fill in s.fills}
    for fill in [f for i, f in theirs.items() if i not in ours]:
        yield f"lost: {fill.side} {fill.qty} {fill.symbol} at {fill.price} ({fill.activity_id})"
    for fill in [f for i, f in ours.items() if i not in theirs]:
        yield f"never happened: {fill.side} {fill.qty} {fill.symbol} at {fill.price} ({fill.activity_id})"
    for activity_id in sorted(set(ours) & set(theirs)):
        if ours[activity_id] != theirs[activity_id]:
            yield f"{activity_id}: {ours[activity_id]} in our books, {theirs[activity_id]} in theirs"
    if len(ours) != len(s.fills):
        yield "one is booked twice"


def _positions(s: Sides) -> Iterator[str]:
    ours = {symbol: Decimal(row["qty"]) for symbol, row in s.held.items()}
    for symbol in sorted((set(ours) | set(s.positions)) - s.foreign):
        if ours.get(symbol, ZERO) != s.positions.get(symbol, ZERO):
            yield f"{symbol}: {ours.get(symbol, ZERO)} in our books, {s.positions.get(symbol, ZERO)} in theirs"


def _protected(s: Sides) -> Iterator[str]:
    yield from structures.even(s)
    for symbol, row in s.held.items():
        if symbol in s.foreign or row.get("structure_id"):
            continue
        qty = Decimal(row["qty"])
        resting = [o for o in open_orders(s.orders) if o["symbol"] == symbol and o["side"] == _exit_side(qty)]
        for kind, name in (("stop", "stops"), ("limit", "targets")):
            left = sum((Decimal(o["qty"]) - Decimal(o["filled_qty"]) for o in resting if o["type"] == kind), ZERO)
            if left != abs(qty):
                yield f"{symbol} {qty}: {name} cover {left}"
        if not (row["stop_price"] and row["target_price"]):
            yield f"{symbol} has lost its stop or its target"


def _nothing_rests_alone(s: Sides) -> Iterator[str]:
    for symbol in sorted({o["symbol"] for o in open_orders(s.orders)} - s.foreign - set(s.held) - {""}):
        yield f"an order rests in {symbol}, of which nothing is held"


#: Rule -> what breaks it.
RULES: dict[str, Callable[[Sides], Iterator[str]]] = {
    "the journal verifies": _journal,
    "nothing is forgotten": _remembers,
    "no order twice": _no_order_twice,
    "written before it is sent": _written_ahead,
    "no attempt too many": _attempts,
    "the order that was asked for": _as_asked,
    "no fill lost": _fills,
    "each structure is opened once": structures.one_opening,
    "no settlement lost": structures.settled,
    "the money of a structure adds up": structures.money,
    "positions agree": _positions,
    "what is held is protected": _protected,
    "nothing rests without a position": _nothing_rests_alone,
}


def family(order: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """An order and its legs."""
    return [order, *(order.get("legs") or ())]


def open_orders(orders: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of which more is to come, legs among them."""
    return [o for order in orders for o in family(order) if o["status"] not in FINAL]


def story(fills: Sequence[Fill]) -> list[tuple[str, str, Decimal, Decimal, datetime]]:
    """Fills without their ids, which are another's in another account."""
    return sorted((f.symbol, f.side, f.qty, f.price, f.at) for f in fills)


def entries(books: Books, exchange: Exchange) -> list[tuple[str, str]]:
    """Symbol and side of each entry the exchange took, oldest first."""
    rows = {r["client_order_id"]: r for r in books.rows("SELECT * FROM intents")}
    taken = [rows[r["client_order_id"]] for r in exchange.accepted()]
    return [(row["symbol"], row["side"]) for row in taken if row["purpose"] == "entry"]


def _exit_side(qty: Decimal) -> str:
    return "sell" if qty > 0 else "buy"
