# ruff: noqa: E501 (tables of input are easier to read in long lines)
"""JSON that two programs would read differently is none."""

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
