"""A doctor with its surroundings: an exchange in this process, a machine that is well, and a working directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gambler_ai.app.checks.far import Far
from gambler_ai.app.checks.machine import Machine
from gambler_ai.app.checks.row import Row
from gambler_ai.app.doctor import Surroundings, examine
from gambler_ai.broker.alpaca import AlpacaBroker
from gambler_ai.broker.market_data import AlpacaMarketData
from gambler_ai.clock import Clock, ManualClock
from gambler_ai.config import Settings, read
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.rest.server import create_app
from gambler_ai.exchange.rest.transport import ExchangeSession

WELL = Machine(encoding="utf-8", free_bytes=lambda path: 1 << 40, mounts=lambda: "1 0 8:1 / / rw - ext4 /dev/sda rw")


@dataclass
class There:
    """The exchange whose keys the environment holds, and how it is reached."""

    exchange: Exchange
    faults: FaultPlan
    session: ExchangeSession
    asked: list[str] = field(default_factory=list)

    def connect(self, settings: Settings) -> Far:
        self.asked.append(settings.trading_url)
        key, secret = settings.api_key.get_secret_value(), settings.api_secret.get_secret_value()
        data = AlpacaMarketData(key, secret, self.session.url, settings.feed, self.session)
        return Far(AlpacaBroker(key, secret, self.session.url, self.session), data)

    @property
    def clock(self) -> ManualClock:
        """A wall clock that agrees with the exchange's."""
        return ManualClock(self.exchange.now())


@pytest.fixture
def there() -> Iterator[There]:
    exchange, faults = Exchange.open(None), FaultPlan()
    session = ExchangeSession(create_app(exchange, "", faults))
    yield There(exchange, faults, session)
    session.close()
    exchange.close()


@pytest.fixture
def keys(there, monkeypatch) -> None:
    monkeypatch.setenv("ALPACA_API_KEY", there.exchange.key_id)
    monkeypatch.setenv("ALPACA_API_SECRET", there.exchange.secret_key)


@pytest.fixture
def state(home) -> Path:
    """The state directory, made."""
    path = Path(home) / "gambler_ai"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def look(there, tmp_path, monkeypatch) -> Callable[..., dict[str, Row]]:
    """``look(given..., machine=, clock=, connect=, offline=)``: the rows by name."""
    monkeypatch.chdir(tmp_path)

    def run(
        *, machine: Machine = WELL, clock: Clock | None = None, connect: Any = None, offline: bool = False, **given: Any
    ) -> dict[str, Row]:
        around = Surroundings(machine, clock or there.clock, connect or there.connect, offline)
        rows = list(examine(lambda: read(given), around))
        names = [row.name for row in rows]
        assert len(names) == len(set(names)), "two rows have one name"
        for row in rows:
            assert row.found
            assert "\n" not in row.found + row.fix
            assert bool(row.code) == (row.status == "fail"), row
            assert row.fix or row.status in ("ok", "skip"), row
        return {row.name: row for row in rows}

    return run
