"""The local limit: never more than 180 in any minute, whenever it begins, and an order never waits for a reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.broker.pace import BURST, REFILL_PER_S, RESERVED, TokenBucket, is_urgent
from tests.unit.broker.test_fence import Stopwatch

LIMIT, MINUTE_S = 180, 60.0


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 20.0)), min_size=200, max_size=400))
def test_in_no_minute_there_are_more_than_180(asked):
    clock = Stopwatch()
    bucket, sent = TokenBucket(clock), []
    for number, (urgent, pause_s) in enumerate(asked):
        if number % 50 == 0:
            clock.at_s += pause_s
        bucket.take(urgent=urgent)
        sent.append(clock.at_s)
    for first, last in zip(sent, sent[LIMIT:], strict=False):
        assert last - first >= MINUTE_S - 1e-6


def test_a_reading_of_any_length_ends_and_leaves_room_for_orders():
    clock = Stopwatch()
    bucket = TokenBucket(clock)
    for _ in range(500):
        bucket.take(urgent=False)
    assert clock.slept_s == pytest.approx((500 - (BURST - RESERVED)) / REFILL_PER_S, abs=0.6)
    slept_s = clock.slept_s
    for _ in range(int(RESERVED)):
        bucket.take(urgent=True)
    assert clock.slept_s == slept_s


def test_an_order_beyond_what_is_reserved_waits_for_half_a_second_and_no_longer():
    clock = Stopwatch()
    bucket = TokenBucket(clock)
    for _ in range(int(BURST)):
        bucket.take(urgent=True)
    waits = []
    for _ in range(10):
        before_s = clock.slept_s
        bucket.take(urgent=True)
        waits.append(clock.slept_s - before_s)
    assert max(waits) <= 1.0 / REFILL_PER_S + 1e-6
    assert min(waits) > 0


def test_what_was_not_used_does_not_add_up():
    clock = Stopwatch()
    bucket = TokenBucket(clock)
    clock.at_s += 3600
    for _ in range(int(BURST)):
        bucket.take(urgent=True)
    assert clock.slept_s == 0
    bucket.take(urgent=True)
    assert clock.slept_s > 0


@pytest.mark.parametrize(
    ("method", "path", "urgent"),
    [
        ("POST", "/v2/orders", True), ("DELETE", "/v2/orders/x", True), ("PATCH", "/v2/orders/x", True),
        ("GET", "/v2/orders:by_client_order_id", True), ("GET", "/v2/orders/x", True), ("GET", "/v2/orders", False),
        ("GET", "/v2/positions", False), ("GET", "/v2/account/activities/FILL", False), ("get", "/v2/clock", False),
    ],
)  # fmt: skip
def test_orders_cancels_and_look_ups_are_urgent(method, path, urgent):
    assert is_urgent(method, path) is urgent


def test_the_limit_is_below_alpacas():
    assert BURST + REFILL_PER_S * MINUTE_S == LIMIT < 200
    assert RESERVED == 30
