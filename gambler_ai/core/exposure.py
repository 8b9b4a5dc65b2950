"""What is at stake: the value of each symbol that is held or being opened, and how alike two of them move."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from gambler_ai.core.model import ZERO, Side
from gambler_ai.core.orders import IntentRecord, OrderIntent, Purpose, Role
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.state import SessionState

if TYPE_CHECKING:
    from gambler_ai.core.model import BarFrame


def values(state: SessionState, elsewhere: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Symbol -> dollars at stake, long or short alike: positions at their mark, entries under way at their price.

    A structure counts what it can lose, under its underlying. ``elsewhere``: the same of the account's other sessions.
    """
    found: defaultdict[str, Decimal] = defaultdict(lambda: ZERO, elsewhere)
    for structure in state.structures.values():
        found[structure.underlying] += structure.at_risk * structure.units
    for symbol, position in state.positions.items():
        if position.structure_id in state.structures:
            continue
        found[symbol] += abs(position.value(state.marks.get(symbol, position.avg_entry_price)))
    for record in under_way(state):
        if record.intent.structure_id in state.structures:
            continue
        found[record.intent.symbol] += _open_qty(state, record) * _price(record.intent)
    return dict(found)


def _price(intent: OrderIntent) -> Decimal:
    """What an entry was planned at; of one that was taken back from the broker's word, its further end."""
    return intent.ref_price or max(intent.stop_price or ZERO, intent.target_price or ZERO)


def under_way(state: SessionState) -> list[IntentRecord]:
    """Entries that may still open a position, or add to it."""
    return [r for r in state.intents.values() if r.intent.purpose is Purpose.ENTRY and not r.status.is_final]


def _open_qty(state: SessionState, record: IntentRecord) -> Decimal:
    booked = sum((o.booked_qty for o in state.orders_of(record) if o.role is Role.ENTRY), ZERO)
    return max(ZERO, record.intent.qty - booked)


def sector_of(symbol: str, rules: RiskRules) -> str:
    """The sector of a symbol; one that nobody named is a sector of its own."""
    return rules.sectors.get(symbol, symbol)


def by_sector(at_stake: Mapping[str, Decimal], rules: RiskRules) -> dict[str, Decimal]:
    """Sector -> dollars at stake."""
    found: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for symbol, value in at_stake.items():
        found[sector_of(symbol, rules)] += value
    return dict(found)


def sides(state: SessionState) -> dict[str, int]:
    """Symbol -> 1 where it is held or being bought, -1 where it is sold short."""
    found = {r.intent.symbol: r.intent.side.sign for r in under_way(state)}
    return found | {symbol: 1 if position.qty > 0 else -1 for symbol, position in state.positions.items()}


def most_alike(
    symbol: str, side: Side, held: Mapping[str, int], frame: BarFrame, bars: int
) -> tuple[str, float | None]:
    """What of ``held`` an entry would move most alike with, and how much: Pearson's r of the newest ``bars`` returns.

    Two that are on opposite sides are alike when their prices go apart. Nothing held: ("", 0.0). None: bars are
    missing, of the one named or of it and the symbol together. What never moved is like nothing.
    """
    columns = {name: column for column, name in enumerate(frame.symbols)}
    others = [name for name in held if name in columns and name != symbol]
    if others and symbol not in columns:
        return symbol, None
    found = {name: _alike(frame, columns[symbol], columns[name], bars) for name in others}
    unknown = next((name for name, value in found.items() if value is None), "")
    if unknown:
        return unknown, None
    signed = {name: (value or 0.0) * side.sign * held[name] for name, value in found.items()}
    name = max(signed, key=signed.__getitem__, default="")
    return name, signed.get(name, 0.0)


def _alike(frame: BarFrame, one: int, other: int, bars: int) -> float | None:
    """Pearson's r over the newest bars that both have: rows are aligned by their number, and not by the minute."""
    import numpy as np

    common = np.intersect1d(frame.times[:, one], frame.times[:, other])
    common = common[common > 0][-(bars + 1) :]
    if len(common) <= bars:
        return None
    close = np.column_stack([frame.close[np.isin(frame.times[:, column], common), column] for column in (one, other)])
    returns = close[1:] / close[:-1] - 1
    returns -= returns.mean(axis=0)
    spread = np.sqrt((returns * returns).sum(axis=0)).prod()
    r = float((returns[:, 0] * returns[:, 1]).sum() / spread) if spread > 0 else 0.0
    return r if np.isfinite(r) else None
