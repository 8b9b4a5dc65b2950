"""One input in, decisions out. `step` applies facts as it draws them; it touches nothing outside.

The shell commits ``Decisions.facts`` in one transaction and only then carries out what they allow:
an `IntentPlanned` or `ResendPlanned` may be sent, a `CancelPlanned` may be asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from gambler_ai.core import answers, control, corporate, entering, missing, recalling, reconcile, replacing, risk
from gambler_ai.core import events as ev
from gambler_ai.core import protection as prot
from gambler_ai.core.components import Component
from gambler_ai.core.evolution import apply
from gambler_ai.core.learning import Advice, Signal
from gambler_ai.core.model import Failed, Fill, Instrument, MarketView, MoveStop, Proposal, Side, new_york_day
from gambler_ai.core.options import exits, planning, prices, review
from gambler_ai.core.orders import IN_FLIGHT, OrderReport, Role, Status
from gambler_ai.core.ports import Adviser, Strategy
from gambler_ai.core.proposals import asked, chains, failure
from gambler_ai.core.settlement import settled
from gambler_ai.core.state import Changes, SessionState
from gambler_ai.core.structures import ChainQuery, OptionQuote, StructureProposal
from gambler_ai.core.watch import Watch


class Decisions(Struct):
    """What a step came to. ``look_again`` asks for another reading before a difference is acted upon."""

    facts: list[ev.Fact] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    discrepancies: tuple[ev.Discrepancy, ...] = ()
    look_again: bool = False
    quotes: Mapping[str, OptionQuote] | None = None  # of a scan: what it was told of contracts, for those who watch


class Engine:
    """State, strategy and risk. The only thing that turns inputs into facts."""

    def __init__(
        self, state: SessionState, strategy: Strategy, limits: risk.RiskLimits,
        instruments: Mapping[str, Instrument], known_ids: Callable[[set[str]], set[str]],
        memory: Mapping[str, Component] = MappingProxyType({}), adviser: Adviser | None = None,
    ) -> None:  # fmt: skip
        """``known_ids`` answers which of some client order ids have a row in this database; ``memory`` is shown to
        the strategy, ``adviser`` is heard on entries."""
        self.state = state
        self._strategy = strategy
        self._limits = limits
        self._instruments = instruments
        self._known_ids = known_ids
        self._memory = memory
        self._adviser = adviser
        self._report: ev.BrokerReport | None = None
        self._compared = False
        self._whole = True
        self._watch = Watch(state)
        self._suspects: dict[tuple[str, str, str, str], datetime] = {}  # differences of the last reading -> first seen
        self._told: frozenset[tuple[str, ...]] = frozenset()
        self._failed: list[Failed] = []  # of what the strategy was asked since the last prices
        self._out = Decisions()

    def step(self, event: ev.Input) -> Decisions:
        """Take one input; what comes of it is applied to the state and returned."""
        self._out = Decisions()
        _STEPS[type(event)](self, event)
        return self._out

    def record(self, *facts: ev.Fact) -> Decisions:
        """Facts the shell knows by itself: a run begun or ended, a plan changed."""
        self._out = Decisions()
        for fact in facts:
            self._emit(fact)
        return self._out

    @property
    def history(self) -> int:
        """Closed bars that the strategy and the risk rules want to see of each symbol."""
        advised = self._adviser.bars if self._adviser is not None else 0
        return max(self._strategy.history, self.state.plan.risk.bars, advised)

    @property
    def daily_history(self) -> int:
        """Daily bars that the strategy wants to see of each symbol."""
        return self._strategy.daily_history

    @property
    def held_contracts(self) -> tuple[str, ...]:
        """The contracts whose quotes each scan needs: those that are held, or will be."""
        return prices.contracts(self.state)

    def chains(self, at: datetime) -> list[ChainQuery]:
        """The contracts that the strategy wants to see now, of underlyings without a structure. What fails of that
        is told with the next prices."""
        found, self._failed = chains(self._strategy, prices.without_structure(self.state), new_york_day(at))
        return found

    @property
    def market(self) -> ev.MarketReport | None:
        """The broker's clock as of the last reading."""
        return self._report.market if self._report is not None else None

    @property
    def read_to(self) -> datetime | None:
        """When the broker was last read, by its own clock, if its books and ours agreed when they were compared.

        None before this process has compared them, and while something differs that an older fill may explain.
        """
        differs = any(key[0] not in reconcile.LEFT_ALONE for key in self._suspects)
        return None if self._report is None or differs or not self._compared else self._report.market.at

    def prepare(self) -> None:
        """Make ready what would else make the first decision slow."""
        if self._adviser is not None:
            self._adviser.prepare()

    def _tell(self, facts: list[ev.Fact]) -> None:
        for fact in facts:
            self._emit(fact)

    def _emit(self, fact: ev.Fact) -> None:
        changes = apply(self.state, fact)
        self._out.changes.merge(changes)
        self._out.facts.append(fact)
        for outcome in changes.outcomes:
            self._emit(ev.OutcomeKnown(fact.at, outcome))

    # -- prices -----------------------------------------------------------------------------------

    def _bars_closed(self, event: ev.BarsClosed) -> None:
        self._out.quotes = event.quotes
        self._tell(self._watch.scanned(event, self.market))
        fresh, spots = event.frame.newer_than(self.state.bars), {t.symbol: t.price for t in event.trades.values()}
        if self.market is not None and self.market.is_open:  # what is held comes first
            quotes = prices.of_today(event.quotes, event.at)
            self._leave_structures(exits.due(self.state, event.at, quotes, spots))
        held = {symbol: position.qty for symbol, position in self.state.positions.items()}
        entered = {symbol: position.entry_at for symbol, position in self.state.positions.items()}
        view = MarketView(
            event.at, event.frame, MappingProxyType(event.trades), MappingProxyType(held), MappingProxyType(entered),
            self._memory, self.state.contexts, frozenset(self.state.plan.learning.use),
            MappingProxyType(event.quotes), event.daily,
        )  # fmt: skip
        for proposal in self._proposals(view):
            if isinstance(proposal, StructureProposal):
                if proposal.underlying in fresh:
                    self._review_structure(proposal, event)
                continue
            if proposal.symbol not in fresh:
                continue
            if isinstance(proposal, MoveStop):
                self._move_stop(proposal, event.at)
            else:
                self._review(proposal, event, view)
        marks = spots | prices.marks(self.state, event.quotes)
        self._emit(ev.Marked(event.at, marks, fresh, self.state.iteration + 1))

    def _proposals(self, view: MarketView) -> list[Proposal | MoveStop | StructureProposal]:
        """What the strategy wants. What fails of it denies this scan and no more."""
        found, failed = asked(self._strategy, view, self.state.plan.symbols)
        for one in (*self._failed, *failed):
            text = f"strategy {one.name}: {one.text}"
            self._emit(ev.Denied(view.at, ev.ALL, Side.BUY, risk.Code.STRATEGY_FAILED, text))
        self._failed = []
        return found

    def _advice(self, proposal: Proposal, view: MarketView) -> Advice | risk.Denial:
        """What learners make of it; without any it goes its way, with the strategy's own words."""
        if self._adviser is None:
            return Advice(Signal(context=proposal.context, decided_at=view.at) if proposal.context else Signal())
        try:
            advice = self._adviser.advise(proposal, view)
        except (Exception, SystemExit) as error:  # a library's: an entry less, and everything else goes on
            return risk.Denial(risk.Code.LEARNER_FAILED, failure(error))
        if not advice.denial:
            return advice
        return risk.Denial(risk.Code.LEARNER_FAILED if advice.failed else risk.Code.LOW_CONFIDENCE, advice.denial)

    def _review(self, proposal: Proposal, event: ev.BarsClosed, view: MarketView) -> None:
        if proposal.exit:
            self._leave(proposal, event.at)
            return
        trade = event.trades.get(proposal.symbol)
        advice = self._advice(proposal, view)
        if isinstance(advice, Advice):
            proposal = replace(proposal, share=proposal.share * advice.share)
        verdict = risk.review(
            proposal, self.state, event.at, self._limits, self.market, self._instruments, trade, event.frame
        )
        for no in (verdict, advice):  # a limit is the better reason
            if isinstance(no, risk.Denial):
                self._emit(ev.Denied(event.at, proposal.symbol, proposal.side, no.code, no.context))
                return
        assert isinstance(verdict, risk.Approved)
        assert isinstance(advice, Advice)
        intent = entering.bracket(
            proposal, verdict, advice.signal, self.state, self._strategy.name, event.at, self._limits
        )
        self._emit(ev.IntentPlanned(event.at, intent))

    def _review_structure(self, proposal: StructureProposal, event: ev.BarsClosed) -> None:
        trade = event.trades.get(proposal.underlying)
        market = review.Market(event.at, self._limits, self.market, self._instruments, event.quotes, trade, event.frame)
        verdict = review.review(proposal, self.state, market)
        if isinstance(verdict, risk.Denial):
            self._emit(ev.Denied(event.at, proposal.underlying, Side.BUY, verdict.code, verdict.context))
        else:
            self._emit(ev.IntentPlanned(event.at, review.entry(proposal, self.state, market, verdict)))

    def _move_stop(self, wish: MoveStop, at: datetime) -> None:
        """The strategy wants the stop of what it holds closer to the price. The same wish again is nothing."""
        held = self.state.positions.get(wish.symbol)
        if held is None or held.strategy != self._strategy.name or held.stop_price == wish.stop_price:
            return
        moved: ev.IntentPlanned | str = "a strategy may bring a stop closer to the price, and no further away"
        if replacing.tightens(self.state, wish.symbol, wish.stop_price):
            moved = replacing.move(self.state, wish.symbol, Role.STOP, wish.stop_price, at, wish.reason)
        if isinstance(moved, str):
            self._emit(ev.Denied(at, wish.symbol, held.exit_side, risk.Code.BAD_STOP, moved))
        else:
            self._emit(moved)

    def _leave(self, proposal: Proposal, at: datetime) -> None:
        """The strategy wants to be out; the next reading of the broker, which is asked for, begins it."""
        on_it = [s for s in self.state.structures.values() if s.underlying == proposal.symbol and s.filled]
        self._leave_structures(
            [
                ev.ExitRequested(at, s.structure_id, proposal.reason)
                for s in on_it
                if not planning.why_left(self.state, s)
            ]
        )
        if on_it:
            return
        held = self.state.positions.get(proposal.symbol)
        if held is not None and held.strategy == self._strategy.name and not prot.why_left(self.state, held.symbol):
            self._emit(ev.ExitRequested(at, held.symbol, proposal.reason))
            self._out.look_again = True

    def _leave_structures(self, facts: list[ev.ExitRequested]) -> None:
        for fact in facts:
            self._emit(fact)
            self._out.look_again = True

    # -- the broker's answers ---------------------------------------------------------------------

    def _submit_answered(self, event: ev.SubmitAnswered) -> None:
        self._order_seen(event.at, event.report)

    def _submit_refused(self, event: ev.SubmitRefused) -> None:
        fact = answers.refused(self.state, event)
        if fact is not None:
            self._emit(fact)

    def _submit_unanswered(self, event: ev.SubmitUnanswered) -> None:
        record = self.state.intents.get(event.client_order_id)
        if record is not None and record.status in IN_FLIGHT:
            self._emit(ev.IntentUnknown(event.at, event.client_order_id, event.reason))
        self._tell(self._watch.limited(event.at, event.limited_until))

    def _cancel_answered(self, event: ev.CancelAnswered) -> None:
        """Nothing to book: the order's own report says what came of it. A refused one was too late, so look soon."""
        self._out.look_again |= bool(event.refused)

    def _broker_failed(self, event: ev.BrokerFailed) -> None:
        self._tell(self._watch.failed(event))

    def _timer(self, event: ev.TimerElapsed) -> None:
        """Time passed; what is due is the shell's to ask for."""

    def _woken(self, event: ev.Woken) -> None:
        """Nothing is known by it but that the stream tells; the shell looks sooner."""
        self._tell(self._watch.heard(event))

    def _stream_changed(self, event: ev.StreamChanged) -> None:
        """A stream that is up may still be deaf, and one that is down is looked for by polling."""

    def _stream_silent(self, event: ev.StreamSilent) -> None:
        self._tell(self._watch.silent(event))

    # -- what people ask --------------------------------------------------------------------------

    def _stop(self, event: ev.StopRequested) -> None:
        if not self.state.stopping:
            self._emit(event)

    def _requested(self, event: ev.Requested) -> None:
        for fact in control.take(self.state, event.request, event.at, self._report, self._limits.elsewhere):
            self._emit(fact)
        self._out.look_again = True

    def _halt_file(self, event: ev.HaltFileSeen) -> None:
        if event.reason is not None and ev.HALT_FILE not in self.state.halts:
            self._emit(ev.TradingHalted(event.at, ev.HALT_FILE, event.reason))
        elif event.reason is None and ev.HALT_FILE in self.state.halts:
            self._emit(ev.TradingResumed(event.at, ev.HALT_FILE, "the file is gone"))

    def leave_all(self, at: datetime, why: str) -> Decisions:
        """Ask for everything to be closed, unless that is asked for already."""
        return self.record() if ev.ALL in self.state.exits else self.record(ev.ExitRequested(at, ev.ALL, why))

    def cancel_entries(self, at: datetime, why: str) -> Decisions:
        """Ask for a cancel of each entry that rests; protection is not touched."""
        return self.record(*prot.entry_cancels(self.state, at, why))

    def cancel_limit_entries(self, at: datetime, why: str) -> Decisions:
        """The same for those that wait for a price."""
        return self.record(*prot.limit_entry_cancels(self.state, at, why))

    # -- a whole reading --------------------------------------------------------------------------

    def _broker_reported(self, event: ev.BrokerReported) -> None:
        state, report, at = self.state, event.report, event.at
        self._whole = self.read_to is None  # else fills of long ago were not asked for
        self._report = report
        self._tell(self._watch.read(event))
        opened = self._day(at, report)
        self._splits(at, report)
        self._orders_seen(at, report)
        for fill in reconcile.unbooked_fills(state, report):
            self._book(at, fill)
        self._splits(at, report)  # those that fills from before them had hidden
        self._tell([*settled(state, at, report)])  # after the fills, before anything is compared
        for fact in missing.settle(state, at, report):
            self._emit(fact)
        for action in corporate.noted(state, at, report):
            self._emit(action)
        self._account(event, opened=opened)
        if event.reconcile:
            self._reconcile(at, report)
        frozen = corporate.frozen(state, at, report)
        theirs = {p.symbol: p.qty for p in report.positions if p.symbol not in frozen}
        for item in reconcile.bare(state, market_open=report.market.is_open):
            if prot.is_there(state.positions[item.symbol], theirs):  # acted upon at once, so told at once
                self._note(at, item)
        if not all(prot.is_there(p, theirs) for p in state.positions.values()):
            self._out.look_again |= not event.reconcile
        for step in prot.plan(state, at, report.market.is_open, theirs):
            self._emit(step)
        if report.market.is_open:
            self._leave_structures(exits.overdue(state, at))
        for done in planning.plan(state, at, report.market.is_open, theirs):
            self._emit(done)
        for symbol in prot.left(state):
            self._emit(ev.ExitDone(at, symbol))

    def _splits(self, at: datetime, report: ev.BrokerReport) -> None:
        for split in corporate.splits(self.state, at, report):
            self._emit(split)

    def _orders_seen(self, at: datetime, report: ev.BrokerReport) -> None:
        """All that is ours in a reading, oldest first: an order before the one that took its place."""
        asked = (r for r in (*report.lookups.values(), *report.by_id.values()) if r is not None)
        strangers = self._strangers(report) if recalling.is_on(self.state) else set()
        for order in sorted((*report.orders, *asked), key=lambda r: r.submitted_at):
            for one in (order, *order.legs):  # a leg by itself too: it may have an id of ours, or a parent of anothers
                if one.client_order_id in strangers:
                    self._recall(at, one, report)
                self._order_seen(at, one)

    def _strangers(self, report: ev.BrokerReport) -> set[str]:
        """Ids in a reading that neither the state nor a row of this database knows."""
        shown = {r.client_order_id for order in report.orders for r in (order, *order.legs)} - self.state.intents.keys()
        return shown - self._known_ids(shown) if shown else set()

    def _recall(self, at: datetime, order: OrderReport, report: ev.BrokerReport) -> None:
        """Take an order back that restored books do not know; what was held when it was sent counts its ordinal."""
        for fill in reconcile.unbooked_fills(self.state, report):
            if fill.at <= order.submitted_at:
                self._book(at, fill)
        for fact in recalling.recall(self.state, at, order, report):
            self._emit(fact)

    def _book(self, at: datetime, fill: Fill) -> None:
        """Book a fill. An exit for more than was held has turned the position: told, and taken out at once."""
        role = self.state.orders[fill.order_id].role
        self._emit(ev.FillReported(at, fill))
        held = self.state.positions.get(fill.symbol)
        if role is Role.ENTRY or held is None or (held.qty > 0) != (fill.side is Side.BUY):
            return
        self._note(at, ev.Discrepancy(
            kind=reconcile.Kind.EXIT_TWICE, symbol=fill.symbol, ours="0", broker=f"{held.qty:f}",
            cause="exits for more than was held were filled", action="closed at market", order_id=fill.order_id,
        ))  # fmt: skip
        if not prot.why_left(self.state, held.structure_id or fill.symbol):
            self._emit(ev.ExitRequested(at, held.structure_id or fill.symbol, "its exits were filled twice"))

    def _day(self, at: datetime, report: ev.BrokerReport) -> bool:
        """Whether this is the first reading of a market day."""
        day = report.market.next_close.date().isoformat()
        if not report.market.is_open or day == self.state.day:
            return False
        self._emit(ev.DayOpened(at, day))
        if ev.DAILY_LOSS in self.state.halts:
            self._emit(ev.TradingResumed(at, ev.DAILY_LOSS, f"another day, {day}"))
        return True

    def _account(self, event: ev.BrokerReported, *, opened: bool) -> None:
        """The broker's prices, then its money: told together they say how much of it is still open with us."""
        state, account, at = self.state, event.report.account, event.at
        if not (opened or event.reconcile or account.cash != state.account.cash):
            return
        self._mark(at, event.report)
        if account != state.account:
            self._emit(ev.AccountReported(at, account))
        loss = risk.daily_loss(state) if event.report.market.is_open else ""
        if loss and ev.DAILY_LOSS not in state.halts:
            self._emit(ev.TradingHalted(at, ev.DAILY_LOSS, loss))
        deep = risk.too_deep(state, state.risk.stated_drawdown_pct)
        if deep and ev.DRAWDOWN not in state.halts:
            self._emit(ev.TradingHalted(at, ev.DRAWDOWN, deep))

    def _mark(self, at: datetime, report: ev.BrokerReport) -> None:
        """The broker's own prices for what we hold, so that marks and its equity tell the same."""
        prices = {p.symbol: p.current_price for p in report.positions if p.symbol in self.state.positions}
        moved = {s: v for s, v in self._watch.believed(prices).items() if v != self.state.marks.get(s)}
        if moved:
            self._emit(ev.Marked(at, moved, {}))

    def _order_seen(self, at: datetime, report: OrderReport) -> None:
        for item in answers.seen(self.state, at, report):
            if isinstance(item, ev.Discrepancy):
                self._note(at, item)
            else:
                self._emit(item)

    def _reconcile(self, at: datetime, report: ev.BrokerReport) -> None:
        strangers = {o.client_order_id for o in report.orders if o.client_order_id not in self.state.intents}
        known = self._known_ids(strangers) if strangers else set()
        found = [
            d for d in reconcile.diff(self.state, report, known) if self._whole or d.kind not in reconcile.BY_ABSENCE
        ]
        frozen = corporate.frozen(self.state, at, report)
        found = [
            replace(d, action=_FROZEN) if d.kind == reconcile.Kind.LEG_MISSING and d.symbol in frozen else d
            for d in found
        ]
        confirmed = [d for d in found if d.key in self._suspects]
        keys = {d.key: self._suspects.get(d.key, at) for d in found}
        self._out.discrepancies = tuple(found)
        self._out.look_again = bool(keys.keys() - self._suspects.keys())
        unasked = {key: since for key, since in self._suspects.items() if key[2] in report.waiting}
        self._compared = True
        self._suspects = unasked | keys  # one that nobody asked for is neither there nor gone
        foreign = reconcile.foreign_quantities(self.state, at, report)
        if foreign is not None:
            self._emit(foreign)
        sure = [d for d in confirmed if reconcile.may_act(d, keys[d.key], at)]
        for fact in reconcile.heal(self.state, at, report, sure):
            self._emit(fact)
        for item in sure:
            if item.kind == reconcile.Kind.ORDER_GONE:
                self._dispute_gone(at, item)
        for item in confirmed:
            self._note(at, item)
        self._told &= keys.keys()

    def _dispute_gone(self, at: datetime, item: ev.Discrepancy) -> None:
        record = self.state.intents.get(item.order_id)
        if record is not None and record.status is not Status.DISPUTED:
            self._emit(ev.IntentDisputed(at, item.order_id, item.cause))

    def _note(self, at: datetime, item: ev.Discrepancy) -> None:
        """Write a difference down once, not at each reading that still shows it."""
        if item.key not in self._told:
            self._told |= {item.key}
            self._emit(ev.Reconciled(at, (item,)))


#: What is done about a bare position in a symbol with a split that is announced and does not show yet.
_FROZEN = "NAKED: nothing is sent before its split shows"

_STEPS: dict[type, Callable[[Engine, Any], None]] = {
    ev.BarsClosed: Engine._bars_closed,
    ev.BrokerReported: Engine._broker_reported,
    ev.BrokerFailed: Engine._broker_failed,
    ev.SubmitAnswered: Engine._submit_answered,
    ev.SubmitRefused: Engine._submit_refused,
    ev.SubmitUnanswered: Engine._submit_unanswered,
    ev.CancelAnswered: Engine._cancel_answered,
    ev.TimerElapsed: Engine._timer,
    ev.StopRequested: Engine._stop,
    ev.Requested: Engine._requested,
    ev.HaltFileSeen: Engine._halt_file,
    ev.Woken: Engine._woken,
    ev.StreamChanged: Engine._stream_changed,
    ev.StreamSilent: Engine._stream_silent,
}
