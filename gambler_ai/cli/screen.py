"""The live view as lines of a given size: nothing is wrapped, what is cut ends in an ellipsis or a count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from gambler_ai.cli import render, words
from gambler_ai.cli.render import GOOD, QUIET, STRONG, WARN, pair
from gambler_ai.cli.report import PROTECTION_STYLES
from gambler_ai.cli.structure_rows import StructureRow, greek, percent, sum_of
from gambler_ai.cli.view import Notice, Place, Row, View

#: Lines of notices; of decisions where there is room for more, and what many positions leave of them.
NOTICES_MAX = 5
DECISIONS_MAX = 12
DECISIONS_MIN = 3
#: Cells of the bar of the time left.
BAR_MIN, BAR_MAX = 10, 40

#: A text and its style.
Cell = tuple[str, str]


class Column(NamedTuple):
    """A column of a table; where there is no room, the lowest ``rank`` goes first."""

    heading: str
    rank: int
    cells: list[Cell]
    left: bool = False

    @property
    def width(self) -> int:
        return max(cell_len(text) for text, _style in [(self.heading, ""), *self.cells])


def draw(view: View, place: Place, now: datetime, pace: float, width: int, height: int) -> list[Text]:
    """The picture at session time ``now``, at most ``height`` lines of ``width`` cells, the last one empty.

    ``pace`` is session seconds a wall second as configured or measured, 0 when neither is known.
    """
    room = max(1, height - 1)  # the cursor rests on a line of its own
    head = _head(view, place, now, pace, width)
    notices = _notices(view.notices)
    left = room - 1 - len(head) - len(notices)
    kept = DECISIONS_MIN if view.watched.last else 2
    held = _structures(view.structures, width, max(3, left - 2 - kept - min(len(view.rows), 3)))
    if view.rows or not held:
        held += [Text()] if held else []
        held += _positions(view.rows, width, max(2, left - 2 - kept - len(held)))
    left -= 1 + len(held)
    decisions = _decisions(view, min(DECISIONS_MAX, left - 1)) if left > 2 else []
    lines = [Text("─" * width, QUIET), *head, *notices, Text(), *held]
    if decisions:
        lines += [Text(), *decisions]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
        line.truncate(width, overflow="ellipsis")
    return [*lines[:room], Text()]


def _head(view: View, place: Place, now: datetime, pace: float, width: int) -> list[Text]:
    title = Text.assemble(
        ("gambler_ai", STRONG), f" {place.version}  ", ("paper trading  session ", QUIET), (view.session_id, STRONG)
    )
    return [
        title, pair("Broker", _tail_kept(render.printable(place.broker), width)),
        pair("Database", _tail_kept(place.database, width)), _market(view, place, now),
        _time_left(view, now, pace, width), _equity(view, width), _cash(view), _checkpoint(view, now), *_streams(view),
        *([pair("Learners", view.learners)] if view.learners else []),
    ]  # fmt: skip


def _tail_kept(text: str, width: int) -> str:
    """The end of an address says most: a long one loses its middle."""
    room = max(20, width - 12)
    if len(text) <= room:
        return text
    return f"{text[: room // 3]}…{text[-(room - room // 3 - 1) :]}"


def _market(view: View, place: Place, now: datetime) -> Text:
    time = f"{now.astimezone(render.NEW_YORK):%a %Y-%m-%d %H:%M:%S} New York, "
    opens = view.watched.opens
    if opens is None:
        return pair("Market", Text.assemble(time, ("open", GOOD), f", {render.pace(place.pace)}"))
    until = f" until {opens.astimezone(render.NEW_YORK):%a %H:%M}, in {render.span(opens - now)}"
    return pair("Market", Text.assemble(time, ("closed", WARN), until))


def _time_left(view: View, now: datetime, pace: float, width: int) -> Text:
    left_s = view.left_s(now)
    words_ = f"{render.span(timedelta(seconds=left_s))} of {render.span(timedelta(seconds=view.budget_s))}"
    if pace and pace != 1 and not view.watched.opens:
        words_ += f", {render.span(timedelta(seconds=left_s / pace))} at this pace"
    room = min(BAR_MAX, width - 12 - len(words_) - 2)
    line = pair("Time left", "")
    if room >= BAR_MIN:
        done = round(room * (1 - left_s / view.budget_s)) if view.budget_s else room
        line.append("━" * done, GOOD)
        line.append("─" * (room - done), QUIET)
        line.append("  ")
    return line.append(words_)


def _equity(view: View, width: int) -> Text:
    line = _changes(view, percent=True)
    return line if line.cell_len <= width else _changes(view, percent=False)


def _changes(view: View, *, percent: bool) -> Text:
    account = view.account
    line = pair("Equity", f"{render.dollars(account.equity):>14}")
    for name, before in (("day", account.last_equity), ("session", view.initial_equity)):
        line.append(f"   {name} ", QUIET)
        line.append(*_change(account.equity, before, percent=percent))
    return line


def _change(now: Decimal, before: Decimal | None, *, percent: bool) -> Cell:
    if not before:
        return "-", ""
    change = now - before
    share = f" ({change / before * 100:+.2f} %)" if percent else ""
    return render.money(change, sign=True) + share, render.pnl_style(change)


def _cash(view: View) -> Text:
    return pair("Cash", Text.assemble(
        f"{render.dollars(view.account.cash):>14}", ("   buying power ", QUIET),
        render.dollars(view.account.buying_power), ("   closed ", QUIET), str(view.closed_trades), " for ",
        (render.money(view.realized, sign=True), render.pnl_style(view.realized)),
    ))  # fmt: skip


def _checkpoint(view: View, now: datetime) -> Text:
    info = view.watched.checkpoint
    if info is None:
        return pair("Checkpoint", "none yet", QUIET)
    age = render.span(max(timedelta(), now - (view.watched.checkpoint_at or info.at)))
    return pair("Checkpoint", f"#{info.number:,}, {age} ago, {view.watched.stored:,} stored")


def _streams(view: View) -> list[Text]:
    """A line for all that are up, one for each that is not."""
    up = [name for name, is_up, _why in view.watched.streams if is_up]
    lines = [pair("Streams", f"{', '.join(up)} up")] if up else []
    for name, is_up, why in view.watched.streams:
        if not is_up:
            text = render.printable(f"{name} down: {why}; polled all the same")
            lines.append(pair("" if lines else "Streams", text, WARN))
    return lines


def _notices(notices: Sequence[Notice]) -> list[Text]:
    shown = notices if len(notices) <= NOTICES_MAX else notices[: NOTICES_MAX - 1]
    lines = [Text.assemble((f"{n.name:<12}", n.style), render.printable(n.text)) for n in shown]
    if len(shown) < len(notices):
        lines.append(_more(len(notices) - len(shown)))
    return lines


def _positions(rows: Sequence[Row], width: int, room: int) -> list[Text]:
    """A heading and a line each, in at most ``room`` lines; the columns that matter least go first."""
    if not rows:
        return [Text("No open positions", QUIET)]
    fits = len(rows) + 1 <= room
    shown = rows if fits else rows[: max(1, room - 2)]
    columns = [
        Column("symbol", 8, [(r.symbol, "") for r in shown], left=True),
        Column("qty", 6, [(render.qty(r.qty), "") for r in shown]),
        Column("entry", 2, [(render.price(r.entry), "") for r in shown]),
        Column("mark", 4, [(render.price(r.mark), "") for r in shown]),
        Column("P&L", 5, [(render.money(r.gain, sign=True), render.pnl_style(r.gain)) for r in shown]),
        Column("stop", 3, [(render.price(r.stop), "") for r in shown]),
        Column("target", 1, [(render.price(r.target), "") for r in shown]),
        Column("", 7, [(r.status.value, PROTECTION_STYLES[r.status]) for r in shown], left=True),
    ]
    lines = _table(columns, width)
    if len(shown) < len(rows):
        lines.append(_more(len(rows) - len(shown)))
    return lines


def _structures(rows: Sequence[StructureRow], width: int, room: int) -> list[Text]:
    """The same of structures, and the greeks of them all below."""
    if not rows:
        return []
    fits = len(rows) + 2 <= room
    shown = rows if fits else rows[: max(1, room - 3)]
    columns = [
        Column("options", 9, [(r.underlying, "") for r in shown], left=True),
        Column("legs", 8, [(r.legs, "") for r in shown], left=True),
        Column("units", 5, [(str(r.units), "") for r in shown]),
        Column("entry", 3, [(render.money(r.entry), "") for r in shown]),
        Column("value", 4, [(render.money(r.value), "") for r in shown]),
        Column("P&L", 7, [(render.money(r.gain, sign=True), render.pnl_style(r.gain)) for r in shown]),
        Column("of max", 4, [(percent(r.share), render.pnl_style(r.share)) for r in shown]),
        *(
            Column(name, 1, [(greek(getattr(r.greeks, name, None)), "") for r in shown])
            for name in ("delta", "theta", "vega")
        ),
        Column("days", 6, [(str(r.days_left), "") for r in shown]),
        Column("", 8, [(r.status, r.style) for r in shown], left=True),
        Column("strategy", 2, [(render.printable(r.name), QUIET) for r in shown], left=True),
    ]
    lines = _table(columns, width)
    if len(shown) < len(rows):
        lines.append(_more(len(rows) - len(shown)))
    return [*lines, _greeks(rows)]


def _greeks(rows: Sequence[StructureRow]) -> Text:
    total, unknown = sum_of(rows)
    line = pair("Greeks", "")
    for name, unit in (("delta", " shares"), ("theta", " a day"), ("vega", " a point")):
        line.append(f"{name} ", QUIET)
        line.append(greek(getattr(total, name)))
        line.append(f"{unit}   ", QUIET)
    return line.append(f"without {', '.join(unknown)}: no quote" if unknown else "", WARN)


def _table(columns: list[Column], width: int) -> list[Text]:
    """A heading and the rows. Where ``width`` does not hold them all, the gaps go first, then the lowest ranks."""
    gap = 2
    while sum(c.width for c in columns) + gap * (len(columns) - 1) > width and len(columns) > 1:
        if gap == 2:
            gap = 1
        else:
            columns = [c for c in columns if c.rank > min(column.rank for column in columns)]
    lines = [Text() for _ in range(len(columns[0].cells) + 1)]
    for column in columns:
        for line, (text, style) in zip(lines, [(column.heading, QUIET), *column.cells], strict=True):
            if column is not columns[0]:
                line.append(" " * gap)
            pad = " " * (column.width - cell_len(text))
            line.append(text + pad if column.left else pad + text, style)
    return lines


def _decisions(view: View, room: int) -> list[Text]:
    """A heading and the newest, in at most ``room`` lines."""
    last = view.watched.last[-(room - 1) :]
    if not last:
        return [Text("No decisions in this run yet", QUIET)]
    return [Text("last decisions", QUIET), *(words.line(at, told) for at, told in last)]


def _more(count: int) -> Text:
    return Text(f"and {count} more", QUIET)
