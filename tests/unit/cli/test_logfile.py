"""The log file: rotated, private, without secrets; and no trouble with it ends a session."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gambler_ai.cli import logfile
from gambler_ai.cli.json_lines import Encoder
from gambler_ai.cli.logfile import LogFile
from gambler_ai.clock import ManualClock
from gambler_ai.errors import ConfigError
from gambler_ai.secrecy import MASKED
from tests.unit.fakes import AT

SECRET = "s3cr3t-marker"
FULL = Path("/dev/full")


class Log:
    """An open log file, and what it complained of."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failures: list[str] = []
        self.file = LogFile(path, Encoder([SECRET]), ManualClock(AT), self.failures.append)

    def emit(self, **fields: Any) -> None:
        self.file.emit({"kind": "fill", "session": "s-1", "token": 2} | fields)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path / "run.log")
    yield made
    made.file.close()


def test_each_line_has_wall_time_and_level(log: Log):
    log.emit(qty="1")
    log.emit(kind="degraded")
    log.emit(kind="stream", up=False)
    log.emit(kind="error")
    assert log.lines()[0] == {
        "wall": "2008-10-07T14:00:00Z", "level": "info", "kind": "fill", "qty": "1", "session": "s-1", "token": 2,
    }  # fmt: skip
    assert [line["level"] for line in log.lines()] == ["info", "warning", "warning", "error"]


def test_what_libraries_say_is_there_without_secrets_and_without_tracebacks(log: Log):
    log.emit()
    library = logging.getLogger("urllib3.connectionpool")
    library.info("not this")
    library.warning("retrying %s with %s", "\x1b[31m", SECRET)
    try:
        raise OSError(f"locals hold {SECRET}")
    except OSError:
        logging.getLogger("websockets").exception("gone")
    _, first, second = log.lines()
    assert first | {"logger": "urllib3.connectionpool", "level": "warning", "session": "s-1", "token": 2} == first
    assert first["message"] == f"retrying \x1b[31m with {MASKED}"
    assert (second["message"], second["exception"]) == ("gone", "OSError")
    text = log.path.read_text()
    assert SECRET not in text
    assert "Traceback" not in text
    assert text.replace("\n", "").isprintable()


@pytest.mark.nightly
def test_it_is_rotated_and_nobody_else_can_read_it(log: Log):
    os.umask(0o022)
    count, text = 3 * logfile.LOG_BYTES_MAX // 1_000_000, "x" * 1_900
    for number in range(count * 540):
        log.emit(number=number, text=text)
    files = sorted(log.path.parent.iterdir())
    assert [path.name for path in files] == ["run.log", "run.log.1", "run.log.2", "run.log.3"]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    assert all(path.stat().st_size <= logfile.LOG_BYTES_MAX for path in files)
    assert log.lines()[-1]["number"] == count * 540 - 1


def test_an_open_file_of_before_is_made_private(tmp_path: Path):
    path = tmp_path / "run.log"
    path.write_text("")
    path.chmod(0o644)
    Log(path).file.close()
    assert oct(path.stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("name", ["missing/run.log", "."])
def test_a_file_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path, name: str):
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(ConfigError, match="log-file"):
        Log(tmp_path / name)
    assert logging.getLogger().handlers == handlers


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_once_and_the_session_goes_on():
    mode = FULL.stat().st_mode
    log = Log(FULL)
    for _ in range(100):
        log.emit()
    logging.getLogger("sqlalchemy").error("and this")
    log.file.close()
    assert len(log.failures) == 1
    assert "/dev/full" in log.failures[0]
    assert FULL.stat().st_mode == mode, "a device keeps its permissions"


def test_after_the_end_libraries_log_elsewhere(log: Log):
    log.file.close()
    logging.getLogger("urllib3").warning("late")
    assert log.lines() == []
