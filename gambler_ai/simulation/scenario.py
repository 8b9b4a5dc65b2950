"""What a seed draws: the day, what is traded and how, and everything that goes wrong. Plain data, shown as it is."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.learning import Confidence, LearningRules
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.state import Plan
from gambler_ai.crashpoints import POINTS
from gambler_ai.exchange.faults.deeds import TREATMENTS
from gambler_ai.exchange.faults.kinds import (
    ACCOUNT_RESET,
    BAD_PRICE,
    DEED_KINDS,
    INSIDE,
    KINDS,
    MATCHING,
    NO_SECONDS,
    SPLIT,
    SPOILED,
    STREAM_KINDS,
)
from gambler_ai.exchange.faults.spoil import PRICES
from gambler_ai.exchange.instants import NEW_YORK, from_us
from gambler_ai.exchange.prices.assets import ASSETS
from gambler_ai.exchange.prices.daily import market_days
from gambler_ai.exchange.prices.sessions import EARLY_CLOSES, Session, Sessions
from gambler_ai.simulation import option_draws
from gambler_ai.simulation.dice import Dice
from gambler_ai.simulation.disk import AWAY, MESSAGES, DiskFault
from gambler_ai.strategies import Strategy
from gambler_ai.strategies.mean_reversion import MeanReversion
from gambler_ai.strategies.momentum import Momentum

#: Market seconds in a wall second; 0 for a market that is moved by the runner.
_RATES = [0.0, 0.0, 30.0, 60.0]
#: Minutes that are left of a day whose market goes on while a process is down.
SPARE_MINUTES = 20
#: Of a session's time the last part in which nothing goes wrong any more, so that its end can be judged; minutes.
CALM_MAX, CALM_SHARE = 25.0, 0.4
#: Points that no session of one process on one database passes.
_ELSEWHERE = ("migration.", "import.", "export.")
#: Executions that begin shortly before a close.
LATE_SHARE = 0.2
#: Executions in which somebody learns, and who.
LEARNING_SHARE, LEARNERS = 0.4, ("attention",)
#: New shares for one old.
RATIOS = ("2", "3", "3:2", "1:10")
#: Kinds that may begin at any instant; what happens to the account is drawn by itself.
_ANYTIME = [name for name in KINDS if name not in STREAM_KINDS | DEED_KINDS]
#: Endpoints, and how much a fault there is worth.
_ENDPOINTS = (
    ("POST", "/v2/orders", 6), ("DELETE", "/v2/orders", 3), ("PATCH", "/v2/orders", 2), ("GET", "/v2/orders", 3),
    ("GET", "/v2/orders:by_client_order_id", 2), ("GET", "/v2/account", 1), ("GET", "/v2/account/activities", 2),
    ("GET", "/v2/positions", 2), ("GET", "/v2/clock", 1), ("GET", "/v2/stocks", 2), ("", "/v2/", 2),
)  # fmt: skip


class BrokerFault(Struct, frozen=True):
    """A line of the exchange's plan, from ``after_s`` seconds of market time on; for ``lasts_s``, if that is given."""

    after_s: float
    row: dict[str, Any]
    lasts_s: float = 0.0


class CrashPlan(Struct, frozen=True):
    """How one process dies: at a named point, at its n-th request (before or after the exchange has it), or at the
    first one ``after_s`` seconds of market time."""

    point: str = ""
    request: int = 0
    answered: bool = False
    down_s: float = 1.0
    after_s: float = 0.0

    @property
    def where(self) -> str:
        """In words."""
        return self.point or (f"request {self.request}" if self.request else f"{self.after_s:g} s")


class Deed(Struct, frozen=True):
    """Something a person, or the machine's owner, does after ``after_s`` seconds of market time."""

    after_s: float
    kind: str
    argument: str = ""
    number: float = 0.0


class Scenario(Struct, frozen=True):
    """One execution. ``rate`` 0: the market is moved by the runner, else so many market seconds a wall second."""

    seed: int
    start: datetime
    close: datetime
    sessions: int
    minutes: float
    rate: float
    plan: Plan
    strategy: dict[str, Any]
    exchange_seed: int
    latency_s: float
    slow: int
    broker: tuple[BrokerFault, ...] = ()
    disk: tuple[DiskFault | None, ...] = ()
    crashes: tuple[CrashPlan, ...] = ()
    deeds: tuple[Deed, ...] = ()

    @property
    def is_options(self) -> bool:
        """Whether structures are traded."""
        return self.plan.universe == "options"

    @property
    def loud_s(self) -> float:
        """Market seconds of session time in which things go wrong."""
        return self.minutes * 60 - min(CALM_MAX, self.minutes * CALM_SHARE) * 60

    def lines(self) -> list[str]:
        """What was drawn, a thing a line."""
        plan = self.plan
        pace = f"{self.rate:g} times as fast as the wall clock" if self.rate else "moved by the runner"
        rows = [
            f"{self.start:%F %T} UTC, {self.sessions} day(s), {self.minutes:g} minutes; the market is {pace}",
            f"{','.join(plan.symbols)} by {self.strategy}; prices of seed {self.exchange_seed}",
            f"bars {plan.timeframe_s} s, scans {plan.interval_s:g} s, checkpoints {plan.checkpoint_interval_s:g} s,"
            f" {plan.keep_checkpoints} kept, {plan.position_size} a position, on exit {plan.on_exit}",
            f"limits: positions {plan.max_positions}, order {plan.max_order_value}, orders a day"
            f" {plan.max_orders_per_day}, daily loss {plan.max_daily_loss}",
            f"risk: drawdown {plan.risk.max_drawdown_pct}, losses {plan.risk.max_loss_streak} for"
            f" {plan.risk.loss_pause_min} min, exposure {plan.risk.max_exposure_pct},"
            f" less by {plan.risk.loss_scale_pct}",
        ]
        if self.is_options:
            most = f"{plan.max_per_strategy} a strategy, {plan.max_per_sector} a sector {plan.risk.sectors}"
            rows += [f"structures: {plan.capital_per_trade} each, {most}, chance {plan.learning.min_confidence}"]
        if plan.learning.learners:
            rows += [f"learners {','.join(plan.learning.learners)}, of a say {plan.learning.use}: "
                     f"{plan.learning.confidence} {plan.learning.min_confidence}"]  # fmt: skip
        rows += [f"broker at {f.after_s:g} s{f' for {f.lasts_s:g} s' * (f.lasts_s > 0)}: {f.row}" for f in self.broker]
        rows += [f"disk of process {n}: {fault}" for n, fault in enumerate(self.disk, 1) if fault is not None]
        rows += [f"process {n} dies at {c.where}" for n, c in enumerate(self.crashes, 1)]
        rows += [f"people at {d.after_s:g} s: {d.kind} {d.argument} {d.number:g}" for d in self.deeds]
        return rows

    def make_strategy(self) -> Strategy:
        """The strategy, as every process of this execution loads it."""
        values = {name: value for name, value in self.strategy.items() if name != "class"}
        return STRATEGIES[self.strategy["class"]](**values)


STRATEGIES: dict[str, type[Strategy]] = {
    "dice": Dice, "momentum": Momentum, "mean_reversion": MeanReversion, **option_draws.STRATEGIES,
}  # fmt: skip


@cache
def calendar() -> Sessions:
    """The days that have prices."""
    return Sessions(market_days())


@cache
def special_days() -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Kinds of days that are not like others, as indexes of sessions."""
    days = calendar().days
    gaps = [(days[i + 1] - days[i]).days for i in range(len(days) - 1)]
    half = [i for i, day in enumerate(days) if day.isoformat() in EARLY_CLOSES]
    holiday = [i for i, gap in enumerate(gaps) if gap > (3 if days[i].weekday() == 4 else 1)]
    shift = [i for i in range(len(gaps)) if _offset(days[i]) != _offset(days[i + 1])]
    return ("half day", tuple(half)), ("before a holiday", tuple(holiday)), ("before the clocks change", tuple(shift))


def _offset(day: date) -> timedelta | None:
    return datetime(day.year, day.month, day.day, 12, tzinfo=NEW_YORK).utcoffset()


def draw(seed: int, minutes: float | None = None) -> Scenario:
    """The execution of ``seed``; ``minutes`` of session time instead of a whole day."""
    dice = np.random.default_rng(seed)
    return (_in_options if option_draws.is_options(seed) else _in_shares)(dice, seed, minutes)


def _in_options(dice: np.random.Generator, seed: int, minutes: float | None) -> Scenario:
    way = str(dice.choice(option_draws.WAYS, p=option_draws.SHARES_OF_WAYS))
    late = way != option_draws.DAYTIME
    # A market that we move stands still for who is dead; of one that goes on a night is long to watch.
    rate = float(dice.choice({option_draws.RUNNING: [0.0], option_draws.DEAD: [30.0, 60.0]}.get(way, _RATES)))
    index = option_draws.day(dice, calendar().days, late=late)
    session = calendar().session(index)
    start, count, left = from_us(session.open_us) + timedelta(seconds=_pick(dice, 1, 50)), 1, 0.0
    length = min(session.minutes - 2.0 - (SPARE_MINUTES if rate else 0), option_draws.MINUTES_MAX)
    if late:  # over the close, the night and the next open
        left = option_draws.left_minutes(dice)
        start, count, length = from_us(session.close_us) - timedelta(minutes=left), 2, left + 70
    minutes = length if minutes is None or late else min(length, minutes)
    listed = [symbol for symbol in _listed(session) if symbol != option_draws.DEAR]
    symbols = tuple(str(s) for s in dice.choice(listed, size=int(dice.integers(1, 4)), replace=False))
    strategy = option_draws.strategy(dice, late=late)
    fields = option_draws.plan(dice, symbols, strategy["class"])
    scenario = Scenario(
        seed=seed, start=start, close=from_us(session.close_us), sessions=count, minutes=minutes, rate=rate,
        plan=replace(_plan(dice, symbols, minutes, rate), **fields), strategy=strategy,
        exchange_seed=int(dice.integers(0, 4)), latency_s=_pick(dice, 0.002, 0.08),
        slow=int(dice.choice([0, 0, 5, 30])),
    )  # fmt: skip
    scenario = _with_trouble(dice, scenario)
    if dice.random() < 0.4:
        hits = [(_pick(dice, 0, scenario.loud_s * 0.9), option_draws.order_fault(dice)) for _ in range(3)]
        scenario = replace(scenario, broker=(*(BrokerFault(at, row) for at, row in hits), *scenario.broker))
    if way == option_draws.DEAD:
        after_s = _pick(dice, 240, left * 60 - 30)
        night_s = (calendar().session(index + 1).open_us - session.close_us) / 1_000_000
        down_s = left * 60 - after_s + night_s + option_draws.after_the_open_s(dice)
        scenario = replace(scenario, crashes=(CrashPlan(after_s=after_s, down_s=round(down_s, 3)), *scenario.crashes))
    return _with_account(dice, scenario, index)


def _in_shares(dice: np.random.Generator, seed: int, minutes: float | None) -> Scenario:
    index = _day(dice)
    count = 1 if minutes is not None or dice.random() > 0.12 else int(dice.integers(2, 4))
    rate = float(dice.choice(_RATES)) if count == 1 else 0.0
    session = calendar().session(index)
    if minutes is None:
        minutes = sum(calendar().session(i).minutes for i in range(index, index + count)) - 2.0
        if rate and dice.random() < 0.9:  # what it is down for, so that it does not wait for the next day
            minutes -= SPARE_MINUTES
    start = from_us(session.open_us) + timedelta(seconds=_pick(dice, 1, 50))
    if not rate and dice.random() < LATE_SHARE:  # over the close, the night and the next open
        left_s = _pick(dice, 12 * 60, 40 * 60)
        start, count = from_us(session.close_us) - timedelta(seconds=left_s), 2
        minutes = min(minutes, left_s / 60 + 120)
    symbols = tuple(str(s) for s in dice.choice(_listed(session), size=int(dice.integers(1, 4)), replace=False))
    scenario = Scenario(
        seed=seed, start=start, close=from_us(session.close_us), sessions=count, minutes=minutes, rate=rate,
        plan=_plan(dice, symbols, minutes, rate), strategy=_strategy(dice), exchange_seed=int(dice.integers(0, 4)),
        latency_s=_pick(dice, 0.002, 0.08), slow=int(dice.choice([0, 0, 5, 30])),
    )  # fmt: skip
    return _with_account(dice, _with_trouble(dice, scenario), index)


def _pick(dice: np.random.Generator, low: float, high: float) -> float:
    return round(float(dice.uniform(low, high)), 3)


def _day(dice: np.random.Generator) -> int:
    if dice.random() < 0.4:
        kinds = special_days()
        _name, indexes = kinds[int(dice.integers(0, len(kinds)))]
        return int(dice.choice([i for i in indexes if i < len(calendar().days) - 5]))
    return int(dice.integers(60, len(calendar().days) - 5))


def _listed(session: Session) -> list[str]:
    """Symbols with prices on that day; the two classes of one share are one."""
    late = {"FB": date(2012, 6, 1), "GOOG": date(2004, 9, 1)}
    return [s for s in ASSETS if s != "GOOGL" and session.day >= late.get(s, date(2000, 3, 1))]


def _plan(dice: np.random.Generator, symbols: tuple[str, ...], minutes: float, rate: float) -> Plan:
    limits: dict[str, Any] = {}
    if dice.random() < 0.3:
        limits["max_positions"] = int(dice.integers(1, 4))
    if dice.random() < 0.3:
        limits["max_orders_per_day"] = int(dice.integers(1, 40))
    if dice.random() < 0.2:
        limits["max_order_value"] = Decimal(int(dice.integers(3_000, 20_000)))
    if dice.random() < 0.2:
        limits["max_daily_loss"] = Decimal(int(dice.integers(20, 800)))
    return Plan(
        symbols=symbols, duration_s=float(minutes * 60), interval_s=float(dice.choice([60, 60, 120, 300])),
        checkpoint_interval_s=float(dice.choice([30, 60, 120, 600])), timeframe_s=int(dice.choice([60, 300, 300])),
        strategy="dice", stop_loss_pct=Decimal(int(dice.integers(1, 5))), take_profit_pct=Decimal(4),
        position_size=Decimal(int(dice.integers(2_000, 15_000))), keep_checkpoints=int(dice.choice([1, 5, 100])),
        history_limit=20,
        speed=rate, feed="iex", on_exit=str(dice.choice(["keep", "keep", "cancel", "flatten"])), when_closed="wait",
        limit_pct=Decimal(str(dice.choice(["-0.5", "0", "0.2", "1"]))) if dice.random() < 0.3 else None, **limits,
        risk=_rules(_apart(dice)), learning=_learning(_apart(dice)),
    )  # fmt: skip


def _apart(dice: np.random.Generator) -> np.random.Generator:
    """Dice of their own: what else is drawn stays what it was."""
    return np.random.default_rng(dice.bit_generator.seed_seq.spawn(1)[0])  # type: ignore[attr-defined]


def _learning(dice: np.random.Generator) -> LearningRules:
    """A learner in some, which only watches, or has a say. One that needs no extra: a seed is the same everywhere."""
    if dice.random() >= LEARNING_SHARE:
        return LearningRules()
    if dice.random() < 0.5:
        return LearningRules(LEARNERS)
    use = LEARNERS if dice.random() < 0.7 else ()
    least = Decimal(str(dice.choice(["0.3", "0.5", "0.6"])))
    return LearningRules(LEARNERS, use, least, Confidence(str(dice.choice([*Confidence]))))


def _rules(dice: np.random.Generator) -> RiskRules:
    """Rules of size and rest, in some of them."""
    rules: dict[str, Any] = {}
    if dice.random() < 0.2:
        rules["max_loss_streak"] = int(dice.integers(1, 4))
        rules["loss_pause_min"] = Decimal(int(dice.choice([5, 30, 120])))
    if dice.random() < 0.2:
        rules["max_drawdown_pct"] = Decimal(str(dice.choice(["0.1", "0.3", "1"])))
    if dice.random() < 0.2:
        rules["max_exposure_pct"] = Decimal(int(dice.integers(5, 40)))
    if dice.random() < 0.2:
        rules |= {"loss_scale_pct": Decimal(20), "drawdown_scale_pct": Decimal(2)}
    return RiskRules(**rules)


def _strategy(dice: np.random.Generator) -> dict[str, Any]:
    name = str(dice.choice(["dice", "dice", "dice", "momentum", "mean_reversion"]))
    if name == "momentum":
        return {"class": name, "change_pct": _pick(dice, 0.05, 0.6), "lookback": 3, "volume_ratio": 0.8}
    if name == "mean_reversion":
        return {"class": name, "lookback": int(dice.integers(5, 15)), "entry_z": _pick(dice, 0.8, 1.8)}
    chances = {"enter": int(dice.integers(100, 900)), "leave": int(dice.integers(0, 300))}
    return {"class": name, "seed": int(dice.integers(0, 1_000)), **chances}


# -- what goes wrong ------------------------------------------------------------------------------


def _with_trouble(dice: np.random.Generator, scenario: Scenario) -> Scenario:
    """Some executions are quiet, some have one kind of trouble, some have all of it."""
    crashes = tuple(_crash(dice) for _ in range(int(dice.choice([0, 1, 2, 4, 8]))))
    broker = tuple(_broker_fault(dice, scenario) for _ in range(int(dice.choice([0, 3, 8, 16]))))
    disk = tuple(_disk_fault(dice) if dice.random() < 0.5 else None for _ in range(int(dice.choice([0, 0, 2, 4]))))
    deeds = tuple(_deed(dice, scenario) for _ in range(int(dice.choice([0, 0, 3, 8]))))
    if dice.random() < 0.25 and not scenario.is_options:
        broker = (*_lost_entries(dice, scenario), *broker)
    return replace(scenario, crashes=crashes, broker=broker, disk=disk, deeds=deeds)


def _lost_entries(dice: np.random.Generator, scenario: Scenario) -> tuple[BrokerFault, ...]:
    """Entries that do not arrive, or late, or are not shown, until their signal has expired: what VOID is about."""
    after_s, lasts_s = _pick(dice, 0, scenario.loud_s * 0.6), _pick(dice, 300, 1_500)
    kind = str(dice.choice(["reset", "500", "hang_unhandled", "late_arrival", "late_arrival", "lost_reply"]))
    row: dict[str, Any] = {"kind": kind, "method": "POST", "path": "/v2/orders$", "contains": "bracket"}
    row["times"] = int(dice.choice([1, 2, 5, 40]))
    if kind == "late_arrival":
        row["seconds"] = _pick(dice, 5, 1_200)
    found = [BrokerFault(after_s, row, lasts_s)]
    if kind == "lost_reply" or dice.random() < 0.3:
        hidden = {"kind": "not_found_for", "times": "always", "seconds": _pick(dice, 30, 900)}
        found.append(BrokerFault(after_s, hidden, lasts_s))
    return tuple(found)


def _with_account(dice: np.random.Generator, scenario: Scenario, index: int) -> Scenario:
    """What happens to the account itself: a split in the night, another account under the same keys."""
    found: tuple[BrokerFault, ...] = ()
    if scenario.sessions > 1 and dice.random() < (option_draws.SPLIT_SHARE if scenario.is_options else 0.4):
        symbol, day = str(dice.choice(list(scenario.plan.symbols))), calendar().days[index + 1]
        row = {"kind": SPLIT, "symbol": symbol, "on": day.isoformat(), "ratio": str(dice.choice(RATIOS))}
        treatment = str(dice.choice(["", *TREATMENTS]))
        found = (BrokerFault(0.0, row | ({"orders": treatment} if treatment else {})),)
    if dice.random() < 0.03:
        found = (BrokerFault(_pick(dice, 60, scenario.loud_s * 0.95), {"kind": ACCOUNT_RESET}),)
    return replace(scenario, broker=(*found, *scenario.broker))


def _crash(dice: np.random.Generator) -> CrashPlan:
    down_s = float(dice.choice([0.0, 1.0, 20.0, 90.0, 600.0]))
    if dice.random() < 0.3:
        request = int(dice.integers(1, 2_000)) if dice.random() < 0.7 else int(dice.integers(1, 30))
        return CrashPlan(request=request, answered=bool(dice.random() < 0.5), down_s=down_s)
    points = [name for name in POINTS if not name.startswith(_ELSEWHERE)]
    count = int(dice.integers(1, 4)) if dice.random() < 0.6 else int(dice.integers(1, 60))
    return CrashPlan(point=f"{dice.choice(points)}:{count}", down_s=down_s)


def _broker_fault(dice: np.random.Generator, scenario: Scenario) -> BrokerFault:
    name = str(dice.choice(_ANYTIME))
    kind = KINDS[name]
    row: dict[str, Any] = {"kind": name, **_schedule(dice)}
    if name in ("hang", "hang_unhandled", "slow"):
        row["seconds"] = float(dice.choice([2.0, 9.0, 12.0, 45.0, 300.0]))
    elif kind.seconds != NO_SECONDS:
        row["seconds"] = _pick(dice, 1, 120)
    if name == BAD_PRICE:
        row["price"] = str(dice.choice(sorted(PRICES)))
    endpoints = (*_ENDPOINTS, *option_draws.ENDPOINTS) if scenario.is_options else _ENDPOINTS
    if kind.group not in (INSIDE, MATCHING) and not kind.method:
        weights = np.array([weight for _m, _p, weight in endpoints], dtype=float)
        method, path, _weight = endpoints[int(dice.choice(len(endpoints), p=weights / weights.sum()))]
        row |= {"method": method, "path": path}
    elif kind.group == SPOILED and kind.path == "/v2/stocks" and scenario.is_options and dice.random() < 0.5:
        row["path"] = option_draws.ENDPOINTS[0][1]
    lasts_s = _pick(dice, 30, 1_800) if dice.random() < 0.3 else 0.0
    return BrokerFault(_pick(dice, 0, scenario.loud_s * 0.95), row, lasts_s)


def _schedule(dice: np.random.Generator) -> dict[str, Any]:
    """How often a fault acts on what it fits."""
    row: dict[str, Any] = {"times": int(dice.choice([1, 1, 2, 3, 8, 20]))}
    if dice.random() < 0.2:
        row["after"] = int(dice.integers(1, 20))
    if dice.random() < 0.2:
        row["every"] = int(dice.integers(2, 6))
    if dice.random() < 0.2:
        row["probability"] = _pick(dice, 0.1, 0.9)
    return row


def _disk_fault(dice: np.random.Generator) -> DiskFault:
    commit = int(dice.integers(12, 400)) if dice.random() < 0.8 else int(dice.integers(1, 12))
    kind = str(dice.choice(list(MESSAGES)))
    if kind == AWAY:
        return DiskFault(kind, commit, away_s=float(dice.choice([0.5, 5.0, 60.0, 100.0, 150.0])))
    return DiskFault(kind, commit, int(dice.choice([1, 1, 1, 3, 12])))


#: What is done from outside, and how often compared with each other.
DEEDS = {
    "buy": 2, "sell": 2, "cancel ours": 4, "close by hand": 2, "jump": 2, "asleep": 1, "stop": 1, "halt file": 1,
    ev.HALT: 2, ev.RESUME_TRADING: 2, ev.FLATTEN: 2, ev.ADOPT: 1, ev.MOVE_STOP: 4, ev.MOVE_TARGET: 3, "move by hand": 2,
}  # fmt: skip


def _deed(dice: np.random.Generator, scenario: Scenario) -> Deed:
    deeds = DEEDS | option_draws.DEEDS if scenario.is_options else DEEDS
    weights = np.array(list(deeds.values()), dtype=float)
    kind = str(dice.choice(list(deeds), p=weights / weights.sum()))
    symbol = str(dice.choice(list(scenario.plan.symbols)))
    number = float(dice.integers(1, 40))
    if kind == "jump":
        number = float(dice.choice([-86_400.0, -3_600.0, 3_600.0, 86_400.0]))
    if kind == "asleep":
        number = 3_600.0
    if kind in (ev.HALT, ev.RESUME_TRADING) or (kind == ev.FLATTEN and dice.random() < 0.5):
        symbol = ""
    return Deed(_pick(dice, 0, scenario.loud_s * 0.95), kind, symbol, number)
