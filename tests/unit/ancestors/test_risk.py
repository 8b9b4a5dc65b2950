"""What an account remembers of risk once it knows what another bot did: never less narrow than before."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from msgspec.structs import replace

from gambler_ai.ancestors.risk import PastRisk, taken_up
from gambler_ai.core import risk_record
from gambler_ai.core.risk_record import RiskRecord

D = Decimal
AT = datetime(2025, 3, 4, 15, 0, tzinfo=UTC)
PAST = PastRisk(
    trades=25, wins=13, losses=10, profit=D("0.75"), loss=D("0.45"), win_streak=0, loss_streak=2, recent=(D("-0.02"),),
    peak_balance=D(10_000), drawdown=D("0.05"), day=date(2025, 3, 3), day_start_balance=D(9_600), daily_loss=D("0.011"),
)  # fmt: skip
OURS = RiskRecord(equity=D(9_800), peak=D(9_900), worst_pct=D(2), wins=3, losses=1, won=D(300), lost=D(80), streak=3)


def test_a_fresh_account_begins_with_its_peak_drawdown_and_streak():
    found = taken_up(RiskRecord(), PAST, AT)
    assert (found.peak, found.equity, found.drawdown_pct, found.worst_pct) == (D(10_000), D("9500.00"), D(5), D(5))
    assert (found.streak, found.longest_losses, found.longest_wins) == (-2, 2, 0)


def test_returns_are_not_added_to_dollars():
    found = taken_up(OURS, PAST, AT)
    assert (found.wins, found.losses, found.won, found.lost, found.recent) == (3, 1, D(300), D(80), ())


def test_our_own_equity_is_measured_against_the_higher_peak():
    found = taken_up(OURS, PAST, AT)
    assert (found.peak, found.equity, found.drawdown_pct) == (D(10_000), D(9_800), D(2))


def test_a_lower_peak_lowers_nothing():
    found = taken_up(replace(OURS, peak=D(20_000), worst_pct=D(51)), PAST, AT)
    assert (found.peak, found.worst_pct) == (D(20_000), D(51))


@pytest.mark.parametrize(
    ("ours", "theirs", "then"),
    [((0, 0), (0, 2), -2), ((0, 0), (4, 0), 4), ((3, 5), (0, 2), -2), ((3, 5), (9, 0), 3), ((-4, 5), (9, 0), -4),
     ((-4, 5), (0, 2), -4), ((-1, 5), (0, 2), -2)],
)  # fmt: skip
def test_a_streak_of_losses_is_never_shortened(ours: tuple[int, int], theirs: tuple[int, int], then: int):
    record = RiskRecord(streak=ours[0], wins=ours[1])
    wins, losses = theirs
    assert taken_up(record, replace(PAST, win_streak=wins, loss_streak=losses), AT).streak == then


def test_the_brokers_word_on_equity_comes_next():
    """A small old peak is passed at once; a large one is a drawdown that a person can reset."""
    record = taken_up(RiskRecord(), PAST, AT)
    assert risk_record.stated(record, AT, D(100_000), D(0)).drawdown_pct == 0
    assert risk_record.stated(record, AT, D(5_000), D(0)).drawdown_pct == 50
