"""The options of `run`, by name: what is said of each in the help and in the documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gambler_ai.cli.completion import session_ids

TRADING = "Trading"
LIMITS = "Limits and endings"
RESUME = "Resume and reconcile"
PLACE = "Broker and state"
OUTPUT = "Output"


def _option(flag: str, text: str, panel: str, **more: Any) -> Any:
    return typer.Option(flag, help=text, rich_help_panel=panel, **more)


Symbols = Annotated[
    str | None,
    _option("--symbols", "What to trade, e.g. AAPL,MSFT. Default AAPL,MSFT,GOOGL.", TRADING),
]
Duration = Annotated[
    float | None,
    _option("--duration", "Minutes of session time to run. Default 60.", TRADING),
]
Interval = Annotated[
    float | None,
    _option("--interval", "Seconds between two scans. Default 60.", TRADING),
]
Timeframe = Annotated[
    str | None,
    _option("--timeframe", "Length of a bar: 5Min, 1Hour. Default 5Min.", TRADING),
]
StopLossPct = Annotated[
    str | None,
    _option("--stop-loss-pct", "Stop, in percent of the price. Default 2.", TRADING),
]
TakeProfitPct = Annotated[
    str | None,
    _option("--take-profit-pct", "Target, in percent. Default 4.", TRADING),
]
PositionSize = Annotated[
    str | None,
    _option("--position-size", "Dollars a position. Default 10000.", TRADING),
]
Strategy = Annotated[
    str | None,
    _option(
        "--strategy", "A built-in, an installed one, package.module:Class or file.py:Class. Default momentum.", TRADING
    ),
]
Parameter = Annotated[
    list[str] | None,
    _option("--set", "A parameter of the strategy: --set lookback=8. Once for each.", TRADING, metavar="NAME=VALUE"),
]
MaxPositions = Annotated[
    int | None,
    _option("--max-positions", "No entry beyond so many positions.", LIMITS),
]
MaxOrderValue = Annotated[
    str | None,
    _option("--max-order-value", "No entry worth more dollars than this.", LIMITS),
]
MaxOrdersPerDay = Annotated[
    int | None,
    _option("--max-orders-per-day", "No more entries in one market day, over all sessions of the account.", LIMITS),
]
MaxDailyLoss = Annotated[
    str | None,
    _option("--max-daily-loss", "No entry for the rest of a day that has lost so many dollars.", LIMITS),
]
OnExit = Annotated[
    str | None,
    _option("--on-exit", "When it ends: keep positions and stops, cancel entries, or flatten. Default keep.", LIMITS),
]
WhenClosed = Annotated[
    str | None,
    _option("--when-closed", "While the market is closed: wait for it, or exit with 75. Default wait.", LIMITS),
]
CheckpointInterval = Annotated[
    float | None,
    _option("--checkpoint-interval", "Seconds of session time between checkpoints. Default 30.", RESUME),
]
KeepCheckpoints = Annotated[
    int | None,
    _option("--keep-checkpoints", "How many to keep. Default 100.", RESUME),
]
Resume = Annotated[
    bool,
    _option("--resume", "Go on with the newest session that is not completed.", RESUME),
]
ResumeSession = Annotated[
    str | None,
    _option(
        "--resume-session",
        "Go on with this one; the beginning of its id will do.",
        RESUME,
        metavar="ID",
        autocompletion=session_ids,
    ),
]
ResumeOrStart = Annotated[
    bool,
    _option("--resume-or-start", "Go on with an interrupted session, else start afresh: for services.", RESUME),
]
ReconcileOnly = Annotated[
    bool,
    _option("--reconcile-only", "Compare with the broker, heal and protect, and stop.", RESUME),
]
DryRun = Annotated[
    bool,
    _option("--dry-run", "With --reconcile-only: show it, change nothing.", RESUME),
]
New = Annotated[
    bool,
    _option("--new", "Start afresh beside an interrupted session.", RESUME),
]
Broker = Annotated[
    str | None,
    _option("--broker", "auto (Alpaca paper when keys are set), embedded, or alpaca.", PLACE),
]
Feed = Annotated[
    str | None,
    _option("--feed", "Alpaca's data feed: iex (free plan) or sip. Default iex.", PLACE),
]
Streams = Annotated[
    str | None,
    _option("--streams", "Wake up on the broker's streams: auto, on, off. It is polled all the same.", PLACE),
]
Speed = Annotated[
    float | None,
    _option("--speed", "Market seconds a second on the embedded exchange; 0 as fast as it goes. Default 60.", PLACE),
]
DatabaseUrl = Annotated[
    str | None,
    _option(
        "--database-url",
        "sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME; default a file in the state directory.",
        PLACE,
    ),
]
Config = Annotated[
    Path | None,
    _option("--config", "Settings from this TOML or JSON file. Default gambler.toml, if there.", PLACE),
]
InitDb = Annotated[
    bool,
    _option("--init-db", "Create the database; alone, do nothing else.", PLACE),
]
Quiet = Annotated[
    bool,
    _option("--quiet", "Only what a person has to know.", OUTPUT),
]
Plain = Annotated[
    bool,
    _option("--plain", "Lines instead of the live view, as in a pipe.", OUTPUT),
]
Json = Annotated[
    bool,
    _option("--json", "One JSON object a line on stdout, for programs.", OUTPUT),
]
LogFile = Annotated[
    Path | None,
    _option("--log-file", "The objects of --json with wall time and level, in a file that is rotated.", OUTPUT),
]
