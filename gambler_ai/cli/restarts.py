"""What was found and done at each resume of a session, as lines and as a document."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from rich.text import Text

from gambler_ai.cli import render, words
from gambler_ai.cli.render import BAD, GOOD, QUIET, STRONG, WARN
from gambler_ai.cli.report import down
from gambler_ai.core import events as ev
from gambler_ai.storage.restarts import Restart
from gambler_ai.storage.sessions import SessionInfo


def print_restarts(info: SessionInfo, found: Collection[Restart]) -> None:
    """A block for each restart, the oldest first."""
    out = render.console()
    out.print(render.pair("Session", f"{info.id}  {_times(len(found))}", STRONG))
    for number, restart in enumerate(found, 1):
        out.print()
        out.print(Text(f"Resume {number}", STRONG) + Text(f"  {render.day_time(restart.started.at)}", QUIET))
        for line in _lines(restart):
            out.print(line)


def restarts_json(found: Collection[Restart]) -> list[dict[str, Any]]:
    """The same for programs; each fact with its kind."""
    return [msgspec.structs.asdict(restart) | {"facts": [_fact(fact) for fact in restart.facts]} for restart in found]


def _fact(fact: ev.Fact) -> dict[str, Any]:
    return {"kind": type(fact).__name__} | msgspec.structs.asdict(fact)


def _lines(restart: Restart) -> list[Text]:
    """Where it began, what it came to, and how it ended."""
    lines = []
    if restart.base is not None:
        lines.append(render.pair("Restored", _base(restart.base)))
        lines += [
            render.pair("", f"set aside, it did not verify: {render.printable(name)}", WARN)
            for name in restart.base.broken
        ]
    end = restart.ended
    if end is not None:
        lines.append(render.pair("Down for", down(end.at - end.since, end.bars, more=end.more)))
    told = [Text("  ") + words.line(words.instant(fact), line) for fact in restart.facts for line in _told(fact)]
    lines += told or [render.pair("Found", "books and broker agreed; nothing had to be done")] * bool(end)
    if restart.more:
        lines.append(Text("  ... and more: see the table journal", QUIET))
    if restart.base is None:
        lines.append(render.pair("Ended", "not told: an earlier version of this program wrote it", QUIET))
    elif end is None:
        lines.append(render.pair("Ended", "it was killed, or failed, before it agreed with the broker", BAD))
    else:
        lines.append(render.pair("Ended", "agreed with the broker, went on", GOOD))
    return lines


def _told(fact: ev.Fact) -> list[words.Told]:
    """A fact in words; here it matters as well that an order was found."""
    if isinstance(fact, ev.OrderUpdated):
        order = fact.report
        text = f"{order.client_order_id[:12]}: the broker has it as {order.status}"
        return [words.Told("order", render.printable(order.symbol), render.printable(text), "")]
    return words.told(fact)


def _base(base: ev.StateRestored) -> str:
    start = "the journal alone" if base.checkpoint is None else f"checkpoint #{base.checkpoint}"
    return f"{start}, {base.replayed} journal rows after it"


def _times(count: int) -> str:
    return {0: "was never resumed", 1: "resumed once"}.get(count, f"resumed {count} times")
