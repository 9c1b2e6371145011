"""What is counted of a variant's invocations: a `Meter` on the hot path, and what it makes of ten seconds.

The hot path only appends to two lists and, when something went wrong, adds to a number. Once a second what came in is
folded into a histogram on a logarithmic scale, whose bins are at most 1/16 wide: so percentiles are within about 3 %.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Meter", "Spread", "Tally", "merged", "spread_of"]

_BITS = 5  # values below 2**5 have a bin each, above that each octave has 2**4
_HALF = 1 << (_BITS - 1)


@dataclass(frozen=True, slots=True)
class Spread:
    """How values are spread: their number, sum, least and most, and their histogram.

    `bins` holds bin and number alternately, in the order of the bins.
    """

    count: int
    total: float
    least: float
    most: float
    bins: array[int]

    @property
    def average(self) -> float:
        """The mean, 0 of nothing."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> float:
        """Return the value below which `percent` of the values are, interpolated within its bin."""
        wanted = self.count * percent / 100
        numbers = self.bins[1::2]
        for place, (number, up_to) in enumerate(zip(numbers, accumulate(numbers), strict=True)):
            if up_to >= wanted:
                low, width = _range(self.bins[2 * place])
                value = low if width == 1 else low + width * (1 - (up_to - wanted) / number)
                return min(max(value, self.least), self.most)
        return self.most


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened from `start` (seconds since the epoch) on, for as long as one tally covers.

    Latencies are in microseconds; `per_instance` is the sum of 1/n over the invocations, n being the instances then.
    """

    start: int
    invocations: int
    client_errors: int
    server_errors: int
    model_errors: int
    per_instance: float
    model: Spread
    overhead: Spread

    def plus(self, later: Tally) -> Tally:
        """Return both as one, from this one's start."""
        return Tally(
            self.start,
            self.invocations + later.invocations,
            self.client_errors + later.client_errors,
            self.server_errors + later.server_errors,
            self.model_errors + later.model_errors,
            self.per_instance + later.per_instance,
            merged([self.model, later.model]),
            merged([self.overhead, later.overhead]),
        )


class Meter:
    """Counts the invocations of one variant of one fleet."""

    __slots__ = (
        "_client_errors",
        "_model",
        "_overhead",
        "_parts",
        "_per_instance",
        "_server_errors",
        "_unheard",
        "users",
    )

    def __init__(self) -> None:
        self.users = 0  # fleets that count by it
        self._parts: list[Tally] = []
        self._clear()

    def _clear(self) -> None:
        self._client_errors = self._server_errors = self._unheard = 0
        self._per_instance = 0.0
        self._model: list[int] = []
        self._overhead: list[int] = []

    def count(self, status: int, model_us: int, overhead_us: int, instances: int) -> None:
        """Count one finished invocation.

        Parameters
        ----------
        status
            What the container answered; 0 when it did not answer in time, which counts as an error of the server.
        model_us, overhead_us
            Microseconds in the container, and apart from it.
        instances
            How many instances the variant has.
        """
        self._model.append(model_us)
        self._overhead.append(overhead_us)
        self._per_instance += 1 / (instances or 1)
        if not 200 <= status < 300:  # noqa: PLR2004 - the classes of HTTP statuses
            if 400 <= status < 500:  # noqa: PLR2004
                self._client_errors += 1
            elif status >= 500 or not status:  # noqa: PLR2004
                self._server_errors += 1
            else:
                self._unheard += 1

    def count_copy(self, status: int, model_us: int, instances: int) -> None:
        """Count one that a shadow variant got a copy of: there is no time apart from the container."""
        self.count(status, model_us, 0, instances)
        self._overhead.pop()

    def fold(self, start: int) -> None:
        """Fold what came in since the last time; what is open began at `start`. Called about once a second."""
        if not self._model:
            return
        errors = self._client_errors + self._server_errors + self._unheard
        part = Tally(
            start,
            len(self._model),
            self._client_errors,
            self._server_errors,
            errors,
            self._per_instance,
            spread_of(Counter(self._model)),
            spread_of(Counter(self._overhead)),
        )
        self._clear()
        self._parts.append(part)

    def peek(self) -> Tally | None:
        """Return what was folded since the last `take`, None when nothing happened."""
        if len(self._parts) > 1:
            first, *rest = self._parts
            for each in rest:
                first = first.plus(each)
            self._parts = [first]
        return self._parts[0] if self._parts else None

    def take(self) -> Tally | None:
        """Return the same, and begin anew."""
        tally = self.peek()
        self._parts = []
        return tally


def spread_of(values: Mapping[int, int]) -> Spread:
    """Return the spread of whole numbers, given how often each came."""
    bins: dict[int, int] = {}
    for value, number in values.items():
        shift = max(0, value.bit_length() - _BITS)
        place = (shift << (_BITS - 1)) + (value >> shift)
        bins[place] = bins.get(place, 0) + number
    if not bins:
        return Spread(0, 0, 0, 0, array("I"))
    total = sum(value * number for value, number in values.items())
    return Spread(sum(values.values()), total, min(values), max(values), _packed(bins))


def merged(spreads: Iterable[Spread]) -> Spread:
    """Return several spreads as one."""
    full = [each for each in spreads if each.count]
    if len(full) == 1:
        return full[0]
    if not full:
        return Spread(0, 0, 0, 0, array("I"))
    bins: dict[int, int] = {}
    for each in full:
        for place, number in zip(each.bins[::2], each.bins[1::2], strict=True):
            bins[place] = bins.get(place, 0) + number
    return Spread(
        sum(each.count for each in full),
        sum(each.total for each in full),
        min(each.least for each in full),
        max(each.most for each in full),
        _packed(bins),
    )


def _packed(bins: Mapping[int, int]) -> array[int]:
    return array("I", [number for pair in sorted(bins.items()) for number in pair])


def _range(place: int) -> tuple[int, int]:
    """Return where a bin begins and how wide it is."""
    if place < 2 * _HALF:
        return place, 1
    shift = place // _HALF - 1
    return (place % _HALF + _HALF) << shift, 1 << shift
