"""What must hold of option structures on both sides: one order opens each, its legs stay even, its money adds up.

The journal is walked once more here, without the program's own code: what its facts moved, for which structure.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gambler_ai.proving.audit import Sides

ZERO = Decimal(0)
MLEG = "mleg"
#: A structure may be held out of its ratio if the journal has such a difference of it.
UNEVEN = "structure uneven"
#: How the exchange tells that contracts have ended.
ENDS = ("OPEXP", "OPEXC", "OPASN")
#: And that the shares which come of it have changed hands.
ACTIVITIES = (*ENDS, "OPTRD")
_FINAL = ("filled", "canceled", "expired", "rejected", "replaced", "denied", "void")


@dataclass
class Moved:
    """What the journal's facts brought one structure: contracts and shares by symbol, and dollars."""

    held: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    cash: Decimal = ZERO
    is_priced: bool = True

    def take(self, symbol: str, qty: Decimal, price: Decimal | None) -> None:
        """So much (signed) came at a price; nobody knows which if it is None."""
        self.held[symbol] += qty
        self.cash -= qty * (price or ZERO) * _multiplier(symbol)
        self.is_priced = self.is_priced and price is not None


def moved(s: Sides) -> dict[str, Moved]:
    """Structure -> what fills, settlements and adjustments made of it, from the beginning."""
    found: dict[str, Moved] = defaultdict(Moved)
    structure_of = _structures_of_orders(s)
    for row in s.journal:
        if row["kind"] not in _READ:
            continue
        fact = json.loads(row["payload"])
        if row["kind"] == "FillReported":
            fill = fact["fill"]
            if structure_id := structure_of.get(fill["order_id"]):
                qty = Decimal(fill["qty"]) * (1 if fill["side"] == "buy" else -1)
                found[structure_id].take(fill["symbol"], qty, Decimal(fill["price"]))
            continue
        mine = next((one for one in found.values() if one.held.get(fact["symbol"])), None)
        if mine is not None:
            _end(mine, row["kind"], fact)
    return found


_READ = ("FillReported", "OptionSettled", "Adjusted")


def _end(mine: Moved, kind: str, fact: Mapping[str, Any]) -> None:
    symbol, qty = fact["symbol"], Decimal(fact["qty"])
    if kind == "Adjusted":
        price = fact.get("price")
        mine.take(symbol, qty - mine.held[symbol], None if price is None else Decimal(price))
        return
    mine.take(symbol, -qty, ZERO)
    if shares := Decimal(fact["shares"]):
        mine.take(underlying_of(symbol), shares, Decimal(fact["price"]))


def _structures_of_orders(s: Sides) -> dict[str, str]:
    """Id of each order of a structure, of legs too -> the structure."""
    return {
        one["id"]: structure_id
        for order in s.orders
        if (structure_id := s.intents.get(order["client_order_id"], {}).get("structure_id"))
        for one in (order, *(order.get("legs") or ()))
    }


def legs_as_asked(row: Mapping[str, Any], order: Mapping[str, Any]) -> Iterator[str]:
    """An order for several legs against the body that is stored: each leg, its ratio, its side, its quantity."""
    body = json.loads(row["body"])
    asked = Counter(
        (leg["symbol"], leg["side"], leg["position_intent"], Decimal(leg["ratio_qty"]) * Decimal(body["qty"]))
        for leg in body["legs"]
    )
    there = Counter(
        (leg["symbol"], leg["side"], leg["position_intent"], Decimal(leg["qty"])) for leg in order.get("legs") or ()
    )
    limits = [None if one is None else Decimal(one) for one in (body.get("limit_price"), order.get("limit_price"))]
    if asked != there or limits[0] != limits[1] or Decimal(order["qty"]) != Decimal(row["qty"]):
        told = f"asked for {sorted(asked.elements())} at {limits[0]}, the exchange has {sorted(there.elements())}"
        yield f"{order['client_order_id']}: {told} at {limits[1]}"


def one_opening(s: Sides) -> Iterator[str]:
    """One entry opens a structure, one order each further leg of it, and none brings more of a leg than is planned."""
    opening = [r for r in s.intents.values() if r.get("structure_id") and r["purpose"] in ("entry", "leg")]
    for (structure_id, purpose, symbol), times in Counter(
        (r["structure_id"], r["purpose"], r["symbol"]) for r in opening
    ).items():
        if times > 1:
            yield f"{structure_id}: {times} orders of purpose {purpose} in {symbol}"
    for row in s.structures:
        if s.intents.get(row["structure_id"], {}).get("purpose") != "entry":
            yield f"{row['structure_id']} is opened by no entry of ours"
    opened = _opened(s)
    for row in s.structures:
        for leg in json.loads(row["legs"]):
            most, qty = abs(leg["ratio"]) * row["units"], opened[row["structure_id"], leg["symbol"]]
            if qty > most:
                yield f"{row['structure_id']}: {qty} of {leg['symbol']} were opened, and {most} are planned"


def _opened(s: Sides) -> Counter[tuple[str, str]]:
    """Structure and symbol -> what the exchange filled of orders that open."""
    found: Counter[tuple[str, str]] = Counter()
    for order in s.orders:
        row = s.intents.get(order["client_order_id"], {})
        if row.get("structure_id") and row["purpose"] in ("entry", "leg"):
            for one in order.get("legs") or [order]:
                found[row["structure_id"], one["symbol"]] += Decimal(one["filled_qty"])  # type: ignore[assignment]
    return found


def even(s: Sides) -> Iterator[str]:
    """A structure that is open holds its ratios, or something of it is on its way, or the journal says why not."""
    held: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for symbol, row in s.held.items():
        if row.get("structure_id"):
            held[row["structure_id"]][symbol] = Decimal(row["qty"])
    rows = {row["structure_id"]: row for row in s.structures}
    for structure_id in held:
        if structure_id not in rows or rows[structure_id]["ended_at"]:
            yield f"{sorted(held[structure_id])} are held for {structure_id}, which is {_word(rows, structure_id)}"
    told = _told_uneven(s)
    for structure_id, row in rows.items():
        if row["ended_at"]:
            continue
        mine, is_moving = held.get(structure_id, {}), _is_moving(s, structure_id)
        wanted = {leg["symbol"]: Decimal(leg["ratio"]) * row["units"] for leg in json.loads(row["legs"])}
        if not mine and not is_moving:
            yield f"{structure_id} is open, and nothing of it is held or on its way"
        elif mine and mine != wanted and not (is_moving or row["settled"] or structure_id in told):
            yield f"{structure_id} is uneven without a word: {_said(mine)} of {_said(wanted)}"


def _word(rows: Mapping[str, Mapping[str, Any]], structure_id: str) -> str:
    return "over" if structure_id in rows else "unknown"


def _said(parts: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{qty:f} {symbol}" for symbol, qty in sorted(parts.items()))


def _is_moving(s: Sides, structure_id: str) -> bool:
    return any(r.get("structure_id") == structure_id and r["status"] not in _FINAL for r in s.intents.values())


def _told_uneven(s: Sides) -> set[str]:
    found = [json.loads(row["payload"]) for row in s.journal if row["kind"] == "Reconciled"]
    return {d.get("order_id", "") for fact in found for d in fact["discrepancies"] if d["kind"] == UNEVEN}


def settled(s: Sides) -> Iterator[str]:
    """Each end of a contract that the exchange tells is booked once, as it was told; nothing else is."""
    theirs = {a["id"]: a for a in s.activities if a["activity_type"] in ENDS and a["symbol"] not in s.foreign}
    facts = [json.loads(row["payload"]) for row in s.journal if row["kind"] == "OptionSettled"]
    booked = Counter(i for fact in facts for i in fact["activity_ids"] if i in theirs)
    for activity_id, action in theirs.items():
        if booked[activity_id] != 1:
            what = f"{action['activity_type']} {action['qty']} {action['symbol']} ({activity_id})"
            yield f"{what} is booked {booked[activity_id]} times"
    for fact in facts:
        told = [theirs[i] for i in fact["activity_ids"] if i in theirs]
        if len(told) != 1 or (told[0]["symbol"], -Decimal(told[0]["qty"])) != (fact["symbol"], Decimal(fact["qty"])):
            yield f"{fact['qty']} {fact['symbol']} {fact['how']} is booked, the exchange tells of {told}"


def money(s: Sides) -> Iterator[str]:
    """Dollars of a structure are those of its fills and settlements, and its closed trade says the same."""
    found = moved(s)
    trades = {row["structure_id"]: row for row in s.trades if row.get("structure_id")}
    for row in s.structures:
        mine, trade = found.get(row["structure_id"], Moved()), trades.get(row["structure_id"])
        if Decimal(row["cash"]) != mine.cash:
            yield f"{row['structure_id']}: {row['cash']} in its row, its fills and settlements brought {mine.cash}"
        if bool(row["ended_at"] and mine.held) != (trade is not None):
            yield f"{row['structure_id']}: ended {row['ended_at']}, its closed trade is {trade and trade['number']}"
        if trade is None:
            continue
        if trade["pnl"] is not None and Decimal(trade["pnl"]) != mine.cash:
            yield f"{row['structure_id']}: closed with {trade['pnl']}, its fills and settlements brought {mine.cash}"
        if (trade["pnl"] is None) == mine.is_priced:
            yield f"{row['structure_id']}: closed with {trade['pnl']}, all of it is priced: {mine.is_priced}"
    for structure_id, mine in found.items():
        here = {symbol: Decimal(r["qty"]) for symbol, r in s.held.items() if r.get("structure_id") == structure_id}
        if {symbol: qty for symbol, qty in mine.held.items() if qty} != here:
            yield f"{structure_id}: {_said(here)} are held, its fills and settlements come to {_said(mine.held)}"


def underlying_of(symbol: str) -> str:
    """Of a contract by its symbol, of which the last fifteen characters are date, right and strike."""
    return symbol[:-15] if len(symbol) > 15 else symbol


def _multiplier(symbol: str) -> int:
    return 100 if len(symbol) > 15 else 1
