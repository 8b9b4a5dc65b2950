# ruff: noqa: PT017 (whether it raises is not known beforehand)
"""Stored states that were changed by another hand: a state of numbers, or an error that says what does not verify."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.evolution import evolve
from gambler_ai.errors import CheckpointCorrupt, GamblerError
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.storage import journal
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from tests.hostile.nasty import WHOLE, Lot, by_night, each_value, wrong
from tests.unit.fakes import AT, SESSION, D, bracket_of, entry, fill_of, make_state
from tests.unit.storage.conftest import add


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    opened.prepare()
    yield opened
    opened.close()


def full_state():
    """With an entry that is filled, its order and its position."""
    state = make_state(marks={"AAPL": D(100)}, foreign={"IBM": D(3)}, degraded={"broker": "gone"})
    order = bracket_of(entry())
    facts: list[ev.Fact] = [
        ev.IntentPlanned(AT, entry()),
        ev.OrderUpdated(AT, order),
        ev.FillReported(AT, fill_of(order, "10")),
    ]
    evolve(state, facts)
    return state


PAYLOAD = snapshot.dump(full_state())


def check(payload: bytes) -> bool:
    """Whether it was taken."""
    try:
        state = snapshot.load(payload, snapshot.STATE_VERSION)
    except CheckpointCorrupt as error:
        assert error.message.isprintable()
        assert len(error.message) < 300
        return False
    assert not snapshot.holds_no_number(state)
    return True


def test_the_good_one_is_taken():
    assert check(PAYLOAD)
    assert wrong(snapshot.load(PAYLOAD, snapshot.STATE_VERSION).positions) == ""


@pytest.mark.parametrize("name", WHOLE)
def test_no_other_document_is_a_state(name: str):
    assert not check(WHOLE[name])


@pytest.mark.parametrize("share", [25, pytest.param(1, marks=[pytest.mark.nightly, pytest.mark.timeout(900)])])
def test_each_field_with_each_nasty_value(share: int, count: Callable[..., None]):
    taken = [check(bad.encode("utf-8", "surrogatepass")) for bad in list(each_value(PAYLOAD.decode()))[::share]]
    count("hostile inputs", len(taken))
    count("hostile inputs, in all", len(taken))
    assert not all(taken)


@pytest.mark.parametrize("lot", [Lot(150), *by_night(50_000)])
def test_states_made_wrong_by_seed(lot: Lot, pytestconfig: pytest.Config):
    for bad in lot.of(PAYLOAD.decode(), pytestconfig):
        check(bad.encode())


@pytest.mark.parametrize("version", [-1, 0, snapshot.STATE_VERSION + 1, 10**9])
def test_a_version_of_another_program_is_refused(version: int):
    with pytest.raises(CheckpointCorrupt, match="state version"):
        snapshot.load(PAYLOAD, version)


@pytest.mark.parametrize("symbol", ["NAN", "INF", "NaN"])
def test_a_symbol_may_be_called_so(symbol: str):
    """There is one on the New York Stock Exchange."""
    state = make_state(foreign={symbol: D(1)}, degraded={symbol: symbol})
    assert snapshot.load(snapshot.dump(state), snapshot.STATE_VERSION).foreign == {symbol: D(1)}


@pytest.mark.parametrize("lot", [Lot(120), *by_night(20_000)])
def test_a_journal_row_made_wrong_with_a_hash_that_fits(lot: Lot, database, pytestconfig: pytest.Config):
    """Whoever can change a row can compute its hash: what does not decode to numbers is refused all the same."""
    state = make_state()
    add(database, state)
    fact = ev.OrderUpdated(AT, bracket_of(entry()))
    with database.write() as db:
        journal.append(db, state, [ev.Marked(AT, {}, {}), fact], evolve(state, []), journal.GENESIS, 1)
    with database.read() as db:
        good = db.execute(sa.select(t.journal.c.payload).order_by(t.journal.c.seq)).scalars().all()
    refused = 0
    for bad in lot.of(good[1], pytestconfig):
        if "\x00" in bad:
            continue
        with database.write() as db:
            head = journal.chained(journal.chained(journal.GENESIS, 1, good[0]), 2, bad)
            db.execute(t.journal.update().where(t.journal.c.seq == 2).values(payload=bad, hash=head))
        with database.read() as db:
            try:
                facts = [found for found, _ in journal.read(db, SESSION, 0, journal.GENESIS)]
            except CheckpointCorrupt as error:
                refused += 1
                assert "journal row 2" in error.message
            else:
                assert not any(snapshot.holds_no_number(found) for found in facts)
    assert refused > lot.number / 4


# -- the exchange's file -----------------------------------------------------------------------------


def refusal(path: Path) -> str:
    """What is said of a file of the exchange's; "" when it is served."""
    try:
        Exchange.open(path).close()
    except GamblerError as error:
        assert len(error.message) < 500
        return error.message
    return ""


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "empty"])
def test_no_other_file_is_an_exchange(name: str, tmp_path: Path):
    path = tmp_path / "e.sqlite3"
    path.write_bytes(WHOLE[name])
    assert path.name in refusal(path)
    assert path.read_bytes() == WHOLE[name], "and it is left as it was"


BAD_META = [
    "",
    "x",
    "NaN",
    "-1",
    "9" * 5000,
    "2008-10-07",
    "[]",
    '{"cash":"NaN"}',
    "\x00",
    "1e999",
    "0001-01-01T00:00:00Z",
]


@pytest.mark.parametrize("value", BAD_META, ids=lambda value: ascii(value)[:20])
def test_an_exchange_whose_account_was_changed_is_served_or_refused(value: str, tmp_path: Path):
    path = tmp_path / "e.sqlite3"
    Exchange.open(path).close()
    whole = path.read_bytes()
    with sqlite3.connect(path) as file:
        names = [row[0] for row in file.execute("SELECT name FROM meta")]
    file.close()
    refused = []
    for name in names:
        path.write_bytes(whole)
        with sqlite3.connect(path) as file:
            file.execute("UPDATE meta SET value = ? WHERE name = ?", (value, name))
        file.close()
        refused.append(refusal(path))
    assert any(refused)


def test_a_torn_exchange_file_is_refused_or_whole(tmp_path: Path):
    path = tmp_path / "e.sqlite3"
    Exchange.open(path).close()
    whole = path.read_bytes()
    for cut in range(1, len(whole), len(whole) // 25):
        path.write_bytes(whole[:cut])
        assert refusal(path) or cut >= 512, "of so few bytes SQLite would make a new one"
    path.write_bytes(whole)
    assert refusal(path) == ""


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "empty"])
def test_no_other_file_is_a_database(name: str, tmp_path: Path):
    """A torn one of a few bytes least of all: SQLite would take it for a new one and write over it."""
    path = tmp_path / "x.sqlite3"
    path.write_bytes(WHOLE[name])
    with pytest.raises(GamblerError) as caught:
        Database(f"sqlite:///{path}").prepare()
    assert len(caught.value.message) < 400
    assert path.read_bytes() == WHOLE[name]
