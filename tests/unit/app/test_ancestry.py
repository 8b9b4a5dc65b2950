"""Files of other bots: read together, refused by name, and a proposal of settings without a secret."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gambler_ai.ancestors.lesson import BotConfig, BotState
from gambler_ai.app.ancestry import FILES_MAX, Reading, new_config, proposed_config, read_files
from gambler_ai.config import read
from gambler_ai.errors import ConfigError
from tests.unit.ancestors.test_kinds import CONFIG

FILES = Path(__file__).parents[1] / "ancestors" / "files"


def read_all(*paths: Path) -> Reading:
    return read_files(paths, UTC)


def written(folder: Path, **files: Any) -> list[Path]:
    """`name=value` -> a JSON file of that name."""
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return [folder / f"{name}.json" for name in files]


def test_every_file_of_an_ancestor_is_read_in_one_call():
    names = ("analytics_state.pkl", "risk_manager_state.pkl", "q_table.pkl", "attention_weights.npy")
    reading = read_all(*(FILES / "numpy1" / name for name in names))
    assert reading.refused == []
    assert [report.kind for report in reading.reports] == ["analytics", "risk manager", "Q-table", "feature weights"]
    assert reading.reports[0].taken == (
        "3 trades from 2025-03-03 to 2025-03-03, 1 won",
        "3 equity points from 2025-03-03 to 2025-03-03, 10,000.00 to 10,350.25",
    )
    assert reading.reports[1].taken == (
        "25 trades: 13 won, 10 lost, a streak of 2 losses", "peak 10,400.00, drawdown 0.48%, the last 7 returns",
    )  # fmt: skip
    assert reading.reports[2].taken == ("9 states, 4 actions, epsilon 0.18",)
    assert reading.reports[3].taken == ("31 weights (31)",)


def test_each_refused_file_is_named_with_its_reason(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    paths = [tmp_path / "gone", tmp_path, tmp_path / "pipe", tmp_path / "secret", FILES / "numpy2" / "signal_model.pkl"]
    refused = [report.refused for report in read_all(*paths).reports]
    assert refused == [
        "it cannot be read: No such file or directory", "it cannot be read: Is a directory", "it is no regular file",
        "the pickle names os.system, which is not plain data",
        "the pickle names sklearn.ensemble._forest.RandomForestClassifier, which is not plain data",
    ]  # fmt: skip


def test_a_second_file_of_a_kind_is_refused():
    reading = read_all(FILES / "numpy1" / "q_table.pkl", FILES / "numpy2" / "q_table.pkl")
    assert [report.refused for report in reading.reports] == ["", "it is a second Q-table; one of a kind is taken"]


@pytest.mark.parametrize("count", [0, FILES_MAX + 1])
def test_a_number_of_files_without_sense_is_refused(count: int):
    with pytest.raises(ConfigError, match=f"give 1 to {FILES_MAX} files, not {count}"):
        read_all(*[FILES / "numpy1" / "q_table.pkl"] * count)


# -- lesson 23 ------------------------------------------------------------------------------------


def test_the_configuration_says_what_the_state_holds(tmp_path: Path):
    """Lesson 23's state.json knows no symbol; its config.json does."""
    reading = read_all(*written(tmp_path, state={"is_in_position": True, "entry_price": 440.12}, config=CONFIG))
    assert reading.reports[0].taken == ("holds 10 SPY at 440.12 by its own word",)
    (state,) = (found.memory for found in reading.found if isinstance(found.memory, BotState))
    assert (state.held[0].symbol, state.held[0].qty) == ("SPY", Decimal(10))


def test_a_position_of_nobody_knows_what_is_refused(tmp_path: Path):
    (report,) = read_all(*written(tmp_path, state={"is_in_position": True})).reports
    assert (report.refused, report.hint) == (
        "it is in a position, and does not say of what", "give its config.json in the same call",
    )  # fmt: skip


def test_no_position_needs_no_symbol(tmp_path: Path):
    (report,) = read_all(*written(tmp_path, state={"is_in_position": False})).reports
    assert (report.refused, report.taken) == ("", ("in no position",))


def test_keys_are_left_out_and_it_says_where_they_belong(tmp_path: Path):
    reading = read_all(*written(tmp_path, config=CONFIG))
    assert reading.reports[0].left_out[-1].startswith("its keys: give them as ALPACA_API_KEY")
    assert "very-secret-value" not in repr(reading)


def test_the_proposal_is_a_configuration_without_secrets(tmp_path: Path):
    (found,) = read_all(*written(tmp_path, config=CONFIG)).found
    assert isinstance(found.memory, BotConfig)
    text = proposed_config(found.memory, ())
    assert tomllib.loads(text) == {"symbols": ["SPY"], "interval": 300}
    assert "PKTEST" not in text
    assert "very-secret-value" not in text
    with new_config(tmp_path / "gambler.toml", text):
        pass
    settings = read({}, tmp_path / "gambler.toml").settings
    assert (settings.symbols, settings.interval) == (("SPY",), 300)


def test_the_proposal_says_what_its_shares_were_worth(tmp_path: Path):
    found = read_all(*written(tmp_path, state={"is_in_position": True, "entry_price": 440.12}, config=CONFIG)).found
    state, config = found[0].memory, found[1].memory
    assert isinstance(state, BotState)
    assert isinstance(config, BotConfig)
    assert "at its last entry price that was 4401" in proposed_config(config, state.held)


def test_a_configuration_that_is_there_is_never_written_over(tmp_path: Path):
    path = tmp_path / "gambler.toml"
    path.write_text("# mine\n")
    with pytest.raises(ConfigError, match="is there already"), new_config(path, "symbols = []\n"):
        pytest.fail("it went on")
    assert path.read_text() == "# mine\n"
    with pytest.raises(ConfigError, match="cannot be written: No such file"), new_config(tmp_path / "no" / "x", "a"):
        pytest.fail("it went on")
    with pytest.raises(ConfigError, match=r"needs a config\.json"), new_config(tmp_path / "new", ""):
        pytest.fail("it went on")


def test_a_configuration_goes_with_the_import_that_failed(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), new_config(tmp_path / "gambler.toml", "interval = 5\n"):
        raise ZeroDivisionError
    assert not (tmp_path / "gambler.toml").exists()


def test_what_is_read_is_not_changed(tmp_path: Path):
    copy = shutil.copy2(FILES / "numpy2" / "q_table.pkl", tmp_path)
    before = (Path(copy).read_bytes(), os.stat(copy).st_mtime_ns)
    read_all(Path(copy))
    assert (Path(copy).read_bytes(), os.stat(copy).st_mtime_ns) == before
