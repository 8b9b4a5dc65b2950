"""Opening a broker with its clock: Alpaca's paper API, an exchange elsewhere on this machine, or our own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from gambler_ai.app.home import refuse_link
from gambler_ai.clock import Clock, ManualClock, MarketClock, SystemClock
from gambler_ai.config import PAPER_HOST, PAPER_URL, Settings
from gambler_ai.core.ports import Broker, MarketData, Streams
from gambler_ai.errors import BrokerAuthError, ConfigError
from gambler_ai.storage import sessions
from gambler_ai.trading.feed import Feed, PacedFeed, WallFeed

EMBEDDED = "embedded"
ALPACA = "alpaca"


@dataclass
class Venue:
    """A broker that answers, the prices that go with it, and the clock its sessions keep."""

    kind: str
    trading_url: str
    broker: Broker
    market_data: MarketData
    feed: Feed
    note: str
    speed: float = 1.0
    labels: dict[str, str] = field(default_factory=dict)
    skip_to: Callable[[datetime], None] | None = None
    keeps_wall_time: bool = False  # so that the machine's clock can be held against the broker's
    streams: Callable[[Sequence[str], int], Streams] | None = None  # for these symbols, with this seed
    on_close: Callable[[], None] = lambda: None
    discard: Callable[[], None] = lambda: None

    @property
    def clock(self) -> Clock:
        """Session time."""
        return self.feed.clock


def exchange_file(settings: Settings, session_id: str) -> Path:
    """Where the embedded exchange of a session keeps its account.

    Raises:
        ConfigError: that is no session id.
    """
    sessions.check_id(session_id)
    return settings.state_dir / "exchange" / f"{session_id}.sqlite3"


def open_embedded(settings: Settings, session_id: str, *, fresh: bool) -> Venue:
    """The exchange inside this process, on a loopback port, with an account of the session's own.

    Raises:
        ConfigError: the session has an account and its file is gone.
        SessionLeased: another process has the file.
    """
    from gambler_ai.broker.control import ExchangeControl
    from gambler_ai.exchange.exchange import Exchange
    from gambler_ai.exchange.rest.server import ExchangeServer

    path = exchange_file(settings, session_id)
    if not fresh and not path.exists():
        raise ConfigError(
            f"the exchange account of session {session_id} is gone: {path} is not there",
            hint="put the file back, or start anew with --new",
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    refuse_link(path)
    exchange = Exchange.open(path, account=session_id)
    server = ExchangeServer(exchange)
    server.start()

    def close() -> None:
        server.stop()
        exchange.close()

    def discard() -> None:
        close()
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}.lock"):
            path.with_name(name).unlink(missing_ok=True)

    advance = ExchangeControl(server.url, server.token).advance
    feed = PacedFeed(ManualClock(exchange.now()), advance, settings.speed)
    broker, data = _clients(exchange.key_id, exchange.secret_key, server.url, server.url, settings.feed)
    return Venue(
        EMBEDDED, "embedded", broker, data, feed, "embedded exchange, no account needed",
        speed=settings.speed, labels=exchange.market.labels(), skip_to=feed.move_to, on_close=close, discard=discard,
    )  # fmt: skip


def open_alpaca(settings: Settings) -> Venue:
    """Alpaca's paper API, or whatever speaks it on a loopback address.

    Raises:
        BrokerAuthError: there are no keys.
        BrokerUnreachable: it does not answer.
    """
    if not settings.has_keys:
        raise BrokerAuthError(
            "no Alpaca keys are set", hint="set ALPACA_API_KEY and ALPACA_API_SECRET, or use --broker embedded"
        )
    _check_streams(settings)
    key, secret = settings.api_key.get_secret_value(), settings.api_secret.get_secret_value()
    url = settings.trading_url.rstrip("/")
    is_alpaca = urlsplit(url).hostname == PAPER_HOST
    broker, data = _clients(key, secret, settings.trading_url, settings.data_url, settings.feed, is_limited=is_alpaca)
    if is_alpaca:
        feed = _wall_feed(broker)
        streams = _streams(settings, feed)
        return Venue(
            ALPACA, PAPER_URL, broker, data, feed, "Alpaca paper account", streams=streams, keeps_wall_time=True
        )
    feed, speed, labels, skip_to = _loopback_feed(settings, broker)
    return Venue(
        ALPACA, url, broker, data, feed, f"paper account at {url}", speed=speed, labels=labels,
        skip_to=skip_to, streams=_streams(settings, feed),
    )  # fmt: skip


def _streams(settings: Settings, feed: Feed) -> Callable[[Sequence[str], int], Streams] | None:
    """What makes the streams of a session; None when they are off.

    A market that is moved by us does nothing between two of our own readings, so there they are off unless wanted.
    """
    if settings.streams == "off" or (settings.streams == "auto" and isinstance(feed, PacedFeed)):
        return None

    def make(symbols: Sequence[str], seed: int) -> Streams:
        from gambler_ai.broker.streams import AlpacaStreams

        return AlpacaStreams(
            settings.api_key.get_secret_value(), settings.api_secret.get_secret_value(),
            trading_url=settings.trading_stream_url, data_url=settings.data_stream_url, feed=settings.feed,
            symbols=symbols, put=feed.put, now=feed.clock.now, seed=seed,
        )  # fmt: skip

    return make


def _check_streams(settings: Settings) -> None:
    from gambler_ai.broker.fence import STREAM_HOST, TRADING_HOST, check_url

    check_url(settings.trading_stream_url, TRADING_HOST, ("wss", "ws"))
    check_url(settings.data_stream_url, STREAM_HOST, ("wss", "ws"))


def _clients(
    key: str, secret: str, trading: str, data: str, feed: str, *, is_limited: bool = False
) -> tuple[Broker, MarketData]:
    """alpaca-py takes half a second to import, so it comes last.

    ``is_limited``: Alpaca counts requests a minute of its own time. An exchange on this machine counts none, and its
    minute may pass in a moment: a limit in wall time would slow it, and one in its own time would wait for ever,
    since nobody moves the market while a request waits.
    """
    from gambler_ai.broker.alpaca import AlpacaBroker
    from gambler_ai.broker.market_data import AlpacaMarketData
    from gambler_ai.broker.pace import TokenBucket

    buckets = [TokenBucket(SystemClock()) if is_limited else None for _ in range(2)]  # each host counts by itself
    return (
        AlpacaBroker(key, secret, trading, bucket=buckets[0]),
        AlpacaMarketData(key, secret, data, feed, bucket=buckets[1]),
    )


def _loopback_feed(
    settings: Settings, broker: Broker
) -> tuple[Feed, float, dict[str, str], Callable[[datetime], None] | None]:
    """How time passes at a loopback address: paced by us, by itself, or as the wall clock has it."""
    from gambler_ai.broker.control import ExchangeControl

    token = settings.exchange_token.get_secret_value()
    control = ExchangeControl(settings.trading_url, token)
    there = control.clock()
    if there is None:
        return _wall_feed(broker), 1.0, {}, None
    if there.speed:
        return WallFeed(MarketClock(there.now, there.speed), there.speed), there.speed, there.labels, None
    if not token:
        raise ConfigError(
            f"the market of the exchange at {settings.trading_url} stands still",
            hint="start it with --speed 60, or set GAMBLER_EXCHANGE_TOKEN so that this runner may move it",
        )
    feed = PacedFeed(ManualClock(there.now), control.advance, settings.speed)
    return feed, settings.speed, there.labels, feed.move_to


def _wall_feed(broker: Broker) -> Feed:
    """The broker's own clock, from now on at the pace of ours: freshness and cut-offs are judged by its time."""
    return WallFeed(MarketClock(broker.market().at, 1.0))
