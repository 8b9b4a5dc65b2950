"""The one thread that talks to the broker. It takes committed intents and read requests, and only answers.

Every outcome is an input to the engine; there is no second path. Requests are carried out in the
order in which they were asked for, one at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import Any, TypeVar

from gambler_ai import crashpoints
from gambler_ai.core import bars
from gambler_ai.core.events import (
    BROKER,
    MARKET_DATA,
    BarsClosed,
    BrokerFailed,
    BrokerReport,
    BrokerReported,
    CancelAnswered,
    Input,
    SubmitAnswered,
    SubmitRefused,
    SubmitUnanswered,
)
from gambler_ai.core.model import Activity, BarFrame
from gambler_ai.core.orders import OrderReport
from gambler_ai.core.ports import Broker, MarketData
from gambler_ai.errors import BrokerAuthError, BrokerError, BrokerRefused
from gambler_ai.trading.feed import Feed

#: How far back bars are asked for at first, at least: over a weekend and a holiday.
HISTORY = timedelta(days=5)
#: So many orders are looked up by their own ids in one reading, at most.
LOOKUPS_MAX = 200
#: A regular session, and the calendar days that one takes with its share of weekends.
SESSION = timedelta(hours=6, minutes=30)
DAYS_A_SESSION = 1.4


@dataclass(frozen=True)
class Submit:
    """Send ``body``, which is committed."""

    client_order_id: str
    body: str


@dataclass(frozen=True)
class Replace:
    """Send ``body``, which is committed, to the order that it is to replace."""

    client_order_id: str
    order_id: str
    body: str


@dataclass(frozen=True)
class Cancel:
    """Ask for a cancel, which is committed."""

    order_id: str


@dataclass(frozen=True)
class Read:
    """Read the whole broker. ``expect`` names intents whose order must be looked up if it is not listed.

    ``orders`` names orders in the broker's own words for which the same holds. ``actions_since``: from when activities
    that are no trades are wanted, None for not at all.
    """

    orders_since: datetime
    fills_since: datetime
    expect: tuple[str, ...]
    reconcile: bool
    orders: tuple[str, ...] = ()
    actions_since: datetime | None = None


@dataclass(frozen=True)
class Scan:
    """Read bars and last trades."""

    symbols: tuple[str, ...]
    interval: timedelta
    history: int


Request = Submit | Replace | Cancel | Read | Scan
T = TypeVar("T")


class Executor:
    """Runs requests on a worker thread and puts what came of them into the feed."""

    def __init__(self, broker: Broker, market_data: MarketData, feed: Feed) -> None:
        self._broker = broker
        self._market_data = market_data
        self._feed = feed
        self._todo: SimpleQueue[Request | None] = SimpleQueue()
        self._frame: BarFrame | None = None
        self._outstanding = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="broker", daemon=True)
        self._run: dict[type, Callable[[Any], Input]] = {
            Submit: self._submit,
            Replace: self._replace,
            Cancel: self._cancel,
            Read: self._read,
            Scan: self._scan,
        }

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._outstanding > 0

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, patience_s: float) -> None:
        """Let the request in flight end, for at most ``patience_s`` wall seconds; what is queued is not begun."""
        self._stopped = True
        self._todo.put(None)
        if self._thread.is_alive():
            self._thread.join(patience_s)

    def ask(self, request: Request) -> None:
        """Queue a request. Only for the thread that also takes the answers."""
        self._outstanding += 1
        self._todo.put(request)

    def answered(self) -> None:
        """An answer was taken from the feed."""
        self._outstanding -= 1

    def _work(self) -> None:
        while (request := self._todo.get()) is not None and not self._stopped:
            try:
                self._feed.put(self._run[type(request)](request))
            except BaseException as error:  # the main thread decides: a worker must not die in silence
                self._feed.put(error)

    def _submit(self, request: Submit) -> Input:
        crashpoints.hit("submit.before")
        try:
            return self._sent(request.client_order_id, lambda: self._broker.submit(request.body))
        finally:
            crashpoints.hit("submit.after")

    def _replace(self, request: Replace) -> Input:
        crashpoints.hit("replace.sent_before")
        try:
            return self._sent(request.client_order_id, lambda: self._broker.replace(request.order_id, request.body))
        finally:
            crashpoints.hit("replace.sent_after")

    def _sent(self, coid: str, send: Callable[[], OrderReport]) -> Input:
        """Send something with an id of ours, once, and say which of the three outcomes it had."""
        try:
            report = send()
        except BrokerAuthError:
            raise
        except BrokerRefused as error:
            duplicate = error.status in (409, 422) and "must be unique" in error.message
            return SubmitRefused(self._feed.clock.now(), coid, error.message, duplicate)
        except BrokerError as error:
            return SubmitUnanswered(self._feed.clock.now(), coid, error.message)
        if report.client_order_id != coid:
            text = f"the broker answered for {report.client_order_id}"
            return SubmitUnanswered(self._feed.clock.now(), coid, text)
        return SubmitAnswered(self._feed.clock.now(), coid, report)

    def _cancel(self, request: Cancel) -> Input:
        refused = ""
        crashpoints.hit("cancel.before")
        try:
            self._broker.cancel(request.order_id)
        except BrokerAuthError:
            raise
        except BrokerError as error:  # whatever it was, the order's own report tells
            refused = error.message
        crashpoints.hit("cancel.after")
        return CancelAnswered(self._feed.clock.now(), request.order_id, refused)

    def _read(self, request: Read) -> Input:
        try:
            report = read_broker(self._broker, request)
        except BrokerAuthError:
            raise
        except BrokerError as error:
            return BrokerFailed(self._feed.clock.now(), BROKER, error.message)
        return BrokerReported(self._feed.clock.now(), report, request.reconcile)

    def _scan(self, request: Scan) -> Input:
        now = self._feed.clock.now()
        held = self._frame if self._frame is not None else bars.empty(request.symbols, request.interval)
        try:
            new = self._market_data.bars(
                request.symbols, request.interval, _since(held, now, request), now, request.history
            )
            trades = self._market_data.trades(request.symbols)
        except BrokerAuthError:
            raise
        except BrokerError as error:
            return BrokerFailed(self._feed.clock.now(), MARKET_DATA, error.message)
        self._frame = bars.join(held, new, request.history)
        return BarsClosed(self._feed.clock.now(), self._frame, trades)


def read_broker(broker: Broker, request: Read) -> BrokerReport:
    """One whole reading, or the error of the first part that failed; never a part of one.

    Fills are read after orders, so that each fill's order is known by then (RECOVERY_PROTOCOL 2.1).
    """
    crashpoints.hit("read.before")
    market = _read("clock", broker.market())
    account = _read("account", broker.account())
    orders = _read("orders", broker.orders(request.orders_since))
    listed = {r.client_order_id for order in orders for r in (order, *order.legs)}  # a leg may have an id of ours
    lookups: dict[str, OrderReport | None] = {
        coid: _read("lookup", broker.order_by_client_id(coid)) for coid in request.expect if coid not in listed
    }
    by_id = _read("by_id", _by_id(broker, request.orders, [*orders, *filter(None, lookups.values())]))
    fills = _read("fills", broker.fills(request.fills_since))
    positions = _read("positions", broker.positions())
    actions: tuple[Activity, ...] = ()
    if request.actions_since is not None:
        actions = _read("actions", tuple(broker.actions(request.actions_since)))
    return BrokerReport(
        market=market, account=account, orders=tuple(orders), fills=tuple(fills), positions=tuple(positions),
        lookups=lookups, by_id=by_id, actions=actions,
    )  # fmt: skip


def _by_id(broker: Broker, wanted: tuple[str, ...], shown: list[OrderReport]) -> dict[str, OrderReport | None]:
    """Orders that no listing showed, and those that took the place of one that is ours (RECOVERY_PROTOCOL C12)."""
    known = {r.order_id: r for order in shown for r in (order, *order.legs)}
    found: dict[str, OrderReport | None] = {}
    todo = list(wanted)
    while todo and len(found) < LOOKUPS_MAX:
        order_id = todo.pop(0)
        if order_id in found:
            continue
        report = known.get(order_id)
        if report is None:
            report = found[order_id] = broker.order(order_id)
        if report is not None and report.replaced_by and report.replaced_by not in known:
            todo.append(report.replaced_by)
    return found


def _read(what: str, found: T) -> T:
    crashpoints.hit(f"read.{what}")
    return found


def _since(held: BarFrame, now: datetime, request: Scan) -> datetime:
    """From the oldest of the symbols' newest bars; as far back as the strategy's history reaches at first."""
    sessions = -(-request.interval * request.history // SESSION)
    reach = HISTORY + timedelta(days=int((sessions - 1) * DAYS_A_SESSION))
    newest = held.times[-1][held.times[-1] > 0] if len(held) else None
    if newest is None or not len(newest):
        return now - reach
    return max(now - reach, datetime.fromtimestamp(int(newest.min()), now.tzinfo))
