"""A network between runner and exchange that loses what it is told to lose: one TCP proxy on loopback."""

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, auto

#: Closing a socket with this sends a reset.
RESET = struct.pack("ii", 1, 0)
_REQUESTS = (b"GET ", b"POST ", b"DELETE ", b"PATCH ")


class Cut(StrEnum):
    """What becomes of a request."""

    REFUSED = auto()  # reset before a byte of it got through
    LOST_REPLY = auto()  # it got through; reset in place of the reply
    HALF_A_REPLY = auto()  # reset within the reply's body
    BLACK_HOLE = auto()  # swallowed, without a word
    MUTE = auto()  # it got through; no reply ever comes


@dataclass(frozen=True)
class Fault:
    """``cut`` for ``times`` requests, from the ``at``-th on (from 1)."""

    at: int
    cut: Cut
    times: int = 1


class Proxy:
    """Forwards 127.0.0.1:``port`` to 127.0.0.1:``target``. ``requests`` is how many have come so far."""

    def __init__(self, target: int, faults: Iterable[Fault] = ()) -> None:
        self._target = target
        self._plan = {fault.at + i: fault.cut for fault in faults for i in range(fault.times)}
        self._lock = threading.Lock()
        self.requests = 0
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._sockets: set[socket.socket] = set()
        self._threads[0].start()

    def close(self) -> None:
        """End every connection and wait for the threads."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._sockets |= {client, server}
            thread = threading.Thread(target=self._serve, args=(client, server), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                self._forward(client, server)
        finally:
            with self._lock:
                self._sockets -= {client, server}
            client.close()
            server.close()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        cut: Cut | None = None
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ)
            ready.register(server, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    data = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                    if not data:
                        return None
                    if key.fileobj is client:
                        cut = self._cut_of(data, cut)
                        if cut is Cut.REFUSED:
                            return reset(client)
                        if cut is not Cut.BLACK_HOLE:
                            server.sendall(data)
                    elif cut is None:
                        client.sendall(data)
                    elif cut is not Cut.MUTE:
                        client.sendall(data[: len(data) // 2 if cut is Cut.HALF_A_REPLY else 0])
                        return reset(client)

    def _cut_of(self, data: bytes, before: Cut | None) -> Cut | None:
        """A connection's bytes begin a request, or go on with one."""
        if not data.startswith(_REQUESTS):
            return before
        with self._lock:
            self.requests += 1
            cut = self._plan.get(self.requests)
            self.cuts += cut is not None
        return cut


def reset(client: socket.socket) -> None:
    """End a connection as a host does that has forgotten it."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()
