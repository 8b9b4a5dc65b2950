"""A pooler in transaction mode, as small as one can be: many clients, one connection to the server, dealt out anew for
each transaction."""

import contextlib
import socket
import struct
import threading
from pathlib import Path

#: What a client may ask before it begins: encryption, of either kind.
ASKS_FOR_ENCRYPTION = (80877103, 80877104)
VERSION_3 = 196608
IDLE = b"I"


class Pooler:
    """Listens on loopback until `close`."""

    def __init__(self, server: Path, database: str) -> None:
        self._upstream = socket.socket(socket.AF_UNIX)
        self._upstream.connect(str(server))
        words = b"user\0postgres\0database\0" + database.encode() + b"\0\0"
        self._upstream.sendall(struct.pack("!II", len(words) + 8, VERSION_3) + words)
        self._greeting, _ = self._answer()
        self._transaction = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for each in (self._listener, self._upstream, *self._clients):
            each.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                self._threads.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                length, code = struct.unpack("!II", exactly(client, 8))
                exactly(client, length - 8)
                if code not in ASKS_FOR_ENCRYPTION:
                    break
                client.sendall(b"N")
            client.sendall(self._greeting)
            while True:
                self._pass_on_a_transaction(client)

    def _pass_on_a_transaction(self, client: socket.socket) -> None:
        first = message(client)
        if first[:1] == b"X":  # it says goodbye; the server must not hear that
            raise EOFError
        with self._transaction:
            status, said = b"", first
            while status != IDLE:
                self._upstream.sendall(said)
                if said[:1] in (b"Q", b"S"):  # a query, or the end of one in parts
                    answer, status = self._answer()
                    client.sendall(answer)
                if status != IDLE:
                    said = message(client)

    def _answer(self) -> tuple[bytes, bytes]:
        """What the server says until it is ready, and whether it is in a transaction then."""
        said = b""
        while True:
            part = message(self._upstream)
            said += part
            if part[:1] == b"Z":
                return said, part[5:6]


def message(source: socket.socket) -> bytes:
    head = exactly(source, 5)
    return head + exactly(source, struct.unpack("!I", head[1:])[0] - 4)


def exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = source.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data
