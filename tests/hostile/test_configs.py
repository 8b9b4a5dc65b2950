# ruff: noqa: E501, PT017 (tables of input are easier to read in long lines)
"""Configurations and secrets that nobody would write: refused in one line that names the file, or harmless."""

import math
import os
import socket
from decimal import Decimal
from pathlib import Path

import pytest

from gambler_ai import config
from gambler_ai.cli.render import printable
from gambler_ai.errors import ConfigError
from tests.hostile.nasty import VALUES, WHOLE, Lot, by_night
from tests.test_tidy import ROOT

FILES = sorted((ROOT / "tests/hostile/files/config").iterdir())
GOOD = '{"symbols":["AAPL","MSFT"],"duration":60.0,"interval":30,"position_size":1000,"parameters":{"lookback":5}}'


def refusal(path: Path) -> str:
    """What is said of a configuration; "" when it is taken."""
    try:
        config.read({}, path)
    except ConfigError as error:
        line = printable(error.message)
        assert "\n" not in line
        assert len(line) <= 500
        assert str(path) in line or path.name in line, line
        assert "hunter22" not in line + error.hint
        return line
    return ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_nasty_file_is_refused_in_one_line(path: Path):
    before = path.read_bytes()
    assert refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("end", ["toml", "json"])
@pytest.mark.parametrize("name", WHOLE)
def test_any_document_as_a_configuration(name: str, end: str, tmp_path: Path):
    path = tmp_path / f"c.{end}"
    path.write_bytes(WHOLE[name])
    said = refusal(path)
    assert said or name in ("empty", "blank", "object", "mark"), "nothing but an empty one is harmless"


@pytest.mark.parametrize("setting", config.in_file())
def test_any_value_for_any_setting(setting: str, tmp_path: Path):
    path = tmp_path / "c.json"
    said = []
    for value in VALUES:
        path.write_text(f'{{"{setting}": {value}}}', "utf-8", "surrogatepass")
        said.append(refusal(path))
    assert any(said)


@pytest.mark.parametrize("lot", [Lot(150), *by_night(50_000)])
def test_configurations_made_wrong_by_seed(lot: Lot, tmp_path: Path, pytestconfig: pytest.Config):
    path = tmp_path / "c.json"
    for text in lot.of(GOOD, pytestconfig):
        path.write_text(text, "utf-8", "surrogatepass")
        refusal(path)


@pytest.mark.parametrize(
    "name", ["/dev/zero", "/dev/urandom", "/dev/full", "/dev/null", "/dev/tty", "/proc/self/mem", "/proc"]
)
def test_a_device_is_no_configuration(name: str):
    assert refusal(Path(name))


def test_what_is_no_file_is_no_configuration(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "loop.toml").symlink_to(tmp_path / "loop.toml")
    (tmp_path / "nowhere.toml").symlink_to(tmp_path / "gone")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    listener = socket.socket(socket.AF_UNIX)
    folder = os.getcwd()
    os.chdir(tmp_path)  # an address of a socket is short
    listener.bind("socket.toml")
    os.chdir(folder)
    for name in ("pipe", "folder", "loop", "nowhere", "zero", "socket", "gone", "x" * 300):
        assert refusal(tmp_path / f"{name}.toml"), name
    listener.close()


@pytest.mark.parametrize("name", ["a\x00b", "\x00"])
def test_a_path_that_is_none(name: str):
    with pytest.raises(ConfigError):
        config.read({}, Path(name))


@pytest.mark.parametrize("name", WHOLE)
def test_any_document_as_secrets(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "secrets.toml"
    path.write_bytes(WHOLE[name])
    path.chmod(0o600)
    monkeypatch.setenv("GAMBLER_SECRETS_FILE", str(path))
    try:
        settings = config.load({})
    except ConfigError as error:
        assert str(path) in error.message
    else:
        assert not settings.has_keys


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "sNaN", "-5", "0x10", "1_0", " ", "9" * 5000, "1e-400", "\u0661",
                                   "[", "{}", '{"a":NaN}', "\x1b[31m"])  # fmt: skip
def test_any_text_in_any_variable(value: str, monkeypatch: pytest.MonkeyPatch):
    for setting in config.in_file():
        variable = config.variables(setting)[0]
        monkeypatch.setenv(variable, value)
        try:
            settings = config.load({})
        except ConfigError as error:
            assert len(printable(error.message)) <= 500
        else:
            found = getattr(settings, setting)
            assert not isinstance(found, float | Decimal) or math.isfinite(found), variable
        monkeypatch.delenv(variable)
