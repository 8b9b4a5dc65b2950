"""`verify-crash`: kill the program at every named point on this machine, and show that nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gambler_ai.proving.databases import Databases
    from gambler_ai.proving.verify import Outcome, Wanted

#: The folder of a run, in the machine's temporary one.
FOLDER = "gambler-verify-"
SEEDS = 1_000_000
SQLITE = "SQLite"


def verify_crash(
    full: Annotated[
        bool, typer.Option("--full", help="Every point in every scenario, and kills inside the recovery: hours.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Where and when it kills; another each time.", metavar="NUMBER")
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url", metavar="URL",
            help="A Postgres server: databases of its own are made there, and dropped. Default: SQLite files.",
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, max=256, help="Scenarios at a time; one a core.", metavar="NUMBER")
    ] = None,
    only: Annotated[
        str, typer.Option("--only", help="This crash point, or two as POINT+POINT.", metavar="POINT")
    ] = "",
    scenario: Annotated[str, typer.Option("--scenario", help="This scenario.", metavar="NAME")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The report as one JSON document, for programs.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the same document to a file.", metavar="FILE")
    ] = None,
) -> None:  # fmt: skip
    """Kill sessions at every named point, resume them, and compare both sides' books. Needs no keys.

    It starts exchanges and sessions of its own in a temporary folder, on this machine only, and leaves your state
    alone. Ends with 0 when every session that was killed came through, with 6 when one did not.
    """
    import os
    import secrets

    from gambler_ai.clock import SystemClock
    from gambler_ai.proving.report import document
    from gambler_ai.storage.database import Database

    if report is not None:
        _check_writable(report)
    wanted = _wanted(full, secrets.randbelow(SEEDS) if seed is None else seed, only, scenario)
    os.umask(0o077)
    workers = jobs or os.cpu_count() or 1
    name = SQLITE if database_url is None else Database.shown(database_url)
    started_at = SystemClock().now()
    with _databases(database_url) as databases, _interruptible():
        if not as_json:
            _announce(wanted, name, workers)
        outcome, folder = _run(wanted, workers, databases)
    found = document(outcome, wanted, name, workers, started_at)
    if report is not None:
        _write(report, found)
    if as_json:
        from gambler_ai.cli.common import print_json

        print_json(found)
    else:
        _show(outcome, wanted, found, folder)
    raise typer.Exit(0 if outcome.is_green else 6)


def _wanted(full: bool, seed: int, only: str, scenario: str) -> Wanted:
    from gambler_ai.crashpoints import POINTS
    from gambler_ai.errors import ConfigError
    from gambler_ai.proving.plan import INSIDE
    from gambler_ai.proving.scenarios import SCENARIOS
    from gambler_ai.proving.verify import Wanted

    if scenario and scenario not in SCENARIOS:
        raise ConfigError(f"--scenario: there is no {scenario!r}", hint=f"there are: {', '.join(SCENARIOS)}")
    unknown = [name for name in only.split(INSIDE, 1) if only and name not in POINTS]
    if unknown:
        raise ConfigError(f"--only: there is no crash point {unknown[0]!r}", hint="see docs/RECOVERY_GUIDE.md")
    return Wanted(seed, full, (scenario,) if scenario else tuple(SCENARIOS), only)


@contextmanager
def _databases(url: str | None) -> Iterator[Databases | None]:
    """Where the worlds keep their books; None: in files."""
    if url is None:
        yield None
        return
    from gambler_ai.proving.databases import Databases

    made = Databases(url)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends it as Ctrl+C does: with everything that it has started."""
    import signal

    def on_signal(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(wanted: Wanted, jobs: int, databases: Databases | None) -> tuple[Outcome, Path]:
    import shutil
    import tempfile

    from gambler_ai.proving.verify import Verifier

    folder = Path(tempfile.mkdtemp(prefix=FOLDER))
    keep = False
    try:
        with _progress() as progress:
            verifier = Verifier(folder, jobs, databases, progress)
            try:
                outcome = verifier.run(wanted)
            finally:
                verifier.close()
        keep = bool(outcome.failed or outcome.broken)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    return outcome, folder


@contextmanager
def _progress() -> Iterator[Callable[[int, int, float], None]]:
    """A bar on a terminal; where there is none a line now and then, as many as there are scenarios."""
    from datetime import timedelta

    from rich.progress import BarColumn, Progress, TextColumn

    from gambler_ai.cli import render
    from gambler_ai.proving.scenarios import SCENARIOS

    err = render.console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.description}"))
    said = 0
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("undisturbed first", total=None)

        def told(done: int, total: int, left_s: float) -> None:
            nonlocal said
            text = f"{done} of {total}, {render.span(timedelta(seconds=left_s))} left"
            bar.update(task, completed=done, total=total, description=text)
            if not err.is_terminal and done * len(SCENARIOS) // total > said:
                said = done * len(SCENARIOS) // total
                err.print(text)

        yield told


def _check_writable(path: Path) -> None:
    """Before the minutes that it takes, not after them."""
    import os

    from gambler_ai.errors import ConfigError

    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError(f"--report {path} cannot be written: no such folder, a folder itself, or not yours")


def _write(path: Path, document: dict[str, Any]) -> None:
    import msgspec

    from gambler_ai.errors import ConfigError

    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
    except OSError as error:
        raise ConfigError(f"--report {path} cannot be written: {error.strerror}") from None


# -- for people -----------------------------------------------------------------------------------


def _announce(wanted: Wanted, name: str, jobs: int) -> None:
    from gambler_ai.cli import render
    from gambler_ai.crashpoints import POINTS

    out = render.console()
    where = ", ".join(wanted.scenarios) if len(wanted.scenarios) == 1 else f"{len(wanted.scenarios)} scenarios"
    what = f"{wanted.only or f'{len(POINTS)} points'} in {where}"
    out.print(render.pair("Kill at", what + (", and inside the recovery" if wanted.full else "")))
    out.print(render.pair("Database", name))
    out.print(render.pair("Seed", f"{wanted.seed}, {jobs} at a time"))
    out.print()


def _show(outcome: Outcome, wanted: Wanted, found: dict[str, Any], folder: Path) -> None:
    from datetime import timedelta

    from rich.text import Text

    from gambler_ai.cli import render

    out = render.console()
    _show_matrix(out, outcome, wanted.only)
    _show_failures(out, outcome, wanted, found, folder)
    counts, took = found["counts"], render.span(timedelta(seconds=outcome.seconds))
    line = (
        f"{counts['kills']} kills at {counts['points']} points, {counts['processes']} processes, in {took}:"
        f" {counts['pass']} passed, {counts['fail'] + len(outcome.broken)} failed, {counts['not_reached']} not reached"
    )
    out.print(Text(line, render.GOOD if outcome.is_green else render.BAD))
    for way, times in found["first_request_s"].items():
        text = f"{times['p50']:.2f} s (p50), {times['p99']:.2f} s (p99), {times['n']} times"
        out.print(render.pair("Resume", f"first request to the broker after {text}, {way}"))


def _show_matrix(out: Any, outcome: Outcome, only: str) -> None:
    """Points down, scenarios across."""
    from rich.text import Text

    from gambler_ai.cli import render
    from gambler_ai.crashpoints import POINTS
    from gambler_ai.proving.plan import INSIDE
    from gambler_ai.proving.verify import Verdict

    styles = {Verdict.PASS: render.GOOD, Verdict.FAIL: render.BAD, Verdict.NOT_PASSED: render.QUIET}
    worst: dict[tuple[str, str], Verdict] = {}
    for result in outcome.results:
        key = result.cell.arm.point, result.cell.scenario
        worst[key] = max(worst.get(key, result.verdict), result.verdict, key=_SEVERITY.index)
    table = render.table(("point", "left"), *((name, "left") for name in outcome.surveys))
    shown = (
        {point for point, _ in worst} | {only.partition(INSIDE)[0]} | set(outcome.nowhere if outcome.is_whole else ())
    )
    for point in filter(shown.__contains__, POINTS):
        cells = []
        for name, survey in outcome.surveys.items():
            verdict = worst.get((point, name))
            untried = "." if survey.passes(point) else "-"
            word = "o" if verdict is Verdict.NOT_PASSED else verdict and verdict.value
            cells.append(Text(word, styles[verdict]) if verdict and word else Text(untried, render.QUIET))
        table.add_row(point, *cells)
    if table.row_count:
        out.print(table)
        out.print(Text("  .  comes by there, and was not killed there this time", render.QUIET))
        if Verdict.NOT_PASSED in worst.values():
            out.print(Text("  o  was to be killed there, and did not come by this time", render.QUIET))
        out.print(Text("  -  never comes by there", render.QUIET))
        out.print()


#: So that a point of several pairs shows the worst of them.
_SEVERITY = ["not reached", "pass", "fail"]


def _show_failures(out: Any, outcome: Outcome, wanted: Wanted, found: dict[str, Any], folder: Path) -> None:
    from rich.text import Text

    from gambler_ai.cli import render
    from gambler_ai.proving.report import command

    for name, violations in outcome.broken.items():
        out.print(Text(f"{name}, undisturbed", render.BAD))
        for violation in violations:
            out.print(Text(f"  {render.printable(violation.line)}"))
        out.print(Text(f"  kept in {folder}", render.QUIET))
    for result in outcome.failed:
        out.print(Text(f"{result.cell.point} in {result.cell.scenario}", render.BAD))
        for violation in result.told.violations:
            out.print(Text(f"  {render.printable(violation.line)}"))
        out.print(Text(f"  kept in {result.folder}; again: {command(result.cell, wanted, found['database'])}"))
    for point in outcome.never_killed:
        out.print(Text(f"{point}: it was never reached when it was to be killed at", render.BAD))
