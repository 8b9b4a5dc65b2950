"""`run`: start, resume or reconcile a session."""

from __future__ import annotations

import sys
from typing import Any

import typer

from gambler_ai.cli import options
from gambler_ai.cli.wiring import NOT_OF_A_PLAN, watched_app


def run(
    symbols: options.Symbols = None,
    universe: options.Universe = None, underlyings: options.Underlyings = None,
    duration: options.Duration = None, interval: options.Interval = None,
    timeframe: options.Timeframe = None,
    stop_loss_pct: options.StopLossPct = None, take_profit_pct: options.TakeProfitPct = None,
    position_size: options.PositionSize = None, capital_per_trade: options.CapitalPerTrade = None,
    limit_pct: options.LimitPct = None, strategy: options.Strategy = None, parameter: options.Parameter = None,
    max_positions: options.MaxPositions = None,
    max_per_strategy: options.MaxPerStrategy = None, max_per_sector: options.MaxPerSector = None,
    max_order_value: options.MaxOrderValue = None,
    max_orders_per_day: options.MaxOrdersPerDay = None,
    max_orders_per_minute: options.MaxOrdersPerMinute = None,
    max_daily_loss: options.MaxDailyLoss = None,
    risk: options.Risk = None,
    learners: options.Learners = None, use_learner: options.UseLearner = None,
    min_confidence: options.MinConfidence = None, confidence: options.Confidence = None,
    on_exit: options.OnExit = None, when_closed: options.WhenClosed = None,
    checkpoint_interval: options.CheckpointInterval = None,
    autosave_iterations: options.AutosaveIterations = None, keep_checkpoints: options.KeepCheckpoints = None,
    history_limit: options.HistoryLimit = None,
    resume: options.Resume = False,
    resume_session: options.ResumeSession = None,
    accept_broker_state: options.AcceptBrokerState = False,
    resume_or_start: options.ResumeOrStart = False,
    reconcile_only: options.ReconcileOnly = False,
    dry_run: options.DryRun = False, new: options.New = False,
    broker: options.Broker = None,
    feed: options.Feed = None, streams: options.Streams = None, speed: options.Speed = None,
    database_url: options.DatabaseUrl = None,
    config: options.Config = None,
    init_db: options.InitDb = False,
    quiet: options.Quiet = False, plain: options.Plain = False, as_json: options.Json = False,
    log_file: options.LogFile = None,
) -> None:  # fmt: skip
    """Start a paper-trading session, or go on with one. This is what happens without a command."""
    given = _said({
        "universe": universe, "underlyings": underlyings, "capital_per_trade": capital_per_trade,
        "max_per_strategy": max_per_strategy, "max_per_sector": max_per_sector, "symbols": symbols,
        "autosave_iterations": autosave_iterations, "duration": duration, "interval": interval,
        "timeframe": timeframe, "limit_pct": limit_pct, "stop_loss_pct": stop_loss_pct,
        "take_profit_pct": take_profit_pct, "position_size": position_size,
        "checkpoint_interval": checkpoint_interval, "keep_checkpoints": keep_checkpoints, "broker": broker,
        "feed": feed, "streams": streams, "speed": speed, "database_url": database_url,
        "history_limit": history_limit, "max_positions": max_positions, "max_order_value": max_order_value,
        "max_orders_per_day": max_orders_per_day, "max_orders_per_minute": max_orders_per_minute,
        "max_daily_loss": max_daily_loss, "on_exit": on_exit, "when_closed": when_closed, "strategy": strategy,
        "log_file": log_file, "learners": learners, "use_learner": use_learner, "min_confidence": min_confidence,
        "confidence": confidence,
        **_pairs(parameter, risk),
    })  # fmt: skip
    modes = [resume, resume_session is not None and not reconcile_only, reconcile_only, new, resume_or_start]
    _one_of(modes, dry_run=dry_run, reconcile_only=reconcile_only, accept=accept_broker_state)
    with watched_app(given, config, plain=plain, as_json=as_json, quiet=quiet, confirm=_ask) as runner:
        if init_db and _is_all(runner.database.name, given.keys() - NOT_OF_A_PLAN, modes, as_json=as_json):
            return
        if reconcile_only:
            runner.reconcile(resume_session, dry_run=dry_run)
        else:
            _go(runner, resume_session, resume=resume, new=new, go_on=resume_or_start, accept=accept_broker_state)


def _go(runner: Any, session: str | None, *, resume: bool, new: bool, go_on: bool, accept: bool) -> None:
    if resume or session is not None:
        runner.resume(session, accept=accept)
    else:
        runner.start(new=new, go_on=go_on)


def _pairs(parameter: list[str] | None, risk: list[str] | None) -> dict[str, Any]:
    return {"parameters": _named("--set", parameter or []), "risk": _named("--risk", risk or [])}


def _said(values: dict[str, Any]) -> dict[str, Any]:
    """What the command line says; the rest is left to the environment, the file and the defaults."""
    return {name: value for name, value in values.items() if value is not None}


#: A flag of names and values, as it is written.
_SUCH_AS = {"--set": "lookback=8", "--risk": "sizing=atr"}


def _named(flag: str, given: list[str]) -> dict[str, str] | None:
    """``NAME=VALUE``, by name; None without any."""
    from gambler_ai.errors import ConfigError

    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{flag} {text}: write NAME=VALUE, as in {flag} {_SUCH_AS[flag]}")
        if name.strip() in found:
            raise ConfigError(f"{flag} {name.strip()} is given twice")
        found[name.strip()] = value.strip()
    return found or None


def _one_of(modes: list[bool], *, dry_run: bool, reconcile_only: bool, accept: bool) -> None:
    from gambler_ai.errors import ConfigError

    if sum(modes) > 1:
        names = "--resume, --resume-session, --resume-or-start, --reconcile-only and --new"
        raise ConfigError(f"{names} exclude each other")
    if dry_run and not reconcile_only:
        raise ConfigError("--dry-run goes with --reconcile-only")
    if accept and not any(modes[:2]):
        raise ConfigError("--accept-broker-state goes with --resume")


def _is_all(database: str, wanted: set[str], modes: list[bool], *, as_json: bool) -> bool:
    """Say that the database is ready; whether that is all that was asked for."""
    _say_ready(database, as_json=as_json)
    return not wanted and not any(modes)


def _say_ready(database: str, *, as_json: bool) -> None:
    if not as_json:
        typer.echo(f"Database ready: {database}")
        return
    from gambler_ai.cli import json_lines, records

    json_lines.to_stream(sys.stdout, json_lines.Encoder())(records.ready(database))


def _ask(database: Any, info: Any) -> bool:
    """Whether to resume ``info``, with what it would go on from; Enter says yes."""
    from gambler_ai.cli.saved import saved, saved_lines

    why = info.end_reason or "killed"
    typer.echo(f"Session {info.id} ({', '.join(info.plan.symbols)}) was interrupted: {why}.")
    for line in saved_lines(saved(database, info, info.status)):
        typer.echo(line)
    return typer.confirm("Resume it?", default=True)
