"""A structure as it is shown: its legs in short, what it is worth now, its greeks, how it stands. Values only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.text import Text

from gambler_ai.cli import render
from gambler_ai.cli.render import BAD, WARN
from gambler_ai.core.contracts import Contract, parse
from gambler_ai.core.events import ALL
from gambler_ai.core.model import NEW_YORK, ClosedTrade
from gambler_ai.core.options.planning import UNEVEN_PATIENCE
from gambler_ai.core.orders import Purpose
from gambler_ai.core.protection import Protection
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import Greeks, Leg, OptionQuote, Structure, net_price, total_greeks

#: Said of every structure that is held: no order at the broker ends it.
GUARDED = "closed by this program's exit rules while it runs; no order at the broker protects it"
#: How a structure stands, the worst first -> its style.
UNEVEN, SETTLED, LEAVING, OPENING = "UNEVEN", "SETTLED", "LEAVING", "OPENING"
STYLES = {UNEVEN: BAD, SETTLED: WARN, LEAVING: WARN, Protection.GUARDED.value: WARN, OPENING: ""}
#: Dollars of a net price of one for one unit.
UNIT = Decimal(100)


@dataclass(frozen=True)
class StructureRow:
    """A structure with what is known of it at one instant; None is what is not known now."""

    structure_id: str
    name: str
    underlying: str
    legs: str
    units: int
    entry: Decimal
    value: Decimal | None  # net, of one unit
    gain: Decimal | None  # dollars, of all that it brought and of what is still held
    share: Decimal | None  # of the most it can win or, below zero, lose
    stop: Decimal | None
    target: Decimal | None
    greeks: Greeks | None
    days_left: int
    status: str
    why: str

    @property
    def style(self) -> str:
        return STYLES[self.status]


def structure_rows(
    state: SessionState, at: datetime, quotes: Mapping[str, OptionQuote] | None = None
) -> tuple[StructureRow, ...]:
    """Every structure of ``state``, those that stand worst first, with greeks as far as ``quotes`` have them.

    Only the thread that owns the state may ask.
    """
    known = {symbol: quote.greeks for symbol, quote in (quotes or {}).items() if quote.greeks is not None}
    rows = [_row(state, structure, at, known) for structure in state.structures.values()]
    order = list(STYLES)
    return tuple(sorted(rows, key=lambda row: (order.index(row.status), row.underlying)))


def _row(state: SessionState, structure: Structure, at: datetime, known: Mapping[str, Greeks]) -> StructureRow:
    gain = gain_of(state, structure) if structure.filled else None
    greeks = total_greeks(structure, known) if structure.filled else None
    status, why = _standing(state, structure, at)
    return StructureRow(
        structure_id=structure.structure_id, name=structure.strategy, underlying=structure.underlying,
        legs=legs_line(structure.legs, at), units=structure.units, entry=structure.entry_price,
        value=net_price(structure.legs, state.marks), gain=gain, share=share_of(structure, gain),
        stop=structure.stop_price, target=structure.target_price, greeks=greeks,
        days_left=days_left(structure, at), status=status, why=why,
    )  # fmt: skip


def gain_of(state: SessionState, structure: Structure) -> Decimal | None:
    """What it has brought and cost so far, and what its legs would bring at their marks; None where one has none."""
    total = structure.cash
    for position in state.positions.values():
        if position.structure_id == structure.structure_id:
            mark = state.marks.get(position.symbol)
            if mark is None:
                return None
            total += position.value(mark)
    return total


def share_of(structure: Structure, gain: Decimal | None) -> Decimal | None:
    """``gain`` as a part of the most it can win; below zero, of the most it can lose. None where that has no bound."""
    most = structure.max_profit if gain is not None and gain >= 0 else structure.max_loss
    return gain / (most * structure.units) if gain is not None and most else None


def days_left(structure: Structure, at: datetime) -> int:
    """Calendar days to the first expiry of a leg."""
    return (structure.first_expiry - at.astimezone(NEW_YORK).date()).days


def sum_of(rows: Collection[StructureRow]) -> tuple[Greeks, list[str]]:
    """The greeks of all that are held, in shares; and the underlyings of those whose greeks are not known."""
    known = [row.greeks for row in rows if row.greeks is not None]
    total = Greeks(*(sum(getattr(g, name) for g in known) for name in ("delta", "gamma", "theta", "vega")))
    return total, [row.underlying for row in rows if row.greeks is None and row.status != OPENING]


def _standing(state: SessionState, structure: Structure, at: datetime) -> tuple[str, str]:
    if structure.uneven_since is not None and not is_opening(state, structure, at):
        return UNEVEN, f"not its whole since {render.clock_time(structure.uneven_since)}: what is beyond is closed"
    if structure.settled:
        return SETTLED, "a contract was exercised, assigned or has expired: the rest is closed at the next open"
    leaves = (structure.structure_id, structure.underlying, ALL)
    if why := next((state.exits[name] for name in leaves if name in state.exits), ""):
        return LEAVING, why
    if not structure.filled or structure.uneven_since is not None:
        return OPENING, "its order is on its way" if not structure.filled else "a part of it is still on its way"
    return Protection.GUARDED.value, GUARDED


def is_opening(state: SessionState, structure: Structure, at: datetime) -> bool:
    """Whether a structure that is not whole has just begun, or an order that opens a part of it is on its way."""
    since = structure.uneven_since
    if since is not None and since <= structure.opened_at and at - since < UNEVEN_PATIENCE:
        return True
    of_it = (r for r in state.intents.values() if r.intent.structure_id == structure.structure_id)
    opens = [r for r in of_it if r.intent.purpose in (Purpose.ENTRY, Purpose.LEG)]
    return any(not r.status.is_final or any(not o.is_settled for o in state.orders_of(r)) for r in opens)


# -- in words -------------------------------------------------------------------------------------


def legs_line(legs: Collection[Leg], at: datetime | None = None) -> str:
    """Strikes by expiry and right, as in ``185/190p 210/215c 20 Dec``; a year only where ``at`` has another."""
    found = [(leg, contract) for leg in legs if (contract := leg.contract) is not None]
    shares = sum(leg.ratio for leg in legs if leg.contract is None)
    parts = [f"{shares} shares"] if shares else []
    for expiry, of_day in groupby(sorted(found, key=lambda each: each[1].expiry), lambda each: each[1].expiry):
        same_day = list(of_day)
        for right in ("put", "call"):
            strikes = sorted((c.strike, abs(leg.ratio)) for leg, c in same_day if c.right == right)
            if strikes:
                parts.append("/".join(_strike(strike, ratio) for strike, ratio in strikes) + right[0])
        parts.append(_day(expiry, at))
    return " ".join(parts)


def contract_line(symbol: str, at: datetime | None = None) -> str:
    """One contract as in ``190p 20 Dec``; what is none, as it is."""
    contract = parse(symbol)
    return symbol if contract is None else _contract(contract, at)


def _contract(contract: Contract, at: datetime | None) -> str:
    return f"{_strike(contract.strike)}{contract.right[0]} {_day(contract.expiry, at)}"


def _strike(strike: Decimal, ratio: int = 1) -> str:
    return f"{ratio if ratio > 1 else ''}{'x' if ratio > 1 else ''}{strike.normalize():f}"


def _day(expiry: date, at: datetime | None) -> str:
    year = "" if at is not None and at.astimezone(NEW_YORK).year == expiry.year else f" {expiry.year}"
    return f"{expiry.day} {expiry:%b}{year}"


def price_line(price: Decimal | None) -> str:
    """A net price as a person says it: paid or received."""
    if price is None:
        return "-"
    return f"{'credit' if price < 0 else 'debit'} {render.money(abs(price))}"


def share_line(share: Decimal | None) -> str:
    """A part of the most it can win or lose."""
    if share is None:
        return ""
    return f"{abs(share) * 100:.0f} % of max {'loss' if share < 0 else 'profit'}"


def percent(share: Decimal | None) -> str:
    """The same in a column: its sign says of which."""
    if share is None:
        return "-"
    return f"{shown:+.0f} %" if (shown := round(share * 100)) else "0 %"


def greek(value: float | None, places: int = 1) -> str:
    """A greek, in shares or dollars, with its sign; a dash where it is not known."""
    return "-" if value is None else f"{value:+,.{places}f}"


def trade_line(trade: ClosedTrade) -> str:
    """A closed trade's prices; those of a structure are net."""
    if trade.multiplier == 1:
        entry, exit_ = render.price(trade.entry_price), render.price(trade.exit_price)
        return f"{trade.side} {render.qty(trade.qty)}: {entry} to {exit_}"
    closed = None if trade.exit_price is None else -trade.exit_price
    return (
        f"{trade.strategy} x{render.qty(trade.qty)}: opened for a {price_line(trade.entry_price)}, closed for a"
        f" {price_line(closed)}"
    )


def trade_side(trade: ClosedTrade) -> str:
    """Which side was held; of a structure its strategy says more."""
    return trade.side if trade.multiplier == 1 else trade.strategy


def trade_price(trade: ClosedTrade, price: Decimal | None) -> str:
    """A price of a round trip; a net one has two places, whatever it is."""
    return render.price(price) if trade.multiplier == 1 else render.money(price)


def position_legs(state: SessionState) -> set[str]:
    """Symbols of positions that are parts of a structure that is known, and are shown as such."""
    return {symbol for symbol, p in state.positions.items() if p.structure_id in state.structures}


class StructuresTable:
    """A line each, with their ``ids`` if they are to be named; where it is narrow, without what can be spared."""

    #: What goes first where there is no room for all.
    SPARED = ("strategy", "of max", "entry", "value", "days")

    def __init__(self, rows: Collection[StructureRow], *, ids: bool = False) -> None:
        self._rows, self._ids = rows, ids

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        for spared in range(len(self.SPARED)):
            found = self._table(self.SPARED[:spared])
            if console.measure(found, options=options.update(max_width=_WIDE)).maximum <= options.max_width:
                yield found
                return
        yield self._table(self.SPARED)

    def _table(self, without: Collection[str]) -> Any:
        rows = [self._cells(row, brief=bool(without)) for row in self._rows]
        shown = [n for n, (name, _side) in enumerate(_COLUMNS) if name not in without and (n or self._ids)]
        found = render.table(*(_COLUMNS[n] for n in shown))
        for cells in rows:
            found.add_row(*(cells[n] for n in shown))
        return found

    def _cells(self, row: StructureRow, *, brief: bool) -> tuple[str | Text, ...]:
        return (
            row.structure_id[: _BRIEF if brief else None], row.underlying, render.printable(row.name), row.legs,
            str(row.units),
            render.money(row.entry), render.money(row.value),
            Text(render.money(row.gain, sign=True), render.pnl_style(row.gain)), percent(row.share),
            str(row.days_left), Text(row.status, row.style),
        )  # fmt: skip


_COLUMNS = (
    ("id", "left"), ("options", "left"), ("strategy", "left"), ("legs", "left"), ("units", "right"),
    ("entry", "right"), ("value", "right"), ("P&L", "right"), ("of max", "right"), ("days", "right"), ("", "left"),
)  # fmt: skip
#: Characters of an id that tell it from the others, and are enough to name it.
_BRIEF = 12
#: Cells that no table needs.
_WIDE = 1_000
