"""A comparison that is over: what was measured, the verdict on it, and all of it as a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sm_magics.compare.samples import shared
from sm_magics.compare.slices import disagreements, slices
from sm_magics.compare.verdict import Verdict, judge, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sm_magics.compare.experiment import Design, Run
    from sm_magics.compare.samples import Sample
    from sm_magics.compare.slices import Disagreement, Slice

__all__ = ["Comparison", "concluded", "unjudged"]

MOST_DISAGREEMENTS = 5
SECONDS_OF_AN_HOUR = 3600


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a comparison found.

    Attributes
    ----------
    samples
        The answers of each variant.
    verdict
        What may be said.
    values
        The measure of each variant, NaN where there is none; where all were sent the same rows, of those all answered.
    costs
        What a thousand answers of each variant cost, in the unit of the prices; empty without prices.
    seconds
        How long it took.
    enough
        How many rows were enough, None where the comparison was not ended by that.
    interrupted
        Whether it was ended before all rows were sent.
    gone
        Whether that was because nobody answered any more.
    column, slices
        The column by which the rows were cut, and each part.
    failures
        Why rows were not answered, by their place in the data and the variant.
    """

    design: Design
    samples: tuple[Sample, ...]
    verdict: Verdict
    values: Mapping[str, float]
    disagreements: tuple[Disagreement, ...]
    seconds: float | None
    enough: int | None = None
    interrupted: bool = False
    gone: bool = False
    column: str = ""
    slices: tuple[Slice, ...] = ()
    costs: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[tuple[int, str], str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows of the data were answered by at least one variant."""
        return len(np.unique(np.concatenate([each.rows for each in self.samples])))

    def to_frame(self) -> Any:
        """Return a pandas data frame: a line for each row and variant, latency in ms, failed ones with their error."""
        import pandas as pd

        frames = [_frame(each) for each in self.samples]
        failed = [{"row": row, "variant": name, "error": why} for (row, name), why in self.failures.items()]
        made = pd.concat([*frames, pd.DataFrame(failed, columns=["row", "variant", "error"])], ignore_index=True)
        return made.sort_values(["row", "variant"], kind="stable", ignore_index=True)


def concluded(
    made: Run,
    *,
    by: tuple[str, NDArray[Any]] | None = None,
    prices: Mapping[str, float] | None = None,
    captured: bool = False,
) -> Comparison:
    """Return what a run found, whether or not it came to its end.

    Parameters
    ----------
    by
        A column's name, and its value for each row of the data.
    prices
        What the instances of each variant cost an hour, together.
    captured
        Whether nothing was sent: the answers are those of users' requests.
    """
    design = made.design
    samples, failures = _kept(made)
    short = _short(made)
    names = [each.variant for each in samples]  # more than the design's where an update brought one
    weights = None if design.pairs or captured else {**dict.fromkeys(names, 0.0), **design.weights}
    verdict = judge(
        samples,
        design.measure,
        pairs=design.pairs,
        weights=weights,
        peeked=design.until,
        nobodys=sum(name not in names for _, name in failures),
        again=made.again,
        rng=np.random.default_rng(design.seed),
    )
    verdict = replace(verdict, cautions=(*short, *verdict.cautions))
    measure = design.measure
    compared = shared(samples) if design.pairs else samples
    parts: tuple[Slice, ...] = ()
    if by is not None and measure is not None:
        parts = slices(samples, measure, by[1], pairs=design.pairs, rng=np.random.default_rng(design.seed))
    return Comparison(
        design,
        samples,
        verdict,
        {each.variant: value_of(measure, each) for each in compared} if measure else {},
        disagreements(samples, MOST_DISAGREEMENTS) if design.pairs else (),
        None if captured else made.seconds,
        made.enough,
        not made.over,
        made.gone,
        by[0] if by is not None else "",
        parts,
        {
            each.variant: prices[each.variant] / SECONDS_OF_AN_HOUR * float(each.seconds.mean()) * 1000
            for each in samples
            if prices and each.variant in prices and len(each)
        },
        failures,
    )


def unjudged(made: Run, *, captured: bool = False) -> Comparison:
    """Return what a run collected, with nothing said of it: for statistics that were interrupted."""
    samples, failures = _kept(made)
    told = "No verdict: the statistics were interrupted. All answers are kept: to_frame() of this result has them."
    return Comparison(
        made.design,
        samples,
        Verdict("unknown", told, cautions=tuple(_short(made))),
        {each.variant: math.nan for each in samples} if made.design.measure else {},
        (),
        None if captured else made.seconds,
        made.enough,
        not made.over,
        made.gone,
        failures=failures,
    )


def _kept(made: Run) -> tuple[tuple[Sample, ...], dict[tuple[int, str], str]]:
    """Return the answers that count, and why others are missing, by their rows' places in the data."""
    failures = {key: why for key, why in made.collected.failures.items() if made.enough is None or key[0] < made.enough}
    samples = made.collected.samples(made.truths, made.enough)
    if made.order is None:
        return samples, failures
    moved = {(int(made.order[place]), name): why for (place, name), why in failures.items()}
    return tuple(_in_order(each, made.order) for each in samples), moved


def _short(made: Run) -> list[str]:
    """Return a caution where data of no known length had fewer rows than truths, or more: they may be of other rows."""
    if made.cut and made.truths is not None:
        told = f"--data has more rows than --target has values, {len(made.truths):,}: only so many were sent"
        return [f"{told}, and they may not belong together."]
    if made.truths is None or not made.over or made.enough is not None:
        return []
    failed = np.array([place for place, _ in made.collected.failures], dtype=np.int64)
    rows = np.unique(np.concatenate([failed, *(each.rows for each in made.collected.samples(None))]))
    if len(rows) >= len(made.truths):
        return []
    return [
        f"--data had {len(rows):,} rows, and --target has {len(made.truths):,} values: they may not belong together."
    ]


def _in_order(sample: Sample, order: NDArray[np.int64]) -> Sample:
    """Return a sample with the rows of the data in the places of those in which they were sent."""
    rows = order[sample.rows]
    back = np.argsort(rows, kind="stable")
    return replace(sample, rows=rows, failed=order[sample.failed]).take(back)


def _frame(sample: Sample) -> Any:
    import pandas as pd

    truths = np.full(len(sample), None) if sample.truths is None else sample.truths
    wide = sample.predictions.ndim > 1
    predictions = {"prediction": list(map(tuple, sample.predictions)) if wide else sample.predictions}
    columns = {"row": sample.rows, "variant": sample.variant, "truth": truths, **predictions}
    return pd.DataFrame({**columns, "latency_ms": sample.seconds * 1000, "error": None})
