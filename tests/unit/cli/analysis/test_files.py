"""What a report leaves behind: whole files, and tables that a spreadsheet takes for nothing else."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gambler_ai.cli.analysis.files import COLUMNS, table, write
from gambler_ai.cli.analysis.gathering import document
from gambler_ai.errors import ConfigError
from tests.unit.cli.analysis.conftest import info_of, trade
from tests.unit.fakes import D, make_plan


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_table_has_a_line_for_each_round_trip(make_report):
    trades = (trade("-5", side="short", leverage=D("1.5"), reason='he said "no",\nthen went'), trade(None))
    found = rows("".join(table(make_report(trades=trades).trades)))
    assert len(found) == 2
    assert tuple(found[0]) == COLUMNS
    assert (found[0]["pnl"], found[0]["side"], found[0]["held_s"]) == ("-5", "short", "3600.000000")
    assert found[0]["reason"] == 'he said "no",\nthen went'
    assert found[0]["entry_at"] == "2008-10-07T14:00:00+00:00"
    assert (found[1]["pnl"], found[1]["exit_price"]) == ("", "")
    assert [(row["leverage"], row["session"]) for row in found] == [("1.5", "s-1"), ("", "s-1")]


def test_no_round_trip_is_a_heading():
    assert rows("".join(table([]))) == []
    assert "".join(table([])).startswith("entry_at,exit_at,")


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_a_text_is_never_a_formula(make_report, sign):
    text = f"{sign}HYPERLINK(A1)"
    [found] = rows("".join(table(make_report(trades=(trade("-5", symbol=text, reason=text),)).trades)))
    assert found["symbol"] == found["reason"] == f"'{text}"
    assert found["pnl"] == "-5"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "report.csv"
    path.write_text("old", "utf-8")

    def failing() -> Iterator[str]:
        yield "half"
        raise OSError(28, "No space left on device")

    with pytest.raises(ConfigError, match=r"--csv: .*report\.csv cannot be written: No space left"):
        write("--csv", path, failing())
    assert path.read_text("utf-8") == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["report.csv"]
    write("--csv", path, ["ne", "w"])
    assert path.read_text("utf-8") == "new"


@pytest.mark.parametrize("name", ["missing/report.html", "."])
def test_a_place_where_nothing_can_be_written_is_said(tmp_path: Path, name: str):
    with pytest.raises(ConfigError, match="cannot be written"):
        write("--html", tmp_path / name, ["x"])
    assert list(tmp_path.iterdir()) == []


def test_the_document_is_json_and_complete(make_report):
    report = make_report(trades=(trade(), trade(None)))
    found = json.loads(msgspec.json.encode(document(report)))
    assert found["session"] == "s-1"
    assert found["equity"]["change"] == "500"
    assert found["equity"]["drawdown"]["depth"] == pytest.approx(0.01)
    assert found["equity"]["drawdown"]["length_s"] == 1200.0
    assert found["equity"]["sharpe"] is None
    assert found["equity"]["absent"]["sharpe"] == "needs 20 days, has 1"
    assert (found["round_trips"]["count"], found["round_trips"]["mean_held_s"]) == (2, 3600.0)
    assert [row["pnl"] for row in found["trades"]] == ["10", None]
    assert found["trades"][0]["favourable"] == pytest.approx(0.01)
    assert len(found["curve"]) == 3
    assert found["notes"] == ["1 round trip ended without a price that the broker showed: in no figure but the count."]
    empty = json.loads(msgspec.json.encode(document(make_report(equity=()))))
    assert (empty["equity"]["first"], empty["equity"]["drawdown"], empty["curve"]) == (None, None, [])


def test_a_document_of_an_account_names_its_sessions(make_report):
    chain = (info_of(id="s-0", plan=make_plan(symbols=("IBM",), strategy="breakout")), info_of())
    found = document(make_report(trades=(trade(leverage=D("1.5")),), chain=chain))
    assert (found["account"], found["sessions"], "session" in found) == ("acc-1", ["s-0", "s-1"], False)
    assert (found["symbols"], found["strategy"]) == (("IBM", "AAPL", "MSFT"), "breakout,momentum")
    assert [(t["session"], t["leverage"]) for t in found["trades"]] == [("s-1", D("1.5"))]
    alone = document(make_report())
    assert (alone["session"], "sessions" in alone, alone["strategy"]) == ("s-1", False, "momentum")
