"""`scripts/nightly`: every suite in its share of the time, one report, exit 1 if any promise was broken."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.nightly import report
from tests.nightly.report import Result
from tests.nightly.suites import ROOT, Suite, chosen, found

NIGHT_MINUTES = 480.0
#: A suite may take its share this many times over, and so many seconds more, before it is ended.
LATE_FACTOR, LATE_S = 3.0, 900.0
TELL_EVERY_S = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    given = options(argv)
    try:
        suites = chosen(found(), given.suite)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if given.list:
        tell("\n".join(suite.name for suite in suites))
        return 0
    now = datetime.now(UTC)
    folder: Path = given.out or ROOT / "build" / f"nightly-{now:%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):  # the counts of another night would be added to this one's
        sys.stderr.write(f"error: {folder} is not empty\n")
        return 2
    results: list[Result] = []
    begun_s = time.monotonic()
    for number, suite in enumerate(suites, 1):
        left = given.minutes - (time.monotonic() - begun_s) / 60
        minutes = share(suites, number - 1, given.minutes, left)
        tell(f"{clock()} {number}/{len(suites)} {suite.name}: about {minutes:.1f} minutes")
        results.append(run(suite, minutes, given.seed, folder))
        write(folder, results, given, now)  # after each one: a night that is cut short has a report too
        tell(f"{clock()}     {results[-1].verdict}  {report.said(results[-1].counts, results[-1].seconds)}")
    whole = write(folder, results, given, now)
    tell(f"\n{report.for_people(whole)}\n{folder}/report.json")
    return int(whole["violations"] > 0)


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/nightly", description=__doc__)
    parser.add_argument("--minutes", type=float, default=NIGHT_MINUTES, help="wall time for all suites (%(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time() // 86_400), help="which samples (today's day)")
    parser.add_argument("--suite", action="append", default=[], metavar="NAME", help="only those with NAME in theirs")
    parser.add_argument("--out", type=Path, help="folder of the report (build/nightly-TIME)")
    parser.add_argument("--list", action="store_true", help="name the suites and stop")
    return parser.parse_args(argv)


def share(suites: Sequence[Suite], number: int, minutes: float, left: float) -> float:
    """Minutes of one suite: its weight's share of what is left, so that what one gave back the later ones have.

    What others took too long is not taken from it alone: half of its share of the whole night is its own.
    """
    suite = suites[number]
    own = minutes * suite.weight / sum(each.weight for each in suites)
    return max(left * suite.weight / sum(each.weight for each in suites[number:]), own / 2)


def run(suite: Suite, minutes: float, seed: int, folder: Path) -> Result:
    """One suite to its end, or to the end of our patience; its words go into a file."""
    if minutes < suite.needs_minutes:
        return Result(suite.name, report.SKIPPED, 0.0, {}, "", f"it takes {suite.needs_minutes:.0f} minutes")
    name = suite.name.replace("/", "-").replace(" ", "-")
    counts, log = folder / "counts" / name, folder / f"{name}.log"
    begun_s = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            suite.full_command(minutes, seed, counts), cwd=ROOT, env=os.environ | dict(suite.env),
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        code = wait(process, begun_s + minutes * 60 * LATE_FACTOR + LATE_S, suite.name)
    said = log.read_text("utf-8", "replace")
    numbers = report.counted(counts) + Counter({"tests passed": report.tests_passed(said)})
    if (failed := report.tests_failed(said)) > numbers[report.VIOLATIONS]:
        numbers[report.VIOLATIONS] = failed
    verdict, why = report.verdict_of(code, said)
    return Result(suite.name, verdict, time.monotonic() - begun_s, dict(numbers), str(log), why)


def wait(process: subprocess.Popen[bytes], deadline_s: float, name: str) -> int | None:
    """Its exit code; None when it was ended because time was up. What it started is ended with it."""
    begun_s = time.monotonic()
    try:
        while time.monotonic() < deadline_s:
            try:
                return process.wait(TELL_EVERY_S)
            except subprocess.TimeoutExpired:
                tell(f"{clock()}     {name}: {(time.monotonic() - begun_s) / 60:.0f} minutes so far")
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def write(folder: Path, results: Sequence[Result], given: argparse.Namespace, begun: datetime) -> dict[str, Any]:
    whole = report.document(results, seed=given.seed, minutes=given.minutes, begun=f"{begun:%F %T} UTC")
    (folder / "report.json").write_text(json.dumps(whole, indent=2) + "\n")
    (folder / "report.md").write_text(report.for_people(whole))
    return whole


def clock() -> str:
    return f"{datetime.now():%H:%M}"  # noqa: DTZ005 -- for whoever watches, where they are


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
