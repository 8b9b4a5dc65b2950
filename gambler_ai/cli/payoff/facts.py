"""What is said of a structure, line by line: on a terminal and on the page alike."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from gambler_ai.cli import render
from gambler_ai.cli.payoff.curves import Payoff
from gambler_ai.cli.structure_rows import greek, price_line, share_line
from gambler_ai.cli.words import exit_rules


class Fact(Struct, frozen=True):
    """A name, its value with a style, and a remark."""

    name: str
    value: str
    style: str = ""
    remark: str = ""


def facts(found: Payoff) -> list[Fact]:
    """All that is known of it besides the curves."""
    row, structure = found.row, found.structure
    worth = Fact("Now", render.money(row.gain, sign=True), render.pnl_style(row.gain), share_line(row.share))
    ends = (("stop", row.stop), ("target", row.target))
    rules = [f"{name} {render.money(price)}" for name, price in ends if price is not None]
    sure = [] if structure.confidence is None else [f"{structure.confidence * 100:.0f} % when it was decided"]
    return [
        Fact(
            "Structure", f"{row.underlying} {row.name} {row.legs} x{row.units}", render.STRONG, found.row.structure_id
        ),
        Fact("Opened", render.day_time(structure.opened_at), "", f"for a {price_line(row.entry)}; {structure.reason}"),
        Fact("Spot", render.price(found.spot), "", f"{row.underlying}, {render.day_time(found.at)} New York"),
        worth,
        Fact("At most", _bound(found.most), render.pnl_style(found.most), "to win at the expiry"),
        Fact("At worst", _bound(found.least), render.pnl_style(found.least), "at the expiry"),
        Fact("Breaks even", ", ".join(map(render.price, found.breakevens)) or "nowhere", "", "at the expiry"),
        Fact("Probability", _part(found.probability), "", "; ".join(["of a profit at the expiry", *sure])),
        Fact("Days left", str(row.days_left), "", structure.first_expiry.isoformat()),
        Fact("Out at", ", ".join([*rules, *exit_rules(structure)]) or "the expiry only"),
        Fact("Stands", row.status, row.style, row.why),
    ]


#: The columns of `legs_table`, and whether they are text.
LEGS = (
    ("symbol", True), ("contract", True), ("held", False), ("mark", False), ("delta at entry", False),
    ("volatility at entry", False),
)  # fmt: skip


def legs_table(found: Payoff, marks: dict[str, Decimal]) -> list[tuple[str, str, str, str, str, str]]:
    """Symbol, name, quantity of all units, mark, delta and volatility when it was decided."""
    rows = []
    for leg in found.structure.legs:
        greeks, contract = found.structure.greeks.get(leg.symbol), leg.contract
        iv = "-" if greeks is None or greeks.iv is None else f"{greeks.iv * 100:.1f} %"
        rows.append((
            leg.symbol, "shares" if contract is None else contract.name, f"{leg.ratio * found.structure.units:+d}",
            render.money(marks.get(leg.symbol)), greek(None if greeks is None else greeks.delta, 2), iv,
        ))  # fmt: skip
    return rows


def document(found: Payoff) -> dict[str, Any]:
    """The same for programs."""
    plain: dict[str, Any] = msgspec.to_builtins(found.structure)
    return plain | {
        "at": msgspec.to_builtins(found.at), "spot": found.spot and str(found.spot), "pnl": _text(found.row.gain),
        "value": _text(found.row.value), "status": found.row.status, "why": found.row.why,
        "days_left": found.row.days_left, "most": _text(found.most), "least": _text(found.least),
        "breakevens": [str(price) for price in found.breakevens], "probability": found.probability,
        "expiry": found.expiry, "today": found.today, "today_missing": found.why,
    }  # fmt: skip


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _bound(value: Decimal | None) -> str:
    return "no bound" if value is None else render.money(value, sign=True)


def _part(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.0f} %"
