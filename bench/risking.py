"""What the memory of risk costs a tick: applying the marks of all symbols, against keeping the marks alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from bench.deciding import SIZES
from bench.rows import Row, medians
from bench.timing import interleave
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import apply
from gambler_ai.core.model import Account, Position
from gambler_ai.core.state import Plan, SessionState

AT = datetime(2024, 1, 3, 19, 30, tzinfo=UTC)
US = 1e3


def marks(_folder: Path, rounds: int) -> Iterator[Row]:
    """A tick of so many symbols, of which ten and a tenth are held."""
    for size in SIZES:
        for held in sorted({10, size // 10}):
            yield _tick(size, held, rounds)


def _tick(size: int, held: int, rounds: int) -> Row:
    names = [f"S{i}" for i in range(size)]
    state, plain = _state(names, held), (dict[str, Decimal](), dict[str, datetime]())
    turns = [ev.Marked(AT, {n: Decimal(100) + i % 7 + turn for i, n in enumerate(names)}, {}) for turn in range(2)]
    turn = 0

    def ours() -> None:
        apply(state, turns[turn])

    def floor() -> None:
        plain[0].update(turns[turn].marks)
        plain[1].update(turns[turn].bars)

    def other() -> None:
        nonlocal turn
        turn = 1 - turn

    took, least = interleave(lambda: ours, lambda: floor, max(5, rounds), other)
    assert state.risk.equity not in (None, state.risk.stated)
    name = f"tick: risk of {held:,} positions, {size:,} symbols"
    return medians(name, [t * US for t in took], [t * US for t in least], "us")


def _state(names: list[str], held: int) -> SessionState:
    plan = Plan(
        symbols=tuple(names), duration_s=3600.0, interval_s=60.0, checkpoint_interval_s=30.0, timeframe_s=300,
        strategy="momentum", stop_loss_pct=Decimal(2), take_profit_pct=Decimal(4), position_size=Decimal(10_000),
        keep_checkpoints=100, speed=0.0, feed="iex",
    )  # fmt: skip
    state = SessionState(session_id="s", account_id="a", plan=plan, started_at=AT, last_at=AT)
    for name in names[:held]:
        state.positions[name] = Position(name, Decimal(10), Decimal(100), AT, name, "momentum")
    money = Decimal(1_000_000)
    apply(state, ev.AccountReported(AT, Account(cash=money, equity=money)))
    return state
