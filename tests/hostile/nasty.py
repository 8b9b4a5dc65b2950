# ruff: noqa: E501 (tables of input are easier to read in long lines)
"""Input that nobody would send by accident: values, and valid documents with one thing made wrong, by seed."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

#: What stands for a value in a document of JSON.
VALUES = [
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", '"NaN"', '"-nan"', '"sNaN1"', '"Infinity"', '"1e999999"', '"1e-999999"',
    '"-5"', "-5", "0", '"-0"', "-0", "null", "true", "[]", "{}", '""', '" "', '"\\u0000"', '"\\u001b[31mred"', '"\\u202e"',
    '"\\ud800"', '"\\n\\r\\u0085\\u2028"', json.dumps("A" * 10_000), "9" * 5_000, json.dumps("9" * 5_000), '"1_000"', '"0x10"',
    '"\u0661\u0662"', "[" * 400 + "]" * 400, "1e-400", '"2008-10-07"', '"9999-12-31T23:59:59Z"', '"0001-01-01T00:00:00+23:59"',
    '"2008-10-07T14:00:00+99:99"', '"../../etc/passwd"', "1.7976931348623157e308", '"<script>"', '"%s%n"', '[[{"a":[]}]]',
    "18446744073709551616", '"1e18"', '"1e19"', "1e19", '"9"', "false", '{"qty":{"qty":null}}', "[null]", '["x"]', "0.1",
]  # fmt: skip

#: Whole documents, as bytes.
WHOLE: dict[str, bytes] = {
    "empty": b"", "blank": b" \n\t", "null": b"null", "true": b"true", "number": b"1", "string": b'"x"', "list": b"[]",
    "object": b"{}", "nan": b"NaN", "infinity": b"-Infinity", "huge number": b"1e999", "long integer": b"9" * 10_000,
    "nested lists": b"[" * 100_000, "closed nested lists": b"[" * 50_000 + b"]" * 50_000,
    "nested objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "list of nulls": b"[null,null]", "list of lists": b"[[],[[]]]",
    "list of numbers": b"[1,2,3]", "list of strings": b'["a","b"]', "list of objects": b"[{},{}]", "twice": b'{"id":"1","id":"2"}',
    "deep twice": b'[{"a":{"b":1,"b":1}}]', "mark": b"\xef\xbb\xbf{}", "utf-16": '{"a":1}'.encode("utf-16"),
    "utf-32": '{"a":1}'.encode("utf-32"), "latin-1": '{"a":"é"}'.encode("latin-1"), "overlong": b'{"a":"\xc0\xaf"}',
    "surrogate": b'{"a":"\xed\xa0\x80"}', "nul": b"\x00", "nuls": b"\x00" * 4096, "controls": bytes(range(32)),
    "escape": b"\x1b]0;owned\x07\x1b[2J", "html": b"<html><body><h1>502</h1></body></html>", "xml": b"<?xml version='1.0'?><a/>",
    "cut": b'{"id": "61e6', "two": b"{}{}", "comment": b"{/* x */}", "trailing comma": b'{"a":1,}', "single quotes": b"{'a':1}",
    "bare word": b"undefined", "python": b"{'a': None}", "msgpack": b"\x81\xa1a\x01", "gzip": b"\x1f\x8b\x08\x00" + b"\x00" * 20,
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n", "long string": b'"' + b"A" * 1_000_000 + b'"',
    "many keys": b"{" + b",".join(b'"k%d":1' % n for n in range(20_000)) + b"}", "many items": b"[" + b"0," * 200_000 + b"0]",
    "error in success": b'{"code":40010001,"message":"no"}', "long key": b'{"' + b"k" * 500_000 + b'":1}',
}  # fmt: skip

#: How many one test of a night does.
LOT = 2_000

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null')


def mutants(text: str, seed: int, count: int) -> Iterator[str]:
    """``count`` documents like ``text`` with one to three things made wrong."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        found = text
        for _step in range(int(rng.integers(1, 4))):
            found = _mutated(found, rng)
        yield found


class Lot(NamedTuple):
    """So many documents made wrong, by a seed of its own."""

    number: int
    seed: int = 0

    def of(self, text: str, config: pytest.Config) -> Iterator[str]:
        """Each night has others."""
        return mutants(text, self.seed + 1000 * config.getoption("seed"), self.number)


def by_night(number: int) -> list[Any]:
    """So many as parameters of a test, too many for each commit."""
    marks = [pytest.mark.nightly, pytest.mark.timeout(900), pytest.mark.counts("hostile inputs", LOT)]
    return [pytest.param(Lot(LOT, 1 + n), marks=marks, id=f"lot{n}") for n in range(number // LOT)]


def each_value(text: str) -> Iterator[str]:
    """``text`` with each of its values in turn replaced by each nasty one."""
    for token in _values(text):
        for value in VALUES:
            yield text[: token.start()] + value + text[token.end() :]


def _values(text: str) -> list[re.Match[str]]:
    return [token for token in _TOKEN.finditer(text) if not token[1]]


def _mutated(text: str, rng: np.random.Generator) -> str:
    tokens = list(_TOKEN.finditer(text))
    if not tokens:
        return text
    token = tokens[int(rng.integers(len(tokens)))]
    kind = int(rng.integers(6))
    start, end = token.span()
    if kind <= 2 and not token[1]:
        return text[:start] + VALUES[int(rng.integers(len(VALUES)))] + text[end:]
    if kind == 3:  # another name, or no value
        return text[:start] + ('"x":' if token[1] else "") + text[end:]
    if kind == 4:
        return text[: int(rng.integers(len(text)))]
    place = int(rng.integers(len(text)))
    return text[:place] + chr(int(rng.integers(1, 0x300))) + text[place:]


def wrong(value: Any) -> str:
    """What is in a value that was taken in and must not be in one, "" when it is clean."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, Decimal) and not item.is_finite():
            return f"a number that is none: {item}"
        if isinstance(item, str) and (not item.isprintable() or len(item) > 300):
            return f"a text that is none: {item!r:.60}"
        if isinstance(item, msgspec.Struct):
            todo += [getattr(item, name) for name in item.__struct_fields__]
        elif isinstance(item, dict):
            todo += [*item, *item.values()]
        elif isinstance(item, list | tuple):
            todo += item
    return ""
