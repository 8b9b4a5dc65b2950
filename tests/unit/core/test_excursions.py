"""How far a round trip went against us and for us: by marks between its two ends, and across splits."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gambler_ai.core.excursions import Excursion, ExcursionFold
from gambler_ai.core.model import ClosedTrade
from tests.unit.fakes import AT, after

D = Decimal


def trade(**changes: Any) -> ClosedTrade:
    """Bought at 100 at `AT`, sold at 101 an hour later."""
    fields: dict[str, Any] = {
        "position_id": "p", "symbol": "AAPL", "side": "long", "qty": D(10), "entry_price": D(100), "entry_at": AT,
        "exit_price": D(101), "exit_at": after(hours=1), "pnl": D(10), "reason": "target", "strategy": "momentum",
    }  # fmt: skip
    return ClosedTrade(**fields | changes)


def seen(trades: list[ClosedTrade], *marks: tuple[float, str, str]) -> list[tuple[float, float]]:
    """Excursions, in percent, after marks of (minute, symbol, price)."""
    fold = ExcursionFold(trades)
    for minute, symbol, price in marks:
        fold.mark(after(minutes=minute), {symbol: D(price), "IBM": D(1)})
    return [(round(e.adverse * 100, 9), round(e.favourable * 100, 9)) for e in fold.excursions() if e is not None]


def test_the_lowest_and_the_highest_mark_between_entry_and_exit_count():
    marks = ((-1, "AAPL", "10"), (0, "AAPL", "98"), (5, "MSFT", "50"), (30, "AAPL", "107"), (61, "AAPL", "200"))
    assert seen([trade()], *marks) == [(-2.0, 7.0)]


def test_a_mark_at_the_exit_counts_and_so_do_entry_and_exit_themselves():
    assert seen([trade()], (60, "AAPL", "103")) == [(0.0, 3.0)]
    assert seen([trade()]) == [(0.0, 1.0)]
    assert seen([trade(exit_price=None)]) == [(0.0, 0.0)]


def test_a_short_is_hurt_by_what_rises():
    assert seen([trade(side="short")], (5, "AAPL", "104"), (6, "AAPL", "97")) == [(-4.0, 3.0)]
    [still] = ExcursionFold([trade(side="short", exit_price=D(100))]).excursions()
    assert str(still) == str(Excursion(0.0, 0.0))  # and no minus zero


def test_each_of_several_sees_its_own_time_and_symbol():
    trades = [
        trade(exit_at=after(minutes=10), exit_price=D(100)),
        trade(entry_at=after(minutes=20), exit_price=D(100)),
        trade(symbol="MSFT", exit_price=D(100)),
    ]
    marks = ((5, "AAPL", "99"), (15, "AAPL", "50"), (25, "AAPL", "102"), (30, "MSFT", "110"))
    assert seen(trades, *marks) == [(-1.0, 0.0), (0.0, 2.0), (0.0, 10.0)]


def test_marks_from_before_a_split_are_brought_to_what_prices_are_after_it():
    """Two for one: entered at 200, which the books call 100 since."""
    fold = ExcursionFold([trade()])
    fold.mark(after(minutes=5), {"AAPL": D(190)})
    fold.mark(after(minutes=6), {"AAPL": D(206)})
    fold.split(after(minutes=10), "AAPL", 2, 1)
    fold.split(after(minutes=10), "MSFT", 3, 1)
    fold.mark(after(minutes=15), {"AAPL": D(98)})
    [found] = fold.excursions()
    assert found is not None
    assert found.adverse == pytest.approx(-0.05)
    assert found.favourable == pytest.approx(0.03)


def test_only_symbols_that_are_held_matter():
    fold = ExcursionFold([trade(), trade(symbol="MSFT", entry_at=after(minutes=30), exit_at=after(minutes=90))])
    wanted = [sorted(fold.symbols(AT + timedelta(minutes=minute))) for minute in (-1, 0, 30, 60, 61, 91)]
    assert wanted == [[], ["AAPL"], ["AAPL", "MSFT"], ["AAPL", "MSFT"], ["MSFT"], []]


def test_what_cost_nothing_has_none():
    fold = ExcursionFold([trade(entry_price=D(0)), trade()])
    fold.mark(after(minutes=5), {"AAPL": D(98)})
    [given, bought] = fold.excursions()
    assert (given, bought is None) == (None, False)
