"""`python -m bench`: measure, and print a table; `--json` prints one document."""

from __future__ import annotations

import argparse
import compileall
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import report
from bench.rows import Row

#: In-process rounds; each of the groups below says what a round of its own stands for.
ROUNDS = 300

Group = Callable[[Path, int], Iterator[Row]]


def groups() -> dict[str, tuple[Group, int]]:
    """Name -> what measures it, and how many in-process rounds one of its own is worth."""
    from bench import deciding, learning, market, memory, orders, risking, saving, starting, year

    return {
        "saving": (saving.checkpoints, 1),
        "history": (saving.with_history, 1),
        "postgres": (saving.on_postgres, 1),
        "restore": (starting.restoring, 20),
        "request": (starting.first_request, 20),
        "help": (starting.help_text, 10),
        "memory": (memory.idle, 100),
        "tick": (deciding.ticks, 1),
        "risk": (risking.marks, 1),
        "learners": (learning.ticks, 1),
        "learning": (learning.growth, 1),
        "order": (orders.step, 1),
        "exchange": (orders.answer, 1),
        "taken": (orders.taken, 1),
        "bars": (market.page, 10),
        "stream": (market.minute, 10),
        "year": (year.growth, 1),
    }


def main() -> int:
    """Measure what is asked for. The exit code says nothing about goals: this is no gate."""
    known = groups()
    asked = options(list(known))
    root = Path(__file__).resolve().parent.parent
    for package in ("gambler_ai", "bench"):
        compileall.compile_dir(root / package, quiet=1)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="gambler-bench-", dir=asked.folder) as folder:
        for name in asked.only or known:
            measure, worth = known[name]
            report.progress(f"{name} ...")
            for row in measure(Path(folder), max(3, asked.rounds // worth)):
                rows.append(row)
                report.progress(f"{name}: {row.name}")
    report.progress("")
    sys.stdout.write(report.document(rows, root) if asked.json else report.table(rows))
    return 0


def options(names: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Costs as ratios against a floor beside them.")
    parser.add_argument("--json", action="store_true", help="one document for programs")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument(
        "--rounds", type=_rounds, default=ROUNDS, help=f"in-process rounds, {ROUNDS} by default; processes follow"
    )
    parser.add_argument("--folder", type=Path, help="where the files go: the disk that is measured")
    return parser.parse_args()


def _rounds(text: str) -> int:
    value = int(text)
    if value < 10:
        raise argparse.ArgumentTypeError("at least 10")
    return value


if __name__ == "__main__":
    sys.exit(main())
