"""What learners know and are worth, as it is stored: of a session that runs, that stopped, or that was killed."""

from __future__ import annotations

import math
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gambler_ai import learners
from gambler_ai.app.strategies import stored_strategy
from gambler_ai.core.components import Component
from gambler_ai.core.events import LEARNER_RESET, ComponentSetAside
from gambler_ai.core.learning import CHOOSER, LearningRules
from gambler_ai.core.state import SessionState
from gambler_ai.errors import ConfigError, GamblerError
from gambler_ai.learners.base import Description, Grid, Weight
from gambler_ai.learners.yardstick import BINS, LEAST, Contest, Yardstick
from gambler_ai.storage import components as store
from gambler_ai.storage import lease, requests, sessions
from gambler_ai.storage.components import ComponentInfo
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.strategies import loader
from gambler_ai.trading.recall import recalled, taken
from gambler_ai.trading.recovery import empty_state

#: How sure the interval of a share is, as a deviation of the normal distribution: 95 %.
_NORMAL_95 = 1.96


class Standing(StrEnum):
    """What a learner is to a session."""

    HEARD = "heard"
    WATCHING = "watching"
    FAILED = "failed"
    UNREADABLE = "cannot be read"
    ABSENT = "not installed"
    ELSEWHERE = "not in this session"


class Rival(Struct, frozen=True):
    """What a learner is held against. ``loss`` is its mean; the gap is its loss less the learner's: above zero the
    learner is better. ``low`` and ``high``: where the gap lies, with 95 % at all times at once."""

    name: str
    loss: float
    gap: float
    low: float
    high: float


class CurvePoint(Struct, frozen=True):
    """After ``count`` judged predictions: the mean loss of the learner and of what it is first held against."""

    count: int
    learner: float
    rival: float


class Tenth(Struct, frozen=True):
    """Predictions from ``low`` to ``high``: how many, their mean, the share of them that won, and its 95 % interval
    (E. B. Wilson, 1927). None where there are none."""

    low: float
    high: float
    count: int
    predicted: float | None
    won: float | None
    won_low: float | None
    won_high: float | None


class LearnerRow(Struct, frozen=True):
    """A learner in a list. Losses are means, None before the first judged prediction; returns are in percent.

    ``standing`` and ``why`` say what it is to the session, ``hint`` what can be done about that. ``stored_at`` is the
    session time of the newest good row, ``from_session`` whose that is; ``troubles`` are newer ones that are not good.
    """

    name: str
    what: str
    standing: Standing
    why: str
    hint: str
    learned: int = 0
    judged: int = 0
    win_rate: float | None = None
    loss: float | None = None
    rival: str = ""
    rival_loss: float | None = None
    log_loss: float | None = None
    base_log_loss: float | None = None
    mean_return_pct: float | None = None
    beats: bool = False
    says: str = ""
    stored_at: datetime | None = None
    from_session: str = ""
    reset_waits: bool = False
    troubles: tuple[str, ...] = ()


class LearnerPage(Struct, frozen=True):
    """Everything of one learner."""

    row: LearnerRow
    rivals: tuple[Rival, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    calibration: tuple[Tenth, ...] = ()
    facts: dict[str, str] = {}
    weights: tuple[Weight, ...] = ()
    grid: Grid | None = None
    stored: ComponentInfo | None = None


class Learning(Struct, frozen=True):
    """Learners of a session, as of its last transaction; of none, with "" for its id, where there is none yet."""

    session: str
    status: str
    account: str
    at: datetime | None
    rules: LearningRules
    pages: tuple[LearnerPage, ...]


def names() -> tuple[str, ...]:
    """Every learner there is."""
    return (*learners.KNOWN, CHOOSER)


def check_name(name: str) -> None:
    """Refuse a name that no learner has.

    Raises:
        ConfigError: it says which there are.
    """
    if name not in names():
        raise ConfigError(f"there is no learner {name!r:.40}", hint=f"there are: {', '.join(names())}")


def has(info: SessionInfo) -> tuple[str, ...]:
    """The learners that a session has."""
    chooses = (CHOOSER,) if info.plan.strategy_name == CHOOSER else ()
    return (*info.plan.learning.learners, *chooses)


def refuse_not_here(info: SessionInfo, name: str) -> None:
    """Before something is asked of a learner: the session has it.

    Raises:
        ConfigError: it has not, or nobody has.
    """
    check_name(name)
    known = has(info)
    if name not in known:
        there = f"it has {', '.join(known)}" if known else "it has none"
        how = "gambler-ai --new --strategy chooser" if name == CHOOSER else _resume(info, _joining(info, name))
        raise ConfigError(f"session {info.id} has no learner {name}: {there}", hint=f"it gets one by: {how}")


def learning_view(database: Database, session_id: str, only: str | None = None) -> Learning:
    """All learners, or ``only`` one, as a resume of the session would find them now.

    Raises:
        SessionNotFound: there is no such session.
        ConfigError: there is no such learner.
    """
    if only is not None:
        check_name(only)
    with database.read() as db:
        info = sessions.find(db, session_id)
        waiting = {r.argument for r in requests.waiting(db, info.id) if r.kind == LEARNER_RESET}
        wanted = names() if only is None else (only,)
        pages = [_page(db, info, name, reset_waits=name in waiting) for name in wanted]
    status = info.status
    if status in ("created", "running") and not lease.is_held(database, info.account_id):
        status = "killed"
    return Learning(info.id, status, info.account_id, info.last_at, info.plan.learning, tuple(pages))


def has_sessions(database: Database) -> bool:
    """Whether any session is stored."""
    with database.read() as db:
        return bool(sessions.listed(db, 1))


def without_session() -> Learning:
    """All learners, where no session is stored yet."""
    return Learning("", "", "", None, LearningRules(), tuple(LearnerPage(_first(name)) for name in names()))


def _first(name: str) -> LearnerRow:
    rules = LearningRules() if name == CHOOSER else LearningRules(learners=(name,))
    try:
        learners.check(rules, name)
        what = "chooses among strategies" if name == CHOOSER else learners.make([name])[0].what
    except ConfigError as error:
        return LearnerRow(name, "", Standing.ABSENT, error.message, error.hint)
    flag = "--strategy chooser" if name == CHOOSER else f"--learners {name}"
    hint = f"gambler-ai --symbols AAPL,MSFT --duration 60 {flag}"
    return LearnerRow(name, what, Standing.ELSEWHERE, "there is no session yet", hint)


# -- one learner ----------------------------------------------------------------------------------


def _page(db: Any, info: SessionInfo, name: str, *, reset_waits: bool) -> LearnerPage:
    missing = _missing(info, name)
    try:
        component = _blank(info, name)
    except ConfigError as error:
        row = LearnerRow(name, "", _not_there(info, name), error.message, error.hint, reset_waits=reset_waits)
        return LearnerPage(row)
    state = _state(info)
    try:
        stored, failure, troubles = _recalled(db, info, state, component)
    except GamblerError as error:
        row = LearnerRow(name, _what(component), Standing.UNREADABLE, error.message, error.hint)
        return LearnerPage(replace(row, reset_waits=reset_waits))
    page = described(component.describe())
    standing, why, hint = _standing(info, page.row, missing, failure)
    row = replace(
        page.row, standing=standing, why=why, hint=hint, reset_waits=reset_waits, troubles=troubles,
        stored_at=stored and stored.at, from_session=stored.session_id if stored is not None else "",
    )  # fmt: skip
    return replace(page, row=row, stored=stored)


def _recalled(
    db: Any, info: SessionInfo, state: SessionState, component: Component
) -> tuple[ComponentInfo | None, str, tuple[str, ...]]:  # fmt: skip
    """Bring ``component`` to what it knows now. The row it came from, why it failed, what was found bad on the way."""
    if component.name not in has(info):  # what a fresh session of the account would begin with
        found = taken(db, component, state)
        return found.info, "", tuple(map(_trouble, found.aside))
    memory = recalled(db, state, [component])
    told = memory.take_told()
    good = (row for row in store.listed(db, info.id, component.name) if not row.set_aside)
    bad = {(aside.session_id, aside.number) for aside in told if aside.number}
    own = next((row for row in good if (info.id, row.number) not in bad), None)
    before = store.elsewhere(db, info.account_id, info.id, component.name)
    stored = own or next((row for row in before if (row.session_id, row.number) not in bad), None)
    failure = "" if component.name in memory.view else next((a.reason for a in told if not a.number), "")
    set_aside = [
        f"journal row {row.seq}: set aside: {row.set_aside}"
        for row in store.listed(db, info.id, component.name) if row.set_aside
    ]  # fmt: skip
    return stored, failure, (*(_trouble(aside) for aside in told if aside.number), *set_aside)


def _trouble(aside: ComponentSetAside) -> str:
    return f"what was stored last is not good: {aside.reason}; {aside.used}"


def _blank(info: SessionInfo, name: str) -> Any:
    """A learner that knows nothing yet.

    Raises:
        ConfigError: it cannot be made here, and why.
    """
    if name != CHOOSER:
        (made,) = learners.make([name])
        return made
    strategy = stored_strategy(info, {}).strategy if CHOOSER in has(info) else loader.load(CHOOSER, {}).strategy
    found = next((c for c in strategy.components() if c.name == CHOOSER), None)
    if found is None or not hasattr(found, "describe"):
        raise ConfigError(f"strategy {strategy.name} keeps no chooser", hint="trade --strategy chooser")
    return found


def _missing(info: SessionInfo, name: str) -> ConfigError | None:
    """Why a learner cannot work on this machine, None if it can."""
    if name == CHOOSER:
        return None
    try:
        learners.check(LearningRules(learners=(name,)), info.plan.strategy_name)
    except ConfigError as error:
        return error
    return None


def _not_there(info: SessionInfo, name: str) -> Standing:
    return Standing.UNREADABLE if name == CHOOSER and CHOOSER in has(info) else Standing.ABSENT


def _what(component: Any) -> str:
    return str(getattr(component, "what", ""))


def _state(info: SessionInfo) -> SessionState:
    """As much of a session's state as it takes to find what its components remember."""
    state = empty_state(info)
    state.seq, state.last_at = info.seq, info.last_at
    return state


# -- what it is to the session --------------------------------------------------------------------


def _standing(
    info: SessionInfo, row: LearnerRow, missing: ConfigError | None, failure: str
) -> tuple[Standing, str, str]:  # fmt: skip
    """What it is, why, and what could be done about it."""
    name, rules = row.name, info.plan.learning
    if missing is not None:
        return Standing.ABSENT, missing.message, missing.hint
    if name not in has(info):
        if name == CHOOSER:
            return Standing.ELSEWHERE, "nothing is chosen among here", "gambler-ai --new --strategy chooser"
        return Standing.ELSEWHERE, "it does not learn here", _resume(info, _joining(info, name))
    if failure:
        return Standing.FAILED, failure, f"gambler-ai learners reset {name} --reason TEXT has it begin anew"
    insisted = name in rules.use
    if name == CHOOSER:
        hint = "" if insisted or row.beats else _resume(info, _insisting(info, name))
        why = f"--use-learner {name} insists" if insisted and not row.beats else row.says
        return (Standing.HEARD if insisted or row.beats else Standing.WATCHING), why, hint
    if rules.min_confidence is None:
        return Standing.WATCHING, "nothing is asked of it: --min-confidence is not set", _how_to_hear(info, row)
    if insisted or row.beats:
        return Standing.HEARD, row.says if row.beats else f"--use-learner {name} insists", ""
    return Standing.WATCHING, row.says, _resume(info, _insisting(info, name))


def _how_to_hear(info: SessionInfo, row: LearnerRow) -> str:
    return _resume(info, "--min-confidence 0.5" + ("" if row.beats else f" {_insisting(info, row.name)}"))


def _insisting(info: SessionInfo, name: str) -> str:
    """The flags that have one more learner heard: what a resume is given takes the place of what was."""
    return " ".join(f"--use-learner {one}" for one in dict.fromkeys((*info.plan.learning.use, name)))


def _resume(info: SessionInfo, flags: str) -> str:
    return f"gambler-ai --resume-session {info.id} {flags}"


def _joining(info: SessionInfo, name: str) -> str:
    """The flag that gives a session one more learner: it names them all."""
    return f"--learners {','.join(dict.fromkeys((*info.plan.learning.learners, name)))}"


# -- numbers --------------------------------------------------------------------------------------


def described(found: Description) -> LearnerPage:
    """A description in numbers that can be shown."""
    yardstick = found.yardstick
    contest = yardstick.contest
    count = contest.count
    rivals = _rivals(contest)
    has_truth = any(tenth.count for tenth in yardstick.bins)  # a chooser predicts no probability of winning

    def mean(total: float, *, of: bool = True) -> float | None:
        return total / count if count and of else None

    row = LearnerRow(
        name=found.name, what=found.what, standing=Standing.WATCHING, why="", hint="", learned=found.learned,
        judged=count, win_rate=mean(yardstick.wins, of=has_truth), loss=mean(contest.loss),
        rival=rivals[0].name if rivals else "", rival_loss=rivals[0].loss if rivals else None,
        log_loss=mean(yardstick.log_loss, of=has_truth), base_log_loss=mean(yardstick.base_log_loss, of=has_truth),
        mean_return_pct=mean(yardstick.returns, of=has_truth), beats=found.beats, says=found.says,
    )  # fmt: skip
    return LearnerPage(
        row, rivals, tuple(CurvePoint(p.count, p.learner, p.rival) for p in contest.curve),
        _tenths(yardstick) if has_truth else (), found.facts, found.weights, found.grid,
    )  # fmt: skip


def settled(curve: tuple[CurvePoint, ...]) -> tuple[CurvePoint, ...]:
    """The part of a learning curve that is worth looking at: means of a few predictions jump about."""
    later = tuple(point for point in curve if point.count >= LEAST)
    return later if len(later) > 1 else curve


def _rivals(contest: Contest) -> tuple[Rival, ...]:
    return tuple(
        Rival(name, contest.rivals[name] / contest.count, contest.gaps[name].mean, *contest.gaps[name].interval)
        for name in contest.names
    )


def _tenths(yardstick: Yardstick) -> tuple[Tenth, ...]:
    found = []
    for index, tenth in enumerate(yardstick.bins):
        low, high = index / BINS, (index + 1) / BINS
        if not tenth.count:
            found.append(Tenth(low, high, 0, None, None, None, None))
            continue
        won = tenth.won / tenth.count
        found.append(Tenth(low, high, tenth.count, tenth.predicted / tenth.count, won, *wilson(won, tenth.count)))
    return tuple(found)


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share that was seen in ``count`` cases."""
    z2 = _NORMAL_95**2
    centre = share + z2 / (2 * count)
    reach = _NORMAL_95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    scale = 1 + z2 / count
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)
