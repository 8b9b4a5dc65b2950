"""`run`: start, resume or reconcile a session."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from gambler_ai.cli import options

#: How the program was called, when it was not by its own name.
CALLED_AS = ""
#: Whether objects are wanted on stdout, and whether the error that ends the program is among them already.
AS_JSON = False
ERROR_TOLD = False
#: Given on the command line, but nothing a session could disagree with.
_NOT_OF_A_PLAN = frozenset({"database_url", "log_file"})


def run(
    symbols: options.Symbols = None,
    duration: options.Duration = None,
    interval: options.Interval = None,
    timeframe: options.Timeframe = None,
    stop_loss_pct: options.StopLossPct = None,
    take_profit_pct: options.TakeProfitPct = None,
    position_size: options.PositionSize = None,
    max_positions: options.MaxPositions = None,
    max_order_value: options.MaxOrderValue = None,
    max_orders_per_day: options.MaxOrdersPerDay = None,
    max_daily_loss: options.MaxDailyLoss = None,
    on_exit: options.OnExit = None,
    when_closed: options.WhenClosed = None,
    checkpoint_interval: options.CheckpointInterval = None,
    keep_checkpoints: options.KeepCheckpoints = None,
    resume: options.Resume = False,
    resume_session: options.ResumeSession = None,
    reconcile_only: options.ReconcileOnly = False,
    dry_run: options.DryRun = False,
    new: options.New = False,
    broker: options.Broker = None,
    feed: options.Feed = None,
    speed: options.Speed = None,
    database_url: options.DatabaseUrl = None,
    config: options.Config = None,
    init_db: options.InitDb = False,
    quiet: options.Quiet = False,
    plain: options.Plain = False,
    as_json: options.Json = False,
    log_file: options.LogFile = None,
) -> None:
    """Start a paper-trading session, or go on with one. This is what happens without a command."""
    values = {
        "symbols": symbols, "duration": duration, "interval": interval, "timeframe": timeframe,
        "stop_loss_pct": stop_loss_pct, "take_profit_pct": take_profit_pct, "position_size": position_size,
        "checkpoint_interval": checkpoint_interval, "keep_checkpoints": keep_checkpoints, "broker": broker,
        "feed": feed, "speed": speed, "database_url": database_url, "max_positions": max_positions,
        "max_order_value": max_order_value, "max_orders_per_day": max_orders_per_day,
        "max_daily_loss": max_daily_loss, "on_exit": on_exit, "when_closed": when_closed,
        "log_file": log_file,
    }  # fmt: skip
    given = {name: value for name, value in values.items() if value is not None}
    modes = [resume, resume_session is not None and not reconcile_only, reconcile_only, new]
    _one_of(modes, dry_run=dry_run, reconcile_only=reconcile_only)
    with _app(given, config, plain=plain, as_json=as_json, quiet=quiet) as runner:
        if init_db:
            _say_ready(runner.database.name, as_json)
            if not given.keys() - {"database_url", "log_file"} and not any(modes):
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


@contextmanager
def _app(given: dict[str, Any], config: Path | None, **shown: bool) -> Iterator[Any]:
    """The program, watched as ``shown`` says."""
    global ERROR_TOLD  # noqa: PLW0603 (main asks for it)
    from gambler_ai.app.verbs import App
    from gambler_ai.cli.watching import Books, Output, watching
    from gambler_ai.config import load
    from gambler_ai.storage import checkpoints, views

    output = Output(**shown)
    output.check()
    settings = load(given, config)
    called = _program(given, config).replace("gambler-ai", CALLED_AS or settings.program, 1)
    books = Books(
        lambda session_id: _read(app, views.closed_trades, session_id),
        lambda session_id: _read(app, checkpoints.stored, session_id)[0],
    )
    with watching(settings, output, books, f"{called} --resume-session") as watcher:
        ERROR_TOLD = output.as_json  # from here on, by the watcher
        ask = _ask if sys.stdin.isatty() and sys.stdout.isatty() and not output.as_json else None
        app = App(settings, {k: v for k, v in given.items() if k not in _NOT_OF_A_PLAN}, watcher, ask)
        yield app


def _read(app: Any, query: Callable[[Any, str], Any], session_id: str) -> Any:
    with app.database.read() as db:
        return query(db, session_id)


def _program(given: dict[str, Any], config: Path | None) -> str:
    """The command with the options that say where the state is."""
    parts = ["gambler-ai"]
    if "database_url" in given:
        from gambler_ai.storage.database import Database

        parts += ["--database-url", Database.shown(given["database_url"])]
    if config is not None:
        parts += ["--config", str(config)]
    return shlex.join(parts)


def _say_ready(database: str, as_json: bool) -> None:
    if not as_json:
        typer.echo(f"Database ready: {database}")
        return
    from gambler_ai.cli import json_lines, records

    json_lines.to_stream(sys.stdout, json_lines.Encoder())(records.ready(database))


def _ask(info: Any) -> bool:
    """Whether to resume ``info``; Enter says yes."""
    why = info.end_reason or "killed"
    typer.echo(f"Session {info.id} ({', '.join(info.plan.symbols)}) was interrupted: {why}.")
    return typer.confirm("Resume it?", default=True)
