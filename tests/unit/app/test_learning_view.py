"""What is shown of learners is what a resume would find: the newest good blob, and the facts after it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gambler_ai.app.learning_view import Standing, described, learning_view, refuse_not_here, wilson, without_session
from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.evolution import evolve
from gambler_ai.core.learning import LearningRules
from gambler_ai.errors import ConfigError
from gambler_ai.learners.attention import Attention
from gambler_ai.learners.yardstick import BASE_RATE, BASELINES, BINS, Contest
from gambler_ai.storage import journal, lease, requests, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.recall import recall
from tests.unit.fakes import ACCOUNT, AT, D, make_plan, make_state
from tests.unit.lessons import outcome, taught

WATCHING = LearningRules(learners=("attention",))


class Books:
    """A session with learners, written as its runner writes it."""

    def __init__(self, database: Database, rules: LearningRules, session_id: str = "s-1", **plan: Any) -> None:
        self.database = database
        self.id = session_id
        self.state = make_state(session_id=session_id, plan=make_plan(learning=rules, **plan))
        wall = ManualClock(AT)
        with database.write() as db:
            sessions.insert(db, self.state, broker="embedded", trading_url="u", genesis=journal.GENESIS, wall=AT)
        self.lease = lease.acquire(database, ACCOUNT, session_id, "pid 1", wall)
        known = [Attention()] if "attention" in rules.learners else []
        memory = recall(database, self.state, known)
        self.ledger = Ledger(
            database, self.lease, self.state, head=journal.GENESIS, created=0, wall=wall, memory=memory
        )  # fmt: skip
        self.write(ev.RunStarted(AT, 600.0, resumed=False, token=1))

    def write(self, *facts: ev.Fact, remember: bool = False) -> None:
        changes = evolve(self.state, facts)
        self.ledger.commit(Decisions(facts=list(facts), changes=changes), remember=remember)

    def page(self, name: str = "attention") -> Any:
        (page,) = learning_view(self.database, self.id, name).pages
        return page

    def spoil_newest(self) -> None:
        with self.database.write() as db:
            rows = t.components.select().order_by(t.components.c.number.desc()).limit(1)
            sha256 = db.execute(rows).one().sha256
            db.execute(t.blobs.update().where(t.blobs.c.sha256 == sha256).values(payload=b"rotten"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    """A database without a session, to be copied."""
    path = Path(tmp_path_factory.mktemp("empty") / "g.sqlite3")
    database = Database(f"sqlite:///{path}")
    database.prepare()
    database.close()
    return path


@pytest.fixture
def opened(tmp_path, empty) -> Iterator[Callable[..., Books]]:
    database = Database(f"sqlite:///{shutil.copy(empty, tmp_path / 'g.sqlite3')}")
    database.check()
    made: list[Books] = []

    def make(rules: LearningRules = WATCHING, **more: Any) -> Books:
        for books in made:
            books.lease.close()
        made.append(Books(database, rules, **more))
        return made[-1]

    yield make
    for books in made:
        books.lease.close()
    database.close()


@pytest.fixture
def books(opened: Callable[..., Books]) -> Books:
    return opened()


def test_it_is_shown_as_it_is_stored_and_as_the_facts_after_that_say(books):
    learner = Attention()
    books.write(*taught(learner, 40), remember=True)
    books.write(*taught(learner, 5, start=40))  # no closed trade of this journal: nothing is stored with them
    page = books.page()
    assert (page.row.learned, page.row.judged) == (45, 25)
    assert page == learning_view(books.database, "s-1").pages[0]
    assert page.row.loss == learner.yardstick.contest.loss / 25
    assert page.row.win_rate == learner.yardstick.wins / 25
    assert page.stored.seq == 41
    assert page.weights == learner.weights()
    assert sum(tenth.count for tenth in page.calibration) == 25


def test_it_is_held_against_the_base_rate_first_after_it_was_read_back_too(books):
    """What is stored keeps no order of names, and the first one is what its curve is drawn against."""
    learner = Attention()
    books.write(*taught(learner, 60), remember=True)
    page = books.page()
    assert [rival.name for rival in page.rivals] == list(BASELINES)
    assert page.row.rival == BASE_RATE
    last = page.curve[-1]
    assert last.count == page.row.judged
    assert last.rival == pytest.approx(page.row.rival_loss)
    assert page.row.says == learner.yardstick.contest.says


def test_one_that_has_not_beaten_its_baselines_is_not_heard_and_says_why(opened):
    books = opened(LearningRules(("attention",), (), D("0.5")))
    books.write(*taught(Attention(), 120), remember=True)
    row = books.page().row
    assert row.standing is Standing.WATCHING
    assert row.why == row.says
    assert row.says.startswith("not shown to be better than base rate: ")
    assert row.hint == "gambler-ai --resume-session s-1 --use-learner attention"


def test_one_that_has_beaten_them_is_heard(opened):
    books = opened(LearningRules(("attention",), (), D("0.5")))
    books.write(*taught(Attention(), 900, tells=4.0), remember=True)
    row = books.page().row
    assert (row.standing, row.beats, row.hint) == (Standing.HEARD, True, "")
    assert row.why.startswith("beats base rate and always and never, by +0.0")


def test_one_that_somebody_insists_on_is_heard_and_what_it_is_worth_is_said_all_the_same(opened):
    books = opened(LearningRules(("attention",), ("attention",), D("0.5")))
    row = books.page().row
    assert row.standing is Standing.HEARD
    assert row.why == "--use-learner attention insists"
    assert row.says == "too early to say: 0 of 30 judged predictions"


def test_the_command_that_has_one_more_heard_keeps_those_that_are(opened):
    """A resume that is given the flag hears those that it names, and no others."""
    books = opened(LearningRules(("attention", "signal"), ("signal",), D("0.5")))
    flags = "--use-learner signal --use-learner attention"
    assert books.page().row.hint == f"gambler-ai --resume-session s-1 {flags}"


def test_without_a_least_confidence_all_of_them_watch(books):
    row = books.page().row
    assert (row.standing, row.why) == (Standing.WATCHING, "nothing is asked of it: --min-confidence is not set")
    assert row.hint == "gambler-ai --resume-session s-1 --min-confidence 0.5 --use-learner attention"


def test_a_blob_that_rots_is_named_and_the_good_one_before_it_is_shown(books):
    learner = Attention()
    books.write(*taught(learner, 30), remember=True)
    books.write(*taught(learner, 10, start=30), remember=True)
    books.spoil_newest()
    page = books.page()
    assert page.stored.seq == 31
    assert page.row.learned == 40, "the facts after it are given to it once more"
    (trouble,) = page.row.troubles
    assert trouble.startswith("what was stored last is not good: its blob does not unpack; the one of journal row 31")


def test_where_none_is_good_it_is_what_the_journal_says(books):
    books.write(*taught(Attention(), 30), remember=True)
    books.spoil_newest()
    page = books.page()
    assert (page.stored, page.row.learned) == (None, 30)
    assert "it begins anew, with what happened in this session" in page.row.troubles[0]


def test_what_was_set_aside_earlier_is_still_named(books):
    books.write(*taught(Attention(), 30), remember=True)
    with books.database.write() as db:
        db.execute(t.components.update().values(set_aside="it rotted"))
    assert books.page().row.troubles == ("journal row 31: set aside: it rotted",)


def test_one_that_fails_is_told_with_the_way_out_and_a_reset_lets_it_in_again(books):
    impossible = outcome(0, won=True, features={"along_1": 1.0}, scores={"attention": -5.0})
    books.write(ev.OutcomeKnown(AT, impossible), remember=True)
    row = books.page().row
    assert row.standing is Standing.FAILED
    assert row.why.startswith("it failed on OutcomeKnown: IndexError")
    assert row.hint.startswith("gambler-ai learners reset attention")
    books.write(ev.LearnerReset(AT, "attention", "it failed"), *taught(Attention(), 3), remember=True)
    row = books.page().row
    assert (row.standing, row.learned) == (Standing.WATCHING, 3)


def test_a_reset_forgets_what_was_learned_and_what_it_was_worth(books):
    books.write(*taught(Attention(), 60), remember=True)
    assert books.page().row.judged == 40
    books.write(ev.LearnerReset(AT, "attention", "another market"))  # nothing is stored after it
    page = books.page()
    assert (page.row.learned, page.row.judged, page.weights, page.curve) == (0, 0, (), ())
    learner = Attention()
    books.write(*taught(learner, 25), remember=True)
    assert (books.page().row.learned, books.page().weights) == (25, learner.weights())


def test_a_fresh_session_of_the_account_sees_what_an_earlier_one_learned(opened):
    books = opened()
    books.write(*taught(Attention(), 30), remember=True)
    fresh = opened(LearningRules(), session_id="s-2")
    page = fresh.page()
    assert (page.row.standing, page.row.learned, page.stored.session_id) == (Standing.ELSEWHERE, 30, "s-1")
    assert page.row.hint == "gambler-ai --resume-session s-2 --learners attention"


def test_a_reset_that_nobody_has_taken_yet_is_said(books):
    assert not books.page().row.reset_waits
    with books.database.write() as db:
        info = sessions.find(db, "s-1")
        requests.add(db, info, ev.LEARNER_RESET, "attention", "it is old", "ann", AT)
    assert books.page().row.reset_waits
    waits = {page.row.name: page.row.reset_waits for page in learning_view(books.database, "s-1").pages}
    assert (waits["attention"], waits["chooser"]) == (True, False)


def test_a_session_whose_owner_lives_runs_and_one_whose_owner_is_gone_was_killed(books):
    books.state.status = "running"
    books.write(ev.Marked(AT, {}, {}))
    assert learning_view(books.database, "s-1").status == "running"
    books.lease.close()
    assert learning_view(books.database, "s-1").status == "killed"


def test_a_chooser_whose_strategy_is_gone_is_said_and_the_others_are_shown(opened):
    books = opened(WATCHING, strategy="/gone/mine.py:Mine", strategy_name="chooser")
    rows = {page.row.name: page.row for page in learning_view(books.database, "s-1").pages}
    assert rows["chooser"].standing is Standing.UNREADABLE
    assert "/gone/mine.py" in rows["chooser"].why
    assert rows["attention"].standing is Standing.WATCHING


def test_names_that_no_learner_has_are_refused_with_what_there_is(books):
    with pytest.raises(ConfigError, match="there is no learner 'nobody'") as error:
        learning_view(books.database, "s-1", "nobody")
    assert error.value.hint.startswith("there are: attention, ")


def test_one_that_the_session_has_not_is_refused_with_what_it_has(opened):
    with opened().database.read() as db:
        info = sessions.find(db, "s-1")
    refuse_not_here(info, "attention")
    with pytest.raises(ConfigError, match="session s-1 has no learner chooser: it has attention"):
        refuse_not_here(info, "chooser")
    with opened(LearningRules(), session_id="s-2").database.read() as db:
        info = sessions.find(db, "s-2")
    with pytest.raises(ConfigError, match="has no learner attention: it has none") as error:
        refuse_not_here(info, "attention")
    assert error.value.hint == "it gets one by: gambler-ai --resume-session s-2 --learners attention"


def test_before_the_first_session_it_is_said_how_to_begin():
    rows = {page.row.name: page.row for page in without_session().pages}
    assert rows["attention"].hint == "gambler-ai --symbols AAPL,MSFT --duration 60 --learners attention"
    assert rows["attention"].why == "there is no session yet"


def test_a_contest_without_probabilities_has_no_calibration():
    learner = Attention()
    contest = Contest().after(0.2, {"momentum": 0.3, "breakout": 0.4})
    learner.yardstick = type(learner.yardstick)(contest=contest)
    page = described(learner.describe())
    assert (page.calibration, page.row.win_rate, page.row.log_loss) == ((), None, None)
    assert [rival.name for rival in page.rivals] == ["momentum", "breakout"]


def test_the_interval_of_a_share_is_wilsons():
    low, high = wilson(0.5, 100)
    assert (round(low, 4), round(high, 4)) == (0.4038, 0.5962)
    assert wilson(0.0, 1)[0] == 0.0
    assert wilson(1.0, 1)[1] == 1.0


def test_tenths_are_the_bins_of_the_yardstick():
    learner = Attention()
    taught(learner, 100)
    page = described(learner.describe())
    assert [(round(t.low * BINS), t.count) for t in page.calibration] == [
        (index, tenth.count) for index, tenth in enumerate(learner.yardstick.bins)
    ]
