"""How sure a difference between two variants is: scipy's permutation test and bootstrap, statsmodels' power.

Nothing here is a formula of ours where a library has one. `tests/bench/calibration.py` measures how often it errs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sm_magics.compare.samples import paired

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from sm_magics.compare.measures import Measure
    from sm_magics.compare.samples import Sample

__all__ = [
    "ALPHA",
    "LEAST_EFFECT",
    "LEAST_ROWS",
    "MANY_APART",
    "MANY_ROWS",
    "POWER",
    "Difference",
    "corrected",
    "difference",
    "rows_needed",
    "split_is_off",
]

ALPHA, POWER = 0.05, 0.8
SPLIT_ALPHA = 0.001  # as the field has it: a split that is off spoils a test, so it must be rare by chance
LEAST_ROWS = 8  # of each variant: with fewer no test says anything
LEAST_EFFECT = 1e-4  # below it, a difference needs hundreds of millions of rows
MANY_ROWS, MANY_APART = 20_000, 100  # from which on Student's test says what permutations do, in a tenth of the time
_WORK = 1e7  # values drawn for one difference; the number of resamples follows from it
_BATCH = 2e6
_FEW_RESAMPLES = 199  # of many rows: they tell the error to a twentieth
_SLOW_RESAMPLES = 999  # of a measure that is computed anew for each

Indices = Any


@dataclass(frozen=True, slots=True)
class Difference:
    """What is known of `first` against `second`.

    Attributes
    ----------
    rows
        How many rows it rests on: pairs, or in a split the rows of both.
    value
        The measure of `first` minus that of `second`, in the measure's unit.
    low, high
        The 95 % interval of `value`, NaN where there are too few rows.
    p
        How often a difference as large would be seen were there none; after `corrected`, for all pairs together.
    effect
        The difference in standard deviations of a row's difference (Cohen's d).
    identical
        Whether both gave the very same predictions.
    ratio
        Rows of `second` for each of `first`.
    """

    first: str
    second: str
    rows: int
    value: float
    low: float
    high: float
    p: float
    effect: float
    identical: bool = False
    ratio: float = 1.0

    @property
    def shown(self) -> bool:
        """Whether the difference is significant: by its p value, and by its interval, which must leave zero out."""
        return self.p < ALPHA and not self.low <= 0 <= self.high


def difference(measure: Measure, first: Sample, second: Sample, *, pairs: bool, rng: np.random.Generator) -> Difference:
    """Return how two variants differ by a measure.

    Parameters
    ----------
    pairs
        Whether both were sent the same rows. The test then swaps the answers of a row (scipy's `permutation_test` of
        `samples`) and the bootstrap draws rows; otherwise it draws from each variant by itself.
    """
    if pairs:
        first, second = paired(first, second)
    with np.errstate(over="ignore", invalid="ignore"):  # of what is infinite or nearly so: told, as no number, below
        resampled = _Resampled(measure, first, second, pairs=pairs)
    known = Difference(
        first.variant, second.variant, resampled.rows, resampled.value, math.nan, math.nan, math.nan, math.nan
    )
    if min(len(first), len(second)) < LEAST_ROWS or not math.isfinite(known.value):
        return known
    if resampled.identical:
        return replace(known, low=0.0, high=0.0, p=1.0, effect=0.0, identical=True)
    low, high, error = resampled.interval(rng)
    effect = known.value / (error * math.sqrt(resampled.unit)) if error else math.nan
    p = resampled.students(error) if error and resampled.many_rows else resampled.p(rng)
    return replace(known, low=low, high=high, p=p, effect=effect, ratio=len(second) / len(first))


class _Resampled:
    """A difference of a measure as a function of which rows, or whose answers, it is computed from."""

    def __init__(self, measure: Measure, first: Sample, second: Sample, *, pairs: bool) -> None:
        self.pairs = pairs
        self.sizes = len(first), len(second)
        self.rows = len(first) if pairs else sum(self.sizes)
        both = self.sizes[0] * self.sizes[1] / max(1, self.rows)
        self.unit = self.rows if pairs else both  # the n in d = z / sqrt(n)
        self.truths = np.concatenate([_known(first), _known(second)])
        self.predictions = np.concatenate([_prepared(measure, first), _prepared(measure, second)])
        fast = measure.losses is not None and measure.of_mean is not None
        self._losses = measure.losses(self.truths, self.predictions) if fast and measure.losses else None
        self._of_mean = measure.of_mean
        self._measure = measure.value
        labels = np.isin(self.truths, (0, 1)).all() or measure.name != "auc"  # scores of other classes have no ranks
        self._many = measure.many if self.predictions.ndim == 1 and labels else None
        self.left, self.right = np.arange(self.sizes[0]), np.arange(self.sizes[0], sum(self.sizes))
        self.value = float(self._difference(self.left, self.right)) if self.sizes[0] and self.sizes[1] else math.nan

    @property
    def identical(self) -> bool:
        """Whether each row got the same prediction from both; only pairs can tell."""
        return self.pairs and bool(np.array_equal(self.predictions[self.left], self.predictions[self.right]))

    @property
    def many_rows(self) -> bool:
        """Whether there are so many rows, also of those on which both differ, that means of them are normal."""
        if self.pairs and min(self.sizes) >= MANY_ROWS:
            apart = np.count_nonzero(self.predictions[self.left] != self.predictions[self.right])
            return int(apart) >= MANY_APART
        return min(self.sizes) >= MANY_ROWS

    @property
    def freedom(self) -> int:
        """The degrees of freedom of Student's distribution."""
        return self.rows - 1 if self.pairs else min(self.sizes) - 1

    def students(self, error: float) -> float:
        """Return the p value for a standard error."""
        from scipy.stats import t

        return float(2 * t.sf(abs(self.value) / error, self.freedom))

    def p(self, rng: np.random.Generator) -> float:
        """Return how often a difference as large is seen when answers are dealt to variants by chance."""
        from scipy.stats import permutation_test

        found = permutation_test(
            (self.left, self.right),
            self._statistic,
            permutation_type="samples" if self.pairs else "independent",
            vectorized=True,
            n_resamples=self._resamples(),
            batch=self._batch(),
            rng=rng,
        )
        return float(found.pvalue)

    def interval(self, rng: np.random.Generator) -> tuple[float, float, float]:
        """Return the 95 % interval of the difference and its standard error, from rows drawn again.

        Student's interval with the bootstrap's error covers what is true more often than the bootstrap's own quantiles
        do where a few rows weigh much, as squared errors have it (`tests/bench/calibration.py` compares them).
        """
        from scipy.stats import bootstrap, t

        found = bootstrap(
            (self.left,) if self.pairs else (self.left, self.right),
            self._of_rows if self.pairs else self._statistic,
            vectorized=True,
            n_resamples=self._resamples(),
            batch=self._batch(),
            method="percentile",
            rng=rng,
        )
        error = float(np.nanstd(found.bootstrap_distribution, ddof=1))
        if not error:
            return self.value, self.value, 0.0
        error *= math.sqrt((self.freedom + 1) / self.freedom)  # a resample varies by that much less
        low, high = t.interval(1 - ALPHA, self.freedom, loc=self.value, scale=error)
        return float(low), float(high), error

    def _of_rows(self, rows: Indices, axis: int = -1) -> NDArray[np.float64]:
        return self._statistic(rows, rows + self.sizes[0], axis)

    def _statistic(self, left: Indices, right: Indices, axis: int = -1) -> NDArray[np.float64]:
        left, right = np.moveaxis(left, axis, -1), np.moveaxis(right, axis, -1)
        if self._losses is not None:
            return np.asarray(self._difference(left, right))
        if self._many is not None:
            lefts = self._many(self.truths[left], self.predictions[left])
            return np.asarray(lefts - self._many(self.truths[right], self.predictions[right]))
        shape = np.broadcast_shapes(left.shape[:-1], right.shape[:-1])
        lefts = np.broadcast_to(left, (*shape, left.shape[-1])).reshape(-1, left.shape[-1])
        rights = np.broadcast_to(right, (*shape, right.shape[-1])).reshape(-1, right.shape[-1])
        found = [self._difference(a, b) for a, b in zip(lefts, rights, strict=True)]
        return np.asarray(found).reshape(shape)

    def _difference(self, left: Indices, right: Indices) -> Any:
        if self._losses is not None and self._of_mean is not None:
            return self._of_mean(self._losses[left].mean(-1)) - self._of_mean(self._losses[right].mean(-1))
        first = self._measure(self.truths[left], self.predictions[left])
        return first - self._measure(self.truths[right], self.predictions[right])

    def _resamples(self) -> int:
        if min(self.sizes) >= MANY_ROWS:
            return _FEW_RESAMPLES
        if self._losses is None:
            return _SLOW_RESAMPLES if self._many is None else 2 * _SLOW_RESAMPLES
        return int(min(4999, max(999, _WORK / self.rows)))

    def _batch(self) -> int:
        return max(1, int(_BATCH / self.rows))


def corrected(differences: Sequence[Difference]) -> list[Difference]:
    """Return the differences with p values for all pairs together, by Holm's method; what is not known stays so."""
    from statsmodels.stats.multitest import multipletests

    known = [each.p for each in differences if math.isfinite(each.p)]
    if len(known) < 2:  # noqa: PLR2004 - nothing to correct
        return list(differences)
    adjusted = iter(multipletests(known, alpha=ALPHA, method="holm")[1])
    return [replace(each, p=float(next(adjusted))) if math.isfinite(each.p) else each for each in differences]


def rows_needed(found: Difference, *, pairs: bool, tests: int = 1) -> int | None:
    """Return how many rows in all would show a difference of the size seen, four times in five.

    Parameters
    ----------
    tests
        How many pairs are judged together.

    Returns
    -------
    int or None
        None where the difference is zero, or not known.
    """
    from statsmodels.stats.power import TTestIndPower, TTestPower

    effect = abs(found.effect)
    if not math.isfinite(effect) or effect < LEAST_EFFECT:
        return None
    power: Any = TTestPower() if pairs else TTestIndPower()
    wanted = {"alpha": ALPHA / tests, "power": POWER, "alternative": "two-sided"}
    if power.power(effect, 4, ALPHA / tests) > POWER:
        return LEAST_ROWS
    if not pairs:
        wanted["ratio"] = found.ratio
    rows = power.solve_power(effect_size=effect, **wanted)
    return max(LEAST_ROWS, math.ceil(float(np.squeeze(rows)) * (1 if pairs else 1 + found.ratio)))


def split_is_off(counts: Mapping[str, int], weights: Mapping[str, float]) -> float | None:
    """Return the p value of a split that its weights do not explain, None where they do.

    Raises
    ------
    ValueError
        When no variant has a weight.
    """
    from scipy.stats import chisquare

    total, weight = sum(counts.values()), sum(weights[each] for each in counts)
    if weight <= 0:
        raise ValueError("no variant has a weight")
    weighted = [each for each in counts if weights[each] > 0]
    if any(counts[each] for each in counts if not weights[each]):
        return 0.0
    if len(weighted) < 2 or not total:  # noqa: PLR2004 - there is no split
        return None
    p = float(
        chisquare([counts[each] for each in weighted], [total * weights[each] / weight for each in weighted]).pvalue
    )
    return p if p < SPLIT_ALPHA else None


def _known(sample: Sample) -> NDArray[Any]:
    if sample.truths is None:
        raise ValueError("a measure of quality needs the truth")
    return sample.truths


def _prepared(measure: Measure, sample: Sample) -> NDArray[Any]:
    prepare: Callable[..., NDArray[Any]] = measure.prepare
    return prepare(_known(sample), sample.predictions)
