"""Segments are read by a hand of their own, and it reads what was written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from gambler_ai.proving.unpacking import rolled_up
from gambler_ai.storage.segments import FactRow, head_of, read_facts, write_facts
from tests.unit.storage.test_packing import ODD, ROWS, row

HEAD = "7" * 64


def rows_of(texts: list[str]) -> list[FactRow]:
    return [FactRow(3 + 2 * n, 1 + n // 2, f"{n:02x}", text) for n, text in enumerate(texts)]


def check(texts: list[str]) -> None:
    rows = rows_of(texts)
    raw = write_facts(rows, HEAD)
    assert [FactRow(*found) for found in rolled_up(json.loads(raw))] == rows == read_facts(raw)
    assert head_of(raw) in (HEAD, None)


@settings(max_examples=40)
@given(ROWS.filter(bool))
def test_both_hands_read_what_was_written(found):
    check([row(*one) for one in found])


@pytest.mark.parametrize("values", ODD.values(), ids=ODD)
def test_both_read_what_is_written_otherwise(values):
    check([f'{{"at":{value}}}' for value in values])


def test_what_cannot_be_packed_is_kept_as_it_is():
    rows = rows_of(['{"\x7f":1}', "no json"])
    raw = write_facts(rows, HEAD)
    assert (raw[:1], head_of(raw)) == (b"[", None)
    assert [FactRow(*found) for found in rolled_up(json.loads(raw))] == rows == read_facts(raw)


def test_a_segment_without_the_beginnings_of_its_hashes_is_none():
    raw = write_facts(rows_of(['{"a":1}', '{"a":2}']), HEAD)
    with pytest.raises(ValueError, match="beginning"):
        read_facts(raw.replace(b'"mark":"0001"', b'"mark":""'))
