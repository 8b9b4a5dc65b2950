"""What a learner knows after a kill is what it would know without one, bit for bit: each learner, each way to end.

A session of closed trades is killed in a process of its own, at a point of a commit, and taken up again; or it stops in
order, or what it stored rots. When its last trade is closed, what each learner dumps is compared with the bytes of one
that lived through the same trades in one life. Each learner that is registered and installed joins by itself, and so
does the chooser: `tests/unit/learners/series.py`.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pytest  # noqa: E402
from msgspec.structs import replace  # noqa: E402

from gambler_ai import crashpoints  # noqa: E402
from gambler_ai.clock import ManualClock  # noqa: E402
from gambler_ai.core import events as ev  # noqa: E402
from gambler_ai.core.components import Component  # noqa: E402
from gambler_ai.core.engine import Engine  # noqa: E402
from gambler_ai.core.learning import LearningRules  # noqa: E402
from gambler_ai.core.model import MarketView  # noqa: E402
from gambler_ai.core.orders import OrderIntent  # noqa: E402
from gambler_ai.core.state import SessionState  # noqa: E402
from gambler_ai.learners.adviser import Panel  # noqa: E402
from gambler_ai.storage import components as store  # noqa: E402
from gambler_ai.storage import journal, lease, sessions  # noqa: E402
from gambler_ai.storage import tables as t  # noqa: E402
from gambler_ai.storage.database import Database  # noqa: E402
from gambler_ai.trading.ledger import Ledger  # noqa: E402
from gambler_ai.trading.memory import Memory  # noqa: E402
from gambler_ai.trading.recall import recall  # noqa: E402
from gambler_ai.trading.recovery import restore  # noqa: E402
from tests.databases import sqlite_only  # noqa: E402
from tests.unit.fakes import LIMITS, Told, bracket_of, entry, fill_of, make_plan  # noqa: E402
from tests.unit.learners.series import (  # noqa: E402
    ROWS,
    everybody,
    frame_at,
    fresh,
    known,
    proposal_at,
)

AT = datetime(2008, 10, 7, 14, 0, tzinfo=UTC)
SESSION, ACCOUNT = "s-1", "acc-1"
#: Enough for attention to speak, and to have been judged a few times; the trade around which it is killed.
TRADES, KILLED_AT = 30, 27


# -- one life -------------------------------------------------------------------------------------


def session_of(name: str) -> SessionState:
    rules = LearningRules((name,)) if name in known() else LearningRules()
    return SessionState(
        session_id=SESSION, account_id=ACCOUNT, plan=make_plan(learning=rules), started_at=AT, last_at=AT
    )


class Life:
    """A session that goes through its trades, from wherever its state says that it is."""

    def __init__(self, state: SessionState, view: Any, commit: Callable[[Any], Any]) -> None:
        self.state = state
        self._panel = Panel(state, view)
        self._engine = Engine(state, Told(), LIMITS, {}, lambda ids: set(), view)
        self._commit = commit

    def go_on(self, until: int = TRADES) -> None:
        """Each trade is two commits: it is entered and filled; its stop is filled, and what came of it is known."""
        while self.state.closed_trades < until:
            number = self.state.closed_trades
            at = AT + number * timedelta(minutes=5)
            if not self.state.positions:
                self._enter(number, at)
            self._leave(number, at + timedelta(minutes=1))

    def _enter(self, number: int, at: datetime) -> None:
        frame = frame_at(100 + number * 5 % (ROWS - 100))
        signal = self._panel.advise(proposal_at(number, frame), MarketView(at, frame, {}, {})).signal
        coid = f"ga1-{number:08d}"
        intent = replace(
            entry(), client_order_id=coid, position_id=coid, decision_id=f"entry|{number}", decided_at=at,
            signal=signal,
        )  # fmt: skip
        parent = bracket_of(intent, limit="new", stop="held")
        bought = fill_of(parent, "10", "100", at=at)
        self._record(ev.IntentPlanned(at, intent), ev.OrderUpdated(at, parent), ev.FillReported(at, bought))

    def _leave(self, number: int, at: datetime) -> None:
        [position] = self.state.positions.values()
        intent: OrderIntent = self.state.intents[position.position_id].intent
        whole = bracket_of(intent, limit="canceled", stop="filled")
        stop = replace(whole.legs[1], filled_qty=intent.qty)
        gone = replace(whole, legs=(whole.legs[0], stop), updated_at=at)
        price = str(100 + Decimal(number * 7 % 11 - 5) / 4)
        self._record(ev.OrderUpdated(at, gone), ev.FillReported(at, fill_of(stop, "10", price, at=at)))

    def _record(self, *facts: ev.Fact) -> None:
        self._commit(self._engine.record(*facts))


@cache
def in_one_life(name: str) -> bytes:
    """What it dumps when nothing ever happened to it, and no database was there."""
    component = fresh(name)

    def commit(decisions: Any) -> None:
        for fact in decisions.facts:
            component.apply(fact)

    Life(session_of(name), {name: component}, commit).go_on()
    return component.dump()


# -- lives that end -------------------------------------------------------------------------------


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    database.prepare()
    try:
        yield database
    finally:
        database.close()


def begin(url: str, name: str, until: int, *, in_order: bool = False) -> None:
    """A session from its beginning; ``in_order``: it stops as one that is told to, else it is left."""
    with opened(url) as database, ExitStack() as stack:
        clock = ManualClock(AT)
        held = lease.acquire(database, ACCOUNT, SESSION, "pid 1", clock)
        stack.callback(held.close)
        state = session_of(name)
        memory = recall(database, state, [fresh(name)])
        with held.writing(database) as db:
            sessions.insert(db, state, broker="embedded", trading_url="", genesis=journal.GENESIS, wall=AT)
        ledger = Ledger(database, held, state, head=journal.GENESIS, created=0, wall=clock, memory=memory)
        Life(state, memory.view, ledger.commit).go_on(until)
        if in_order:
            engine = Engine(state, Told(), LIMITS, {}, lambda ids: set())
            ledger.commit(engine.record(ev.RunEnded(state.last_at, "stopped", "SIGTERM")), checkpoint=True)
            ledger.release()


@contextmanager
def taken_up(url: str, name: str) -> Iterator[tuple[SessionState, Memory, Ledger]]:
    with opened(url) as database:
        with database.read() as db:
            info = sessions.find(db, SESSION)
        clock = ManualClock(AT + timedelta(days=1))
        held = lease.acquire(database, ACCOUNT, SESSION, "pid 2", clock)
        try:
            restored = restore(database, info)
            memory = recall(database, restored.state, [fresh(name)])
            yield restored.state, memory, Ledger(
                database, held, restored.state, head=restored.head, created=info.checkpoints, wall=clock, memory=memory
            )  # fmt: skip
        finally:
            held.close()


def lived_on(url: str, name: str, *, told: int = 0) -> bytes:
    """What it dumps after its last trade; ``told``: how many rows were set aside on the way."""
    with taken_up(url, name) as (state, memory, ledger):
        assert len(memory.take_told()) == told
        component: Component = memory.view[name]
        Life(state, memory.view, ledger.commit).go_on()
        assert state.closed_trades == TRADES
        payload = component.dump()
    with taken_up(url, name) as (_state, memory, _ledger):
        assert memory.view[name].dump() == payload, "and that is what is stored"
    return payload


def spoil_newest(url: str, name: str) -> None:
    with opened(url) as database, database.write() as db:
        newest = store.listed(db, SESSION, name)[0]
        db.execute(t.blobs.update().where(t.blobs.c.sha256 == newest.sha256).values(payload=b"rot"))


# -- kills ----------------------------------------------------------------------------------------


class Nursery:
    """A process that has imported everything and forks one for each life that is to be killed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )

    def live(self, url: str, name: str, spec: str) -> None:
        """Until it is killed at ``spec``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{name} {spec} {url}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "-9\n"

    def close(self) -> None:
        self._process.communicate()


def serve() -> None:
    for line in sys.stdin:
        name, spec, url = line.rstrip("\n").split(" ", 2)
        child = os.fork()
        if not child:
            crashpoints.arm(spec)
            begin(url, name, TRADES)
            os._exit(1)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


#: Way -> where it is killed. Fills are counted: a trade has two.
KILLS = {
    "killed after the fill of an entry": f"fill.after_commit:{2 * KILLED_AT - 1}",
    "killed before the commit of a closed trade": f"fill.before_commit:{2 * KILLED_AT}",
    "killed inside that commit": f"fill.inside_commit:{2 * KILLED_AT}",
    "killed while its memory is written": f"component.blob:{KILLED_AT}",
    "killed with its memory written and not committed": f"component.inside:{KILLED_AT}",
    "killed after the commit of a closed trade": f"fill.after_commit:{2 * KILLED_AT}",
    "killed before anything was learned": "fill.after_commit:1",
}
STOPPED, LEFT, ROTTEN = "stopped", "left", "left, and the newest blob rots"
WAYS = (*KILLS, STOPPED, LEFT, ROTTEN)
#: What each commit tries, by database: of attention, and of the others, which take longer. The rest is for the night.
ATTENTION, OTHERS = "attention", {"sqlite": ("killed while its memory is written", ROTTEN), "postgres": ()}
QUICK = {
    "sqlite": (*[way for way in KILLS if way != "killed inside that commit"], STOPPED, ROTTEN),
    "postgres": ("killed while its memory is written",),
}


def cells() -> Iterator[Any]:
    for kind, marks in (("sqlite", []), ("postgres", [pytest.mark.postgres])):
        for name in everybody():
            for way in WAYS:
                tried = way in (QUICK if name == ATTENTION else OTHERS)[kind]
                late = [] if tried else [pytest.mark.nightly, pytest.mark.counts("lives of learners that were ended")]
                yield pytest.param(kind, name, way, marks=[*marks, *late])


@pytest.mark.parametrize(("backend", "name", "way"), list(cells()))
def test_however_it_ended_it_knows_what_it_would_have_known(migrated_url, nursery, name, way):
    if way in KILLS:
        nursery.live(migrated_url, name, KILLS[way])
    else:
        begin(migrated_url, name, KILLED_AT, in_order=way == STOPPED)
    if way == ROTTEN:
        spoil_newest(migrated_url, name)
    assert lived_on(migrated_url, name, told=int(way == ROTTEN)) == in_one_life(name)


@sqlite_only
@pytest.mark.parametrize("name", everybody())
def test_an_account_that_begins_another_session_goes_on_with_what_was_learned(migrated_url, name):
    begin(migrated_url, name, TRADES, in_order=True)
    with opened(migrated_url) as database:
        component = fresh(name)
        state = session_of(name)
        state.session_id = "s-2"
        recall(database, state, [component])
    assert component.dump() == in_one_life(name)


@pytest.mark.parametrize("name", known())
def test_these_lives_are_worth_comparing(name):
    """Scores were given, and judged: a learner that never speaks is equal to any other."""
    learner: Any = fresh(name)
    learner.load(in_one_life(name), learner.schema)
    assert learner.learned == TRADES
    assert learner.yardstick.count > 5


if __name__ == "__main__":
    serve()
