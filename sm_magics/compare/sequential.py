"""A test that may be looked at while rows come in, and still errs no more often than it says.

An asymptotic confidence sequence for the mean of what differs between two variants, row by row: I. Waudby-Smith,
D. Arbour, R. Sinha, E. H. Kennedy and A. Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences", Annals of Statistics 52(6), 2024. No library that the field keeps has it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from statistics import NormalDist
from typing import TYPE_CHECKING

from sm_magics.compare.statistics import ALPHA, LEAST_EFFECT, POWER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LEAST_LOOK", "half_width", "looked_at", "rows_until"]

LEAST_LOOK = 100  # rows before the first look: what is asymptotic needs some
TIGHTEST = 1000  # rows at which the interval is as narrow as it can be


def looked_at(differences: NDArray[np.float64], alpha: float = ALPHA) -> tuple[float, float, float]:
    """Return the interval of the mean of `differences` that holds at every look, and the p value that does.

    Parameters
    ----------
    differences
        One row's loss of the first variant minus that of the second, shape (n,), in the order in which rows came.
    alpha
        How often, over all looks together, the interval may miss what is true.

    Returns
    -------
    low, high, p
        Unbounded and 1 before the first look.
    """
    count = len(differences)
    if count < LEAST_LOOK:
        return -math.inf, math.inf, 1.0
    mean, deviation = float(differences.mean()), float(differences.std())
    wide = deviation * half_width(count, alpha)
    if not deviation:
        return mean, mean, 0.0 if mean else 1.0
    scaled = _scaled(count)
    # The alpha at which the interval would just touch zero.
    p = math.sqrt(scaled) * math.exp(-((mean / deviation) ** 2) * count * (scaled - 1) / (2 * scaled))
    return mean - wide, mean + wide, min(1.0, p)


def half_width(count: int, alpha: float = ALPHA) -> float:
    """Return the half width of the interval after `count` rows, in standard deviations of a row."""
    scaled = _scaled(count)
    return math.sqrt(2 * scaled / (count * (scaled - 1)) * math.log(math.sqrt(scaled) / alpha))


def rows_until(effect: float, *, tests: int = 1) -> int | None:
    """Return after how many rows the interval leaves zero out four times in five, None where that is not known.

    Parameters
    ----------
    effect
        The mean difference in standard deviations of a row's difference.
    tests
        How many pairs are judged together.
    """
    if not math.isfinite(effect) or abs(effect) < LEAST_EFFECT:
        return None
    spare = NormalDist().inv_cdf(POWER)

    def enough(count: int) -> bool:
        return half_width(count, ALPHA / tests) + spare / math.sqrt(count) <= abs(effect)

    most = LEAST_LOOK
    while not enough(most):
        most *= 2
    return LEAST_LOOK + bisect_left(range(LEAST_LOOK, most), x=True, key=enough)


def _scaled(count: int) -> float:
    """Return n rho^2 + 1, with the rho that the paper has for an interval that is narrowest at `TIGHTEST` rows."""
    log = -2 * math.log(ALPHA)
    return count * (log + math.log(log + 1)) / TIGHTEST + 1
