"""A split while nobody looks: quantity and prices follow, and stop and target rest again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gambler_ai.core import events as ev
from gambler_ai.exchange.faults import FaultPlan
from tests.unit.fakes import D
from tests.unit.trading.test_runner import Session, on_exchange
from tests.unit.trading.test_runner_replacing import CHEAP, check_protected, facts_of

__all__ = ["on_exchange"]  # a fixture
pytest.importorskip("gambler_ai.exchange.desk.splits", reason="this exchange splits nothing")

AFTER_THE_OPEN = datetime(2008, 10, 8, 13, 35, tzinfo=UTC)
nightly = pytest.mark.nightly


def run(session: Session, *, resumed: bool) -> None:
    runner = session.begun(resumed=resumed)
    runner.end("finished", runner.trade())


def over_the_night(on_exchange, **split: str) -> Session:
    """AAPL bought on the first day and split before the open of the second, of which seven minutes are run."""
    faults = FaultPlan([{"kind": "split", "symbol": "AAPL", "on": "2008-10-08"} | split])
    session: Session = on_exchange(7, faults=faults, stop_loss_pct=D(30), take_profit_pct=D(60), **CHEAP)
    run(session, resumed=False)
    assert session.state.positions["AAPL"].qty == D(99)
    session.feed.skip_to(AFTER_THE_OPEN)
    return session


@pytest.mark.parametrize(
    ("ratio", "orders"),
    [
        ("2", "adjust"),
        pytest.param("2", "cancel", marks=nightly),
        pytest.param("2", "leave", marks=nightly),
        pytest.param("1:3", "adjust", marks=nightly),
        ("1:3", "cancel"),
    ],
)
def test_a_position_is_followed_through_a_split(on_exchange, ratio, orders):
    session = over_the_night(on_exchange, ratio=ratio, orders=orders)
    before = session.state.positions["AAPL"].stop_price
    run(session, resumed=True)
    [split] = facts_of(session, ev.SplitApplied)
    assert len(split.activity_ids) == 2
    position = session.state.positions["AAPL"]
    assert {p.symbol: p.qty for p in session.broker.positions()} == {"AAPL": position.qty}
    assert abs(position.stop_price - before * split.old / split.new) <= D("0.01")
    check_protected(session)


@nightly
@pytest.mark.parametrize(("ratio", "orders"), [("1:3", "leave"), ("2", "qty_only")])
def test_a_leg_that_goes_off_at_the_price_of_before_leaves_nothing_the_other_way(on_exchange, ratio, orders):
    """The old target is below three times the price and sells more than is left; the old stop above half of it."""
    session = over_the_night(on_exchange, ratio=ratio, orders=orders)
    for minutes in range(4):
        session.feed.skip_to(AFTER_THE_OPEN + timedelta(minutes=minutes))
        run(session, resumed=True)
    assert session.state.positions == {}
    assert session.broker.positions() == []
    assert facts_of(session, ev.SplitApplied)
