"""What the variants of an endpoint answered, in columns: a sample for each variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Sample", "paired", "shared"]


@dataclass(frozen=True, eq=False)
class Sample:
    """The rows that one variant answered.

    Attributes
    ----------
    variant
        Its name.
    rows
        The places of the rows in the data, shape (n,).
    truths
        What is true for each, shape (n,); None where that is not known.
    predictions
        What was predicted for each: numbers or labels of shape (n,), or a probability for each class, (n, classes).
    seconds
        How long each answer took, shape (n,).
    failed
        The places of the rows that were not answered, though sent twice.
    """

    variant: str
    rows: NDArray[np.int64]
    truths: NDArray[Any] | None
    predictions: NDArray[Any]
    seconds: NDArray[np.float64]
    failed: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def error_rate(self) -> float:
        """The share of its rows that failed, from 0 to 1; 0 where it was sent none."""
        sent = len(self) + len(self.failed)
        return len(self.failed) / sent if sent else 0.0

    def take(self, places: NDArray[Any]) -> Sample:
        """Return the sample of some of its answers, by their places in the columns, or by a mask."""
        truths = None if self.truths is None else self.truths[places]
        kept = self.rows[places], truths, self.predictions[places], self.seconds[places]
        return Sample(self.variant, *kept, self.failed)


def shared(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return samples cut down to the rows that all answered, in the order of the data."""
    rows = samples[0].rows
    for each in samples[1:]:
        rows = np.intersect1d(rows, each.rows, assume_unique=True)
    return tuple(each.take(np.isin(each.rows, rows)) for each in samples)


def paired(first: Sample, second: Sample) -> tuple[Sample, Sample]:
    """Return both samples cut down to the rows that both answered, in the order of the data."""
    _, left, right = np.intersect1d(first.rows, second.rows, assume_unique=True, return_indices=True)
    return first.take(left), second.take(right)
