"""The page: whole, harmless, and it says what the terminal says."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from gambler_ai.cli.analysis.figures import groups
from gambler_ai.cli.analysis.page import page
from gambler_ai.cli.analysis.svg import MARKERS_MAX, chart
from gambler_ai.core.performance import Span
from tests.unit.cli.analysis.conftest import info_of, minutes, trade
from tests.unit.fakes import AT, D, after, make_plan

NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m\u202e&amp;"


class Outline(HTMLParser):
    """Elements that are open, all that were seen, and every attribute."""

    VOID = frozenset({"meta", "br", "link", "img", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


def cells(text: str) -> list[str]:
    return re.findall(r"<td[^>]*>([^<]*)</td>", text)


def test_it_is_whole_and_asks_nobody_for_anything(make_report):
    text = page(make_report(trades=(trade(), trade("-5"))))
    found = outline(text)
    assert found.seen[:2] == ["html", "head"]
    assert not {"script", "link", "img", "iframe", "object", "a", "form", "use", "image"} & set(found.seen)
    names = {name for name, _ in found.attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "href", "xlink:href", "style")}
    assert "url(" not in text
    assert "@import" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in found.attributes


def assert_only_text(document: str) -> None:
    """What is in `NASTY` is shown as it is written, and does nothing."""
    assert "<script" not in document
    assert "<img" not in document
    assert not [name for name, _ in outline(document).attributes if name.startswith("on")]
    assert "&lt;script&gt;" in document
    assert "\x1b" not in document
    assert "\u202e" not in document


def test_what_comes_from_outside_is_only_text(make_report):
    plan = make_plan(symbols=(NASTY,), strategy=NASTY, strategy_parameters={NASTY: NASTY})
    closed = trade(symbol=NASTY, side=NASTY, reason=NASTY, strategy=NASTY, end=15)  # it is in the chart too
    text = page(make_report(trades=(closed,), id=NASTY, broker=NASTY, account_id=NASTY, plan=plan, status=NASTY))
    assert "polygon" in outline(text).seen
    assert_only_text(text)


def test_it_says_what_the_terminal_says(make_report):
    report = make_report(trades=(trade(), trade("-5"), trade(None)))
    text = page(report)
    for group in groups(report.performance):
        for figure in group.figures:
            assert f">{figure.name}</th>" in text
            assert figure.value in cells(text)
    assert "1 round trip ended without a price" in text


def test_a_table_that_leaves_some_out_says_so(make_report):
    report = make_report(trades=tuple(trade(end=10 + index) for index in range(5)), shown=2)
    assert "Round trips, the newest 2 of 5" in page(report)


@pytest.mark.parametrize("equity", [(), ("100",)])
def test_a_session_that_was_hardly_read_has_no_chart(make_report, equity):
    text = page(make_report(equity=equity))
    outline(text)
    assert "<svg" not in text
    assert "There is no curve yet" in text
    assert "No round trip yet" in text


@pytest.mark.parametrize(
    "equity", [("100", "100"), ("100", "0", "-50", "20"), ("1e-9", "2e-9"), ("1e15", "9e15", "1e14"), ("0", "0")]
)
def test_the_chart_is_drawn_for_any_curve(make_report, equity):
    root = ElementTree.fromstring(chart(make_report(equity=equity, trades=(trade(end=15), trade("-5", end=500)))))
    assert root.get("role") == "img"
    _, _, width, height = map(float, str(root.get("viewBox")).split())
    for path in root.iter("path"):
        numbers = [float(x) for x in re.findall(r"-?\d+\.\d+", str(path.get("d")))]
        assert all(-1 <= number <= max(width, height) for number in numbers)


def test_the_chart_has_words_for_who_cannot_see_it(make_report):
    report = make_report(trades=(trade(end=15), trade("-5", end=15), trade(None, end=15)))
    root = ElementTree.fromstring(chart(report))
    assert root.find("desc").text == (  # type: ignore[union-attr]
        "Equity went from $100,000.00 to $100,500.00; it was at most 1.00 percent below its highest value so far."
    )
    kinds = [str(mark.get("class")) for mark in root.iter("polygon")]
    assert kinds == ["mark good", "mark bad", "mark unknown"]
    shapes = {str(mark.get("points")) for mark in root.iter("polygon")}
    assert len(shapes) == 3  # a colour alone says nothing


def test_ends_of_round_trips_are_all_marked_or_none(make_report):
    some = make_report(trades=tuple(trade(end=15) for _ in range(MARKERS_MAX)))
    many = make_report(trades=tuple(trade(end=15) for _ in range(MARKERS_MAX + 1)))
    assert chart(some).count("<polygon") == MARKERS_MAX
    assert chart(many).count("<polygon") == 0
    assert "a triangle is" in page(some)
    assert "a triangle is" not in page(many)


def test_an_outage_is_shown_with_its_times(make_report):
    runs = [Span(AT, after(minutes=5)), minutes(12, 90)]
    assert "Not running from 2008-10-07 10:05:00 to 2008-10-07 10:12:00" in chart(make_report(runs=runs))


def test_shares_of_others_are_told(make_report):
    assert "not this session" not in page(make_report())
    assert "not this session" in page(make_report(foreign=True))


def test_each_round_trip_has_its_leverage(make_report):
    text = page(make_report(trades=(trade(leverage=D("0.5")), trade())))
    assert ">Leverage</th>" in text
    assert "0.50x" in cells(text)


def test_an_account_s_page_names_it_and_its_sessions(make_report):
    text = page(make_report(chain=(info_of(id="s-0"), info_of(id=NASTY))))
    outline(text)
    assert "<title>Account acc-1</title>" in text
    assert "2 sessions, s-0 to &lt;script&gt;" in text
