"""The page of a learner: whole, harmless, and it says what the terminal says."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import msgspec
import pytest
from msgspec.structs import replace

from gambler_ai.cli.learning import figures, svg
from gambler_ai.cli.learning.page import learner_page
from gambler_ai.learners.base import Weight
from tests.unit.cli.analysis.test_page import NASTY, assert_only_text, cells, outline
from tests.unit.cli.learning.conftest import GRID, learning


def page_of(page) -> str:
    return learner_page(learning(page), page)


def test_it_is_whole_and_asks_nobody_for_anything(make_page):
    text = page_of(make_page(900, 4.0, grid=GRID))
    found = outline(text)
    assert not {"script", "link", "img", "iframe", "object", "a", "form", "use", "image"} & set(found.seen)
    names = {name for name, _ in found.attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "href", "xlink:href", "style")}
    assert "url(" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in found.attributes
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids)) == 8, "a title and a description for each chart"


def test_what_comes_from_outside_is_only_text(make_page):
    grid = replace(GRID, rows=(NASTY, NASTY), columns=(NASTY,) * 3)
    page = make_page(grid=grid, why=NASTY, hint=NASTY, says=NASTY, troubles=(NASTY,), what=NASTY, name=NASTY)
    rivals = tuple(replace(rival, name=NASTY) for rival in page.rivals)
    page = replace(page, weights=(Weight(NASTY, 0.5, NASTY),), facts={NASTY: NASTY}, rivals=rivals)
    assert_only_text(learner_page(learning(page, session=NASTY, account=NASTY, status=NASTY), page))


def test_it_says_what_the_terminal_says(make_page):
    page = make_page(900, 4.0, grid=GRID, troubles=("it rotted",), reset_waits=True)
    text, found = page_of(page), learning(page)
    for line in [*figures.heading(found, page), *figures.figures(page)]:
        assert line.text.partition("  ")[0] in text, line
    for row, _style in figures.gaps(page):
        assert set(row) <= set(cells(text))
    for _tenth, row in figures.tenths(page):
        assert set(row) <= set(cells(text))
    assert {"0.610 (12)", "-"} <= set(cells(text))
    for weight in page.weights:
        assert f">{weight.name}</text>" in text


@pytest.mark.parametrize(("count", "charts"), [(0, 0), (21, 3), (25, 4), (120, 4)])
def test_one_that_has_hardly_learned_has_the_charts_that_it_can_have(make_page, count, charts):
    text = page_of(make_page(count))
    outline(text)
    assert text.count("<svg") == charts
    assert ("There is no curve yet" in text) == (count < 22)


@pytest.mark.parametrize("count", [25, 120])
@pytest.mark.parametrize("draw", [svg.curve, svg.intervals, svg.calibration, lambda page: svg.weights(page.weights)])
def test_a_chart_stays_within_its_frame(make_page, count, draw):
    root = ElementTree.fromstring(draw(make_page(count)))
    assert root.get("role") == "img"
    _, _, width, height = map(float, str(root.get("viewBox")).split())
    for line in root.iter("line"):
        assert all(-1 <= float(str(line.get(name))) <= width + 1 for name in ("x1", "x2"))
        assert all(-1 <= float(str(line.get(name))) <= height + 1 for name in ("y1", "y2"))
    for path in root.iter("path"):
        for x, y in re.findall(r"(-?\d+\.\d+) (-?\d+\.\d+)", str(path.get("d"))):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height


def test_a_share_that_won_is_drawn_where_it_belongs(make_page):
    """The circle of a tenth: across by what was predicted, upward by what won."""
    page = make_page()
    root = ElementTree.fromstring(svg.calibration(page))
    drawn = [(float(str(c.get("cx"))), float(str(c.get("cy")))) for c in root.iter("circle")]
    scale = [text for text in root.iter("text") if text.get("class") == "scale"]
    bottom, top = (float(str(next(t for t in scale if t.text == mark).get("y"))) - 4 for mark in ("0.0", "1.0"))
    tenths = [tenth for tenth in page.calibration if tenth.count]
    assert len(drawn) == len(tenths) > 1
    for (_x, y), tenth in zip(drawn, tenths, strict=True):
        assert (bottom - y) / (bottom - top) == pytest.approx(tenth.won, abs=0.002)
    assert sorted(x for x, _ in drawn) == [x for x, _ in drawn]


def test_the_curve_has_words_for_who_cannot_see_it(make_page):
    root = ElementTree.fromstring(svg.curve(make_page()))
    words = str(root.find("desc").text)  # type: ignore[union-attr]
    assert re.fullmatch(
        r"After 100 predictions the mean loss of attention is 0\.\d{4}, that of base rate 0\.\d{4}\.", words
    )


def test_the_document_for_programs_holds_all_of_it(make_page):
    page = make_page(grid=GRID)
    found = json.loads(msgspec.json.encode(figures.document(learning(page), page)))
    assert (found["session"], found["account"], found["name"]) == ("s-1", "acc-1", "attention")
    assert found["rivals"][0]["name"] == "base rate"
    assert found["curve"][-1]["count"] == found["judged"] == 100
    assert found["grid"]["values"][0] == [0.61, 0.5, None]
    assert found["weights"][0].keys() == {"name", "value", "what"}


@pytest.mark.parametrize("reach", [0.005, 0.42, 0.5, 1.0])
def test_no_number_below_an_interval_is_cut_off(make_page, reach):
    """As wide as 7 units a digit at most: it stands in the middle of its mark."""
    page = make_page(900, 4.0)
    rivals = tuple(replace(rival, low=-reach, high=reach) for rival in page.rivals)
    drawn = ElementTree.fromstring(svg.intervals(replace(page, rivals=rivals)))
    marks = [e for e in drawn.iter() if e.tag.endswith("text") and e.get("class") != "name"]
    assert len(marks) > 2
    for mark in marks:
        half, at = 3.5 * len(mark.text or ""), float(mark.get("x", "nan"))
        assert half <= at <= svg.HALF - half, mark.text
