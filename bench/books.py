"""Sessions to measure with: so many positions, each with its orders, written the way the program writes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from gambler_ai.clock import SystemClock
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import Account, Fill, Side
from gambler_ai.core.orders import OrderIntent, OrderReport, Purpose, bracket_body, client_order_id, entry_decision_id
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.storage import journal, lease, sessions
from gambler_ai.storage.database import Database
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.recovery import restore
from gambler_ai.trading.runner import PRUNE_EVERY

AT = datetime(2008, 10, 7, 14, 0, tzinfo=UTC)  # a Tuesday, 10:00 in New York
SESSION, ACCOUNT = "bench-session", "bench-account"
CASH = Decimal(1_000_000)
PRICE, STOP, TARGET, QTY = Decimal("100.25"), Decimal("98.24"), Decimal("104.26"), Decimal(100)


@dataclass
class Books:
    """One session that is being run, and its clock."""

    database: Database
    state: SessionState
    ledger: Ledger
    now: datetime = AT

    def commit(self, facts: list[ev.Fact]) -> None:
        """Apply and store facts, as the loop does."""
        self.ledger.commit(Decisions(facts, evolve(self.state, facts)))

    def save(self, facts: list[ev.Fact]) -> None:
        """Apply and store facts and the checkpoint that is due with them, and prune when the loop does."""
        self.ledger.commit(Decisions(facts, evolve(self.state, facts)), checkpoint=True)
        if self.ledger.created % PRUNE_EVERY == 0:
            self.ledger.prune(self.state.plan.keep_checkpoints)

    def marked(self, count: int) -> list[ev.Fact]:
        """A quiet tick: the account, and new marks of ``count`` positions."""
        self.now += timedelta(seconds=15)
        symbols = [name_of(number) for number in range(min(count, len(self.state.positions)))]
        price = PRICE + Decimal(self.now.minute * 60 + self.now.second) / 100
        marks = ev.Marked(self.now, dict.fromkeys(symbols, price), dict.fromkeys(symbols, self.now))
        return [ev.AccountReported(self.now, self.state.account), marks]

    def adjusted(self, count: int) -> list[ev.Fact]:
        """A busy tick: the quantities of ``count`` positions changed, one row each."""
        facts = self.marked(count)
        qty = QTY + self.now.minute * 60 + self.now.second
        return [
            *facts,
            *(
                ev.Adjusted(self.now, name_of(number), qty, None, "bench")
                for number in range(min(count, len(self.state.positions)))
            ),
        ]


def name_of(number: int) -> str:
    """A symbol that no exchange lists."""
    return f"S{number:05d}"


def plan(symbols: tuple[str, ...]) -> Plan:
    """An ordinary plan."""
    return Plan(
        symbols=symbols, duration_s=1e6, interval_s=60.0, checkpoint_interval_s=30.0, timeframe_s=300,
        strategy="momentum", stop_loss_pct=Decimal(2), take_profit_pct=Decimal(4),
        position_size=Decimal(10_000), keep_checkpoints=100, speed=0.0, feed="iex",
    )  # fmt: skip


def entry(state: SessionState, symbol: str, number: int) -> OrderIntent:
    """A decision to buy, as the engine would have drawn it."""
    decided = AT + timedelta(seconds=number)
    decision = entry_decision_id("momentum", symbol, Side.BUY, decided)
    coid = client_order_id(state.account_id, state.session_id, decision)
    return OrderIntent(
        client_order_id=coid, decision_id=decision, attempt=0, purpose=Purpose.ENTRY, strategy="momentum",
        symbol=symbol, side=Side.BUY, qty=QTY, ref_price=PRICE, stop_price=STOP, target_price=TARGET,
        position_id=coid, reason="it rose by 2.31 % in five bars", decided_at=decided,
        valid_until=decided + timedelta(minutes=10), body=bracket_body(coid, symbol, Side.BUY, QTY, TARGET, STOP),
    )  # fmt: skip


def answer(intent: OrderIntent) -> OrderReport:
    """What a broker says of it: filled, both legs resting."""
    parent = OrderReport(
        order_id=f"{intent.client_order_id[4:]}-0000", client_order_id=intent.client_order_id, symbol=intent.symbol,
        side=intent.side, qty=intent.qty, filled_qty=intent.qty, filled_avg_price=PRICE, type="market",
        order_class="bracket", time_in_force="gtc", limit_price=None, stop_price=None, status="filled",
        submitted_at=intent.decided_at, updated_at=intent.decided_at,
    )  # fmt: skip
    return replace(parent, legs=(_leg(parent, "limit", "new"), _leg(parent, "stop", "held")))


def _leg(parent: OrderReport, kind: str, status: str) -> OrderReport:
    order_id = f"{parent.order_id[:-5]}-{kind}"
    return replace(
        parent, order_id=order_id, client_order_id=f"theirs-{order_id}", side=Side.SELL, filled_qty=Decimal(0),
        filled_avg_price=None, type=kind, status=status, limit_price=TARGET if kind == "limit" else None,
        stop_price=STOP if kind == "stop" else None,
    )  # fmt: skip


def fill(report: OrderReport, number: int, qty: Decimal) -> ev.FillReported:
    """An execution of it."""
    at = report.submitted_at
    activity = f"20081007140000000::{number:012d}"
    return ev.FillReported(at, Fill(activity, report.order_id, report.symbol, report.side, qty, PRICE, at))


def opened(state: SessionState, count: int) -> list[ev.Fact]:
    """The facts of ``count`` positions taken."""
    facts: list[ev.Fact] = [ev.RunStarted(AT, 1e6, resumed=False, token=1)]
    for number in range(count):
        intent = entry(state, name_of(number), number)
        report = answer(intent)
        facts += [
            ev.IntentPlanned(intent.decided_at, intent),
            ev.OrderUpdated(intent.decided_at, report),
            fill(report, number, intent.qty),
        ]
    symbols = [name_of(number) for number in range(count)]
    money = Account(cash=CASH, equity=CASH, portfolio_value=CASH, buying_power=CASH)
    facts += [ev.Marked(AT, dict.fromkeys(symbols, PRICE), dict.fromkeys(symbols, AT)), ev.AccountReported(AT, money)]
    return facts


def create(url: str, positions: int, *, broker: str = "embedded") -> None:
    """A fresh database at ``url`` with one session of ``positions`` in it, each with its orders and its fill."""
    database, clock = Database(url), SystemClock()
    database.prepare()
    state = SessionState(
        session_id=SESSION, account_id=ACCOUNT, plan=plan(tuple(map(name_of, range(max(positions, 1))))),
        started_at=AT, last_at=AT,
    )  # fmt: skip
    held = lease.acquire(database, ACCOUNT, SESSION, "bench", clock)
    with database.write() as db:
        sessions.insert(db, state, broker=broker, trading_url=broker, genesis=journal.GENESIS, wall=clock.now())
    books = Books(database, state, Ledger(database, held, state, head=journal.GENESIS, created=0, wall=clock))
    books.commit(opened(state, positions))
    books.ledger.checkpoint()
    books.ledger.release()
    database.close()


@contextmanager
def reopened(url: str) -> Iterator[Books]:
    """The session in the database at ``url``, restored and run by this process until the block ends."""
    database, clock = Database(url), SystemClock()
    database.prepare()
    held = lease.acquire(database, ACCOUNT, SESSION, "bench", clock)
    try:
        with database.read() as db:
            info = sessions.find(db, SESSION)
        found = restore(database, info)
        ledger = Ledger(database, held, found.state, head=found.head, created=info.checkpoints, wall=clock)
        yield Books(database, found.state, ledger, now=found.state.last_at)
    finally:
        held.close()
        database.close()


@contextmanager
def session(url: str, positions: int) -> Iterator[Books]:
    """A fresh session of ``positions`` in a fresh database at ``url``, run by this process."""
    create(url, positions)
    with reopened(url) as books:
        yield books


def sqlite_url(path: Path) -> str:
    """The URL of a file."""
    return f"sqlite:///{path}"
