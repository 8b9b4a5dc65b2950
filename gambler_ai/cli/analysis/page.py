"""A report as one page of HTML: nothing is loaded and nothing runs, in light, in dark and on paper.

Everything that comes from outside is escaped, and the page forbids itself scripts, frames and requests (its
Content-Security-Policy), so that what slipped through could do nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from html import escape

from gambler_ai import __version__
from gambler_ai.cli import render
from gambler_ai.cli.analysis.figures import Figure, Group, excursions, groups, heading, leverage
from gambler_ai.cli.analysis.gathering import Report, RoundTrip, notes
from gambler_ai.cli.analysis.svg import chart, has_markers

#: Figures that stand at the top, by their names.
_HEADLINES = ("Change", "Total return", "Max drawdown", "Round trips", "Win rate", "Profit factor")

#: The sheet of every page: colours by meaning, in light, in dark and on paper.
STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --quiet: #5c6773; --paper: #ffffff; --card: #f5f7f9; --rule: #dfe4ea;
  --line: #2f6db3; --good: #1a7f4b; --bad: #c0392b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7ec; --quiet: #98a3af; --paper: #14181d; --card: #1c2229;
  --rule: #303842; --line: #6ea8e8; --good: #55c48a; --bad: #ef7c70; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1040px; padding: 28px 20px 48px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 22px; margin: 0; font-weight: 600; overflow-wrap: anywhere; }
h2 { font-size: 15px; margin: 36px 0 10px; font-weight: 600; }
h1 span { color: var(--quiet); font-weight: 400; }
.facts { margin: 6px 0 0; color: var(--quiet); overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(148px, 1fr)); gap: 10px; margin: 22px 0 0;
  padding: 0; }
.cards div { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 10px 14px; }
.cards dt { color: var(--quiet); font-size: 13px; }
.cards dd { margin: 0; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }
.good { color: var(--good); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; }
svg { display: block; width: 100%; height: auto; min-width: 560px; }
svg text { font-size: 12px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
.scale { text-anchor: end; }
.grid { stroke: var(--rule); stroke-width: 1; }
.start { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 3 4; }
.gap { stroke: var(--quiet); stroke-width: 1.5; stroke-dasharray: 1 3; }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.area { stroke: none; opacity: .12; }
.equity.line { stroke: var(--line); } .equity.area { fill: var(--line); }
.drawdown.line { stroke: var(--bad); } .drawdown.area { fill: var(--bad); }
.mark { stroke: var(--paper); stroke-width: 1; }
.mark.good { fill: var(--good); } .mark.bad { fill: var(--bad); } .mark.unknown { fill: var(--quiet); }
.key { color: var(--quiet); font-size: 13px; margin: 4px 0 0; }
.groups { display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 0 40px; align-items: start; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 28px 0 6px; }
th, td { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: baseline; }
thead th { color: var(--quiet); font-weight: 500; font-size: 13px; }
.groups th { font-weight: 400; white-space: nowrap; }
.groups td.remark { color: var(--quiet); font-size: 13px; width: 45%; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.when { white-space: nowrap; }
.notes, footer { color: var(--quiet); font-size: 13px; }
footer { margin-top: 40px; border-top: 1px solid var(--rule); padding-top: 12px; }
@media (max-width: 480px) { .groups { grid-template-columns: 1fr; } }
@media print { :root { --ink: #000; --quiet: #444; --paper: #fff; --card: #fff; --rule: #bbb; --line: #1f4f8a;
  --good: #0c5c33; --bad: #9c2417; }
  body { max-width: none; padding: 0; font-size: 11px; } svg { min-width: 0; }
  .cards { grid-template-columns: repeat(6, 1fr); } .cards dd { font-size: 14px; }
  .cards dt, .key, .notes, .groups td.remark, thead th, footer { font-size: 10px; } th, td { padding: 3px 8px 3px 0; }
  .groups { grid-template-columns: 1fr 1fr; } .scroll { overflow: visible; }
  tr, svg, .cards div { break-inside: avoid; }
  .mark, .area, .line { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def page(report: Report) -> str:
    """The whole document."""
    found = groups(report.performance)
    (kind, subject), *rest = heading(report)
    title = f"{kind} {text_of(subject)}"
    said = dict(rest)
    broker = " &middot; ".join(text_of(said[name]) for name in ("Broker", "Sessions") if name in said)
    return document(title, STYLE, [
        "<header>", f"<h1>{title} <span>{text_of(report.status)}</span></h1>",
        f'<p class="facts">{text_of(said["Symbols"])} &middot; {text_of(said["Strategy"])}<br>',
        f"{text_of(said['Market time'])}, New York &middot; {broker}</p>",
        "</header>", "<main>", _cards(found), _chart(report), '<div class="groups">', *map(_group, found), "</div>",
        *_trades(report), *_notes(report), "</main>",
        f"<footer>gambler_ai {text_of(__version__)}, as stored at {text_of(render.day_time(report.info.last_at))} of"
        " market time. Equity is the account's, as its broker states it. A dash: not to be said of this session."
        "</footer>",
    ])  # fmt: skip


def document(title: str, style: str, body: Iterable[str]) -> str:
    """A whole document that loads nothing and runs nothing; ``title`` and ``body`` are safe already."""
    return "\n".join([
        '<!DOCTYPE html>', '<html lang="en">', "<head>", '<meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{title}</title>", f"<style>{style}</style>", "</head>", "<body>", *body, "</body>", "</html>", "",
    ])  # fmt: skip


def text_of(text: str) -> str:
    """What comes from outside, for an element or an attribute: no markup, no control or direction characters."""
    return escape(render.printable(text))


def _class(style: str) -> str:
    return {render.GOOD: "good", render.BAD: "bad"}.get(style, "")


def _cards(found: list[Group]) -> str:
    by_name = {figure.name: figure for group in found for figure in group.figures}
    cards = [
        f'<div><dt>{text_of(name)}</dt><dd class="{_class(figure.style)}">{text_of(figure.value)}</dd></div>'
        for name, figure in ((name, by_name[name]) for name in _HEADLINES)
    ]
    return f'<dl class="cards">{"".join(cards)}</dl>'


def _chart(report: Report) -> str:
    drawn = chart(report)
    if not drawn:
        return '<p class="notes">There is no curve yet: the account was read less than twice.</p>'
    marked = "; a triangle is the end of a round trip, upward with a profit, downward with a loss"
    key = (
        f'<p class="key">Upper: equity in dollars, dashed where it began{marked if has_markers(report) else ""}.'
        " Lower: percent below the highest so far. Only while the session ran.</p>"
    )
    return f'<h2>Equity and drawdown</h2><div class="scroll">{drawn}</div>{key}'


def _group(group: Group) -> str:
    rows = "".join(map(_figure, group.figures))
    return f"<table><caption>{text_of(group.title)}</caption><tbody>{rows}</tbody></table>"


def _figure(figure: Figure) -> str:
    return (
        f'<tr><th scope="row">{text_of(figure.name)}</th>'
        f'<td class="number {_class(figure.style)}">{text_of(figure.value)}</td>'
        f'<td class="remark">{text_of(figure.remark)}</td></tr>'
    )


_HEADINGS = (
    ("Closed", ""), ("Symbol", ""), ("Side", ""), ("Qty", "number"), ("Entry", "number"), ("Exit", "number"),
    ("Leverage", "number"), ("P&L", "number"), ("MAE", "number"), ("MFE", "number"), ("Held", "number"),
    ("Strategy", ""), ("Reason", ""),
)  # fmt: skip


def _trades(report: Report) -> Iterable[str]:
    count = report.performance.trades.count
    if not count:
        return ['<p class="notes">No round trip yet.</p>']
    more = "" if len(report.trades) == count else f", the newest {len(report.trades):,} of {count:,}"
    heads = "".join(f'<th scope="col" class="{kind}">{text_of(name)}</th>' for name, kind in _HEADINGS)
    return [
        f'<div class="scroll"><table><caption>Round trips{text_of(more)}</caption>',
        f"<thead><tr>{heads}</tr></thead><tbody>",
        *(_row(found) for found in report.trades), "</tbody></table></div>",
        '<p class="notes">MAE and MFE: how far the price went against the round trip and for it before it ended, in'
        " percent of the entry, as far as the journal's marks (about one a minute) show it. Leverage: what was bought"
        " or sold short, in equities of the account at the entry.</p>",
    ]  # fmt: skip


def _row(found: RoundTrip) -> str:
    t, (adverse, favourable) = found.trade, excursions(found)
    cells = (
        (render.day_time(t.exit_at), "when"), (t.symbol, ""), (t.side, ""), (render.qty(t.qty), "number"),
        (render.price(t.entry_price), "number"), (render.price(t.exit_price), "number"),
        (leverage(t.leverage), "number"),
        (render.money(t.pnl, sign=True), f"number {_class(_pnl_style(t.pnl))}"), (adverse, "number"),
        (favourable, "number"), (render.span(t.duration), "number"), (t.strategy, ""), (t.reason, ""),
    )  # fmt: skip
    return "<tr>" + "".join(f'<td class="{kind}">{text_of(text)}</td>' for text, kind in cells) + "</tr>"


def _pnl_style(value: Decimal | None) -> str:
    return render.pnl_style(value)


def _notes(report: Report) -> list[str]:
    return [f'<p class="notes">{text_of(text)}</p>' for text in notes(report)]
