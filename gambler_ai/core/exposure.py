"""What is at stake: the value of each symbol that is held or being opened, and how alike two of them move."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from gambler_ai.core.model import ZERO, Side
from gambler_ai.core.orders import IntentRecord, Purpose, Role
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.state import SessionState

if TYPE_CHECKING:
    from gambler_ai.core.model import BarFrame


def values(state: SessionState, elsewhere: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Symbol -> dollars at stake, long or short alike: positions at their mark, entries under way at their price.

    ``elsewhere``: the same of the account's other sessions.
    """
    found: defaultdict[str, Decimal] = defaultdict(lambda: ZERO, elsewhere)
    for symbol, position in state.positions.items():
        found[symbol] += abs(position.value(state.marks.get(symbol, position.avg_entry_price)))
    for record in under_way(state):
        found[record.intent.symbol] += _open_qty(state, record) * record.intent.ref_price
    return dict(found)


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
    missing, of the one named. What never moved is like nothing.
    """
    import numpy as np

    columns = {name: column for column, name in enumerate(frame.symbols)}
    others = [name for name in held if name in columns and name != symbol]
    if not others:
        return "", 0.0
    names = [symbol, *others]
    if symbol not in columns or len(frame) <= bars:
        return symbol, None
    close = frame.close[-(bars + 1) :][:, [columns[name] for name in names]]
    missing = np.isnan(close).any(axis=0)
    if missing.any():
        return names[int(missing.argmax())], None
    with np.errstate(invalid="ignore", divide="ignore"):
        returns = close[1:] / close[:-1] - 1
        returns -= returns.mean(axis=0)
        spread = np.sqrt((returns * returns).sum(axis=0))
        alike = (returns[:, 1:] * returns[:, :1]).sum(axis=0) / (spread[1:] * spread[0])
    alike = np.nan_to_num(alike, nan=0.0) * np.array([side.sign * held[name] for name in others])
    place = int(alike.argmax())
    return others[place], float(alike[place])
