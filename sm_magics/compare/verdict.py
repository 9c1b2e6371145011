"""What a comparison shows, in a sentence, and what must be said beside it: pure, no more than the numbers carry."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from sm_magics.compare.samples import paired, shared
from sm_magics.compare.sequential import LEAST_LOOK, looked_at, rows_until
from sm_magics.compare.statistics import ALPHA, LEAST_ROWS, Difference, corrected, difference, rows_needed, split_is_off

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sm_magics.compare.measures import Measure
    from sm_magics.compare.samples import Sample

__all__ = ["Verdict", "digits", "judge", "value_of"]

OUT_OF_REACH = 20  # times the rows at hand: a difference that needs more is not waited for

Outcome = Literal["better", "same", "open", "unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be said.

    Attributes
    ----------
    outcome
        `better`: one variant is better than each other one. `same`: all gave the same predictions. `open`: differences
        may be chance. `unknown`: nothing can be said of quality.
    sentence
        That, with its numbers.
    best
        The variant that is better.
    differences
        Each pair of variants, p values for all of them together.
    more
        About how many more rows would show a difference of the size seen, four times in five; None where that is not
        known, or out of reach.
    cautions
        What speaks against the sentence, one each.
    """

    outcome: Outcome
    sentence: str
    best: str | None = None
    differences: tuple[Difference, ...] = ()
    more: int | None = None
    cautions: tuple[str, ...] = ()


def judge(  # noqa: PLR0913 - what was measured, and how
    samples: Sequence[Sample],
    measure: Measure | None,
    *,
    rng: np.random.Generator,
    pairs: bool = True,
    weights: Mapping[str, float] | None = None,
    peeked: bool = False,
    nobodys: int = 0,
    again: int = 0,
) -> Verdict:
    """Return what a comparison shows.

    Parameters
    ----------
    measure
        None where there is no truth to measure by.
    pairs
        Whether all were sent the same rows.
    weights
        The variants' weights, where each row went to one of them by those.
    peeked
        Whether the rows were looked at while they came in, and the comparison ended when they showed enough.
    nobodys
        How many rows were not answered by a variant that is not known.
    again
        How many requests failed and were sent once more.
    """
    cautions = [*_failures(samples, nobodys, pairs=pairs), *_sent_again(again, pairs=pairs), *_split(samples, weights)]
    if measure is None:
        return Verdict("unknown", _agreement(samples, pairs=pairs), cautions=tuple(cautions))
    found = [
        _peeked(measure, a, b) if peeked else difference(measure, a, b, pairs=pairs, rng=rng)
        for a, b in itertools.combinations(samples, 2)
    ]
    found = corrected(found)
    verdict = _said(samples, measure, found, pairs=pairs, peeked=peeked)
    return replace(verdict, differences=tuple(found), cautions=tuple(cautions))


def value_of(measure: Measure, sample: Sample) -> float:
    """Return the measure of one variant, NaN where it answered no row."""
    if sample.truths is None or not len(sample):
        return math.nan
    return measure.value(sample.truths, measure.prepare(sample.truths, sample.predictions))


def digits(value: float) -> str:
    """Return a number with as many digits as tell something."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    places = 0 if size >= 1000 else 2 if size >= 10 else 3 if size >= 0.1 else 4  # noqa: PLR2004 - three digits or so
    text = f"{size:,.{places}f}" if size >= 0.0001 or not size else f"{size:.1e}"  # noqa: PLR2004
    return f"\N{MINUS SIGN}{text}" if value < 0 else text


def _peeked(measure: Measure, first: Sample, second: Sample) -> Difference:
    """Return how two variants differ by a test that may be looked at while rows come in."""
    first, second = paired(first, second)
    if len(first) < LEAST_LOOK and measure.losses is not None:
        value = value_of(measure, first) - value_of(measure, second)
        return Difference(first.variant, second.variant, len(first), value, math.nan, math.nan, math.nan, math.nan)
    if measure.losses is None or first.truths is None or second.truths is None:
        raise ValueError(f"{measure.name} is no mean over rows")
    losses = [measure.losses(each.truths, measure.prepare(each.truths, each.predictions)) for each in (first, second)]
    differences = losses[0] - losses[1]
    value = value_of(measure, first) - value_of(measure, second)
    low, high, p = looked_at(differences)
    mean, deviation = (float(differences.mean()), float(differences.std())) if len(differences) else (math.nan, 0.0)
    unit = value / mean if mean and math.isfinite(mean) else 1.0  # of the measure, for one of loss
    ends = sorted((low * unit, high * unit))
    effect = mean / deviation if deviation else 0.0
    identical = bool(np.array_equal(first.predictions, second.predictions))
    return Difference(
        first.variant, second.variant, len(first), value, ends[0], ends[1], p, math.copysign(effect, value), identical
    )


def _said(
    samples: Sequence[Sample], measure: Measure, found: Sequence[Difference], *, pairs: bool, peeked: bool
) -> Verdict:
    least = LEAST_LOOK if peeked else LEAST_ROWS
    if not all(math.isfinite(each.p) for each in found):
        return Verdict("unknown", _unknown(samples, measure, found, least, pairs=pairs))
    if all(each.identical for each in found):
        who = "both" if len(samples) == 2 else f"all {len(samples)}"  # noqa: PLR2004 - two are both
        return Verdict("same", f"No difference: {who} gave the same predictions for all {found[0].rows:,} rows.")
    best = _best(samples, measure, found)
    if best is not None:
        return Verdict("better", _better(best, samples, measure, found, pairs=pairs), best)
    return _open(samples, measure, found, pairs=pairs, peeked=peeked)


def _unknown(
    samples: Sequence[Sample], measure: Measure, found: Sequence[Difference], least: int, *, pairs: bool
) -> str:
    """Say why there is no verdict: too few rows, or a measure that is not a number for them."""
    fewest = min(samples, key=len)
    rows = min(len(fewest), *(each.rows for each in found))
    if rows >= least:
        return f"{measure.name} is not a number for these rows, so nothing can be said of it."
    looked = "; without --until, fewer will do" if least > LEAST_ROWS else ""
    told = f"{rows:,} were answered by each variant" if pairs else f"{fewest.variant} answered {rows:,}"
    return f"Too few rows to tell: {told}; {least} are the least{looked}."


def _best(samples: Sequence[Sample], measure: Measure, found: Sequence[Difference]) -> str | None:
    """Return the variant that is shown to be better than each other one."""
    for name in (each.variant for each in samples):
        against = [each for each in found if name in {each.first, each.second}]
        wins = [measure.wins(each.value if each.first == name else -each.value) for each in against]
        if all(wins) and all(each.shown for each in against):
            return name
    return None


def _values(samples: Sequence[Sample], measure: Measure, *, pairs: bool) -> dict[str, float]:
    """Return the measure of each variant, of the rows that all of them answered where all were sent the same."""
    return {each.variant: value_of(measure, each) for each in (shared(samples) if pairs else samples)}


def _better(best: str, samples: Sequence[Sample], measure: Measure, found: Sequence[Difference], *, pairs: bool) -> str:
    closest = min((each for each in found if best in {each.first, each.second}), key=lambda each: abs(each.value))
    other = closest.second if closest.first == best else closest.first
    values = _values([each for each in samples if each.variant in {best, other}], measure, pairs=pairs)
    ends = (closest.low, closest.high) if closest.value > 0 else (-closest.high, -closest.low)
    more = "" if len(samples) == 2 else f", the next best of {len(samples)}"  # noqa: PLR2004 - two need no ranking
    return (
        f"{best} is better: {measure.name} {digits(values[best])} against {digits(values[other])} of {other}{more}, "
        f"{measure.better} by {digits(abs(closest.value))} (95 % interval {digits(ends[0])} to {digits(ends[1])}, "
        f"{closest.rows:,} rows)."
    )


def _open(
    samples: Sequence[Sample], measure: Measure, found: Sequence[Difference], *, pairs: bool, peeked: bool
) -> Verdict:
    values = _values(samples, measure, pairs=pairs)
    leader = max(values, key=lambda name: values[name] if measure.better == "higher" else -values[name])
    against = [each for each in found if leader in {each.first, each.second}]
    # A leader of the rows that all answered may be none of those that two did.
    chance = [each for each in against if not each.shown] or [each for each in found if not each.shown] or found
    seen = max(chance, key=lambda each: abs(each.effect) if math.isfinite(each.effect) else 0.0)
    worse = [each.second if each.first == leader else each.first for each in against if each.shown]
    rest = f" {', '.join(worse)} {'is' if len(worse) == 1 else 'are'} worse." if worse else ""
    if seen.identical:
        told = f"No difference: {seen.first} and {seen.second} gave the same predictions for all {seen.rows:,} rows."
        return Verdict("open", f"{told}{rest}")
    tests = len(found)
    needed = rows_until(seen.effect, tests=tests) if peeked else rows_needed(seen, pairs=pairs, tests=tests)
    values = _values([each for each in samples if each.variant in {seen.first, seen.second}], measure, pairs=pairs)
    told = (
        f"{measure.name} {digits(values[seen.first])} of {seen.first} against {digits(values[seen.second])} of "
        f"{seen.second}"
    )
    interval = f"p = {seen.p:.3f}, 95 % interval {digits(seen.low)} to {digits(seen.high)}, {seen.rows:,} rows"
    if needed is None or needed > OUT_OF_REACH * seen.rows:
        return Verdict("open", f"No difference shown: {told}, which chance could explain ({interval}).{rest}")
    more = _round(max(needed - seen.rows, seen.rows // 10, 1))
    hope = f"About {more:,} more rows would show a difference of this size."
    return Verdict("open", f"Not yet: {told} may be chance ({interval}). {hope}{rest}", more=more)


def _round(rows: int) -> int:
    """Return an estimate with the two digits that it is worth."""
    size = 10 ** max(0, len(str(rows)) - 2)
    return int(-(-rows // size) * size)


def _agreement(samples: Sequence[Sample], *, pairs: bool) -> str:
    said = "Nothing can be said of quality without true values (--target)."
    if not pairs or len(samples) != 2:  # noqa: PLR2004 - what two predict can be told in a sentence
        return said
    first, second = paired(*samples)
    if not len(first):
        return said
    same = int(
        np.sum(np.all(np.atleast_2d((first.predictions == second.predictions).T).T.reshape(len(first), -1), axis=1))
    )
    return f"{said} The two gave the same prediction for {same:,} of {len(first):,} rows."


def _failures(samples: Sequence[Sample], nobodys: int, *, pairs: bool) -> list[str]:
    from scipy.stats import fisher_exact

    said = [f"No answer to {nobodys:,} rows; the service does not say which variant failed."] if nobodys else []
    failed = [each for each in samples if len(each.failed)]
    if not failed:
        return said
    told = ", ".join(
        f"{each.variant} for {len(each.failed):,} of {len(each) + len(each.failed):,} rows" for each in failed
    )
    said.append(f"No answer: {told}." + (" Only rows that both answered are compared." if pairs else ""))
    for a, b in itertools.combinations(samples, 2):
        counts = [[len(each.failed), len(each)] for each in (a, b)]
        if fisher_exact(counts).pvalue < ALPHA:
            worse, other = (a, b) if a.error_rate > b.error_rate else (b, a)
            said.append(f"{worse.variant} fails more often than {other.variant}, and not by chance.")
    return said


def _sent_again(again: int, *, pairs: bool) -> list[str]:
    if pairs or not again:
        return []
    told = f"{again:,} {'row was' if again == 1 else 'rows were'} sent a second time after no answer"
    return [f"{told}, and whoever was next answered then: a variant that fails has fewer rows than its weight says."]


def _split(samples: Sequence[Sample], weights: Mapping[str, float] | None) -> list[str]:
    if weights is None:
        return []
    counts = {each.variant: len(each) + len(each.failed) for each in samples}
    p = split_is_off(counts, weights)
    if p is None:
        return []
    total, weight = sum(counts.values()), sum(weights[each] for each in counts)
    told = ", ".join(f"{name} {count / total:.1%} for {weights[name] / weight:.1%}" for name, count in counts.items())
    return [f"The split is not what the weights say ({told}; p = {p:.1g}), so the comparison cannot be trusted."]
