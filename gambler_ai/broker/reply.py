"""What comes back over HTTP, read so that it can neither fill the memory, nor take for ever, nor mean two things."""

from __future__ import annotations

from typing import Any

import requests
from requests.exceptions import ChunkedEncodingError, ReadTimeout
from urllib3.exceptions import HTTPError, ReadTimeoutError

from gambler_ai.clock import SystemClock
from gambler_ai.core import strict_json
from gambler_ai.secrecy import Mask, masked

#: Bytes of a body, unpacked. A full page of anything is below 3 MB; the list of all assets is 6.
BODY_BYTES_MAX = 16 << 20
#: Wall seconds from the first byte of a body to its last: a reply that drips must not hold up the only worker.
BODY_PATIENCE_S = 30.0
CHUNK_BYTES = 1 << 16
#: The header that carries the secret.
SECRET_HEADER = "APCA-API-SECRET-KEY"  # noqa: S105 (its name)


class BadReply(ValueError):
    """It cannot be taken in, whatever it says."""


class Reply(requests.Response):
    """A response that is read whole, holds no secret, and whose JSON is strict."""

    def json(self, **_: Any) -> Any:
        """Raises ValueError."""
        return strict_json.loads(self.text)


def taken_in(response: requests.Response, patience_s: float = BODY_PATIENCE_S) -> Reply:
    """``response``, whose body is still on the wire, as a reply.

    Raises:
        BadReply: its body is too long, or takes too long.
        RequestException: it broke off.
    """
    try:
        body = _body(response, patience_s)
    except ReadTimeoutError as error:
        raise ReadTimeout(error, request=response.request) from None
    except HTTPError as error:
        raise ChunkedEncodingError(error, request=response.request) from None
    except BadReply:
        response.raw.close()  # what is still to come is not waited for
        raise
    response.raw.release_conn()  # for the next request
    reply = Reply()
    reply.__dict__.update(response.__dict__)
    reply._content_consumed = True
    reply._content = _without_secrets(response, body).encode()
    reply.encoding = "utf-8"
    return reply


def _body(response: requests.Response, patience_s: float) -> bytes:
    """Chunk by chunk: neither a length that lies nor what unpacks to a thousand times its size is believed."""
    clock = SystemClock()
    deadline_s = clock.monotonic() + patience_s
    body = bytearray()
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise BadReply(f"its reply is longer than {BODY_BYTES_MAX >> 20} MB")
        if clock.monotonic() > deadline_s:
            raise BadReply(f"its reply was not over after {patience_s:g} s")
    return bytes(body)


def _without_secrets(response: requests.Response, body: bytes) -> str:
    """A page can echo the headers it was asked with: what follows stores and shows texts of it."""
    text = body.decode("utf-8", "replace")
    secret = response.request.headers.get(SECRET_HEADER, "")
    return Mask([secret if isinstance(secret, str) else secret.decode("latin-1")])(masked(text))
