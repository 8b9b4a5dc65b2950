"""One session as a document for programs and as tables for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.text import Text

from gambler_ai.app import archiving
from gambler_ai.cli import render
from gambler_ai.cli.archived import print_archived
from gambler_ai.cli.structure_rows import trade_price, trade_side
from gambler_ai.core.learning import CHOOSER, Confidence, LearningRules
from gambler_ai.core.model import ClosedTrade
from gambler_ai.core.risk_rules import Sizing
from gambler_ai.core.state import OPTIONS, Plan, SessionState
from gambler_ai.storage import archive, checkpoints, components, views
from gambler_ai.storage.archive import RolledUp
from gambler_ai.storage.components import ComponentInfo
from gambler_ai.storage.sessions import SessionInfo


def session_document(db: Any, info: SessionInfo) -> dict[str, Any]:
    """Everything stored of a session, by name."""
    stored, size = checkpoints.stored(db, info.id)
    newest = checkpoints.listed(db, info.id, 1)
    return {
        "positions": views.positions(db, info.id),
        "orders": views.orders(db, info.id),
        "fills": views.fills(db, info.id),
        "trades": views.closed_trades(db, info.id),
        "degraded": views.degraded(db, info.id),
        "discrepancies": views.discrepancies(db, info.id),
        "checkpoints_stored": stored,
        "checkpoint_bytes": size,
        "newest_checkpoint": newest[0] if newest else None,
        "components": components.listed(db, info.id),
        "owner": views.lease_owner(db, info.account_id),
        "rolled_up": archive.rolled_up(db, info.id),
        "archived": archiving.kept(db, info),
    }


def print_session(info: SessionInfo, status: str, document: dict[str, Any]) -> None:
    """The same for a person."""
    out = render.console()
    if archiving.is_archived(info):
        print_archived(out, info, document["archived"])
        return
    out.print(render.pair("Session", f"{info.id}  {status}", render.STRONG))
    out.print(render.pair("Broker", f"{info.broker}, account {info.account_id}"))
    out.print(render.pair(symbols_word(info.plan), ",".join(info.plan.symbols)))
    out.print(render.pair("Strategy", strategy_line(info.plan)))
    if learning := learners_line(info.plan):
        out.print(render.pair("Learners", learning))
    out.print(render.pair("Market time", f"{render.day_time(info.started_at)} to {render.day_time(info.last_at)}"))
    out.print(render.pair("Capital", render.dollars(info.initial_capital)))
    out.print(render.pair("Realized", render.money(info.realized_pnl, sign=True), render.pnl_style(info.realized_pnl)))
    newest = document["newest_checkpoint"]
    text = f"{info.checkpoints} created, {document['checkpoints_stored']} stored"
    out.print(render.pair("Checkpoints", text + (f", newest #{newest.number}" if newest else "")))
    out.print(render.pair("History", history_line(info.plan, document["rolled_up"])))
    out.print(render.pair("Last owner", document["owner"] or "-"))
    for title, rows in _tables(document, info.last_at):
        out.print()
        out.print(Text(title, render.STRONG))
        out.print(rows)


def strategy_line(plan: Plan) -> str:
    """The strategy with its parameters, its stop and target and its size."""
    size = _size(plan)
    given = ", ".join(
        f"{name} {_value(value)}" for name, value in plan.strategy_parameters.items() if value is not None
    )
    named = f"{plan.strategy} ({given})" if given else plan.strategy
    if plan.universe == OPTIONS:
        return f"{named}, {render.dollars(plan.capital_per_trade)} a structure"
    return f"{named}, stop {plan.stop_loss_pct} %, target {plan.take_profit_pct} %, {size}"


def symbols_word(plan: Plan) -> str:
    """What its symbols are to a session."""
    return "Underlyings" if plan.universe == OPTIONS else "Symbols"


def limits_line(plan: Plan) -> str:
    """How many structures there may be, and which are entered."""
    limits = (
        ("in all", plan.max_positions), ("of a strategy", plan.max_per_strategy), ("in a sector", plan.max_per_sector),
    )  # fmt: skip
    found = [f"at most {count} {of}" for of, count in limits if count is not None] or ["one structure an underlying"]
    least = plan.learning.min_confidence
    return ", ".join([*found, *([f"none below {least * 100:.0f} % probability of profit"] if least else [])])


def held_line(state: SessionState) -> str:
    """How much is held, as a person counts it; structures of which nothing is held yet are named."""
    legs = sum(p.structure_id in state.structures for p in state.positions.values())
    count, others = sum(s.filled for s in state.structures.values()), len(state.positions) - legs
    opening = len(state.structures) - count
    found = [f"{count} structure{'s' * (count != 1)} of {legs} legs"] if count else []
    found += (
        [f"{others} position{'s' * (others != 1)}" if found else str(others)] if others or not state.structures else []
    )
    return ", ".join([*found, *([f"{opening} being opened"] if opening else [])])


def learners_line(plan: Plan) -> str:
    """Which learners a session has and what they may do; "" when it has none."""
    rules, found = plan.learning, []
    if rules.learners:
        found.append(f"{', '.join(rules.learners)} ({_may(rules)})")
    if plan.strategy_name == CHOOSER:
        found.append(f"{CHOOSER} (heard{'' if CHOOSER in rules.use else ' once it has beaten its rivals'})")
    return "; ".join(found)


def _may(rules: LearningRules) -> str:
    if rules.min_confidence is None:
        return "watching"
    what = "denied" if rules.confidence is Confidence.GATE else "made smaller"
    return f"entries below {rules.min_confidence} are {what}, {_by(rules)}"


def _by(rules: LearningRules) -> str:
    insisted = [name for name in rules.use if name != CHOOSER]
    others = any(name not in insisted for name in rules.learners)
    proven = ["those that beat their baselines"] if others else []
    return f"by {' and by '.join([*insisted, *proven])}"


def _size(plan: Plan) -> str:
    if plan.risk.sizing is Sizing.FIXED:
        return f"{render.dollars(plan.position_size)} a position"
    return f"sized by {plan.risk.sizing}"


#: Kind -> what people call it.
_ROWS = {
    "Marked": "marks", "AccountReported": "readings of the account", "order_facts": "facts of orders",
    "closed_trades": "round trips",
}  # fmt: skip


def history_line(plan: Plan, rolled_up: list[RolledUp]) -> str:
    """How much of it is kept as it is, and what was rolled up."""
    kept = f"the newest {plan.history_limit:,} of a kind"
    if not rolled_up:
        return f"{kept}; nothing rolled up"
    found = ", ".join(f"{kind.rows:,} {_ROWS[kind.kind]}" for kind in rolled_up)
    size = sum(kind.stored_bytes for kind in rolled_up)
    return f"{kept}; rolled up: {found} in {size:,} bytes"


def _value(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _tables(document: dict[str, Any], now: datetime) -> list[tuple[str, Any]]:
    makers: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "Degraded": ("degraded", _degraded), "Positions": ("positions", positions_table),
        "Round trips": ("trades", trades_table), "Orders": ("orders", _orders),
        "Differences found": ("discrepancies", _discrepancies),
        "Components": ("components", lambda found: _components(found, now)),
    }  # fmt: skip
    return [(title, make(document[key])) for title, (key, make) in makers.items() if document[key]]


def positions_table(found: list[views.PositionRow]) -> Any:
    """What is held, a line each."""
    rows = render.table(
        ("symbol", "left"), ("qty", "right"), ("entry", "right"), ("since", "left"), ("stop", "right"),
        ("target", "right"), ("strategy", "left"),
    )  # fmt: skip
    for p in found:
        rows.add_row(
            p.symbol, render.qty(p.qty), render.price(p.avg_entry_price), render.day_time(p.entry_at),
            render.price(p.stop_price), render.price(p.target_price), p.strategy,
        )  # fmt: skip
    return rows


def trades_table(found: list[ClosedTrade]) -> Any:
    """Round trips, a line each."""
    rows = render.table(
        ("symbol", "left"), ("side", "left"), ("qty", "right"), ("entry", "right"), ("exit", "right"),
        ("P&L", "right"), ("reason", "left"), ("held", "right"),
    )  # fmt: skip
    for t in found:
        rows.add_row(
            t.symbol, trade_side(t), render.qty(t.qty), trade_price(t, t.entry_price), trade_price(t, t.exit_price),
            Text(render.money(t.pnl, sign=True), render.pnl_style(t.pnl)), t.reason, render.span(t.duration),
        )  # fmt: skip
    return rows


def _level(price: Decimal | None) -> str:
    """A stop or a target; a net price below zero has two places, as its structure shows it."""
    return render.money(price) if price is not None and price < 0 else render.price(price)


def intents_table(found: list[views.IntentRow]) -> Any:
    """What was decided, a line each, with the order the broker made of it."""
    rows = render.table(
        ("market time", "left"), ("symbol", "left"), ("side", "left"), ("why", "left"), ("qty", "right"),
        ("stop", "right"), ("target", "right"), ("status", "left"), ("client order id", "left"), ("note", "left"),
    )  # fmt: skip
    for i in found:
        rows.add_row(
            render.day_time(i.decided_at), i.symbol, i.side, i.purpose, render.qty(i.qty), _level(i.stop_price),
            _level(i.target_price), i.status, i.client_order_id, i.note,
        )  # fmt: skip
    return rows


def _degraded(found: list[views.DegradedRow]) -> Any:
    rows = render.table(
        ("since", "left"), ("condition", "left"), ("why", "left"), ("entries", "left"), ("ends", "left")
    )  # fmt: skip
    for d in found:
        rows.add_row(render.day_time(d.at), d.name, render.printable(d.reason), d.entries, d.ends)
    return rows


def _orders(found: list[views.OrderRow]) -> Any:
    rows = render.table(
        ("symbol", "left"), ("side", "left"), ("role", "left"), ("type", "left"), ("qty", "right"),
        ("filled", "right"), ("at", "right"), ("status", "left"), ("id", "left"),
    )  # fmt: skip
    for o in found:
        rows.add_row(
            o.symbol, o.side, o.role, o.type, render.qty(o.qty), render.qty(o.filled_qty),
            render.price(o.filled_avg_price or o.limit_price or o.stop_price), o.status, o.order_id[:8],
        )  # fmt: skip
    return rows


def _components(found: list[ComponentInfo], now: datetime) -> Any:
    """The newest good row of each, and what was set aside; ages are in market time, at the session's last instant."""
    rows = render.table(
        ("component", "left"), ("schema", "right"), ("format", "left"), ("bytes", "right"), ("age", "right"),
        ("journal row", "right"), ("", "left"),
    )  # fmt: skip
    newest: set[str] = set()
    for c in found:
        if not c.set_aside and c.name in newest:
            continue
        if not c.set_aside:
            newest.add(c.name)
        size = "gone" if c.length is None else f"{c.length:,}"
        why = Text(f"set aside: {render.printable(c.set_aside)}" if c.set_aside else "", render.WARN)
        rows.add_row(
            render.printable(c.name), str(c.schema), render.printable(c.format), size,
            render.span(now - c.at), str(c.seq), why,
        )  # fmt: skip
    return rows


def _discrepancies(found: list[views.DiscrepancyRow]) -> Any:
    rows = render.table(("market time", "left"), ("symbol", "left"), ("what", "left"), ("cause and action", "left"))
    for row in found:
        item = row.item
        what = f"{item.kind}: ours {item.ours}, broker {item.broker}"
        rows.add_row(render.day_time(row.at), item.symbol, what, f"{item.cause}; {item.action}")
    return rows
