"""A session with something in every table, and a home to bring it to."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gambler_ai.app import moving
from gambler_ai.app.moving import Report
from gambler_ai.app.venue import exchange_file
from gambler_ai.clock import ManualClock
from gambler_ai.config import Settings
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.state import SessionState
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.storage import checkpoints, journal, requests, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from tests.unit.condor import condor, row_of
from tests.unit.fakes import ACCOUNT, AT, SESSION, D, after, bracket_of, entry, fill_of, make_state

TOKEN = 3
MEMORY = b"what it has learned " * 50


def write_session(
    database: Database,
    session_id: str = SESSION,
    account_id: str = ACCOUNT,
    *,
    broker: str = "alpaca",
    held: bool = True,
) -> SessionState:
    """A position, an order and its fill if ``held``, two checkpoints, a difference, a request, a memory."""
    state = make_state(session_id=session_id, account_id=account_id)
    url = "embedded" if broker == "embedded" else "https://paper-api.alpaca.markets"
    with database.write() as db:
        sessions.insert(db, state, broker=broker, trading_url=url, genesis=journal.GENESIS, wall=AT)
        take_account(db, account_id, session_id)
    head = commit(database, state, journal.GENESIS, 1, ev.RunStarted(AT, 60.0, resumed=False, token=TOKEN))
    facts: list[ev.Fact] = [ev.Marked(after(minutes=1), {}, {})]
    if held:
        order = bracket_of(entry())
        facts += [ev.IntentPlanned(AT, entry()), ev.OrderUpdated(AT, order), ev.FillReported(AT, fill_of(order, "10"))]
    commit(database, state, head, 2, *facts)
    with database.write() as db:
        requests.add(db, sessions.find(db, session_id), ev.HALT, "", "it is late", "me", AT)
        remember(db, session_id, account_id)
        add_row(db, t.discrepancies, session_id, seq=1, number=1, at=AT, kind="qty", symbol="AAPL", order_id="",
                ours="10", broker="9", cause="", action="")  # fmt: skip
        add_row(db, t.closed_trades, session_id, number=1, position_id="p", symbol="AAPL", side="long", qty="1.50",
                entry_price="1", entry_at=AT, exit_price=None, exit_at=AT, pnl=None, reason="", strategy="s",
                leverage=None)  # fmt: skip
        add_structure(db, session_id)
    return state


def add_structure(db: sa.Connection, session_id: str) -> None:
    """One that is over, and its round trip, so that what moves has the columns that only those have."""
    over, at = condor(units=3, cash=D("-12.50"), filled=True, settled=True), after(minutes=2)
    db.execute(t.structures.insert(), row_of(over, session_id, ended_at=at, end_reason="time", token=TOKEN))
    add_row(db, t.closed_trades, session_id, number=2, position_id=over.structure_id, symbol="AAPL", side="short",
            qty="3", entry_price="-1.20", entry_at=AT, exit_price="-1.24", exit_at=at, pnl="-12.50", reason="time",
            strategy="condor", leverage=None, multiplier=100, structure_id=over.structure_id)  # fmt: skip


def commit(database: Database, state: SessionState, head: str, number: int, *facts: ev.Fact) -> str:
    changes = evolve(state, facts)
    with database.write() as db:
        head = journal.append(db, state, facts, changes, head, TOKEN)
        checkpoints.create(db, state, number, head, AT, token=TOKEN)
        state.status = "stopped"
        sessions.update(db, state, head=head, checkpoints=number, wall=AT)
    return head


def take_account(db: sa.Connection, account_id: str, session_id: str, token: int = TOKEN) -> None:
    row = {"account_id": account_id, "token": token, "session_id": session_id, "owner": "pid 1 on there"}
    row |= {"acquired_at": AT, "until": AT, "until_s": None, "released": False}
    if db.execute(sa.select(t.lease).where(t.lease.c.account_id == account_id)).first() is None:
        db.execute(t.lease.insert(), row)


def remember(db: sa.Connection, session_id: str, account_id: str, memory: bytes = MEMORY) -> None:
    sha256 = hashlib.sha256(memory).hexdigest()
    if db.execute(sa.select(t.blobs).where(t.blobs.c.sha256 == sha256)).first() is None:
        row = {"sha256": sha256, "length": len(memory), "payload": zlib.compress(memory), "created_at": AT}
        db.execute(t.blobs.insert(), row)
    add_row(db, t.components, session_id, name="learner", number=1, account_id=account_id, at=AT, created_at=AT, seq=1,
            schema=1, format="msgpack", libraries="{}", sha256=sha256, set_aside="", token=TOKEN)  # fmt: skip


def add_row(db: sa.Connection, table: sa.Table, session_id: str, **values: Any) -> None:
    db.execute(table.insert(), {"session_id": session_id} | {
        name: value if value is None or not isinstance(table.c[name].type, t.Exact) else D(value)
        for name, value in values.items()
    })  # fmt: skip


@cache
def migrated_file() -> bytes:
    """An empty database with our schema: migrations take longer than the tests that need one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.sqlite3"
        with closing(Database(f"sqlite:///{path}")) as database:
            database.prepare()
        return path.read_bytes()


class Home:
    """A database with its state directory."""

    def __init__(self, folder: Path, url: str = "") -> None:
        """``url`` names a database that is there; without one it is a file with our schema in ``folder``."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if not url:
            url = f"sqlite:///{folder / 'gambler.sqlite3'}"
            (folder / "gambler.sqlite3").write_bytes(migrated_file())
        self.settings = Settings.model_validate({"home": str(folder), "database_url": url})
        self.clock = ManualClock(AT)

    @contextmanager
    def database(self) -> Iterator[Database]:
        with closing(Database(self.settings.database)) as opened:
            opened.prepare()
            yield opened

    def open_account(self, session_id: str) -> str:
        """The embedded exchange of a session. Returns its account's id."""
        path = exchange_file(self.settings, session_id)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        exchange = Exchange.open(path, account=session_id)
        account_id = exchange.account_id
        exchange.close()
        return account_id

    def give(self, file: Path, *session_ids: str, everything: bool = False) -> Report:
        with self.database() as database:
            return moving.export_to(
                file, database, self.settings, self.clock, session_ids=session_ids, everything=everything
            )

    def take(self, file: Path, *, dry_run: bool = False) -> Report:
        return moving.import_from(file, self.settings, self.clock, dry_run)

    def content(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of every table, as Python has them."""
        with self.database() as database, database.read() as db:
            return {
                table.name: [dict(row) for row in db.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
                for table in t.metadata.sorted_tables
            }
