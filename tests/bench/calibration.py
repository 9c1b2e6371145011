"""How often `%sm_compare` errs, by simulation: `python tests/bench/calibration.py [--trials 1000]`.

Two models are simulated whose difference is known: none (false alarms must be 5 % at most, and the 95 % interval must
cover zero), or some (which must be found as often as the power estimate promised, and be covered). Nothing is timed.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np

from sm_magics.compare.measures import measure_of
from sm_magics.compare.samples import Sample
from sm_magics.compare.sequential import LEAST_LOOK, looked_at
from sm_magics.compare.statistics import difference, rows_needed

CLASSES = {"accuracy", "logloss", "auc", "f1"}


@dataclass(frozen=True)
class Case:
    """Models that err with noise of a kind, that of the second wider by `worse`."""

    metric: str
    noise: str
    worse: float
    pairs: bool = True


@dataclass(frozen=True)
class Rates:
    """What was seen, as shares of the trials."""

    alarms: float
    covered: float


A_A = (
    Case("rmse", "normal", 0),
    Case("rmse", "student", 0),
    Case("rmse", "skewed", 0),
    Case("mae", "normal", 0),
    Case("mae", "skewed", 0),
    Case("mape", "normal", 0),
    Case("accuracy", "logistic", 0),
    Case("logloss", "logistic", 0),
    Case("rmse", "normal", 0, pairs=False),
    Case("mae", "skewed", 0, pairs=False),
    Case("accuracy", "logistic", 0, pairs=False),
)
DIFFERENT = (
    Case("rmse", "normal", 0.5),
    Case("mae", "student", 0.5),
    Case("accuracy", "logistic", 2.0),
    Case("logloss", "logistic", 1.0),
    Case("mae", "normal", 0.8, pairs=False),
)


def drawn(kind, rng, size):
    """Return noise of mean zero: well-behaved, with heavy tails (5 degrees of freedom), or lognormal."""
    if kind == "normal":
        return rng.normal(size=size)
    return rng.standard_t(5, size=size) if kind == "student" else rng.lognormal(0, 0.6, size) - math.exp(0.18)


def predictions(case, rng, rows):
    """Return truths, and what two models predict for them; what both get wrong alike is as large as the rest."""
    if case.metric in CLASSES:
        score = rng.normal(size=rows) * 1.5
        truths = (rng.random(rows) < 1 / (1 + np.exp(-score))).astype(int)
        noise = rng.normal(size=(2, rows)) * [[0.8], [0.8 * (1 + case.worse)]]
        return truths, 1 / (1 + np.exp(-score - noise))
    truths = 22 + 5 * rng.normal(size=rows)
    own = [drawn(case.noise, rng, rows), drawn(case.noise, rng, rows) * (1 + case.worse)]
    return truths, truths + drawn(case.noise, rng, rows) + np.array(own)


def samples(case, rng, rows):
    """Return the samples of two models: of the same rows, or of as many of their own."""
    first = predictions(case, rng, rows)
    second = first if case.pairs else predictions(case, rng, rows)
    places, none = np.arange(rows), np.zeros(0, int)
    return [
        Sample(name, places, truths, values[at], np.zeros(rows), none)
        for at, (name, (truths, values)) in enumerate(zip("AB", (first, second), strict=True))
    ]


def seen(case, rows, trials, seed, truth=0.0):
    """Return how often a case gives an alarm, and how often its interval covers the true difference."""
    alarms = covered = 0
    for trial in range(trials):
        rng = np.random.default_rng([seed, trial])
        found = difference(measure_of(case.metric), *samples(case, rng, rows), pairs=case.pairs, rng=rng)
        alarms += found.shown
        covered += found.low <= truth <= found.high
    return Rates(alarms / trials, covered / trials)


def true_difference(case, seed):
    """Return the difference over a million rows."""
    rng = np.random.default_rng(seed)
    measure = measure_of(case.metric)
    first, second = (
        measure.value(each.truths, measure.prepare(each.truths, each.predictions))
        for each in samples(case, rng, 1_000_000)
    )
    return first - second


def promised(case, seed):
    """Return the rows a variant that the power estimate asks for after a pilot of 20,000 rows."""
    rng = np.random.default_rng(seed)
    pilot = difference(measure_of(case.metric), *samples(case, rng, 10_000), pairs=case.pairs, rng=rng)
    return rows_needed(pilot, pairs=case.pairs) // (1 if case.pairs else 2)


def peeking(case, rows, trials, seed):
    """Return how often a test that is looked at all the while gives an alarm, and at how many rows, in the median."""
    measure = measure_of(case.metric)
    ends = []
    for trial in range(trials):
        first, second = samples(case, np.random.default_rng([seed, trial]), rows)
        losses = [
            measure.losses(each.truths, measure.prepare(each.truths, each.predictions)) for each in (first, second)
        ]
        away = losses[0] - losses[1]
        looks = np.unique(np.geomspace(LEAST_LOOK, rows, 60).astype(int))
        ends.append(next((look for look in looks if looked_at(away[:look])[2] < 0.05), None))
    found = [each for each in ends if each]
    return len(found) / trials, float(np.median(found)) if found else math.nan


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    heading("no difference", "rows", "false alarms (5 % at most)", "interval covers (95 %)")
    for case in A_A:
        for rows in (100, 500):
            rates = seen(case, rows, trials, 1)
            line(named(case), f"{rows}", f"{rates.alarms:.1%}", f"{rates.covered:.1%}")
    heading("a difference", "rows by the estimate", "found (80 %)", "interval covers (95 %)")
    for case in DIFFERENT:
        rows = promised(case, 2)
        rates = seen(case, rows, trials, 3, true_difference(case, 4))
        line(named(case), f"{rows:,}", f"{rates.alarms:.1%}", f"{rates.covered:.1%}")
    heading("looked at all the while", "rows at most", "says there is a difference", "after, in the median")
    for case in [each for each in (*A_A, *DIFFERENT) if each.pairs]:
        share, after = peeking(case, 5000, trials, 5)
        line(named(case), "5,000", f"{share:.1%}", f"{after:,.0f}")


def heading(*titles):
    """Print the head of a table."""
    line()
    line(*titles)
    line(*["---"] * len(titles))


def line(*cells):
    """Print a row of a table."""
    print(f"| {' | '.join(cells)} |" if cells else "", flush=True)  # noqa: T201 - what it is for


def named(case):
    """Return a case in words."""
    worse = f", {case.worse:.0%} wider" if case.worse else ""
    return f"{case.metric}, {case.noise} noise{worse}, {'paired' if case.pairs else 'split'}"


if __name__ == "__main__":
    main()
