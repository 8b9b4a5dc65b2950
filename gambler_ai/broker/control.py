"""Moving the embedded exchange's market: its control endpoints, which Alpaca does not have."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from msgspec import Struct

from gambler_ai.broker.convert import instant, wire_instant
from gambler_ai.broker.fence import FencedSession, is_loopback, reading
from gambler_ai.core.text import one_line
from gambler_ai.errors import BrokerUnreachable


class ExchangeClock(Struct, frozen=True):
    """Where the exchange's market stands. ``speed`` 0: it stands still until it is moved."""

    now: datetime
    speed: float
    labels: dict[str, str]


class ExchangeControl:
    """The control endpoints of an exchange of ours at ``url``."""

    def __init__(self, url: str, token: str) -> None:
        assert is_loopback(urlsplit(url).hostname)
        self._url = url.rstrip("/")
        self._token = token
        self._session = FencedSession()

    def clock(self) -> ExchangeClock | None:
        """Its clock; None when what answers is not an exchange of ours.

        Raises:
            BrokerUnreachable: nothing answers.
        """

        def read() -> ExchangeClock | None:
            reply = self._session.request("GET", f"{self._url}/_exchange/clock")
            if reply.status_code != 200:
                return None
            body = reply.json()
            return ExchangeClock(instant(body["now"]), float(body["speed"]), _labels(body["symbols"]))

        return reading(read)

    def advance(self, to: datetime) -> datetime:
        """Move the market to ``to``; returns the instant reached.

        Raises:
            BrokerUnreachable: it did not answer, or would not.
        """

        def move() -> datetime:
            reply = self._session.request(
                "POST", f"{self._url}/_exchange/advance", json={"to": wire_instant(to)},
                headers={"X-Exchange-Token": self._token},
            )  # fmt: skip
            if reply.status_code != 200:
                raise BrokerUnreachable(f"the exchange would not move its market (HTTP {reply.status_code})")
            return instant(reply.json()["now"])

        return reading(move)


def _labels(symbols: dict[str, str]) -> dict[str, str]:
    return {one_line(str(name), 32): one_line(str(label), 80) for name, label in symbols.items()}
