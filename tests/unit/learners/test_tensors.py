"""Safetensors bytes: those that are exactly what is wanted are read, all others are refused with a ValueError."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gambler_ai.learners.tensors import Wanted, read, shape_of
from tests.unit.learners.sequences import file_of

TENSORS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([7]), "c": np.array([1, 0], np.uint8)}
WANTED = {"a": Wanted("F32", (2, 3)), "b": Wanted("I64", (1,)), "c": Wanted("U8", (2,))}
FILE = file_of(TENSORS)


def with_header(header: Any, body: bytes = FILE[-34:]) -> bytes:
    told = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(told).to_bytes(8, "little") + told + body


def header_of(**changes: Any) -> dict[str, Any]:
    """The header of `FILE`, with other entries in it."""
    header: dict[str, Any] = json.loads(FILE[8:-34])
    for name, change in changes.items():
        header[name] = header.get(name, {}) | change
    return header


def test_it_reads_what_was_written_whatever_the_order():
    for order in (list(TENSORS), list(reversed(TENSORS))):
        found = read(file_of({name: TENSORS[name] for name in order}), WANTED)
        assert found.keys() == TENSORS.keys()
        for name, values in TENSORS.items():
            np.testing.assert_array_equal(found[name], values)
            assert not found[name].flags.writeable
    assert with_header(header_of()) == FILE
    assert shape_of(FILE, "a") == (2, 3)


@pytest.mark.parametrize("length", range(len(FILE)))
def test_a_file_that_was_cut_anywhere_is_refused(length: int):
    with pytest.raises(ValueError, match=r"header|lie where|decode"):
        read(FILE[:length], WANTED)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"\xff" * 8 + FILE[8:], "header is not within"),
        (bytes(8) + FILE[8:], "header is not within"),
        (with_header(b"[" * 100_000), "does not decode"),
        (with_header(b'{"a":' * 100_000), "does not decode"),
        (with_header(b"\xff\xfe"), "does not decode"),
        (with_header([1, 2]), "does not decode"),
        (with_header({"a": {}}), "does not decode"),
        (with_header(header_of(__metadata__={"format": "pt"})), "does not decode"),
        (with_header(header_of(a={"more": 1})), "does not decode"),
        (with_header(header_of(a={"shape": [10**30]})), "decode|not Wanted"),
        (with_header(header_of(d={"dtype": "U8", "shape": [0], "data_offsets": [34, 34]})), "'d' is none of ours"),
        (with_header({k: v for k, v in header_of().items() if k != "b"}), "'b' is missing"),
        (with_header(header_of(a={"dtype": "F64"})), "tensor a is F64"),
        (with_header(header_of(a={"shape": [3, 2]})), "tensor a is F32 of"),
        (with_header(header_of(a={"shape": [-2, -3]})), "tensor a is F32 of"),
        (with_header(header_of(a={"data_offsets": [0, 23]})), "tensor a does not lie"),
        (with_header(header_of(b={"data_offsets": [0, 8]})), "does not lie"),
        (with_header(header_of(b={"data_offsets": [10**30, 8]})), "decode|does not lie"),
        (with_header(header_of(c={"data_offsets": [33, 35]})), "tensor c does not lie"),
        (FILE + b"x", "1 bytes belong to no tensor"),
        (file_of(TENSORS | {"a": np.full((2, 3), np.nan, np.float32)}), "tensor a holds something"),
        (file_of(TENSORS | {"a": np.full((2, 3), -np.inf, np.float32)}), "tensor a holds something"),
    ],
)
def test_anything_else_is_refused(bad: bytes, says: str):
    with pytest.raises(ValueError, match=says):
        read(bad, WANTED)


def test_random_bytes_in_it_are_read_or_refused_and_nothing_else():
    rng = np.random.default_rng(3)
    for _ in range(2000):
        bad = bytearray(FILE)
        for place in rng.integers(0, len(FILE), 3):
            bad[place] = rng.integers(0, 256)
        try:
            read(bytes(bad), WANTED)
        except ValueError as error:
            assert str(error)  # noqa: PT017
