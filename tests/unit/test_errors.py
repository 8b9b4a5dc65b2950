"""The exception tree: as drawn, with the exit codes that are documented."""

from __future__ import annotations

import re

import pytest

from gambler_ai import errors

DRAWN = dict(re.findall(r"(\w+) +exit (\d+)", errors.__doc__ or ""))
KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.GamblerError)
}


def test_each_error_is_in_the_drawing_and_each_in_the_drawing_is_there():
    assert set(DRAWN) == set(KINDS)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_exit_code_is_the_one_drawn(name):
    assert KINDS[name].exit_code == int(DRAWN[name])


def test_an_error_carries_its_line_and_a_hint():
    error = errors.BrokerRefused("no", status=422, code=7, hint="ask again")
    assert (str(error), error.message, error.status, error.code, error.hint) == ("no", "no", 422, 7, "ask again")
    assert errors.ConfigError("x").hint == ""
    assert not issubclass(errors.IllegalTransition, errors.GamblerError)
