"""What a whole process costs from its start: to the state in memory, to the first request, to the end of --help."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from bench import books, history
from bench.rows import Row, medians
from bench.timing import MS, PATIENCE_S, environment, probe, processes, program, to_its_end, to_its_word

RESTORE_GOAL, REQUEST_GOAL, HELP_GOAL = 1.35, 1.2, 1.15
MANY = 1_000


def restoring(folder: Path, rounds: int) -> Iterator[Row]:
    """From the start of a process to the state in memory."""
    env = environment(GAMBLER_HOME=str(folder))
    large = folder / "restore.sqlite3"
    books.create(books.sqlite_url(large), MANY)
    said = {history.database(folder): f"{history.POSITIONS} positions and history", large: f"{MANY:,} positions"}
    for path, what in said.items():
        command = probe("restore", books.sqlite_url(path))
        ours, floor = processes(
            lambda command=command: to_its_word(command, env),  # type: ignore[misc]
            lambda: to_its_word(probe("import_sqlalchemy"), env), rounds,
        )  # fmt: skip
        yield medians(f"restore, {what}, over import sqlalchemy", ours, floor, "ms", RESTORE_GOAL)


def first_request(folder: Path, rounds: int) -> Iterator[Row]:
    """From the start of a resume to the first request that reaches the broker."""
    path = history.database(folder)
    with Doorbell() as bell:
        env = environment(
            GAMBLER_HOME=str(folder), ALPACA_API_KEY="bench", ALPACA_API_SECRET="bench",
            ALPACA_TRADING_URL=bell.url, ALPACA_DATA_URL=bell.url,
        )  # fmt: skip
        command = program("--resume-session", books.SESSION, "--database-url", books.sqlite_url(path))
        ours, floor = processes(
            lambda: bell.wait_for(command, env), lambda: to_its_word(probe("import_broker"), env), rounds
        )
    yield medians("first request of a resume, over importing alpaca-py and SQLAlchemy", ours, floor, "ms", REQUEST_GOAL)


def help_text(folder: Path, rounds: int) -> Iterator[Row]:
    """The whole of --help."""
    env = environment(GAMBLER_HOME=str(folder))
    ours, floor = processes(
        lambda: to_its_end(program("--help"), env),
        lambda: to_its_end(probe("minimal_typer", "--help"), env),
        rounds * 2,
    )
    yield medians("--help, over a minimal Typer program's", ours, floor, "ms", HELP_GOAL)


class Doorbell:
    """A loopback port that notes when the first request of a broker's arrives, and answers nothing."""

    def __enter__(self) -> Doorbell:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def wait_for(self, command: list[str], env: dict[str, str]) -> float:
        """Milliseconds from the start of a process to its first request under /v2; it is killed then."""
        begun = perf_counter()
        none = subprocess.DEVNULL
        process = subprocess.Popen(command, env=env, stdin=none, stdout=none, stderr=none)
        try:
            while not self._rings():
                pass
            return (perf_counter() - begun) * MS
        finally:
            process.kill()
            process.wait()

    def _rings(self) -> bool:
        """Whether the next request is a broker's; our own exchange's, which this is not, is answered with no."""
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(PATIENCE_S)
            if connection.recv(65_536).split()[1].startswith(b"/v2/"):
                return True
            connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            return False
