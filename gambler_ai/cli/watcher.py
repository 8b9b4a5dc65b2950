"""A runner's life as lines on a terminal or in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.text import Text

from gambler_ai import __version__
from gambler_ai.app.venue import EMBEDDED, Venue
from gambler_ai.cli import render
from gambler_ai.cli.render import BAD, GOOD, QUIET, STRONG, WARN
from gambler_ai.cli.show import strategy_line, trades_table
from gambler_ai.core import events as ev
from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.engine import Decisions
from gambler_ai.core.model import ClosedTrade
from gambler_ai.core.orders import Purpose
from gambler_ai.core.protection import Protection, protection
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.recovery import Restored

#: A line's word, symbol, text and the style of the word.
Told = tuple[str, str, str, str]
#: Why a run ends that only compared.
RECONCILED = "reconciled"
#: Every so many checkpoints one is mentioned, as a sign of life.
MENTION_EVERY = 10


class ConsoleWatcher:
    """Tells what a session does; with ``quiet`` only what a person has to know."""

    def __init__(
        self, out: Console, closed: Callable[[str], list[ClosedTrade]], *, resume_command: str, quiet: bool
    ) -> None:
        """``closed`` reads a session's round trips for the report; ``resume_command`` wants an id behind it."""
        self._out = out
        self._closed = closed
        self._quiet = quiet
        self._resume_command = resume_command
        self._differences = 0

    # -- how it came to be ------------------------------------------------------------------------

    def opening(self, venue: Venue, database: str, plan: Plan) -> None:
        if self._quiet:
            return
        self._out.print(Text.assemble(("gambler_ai", STRONG), f" {__version__}  ", ("paper trading", QUIET)))
        self._out.print(render.pair("Broker", venue.note))
        if venue.labels:
            prices = ", ".join(f"{s} {venue.labels.get(s, '?')}" for s in plan.symbols)
            day = f"{venue.clock.now().astimezone(render.NEW_YORK):%A %Y-%m-%d %H:%M}"
            self._out.print(render.pair("Prices", f"{prices}, spread into minutes (synthetic path)"))
            pace = f"{venue.speed:g}x" if venue.speed else "as fast as it goes"
            self._out.print(render.pair("Market time", f"{day} New York, {pace}"))
            if venue.kind == EMBEDDED:
                self._out.print(render.pair("Day", "chosen for its moves of 2 %, which are rare on an average one"))
        self._out.print(render.pair("Database", database))

    def created(self, state: SessionState) -> None:
        if self._quiet:
            return
        plan = state.plan
        self._out.print(render.pair("Session", state.session_id, STRONG))
        self._out.print(render.pair("Symbols", ",".join(plan.symbols)))
        self._out.print(render.pair("Strategy", strategy_line(plan)))
        self._out.print(render.pair("Plan", _plan_line(plan)))

    def resumed(self, info: SessionInfo, restored: Restored) -> None:
        state, checkpoint = restored.state, restored.checkpoint
        for line in restored.broken:
            self._out.print(Text(f"Checkpoint {line}; the one before it is used", WARN))
        self._out.print(Text(f"Resumed session: {info.id}", STRONG))
        self._line("Started", render.day_time(info.started_at))
        self._line("Symbols", ",".join(state.plan.symbols))
        self._out.print(f"Loaded {len(state.positions)} positions from database")
        if checkpoint is None:
            self._out.print(f"No checkpoint yet: restored from {restored.replayed} journal rows")
        else:
            when = render.day_time(checkpoint.at)
            self._out.print(
                f"Restored from checkpoint created at {when}, and {restored.replayed} journal rows after it"
            )
        self._line("Active positions", str(len(state.positions)))
        self._line("Closed trades", str(state.closed_trades))
        if checkpoint is not None:
            self._line("Checkpoint", f"#{checkpoint.number}, {render.day_time(checkpoint.at)}")
        self._line("Last known portfolio value", render.dollars(state.account.portfolio_value))
        self._line("Remaining", render.span(timedelta(seconds=state.remaining_s or state.plan.duration_s)))

    def strategy_changed(self, plan: Plan) -> None:
        path = plan.strategy.rpartition(":")[0]
        self._out.print(
            Text(f"  {path} is not the code this session traded with so far; it goes on with the new", WARN)
        )

    def other_account(self, info: SessionInfo, account_id: str) -> None:
        self._out.print(Text(
            f"Session {info.id} is unfinished and belongs to account {info.account_id}; these keys open {account_id}."
            f"\nA paper account that was reset is a new one. Be done with it: gambler-ai sessions close {info.id}", WARN
        ))  # fmt: skip

    def planned(self, found: Collection[ev.Discrepancy], facts: Collection[ev.Fact]) -> None:
        if not found:
            self._out.print(Text("Books and broker agree. Nothing was changed.", GOOD))
        else:
            self._out.print(Text(f"{len(found)} differences; nothing was changed:", WARN))
            for item in found:
                self._out.print(_discrepancy(item))
        would = [fact for fact in facts if isinstance(fact, _ACTIONS)]
        if would:
            self._out.print(Text("A reconciliation would", STRONG))
        for fact in would:
            word, symbol, text, style = _FACTS[type(fact)](fact)
            self._out.print(Text.assemble("  ", (f"{word:<9}", style), f"{symbol:<6}", text))

    # -- while it runs ----------------------------------------------------------------------------

    def started(self, state: SessionState) -> None:
        for position in state.positions.values():
            status, why = protection(state, position)
            style = GOOD if status is Protection.PROTECTED else WARN
            text = f"{position.symbol} {render.qty(position.qty)} @ {render.price(position.avg_entry_price)}"
            self._out.print(Text.assemble(f"  {text}  ", (status.value, style), (f"  {why}", QUIET)))
        for symbol, amount in sorted(state.foreign.items()):
            self._out.print(Text(f"  {symbol} {render.qty(amount)} not ours: left alone, no entries in it", WARN))
        if not self._quiet:
            self._out.print()

    def took(self, decisions: Decisions, state: SessionState) -> None:
        self._differences += sum(isinstance(fact, ev.Reconciled) for fact in decisions.facts)
        for fact in decisions.facts:
            told = _FACTS.get(type(fact))
            if told is not None and (not self._quiet or _is_needed(fact)):
                if isinstance(fact, ev.IntentPlanned) and fact.intent.purpose is Purpose.ENTRY:
                    self._say(fact, ("signal", fact.intent.symbol, fact.intent.reason, ""))
                self._say(fact, _named(told(fact), fact, state))
        for trade in decisions.changes.closed:
            self._say_closed(trade)

    def checkpointed(self, info: CheckpointInfo) -> None:
        if info.number % MENTION_EVERY == 0 and not self._quiet:
            self._out.print(
                Text.assemble((f"{render.clock_time(info.at)}  ", QUIET), f"Checkpoint #{info.number} created")
            )

    def caught_up(self, report: CatchUp) -> None:
        if not self._quiet:
            for name, text, style in catch_up_lines(report):
                self._out.print(render.pair(name, text, style))

    def waiting(self, market: ev.MarketReport, state: SessionState) -> None:
        opens = f"{market.next_open.astimezone(render.NEW_YORK):%A %F %H:%M} New York"
        away = render.span(market.next_open - state.last_at)
        self._out.print(render.pair("Closed", f"the market opens {opens}, in {away}; waiting (Ctrl+C stops)", WARN))

    def stream(self, change: ev.StreamChanged) -> None:
        if not self._quiet:
            word, style = ("stream", "") if change.up else ("stream", WARN)
            self._say(change, (word, "", f"{change.stream}: {change.reason}", style))

    def stopping(self, reason: str) -> None:
        if reason == RECONCILED:
            self._out.print(_agreement(self._differences))
        if not self._quiet:
            self._out.print()
            self._out.print(f"Shutting down gracefully ({reason})...")
            self._out.print("   Creating final checkpoint...")

    # -- at the end -------------------------------------------------------------------------------

    def ended(self, state: SessionState, *, created: int, pruned: int) -> None:
        if not self._quiet:
            self._out.print(f"   Total checkpoints created: {created}")
            self._out.print(f"   Cleaned up {pruned} old checkpoints")
            self._out.print()
        self._report(state)
        if state.status != "completed":
            self._out.print()
            self._out.print(render.pair("Resume with", f"{self._resume_command} {state.session_id}", STRONG))

    def _report(self, state: SessionState) -> None:
        first, last = state.initial_equity, state.account.equity
        self._out.print(render.pair("Session", f"{state.session_id}  {state.status}", STRONG))
        self._out.print(render.pair("Initial", f"{render.dollars(first):>14}"))
        self._out.print(render.pair("Final", f"{render.dollars(last):>14}"))
        if first:
            change = last - first
            text = f"{render.money(change, sign=True):>14}  ({change / first * 100:+.2f} %)"
            self._out.print(render.pair("P&L", text, render.pnl_style(change)))
        self._out.print()
        self._out.print(Text(f"Closed trades: {state.closed_trades}", STRONG))
        trades = self._closed(state.session_id)
        if trades:
            self._out.print(trades_table(trades))
        self._out.print(Text(f"Open positions: {len(state.positions)}", STRONG))
        self._open_table(state)

    def _open_table(self, state: SessionState) -> None:
        if not state.positions:
            return
        rows = render.table(
            ("symbol", "left"), ("qty", "right"), ("entry", "right"), ("mark", "right"), ("P&L", "right"),
            ("stop", "right"), ("target", "right"), ("", "left"),
        )  # fmt: skip
        for p in state.positions.values():
            mark = state.marks.get(p.symbol, p.avg_entry_price)
            gain = p.unrealized(mark)
            status, _why = protection(state, p)
            rows.add_row(
                p.symbol, render.qty(p.qty), render.price(p.avg_entry_price), render.price(mark),
                Text(render.money(gain, sign=True), render.pnl_style(gain)), render.price(p.stop_price),
                render.price(p.target_price), Text(status.value, GOOD if status is Protection.PROTECTED else WARN),
            )  # fmt: skip
        self._out.print(rows)

    def _say(self, fact: Any, told: tuple[str, str, str, str]) -> None:
        word, symbol, text, style = told
        at = fact.fill.at if isinstance(fact, ev.FillReported) else fact.at
        self._out.print(
            Text.assemble((f"{render.clock_time(at)}  ", QUIET), (f"{word:<9}", style), f"{symbol:<6}", text)
        )

    def _say_closed(self, t: ClosedTrade) -> None:
        text = Text.assemble(
            (f"{render.clock_time(t.exit_at)}  ", QUIET), (f"{'closed':<9}", STRONG), f"{t.symbol:<6}",
            f"{t.side} {render.qty(t.qty)}: {render.price(t.entry_price)} to {render.price(t.exit_price)}  ",
            (render.money(t.pnl, sign=True), render.pnl_style(t.pnl)),
            f"  {t.reason}, held {render.span(t.duration)}",
        )  # fmt: skip
        self._out.print(text)

    def _line(self, name: str, value: str) -> None:
        self._out.print(f"  {name}: {value}")


def catch_up_lines(report: CatchUp) -> list[tuple[str, str, str]]:
    """What a resume found out, as name, text and style."""
    if not report.down and not report.fills and not report.bars:
        return []
    bars = "bars could not be read" if report.bars is None else f"{report.bars}{'+' * report.more} bars passed"
    lines = [("Down for", f"{render.span(report.down)} of market time; {bars}, {report.fills} fills", "")]
    for names, word, style in (
        (report.stops, "stop filled meanwhile", WARN), (report.exits, "stop crossed while bare: closing now", BAD),
        (report.rearmed, "stop and target set again", WARN),
        (report.given_up, "entry never arrived and is stale: given up", WARN),
    ):  # fmt: skip
        lines += [("", f"{symbol}  {word}", style) for symbol in names]
    return lines


def _agreement(differences: int) -> Text:
    if not differences:
        return Text("Books and broker agree.", GOOD)
    return Text(f"{differences} differences, each explained above and stored.", WARN)


def _is_needed(fact: Any) -> bool:
    """Whether it is told with --quiet as well."""
    if isinstance(fact, ev.Denied):
        return fact.symbol == ev.ALL
    return type(fact) in _ALWAYS or (isinstance(fact, ev.IntentPlanned) and fact.intent.purpose is not Purpose.ENTRY)


def _named(told: Told, fact: Any, state: SessionState) -> Told:
    """With its symbol, where the fact only has an order's id."""
    word, symbol, text, style = told
    record = state.intents.get(getattr(fact, "client_order_id", ""))
    order = state.orders.get(getattr(fact, "order_id", ""))
    if not symbol and (record or order):
        symbol = record.intent.symbol if record else order.symbol if order else ""
    return word, symbol, text, style


def _plan_line(plan: Plan) -> str:
    length = render.span(timedelta(seconds=plan.duration_s))
    return (
        f"{length} of market time, scan every {plan.interval_s:g} s, checkpoint every {plan.checkpoint_interval_s:g} s"
    )


def _intent(fact: ev.IntentPlanned) -> tuple[str, str, str, str]:
    i = fact.intent
    if i.purpose is Purpose.ENTRY:
        prices = f"stop {render.price(i.stop_price)}, target {render.price(i.target_price)}"
        text = f"{i.side} {render.qty(i.qty)} near {render.price(i.ref_price)}, {prices}"
        return "entry", i.symbol, text, STRONG
    if i.purpose is Purpose.PROTECT:
        prices = f"stop {render.price(i.stop_price)}, target {render.price(i.target_price)}"
        text = f"{prices} for {render.qty(i.qty)} ({i.reason})"
        return "protect", i.symbol, text, WARN
    return "exit", i.symbol, f"{i.side} {render.qty(i.qty)} at market ({i.reason})", WARN


def _fill(fact: ev.FillReported) -> tuple[str, str, str, str]:
    f = fact.fill
    word = "bought" if f.side == "buy" else "sold"
    return "fill", f.symbol, f"{word} {render.qty(f.qty)} @ {render.price(f.price)}", ""


def _denied(fact: ev.Denied) -> tuple[str, str, str, str]:
    if fact.symbol == ev.ALL:  # not a proposal: the strategy itself failed
        return "denied", "", fact.context, BAD
    return "denied", fact.symbol, f"{fact.side}: {fact.code.replace('_', ' ')} ({fact.context})", QUIET


def _reconciled(fact: ev.Reconciled) -> tuple[str, str, str, str]:
    return "differs", "", "; ".join(_discrepancy(d).plain for d in fact.discrepancies), WARN


def _discrepancy(d: ev.Discrepancy) -> Text:
    return Text(f"{d.symbol} {d.kind}: ours {d.ours}, broker {d.broker}. {d.cause}. {d.action}.")


def _short(client_order_id: str) -> str:
    return client_order_id[:12]


_FACTS: dict[type, Callable[[Any], tuple[str, str, str, str]]] = {
    ev.IntentPlanned: _intent,
    ev.FillReported: _fill,
    ev.Denied: _denied,
    ev.Reconciled: _reconciled,
    ev.ResendPlanned: lambda f: ("resend", "", f"{_short(f.client_order_id)}: the same order under the same id", WARN),
    ev.IntentUnknown: lambda f: ("unknown", "", f"{_short(f.client_order_id)}: {f.reason}; looking it up", WARN),
    ev.IntentRefused: lambda f: ("rejected", "", f"{_short(f.client_order_id)}: {f.reason}", BAD),
    ev.IntentVoided: lambda f: ("void", "", f"{_short(f.client_order_id)}: {f.reason}", WARN),
    ev.IntentDisputed: lambda f: ("disputed", "", f"{_short(f.client_order_id)}: {f.reason}", BAD),
    ev.CancelPlanned: lambda f: ("cancel", "", f"order {_short(f.order_id)}: {f.reason}", WARN),
    ev.Adjusted: lambda f: ("adjusted", f.symbol, f"quantity set to {render.qty(f.qty)}: {f.cause}", WARN),
    ev.Degraded: lambda f: ("degraded", "", f"{f.name}: {f.reason}; no entries until it works", BAD),
    ev.Restored: lambda f: ("restored", "", f"{f.name} works again", GOOD),
    ev.TradingHalted: lambda f: ("halted", "", f"no entries: {f.source}: {f.reason}", WARN),
    ev.TradingResumed: lambda f: ("resumed", "", f"{f.source}: {f.reason}", GOOD),
    ev.ExitRequested: lambda f: ("leave", "" if f.symbol == ev.ALL else f.symbol, f.reason, WARN),
    ev.Adopted: lambda f: ("adopted", f.symbol, f"{render.qty(f.qty)} @ {render.price(f.price)}: {f.reason}", WARN),
    ev.IntentResolved: lambda f: ("resolved", "", f"{_short(f.client_order_id)}: {f.verdict}: {f.reason}", WARN),
    ev.RequestTaken: lambda f: ("asked", "", f"{f.kind}: {f.answer}", STRONG),
    ev.PlanChanged: lambda f: ("plan", "", ", ".join(f"{k} {a:.16} to {b:.16}" for k, (a, b) in f.changes.items()), ""),
}

#: What a reconciliation does, besides noting differences.
_ACTIONS = (
    ev.FillReported, ev.IntentPlanned, ev.ResendPlanned, ev.IntentVoided, ev.IntentDisputed, ev.CancelPlanned,
    ev.Adjusted,
)  # fmt: skip
#: Told with --quiet as well.
_ALWAYS: frozenset[type] = frozenset(
    {
        ev.Reconciled,
        ev.IntentRefused,
        ev.IntentDisputed,
        ev.IntentUnknown,
        ev.IntentVoided,
        ev.CancelPlanned,
        ev.Adjusted,
        ev.Degraded,
        ev.Restored,
        ev.TradingHalted,
        ev.TradingResumed,
        ev.ExitRequested,
        ev.Adopted,
        ev.IntentResolved,
        ev.RequestTaken,
    }
)
