"""Our own client against the embedded exchange, without a socket: a structure from its chain to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from gambler_ai.app.option_access import refuse_without_access
from gambler_ai.broker.alpaca import AlpacaBroker
from gambler_ai.broker.market_data import AlpacaMarketData
from gambler_ai.clock import ManualClock
from gambler_ai.core.contracts import Right, parse
from gambler_ai.core.inputs import BarsClosed
from gambler_ai.core.model import Side
from gambler_ai.core.orders import OrderReport
from gambler_ai.core.structures import ChainQuery, Leg, OptionQuote, natural_price
from gambler_ai.errors import BrokerRefused, ConfigError
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.rest.server import create_app
from gambler_ai.exchange.rest.transport import ExchangeSession
from gambler_ai.strategies import Strategy
from gambler_ai.trading.executor import Executor, Scan
from gambler_ai.trading.feed import PacedFeed
from gambler_ai.trading.option_reader import Wanted
from tests.unit.fakes import make_plan

START = datetime(2007, 11, 13, 15, 0, tzinfo=UTC)
EXPIRY = date(2007, 11, 16)
EXPIRED = datetime(2007, 11, 16, 21, 5, tzinfo=UTC)
QUERY = ChainQuery("AAPL", EXPIRY, EXPIRY, Decimal(8))
FIVE = timedelta(minutes=5)


class Far(NamedTuple):
    exchange: Exchange
    session: ExchangeSession
    broker: AlpacaBroker
    data: AlpacaMarketData

    def chain(self, query: ChainQuery = QUERY) -> dict[str, OptionQuote]:
        return self.data.chain(query, self.spot)

    @property
    def spot(self) -> Decimal:
        return self.data.trades(["AAPL"])["AAPL"].price

    def send(self, coid: str, legs: tuple[Leg, ...], *, opening: bool, limit: Decimal | None = None) -> OrderReport:
        """Two units of ``legs``, opened or closed."""
        word = "open" if opening else "close"
        sides = ["buy" if (leg.ratio > 0) is opening else "sell" for leg in legs]
        body = {
            "order_class": "mleg", "qty": "2", "time_in_force": "day", "client_order_id": coid,
            **({"type": "market"} if limit is None else {"type": "limit", "limit_price": f"{limit:f}"}),
            "legs": [
                {"symbol": leg.symbol, "ratio_qty": str(abs(leg.ratio)), "side": side,
                 "position_intent": f"{side}_to_{word}"}
                for leg, side in zip(legs, sides, strict=True)
            ],
        }  # fmt: skip
        return self.broker.submit(json.dumps(body))


@pytest.fixture
def far() -> Iterator[Far]:
    exchange = Exchange.open(None, start=START, seed=7)
    session = ExchangeSession(create_app(exchange, "", FaultPlan()))
    broker = AlpacaBroker(exchange.key_id, exchange.secret_key, session.url, session)
    data = AlpacaMarketData(exchange.key_id, exchange.secret_key, session.url, "iex", session)
    yield Far(exchange, session, broker, data)
    session.close()
    exchange.close()


def condor(far: Far) -> tuple[Leg, ...]:
    """Short strikes around the price, long ones beyond: a credit."""
    spot, found = far.spot, [(c, s) for s in far.chain() if (c := parse(s)) is not None]
    calls = sorted((c.strike, s) for c, s in found if c.right is Right.CALL and c.strike > spot)
    puts = sorted(((c.strike, s) for c, s in found if c.right is Right.PUT and c.strike < spot), reverse=True)
    return (Leg(puts[1][1], 1), Leg(puts[0][1], -1), Leg(calls[0][1], -1), Leg(calls[1][1], 1))


def test_a_chain_is_what_was_asked_for_with_greeks(far):
    found = far.chain()
    assert len(found) > 10
    for symbol, quote in found.items():
        contract = parse(symbol)
        assert contract is not None
        assert (contract.underlying, contract.expiry) == ("AAPL", EXPIRY)
        assert abs(contract.strike - far.spot) <= far.spot * 8 / 100
        assert quote.mid is not None
        assert abs(quote.at - START) < timedelta(minutes=1)
        assert quote.greeks is not None
        assert quote.greeks.iv is not None
    some = sorted(found)[:3]
    assert far.data.option_quotes([*some, "AAPL071116C09990000"]) == {symbol: found[symbol] for symbol in some}


@pytest.mark.nightly
def test_a_chain_of_more_than_a_page_is_read_whole(far):
    wide = far.chain(ChainQuery("AAPL", date(2007, 11, 14), date(2008, 11, 30), Decimal(90)))
    assert len(wide) > 1_000
    assert len({contract.expiry for symbol in wide if (contract := parse(symbol)) is not None}) > 5


def test_a_condor_is_opened_held_and_closed_as_one(far):
    legs = condor(far)
    net = natural_price(legs, far.chain())
    assert net is not None
    assert net < 0
    sent = far.send("ga1-entry", legs, opening=True, limit=net)
    assert (sent.symbol, sent.side, sent.limit_price, len(sent.legs)) == ("AAPL", Side.BUY, net, 4)
    far.exchange.advance(START + FIVE)
    entry = far.broker.order_by_client_id("ga1-entry")
    assert entry is not None
    assert (entry.status, entry.filled_qty, entry.order_class) == ("filled", Decimal(2), "mleg")
    assert entry.filled_avg_price is not None
    assert entry.filled_avg_price <= net
    assert [o.order_id for o in far.broker.orders(START - FIVE)] == [entry.order_id]
    fills = far.broker.fills(START - FIVE)
    signed = {leg.order_id: (leg.symbol, leg.side) for leg in entry.legs}
    assert {f.order_id: (f.symbol, f.side) for f in fills} == signed, "of its legs, and none of the parent"
    paid = sum((f.side.sign * f.qty * f.price for f in fills), Decimal(0))
    assert paid == entry.filled_avg_price * 2
    assert {p.symbol: p.qty for p in far.broker.positions()} == {leg.symbol: Decimal(2 * leg.ratio) for leg in legs}
    exit_ = far.send("ga1-exit", legs, opening=False)
    assert (exit_.symbol, exit_.side, exit_.limit_price) == ("AAPL", Side.SELL, None)
    far.exchange.advance(START + 3 * FIVE)
    done = far.broker.order(exit_.order_id)
    assert done is not None
    assert done.status == "filled"
    assert far.broker.positions() == []


def test_an_order_of_several_legs_that_rests_is_replaced_and_canceled(far):
    legs = condor(far)
    dear = natural_price(legs, far.chain())
    assert dear is not None
    resting = far.send("ga1-rests", legs, opening=True, limit=dear - 3)
    changed = far.broker.replace(
        resting.order_id, json.dumps({"limit_price": f"{dear - 2:f}", "client_order_id": "ga1-r2"})
    )
    assert (changed.replaces, changed.limit_price, changed.side) == (resting.order_id, dear - 2, Side.BUY)
    far.broker.cancel(changed.order_id)
    last = far.broker.order(changed.order_id)
    assert last is not None
    assert {last.status, *(leg.status for leg in last.legs)} == {"canceled"}
    with pytest.raises(BrokerRefused, match="must be unique"):
        far.send("ga1-rests", legs, opening=True, limit=dear - 3)


def test_what_expires_is_told_as_activities_of_one_group(far):
    """A short call in the money is assigned, a put far below expires."""
    spot, found = far.spot, far.chain()
    by_right = {right: sorted(s for s in found if (c := parse(s)) and c.right is right) for right in Right}
    deep, worthless = by_right[Right.CALL][0], by_right[Right.PUT][0]
    guard = by_right[Right.CALL][-1]
    legs = (Leg(guard, 1), Leg(deep, -1))
    far.send("ga1-short", legs, opening=True)
    far.broker.submit(json.dumps({
        "symbol": worthless, "qty": "1", "side": "buy", "type": "market", "time_in_force": "day",
        "position_intent": "buy_to_open", "client_order_id": "ga1-put",
    }))  # fmt: skip
    far.exchange.advance(EXPIRED)
    actions = [a for a in far.broker.actions(START - FIVE) if a.type.startswith("OP")]
    told = {a.symbol: a for a in actions}
    assigned, shares, strike = told[deep], told["AAPL"], parse(deep)
    assert strike is not None
    assert strike.strike < spot
    assert (assigned.type, assigned.qty, shares.type) == ("OPASN", Decimal(2), "OPTRD")
    assert (shares.qty, shares.price, shares.amount) == (Decimal(-200), strike.strike, 200 * strike.strike)
    assert assigned.group == shares.group != ""
    assert (told[worthless].type, told[worthless].qty) == ("OPEXP", Decimal(-1))
    assert far.broker.actions(EXPIRED) == []
    held = {p.symbol: p.qty for p in far.broker.positions()}
    assert held == {"AAPL": Decimal(-200)}
    [last] = far.data.option_quotes([deep]).values()
    assert (last.at < EXPIRED, last.greeks) == (True, None), "the last quote of what is over says when it was"


def test_a_scan_of_the_executor_reads_chains_and_daily_bars(far):
    feed = PacedFeed(ManualClock(far.exchange.now()), far.exchange.advance, 0.0)
    executor = Executor(far.broker, far.data, feed)
    executor.start()
    held = min(far.chain())
    executor.ask(Scan(("AAPL",), FIVE, 3, Wanted((QUERY,), (held,), 60)))
    answer = feed.poll(60.0)
    executor.stop(10.0)
    assert isinstance(answer, BarsClosed)
    assert answer.unread == ""
    assert held in answer.quotes
    assert answer.daily is not None
    assert len(answer.daily) == 60
    assert answer.daily.newest_at(0).date() == date(2007, 11, 12), "the last close, and not today's"


# -- may the account do it ------------------------------------------------------------------------


class Spreads(Strategy, frozen=True):
    """Several contracts in one order."""

    name = "iron_condor"
    options_level = 3


class Calls(Strategy, frozen=True):
    """Shares, and calls on them."""

    name = "covered_call"
    options_level = 1


def lower(far: Far, level: int) -> None:
    keys = {"APCA-API-KEY-ID": far.exchange.key_id, "APCA-API-SECRET-KEY": far.exchange.secret_key}
    url = f"{far.session.url}/v2/account/configurations"
    reply = far.session.request("PATCH", url, json={"max_options_trading_level": level}, headers=keys)
    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("level", "strategy", "allowed"), [(3, Spreads(), True), (2, Spreads(), False), (1, Spreads(), False),
                                       (1, Calls(), True), (0, Calls(), False)],
)  # fmt: skip
def test_a_level_that_its_owner_lowered_is_refused_in_one_line(far, level, strategy, allowed):
    lower(far, level)
    account = far.broker.account()
    assert account.options_level == level
    assert account.options_buying_power == account.cash
    plan = make_plan(universe="options", symbols=("AAPL",))
    if allowed:
        refuse_without_access(far.broker, plan, strategy, START)
        return
    with pytest.raises(ConfigError) as caught:
        refuse_without_access(far.broker, plan, strategy, START)
    begins = f"the account's options level is {level}; {strategy.name} needs {strategy.options_level}: "
    assert caught.value.message.startswith(begins)
    assert "\n" not in caught.value.message + caught.value.hint


def test_an_underlying_without_options_is_refused_by_name(far):
    plan = make_plan(universe="options", symbols=("AAPL", "NOPE"))
    with pytest.raises(ConfigError, match=r"^the broker lists no options on NOPE$"):
        refuse_without_access(far.broker, plan, Spreads(), START)
    refuse_without_access(far.broker, replace(plan, symbols=("AAPL",)), Spreads(), START)
