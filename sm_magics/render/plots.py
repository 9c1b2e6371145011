"""Pictures, drawn by matplotlib where it is installed: on no background, in colours that read on light and on dark."""

from __future__ import annotations

import importlib.util
import io
from datetime import timedelta
from itertools import cycle
from typing import TYPE_CHECKING, Any

from sm_magics.amounts import duration
from sm_magics.metrics import PERCENTILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sm_magics.metrics import Span, Used

__all__ = ["COLOURS", "DPI", "INK", "PANEL_HEIGHT", "WIDTH", "Png", "available", "figure", "plain", "png", "saved"]

INK = "#7b8087"  # of all words and axes: about as far from white as from black
COLOURS = ("#3b8ad1", "#d9722e", "#2f9e68", "#ad63c4", "#b08a1e", "#d6546c", "#219aa0", "#7f78d8", "#6d9a2f", "#94785c")
WIDTH, PANEL_HEIGHT, DPI = 8.4, 1.7, 120  # inches, inches, dots an inch
FEW = 12
FEW_COLOURS = 64
STYLES = {"p50": "-", "p90": "--", "p99": ":"}


def available() -> bool:
    """Whether pictures can be drawn here."""
    return importlib.util.find_spec("matplotlib") is not None


class Png(bytes):
    """A PNG file that a notebook shows as the picture it is."""

    __slots__ = ()

    def _repr_png_(self) -> bytes:
        return bytes(self)

    def __repr__(self) -> str:
        return f"a picture: {len(self):,} bytes of PNG"


def png(used: Sequence[Used], when: Span) -> Png:
    """Return the picture of `figure` as a PNG file."""
    return saved(figure(used, when))


def saved(drawn: Any) -> Png:
    """Return a matplotlib figure as a PNG file of few colours, a third as large: it stays in the notebook."""
    from PIL import Image

    stream = io.BytesIO()
    drawn.savefig(stream, format="png", dpi=DPI, transparent=True)
    small = io.BytesIO()
    Image.open(stream).quantize(FEW_COLOURS, Image.Quantize.FASTOCTREE).save(small, format="png", optimize=True)
    return Png(small.getvalue())


def figure(used: Sequence[Used], when: Span) -> Any:
    """Return the matplotlib figure of how variants were used: invocations, errors where there were any, latencies."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels = [_invocations, *([_errors] if any(each.errors for each in used) else []), _latencies]
    made = Figure(figsize=(WIDTH, PANEL_HEIGHT * len(panels) + 0.45), layout="constrained")
    axes = made.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for place, draw in zip(axes, panels, strict=True):
        draw(place, used, when)
        plain(place, whole=draw is not _latencies)
    _time_axis(axes[-1], when)
    looks: Any = {"frameon": False, "fontsize": 9, "labelcolor": INK}
    made.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=5, **looks)
    keys = [Line2D([], [], color=INK, linestyle=STYLES[name], label=name) for name in PERCENTILES]
    axes[-1].legend(handles=keys, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderpad=0, **looks)
    return made


def _invocations(axes: Any, used: Sequence[Used], when: Span) -> None:
    for each, colour in zip(used, cycle(COLOURS), strict=False):
        values = each.series["invocations"]
        axes.plot(when.times, values, color=colour, label=each.variant, **_line(values))
        axes.fill_between(when.times, values, color=colour, alpha=0.12, linewidth=0)
    axes.set_ylabel(f"invocations\nper {duration(when.period)}")


def _errors(axes: Any, used: Sequence[Used], when: Span) -> None:
    below = [0.0] * when.count
    for each, colour in zip(used, cycle(COLOURS), strict=False):
        both = zip(each.series["errors_4xx"], each.series["errors_5xx"], strict=True)
        values = [(a or 0.0) + (b or 0.0) for a, b in both]
        axes.bar(when.times, values, timedelta(seconds=when.period * 0.7), below, color=colour)
        below = [a + b for a, b in zip(below, values, strict=True)]
    axes.set_ylabel(f"errors\nper {duration(when.period)}")


def _latencies(axes: Any, used: Sequence[Used], when: Span) -> None:
    for each, colour in zip(used, cycle(COLOURS), strict=False):
        for name in PERCENTILES:
            measured = each.series[f"model_{name}"]
            values = [float("nan") if value is None else value for value in measured]
            axes.plot(when.times, values, color=colour, **{**_line(measured), "linestyle": STYLES[name]})
    axes.set_ylabel("model latency\nms")


def _line(values: Sequence[float | None]) -> dict[str, Any]:
    """Return how a line looks; its points are marked while they are few, so that one alone is seen."""
    few = sum(1 for each in values if each) <= FEW
    return {"linewidth": 1.5, "marker": "o" if few else None, "markersize": 3}


def plain(axes: Any, *, whole: bool) -> None:
    """Give axes the look of all pictures: from 0 on, no frame, `whole` numbers only where they are counts."""
    from matplotlib.ticker import MaxNLocator

    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=whole, min_n_ticks=1))
    axes.yaxis.label.set_color(INK)
    axes.yaxis.label.set_fontsize(9)
    axes.tick_params(colors=INK, labelsize=8)
    axes.grid(axis="y", color=INK, alpha=0.25, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(INK)
        spine.set_linewidth(0.6)


def _time_axis(axes: Any, when: Span) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set(color=INK, fontsize=8)
    edge = timedelta(seconds=when.period / 2)
    axes.set_xlim(when.times[0] - edge, when.times[-1] + edge)
    axes.set_xlabel("time (UTC)", color=INK, fontsize=9)
