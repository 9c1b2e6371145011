"""How busy instances were, minute by minute for a day: what SageMaker publishes beside the metrics of invocations.

Source: the SageMaker developer guide, "Monitor SageMaker AI with Amazon CloudWatch", endpoint instance metrics. A row
for each instance and minute is kept as it is, in 20 bytes: percentiles are within half a percent point.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sm_magics.local.tally import Spread, spread_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["NAMES", "NAMESPACE", "Gauges"]

NAMESPACE = "/aws/sagemaker/Endpoints"
NAMES = ("CPUUtilization", "MemoryUtilization")  # both in percent

Dimensions = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Rows:
    """The instances of one variant, the oldest minute first: when it began, and what was measured."""

    when: array[int] = field(default_factory=lambda: array("I"))
    measured: dict[str, array[float]] = field(default_factory=lambda: {name: array("d") for name in NAMES})


class Gauges:
    """What was measured of every variant's instances."""

    def __init__(self) -> None:
        self._variants: dict[Dimensions, _Rows] = {}

    def take(self, endpoint: str, variant: str, minute: int, percents: Sequence[float]) -> None:
        """Take what one instance used in the minute that began at `minute`: a percentage for each of `NAMES`."""
        rows = self._variants.setdefault((("EndpointName", endpoint), ("VariantName", variant)), _Rows())
        rows.when.append(max([minute, *rows.when[-1:]]))  # in order, though a clock be set back
        for name, percent in zip(NAMES, percents, strict=True):
            rows.measured[name].append(percent)

    def forget(self, before: float) -> None:
        """Forget the minutes that began before a time."""
        for dimensions, rows in [*self._variants.items()]:
            old = bisect_left(rows.when, before)
            del rows.when[:old]
            for each in rows.measured.values():
                del each[:old]
            if not rows.when:
                del self._variants[dimensions]

    def values(self, name: str, dimensions: Dimensions, start: int, count: int, period: int) -> list[Spread]:
        """Return the spreads over instances and minutes of `count` periods of `period` seconds from `start` on."""
        rows = self._variants.get(dimensions)
        found: list[list[float]] = [[] for _ in range(count)]
        if rows is not None and name in rows.measured:
            first, last = (bisect_left(rows.when, each) for each in (start, start + count * period))
            for when, value in zip(rows.when[first:last], rows.measured[name][first:last], strict=True):
                found[(when - start) // period].append(value)
        return [_spread(each) for each in found]

    def known(self, since: float) -> Iterator[tuple[str, Dimensions]]:
        """Yield name and dimensions of every metric that has a value from `since` on."""
        for dimensions, rows in self._variants.items():
            if rows.when[-1] >= since:
                yield from ((name, dimensions) for name in NAMES)


def _spread(values: Sequence[float]) -> Spread:
    spread = spread_of(Counter(map(round, values)))
    return replace(spread, total=sum(values), least=min(values), most=max(values)) if values else spread
