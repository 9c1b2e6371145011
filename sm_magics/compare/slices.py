"""Quality where it may differ: the rows by the values of a column, and the rows on which variants disagree most."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from sm_magics.compare.samples import shared
from sm_magics.compare.statistics import corrected, difference
from sm_magics.compare.verdict import digits, value_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sm_magics.compare.measures import Measure
    from sm_magics.compare.samples import Sample
    from sm_magics.compare.statistics import Difference

__all__ = ["Disagreement", "Slice", "disagreements", "slices"]

MOST_SLICES = 8
NO_VALUE = "no value"
QUANTILES = 4  # parts that a column of many numbers is cut into


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows that have a value of a column in common.

    Attributes
    ----------
    label
        Which rows.
    rows
        How many of them were answered.
    values
        The measure of each variant.
    difference
        Of the first two variants, with a p value for all slices together; None where there are more variants.
    """

    label: str
    rows: int
    values: tuple[float, ...]
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A row that variants predict differently: its place in the data, the truth, and each prediction."""

    row: int
    truth: Any
    predictions: tuple[Any, ...]


def slices(
    samples: Sequence[Sample], measure: Measure, column: NDArray[Any], *, pairs: bool, rng: np.random.Generator
) -> tuple[Slice, ...]:
    """Return the quality of each variant on the rows of each value of a column.

    Parameters
    ----------
    column
        The value of each row of the data, shape (n,). Numbers of more than a few values are cut at their quartiles.
    """
    made = []
    compared = shared(samples) if pairs else samples
    for label, mask in _groups(column):
        cut = [each.take(mask[each.rows]) for each in compared]
        rows = len(cut[0]) if pairs else sum(map(len, cut))
        found = difference(measure, cut[0], cut[1], pairs=pairs, rng=rng) if len(cut) == 2 else None  # noqa: PLR2004
        made.append(Slice(label, rows, tuple(value_of(measure, each) for each in cut), found))
    judged = corrected([each.difference for each in made if each.difference is not None])
    return (
        tuple(replace(each, difference=found) for each, found in zip(made, judged, strict=True))
        if judged
        else tuple(made)
    )


def _groups(column: NDArray[Any]) -> list[tuple[str, NDArray[np.bool_]]]:
    from pandas import isna

    missing = np.asarray(isna(column))
    if column.dtype.kind in "fiuM" and len(np.unique(column[~missing])) > MOST_SLICES:
        numbers = column.astype(float)
        cuts = np.unique(np.quantile(numbers[~missing], np.linspace(0, 1, QUANTILES + 1)[1:-1]))
        number = np.searchsorted(cuts, numbers, side="right")
        times = column.dtype.kind == "M"
        ends = (
            [str(each)[:16] for each in cuts.astype(column.dtype)] if times else [digits(float(each)) for each in cuts]
        )
        labels = [
            f"below {ends[0]}",
            *(f"{a} to {b}" for a, b in pairwise(ends)),
            f"from {ends[-1]}",
        ]
        groups = [(label, (number == at) & ~missing) for at, label in enumerate(labels)]
        return [*groups, *([(NO_VALUE, missing)] if missing.any() else [])]
    text = np.where(missing, NO_VALUE, column.astype(str))
    values, counts = np.unique(text, return_counts=True)
    kept = sorted(values[np.argsort(-counts, kind="stable")[:MOST_SLICES]])
    groups = [(str(value), text == value) for value in kept]
    rest = ~np.isin(text, kept)
    return [*groups, *([("all others", rest)] if rest.any() else [])]


def disagreements(samples: Sequence[Sample], most: int) -> tuple[Disagreement, ...]:
    """Return the rows that all variants answered and that they predict most differently, the most different first."""
    cut = shared(samples)
    if not len(cut[0]):
        return ()
    away = _distances([each.predictions for each in cut])
    order = [at for at in np.argsort(-away, kind="stable")[:most] if away[at] > 0]
    truths = cut[0].truths
    return tuple(
        Disagreement(
            int(cut[0].rows[at]), None if truths is None else truths[at], tuple(each.predictions[at] for each in cut)
        )
        for at in order
    )


def _distances(predictions: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Return how far apart the predictions of each row are: numbers by their range, labels by how many there are."""
    if all(each.dtype.kind in "fiu" for each in predictions) and len({each.shape for each in predictions}) == 1:
        stacked = np.stack(predictions)
        spread = stacked.max(axis=0) - stacked.min(axis=0)
        return np.asarray(spread.max(axis=-1) if spread.ndim > 1 else spread, dtype=float)
    told = [tuple(map(str, row)) for row in zip(*predictions, strict=True)]
    return np.array([len(set(row)) - 1 for row in told], dtype=float)
