"""What is answered when something goes wrong."""

from __future__ import annotations

from typing import NamedTuple

from gambler_ai.exchange.instants import SECOND

_JSON, _HTML = b"application/json", b"text/html"


def _page(title: str) -> bytes:
    return f"<html><head><title>{title}</title></head><body>nginx</body></html>".encode()


class Canned(NamedTuple):
    """An answer that does not depend on the question."""

    status: int
    content_type: bytes
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


_TIMEOUT = Canned(504, _JSON, b'{"code":50410000,"message":"gateway timeout"}')
RATE_LIMITED = b'{"code":42910000,"message":"rate limit exceeded"}'
CANNED: dict[str, Canned] = {
    "500": Canned(500, _JSON, b'{"code":50010000,"message":"internal server error"}'),
    "500_html": Canned(500, _HTML, _page("500 Internal Server Error")),
    "502_html": Canned(502, _HTML, _page("502 Bad Gateway")),
    "503_html": Canned(503, _HTML, _page("503 Service Temporarily Unavailable")),
    "429": Canned(429, _JSON, RATE_LIMITED),
    "401_bare": Canned(401, _JSON, b'{"message":"unauthorized."}'),
    "401_html": Canned(401, _HTML, _page("401 Authorization Required")),
    "403_bare": Canned(403, _JSON, b'{"message":"forbidden."}'),
    "garbage": Canned(200, _JSON, b'{"id": "61e6'),
    "late_arrival": _TIMEOUT,
    "504_after": _TIMEOUT,
    "502_after": Canned(502, _HTML, _page("502 Bad Gateway")),
    "not_json": Canned(200, _HTML, _page("Welcome to nginx!")),
}


def rate_limited(seconds: float, now_us: int) -> Canned:
    """A 429 that says when to come back; the reset is an epoch second of the market's time."""
    reset = -(-(now_us + round(seconds * SECOND)) // SECOND)
    headers = (
        (b"x-ratelimit-limit", b"200"), (b"x-ratelimit-remaining", b"0"), (b"x-ratelimit-reset", b"%d" % reset),
        (b"retry-after", b"%d" % round(seconds)),
    )  # fmt: skip
    return Canned(429, _JSON, RATE_LIMITED, headers)
