"""Curves in braille: what is drawn is what was there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.cli.analysis.plot import SCALE, Series, axis, plot, plots


def drawn(points: list[tuple[float, float]], width: int = SCALE + 4, height: int = 2, **more: object) -> list[str]:
    return [line.plain for line in plot(points, width, height, lambda value: f"{value:.0f}", "", **more)]  # type: ignore[arg-type]


def test_a_value_holds_until_the_next_one():
    assert drawn([(0.0, 0.0), (0.5, 10.0), (1.0, 10.0)]) == [
        "        10 │  ⡏⠉",
        "         0 │⣀⣀⡇ ",
    ]


def test_what_does_not_move_is_one_line_with_one_mark():
    assert drawn([(0.0, 5.0), (1.0, 5.0)]) == ["         5 │⠉⠉⠉⠉", "           │    "]


def test_every_spike_is_seen_however_many_points_a_column_has():
    points = [(index / 999, 100.0 if index == 500 else 0.0) for index in range(1_000)]
    top = drawn(points, height=3)[0]
    assert top[SCALE:].strip()


def test_a_scale_that_is_given_is_kept():
    lines = drawn([(0.0, -1.0), (1.0, -2.0)], height=2, bounds=(-4.0, 0.0))
    assert [line[:SCALE].strip(" │") for line in lines] == ["0", "-4"]


def test_two_curves_stand_on_one_scale_and_the_first_has_the_cells_that_both_want():
    first, second = Series([(0.0, 1.0), (1.0, 1.0)], "green"), Series([(0.0, 0.0), (0.5, 1.0)], "dim", dotted=True)
    top, bottom = plots([first, second], SCALE + 4, 2, lambda value: f"{value:.0f}")
    assert [top.plain, bottom.plain] == ["         1 │⠉⠉⡏⠉", "         0 │⡀ ⡇ "]  # of the second, columns 0 and 4
    assert [str(line.spans[-1].style) for line in (top, bottom)] == ["green", "dim"]


@given(
    st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=50), st.integers(20, 130), st.integers(2, 12)
)  # fmt: skip
def test_it_fills_its_room_and_no_more(values, width, height):
    points = [(index / max(1, len(values) - 1), value) for index, value in enumerate(values)]
    lines = drawn(points, width, height)
    assert len(lines) == height
    assert all(len(line) == width for line in lines)
    assert any(line[SCALE:].strip() for line in lines)


def test_marks_of_the_axis_never_run_into_each_other():
    marks = [(0.0, "09:30"), (0.02, "09:35"), (0.5, "12:00"), (1.0, "16:00")]
    assert axis(marks, 52).plain == " " * SCALE + "09:30" + " " * 15 + "12:00" + " " * 10 + "16:00"
