"""What is said of a learner, as it is written: one list for the terminal and the page, so that they say the same."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from gambler_ai.app.learning_view import LearnerPage, LearnerRow, Learning, Rival, Standing, Tenth
from gambler_ai.cli import render
from gambler_ai.cli.render import BAD, GOOD, QUIET, WARN
from gambler_ai.cli.wiring import as_called
from gambler_ai.learners.yardstick import LEAST

#: How a learner stands -> its style.
STYLES = {
    Standing.HEARD: GOOD, Standing.WATCHING: "", Standing.FAILED: BAD, Standing.UNREADABLE: BAD,
    Standing.ABSENT: WARN, Standing.ELSEWHERE: QUIET,
}  # fmt: skip


RESET_WAITS = "a reset is asked for; it is taken when the session is next resumed, or by the runner that it has"


class Line(Struct, frozen=True):
    """A name, what is said of it, and the style of that."""

    name: str
    text: str
    style: str = ""
    is_command: bool = False


def heading(learning: Learning, page: LearnerPage) -> list[Line]:
    """Who it is, where, and what it is worth."""
    row, stored = page.row, page.stored
    lines = [
        Line("Session", f"{learning.session}  {learning.status}"),
        Line("Account", learning.account),
        Line("Market time", when(learning)),
        Line("Learned", _learned(row)),
    ]
    if stored is not None:
        whose = "" if stored.session_id == learning.session else f" of session {stored.session_id}"
        size = "gone" if stored.length is None else f"{stored.length:,} bytes"
        lines.append(Line("Stored", f"{render.day_time(stored.at)}, journal row {stored.seq:,}{whose}, {size}"))
    if row.says:
        lines.append(Line("Worth", row.says, GOOD if row.beats else ""))
    if row.why and row.why != row.says:
        lines.append(Line(row.standing.capitalize(), row.why, STYLES[row.standing]))
    if row.hint:
        lines.append(Line("To change", as_called(row.hint), is_command=True))
    if row.reset_waits:
        lines.append(Line("Reset", RESET_WAITS, WARN))
    return [*lines, *(Line("Damaged", text, WARN) for text in row.troubles)]


def when(learning: Learning) -> str:
    """The session's last instant, in New York."""
    return "-" if learning.at is None else render.day_time(learning.at)


def _learned(row: LearnerRow) -> str:
    outcomes = "1 outcome" if row.learned == 1 else f"{row.learned:,} outcomes"
    return f"from {outcomes}; {row.judged:,} were predicted before they were known"


def figures(page: LearnerPage) -> list[Line]:
    """Its numbers, then the lines of its own."""
    row = page.row
    found: list[Line] = []
    if row.loss is not None:
        found.append(Line("Mean loss", against(row.loss, row.rival_loss, row.rival)))
    if row.log_loss is not None:
        found.append(Line("Log loss", against(row.log_loss, row.base_log_loss, "base rate")))
    if row.win_rate is not None:
        found.append(Line("Won", percent(row.win_rate)))
    if row.mean_return_pct is not None:
        found.append(Line("Mean return", f"{row.mean_return_pct:+.3f} % a round trip"))
    return [*found, *(Line(name.capitalize(), text) for name, text in page.facts.items())]


def against(value: float, rival: float | None, name: str) -> str:
    """A loss beside that of what it is held against."""
    return loss(value) + (f", {name} {loss(rival)}" if rival is not None else "")


def loss(value: float | None) -> str:
    """A loss; a dash where there is none."""
    return "-" if value is None else f"{value:.4f}"


def percent(value: float | None) -> str:
    """A share in percent."""
    return "-" if value is None else f"{value * 100:.1f} %"


def verdict(rival: Rival, judged: int) -> tuple[str, str]:
    """What the interval of a gap says, and its style."""
    if judged < LEAST:
        return f"too early: {judged} of {LEAST}", QUIET
    if rival.low > 0:
        return "better", GOOD
    return ("worse", BAD) if rival.high < 0 else ("not told apart", QUIET)


def gaps(page: LearnerPage) -> list[tuple[tuple[str, ...], str]]:
    """Name, its loss, the gap, from, to and the verdict of each baseline, with the verdict's style."""
    found: list[tuple[tuple[str, ...], str]] = []
    for rival in page.rivals:
        says, style = verdict(rival, page.row.judged)
        cells = (rival.name, loss(rival.loss), f"{rival.gap:+.4f}", f"{rival.low:+.4f}", f"{rival.high:+.4f}", says)
        found.append((cells, style))
    return found


GAPS = (
    ("against", "left"), ("its loss", "right"), ("gap", "right"), ("from", "right"), ("to", "right"), ("", "left"),
)  # fmt: skip
GAPS_SAY = (
    "Gap: its loss less the learner's, so above zero the learner is better. From, to: where the gap surely lies, with"
    " 95 % however often one looks. A learner beats what it is held against when all of that is above zero."
)
CURVE_SAYS = "the mean loss so far, after so many predictions; lower is better"
CALIBRATION = (
    ("predicted", "left"), ("count", "right"), ("mean", "right"), ("won", "right"), ("from", "right"), ("to", "right"),
)  # fmt: skip
CALIBRATION_SAYS = "of the entries that were given so much, how many won; from, to: the share's 95 % interval"


def tenths(page: LearnerPage) -> list[tuple[Tenth, tuple[str, ...]]]:
    """The tenths that hold predictions, with their cells."""
    return [
        (t, (f"{t.low:.1f} - {t.high:.1f}", f"{t.count:,}", *(_share(v) for v in
             (t.predicted, t.won, t.won_low, t.won_high))))
        for t in page.calibration if t.count
    ]  # fmt: skip


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def cell(value: float | None, count: int) -> str:
    """A cell of a grid: its value and how often it was tried."""
    return "-" if value is None else f"{value:.3f} ({count:,})"


def row_document(learning: Learning, row: LearnerRow) -> dict[str, Any]:
    """A learner of a list, for programs."""
    return {"session": learning.session, "account": learning.account, **msgspec.to_builtins(row)}


def document(learning: Learning, page: LearnerPage) -> dict[str, Any]:
    """One learner, for programs. Losses are means, returns percent; a gap above zero: the learner is better."""
    found: dict[str, Any] = msgspec.to_builtins(page)
    row = found.pop("row")
    return {
        "session": learning.session, "status": learning.status, "account": learning.account,
        "at": msgspec.to_builtins(learning.at), "rules": msgspec.to_builtins(learning.rules), **row, **found,
    }  # fmt: skip
