"""`run`: start, resume or reconcile a session."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

#: How the program was called, when it was not by its own name.
CALLED_AS = ""

_TRADING = "Trading"
_RESUME = "Resume and reconcile"
_PLACE = "Broker and state"


def _option(flag: str, text: str, panel: str, **more: Any) -> Any:
    return typer.Option(flag, help=text, rich_help_panel=panel, **more)


def run(
    symbols: Annotated[str | None, _option("--symbols", "What to trade, e.g. AAPL,MSFT. Default AAPL,MSFT,GOOGL.", _TRADING)] = None,
    duration: Annotated[float | None, _option("--duration", "Minutes of session time to run. Default 60.", _TRADING)] = None,
    interval: Annotated[float | None, _option("--interval", "Seconds between two scans. Default 60.", _TRADING)] = None,
    timeframe: Annotated[str | None, _option("--timeframe", "Length of a bar: 5Min, 1Hour. Default 5Min.", _TRADING)] = None,
    stop_loss_pct: Annotated[str | None, _option("--stop-loss-pct", "Stop, in percent of the price. Default 2.", _TRADING)] = None,
    take_profit_pct: Annotated[str | None, _option("--take-profit-pct", "Target, in percent. Default 4.", _TRADING)] = None,
    position_size: Annotated[str | None, _option("--position-size", "Dollars a position. Default 10000.", _TRADING)] = None,
    checkpoint_interval: Annotated[float | None, _option("--checkpoint-interval", "Seconds of session time between checkpoints. Default 30.", _RESUME)] = None,
    keep_checkpoints: Annotated[int | None, _option("--keep-checkpoints", "How many to keep. Default 100.", _RESUME)] = None,
    resume: Annotated[bool, _option("--resume", "Go on with the newest session that is not completed.", _RESUME)] = False,
    resume_session: Annotated[str | None, _option("--resume-session", "Go on with this one; the beginning of its id will do.", _RESUME, metavar="ID")] = None,
    reconcile_only: Annotated[bool, _option("--reconcile-only", "Compare with the broker, heal and protect, and stop.", _RESUME)] = False,
    dry_run: Annotated[bool, _option("--dry-run", "With --reconcile-only: show it, change nothing.", _RESUME)] = False,
    new: Annotated[bool, _option("--new", "Start afresh beside an interrupted session.", _RESUME)] = False,
    broker: Annotated[str | None, _option("--broker", "auto (Alpaca paper when keys are set), embedded, or alpaca.", _PLACE)] = None,
    feed: Annotated[str | None, _option("--feed", "Alpaca's data feed: iex (free plan) or sip. Default iex.", _PLACE)] = None,
    speed: Annotated[float | None, _option("--speed", "Market seconds a second on the embedded exchange; 0 as fast as it goes. Default 60.", _PLACE)] = None,
    database_url: Annotated[str | None, _option("--database-url", "sqlite:///PATH; default a file in the state directory.", _PLACE)] = None,
    config: Annotated[Path | None, _option("--config", "Settings from this TOML or JSON file. Default gambler.toml, if there.", _PLACE)] = None,
    init_db: Annotated[bool, _option("--init-db", "Create the database; alone, do nothing else.", _PLACE)] = False,
    quiet: Annotated[bool, _option("--quiet", "Only what a person has to know.", _PLACE)] = False,
) -> None:  # fmt: skip
    """Start a paper-trading session, or go on with one. This is what happens without a command."""
    options = {
        "symbols": symbols, "duration": duration, "interval": interval, "timeframe": timeframe,
        "stop_loss_pct": stop_loss_pct, "take_profit_pct": take_profit_pct, "position_size": position_size,
        "checkpoint_interval": checkpoint_interval, "keep_checkpoints": keep_checkpoints, "broker": broker,
        "feed": feed, "speed": speed, "database_url": database_url,
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    modes = [resume, resume_session is not None and not reconcile_only, reconcile_only, new]
    _one_of(modes, dry_run=dry_run, reconcile_only=reconcile_only)
    program = _program(given, config)
    runner = _app(given, config, program, quiet=quiet)
    if init_db:
        _say_ready(runner)
        if not given.keys() - {"database_url"} and not any(modes):
            return
    if reconcile_only:
        runner.reconcile(resume_session, dry_run=dry_run)
    elif resume or resume_session is not None:
        runner.resume(resume_session)
    else:
        runner.start(new=new)


def _one_of(modes: list[bool], *, dry_run: bool, reconcile_only: bool) -> None:
    from gambler_ai.errors import ConfigError

    if sum(modes) > 1:
        raise ConfigError("--resume, --resume-session, --reconcile-only and --new exclude each other")
    if dry_run and not reconcile_only:
        raise ConfigError("--dry-run goes with --reconcile-only")


def _app(given: dict[str, Any], config: Path | None, program: str, *, quiet: bool) -> Any:
    from gambler_ai.app.verbs import App
    from gambler_ai.cli.render import console
    from gambler_ai.cli.watcher import ConsoleWatcher
    from gambler_ai.config import load
    from gambler_ai.core.model import ClosedTrade
    from gambler_ai.storage import views

    settings = load(given, config)
    called = program.replace("gambler-ai", CALLED_AS or settings.program, 1)

    def closed(session_id: str) -> list[ClosedTrade]:
        with app.database.read() as db:
            return views.closed_trades(db, session_id)

    watcher = ConsoleWatcher(console(), closed, resume_command=f"{called} --resume-session", quiet=quiet)
    ask = _ask if sys.stdin.isatty() and sys.stdout.isatty() else None
    app = App(settings, {k: v for k, v in given.items() if k != "database_url"}, watcher, ask)
    return app


def _program(given: dict[str, Any], config: Path | None) -> str:
    """The command with the options that say where the state is."""
    parts = ["gambler-ai"]
    if "database_url" in given:
        parts += ["--database-url", given["database_url"]]
    if config is not None:
        parts += ["--config", str(config)]
    return shlex.join(parts)


def _say_ready(runner: Any) -> None:
    typer.echo(f"Database ready: {runner.database.name}")


def _ask(info: Any) -> bool:
    """Whether to resume ``info``; Enter says yes."""
    why = info.end_reason or "killed"
    typer.echo(f"Session {info.id} ({', '.join(info.plan.symbols)}) was interrupted: {why}.")
    return typer.confirm("Resume it?", default=True)
