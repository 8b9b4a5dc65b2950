"""The same application without a socket: a requests session whose requests end in this process."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from starlette.applications import Starlette
from urllib3 import HTTPResponse

from gambler_ai.exchange.rest.gate import CutShort, HangUp, TimedOut

DEFAULT_TIMEOUT_S = 30.0


class ExchangeAdapter(BaseAdapter):
    """Runs the ASGI application on a loop thread of its own. What a plan of faults would have a client wait for is
    decided by its timeout, without waiting: the same each time.
    """

    def __init__(self, app: Starlette, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        super().__init__()
        self._app = app
        self._timeout = timeout
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="exchange-in-process", daemon=True)
        self._thread.start()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float | None, float | None] | None = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Raises requests.ReadTimeout, ConnectionError and ChunkedEncodingError, as a socket would."""
        patience = timeout[1] if isinstance(timeout, tuple) else timeout
        timeout_s = patience or self._timeout
        future = asyncio.run_coroutine_threadsafe(self._run(request, timeout_s), self._loop)
        try:
            status, headers, body = future.result(timeout_s)
        except TimedOut as error:
            raise requests.ReadTimeout(str(error), request=request) from None
        except CutShort as error:
            raise requests.exceptions.ChunkedEncodingError(str(error), request=request) from None
        except TimeoutError:
            future.cancel()
            raise requests.ReadTimeout("the exchange did not answer in time", request=request) from None
        except HangUp as error:
            raise requests.ConnectionError(str(error), request=request) from None
        return _response(request, status, headers, body)

    async def _run(
        self, request: requests.PreparedRequest, timeout_s: float
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        parts = urlsplit(request.url or "")
        body = request.body or b""
        scope: MutableMapping[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), _bytes(value)) for name, value in request.headers.items()],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 80),
            "gambler.timeout_s": timeout_s,
        }
        message = {"type": "http.request", "body": _bytes(body), "more_body": False}
        status, headers, chunks = 0, [], []  # type: int, list[tuple[str, str]], list[bytes]

        async def receive() -> MutableMapping[str, Any]:
            return message

        async def send(sent: MutableMapping[str, Any]) -> None:
            nonlocal status, headers
            if sent["type"] == "http.response.start":
                status = sent["status"]
                headers = [(name.decode(), value.decode()) for name, value in sent.get("headers", ())]
            else:
                chunks.append(sent.get("body", b""))

        await self._app(scope, receive, send)
        return status, headers, b"".join(chunks)

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _response(
    request: requests.PreparedRequest, status: int, headers: list[tuple[str, str]], body: bytes
) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers = CaseInsensitiveDict(headers)
    response.url = request.url or ""
    response.request = request
    response.encoding = "utf-8"
    response.raw = HTTPResponse(io.BytesIO(body), headers=dict(headers), status=status, preload_content=False)
    response._content = body
    return response


class ExchangeSession(requests.Session):
    """Set it as a client's ``_session``, and ``url`` as its ``url_override``. ``close`` ends the loop
    thread.
    """

    url = "http://exchange.invalid"

    def __init__(self, app: Starlette, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        super().__init__()
        self.trust_env = False
        for prefix in list(self.adapters):
            self.adapters.pop(prefix).close()
        self.mount("http://", ExchangeAdapter(app, timeout))
