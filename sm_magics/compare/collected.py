"""What came back so far, in columns that grow: little memory for many rows, and samples of them at any time."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sm_magics.compare.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sm_magics.compare.exchange import Prediction

__all__ = ["Collected"]


@dataclass
class _Column:
    """The answers of one variant; numbers take 8 bytes each.

    An answer is there once its place is: what an interrupt leaves half-made does not count.
    """

    places: array[int] = field(default_factory=lambda: array("q"))
    seconds: array[float] = field(default_factory=lambda: array("d"))
    numbers: array[float] = field(default_factory=lambda: array("d"))
    others: list[Prediction] | None = None  # all of them, from the first that is no number on

    def add(self, place: int, prediction: Prediction, seconds: float) -> None:
        count = len(self.places)
        del self.seconds[count:]
        self.seconds.append(seconds)
        if self.others is None and not isinstance(prediction, float):
            self.others = list(self.numbers)
        kept: Any = self.numbers if self.others is None else self.others
        del kept[count:]
        kept.append(prediction)
        self.places.append(place)

    def predictions(self) -> NDArray[Any]:
        count = len(self.places)
        if self.others is None:
            return np.array(self.numbers[:count])
        try:
            return np.array(self.others[:count])
        except ValueError:  # of different lengths: nothing that can be measured, and still what was answered
            made = np.empty(count, dtype=object)
            made[:] = self.others[:count]
            return made


class Collected:
    """The answers and the failures of a comparison.

    Parameters
    ----------
    variants
        Their names, in the order of the card.

    Attributes
    ----------
    failures
        Why a row was not answered, by its place and the variant, which is empty where the service did not say.
    """

    def __init__(self, variants: Sequence[str]) -> None:
        self.failures: dict[tuple[int, str], str] = {}
        self._columns = {name: _Column() for name in variants}

    @property
    def answered(self) -> int:
        """How many answers there are."""
        return sum(len(each.places) for each in self._columns.values())

    def add(self, place: int, variant: str, prediction: Prediction, seconds: float) -> None:
        """Keep one answer: to the row at a place of the data, by a variant, after so many seconds."""
        self.failures.pop((place, variant), None)  # first: a row that an interrupt leaves here is not counted twice
        self._columns.setdefault(variant, _Column()).add(place, prediction, seconds)

    def fail(self, place: int, variant: str, why: str) -> None:
        """Keep one failure."""
        self.failures[place, variant] = why

    def samples(self, truths: NDArray[Any] | None, below: int | None = None) -> tuple[Sample, ...]:
        """Return a sample for each variant, in the order of the data.

        Parameters
        ----------
        truths
            What is true for each place, shape (n,).
        below
            Of the rows before this place only.
        """
        failed: dict[str, list[int]] = {}
        for place, variant in self.failures:
            if below is None or place < below:
                failed.setdefault(variant, []).append(place)
        return tuple(
            self._sample(name, column, truths, below, failed.get(name, [])) for name, column in self._columns.items()
        )

    @staticmethod
    def _sample(
        name: str, column: _Column, truths: NDArray[Any] | None, below: int | None, failed: list[int]
    ) -> Sample:
        places = np.array(column.places, dtype=np.int64)
        order = np.argsort(places, kind="stable")
        if below is not None:
            order = order[places[order] < below]
        known = None if truths is None else truths[places[order]]
        seconds, predictions = np.array(column.seconds[: len(places)])[order], column.predictions()[order]
        return Sample(name, places[order], known, predictions, seconds, np.array(sorted(failed), dtype=np.int64))
