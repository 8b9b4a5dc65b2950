"""What of a feed is believed: what cannot be never gets through, what jumps only when it is borne out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.core import bars
from gambler_ai.core.model import Trade
from gambler_ai.core.sieve import GAP_BARS, Sieve, Sifted
from tests.unit.fakes import AT, FIVE, D, trades_of

KEEP = 20
NAN, INF = float("nan"), float("inf")
Bar = tuple[float, ...]


def edge(n: float) -> datetime:
    """The left edge of the ``n``-th bar; the last that has closed at `AT` is number -1."""
    return AT + n * FIVE


def bar(n: float, price: float = 100.0, **odd: float) -> Bar:
    values = {"open": price, "high": price, "low": price, "close": price, "volume": 10.0} | odd
    return (edge(n).timestamp(), *values.values())


class Feed:
    """A sieve and the feed before it, for AAPL and MSFT."""

    def __init__(self, keep: int = KEEP) -> None:
        self.sieve = Sieve(("AAPL", "MSFT"), FIVE, keep)

    def __call__(
        self, *of_aapl: Bar, msft: tuple[Bar, ...] = (), trade: str | None = None, now: datetime = AT,
        marks: Mapping[str, Decimal | None] | None = None, trades: Mapping[str, Trade] | None = None,
    ) -> Sifted:  # fmt: skip
        columns = {s: np.asarray(rows, dtype=np.float64).reshape(-1, 6) for s, rows in
                   (("AAPL", of_aapl), ("MSFT", msft))}  # fmt: skip
        told = bars.as_told(("AAPL", "MSFT"), FIVE, columns)
        if trades is None:
            trades = trades_of(now, AAPL=trade) if trade else {}
        return self.sieve.sift(told, trades, marks or {}, now)


def closes(found: Sifted, column: int = 0) -> list[float]:
    there = found.frame.times[:, column] > 0
    return [float(price) for price in found.frame.close[there, column]]


def numbers(found: Sifted, column: int = 0) -> list[int]:
    times = found.frame.times[:, column]
    return [round((t - AT.timestamp()) / FIVE.total_seconds()) for t in times[times > 0].tolist()]


# -- what cannot be -------------------------------------------------------------------------------

IMPOSSIBLE = {
    "close nan": (bar(-1, close=NAN), "is not a number"),
    "high inf": (bar(-1, high=INF), "is not a number"),
    "volume nan": (bar(-1, volume=NAN), "is not a number"),
    "zero": (bar(-1, 0.0), "has a price that is not above zero"),
    "below zero": (bar(-1, low=-1.0), "has a price that is not above zero"),
    "too dear": (bar(-1, 2e7), "has a price that no share has"),
    "upside down": (bar(-1, high=99.0, low=101.0), "has its high below its low"),
    "volume below zero": (bar(-1, volume=-1.0), "has a volume below zero"),
    "from the future": (bar(3), "is from the future"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_a_bar_that_cannot_be_never_gets_through_and_is_told_with_its_reason(case):
    odd, why = IMPOSSIBLE[case]
    feed = Feed()
    found = feed(bar(-3), bar(-2), odd, msft=(bar(-1, 50.0),))
    assert numbers(found) == [-3, -2]
    assert why in found.quarantined["AAPL"]
    assert set(found.quarantined) == {"AAPL"}
    assert closes(found, 1) == [50.0]


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_the_first_thing_that_is_told_may_be_impossible_too(case):
    found = Feed()(IMPOSSIBLE[case][0])
    assert closes(found) == []
    assert "AAPL" in found.quarantined


def test_it_ends_with_the_next_good_bar_and_is_told_once():
    feed = Feed()
    feed(bar(-3))
    for _ in range(3):  # each scan asks for it again
        assert "AAPL" in feed(bar(-3), bar(-2, close=NAN)).quarantined
    found = feed(bar(-3), bar(-2, close=NAN), bar(-1))
    assert found.quarantined == {}
    assert numbers(found) == [-3, -1]
    assert feed(bar(-2, close=NAN), bar(-1)).quarantined == {}


def test_one_that_was_over_before_it_was_seen_is_told_once_all_the_same():
    feed = Feed()
    assert "AAPL" in feed(bar(-3), bar(-2, close=NAN), bar(-1)).quarantined
    assert feed(bar(-3), bar(-2, close=NAN), bar(-1)).quarantined == {}


def test_one_from_the_future_keeps_nothing_back_that_is_of_today():
    feed = Feed()
    assert "AAPL" in feed(bar(-2), bar(99)).quarantined
    found = feed(bar(-2), bar(-1), bar(99))
    assert (numbers(found), found.quarantined) == ([-2, -1], {})


# -- what jumps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [50.0, 150.0, 49.0, 1000.0, 0.01])
def test_a_bar_that_jumps_is_kept_back_and_a_bad_print_is_forgotten(price):
    feed = Feed()
    feed(bar(-4), trade="100")
    found = feed(bar(-4), bar(-3, price), trade="100")
    assert closes(found) == [100.0]
    assert f"is at {price:g}, 100 before" in found.quarantined["AAPL"]
    found = feed(bar(-4), bar(-3, price), bar(-2, 101.0), trade="100")
    assert (closes(found), found.quarantined) == ([100.0, 101.0], {})


@pytest.mark.parametrize("price", [50.5, 149.5, 100.0])
def test_a_move_of_less_than_half_is_one(price):
    found = Feed()(bar(-2), bar(-1, price))
    assert (closes(found), found.quarantined) == ([100.0, price], {})


@pytest.mark.parametrize("which", ["open", "high", "low"])
def test_one_price_of_a_bar_is_enough(which):
    odd = bar(-1, **{which: 1.0 if which == "low" else 300.0})
    found = Feed()(bar(-2), odd)
    assert closes(found) == [100.0]
    assert "100 before" in found.quarantined["AAPL"]


@pytest.mark.parametrize("scale", [0.3, 0.5, 2.0, 10.0], ids=str)
def test_a_split_gets_out_after_two_bars_and_a_trade_and_nobody_sees_the_jump(scale):
    feed, after = Feed(), 100.0 * scale
    feed(bar(-4), bar(-3))
    trade = str(D(str(after)))
    found = feed(bar(-3), bar(-2, after), trade=trade)
    assert (closes(found), found.trades) == ([100.0, 100.0], {})
    found = feed(bar(-3), bar(-2, after), bar(-1, after * 1.02), trade=trade)
    assert closes(found) == [after, after * 1.02], "what lies before the jump is forgotten"
    assert found.quarantined == {}
    assert found.trades["AAPL"].price == D(trade)
    found = feed(bar(-1, after * 1.02), bar(0, after), trade=trade, now=AT + FIVE)
    assert closes(found) == [after, after * 1.02, after]


JUMPED = (bar(-3), bar(-2, 40.0), bar(-1, 40.0))


@pytest.mark.parametrize(
    ("more", "is_out"),
    [
        ({"trade": "41"}, True),
        ({"trade": "100"}, False),
        ({"trade": "NaN"}, False),
        ({"trade": "0"}, False),
        ({}, False),
        ({"marks": {"AAPL": D("39.5")}}, True),
        ({"marks": {"AAPL": D("100")}}, False),
        ({"marks": {"AAPL": None}}, False),
        ({"marks": {"MSFT": D("40")}}, False),
        ({"trade": "100", "marks": {"AAPL": D("40")}}, True),
    ],
    ids=str,
)
def test_two_bars_need_a_witness(more, is_out):
    feed = Feed()
    feed(bar(-3))
    found = feed(*JUMPED, **more)
    assert (closes(found) == [40.0, 40.0]) is is_out
    assert ("AAPL" not in found.quarantined) is is_out or "last trade" in found.quarantined["AAPL"]


def test_two_bars_that_do_not_agree_stay_where_they_are():
    feed = Feed()
    feed(bar(-3))
    found = feed(bar(-3), bar(-2, 30.0), bar(-1, 40.0), trade="40")
    assert closes(found) == [100.0]
    found = feed(bar(-3), bar(-2, 30.0), bar(-1, 40.0), bar(0, 41.0), trade="41", now=AT + FIVE)
    assert closes(found) == [30.0, 40.0, 41.0]


def test_a_first_bar_that_was_wrong_does_not_keep_the_good_ones_out():
    found = Feed()(bar(-4, 1000.0), bar(-3), bar(-2), bar(-1), trade="100")
    assert (closes(found), found.quarantined) == ([100.0] * 3, {})


# -- last trades ----------------------------------------------------------------------------------


@pytest.mark.parametrize("price", ["NaN", "Infinity", "0", "-5", "1e8", "49", "151"])
def test_a_last_trade_that_cannot_be_prices_nothing(price):
    found = Feed()(bar(-1), trade=price)
    assert found.trades == {}
    assert found.quarantined["AAPL"].startswith("the last trade is at ")


def test_a_last_trade_from_the_future_prices_nothing():
    feed = Feed()
    soon = {"AAPL": Trade("AAPL", D(100), AT + timedelta(seconds=20))}
    assert feed(bar(-1), trades=soon).trades == soon
    late = {"AAPL": Trade("AAPL", D(100), AT + timedelta(seconds=40))}
    found = feed(bar(-1), trades=late)
    assert found.trades == {}
    assert "from the future" in found.quarantined["AAPL"]
    assert feed(bar(-1), trade="100").quarantined == {}


def test_without_a_bar_a_price_is_taken_at_its_word_and_another_symbols_is_none_of_ours():
    found = Feed()(trades=trades_of(AAPL="3", IBM="7"))
    assert set(found.trades) == {"AAPL"}


# -- once, in order, without gaps -----------------------------------------------------------------


def test_a_bar_that_was_told_is_not_rewritten_and_counts_once():
    feed = Feed()
    feed(bar(-3), bar(-2))
    found = feed(bar(-2, 101.0), bar(-1), bar(-1, 102.0))
    assert (numbers(found), closes(found)) == ([-3, -2, -1], [100.0, 100.0, 102.0])


def test_only_the_newest_are_kept():
    assert numbers(Feed(keep=2)(bar(-4), bar(-3), bar(-2), bar(-1))) == [-2, -1]


def test_without_news_the_frame_is_the_same_one():
    feed = Feed()
    first = feed(bar(-1), msft=(bar(-1),)).frame
    assert feed(bar(-1), msft=(bar(-1),)).frame is first
    assert feed().frame is first


def test_it_asks_from_the_oldest_of_the_newest_and_from_the_beginning_at_first():
    feed = Feed()
    assert feed.sieve.since is None
    feed(bar(-1), msft=(bar(-2),))
    assert feed.sieve.since == edge(-2)


def test_a_gap_is_asked_for_again_and_filled_while_it_is_young():
    feed = Feed()
    feed(bar(-6), bar(-4), bar(-3), msft=(bar(-3),))
    assert feed.sieve.since == edge(-6)
    found = feed(bar(-6), bar(-5, 101.0), bar(-4), bar(-3))
    assert numbers(found) == [-6, -5, -4, -3]
    assert closes(found)[1] == 101.0
    assert feed.sieve.since == edge(-3)


def test_a_gap_that_stays_is_given_up():
    feed = Feed()
    feed(bar(-30), bar(-28), msft=(bar(-1),))
    feed(*(bar(n) for n in range(-28, -28 + GAP_BARS)))
    assert feed.sieve.since == edge(-28 + GAP_BARS - 1)


@pytest.mark.parametrize("odd", [bar(-5, 300.0), bar(-5, close=NAN)])
def test_what_fills_a_gap_has_to_be_sane_as_well(odd):
    feed = Feed()
    feed(bar(-6), bar(-4))
    found = feed(bar(-6), odd, bar(-4))
    assert numbers(found) == [-6, -4]
    assert "AAPL" in found.quarantined
    assert feed(bar(-6), odd, bar(-4)).quarantined == {}


def test_it_takes_no_other_symbols():
    with pytest.raises(AssertionError):
        Feed().sieve.sift(bars.empty(("IBM",), FIVE), {}, {}, AT)


@given(
    st.sets(st.integers(-60, -1), min_size=1), st.sets(st.integers(-60, -1)), st.integers(1, 12), st.integers(-60, 0)
)
def test_however_it_is_cut_into_pieces_the_frame_is_the_same(of_aapl, of_msft, keep, cut):
    whole, pieces = Feed(keep), Feed(keep)
    a, b = ([bar(n) for n in sorted(numbers_)] for numbers_ in (of_aapl, of_msft))
    at_once = whole(*a, msft=tuple(b))
    early, late = ([[r for r in rows if (r[0] < edge(cut).timestamp()) is first] for rows in (a, b)]
                   for first in (True, False))  # fmt: skip
    pieces(*early[0], msft=tuple(early[1]))
    found = pieces(*late[0], msft=tuple(late[1]))
    for column in (0, 1):
        assert numbers(found, column) == numbers(at_once, column)
    assert found.quarantined == at_once.quarantined == {}


@given(
    st.lists(st.tuples(*[st.one_of(st.floats(), st.floats(90, 110))] * 5), max_size=8),
    st.one_of(st.none(), st.floats(), st.floats(90, 110)),
)
def test_whatever_is_told_what_gets_through_is_sane_and_jumps_nowhere(rows, trade):
    told = [(edge(n - len(rows)).timestamp(), *values) for n, values in enumerate(rows)]
    found = Feed()(*told, trades={} if trade is None else {"AAPL": Trade("AAPL", D(str(trade)), AT)})
    there = bars.column(found.frame, 0)
    assert np.isfinite(there).all()
    assert (there[:, 1:5] > 0).all()
    assert (there[:, 2] >= there[:, 3]).all()
    assert all(0.5 * a < b < 1.5 * a for a, b in zip(there[:, 4], there[1:, 4], strict=False))
    assert all(t.price.is_finite() and t.price > 0 for t in found.trades.values())
