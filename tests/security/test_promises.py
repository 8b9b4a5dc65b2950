"""docs/SECURITY.md: each promise names a file of tests that is there and holds tests."""

import ast

import pytest

from tests.test_tidy import ROOT

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/SECURITY.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| Promise")
]


def count_of(place: str) -> int:
    tree = ast.parse((ROOT / place).read_text("utf-8"))
    return sum(isinstance(n, ast.FunctionDef) and n.name.startswith("test_") for n in ast.walk(tree))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_each_row_has_a_way_and_a_test(row: list[str]):
    promise, how, test = row
    assert promise
    assert how
    assert count_of(test.strip("`")) > 1


def test_there_is_a_row_for_each_line_of_the_list():
    assert len(ROWS) >= 11


def test_each_file_of_tests_keeps_a_promise():
    named = {row[2].strip("`") for row in ROWS}
    files = {p.relative_to(ROOT).as_posix() for p in (ROOT / "tests/security").glob("test_*.py")}
    assert files - {"tests/security/test_promises.py"} <= named
