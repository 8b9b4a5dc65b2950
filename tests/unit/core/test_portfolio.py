"""Fills to positions and profit: no cent appears or disappears, whatever the order of the fills."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gambler_ai.core import portfolio
from gambler_ai.core.learning import Signal
from gambler_ai.core.model import ZERO, ClosedTrade, Fill, Position, Side
from tests.unit.fakes import AT, D, after

OPENING = Position(
    symbol="AAPL", qty=ZERO, avg_entry_price=ZERO, entry_at=AT, position_id="p-1", strategy="momentum",
    stop_price=D(98), target_price=D(104), reason="it moved",
)  # fmt: skip


def fill(side: Side, qty: str, price: str, minutes: int = 0) -> Fill:
    return Fill("a", "o", "AAPL", side, D(qty), D(price), after(minutes=minutes))


def buy(qty: str, price: str, minutes: int = 0) -> Fill:
    return fill(Side.BUY, qty, price, minutes)


def sell(qty: str, price: str, minutes: int = 0) -> Fill:
    return fill(Side.SELL, qty, price, minutes)


def play(*fills: Fill, reason: str = "stop") -> tuple[Position | None, list[ClosedTrade], Decimal]:
    position, closed, realized = None, [], ZERO
    for one in fills:
        booking = portfolio.book(position, one, OPENING, reason)
        position, realized = booking.position, realized + booking.realized
        closed += [booking.closed] if booking.closed else []
    return position, closed, realized


fills_in = st.lists(
    st.builds(
        fill,
        st.sampled_from(list(Side)),
        st.integers(1, 500).map(str),
        st.integers(1, 100_000).map(lambda cents: str(Decimal(cents) / 100)),
    ),
    max_size=30,
)
#: An average is kept to nine places: what that may lose, for each share held, at each fill.
HALF_A_NANO = Decimal("0.0000000005")


def tolerance(fills: list[Fill]) -> Decimal:
    return sum((f.qty for f in fills), ZERO) * HALF_A_NANO * (len(fills) + 1)


@given(fills_in, st.integers(1, 100_000))
def test_realized_and_unrealized_are_the_cash_that_flowed(fills, cents):
    position, _closed, realized = play(*fills)
    mark = Decimal(cents) / 100
    cash = sum((-f.side.sign * f.qty * f.price for f in fills), ZERO)
    held = sum((f.side.sign * f.qty for f in fills), ZERO)
    assert (position.qty if position else ZERO) == held
    open_profit = position.unrealized(mark) if position else ZERO
    assert abs(realized + open_profit - (cash + held * mark)) <= tolerance(fills)


@given(fills_in)
def test_closed_trades_and_what_is_still_open_add_up_to_what_was_realized(fills):
    # A flat end: the last fill takes out whatever is left.
    left = sum((f.side.sign * f.qty for f in fills), ZERO)
    if left:
        side = Side.SELL if left > 0 else Side.BUY
        fills = [*fills, fill(side, str(abs(left)), "50")]
    position, closed, realized = play(*fills)
    assert position is None
    assert abs(sum((c.pnl for c in closed if c.pnl is not None), ZERO) - realized) <= tolerance(fills)


@given(fills_in)
def test_a_position_is_never_empty_and_its_entry_covers_it(fills):
    position = None
    for one in fills:
        position = portfolio.book(position, one, OPENING, "x").position
        if position is not None:
            assert position.qty != 0
            assert (position.entry_qty > 0) == (position.qty > 0)
            assert abs(position.entry_qty) - position.exit_qty == abs(position.qty)


def test_an_entry_opens_with_its_stop_target_and_reason():
    position, closed, realized = play(buy("10", "100.5", 3))
    assert position == replace(
        OPENING,
        qty=D(10),
        avg_entry_price=D("100.5"),
        entry_at=after(minutes=3),
        entry_qty=D(10),
        entry_value=D(1005),
    )
    assert closed == []
    assert realized == 0
    assert position is not None
    assert (position.side, position.exit_side) == ("long", Side.SELL)
    assert position.value(D(101)) == D(1010)


def test_entries_in_parts_average():
    position, _, _ = play(buy("10", "100"), buy("5", "103"))
    assert position is not None
    assert (position.qty, position.avg_entry_price) == (D(15), D(101))


def test_exits_in_parts_make_one_closed_trade():
    position, [closed], realized = play(
        buy("10", "100"), sell("4", "104", 1), sell("6", "102", 2), reason="target"
    )  # fmt: skip
    assert position is None
    assert realized == D(28)
    assert closed == ClosedTrade(
        position_id="p-1", symbol="AAPL", side="long", qty=D(10), entry_price=D(100), entry_at=AT,
        exit_price=D("102.8"), exit_at=after(minutes=2), pnl=D(28), reason="target", strategy="momentum",
    )  # fmt: skip
    assert closed.duration == timedelta(minutes=2)


def test_a_short_gains_when_the_price_falls():
    position, [closed], realized = play(sell("10", "100"), buy("10", "96"))
    assert position is None
    assert (closed.side, closed.pnl, realized) == ("short", D(40), D(40))
    short, _, _ = play(sell("10", "100"))
    assert short is not None
    assert (short.side, short.exit_side, short.unrealized(D(101)), short.value(D(101))) == (
        "short", Side.BUY, D(-10), D(-1010),
    )  # fmt: skip


def test_a_share_bought_back_after_a_partial_exit_is_not_lost_from_the_trade():
    """An entry that fills on after the first exit: 10 at 100, 5 out at 110, 5 more at 120, 10 out at 130."""
    _, [closed], realized = play(buy("10", "100"), sell("5", "110"), buy("5", "120"), sell("10", "130"))
    assert realized == D(250)
    assert closed.pnl == D(250)


def test_a_flip_closes_and_opens_the_surplus_bare():
    position, [closed], realized = play(buy("10", "100"), sell("15", "101", 4))
    assert (closed.qty, closed.pnl, realized) == (D(10), D(10), D(10))
    assert position is not None
    assert (position.qty, position.avg_entry_price, position.entry_at) == (D(-5), D(101), after(minutes=4))
    assert (position.stop_price, position.target_price, position.reason) == (None, None, "surplus of an exit")


def bought(qty: str = "10") -> Position:
    position, _, _ = play(buy(qty, "100"))
    assert position is not None
    return position


@pytest.mark.parametrize(
    ("position", "price", "pnl"),
    [("long", "103", D(30)), ("long", None, None), ("short", "103", D(-30)), ("short", None, None)],
)
def test_an_adjustment_to_nothing_closes_with_the_price_if_one_is_known(position, price, pnl):
    held = bought() if position == "long" else play(sell("10", "100"))[0]
    assert held is not None
    booking = portfolio.adjust(held, ZERO, D(price) if price else None, after(minutes=9), "closed at the broker")
    assert booking.position is None
    assert booking.realized == (pnl or 0)
    assert booking.closed is not None
    assert (booking.closed.pnl, booking.closed.exit_price) == (pnl, D(price) if price else None)
    assert (booking.closed.side, booking.closed.reason, booking.closed.exit_at) == (
        position, "closed at the broker", after(minutes=9),
    )  # fmt: skip


def test_an_adjustment_to_less_leaves_the_rest_and_one_unpriced_part_leaves_the_whole_unpriced():
    booking = portfolio.adjust(bought(), D(4), None, AT, "?")
    assert booking.closed is None
    assert booking.position is not None
    assert (booking.position.qty, booking.realized) == (D(4), D(0))
    closing = portfolio.book(booking.position, sell("4", "110"), OPENING, "target")
    assert closing.realized == D(40)
    assert closing.closed is not None
    assert (closing.closed.pnl, closing.closed.exit_price) == (None, None)


def test_an_adjustment_with_a_price_realizes_its_part():
    booking = portfolio.adjust(bought(), D(4), D("101.5"), AT, "?")
    assert booking.realized == D(9)


def test_prices_of_a_trade_have_nine_places_at_most():
    _, [closed], _ = play(buy("3", "10"), sell("1", "10"), sell("1", "10"), sell("1", "10.01"))
    assert closed.exit_price == D("10.003333333")
    assert closed.pnl == D("0.01")


# -- adopting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("qty", ["5", "-5"])
def test_what_another_opened_is_held_as_if_it_had_been_bought_at_that_price(qty):
    position = portfolio.adopt(None, OPENING, D(qty), D(90))
    assert (position.qty, position.avg_entry_price, position.entry_qty) == (D(qty), D(90), D(qty))
    closed = portfolio.adjust(position, D(0), D(100), AT, "closed").closed
    assert closed is not None
    assert (closed.pnl, closed.side) == (D(qty) * 10, "long" if D(qty) > 0 else "short")


def test_what_is_adopted_beside_ours_is_averaged_in():
    ours = portfolio.adopt(None, OPENING, D(10), D(100))
    position = portfolio.adopt(ours, OPENING, D(5), D(130))
    assert (position.qty, position.avg_entry_price, position.entry_value) == (D(15), D(110), D(1650))
    assert position.position_id == ours.position_id


# -- leverage -------------------------------------------------------------------------------------


def leverage_of(*fills: Fill, equity: str | None) -> Decimal | None:
    opening = replace(OPENING, entry_equity=None if equity is None else D(equity))
    position, found = None, []
    for one in fills:
        booking = portfolio.book(position, one, opening, "stop")
        position = booking.position
        found += [booking.closed] if booking.closed else []
    return found[-1].leverage


@pytest.mark.parametrize(
    ("fills", "equity", "leverage"),
    [
        ((buy("10", "100"), sell("10", "90")), "100000", "0.01"),
        ((sell("10", "100"), buy("10", "90")), "100000", "0.01"),  # a short counts as what it was sold for
        ((buy("10", "100"), buy("20", "200"), sell("30", "90")), "2500", "2"),  # several fills of an entry, all of them
        ((buy("10", "100"), sell("5", "110"), sell("5", "120")), "3000", "0.3333"),  # whatever it left in pieces
        ((buy("10", "100"), sell("4", "110"), buy("4", "100"), sell("10", "110")), "1000", "1.4"),  # bought back: again
        ((buy("10", "100"), sell("10", "90")), None, None),
        ((buy("10", "100"), sell("10", "90")), "0", None),
        ((buy("10", "100"), sell("10", "90")), "-5", None),  # an account that owes has none to be a multiple of
        ((buy("0.001", "1"), sell("0.001", "1")), "100000", "0"),
    ],
)
def test_leverage_is_what_was_bought_in_equities_of_the_entry(fills, equity, leverage):
    assert leverage_of(*fills, equity=equity) == (None if leverage is None else D(leverage))


def test_a_split_changes_neither_what_it_cost_nor_its_leverage():
    opening = replace(OPENING, entry_equity=D(1000))
    position = portfolio.book(None, buy("10", "100"), opening, "").position
    assert position is not None
    halved = portfolio.split(position, 2, 1, D(20))
    closed = portfolio.book(halved, sell("20", "60"), opening, "target").closed
    assert closed is not None
    assert (closed.qty, closed.entry_price, closed.leverage) == (D(20), D(50), D(1))


@pytest.mark.parametrize("qty", ["5", "-5"])
def test_what_was_adopted_has_the_equity_of_that_moment(qty):
    position = portfolio.adopt(None, replace(OPENING, entry_equity=D(2000)), D(qty), D(100))
    assert portfolio.close(position, AT, "left").leverage == D("0.25")


def test_a_surplus_is_a_multiple_of_the_equity_when_it_was_opened():
    position = portfolio.book(None, buy("10", "100"), replace(OPENING, entry_equity=D(1000)), "").position
    later = replace(OPENING, entry_equity=D(500))
    booking = portfolio.book(position, sell("15", "100"), later, "stop")
    assert booking.closed is not None
    assert booking.position is not None
    assert booking.closed.leverage == D(1)
    assert portfolio.close(booking.position, AT, "surplus").leverage == D(1)


# -- what came of a signal ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fills", "pnl", "share"),
    [
        ((buy("10", "100"), sell("10", "104")), "40", 4.0),
        ((buy("10", "100"), sell("10", "98")), "-20", -2.0),
        ((sell("10", "100"), buy("10", "96")), "40", 4.0),
        ((sell("10", "100"), buy("10", "103")), "-30", -3.0),
        ((buy("10", "100"), buy("10", "110"), sell("20", "105")), "0", 0.0),
        ((buy("10", "100"), sell("4", "90"), sell("6", "110")), "20", 2.0),
        ((sell("3", "7"), buy("3", "7.07")), "-0.21", -1.0),
    ],
)
def test_a_return_is_of_what_was_paid_whichever_side_was_held(fills, pnl, share):
    _position, [closed], _realized = play(*fills)
    found = portfolio.outcome(closed, Signal())
    assert found.pnl == D(pnl)
    assert found.return_pct == pytest.approx(share, abs=1e-9)
    assert found.won is (D(pnl) > 0)
    assert found.side == ("long" if fills[0].side is Side.BUY else "short")


def test_without_a_price_nobody_knows_the_return():
    position, _closed, _realized = play(buy("10", "100"))
    assert position is not None
    closed = portfolio.adjust(position, ZERO, None, AT, "gone").closed
    assert closed is not None
    found = portfolio.outcome(closed, Signal())
    assert (found.pnl, found.return_pct, found.won) == (None, None, False)


def test_what_an_exit_turned_into_has_no_signal():
    booking = portfolio.book(None, buy("10", "100"), replace(OPENING, signal=Signal(context={"a": "b"})), "")
    assert booking.position is not None
    assert booking.position.signal == Signal(context={"a": "b"})
    turned = portfolio.book(booking.position, sell("12", "99"), replace(OPENING, signal=Signal({"x": 1.0})), "stop")
    assert turned.position is not None
    assert (turned.position.qty, turned.position.signal) == (D(-2), None)
