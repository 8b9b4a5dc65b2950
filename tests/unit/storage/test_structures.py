"""A row a structure: written with the facts that touched it, there after its end, and read with its legs."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.model import ClosedTrade
from gambler_ai.core.orders import IntentRecord, Purpose, position_decision_id
from gambler_ai.core.state import Changes, SessionState
from gambler_ai.core.structures import Structure
from gambler_ai.errors import StorageError
from gambler_ai.storage import archive, checkpoints, history, journal, rebuild, sessions, views
from gambler_ai.storage import tables as t
from tests.unit.condor import condor, legs_of, opening
from tests.unit.fakes import AT, SESSION, D, after
from tests.unit.structures import CONDOR, GREEKS

BARE = condor("ga1-short", legs=CONDOR[1:3], max_loss=None, max_profit=None, confidence=None, stop_price=None,
              target_price=None, sector="", opened_at=after(minutes=1))  # fmt: skip


def store(database, state: SessionState, *facts: ev.Fact, **changes) -> None:
    with database.write() as db:
        head = sessions.place(db, SESSION)[1]
        head = journal.append(db, state, facts, Changes(**changes), head, 1)
        sessions.update(db, state, head=head, checkpoints=0, wall=AT)


def put(database, state: SessionState, *structures: Structure) -> None:
    state.structures |= {s.structure_id: s for s in structures}
    store(database, state, structures={s.structure_id for s in structures})


def hold(database, state: SessionState, structure: Structure) -> None:
    held = {position.symbol: position for position in legs_of(structure)}
    state.positions |= held
    store(database, state, symbols=set(held))


def close(database, state: SessionState, structure_id: str, **last) -> None:
    """The last fill, the round trip and the end of it in one transaction."""
    over = replace(state.structures.pop(structure_id), **last)
    trade = ClosedTrade(structure_id, "AAPL", "short", D(2), D("-1.20"), AT, D("-0.55"), after(hours=1), over.cash,
                        "target", "condor", multiplier=100)  # fmt: skip
    symbols, state.closed_trades = set(state.positions), state.closed_trades + 1
    state.positions = {}
    fact = ev.StructureEnded(after(hours=1), structure_id, "target")
    store(database, state, fact, symbols=symbols, structures={structure_id}, ended={structure_id: over}, closed=[trade])


def found(database, limit: int = 1_000) -> list[views.StructureRow]:
    with database.read() as db:
        return views.structures(db, SESSION, limit)


def test_a_structure_comes_back_as_it_was_with_the_positions_of_its_legs(database, session):
    put(database, session, BARE, condor())
    hold(database, session, condor())
    [whole, bare] = found(database)
    assert (whole.structure, whole.ended_at, whole.end_reason) == (condor(), None, "")
    assert {p.symbol: (p.qty, p.greeks) for p in whole.positions} == {
        leg.symbol: (D(leg.ratio * 2), GREEKS) for leg in CONDOR
    }
    assert bare == views.StructureRow(BARE, None, "")


def test_one_that_ended_keeps_its_row_as_it_was_last_with_when_and_why(database, session):
    put(database, session, condor())
    hold(database, session, condor())
    close(database, session, "ga1-condor", cash=D("129.40"), filled=True, settled=True)
    [row] = found(database)
    assert row.structure == condor(cash=D("129.40"), filled=True, settled=True)
    assert (row.ended_at, row.end_reason, row.positions) == (after(hours=1), "target", ())
    with database.read() as db:
        [trade] = views.closed_trades(db, SESSION)
        assert (trade.multiplier, trade.entry_price, trade.pnl) == (100, D("-1.20"), D("129.40"))
        assert db.execute(sa.select(t.closed_trades.c.structure_id)).scalar() == "ga1-condor"


def test_open_ones_are_all_there_and_of_those_that_ended_the_newest(database, session):
    """However many have ended, none that is open is left out."""
    put(database, session, *(condor(f"ga1-{n}", opened_at=after(minutes=n)) for n in range(4)))
    for n in (1, 2, 3):
        close(database, session, f"ga1-{n}")
    assert [row.structure.structure_id for row in found(database)] == ["ga1-0", "ga1-1", "ga1-2", "ga1-3"]
    assert [row.structure.structure_id for row in found(database, 1)] == ["ga1-0", "ga1-3"]
    assert [row.ended_at is None for row in found(database, 1)] == [True, False]


def test_what_is_written_follows_the_change_and_not_what_is_held(database, session):
    """The token says who wrote a row last."""
    put(database, session, *(condor(f"ga1-{n}") for n in range(20)))
    session.structures["ga1-7"] = condor("ga1-7", cash=D(240), filled=True)
    with database.write() as db:
        journal.append(db, session, [], Changes(structures={"ga1-7"}), journal.GENESIS, 2)
        query = sa.select(t.structures.c.structure_id, t.structures.c.cash).where(t.structures.c.token == 2)
        assert [tuple(row) for row in db.execute(query)] == [("ga1-7", D(240))]


def test_an_intent_and_a_position_name_their_structure(database, session):
    intent = opening(condor())
    session.structures["ga1-condor"] = condor()
    session.intents[intent.client_order_id] = record = IntentRecord(intent=intent)
    store(database, session, intents={intent.client_order_id: record}, structures={"ga1-condor"})
    hold(database, session, condor())
    with database.read() as db:
        assert db.execute(sa.select(t.intents.c.structure_id)).scalars().all() == ["ga1-condor"]
        assert {p.structure_id for p in views.positions(db, SESSION)} == {"ga1-condor"}


def test_a_structure_counts_as_one_position(database, session):
    put(database, session, condor())
    hold(database, session, condor())
    share = replace(legs_of(condor())[0], symbol="IBM", structure_id="")
    session.positions["IBM"] = share
    with database.write() as db:
        info = checkpoints.create(db, session, 1, journal.GENESIS, AT)
    assert info.active_positions == 2


def test_scans_are_counted_in_the_row_of_the_session(database, session):
    session.iteration = 41
    store(database, session)
    with database.read() as db:
        assert sessions.find(db, SESSION).iteration == 41
        assert [info.iteration for info in sessions.listed(db)] == [41]


@pytest.mark.parametrize("column", ["legs", "exits", "greeks"])
def test_a_stored_plan_that_cannot_be_read_is_named(database, session, column):
    put(database, session, condor())
    with database.write() as db:
        db.execute(t.structures.update().values({column: "{"}))
    with pytest.raises(StorageError, match=f"the stored {column} of ga1-condor in session {SESSION} cannot be read"):
        found(database)


# -- what else is read of them --------------------------------------------------------------------


def test_the_plan_of_a_structure_outlives_a_journal_that_does_not_verify(database, session):
    """What it held and brought is counted again, from the broker's fills; why it was opened is only ours to know."""
    intent = opening(condor())
    exit_id = position_decision_id(Purpose.EXIT, "ga1-condor", 0)
    leaving = opening(condor(), purpose=Purpose.EXIT, client_order_id="ga1-out", decision_id=exit_id, structure=None)
    session.structures["ga1-condor"] = condor(cash=D(240), filled=True)
    intents = {i.client_order_id: IntentRecord(intent=i) for i in (intent, leaving)}
    store(database, session, intents=intents, structures={"ga1-condor"})
    with database.read() as db:
        rebuilt = {i.purpose: i for i in rebuild.intents_of(db, SESSION)}
    assert rebuilt[Purpose.ENTRY].structure == condor()
    assert (rebuilt[Purpose.EXIT].structure_id, rebuilt[Purpose.EXIT].structure) == ("ga1-condor", None)
    with database.write() as db:
        kept = rebuild.set_aside(db, sessions.find(db, SESSION), "it does not verify")
        assert [row.structure.structure_id for row in views.structures(db, kept)] == ["ga1-condor"]
        assert views.structures(db, SESSION) == []


def test_dollars_traded_count_a_contract_a_hundred_times(database, session):
    order = {"session_id": SESSION, "order_id": "o-1", "client_order_id": "c", "intent_id": "ga1-condor"}
    with database.write() as db:
        intent = opening(condor())
        changes = Changes(intents={intent.client_order_id: IntentRecord(intent=intent)})
        journal.append(db, session, [], changes, journal.GENESIS, 1)
        row = dict.fromkeys((c.name for c in t.orders.c), None) | dict.fromkeys(
            ("qty", "filled_qty", "booked_qty"), D(2)
        )
        words = ("role", "symbol", "side", "type", "order_class", "status", "broker_status")
        db.execute(t.orders.insert(), row | dict.fromkeys(words, "x") | {"submitted_at": AT, "updated_at": AT} | order)
        for n, (symbol, side) in enumerate([(CONDOR[0].symbol, "buy"), (CONDOR[1].symbol, "sell"), ("AAPL", "buy")]):
            db.execute(t.fills.insert(), {
                "session_id": SESSION, "activity_id": str(n), "order_id": "o-1", "symbol": symbol, "side": side,
                "qty": D(2), "price": D("1.50"), "at": AT,
            })  # fmt: skip
    with database.read() as db:
        figures = history.performance(db, sessions.find(db, SESSION))
    assert (figures.bought, figures.sold) == (D(303), D(300))


def test_of_a_structure_no_excursion_is_known_and_that_of_the_others_stays_theirs(database, session):
    """The marks of its symbol are the underlying's, its own prices are net."""
    marks = {"AAPL": D(90), "IBM": D(110)}
    store(database, session, ev.Marked(after(minutes=1), marks, {}))
    share = ClosedTrade("p", "IBM", "long", D(1), D(100), AT, D(105), after(minutes=2), D(5), "", "s")
    whole = replace(share, symbol="AAPL", entry_price=D("-1.20"), exit_price=D("-0.55"), multiplier=100)
    with database.read() as db:
        [none, known] = history.excursions(db, SESSION, [whole, share])
        assert history.excursions(db, SESSION, [whole]) == [None]
    assert none is None
    assert known is not None
    assert (round(known.favourable, 2), known.adverse) == (0.10, 0.0)


def test_a_round_trip_that_was_rolled_up_is_still_that_of_a_structure(database, session):
    for n in range(30):
        put(database, session, condor(f"ga1-{n}"))
        close(database, session, f"ga1-{n}", cash=D(n))
    with database.write() as db:
        assert archive.roll_up(db, SESSION, 20, 1).rows == 2
        assert archive.check(db, SESSION) == 2
        assert {trade.multiplier for page in history.trades_in_pages(db, SESSION) for trade in page} == {100}
    assert len(found(database)) == 30, "structures are not rolled up"


def test_a_round_trip_that_an_earlier_program_rolled_up_is_one_of_shares():
    share = ClosedTrade("p", "IBM", "long", D(1), D(100), AT, D(105), after(minutes=2), D(5), "", "s")
    before = msgspec.to_builtins(share)
    del before["multiplier"]
    assert msgspec.convert(before, ClosedTrade) == share
