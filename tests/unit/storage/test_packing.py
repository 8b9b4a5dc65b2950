"""Texts as columns: every byte of them comes back, and a long list of like ones is small."""

from __future__ import annotations

import json
import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gambler_ai.storage import packing
from gambler_ai.storage.packing import HOLE, Table
from tests.unit.fakes import after

NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,14})?(e-?[0-9])?", fullmatch=True)
VALUES = st.one_of(
    NUMBERS.map(lambda text: f'"{text}"'), NUMBERS, st.text(max_size=8).map(json.dumps), st.just("null"),
    st.datetimes().map(lambda at: f'"{at.isoformat()}Z"'), st.datetimes().map(lambda at: f'"{at.isoformat()}"'),
)  # fmt: skip
ROWS = st.lists(st.tuples(st.booleans(), st.lists(VALUES, min_size=2, max_size=2)), max_size=9)


def row(swapped: bool, values: list[str]) -> str:
    one, two = ("b", "a") if swapped else ("a", "b")
    return f'{{"{one}":{values[0]},"{two}":[{values[1]}]}}'


@settings(max_examples=40)
@given(ROWS)
def test_every_byte_comes_back_after_a_way_through_json(found):
    texts = [row(*one) for one in found]
    try:
        packed = packing.pack(texts)
    except ValueError:
        assert any(HOLE in text for text in texts)
        return
    raw = msgspec.json.encode(packed)
    assert packing.unpack(msgspec.json.decode(raw, type=list[Table])) == texts


@settings(max_examples=40)
@given(st.lists(st.text(max_size=20), max_size=5))
def test_texts_that_are_no_json_come_back_or_are_refused(texts):
    try:
        packed = packing.pack(texts)
    except ValueError:
        return
    assert packing.unpack(packed) == texts


ODD = {
    "a zero below zero": ['"-0"', '"0"'], "zeros in front": ['"007"', '"7"'], "places differ": ['"1.50"', '"1.5"'],
    "as few as needed": ['"100.5"', '"100.25"', '"-3"', '"0"', '"1000"'], "an exponent": ['"1E+2"', '"100"'],
    "not all are numbers": ['"1"', '"NaN"'], "quotes": [r'"a\"b"', r'"\\"'],
    "another zone": ['"2008-10-07T14:00:00+02:00"', '"2008-10-07T14:00:00Z"'],
    "parts of a second": ['"2008-10-07T14:00:00.000001Z"', '"2008-10-07T14:00:00Z"'],
    "zeros behind a second": ['"2008-10-07T14:00:00.100Z"', '"2008-10-07T14:00:00Z"'],
    "no zone": ['"2008-10-07T14:00:00"', '"2008-10-08T14:00:00"'], "before 1970": ['"1908-10-07T14:00:00Z"', '"1"'],
}  # fmt: skip


@pytest.mark.parametrize("values", ODD.values(), ids=ODD)
def test_what_is_written_otherwise_comes_back_as_it_was(values):
    texts = [f'{{"at":{value}}}' for value in values]
    assert packing.unpack(packing.pack(texts)) == texts


def test_like_texts_are_one_table_of_differences():
    texts = [f'{{"at":"{after(minutes=n).isoformat()[:-6]}Z","p":"{100 + n}.5","same":"x","n":{n}}}' for n in range(3)]
    [table] = packing.pack(texts)
    assert table.rows == [0, 1, 1]
    assert table.columns == [["t", "s", 1223388000, 60, 60], ["n", 1, 1005, 10, 10], "x", ["n", 0, 0, 1, 1]]
    twice = [text.replace('"n":', '"q":"x","n":') for text in texts]
    assert packing.pack(twice)[0].columns[2:4] == ["x", 2]


def test_a_thousand_minutes_take_a_fifth_of_what_their_text_takes():
    texts = [
        f'{{"at":"{after(minutes=n).isoformat()[:-6]}Z","marks":{{"A":"{100 + n * n % 7}.{n * 37 % 91}"}}}}'
        for n in range(1_000)
    ]
    packed = zlib.compress(msgspec.json.encode(packing.pack(texts)))
    assert 5 * len(packed) < len(zlib.compress("".join(texts).encode()))


DAMAGED = {
    "a column is missing": Table(f"[{HOLE},{HOLE}]", [0, 1], [["n", 0, 1, 1]]),
    "a column is short": Table(f"[{HOLE}]", [0, 1], [["n", 0, 1]]),
    "a column is of no kind": Table(f"[{HOLE}]", [0, 1], [["?", 1, 2]]),
    "a column is as one that is not there": Table(f"[{HOLE}]", [0, 1], [3]),
    "a row is missing": Table(f"[{HOLE}]", [0, 2], [["n", 0, 1, 1]]),
    "an instant is out of range": Table(f"[{HOLE}]", [0, 1], [["t", "s", 10**12, 1]]),
    "a number is none": Table(f"[{HOLE}]", [0, 1], [["n", 0, "x", 1]]),
    "a column is empty": Table(f"[{HOLE}]", [0, 1], [[]]),
}


@pytest.mark.parametrize("table", DAMAGED.values(), ids=DAMAGED)
def test_tables_that_fit_nothing_are_refused(table):
    with pytest.raises(ValueError, match=r"."):
        packing.unpack([table])
