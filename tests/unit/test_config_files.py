"""Configuration and secrets files: what may be where, who wins, and where each value comes from."""

from __future__ import annotations

import json
import os
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from gambler_ai import config
from gambler_ai.config import Settings, check_together, load, looked_for, read
from gambler_ai.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
KEYS = 'alpaca_api_key = "PKFILE"\nalpaca_api_secret = "SECRETMARKER"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory of its own: no gambler.toml but the test's."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def secrets(home):
    """The place of the secrets file, and a way to fill it."""
    path = Path(home) / "gambler_ai" / "secrets.toml"
    path.parent.mkdir(mode=0o700)

    def fill(text: str = KEYS, mode: int = 0o600) -> Path:
        path.write_text(text)
        path.chmod(mode)
        return path

    return fill


def key_of(settings: Settings) -> tuple[str, str]:
    return settings.api_key.get_secret_value(), settings.api_secret.get_secret_value()


def refused(*words: str, **given) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(given)
    for word in words:
        assert word in f"{caught.value.message} {caught.value.hint}"
    assert "MARKER" not in f"{caught.value.message} {caught.value.hint} {caught.value.__cause__}"
    assert "\n" not in caught.value.message
    return caught.value


def test_keys_come_from_the_secrets_file(secrets):
    path = secrets()
    found = read({})
    assert key_of(found.settings) == ("PKFILE", "SECRETMARKER")
    assert found.sources["api_key"] == found.sources["api_secret"] == str(path)
    assert "MARKER" not in f"{found!r} {found.settings!r}"


def test_the_environment_wins_over_the_secrets_file(secrets, monkeypatch):
    secrets()
    monkeypatch.setenv("ALPACA_API_KEY", "PKENV")
    found = read({})
    assert key_of(found.settings) == ("PKENV", "SECRETMARKER")
    assert found.sources["api_key"] == "ALPACA_API_KEY"


def test_a_variable_may_name_the_secrets_file(folder, monkeypatch):
    path = folder / "elsewhere.toml"
    monkeypatch.setenv("GAMBLER_SECRETS_FILE", str(path))
    refused("cannot be read", str(path))  # named and not there is not the same as none
    path.write_text(KEYS)
    path.chmod(0o600)
    assert load({}).has_keys


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o666, 0o610])
def test_a_secrets_file_that_is_open_to_others_is_refused(secrets, mode):
    path = secrets(mode=mode)
    refused("open to others", f"{mode:04o}", f"chmod 600 {path}")


def test_a_secrets_file_that_is_a_link_is_refused_even_to_a_good_one(secrets, folder):
    path = secrets()
    path.rename(folder / "real.toml")
    path.symlink_to(folder / "real.toml")
    refused("is a symbolic link")


def test_a_link_to_nothing_is_not_a_missing_file(secrets, folder):
    path = secrets()
    path.unlink()
    path.symlink_to(folder / "nowhere")
    refused("is a symbolic link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_secrets_file_of_another_user_is_refused(secrets):
    os.chown(secrets(), 12345, -1)
    refused("belongs to another user")


def test_a_pipe_does_not_make_us_wait(secrets):
    path = secrets()
    path.unlink()
    os.mkfifo(path, 0o600)
    refused("is not a file")


@pytest.mark.parametrize(
    "text",
    ["SECRETMARKER", 'alpaca_api_secret = "SECRETMARKER', 'SECRETMARKER = "x"', "alpaca_api_key = 7",
     '["SECRETMARKER"]', "\x00MARKER", 'api_secret = "SECRETMARKER"'],
)  # fmt: skip
def test_a_secrets_file_that_cannot_be_read_is_told_without_its_content(secrets, text):
    secrets(text)
    refused("secrets file", "alpaca_api_key")


@pytest.mark.parametrize(
    "name", ["api_key", "api_secret", "alpaca_api_key", "ALPACA_API_SECRET", "apca_api_secret_key", "exchange_token"]
)
@pytest.mark.parametrize("kind", ["toml", "json"])
def test_a_configuration_file_with_a_secret_says_where_it_goes(folder, name, kind):
    path = folder / f"c.{kind}"
    path.write_text(json.dumps({name: "MARKER"}) if kind == "json" else f'{name} = "MARKER"\n')
    with pytest.raises(ConfigError, match=f"{name} is a secret") as caught:
        load({}, path)
    assert "secrets.toml" in caught.value.hint
    assert "MARKER" not in caught.value.message


@pytest.mark.parametrize("url", ["postgresql+psycopg://me:MARKER@h/d", "postgresql://h/d?password=MARKER", "x://[@"])
def test_a_password_in_a_url_is_a_secret_too(folder, url):
    (folder / "gambler.toml").write_text(f'database_url = "{url}"\n')
    refused("database_url holds a password", "GAMBLER_DATABASE_URL")
    (folder / "gambler.toml").write_text('database_url = "postgresql+psycopg://me@h/d"\n')
    assert load({}).database == "postgresql+psycopg://me@h/d"


def test_a_variable_may_name_the_configuration_file_and_the_command_line_wins(folder, monkeypatch):
    (folder / "a.toml").write_text("duration = 1\n")
    (folder / "b.toml").write_text("duration = 2\n")
    (folder / "gambler.toml").write_text("duration = 3\n")
    assert load({}).duration == 3
    monkeypatch.setenv("GAMBLER_CONFIG", str(folder / "a.toml"))
    assert load({}).duration == 1
    assert load({}, folder / "b.toml").duration == 2
    monkeypatch.setenv("GAMBLER_CONFIG", str(folder / "missing.toml"))
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read"):
        load({})


def test_each_value_knows_where_it_comes_from(folder, monkeypatch):
    (folder / "gambler.toml").write_text("duration = 1\ninterval = 5\nspeed = 2\n")
    monkeypatch.setenv("GAMBLER_INTERVAL", "7")
    monkeypatch.setenv("GAMBLER_BROKER", "")
    monkeypatch.setenv("APCA_API_KEY_ID", "PK")
    sources = read({"duration": 3.0}).sources
    assert {n: s for n, s in sources.items() if s != "default"} == {
        "duration": "command line", "interval": "GAMBLER_INTERVAL", "speed": "gambler.toml",
        "home": "GAMBLER_HOME", "api_key": "APCA_API_KEY_ID",
    }  # fmt: skip
    assert set(sources) == set(Settings.model_fields)


def test_the_source_that_is_named_is_the_one_that_won(monkeypatch):
    monkeypatch.setenv("APCA_API_KEY_ID", "PKAPCA")
    monkeypatch.setenv("ALPACA_API_KEY", "PKALPACA")
    found = read({})
    assert (found.settings.api_key.get_secret_value(), found.sources["api_key"]) == ("PKALPACA", "ALPACA_API_KEY")
    monkeypatch.setenv("GAMBLER_API_KEY", "PKOURS")
    found = read({})
    assert (found.settings.api_key.get_secret_value(), found.sources["api_key"]) == ("PKOURS", "GAMBLER_API_KEY")


def test_what_is_wrong_is_named_where_it_was_said(folder, monkeypatch):
    (folder / "gambler.toml").write_text("duration = -1\n")
    assert refused().message.startswith("gambler.toml: duration: must be greater than 0")
    assert refused(duration=-2).message.startswith("--duration: ")
    monkeypatch.setenv("GAMBLER_DURATION", "-3")
    assert refused().message.startswith("GAMBLER_DURATION: ")


def test_a_variable_that_is_not_json_is_told(monkeypatch):
    monkeypatch.setenv("GAMBLER_PARAMETERS", "{")
    refused("GAMBLER_PARAMETERS must be a JSON object")


def test_where_the_files_are_looked_for(folder, home, monkeypatch):
    found = dict(looked_for())
    assert found == {
        "configuration": folder / "gambler.toml",
        "secrets": home / "gambler_ai" / "secrets.toml",
        "state": home / "gambler_ai",
    }
    (folder / "a.toml").write_text("")
    monkeypatch.setenv("GAMBLER_CONFIG", "a.toml")
    monkeypatch.setenv("GAMBLER_SECRETS_FILE", "/dev/null/x")  # one that cannot be read is looked for all the same
    assert dict(looked_for()) == found | {"configuration": folder / "a.toml", "secrets": Path("/dev/null/x")}


def test_limits_that_no_entry_could_meet_are_refused():
    check_together(load({"position_size": 5000, "max_order_value": 5000}))
    check_together(load({"position_size": 5000}))
    with pytest.raises(ConfigError, match="5001 is above --max-order-value 5000"):
        check_together(load({"position_size": 5001, "max_order_value": 5000}))


@pytest.mark.parametrize(("there", "missing"), [("ALPACA_API_KEY", "SECRET"), ("ALPACA_API_SECRET", "KEY")])
def test_half_a_pair_of_keys_is_refused_where_keys_matter(monkeypatch, there, missing):
    monkeypatch.setenv(there, "x")
    with pytest.raises(ConfigError) as caught:
        check_together(load({}))
    assert caught.value.hint.startswith(f"set ALPACA_API_{missing}")
    check_together(load({"broker": "embedded"}))


def example(name: str, folder: Path) -> Path:
    """An example file with every line that is commented out in use."""
    text = (ROOT / name).read_text("utf-8")
    lines = [line.removeprefix("# ") if line.startswith("# ") and " = " in line else line for line in text.splitlines()]
    path = folder / name
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("name", ["config.example.toml", "config.example.json"])
def test_the_example_files_are_the_defaults(name):
    assert load({}, ROOT / name).model_dump(exclude={"home"}) == load({}).model_dump(exclude={"home"})


def test_the_example_files_hold_every_setting_that_may_be_in_a_file(folder):
    allowed = set(config.in_file())
    assert len(allowed) > 20
    path = example("config.example.toml", folder)
    assert set(tomllib.loads(path.read_text())) == allowed
    assert load({}, path).max_order_value == Decimal(12_000)
    assert set(json.loads((ROOT / "config.example.json").read_text())) == allowed


@pytest.mark.parametrize(
    ("name", "variable"),
    [("api_key", "ALPACA_API_KEY"), ("alpaca_api_secret", "ALPACA_API_SECRET"),
     ("exchange_token", "GAMBLER_EXCHANGE_TOKEN")],
)  # fmt: skip
def test_the_refusal_of_a_secret_names_its_own_variable(tmp_path, name, variable):
    path = tmp_path / "mine.toml"
    path.write_text(f'{name} = "hunter2"\n')
    with pytest.raises(ConfigError) as refused:
        load({}, path)
    assert f"({variable})" in refused.value.hint
    assert "hunter2" not in refused.value.hint + refused.value.message
