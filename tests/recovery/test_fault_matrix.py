"""12 kinds of fault x 10 endpoints x {once, three times, always}: trade, mend the broker, resume, audit.

The real runner, broker and storage, with the exchange in the same process: a hang waits for nobody. The run is
abandoned where the fault has left it, as by kill -9.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec import json as msgspec_json

from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.errors import GamblerError
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.storage import sessions
from gambler_ai.trading.feed import PacedFeed
from gambler_ai.trading.recovery import restore
from tests.recovery.harness import Exchange, World, audit, entries, utc
from tests.unit.fakes import SESSION
from tests.unit.trading.test_runner import Session
from tests.unit.trading.test_runner_control import ask

KINDS = (
    "lost_reply", "504_after", "429", "429_headers", "500", "503_html", "reset", "hang", "truncated", "garbage",
    "cut_json", "not_json",
)  # fmt: skip
#: Only an order of which nothing is known is looked up by its id.
UNKNOWN_ENTRY = {"kind": "reset", "method": "POST", "path": "/v2/orders"}
ENDPOINTS: dict[str, dict[str, str]] = {
    "POST orders": {"method": "POST", "path": "/v2/orders"},
    "PATCH order": {"method": "PATCH", "path": "/v2/orders/"},
    "DELETE order": {"method": "DELETE", "path": "/v2/orders/"},
    "GET order by client id": {"method": "GET", "path": "/v2/orders:by_client_order_id"},
    "GET orders": {"method": "GET", "path": "/v2/orders$"},
    "GET positions": {"method": "GET", "path": "/v2/positions"},
    "GET account": {"method": "GET", "path": "/v2/account$"},
    "GET clock": {"method": "GET", "path": "/v2/clock"},
    "GET fills": {"method": "GET", "path": "/v2/account/activities/FILL"},
    "GET market data": {"method": "GET", "path": "/v2/stocks"},
}
TIMES: tuple[Any, ...] = (1, 3, "always")
MATRIX = [(kind, endpoint, times) for kind in KINDS for endpoint in ENDPOINTS for times in TIMES]
#: Nothing is asked of these in a session that enters, holds and flattens.
UNUSED = {"PATCH order"}
SAMPLE = 12
#: When the run with the fault is cut off, and how long the session is.
CUT, MINUTES = utc(9, 43), 30
ENTERED = [("AAPL", "buy"), ("MSFT", "sell")]


def in_sample(case: tuple[Any, ...]) -> int:
    return int.from_bytes(hashlib.sha256(str(case).encode()).digest()[:8], "big")


CHOSEN = set(sorted(MATRIX, key=in_sample)[:SAMPLE])


class Wire(Exchange):
    """The exchange of this process, as the audit asks it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        exchange, wire = self._session.exchange, self._session.wire
        headers = {
            "APCA-API-KEY-ID": exchange.key_id, "APCA-API-SECRET-KEY": exchange.secret_key, "X-Exchange-Token": "t",
        }  # fmt: skip
        data = None if body is None else msgspec_json.encode(body)
        url = f"{wire.url}{path}{'?' + urlencode(query) if query else ''}"
        reply = wire.request(method, url, data=data, headers=headers)
        return reply.status_code, json.loads(reply.content or b"null")


class Stop:
    """Asks the runner to stop when the market has come to an instant."""

    def __init__(self, session: Session, at: datetime) -> None:
        self._session, self._at, self._told = session, at, False

    def on_orders(self, events: object) -> None:
        """Orders do not matter here."""

    def on_move(self, from_us: int, to_us: int) -> None:
        if not self._told and to_us >= self._at.timestamp() * 1_000_000:
            self._told = True
            self._session.feed.put(ev.StopRequested(self._at, "SIGTERM"))

    def on_stop(self) -> None:
        """Nor does the end."""


@pytest.fixture
def faults() -> FaultPlan:
    return FaultPlan()


@pytest.fixture
def make_session(tmp_path: Path, faults: FaultPlan) -> Iterator[Any]:
    made: list[Session] = []

    def make() -> Session:
        made.append(Session(tmp_path, MINUTES, faults=faults))
        return made[-1]

    yield make
    for session in made:
        session.close()


def trade_until_cut(session: Session, faults: FaultPlan, row: dict[str, Any]) -> None:
    """Start well, then suffer; wherever it ends, it is abandoned there."""
    session.exchange.join(Stop(session, CUT))
    runner = session.begun()
    try:
        faults.replace([UNKNOWN_ENTRY, row] if "client_order_id" in row["path"] else [row])
        with suppress(GamblerError):
            runner.trade()
    finally:
        runner.abandon()


def resume(session: Session) -> None:
    session.notes.on("FillReported", lambda: None)
    session.feed = PacedFeed(ManualClock(session.exchange.now()), session.exchange.advance, 0.0)
    with session.database.read() as db:
        session.state = restore(session.database, sessions.find(db, SESSION)).state
    runner = session.begun(resumed=True)
    reason = runner.trade()
    runner.end("finished" if reason == "duration" else "stopped", reason)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All of it at night, a sample that the names of the cases draw with each commit."""
    if "endpoint" in metafunc.fixturenames:
        whole = metafunc.config.getoption("nightly", default=False)
        marks = [pytest.mark.nightly, pytest.mark.counts("faults")] if whole else []
        cases = [
            pytest.param(*case, marks=marks, id="-".join(map(str, case))) for case in MATRIX if whole or case in CHOSEN
        ]
        metafunc.parametrize(("kind", "endpoint", "times"), cases)


def test_after_a_fault_nothing_is_doubled_lost_or_unprotected(
    make_session: Any, faults: FaultPlan, tmp_path: Path, kind: str, endpoint: str, times: Any
):
    session = make_session()
    if endpoint == "DELETE order":
        session.notes.on("FillReported", lambda: ask(session.database, "flatten"))
    row = {"kind": kind, "times": times, **ENDPOINTS[endpoint]} | ({"seconds": 60} if kind == "hang" else {})
    trade_until_cut(session, faults, row)
    acted = faults.acted()[-1]["acted"]
    assert (acted > 0) is (endpoint not in UNUSED), "a fault that nobody meets proves nothing"
    faults.replace([])
    resume(session)
    books = World(tmp_path, {"GAMBLER_HOME": str(tmp_path)}, Wire(session))
    audit(books)
    assert set(entries(books)) <= set(ENTERED)
    if endpoint == "DELETE order":
        assert "AAPL" not in books.there.positions()


def test_the_sample_has_some_of_all():
    assert len(MATRIX) == 360
    assert len(CHOSEN) == SAMPLE
    assert len({times for _, _, times in CHOSEN}) == 3
    assert len({endpoint for _, endpoint, _ in CHOSEN}) > 4
