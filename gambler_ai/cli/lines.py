"""A runner's life as lines, on a terminal or in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from enum import Enum

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gambler_ai import __version__
from gambler_ai.app.notices import Notice
from gambler_ai.app.venue import EMBEDDED, Venue
from gambler_ai.cli import render, words
from gambler_ai.cli.render import GOOD, QUIET, STRONG, WARN
from gambler_ai.cli.report import PROTECTION_STYLES, catch_up_lines, print_report
from gambler_ai.cli.show import held_line, learners_line, limits_line, strategy_line, symbols_word
from gambler_ai.cli.structure_rows import GUARDED, position_legs, structure_rows, trade_line
from gambler_ai.core import degraded
from gambler_ai.core import events as ev
from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.engine import Decisions
from gambler_ai.core.model import ClosedTrade
from gambler_ai.core.protection import protections
from gambler_ai.core.state import OPTIONS, Plan, SessionState
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.recovery import Restored

#: Why a run ends that only compared.
RECONCILED = "reconciled"
#: Every so many checkpoints one is mentioned, as a sign of life.
MENTION_EVERY = 10


class Detail(Enum):
    """How much is told: everything, what is not in the live view anyway, or what a person has to know."""

    FULL = "full"
    BESIDE_LIVE = "beside live"
    QUIET = "quiet"


class LineWatcher:
    """Tells what a session does, a line each."""

    def __init__(
        self, out: Console, closed: Callable[[str], list[ClosedTrade]], *, resume_command: str, detail: Detail
    ) -> None:
        """``closed`` reads a session's round trips for the report; ``resume_command`` wants an id behind it."""
        self._out = out
        self._closed = closed
        self._detail = detail
        self._quiet = detail is Detail.QUIET
        self._resume_command = resume_command
        self._differences = 0
        self._is_stopping = False

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
            self._out.print(render.pair("Market time", f"{day} New York, {render.pace(venue.speed)}"))
            if venue.kind == EMBEDDED:
                self._out.print(render.pair("Day", "chosen for its moves of 2 %, which are rare on an average one"))
        self._out.print(render.pair("Database", database))

    def created(self, state: SessionState) -> None:
        if self._quiet:
            return
        plan = state.plan
        self._out.print(render.pair("Session", state.session_id, STRONG))
        self._out.print(render.pair(symbols_word(plan), ",".join(plan.symbols)))
        self._out.print(render.pair("Strategy", strategy_line(plan)))
        if learning := learners_line(plan):
            self._out.print(render.pair("Learners", learning))
        self._out.print(render.pair("Plan", _plan_line(plan)))
        if plan.universe == OPTIONS:
            self._out.print(render.pair("Limits", limits_line(plan)))
            self._out.print(render.pair("GUARDED", f"each structure is {GUARDED}", WARN))

    def resumed(self, info: SessionInfo, restored: Restored) -> None:
        state, checkpoint = restored.state, restored.checkpoint
        for line in restored.broken:
            self._out.print(Text(f"Checkpoint {line}; the one before it is used", WARN))
        self._out.print(Text(f"Resumed session: {info.id}", STRONG))
        self._line("Started", render.day_time(info.started_at))
        self._line(symbols_word(state.plan), ",".join(state.plan.symbols))
        if state.plan.universe == OPTIONS:
            self._line("Strategy", strategy_line(state.plan))
            self._line("Limits", limits_line(state.plan))
        if learning := learners_line(state.plan):
            self._line("Learners", learning)
        self._out.print(f"Loaded {len(state.positions)} positions from database")
        if checkpoint is None:
            self._out.print(f"No checkpoint yet: restored from {restored.replayed} journal rows")
        else:
            when = render.day_time(checkpoint.at)
            self._out.print(
                f"Restored from checkpoint created at {when}, and {restored.replayed} journal rows after it"
            )
        self._line("Active positions", held_line(state))
        self._line("Cash", render.dollars(state.account.cash))
        self._line("Iteration", f"{state.iteration:,}")
        self._line("Closed trades", str(state.closed_trades))
        if checkpoint is not None:
            self._line("Checkpoint", f"#{checkpoint.number}, {render.day_time(checkpoint.at)}")
        self._line("Last known portfolio value", render.dollars(state.account.portfolio_value))
        self._line("Remaining", render.span(timedelta(seconds=state.remaining_s or state.plan.duration_s)))

    def noted(self, notice: Notice) -> None:
        self._out.print(Text(render.printable(words.notice(notice)), WARN))

    def planned(self, found: Collection[ev.Discrepancy], facts: Collection[ev.Fact]) -> None:
        if not found:
            self._out.print(Text("Books and broker agree. Nothing was changed.", GOOD))
        else:
            self._out.print(Text(f"{len(found)} differences; nothing was changed:", WARN))
            for item in found:
                self._out.print(Text(render.printable(words.discrepancy(item))))
        would = [told for fact in facts if words.is_action(fact) for told in words.told(fact)]
        if would:
            self._out.print(Text("A reconciliation would", STRONG))
        for told in would:
            self._out.print(Text.assemble("  ", (f"{told.word:<9}", told.style), f"{told.symbol:<6}", told.text))

    # -- while it runs ----------------------------------------------------------------------------

    def started(self, state: SessionState) -> None:
        for row in structure_rows(state, state.last_at):
            name = f"  {row.underlying} {row.name} {row.legs} x{row.units}  "
            why = render.printable(f"  {row.why}")
            self._out.print(Text.assemble(render.printable(name), (row.status, row.style), (why, QUIET)))
        legs = position_legs(state)
        for position, status, why in protections(state):
            if position.symbol in legs:
                continue
            text = f"{position.symbol} {render.qty(position.qty)} @ {render.price(position.avg_entry_price)}"
            self._out.print(
                Text.assemble(f"  {text}  ", (status.value, PROTECTION_STYLES[status]), (f"  {why}", QUIET))
            )
        for source, why in sorted(state.halts.items()):
            self._out.print(Text(f"  Halted, no entries: {source}: {why}", WARN))
        for name, why in sorted(state.degraded.items()):
            self._out.print(Text(render.printable(f"  Degraded: {name}: {why}; {degraded.consequence(name)}"), WARN))
        for symbol, amount in sorted(state.foreign.items()):
            self._out.print(Text(f"  {symbol} {render.qty(amount)} not ours: left alone, no entries in it", WARN))
        if not self._quiet:
            self._out.print()

    def took(self, decisions: Decisions, state: SessionState) -> None:
        self._differences += sum(isinstance(fact, ev.Reconciled) for fact in decisions.facts)
        for fact in decisions.facts:
            if self._wants(fact):
                for told in words.told(fact, state):
                    self._say(words.instant(fact), told)
        for trade in decisions.changes.closed:
            self._say_closed(trade)

    def _wants(self, fact: ev.Fact) -> bool:
        if self._detail is Detail.QUIET:
            return words.is_needed(fact)
        return self._detail is Detail.FULL or not isinstance(fact, ev.Denied)

    def ticked(self, state: SessionState, at: datetime) -> None:
        """Lines are for what happens; time passing is none."""

    def checkpointed(self, info: CheckpointInfo) -> None:
        if info.number % MENTION_EVERY == 0 and not self._is_stopping and self._detail is Detail.FULL:
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
            text = render.printable(f"{change.stream}: {change.reason}")
            self._say(change.at, words.Told("stream", "", text, "" if change.up else WARN))

    def stopping(self, reason: str) -> None:
        self._is_stopping = True  # the last checkpoint is told of in a line of its own
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
        print_report(self._out, state, self._closed(state.session_id))
        if state.status != "completed":
            self._out.print()
            self._out.print(render.pair("Resume with", f"{self._resume_command} {state.session_id}", STRONG))

    def _say(self, at: datetime, told: words.Told) -> None:
        line = words.line(at, told)
        if not self._out.is_terminal or line.cell_len <= self._out.width:
            self._out.print(line)
            return
        rows = Table.grid()  # what does not fit goes on below its own column
        rows.add_row(line[: -len(told.text)], Text(told.text))
        self._out.print(rows)

    def _say_closed(self, t: ClosedTrade) -> None:
        text = Text.assemble(
            (f"{render.clock_time(t.exit_at)}  ", QUIET), (f"{'closed':<9}", STRONG), f"{t.symbol:<6}",
            f"{trade_line(t)}  ",
            (render.money(t.pnl, sign=True), render.pnl_style(t.pnl)),
            f"  {t.reason}, held {render.span(t.duration)}",
        )  # fmt: skip
        self._out.print(text)

    def _line(self, name: str, value: str) -> None:
        self._out.print(f"  {name}: {value}")


def _agreement(differences: int) -> Text:
    if not differences:
        return Text("Books and broker agree.", GOOD)
    return Text(f"{differences} differences, each explained above and stored.", WARN)


def _plan_line(plan: Plan) -> str:
    length = render.span(timedelta(seconds=plan.duration_s))
    scans = f" and every {plan.autosave_iterations} scans" if plan.autosave_iterations else ""
    return (
        f"{length} of market time, scan every {plan.interval_s:g} s, checkpoint every {plan.checkpoint_interval_s:g} s"
        f"{scans}"
    )
