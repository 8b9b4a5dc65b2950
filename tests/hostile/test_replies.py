"""Whatever a broker answers, whichever question it was: a clean value, or an error of ours in one line."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gambler_ai.broker.alpaca import AlpacaBroker
from gambler_ai.broker.market_data import AlpacaMarketData
from gambler_ai.core.model import BarFrame
from gambler_ai.errors import BrokerError, ConfigError, OutcomeUnknown
from tests.hostile.nasty import WHOLE, Lot, by_night, each_value, wrong
from tests.unit.broker.conftest import Wire, fenced
from tests.unit.broker.test_convert import CALL, EXERCISE, MLEG, ORDER, PUT
from tests.unit.broker.test_option_data import QUERY, SNAPSHOT, TOLD

AT = datetime(2008, 10, 7, 14, 0, tzinfo=UTC)
ACCOUNT = {
    "id": "a-1", "account_number": "PA1", "status": "ACTIVE", "currency": "USD", "cash": "1", "equity": "2",
    "portfolio_value": "2", "buying_power": "4", "last_equity": "2", "trading_blocked": False,
}  # fmt: skip
CLOCK = {"timestamp": "2008-10-07T10:00:00-04:00", "is_open": True, "next_open": "2008-10-08T09:30:00-04:00",
         "next_close": "2008-10-07T16:00:00-04:00"}  # fmt: skip
ASSET = {"symbol": "AAPL", "tradable": True, "status": "active", "shortable": True, "easy_to_borrow": True,
         "fractionable": True}  # fmt: skip
FILL = {"id": "f-1", "order_id": "o-1", "symbol": "AAPL", "side": "buy", "qty": "1", "price": "100.5",
        "transaction_time": "2008-10-07T14:00:00Z"}  # fmt: skip
POSITION = {"symbol": "AAPL", "qty": "1", "side": "long", "avg_entry_price": "100", "current_price": "101"}
BAR = {"t": "2008-10-07T13:55:00Z", "o": 1.5, "h": 2.5, "l": 1.0, "c": 2.0, "v": 100, "n": 3, "vw": 1.7}
BARS = {"bars": {"AAPL": [BAR]}, "next_page_token": None}
MLEG_REPLY = {**MLEG, "legs": [{k: v for k, v in leg.items() if k != "legs"} for leg in MLEG["legs"]]}
CHAIN = {"snapshots": {CALL: SNAPSHOT, PUT: {"latestQuote": TOLD}}, "next_page_token": None}
CONTRACTS = {"option_contracts": [{"symbol": CALL}], "next_page_token": None}
TRADES = {"trades": {"AAPL": {"t": "2008-10-07T14:00:00Z", "p": 100.5, "s": 1}}}

Ask = Callable[[AlpacaBroker, AlpacaMarketData], Any]
FIVE = timedelta(minutes=5)
#: What is asked, and what a good broker answers.
QUESTIONS: dict[str, tuple[Ask, Any]] = {
    "account_id": (lambda b, d: b.account_id(), ACCOUNT),
    "standing": (lambda b, d: b.standing(), ACCOUNT),
    "account": (lambda b, d: b.account(), ACCOUNT),
    "market": (lambda b, d: b.market(), CLOCK),
    "instruments": (lambda b, d: b.instruments(["AAPL"]), ASSET),
    "all instruments": (lambda b, d: b.instruments([f"S{n}" for n in range(40)]), [ASSET]),
    "orders": (lambda b, d: b.orders(AT), [ORDER]),
    "order_by_client_id": (lambda b, d: b.order_by_client_id("ga1-x"), ORDER),
    "order": (lambda b, d: b.order("o-1"), ORDER),
    "fills": (lambda b, d: b.fills(AT), [FILL]),
    "positions": (lambda b, d: b.positions(), [POSITION]),
    "submit": (lambda b, d: b.submit('{"symbol":"AAPL"}'), ORDER),
    "cancel": (lambda b, d: b.cancel("o-1"), ""),
    "bars": (lambda b, d: d.bars(["AAPL"], FIVE, AT - FIVE, AT, 10), BARS),
    "trades": (lambda b, d: d.trades(["AAPL"]), TRADES),
    "mleg": (lambda b, d: b.order("o-1"), MLEG_REPLY),
    "actions": (lambda b, d: b.actions(AT), [{**EXERCISE, "price": "160"}]),
    "with_options": (lambda b, d: b.with_options(["AAPL"], AT.date()), CONTRACTS),
    "chain": (lambda b, d: d.chain(QUERY, Decimal(160)), CHAIN),
    "option_quotes": (lambda b, d: d.option_quotes([CALL, PUT]), CHAIN),
}


def ask(question: str, data: bytes, status: int = 200) -> Any:
    """The value, or the error. Everything else a reply may do to us is a failure."""
    wire = Wire((status, data.decode("latin-1")))
    # Bytes that are not text: latin-1 and back is the identity once the wire encodes it the same way.
    wire.replies = [lambda _request: (status, Bytes(data))]
    session = fenced(wire)
    broker = AlpacaBroker("KEY", "SECRETKEY", "http://far.invalid", session)
    prices = AlpacaMarketData("KEY", "SECRETKEY", "http://far.invalid", "iex", session)
    try:
        return QUESTIONS[question][0](broker, prices)
    except (BrokerError, ConfigError) as error:
        return error


class Bytes(str):
    """A text whose encoding is these bytes."""

    data: bytes

    def __new__(cls, data: bytes) -> "Bytes":
        made = super().__new__(cls, "")
        made.data = data
        return made

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self.data


def check(question: str, data: bytes, status: int = 200) -> Any:
    found = ask(question, data, status)
    if isinstance(found, (BrokerError, ConfigError)):
        assert found.message.isprintable(), (question, data[:200])
        assert 0 < len(found.message) <= 400, (question, data[:200])
    elif not isinstance(found, BarFrame) and question != "trades":  # what a price may be is the sieve's to judge
        assert wrong(found) == "", (question, data[:300])
    return found


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_good_answer_is_taken(question: str):
    """Otherwise nothing below would say anything."""
    good = QUESTIONS[question][1]
    found = check(question, b"" if good == "" else json.dumps(good).encode())
    assert not isinstance(found, BrokerError), found


@pytest.mark.parametrize("question", QUESTIONS)
def test_any_document_for_any_question(question: str):
    for name, data in WHOLE.items():
        found = check(question, data)
        if question == "submit":
            assert isinstance(found, OutcomeUnknown), f"{name}: an order may exist"
        elif question not in (
            "cancel",
            "instruments",
            "all instruments",
            "orders",
            "fills",
            "positions",
            "trades",
            "bars",
            "actions",
        ):
            assert isinstance(found, BrokerError), name


@pytest.mark.parametrize("status", [204, 302, 400, 401, 403, 404, 422, 429, 500, 503])
def test_any_document_with_any_status(status: int):
    for data in WHOLE.values():
        for question in ("market", "submit", "cancel", "order"):
            check(question, data, status)


@pytest.mark.parametrize("share", [12, pytest.param(1, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("question", [q for q in QUESTIONS if q != "cancel"])
def test_each_field_with_each_nasty_value(question: str, share: int, count: Callable[..., None]):
    """Of all combinations one in ``share``."""
    text = json.dumps(QUESTIONS[question][1])
    bad = list(each_value(text))[len(question) % share :: share]
    assert bad
    for document in bad:
        check(question, document.encode("utf-8", "surrogatepass"))
    count("hostile inputs", len(bad))
    count("hostile inputs, in all", len(bad))


@pytest.mark.parametrize("lot", [Lot(25), *by_night(20_000)])
@pytest.mark.parametrize("question", [q for q in QUESTIONS if q != "cancel"])
def test_documents_made_wrong_by_seed(question: str, lot: Lot, pytestconfig: pytest.Config):
    for bad in lot.of(json.dumps(QUESTIONS[question][1]), pytestconfig):
        check(question, bad.encode())


@pytest.mark.parametrize("question", ["orders", "order", "submit"])
@pytest.mark.parametrize("shape", ["many", "deep", "self"])
def test_an_order_s_legs_come_to_an_end(question: str, shape: str):
    leg = {name: value for name, value in ORDER.items() if name != "legs"}
    legs: list[Any] = [leg] * 1000 if shape == "many" else [leg | {"legs": [leg]}]
    for _ in range(300 if shape == "deep" else 0):
        legs = [leg | {"legs": legs}]
    body = leg | {"legs": legs}
    found = check(question, json.dumps([body] if question == "orders" else body).encode())
    assert isinstance(found, BrokerError)


@pytest.mark.parametrize(
    "question", ["bars", *(pytest.param(q, marks=pytest.mark.nightly) for q in ("orders", "fills"))]
)
def test_a_list_that_never_ends_ends(question: str):
    """Each page is full, new, and names a next one."""
    pages = 0

    def reply(_request: Any) -> tuple[int, Any]:
        nonlocal pages
        pages += 1
        if question == "bars":
            return 200, BARS | {"next_page_token": f"page-{pages}"}
        if question == "fills":
            return 200, [FILL | {"id": f"f-{pages}-{n}"} for n in range(100)]
        return 200, [{**ORDER, "legs": None, "id": f"o-{pages}-{n}"} for n in range(500)]

    session = fenced(Wire(reply))
    broker = AlpacaBroker("KEY", "SECRETKEY", "http://far.invalid", session)
    prices = AlpacaMarketData("KEY", "SECRETKEY", "http://far.invalid", "iex", session)
    with pytest.raises(BrokerError, match="does not end"):
        QUESTIONS[question][0](broker, prices)
    assert pages <= 1_001
