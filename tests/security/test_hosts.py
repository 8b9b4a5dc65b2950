# ruff: noqa: E501 (tables of input are easier to read in long lines)
"""Keys go to Alpaca's paper host and to this machine, and nowhere else (protocol 4.4)."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gambler_ai.broker.alpaca import AlpacaBroker
from gambler_ai.broker.fence import DATA_HOST, STREAM_HOST, TRADING_HOST, FencedSession, check_url
from gambler_ai.broker.market_data import AlpacaMarketData
from gambler_ai.config import Settings
from gambler_ai.errors import BrokerError, ConfigError
from tests.recovery.harness import World, base_env
from tests.test_tidy import ROOT

#: In place of HOST stands each host that is allowed.
LOOK_ALIKES = [
    "https://HOST.evil.com", "https://HOST@evil.com", "https://HOST:443@evil.com", "https://user@HOST",
    "https://user:pw@HOST", "https://:pw@HOST", "https://@HOST", "https://HOST:8443", "https://HOST:80", "http://HOST",
    "https://HOST.", "https://xHOST", "https://evil.com/HOST", "https://evil.com#HOST", "https://evil.com?HOST",
    "https://evil.com\\@HOST", "https://HOST\\@evil.com", "https://HOST\\.evil.com", "https://HOST/../evil",
    "https://HOST?x=", "https://HOST#x", "https://HOST/evil.com", "https://HOST%2eevil.com", "https://HOST%00.evil.com",
    "https://HO\nST", "https://HOST\n", "\thttps://HOST", " https://HOST", "https://HOST ", "https:\\\\HOST", "https:HOST",
    "//HOST", "HOST", "ftp://HOST", "file:///etc/passwd", "javascript:HOST", "https://HOST,evil.com", "https://[HOST]",
    "https://HOST:evil", "https://HOST:99999", "https://HOST:-1", "https://HOST:443:443", "", "https://", "https://:443",
]  # fmt: skip
HOMOGLYPHS = [
    "https://pаper-api.alpaca.markets", "https://paper-api.alpaca.mаrkets", "https://paper‑api.alpaca.markets",
    "https://paper-api。alpaca.markets", "https://xn--pper-api-5fg.alpaca.markets", "https://ｐaper-api.alpaca.markets",
    "https://paper-api.alpaca.markets\u200b", "https://paper-api.alpaca.ma\u00adrkets",
]  # fmt: skip
LIVE = [
    "https://api.alpaca.markets", "https://API.ALPACA.MARKETS", "https://broker-api.alpaca.markets",
    "https://broker-api.sandbox.alpaca.markets", "https://alpaca.markets", "https://app.alpaca.markets",
    "https://paper-api.alpaca.market", "https://paper-apialpaca.markets", "https://paper.api.alpaca.markets",
]  # fmt: skip
NOT_LOOPBACK = [
    "http://127.0.0.1.evil.com", "http://127.0.0.1@evil.com", "http://localhost.evil.com", "http://0.0.0.0",
    "http://192.168.0.1", "http://10.0.0.1:8080", "http://169.254.169.254/latest", "http://127.1", "http://2130706433",
    "http://0x7f.0.0.1", "http://0177.0.0.1", "http://[::]", "http://[fe80::1]", "http://[::1]@evil.com",
    "http://localhost.", "http://u:p@localhost", "http://127.0.0.1\\@evil.com", "http://[::1%25eth0]",
    "http://[::ffff:10.0.0.1]", "http://１２７.0.0.1", "http://loc\nalhost", "http://[::1", "http://::1",
]  # fmt: skip
SCHEMES = {TRADING_HOST: ("https", "http"), DATA_HOST: ("https", "http"), STREAM_HOST: ("wss", "ws")}


def as_streams(url: str, host: str) -> str:
    if host != STREAM_HOST:
        return url
    return url.replace("https:", "wss:").replace("http:", "ws:")


CASES = [(url.replace("HOST", host), host) for host in SCHEMES for url in LOOK_ALIKES]
CASES += [(url, host) for host in SCHEMES for url in (*HOMOGLYPHS, *LIVE, *NOT_LOOPBACK)]


@pytest.mark.parametrize(("url", "host"), CASES, ids=lambda value: ascii(value)[:60])
def test_no_other_address_is_taken(url: str, host: str):
    with pytest.raises(ConfigError) as caught:
        check_url(as_streams(url, host), host, SCHEMES[host])
    assert len(caught.value.message) < 250
    assert caught.value.hint == "this program trades on paper only"


@pytest.mark.parametrize("scheme", ["https", "http", "ftp"])
def test_a_stream_has_a_stream_s_address(scheme: str):
    with pytest.raises(ConfigError):
        check_url(f"{scheme}://{STREAM_HOST}/v2/iex", STREAM_HOST, ("wss", "ws"))


@pytest.mark.parametrize(
    ("url", "host", "schemes"),
    [
        (f"https://{TRADING_HOST}", TRADING_HOST, ("https", "http")),
        (f"https://{TRADING_HOST}:443/", TRADING_HOST, ("https", "http")),
        (f"HTTPS://{TRADING_HOST.upper()}", TRADING_HOST, ("https", "http")),
        (f"https://{DATA_HOST}", DATA_HOST, ("https", "http")),
        (f"wss://{TRADING_HOST}/stream", TRADING_HOST, ("wss", "ws")),
        (f"wss://{STREAM_HOST}/v2/iex", STREAM_HOST, ("wss", "ws")),
        ("http://127.0.0.1:8000", TRADING_HOST, ("https", "http")),
        ("https://localhost:8000", TRADING_HOST, ("https", "http")),
        ("http://[::1]:8000", DATA_HOST, ("https", "http")),
        ("ws://127.0.0.1:8000/stream", TRADING_HOST, ("wss", "ws")),
    ],
)
def test_what_is_taken_is_taken_as_it_is(url: str, host: str, schemes: tuple[str, str]):
    assert check_url(url, host, schemes) == url.rstrip("/")


@pytest.mark.parametrize("setting", ["ALPACA_TRADING_URL", "ALPACA_DATA_URL", "ALPACA_TRADING_STREAM_URL",
                                     "ALPACA_DATA_STREAM_URL"])  # fmt: skip
@pytest.mark.parametrize("url", ["https://api.alpaca.markets", "wss://api.alpaca.markets/stream"])
def test_no_setting_overrides_it(tmp_path: Path, setting: str, url: str):
    """Nothing listens and nothing was looked up: the program refuses before it speaks."""
    keys = {"ALPACA_API_KEY": "PKX", "ALPACA_API_SECRET": "hunter22", "ALPACA_TRADING_URL": "http://127.0.0.1:1"}
    ended = World(tmp_path, base_env(tmp_path)).run("--broker", "alpaca", **(keys | {setting: url}))
    assert ended.code == 2, ended
    assert "this program trades on paper only" in ended.err


def test_no_setting_has_a_name_that_would_switch_a_check_off():
    words = ("live", "insecure", "verify", "proxy", "redirect", "allow", "unsafe", "tls", "cert")
    assert not [name for name in Settings.model_fields for word in words if word in name]


def test_no_source_switches_tls_off():
    for path in (ROOT / "gambler_ai").rglob("*.py"):
        text = path.read_text("utf-8").replace(" ", "")
        for word in ("verify=False", "CERT_NONE", "check_hostname=False", "_create_unverified", "trust_env=True"):
            assert word not in text, f"{path}: {word}"


# -- what is on the wire -----------------------------------------------------------------------------


class Far(ThreadingHTTPServer):
    """Answers with ``status`` and keeps the headers it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, dict[str, str]]] = []
        self.status, self.location = 200, ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Far

    def answer(self) -> None:
        self.server.got.append((f"{self.command} {self.path}", dict(self.headers)))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location + self.path)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    do_GET = do_POST = do_DELETE = do_PATCH = do_CONNECT = answer  # noqa: N815 (http.server asks for these names)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextlib.contextmanager
def far() -> Iterator[Far]:
    server = Far()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


ORDER = '{"symbol":"AAPL","qty":"1","client_order_id":"ga1-x"}'


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_key_anywhere(status: int):
    with far() as broker, far() as elsewhere:
        broker.status, broker.location = status, elsewhere.url.replace("127.0.0.1", "localhost")
        client = AlpacaBroker("KEY", "SECRET", broker.url)
        data = AlpacaMarketData("KEY", "SECRET", broker.url, "iex")
        for call in (client.positions, client.market, lambda: client.submit(ORDER), lambda: client.cancel("o-1"),
                     lambda: data.trades(["AAPL"])):  # fmt: skip
            with pytest.raises(BrokerError, match="points elsewhere"):
                call()
        assert len(broker.got) == 5
        assert elsewhere.got == []


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Far]:
    """A proxy in every variable that names one, and a .netrc that knows this machine."""
    home.mkdir(exist_ok=True)
    netrc = home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login thief password thief\nmachine localhost login thief password thief\n")
    netrc.chmod(0o600)
    with far() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "WSS_PROXY", "SOCKS_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
        yield proxy


def test_proxies_and_netrc_are_not_asked(planted: Far):
    with far() as broker:
        AlpacaBroker("KEY", "SECRET", broker.url).positions()
        [(_, headers)] = broker.got
        assert "Authorization" not in headers
        assert headers["APCA-API-SECRET-KEY"] == "SECRET"
    assert planted.got == []


def test_streams_ask_no_proxy(planted: Far):
    """What connects is refused at once, by the address itself and not by a proxy."""
    import asyncio

    from websockets.legacy import client

    async def connect(url: str) -> None:
        with contextlib.suppress(OSError, Exception):
            await client.connect(url, open_timeout=5)

    with far() as broker:
        asyncio.run(connect(broker.url.replace("http:", "ws:") + "/stream"))
        assert [path for path, _ in broker.got] == ["GET /stream"]
    assert planted.got == []


def test_a_stream_follows_no_redirect():
    import asyncio

    from websockets.legacy import client

    import gambler_ai.broker.streams  # noqa: F401 (it sets what is tested)

    async def connect(url: str) -> None:
        with contextlib.suppress(Exception):
            await client.connect(url, open_timeout=5)

    with far() as broker, far() as elsewhere:
        broker.status, broker.location = 302, elsewhere.url.replace("http:", "ws:")
        asyncio.run(connect(broker.url.replace("http:", "ws:") + "/stream"))
        assert len(broker.got) == 1
        assert elsewhere.got == []


# -- TLS -------------------------------------------------------------------------------------------------


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A TLS server on this machine with a certificate that nobody signed but itself; its port and certificate."""
    import subprocess

    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]  # fmt: skip
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("openssl is not here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = Far()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, cert
        assert server.got == [], "keys were sent to an impostor"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_no_variable_makes_an_impostor_trusted(impostor: tuple[int, Path], monkeypatch: pytest.MonkeyPatch):
    port, cert = impostor
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(cert))
    monkeypatch.setenv("SSL_CERT_DIR", str(cert.parent))
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    with pytest.raises(BrokerError, match="SSLError"):
        AlpacaBroker("KEY", "SECRET", f"https://localhost:{port}").positions()
    from gambler_ai.broker.streams import _socket

    context = _socket(f"wss://localhost:{port}/stream")["ssl"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
        context.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass


def test_the_session_verifies_and_cannot_be_asked_not_to():
    session = FencedSession()
    assert session.verify is True
    assert session.trust_env is False
    merged = session.merge_environment_settings("https://paper-api.alpaca.markets", {}, True, None, None)
    assert merged["verify"] is True
    assert not merged["proxies"]


@pytest.mark.parametrize("number", ["123456789", "XPA123", "", "pa1", " PA1"])
def test_an_account_that_is_not_a_paper_account_is_refused(number: str):
    from tests.unit.broker.conftest import Wire, broker_on

    with pytest.raises(ConfigError, match="is not a paper account"):
        broker_on(Wire((200, json.dumps({"account_number": number, "id": "a-1"})))).account_id()
