"""What an entry may cost: each way of sizing, what scales it, and the room that limits leave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.core import exposure, sizing
from gambler_ai.core.model import BarFrame, Side
from gambler_ai.core.orders import IntentRecord, Status
from gambler_ai.core.risk_record import RiskRecord
from gambler_ai.core.risk_rules import BOUNDS, TEXTS, RiskRules, Sizing
from tests.unit.fakes import FIVE, D, entry, make_plan, make_state

NAN = float("nan")


def frame_of(close: dict[str, list[float]], spread: float = 1.0) -> BarFrame:
    """Bars of symbols by their closes; highs and lows are ``spread`` away."""
    prices = np.array(list(close.values())).T
    times = np.where(np.isnan(prices), 0, np.arange(1, len(prices) + 1)[:, None] * 300).astype(np.int64)
    return BarFrame(
        tuple(close), FIVE, times, prices, prices + spread, prices - spread, prices, np.full(prices.shape, 100.0)
    )


def state_of(rules: RiskRules, **changes):
    return make_state(plan=make_plan(risk=rules), **changes)


def wanted(rules: RiskRules, frame: BarFrame | None = None, share: str = "1", **changes) -> sizing.Room:
    return sizing.wanted(state_of(rules, **changes), "AAPL", D(100), frame, D(share))


def test_each_rule_has_bounds_or_a_kind_and_a_text():
    assert set(TEXTS) == set(RiskRules.__struct_fields__)
    assert set(RiskRules.__struct_fields__) - set(BOUNDS) == {"sizing", "sectors"}


@pytest.mark.parametrize("name", sorted(BOUNDS))
@pytest.mark.parametrize("factor", ["NaN", "1000001", "-1"])
def test_a_rule_out_of_its_bounds_is_named(name, factor):
    with pytest.raises(ValueError, match=f"^{name} must be from "):
        RiskRules(**{name: D(factor)})  # type: ignore[arg-type]


def test_a_sector_limit_without_sectors_would_limit_nothing():
    with pytest.raises(ValueError, match="needs sectors"):
        RiskRules(max_sector_pct=D(10))


def test_bars_are_asked_for_only_by_rules_that_look_at_them():
    assert RiskRules().bars == 0
    assert RiskRules(sizing=Sizing.ATR, atr_period=20).bars == 21
    assert RiskRules(sizing=Sizing.ATR, max_correlation=D(0), correlation_bars=50).bars == 101


def test_fixed_is_the_position_size_and_equity_a_share_of_it():
    assert wanted(RiskRules()) == (D(10_000), "position_size", "10,000.00 a position")
    assert wanted(RiskRules(sizing=Sizing.EQUITY, size_pct=D("12.5"))).dollars == D(12_500)


def test_atr_risks_the_same_dollars_whatever_the_range():
    """1 % of 100,000 at two ranges of 2 dollars: 250 shares of 100."""
    rules = RiskRules(sizing=Sizing.ATR, atr_period=3, size_pct=D(100))
    frame = frame_of({"AAPL": [100.0] * 4})
    assert wanted(rules, frame).dollars == D(25_000)
    assert wanted(rules, frame_of({"AAPL": [100.0] * 4}, spread=2.0)).dollars == D(12_500)
    assert wanted(RiskRules(sizing=Sizing.ATR, atr_period=3, size_pct=D(5)), frame).dollars == D(5_000)


def test_a_true_range_reaches_to_the_close_before():
    frame = frame_of({"AAPL": [100.0, 110.0, 100.0]})  # 11 up, 11 down, against spreads of 2
    assert sizing.mean_range(frame, "AAPL", 2) == D(11)
    assert sizing.mean_range(frame, "AAPL", 3) is None
    assert sizing.mean_range(frame, "IBM", 2) is None


@pytest.mark.parametrize("closes", [[NAN, 100.0, 100.0], [100.0, 100.0]])
def test_without_the_bars_there_is_no_size(closes):
    room = wanted(RiskRules(sizing=Sizing.ATR, atr_period=2), frame_of({"AAPL": closes}))
    assert (room.dollars, room.rule) == (D(0), "atr_period")
    assert "its 3 newest bars are not all there" in room.says


def test_a_share_that_never_moved_has_no_size_by_its_range():
    assert wanted(RiskRules(sizing=Sizing.ATR, atr_period=2), frame_of({"AAPL": [5.0] * 3}, spread=0.0)).dollars == 0


RECORD = RiskRecord(wins=12, losses=8, won=D(2400), lost=D(800))  # p 0.6, b 2


def test_kelly_is_the_share_of_wins_less_that_of_losses_over_what_a_win_brings():
    assert sizing.kelly(RECORD) == D("0.4")
    assert sizing.kelly(RiskRecord(wins=1, losses=1, won=D(1), lost=D(2))) == D("-0.5")
    assert sizing.kelly(RiskRecord(wins=3, won=D(3))) == 1
    assert sizing.kelly(RiskRecord(losses=3, lost=D(3))) == -1
    assert sizing.kelly(RiskRecord()) == 0


def test_kelly_is_taken_in_part_up_to_its_cap_and_only_when_there_is_enough_to_believe_it():
    rules = RiskRules(sizing=Sizing.KELLY, size_pct=D(50))
    assert wanted(rules, risk=RECORD).dollars == D(20_000)
    assert wanted(RiskRules(sizing=Sizing.KELLY, size_pct=D(5)), risk=RECORD).dollars == D(5_000)
    assert wanted(RiskRules(sizing=Sizing.KELLY, kelly_trades=21), risk=RECORD).rule == "position_size"
    assert wanted(rules, risk=RiskRecord(wins=8, losses=12, won=D(8), lost=D(12))).dollars == 0


def test_losses_in_a_row_make_it_smaller_and_one_win_makes_it_whole():
    rules = RiskRules(loss_scale_pct=D(20))
    assert wanted(rules, risk=RiskRecord(streak=-2)).dollars == D(6_400)
    assert wanted(rules, risk=RiskRecord(streak=1)).dollars == D(10_000)


def test_a_drawdown_makes_it_smaller_down_to_nothing():
    rules = RiskRules(drawdown_scale_pct=D(10))
    assert wanted(rules, risk=RiskRecord(equity=D(96), peak=D(100))).dollars == D(6_000)
    deep = wanted(rules, risk=RiskRecord(equity=D(85), peak=D(100)))
    assert (deep.dollars, deep.rule) == (D(0), "drawdown_scale_pct")


@given(st.integers(-30, 30), st.integers(0, 99), st.integers(1, 100), st.integers(0, 120))
def test_nothing_makes_an_entry_larger_than_its_way_of_sizing_says(streak, loss_pct, scale_pct, equity):
    record = RiskRecord(streak=streak, equity=D(equity), peak=D(100))
    rules = RiskRules(loss_scale_pct=D(loss_pct), drawdown_scale_pct=D(scale_pct))
    assert 0 <= sizing.scaled(record, rules) <= 1


# -- what is at stake -----------------------------------------------------------------------------

ALL = RiskRules(
    max_trade_pct=D(9), max_symbol_pct=D(5), max_sector_pct=D(12), max_exposure_pct=D(20),
    sectors={"AAPL": "tech", "MSFT": "tech"},
)  # fmt: skip


def test_each_limit_leaves_what_is_not_used_of_it():
    """Ten MSFT at 100 are on their way in; other sessions hold 2,000 of AAPL and 3,000 of XOM."""
    intent = entry("MSFT")
    state = state_of(ALL, intents={intent.client_order_id: IntentRecord(intent=intent, status=Status.WORKING)})
    rooms = {r.rule: r.dollars for r in sizing.left(state, "AAPL", {"AAPL": D(2000), "XOM": D(3000)})}
    assert rooms == {
        "max_trade_pct": D(9_000), "max_symbol_pct": D(3_000), "max_sector_pct": D(9_000), "max_exposure_pct": D(14_000)
    }  # fmt: skip
    assert sizing.left(state_of(RiskRules()), "AAPL", {}) == []


def test_an_entry_without_a_price_of_ours_is_at_stake_at_its_further_end():
    """Taken back from the broker's word."""
    intent = entry("MSFT", ref_price=D(0))
    state = make_state(intents={intent.client_order_id: IntentRecord(intent=intent, status=Status.WORKING)})
    assert exposure.values(state, {}) == {"MSFT": intent.qty * max(intent.stop_price or 0, intent.target_price or 0)}
    assert exposure.values(state, {})["MSFT"] > 1000


def test_an_order_that_is_done_is_at_stake_no_more():
    intent = entry("MSFT")
    state = make_state(intents={intent.client_order_id: IntentRecord(intent=intent, status=Status.CANCELED)})
    assert exposure.values(state, {}) == {}
    assert exposure.sides(state) == {}


WALK = [100, 101, 103, 102, 104, 103, 105, 107, 106, 108, 110.0]


def alike(held: dict[str, int], side: Side = Side.BUY, **close: list[float]):
    return exposure.most_alike("AAPL", side, held, frame_of({"AAPL": WALK, **close}), 10)


def test_what_moves_alike_is_named_and_the_other_way_round_is_not_alike():
    same, against = [2 * price for price in WALK], [1e4 / price for price in WALK]
    name, value = alike({"MSFT": 1, "IBM": 1}, MSFT=same, IBM=against)
    assert (name, round(value, 6)) == ("MSFT", 1.0)
    assert alike({"MSFT": -1}, MSFT=same)[1] == pytest.approx(-1.0)
    assert alike({"IBM": -1}, MSFT=same, IBM=against)[1] > 0.99
    assert alike({"MSFT": -1}, side=Side.SELL, MSFT=same)[1] == pytest.approx(1.0)


def test_it_is_pearsons_r_of_returns():
    other = [50, 50.5, 50.1, 51, 50.9, 51.5, 51, 52, 52.2, 51.8, 53.0]
    returns = [np.diff(p) / np.array(p[:-1]) for p in (WALK, other)]
    assert alike({"MSFT": 1}, MSFT=other)[1] == pytest.approx(np.corrcoef(*returns)[0, 1])


def test_a_minute_without_a_trade_shifts_no_row_against_another():
    """Rows are aligned by the newest bar of each symbol."""
    frame = frame_of({"AAPL": [*WALK, 111.0, 109.0], "MSFT": [NAN, *[2 * price for price in [*WALK, 111.0]]]})
    times = frame.times.copy()
    times[1:, 1] = times[:-1, 0]  # MSFT has not traded in the newest minute
    seen = replace(frame, times=times)
    assert exposure.most_alike("AAPL", Side.BUY, {"MSFT": 1}, seen, 10)[1] == pytest.approx(1.0)


def test_what_has_no_bars_is_not_known_and_what_never_moved_is_like_nothing():
    assert alike({}) == ("", 0.0)
    assert alike({"GONE": 1}) == ("", 0.0)
    assert alike({"MSFT": 1}, MSFT=[NAN, *WALK[1:]]) == ("MSFT", None)
    short = frame_of({"AAPL": WALK[:10], "MSFT": WALK[:10]})
    assert exposure.most_alike("AAPL", Side.BUY, {"MSFT": 1}, short, 10) == ("MSFT", None)
    assert exposure.most_alike("GONE", Side.BUY, {"MSFT": 1}, short, 10) == ("GONE", None)
    assert alike({"MSFT": 1}, MSFT=[50.0] * 11) == ("MSFT", 0.0)


@pytest.mark.parametrize("rules", [RiskRules(), RiskRules(sizing=Sizing.EQUITY, size_pct=D(10))])
@pytest.mark.parametrize("share", ["1", "0.5", "0.0001"])
def test_a_share_takes_that_part_of_what_would_be_wanted(rules, share):
    whole, part = wanted(rules), wanted(rules, share=share)
    assert (part.dollars, part.rule) == (whole.dollars * D(share), whole.rule)


def test_a_share_takes_its_part_of_kellys_stake_and_of_what_losses_leave():
    record = RiskRecord(wins=60, losses=40, won=D(1200), lost=D(400), streak=-2)
    rules = RiskRules(
        sizing=Sizing.KELLY, kelly_trades=20, kelly_fraction=D("0.5"), size_pct=D(50), loss_scale_pct=D(20)
    )  # fmt: skip
    whole, part = (wanted(rules, share=share, risk=record) for share in ("1", "0.25"))
    assert part.dollars == whole.dollars / 4
    assert 0 < part.dollars < whole.dollars
