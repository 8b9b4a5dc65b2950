"""The real program in processes of its own, the exchange in another, and the books of both laid side by side.

Nothing here waits for time to pass: a process ends, a line arrives, or a deadline is missed and the test fails.
"""

import hashlib
import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode

from sqlalchemy import Connection, NullPool, create_engine

from tests.recovery import zygote
from tests.recovery.zygote import Forked

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, "-c", "from gambler_ai.cli.main import main; main()")
#: The same, forked where that will do (`zygote`).
FORKED = (*PROGRAM[:2], PROGRAM[2] + " ")
SCRIPT = (sys.executable, str(ROOT / "scripts/alpaca_paper_trading_recovery.py"))

KILLED = -signal.SIGKILL
#: Wall seconds until a process that has not ended, or a line that has not come, is a failure.
PATIENCE_S = 60.0
GENESIS = "0" * 64
ZERO = Decimal(0)
FINAL = ("filled", "canceled", "expired", "rejected", "replaced", "done_for_day")


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """One transaction on a Postgres database."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as db:
        yield db


def as_text(value: Any) -> Any:
    """A value of Postgres's as SQLite has it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


class Ended(NamedTuple):
    """A process that is no more."""

    code: int
    out: str
    err: str

    def ok(self) -> "Ended":
        assert self.code == 0, self
        return self

    def was_killed(self) -> "Ended":
        assert self.code == KILLED, self
        return self


class Running:
    """A process under way, read line by line."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self.process: subprocess.Popen[bytes] | Forked
        if tuple(command[: len(FORKED)]) == FORKED and zygote.is_wanted():
            self.process = Forked(command[len(FORKED) :], env, cwd)
        else:
            self.process = subprocess.Popen(
                command, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )  # fmt: skip
        self._out = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for(self, text: str, patience_s: float = PATIENCE_S) -> str:
        """The first line with ``text`` in it."""
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        deadline_s = time.monotonic() + patience_s
        while True:
            whole = self._out.rpartition(b"\n")[0].decode()
            found = next((line for line in whole.splitlines() if text in line), None)
            if found is not None:
                return found
            left_s = deadline_s - time.monotonic()
            ready, _, _ = select.select([pipe], [], [], max(0.0, left_s))
            more = os.read(pipe, 65_536) if ready else b""
            assert more, f"{'it ended' if ready else 'time is up'} before {text!r}: {self.kill()}"
            self._out += more

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, patience_s: float = PATIENCE_S) -> Ended:
        """Wait until it ends by itself."""
        try:
            out, err = self.process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            text = f"{(self._out + out).decode()}\n{err.decode()}"
            raise AssertionError(f"it did not end within {patience_s} s\n{text}") from None
        assert self.process.returncode is not None
        return Ended(self.process.returncode, (self._out + out).decode(), err.decode())

    def kill(self) -> Ended:
        self.process.kill()
        return self.end()


class Fill(NamedTuple):
    """An execution, on either side of the wire."""

    activity_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    at: datetime


class Exchange:
    """`exchange serve`, paused: the market moves only when a runner (or the test) moves it."""

    def __init__(self, env: Mapping[str, str], folder: Path, *options: str, paused: bool = True) -> None:
        stands = ["--paused"] if paused else []
        command = [*FORKED, "exchange", "serve", *stands, "--json", "--port", "0", *options]
        self.running = Running(command, env, folder)
        self.names: dict[str, str] = json.loads(self.running.wait_for("{"))
        self.url = self.names["ALPACA_TRADING_URL"]
        self.env = {name: value for name, value in self.names.items() if name.isupper()}

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        headers = {
            "APCA-API-KEY-ID": self.names["ALPACA_API_KEY"],
            "APCA-API-SECRET-KEY": self.names["ALPACA_API_SECRET"],
            "X-Exchange-Token": self.names["GAMBLER_EXCHANGE_TOKEN"],
            "Content-Type": "application/json",
        }
        url = f"{self.url}{path}{'?' + urlencode(query) if query else ''}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
                text = reply.read()
                return reply.status, json.loads(text) if text else None
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def get(self, path: str, **query: Any) -> Any:
        status, body = self.call("GET", path, **query)
        assert status == 200, body
        return body

    def plan(self, *faults: dict[str, Any]) -> None:
        """What goes wrong from here on; nothing more without faults."""
        status, body = self.call("POST", "/_exchange/faults", list(faults))
        assert status == 200, body

    def place(self, symbol: str, side: str, qty: str, **fields: Any) -> Any:
        """An order by hand."""
        order = {"symbol": symbol, "side": side, "qty": qty, "type": "market", "time_in_force": "day"} | fields
        status, body = self.call("POST", "/v2/orders", order)
        assert status == 200, body
        return body

    def pass_time(self, **span: float) -> None:
        """Move the market by hand."""
        now = datetime.fromisoformat(self.get("/_exchange/clock")["now"])
        status, body = self.call("POST", "/_exchange/advance", {"to": (now + timedelta(**span)).isoformat()})
        assert status == 200, body

    def hold(self, symbol: str, side: str, qty: str) -> Decimal:
        """A position taken by hand, however many parts it takes. Signed."""
        order = self.place(symbol, side, qty)
        for _ in range(40):
            if self.get(f"/v2/orders/{order['id']}")["status"] == "filled":
                return self.positions()[symbol]
            self.pass_time(seconds=15)
        raise AssertionError("it never filled")

    def make_a_dummy(self) -> None:
        """An order by hand that is gone at once. What it moves is the number the next order gets."""
        order = self.place("IBM", "buy", "1", type="limit", limit_price="1.00")
        assert self.call("DELETE", f"/v2/orders/{order['id']}")[0] == 204

    def cancel_legs(self, symbol: str) -> None:
        """Cancel by hand what protects a position."""
        for order in self.orders():
            for leg in order.get("legs") or ():
                if leg["symbol"] == symbol and leg["status"] not in FINAL:
                    self.call("DELETE", f"/v2/orders/{leg['id']}")

    def log(self) -> list[dict[str, Any]]:
        """Every POST of an order that ever arrived, oldest first."""
        rows: list[dict[str, Any]] = self.get("/_exchange/log")
        return rows

    def accepted(self) -> list[dict[str, Any]]:
        """The POSTs of ours that made an order."""
        return [r for r in self.log() if r["order_id"] and r["client_order_id"].startswith("ga1-")]

    def orders(self) -> list[dict[str, Any]]:
        """All orders, oldest first, their legs within."""
        rows: list[dict[str, Any]] = self.get("/v2/orders", status="all", nested="true", limit=500, direction="asc")
        return rows

    def fills(self) -> list[Fill]:
        rows = self.get("/v2/account/activities/FILL", direction="asc")
        assert len(rows) < 100, "more than a page"
        return [
            Fill(
                r["id"], r["symbol"], r["side"].removesuffix("_short"), Decimal(r["qty"]), Decimal(r["price"]),
                datetime.fromisoformat(r["transaction_time"]),
            )
            for r in rows
        ]  # fmt: skip

    def positions(self) -> dict[str, Decimal]:
        """Symbol -> signed quantity."""
        return {r["symbol"]: Decimal(r["qty"]) for r in self.get("/v2/positions")}

    def stop(self) -> None:
        if self.running.process.poll() is None:
            self.running.signal(signal.SIGTERM)
            self.running.end()


@dataclass
class World:
    """A home of the program's own, and the exchange that its keys belong to (none: the embedded one)."""

    folder: Path
    base_env: dict[str, str]
    exchange: Exchange | None = None
    outputs: list[Ended] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return Path(self.base_env["GAMBLER_HOME"])

    @property
    def database(self) -> Path:
        return self.home / "gambler.sqlite3"

    @property
    def url(self) -> str:
        """The Postgres database of this world; "" when it is the file."""
        return self.base_env.get("GAMBLER_DATABASE_URL", "")

    @property
    def database_url(self) -> str:
        """The program's database, whatever it is."""
        return self.url or f"sqlite:///{self.database}"

    @property
    def there(self) -> Exchange:
        assert self.exchange is not None
        return self.exchange

    def env(self, crash_at: str = "", **more: str) -> dict[str, str]:
        keys = self.exchange.env if self.exchange is not None else {}
        crash = {"GAMBLER_CRASH_AT": crash_at} if crash_at else {}
        return self.base_env | keys | crash | more

    def start(self, *args: str, crash_at: str = "", program: Sequence[str] = FORKED, **env: str) -> Running:
        return Running([*program, *args], self.env(crash_at, **env), self.folder)

    def run(self, *args: str, crash_at: str = "", program: Sequence[str] = FORKED, **env: str) -> Ended:
        ended = self.start(*args, crash_at=crash_at, program=program, **env).end()
        self.outputs.append(ended)
        return ended

    def trade(self, *args: str, duration: float = 30, symbols: str = "AAPL,MSFT", **more: Any) -> Ended:
        """A fresh session, as fast as it goes."""
        return self.run("--symbols", symbols, "--duration", str(duration), "--speed", "0", *args, **more)

    def resume(self, *args: str, **more: Any) -> Ended:
        return self.run("--resume", *args, **more)

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Read the program's database, without the program. Numbers and instants as text, as SQLite keeps them."""
        if self.url:
            with connected(self.url) as db:
                found = db.exec_driver_sql(query.replace("?", "%s"), values).mappings().all()
                return [{name: as_text(value) for name, value in row.items()} for row in found]
        file = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            file.row_factory = sqlite3.Row
            return [dict(row) for row in file.execute(query, values)]
        finally:
            file.close()

    def write(self, statement: str, *values: Any) -> int:
        """Spoil the program's database while nobody uses it. Returns how many rows it hit."""
        if self.url:
            with connected(self.url) as db:
                return db.exec_driver_sql(statement.replace("?", "%s"), values).rowcount
        file = sqlite3.connect(self.database)
        try:
            count = file.execute(statement, values).rowcount
            file.commit()
            return count
        finally:
            file.close()

    def content(self) -> dict[str, list[str]]:
        """Everything the database holds, by table."""
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
        if self.url:
            tables = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"
        names = sorted(row["name"] for row in self.rows(tables))
        return {name: sorted(map(str, self.rows(f"SELECT * FROM {name}"))) for name in names}

    def session(self) -> dict[str, Any]:
        """The one session there is."""
        (row,) = self.rows("SELECT * FROM sessions")
        return row

    def show(self) -> dict[str, Any]:
        """The session as the program shows it."""
        document: dict[str, Any] = json.loads(self.run("sessions", "show", self.session()["id"], "--json").ok().out)
        return document

    def fills(self) -> list[Fill]:
        """The fills in our books, in the order in which they happened."""
        rows = self.rows("SELECT * FROM fills ORDER BY at, activity_id")
        return [
            Fill(
                r["activity_id"], r["symbol"], r["side"], Decimal(r["qty"]), Decimal(r["price"]),
                datetime.fromisoformat(r["at"]),
            )
            for r in rows
        ]  # fmt: skip

    def positions(self) -> dict[str, Decimal]:
        return {r["symbol"]: Decimal(r["qty"]) for r in self.rows("SELECT * FROM positions")}

    def facts(self, kind: str = "") -> list[dict[str, Any]]:
        """The journal's payloads, oldest first; of one kind if one is named."""
        rows = self.rows("SELECT kind, payload FROM journal ORDER BY seq")
        return [json.loads(r["payload"]) for r in rows if kind in ("", r["kind"])]


def audit(world: World, foreign: Collection[str] = ()) -> None:
    """Our books and the exchange's say the same, nothing was sent twice, and what is held is protected.

    ``foreign`` names symbols that somebody else trades in this account.
    """
    _journal_verifies(world)
    _one_order_for_each_signal(world)
    _fills_agree(world)
    theirs = {s: q for s, q in world.there.positions().items() if s not in foreign}
    held = {s: q for s, q in world.positions().items() if s not in foreign}
    assert held == theirs, "positions differ"
    _each_position_is_protected(world, held)
    open_symbols = {o["symbol"] for o in _open_orders(world) if o["symbol"] not in foreign}
    assert open_symbols <= set(held), "an order rests in a symbol without a position"


def _journal_verifies(world: World) -> None:
    session = world.session()  # and there is one only
    head, number = GENESIS, 0
    for number, row in enumerate(world.rows("SELECT * FROM journal ORDER BY seq"), 1):
        assert row["seq"] == number
        head = hashlib.sha256(f"{head}\n{number}\n{row['payload']}".encode()).hexdigest()
        assert row["hash"] == head, f"journal row {number}"
        assert datetime.fromisoformat(row["at"]).utcoffset() == timedelta(0)
    assert (session["seq"], session["journal_hash"]) == (number, head)


def _one_order_for_each_signal(world: World) -> None:
    intents = {r["client_order_id"]: r for r in world.rows("SELECT * FROM intents")}
    accepted = world.there.accepted()
    posted = {row["client_order_id"] for row in world.there.log() if row["client_order_id"].startswith("ga1-")}
    assert posted <= set(intents), "an order was sent that no row knows"
    times = Counter(row["client_order_id"] for row in accepted)
    assert max(times.values(), default=0) <= 1, "accepted twice under one id"
    signals = Counter(
        (intents[c]["symbol"], intents[c]["side"], intents[c]["decision_id"]) for c in times
        if intents[c]["purpose"] == "entry"
    )  # fmt: skip
    assert max(signals.values(), default=0) <= 1, "a signal was acted upon twice"
    for order in world.there.orders():  # what the exchange holds is what was asked for
        row = intents.get(order["client_order_id"])
        if row is not None:
            assert (order["symbol"], order["side"], Decimal(order["qty"])) == (
                row["symbol"], row["side"], Decimal(row["qty"])
            )  # fmt: skip


def _fills_agree(world: World) -> None:
    mine = {leg["id"] for o in world.there.orders() if o["client_order_id"].startswith("ga1-") for leg in _family(o)}
    rows = world.there.get("/v2/account/activities/FILL", direction="asc")
    of_ours = {r["id"] for r in rows if r["order_id"] in mine}
    theirs = sorted(f for f in world.there.fills() if f.activity_id in of_ours)
    assert sorted(world.fills()) == theirs, "fills differ"


def _family(order: dict[str, Any]) -> list[dict[str, Any]]:
    return [order, *(order.get("legs") or ())]


def _open_orders(world: World) -> list[dict[str, Any]]:
    return [o for order in world.there.orders() for o in _family(order) if o["status"] not in FINAL]


def _each_position_is_protected(world: World, held: Mapping[str, Decimal]) -> None:
    for symbol, qty in held.items():
        side = "sell" if qty > 0 else "buy"
        resting = [o for o in _open_orders(world) if o["symbol"] == symbol and o["side"] == side]
        stops = sum((Decimal(o["qty"]) - Decimal(o["filled_qty"]) for o in resting if o["type"] == "stop"), ZERO)
        targets = sum((Decimal(o["qty"]) - Decimal(o["filled_qty"]) for o in resting if o["type"] == "limit"), ZERO)
        assert (stops, targets) == (abs(qty), abs(qty)), f"{symbol} {qty}: {resting}"
    for row in world.rows("SELECT * FROM positions"):
        assert row["stop_price"], f"{row['symbol']} has lost its stop"
        assert row["target_price"], f"{row['symbol']} has lost its target"


def story(fills: Sequence[Fill]) -> list[tuple[str, str, Decimal, Decimal, datetime]]:
    """Fills without their ids, which are another's in another account."""
    return sorted((f.symbol, f.side, f.qty, f.price, f.at) for f in fills)


def entries(world: World) -> list[tuple[str, str]]:
    """Symbol and side of each entry the exchange took, oldest first."""
    purposes = {r["client_order_id"]: r for r in world.rows("SELECT * FROM intents")}
    return [
        (purposes[row["client_order_id"]]["symbol"], purposes[row["client_order_id"]]["side"])
        for row in world.there.accepted()
        if purposes[row["client_order_id"]]["purpose"] == "entry"
    ]


def base_env(folder: Path, database_url: str = "") -> dict[str, str]:
    """An environment with nothing of the developer's in it; the database is a file, or the one named."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR")}
    kept |= {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    home = folder / "gambler"
    if database_url:
        kept["GAMBLER_DATABASE_URL"] = database_url
    return kept | {"HOME": str(folder), "GAMBLER_HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def utc(hour: int, minute: int, second: int = 0) -> datetime:
    """An instant of the exchange's day, given in New York time."""
    return datetime(2008, 10, 7, hour + 4, minute, second, tzinfo=UTC)
