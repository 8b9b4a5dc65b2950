"""Structures of options with a broker that refuses or does not answer: one clear line each, and nothing by halves."""

from decimal import Decimal

import pytest

from tests.recovery.harness import Ended, World, audit, entries

POST = {"method": "POST", "path": "/v2/orders"}
SETTINGS = "/v2/account/configurations"
STAYS = ("--strategy", "iron_condor")
#: MSFT's leaves for a small loss two minutes after its entry.
LEAVES = (*STAYS, "--set", "loss_multiple=0.16")
COVERED = ("--strategy", "covered_call")


@pytest.fixture
def world(make_world) -> World:
    """From a minute before the first signal."""
    made: World = make_world("--at", "2008-10-07T09:34")
    return made


def trade(world: World, *options: str, symbol: str = "MSFT", minutes: float = 2, crash_at: str = "") -> Ended:
    return world.trade(*options, symbols=symbol, duration=minutes, crash_at=crash_at)


def lines(ended: Ended, word: str) -> list[str]:
    """What is said under a word, after the time."""
    return [line[18:].strip() for line in ended.out.splitlines() if line[9:].split()[:1] == [word]]


def settings(world: World, **changes: object) -> None:
    status, answer = world.there.call("PATCH", SETTINGS, changes)
    assert status == 200, answer


def of_structures(world: World) -> list[tuple[str | None, str, Decimal]]:
    rows = world.rows("SELECT ended_at, end_reason, cash FROM structures ORDER BY opened_at")
    return [(row["ended_at"], row["end_reason"], Decimal(row["cash"])) for row in rows]


def test_an_account_that_may_not_trade_them_is_refused_at_the_start_in_one_line(world: World):
    settings(world, max_options_trading_level=1)
    ended = trade(world, *STAYS)
    assert ended.code == 2, ended
    assert ended.err.count("error: ") == 1
    assert "the account's options level is 1; iron_condor needs 3" in ended.err
    assert world.there.log() == []
    assert world.rows("SELECT * FROM structures") == []


@pytest.mark.nightly
def test_what_one_may_lose_is_no_more_than_what_the_account_can_pay(make_world):
    world: World = make_world("--at", "2008-10-07T09:34", "--cash", "2100")
    trade(world, *STAYS, "--capital-per-trade", "1000000").ok()
    audit(world)
    [row] = world.rows("SELECT units, max_loss FROM structures")
    assert 0 < row["units"] * Decimal(row["max_loss"]) <= 2100


@pytest.mark.nightly
def test_an_entry_that_cannot_be_paid_any_more_is_given_up_and_leaves_nothing(world: World):
    """Killed before it is sent; a hand spends the money; the same order is refused when it comes."""
    trade(world, *STAYS, crash_at="submit.before:1").was_killed()
    world.there.hold("IBM", "buy", "2000")
    ended = world.resume().ok()
    [given_up] = lines(ended, "void")
    assert "refused when it was sent again (insufficient options buying power" in given_up
    assert [(bool(at), cash) for at, _, cash in of_structures(world)] == [(True, Decimal(0))]
    assert "insufficient options buying power" in of_structures(world)[0][1]
    assert world.positions() == {}
    audit(world, ["IBM"])


@pytest.mark.nightly
def test_an_exit_that_is_wanted_while_the_market_is_closed_waits_and_says_so(world: World):
    trade(world, *STAYS).ok()
    held = world.positions()
    world.there.pass_time(hours=8)
    ended = world.run("flatten", "--yes").ok()
    assert "closing 1 structure, no entries from here on when the market opens (2008-10-08 13:30 UTC)" in ended.out
    assert len(world.there.log()) == 1
    assert world.positions() == held
    audit(world)
    ended = world.resume("--duration", "1").ok()  # which begins at the open
    assert len(lines(ended, "exit")) == 1
    assert world.positions() == {}
    audit(world)


def test_an_exit_that_is_refused_is_told_and_its_legs_go_one_by_one_when_they_may(world: World):
    trade(world, *LEAVES, minutes=4, crash_at="leave.after_commit:1").was_killed()
    held = world.positions()
    settings(world, suspend_trade=True)
    ended = world.resume("--duration", "1").ok()
    assert lines(ended, "rejected")
    assert all("new orders are rejected by user request" in line for line in lines(ended, "rejected"))
    assert world.positions() == held
    audit(world)
    settings(world, suspend_trade=False)
    world.resume("--duration", "9").ok()
    assert world.positions() == {}
    audit(world)
    exits = world.rows("SELECT symbol, side FROM intents WHERE purpose = 'exit' AND status = 'filled' ORDER BY side")
    assert [row["side"] for row in exits] == ["buy", "buy", "sell", "sell"]


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["504_after", "502_after", "truncated"])
def test_one_order_for_all_legs_without_an_answer_is_found_and_never_doubled(world: World, kind: str):
    """Of the entry, and of the way out."""
    world.there.plan({"kind": kind, "times": 2, **POST})
    ended = trade(world, *LEAVES, minutes=4).ok()
    assert len(lines(ended, "unknown")) == 2
    audit(world)
    assert entries(world) == [("MSFT", "buy")]
    assert world.positions() == {}
    assert len(world.there.accepted()) == 2


def test_shares_whose_call_is_refused_are_closed(world: World):
    trade(world, *COVERED, symbol="AAPL", minutes=5, crash_at="leg.before_commit:1").was_killed()
    settings(world, max_options_trading_level=0)
    ended = world.resume().ok()
    [refused] = lines(ended, "rejected")
    assert "account is not authorized to trade options" in refused
    assert world.positions() == {}
    [(ended_at, reason, _)] = of_structures(world)
    assert (bool(ended_at), reason) == (True, "uneven: 100 AAPL")
    audit(world)
