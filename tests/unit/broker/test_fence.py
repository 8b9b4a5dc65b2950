"""What leaves the process, how often, and what each failure of the wire is called."""

from __future__ import annotations

import json
import socket

import pytest
import requests
from alpaca.common.rest import RESTClient
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from gambler_ai.broker.alpaca import AlpacaBroker
from gambler_ai.broker.fence import (
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    TRADING_HOST,
    Encoded,
    FencedSession,
    check_url,
    fence,
    is_loopback,
    pause_s,
    printable,
)
from gambler_ai.broker.pace import BURST, RESERVED, TokenBucket
from gambler_ai.broker.reply import BadReply
from gambler_ai.errors import (
    BrokerAuthError,
    BrokerError,
    BrokerRefused,
    BrokerUnreachable,
    ConfigError,
    OutcomeUnknown,
    ReadFailed,
)
from tests.unit.broker.conftest import Reply, Wire, broker_on
from tests.unit.broker.test_convert import ORDER

BODY = '{"symbol":"AAPL","qty":"10","client_order_id":"ga1-x","take_profit":{"limit_price":"104.00"}}'


# -- what is sent ---------------------------------------------------------------------------------


def test_every_request_has_a_deadline():
    wire = Wire((200, ORDER))
    broker_on(wire).submit(BODY)
    wire.replies = [(200, "[]")]
    broker_on(wire).positions()
    wire.replies = [(204, "")]
    broker_on(wire).cancel("o-1")
    assert [o["timeout"] for o in wire.options] == [(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)] * 3
    assert all(o["verify"] is True for o in wire.options)


@pytest.mark.parametrize("body", [BODY, '{ "b" : 1.10, "a": "\\u00fc" }', '{"symbol":"ü"}'])
def test_exactly_the_stored_bytes_are_sent(server, body):
    server.body = json.dumps(ORDER).encode()
    AlpacaBroker("KEY", "SECRET", server.url).submit(body)
    [(method, path, headers, sent)] = server.requests
    assert (method, path, sent) == ("POST", "/v2/orders", body.encode())
    assert headers["Content-Type"] == "application/json"
    assert (headers["APCA-API-KEY-ID"], headers["APCA-API-SECRET-KEY"]) == ("KEY", "SECRET")


def test_a_body_looks_like_its_fields_to_alpaca_py():
    assert Encoded(BODY) == json.loads(BODY)
    assert Encoded(BODY).text == BODY


def test_keys_go_nowhere_but_to_the_broker(server, monkeypatch, home):
    """No proxy of the environment sees them, and no .netrc adds to them."""
    home.mkdir(exist_ok=True)
    (home / ".netrc").write_text("machine 127.0.0.1 login thief password thief\n")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.body = b"[]"
    AlpacaBroker("KEY", "SECRET", server.url).positions()
    [(_, _, headers, _)] = server.requests
    assert "Authorization" not in headers


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(server, status):
    server.status, server.body = status, b"<html>moved</html>"
    broker = AlpacaBroker("KEY", "SECRET", server.url)
    with pytest.raises(BrokerUnreachable):
        broker.positions()
    with pytest.raises(OutcomeUnknown):
        broker.submit(BODY)
    assert len(server.requests) == 2


def test_a_session_cannot_be_talked_into_following():
    wire = Wire((302, ""))
    session = FencedSession()
    session.mount("http://", wire)
    with pytest.raises(BadReply, match="points elsewhere"):
        session.request("GET", "http://far.invalid", allow_redirects=True)
    assert len(wire.sent) == 1


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_one_call_is_one_request_whatever_the_status(status):
    wire = Wire((status, {"code": status * 100000, "message": "no"}))
    with pytest.raises(OutcomeUnknown):
        broker_on(wire).submit(BODY)
    assert wire.paths() == ["POST /v2/orders"]
    with pytest.raises(BrokerUnreachable):
        broker_on(wire).positions()
    assert len(wire.sent) == 2


def test_an_alpaca_py_that_keeps_its_retries_elsewhere_is_not_used():
    client = RESTClient("http://far.invalid", "k", "s")
    del client._retry_codes
    with pytest.raises(AssertionError):
        fence(client)


# -- what it is called when it fails --------------------------------------------------------------

UNSENT = requests.ConnectionError(MaxRetryError(None, "/", NewConnectionError(None, "refused")))  # type: ignore[arg-type]
HALF = requests.ConnectionError(ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")))
HTML = "<html><head><title>503</title></head><body><h1>nginx</h1></body></html>"

# what comes back -> what a read is called, what an order or a cancel is called
FAILURES: dict[str, tuple[Reply, type[BrokerError], type[BrokerError]]] = {
    "401": ((401, {"code": 40110000, "message": "request is not authorized"}), BrokerAuthError, BrokerAuthError),
    "401 without a code": ((401, {"message": "unauthorized."}), BrokerAuthError, BrokerAuthError),
    "401 html": ((401, HTML), BrokerAuthError, BrokerAuthError),
    "403": ((403, {"code": 40310000, "message": "insufficient buying power"}), BrokerRefused, BrokerRefused),
    "403 without a code": ((403, {"message": "forbidden."}), BrokerAuthError, BrokerAuthError),
    "403 html": ((403, HTML), BrokerAuthError, BrokerAuthError),
    "400": ((400, {"code": 40010000, "message": "bad request"}), BrokerRefused, BrokerRefused),
    "404 html": ((404, HTML), BrokerRefused, BrokerRefused),
    **{
        str(status): ((status, {"code": status * 100000, "message": "no"}), ReadFailed, OutcomeUnknown)
        for status in (402, 405, 408, 409, 410, 421, 423, 425, 451, 499)
    },
    "404": ((404, {"code": 40410000, "message": "order not found"}), BrokerRefused, BrokerRefused),
    "422": ((422, {"code": 42210000, "message": "qty must be > 0"}), BrokerRefused, BrokerRefused),
    "429": ((429, {"code": 42910000, "message": "rate limit exceeded"}), ReadFailed, OutcomeUnknown),
    "500": ((500, {"code": 50010000, "message": "internal"}), ReadFailed, OutcomeUnknown),
    "503 html": ((503, HTML), ReadFailed, OutcomeUnknown),
    "504": ((504, ""), ReadFailed, OutcomeUnknown),
    "302": ((302, HTML), ReadFailed, OutcomeUnknown),
    "refused connection": (UNSENT, BrokerUnreachable, BrokerUnreachable),
    "connect timeout": (requests.ConnectTimeout(), BrokerUnreachable, BrokerUnreachable),
    "read timeout": (requests.ReadTimeout(), ReadFailed, OutcomeUnknown),
    "reset": (HALF, ReadFailed, OutcomeUnknown),
    "cut short": (requests.exceptions.ChunkedEncodingError("cut"), ReadFailed, OutcomeUnknown),
    "tls": (requests.exceptions.SSLError("bad certificate"), ReadFailed, OutcomeUnknown),
    "bare connection error": (requests.ConnectionError(), ReadFailed, OutcomeUnknown),
    "garbage": ((200, '{"id": "61e6'), ReadFailed, OutcomeUnknown),
    "html 200": ((200, HTML), ReadFailed, OutcomeUnknown),
    "empty": ((200, ""), ReadFailed, OutcomeUnknown),
    "null": ((200, "null"), ReadFailed, OutcomeUnknown),
    "a list of numbers": ((200, "[1]"), ReadFailed, OutcomeUnknown),
    "a number": ((200, "7"), ReadFailed, OutcomeUnknown),
    "another object": ((200, '{"id":"x"}'), ReadFailed, OutcomeUnknown),
    "not a number": ((200, [{**ORDER, "qty": "NaN"}]), ReadFailed, OutcomeUnknown),
}


def raised(call) -> BrokerError:
    with pytest.raises(BrokerError) as caught:
        call()
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400
    return caught.value


@pytest.mark.parametrize("case", FAILURES)
def test_each_failure_has_its_name(case):
    reply, read, changed = FAILURES[case]
    assert type(raised(broker_on(Wire(reply)).positions)) is read
    assert type(raised(lambda: broker_on(Wire(reply)).submit(BODY))) is changed


#: A cancel has no body to be wrong about.
BODIES = ("empty", "null", "a list of numbers", "a number", "another object", "not a number")


@pytest.mark.parametrize("case", [case for case in FAILURES if case not in BODIES])
def test_a_cancel_fails_by_the_same_names(case):
    reply, _, changed = FAILURES[case]
    assert type(raised(lambda: broker_on(Wire(reply)).cancel("o-1"))) is changed


def test_a_cancel_is_asked_for_once_and_its_204_is_enough():
    wire = Wire((204, ""))
    broker_on(wire).cancel("a/../b?c")
    assert [r.url for r in wire.sent] == ["http://far.invalid/v2/orders/a%2F..%2Fb%3Fc"]
    assert wire.paths() == ["DELETE /v2/orders/a%2F..%2Fb%3Fc"]


NOW = "Tue, 07 Oct 2008 14:00:00 GMT"
NOW_S = 1_223_388_000


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, 0.0),
        ({"X-RateLimit-Reset": str(NOW_S + 17), "Date": NOW}, 17.0),
        ({"X-RateLimit-Reset": str(NOW_S + 17), "Retry-After": "5", "Date": NOW}, 17.0),
        ({"Retry-After": "5", "Date": NOW}, 5.0),
        ({"Retry-After": "5"}, 5.0),
        ({"X-RateLimit-Reset": str(NOW_S - 1), "Date": NOW}, 0.0),
        ({"X-RateLimit-Reset": str(NOW_S + 86400), "Date": NOW}, 0.0),
        ({"X-RateLimit-Reset": str(NOW_S + 17)}, 0.0),
        ({"X-RateLimit-Reset": str(NOW_S + 17), "Retry-After": "5"}, 5.0),
        ({"X-RateLimit-Reset": "soon", "Date": NOW}, 0.0),
        ({"X-RateLimit-Reset": "nan", "Date": NOW}, 0.0),
        ({"Retry-After": "Wed, 08 Oct 2008 14:00:00 GMT"}, 0.0),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "1e9"}, 0.0),
    ],
    ids=str,
)
def test_how_long_the_broker_wants_to_be_left_alone_is_judged_by_its_own_clock(headers, wait_s):
    assert pause_s(CaseInsensitiveDict(headers)) == wait_s
    wire = Wire((429, {"code": 42910000, "message": "rate limit exceeded"}), headers=headers)
    for call in (broker_on(wire).positions, lambda: broker_on(wire).submit(BODY), lambda: broker_on(wire).cancel("o")):
        assert raised(call).wait_s == wait_s


def test_only_a_429_asks_to_be_left_alone():
    for case, (reply, *_) in FAILURES.items():
        if case != "429":
            assert raised(broker_on(Wire(reply)).positions).wait_s is None, case


class Stopwatch:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.at_s, self.slept_s = 100.0, 0.0

    def monotonic(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds
        self.slept_s += seconds


def test_requests_wait_for_their_turn_and_orders_have_theirs_kept():
    clock, wire = Stopwatch(), Wire((200, "[]"))
    session = FencedSession(TokenBucket(clock))
    session.mount("http://", wire)
    broker = AlpacaBroker("KEY", "SECRET", "http://far.invalid", session)
    while clock.slept_s == 0.0:
        broker.positions()
    assert len(wire.sent) == BURST - RESERVED + 1
    slept_s, wire.replies = clock.slept_s, [(200, ORDER)]
    broker.submit(BODY)
    broker.order_by_client_id("ga1-x")
    wire.replies = [(204, "")]
    broker.cancel("o-1")
    assert clock.slept_s == slept_s


def test_a_refusal_keeps_status_code_and_words():
    error = raised(lambda: broker_on(Wire(FAILURES["403"][0])).submit(BODY))
    assert isinstance(error, BrokerRefused)
    assert (error.status, error.code, error.message) == (403, 40310000, "insufficient buying power (HTTP 403)")
    bare = raised(lambda: broker_on(Wire((404, HTML))).submit(BODY))
    assert isinstance(bare, BrokerRefused)
    assert (bare.code, bare.message) == (None, "no reason given (HTTP 404)")


def test_the_brokers_words_cannot_paint_the_terminal():
    evil = {"code": 1, "message": "\x1b[2Jno\r\nmore\u202e" + "x" * 5000}
    message = raised(lambda: broker_on(Wire((422, evil))).submit(BODY)).message
    assert message.startswith(" [2Jno  more ")
    assert printable("a\tb\x00") == "a b "


def test_a_port_where_nobody_listens_means_nothing_was_sent():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # taken, and not listening
        broker = AlpacaBroker("KEY", "SECRET", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert isinstance(raised(lambda: broker.submit(BODY)), BrokerUnreachable)


def test_a_server_that_hangs_up_leaves_an_order_unknown(server):
    server.hang_up = True
    broker = AlpacaBroker("KEY", "SECRET", server.url)
    assert isinstance(raised(lambda: broker.submit(BODY)), OutcomeUnknown)
    assert isinstance(raised(broker.positions), BrokerUnreachable)
    assert len(server.requests) == 2


def test_no_error_shows_the_keys():
    for reply, *_ in FAILURES.values():
        error = raised(lambda reply=reply: broker_on(Wire(reply)).submit(BODY))
        assert "SECRET" not in f"{error!r} {error.hint}"


# -- where it may go ------------------------------------------------------------------------------

ALLOWED = [
    "https://paper-api.alpaca.markets", "https://paper-api.alpaca.markets/", "https://paper-api.alpaca.markets:443",
    "https://PAPER-API.alpaca.markets", "http://127.0.0.1:8080", "http://localhost:1", "https://localhost",
    "http://[::1]:8080", "http://127.9.9.9",
]  # fmt: skip
REFUSED = [
    "https://api.alpaca.markets", "http://paper-api.alpaca.markets", "https://paper-api.alpaca.markets.evil.com",
    "https://paper-api.alpaca.markets@evil.com", "https://evil.com@paper-api.alpaca.markets",
    "https://user:pw@paper-api.alpaca.markets", "https://paper-api.alpaca.markets:8443",
    "https://paper-api-alpaca.markets", "https://xpaper-api.alpaca.markets", "https://paper-api.alpaca.markets.",
    "https://evil.com/paper-api.alpaca.markets", "https://evil.com#paper-api.alpaca.markets",
    "https://evil.com?paper-api.alpaca.markets", "https://evil.com\\@paper-api.alpaca.markets",
    "http://localhost.evil.com", "http://127.0.0.1.evil.com", "http://0.0.0.0", "http://10.0.0.1", "http://[::]",
    "http://2130706433", "http://user@127.0.0.1", "ftp://127.0.0.1", "paper-api.alpaca.markets", "", "https://",
    "file:///etc/passwd", "https://data.alpaca.markets", "wss://paper-api.alpaca.markets/stream",
]  # fmt: skip


@pytest.mark.parametrize("url", ALLOWED)
def test_the_paper_host_and_this_machine_are_allowed(url):
    assert check_url(url, TRADING_HOST) == url.rstrip("/")


@pytest.mark.parametrize("url", REFUSED)
def test_every_other_place_is_refused(url):
    with pytest.raises(ConfigError, match="is neither") as caught:
        check_url(url, TRADING_HOST)
    assert caught.value.hint == "this program trades on paper only"
    with pytest.raises(ConfigError):
        AlpacaBroker("KEY", "SECRET", url)


@pytest.mark.parametrize(
    "url",
    [
        "https://paper-api.alpaca.markets:99999",
        "https://paper-api.alpaca.markets:x",
        "http://[::1",
        "http://127.0.0.1:99999",
    ],
)
def test_what_is_no_address_at_all_is_refused_in_one_line_too(url):
    with pytest.raises(ConfigError):
        check_url(url, TRADING_HOST)


def test_streams_have_schemes_of_their_own():
    assert check_url("wss://paper-api.alpaca.markets/stream", TRADING_HOST, ("wss", "ws"))
    assert check_url("ws://127.0.0.1:1/stream", TRADING_HOST, ("wss", "ws"))
    with pytest.raises(ConfigError):
        check_url("https://paper-api.alpaca.markets", TRADING_HOST, ("wss", "ws"))


@pytest.mark.parametrize(
    ("host", "here"), [(None, False), ("", False), ("::1", True), ("127.0.0.1", True), ("::2", False)]
)
def test_loopback_is_this_machine_and_no_other(host, here):
    assert is_loopback(host) is here
