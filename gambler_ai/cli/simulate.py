"""`simulate`: whole trading days in virtual time, with faults, crashes and people; one seed is one execution."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gambler_ai.cli.common import Json, print_json
from gambler_ai.clock import SystemClock

if TYPE_CHECKING:
    from gambler_ai.simulation.world import Outcome

#: What the program ends with when a rule was broken.
BROKEN = 1
STOPPED = 130


def simulate(
    seeds: Annotated[
        str, typer.Option("--seeds", help="FIRST:LAST (LAST not included), or one seed.", metavar="SEEDS")
    ] = "0:100",
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", min=1, max=390, help="Of session time; a whole day, or several, without it."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, max=256, help="Seeds at a time. Default: one a processor.")
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option("--time-limit", min=0, help="Begin no seed after so long.", metavar="MINUTES"),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Tell what was drawn and what was done.")] = False,
    as_json: Json = False,
) -> None:
    """Prove the promise on simulated days: the real engine, ledger, recovery and broker client, in virtual time.

    Each seed draws a day, a strategy, the broker's and the disk's faults, crashes, and what people do meanwhile. After
    each restart and at the end books, journal and exchange are compared. Nothing of yours is read or written.

    Ends with 1 when a rule was broken; the command that runs that seed again is printed.
    """
    from gambler_ai.simulation import campaign

    asked = campaign.seeds_of(seeds)
    jobs = min(jobs or os.cpu_count() or 1, len(asked))
    watch = _Watch(len(asked), minutes, verbose=verbose, as_json=as_json, limit_s=(time_limit or 0) * 60)
    stopped = False
    try:
        with closing(campaign.run_seeds(asked, minutes, jobs)) as outcomes:
            watch.follow(outcomes)
    except KeyboardInterrupt:
        stopped = True
    watch.tell_end(stopped=stopped)
    raise typer.Exit(BROKEN if watch.broken else STOPPED if stopped else 0)


class _Watch:
    """Counts what comes in and tells it: a line that moves on a terminal, violations as they come, a summary."""

    def __init__(self, total: int, minutes: float | None, *, verbose: bool, as_json: bool, limit_s: float) -> None:
        self._clock = SystemClock()
        self._begun_s = self._clock.monotonic()
        self._total, self._minutes, self._limit_s = total, minutes, limit_s
        self._verbose, self._as_json = verbose, as_json
        self.broken: list[Outcome] = []
        self._counts = dict.fromkeys(("seeds", "facts", "entries", "fills", "lives", "crashes"), 0)
        self._market_minutes = 0.0
        self._journals: dict[str, str] = {}

    def follow(self, outcomes: Iterator[Outcome]) -> None:
        """Take each outcome as it comes, until the last or the time limit."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        from gambler_ai.cli import render

        columns = (TextColumn("{task.description}"), BarColumn(30), TimeRemainingColumn())
        err = render.console(stderr=True)
        with Progress(*columns, console=err, transient=True, disable=self._as_json or not err.is_terminal) as progress:
            task = progress.add_task("simulating", total=self._total)
            for outcome in outcomes:
                self._count(outcome)
                self._tell(outcome, progress.console if not progress.disable else None)
                progress.update(task, advance=1, description=f"{self._counts['seeds']} seeds, {self._rate:.0f}/min")
                if self._limit_s and self._clock.monotonic() - self._begun_s > self._limit_s:
                    return

    @property
    def _rate(self) -> float:
        """Seeds a minute."""
        return self._counts["seeds"] * 60 / max(0.001, self._clock.monotonic() - self._begun_s)

    def _count(self, outcome: Outcome) -> None:
        self._counts["seeds"] += 1
        for name in self._counts.keys() - {"seeds"}:
            self._counts[name] += getattr(outcome, name)
        self._journals[str(outcome.seed)] = outcome.journal_hash
        self._market_minutes += outcome.market_minutes
        if outcome.violations:
            self.broken.append(outcome)

    def _tell(self, outcome: Outcome, above: Any) -> None:
        from rich.text import Text

        from gambler_ai.cli import render
        from gambler_ai.simulation.campaign import replay_command
        from gambler_ai.simulation.scenario import draw

        if self._as_json:
            return
        out = above or render.console()
        if self._verbose:
            out.print(Text(f"seed {outcome.seed}", render.STRONG))
            out.print(Text("\n".join(f"  {line}" for line in draw(outcome.seed, self._minutes).lines())))
            out.print(Text("\n".join(f"  {line}" for line in outcome.trace), render.QUIET))
            out.print(Text(f"  journal {outcome.journal_hash}", render.QUIET))
        for violation in outcome.violations:
            out.print(
                Text.assemble(("broken ", render.BAD), f"seed {outcome.seed}  {render.printable(violation.line)}")
            )
        if outcome.violations:
            out.print(Text(f"       {replay_command(outcome.seed, self._minutes)}", render.QUIET))

    def tell_end(self, *, stopped: bool) -> None:
        """The summary."""
        from rich.text import Text

        from gambler_ai.cli import render
        from gambler_ai.simulation.campaign import replay_command

        if self._as_json:
            rows = [
                {"seed": o.seed, "violations": [v.line for v in o.violations], "trace": o.trace,
                 "replay": replay_command(o.seed, self._minutes)}
                for o in self.broken
            ]  # fmt: skip
            print_json(self._counts | {
                "stopped": stopped, "market_minutes": round(self._market_minutes), "broken": rows,
                "seeds_per_minute": round(self._rate, 1),
                "journals": self._journals,
            })  # fmt: skip
            return
        c = self._counts
        days = self._market_minutes / 390
        found = f"{len(self.broken)} broken" if self.broken else "no rule broken"
        out = render.console()
        out.print(Text.assemble(
            f"{c['seeds']:,} seeds{' (stopped)' if stopped else ''}: {days:,.1f} trading days,"
            f" {c['entries']:,} entries, {c['fills']:,} fills, {c['crashes']:,} crashes,"
            f" {c['lives']:,} processes, {c['facts']:,} journal rows;",
            (f" {found}", render.BAD if self.broken else render.GOOD),
        ))  # fmt: skip
        out.print(Text(f"{self._rate:.0f} seeds a minute", render.QUIET))
