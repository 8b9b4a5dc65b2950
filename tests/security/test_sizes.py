"""A reply, a message, a file or a session that has no end comes to one (protocol 4.8, 4.9)."""

import gzip
import resource
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gambler_ai.broker import reply as limits
from gambler_ai.broker import streams
from gambler_ai.broker.alpaca import AlpacaBroker
from gambler_ai.cli.json_lines import Encoder
from gambler_ai.cli.logfile import LOG_BYTES_MAX, LOG_FILES_KEPT, LogFile
from gambler_ai.clock import SystemClock
from gambler_ai.errors import BrokerError, BrokerUnreachable, OutcomeUnknown
from tests.recovery.harness import ROOT, World, base_env

MB = 1 << 20
ORDER = '{"symbol":"AAPL","qty":"1","client_order_id":"ga1-x"}'
Say = Callable[[socket.socket], None]


@contextmanager
def broker(say: Say) -> Iterator[str]:
    """The address of one that says what it likes after each request, byte by byte if it likes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line:
                line.settimeout(20)
                try:
                    line.recv(65_536)
                    say(line)
                except OSError:
                    pass

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: application/json", *lines, "", ""]).encode()


def endless(line: socket.socket) -> None:
    line.sendall(head("Connection: close") + b"[")
    while True:
        line.sendall(b"0," * 50_000)


def chunks(line: socket.socket) -> None:
    line.sendall(head("Transfer-Encoding: chunked"))
    while True:
        line.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")


def gzip_bomb(line: socket.socket) -> None:
    """A gigabyte in one megabyte."""
    packed = gzip.compress(b"0" * (64 * MB), 9)
    line.sendall(head("Content-Encoding: gzip", f"Content-Length: {len(packed) * 16}"))
    for _ in range(16):
        line.sendall(packed)


def double_bomb(line: socket.socket) -> None:
    packed = gzip.compress(gzip.compress(b"0" * (64 * MB), 9), 9)
    line.sendall(head("Content-Encoding: gzip, gzip", f"Content-Length: {len(packed)}") + packed)


def deflate_bomb(line: socket.socket) -> None:
    packed = zlib.compress(b"[" * (64 * MB), 9)
    line.sendall(head("Content-Encoding: deflate", f"Content-Length: {len(packed)}") + packed)


def lie(line: socket.socket) -> None:
    line.sendall(head("Content-Length: 99999999999") + b"[]")


def cut(line: socket.socket) -> None:
    line.sendall(head("Content-Length: 100") + b"[")


def not_gzip(line: socket.socket) -> None:
    line.sendall(head("Content-Encoding: gzip", "Content-Length: 5") + b"hello")


def many_headers(line: socket.socket) -> None:
    line.sendall(head(*(f"X-{n}: {n}" for n in range(5_000)), "Content-Length: 2") + b"[]")


def long_header(line: socket.socket) -> None:
    line.sendall(head("X: " + "x" * MB, "Content-Length: 2") + b"[]")


def no_http(line: socket.socket) -> None:
    line.sendall(b"\x00" * MB)


SAYS = [endless, chunks, gzip_bomb, double_bomb, deflate_bomb, lie, cut, not_gzip, many_headers, long_header, no_http]


@pytest.mark.parametrize("say", SAYS, ids=lambda say: say.__name__)
def test_a_reply_without_end_is_one_clear_error(say: Say):
    with broker(say) as url:
        client = AlpacaBroker("KEY", "SECRET", url)
        for call, kind in ((client.positions, BrokerUnreachable), (lambda: client.submit(ORDER), OutcomeUnknown)):
            with pytest.raises(BrokerError) as caught:
                call()
            assert isinstance(caught.value, kind), "an order may exist"
            assert len(caught.value.message) < 400
            assert caught.value.message.isprintable()


def test_a_reply_of_the_largest_size_is_taken_and_one_byte_more_is_not():
    def of(size: int) -> Say:
        body = b"[" + b" " * (size - 2) + b"]"
        return lambda line: line.sendall(head(f"Content-Length: {size}") + body)

    with broker(of(limits.BODY_BYTES_MAX)) as url:
        assert AlpacaBroker("KEY", "SECRET", url).positions() == []
    with broker(of(limits.BODY_BYTES_MAX + 1)) as url, pytest.raises(BrokerUnreachable, match="longer than 16 MB"):
        AlpacaBroker("KEY", "SECRET", url).positions()


MEASURE = """
import resource, sys
from gambler_ai.broker.alpaca import AlpacaBroker
from gambler_ai.errors import BrokerError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    AlpacaBroker("KEY", "SECRET", sys.argv[1]).positions()
except BrokerError:
    pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
#: The worst document of 16 MB is one of empty lists: Python needs 64 bytes for each three.
MEMORY_MB_MAX = 700


def worst(line: socket.socket) -> None:
    body = b"[" + b"[]," * (limits.BODY_BYTES_MAX // 3 - 2) + b"[]]"
    line.sendall(head(f"Content-Length: {len(body)}") + body)


@pytest.mark.parametrize(
    ("say", "most_mb"), [(gzip_bomb, 120), pytest.param(worst, MEMORY_MB_MAX, marks=pytest.mark.nightly)]
)
def test_memory_stays_bounded(say: Say, most_mb: int):
    with broker(say) as url:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, url], capture_output=True, text=True, check=True, cwd=ROOT
        )
    assert int(done.stdout) < most_mb


def test_a_reply_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch):
    """A byte now and then meets every pause between two bytes, and never ends."""
    stop = threading.Event()

    def drip(line: socket.socket) -> None:
        line.sendall(head("Connection: close") + b"[")
        while not stop.wait(0.02):
            line.sendall(b" ")

    with broker(drip) as url:
        client = AlpacaBroker("KEY", "SECRET", url)
        client._client._session.body_patience_s = 0.3
        try:
            with pytest.raises(BrokerUnreachable, match="was not over after"):
                client.positions()
        finally:
            stop.set()


def test_a_message_of_a_stream_has_a_size_and_so_have_those_that_wait():
    waiting = streams._SOCKET["max_size"] * streams._SOCKET["max_queue"]
    assert waiting <= 16 * MB


def test_a_stream_s_bomb_is_not_unpacked():
    """Compressed to a few kilobytes, a message of 64 MB."""
    import asyncio

    from websockets.exceptions import ConnectionClosed
    from websockets.legacy import client
    from websockets.sync.server import serve

    def answer(line):
        try:
            line.send("0" * (64 * MB))
            line.recv()
        except ConnectionClosed:
            pass

    async def read(url: str) -> None:
        line = await client.connect(url, **streams._SOCKET)
        with pytest.raises(ConnectionClosed, match=r"1009|message too big|over size limit"):
            await line.recv()
        await line.close()

    with serve(answer, "127.0.0.1", 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        asyncio.run(read(f"ws://127.0.0.1:{running.socket.getsockname()[1]}"))
        running.shutdown()
        thread.join()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024


def test_a_log_turns_over_and_the_oldest_goes(tmp_path: Path):
    path = tmp_path / "x.log"
    log = LogFile(path, Encoder(), SystemClock(), print)
    log._handler.maxBytes = 20_000
    for number in range(2_000):
        log.emit({"kind": "log", "number": number, "text": "x" * 100})
    log.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 1 + LOG_FILES_KEPT
    assert all(file.stat().st_size <= 20_000 and not file.stat().st_mode & 0o077 for file in files)
    assert LOG_BYTES_MAX * (1 + LOG_FILES_KEPT) < 100_000_000


def test_many_ticks_leave_no_descriptor_open_and_the_journal_grows_with_what_happens(tmp_path: Path):
    """A strategy counts the descriptors at each look; an idle hour writes no more than the one before."""
    world = World(tmp_path, base_env(tmp_path))
    (tmp_path / "counting.py").write_text(
        "import os\n"
        "from gambler_ai.strategies import Strategy\n"
        "class Counting(Strategy):\n"
        "    def propose(self, view):\n"
        "        with open('counts', 'a') as out:\n"
        "            out.write(f\"{len(os.listdir('/proc/self/fd'))}\\n\")\n"
        "        return []\n"
    )
    world.trade("--strategy", "counting.py:Counting", duration=60).ok()
    counts = [int(line) for line in (tmp_path / "counts").read_text().split()]
    assert len(counts) > 8
    assert max(counts[5:]) <= counts[5] + 2, "a descriptor is left open at each tick"
    rows = world.rows("SELECT at, length(payload) AS size FROM journal ORDER BY seq")
    assert len(rows) < 60 * 6, "a market minute writes a few rows"
    assert sum(row["size"] for row in rows) < 60 * 6_000
    assert len(world.rows("SELECT 1 FROM checkpoints")) <= 200
