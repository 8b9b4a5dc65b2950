"""What a seed draws for an options session: short-dated contracts, days near an expiry, troubles of its own orders."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from gambler_ai.core import events as ev
from gambler_ai.exchange.options.expiries import is_expiry
from gambler_ai.simulation import option_draws
from gambler_ai.simulation.scenario import Scenario, calendar, draw

SEEDS = [seed for seed in range(300) if option_draws.is_options(seed)]


@pytest.fixture(scope="module")
def drawn() -> list[Scenario]:
    return [draw(seed) for seed in SEEDS]


def test_about_one_seed_in_four_is_a_session_in_options(drawn: list[Scenario]) -> None:
    assert 60 < len(SEEDS) < 95
    assert all(one.is_options for one in drawn)
    assert not any(draw(seed).is_options for seed in range(300) if seed not in SEEDS)


def test_every_strategy_of_structures_is_drawn_and_can_be_made(drawn: list[Scenario]) -> None:
    names = {one.make_strategy().name for one in drawn}
    assert names == set(option_draws.STRATEGIES)
    assert all(one.plan.strategy == one.make_strategy().name for one in drawn)


def test_days_near_an_expiry_come_more_often_than_they_do(drawn: list[Scenario]) -> None:
    days = calendar().days
    share = sum(is_expiry(days, one.start.date()) for one in drawn) / len(drawn)
    assert share > 0.5
    assert sum(is_expiry(days, day) for day in days) / len(days) < 0.25


def test_some_lie_dead_over_an_expiry(drawn: list[Scenario]) -> None:
    dead = [one for one in drawn if one.crashes and one.crashes[0].after_s]
    assert len(dead) > 5
    assert all(one.rate for one in dead)  # a market that we move stands still meanwhile
    opened = {one.start + timedelta(seconds=one.crashes[0].after_s + one.crashes[0].down_s) > one.close for one in dead}
    assert opened == {True}


def test_contracts_are_short_dated(drawn: list[Scenario]) -> None:
    strategies = [one.make_strategy() for one in drawn if one.strategy["class"] != "options_mix"]
    assert {strategy.dte_min for strategy in strategies} >= {0, 1, 3}  # type: ignore[attr-defined]
    assert max(strategy.dte_max for strategy in strategies) <= 14  # type: ignore[attr-defined]


def test_troubles_of_structures_are_drawn(drawn: list[Scenario]) -> None:
    deeds = Counter(deed.kind for one in drawn for deed in one.deeds)
    assert deeds.keys() >= {"close leg", "exercise", "sell leg", ev.FLATTEN, ev.HALT}
    rows = [fault.row for one in drawn for fault in one.broker]
    assert any("/v1beta1/options" in str(row.get("path")) for row in rows)
    met = {str(row["kind"]) for row in rows if row.get("contains") == "mleg"}
    assert met >= {"lost_reply", "504_after", "rejected_after", "late_arrival"}
    assert {one.plan.max_per_sector for one in drawn} == {None, 1}
    assert {one.plan.autosave_iterations is None for one in drawn} == {True, False}
