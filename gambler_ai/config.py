"""Settings: the only reader of the environment and of configuration files.

Command line > environment (``GAMBLER_*``, and Alpaca's own names for keys and addresses) > the secrets file for
keys, the configuration file (``--config FILE``, else ``GAMBLER_CONFIG``, else ``gambler.toml`` in the working
directory) for all else > defaults.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from gambler_ai import config_files, secrecy
from gambler_ai.core.learning import Confidence
from gambler_ai.core.timeframe import timeframe_s
from gambler_ai.errors import ConfigError

PAPER_HOST = "paper-api.alpaca.markets"
PAPER_URL = f"https://{PAPER_HOST}"
DATA_URL = "https://data.alpaca.markets"
DATA_STREAM_URL = "wss://stream.data.alpaca.markets/v2/iex"
#: Read when it is there and no other is named.
CONFIG_FILE = "gambler.toml"
#: Names another; --config wins over it.
CONFIG_VARIABLE = "GAMBLER_CONFIG"
#: In the state directory, unless the variable names another.
SECRETS_FILE = "secrets.toml"
SECRETS_VARIABLE = "GAMBLER_SECRETS_FILE"
#: What a secrets file holds -> the setting it is.
SECRETS = {"alpaca_api_key": "api_key", "alpaca_api_secret": "api_secret"}
_SYMBOL = re.compile(r"[A-Z][A-Z0-9.]{0,9}")


def _expanded(path: str | Path) -> Path:
    """``~`` made a home; of somebody who is not there it stays as it is, which `Path.expanduser` raises at."""
    return Path(os.path.expanduser(path))


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


def _underlyings(value: Any) -> Any:
    """The same; nothing is the default, as in the example of a file."""
    return _symbols(value) if value else ()


def _timeframe(value: Any) -> Any:
    timeframe_s(str(value))
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool):  # which Python takes for 0 or 1
        raise ValueError("must be a number, not true or false")
    return value


#: How pydantic writes a bound that is a Decimal.
_BOUND = re.compile(r"Decimal\('([^']*)'\)")
Number = BeforeValidator(_number)
Minutes = Annotated[float, Number, Field(gt=0, le=10_000_000, allow_inf_nan=False)]
Seconds = Annotated[float, Number, Field(ge=1, le=10_000_000, allow_inf_nan=False)]
Percent = Annotated[Decimal, Number, Field(ge=Decimal("0.01"), lt=100, allow_inf_nan=False)]
Amount = Annotated[Decimal, Number, Field(ge=Decimal("0.01"), le=1_000_000_000, allow_inf_nan=False)]


def _listed(value: Any) -> Any:
    """``"signal,attention"`` or a list, to a tuple without repeats."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        return value
    return tuple(dict.fromkeys(str(name).strip() for name in names if str(name).strip()))


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), Field(max_length=20)]


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
    universe: Literal["shares", "options"] | None = None  # None: what the strategy is for
    underlyings: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_underlyings), Field(max_length=1000)] = ()
    duration: Minutes = 60.0
    interval: Seconds = 60.0
    checkpoint_interval: Seconds = 30.0
    timeframe: Annotated[str, BeforeValidator(_timeframe)] = "5Min"
    stop_loss_pct: Percent = Decimal(2)
    take_profit_pct: Percent = Decimal(4)
    position_size: Amount = Decimal(10_000)
    capital_per_trade: Amount = Decimal(10_000)
    limit_pct: Annotated[Decimal, Field(ge=-20, le=5, allow_inf_nan=False)] | None = None
    strategy: Annotated[str, Field(min_length=1, max_length=400)] = "momentum"
    parameters: dict[str, Any] = Field(default_factory=dict)
    risk: dict[str, Any] = Field(default_factory=dict)
    learners: Names = ()
    use_learner: Names = ()
    min_confidence: Annotated[Decimal, Number, Field(gt=0, lt=1, allow_inf_nan=False)] | None = None
    confidence: Confidence = Confidence.GATE
    max_positions: Annotated[int, Number, Field(ge=1, le=100_000)] | None = None
    max_per_strategy: Annotated[int, Number, Field(ge=1, le=100_000)] | None = None
    max_per_sector: Annotated[int, Number, Field(ge=1, le=100_000)] | None = None
    max_order_value: Amount | None = None
    max_orders_per_day: Annotated[int, Number, Field(ge=1, le=1_000_000)] | None = None
    max_orders_per_minute: Annotated[int, Number, Field(ge=1, le=10_000)] | None = None
    max_daily_loss: Amount | None = None
    on_exit: Literal["keep", "cancel", "flatten"] = "keep"
    when_closed: Literal["wait", "exit"] = "wait"
    broker: Literal["auto", "embedded", "alpaca"] = "auto"
    feed: Literal["iex", "sip"] = "iex"
    streams: Literal["auto", "on", "off"] = "auto"
    speed: Annotated[float, Number, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = 60.0
    autosave_iterations: Annotated[int, Number, Field(ge=1, le=1_000_000)] | None = None
    keep_checkpoints: Annotated[int, Number, Field(ge=1, le=1_000_000)] = 100
    history_limit: Annotated[int, Number, Field(ge=1, le=100_000_000)] = 10_000
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
    def traded(self) -> tuple[str, ...]:
        """What a session trades, or has options on: one list with two names."""
        return self.underlyings or self.symbols

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
            return _expanded(self.home)
        base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        return _expanded(base) / "gambler_ai"


#: What an options session trades that names no strategy.
OPTIONS_STRATEGY = "iron_condor"

#: Never in a file that others may read; where they go instead is what `_read_config` says.
_SECRET = frozenset({"api_key", "api_secret", "exchange_token"})
#: A crash point is for tests, and the program knows best how it was called.
_NOT_IN_FILE = _SECRET | {"crash_at", "program"}

#: Where a value can come from that no file or variable gives.
COMMAND_LINE, DEFAULT = "command line", "default"


@dataclass(frozen=True)
class Reading:
    """Settings, and where each value comes from: the command line, a variable's name, a file's path, the default."""

    settings: Settings
    sources: Mapping[str, str]
    config_file: Path | None  # the one that was read
    secrets_file: Path | None


def load(given: dict[str, Any], config: Path | None = None) -> Settings:
    """Settings from the command line's ``given`` values, the environment and the files.

    Raises:
        ConfigError: a value is not allowed, or a file cannot be read.
    """
    return read(given, config).settings


def read(given: Mapping[str, Any], config: Path | None = None) -> Reading:
    """The same, with where each value comes from.

    Raises:
        ConfigError: a value is not allowed, a file cannot be read, or others can read the secrets file.
    """
    _hide(given)
    found = _read_open(given, config)
    settings, secrets_file = found.settings, _secrets_file(found.settings)
    if secrets_file is None:
        return found
    kept = {n: v for n, v in _read_secrets(secrets_file).items() if found.sources[n] == DEFAULT}
    return Reading(
        settings.model_copy(update=kept), {**found.sources, **dict.fromkeys(kept, str(secrets_file))},
        found.config_file, secrets_file,
    )  # fmt: skip


def _hide(given: Mapping[str, Any]) -> None:
    """Have the secrets of the environment and the command line hidden, before anything can fail."""
    words = [os.environ.get(variable, "") for name in _SECRET for variable in variables(name)]
    for url in (str(given.get("database_url", "")), os.environ.get("GAMBLER_DATABASE_URL", "")):
        with suppress(ValueError):  # no address at all: the database says so
            parts = urlsplit(url)
            words += [parts.password or "", unquote(parts.password or ""), *parse_qs(parts.query).get("password", [])]
    secrecy.keep([*words, os.environ.get("PGPASSWORD", "")])


def _read_open(given: Mapping[str, Any], config: Path | None) -> Reading:
    """Without the secrets file: where that is, is a setting."""
    path = _config_file(config)
    values = _read_config(path) if path is not None else {}
    try:
        settings = Settings(**{**given, "_file": values})
        if settings.strategy != values.get("strategy", settings.strategy):
            # [parameters] of the file are those of the file's strategy, and this is another.
            values = {name: value for name, value in values.items() if name != "parameters"}
            settings = Settings(**{**given, "_file": values})
    except ValidationError as error:
        raise _explained(error, given, values, str(path)) from None
    except SettingsError as error:
        raise ConfigError(f"GAMBLER_PARAMETERS must be a JSON object: {error.__cause__}") from None
    sources = {name: _source(name, given, values, str(path)) for name in Settings.model_fields}
    if settings.universe == "options" and sources["strategy"] == DEFAULT:
        settings = settings.model_copy(update={"strategy": OPTIONS_STRATEGY})
    if settings.underlyings and _is_outranked(sources["underlyings"], sources["symbols"], str(path)):
        settings = settings.model_copy(update={"underlyings": ()})
    return Reading(settings, sources, path, None)


def _is_outranked(underlyings: str, symbols: str, path: str) -> bool:
    """Two names for one list: whether the other one was said where it counts for more."""
    rank = {COMMAND_LINE: 0, path: 2, DEFAULT: 3}
    ours, theirs = rank.get(underlyings, 1), rank.get(symbols, 1)
    if ours == theirs:
        raise ConfigError(
            "--underlyings and --symbols are two names for one list, and both are given",
            hint="leave one out: --underlyings is for options sessions, --symbols for all",
        )
    return theirs < ours


def database_url() -> str:
    """The database of the settings as they are, for tools that run beside the program."""
    return load({}).database


def in_file() -> list[str]:
    """The settings that a configuration file may hold."""
    return [name for name in Settings.model_fields if name not in _NOT_IN_FILE]


def is_secret(name: str) -> bool:
    """Whether the value of a setting is never shown."""
    return name in _SECRET


def variables(name: str) -> list[str]:
    """The environment variables that give a setting; the first that is set and not empty wins."""
    alias = Settings.model_fields[name].validation_alias
    names = [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [f"gambler_{name}"]
    return [variable.upper() for variable in names]


def looked_for(config: Path | None = None) -> list[tuple[str, Path]]:
    """Where the files are looked for: what they are, and where.

    Raises:
        ConfigError: the settings, which say where the state is, cannot be read.
    """
    secrets = os.environ.get(SECRETS_VARIABLE)
    settings = _read_open({}, config).settings
    return [
        ("configuration", (_named_config(config) or Path(CONFIG_FILE)).absolute()),
        ("secrets", _expanded(secrets) if secrets else settings.state_dir / SECRETS_FILE),
        ("state", settings.state_dir),
    ]


def check_together(settings: Settings, universe: str | None = None) -> None:
    """Refuse settings that are right one by one and cannot work together; for a session that begins.

    ``universe`` is what it trades, where more is known of that than the setting says.

    Raises:
        ConfigError: the first such combination.
    """
    flag, size = "--position-size", settings.position_size
    if (universe or settings.universe) == "options":
        flag, size = "--capital-per-trade", settings.capital_per_trade
    most = settings.max_order_value
    if most is not None and size > most:
        raise ConfigError(
            f"{flag} {size} is above --max-order-value {most}: entries would be denied",
            hint=f"make {flag} {most} or less, or --max-order-value {size} or more",
        )
    if settings.broker == "embedded":
        return
    key, secret = bool(settings.api_key.get_secret_value()), bool(settings.api_secret.get_secret_value())
    if key != secret:
        there, missing = ("key", "secret") if key else ("secret", "key")
        raise ConfigError(
            f"Alpaca's {there} is set and its {missing} is not",
            hint=f"set {variables(f'api_{missing}')[1]}, or use --broker embedded",
        )


def _source(name: str, given: Mapping[str, Any], values: Mapping[str, Any], path: str) -> str:
    if name in given:
        return COMMAND_LINE
    there = {variable.upper() for variable, value in os.environ.items() if value}
    found = next((variable for variable in variables(name) if variable in there), None)
    return found or (path if name in values else DEFAULT)


# -- the configuration file -----------------------------------------------------------------------


def _named_config(config: Path | None) -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    return config if config is not None else _expanded(named) if named else None


def _config_file(config: Path | None) -> Path | None:
    named = _named_config(config)
    if named is not None:
        return named
    return Path(CONFIG_FILE) if Path(CONFIG_FILE).exists() else None


def _read_config(path: Path) -> dict[str, Any]:
    values = config_files.table(path)
    _check_names(path, values)
    return values


def _check_names(path: Path, values: Mapping[str, Any]) -> None:
    secret = {spelled: own for own in _SECRET for spelled in (own, *(v.lower() for v in variables(own)))}
    for name in sorted(values):
        if name.lower() in secret:
            names = variables(secret[name.lower()])
            raise ConfigError(
                f"{path}: {name} is a secret, and no secret may be in a configuration file",
                hint=f"put it in the environment ({names[min(1, len(names) - 1)]}) or in {SECRETS_FILE}, mode 0600,"
                " in the state directory",
            )
    if config_files.holds_password(str(values.get("database_url", ""))):
        raise ConfigError(
            f"{path}: database_url holds a password, and no secret may be in a configuration file",
            hint="put the URL in the environment (GAMBLER_DATABASE_URL), or the password in ~/.pgpass",
        )
    allowed = in_file()
    unknown = sorted(set(values) - set(allowed))
    if unknown:
        raise ConfigError(f"{path}: no setting {unknown[0]!r}", hint=f"there are: {', '.join(sorted(allowed))}")


# -- the secrets file -----------------------------------------------------------------------------


def _secrets_file(settings: Settings) -> Path | None:
    named = os.environ.get(SECRETS_VARIABLE)
    path = _expanded(named) if named else settings.state_dir / SECRETS_FILE
    return path if named or os.path.lexists(path) else None


def _read_secrets(path: Path) -> dict[str, SecretStr]:
    """The keys in the file. What it holds is in no message, not even where it is wrong.

    Raises:
        ConfigError: others can read it, it is a link or not ours, or it does not hold what it should.
    """
    form = 'it holds two lines: alpaca_api_key = "..." and alpaca_api_secret = "..."'
    try:
        values = tomllib.loads(config_files.private_text(path))
    except OSError as error:
        raise ConfigError(f"secrets file {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"secrets file {path} is not valid TOML", hint=form) from None
    if not set(values) <= set(SECRETS):
        raise ConfigError(f"secrets file {path} holds something else than {' and '.join(SECRETS)}", hint=form)
    if not all(isinstance(value, str) for value in values.values()):
        raise ConfigError(f"secrets file {path}: a key is a string in quotes", hint=form)
    secrecy.keep(values.values())
    return {SECRETS[name]: SecretStr(value) for name, value in values.items() if value}


def _explained(error: ValidationError, given: Mapping[str, Any], values: Mapping[str, Any], name: str) -> ConfigError:
    """The first thing that is wrong, in one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    loc = str(first["loc"][0]) if first["loc"] else "settings"
    known = Settings.model_fields
    field = next((n for n in known if loc.upper() in variables(n)), loc)
    source = _source(field, given, values, name) if field in known else COMMAND_LINE
    flag = f"--{field.replace('_', '-')}"
    where = {COMMAND_LINE: flag, DEFAULT: flag, name: f"{name}: {field}"}.get(source, source)
    why = str(first["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    why = _BOUND.sub(r"\1", why)
    shown = "" if field in _SECRET else f" (got {str(first['input'])[:60]!r})"
    return ConfigError(f"{where}: {why}{shown if first['type'] != 'value_error' else ''}")


def inherited(*names: str) -> dict[str, str]:
    """These variables of our environment, for a process of ours that gets nothing else of it."""
    return {name: os.environ[name] for name in names if name in os.environ}


def replace_environment(env: Mapping[str, str]) -> None:
    """Have this environment and no other from here on: a process that was forked to be another's."""
    os.environ.clear()
    os.environ.update(env)
