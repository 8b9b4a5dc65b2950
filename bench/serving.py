"""Processes that serve while something else is measured."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.timing import PATIENCE_S, environment, program


@contextmanager
def served(command: Sequence[str], env: dict[str, str]) -> Iterator[str]:
    """A process that says a line and then serves until the block ends; yields the line."""
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"{command[-1]} ended without a word"
            yield line.strip()
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


@contextmanager
def exchange(folder: Path, *options: str) -> Iterator[dict[str, str]]:
    """The embedded exchange in a process of its own; yields its settings as environment variables."""
    env = environment(GAMBLER_HOME=str(folder))
    command = program("exchange", "serve", "--json", "--cash", "1000000000", *options)
    with served(command, env) as line:
        yield {name: value for name, value in json.loads(line).items() if name.isupper()}
