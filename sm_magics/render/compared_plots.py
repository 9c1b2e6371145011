"""The picture of a comparison: what was predicted, how far off it was, and how long it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sm_magics.render.plots import COLOURS, INK, WIDTH, plain, saved

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sm_magics.compare.comparison import Comparison

__all__ = ["figure", "png"]

HEIGHT = 2.9  # inches
MOST_POINTS = 500  # of each variant: more of them hide those of the others
BINS = 24
MARKERS = "osD^vP*X<>"  # told apart without colours, too


def png(made: Comparison) -> bytes:
    """Return the picture of `figure` as a PNG file."""
    return saved(figure(made))


def figure(made: Comparison) -> Any:
    """Return the matplotlib figure: predictions against truths, and residuals; of classes, how many are right."""
    from matplotlib.figure import Figure

    panels: list[Callable[[Any, Comparison], None]] = []
    if _numbers(made):
        panels += [_predicted, _residuals]
    elif made.design.measure is not None and made.samples[0].truths is not None:
        panels.append(_right)
    if made.seconds is not None:
        panels.append(_latencies)
    drawn = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    for axes, draw in zip(drawn.subplots(1, max(1, len(panels)), squeeze=False)[0], panels, strict=False):
        draw(axes, made)
        axes.xaxis.label.set_color(INK)
        axes.xaxis.label.set_fontsize(9)
    handles, labels = drawn.axes[0].get_legend_handles_labels()
    if handles:
        drawn.legend(handles, labels, loc="outside upper left", ncols=5, frameon=False, fontsize=9, labelcolor=INK)
    return drawn


def _numbers(made: Comparison) -> bool:
    first = made.samples[0]
    if first.truths is None or first.truths.dtype.kind not in "fiu" or len(np.unique(first.truths)) <= 2:  # noqa: PLR2004
        return False
    return all(each.predictions.ndim == 1 and each.predictions.dtype.kind in "fiu" for each in made.samples)


def _predicted(axes: Any, made: Comparison) -> None:
    ends = [np.inf, -np.inf]
    for each, colour, marker in zip(made.samples, COLOURS, MARKERS, strict=False):
        truths, predictions = (_few(part) for part in (_truths(each), each.predictions))
        axes.scatter(
            truths, predictions, s=11, alpha=0.6, color=colour, marker=marker, linewidths=0, label=each.variant
        )
        ends = [min(ends[0], truths.min(), predictions.min()), max(ends[1], truths.max(), predictions.max())]
    axes.plot(ends, ends, color=INK, linewidth=0.8, linestyle="--")
    plain(axes, whole=False)
    axes.set_ylim(*ends)
    axes.set_xlabel("truth")
    axes.set_ylabel("prediction")


def _residuals(axes: Any, made: Comparison) -> None:
    away = [each.predictions - _truths(each) for each in made.samples]
    edges = np.histogram_bin_edges(np.concatenate(away), BINS)
    for values, colour in zip(away, COLOURS, strict=False):
        axes.hist(values, edges, color=colour, histtype="step", linewidth=1.5, density=True)
    axes.axvline(0, color=INK, linewidth=0.8, linestyle="--")
    plain(axes, whole=False)
    axes.set_xlabel("prediction \N{MINUS SIGN} truth")
    axes.set_ylabel("share of rows")
    axes.set_yticks([])


def _right(axes: Any, made: Comparison) -> None:
    """Draw how many rows of each class are predicted right."""
    from sm_magics.compare.measures import MEASURES

    accuracy = MEASURES["accuracy"]
    classes = np.unique(np.concatenate([_truths(each) for each in made.samples]))[:10]
    width = 0.8 / len(made.samples)
    for at, (each, colour) in enumerate(zip(made.samples, COLOURS, strict=False)):
        truths = _truths(each)
        labels = accuracy.prepare(truths, each.predictions)
        shares = [
            float((labels[truths == one].astype(str) == str(one)).mean()) if (truths == one).any() else 0.0
            for one in classes
        ]
        axes.bar(np.arange(len(classes)) + width * (at + 0.5) - 0.4, shares, width, color=colour, label=each.variant)
    plain(axes, whole=False)
    axes.set_ylim(0, 1)
    axes.set_xticks(range(len(classes)), [str(each)[:12] for each in classes])
    axes.set_xlabel("true class")
    axes.set_ylabel("share predicted right")


def _latencies(axes: Any, made: Comparison) -> None:
    """Draw the share of answers that took no longer than each time."""
    most = max(float(np.percentile(each.seconds, 99)) for each in made.samples) * 1000
    for each, colour in zip(made.samples, COLOURS, strict=False):
        sorted_ms = np.sort(each.seconds) * 1000
        axes.plot(
            sorted_ms,
            np.arange(1, len(sorted_ms) + 1) / len(sorted_ms),
            color=colour,
            linewidth=1.5,
            label=each.variant,
        )
    plain(axes, whole=False)
    axes.set_xlim(0, most)
    axes.set_ylim(0, 1)
    axes.set_xlabel("latency in ms, up to p99")
    axes.set_ylabel("share of answers")


def _truths(sample: Any) -> NDArray[Any]:
    values: NDArray[Any] = np.asarray(sample.truths)
    return values


def _few(values: Any) -> Any:
    """Return values spread evenly over all, in their order, as many as can be told apart."""
    return values[np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).astype(int)]
