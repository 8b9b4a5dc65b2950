"""Writing and restoring: one commit is whole or nothing, and what was committed is what comes back."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.engine import Decisions
from gambler_ai.core.evolution import evolve
from gambler_ai.core.orders import Purpose
from gambler_ai.core.state import SessionState
from gambler_ai.errors import CheckpointCorrupt, ConfigError, LimitBreached, SessionLeased, StorageError
from gambler_ai.storage import checkpoints, journal, lease, requests, sessions, views
from gambler_ai.storage.database import Database
from gambler_ai.trading.ledger import Ledger, crash_kinds
from gambler_ai.trading.recovery import restore
from tests.databases import refuse, sqlite_only
from tests.unit.fakes import AT, SESSION, D, after, bracket_of, entry, fill_of
from tests.unit.structures import structure

ENTRY = entry()
PARENT = bracket_of(ENTRY, limit="new")
STORY: list[ev.Fact] = [
    ev.RunStarted(AT, 600.0, resumed=False, token=1),
    ev.IntentPlanned(AT, ENTRY),
    ev.OrderUpdated(AT, PARENT),
    ev.FillReported(AT, fill_of(PARENT, "4", "100.1")),
    ev.FillReported(AT, fill_of(PARENT, "6", "100.2", number=2)),
    ev.Marked(after(seconds=30), {"AAPL": D("100.55")}, {"AAPL": AT}),
    ev.Adjusted(after(seconds=40), "AAPL", D(3), D(99), "closed at the broker"),
]


def write(ledger: Ledger, state: SessionState, *facts: ev.Fact) -> None:
    ledger.commit(Decisions(facts=list(facts), changes=evolve(state, facts)))


def info(database: Database) -> sessions.SessionInfo:
    with database.read() as db:
        return sessions.find(db, SESSION)


def count(database: Database, table: str) -> int:
    with database.read() as db:
        return int(db.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_a_commit_writes_facts_rows_and_place_together(database, ledger, state):
    write(ledger, state, *STORY)
    found = info(database)
    assert (found.seq, count(database, "journal"), count(database, "fills"), count(database, "orders")) == (7, 7, 2, 3)
    assert found.status == "running"
    assert restore(database, found).head == found.journal_hash


def test_nothing_to_say_is_nothing_written(database, ledger, state):
    before = info(database)
    ledger.commit(Decisions())
    assert info(database) == before


@pytest.mark.parametrize("table", ["journal", "intents", "orders", "fills", "positions", "sessions"])
def test_a_write_that_fails_leaves_nothing_behind(database, ledger, state, table):
    before = info(database)
    with database.write() as db:
        refuse(db, "UPDATE" if table == "sessions" else "INSERT", table, "disk on fire")
    with pytest.raises(StorageError, match="disk on fire"):
        write(ledger, state, *STORY)
    assert [count(database, t) for t in ("journal", "intents", "orders", "fills", "positions")] == [0] * 5
    assert info(database) == before


def test_a_replaced_runner_writes_nothing_more(database, ledger, state, wall):
    with database.write() as db:
        db.execute(sa.text("UPDATE lease SET token = token + 1, owner = 'pid 2'"))
    for act in (lambda: write(ledger, state, STORY[0]), ledger.checkpoint, lambda: ledger.prune(1)):
        with pytest.raises(SessionLeased, match="now held by pid 2"):
            act()
    assert (count(database, "journal"), count(database, "checkpoints")) == (0, 0)


def test_checkpoints_are_numbered_on_and_pruned(database, ledger, state, wall):
    write(ledger, state, *STORY[:1])
    for hours in range(4):
        wall.move_to(after(hours=hours))
        assert ledger.checkpoint().number == hours + 1
    assert (ledger.created, info(database).checkpoints) == (4, 4)
    assert ledger.prune(1, older_than=after(hours=1) - AT) == 2
    assert ledger.prune(1) == 1
    assert (ledger.pruned, count(database, "checkpoints")) == (3, 1)
    with pytest.raises(ConfigError):
        ledger.prune(0)


def test_the_account_is_given_back(database, ledger):
    assert lease.is_held(database, "acc-1")
    assert ledger.token == 1
    ledger.release()
    assert not lease.is_held(database, "acc-1")
    lease.acquire(database, "acc-1", "s-2", "pid 2", ManualClock(AT)).close()


@sqlite_only
def test_a_database_that_is_away_as_the_account_is_given_back_keeps_nobody_out(database, ledger):
    """All is stored by then: the lock is free, and that says enough."""
    away = database.path.with_name("elsewhere")
    database.path.rename(away)
    ledger.release()
    away.rename(database.path)
    assert not lease.is_held(database, "acc-1")
    lease.acquire(database, "acc-1", "s-2", "pid 2", ManualClock(AT)).close()


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ([ev.Marked(AT, {}, {})], []),
        ([STORY[0]], ["start"]),
        ([STORY[1]], ["intent"]),
        ([ev.IntentPlanned(AT, replace(ENTRY, purpose=Purpose.PROTECT))], ["protect"]),
        ([ev.IntentPlanned(AT, replace(ENTRY, purpose=Purpose.EXIT))], ["exit"]),
        ([ev.IntentPlanned(AT, replace(ENTRY, purpose=Purpose.REPLACE))], ["replace"]),
        ([ev.IntentPlanned(AT, replace(ENTRY, purpose=Purpose.LEG))], ["leg"]),
        ([ev.OptionSettled(AT, "AAPL081122C00100000", D(1), "expired", D(0), D(100), ())], ["settled"]),
        ([ev.StructureEnded(AT, "s-1", "?")], ["ended"]),
        ([ev.SplitApplied(AT, "AAPL", 2, 1, D(20), "?")], ["adjust"]),
        (STORY, ["start", "intent", "reply", "fill", "adjust"]),
    ],
    ids=["none", "start", "intent", "protect", "exit", "replace", "leg", "settled", "ended", "split", "all, once each"],
)
def test_a_commit_passes_the_points_of_what_is_in_it(facts, named):
    assert crash_kinds(facts) == named


def test_each_purpose_of_an_order_has_points_of_its_own():
    found = [crash_kinds([ev.IntentPlanned(AT, replace(ENTRY, purpose=purpose))]) for purpose in Purpose]
    assert len({kind for [kind] in found}) == len(Purpose)


def test_the_end_of_a_structure_is_stored_with_what_it_was_last(database, ledger, state):
    state.structures["s-1"] = structure(cash=D(70), filled=True)
    write(ledger, state, ev.StructureEnded(AT, "s-1", "sold"))
    with database.read() as db:
        [row] = views.structures(db, SESSION, 10)
    assert (row.structure.cash, row.ended_at, row.end_reason) == (D(70), AT, "sold")


# -- restoring ------------------------------------------------------------------------------------


def test_a_session_that_never_wrote_comes_back_empty(database, state):
    found = restore(database, info(database))
    assert (found.state, found.checkpoint, found.replayed) == (state, None, 0)


def test_a_session_that_is_written_meanwhile_is_read_as_of_one_moment(database, ledger, state):
    """Somebody looked its row up; then its runner wrote; then they restore it."""
    write(ledger, state, *STORY[:2])
    looked_up = info(database)
    write(ledger, state, *STORY[2:])
    found = restore(database, looked_up)
    assert (found.state.seq, found.head) == (len(STORY), info(database).journal_hash)


@pytest.mark.parametrize("cut", range(len(STORY) + 1))
def test_checkpoint_and_replay_are_the_full_replay_and_the_live_state(database, ledger, state, cut):
    if cut:
        write(ledger, state, *STORY[:cut])
    ledger.checkpoint()
    if cut < len(STORY):
        write(ledger, state, *STORY[cut:])
    found = restore(database, info(database))
    assert (found.replayed, found.broken) == (len(STORY) - cut, ())
    assert found.checkpoint is not None
    assert snapshot.dump(found.state) == snapshot.dump(state)
    with database.write() as db:
        db.execute(sa.text("DELETE FROM checkpoints"))
    full = restore(database, info(database))
    assert (full.replayed, full.checkpoint) == (len(STORY), None)
    assert snapshot.dump(full.state) == snapshot.dump(state)
    assert full.head == found.head


def test_a_broken_checkpoint_is_named_and_the_journal_read_further(database, ledger, state):
    write(ledger, state, *STORY[:3])
    ledger.checkpoint()
    write(ledger, state, *STORY[3:])
    ledger.checkpoint()
    with database.write() as db:
        db.execute(sa.text("UPDATE checkpoints SET payload = substr(payload, 2) WHERE number = 2"))
    found = restore(database, info(database))
    assert found.checkpoint is not None
    assert (found.checkpoint.number, found.replayed, found.broken) == (1, 4, ("#2: its checksum does not match",))
    assert snapshot.dump(found.state) == snapshot.dump(state)


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM journal WHERE seq = 7", "DELETE FROM journal WHERE seq > 3",
     "UPDATE journal SET payload = '{}' WHERE seq = 6",
     "UPDATE sessions SET seq = 6", "UPDATE sessions SET journal_hash = ''"],
)  # fmt: skip
def test_a_journal_that_does_not_reach_where_the_session_was_is_not_taken(database, ledger, state, damage):
    write(ledger, state, *STORY)
    with database.write() as db:
        db.execute(sa.text(damage))
    with pytest.raises(CheckpointCorrupt) as caught:
        restore(database, info(database))
    assert "--accept-broker-state" in caught.value.hint


def test_a_due_checkpoint_shares_the_commit_of_the_facts(database, ledger, state):
    with database.write() as db:  # its number is taken, so it cannot be written
        checkpoints.create(db, state, 1, journal.GENESIS, AT, token=ledger.token)
    facts = STORY[:3]
    with pytest.raises(StorageError, match=r"(?i)unique"):
        ledger.commit(Decisions(facts=facts, changes=evolve(state, facts)), checkpoint=True)
    assert (count(database, "journal"), ledger.created) == (0, 0)


def test_a_checkpoint_holds_the_facts_it_was_committed_with(database, ledger, state):
    saved = ledger.commit(Decisions(facts=STORY, changes=evolve(state, STORY)), checkpoint=True)
    found = restore(database, info(database))
    assert saved is not None
    assert (found.checkpoint, found.replayed, saved.seq) == (saved, 0, len(STORY))
    assert snapshot.dump(found.state) == snapshot.dump(state)


# -- requests and limits --------------------------------------------------------------------------


def asked(database: Database, kind: str = "halt") -> str:
    with database.write() as db:
        return requests.add(db, sessions.find(db, SESSION), kind, "", "lunch", "ann", AT)


def test_a_request_is_answered_in_the_transaction_of_what_it_came_to(database, ledger, state):
    first, second = asked(database), asked(database)
    write(ledger, state, ev.TradingHalted(AT, ev.PERSON, "lunch"), ev.RequestTaken(AT, first, "halt", "halted"))
    assert [request.id for request in ledger.requests()] == [second]
    with database.read() as db:
        row = requests.find(db, first)
    assert row is not None
    assert (row.answer, row.taken_at) == ("halted", AT)


def test_a_commit_that_fails_answers_nothing_and_stores_nothing(database, ledger, state):
    request_id = asked(database)
    with database.write() as db:
        db.execute(sa.text("UPDATE lease SET token = token + 1"))
    before = info(database)
    with pytest.raises(SessionLeased):
        write(ledger, state, ev.TradingHalted(AT, ev.PERSON, "?"), ev.RequestTaken(AT, request_id, "halt", "halted"))
    assert [request.id for request in ledger.requests()] == [request_id]
    assert (info(database), count(database, "journal")) == (before, 0)


def test_an_entry_beyond_a_limit_is_neither_stored_nor_is_anything_beside_it(database, ledger, state):
    state.plan, state.day = replace(state.plan, max_orders_per_day=1), "d-1"
    request_id = asked(database)
    write(ledger, state, planned("AAPL"))
    before = info(database)
    with pytest.raises(LimitBreached, match="max_orders_per_day"):
        write(ledger, state, ev.RequestTaken(AT, request_id, "halt", "?"), planned("MSFT"))
    assert (info(database), count(database, "intents")) == (before, 1)
    assert len(ledger.requests()) == 1


def test_an_order_whose_stored_bytes_were_changed_is_not_sent_again(database, ledger, state):
    coid = ENTRY.client_order_id
    write(ledger, state, ev.IntentPlanned(AT, ENTRY), ev.IntentUnknown(AT, coid, "no answer"))
    before = info(database)
    with database.write() as db:
        db.execute(sa.text("UPDATE intents SET body = replace(body, '10', '11')"))
    with pytest.raises(CheckpointCorrupt, match="is not the one that was stored when it was planned"):
        write(ledger, state, ev.ResendPlanned(AT, coid))
    assert info(database) == before


def planned(symbol: str) -> ev.IntentPlanned:
    coid = f"ga1-{symbol}"
    return ev.IntentPlanned(AT, replace(ENTRY, symbol=symbol, client_order_id=coid, decision_id=coid, market_day="d-1"))


# -- history that is rolled up --------------------------------------------------------------------


def long(ledger: Ledger, state: SessionState, rows: int) -> None:
    write(ledger, state, STORY[0])
    for number in range(rows):
        write(ledger, state, ev.Marked(after(seconds=number), {"AAPL": D(100)}, {}))
    ledger.checkpoint()


def test_history_is_rolled_up_in_pieces_until_it_is_within_its_limit(database, ledger, state):
    long(ledger, state, 30)
    assert ledger.roll_up(10, pieces=3)  # there may be more
    assert (count(database, "archive"), count(database, "journal")) == (3, 28)
    assert not ledger.roll_up(10, pieces=100)
    assert (count(database, "archive"), count(database, "journal")) == (20, 11)
    assert not ledger.roll_up(10)
    found = restore(database, info(database))
    assert (found.replayed, found.head) == (0, info(database).journal_hash)


def test_all_that_was_rolled_up_is_replayed_when_no_checkpoint_verifies(database, ledger, state):
    long(ledger, state, 30)
    ledger.roll_up(10, pieces=100)
    with database.write() as db:
        db.execute(sa.text("UPDATE checkpoints SET sha256 = 'x'"))
    found = restore(database, info(database))
    assert (found.replayed, len(found.broken)) == (31, 1)
    assert snapshot.dump(found.state) == snapshot.dump(state)


def test_a_piece_that_is_not_committed_leaves_all_as_it_was(database, ledger, state):
    long(ledger, state, 30)
    with database.write() as db:
        refuse(db, "INSERT", "archive", "disk on fire")
    with pytest.raises(StorageError, match="disk on fire"):
        ledger.roll_up(10)
    assert (count(database, "archive"), count(database, "journal")) == (0, 31)


def test_one_who_was_replaced_rolls_nothing_up(database, ledger, state, wall):
    long(ledger, state, 30)
    with database.write() as db:
        db.execute(sa.text("UPDATE lease SET token = token + 1"))
    with pytest.raises(SessionLeased):
        ledger.roll_up(10)
    assert count(database, "archive") == 0
