"""What people do meanwhile: orders by hand, requests to the session, the HALT file, a clock set, a lid closed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.model import round_price
from gambler_ai.exchange.desk import expiry
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults.kinds import HAND
from gambler_ai.exchange.options.contracts import is_option
from gambler_ai.exchange.refusal import Refusal
from gambler_ai.simulation.process import Process
from gambler_ai.simulation.scenario import Deed
from gambler_ai.simulation.universe import Universe
from gambler_ai.storage import requests, sessions
from gambler_ai.storage.database import Database

#: Market time for which the HALT file stays.
HALT_FILE_FOR = timedelta(minutes=10)


class Stage(Protocol):
    """What people can reach of an execution."""

    universe: Universe
    exchange: Exchange
    process: Process | None
    session_id: str

    def note(self, text: str) -> None: ...


class Hands:
    """Does what the scenario says; each deed once, at its instant, whether a process lives or not."""

    def __init__(self, stage: Stage, database: Database, folder: Path) -> None:
        """``database`` is a person's own connection."""
        self._stage = stage
        self._database = database
        self._halt_file = folder / "HALT"
        self._asked = 0

    def do(self, deed: Deed) -> None:
        """One deed; what cannot be done is left undone."""
        self._stage.note(f"people: {deed.kind} {deed.argument} {deed.number:g}".rstrip())
        acts: dict[str, Callable[[Deed], None]] = {
            "buy": self._trade, "sell": self._trade, "cancel ours": self._cancel, "close by hand": self._close,
            "move by hand": self._move_by_hand, ev.MOVE_STOP: self._move, ev.MOVE_TARGET: self._move,
            "close leg": self._close_leg, "sell leg": self._sell_leg, "exercise": self._exercise,
            "jump": self._jump, "asleep": self._sleep, "stop": self._stop, "halt file": self._put_halt_file,
        }  # fmt: skip
        acts.get(deed.kind, self._ask)(deed)

    def rest(self) -> None:
        """Take back what would keep the session from its work."""
        self._halt_file.unlink(missing_ok=True)
        self._ask(Deed(0.0, ev.RESUME_TRADING))

    def _trade(self, deed: Deed) -> None:
        body = {"symbol": deed.argument, "qty": f"{deed.number:g}", "side": deed.kind, "type": "market"}
        self._submit(body | {"time_in_force": "day"})

    def _submit(self, body: dict[str, Any]) -> None:
        try:
            with self._stage.exchange.step():
                self._stage.exchange.submit(body)
        except Refusal as refusal:
            self._stage.note(f"people: refused, {refusal.message}")

    def _cancel(self, deed: Deed) -> None:
        self._by_hand({"cancel": self._held(deed)})

    def _close(self, deed: Deed) -> None:
        self._by_hand({"close": self._held(deed)})

    def _close_leg(self, deed: Deed) -> None:
        if symbol := self._contract(deed):
            self._by_hand({"close": symbol})

    def _sell_leg(self, deed: Deed) -> None:
        """One contract more on the other side: a part of it goes."""
        if symbol := self._contract(deed):
            side = "sell" if self._stage.exchange.book.position_qty(symbol) > 0 else "buy"
            self._submit({"symbol": symbol, "qty": "1", "side": side, "type": "market", "time_in_force": "day"})

    def _exercise(self, deed: Deed) -> None:
        """The account's owner exercises a contract that is held long."""
        exchange = self._stage.exchange
        symbol = self._contract(deed)
        if not symbol or not exchange.is_open:
            return
        try:
            with exchange.step():
                expiry.exercise(
                    exchange.book, exchange.annals, exchange.account_id, symbol, exchange.now_us, exchange.margins
                )
        except Refusal as refusal:
            self._stage.note(f"people: refused, {refusal.message}")

    def _contract(self, deed: Deed) -> str:
        """One of the contracts that the account holds, "" without any."""
        held = sorted(symbol for symbol in self._stage.exchange.book.positions if is_option(symbol))
        return held[int(deed.number) % len(held)] if held else ""

    def _move_by_hand(self, deed: Deed) -> None:
        symbol = self._held(deed)
        price = self._price(symbol, -deed.number)
        if price is not None:
            self._by_hand({"replace": symbol, "changes": {"stop_price": f"{price:f}"}})

    def _by_hand(self, row: dict[str, Any]) -> None:
        """As the account's owner, at the exchange."""
        self._stage.exchange.deeds.do(HAND, row)
        self._stage.note(f"people: {self._stage.exchange.deeds.log()[-1]['outcome']}")

    def _move(self, deed: Deed) -> None:
        """A stop behind the last price or a target ahead of it, now and then on the wrong side."""
        symbol = self._held(deed)
        is_behind = (deed.kind == ev.MOVE_STOP) != (deed.number % 8 == 0)
        price = self._price(symbol, -deed.number if is_behind else deed.number)
        if price is not None:
            self._ask(replace(deed, argument=f"{symbol} {price:f}"))

    def _price(self, symbol: str, tenths: float) -> Decimal | None:
        """So many tenths of a percent ahead of the last price that the process knows."""
        process = self._stage.process
        mark = process.state.marks.get(symbol) if process is not None and process.state is not None else None
        if mark is None:
            return None
        sign = 1 if self._stage.exchange.book.position_qty(symbol) >= 0 else -1
        return round_price(mark * (1 + sign * Decimal(int(tenths)) / 1000))

    def _held(self, deed: Deed) -> str:
        """The deed's symbol if the account holds it, else one that it holds."""
        held = sorted(self._stage.exchange.book.positions)
        return deed.argument if deed.argument in held or not held else held[0]

    def _jump(self, deed: Deed) -> None:
        self._stage.universe.jump(timedelta(seconds=deed.number))

    def _sleep(self, deed: Deed) -> None:
        self._stage.universe.sleep_through(timedelta(seconds=deed.number))

    def _stop(self, deed: Deed) -> None:
        if self._stage.process is not None:
            self._stage.process.ask_to_stop("stopped by SIGTERM")

    def _put_halt_file(self, deed: Deed) -> None:
        self._halt_file.write_text("simulated\n")
        self._stage.universe.at(
            self._stage.universe.now + HALT_FILE_FOR, lambda: self._halt_file.unlink(missing_ok=True)
        )

    def _ask(self, deed: Deed) -> None:
        self._asked += 1
        with self._database.read() as db:
            found = [info for info in sessions.listed(db) if info.id == self._stage.session_id]
        if found:
            with self._database.write() as db:
                requests.add(
                    db, found[0], deed.kind, deed.argument, "simulated", "a person", self._stage.universe.wall,
                    f"{self._asked:04}",
                )  # fmt: skip
