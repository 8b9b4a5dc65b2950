"""What learners cost: a tick with each of them, against the same tick without; and a year of outcomes.

The chooser, which is a strategy, is held against one of those that it chooses among.
Each learner that is registered and installed joins by itself; what needs an extra that is not there is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from msgspec.structs import replace

from bench.deciding import AT, FIVE, market
from bench.memory import resident_kib
from bench.rows import Row, medians, row, skipped
from bench.timing import Step, interleave, timed
from gambler_ai import learners
from gambler_ai.app.assembly import learners_of
from gambler_ai.core import events as ev
from gambler_ai.core.components import Component
from gambler_ai.core.engine import Engine
from gambler_ai.core.learning import CHOOSER, LearningRules, Outcome
from gambler_ai.core.model import Account, BarFrame, Instrument, MarketView, Proposal, Side, Trade, round_price
from gambler_ai.core.risk import RiskLimits
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.errors import ConfigError
from gambler_ai.learners.adviser import Panel
from gambler_ai.learners.choices import PREDICTED, REGIME, STRATEGY
from gambler_ai.learners.regimes import REGIMES
from gambler_ai.strategies import loader
from gambler_ai.strategies.base import Strategy
from gambler_ai.strategies.momentum import Momentum

SIZES = (10, 500)
#: Outcomes before a learner's ticks are measured: enough that each of them speaks.
TAUGHT = 60
#: A year as `bench/year.py` has it, and its second month.
MONTH, TRIPS, DAYS = 21, 19, 252
MEMORY_GOAL, PACE_GOAL = 1.1, 1.25
US = 1e3


def ticks(_folder: Path, rounds: int) -> Iterator[Row]:
    """A scan of all symbols through the engine: signals, scores, sizes, intents. One symbol in fifty is entered."""
    for size in SIZES:
        frame = market(size)[0].frame
        for name in learners.KNOWN:
            try:
                made = _one(name)
            except ConfigError as error:
                yield skipped(f"tick: with {name}, {size:,} symbols", error.message)
                continue
            teach(name, made[0], TAUGHT)
            yield _tick(name, made[0], frame, max(5, rounds // 3))
        yield _choosing(frame, max(5, rounds // 3))


def _tick(name: str, learner: Component, frame: BarFrame, rounds: int) -> Row:
    planned: dict[bool, int] = {}

    def scan(*, heard: bool) -> Step:
        engine, event = _ready(frame, {name: learner} if heard else {})

        def step() -> None:
            facts = engine.step(event).facts
            planned[heard] = sum(isinstance(fact, ev.IntentPlanned) for fact in facts)

        return step

    took, least = interleave(lambda: scan(heard=True), lambda: scan(heard=False), rounds)
    assert planned[True] == planned[False] > 0, f"{planned}: they only watch"
    text = f"{planned[True]} entries, {1e3 * (np.median(took) - np.median(least)) / planned[True]:,.0f} us each"
    what = f"tick: with {name}, {len(frame.symbols):,} symbols"
    return medians(what, [t * US for t in took], [t * US for t in least], "us", note=text)


def _choosing(frame: BarFrame, rounds: int) -> Row:
    """By lot, as it does until it has beaten its rivals; against one of those that it chooses among."""
    took, least = interleave(lambda: _scan(frame, _chooser()), lambda: _scan(frame, Momentum()), rounds)
    what = f"tick: chooser of three, {len(frame.symbols):,} symbols, over momentum alone"
    return medians(what, [t * US for t in took], [t * US for t in least], "us")


def _scan(frame: BarFrame, strategy: Strategy) -> Step:
    memory = {component.name: component for component in strategy.components()}
    if CHOOSER in memory:
        teach(CHOOSER, memory[CHOOSER], TAUGHT)
    engine, event = _ready(frame, memory, strategy)
    return lambda: engine.step(event)


def _chooser() -> Strategy:
    return loader.load(CHOOSER, {}).strategy


def _ready(
    frame: BarFrame, memory: Mapping[str, Component], strategy: Strategy | None = None
) -> tuple[Engine, ev.BarsClosed]:
    """An engine that has read its broker, and a scan. ``memory`` is of learners, or of ``strategy``."""
    state = _state(frame.symbols, LearningRules(() if strategy else tuple(memory)))
    known = {symbol: Instrument(symbol) for symbol in frame.symbols}
    adviser = Panel(state, memory) if memory and strategy is None else None
    engine = Engine(
        state, strategy or Momentum(), RiskLimits(bar_interval=FIVE), known, lambda _ids: set(),
        MappingProxyType(dict(memory)), adviser,
    )  # fmt: skip
    clock = ev.MarketReport(AT, is_open=True, next_open=AT + timedelta(days=1), next_close=AT + timedelta(hours=6))
    engine.step(ev.BrokerReported(AT, ev.BrokerReport(clock, state.account, (), (), (), {}, {}, ()), reconcile=False))
    closes = frame.close[-1]
    trades = {s: Trade(s, round_price(Decimal(str(closes[i]))), AT) for i, s in enumerate(frame.symbols)}
    return engine, ev.BarsClosed(AT, frame, trades)


def _state(symbols: tuple[str, ...], rules: LearningRules) -> SessionState:
    plan = Plan(
        symbols=symbols, duration_s=3600.0, interval_s=60.0, checkpoint_interval_s=30.0, timeframe_s=300,
        strategy="momentum", stop_loss_pct=Decimal(2), take_profit_pct=Decimal(4), position_size=Decimal(1_000),
        keep_checkpoints=100, speed=0.0, feed="iex", learning=rules,
    )  # fmt: skip
    state = SessionState(session_id="s", account_id="a", plan=plan, started_at=AT, last_at=AT)
    money = Decimal(1_000_000)
    state.account = Account(cash=money, equity=money, portfolio_value=money, buying_power=money)
    state.initial_equity = money
    return state


# -- a year ---------------------------------------------------------------------------------------


def growth(_folder: Path, rounds: int) -> Iterator[Row]:
    """A year's outcomes, told and stored one by one as a session does: pace and memory at the end, and early."""
    days = max(3 * MONTH, min(rounds, DAYS))
    for name in (*learners.KNOWN, CHOOSER):
        try:
            [learner] = _one(name)
        except ConfigError as error:
            yield skipped(f"a year of outcomes for {name}", error.message)
            continue
        yield from _lived(name, learner, days)


def _lived(name: str, learner: Component, days: int) -> Iterator[Row]:
    facts = lessons(name, 200)
    took: list[float] = []
    early_kib = 0
    for number in range(days * TRIPS):
        fact = facts[number % len(facts)]
        took.append(timed(partial(_lesson, learner, fact)))
        if number == 2 * MONTH * TRIPS:
            early_kib = resident_kib(os.getpid()) or 0
    month = MONTH * TRIPS
    late, early = took[-month:], took[month : 2 * month]
    note = f"{len(learner.dump()):,} bytes stored"
    yield medians(f"an outcome for {name}: last month, over the second", [t * US for t in late],
                  [t * US for t in early], "us", PACE_GOAL, note)  # fmt: skip
    last_kib = resident_kib(os.getpid()) or 0
    if not early_kib or not last_kib:
        yield skipped(f"memory with {name} after {len(took):,} outcomes", "ps does not tell", MEMORY_GOAL)
        return
    what = f"memory with {name} after {len(took):,} outcomes, over {2 * month:,}"
    yield row(what, last_kib / 1024, early_kib / 1024, "MiB", MEMORY_GOAL)


def _lesson(learner: Component, fact: ev.OutcomeKnown) -> None:
    """As it comes in a session: learned, and dumped to be stored with its trade."""
    learner.apply(fact)
    learner.dump()


def teach(name: str, learner: Component, count: int) -> None:
    """Have it learn from so many outcomes."""
    for fact in lessons(name, count):
        learner.apply(fact)


def lessons(name: str, count: int) -> Sequence[ev.OutcomeKnown]:
    """Outcomes of entries on walks, with signals as the program stores them; who wins is drawn."""
    dice, found = np.random.default_rng(count), []
    frame = market(10)[0].frame
    panel = Panel(_state(frame.symbols, LearningRules((name,))), {learner.name: learner for learner in _one(name)})
    places = [(regime, strategy) for regime in REGIMES for strategy in ("momentum", "mean_reversion", "breakout")]
    for number in range(count):
        symbol = frame.symbols[number % 10]
        seen = _earlier(frame, number // 10)
        side = Side.BUY if dice.random() < 0.5 else Side.SELL
        regime, strategy = places[number % len(places)]
        words = {STRATEGY: strategy, REGIME: regime, PREDICTED: "0.500000 0.490000 0.510000"} if name == CHOOSER else {}
        proposal = Proposal(symbol, side, seen.newest_at(number % 10), "", context=words)
        signal = panel.advise(proposal, MarketView(AT, seen, {}, {})).signal
        scored = replace(signal, scores={name: round(float(dice.random()), 6)})
        pnl = round(float(dice.normal(0, 10)), 2)
        trade = Outcome(f"p-{number}", symbol, "long", AT, AT + FIVE, Decimal(str(pnl)), pnl / 10, scored)
        found.append(ev.OutcomeKnown(AT, trade))
    return found


def _one(name: str) -> list[Component]:
    """One of them, as it is before it has learned.

    Raises:
        ConfigError: what it needs is not installed.
    """
    if name == CHOOSER:
        return list(_chooser().components())[:1]
    rules = LearningRules((name,))
    learners.check(rules, "momentum")
    return learners_of(rules)


def _earlier(frame: BarFrame, bars: int) -> BarFrame:
    """The frame without its newest bars."""
    end = len(frame) - bars % (len(frame) // 2)
    return BarFrame(
        frame.symbols, frame.interval, frame.times[:end], frame.open[:end], frame.high[:end], frame.low[:end],
        frame.close[:end], frame.volume[:end],
    )  # fmt: skip
