"""What an options session reads beside shares: the held first, chains around a price, daily bars once a day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pytest
from msgspec.structs import replace

from gambler_ai.clock import ManualClock
from gambler_ai.core import bars
from gambler_ai.core import events as ev
from gambler_ai.core.model import AHEAD
from gambler_ai.core.structures import ChainQuery, OptionQuote
from gambler_ai.errors import BrokerAuthError, BrokerRefused, BrokerUnreachable, ReadFailed
from gambler_ai.trading.executor import Executor, Scan
from gambler_ai.trading.feed import WallFeed
from gambler_ai.trading.option_reader import DAY, OptionReader, Wanted
from tests.unit.fakes import AT, FIVE, D, FakeBroker, trades_of

APPLE, MICRO = (ChainQuery(s, date(2008, 10, 17), date(2008, 11, 21), D(15)) for s in ("AAPL", "MSFT"))
CALL, PUT = "AAPL081121C00100000", "MSFT081121P00050000"
QUOTES = {s: OptionQuote(s, D("1.5"), D("1.6"), AT) for s in (CALL, PUT)}
SYMBOLS = ("AAPL", "MSFT")
WANTED = Wanted((APPLE, MICRO), (CALL,), 30)


@pytest.fixture
def far() -> FakeBroker:
    made = FakeBroker()
    made.quotes = dict(QUOTES)
    return made


def test_chains_are_read_around_the_last_trade_and_what_is_held_before_them(far):
    found = OptionReader(far).read(WANTED, SYMBOLS, far.prices, AT)
    assert (found.quotes, found.error) == (QUOTES, None)
    assert [name for name, _ in far.calls] == ["option_quotes", "bars", "chain", "chain"]
    assert far.asked("option_quotes") == [((CALL,),)]
    assert far.asked("chain") == [(APPLE, D(100)), (MICRO, D(50))]


def test_nothing_is_asked_for_that_nobody_wants(far):
    assert OptionReader(far).read(Wanted(), SYMBOLS, far.prices, AT).quotes == {}
    assert far.calls == []


def test_without_a_believed_trade_nobody_knows_around_which_price(far):
    found = OptionReader(far).read(Wanted((APPLE, MICRO)), SYMBOLS, trades_of(MSFT="50"), AT)
    assert (set(found.quotes), found.error) == ({PUT}, None)


def test_daily_bars_are_read_once_a_day_of_the_market(far):
    reader = OptionReader(far)
    night = timedelta(hours=14)  # midnight in New York
    for at in (AT, AT + FIVE, AT + night - FIVE):
        assert reader.read(Wanted(daily=30), SYMBOLS, {}, at).daily is not None
    assert far.asked("bars") == [(SYMBOLS, DAY, AT - 50 * DAY, AT, 30)]
    reader.read(Wanted(daily=30), SYMBOLS, {}, AT + night)
    assert len(far.asked("bars")) == 2
    reader.read(Wanted(daily=31), SYMBOLS, {}, AT + night)
    assert len(far.asked("bars")) == 3


def test_daily_bars_that_did_not_come_are_asked_for_again(far):
    reader, wanted = OptionReader(far), Wanted(daily=30)
    far.raises["bars"] = BrokerUnreachable("no line")
    failed = reader.read(wanted, SYMBOLS, {}, AT)
    assert (failed.daily, str(failed.error)) == (None, "no line")
    del far.raises["bars"]
    assert reader.read(wanted, SYMBOLS, {}, AT).daily is not None


def test_a_daily_bar_that_cannot_be_is_left_out(far):
    rows = np.asarray([[1e9, 1, 1, 1, 1, 1], [2e9, -1, 1, 1, 1, 1], [3e9, 2, 2, 2, 2, 2]])
    far.daily = bars.as_told(("AAPL",), DAY, {"AAPL": rows})
    daily = OptionReader(far).read(Wanted(daily=30), ("AAPL",), {}, AT).daily
    assert daily is not None
    assert daily.close[:, 0].tolist() == [1.0, 2.0]


def test_what_is_held_keeps_its_quotes_when_chains_do_not_come(far):
    far.raises["chain"] = ReadFailed("rate limited by the broker")
    found = OptionReader(far).read(WANTED, SYMBOLS, far.prices, AT)
    assert (set(found.quotes), str(found.error)) == ({CALL}, "rate limited by the broker")
    assert len(far.asked("chain")) == 1, "a broker that does not answer is not asked on and on"


def test_a_quote_from_the_future_is_none(far):
    for late, there in ((AHEAD, True), (AHEAD + FIVE, False)):
        far.quotes = {CALL: replace(QUOTES[CALL], at=AT + late)}
        assert bool(OptionReader(far).read(Wanted((APPLE,), (CALL,)), SYMBOLS, far.prices, AT).quotes) is there


# -- in the executor ------------------------------------------------------------------------------


class Bench:
    """An executor at work on a fake broker."""

    def __init__(self) -> None:
        self.broker = FakeBroker()
        self.broker.quotes = dict(QUOTES)
        self.feed = WallFeed(ManualClock(AT))
        self.executor = Executor(self.broker, self.broker, self.feed)
        self.executor.start()

    def __call__(self, options: Wanted | None) -> ev.Input:
        self.executor.ask(Scan(SYMBOLS, FIVE, 21, options))
        answer = self.feed.poll(10.0)
        assert answer is not None
        self.executor.answered()
        return answer


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.executor.stop(10.0)


def scanned(answer: ev.Input) -> ev.BarsClosed:
    assert isinstance(answer, ev.BarsClosed)
    return answer


def test_a_scan_of_shares_reads_two_things_and_no_more(bench):
    answer = scanned(bench(None))
    assert [name for name, _ in bench.broker.calls] == ["bars", "trades"]
    assert (answer.quotes, answer.daily, answer.unread) == ({}, None, "")


def test_a_scan_of_contracts_is_one_answer(bench):
    answer = scanned(bench(WANTED))
    assert (answer.quotes, answer.unread) == (QUOTES, "")
    assert answer.daily is not None
    assert set(answer.trades) == set(SYMBOLS)
    assert not bench.executor.busy


@pytest.mark.parametrize("call", ["chain", "option_quotes"])
@pytest.mark.parametrize("error", [BrokerUnreachable("no line"), BrokerRefused("unknown", status=422)])
def test_shares_that_came_count_although_contracts_did_not(bench, call, error):
    bench.broker.raises[call] = error
    answer = scanned(bench(WANTED))
    assert answer.unread == error.message
    assert set(answer.trades) == set(SYMBOLS)
    assert set(answer.quotes) == ({CALL} if call == "chain" else set())
    del bench.broker.raises[call]
    assert scanned(bench(WANTED)).unread == ""


def test_a_limit_met_by_a_chain_is_kept_by_the_next_scan(bench):
    bench.broker.raises["chain"] = ReadFailed("rate limited by the broker", wait_s=30.0)
    assert scanned(bench(WANTED)).unread == "rate limited by the broker"
    before = len(bench.broker.calls)
    answer = bench(WANTED)
    assert isinstance(answer, ev.BrokerFailed)
    assert (answer.name, len(bench.broker.calls)) == (ev.MARKET_DATA, before)


def test_prices_of_shares_that_do_not_come_leave_contracts_alone(bench):
    bench.broker.raises["trades"] = BrokerUnreachable("no line")
    assert isinstance(bench(WANTED), ev.BrokerFailed)
    assert bench.broker.asked("chain") == bench.broker.asked("option_quotes") == []


def test_keys_without_prices_of_contracts_end_the_session(bench):
    bench.broker.raises["chain"] = BrokerAuthError("no prices of feed=indicative")
    with pytest.raises(BrokerAuthError, match="indicative"):
        bench(WANTED)
