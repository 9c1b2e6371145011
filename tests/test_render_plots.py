"""Pictures: what is in them is read from matplotlib's figure, how they look on a page from the file."""

from __future__ import annotations

import importlib.util
import io

import matplotlib.image
import pytest
from matplotlib.colors import to_rgb

from sm_magics.metrics import MEASURES, Span, Used
from sm_magics.render import plots

WHEN = Span(1_800_000_000, 300, 4)
PAGES = {"light": "#ffffff", "dark": "#111111"}


def used(variant, errors=(0.0, 0.0, 0.0, 0.0), latency=(None, 1.0, 2.0, 3.0)):
    series = {each.key: (0.0, 4.0, 5.0, 6.0) if each.stat == "Sum" else latency for each in MEASURES}
    series = {**series, "errors_4xx": errors, "errors_5xx": (0.0,) * 4}
    total = {key: sum(each or 0.0 for each in values) for key, values in series.items()}
    return Used(variant, total, series)


def luminance(colour):
    parts = [each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in to_rgb(colour)]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def contrast(one, other):
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("colour", [plots.INK, *plots.COLOURS])
def test_every_colour_reads_on_light_and_on_dark(colour, page):
    assert contrast(colour, page) >= 3  # what WCAG asks of graphics


def test_there_is_a_colour_for_each_of_as_many_variants_as_an_endpoint_may_have():
    assert len(set(plots.COLOURS)) == 10


def test_the_axes_say_what_they_show_with_units():
    axes = plots.figure([used("A")], WHEN).axes
    assert [each.get_ylabel() for each in axes] == ["invocations\nper 5m", "model latency\nms"]
    assert axes[-1].get_xlabel() == "time (UTC)"
    assert all(each.get_ylim()[0] == 0 for each in axes)


def test_errors_have_a_panel_where_there_were_any_and_stand_on_each_other():
    axes = plots.figure([used("A", errors=(0.0, 1.0, 0.0, 2.0)), used("B", errors=(0.0, 3.0, 0.0, 0.0))], WHEN).axes
    assert axes[1].get_ylabel() == "errors\nper 5m"
    assert [(bar.get_y(), bar.get_height()) for bar in axes[1].patches] == [
        *[(0.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.0, 2.0)],
        *[(0.0, 0.0), (1.0, 3.0), (0.0, 0.0), (2.0, 0.0)],
    ]


def test_each_variant_has_its_line_and_its_name():
    made = plots.figure([used("A"), used("B")], WHEN)
    assert [text.get_text() for text in made.legends[0].get_texts()] == ["A", "B"]
    assert [text.get_text() for text in made.axes[-1].get_legend().get_texts()] == ["p50", "p90", "p99"]
    drawn = made.axes[0].get_lines()
    assert [line.get_color() for line in drawn] == list(plots.COLOURS[:2])
    assert list(drawn[0].get_ydata()) == [0.0, 4.0, 5.0, 6.0]
    assert len(made.axes[-1].get_lines()) == 6


def test_variants_that_are_gone_may_make_more_than_there_are_colours_and_all_are_drawn():
    count = len(plots.COLOURS) + 2
    made = plots.figure([used(f"V{n}", errors=(0.0, 1.0, 0.0, 2.0)) for n in range(count)], WHEN)
    assert len(made.legends[0].get_texts()) == count
    assert len(made.axes[0].get_lines()) == count
    assert len(made.axes[1].patches) == count * WHEN.count


def test_one_point_alone_is_seen_and_many_are_a_line():
    alone, many = (plots._line(values) for values in ((None, 1.0, None), (1.0,) * 50))
    assert alone["marker"] == "o"
    assert many["marker"] is None


@pytest.mark.parametrize("latency", [(None,) * 4, (None, 1.0, 2.0, 3.0)])
def test_the_file_is_a_png_without_background_and_the_same_each_time(latency):
    made = plots.png([used("A", latency=latency)], WHEN)
    assert made == plots.png([used("A", latency=latency)], WHEN)
    assert made._repr_png_() == bytes(made)
    assert repr(made) == f"a picture: {len(made):,} bytes of PNG"
    pixels = matplotlib.image.imread(io.BytesIO(made), format="png")
    assert pixels.shape[1] == round(plots.WIDTH * plots.DPI)
    assert pixels[0, 0, 3] == pixels[-1, -1, 3] == 0
    assert pixels[..., 3].max() > 0.95  # of few colours
    assert len(made) < 100_000


def test_a_picture_of_one_period_can_be_drawn():
    series = {each.key: (1.0,) for each in MEASURES}
    assert plots.png([Used("A", dict.fromkeys(series, 1.0), series)], Span(1_800_000_000, 60, 1)).startswith(b"\x89PNG")


def test_without_matplotlib_there_are_none(monkeypatch):
    assert plots.available()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert not plots.available()
