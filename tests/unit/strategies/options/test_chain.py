"""Which strike is taken: the nearest to what was asked for, and none if nothing is near."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from gambler_ai.core.contracts import Contract, Right
from gambler_ai.core.structures import Greeks, OptionQuote
from gambler_ai.strategies.options.chain import Expiry, chains
from gambler_ai.strategies.testing import AT, chain_of

D = Decimal
CALL, PUT = Right.CALL, Right.PUT
#: Strike -> delta of its call and of its put.
DELTAS = {85: (0.93, -0.07), 90: (0.84, -0.16), 95: (0.71, -0.29), 100: (0.53, -0.47), 105: (0.34, -0.66),
          110: (0.18, -0.82), 115: (0.08, -0.92)}  # fmt: skip


def quote(right: Right, strike: int, delta: float | None, iv: float | None = 0.3) -> OptionQuote:
    symbol = Contract("A", date(2024, 2, 16), right, D(strike)).symbol
    greeks = None if delta is None else Greeks(delta, 0.02, -0.03, 0.1, iv)
    return OptionQuote(symbol, D("1.00"), D("1.04"), AT, greeks)


def expiry(**changes: object) -> Expiry:
    calls = {D(strike): quote(CALL, strike, deltas[0]) for strike, deltas in DELTAS.items()}
    puts = {D(strike): quote(PUT, strike, deltas[1]) for strike, deltas in DELTAS.items()}
    return replace(Expiry("A", date(2024, 2, 16), calls, puts), **changes)


def without(strikes: dict[Decimal, OptionQuote], *gone: int) -> dict[Decimal, OptionQuote]:
    return {strike: one for strike, one in strikes.items() if strike not in gone}


def test_quotes_become_expiries_in_order_and_strikes_in_order():
    quotes = chain_of("B", 50, days=(60, 10), strikes=(55, 45, 50)) | chain_of("A", 100, strikes=(100,))
    quotes["A"] = replace(next(iter(quotes.values())), symbol="A")  # a share is in no chain
    found = chains(quotes)
    assert sorted(found) == ["A", "B"]
    assert [one.expiry for one in found["B"]] == [AT.date() + timedelta(days=10), AT.date() + timedelta(days=60)]
    assert list(found["B"][0].calls) == list(found["B"][0].puts) == [45, 50, 55]
    assert found["A"][0].calls[D(100)].symbol == found["A"][0].symbol(CALL, D(100)) == "A240217C00100000"
    assert found["A"][0].ends_at.isoformat() == "2024-02-17T21:00:00+00:00"
    assert chains({}) == {}


@pytest.mark.parametrize(("spot", "strike"), [("98", 100), ("97.50", 95), ("97.49", 95), ("97.51", 100), ("112.6", 115),
                                              ("120", 115), ("121.1", None), ("80.9", None)])  # fmt: skip
def test_at_the_money_is_the_nearest_strike_within_five_percent(spot, strike):
    assert expiry().at_the_money(D(spot)) == strike


def test_at_the_money_wants_a_call_and_a_put():
    assert expiry(puts=without(expiry().puts, 100)).at_the_money(D(100)) == 95
    assert expiry(puts={}).at_the_money(D(100)) is None


@pytest.mark.parametrize(("right", "delta", "strike"), [
    (CALL, 0.30, 105), (PUT, 0.30, 95), (CALL, 0.16, 110), (PUT, 0.16, 90), (CALL, 0.5, 100), (PUT, 0.5, 100),
    (CALL, 0.26, 105), (CALL, 0.25, 110), (PUT, 0.01, 85), (CALL, 0.99, 85),
])  # fmt: skip
def test_by_delta_is_the_nearest_delta(right, delta, strike):
    assert expiry().by_delta(right, delta) == strike


def test_a_delta_that_is_far_off_is_none():
    thin = expiry(calls=without(expiry().calls, 105, 110, 115))
    assert thin.by_delta(CALL, 0.44) == 100
    assert thin.by_delta(CALL, 0.42) is None
    assert expiry(calls={D(100): quote(CALL, 100, None)}).by_delta(CALL, 0.5) is None


@pytest.mark.parametrize(("right", "pct", "strike"), [
    (CALL, "0", 100), (CALL, "5", 105), (PUT, "5", 95), (CALL, "7.4", 105), (CALL, "7.6", 110), (PUT, "10", 90),
    (CALL, "20", 115), (CALL, "20.1", None), (PUT, "21", None),
])  # fmt: skip
def test_by_distance_is_out_of_the_money(right, pct, strike):
    assert expiry().by_distance(right, D(100), D(pct)) == strike


def test_wings_lie_further_out_of_the_money():
    one = expiry()
    assert [one.further(CALL, D(105), n) for n in (1, 2, 3)] == [110, 115, None]
    assert [one.further(PUT, D(95), n) for n in (1, 2, 3)] == [90, 85, None]
    assert [one.apart(CALL, D(100), D(w)) for w in (5, 8, 15, 30, 31)] == [105, 110, 115, 115, None]
    assert [one.apart(PUT, D(100), D(w)) for w in (5, 8, 15)] == [95, 90, 85]
    # half as wide, or half as wide again, is as far off as it may be
    assert one.apart(CALL, D(100), D("3.33")) is None
    assert one.apart(CALL, D(100), D("3.34")) == 105


def test_implied_volatility_is_the_mean_at_the_money():
    calls = expiry().calls | {D(100): quote(CALL, 100, 0.5, 0.4)}
    assert expiry(calls=calls).implied_volatility(D(100)) == pytest.approx(0.35)
    calls[D(100)] = quote(CALL, 100, 0.5, None)
    assert expiry(calls=calls).implied_volatility(D(100)) == pytest.approx(0.3)
    none = {D(100): quote(PUT, 100, -0.5, 0.0)}
    assert expiry(calls=calls, puts=none).implied_volatility(D(100)) is None
    assert expiry().implied_volatility(D(300)) is None
