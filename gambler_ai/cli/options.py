"""The options of `run`, by name: what is said of each in the help and in the documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gambler_ai.cli.completion import session_ids

TRADING = "Trading"
LIMITS = "Limits and endings"
LEARNING = "Learning"
RESUME = "Resume and reconcile"
PLACE = "Broker and state"
OUTPUT = "Output"


def _option(flag: str, text: str, panel: str, **more: Any) -> Any:
    return typer.Option(flag, help=text, rich_help_panel=panel, **more)


Symbols = Annotated[
    str | None,
    _option("--symbols", "What to trade, e.g. AAPL,MSFT. Default AAPL,MSFT,GOOGL.", TRADING, metavar="LIST"),
]
Universe = Annotated[
    str | None,
    _option(
        "--universe",
        "shares, or options: structures on the symbols. With options and no strategy: iron_condor. Default what the"
        " strategy is for.",
        TRADING,
        metavar="WHAT",
    ),
]
Underlyings = Annotated[
    str | None,
    _option(
        "--underlyings",
        "In options sessions another name for --symbols: the shares that options are traded on.",
        TRADING,
        metavar="LIST",
    ),
]
Duration = Annotated[
    float | None,
    _option("--duration", "How long to trade, in session time. Default 60.", TRADING, metavar="MINUTES"),
]
Interval = Annotated[
    float | None,
    _option("--interval", "Session time between two scans for signals. Default 60.", TRADING, metavar="SECONDS"),
]
Timeframe = Annotated[
    str | None,
    _option("--timeframe", "Length of a bar: 1Min, 5Min, 1Hour. Default 5Min.", TRADING, metavar="LENGTH"),
]
StopLossPct = Annotated[
    str | None,
    _option("--stop-loss-pct", "Stop, in percent of the entry price. Default 2.", TRADING, metavar="PERCENT"),
]
TakeProfitPct = Annotated[
    str | None,
    _option("--take-profit-pct", "Target, in percent of the entry price. Default 4.", TRADING, metavar="PERCENT"),
]
PositionSize = Annotated[
    str | None,
    _option("--position-size", "What one position may cost. Default 10000.", TRADING, metavar="DOLLARS"),
]
CapitalPerTrade = Annotated[
    str | None,
    _option(
        "--capital-per-trade",
        "In options sessions: what one structure may cost or lose. Default 10000.",
        TRADING,
        metavar="DOLLARS",
    ),
]
LimitPct = Annotated[
    str | None,
    _option(
        "--limit-pct",
        "Enter by limit orders so many percent beyond the last price; -0.2 waits for a better one. Default at market.",
        TRADING,
        metavar="PERCENT",
    ),
]
Strategy = Annotated[
    str | None,
    _option(
        "--strategy",
        "A built-in, an installed one, package.module:Class or file.py:Class. Default momentum.",
        TRADING,
        metavar="STRATEGY",
    ),
]
Parameter = Annotated[
    list[str] | None,
    _option("--set", "A parameter of the strategy: --set lookback=8. Once for each.", TRADING, metavar="NAME=VALUE"),
]
MaxPositions = Annotated[
    int | None,
    _option(
        "--max-positions",
        "No entry beyond so many positions, over all sessions of the account.",
        LIMITS,
        metavar="COUNT",
    ),
]
MaxPerStrategy = Annotated[
    int | None,
    _option(
        "--max-per-strategy",
        "In options sessions: no more structures of one strategy at a time.",
        LIMITS,
        metavar="COUNT",
    ),
]
MaxPerSector = Annotated[
    int | None,
    _option(
        "--max-per-sector",
        "In options sessions: no more structures in one sector at a time; --risk sectors=... names them.",
        LIMITS,
        metavar="COUNT",
    ),
]
MaxOrderValue = Annotated[
    str | None,
    _option("--max-order-value", "No entry worth more than this.", LIMITS, metavar="DOLLARS"),
]
MaxOrdersPerDay = Annotated[
    int | None,
    _option(
        "--max-orders-per-day",
        "No more entries in one market day, over all sessions of the account.",
        LIMITS,
        metavar="COUNT",
    ),
]
MaxOrdersPerMinute = Annotated[
    int | None,
    _option(
        "--max-orders-per-minute",
        "No more entries in any minute, over all sessions of the account.",
        LIMITS,
        metavar="COUNT",
    ),
]
MaxDailyLoss = Annotated[
    str | None,
    _option("--max-daily-loss", "No entry for the rest of a day that has lost this much.", LIMITS, metavar="DOLLARS"),
]
Risk = Annotated[
    list[str] | None,
    _option(
        "--risk",
        "A rule of size or rest: --risk sizing=atr --risk max_drawdown_pct=10. Once for each; see: risk rules.",
        LIMITS,
        metavar="NAME=VALUE",
    ),
]
Learners = Annotated[
    str | None,
    _option(
        "--learners",
        "Who learns from this session's trades: signal,attention. Without --min-confidence they only watch.",
        LEARNING,
        metavar="LIST",
    ),
]
MinConfidence = Annotated[
    str | None,
    _option(
        "--min-confidence",
        "How likely an entry has to win, 0 to 1: for learners that have beaten their baselines; in options sessions"
        " the least probability of profit.",
        LEARNING,
        metavar="PART",
    ),
]
Confidence = Annotated[
    str | None,
    _option(
        "--confidence",
        "What too little of it does: gate denies the entry, scale makes it smaller. Default gate.",
        LEARNING,
        metavar="WHAT",
    ),
]
UseLearner = Annotated[
    list[str] | None,
    _option(
        "--use-learner",
        "Hear this learner although it has not beaten its baselines. Once for each.",
        LEARNING,
        metavar="NAME",
    ),
]
OnExit = Annotated[
    str | None,
    _option(
        "--on-exit",
        "At the end: keep positions and stops, cancel entries, or flatten. Default keep.",
        LIMITS,
        metavar="WHAT",
    ),
]
WhenClosed = Annotated[
    str | None,
    _option(
        "--when-closed",
        "While the market is closed: wait for it, or exit with 75. Default wait.",
        LIMITS,
        metavar="WHAT",
    ),
]
CheckpointInterval = Annotated[
    float | None,
    _option("--checkpoint-interval", "Session time between two checkpoints. Default 30.", RESUME, metavar="SECONDS"),
]
AutosaveIterations = Annotated[
    int | None,
    _option(
        "--autosave-iterations",
        "A checkpoint after every so many scans as well; nothing is lost without.",
        RESUME,
        metavar="COUNT",
    ),
]
KeepCheckpoints = Annotated[
    int | None,
    _option("--keep-checkpoints", "How many of the newest checkpoints to keep. Default 100.", RESUME, metavar="COUNT"),
]
HistoryLimit = Annotated[
    int | None,
    _option(
        "--history-limit",
        "Rows of a kind of history to keep as they are; older ones are compressed. Default 10000.",
        RESUME,
        metavar="COUNT",
    ),
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
AcceptBrokerState = Annotated[
    bool,
    _option("--accept-broker-state", "With --resume: a journal does not verify; take the broker's word.", RESUME),
]
ResumeOrStart = Annotated[
    bool,
    _option("--resume-or-start", "Go on with an interrupted session, else start afresh: for services.", RESUME),
]
ReconcileOnly = Annotated[
    bool,
    _option("--reconcile-only", "Compare with the broker, heal our books, set lost stops again, and stop.", RESUME),
]
DryRun = Annotated[
    bool,
    _option("--dry-run", "With --reconcile-only: show what would be done, change nothing.", RESUME),
]
New = Annotated[
    bool,
    _option("--new", "Start afresh although a session was interrupted.", RESUME),
]
Broker = Annotated[
    str | None,
    _option(
        "--broker", "auto (Alpaca paper when keys are set), embedded, or alpaca. Default auto.", PLACE, metavar="NAME"
    ),
]
Feed = Annotated[
    str | None,
    _option("--feed", "Alpaca's data feed: iex (free plan) or sip. Default iex.", PLACE, metavar="NAME"),
]
Streams = Annotated[
    str | None,
    _option(
        "--streams",
        "Look sooner when the broker's streams say so: auto, on, off. It is polled all the same. Default auto.",
        PLACE,
        metavar="WHEN",
    ),
]
Speed = Annotated[
    float | None,
    _option(
        "--speed",
        "Market seconds a second on the embedded exchange; 0 as fast as it goes. Default 60.",
        PLACE,
        metavar="FACTOR",
    ),
]
DatabaseUrl = Annotated[
    str | None,
    _option(
        "--database-url",
        "sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME; default a file in the state directory.",
        PLACE,
        metavar="URL",
    ),
]
Config = Annotated[
    Path | None,
    _option("--config", "Settings from this TOML or JSON file. Default gambler.toml, if there.", PLACE, metavar="FILE"),
]
InitDb = Annotated[
    bool,
    _option("--init-db", "Create the database; without other options do nothing else.", PLACE),
]
Quiet = Annotated[
    bool,
    _option("--quiet", "Print only what a person has to know.", OUTPUT),
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
    _option(
        "--log-file",
        "The objects of --json with wall time and level, in a file that is rotated.",
        OUTPUT,
        metavar="FILE",
    ),
]
