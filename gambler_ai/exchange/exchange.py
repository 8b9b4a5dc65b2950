"""One exchange: one file, one account, one market clock. Every public method is one step under one lock."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gambler_ai.clock import Clock, ManualClock, MarketClock
from gambler_ai.errors import ConfigError
from gambler_ai.exchange.bar_files import read_bars
from gambler_ai.exchange.deeds import Deeds
from gambler_ai.exchange.defaults import DEFAULT_CASH, DEFAULT_SEED, DEFAULT_START
from gambler_ai.exchange.desk.accounts import Account, Margins, margins
from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.desk import Desk
from gambler_ai.exchange.desk.events import OrderEvent
from gambler_ai.exchange.desk.fates import Fate
from gambler_ai.exchange.desk.orders import Order
from gambler_ai.exchange.faults.kinds import ACCOUNT_RESET
from gambler_ai.exchange.hashing import letters, make_uuid
from gambler_ai.exchange.instants import MINUTE, from_us, new_york_us, parse_rfc3339, rfc3339, to_us
from gambler_ai.exchange.journal import SCHEMA_VERSION, Journal
from gambler_ai.exchange.numbers import plain, to_decimal
from gambler_ai.exchange.options.contracts import is_option
from gambler_ai.exchange.options.market import OptionMarket
from gambler_ai.exchange.passage import Passage
from gambler_ai.exchange.prices.market import Market
from gambler_ai.exchange.prices.own import OwnMarket
from gambler_ai.exchange.refusal import ExchangeFileError, Refusal

SAVE_INSTANT_EVERY = 15 * MINUTE  # market time; what a crash can take back of an idle market's clock


class Listener(Protocol):
    """Is told what happens, inside the step that made it happen: it must neither wait nor raise."""

    def on_orders(self, events: Sequence[OrderEvent]) -> None:
        """What happened to orders, oldest first; committed."""

    def on_move(self, from_us: int, to_us: int) -> None:
        """The market has been processed from one instant (excluded) to another (included)."""

    def on_stop(self) -> None:
        """Nothing more will happen: the exchange is closed, or a step has failed."""


class Exchange:
    """Open one with ``Exchange.open``. What it has acknowledged is committed; a failed step stops it for
    good.
    """

    def __init__(
        self, journal: Journal, meta: Mapping[str, str], clock: Clock, speed: float, own: OwnMarket | None = None,
        *, pdt: bool = False,
    ) -> None:  # fmt: skip
        self._journal = journal
        self.path = journal.path  # None for memory
        self._lock = threading.RLock()
        self._broken = ""
        self._listeners: tuple[Listener, ...] = ()
        self._saved_us = parse_rfc3339(meta["instant"])
        self.now_us = self._told_us = self._saved_us
        self.clock = clock
        self.speed = speed
        self.created_us = parse_rfc3339(meta["created"])
        self.seed = int(meta["seed"])
        self.key_id, self.secret_key = meta["key_id"], meta["secret_key"]
        self.account_id, self.account_number = meta["account_id"], meta["account_number"]
        self.initial_cash = Decimal(meta["initial_cash"])
        self.market = Market(self.seed, own)
        self.options = OptionMarket(self.market, self.seed)
        self.book = Book(meta["account_seed"], self.seed, journal.load_account(meta["account"]))
        journal.load(self.book)
        self.annals = journal.load_annals(meta)
        self.posts = len(journal.log())  # how many of orders ever arrived
        self._pdt = pdt
        self.desk = Desk(self.book, self.market, self.options, pdt=pdt)
        self.deeds = Deeds(self)
        self._passage = Passage(self)

    @classmethod
    def open(
        cls,
        path: Path | None = None,
        *,
        start: datetime | None = None,
        seed: int = DEFAULT_SEED,
        cash: Decimal = DEFAULT_CASH,
        account: str = "",
        speed: float = 0.0,
        clock: ManualClock | None = None,
        data: Path | None = None,
        pdt: bool = False,
    ) -> Exchange:
        """Open or create. ``seed``, ``cash`` and ``account`` are read on creation only; the file knows them
        after. ``data`` is a directory of bars of the user's own (docs/EXCHANGE.md, "Your own bars"), the same one at
        each opening; without ``start`` a new file then opens at noon of the middle one of their days. ``pdt``: the
        pattern-day-trader rule holds (`desk.day_trades`).

        Raises ExchangeInUse, ExchangeFileError, ConfigError.
        """
        if speed < 0 or (speed and clock is not None):
            raise ConfigError("an exchange runs by itself (speed > 0) or is paced by a clock of yours, not both")
        own = None if data is None else read_bars(data)
        journal = Journal(path)
        try:
            meta = journal.meta()
            if not meta:
                meta = _create(journal, to_us(start or _default_start(own)), seed, cash, account, own)
            elif not meta["secret_key"]:  # it was moved here, and no secret travels
                journal.keep_secret(_new_secret())
                meta = journal.meta()
            _check_data(path, meta, own)
            opening = parse_rfc3339(meta["instant"])
            if start is not None:
                opening = max(opening, to_us(start))
            origin = from_us(opening)
            chosen: Clock = clock if clock is not None else ManualClock(origin)
            if speed:
                chosen = MarketClock(origin, speed)
            elif clock is not None:
                clock.move_to(origin)
            return cls(journal, meta, chosen, speed, own, pdt=pdt)
        except (sqlite3.Error, msgspec.MsgspecError, LookupError, ValueError, TypeError, ArithmeticError) as error:
            journal.close()
            what = f"{type(error).__name__}: {error}"[:200]
            raise ExchangeFileError(f"{path} is not a usable exchange file: {what}") from error
        except BaseException:
            journal.close()
            raise

    def close(self) -> None:
        """Persist the instant and free the file."""
        with self._lock:
            if not self._broken and (self.now_us > self._saved_us or self._has_changes):
                self._commit()
            self._stop(self._broken or "the exchange is closed")
            self._journal.close()

    def _stop(self, why: str) -> None:
        self._broken = why
        for listener in self._listeners:
            listener.on_stop()

    # time

    def now(self) -> datetime:
        """The instant up to which the market has been processed."""
        return from_us(self.now_us)

    def advance(self, to: datetime) -> datetime:
        """Move a market that is paced from outside to ``to`` and process it. Time never goes back."""
        if not isinstance(self.clock, ManualClock):
            raise ConfigError(f"this exchange runs by itself at speed {self.speed:g}; it cannot be advanced")
        with self.step():
            self.clock.move_to(to)
            self._catch_up()
        return self.now()

    @contextmanager
    def step(self) -> Iterator[None]:
        """One request: catch up with the clock, do it, commit what changed before the answer leaves.

        Anything but a Refusal stops the exchange: memory and file may differ, and the file is the truth.
        """
        with self._lock:
            if self._broken:
                raise ExchangeFileError(f"the exchange has stopped: {self._broken}")
            try:
                self._catch_up()
                try:
                    yield
                except (Refusal, ConfigError):
                    self._commit_changes()
                    raise
                self._commit_changes()
            except (Refusal, ConfigError):
                raise
            except BaseException as error:
                self._stop(f"{type(error).__name__}: {error}")
                raise

    def join(self, listener: Listener) -> None:
        """Tell it what happens from now on; nothing that happened before."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def leave(self, listener: Listener) -> None:
        """When this returns the listener is told nothing any more."""
        with self._lock:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

    def _commit_changes(self) -> None:
        if self._has_changes or self.now_us - self._saved_us >= SAVE_INSTANT_EVERY:
            self._commit()
        from_us, self._told_us = self._told_us, self.now_us
        if from_us < self.now_us:
            for listener in self._listeners:
                listener.on_move(from_us, self.now_us)

    @property
    def _has_changes(self) -> bool:
        return self.book.has_changes or self.annals.has_changes

    def _commit(self, log: Mapping[str, Any] | None = None, *, annals: bool = True) -> None:
        self._journal.commit(self.book, {"instant": rfc3339(self.now_us)}, log, self.annals if annals else None)
        self._saved_us = self.now_us
        events = self.book.events.take()
        for listener in self._listeners if events else ():
            listener.on_orders(events)

    def _catch_up(self) -> None:
        target = to_us(self.clock.now())
        for deed in self.deeds.due(target):
            self._passage.to(deed.at_us)
            self.deeds.perform(deed)
        self._passage.to(target)

    # figures

    def authorizes(self, key_id: bytes, secret: bytes) -> bool:
        """Are these the account's keys? Takes as long whatever is wrong with them."""
        known = secrets.compare_digest(key_id, self.key_id.encode())
        return secrets.compare_digest(secret, self.secret_key.encode()) and known

    @property
    def is_open(self) -> bool:
        return self.market.sessions.is_open(self.now_us)

    def mark(self, symbol: str, *, close: bool = False, us: int | None = None) -> Decimal:
        """The last trade, or the last day's close; of a contract the middle of its quote. Now, or at an instant."""
        us = self.now_us if us is None else us
        if is_option(symbol):
            return self.options.last_close(symbol, us) if close else self.options.mark(symbol, us)
        if close:
            return to_decimal(self.market.last_close(symbol, us) or 0)
        tick = self.market.tick(symbol, us)
        return to_decimal(tick.last if tick else 0)

    def margins(self, *, closes: bool = False) -> Margins:
        book = self.book
        mark = partial(self.mark, close=closes)
        return margins(book.account, book.positions.values(), book.open_orders(), mark)

    # commands; the caller is inside ``step``

    def submit(self, payload: object, fate: Fate | None = None) -> tuple[dict[str, Any], Order]:
        """POST /v2/orders: the entity as it is answered, and the order, which may have filled meanwhile.

        Raises Refusal. Either way the attempt is in the durable log.
        """
        wanted = payload if isinstance(payload, Mapping) else {}
        named = wanted.get("client_order_id"), wanted.get("symbol")
        try:
            entity, order = self.desk.submit(payload, self.now_us, self.margins, fate or Fate())
        except Refusal as refusal:
            self.log_post(named, refusal.status, f"refused {refusal.code}: {refusal.message}", None)
            raise
        self.log_post((order.client_order_id, order.symbol), 200, str(entity["status"]), order.id)
        return entity, order

    def reset(self, cash: Decimal) -> None:
        """Another account under the same keys, as after a reset on Alpaca's site: no orders, fills and positions. The
        log of POSTs stays. It is committed with the deed, which the annals hold by now.
        """
        self._commit(annals=False)
        number = sum(deed.kind == ACCOUNT_RESET for deed in self.annals.deeds)
        names = _names(f"{self.book.account_seed.partition('#')[0]}#{number}")
        self.account_id, self.account_number = names["account_id"], names["account_number"]
        self.created_us = self.now_us
        race = self.book.exits_race
        self.book = Book(names["account_seed"], self.seed, Account(cash=cash, last_equity=cash))
        self.book.exits_race, self.book.account_changed = race, True
        self.desk = Desk(self.book, self.market, self.options, pdt=self._pdt)
        self._journal.commit(self.book, names | {"created": rfc3339(self.now_us)}, None, self.annals, anew=True)

    def log_post(self, named: tuple[Any, Any], status: int, outcome: str, order_id: str | None) -> None:
        """Write the log row, and with it everything that has changed: one commit a POST."""
        self.posts += 1
        row = {
            "seq": self.posts,
            "at": rfc3339(self.now_us),
            "client_order_id": str(named[0] or ""),
            "symbol": str(named[1] or ""),
            "status": status,
            "outcome": outcome,
            "order_id": order_id,
        }
        self._commit(row)

    def log(self) -> list[dict[str, Any]]:
        """Every order POST that ever arrived, oldest first."""
        with self._lock:
            return self._journal.log()


def _names(account_seed: str) -> dict[str, str]:
    return {
        "account_seed": account_seed,
        "account_id": make_uuid(account_seed, "account"),
        "account_number": "PA" + letters(10, account_seed, "number"),
    }


def _default_start(own: OwnMarket | None) -> datetime:
    """The runner's hour; in bars of the user's own the noon of the middle day: half of them are past, half to come."""
    if own is None:
        return DEFAULT_START
    day = own.sessions[len(own.sessions) // 2].day
    return from_us(new_york_us(day, 12, 0))


def _check_data(path: Path | None, meta: Mapping[str, str], own: OwnMarket | None) -> None:
    """The prices of a file are those that its fills were made at, for ever. Raises ConfigError."""
    known, given = meta.get("data", ""), own.digest if own else ""
    if known == given:
        return
    why = "has shipped prices, not bars of yours" if not known else "was made with other bars than these"
    if not given:
        why = "was made with bars of yours"
    hint = "give the directory that it was made with, unchanged, or another file" if known else "give it another file"
    raise ConfigError(f"the exchange file {path} {why}", hint=hint)


def _new_secret() -> str:
    return secrets.token_urlsafe(30)


def _create(
    journal: Journal, start_us: int, seed: int, cash: Decimal, account: str, own: OwnMarket | None
) -> dict[str, str]:
    """The first rows of a fresh file. Ids follow from (seed, account); the secret must not."""
    account_seed = f"{seed}/{account}"
    balance = Account(cash=cash, last_equity=cash)
    meta = (
        _names(account_seed)
        | {
            "schema": SCHEMA_VERSION,
            "instant": rfc3339(start_us),
            "created": rfc3339(start_us),
            "seed": str(seed),
            "key_id": "PK" + letters(18, account_seed, "key"),
            "secret_key": _new_secret(),
            "initial_cash": plain(cash),
        }
        | ({"data": own.digest} if own else {})
    )
    journal.commit(Book(account_seed, seed, balance), meta)
    return journal.meta()
