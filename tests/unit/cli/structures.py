"""Options sessions by hand, for what is shown of them: an iron condor, a covered call, marks and quotes."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gambler_ai.core.contracts import parse
from gambler_ai.core.model import Position
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import ExitRules, Greeks, Leg, OptionQuote, Structure
from tests.unit.fakes import AT, D, make_plan, make_state
from tests.unit.structures import structure_of

PUT_85, PUT_90 = "AAPL081220P00085000", "AAPL081220P00090000"
CALL_110, CALL_115 = "AAPL081220C00110000", "AAPL081220C00115000"
CONDOR_LEGS = (Leg(PUT_85, 1), Leg(PUT_90, -1), Leg(CALL_110, -1), Leg(CALL_115, 1))
#: Mids: worth -0.75 a unit, of -1.45 that it was opened for.
MARKS = {"AAPL": D(100), PUT_85: D("0.35"), PUT_90: D("0.75"), CALL_110: D("0.65"), CALL_115: D("0.30")}


def condor(**changes: Any) -> Structure:
    """Three units of an iron condor, opened for a credit of 1.45; at most 145 to win, and 355 to lose, a unit."""
    given: dict[str, Any] = {
        "structure_id": "gam-condor", "strategy": "iron_condor", "sector": "technology", "entry_price": D("-1.45"),
        "stop_price": D("-2.90"), "target_price": D("-0.72"), "max_loss": D(355), "max_profit": D(145),
        "exits": ExitRules(days_left=21, time_value=D("0.05"), max_days=45), "confidence": D("0.68"),
        "greeks": {leg.symbol: Greeks(0.1, 0.01, -0.02, 0.05, 0.3) for leg in CONDOR_LEGS}, "reason": "IV rank 71",
        "cash": D(435), "filled": True,
    }  # fmt: skip
    return structure_of(**{"legs": CONDOR_LEGS, "units": 3, **given, **changes})


def covered_call(**changes: Any) -> Structure:
    """One unit: a hundred shares and a call sold on them."""
    legs = (Leg("MSFT", 100), Leg("MSFT081220C00055000", -1))
    found = condor(
        structure_id="gam-covered", strategy="covered_call", underlying="MSFT", legs=legs, units=1,
        entry_price=D("49.20"), stop_price=D(44), target_price=None, max_loss=D(4920), max_profit=D(580),
        cash=D(-4920), greeks={},
    )  # fmt: skip
    return replace(found, **changes)


def holding(*structures: Structure, **changes: Any) -> SessionState:
    """A session that holds these, each leg whole; `MARKS` are its prices."""
    plan = make_plan(
        universe="options", strategy="iron_condor", strategy_name="iron_condor", capital_per_trade=D(2000),
        max_per_strategy=4, autosave_iterations=10,
    )  # fmt: skip
    state = make_state(plan=plan, marks=dict(MARKS), iteration=25, **changes)
    state.structures = {one.structure_id: one for one in structures}
    state.positions = {
        leg.symbol: position(one, leg) for one in structures if one.filled for leg in one.legs
    }  # fmt: skip
    return state


def position(structure: Structure, leg: Leg, **changes: Any) -> Position:
    """What is held of a leg."""
    found = Position(
        position_id=f"{structure.structure_id}-{leg.symbol}", symbol=leg.symbol, qty=D(leg.ratio * structure.units),
        avg_entry_price=MARKS.get(leg.symbol, D(1)), entry_at=AT,
        strategy=structure.strategy, structure_id=structure.structure_id,
    )  # fmt: skip
    return replace(found, **changes)


def quotes(*symbols: str) -> dict[str, OptionQuote]:
    """Quotes of these contracts around their marks, or of the condor's."""
    greeks = Greeks(0.10, 0.01, -0.02, 0.05, 0.30)
    return {
        symbol: OptionQuote(symbol, MARKS[symbol] - D("0.05"), MARKS[symbol] + D("0.05"), AT, greeks)
        for symbol in symbols or [leg.symbol for leg in CONDOR_LEGS] if parse(symbol) is not None
    }  # fmt: skip
