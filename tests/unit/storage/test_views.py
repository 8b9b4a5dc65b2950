"""Intents as they are listed: the newest, and of those the ones whose end is not known."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.storage import journal, views
from tests.unit.fakes import AT, SESSION, after, bracket_of, entry, fill_of, report_of

INTENTS = {
    name: replace(
        entry(symbol=name), client_order_id=f"ga1-{name}", decision_id=name, decided_at=AT + timedelta(seconds=n)
    )
    for n, name in enumerate(("PLAN", "REST", "DONE", "OVER", "LOST", "GONE"))
}  # fmt: skip


def story() -> list[ev.Fact]:
    facts: list[ev.Fact] = [ev.IntentPlanned(i.decided_at, i) for i in INTENTS.values()]
    rest, done = bracket_of(INTENTS["REST"], limit="new"), report_of(INTENTS["DONE"], "canceled")
    over = bracket_of(INTENTS["OVER"], limit="filled", stop="canceled")
    facts += [ev.OrderUpdated(AT, order) for order in (rest, done, over)]
    facts += [ev.FillReported(AT, fill_of(rest, "10"))]
    for name in ("LOST", "GONE"):
        coid = INTENTS[name].client_order_id
        facts += [ev.IntentUnknown(AT, coid, "?"), ev.IntentVoided(AT, coid, "three misses", after(days=4))]
    return [*facts, ev.IntentResolved(AT, "ga1-GONE", ev.GONE, "I looked")]


def listed(database, state, limit: int = 100, *, only_open: bool = False) -> list[str]:
    with database.read() as db:
        return [row.symbol for row in views.intents(db, SESSION, limit, only_open=only_open)]


def test_open_ones_are_those_whose_end_or_whose_legs_end_is_not_known(database, session):
    facts = story()
    changes = evolve(session, facts)
    with database.write() as db:
        journal.append(db, session, facts, changes, journal.GENESIS, 1)
    assert listed(database, session) == list(INTENTS)
    assert listed(database, session, only_open=True) == ["PLAN", "REST", "LOST"]
    assert listed(database, session, 2) == ["LOST", "GONE"]
    assert listed(database, session, 2, only_open=True) == ["REST", "LOST"]
    with database.read() as db:
        assert views.intents(db, "s-2") == []
        row = views.intents(db, SESSION)[-1]
    assert (row.client_order_id, row.status, row.note) == ("ga1-GONE", "void", "gone: I looked")


def test_what_lasts_is_what_began_and_did_not_end_with_its_beginning_and_its_newest_reason(database, session):
    told: list[ev.Fact] = [
        ev.Degraded(AT, "broker", "502"), ev.Degraded(after(minutes=1), "stale prices AAPL", "no bar yet"),
        ev.Degraded(after(minutes=10), "broker", "503"), ev.Degraded(after(minutes=11), "clock skew", "31 s"),
        ev.Restored(after(minutes=12), "clock skew"),
    ]  # fmt: skip
    with database.write() as db:
        head = journal.append(db, session, told, evolve(session, told), journal.GENESIS, 1)
    with database.read() as db:
        found = views.degraded(db, SESSION)
        assert views.degraded(db, "s-2") == []
    assert [(row.at, row.name, row.reason) for row in found] == [
        (AT, "broker", "503"), (after(minutes=1), "stale prices AAPL", "no bar yet"),
    ]  # fmt: skip
    assert (found[1].entries, found[1].ends) == ("no entries in it", "with its next bar, or at the close")
    again = [ev.Restored(after(minutes=20), row.name) for row in found]
    with database.write() as db:
        journal.append(db, session, again, evolve(session, again), head, 1)
    with database.read() as db:
        assert views.degraded(db, SESSION) == []
    assert session.degraded == {}
