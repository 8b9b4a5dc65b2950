"""What is to happen to the account by itself, and when: lines of a plan, the splits of the shipped prices, orders that
arrive late. It happens between two ticks, at its instant of market time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from gambler_ai.errors import ConfigError
from gambler_ai.exchange import owner
from gambler_ai.exchange.annals import Done
from gambler_ai.exchange.desk.expiry import split_contracts
from gambler_ai.exchange.desk.splits import split_account, split_orders
from gambler_ai.exchange.faults.deeds import Planned, cash_of, day_of, ratio_of
from gambler_ai.exchange.faults.kinds import ACCOUNT_RESET, HAND, SPLIT
from gambler_ai.exchange.instants import rfc3339, to_us
from gambler_ai.exchange.numbers import plain
from gambler_ai.exchange.refusal import Refusal

if TYPE_CHECKING:
    from gambler_ai.exchange.exchange import Exchange

_ARRIVAL, _OF_THE_PRICES = "late_arrival", "prices"


class Deed(NamedTuple):
    """Something that will be done at an instant. ``key`` says by which line of a standing plan."""

    at_us: int
    kind: str
    row: Mapping[str, Any]
    key: str = ""


class Deeds:
    """The deeds of one exchange. What was done is in its annals, and with them in its file."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._planned: list[Deed] = []
        self._own = [
            Deed(exchange.market.split_us(day), SPLIT, {"symbol": series, "ratio": str(ratio), _OF_THE_PRICES: True})
            for (series, day), ratio in exchange.market.known_splits.items()
        ]
        self._own = [deed for deed in self._own if deed.at_us > exchange.now_us]
        for done in exchange.annals.deeds:
            if done.kind == SPLIT:
                self._adjust_prices(done.row, day_of(done.row))

    # what a plan of faults needs of an exchange (`faults.plan.Host`)

    @property
    def seed(self) -> int:
        return self._exchange.seed

    def plan_now_us(self) -> int:
        return to_us(self._exchange.clock.now())

    def plan_anchor_us(self, digest: str) -> int:
        """When a standing plan was first seen; kept with the next commit."""
        seen = self._exchange.annals.first_seen
        return int(seen.setdefault(digest, str(self.plan_now_us())))

    def plan_deeds(self, rows: Sequence[Planned], *, standing: bool) -> None:
        """Instead of what was planned so far. Raises ConfigError for a split on a day that it cannot have."""
        done = {deed.key for deed in self._exchange.annals.deeds if deed.key}
        wanted = [row for row in rows if not standing or row.key not in done]
        now_us = self.plan_now_us()
        planned = []
        for row in wanted:
            at_us = self._split_us(row, now_us) if row.kind == SPLIT else now_us if row.at_us is None else row.at_us
            planned.append(Deed(at_us, row.kind, row.row, row.key if standing else ""))
        self._planned = planned
        if any(deed.at_us <= now_us for deed in planned):
            with self._exchange.step():
                pass

    def _split_us(self, row: Planned, now_us: int) -> int:
        assets = self._exchange.market.assets
        if row.row["symbol"] not in assets:
            raise ConfigError(f'"symbol" is one of {", ".join(assets)}')
        day = day_of(row.row)
        if day not in self._exchange.market.sessions.days:
            raise ConfigError(f'"on": {day} is no trading day of this market')
        at_us = self._exchange.market.split_us(day)
        if at_us < now_us:
            raise ConfigError(f'"on": {day} has opened already; a split is planned before its day')
        return at_us

    # doing

    def submit_later(self, payload: Mapping[str, Any], delay_us: int) -> None:
        """An order that is still on its way. It is lost when this process ends."""
        self._own.append(Deed(self.plan_now_us() + delay_us, _ARRIVAL, payload))

    def due(self, until_us: int) -> Iterator[Deed]:
        """Take the deeds up to an instant, oldest first; those that a deed adds too."""
        while True:
            found = min((*self._planned, *self._own), key=lambda deed: deed.at_us, default=None)
            if found is None or found.at_us > until_us:
                return
            (self._planned if found in self._planned else self._own).remove(found)
            yield found

    def do(self, kind: str, row: Mapping[str, Any]) -> None:
        """Do it now, in a step of its own."""
        with self._exchange.step():
            self.perform(Deed(self._exchange.now_us, kind, row))

    def perform(self, deed: Deed) -> None:
        """The caller is inside a step, and the market has been processed up to the deed's instant."""
        exchange = self._exchange
        if deed.kind == _ARRIVAL:
            try:
                exchange.submit(deed.row)
            except Refusal:
                return  # it is in the log
        elif deed.kind == HAND:
            self._note(deed, owner.act(exchange.desk, exchange.book, deed.row, exchange.now_us, exchange.margins))
        elif deed.kind == ACCOUNT_RESET:
            self._reset(deed)
        else:
            self._split(deed)

    def _reset(self, deed: Deed) -> None:
        before = self._exchange.account_number
        self._note(deed, f"account {before} is no more")
        self._exchange.reset(cash_of(deed.row, self._exchange.initial_cash))

    def _split(self, deed: Deed) -> None:
        exchange, ratio = self._exchange, ratio_of(deed.row)
        series = deed.row["symbol"] if _OF_THE_PRICES in deed.row else self._series(deed.row)
        for symbol in sorted(asset.symbol for asset in exchange.market.assets.values() if asset.series == series):
            split_contracts(
                exchange.book, exchange.annals, exchange.account_id, symbol, ratio, exchange.now_us, exchange.mark
            )
            split_account(exchange.book, exchange.annals, exchange.account_id, symbol, ratio, exchange.now_us)
            split_orders(exchange.book, symbol, ratio, str(deed.row.get("orders") or ""), exchange.now_us)
        if _OF_THE_PRICES in deed.row:  # they have it already
            return
        self._adjust_prices(deed.row, day_of(deed.row))
        self._note(deed, f"{plain(ratio)} for 1")

    def _adjust_prices(self, row: Mapping[str, Any], day: date) -> None:
        self._exchange.market.split(self._series(row), day, ratio_of(row))

    def _series(self, row: Mapping[str, Any]) -> str:
        return self._exchange.market.assets[row["symbol"]].series

    def _note(self, deed: Deed, outcome: str) -> None:
        deeds = self._exchange.annals.deeds
        deeds.append(
            Done(
                seq=len(deeds) + 1, at_us=self._exchange.now_us, key=deed.key, kind=deed.kind, row=dict(deed.row),
                outcome=outcome,
            )
        )  # fmt: skip

    @property
    def begun_with(self) -> Decimal:
        """The cash that the account of today was opened with."""
        resets = [done.row for done in self._exchange.annals.deeds if done.kind == ACCOUNT_RESET]
        return cash_of(resets[-1] if resets else {}, self._exchange.initial_cash)

    def log(self) -> list[dict[str, Any]]:
        """What was done, oldest first."""
        return [
            {"seq": done.seq, "at": rfc3339(done.at_us), "kind": done.kind, "fault": done.row, "outcome": done.outcome}
            for done in self._exchange.annals.deeds
        ]

    def splits(self) -> list[tuple[int, str, Decimal]]:
        """Those of the plans that were done, and those of the prices that are over: instant, series, ratio."""
        now_us = self._exchange.now_us
        market = self._exchange.market
        real = [(market.split_us(day), series, Decimal(ratio)) for (series, day), ratio in market.known_splits.items()]
        planned = [
            (done.at_us, self._series(done.row), ratio_of(done.row))
            for done in self._exchange.annals.deeds if done.kind == SPLIT
        ]  # fmt: skip
        return sorted(split for split in (*real, *planned) if split[0] <= now_us)
