"""The program: its commands, and how each kind of trouble ends."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from gambler_ai import __version__
from gambler_ai.cli import (
    config,
    control,
    db,
    doctor,
    exchange,
    learners,
    orders,
    reconcile,
    risk,
    run,
    sessions,
    simulate,
    state,
    strategies,
    structures,
    verify,
    wiring,
)
from gambler_ai.errors import EXIT_CODES, ConfigError, GamblerError
from gambler_ai.secrecy import hide_in_logs, masked

EPILOG = "\n".join(["Exit codes", *(f"{code:>5}  {text}" for code, text in EXIT_CODES.items())])
#: Headings of the commands in the help.
SESSION, LOOK, PROVE, KEEP = "Run and control", "Look", "Prove", "Look after"

#: Of one traceback; its end says the most.
CRASH_CHARACTERS_MAX = 100_000

#: In front of everything: what there is to go on with.
SHOW_SESSIONS = "--show-sessions"
#: Options of the program itself; any other option in front belongs to `run`.
_ROOT_OPTIONS = frozenset({"--help", "-h", "--version", "--install-completion", "--show-completion"})


class Root(TyperGroup):
    """`gambler-ai --symbols X` is `gambler-ai run --symbols X`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = args[0].partition("=")[0] if args else ""
        bare = not args and not ctx.resilient_parsing  # a shell that completes the first word has not said it yet
        if first.startswith("-") and SHOW_SESSIONS in args:
            args = ["sessions", "list", "--saved", *(arg for arg in args if arg != SHOW_SESSIONS)]
        elif bare or (first.startswith("-") and first not in _ROOT_OPTIONS):
            args = ["run", *args]
        _tidy(self, ctx)
        wiring.AS_JSON = args[:1] == ["run"] and "--json" in args
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The commands and the program's own options, and those of `run`."""
        found = super().shell_complete(ctx, incomplete)
        if not incomplete.startswith("-"):
            return found
        command = self.commands["run"]
        known = {item.value for item in found}
        run_context = type(ctx)(command, info_name="run", parent=ctx, resilient_parsing=True)
        return found + [item for item in command.shell_complete(run_context, incomplete) if item.value not in known]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The program's help with that of `run` below it: it is what most people look for."""
        super().format_help(ctx, formatter)
        command = self.commands["run"]
        command.format_help(type(ctx)(command, info_name="run", parent=ctx), formatter)


def _tidy(command: Any, ctx: Any) -> None:
    """Without the type that Typer shows beside a flag, which takes no value."""
    for parameter in command.get_params(ctx):
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    for name, child in getattr(command, "commands", {}).items():
        _tidy(child, type(ctx)(child, info_name=name, parent=ctx))


app = typer.Typer(
    cls=Root, pretty_exceptions_enable=False, no_args_is_help=False, rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
app.command("run", epilog=EPILOG, rich_help_panel=SESSION)(run.run)
app.command("halt", rich_help_panel=SESSION)(control.halt)
app.command("resume-trading", rich_help_panel=SESSION)(control.resume_trading)
app.command("flatten", rich_help_panel=SESSION)(control.flatten)
app.command("reconcile", rich_help_panel=SESSION)(reconcile.reconcile)
app.add_typer(sessions.app, name="sessions", rich_help_panel=LOOK)
app.add_typer(structures.app, name="structures", rich_help_panel=LOOK)
app.add_typer(orders.app, name="orders", rich_help_panel=LOOK)
app.add_typer(risk.app, name="risk", rich_help_panel=LOOK)
app.add_typer(learners.app, name="learners", rich_help_panel=LOOK)
app.add_typer(strategies.app, name="strategies", rich_help_panel=LOOK)
app.command("doctor", rich_help_panel=LOOK)(doctor.doctor)
app.add_typer(config.app, name="config", rich_help_panel=LOOK)
app.command("verify-crash", rich_help_panel=PROVE)(verify.verify_crash)
app.command("simulate", rich_help_panel=PROVE)(simulate.simulate)
app.add_typer(exchange.app, name="exchange", rich_help_panel=KEEP)
app.add_typer(db.app, name="db", rich_help_panel=KEEP)
app.add_typer(state.app, name="state", rich_help_panel=KEEP)


#: What Ctrl+C ends with.
INTERRUPTED = 130


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gambler-ai {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
    show_sessions: Annotated[
        bool, typer.Option(SHOW_SESSIONS, help="Show what each stored session would go on from: sessions list --saved.")
    ] = False,
) -> None:
    """Paper trading on Alpaca, or on an exchange of its own, that can be killed at any instant."""


def main(program: str = "") -> None:
    """Run the program and end the process with its exit code. ``program`` is how it was called."""
    hide_in_logs()
    os.umask(0o077)  # whatever is made from here on is for its owner alone
    wiring.CALLED_AS = program
    try:
        code = app(prog_name="gambler-ai", standalone_mode=False)
        if code == INTERRUPTED:  # Typer makes a code of Ctrl+C, and says nothing
            raise KeyboardInterrupt
        sys.exit(code)
    except GamblerError as error:
        _fail(type(error).__name__, error.message, error.hint, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("KeyboardInterrupt", "stopped", _safe(), INTERRUPTED)
    except Exception as error:
        if hasattr(error, "format_message"):  # what Typer finds wrong with the command line
            hint = "gambler-ai --help shows every option"
            if not error.format_message():  # a group by itself: its help has been shown
                sys.exit(ConfigError.exit_code)
            _fail(ConfigError.__name__, error.format_message(), hint, ConfigError.exit_code)
        _fail(type(error).__name__, f"internal error: {type(error).__name__}: {error}", _keep(error), 1)


def _fail(kind: str, message: str, hint: str, code: int) -> NoReturn:
    """A line for people on stderr, an object for programs that asked for such, and the end."""
    from rich.text import Text

    from gambler_ai.cli.render import BAD, QUIET, console, printable

    if wiring.AS_JSON and not wiring.ERROR_TOLD:
        from gambler_ai.cli import json_lines, records

        nowhere = {"at": None, "session": None, "token": None}
        json_lines.to_stream(sys.stdout, json_lines.Encoder())(records.error(kind, message, hint, code) | nowhere)
    err = console(stderr=True)
    err.print(Text.assemble(("error: ", BAD), printable(message)))
    if hint:
        err.print(Text(f"       {printable(wiring.as_called(hint))}", QUIET))
    sys.exit(code)


def _safe() -> str:
    """What became of what is stored: some commands store nothing, and have nothing to resume."""
    return (
        "no session of yours was touched" if sys.argv[1:2] in _WITHOUT_SESSION else "what is stored is safe: --resume"
    )


_WITHOUT_SESSION = [["verify-crash"], ["simulate"], ["strategies"]]


def _keep(error: Exception) -> str:
    """Put the traceback (no values in it) where it can be read; a terminal is not that place."""
    import traceback

    from gambler_ai.config import load

    try:
        path = load({}).state_dir / "crash.log"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "a", encoding="utf-8", errors="backslashreplace") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(masked("".join(traceback.format_exception(error)))[-CRASH_CHARACTERS_MAX:])
    except (OSError, GamblerError):
        return _safe()
    return f"{_safe()}. Details: {path}"
