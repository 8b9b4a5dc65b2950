"""A year of learning on real daily bars: the real program in virtual time, every learner watching the same trades.

    python -m bench.learning_year --learners signal,attention --strategy momentum --days 252 > year.json

Prices are the shipped daily bars of 2012-03-01 to 2013-03-01, spread into minutes by the exchange's bridge, which knows
nothing of any strategy. So within a day there is nothing to be learned but what the bridge does by accident, and a
yardstick that is honest says so. Nobody is heard: each learner only watches, so that all are judged on all trades.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from gambler_ai.app.assembly import learners_of
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.simulation.disk import Disk
from gambler_ai.simulation.process import Process
from gambler_ai.simulation.universe import Universe
from gambler_ai.simulation.wire import Line, Wire
from gambler_ai.storage.database import Database
from gambler_ai.strategies import Strategy, loader
from gambler_ai.trading.recall import recall

SESSION = "learning-year"
START = datetime(2012, 3, 1, 14, 30, tzinfo=UTC)
SYMBOLS = ("AAPL", "GOOGL", "IBM", "MSFT")
DAY_MINUTES = 390
#: The network's round trip in virtual seconds.
LATENCY_S = 0.02


def main() -> int:
    """Play it, and print what each learner came to."""
    asked = options()
    with tempfile.TemporaryDirectory(prefix="learning-year-") as name:
        found = played(Path(name), asked)
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    return 0


def played(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """What the learners, and a strategy that chooses, know at the end."""
    loaded = loader.load(asked.strategy, dict(text.split("=", 1) for text in asked.set))
    plan = _plan(asked, loaded)
    universe = Universe(START, 0.0)
    exchange = Exchange.open(None, start=START, seed=asked.seed, account=SESSION, clock=universe.market)
    line = Line(Wire(exchange, universe, _unheard), lambda: LATENCY_S, lambda *_: None)
    disk = Disk(None, _unheard, lambda: universe.monotonic_s)
    process = Process(universe, exchange, line, disk, folder, loaded.strategy, lambda: 0.0)
    try:
        process.start(SESSION, plan)
        state = process.state
        assert state is not None
        components = _known(process.database, state, loaded.strategy)
        return {
            "days": asked.days, "trades": state.closed_trades, "realized_pnl": str(state.realized_pnl),
            "learners": [msgspec.to_builtins(c.describe()) for c in components],
        }  # fmt: skip
    finally:
        process.close()
        exchange.close()


def _known(database: Database, state: SessionState, strategy: Strategy) -> list[Any]:
    """Those that learn, as they are stored."""
    components = [*strategy.components(), *learners_of(state.plan.learning)]
    memory = recall(database, state, components)
    return [memory.view[c.name] for c in components if hasattr(c, "describe")]


def _plan(asked: argparse.Namespace, loaded: loader.Loaded) -> Plan:
    return Plan(
        symbols=SYMBOLS, duration_s=asked.days * DAY_MINUTES * 60.0, interval_s=float(asked.timeframe_s),
        checkpoint_interval_s=1800.0, timeframe_s=asked.timeframe_s, strategy=loaded.spec,
        strategy_name=loaded.strategy.name, strategy_parameters=loaded.parameters, stop_loss_pct=Decimal("0.5"),
        take_profit_pct=Decimal("0.5"), position_size=Decimal(10_000), keep_checkpoints=5, speed=0.0, feed="iex",
        when_closed="wait", learning=LearningRules(learners=tuple(asked.learners.split(",")) if asked.learners else ()),
    )  # fmt: skip


def _unheard(_text: str) -> None:
    """Nobody reads the trace of a year."""


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.learning_year", description=__doc__.partition("\n")[0])
    parser.add_argument("--learners", default="attention", help="names, with commas")
    parser.add_argument("--strategy", default="momentum")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the strategy")
    parser.add_argument("--days", type=int, default=252)
    parser.add_argument("--timeframe-s", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
