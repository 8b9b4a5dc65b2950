"""Streams that become one: sorted, whole, and not opened before their time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.storage.chaining import chained
from tests.unit.fakes import AT, after

minutes = st.lists(st.lists(st.integers(0, 50), max_size=8), max_size=6)


@given(minutes)
def test_it_is_all_of_them_in_time_whatever_lies_beside_what(found):
    parts = [sorted(after(minutes=m) for m in part) for part in found]
    streams = [(min(part, default=AT), partial(iter, part)) for part in parts]
    assert list(chained(streams, lambda at: at)) == sorted(at for part in parts for at in part)


def test_of_those_that_follow_each_other_one_is_open_at_a_time():
    opened: list[int] = []

    def stream(first: int) -> Iterator[int]:
        opened.append(first)
        yield from (first, first + 1)

    found = chained([(after(minutes=f), partial(stream, f)) for f in (20, 0, 10)], lambda m: after(minutes=m))
    assert opened == []
    seen = [(minute, list(opened)) for minute in found]
    assert seen == [(0, [0]), (1, [0]), (10, [0, 10]), (11, [0, 10]), (20, [0, 10, 20]), (21, [0, 10, 20])]


def test_what_comes_at_the_same_instant_comes_in_the_order_of_the_streams():
    streams = [(after(minutes=n), partial(iter, [(5, n)])) for n in (0, 1, 2)]
    assert list(chained(streams, lambda pair: after(minutes=pair[0]))) == [(5, 0), (5, 1), (5, 2)]
