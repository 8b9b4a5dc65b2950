"""The other side: keys, account, prices, clocks, and the exchange inside this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from gambler_ai.app.checks.row import BROKER, CONFIG, Row, fail, failed, ok, skip, warn
from gambler_ai.broker.account import Standing
from gambler_ai.broker.alpaca import AlpacaBroker
from gambler_ai.broker.control import ExchangeClock, ExchangeControl
from gambler_ai.broker.fence import STREAM_HOST, check_url
from gambler_ai.broker.market_data import AlpacaMarketData
from gambler_ai.clock import Clock
from gambler_ai.config import PAPER_HOST, Reading, Settings, variables
from gambler_ai.core.degraded import SKEW_MAX_S
from gambler_ai.core.events import MarketReport
from gambler_ai.errors import BrokerAuthError, BrokerError, BrokerRefused, ConfigError, GamblerError
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.rest.server import create_app
from gambler_ai.exchange.rest.transport import ExchangeSession

#: Freshness is judged by the broker's clock, so a small difference harms nothing; a large one means a broken clock.
SKEW_WARN_S = 2.0
SKEW_FAIL_S = SKEW_MAX_S
#: Of a key's id so much is shown: enough to tell two apart, and none of the secret.
KEY_SHOWN = 4
ROWS = ("account", "prices", "market", "clock")


@dataclass(frozen=True)
class Far:
    """A broker and its prices. ``exchange`` is set when it is an exchange of ours, whose time is its own."""

    broker: AlpacaBroker
    data: AlpacaMarketData
    exchange: ExchangeClock | None = None


def connect(settings: Settings) -> Far:
    """What the settings name.

    Raises:
        ConfigError: an address that we do not trade at.
        BrokerUnreachable: an exchange on this machine does not answer.
    """
    key, secret = settings.api_key.get_secret_value(), settings.api_secret.get_secret_value()
    broker = AlpacaBroker(key, secret, settings.trading_url)
    data = AlpacaMarketData(key, secret, settings.data_url, settings.feed)
    there = None
    if urlsplit(settings.trading_url).hostname != PAPER_HOST:
        there = ExchangeControl(settings.trading_url, "").clock()
    return Far(broker, data, there)


Connect = Callable[[Settings], Far]


def far(reading: Reading, connect_to: Connect, clock: Clock, *, offline: bool) -> Generator[Row, None, str | None]:
    """Keys, streams, and what the broker says; without keys, or ``offline``, it is not asked.

    Returns the id of the account that the keys belong to, None when it is not known.
    """
    account_id = None
    settings = reading.settings
    yield _keys(reading)
    why = ""
    if settings.broker == "embedded" or (settings.broker == "auto" and not settings.has_keys):
        why = "sessions use the embedded exchange"
    elif not settings.has_keys:
        why = "no keys"
    elif offline:
        why = "--offline"
    if why:
        yield from (skip(name, why) for name in ROWS)
    else:
        account_id = yield from _asked(settings, connect_to, clock)
    yield _streams(settings)
    return account_id


def _keys(reading: Reading) -> Row:
    settings = reading.settings
    key, secret = settings.api_key.get_secret_value(), settings.api_secret.get_secret_value()
    if bool(key) != bool(secret):
        missing = "api_secret" if key else "api_key"
        return fail("keys", f"only one of the two: {missing} is not set", f"set {variables(missing)[1]}", CONFIG)
    if key:
        return ok("keys", f"{key[:KEY_SHOWN]}… from {reading.sources['api_key']}")
    fix = "set ALPACA_API_KEY and ALPACA_API_SECRET, or use --broker embedded"
    if settings.broker == "alpaca":
        return fail("keys", "not set", fix, BROKER)
    return skip("keys", "not set, and not needed on the embedded exchange")


def _asked(settings: Settings, connect_to: Connect, clock: Clock) -> Generator[Row, None, str | None]:
    try:
        there = connect_to(settings)
        standing = there.broker.standing()
    except GamblerError as error:
        yield failed("account", error)
        yield from (skip(name, "the account could not be read") for name in ROWS[1:])
        return None
    yield _account(standing)
    yield _prices(there, settings)
    yield from _time(there, settings, clock)
    return standing.account_id


def _time(there: Far, settings: Settings, clock: Clock) -> Iterator[Row]:
    before_s = clock.monotonic()
    try:
        market = there.broker.market()
    except BrokerError as error:
        yield failed("market", error)
        yield skip("clock", "the broker's clock could not be read")
        return
    # The broker looked at its clock somewhere between the question and the answer.
    middle = clock.now() - timedelta(seconds=(clock.monotonic() - before_s) / 2)
    yield _market(there, settings, market)
    yield _skew(there, (middle - market.at).total_seconds())


def _account(standing: Standing) -> Row:
    account = f"{standing.number} ({standing.account_id})"
    if not standing.number.startswith("PA"):
        return fail("account", f"{standing.number} is not a paper account", "use your paper keys", CONFIG)
    if standing.status != "ACTIVE" or standing.blocks:
        why = ", ".join((*standing.blocks, *([standing.status] if standing.status != "ACTIVE" else [])))
        return fail("account", f"{account}: {why}", "see the account's page at Alpaca", BROKER)
    return ok("account", f"{account}, paper, ACTIVE")


def _prices(there: Far, settings: Settings) -> Row:
    name, symbol = "prices", settings.symbols[0]
    try:
        trade = there.data.trades([symbol]).get(symbol)
    except (BrokerAuthError, BrokerRefused) as error:  # the keys are good: the account could be read
        fix = "your plan has iex only: --feed iex" if settings.feed == "sip" else "see the plan of your account"
        return fail(name, f"feed {settings.feed}: {error.message}", fix, BROKER)
    except GamblerError as error:
        return failed(name, error)
    if trade is None:
        return warn(name, f"feed {settings.feed} knows no trade in {symbol}", "see whether the symbol is right")
    return ok(name, f"feed {settings.feed}: {symbol} {trade.price} at {trade.at:%F %T} UTC")


def _market(there: Far, settings: Settings, market: MarketReport) -> Row:
    exchange = there.exchange
    if exchange is not None and not exchange.speed and not settings.exchange_token.get_secret_value():
        fix = "start it with --speed 60, or set GAMBLER_EXCHANGE_TOKEN"
        return fail("market", f"the exchange at {settings.trading_url} stands still", fix, CONFIG)
    if market.is_open:
        return ok("market", f"open until {market.next_close:%F %R} UTC")
    return ok("market", f"closed; opens {market.next_open:%a %F %R} UTC")


def _skew(there: Far, skew_s: float) -> Row:
    if there.exchange is not None:
        return skip("clock", "the market's time is its own there")
    found = f"{abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} the broker's"
    fix = "set the clock: timedatectl set-ntp true"
    if abs(skew_s) > SKEW_FAIL_S:
        return fail("clock", found, fix, BROKER)
    return warn("clock", found, fix) if abs(skew_s) > SKEW_WARN_S else ok("clock", found)


def _streams(settings: Settings) -> Row:
    if settings.streams == "off":
        return skip("streams", "switched off: the broker is polled")
    try:
        check_url(settings.trading_stream_url, PAPER_HOST, ("wss", "ws"))
        check_url(settings.data_stream_url, STREAM_HOST, ("wss", "ws"))
    except ConfigError as error:
        return failed("streams", error)
    named = settings.data_stream_url.rstrip("/").rpartition("/")[2]
    if named in ("iex", "sip") and named != settings.feed:
        fix = f"ALPACA_DATA_STREAM_URL={settings.data_stream_url.rpartition('/')[0]}/{settings.feed}"
        return warn("streams", f"the stream's feed is {named}, that of prices {settings.feed}", fix)
    return ok("streams", f"{urlsplit(settings.trading_stream_url).hostname}, not connected to")


def embedded() -> Row:
    """Open an exchange in memory and ask it through alpaca-py, without a socket: the whole path, in this process."""
    exchange = Exchange.open(None)
    session = ExchangeSession(create_app(exchange, "", FaultPlan()))
    key, secret = exchange.key_id, exchange.secret_key
    try:
        standing = AlpacaBroker(key, secret, session.url, session).standing()
        trade = AlpacaMarketData(key, secret, session.url, "iex", session).trades(["AAPL"])["AAPL"]
    except GamblerError as error:
        return failed("embedded exchange", error)
    finally:
        session.close()
        exchange.close()
    return ok("embedded exchange", f"{standing.number} answers, AAPL {trade.price}")
