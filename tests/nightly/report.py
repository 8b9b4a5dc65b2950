"""What a night came to: one JSON document, and the same for people."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.allowance import IN_ALL

PASSED, FAILED, SKIPPED, LATE = "passed", "FAILED", "not run", "TOO LATE"
VIOLATIONS = "violations"
#: What pytest ends with when a file skips as a whole, for a library that is not there.
_NOTHING_LEFT = 5
_SKIP = re.compile(r"^SKIPPED \[\d+\] (?:\S+: )?(.*)$", re.MULTILINE)
_PASSES = re.compile(r"\b([1-9]\d*) passed\b")
_FAILS = re.compile(r"\b([1-9]\d*) (?:failed|errors?)\b")


class Result(NamedTuple):
    """How one suite went. ``log`` is the file with all that it said."""

    name: str
    verdict: str
    seconds: float
    counts: dict[str, int]
    log: str
    why: str = ""


def counted(folder: Path) -> Counter[str]:
    """The sum of all files that tests have left (`tests/allowance.py`)."""
    total: Counter[str] = Counter()
    there: dict[tuple[str, str], int] = {}  # each part of a test says how many points the whole of it has
    for file in sorted(folder.glob("*.json")):
        document = json.loads(file.read_text())
        for name, number in document["counts"].items():
            if name.endswith(IN_ALL):
                whole = document["test"], name
                there[whole] = max(there.get(whole, 0), number)
            else:
                total[name] += number
    for (_, name), number in there.items():
        total[name] += number
    return total


def tests_passed(said: str) -> int:
    """As many as the last line of a test run says."""
    found: list[str] = _PASSES.findall(said)
    return int(found[-1]) if found else 0


def tests_failed(said: str) -> int:
    """As many as the last line of a test run says."""
    last = said.rstrip().rpartition("\n")[2]
    return sum(map(int, _FAILS.findall(last)))


def verdict_of(code: int | None, said: str) -> tuple[str, str]:
    """Verdict and reason, from how a suite's command ended (None: it had to be ended) and what it said."""
    if code is None:
        return LATE, "it did not end in its time"
    if code and not (code == _NOTHING_LEFT and _SKIP.search(said)):
        lines = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR", "SURVIVED", "error:"))]
        return FAILED, "; ".join(lines[:3]) or f"exit code {code}"
    if not _PASSES.search(said) and (reasons := sorted(set(_SKIP.findall(said)))):
        return SKIPPED, "; ".join(reasons)[:200]
    return PASSED, ""


def document(results: Sequence[Result], *, seed: int, minutes: float, begun: str) -> dict[str, Any]:
    """The whole report. A suite that failed without counting a violation is one."""
    total: Counter[str] = Counter()
    for result in results:
        total.update({name: number for name, number in result.counts.items() if name != VIOLATIONS})
    return {
        "begun": begun, "seed": seed, "minutes": minutes, "violations": sum(map(violations, results)),
        "seconds": round(sum(result.seconds for result in results), 1), "counts": dict(sorted(total.items())),
        "suites": [result._asdict() for result in results],
    }  # fmt: skip


def violations(result: Result) -> int:
    """Promises that were broken, as far as one suite has found: counted, or a test of it each."""
    return max(result.counts.get(VIOLATIONS, 0), int(result.verdict in (FAILED, LATE)))


def for_people(report: dict[str, Any]) -> str:
    """Markdown that reads well as it is."""
    suites, counts = report["suites"], report["counts"]
    lines = [f"# Nightly report, {report['begun']}", ""]
    lines += [
        f"Seed {report['seed']}, {report['seconds'] / 60:.1f} minutes, **{report['violations']} violations**.",
        "",
    ]
    lines += table(["counted", "number", "of"], [
        [name, f"{number:,}", f"{counts[name + IN_ALL]:,}" if name + IN_ALL in counts else ""]
        for name, number in [*counts.items(), (VIOLATIONS, report[VIOLATIONS])] if not name.endswith(IN_ALL)
    ])  # fmt: skip
    lines += ["", *table(
        ["suite", "verdict", "minutes", "counts"],
        [[s["name"], s["verdict"], f"{s['seconds'] / 60:.1f}", said(s["counts"], s["seconds"])] for s in suites],
    )]  # fmt: skip
    logs = {s["name"]: f" (`{s['log']}`)" if s["log"] else "" for s in suites}
    told = [f"- {s['name']}: {s['verdict']}: {s['why']}{logs[s['name']]}" for s in suites if s["why"]]
    return "\n".join([*lines, *(["", *told] if told else []), ""])


def said(counts: dict[str, int], seconds: float) -> str:
    """``1,242 of 5,000 kills (0.9/s)``, for each."""
    of = {name: f" of {counts[name + IN_ALL]:,}" if name + IN_ALL in counts else "" for name in counts}
    did = {name: number for name, number in counts.items() if number and not name.endswith(IN_ALL)}
    return ", ".join(f"{n:,}{of[name]} {name} ({n / max(seconds, 1):.2g}/s)" for name, n in did.items())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in lines]
