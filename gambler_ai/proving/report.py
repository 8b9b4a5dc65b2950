"""The report of a verification, for programs: what was run, how long it took, and what was found."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gambler_ai import __version__
from gambler_ai.crashpoints import POINTS
from gambler_ai.proving.plan import Cell
from gambler_ai.proving.verify import Outcome, Result, Verdict, Wanted


def document(outcome: Outcome, wanted: Wanted, database: str, jobs: int, started_at: datetime) -> dict[str, Any]:
    """The whole report as plain JSON values; seconds are wall seconds."""
    surveys = {
        name: {
            "seconds": round(survey.seconds, 3),
            "points": sorted(point for point in POINTS if survey.passes(point)),
            "entries": [" ".join(entry) for entry in survey.told.entries],
            "violations": [violation.line for violation in survey.told.violations],
        }
        for name, survey in outcome.surveys.items()
    }
    return {
        "program": f"gambler-ai {__version__}",
        "python": platform.python_version(),
        "platform": sys.platform,
        "database": database,
        "jobs": jobs,
        "seed": wanted.seed,
        "mode": "full" if wanted.full else "only" if wanted.only else "sample",
        "started_at": started_at.isoformat(timespec="seconds"),
        "seconds": round(outcome.seconds, 1),
        "green": outcome.is_green,
        "counts": counts(outcome),
        "first_request_s": first_requests(outcome.results),
        "never_killed": outcome.never_killed,
        "nowhere_passed": outcome.nowhere,
        "undisturbed": surveys,
        "cells": [_cell(result, wanted, database) for result in outcome.results],
    }


def counts(outcome: Outcome) -> dict[str, int]:
    """What was done, in numbers."""
    told = [result.told for result in outcome.results]
    return {
        "cells": len(outcome.results),
        "points": len({result.cell.arm.point for result in outcome.results if result.told.killed}),
        "scenarios": len(outcome.surveys),
        "kills": sum(t.killed + t.killed_inside for t in told),
        "processes": sum(t.processes for t in [*told, *(s.told for s in outcome.surveys.values())]),
        "violations": sum(len(t.violations) for t in told) + sum(map(len, outcome.broken.values())),
        **{verdict.value.replace(" ", "_"): sum(r.verdict is verdict for r in outcome.results) for verdict in Verdict},
    }


def first_requests(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """From the start of a process that resumes to its first request: started anew, and forked without imports."""
    found = {}
    for name, anew in (("anew", True), ("forked", False)):
        times = sorted(r.told.first_request_s for r in results if r.cell.anew is anew and r.told.first_request_s)
        if times:
            found[name] = {"n": len(times), "p50": percentile(times, 50), "p99": percentile(times, 99)}
    return found


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The nearest rank, so that it is a value that was measured."""
    return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 3)


def command(cell: Cell, wanted: Wanted, database: str) -> str:
    """What repeats a cell alone."""
    where = f" --database-url {shlex.quote(database)}" if "://" in database else ""
    return f"gambler-ai verify-crash --only {cell.point} --scenario {cell.scenario} --seed {wanted.seed}{where}"


def _cell(result: Result, wanted: Wanted, database: str) -> dict[str, Any]:
    cell, told = result.cell, result.told
    failed = {"folder": str(result.folder), "again": command(cell, wanted, database)}
    return {
        "scenario": cell.scenario,
        "point": cell.point,
        "run": cell.arm.step,
        "pass": cell.arm.nth,
        "verdict": result.verdict.value,
        "seconds": round(result.seconds, 3),
        "first_request_s": None if told.first_request_s is None else round(told.first_request_s, 3),
        "anew": cell.anew,
        "violations": [violation.line for violation in told.violations],
        **(failed if result.verdict is Verdict.FAIL else {}),
    }
