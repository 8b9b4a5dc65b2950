"""A learner as one page of HTML: what the terminal shows, as charts. Nothing is loaded and nothing runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gambler_ai import __version__
from gambler_ai.app.learning_view import LearnerPage, Learning
from gambler_ai.cli import render
from gambler_ai.cli.analysis.page import STYLE, document, text_of
from gambler_ai.cli.learning import figures, svg
from gambler_ai.learners.base import Grid

_STYLE = """
.says { margin: 18px 0 0; font-size: 17px; }
.half { display: grid; grid-template-columns: repeat(auto-fill, minmax(380px, 1fr)); gap: 0 40px; align-items: start; }
.half svg { min-width: 0; }
.lines th { font-weight: 400; color: var(--quiet); white-space: nowrap; width: 1%; padding-right: 24px; }
.half td, .half th { white-space: nowrap; } .half td:first-child { white-space: normal; }
.lines td { overflow-wrap: anywhere; }
.warn { color: var(--warn); }
:root { --warn: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --warn: #e0b354; } }
.rival.line { stroke: var(--quiet); stroke-dasharray: 5 4; }
svg .name { fill: var(--ink); }
.interval line { stroke: var(--line); stroke-width: 2; } .interval circle { fill: var(--line); fill-opacity: .85; }
.interval.good line { stroke: var(--good); } .interval.good circle { fill: var(--good); }
.interval.bad line { stroke: var(--bad); } .interval.bad circle { fill: var(--bad); }
.interval.unknown line { stroke: var(--quiet); } .interval.unknown circle { fill: var(--quiet); }
.bar { fill: var(--line); opacity: .75; } .bar.bad { fill: var(--bad); }
td.best { font-weight: 600; color: var(--good); }
.swatch { display: inline-block; width: 22px; height: 0; vertical-align: middle; border-top: 2px solid var(--line); }
.swatch.rival { border-top: 2px dashed var(--quiet); }
@media (max-width: 480px) { .half { grid-template-columns: 1fr; } }
@media print { .half { grid-template-columns: 1fr 1fr; }
  .bar, .interval line, .interval circle { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
#: What stands at the top of the page already.
_ABOVE = frozenset({"Session", "Account", "Worth"})
_KINDS = {render.GOOD: "good", render.BAD: "bad", render.WARN: "warn", render.QUIET: "quiet"}


def learner_page(learning: Learning, page: LearnerPage) -> str:
    """The whole document."""
    row = page.row
    title = f"Learner {text_of(row.name)}"
    standing = f'<span class="{_kind(figures.STYLES[row.standing])}">{text_of(row.standing)}</span>'
    said = [line for line in figures.heading(learning, page) if line.name not in _ABOVE]
    return document(title, STYLE + _STYLE, [
        "<header>", f"<h1>{title} {standing}</h1>",
        f'<p class="facts">{text_of(row.what)}<br>Session {text_of(learning.session)} {text_of(learning.status)}'
        f" &middot; account {text_of(learning.account)}</p>",
        "</header>", "<main>", _cards(page), _says(page), _lines(said, "As stored"),
        *_charts(page), *_grid(page.grid), _lines(figures.figures(page), "Numbers"), "</main>",
        f"<footer>gambler_ai {text_of(__version__)}, as stored at {text_of(figures.when(learning))} of market"
        " time. Each prediction was stored with its entry, before its outcome was known. Loss: the square of what was"
        " predicted less what came; 0 is best.</footer>",
    ])  # fmt: skip


def _kind(style: str) -> str:
    return _KINDS.get(style, "")


def _cards(page: LearnerPage) -> str:
    row = page.row
    found = [
        ("Learned from", f"{row.learned:,}"), ("Judged", f"{row.judged:,}"), ("Won", figures.percent(row.win_rate)),
        ("Mean loss", figures.loss(row.loss)), (f"Mean loss, {row.rival or 'base rate'}", figures.loss(row.rival_loss)),
    ]  # fmt: skip
    cards = "".join(f"<div><dt>{text_of(name)}</dt><dd>{text_of(value)}</dd></div>" for name, value in found)
    return f'<dl class="cards">{cards}</dl>'


def _says(page: LearnerPage) -> str:
    if not page.row.says:
        return ""
    return f'<p class="says {"good" if page.row.beats else ""}">{text_of(page.row.says)}</p>'


def _lines(lines: Sequence[figures.Line], title: str) -> str:
    if not lines:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{text_of(line.name)}</th><td class="{_kind(line.style)}">{text_of(line.text)}</td></tr>'
        for line in lines
    )
    return f'<table class="lines"><caption>{text_of(title)}</caption><tbody>{rows}</tbody></table>'


def _charts(page: LearnerPage) -> Iterable[str]:
    if drawn := svg.curve(page):
        yield f'<h2>Learning curve</h2><div class="scroll">{drawn}</div>'
        yield (
            f'<p class="key"><span class="swatch"></span> {text_of(page.row.name)} &nbsp; '
            f'<span class="swatch rival"></span> {text_of(page.row.rival)}: {text_of(figures.CURVE_SAYS)}.</p>'
        )
    else:
        yield '<p class="notes">There is no curve yet: fewer than two predictions were judged.</p>'
    gaps, calibration = svg.intervals(page), svg.calibration(page)
    if gaps or calibration:
        yield '<div class="half">'
        if gaps:
            heads, rows = figures.GAPS, [cells for cells, _style in figures.gaps(page)]
            yield f"<div><h2>Against the baselines</h2>{gaps}{_table(heads, rows)}"
            yield f'<p class="notes">{text_of(figures.GAPS_SAY)}</p></div>'
        if calibration:
            heads, rows = figures.CALIBRATION, [cells for _tenth, cells in figures.tenths(page)]
            yield f"<div><h2>Calibration</h2>{calibration}"
            yield (
                '<p class="key">Across: predicted. Upward: the share that won, with its 95 % interval; the larger the'
                f" circle, the more. On the dashed line they are the same.</p>{_table(heads, rows)}</div>"
            )
        yield "</div>"
    if drawn := svg.weights(page.weights):
        yield f'<h2>Weights</h2><div class="scroll">{drawn}</div>'


def _table(heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    kinds = ["number" if side == "right" else "" for _name, side in heads]
    head = "".join(
        f'<th scope="col" class="{kind}">{text_of(name)}</th>' for (name, _), kind in zip(heads, kinds, strict=True)
    )
    body = "".join(f"<tr>{_cells(cells, kinds)}</tr>" for cells in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(cells: Sequence[str], kinds: Sequence[str]) -> str:
    return "".join(f'<td class="{kind}">{text_of(text)}</td>' for text, kind in zip(cells, kinds, strict=True))


def _grid(grid: Grid | None) -> list[str]:
    if grid is None:
        return []
    heads = "".join(f'<th scope="col" class="number">{text_of(name)}</th>' for name in grid.columns)
    parts = [
        '<div class="scroll"><table><caption>Values, with how often each was tried</caption>'
        f'<thead><tr><th scope="col"></th>{heads}</tr></thead><tbody>'
    ]
    for name, values, counts in zip(grid.rows, grid.values, grid.counts, strict=True):
        best = max((value for value in values if value is not None), default=None)
        cells = "".join(
            f'<td class="number{" best" if value is not None and value == best else ""}">'
            f"{text_of(figures.cell(value, count))}</td>"
            for value, count in zip(values, counts, strict=True)
        )
        parts.append(f'<tr><th scope="row">{text_of(name)}</th>{cells}</tr>')
    return ["".join([*parts, "</tbody></table></div>"])]
