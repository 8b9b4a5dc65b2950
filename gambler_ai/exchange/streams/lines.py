"""The two streams as their subscribers see them, without a socket: what is said, what is answered, and what
a plan of faults makes of it (BEHAVIOUR 7 and 8).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from gambler_ai.exchange.desk.events import OrderEvent
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults.kinds import (
    BAD_PRICE,
    STREAM_CUT,
    STREAM_DROP,
    STREAM_MUTE,
    STREAM_REPEAT,
    STREAM_SWAP,
)
from gambler_ai.exchange.faults.plan import AUTH, DATA, INTERNAL, PLAN, TRADE_UPDATES, V2, Fault, FaultPlan
from gambler_ai.exchange.faults.spoil import spoil_stream
from gambler_ai.exchange.instants import MINUTE, SECOND
from gambler_ai.exchange.prices.market import Market
from gambler_ai.exchange.streams.fakepaca import rows_of_test
from gambler_ai.exchange.streams.outbox import CLOSE, CUT, Outbox
from gambler_ai.exchange.streams.subscriptions import (
    NOTHING,
    Subscription,
    Wish,
    confirmation,
    fits,
    narrowed,
    widened,
)
from gambler_ai.exchange.streams.tape import rows_of_move
from gambler_ai.exchange.wire.entities import trade_update_entity

ROWS_A_MESSAGE = 100  # of market data; a frame stays far below the mebibyte that clients take
_STANDING = (STREAM_CUT, STREAM_MUTE)  # faults that need no message
_ON_MESSAGE = (STREAM_CUT, STREAM_MUTE, STREAM_REPEAT, STREAM_DROP, STREAM_SWAP)


class Line:
    """One connection's end of the conversation. It is heard on the event loop; what happens at the exchange
    reaches it in whatever thread made it happen.
    """

    stream = ""
    farewell: Any = None  # what a reader that is too slow is told

    def __init__(self, exchange: Exchange, faults: FaultPlan, outbox: Outbox) -> None:
        self._exchange = exchange
        self._faults = faults
        self._outbox = outbox
        self._muted_until_us = -math.inf
        self._held: list[object] = []  # told after the next message
        self.authorized = False

    @property
    def listening(self) -> bool:
        """Has it asked for anything that happens at the exchange?"""
        return False

    def greet(self) -> None:
        """The connection stands."""

    def hear(self, data: bytes, decode: Callable[..., Any]) -> None:
        """A message of the client; ``decode`` is msgspec's, of JSON or of msgpack."""
        del data, decode

    def expire(self) -> None:
        """The time to authenticate is over."""
        if not self.authorized:
            self._outbox.end(CLOSE)

    def on_stop(self) -> None:
        self._outbox.end(CLOSE)

    def on_orders(self, events: Sequence[OrderEvent]) -> None:
        del events

    def on_move(self, from_us: int, to_us: int) -> None:
        del from_us, to_us

    def on_faults(self) -> None:
        """The plan of faults is another: does it cut or mute what listens already?"""
        fault = self._faults.take_stream(self.stream, _STANDING) if self.listening else None
        if fault is not None:
            self._suffer(fault, self._exchange.now_us)

    def _fits(self, key_id: str | None, secret: str | None) -> bool:
        """Are these the account's keys, and is no fault in the way?"""
        given = [(text or "").encode(errors="replace") for text in (key_id, secret)]
        return self._exchange.authorizes(*given) and self._faults.take_refusal(self.stream, AUTH) is None

    def _reply(self, message: object) -> None:
        if self._exchange.now_us >= self._muted_until_us:
            self._outbox.put(message)

    def _announce(self, message: object, at_us: int) -> None:
        """Send what happened at that instant, unless a fault has other plans for it."""
        if at_us < self._muted_until_us:
            return
        fault = self._faults.take_stream(self.stream, _ON_MESSAGE, message)
        if fault is not None and fault.kind == STREAM_SWAP:
            self._held.append(message)
            return
        if fault is not None:
            self._suffer(fault, at_us)
        for _ in range(1 if fault is None else 2 if fault.kind == STREAM_REPEAT else 0):
            self._outbox.put(message)
        for held in self._held:
            self._outbox.put(held)
        self._held.clear()

    def _suffer(self, fault: Fault, at_us: int) -> None:
        if fault.kind == STREAM_CUT:
            self._outbox.end(CUT)
        elif fault.kind == STREAM_MUTE:
            self._muted_until_us = at_us + fault.seconds * SECOND


class _Keys(msgspec.Struct):
    key_id: str | None = None
    secret_key: str | None = None
    streams: list[str] | None = None


class _TradeWish(msgspec.Struct):
    action: str = ""
    key: str | None = None
    secret: str | None = None
    data: _Keys | None = None


class TradeLine(Line):
    """``trade_updates``: one message an event of an order, in the order in which they happened."""

    stream = TRADE_UPDATES

    def __init__(self, exchange: Exchange, faults: FaultPlan, outbox: Outbox) -> None:
        super().__init__(exchange, faults, outbox)
        self._streams: tuple[str, ...] = ()

    @property
    def listening(self) -> bool:
        return bool(self._streams)

    def hear(self, data: bytes, decode: Callable[..., Any]) -> None:
        try:
            wish: _TradeWish = decode(data, type=_TradeWish)
        except (ValueError, RecursionError):
            self._say("error", error="invalid message")
            return
        inner = wish.data or _Keys()
        if wish.action in ("authenticate", "auth"):
            self.authorized = self._fits(wish.key or inner.key_id, wish.secret or inner.secret_key)
            self._streams = self._streams if self.authorized else ()
            status = "authorized" if self.authorized else "unauthorized"
            self._say("authorization", status=status, action="authenticate")
        elif not self.authorized:
            self._say("authorization", status="unauthorized", action=wish.action)
        elif wish.action == "listen":
            streams = (self.stream,) if self.stream in (inner.streams or ()) else ()
            self._say("listening", streams=streams)
            self._streams = streams
            self.on_faults()
        else:
            self._say("error", error="unknown action")

    def _say(self, stream: str, **data: object) -> None:
        self._reply({"stream": stream, "data": data})

    def on_orders(self, events: Sequence[OrderEvent]) -> None:
        if self._streams:
            for event in events:
                self._announce({"stream": self.stream, "data": trade_update_entity(event)}, event.at_us)


Tape = Callable[[Market, Subscription, int, int], list[dict[str, Any]]]


class Feed(NamedTuple):
    """What a path of the data stream gives. ``symbols`` is how many one connection may subscribe, None for any number;
    ``lag_us`` how old what it tells is.
    """

    symbols: int | None
    lag_us: int = 0
    tape: Tape = rows_of_move


FEEDS = {
    "iex": Feed(30),  # Alpaca's free plan
    "sip": Feed(None),
    "delayed_sip": Feed(None, 15 * MINUTE),
    "test": Feed(None, tape=rows_of_test),
}
#: What a fault (`stream_refuse`) makes of an authentication, beside "auth failed".
REFUSALS = {PLAN: (409, "insufficient subscription"), V2: (408, "v2 not enabled"), INTERNAL: (500, "internal error")}


class DataLine(Line):
    """Market data: control messages in arrays of one, data in arrays of some."""

    stream = DATA
    farewell = ({"T": "error", "code": 407, "msg": "slow client"},)

    def __init__(
        self, exchange: Exchange, faults: FaultPlan, outbox: Outbox, *, claim: Callable[[], bool], feed: Feed
    ) -> None:
        """``claim`` asks for the account's one connection."""
        super().__init__(exchange, faults, outbox)
        self._claim = claim
        self._feed = feed
        self._subscription: Subscription = NOTHING

    @property
    def listening(self) -> bool:
        return any(self._subscription.values())

    def greet(self) -> None:
        self._reply([{"T": "success", "msg": "connected"}])

    def expire(self) -> None:
        if not self.authorized:
            self._refuse(404, "auth timeout")
        super().expire()

    def hear(self, data: bytes, decode: Callable[..., Any]) -> None:
        try:
            wish: Wish = decode(data, type=Wish)
            if wish.action == "auth":
                self._authenticate(wish)
            elif wish.action not in ("subscribe", "unsubscribe"):
                self._refuse(400, "invalid syntax")
            elif not self.authorized:
                self._refuse(401, "not authenticated")
            else:
                change = widened if wish.action == "subscribe" else narrowed
                self._subscribe(change(self._subscription, wish))
        except (ValueError, RecursionError):
            self._refuse(400, "invalid syntax")

    def _authenticate(self, wish: Wish) -> None:
        if self.authorized:
            self._refuse(403, "already authenticated")
        elif not self._fits(wish.key, wish.secret):
            self._refuse(402, "auth failed")
        elif why := next((at for at in REFUSALS if self._faults.take_refusal(self.stream, at) is not None), ""):
            self._refuse(*REFUSALS[why])
            self._outbox.end(CLOSE)
        elif not self._claim():
            self._refuse(406, "connection limit exceeded")
            self._outbox.end(CLOSE)
        else:
            self.authorized = True
            self._reply([{"T": "success", "msg": "authenticated"}])

    def _subscribe(self, subscription: Subscription) -> None:
        if not fits(subscription, self._feed.symbols):
            self._refuse(405, "symbol limit exceeded")
            return
        self._reply([confirmation(subscription)])
        self._subscription = subscription
        self.on_faults()

    def _refuse(self, code: int, why: str) -> None:
        self._reply([{"T": "error", "code": code, "msg": why}])

    def on_move(self, from_us: int, to_us: int) -> None:
        if not self.listening:
            return
        lag_us = self._feed.lag_us
        rows = self._feed.tape(self._exchange.market, self._subscription, from_us - lag_us, to_us - lag_us)
        spoiled = self._faults.take_stream(self.stream, (BAD_PRICE,), rows) if rows else None
        if spoiled is not None:
            rows = spoil_stream(rows, spoiled.price)
        for first in range(0, len(rows), ROWS_A_MESSAGE):
            self._announce(rows[first : first + ROWS_A_MESSAGE], to_us)
