"""Settings: the only reader of the environment and of configuration files.

Command line > environment (``GAMBLER_*``, and Alpaca's own names for keys and addresses) > the file
(``--config FILE``, else ``gambler.toml`` in the working directory) > defaults.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from gambler_ai.errors import ConfigError

PAPER_HOST = "paper-api.alpaca.markets"
PAPER_URL = f"https://{PAPER_HOST}"
DATA_URL = "https://data.alpaca.markets"
DATA_STREAM_URL = "wss://stream.data.alpaca.markets/v2/iex"
#: Read when it is there and no --config is given.
CONFIG_FILE = "gambler.toml"
#: A configuration is a page of text; what is larger is another file.
CONFIG_MAX_BYTES = 1 << 20

_SYMBOL = re.compile(r"[A-Z][A-Z0-9.]{0,9}")
_TIMEFRAME = re.compile(r"(\d{1,2})(Min|Hour)")


def _symbols(value: Any) -> Any:
    """``"AAPL,MSFT"`` or a list, to a tuple without repeats."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        return value
    found = tuple(dict.fromkeys(str(name).strip().upper() for name in names))
    bad = [name for name in found if not _SYMBOL.fullmatch(name)]
    if bad or not found:
        raise ValueError(f"{bad[0]!r} is not a symbol; write AAPL,MSFT" if bad else "give at least one symbol")
    return found


def timeframe_s(text: str) -> int:
    """``5Min`` or ``1Hour`` in seconds.

    Raises:
        ValueError: it is neither 1 to 59 minutes nor 1 to 23 hours.
    """
    match = _TIMEFRAME.fullmatch(text)
    count, unit = (int(match[1]), match[2]) if match else (0, "")
    if not 1 <= count <= (59 if unit == "Min" else 23):
        raise ValueError(f"{text!r} is not a timeframe; write 5Min or 1Hour")
    return count * (60 if unit == "Min" else 3600)


def _timeframe(value: Any) -> Any:
    timeframe_s(str(value))
    return value


Minutes = Annotated[float, Field(gt=0, le=10_000_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=1, le=10_000_000, allow_inf_nan=False)]
Percent = Annotated[Decimal, Field(gt=0, lt=100, allow_inf_nan=False)]
Amount = Annotated[Decimal, Field(gt=0, le=1_000_000_000, allow_inf_nan=False)]


def _names(*names: str) -> AliasChoices:
    """Alpaca's own names for a setting; ours is the first with another prefix (never the bare word: a machine
    may well have an API_KEY that is somebody else's)."""
    return AliasChoices(names[0].replace("alpaca_", "gambler_", 1), *names)


class Settings(BaseSettings):
    """Everything that can be set. Frozen; read once, in `app`."""

    model_config = SettingsConfigDict(
        env_prefix="GAMBLER_", frozen=True, extra="forbid", populate_by_name=True, env_ignore_empty=True
    )

    symbols: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_symbols), Field(max_length=1000)] = (
        "AAPL",
        "MSFT",
        "GOOGL",
    )
    duration: Minutes = 60.0
    interval: Seconds = 60.0
    checkpoint_interval: Seconds = 30.0
    timeframe: Annotated[str, BeforeValidator(_timeframe)] = "5Min"
    stop_loss_pct: Percent = Decimal(2)
    take_profit_pct: Percent = Decimal(4)
    position_size: Amount = Decimal(10_000)
    strategy: Annotated[str, Field(min_length=1, max_length=400)] = "momentum"
    parameters: dict[str, Any] = Field(default_factory=dict)
    max_positions: Annotated[int, Field(ge=1, le=100_000)] | None = None
    max_order_value: Amount | None = None
    max_orders_per_day: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_daily_loss: Amount | None = None
    on_exit: Literal["keep", "cancel", "flatten"] = "keep"
    when_closed: Literal["wait", "exit"] = "wait"
    broker: Literal["auto", "embedded", "alpaca"] = "auto"
    feed: Literal["iex", "sip"] = "iex"
    streams: Literal["auto", "on", "off"] = "auto"
    speed: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = 60.0
    keep_checkpoints: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    database_url: str = ""
    log_file: Path | None = None
    home: Path = Path()
    api_key: SecretStr = Field(SecretStr(""), validation_alias=_names("alpaca_api_key", "apca_api_key_id"))
    api_secret: SecretStr = Field(SecretStr(""), validation_alias=_names("alpaca_api_secret", "apca_api_secret_key"))
    trading_url: str = Field(PAPER_URL, validation_alias=_names("alpaca_trading_url"))
    data_url: str = Field(DATA_URL, validation_alias=_names("alpaca_data_url"))
    trading_stream_url: str = Field(f"wss://{PAPER_HOST}/stream", validation_alias=_names("alpaca_trading_stream_url"))
    data_stream_url: str = Field(DATA_STREAM_URL, validation_alias=_names("alpaca_data_stream_url"))
    exchange_token: SecretStr = SecretStr("")
    crash_at: str = ""
    program: str = "gambler-ai"  # how it was called, for the command that resumes

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (pydantic hands it over by name)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        given = dict(init_settings())
        values = given.pop("_file", {})
        first = InitSettingsSource(settings_cls, init_kwargs=given)
        return first, env_settings, InitSettingsSource(settings_cls, init_kwargs=values)

    @property
    def has_keys(self) -> bool:
        """Whether keys of an Alpaca account are set."""
        return bool(self.api_key.get_secret_value() and self.api_secret.get_secret_value())

    @property
    def database(self) -> str:
        """The database's URL; a file in the state directory unless one is named."""
        return self.database_url or f"sqlite:///{self.state_dir / 'gambler.sqlite3'}"

    @property
    def halt_file(self) -> Path:
        """While it exists nothing is entered."""
        return self.state_dir / "HALT"

    @property
    def state_dir(self) -> Path:
        """Where sessions live: ``GAMBLER_HOME``, else the user's state directory."""
        if self.home != Path():
            return self.home.expanduser()
        base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        return Path(base).expanduser() / "gambler_ai"


#: Never in a file: secrets have no business there, and a crash point is for tests.
_NOT_IN_FILE = frozenset({"api_key", "api_secret", "exchange_token", "crash_at", "program"})


def load(given: dict[str, Any], config: Path | None = None) -> Settings:
    """Settings from the command line's ``given`` values, the environment and the configuration file.

    Raises:
        ConfigError: a value is not allowed, or the file cannot be read.
    """
    values, name = _read_file(config)
    try:
        settings = Settings(**{**given, "_file": values})
        if settings.strategy == values.get("strategy", settings.strategy):
            return settings
        # [parameters] of the file are those of the file's strategy, and this is another.
        return Settings(**{**given, "_file": {k: v for k, v in values.items() if k != "parameters"}})
    except ValidationError as error:
        raise _explained(error, values, name) from None
    except SettingsError as error:
        raise ConfigError(f"GAMBLER_PARAMETERS must be a JSON object: {error.__cause__}") from None


def database_url() -> str:
    """The database of the settings as they are, for tools that run beside the program."""
    return load({}).database


def _read_file(path: Path | None) -> tuple[dict[str, Any], str]:
    if path is None:
        path = Path(CONFIG_FILE)
        if not path.exists():
            return {}, ""
    try:
        if path.stat().st_size > CONFIG_MAX_BYTES:
            raise ConfigError(f"{path} is larger than a configuration can be")
        text = path.read_text("utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} does not hold a table of settings")
    allowed = set(Settings.model_fields) - _NOT_IN_FILE
    unknown = sorted(set(values) - allowed)
    if unknown:
        raise ConfigError(f"{path}: no setting {unknown[0]!r}", hint=f"there are: {', '.join(sorted(allowed))}")
    return values, str(path)


def _explained(error: ValidationError, values: dict[str, Any], name: str) -> ConfigError:
    """The first thing that is wrong, in one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = str(first["loc"][0]) if first["loc"] else "settings"
    where = f"{name}: {field}" if field in values else f"--{field.replace('_', '-')}"
    why = str(first["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    given = "" if field in ("api_key", "api_secret") else f" (got {str(first['input'])[:60]!r})"
    return ConfigError(f"{where}: {why}{given if first['type'] != 'value_error' else ''}")
