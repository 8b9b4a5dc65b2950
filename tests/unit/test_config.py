"""Settings: who wins, and one line for each value that cannot be."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from gambler_ai.config import Settings, database_url, load
from gambler_ai.core.timeframe import timeframe_s
from gambler_ai.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory of its own: no gambler.toml but the test's."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, text: str, name: str = "gambler.toml"):
    (folder / name).write_text(text)
    return folder / name


def test_defaults():
    settings = load({})
    assert settings.symbols == ("AAPL", "MSFT", "GOOGL")
    assert (settings.duration, settings.interval, settings.checkpoint_interval) == (60, 60, 30)
    assert settings.timeframe == "5Min"
    assert (settings.stop_loss_pct, settings.take_profit_pct, settings.position_size) == tuple(
        map(Decimal, (2, 4, 10_000))
    )
    assert (settings.broker, settings.feed, settings.speed, settings.keep_checkpoints) == ("auto", "iex", 60, 100)
    assert settings.trading_url == "https://paper-api.alpaca.markets"
    assert not settings.has_keys


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(folder, monkeypatch):
    write(folder, "duration = 1\ninterval = 1\nspeed = 1\n")
    monkeypatch.setenv("GAMBLER_DURATION", "2")
    monkeypatch.setenv("GAMBLER_INTERVAL", "2")
    settings = load({"duration": 3.0})
    assert (settings.duration, settings.interval, settings.speed, settings.keep_checkpoints) == (3, 2, 1, 100)


def test_a_named_file_is_read_instead_of_the_one_that_is_there(folder):
    write(folder, "duration = 1\n")
    assert load({}, write(folder, '{"duration": 7, "symbols": ["IBM"]}', "c.json")).duration == 7
    assert load({}, write(folder, 'symbols = "IBM, ibm ,msft"\n', "c.toml")).symbols == ("IBM", "MSFT")


@pytest.mark.parametrize("text", ["AAPL,MSFT", " aapl , MSFT,aapl"])
def test_symbols_may_come_from_the_environment(monkeypatch, text):
    monkeypatch.setenv("GAMBLER_SYMBOLS", text)
    assert load({}).symbols == ("AAPL", "MSFT")


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("GAMBLER_DURATION", "")
    assert load({}).duration == 60


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("ALPACA_API_KEY", "ALPACA_API_SECRET"),
        ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"),
        ("GAMBLER_API_KEY", "GAMBLER_API_SECRET"),
    ],
)
def test_keys_come_from_alpacas_own_names(monkeypatch, key, secret):
    monkeypatch.setenv(key, "PKMARKER")
    assert not load({}).has_keys
    monkeypatch.setenv(secret, "SECRETMARKER")
    settings = load({})
    assert settings.has_keys
    assert (settings.api_key.get_secret_value(), settings.api_secret.get_secret_value()) == ("PKMARKER", "SECRETMARKER")


def test_bare_names_of_somebody_elses_are_not_ours(monkeypatch):
    before = load({})
    monkeypatch.setenv("API_KEY", "PKOTHER")
    monkeypatch.setenv("API_SECRET", "OTHER")
    monkeypatch.setenv("TRADING_URL", "https://far.invalid")
    monkeypatch.setenv("DATA_URL", "https://far.invalid")
    settings = load({})
    assert settings == before
    assert not settings.has_keys
    assert settings.api_key.get_secret_value() == ""
    assert settings.trading_url == "https://paper-api.alpaca.markets"
    monkeypatch.setenv("GAMBLER_TRADING_URL", "http://127.0.0.1:1")
    assert load({}).trading_url == "http://127.0.0.1:1"


def test_a_second_is_the_shortest_interval():
    settings = load({"interval": 1, "checkpoint_interval": 1})
    assert (settings.interval, settings.checkpoint_interval) == (1, 1)


def test_no_secret_is_ever_shown(monkeypatch):
    for name in ("ALPACA_API_KEY", "ALPACA_API_SECRET", "GAMBLER_EXCHANGE_TOKEN"):
        monkeypatch.setenv(name, "MARKER")
    settings = load({})
    assert settings.exchange_token.get_secret_value() == "MARKER"
    assert "MARKER" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    monkeypatch.setenv("GAMBLER_DURATION", "-1")
    with pytest.raises(ConfigError) as caught:
        load({})
    assert "MARKER" not in f"{caught.value!r}{caught.value.hint}{caught.value.__cause__}"


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        load({}).duration = 1


def test_the_state_lives_where_it_is_told_to(monkeypatch, home):
    assert load({}).state_dir == home / "gambler_ai"
    assert database_url() == f"sqlite:///{home / 'gambler_ai' / 'gambler.sqlite3'}"
    monkeypatch.delenv("GAMBLER_HOME")
    assert load({}).state_dir == home / "state" / "gambler_ai"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert load({}).state_dir == home / ".local" / "state" / "gambler_ai"
    monkeypatch.setenv("GAMBLER_HOME", "~/elsewhere")
    assert load({}).state_dir == home / "elsewhere"
    assert load({"database_url": "sqlite:///x"}).database == "sqlite:///x"


BAD = [
    ("duration", 0, "--duration"), ("duration", -1, "--duration"), ("duration", float("nan"), "--duration"),
    ("duration", float("inf"), "--duration"), ("duration", "soon", "--duration"), ("duration", 1e9, "--duration"),
    ("interval", 0, "--interval"), ("checkpoint_interval", 0, "--checkpoint-interval"),
    ("interval", 0.999, "--interval"), ("checkpoint_interval", 0.999, "--checkpoint-interval"),
    ("interval", float("nan"), "--interval"), ("feed", "delayed_sip", "--feed"),
    ("timeframe", "5min", "--timeframe"), ("timeframe", "60Min", "--timeframe"), ("timeframe", "0Min", "--timeframe"),
    ("timeframe", "24Hour", "--timeframe"), ("timeframe", "1Day", "--timeframe"), ("timeframe", "", "--timeframe"),
    ("stop_loss_pct", "0", "--stop-loss-pct"), ("stop_loss_pct", "100", "--stop-loss-pct"),
    ("stop_loss_pct", "NaN", "--stop-loss-pct"), ("take_profit_pct", "-4", "--take-profit-pct"),
    ("position_size", "0", "--position-size"), ("position_size", "Infinity", "--position-size"),
    ("position_size", "1e10", "--position-size"), ("broker", "ib", "--broker"), ("feed", "otc", "--feed"),
    ("speed", -1, "--speed"), ("speed", float("nan"), "--speed"), ("keep_checkpoints", 0, "--keep-checkpoints"),
    ("keep_checkpoints", "many", "--keep-checkpoints"), ("symbols", "", "--symbols"), ("symbols", "AA PL", "--symbols"),
    ("symbols", "AAPL,,", "--symbols"), ("symbols", "../X", "--symbols"), ("symbols", [], "--symbols"),
    ("symbols", 7, "--symbols"), ("symbols", "TOOLONGSYMBOL", "--symbols"), ("nonsense", 1, "nonsense"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "says"), BAD)
def test_a_value_that_cannot_be_is_told_in_one_line(name, value, says):
    with pytest.raises(ConfigError, match=says) as caught:
        load({name: value})
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("duration = -1", "gambler.toml: duration: must be greater than 0"),
        ("duration = ", "is not valid TOML"),
        ("nonsense = 1", "no setting 'nonsense'"),
        ('api_secret = "x"', "api_secret is a secret"),
        ('crash_at = "x"', "no setting 'crash_at'"),
        ("[duration]\nx = 1", "gambler.toml: duration"),
    ],
)
def test_a_file_that_cannot_be_is_told_in_one_line(folder, text, says):
    write(folder, text)
    with pytest.raises(ConfigError, match=says) as caught:
        load({})
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("text", ["[1]", "7", '"x"', "{", '{"duration": NaN}', "[" * 100_000, "\xff"])
def test_a_json_file_that_cannot_be_is_refused(folder, text):
    with pytest.raises(ConfigError):
        load({}, write(folder, text, "c.json"))


def test_a_file_that_is_not_there_or_is_another_is_refused(folder):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load({}, folder / "nowhere.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load({}, folder)
    with pytest.raises(ConfigError, match="larger than a configuration"):
        load({}, write(folder, "#" * (1 << 20) + "\n", "big.toml"))
    (folder / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load({}, folder / "binary.toml")


@pytest.mark.parametrize("name", ["GAMBLER_DURATION", "GAMBLER_SYMBOLS", "GAMBLER_KEEP_CHECKPOINTS"])
def test_a_variable_that_cannot_be_is_told_in_one_line(monkeypatch, name):
    monkeypatch.setenv(name, "{")
    with pytest.raises(ConfigError) as caught:
        load({})
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(("text", "seconds"), [("1Min", 60), ("59Min", 3540), ("1Hour", 3600), ("23Hour", 82800)])
def test_a_timeframe_is_minutes_or_hours(text, seconds):
    assert timeframe_s(text) == seconds


TABLE = 'strategy = "momentum"\n[parameters]\nlookback = 8\nchange_pct = 1.5\n'


def test_the_command_lines_parameters_win_over_the_files_key_by_key(folder):
    write(folder, TABLE)
    assert load({}).parameters == {"lookback": 8, "change_pct": 1.5}
    assert load({"parameters": {"lookback": "9", "volume_bars": "7"}}).parameters == {
        "lookback": "9", "change_pct": 1.5, "volume_bars": "7",
    }  # fmt: skip


def test_the_files_parameters_are_those_of_the_files_strategy(folder, monkeypatch):
    write(folder, TABLE)
    assert load({"strategy": "momentum"}).parameters == {"lookback": 8, "change_pct": 1.5}
    other = load({"strategy": "mean_reversion", "parameters": {"entry_z": "3"}})
    assert (other.strategy, other.parameters) == ("mean_reversion", {"entry_z": "3"})
    monkeypatch.setenv("GAMBLER_STRATEGY", "mean_reversion")
    assert (load({}).strategy, load({}).parameters) == ("mean_reversion", {})
    write(folder, "[parameters]\nlookback = 8\n")  # without a name they are whichever strategy's it is
    assert load({}).parameters == {"lookback": 8}


def test_parameters_from_the_environment_are_json(folder, monkeypatch):
    write(folder, TABLE)
    monkeypatch.setenv("GAMBLER_PARAMETERS", '{"lookback": 9}')
    assert load({}).parameters == {"lookback": 9, "change_pct": 1.5}
    for text in ("{", "lookback=9"):
        monkeypatch.setenv("GAMBLER_PARAMETERS", text)
        with pytest.raises(ConfigError, match="GAMBLER_PARAMETERS must be a JSON object") as caught:
            load({})
        assert "\n" not in caught.value.message
    monkeypatch.setenv("GAMBLER_PARAMETERS", "7")
    with pytest.raises(ConfigError, match="GAMBLER_PARAMETERS"):
        load({})


def test_percentages_are_exact():
    assert load({"stop_loss_pct": "0.1"}).stop_loss_pct == Decimal("0.1")
    assert set(Settings.model_fields) >= {"symbols", "database_url"}


def test_options_without_a_strategy_are_iron_condors(folder, monkeypatch):
    assert load({}).strategy == "momentum"
    assert load({"universe": "options"}).strategy == "iron_condor"
    assert load({"universe": "options", "strategy": "straddle"}).strategy == "straddle"
    write(folder, 'universe = "options"\n')
    assert load({}).strategy == "iron_condor"
    monkeypatch.setenv("GAMBLER_STRATEGY", "straddle")
    assert load({}).strategy == "straddle"


def test_underlyings_are_the_symbols_by_another_name(folder):
    assert load({"underlyings": "ibm, aapl"}).traded == ("IBM", "AAPL")
    assert load({"symbols": "ibm"}).traded == ("IBM",)
    write(folder, 'symbols = "MSFT"\n')
    assert load({"underlyings": "AAPL"}).traded == ("AAPL",)
    write(folder, 'underlyings = "MSFT"\n')
    assert load({"symbols": "AAPL"}).traded == ("AAPL",)


def test_both_names_for_one_list_in_one_place_are_an_error(folder):
    with pytest.raises(ConfigError, match="--underlyings and --symbols are two names for one list, and both are given"):
        load({"symbols": "AAPL", "underlyings": "AAPL"})
    write(folder, 'symbols = "AAPL"\nunderlyings = "AAPL"\n')
    with pytest.raises(ConfigError, match="two names for one list"):
        load({})
