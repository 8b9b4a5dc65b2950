"""Rows that are rolled up: what every reader says of a session is the same before and after, on both databases."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import ClosedTrade, Side
from gambler_ai.core.state import Changes, SessionState
from gambler_ai.errors import CheckpointCorrupt, SessionLeased, StorageError
from gambler_ai.storage import archive, checkpoints, history, inspect, journal, rebuild, restarts, sessions, views
from gambler_ai.storage import tables as t
from gambler_ai.storage.backups import marks
from gambler_ai.storage.backups.archive import Manifest, SessionHead
from gambler_ai.storage.database import Database
from tests.databases import sqlite_only
from tests.unit.fakes import AT, MONEY, SESSION, D, after

MINUTES = 60
LIMIT = 20


def minute(number: int) -> list[ev.Fact]:
    """Marks each minute, the account's money in two of three, now and then something that is rare."""
    at = after(minutes=number)
    found: list[ev.Fact] = [ev.Marked(at, {"AAPL": D(100 + number % 7), "MSFT": D(50)}, {"AAPL": at})]
    if number % 3:
        found.append(ev.AccountReported(at, replace(MONEY, equity=D(100_000 + number * number % 997))))
    if number % 4 == 1:
        found.append(ev.Denied(at, "AAPL", Side.BUY, "max_positions", f"position {number}"))
    if number % 12 == 5:
        found.append(ev.ExitRequested(at, "AAPL", f'they asked for it, "{number}"'))
    if number % 40 == 7:
        found.append(ev.DayOpened(at, f"day {number}"))
    return found


def trade(number: int) -> ClosedTrade:
    return ClosedTrade(
        position_id=f"p-{number}", symbol="AAPL", side="long", qty=D("1.5"), entry_price=D("100.000000001"),
        entry_at=after(minutes=number), exit_price=None if number % 9 == 8 else D(101),
        exit_at=after(minutes=number + 3), pnl=None if number % 9 == 8 else D(number % 5 - 2),
        reason="stop ü", strategy="momentum", leverage=D("0.0015"),
    )  # fmt: skip


@pytest.fixture
def long(database: Database, session: SessionState) -> SessionState:
    """Two hours of a session that was taken up once, with a whole checkpoint after each half."""
    write(database, session, [ev.RunStarted(AT, 36_000.0, resumed=False, token=1), ev.DayOpened(AT, "2008-10-07")])
    for half, token in ((0, 1), (MINUTES // 2, 2)):
        if half:
            at = after(minutes=half)
            write(database, session, [ev.StateRestored(at, 1, 0), ev.RunStarted(at, 9e4, resumed=True, token=2)], token)
        for number in range(half, half + MINUTES // 2):
            write(database, session, minute(number), token, [trade(number)] if number % 2 else ())
        if not half:  # the last that was heard of the first run
            write(database, session, [ev.Denied(after(minutes=29.5), "AAPL", Side.BUY, "max_positions", "")], token)
        with database.write() as db:
            head = sessions.place(db, SESSION)[1]
            checkpoints.create(db, session, token, head, AT, token=token)
    write(database, session, minute(MINUTES), 2)
    return session


def write(database: Database, state: SessionState, facts: Any, token: int = 1, closed: Any = ()) -> None:
    evolve(state, facts)
    state.closed_trades += len(closed)
    with database.write() as db:
        head = sessions.place(db, SESSION)[1]
        head = journal.append(db, state, facts, Changes(closed=list(closed)), head, token)
        sessions.update(db, state, head=head, checkpoints=0, wall=AT)


def roll_up(database: Database, limit: int = LIMIT) -> int:
    """Until nothing is left to do; returns how many rows went."""
    total = 0
    with database.write() as db:
        while moved := archive.roll_up(db, SESSION, limit, 2).rows:
            total += moved
    return total


def drop_the_older_checkpoint(database: Database) -> None:
    with database.write() as db:
        db.execute(t.checkpoints.delete().where(t.checkpoints.c.number == 1))


def hot(database: Database) -> dict[str, int]:
    with database.read() as db:
        query = sa.select(t.journal.c.kind, sa.func.count()).group_by(t.journal.c.kind)
        found = {row[0]: row[1] for row in db.execute(query)}
        trades = db.execute(sa.select(sa.func.count()).select_from(t.closed_trades)).scalar_one()
    return found | {"closed_trades": trades}


def told(database: Database) -> dict[str, Any]:
    """Everything that is read of a history."""
    with database.read() as db:
        info = sessions.find(db, SESSION)
        trades = [trade for page in history.trades_in_pages(db, SESSION, 7) for trade in page]
        state = checkpoints.newest(db, SESSION, None, journal.GENESIS)  # type: ignore[arg-type]
        inspect.check_chain(db, info)
        return {
            "journal": list(journal.read(db, SESSION, 0, journal.GENESIS)),
            "part": [fact for fact, _ in _part(db)],
            "curve": history.equity_curve(db, SESSION, 30),
            "performance": history.performance(db, info),
            "trades": trades,
            "excursions": history.excursions(db, SESSION, trades),
            "newest": views.closed_trades(db, SESSION, 25),
            "all": views.closed_trades(db, SESSION),
            "since": views.closed_trades(db, SESSION, 50, after(minutes=20)),
            "restarts": restarts.of_session(db, SESSION),
            "newest of a kind": journal.newest(db, SESSION, ["ExitRequested"]),
            "newest that fits": journal.newest(
                db, SESSION, ["ExitRequested"], 10, lambda fact: fact.at < after(minutes=20)
            ),
            "checkpoint": state,
        }


def _part(db: Any) -> Any:
    rows = list(journal.read(db, SESSION, 0, journal.GENESIS))
    return journal.read(db, SESSION, 20, rows[19][1], 60)


def test_what_is_read_of_a_history_is_the_same_when_it_was_rolled_up(database, long):
    before = told(database)
    assert len(before["newest"]) == 25
    assert len(before["all"]) == MINUTES // 2
    assert any(found and found.adverse for found in before["excursions"])
    assert roll_up(database)
    after_it = told(database)
    for name, found in before.items():
        assert after_it[name] == found, name


def test_at_most_about_the_limit_of_each_kind_is_left_and_what_is_rare_all_of_it(database, long):
    drop_the_older_checkpoint(database)
    roll_up(database)
    left = hot(database)
    assert left.pop("Marked") in range(LIMIT, LIMIT + 2)
    assert left.pop("AccountReported") in range(LIMIT, LIMIT + 2)
    assert left.pop("closed_trades") in range(LIMIT, LIMIT + 2)
    assert left.pop("Denied") + left.pop("ExitRequested", 0) in range(2, 4)  # a tenth, of both together
    assert left == {"RunStarted": 2, "DayOpened": 3, "StateRestored": 1}


def test_it_goes_in_pieces_of_a_tenth_of_the_limit_oldest_first(database, long):
    with database.write() as db:
        assert archive.roll_up(db, SESSION, 50, 2).rows == 5
        rows = db.execute(sa.select(t.archive)).mappings().all()
    assert [(row["kind"], row["first"], row["rows"], row["token"]) for row in rows] == [("Marked", 3, 5, 2)]
    assert (rows[0]["begin_at"], rows[0]["end_at"]) == (AT, after(minutes=4))


def test_a_history_within_its_limit_is_left_as_it_is(database, long):
    before = hot(database)
    assert roll_up(database, 1_000) == 0
    assert hot(database) == before


def test_large_rows_go_in_smaller_pieces(database, session):
    large = {f"S{number}": D("100.25") for number in range(20_000)}
    write(database, session, [ev.Marked(after(minutes=number), large, {}) for number in range(6)])
    write(database, session, [ev.Marked(after(minutes=5), {}, {})] * 110)
    with database.write() as db:
        checkpoints.create(db, session, 1, sessions.place(db, SESSION)[1], AT, token=1)
        size = db.execute(sa.select(sa.func.max(sa.func.length(t.journal.c.payload)))).scalar_one()
        assert archive.SEGMENT_BYTES // size == 3
        assert archive.roll_up(db, SESSION, 100, 1).rows == 4  # not ten: with the fourth it is full


def test_nothing_that_a_resume_reads_is_rolled_up(database, long):
    with database.read() as db:
        (place,) = db.execute(sa.select(t.checkpoints.c.seq).where(t.checkpoints.c.number == 1)).one()
    roll_up(database, 1)
    with database.read() as db:
        lasts = db.execute(sa.select(t.archive.c.last).where(t.archive.c.kind != "closed_trades")).scalars().all()
    assert max(lasts) < place
    assert hot(database)["Marked"] > 30  # though the limit is one: the older checkpoint holds them
    drop_the_older_checkpoint(database)
    roll_up(database, 1)
    assert hot(database)["Marked"] in (1, 2)


def test_without_a_whole_checkpoint_the_journal_is_left_alone(database, long):
    with database.write() as db:
        db.execute(t.checkpoints.update().values(length=0))
    roll_up(database)
    assert hot(database)["Marked"] == MINUTES + 1
    assert hot(database)["closed_trades"] <= LIMIT + 2


def test_numbers_of_round_trips_go_on(database, long):
    roll_up(database)
    write(database, long, [], 2, [trade(500)])
    with database.read() as db:
        newest = db.execute(sa.select(sa.func.max(t.closed_trades.c.number))).scalar_one()
        pages = [trade for page in history.trades_in_pages(db, SESSION) for trade in page]
    assert (newest, len(pages), pages[-1]) == (MINUTES // 2 + 1, MINUTES // 2 + 1, trade(500))


def test_a_backup_is_known_again_wherever_it_ends(database, long):
    """Its last row may have been rolled up since. Another history has another hash there, or goes less far."""
    hashes = dict(database_rows(database))
    heads = [SessionHead(SESSION, "acc-1", "embedded", "running", seq, hashes[seq]) for seq in hashes]
    heads.append(replace(heads[0], seq=0, journal_hash=journal.GENESIS))
    assert roll_up(database) > LIMIT
    assert len(database_rows(database)) < len(hashes)
    with database.read() as db:
        for head in heads:
            assert marks.is_of(db, of(head))
            assert not marks.is_of(db, of(head, replace(head, id="s-2")))
            like = replace(head, journal_hash=f"{head.journal_hash[:8]}{'0' * 56}")
            assert not marks.is_of(db, of(like)) or not head.seq
        assert not marks.is_of(db, of(replace(heads[-2], seq=len(hashes) + 1)))
        assert not marks.is_of(db, of())


def of(*heads: SessionHead) -> Manifest:
    return Manifest(format=1, kind="sqlite", program="", taken_at=AT, database="x", server="", revision="", token=1,
                    sessions=heads)  # fmt: skip


def database_rows(database: Database) -> list[tuple[int, str]]:
    with database.read() as db:
        return [(row.seq, row.hash) for row in db.execute(sa.select(t.journal.c.seq, t.journal.c.hash))]


def test_what_is_kept_is_told_with_its_sums(database, long):
    roll_up(database)
    with database.read() as db:
        found = {row.kind: row for row in archive.rolled_up(db, SESSION)}
        gone = list(archive.trades(db, SESSION))
    assert found["Marked"].rows == MINUTES + 1 - hot(database)["Marked"]
    assert found["closed_trades"].rows == len(gone) == MINUTES // 2 - hot(database)["closed_trades"]
    assert found["closed_trades"].summary == {
        "won": sum((trade.pnl or 0) > 0 for trade in gone), "lost": sum((trade.pnl or 0) < 0 for trade in gone),
        "unpriced": sum(trade.pnl is None for trade in gone), "pnl": sum(trade.pnl or 0 for trade in gone),
    }  # fmt: skip
    assert found["Marked"].until < found["closed_trades"].until + (after(minutes=MINUTES) - AT)


def test_a_run_that_was_killed_ends_where_its_last_row_is_be_it_rolled_up(database, long):
    before = told(database)["performance"].runs
    drop_the_older_checkpoint(database)
    roll_up(database, 10)
    with database.read() as db:
        assert archive.newest_at(db, SESSION, 10**9, after(minutes=30)) == after(minutes=29.5)
    assert told(database)["performance"].runs == before


def test_what_was_counted_is_not_counted_again(database, long):
    """A count is carried on from the row that it came to; what is below that row is not looked at."""
    with database.write() as db:
        moved = archive.roll_up(db, SESSION, LIMIT, 2)
        assert moved.hot.seq == long.seq
        assert moved.hot.rows["Marked"] == MINUTES + 1 - moved.rows
        none_of_them = archive.Hot(long.seq, {})
        assert archive.roll_up(db, SESSION, LIMIT, 2, none_of_them).hot.rows["Marked"] == 0
    write(database, long, minute(MINUTES + 1), 2)
    with database.write() as db:
        again = archive.roll_up(db, SESSION, LIMIT, 2, moved.hot)
    assert again.rows == 2
    assert again.hot.rows["Marked"] == MINUTES + 2 - 2 * moved.rows == hot(database)["Marked"]


@sqlite_only
def test_looking_costs_what_came_since_and_not_what_there_is(database, long):
    drop_the_older_checkpoint(database)
    costs = {}
    for many in (1, 30):
        write(database, long, minute(99) * 100 * many, 2)
        with database.write() as db:
            counted = archive.roll_up(db, SESSION, 100_000, 2).hot
            costs[many] = [steps(db, counted), steps(db, None)]
    assert costs[30][1] > 10 * costs[1][1]
    assert costs[30][0] < 2 * costs[1][0]


def steps(db: Any, counted: archive.Hot | None) -> int:
    """How much SQLite has to do for a look that finds nothing to move."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    connection = db.connection.dbapi_connection
    connection.set_progress_handler(count, 10)
    assert archive.roll_up(db, SESSION, 100_000, 2, counted).rows == 0
    connection.set_progress_handler(None, 10)
    return taken


STORED = Path(__file__).parents[2] / "stored" / "archive-format-1.json"


#: What facts say today beside what they said when those segments were written.
SINCE = (',"iteration":null', ',"options_level":null,"options_buying_power":null')


def as_they_were_written_then(database: Database) -> None:
    """The journal with the bytes of that program, and so with its hashes."""
    head, heads = journal.GENESIS, {}
    with database.write() as db:
        for row in db.execute(sa.select(t.journal).order_by(t.journal.c.seq)).all():
            payload = row.payload
            for field in SINCE:
                payload = payload.replace(field, "")
            head = heads[row.seq] = journal.chained(head, row.seq, payload)
            db.execute(t.journal.update().where(t.journal.c.seq == row.seq).values(payload=payload, hash=head))
        for row in db.execute(sa.select(t.checkpoints)).all():
            where = t.checkpoints.c.number == row.number
            db.execute(t.checkpoints.update().where(where).values(journal_hash=heads[row.seq]))
        db.execute(t.sessions.update().values(journal_hash=head))


def test_segments_that_an_earlier_program_wrote_are_read_as_they_were(database, long):
    as_they_were_written_then(database)
    before = told(database)
    rows = [replaced | {"payload": b64decode(replaced["payload"])} for replaced in json.loads(STORED.read_text())]
    for row in rows:
        row |= {name: datetime.fromisoformat(row[name]) for name in ("begin_at", "end_at")}
    facts = [row for row in rows if row["kind"] != "closed_trades"]
    with database.write() as db:
        db.execute(t.archive.insert(), rows)
        for row in facts:
            between = t.journal.c.seq.between(row["first"], row["last"])
            gone = db.execute(t.journal.delete().where(between, t.journal.c.kind == row["kind"])).rowcount
            assert gone == row["rows"]
        db.execute(t.closed_trades.delete().where(t.closed_trades.c.number <= rows[-1]["last"]))
    assert told(database) == before
    assert {row["kind"] for row in rows} == {"Marked", "AccountReported", "closed_trades"}
    assert roll_up(database)  # what is newer goes on in today's form
    assert told(database) == before


def _change(db: Any, **values: Any) -> None:
    first = db.execute(sa.select(sa.func.min(t.archive.c.first)).where(t.archive.c.kind == values["of"])).scalar_one()
    where = (t.archive.c.kind == values.pop("of"), t.archive.c.first == first)
    db.execute(t.archive.update().where(*where).values(**values))


def _swap(db: Any, old: bytes, new: bytes) -> dict[str, Any]:
    """The first segment of marks with other content, whose sums are right."""
    import hashlib

    query = sa.select(t.archive.c.payload).where(t.archive.c.kind == "Marked").order_by(t.archive.c.first)
    payload = db.execute(query).scalars().first()
    raw = zlib.decompress(payload)
    assert old in raw
    raw = raw.replace(old, new, 1)
    return {"length": len(raw), "sha256": hashlib.sha256(raw).hexdigest(), "payload": zlib.compress(raw)}


DAMAGE = {
    "marks are no zlib": lambda db: _change(db, of="Marked", payload=b"x" * 40),
    "marks are cut": lambda db: _change(db, of="Marked", payload=zlib.compress(b"[]")[:4]),
    "their sum": lambda db: _change(db, of="Marked", sha256="0" * 64),
    "their length": lambda db: _change(db, of="Marked", length=3),
    "a price, with a sum that is right": lambda db: _change(db, of="Marked", **_swap(db, b'"n",0,100', b'"n",0,999')),
    "a row's number, likewise": lambda db: _change(db, of="Marked", **_swap(db, b'"seq":[3,', b'"seq":[4,')),
    "what holds its columns, likewise": lambda db: _change(db, of="Marked", **_swap(db, b'"tables"', b'"tablet"')),
    "a quote, likewise": lambda db: _change(db, of="Marked", **_swap(db, b'{"head"', b'{head"')),
    "the money": lambda db: _change(db, of="AccountReported", sha256="0" * 64),
    "a segment is gone": lambda db: db.execute(t.archive.delete().where(t.archive.c.kind == "Marked")),
    "round trips": lambda db: _change(db, of="closed_trades", payload=b""),
    "how many there are": lambda db: _change(db, of="closed_trades", rows=1),
    "what they came to": lambda db: _change(db, of="closed_trades", summary="{}"),
    "a row is there twice": lambda db: db.execute(t.journal.insert(), {
        "session_id": SESSION, "seq": 3, "at": AT, "kind": "Marked", "payload": "{}", "hash": "0", "token": 2,
    }),
}  # fmt: skip


@sqlite_only
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_to_what_was_rolled_up_is_found(database, long, damage):
    roll_up(database)
    with database.write() as db:
        damage(db)
    with database.read() as db, pytest.raises(CheckpointCorrupt, match="not verify"):
        inspect.check_chain(db, sessions.find(db, SESSION))


def test_a_row_that_was_changed_before_it_was_rolled_up_is_still_named(database, long):
    with database.write() as db:
        query = sa.text("""UPDATE journal SET payload = replace(payload, '"10', '"90') WHERE seq = 12""")
        assert db.execute(query).rowcount == 1
        (kind,) = db.execute(sa.select(t.journal.c.kind).where(t.journal.c.seq == 12)).one()
    assert kind == "Marked"
    roll_up(database)
    with database.read() as db, pytest.raises(CheckpointCorrupt, match="journal row 12 "):
        inspect.check_chain(db, sessions.find(db, SESSION))


def test_rows_that_cannot_be_deleted_are_not_kept_either(database, long):
    stays = {
        "sqlite": ["CREATE TRIGGER stay BEFORE DELETE ON journal BEGIN SELECT RAISE(IGNORE); END"],
        "postgresql": [
            "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
            "CREATE TRIGGER stay BEFORE DELETE ON journal FOR EACH ROW EXECUTE FUNCTION stay()",
        ],
    }
    with database.write() as db:
        for statement in stays[db.dialect.name]:
            db.execute(sa.text(statement))
    with pytest.raises(StorageError, match="2 rows of Marked from 3 to 4 were kept and 0 deleted"):
        roll_up(database)
    with database.read() as db:
        assert archive.rolled_up(db, SESSION) == []


def test_of_two_sessions_only_one_is_rolled_up(database, long):
    with database.write() as db:
        info = sessions.find(db, SESSION)
        kept = rebuild.set_aside(db, info, "it was in the way")
        assert archive.roll_up(db, SESSION, 1, 2).rows == 0
        assert archive.roll_up(db, kept, LIMIT, 2).rows == 2
        again = rebuild.set_aside(db, sessions.find(db, kept), "once more")
        assert [archive.count(db, name, "Marked") for name in (SESSION, kept, again)] == [0, 0, 2]
        inspect.check_chain(db, sessions.find(db, again))


def test_one_who_was_replaced_rolls_nothing_up(database, long):
    with database.write() as db:
        db.execute(t.lease.insert(), {
            "account_id": long.account_id, "token": 3, "session_id": SESSION, "owner": "another", "acquired_at": AT,
            "until": AT, "released": False, "until_s": None,
        })  # fmt: skip
    with pytest.raises(SessionLeased, match="replaced"):
        roll_up(database)
