"""An iron condor on AAPL: four legs that are one thing, sold for a credit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from gambler_ai.core.model import Position
from gambler_ai.core.orders import OrderIntent
from gambler_ai.core.structures import Structure
from gambler_ai.storage import tables as t
from tests.unit.fakes import AT, D, entry
from tests.unit.structures import CONDOR, GREEKS, structure_of


def condor(structure_id: str = "ga1-condor", **changes: Any) -> Structure:
    """Two units for 1.20 each, which may lose 380 dollars each."""
    given: dict[str, Any] = {
        "structure_id": structure_id, "strategy": "condor", "sector": "technology", "entry_price": D("-1.20"),
        "stop_price": D("-2.40"), "target_price": D("-0.60"), "max_loss": D(380), "max_profit": D(120),
        "confidence": D("0.68"),
    }  # fmt: skip
    return structure_of(**{"legs": CONDOR} | given | changes)


def opening(structure: Structure, /, **changes: Any) -> OrderIntent:
    """The entry that opens it, as one order."""
    coid = structure.structure_id
    intent = entry(
        structure.underlying, client_order_id=coid, decision_id=coid, position_id=coid, strategy=structure.strategy,
        qty=str(structure.units), ref_price=structure.max_loss or D(500), stop_price=structure.stop_price,
        target_price=structure.target_price, structure_id=coid, structure=structure,
    )  # fmt: skip
    return replace(intent, **changes)


def row_of(structure: Structure, session_id: str, **more: Any) -> dict[str, Any]:
    """Its row, with what else is in it."""
    plain = msgspec.structs.asdict(structure)
    row = {name: plain[name] for name in plain if name in t.structures.c}
    row |= {name: msgspec.json.encode(plain[name]).decode() for name in ("legs", "exits", "greeks")}
    return row | {"session_id": session_id, "ended_at": None, "end_reason": "", "token": 0} | more


def legs_of(structure: Structure) -> list[Position]:
    """What is held of it when all of it is."""
    return [
        Position(
            symbol=leg.symbol,
            qty=D(leg.ratio * structure.units),
            avg_entry_price=D("1.50"),
            entry_at=AT + timedelta(seconds=1),
            position_id=structure.structure_id,
            strategy=structure.strategy,
            structure_id=structure.structure_id,
            greeks=GREEKS,
        )
        for leg in structure.legs
    ]
