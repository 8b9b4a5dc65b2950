"""`exchange`: the embedded exchange as a process of its own."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gambler_ai.cli import exchange_account
from gambler_ai.cli.common import Json, amount

RATE_LIMIT_MAX = 1_000_000

app = typer.Typer(help="The embedded, Alpaca-compatible paper exchange.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The embedded, Alpaca-compatible paper exchange."""


Host = Annotated[str, typer.Option("--host", help="Another one lets others on the network trade.", metavar="ADDRESS")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.", metavar="PORT")]
File = Annotated[
    Path | None, typer.Option("--file", help="Where the account lives. Default in memory.", metavar="FILE")
]
At = Annotated[
    str | None,
    typer.Option("--at", help="Where the market opens, New York: 2008-10-07, 2008-10-07T10:00.", metavar="TIME"),
]
Speed = Annotated[float, typer.Option("--speed", min=0, help="Market seconds a second.", metavar="FACTOR")]
Paused = Annotated[bool, typer.Option("--paused", help="The market stands until somebody moves it.")]
Cash = Annotated[str, typer.Option("--cash", help="Dollars of a new account.", metavar="DOLLARS")]
Seed = Annotated[int | None, typer.Option("--seed", help="Of a new account's prices and fills.", metavar="NUMBER")]
RateLimit = Annotated[
    str | None,
    typer.Option(
        "--rate-limit", metavar="COUNT|off",
        help="Requests a minute. Default 200; off where the market is moved, or faster than the clock.",
    ),
]  # fmt: skip
Data = Annotated[
    Path | None, typer.Option("--data", help="Bars of your own, CSV or Parquet; docs/EXCHANGE.md.", metavar="DIR")
]
Faults = Annotated[
    Path | None, typer.Option("--faults", help="What goes wrong, JSON or TOML; docs/FAULTS.md.", metavar="FILE")
]
Pdt = Annotated[
    bool, typer.Option("--pdt", help="The pattern-day-trader rule, which ended in June 2026; docs/EXCHANGE.md.")
]
EnvFile = Annotated[Path | None, typer.Option("--env-file", help="Write keys and URLs as shell lines.", metavar="FILE")]


@app.command()
def serve(
    host: Host = "127.0.0.1", port: Port = 0, file: File = None, at: At = None, speed: Speed = 1.0,
    paused: Paused = False, cash: Cash = "100000", seed: Seed = None, rate_limit: RateLimit = None, data: Data = None,
    faults: Faults = None, pdt: Pdt = False, env_file: EnvFile = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Serve an Alpaca paper account until stopped."""
    import os

    from gambler_ai.exchange.defaults import DEFAULT_SEED
    from gambler_ai.exchange.exchange import Exchange
    from gambler_ai.exchange.rest.server import ExchangeServer

    os.umask(0o077)
    pace = 0.0 if paused else speed
    limit = _requests_a_minute(rate_limit, pace)
    exchange = Exchange.open(
        file, start=_instant(at) if at else _opening(file, data), seed=DEFAULT_SEED if seed is None else seed,
        cash=amount("--cash", cash), speed=pace, data=data, pdt=pdt,
    )  # fmt: skip
    try:
        _refuse_no_prices(exchange)
        server = ExchangeServer(exchange, host=host, port=port, faults=_plan(faults), rate_limit=limit)
    except BaseException:
        exchange.close()
        raise
    try:
        _start(server, faults)
        names = _names(exchange, server)
        if env_file is not None:
            _write(env_file, names)
        _show(exchange, names, env_file, loopback=server.is_loopback, as_json=as_json)
        _wait_for_signal()
    finally:
        server.stop()
        exchange.close()


def _requests_a_minute(text: str | None, pace: float) -> int | None:
    """None for no limit. Alpaca counts by the clock on the wall: a market that is faster has more to be asked for."""
    from gambler_ai.errors import ConfigError
    from gambler_ai.exchange.defaults import DEFAULT_RATE_LIMIT

    if text is None:
        return DEFAULT_RATE_LIMIT if 0 < pace <= 1 else None
    if text == "off":
        return None
    if not text.isdecimal() or not 0 < int(text) <= RATE_LIMIT_MAX:
        raise ConfigError(f"--rate-limit: {text!r} is neither a number of requests a minute nor off")
    return int(text)


def _opening(file: Path | None, data: Path | None) -> datetime | None:
    """Where a new market of the shipped prices opens; None for one that knows better."""
    from gambler_ai.exchange.defaults import DEFAULT_SERVED_AT

    is_new = file is None or not file.exists() or not file.stat().st_size
    return DEFAULT_SERVED_AT if is_new and data is None else None


def _plan(path: Path | None) -> Any:
    """The faults of a file, which come back with each start; none without one."""
    from gambler_ai.errors import ConfigError
    from gambler_ai.exchange.faults import FaultPlan
    from gambler_ai.exchange.faults.files import read_rows

    if path is None:
        return None
    try:
        return FaultPlan(read_rows(path), standing=True)
    except ConfigError as error:
        raise _of_faults(path, error) from None


def _of_faults(path: Path, error: Any) -> Any:
    from gambler_ai.errors import ConfigError

    return ConfigError(f"--faults {path}: {error.message.removeprefix(f'{path} ')}")


def _start(server: Any, faults: Path | None) -> None:
    """A plan that this market cannot have is a fault of the file; a port that is taken is none."""
    from gambler_ai.errors import ConfigError

    try:
        server.prepare()
    except ConfigError as error:
        raise (_of_faults(faults, error) if faults is not None else error) from None
    server.start()


def _refuse_no_prices(exchange: Any) -> None:
    from gambler_ai.errors import ConfigError

    last = exchange.market.last_day
    if exchange.now().date() > last:
        raise ConfigError(f"--at: the market has prices until {last}, none on {exchange.now():%F}")


def _names(exchange: Any, server: Any) -> dict[str, str]:
    stream = server.url.replace("http://", "ws://", 1)
    return {
        "ALPACA_API_KEY": exchange.key_id,
        "ALPACA_API_SECRET": exchange.secret_key,
        "ALPACA_TRADING_URL": server.url,
        "ALPACA_DATA_URL": server.url,
        "ALPACA_TRADING_STREAM_URL": f"{stream}/stream",
        "ALPACA_DATA_STREAM_URL": f"{stream}/v2/iex",
        "GAMBLER_EXCHANGE_TOKEN": server.token,
    }


def _show(exchange: Any, names: dict[str, str], env_file: Path | None, *, loopback: bool, as_json: bool) -> None:
    import msgspec

    from gambler_ai.cli import render

    if as_json:
        typer.echo(msgspec.json.encode(names | {"now": exchange.now(), "account_id": exchange.account_id}).decode())
        return
    out = render.console()
    pace = f"{exchange.speed:g}x" if exchange.speed else "paused: exchange step, or a runner, moves it"
    hours = "open" if exchange.is_open else "closed"
    for name, value, style in (
        ("Account", exchange.account_number, render.STRONG),
        ("Market time", f"{render.day_time(exchange.now())} New York, {hours}, {pace}", ""),
        ("Trading", names["ALPACA_TRADING_URL"], ""),
        ("Data", names["ALPACA_DATA_URL"], ""),
        ("Updates", names["ALPACA_TRADING_STREAM_URL"], ""),
        ("Prices", names["ALPACA_DATA_STREAM_URL"], ""),
        ("Key id", names["ALPACA_API_KEY"], ""),
        ("Secret", names["ALPACA_API_SECRET"], ""),
        ("Kept in", str(exchange.path or "memory: it is gone when this ends"), ""),
    ):
        out.print(render.pair(name, value, style))
    if not loopback:
        out.print(render.pair("Beware", "others on the network reach it; keys go over it in the clear", render.WARN))
    out.print()
    for line in _lines(names, env_file):
        out.print(line, soft_wrap=True)  # to be pasted: never broken


def _lines(names: dict[str, str], env_file: Path | None) -> list[str]:
    """What can be pasted: into a shell, then into Python."""
    key, secret = f'"{names["ALPACA_API_KEY"]}"', f'"{names["ALPACA_API_SECRET"]}"'
    shell = [f"export {name}={value}" for name, value in names.items()]
    if env_file is not None:
        shell = [f". {env_file}", "gambler-ai --symbols AAPL,MSFT", f"gambler-ai exchange status --env-file {env_file}"]
    return [
        "# a shell", *shell, "", "# Python, with alpaca-py",
        "from alpaca.trading.client import TradingClient",
        "from alpaca.trading.requests import MarketOrderRequest",
        "from alpaca.data.historical import StockHistoricalDataClient",
        f'trading = TradingClient({key}, {secret}, paper=True, url_override="{names["ALPACA_TRADING_URL"]}")',
        f'data = StockHistoricalDataClient({key}, {secret}, url_override="{names["ALPACA_DATA_URL"]}")',
        'trading.submit_order(MarketOrderRequest(symbol="AAPL", qty=1, side="buy", time_in_force="day"))',
        "", "# its streams",
        "from alpaca.data.live import StockDataStream",
        "from alpaca.trading.stream import TradingStream",
        f'updates = TradingStream({key}, {secret}, paper=True, url_override="{names["ALPACA_TRADING_STREAM_URL"]}")',
        f'prices = StockDataStream({key}, {secret}, url_override="{names["ALPACA_DATA_STREAM_URL"]}")',
    ]  # fmt: skip


def _write(path: Path, names: dict[str, str]) -> None:
    import os
    import shlex

    from gambler_ai.errors import ConfigError

    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in names.items())
    part = path.with_name(path.name + ".part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"--env-file {path} cannot be written: {error.strerror}") from None


def _wait_for_signal() -> None:
    import signal

    def on_signal(_number: int, _frame: object) -> None:
        raise _Stopped

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        while True:
            signal.pause()
    except _Stopped:
        return


class _Stopped(BaseException):
    pass


def _instant(text: str) -> datetime:
    """New York's time unless it says otherwise; a day alone is that day's open."""
    from gambler_ai.cli.render import NEW_YORK
    from gambler_ai.errors import ConfigError

    try:
        value = datetime.fromisoformat(f"{text}T09:30" if len(text) == len("2008-10-07") else text)
    except ValueError:
        raise ConfigError(f"--at: {text!r} is not a time; write 2008-10-07 or 2008-10-07T10:00") from None
    return value if value.tzinfo else value.replace(tzinfo=NEW_YORK)


for command in (exchange_account.status, exchange_account.orders, exchange_account.step, exchange_account.reset):
    app.command()(command)
