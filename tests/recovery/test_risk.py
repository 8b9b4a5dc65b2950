"""What is remembered of risk, with the real program: no kill, no resume and no fresh session widens a limit."""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.recovery.harness import World, audit


def shown(world: World) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(world.run("risk", "show", "--json").ok().out)
    return document


def codes(world: World) -> set[str]:
    return {fact["code"] for fact in world.facts("Denied")}


DEEP = ("--risk", "max_drawdown_pct=0.1")


def test_a_drawdown_halts_through_a_kill_and_a_fresh_session_until_a_person_resets_it(world: World):
    world.trade(*DEEP, duration=28, crash_at="fill.before_commit:3").was_killed()  # the stop of AAPL: 209.88 lost
    world.resume("--duration", "2").ok()
    assert [fact["source"] for fact in world.facts("TradingHalted")] == ["drawdown"]
    before = shown(world)
    assert Decimal(before["drawdown_pct"]) > Decimal("0.1")
    assert before["streak"] == -1
    world.resume("--duration", "2").ok()
    assert len(world.facts("TradingHalted")) == 1, "it was halted, and nobody has ended that"
    world.trade("--new", *DEEP, duration=2).ok()
    (carried,) = world.facts("RiskCarried")
    assert carried["record"]["peak"] == before["peak"]
    assert [fact["source"] for fact in world.facts("TradingHalted")] == ["drawdown"] * 2
    answer = world.run("risk", "reset", "--reason", "looked into it").ok().out
    assert "written down" in answer
    world.resume("--duration", "2").ok()
    assert [fact["source"] for fact in world.facts("TradingResumed")] == ["drawdown"]
    after = shown(world)
    assert (after["halts"], after["streak"], after["losses"]) == ({}, 0, before["losses"])
    assert Decimal(after["peak"]) < Decimal(before["peak"])


def test_what_is_remembered_after_a_kill_is_what_is_remembered_without_one(world: World):
    world.trade(duration=60, crash_at="fill.after_commit:3").was_killed()
    world.resume().ok()
    killed = shown(world)
    assert killed["wins"] + killed["losses"] == 2
    assert len(killed["recent"]) == 2
    audit(world)
    stored = world.session()
    assert sum(Decimal(r["pnl"]) for r in killed["recent"]) == Decimal(stored["realized_pnl"])


@pytest.mark.nightly
def test_a_pause_after_losses_outlives_a_kill(world: World):
    flags = ("--risk", "max_loss_streak=1", "--risk", "loss_pause_min=600", "--set", "volume_ratio=0.1")
    world.trade(*flags, duration=30, crash_at="fill.after_commit:2").was_killed()
    world.resume("--duration", "20").ok()
    assert "loss_streak" in codes(world)
    begun = [fact["at"] for fact in world.facts("RunStarted")]
    assert not [f for f in world.facts("IntentPlanned") if f["intent"]["purpose"] == "entry" and f["at"] > begun[1]]
    until = shown(world)["paused_until"]
    assert until
    # Neither another length, nor a fresh session without the rule, makes it shorter.
    world.resume("--duration", "1", "--risk", "loss_pause_min=1").ok()
    assert [fact["until"] for fact in world.facts("PauseKept")] == [until]
    world.trade("--new", duration=1).ok()
    after = json.loads(world.run("risk", "show", newest(world), "--json").ok().out)
    assert (after["rules"]["max_loss_streak"], after["paused_until"]) == (None, until)


@pytest.mark.nightly
def test_an_older_session_that_is_resumed_knows_what_the_newer_one_lost(world: World):
    world.trade(duration=2).ok()
    first = world.session()["id"]
    world.trade("--new", duration=28, crash_at="fill.after_commit:3").was_killed()
    world.run("--resume-session", first, "--duration", "1").ok()
    (carried, *_) = [f for f in world.facts("RiskCarried") if f["session_id"] != first]
    assert carried["record"]["losses"] == 1
    assert json.loads(world.run("risk", "show", first, "--json").ok().out)["losses"] == 1


@pytest.mark.nightly
def test_who_only_touches_an_older_session_does_not_widen_the_accounts_limits(world: World):
    world.trade(duration=2).ok()
    first = world.session()["id"]
    world.trade("--new", *DEEP, duration=28, crash_at="fill.after_commit:3").was_killed()
    world.resume("--duration", "2").ok()
    before = json.loads(world.run("risk", "show", newest(world), "--json").ok().out)
    assert "drawdown" in before["halts"]
    world.run("sessions", "close", first, "--yes").ok()
    world.trade("--new", *DEEP, duration=2).ok()
    after = json.loads(world.run("risk", "show", newest(world), "--json").ok().out)
    assert (after["peak"], after["losses"]) == (before["peak"], before["losses"])
    assert "drawdown" in after["halts"], "a person's reset ends it, not another session"


def newest(world: World) -> str:
    return str(world.rows("SELECT id FROM sessions ORDER BY created_at DESC LIMIT 1")[0]["id"])


@pytest.mark.nightly
def test_a_limit_that_is_said_again_or_made_narrower_ends_no_halt(world: World):
    world.trade("--risk", "max_drawdown_pct=0.2", duration=28, crash_at="fill.before_commit:3").was_killed()
    world.resume("--duration", "2").ok()
    assert "drawdown" in shown(world)["halts"]
    world.resume("--duration", "1", "--risk", "max_drawdown_pct=0.20").ok()
    assert not [fact for fact in world.facts("PlanChanged") if "risk.max_drawdown_pct" in fact["changes"]]
    world.resume("--duration", "1", "--risk", "max_drawdown_pct=0.15").ok()
    assert not world.facts("TradingResumed")
    world.resume("--duration", "1", "--risk", "max_drawdown_pct=20").ok()
    assert [fact["source"] for fact in world.facts("TradingResumed")] == ["drawdown"]


def test_rules_are_changed_by_name_on_a_resume_and_the_others_stay(world: World):
    limits = ("--risk", "max_drawdown_pct=10", "--risk", "max_loss_streak=3")
    world.trade(*limits, crash_at="fill.after_commit:1").was_killed()
    world.resume("--duration", "1", "--risk", "max_drawdown_pct=8").ok()
    (changed,) = world.facts("PlanChanged")
    assert changed["changes"]["risk.max_drawdown_pct"] == ['"10"', '"8"']
    rules = shown(world)["rules"]
    assert (rules["max_drawdown_pct"], rules["max_loss_streak"]) == ("8", 3)


def test_what_is_wrong_with_a_rule_is_one_line(world: World):
    for given, says in {
        "size_pct=0": "size_pct must be from 0.01 to 1000",
        "sise_pct=1": "risk has no parameter 'sise_pct'",
        "sizing=luck": "parameter sizing must be one of fixed, equity, atr, kelly",
        "max_sector_pct=10": "max_sector_pct needs sectors",
        "nothing": "write NAME=VALUE, as in --risk sizing=atr",
    }.items():
        ended = world.trade("--risk", given, duration=1)
        assert ended.code == 2, ended
        assert says in ended.err, ended
        assert "Traceback" not in ended.err
    assert world.run("risk", "reset").code == 2
