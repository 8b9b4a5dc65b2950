"""Secrets are replaced in each spelling, in texts and in logs."""

import logging
import sys

import pytest

from gambler_ai.secrecy import MASKED, Mask, MaskedRecord, keep, masked
from tests.security.mirror import SECRET, spellings

WORD = 'qW8/eR+tY7"uI&o='


@pytest.fixture(autouse=True)
def kept() -> None:
    keep([WORD, "", "abc"])


@pytest.mark.parametrize("form", spellings(WORD))
def test_each_spelling_is_replaced(form: str):
    assert WORD[3:9] not in masked(f"a {form} b")
    assert MASKED in masked(f"a {form} b")


def test_what_is_no_secret_stays():
    assert masked("abc and nothing") == "abc and nothing", "three letters stand everywhere"
    assert Mask()("x") == "x"


def test_more_secrets_do_not_uncover_the_first():
    keep([SECRET])
    assert masked(f"{WORD} {SECRET}") == f"{MASKED} {MASKED}"


def test_a_secret_inside_another_hides_both():
    assert Mask(["inner", "outer-inner-outer"])("outer-inner-outer inner") == f"{MASKED} {MASKED}"


def record(message: str, *values: object, exc: bool = False) -> str:
    made = MaskedRecord("x", logging.DEBUG, "f", 1, message, values, sys.exc_info() if exc else None)
    return logging.Formatter().format(made)


def test_a_record_s_values_are_masked():
    assert record("it is %s", WORD) == f"it is {MASKED}"


def test_a_record_s_traceback_is_masked():
    try:
        raise ValueError(WORD)
    except ValueError:
        text = record("failed", exc=True)
    assert f"ValueError: {MASKED}" in text
    assert WORD not in text
