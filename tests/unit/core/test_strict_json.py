# ruff: noqa: E501 (tables of input are easier to read in long lines)
"""JSON that two programs would read differently is none."""

from decimal import Decimal

import pytest

from gambler_ai.core import strict_json


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("NaN", "NaN is not a number"), ("[-Infinity]", "-Infinity is not a number"), ("1e999", "too large a number"),
        ('{"a":-1e999}', "too large a number"), ('{"a":1,"b":2,"a":1}', "'a' is there twice"), ("[" * 5_000, "nested too deeply"),
        ("9" * 5_000, "4300"), ("", "Expecting value"), ("{}{}", "Extra data"),
    ],
)  # fmt: skip
def test_it_is_refused(text: str, says: str):
    with pytest.raises(ValueError, match=says):
        strict_json.loads(text)


def test_all_else_is_taken():
    assert strict_json.loads('{"a":[1,2.5,"x",null,true,1e-400]}') == {"a": [1, 2.5, "x", None, True, 0.0]}


def test_an_exact_number_is_the_one_that_stands_there():
    assert strict_json.loads("[99999999999999.99,1,1e2]", exact=True) == [Decimal("99999999999999.99"), 1, Decimal(100)]


@pytest.mark.parametrize("text", ["1e-999999", "0." + "1" * 79, "1e999"])
def test_an_exact_number_without_measure_is_refused(text: str):
    with pytest.raises(ValueError, match=r"more places than|too large a number"):
        strict_json.loads(text, exact=True)
