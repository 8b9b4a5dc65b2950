"""The one thread that talks to the broker. It takes committed intents and read requests, and only answers.

Every outcome is an input to the engine; there is no second path. Requests are carried out in the
order in which they were asked for, one at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from queue import SimpleQueue
from typing import Any, TypeVar

from gambler_ai import crashpoints
from gambler_ai.clock import Clock
from gambler_ai.core.degraded import Condition, named
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
from gambler_ai.core.model import REGULAR_SESSION, Activity
from gambler_ai.core.orders import OrderReport
from gambler_ai.core.ports import Broker, MarketData
from gambler_ai.core.sieve import Sieve
from gambler_ai.core.watch import PRICES, limited_until
from gambler_ai.errors import BrokerAuthError, BrokerError, BrokerRefused, ReadFailed, StorageError
from gambler_ai.trading.feed import Feed
from gambler_ai.trading.option_reader import OptionPrices, OptionReader, Wanted
from gambler_ai.trading.patience import Patience

#: How far back bars are asked for at first, at least: over a weekend and a holiday.
HISTORY = timedelta(days=5)
#: So many orders are looked up by their own ids in one reading, at most.
LOOKUPS_MAX = 200
#: Calendar days that a regular session takes with its share of weekends.
DAYS_A_SESSION = 1.4


@dataclass(frozen=True)
class Submit:
    """Send ``body``, which is committed; not after ``valid_until`` of session time, if that is given."""

    client_order_id: str
    body: str
    valid_until: datetime | None = None


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
    """Read bars and last trades; ``options``: prices of contracts as well."""

    symbols: tuple[str, ...]
    interval: timedelta
    history: int
    options: Wanted | None = None


Request = Submit | Replace | Cancel | Read | Scan
T = TypeVar("T")


class Executor:
    """Runs requests on a worker thread and puts what came of them into the feed."""

    def __init__(
        self, broker: Broker, market_data: MarketData, feed: Feed, wall: Clock | None = None,
        before_send: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """``wall`` is this machine's clock, where it can be held against the broker's.

        ``before_send`` is called right before a request that changes something; what it raises keeps that here.
        A `StorageError` of it is an answer like a lost one; anything else ends the session.
        """
        self._broker = broker
        self._market_data = market_data
        self._feed = feed
        self._wall = wall
        self._patience = {BROKER: Patience(feed), MARKET_DATA: Patience(feed)}
        self._before_send = before_send
        self._todo: SimpleQueue[Request | None] = SimpleQueue()
        self._sieve: Sieve | None = None
        self._option_reader = OptionReader(market_data)
        self._marks: dict[str, Decimal | None] = {}
        self._waiting: tuple[str, ...] = ()  # ids that the last reading had no room to look up
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
        now = self._feed.clock.now()
        if request.valid_until is not None and now > request.valid_until:  # decided before an outage, or a long sleep
            text = f"not sent: its signal was good until {request.valid_until:%F %T} UTC"
            return SubmitRefused(now, request.client_order_id, text, duplicate=False)
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
            self._before_send()
            report = send()
        except StorageError as error:
            return SubmitUnanswered(self._feed.clock.now(), coid, f"not sent: {error.message}")
        except BrokerAuthError:
            raise
        except BrokerRefused as error:
            duplicate = error.status in (409, 422) and "must be unique" in error.message
            return SubmitRefused(self._feed.clock.now(), coid, error.message, duplicate)
        except BrokerError as error:
            until = self._patience[BROKER].take(error)
            return SubmitUnanswered(self._feed.clock.now(), coid, error.message, until)
        if report.client_order_id != coid:
            text = f"the broker answered for {report.client_order_id}"
            return SubmitUnanswered(self._feed.clock.now(), coid, text)
        return SubmitAnswered(self._feed.clock.now(), coid, report)

    def _cancel(self, request: Cancel) -> Input:
        refused = ""
        crashpoints.hit("cancel.before")
        try:
            self._before_send()
            self._broker.cancel(request.order_id)
        except BrokerAuthError:
            raise
        except StorageError as error:
            refused = error.message
        except BrokerError as error:  # whatever it was, the order's own report tells
            refused = error.message
            self._patience[BROKER].take(error)
        crashpoints.hit("cancel.after")
        return CancelAnswered(self._feed.clock.now(), request.order_id, refused)

    def _read(self, request: Read) -> Input:
        if (until := self._patience[BROKER].until) is not None:
            return BrokerFailed(self._feed.clock.now(), BROKER, limited_until(until), Condition.RATE)
        asked_at = self._instants()
        try:
            report = read_broker(self._broker, request, self._waiting)
        except BrokerAuthError:
            raise
        except BrokerError as error:
            return self._failed(BROKER, error, "")
        self._patience[BROKER].answered()
        self._waiting = report.waiting
        self._marks = {p.symbol: p.current_price for p in report.positions}
        skew_s = _skew_s(asked_at, report.market.at, self._instants())
        return BrokerReported(self._feed.clock.now(), report, request.reconcile, skew_s)

    def _instants(self) -> tuple[datetime, ...]:
        """What the clocks say that keep the broker's time."""
        return () if self._wall is None else (self._wall.now(), self._feed.clock.now())

    def _failed(self, name: str, error: BrokerError, subject: str) -> BrokerFailed:
        """A reading that did not come, under the name of what is wrong."""
        until = self._patience[name].take(error)
        now = self._feed.clock.now()
        if until is not None:
            return BrokerFailed(now, name, limited_until(until), named(Condition.RATE, subject))
        answered = isinstance(error, ReadFailed | BrokerRefused)
        closer = Condition.READS if name == BROKER and answered else ""
        return BrokerFailed(now, name, error.message, closer)

    def _scan(self, request: Scan) -> Input:
        now = self._feed.clock.now()
        if (until := self._patience[MARKET_DATA].until) is not None:
            return BrokerFailed(now, MARKET_DATA, limited_until(until), named(Condition.RATE, PRICES))
        sieve = self._sieve or Sieve(request.symbols, request.interval, request.history)
        try:
            told = self._market_data.bars(
                request.symbols, request.interval, _since(sieve, now, request), now, request.history
            )
            trades = self._market_data.trades(request.symbols)
        except BrokerAuthError:
            raise
        except BrokerError as error:
            return self._failed(MARKET_DATA, error, PRICES)
        self._patience[MARKET_DATA].answered()
        self._sieve = sieve
        found = sieve.sift(told, trades, self._marks, now)
        contracts = OptionPrices()
        if request.options is not None:
            contracts = self._option_reader.read(request.options, request.symbols, found.trades, now)
        if contracts.error is not None:
            self._patience[MARKET_DATA].take(contracts.error)
        return BarsClosed(
            self._feed.clock.now(), found.frame, found.trades, found.quarantined, contracts.quotes, contracts.daily,
            "" if contracts.error is None else contracts.error.message,
        )  # fmt: skip


def read_broker(broker: Broker, request: Read, waited: Sequence[str] = ()) -> BrokerReport:
    """One whole reading, or the error of the first part that failed; never a part of one.

    Orders that no listing shows are looked up one by one, `LOOKUPS_MAX` of them; those of ``waited`` come first, and
    the ids that wait in turn are in the report.

    Fills are read after orders, so that each fill's order is known by then (RECOVERY_PROTOCOL 2.1).
    """
    crashpoints.hit("read.before")
    market = _brought("clock", broker.market())
    account = _brought("account", broker.account())
    orders = _brought("orders", broker.orders(request.orders_since))
    listed = {r.client_order_id for order in orders for r in (order, *order.legs)}  # a leg may have an id of ours
    shown = {r.order_id for order in orders for r in (order, *order.legs)}
    todo = [coid for coid in request.expect if coid not in listed] + [o for o in request.orders if o not in shown]
    turn, waiting = in_turn(todo, waited)
    lookups: dict[str, OrderReport | None] = {
        coid: _brought("lookup", broker.order_by_client_id(coid)) for coid in request.expect if coid in turn
    }
    wanted = [order_id for order_id in request.orders if order_id not in waiting]
    found = [*orders, *filter(None, lookups.values())]
    by_id, rest = _brought("by_id", _by_id(broker, wanted, found, LOOKUPS_MAX - len(lookups)))
    fills = _brought("fills", broker.fills(request.fills_since))
    positions = _brought("positions", broker.positions())
    actions: tuple[Activity, ...] = ()
    if request.actions_since is not None:
        actions = _brought("actions", tuple(broker.actions(request.actions_since)))
    return BrokerReport(
        market=market, account=account, orders=tuple(orders), fills=tuple(fills), positions=tuple(positions),
        lookups=lookups, by_id=by_id, actions=actions, waiting=(*waiting, *rest),
    )  # fmt: skip


def in_turn(wanted: Sequence[str], waited: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of ``wanted`` that are looked up now, and those that wait: what has waited comes first."""
    still = set(wanted)
    queue = list(dict.fromkeys([*(one for one in waited if one in still), *wanted]))
    return queue[:LOOKUPS_MAX], queue[LOOKUPS_MAX:]


def _by_id(
    broker: Broker, wanted: Sequence[str], shown: list[OrderReport], most: int
) -> tuple[dict[str, OrderReport | None], list[str]]:
    """Orders that no listing showed, and those that took the place of one that is ours (RECOVERY_PROTOCOL C12).

    After ``most`` of them the rest is only named.
    """
    known = {r.order_id: r for order in shown for r in (order, *order.legs)}
    found: dict[str, OrderReport | None] = {}
    todo, rest = list(wanted), []
    while todo:
        order_id = todo.pop(0)
        if order_id in found:
            continue
        report = known.get(order_id)
        if report is None and len(found) >= most:
            rest.append(order_id)
            continue
        if report is None:
            report = found[order_id] = broker.order(order_id)
        if report is not None and report.replaced_by and report.replaced_by not in known:
            todo.append(report.replaced_by)
    return found, rest


def _brought(what: str, found: T) -> T:
    crashpoints.hit(f"read.{what}")
    return found


def _since(sieve: Sieve, now: datetime, request: Scan) -> datetime:
    """From where the sieve has no more; as far back as the strategy's history reaches at first."""
    sessions = -(-request.interval * request.history // REGULAR_SESSION)
    reach = HISTORY + timedelta(days=int((sessions - 1) * DAYS_A_SESSION))
    return max(now - reach, sieve.since or now - reach)


def _skew_s(before: tuple[datetime, ...], at: datetime, after: tuple[datetime, ...]) -> float:
    """By how much one of our clocks is ahead of the broker's (behind: below zero), as far as that is sure.

    The broker looked at its own, ``at``, somewhere between the question and the answer.
    """
    found = [
        max((b - at).total_seconds(), 0.0) + min((a - at).total_seconds(), 0.0)
        for b, a in zip(before, after, strict=True)
    ]
    return max(found, key=abs, default=0.0)
