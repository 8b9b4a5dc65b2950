"""One execution: processes that start, die and are started again, on one exchange and one database file."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from gambler_ai import crashpoints
from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.orders import ID_PREFIX, Purpose
from gambler_ai.errors import (
    BrokerError,
    DatabaseOutage,
    GamblerError,
    IllegalTransition,
    LimitBreached,
    RecoveryHalted,
    StorageError,
    TryAgainLater,
)
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults.kinds import SPLIT
from gambler_ai.exchange.instants import from_us, rfc3339, to_us
from gambler_ai.proving.audit import Violation
from gambler_ai.simulation.audit import Auditor
from gambler_ai.simulation.books import Books
from gambler_ai.simulation.deeds import Hands
from gambler_ai.simulation.disk import Disk
from gambler_ai.simulation.endings import Broken, Crash
from gambler_ai.simulation.process import Process
from gambler_ai.simulation.scenario import BrokerFault, CrashPlan, Scenario, calendar
from gambler_ai.simulation.universe import Universe
from gambler_ai.simulation.wire import Answer, Line, Wire
from gambler_ai.storage.database import Database
from gambler_ai.trading.outage import PATIENCE_S

#: Processes of one execution; more than that and it does not come to an end.
LIVES_MAX = 60
#: Market seconds between the end of a process by itself and its next start, as a service manager has it.
RESTART_S = 20.0
#: What the end of a process may be and still be in order: it is started again.
_LEFT = (TryAgainLater, BrokerError, StorageError)
_DONE = ("completed", "finished")
#: How often a session is looked after at the end until all agrees: for longer than an unexplained difference is kept.
LOOKS_MAX, LOOK_PAUSE = 2, timedelta(seconds=60)


class Outcome(Struct):
    """What came of one execution. ``journal_hash`` is the session's last: the same seed gives the same."""

    seed: int
    journal_hash: str
    violations: list[Violation]
    facts: int = 0
    entries: int = 0
    voids: int = 0
    fills: int = 0
    lives: int = 0
    crashes: int = 0
    market_minutes: float = 0.0
    trace: list[str] = []


class World:
    """Runs one `Scenario` in ``folder``, which holds an empty database of our schema."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self.trace: list[str] = []
        self.session_id = f"seed-{scenario.seed}"
        self.universe = Universe(scenario.start, scenario.rate)
        self.exchange = Exchange.open(
            None, start=scenario.start, seed=scenario.exchange_seed, account=self.session_id,
            clock=self.universe.market,
        )  # fmt: skip
        self.wire = Wire(self.exchange, self.universe, self.note)
        self.process: Process | None = None
        self.violations: list[Violation] = []
        self.lives = self.crashes = 0
        self._refused = False  # a reset account was found out
        self._folder = folder
        self._dice = np.random.default_rng((scenario.seed, 1))
        self._sent: dict[str, bytes] = {}
        self._database = Database(f"sqlite:///{folder / 'gambler.sqlite3'}")
        self._books = Books(folder / "gambler.sqlite3")
        self._auditor: Auditor | None = None
        self._hands = Hands(self, self._database, folder)

    def run(self) -> Outcome:
        """From the first start to the end of the session's time, and the last audit."""
        self._arrange()
        try:
            self._live()
        except Broken as error:
            self.violations.append(error.violation)
        finally:
            crashpoints.disarm()
            if self.process is not None:
                self.process.close()
            self._books.close()
            self._database.close()
            self.exchange.close()
        return self._outcome()

    def note(self, text: str) -> None:
        """A line of the trace, with the market's time."""
        self.trace.append(f"{self.universe.now:%F %T} {text}")

    def _outcome(self) -> Outcome:
        auditor = self._auditor
        return Outcome(
            seed=self.scenario.seed, journal_hash=auditor.head if auditor else "", violations=self.violations,
            facts=auditor.state.seq if auditor else 0, entries=auditor.entries if auditor else 0,
            voids=auditor.voids if auditor else 0,
            fills=len(self.exchange.book.fills), lives=self.lives, crashes=self.crashes,
            market_minutes=self.scenario.minutes, trace=self.trace,
        )  # fmt: skip

    def _arrange(self) -> None:
        """Put what is to happen into time."""
        self.wire.plan([self._line(fault) for fault in self.scenario.broker])
        for deed in self.scenario.deeds:
            self.universe.at(self.instant(deed.after_s), lambda deed=deed: self._hands.do(deed))  # type: ignore[misc]
        self.universe.at(self.instant(self.scenario.loud_s), self._calm)

    def instant(self, after_s: float) -> datetime:
        """The market's instant after so much time of open market."""
        us, left = to_us(self.scenario.start), int(after_s * 1_000_000)
        index = calendar().first_index_closing_after(us)
        assert index is not None
        while (session := calendar().session(index)).close_us - max(us, session.open_us) < left:
            left -= session.close_us - max(us, session.open_us)
            us, index = session.close_us, index + 1
        return from_us(max(us, session.open_us) + left)

    def _line(self, fault: BrokerFault) -> dict[str, Any]:
        """A line of the exchange's plan, with its instants."""
        if fault.row["kind"] == SPLIT:  # which has a day
            return fault.row
        row = fault.row | {"from": rfc3339(to_us(self.instant(fault.after_s)))}
        if not fault.lasts_s:
            return row
        return row | {"until": rfc3339(to_us(self.instant(fault.after_s + fault.lasts_s)))}

    def _calm(self) -> None:
        self.note("from here on nothing goes wrong")
        self.wire.calm()
        self._hands.rest()
        crashpoints.disarm()
        if self.process is not None:
            self.process.disk.calm()

    @property
    def is_loud(self) -> bool:
        """Whether things may go wrong now."""
        return self.universe.now < self.instant(self.scenario.loud_s)

    # -- lives ------------------------------------------------------------------------------------

    def _live(self) -> None:
        while self._one_life():
            if self.violations:
                return
            if self.lives >= LIVES_MAX:
                self.violations.append(Violation("no end", f"{self.lives} processes and the session is not done"))
                return
        assert self._auditor is not None
        if not self.violations and self._auditor.is_reset and not self._refused:
            self.violations.append(Violation("reset", "the account is another one, and the session came to its end"))
        elif not self.violations and not self._refused:
            self.violations += self._settled(self._auditor)

    def _settled(self, auditor: Auditor) -> list[Violation]:
        """What is still broken after a few looks: the last minutes may have been slept through."""
        found = auditor.settled()
        for _ in range(LOOKS_MAX if found else 0):
            self.universe.advance(self.universe.now + LOOK_PAUSE)
            process = self.process = self._new_process(None, Disk(None, self.note, lambda: self.universe.monotonic_s))
            self.note("a process looks after the session")
            try:
                process.look_after(self.session_id)
            finally:
                process.close()
            broken = auditor.always(process.state)
            found = broken or auditor.settled()
            if broken or not found:
                break
        return found

    def _one_life(self) -> bool:
        """Start a process and see how it ends. False when the session is done."""
        crash, disk = self._next_trouble()
        self.lives += 1
        process = self.process = self._new_process(crash, disk)
        down_s, state = RESTART_S, None
        try:
            if self._books.exists(self.session_id):
                self.note("a process resumes the session")
                process.resume(self.session_id)
            else:
                self.note("a process starts the session")
                process.start(self.session_id, self.scenario.plan)
            state = process.state
        except Crash:
            self.crashes, down_s = self.crashes + 1, crash.down_s if crash is not None else 1.0
            self.note(f"killed; down for {down_s:g} s")
            process.die()
        except _LEFT as error:
            self._left(process, error)
        except (GamblerError, IllegalTransition, AssertionError, LookupError, TypeError, ValueError) as error:
            self._failed(error)
        finally:
            crashpoints.disarm()
            process.close()
        self.process = None
        return self._between(state, down_s, process.told)

    def _next_trouble(self) -> tuple[CrashPlan | None, Disk]:
        scenario, life = self.scenario, self.lives
        crash = scenario.crashes[self.crashes] if self.crashes < len(scenario.crashes) and self.is_loud else None
        fault = scenario.disk[life] if life < len(scenario.disk) and self.is_loud else None
        return crash, Disk(fault, self.note, lambda: self.universe.monotonic_s)

    def _new_process(self, crash: CrashPlan | None, disk: Disk) -> Process:
        if crash is not None and crash.point:
            crashpoints.arm(crash.point, die=lambda: self._die(crash.point))
        count = 0

        def watch(method: str, path: str, body: bytes, answer: Answer | None) -> None:
            nonlocal count
            count += answer is None
            if body and method in ("POST", "PATCH") and answer is None:
                self._leaves(body)
            if crash is None or not self.is_loud:
                return
            if crash.after_s and self.universe.now >= self.instant(crash.after_s):
                self._die(f"{crash.where} ({method} {path})")
            if crash.request == count and crash.answered == (answer is not None):
                self._die(f"request {count} ({method} {path}) {'answered' if answer is not None else 'not sent'}")

        line = Line(self.wire, lambda: self.scenario.latency_s, watch)
        return Process(
            self.universe, self.exchange, line, disk, self._folder, self.scenario.make_strategy(), self._delay_s
        )

    def _die(self, where: str) -> None:
        self.note(f"crash at {where}")
        raise Crash

    def _delay_s(self) -> float:
        """How long the worker takes to come to a request: as a rule not at all."""
        slow = self.scenario.slow
        return slow * float(self._dice.random()) / max(1.0, self.universe.rate) if slow and self.is_loud else 0.0

    def _left(self, process: Process, error: GamblerError) -> None:
        self.note(f"the process ends: {type(error).__name__}: {error}")
        if isinstance(error, StorageError) and not process.disk.injected:
            self.violations.append(Violation("database", f"{error} and nothing was wrong with it"))
        elif isinstance(error, StorageError) and process.state is not None:
            self.violations.append(Violation("outage", f"{error}: it was to be ridden out"))
        elif process.is_to_stop or not isinstance(error.__cause__, DatabaseOutage):
            return  # a signal waits for no database: it ends with 75, and what is stored goes on
        elif process.disk.longest_away_s < PATIENCE_S:
            self.violations.append(Violation("outage", f"{error}: it was away for {process.disk.longest_away_s:g} s"))

    def _failed(self, error: Exception) -> None:
        kind = type(error).__name__
        if isinstance(error, RecoveryHalted) and self._auditor_of_session().is_reset:
            self.note(f"the process refuses: {error}")
            self._refused = True
            return
        self.note(f"the process fails: {kind}: {error}")
        rule = {LimitBreached: "limit", RecoveryHalted: "halt"}.get(type(error), "fault of the program")
        trace, where = error.__traceback__, ""
        while trace is not None:
            where, trace = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}", trace.tb_next
        self.violations.append(Violation(rule, f"{kind} at {where}: {error}"))

    def _between(self, state: object, down_s: float, told: CatchUp | None) -> bool:
        """Audit what the process left behind; then time passes. False when the session is done."""
        if self._books.exists(self.session_id):
            self.violations += self._auditor_of_session().told(told)
            self.violations += self._auditor_of_session().always(state)  # type: ignore[arg-type]
            if self._refused or self._books.status(self.session_id) in _DONE:
                return False
        if self.universe.rate:
            self.universe.wait(down_s / self.universe.rate)
        else:
            self.universe.monotonic_s += down_s
        return True

    def _auditor_of_session(self) -> Auditor:
        if self._auditor is None:
            self._auditor = Auditor(self._database, self._books, self.exchange, self.session_id, close_of)
        return self._auditor

    # -- what leaves ------------------------------------------------------------------------------

    def _leaves(self, body: bytes) -> None:
        """An order is about to leave: is it committed, as it is, and may it leave now?"""
        coid = str(msgspec.json.decode(body)["client_order_id"])
        if not coid.startswith(ID_PREFIX):
            return
        stored = self._books.body(coid)
        if stored is None:
            raise Broken(Violation("not committed", f"{coid} is sent at {self.universe.now} and not committed"))
        if stored.encode() != body or self._sent.setdefault(coid, body) != body:
            raise Broken(Violation("two bodies", f"{coid} is sent with other bytes than are stored"))
        process = self.process
        record = process.state.intents.get(coid) if process is not None and process.state is not None else None
        entry = record is not None and record.intent.purpose is Purpose.ENTRY
        if entry and not self.exchange.market.sessions.is_open(to_us(self.universe.now)):
            raise Broken(Violation("close", f"entry {coid} leaves at {self.universe.now}, the market is closed"))


def close_of(day: str) -> datetime:
    """When the market really closes on a day."""
    found = calendar().between(date.fromisoformat(day), date.fromisoformat(day))
    return from_us(found[0].close_us)
