"""Lines over epochs as SVG, and the page that they stand on."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neocog.report import lines as drawing
from neocog.report.lines import Axis, Line, in_steps, svg, swatch, thinned
from neocog.report.page import COLOURS, DARK, LIGHT, STYLE, page, policy

TWO = (
    Line("a, train", ((1.0, 2.0), (2.0, 1.0), (3.0, 0.5)), dashed=True),
    Line("a, validation", ((1.0, 2.2), (2.0, 1.1), (3.0, 0.9))),
)


def drawn(lines: Any = TWO, **more: Any) -> str:
    words = {"key": "loss", "title": "loss", "desc": "it falls", "x_label": "epoch"}
    return svg(lines, **{**words, "y_label": "loss", "empty": "nothing yet", **more})


def parsed(text: str) -> ET.Element:
    """As XML: HTML's attributes may go without quotes."""
    import re

    return ET.fromstring(re.sub(r"=([\w-]+)(?=[\s>/])", r'="\1"', text))


def texts(text: str) -> list[str]:
    return [each.text or "" for each in parsed(text).iter() if each.tag.endswith("text")]


def test_a_figure_has_its_title_description_axes_lines_and_marks() -> None:
    text = drawn()
    tree = parsed(text)
    assert tree[0].text == "loss"
    assert tree[1].text == "it falls"
    assert tree.get("aria-labelledby") == tree[0].get("id")
    assert tree.get("aria-describedby") == tree[1].get("id")
    assert text.count("class=line ") == 2
    assert text.count("stroke-dasharray") == 1
    assert text.count("class=mark ") == 3
    assert text.count('class="mark hollow"') == 3
    assert "<title>a, validation, 3: 0.9</title>" in text
    assert {"1", "2", "3", "epoch", "loss", "0.5", "1.5"} <= set(texts(text))


def test_points_stand_where_their_values_say() -> None:
    axis = Axis(0.0, 4.0, 100.0, 300.0)
    assert [axis.at(value) for value in (0, 1, 4)] == [100, 150, 300]
    log = Axis(0.01, 1.0, 200.0, 0.0, log=True)
    assert log.at(0.1) == pytest.approx(100)
    assert log.ticks() == pytest.approx([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0])
    assert Axis(1e-6, 1e3, 0.0, 1.0, log=True).ticks() == pytest.approx(
        [10.0**n for n in range(-6, 4)]
    )
    assert Axis(0.0, 7.0, 0.0, 1.0).ticks(whole=True) == [0, 2, 4, 6]
    assert Axis(1.0, 3.0, 0.0, 1.0).ticks(whole=True) == [1, 2, 3]


def test_shares_are_written_in_percent_and_stay_within_all() -> None:
    written = texts(drawn([Line("a", ((1.0, 0.9), (2.0, 1.0)))], percent=True, log=False))
    assert "100 %" in written
    assert "92 %" in written
    assert not any(word.startswith("10") and word > "100 %" for word in written)
    fine = texts(drawn([Line("a", ((1.0, 0.9911), (2.0, 0.9919)))], percent=True, log=False))
    assert "99.12 %" in fine


def test_nothing_yet_is_said() -> None:
    assert "nothing yet" in texts(drawn([Line("a", ())]))
    assert "nothing yet" in texts(drawn([]))


def test_what_differs_much_stands_on_a_logarithmic_axis() -> None:
    wide = [Line("a", ((1.0, 100.0), (2.0, 0.01)))]
    assert {"0.1", "1", "10", "100"} <= set(texts(drawn(wide)))
    assert "0.1" not in texts(drawn(wide, log=False))


def test_a_long_line_is_thinned_and_keeps_what_stands_out() -> None:
    points = [(float(n), 1.0 + (n == 777) * 9.0) for n in range(5000)]
    kept = thinned(points, 300)
    assert len(kept) <= 302
    assert (777.0, 10.0) in kept
    assert {points[0], points[-1]} <= set(kept)
    assert thinned(points[:100]) == points[:100]
    assert "class=mark" not in drawn([Line("a", tuple(points))])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.floats(-1e300, 1e300) | st.floats(0, 1) | st.sampled_from([0.0, 5e-324, 1e-12]),
        min_size=1,
        max_size=70,
    ),
    st.booleans(),
)
def test_any_numbers_can_be_drawn_inside_the_picture(values: list[float], percent: bool) -> None:
    points = tuple((float(n + 1), value) for n, value in enumerate(values))
    text = drawn([Line("a", points)], log=not percent)
    assert "nan" not in text
    assert "inf" not in text
    x, y = drawing._axes([Line("a", points)], percent=False, log=not percent)
    for a, b in points:
        assert drawing.LEFT - 0.1 <= x.at(a) <= drawing.WIDTH
        assert -0.1 <= y.at(b) <= drawing.HEIGHT - drawing.BOTTOM + 0.1
    assert len(y.ticks()) <= 20


def test_names_are_text() -> None:
    text = drawn([Line("<b>\u202e", TWO[0].points)], title="a & b")
    assert "<b>" not in text
    assert "&lt;b&gt;\N{REPLACEMENT CHARACTER}" in text
    assert parsed(text)[0].text == "a & b"


def test_runs_are_told_apart_without_colours() -> None:
    shapes = {swatch(n).partition("M15.0 6.0")[2] for n in range(4)}
    assert len(shapes) == 4
    assert swatch(1).count("c1") == 1
    assert swatch(9).count("c1") == 1


@pytest.mark.parametrize("ground", [0, 1])
def test_lines_and_words_stand_out_from_their_ground(ground: int) -> None:
    """WCAG 2.2, 1.4.3 and 1.4.11."""
    paper, ink, weak = (LIGHT, DARK)[ground]
    assert contrast(ink, paper) > 7
    assert contrast(weak, paper) > 4.5
    for pair in COLOURS:
        assert contrast(pair[ground], paper) >= 3, pair


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio" and "relative luminance"."""
    lights = sorted(luminance(colour) for colour in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return math.fsum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_a_page_runs_what_its_policy_names_and_nothing_else() -> None:
    text = page(title="a <b>", lang="en", body="<p>x</p>", style="p {}", script="let a = 1;")
    assert "<title>a &lt;b&gt;</title>" in text
    assert f"<style>{STYLE}p {{}}</style>" in text
    assert policy("p {}", "let a = 1;") in text
    assert "script-src" not in page(title="a", lang="en", body="")
    assert policy("", "a") != policy("", "b")


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ([0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001], True),
        ([0.1, 0.08, 0.06, 0.04, 0.02, 1e-5], False),
        ([0.1], False),
        ([], False),
    ],
)
def test_a_rate_that_falls_in_steps_is_told_from_one_that_falls_evenly(
    values: list[float], steps: bool
) -> None:
    assert in_steps([Line("lr", tuple(enumerate(map(float, values))))]) is steps
