"""A session taken over: what was read of it before the lease is old by then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from gambler_ai.app.desk import Desk
from gambler_ai.app.reopening import reopened
from gambler_ai.app.strategies import Onlooker
from gambler_ai.app.verbs import App
from gambler_ai.cli.watchers import Watchers
from gambler_ai.clock import SystemClock
from gambler_ai.config import load
from gambler_ai.core import events as ev
from gambler_ai.errors import ConfigError, RecoveryHalted
from gambler_ai.storage import sessions
from gambler_ai.storage.sessions import SessionInfo


@pytest.fixture
def app() -> Iterator[App]:
    """An App whose database has one session of two minutes on the embedded exchange."""
    made = App(load({"symbols": "AAPL", "duration": 2, "speed": 0}), {}, Watchers([]), None)
    made.start(new=True)
    yield made
    made.database.close()


def desk_of(app: App) -> Desk:
    return Desk(load({"speed": 0}), {"speed": 0}, Watchers([]), app.database, SystemClock())


def only_session(app: App) -> SessionInfo:
    with app.database.read() as db:
        (info,) = sessions.listed(db)
    return info


def test_checkpoints_are_counted_from_what_the_last_owner_left(app):
    """One that ended between our look and our lease has written more of them: a number is never given twice."""
    info = only_session(app)
    assert info.checkpoints > 2
    with reopened(desk_of(app), replace(info, checkpoints=0), Onlooker()) as (venue, runner, _):
        runner.begin(ev.RunStarted(venue.clock.now(), 0.0, resumed=True, token=runner.token))
        runner.end("stopped", "looked after")
    assert only_session(app).checkpoints == info.checkpoints + 1


def test_a_session_that_was_closed_in_between_stays_closed(app):
    info = only_session(app)
    app.close(info.id, "done with it")
    with pytest.raises(ConfigError, match="was closed"), reopened(desk_of(app), info, Onlooker()):
        raise AssertionError("it was opened")
    assert only_session(app).status == "closed"


def test_a_changed_limit_lifts_the_halt_of_a_days_loss_until_it_is_judged_anew(app):
    from gambler_ai.app.resuming import resumption

    given = {"speed": 0, "max_daily_loss": "500"}
    desk = Desk(load(given), given, Watchers([]), app.database, SystemClock())
    with reopened(desk, only_session(app), Onlooker()) as (venue, runner, restored):
        runner.state.halts[ev.DAILY_LOSS] = "900.00 lost"
        facts = resumption(desk, venue, restored, runner.token, "")
        runner.abandon()
    assert [f.source for f in facts if isinstance(f, ev.TradingResumed)] == [ev.DAILY_LOSS]


def test_an_account_that_is_younger_than_its_session_was_reset(app):
    info = only_session(app)
    with app.database.write() as db:
        db.execute(sa.text("UPDATE sessions SET started_at = '2008-10-01T13:30:00.000000+00:00'"))
    with pytest.raises(RecoveryHalted, match="it was reset") as caught, reopened(desk_of(app), info, Onlooker()):
        raise AssertionError("it was opened")
    assert f"sessions close {info.id}" in caught.value.hint
    assert only_session(app).status == info.status
