"""A structure's payoff as one page of HTML: nothing is loaded and nothing runs, in light, in dark and on paper."""

from __future__ import annotations

from decimal import Decimal
from html import escape
from itertools import pairwise

from gambler_ai import __version__
from gambler_ai.cli import render
from gambler_ai.cli.analysis.page import STYLE, document, text_of
from gambler_ai.cli.analysis.svg import LEFT, RIGHT, WIDTH, Panel, grid, nice
from gambler_ai.cli.payoff.curves import Payoff, Points
from gambler_ai.cli.payoff.facts import LEGS, Fact, facts, legs_table

HEIGHT, TOP, AXIS = 320.0, 14.0, 26.0
_STYLE = """
.lines th { font-weight: 400; color: var(--quiet); white-space: nowrap; width: 1%; padding-right: 24px; }
.lines td { overflow-wrap: anywhere; } .lines td span { color: var(--quiet); font-size: 13px; }
.zero { stroke: var(--quiet); stroke-width: 1; }
.spot { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 3 4; }
.win.area { fill: var(--good); } .lose.area { fill: var(--bad); }
.expiry.line { stroke: var(--ink); } .today.line { stroke: var(--line); stroke-width: 2; }
.even { fill: var(--paper); stroke: var(--ink); stroke-width: 1.6; }
.time { text-anchor: middle; }
.swatch { display: inline-block; width: 22px; height: 0; vertical-align: middle; border-top: 2px solid var(--ink); }
.swatch.today { border-top-color: var(--line); }
"""
_CARDS = ("Now", "At most", "At worst", "Breaks even", "Probability", "Days left")
_KINDS = {render.GOOD: "good", render.BAD: "bad"}


def page(found: Payoff, marks: dict[str, Decimal]) -> str:
    """The whole document."""
    said = facts(found)
    units = f"{found.row.units} {'unit' if found.row.units == 1 else 'units'}"
    title = f"{text_of(found.row.underlying)} {text_of(found.row.name)} {text_of(found.row.legs)}"
    return document(title, STYLE + _STYLE, [
        "<header>", f"<h1>{title} <span>{units}</span></h1>",
        f'<p class="facts">{text_of(found.row.structure_id)}</p>', "</header>", "<main>", _cards(said),
        f'<h2>Profit over the price of {text_of(found.row.underlying)}</h2><div class="scroll">{chart(found)}</div>',
        _key(found), _lines([fact for fact in said[1:] if fact.name not in _CARDS]), _legs(found, marks), "</main>",
        f"<footer>gambler_ai {text_of(__version__)}, as stored at {text_of(render.day_time(found.at))} of market time."
        " Dollars of all units. Now: Black, Scholes and Merton, each contract at the volatility that its price stands"
        " for; early exercise is left out. Probability: of a profit if it is held to the expiry, the price lognormal"
        " about where it is.</footer>",
    ])  # fmt: skip


def chart(found: Payoff) -> str:
    """Both curves, where they win and lose, the price of now and where it breaks even."""
    points = [*found.expiry, *(found.today or ())]
    values = [value for _, value in points]
    room = (max(values) - min(values)) * 0.07 or 1.0
    panel = Panel(TOP, HEIGHT, min(*values, 0.0) - room, max(*values, 0.0) + room)
    low, high = found.expiry[0][0], found.expiry[-1][0]

    def x(price: float) -> float:
        return LEFT + (price - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def path(curve: Points) -> str:
        return "L".join(f"{x(price):.1f} {panel.y(value):.1f}" for price, value in curve)

    bottom, zero = TOP + HEIGHT, panel.y(0.0)
    parts = [
        f'<svg viewBox="0 0 {WIDTH:g} {bottom + AXIS:g}" role="img" aria-labelledby="payoff-title payoff-desc">',
        '<title id="payoff-title">Profit at the expiry and now</title>',
        f'<desc id="payoff-desc">{escape(_in_words(found))}</desc>',
        *grid(panel, nice(panel.low, panel.high, 6), lambda value: f"{value:,.0f}"),
        *(_mark(x(price), bottom, price) for price in nice(low, high, 9)),
        *(_area(kind, [(x(p), panel.y(v)) for p, v in part], zero) for kind, part in parts_of(found.expiry)),
        f'<line class="zero" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{zero:.1f}" y2="{zero:.1f}"/>',
        *_spot(found, x(float(found.spot)) if found.spot is not None else 0.0, bottom),
        f'<path class="expiry line" d="M{path(found.expiry)}"/>',
        *([f'<path class="today line" d="M{path(found.today)}"/>'] if found.today is not None else []),
        *(_even(x(float(price)), zero, price) for price in found.breakevens), "</svg>",
    ]  # fmt: skip
    return "\n".join(parts)


def parts_of(points: Points) -> list[tuple[str, Points]]:
    """The curve cut where it crosses zero, which are points of it: what wins and what loses."""
    found: list[tuple[str, Points]] = []
    for a, b in pairwise(points):
        kind = "win" if a[1] + b[1] > 0 else "lose"
        if found and found[-1][0] == kind:
            found[-1] = kind, (*found[-1][1], b)
        else:
            found.append((kind, (a, b)))
    return found


def _area(kind: str, points: list[tuple[float, float]], zero: float) -> str:
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="{kind} area" d="M{points[0][0]:.1f} {zero:.1f}L{line}L{points[-1][0]:.1f} {zero:.1f}Z"/>'


def _mark(x: float, bottom: float, price: float) -> str:
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP:g}" y2="{bottom:g}"/>'
        f'<text class="time" x="{x:.1f}" y="{bottom + 17:g}">{price:g}</text>'
    )


def _spot(found: Payoff, x: float, bottom: float) -> list[str]:
    if found.spot is None:
        return []
    side, shift = ("end", -6) if x > WIDTH / 2 else ("start", 6)
    return [
        f'<line class="spot" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP:g}" y2="{bottom:g}"/>',
        f'<text style="text-anchor:{side}" x="{x + shift:.1f}" y="{bottom - 8:g}">'
        f"{text_of(found.row.underlying)} {render.price(found.spot)}</text>",
    ]


def _even(x: float, zero: float, price: Decimal) -> str:
    return f'<circle class="even" cx="{x:.1f}" cy="{zero:.1f}" r="4"><title>{render.price(price)}</title></circle>'


def _in_words(found: Payoff) -> str:
    even = " and ".join(map(render.price, found.breakevens)) or "no price"
    most = "without a bound" if found.most is None else render.dollars(found.most)
    least = "without a bound" if found.least is None else render.dollars(found.least)
    return f"At the expiry it wins at most {most}, at worst brings {least}, and breaks even at {even}."


def _cards(said: list[Fact]) -> str:
    by_name = {fact.name: fact for fact in said}
    cards = [
        f'<div><dt>{text_of(name)}</dt><dd class="{_KINDS.get(by_name[name].style, "")}">'
        f"{text_of(by_name[name].value)}</dd></div>"
        for name in _CARDS
    ]
    return f'<dl class="cards">{"".join(cards)}</dl>'


def _key(found: Payoff) -> str:
    now = '<span class="swatch today"></span> now' if found.today is not None else text_of(found.why)
    return (
        f'<p class="key"><span class="swatch"></span> at the expiry &nbsp; {now} &nbsp; dashed: the price of now;'
        " circles: where it breaks even.</p>"
    )


def _lines(said: list[Fact]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{text_of(fact.name)}</th>'
        f"<td>{text_of(fact.value)} <span>{text_of(fact.remark)}</span></td></tr>"
        for fact in said
    )
    return f'<table class="lines"><caption>As stored</caption><tbody>{rows}</tbody></table>'


def _legs(found: Payoff, marks: dict[str, Decimal]) -> str:
    kinds = ["" if text else "number" for _, text in LEGS]
    heads = "".join(
        f'<th scope="col" class="{kind}">{name.capitalize()}</th>' for (name, _), kind in zip(LEGS, kinds, strict=True)
    )
    rows = "".join(
        "<tr>" + "".join(f'<td class="{k}">{text_of(t)}</td>' for t, k in zip(row, kinds, strict=True)) + "</tr>"
        for row in legs_table(found, marks)
    )
    return (
        f'<div class="scroll"><table><caption>Legs</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
