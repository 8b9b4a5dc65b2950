"""The journal: a chain that tells when a row was changed, and the rows that are drawn from it."""

from __future__ import annotations

import hashlib

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import Account, Side
from gambler_ai.core.orders import Purpose
from gambler_ai.core.state import SessionState
from gambler_ai.errors import CheckpointCorrupt, StorageError
from gambler_ai.storage import journal, views
from gambler_ai.storage import tables as t
from gambler_ai.storage.journal import GENESIS
from tests.unit.fakes import AT, SESSION, D, after, bracket_of, entry, fill_of, make_state
from tests.unit.storage.conftest import add

ENTRY = entry()
PARENT = bracket_of(ENTRY, limit="canceled", stop="filled")
SOLD = replace(PARENT.legs[1], filled_qty=D(10), filled_avg_price=D(98))
STORY: list[ev.Fact] = [
    ev.RunStarted(AT, 600.0, resumed=False, token=1),
    ev.AccountReported(AT, Account(cash=D("1.10"))),
    ev.IntentPlanned(AT, ENTRY),
    ev.OrderUpdated(AT, replace(PARENT, legs=(PARENT.legs[0], SOLD))),
    ev.FillReported(AT, fill_of(PARENT, "10", "100.123456789")),
    ev.FillReported(after(minutes=1), fill_of(SOLD, "10", "98", at=after(minutes=1))),
    ev.Denied(AT, "MSFT", Side.SELL, "halted", "ün ⚠ \u200b"),
    ev.Reconciled(AT, (ev.Discrepancy("gone at the broker", "AAPL", "10", "0", "?", "closed", "o-1"),) * 2),
    ev.Marked(AT, {"AAPL": D("98.5")}, {"AAPL": AT}),
]


def write(database, state: SessionState, *facts: ev.Fact, head: str = GENESIS) -> str:
    changes = evolve(state, facts)
    with database.write() as db:
        return journal.append(db, state, facts, changes, head, token=7)


def read(database, after_seq: int = 0, head: str = GENESIS):
    with database.read() as db:
        return list(journal.read(db, SESSION, after_seq, head))


def test_what_was_written_is_read_and_rebuilds_the_state(database, session):
    head = write(database, session, *STORY)
    facts = [fact for fact, _ in read(database)]
    assert facts == STORY
    assert session.seq == len(STORY)
    assert read(database)[-1][1] == head
    replayed = make_state()
    evolve(replayed, facts)
    replayed.seq = len(facts)
    assert snapshot.dump(replayed) == snapshot.dump(session)


def test_it_goes_on_where_it_was(database, session):
    head = write(database, session, *STORY[:3])
    end = write(database, session, *STORY[3:], head=head)
    assert [fact for fact, _ in read(database, 3, head)] == STORY[3:]
    assert read(database)[-1][1] == end


def test_a_row_has_its_kind_its_token_and_a_hash_of_all_before_it(database, session):
    write(database, session, *STORY[:2])
    with database.read() as db:
        rows = db.execute(sa.select(t.journal).order_by(t.journal.c.seq)).all()
    assert [(r.seq, r.kind, r.token) for r in rows] == [(1, "RunStarted", 7), (2, "AccountReported", 7)]
    first = hashlib.sha256(f"{GENESIS}\n1\n{rows[0].payload}".encode()).hexdigest()
    assert rows[0].hash == first
    assert rows[1].hash == hashlib.sha256(f"{first}\n2\n{rows[1].payload}".encode()).hexdigest()


DAMAGE = {
    "a changed digit": "UPDATE journal SET payload = replace(payload, '100.123456789', '100.123456788') WHERE seq = 5",
    "a missing row": "DELETE FROM journal WHERE seq = 4",
    "a missing first row": "DELETE FROM journal WHERE seq = 1",
    "two rows in each other's place": (
        "UPDATE journal SET payload = (SELECT payload FROM journal j WHERE j.seq = 11 - journal.seq),"
        " hash = (SELECT hash FROM journal j WHERE j.seq = 11 - journal.seq) WHERE seq IN (5, 6)"
    ),
    "a changed hash": "UPDATE journal SET hash = substr(hash, 2) || 'f' WHERE seq = 2",
    "a row put in": "UPDATE journal SET seq = seq + 1 WHERE seq = 9",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_caught(database, session, damage):
    write(database, session, *STORY)
    with database.write() as db:
        db.execute(sa.text(DAMAGE[damage]))
    with pytest.raises(CheckpointCorrupt, match="does not verify") as caught:
        read(database)
    assert "--accept-broker-state" in caught.value.hint


def test_a_row_that_is_no_fact_is_caught_though_its_hash_is_right(database, session):
    payload = '{"type":"NeverHeardOf","at":"2008-10-07T14:00:00Z"}'
    with database.write() as db:
        db.execute(t.journal.insert(), {
            "session_id": SESSION, "seq": 1, "at": AT, "kind": "NeverHeardOf", "payload": payload,
            "hash": journal.chained(GENESIS, 1, payload), "token": 1,
        })  # fmt: skip
    with pytest.raises(CheckpointCorrupt, match="row 1 is not a fact"):
        read(database)


def test_another_head_does_not_verify(database, session):
    write(database, session, *STORY)
    with pytest.raises(CheckpointCorrupt):
        read(database, head="1" * 64)


def test_a_session_without_facts_reads_nothing(database, session):
    assert read(database) == []
    assert write(database, session) == GENESIS


# -- rows -----------------------------------------------------------------------------------------


def test_rows_show_what_the_facts_said(database, session):
    write(database, session, *STORY)
    with database.read() as db:
        [trade] = views.closed_trades(db, SESSION)
        fills = views.fills(db, SESSION)
        orders = {o.order_id: o for o in views.orders(db, SESSION)}
        found = views.discrepancies(db, SESSION)
        assert views.positions(db, SESSION) == []
    assert (trade.pnl, trade.reason, trade.exit_at) == (D("-21.23456789"), "stop", after(minutes=1))
    assert {f.price for f in fills} == {D("100.123456789"), D(98)}
    assert [f.side for f in fills] == [Side.BUY, Side.SELL]
    assert orders[PARENT.order_id].status == "filled"
    assert orders[SOLD.order_id].filled_qty == D(10)
    assert [(d.item.kind, d.at) for d in found] == [("gone at the broker", AT)] * 2


def test_a_position_is_written_changed_and_deleted(database, session):
    head = write(database, session, *STORY[:4], ev.FillReported(AT, fill_of(PARENT, "4")))
    with database.read() as db:
        [row] = views.positions(db, SESSION)
    assert (row.qty, row.side, row.stop_price) == (D(4), "long", D(98))
    head = write(database, session, ev.FillReported(AT, fill_of(PARENT, "6", number=2)), head=head)
    with database.read() as db:
        assert [r.qty for r in views.positions(db, SESSION)] == [D(10)]
    write(database, session, ev.Adjusted(AT, "AAPL", D(0), None, "gone"), head=head)
    with database.read() as db:
        assert views.positions(db, SESSION) == []
        assert [c.pnl for c in views.closed_trades(db, SESSION)] == [None]


def test_views_show_the_newest_oldest_first(database, session):
    write(database, session, *STORY)
    with database.read() as db:
        assert len(views.fills(db, SESSION, limit=1)) == 1
        assert len(views.orders(db, SESSION, limit=2)) == 2
        assert views.lease_owner(db, "acc-1") == ""


def test_closed_trades_are_numbered_on(database, session):
    adjusted = ev.Adjusted(AT, "AAPL", D(0), None, "gone")
    write(database, session, *STORY[:4], ev.FillReported(AT, fill_of(PARENT, "4")), adjusted,
          ev.FillReported(AT, fill_of(PARENT, "6", number=2)), adjusted)  # fmt: skip
    with database.read() as db:
        rows = db.execute(sa.select(t.closed_trades.c.number, t.closed_trades.c.qty)).all()
    assert [tuple(r) for r in rows] == [(1, D(4)), (2, D(6))]


# -- what the database itself refuses -------------------------------------------------------------


def test_a_fill_is_stored_once(database, session):
    head = write(database, session, *STORY[:5])
    with pytest.raises(StorageError, match=r"(?i)unique"):
        write(database, session, STORY[4], head=head)


def second(**changes):
    return ev.IntentPlanned(AT, replace(ENTRY, **{"client_order_id": "ga1-two", "decision_id": "two"} | changes))


def test_one_open_entry_per_account_and_symbol(database, session):
    head = write(database, session, ev.IntentPlanned(AT, ENTRY))
    with pytest.raises(StorageError, match=r"(?i)unique"):
        write(database, session, second(), head=head)


def test_an_entry_of_another_session_of_the_account_counts_too(database, session):
    write(database, session, ev.IntentPlanned(AT, ENTRY))
    other = make_state(session_id="s-2")
    add(database, other)
    with pytest.raises(StorageError, match=r"(?i)unique"):
        write(database, other, second())


@pytest.mark.parametrize(
    "free",
    [
        (second(symbol="MSFT"),),
        (second(purpose=Purpose.PROTECT),),
        (ev.IntentRefused(AT, ENTRY.client_order_id, "no"), second()),
        (ev.OrderUpdated(AT, bracket_of(ENTRY, "canceled", "0", limit="canceled", stop="canceled")), second()),
        (ev.IntentVoided(AT, ENTRY.client_order_id, "no", AT), second()),
    ],
    ids=["other symbol", "an exit", "after a refusal", "after a cancel", "after giving up"],
)
def test_another_entry_is_free(database, session, free):
    head = write(database, session, ev.IntentPlanned(AT, ENTRY))
    write(database, session, *free, head=head)


@pytest.mark.parametrize(
    "fact",
    [
        ev.IntentUnknown(AT, ENTRY.client_order_id, "?"),
        ev.IntentDisputed(AT, ENTRY.client_order_id, "?"),
        ev.OrderUpdated(AT, bracket_of(ENTRY, "new")),
        ev.OrderUpdated(AT, bracket_of(ENTRY, "partially_filled", "1")),
        ev.OrderUpdated(AT, bracket_of(ENTRY, "pending_cancel")),
        ev.OrderUpdated(AT, bracket_of(ENTRY, "pending_replace")),
    ],
)
def test_an_entry_stays_open_in_every_state_that_is_not_its_end(database, session, fact):
    head = write(database, session, ev.IntentPlanned(AT, ENTRY), fact)
    with pytest.raises(StorageError, match=r"(?i)unique"):
        write(database, session, second(), head=head)


def test_a_decision_is_stored_once(database, session):
    head = write(database, session, ev.IntentPlanned(AT, ENTRY), ev.IntentRefused(AT, ENTRY.client_order_id, "no"))
    with pytest.raises(StorageError, match=r"(?i)unique"):
        write(database, session, second(decision_id=ENTRY.decision_id), head=head)


def test_rows_need_their_session(database):
    with pytest.raises(StorageError, match=r"(?i)foreign key"):
        write(database, make_state(session_id="nobody"), ev.HaltRequested(AT, "x"))


# -- who else trades here -------------------------------------------------------------------------


def test_known_ids_are_those_of_any_session_here(database, session):
    write(database, session, ev.IntentPlanned(AT, ENTRY), ev.IntentRefused(AT, ENTRY.client_order_id, "no"))
    many = {f"ga1-{n}" for n in range(1200)}
    with database.read() as db:
        assert journal.known_ids(db, many | {ENTRY.client_order_id}) == {ENTRY.client_order_id}
        assert journal.known_ids(db, set()) == set()


def test_symbols_taken_by_another_session_of_the_account(database, session):
    write(database, session, ev.IntentPlanned(AT, ENTRY))
    with database.read() as db:
        assert journal.taken_symbols(db, "acc-1", "s-2") == {"AAPL": SESSION}
        assert journal.taken_symbols(db, "acc-1", SESSION) == {}
        assert journal.taken_symbols(db, "acc-2", "s-2") == {}
    write(database, session, ev.IntentRefused(AT, ENTRY.client_order_id, "no"),
          head=read(database)[-1][1])  # fmt: skip
    with database.read() as db:
        assert journal.taken_symbols(db, "acc-1", "s-2") == {}


def test_a_brokers_text_that_no_column_has_room_for_is_cut_in_the_row_and_whole_in_the_journal(database, session):
    odd = replace(PARENT, status="sent\0to_" + "the_moon" * 10, legs=())
    found = ev.Reconciled(AT, (ev.Discrepancy("gone at the broker", "AAPL" * 20, "1\0", "0", "?", "closed", "o-1"),))
    write(database, session, *STORY[:3], ev.OrderUpdated(AT, odd), found)
    with database.read() as db:
        assert db.execute(sa.select(t.orders.c.broker_status)).scalar() == "sent\ufffdto_" + "the_moon" * 3
        assert db.execute(sa.select(t.discrepancies.c.ours)).scalar() == "1\ufffd"
    facts = [fact for fact, _ in read(database)]
    assert facts[-2:] == [ev.OrderUpdated(AT, odd), found]


def test_an_order_is_sent_again_only_as_it_was_stored(database, session):
    write(database, session, *STORY)
    with database.read() as db:
        journal.check_bodies(db, [ENTRY])
        for other in (replace(ENTRY, body=ENTRY.body + " "), replace(ENTRY, client_order_id="ga1-none")):
            with pytest.raises(CheckpointCorrupt, match="is not the one that was stored"):
                journal.check_bodies(db, [other])


@pytest.mark.parametrize("column", ["body", "body_sha256"])
def test_a_stored_order_that_was_changed_is_not_sent_again(database, session, column):
    write(database, session, *STORY)
    with database.write() as db:
        db.execute(sa.text(f"UPDATE intents SET {column} = 'x'"))
    with database.read() as db, pytest.raises(CheckpointCorrupt):
        journal.check_bodies(db, [ENTRY])
