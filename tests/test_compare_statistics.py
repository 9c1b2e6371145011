"""Differences between variants: what scipy says of them, and what is too little to say anything."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from sm_magics.compare import statistics
from sm_magics.compare.measures import measure_of
from sm_magics.compare.samples import Sample
from sm_magics.compare.statistics import LEAST_ROWS, Difference, corrected, difference, rows_needed, split_is_off


def sample(name, truths, predictions, rows=None):
    rows = np.arange(len(truths)) if rows is None else np.asarray(rows)
    return Sample(name, rows, np.asarray(truths), np.asarray(predictions), np.zeros(len(rows)), np.zeros(0, int))


def two(rows=200, wider=1.0, seed=0):
    rng = np.random.default_rng(seed)
    truths, shared = rng.normal(size=rows), rng.normal(size=rows)
    return [sample(name, truths, truths + shared + rng.normal(size=rows) * s) for name, s in (("A", 1), ("B", wider))]


def compared(metric, first, second, *, pairs=True, seed=7):
    return difference(measure_of(metric), first, second, pairs=pairs, rng=np.random.default_rng(seed))


def test_a_difference_of_mean_losses_is_close_to_students():
    first, second = two(wider=1.3)
    found = compared("mae", first, second)
    losses = [np.abs(each.predictions - each.truths) for each in (first, second)]
    theirs = stats.ttest_rel(*losses)
    low, high = theirs.confidence_interval(0.95)
    assert found.value == pytest.approx(losses[0].mean() - losses[1].mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)
    assert found.p == pytest.approx(theirs.pvalue, abs=0.01)
    away = losses[0] - losses[1]
    assert found.effect == pytest.approx(away.mean() / away.std(ddof=1), rel=0.05)
    assert found.rows == 200


@pytest.mark.parametrize("metric", ["rmse", "r2", "auc", "f1", "accuracy", "logloss"])
def test_every_measure_finds_a_large_difference_and_none_where_there_is_none(metric):
    rng = np.random.default_rng(1)
    truths = rng.integers(0, 2, 150)
    good, bad = (np.clip(truths * 0.5 + 0.25 + rng.normal(size=150) * wide, 0.01, 0.99) for wide in (0.15, 0.6))
    found = compared(metric, sample("A", truths, good), sample("B", truths, bad))
    assert found.shown
    assert measure_of(metric).wins(found.value)
    assert not found.low <= 0 <= found.high
    same = [np.clip(truths * 0.5 + 0.25 + rng.normal(size=150) * 0.4, 0.01, 0.99) for _ in range(2)]
    assert not compared(metric, sample("A", truths, same[0]), sample("B", truths, same[1])).shown


def test_the_same_seed_says_the_same():
    assert compared("rmse", *two(), seed=3) == compared("rmse", *two(), seed=3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_turning_a_pair_round_turns_its_difference_round(seed):
    first, second = two(60, 1.2, seed)
    there, back = compared("rmse", first, second), compared("rmse", second, first)
    assert there.value == pytest.approx(-back.value)
    assert there.effect == pytest.approx(-back.effect, rel=0.1)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=0.03)


@pytest.mark.parametrize(("metric", "huge"), [("rmse", np.inf), ("rmse", -1e200), ("mae", np.inf), ("r2", np.inf)])
@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.filterwarnings("error")
def test_of_predictions_beyond_all_bounds_nothing_is_said_and_nothing_warns(metric, pairs, huge):
    first, second = two(20)
    first.predictions[3], second.predictions[3] = huge, huge
    found = compared(metric, first, second, pairs=pairs)
    assert np.isnan([found.value, found.low, found.p]).all()


def test_pairs_are_matched_by_row():
    first, second = two(100)
    mixed = second.take(np.random.default_rng(0).permutation(100))
    assert compared("rmse", first, mixed) == compared("rmse", first, second)
    assert compared("rmse", first, second.take(np.arange(40, 100))).rows == 60


def test_a_split_compares_rows_of_each_own():
    first, second = two(300, 2.0)
    left, right = first.take(np.arange(200)), second.take(np.arange(200, 300))
    found = compared("mae", left, right, pairs=False)
    assert found.rows == 300
    assert found.shown
    theirs = stats.ttest_ind(*(np.abs(each.predictions - each.truths) for each in (left, right)), equal_var=False)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)), abs=0.05)


def test_the_same_predictions_are_no_difference():
    first, _ = two(50)
    found = compared(
        "auc", replace(first, truths=(first.truths > 0) * 1), replace(first, variant="B", truths=(first.truths > 0) * 1)
    )
    assert found.identical
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_of_many_rows_students_test_says_what_permutations_do(monkeypatch):
    made = two(2000)
    slow = compared("rmse", *made)
    monkeypatch.setattr(statistics, "MANY_ROWS", 2000)
    fast = compared("rmse", *made)
    assert fast.p == pytest.approx(slow.p, abs=0.03)
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), rel=0.2, abs=0.01)


@pytest.mark.parametrize("sizes", [(200, 200), (400, 44)])
def test_the_effect_in_a_split_is_cohens_whatever_the_shares(sizes):
    rng = np.random.default_rng(3)
    both = [
        Sample(name, np.arange(n), np.zeros(n), rng.normal(2 + worse, 1, n), np.zeros(n), np.zeros(0, int))
        for name, n, worse in zip("AB", sizes, (0, 1), strict=True)
    ]
    bias = measure_of(lambda t, p: float((p - t).mean()), "lower")
    found = difference(bias, *both, pairs=False, rng=rng)
    a, b = (each.predictions for each in both)
    assert found.effect == pytest.approx((a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2), rel=0.15)


@pytest.mark.parametrize("rows", [0, 1, LEAST_ROWS - 1])
def test_too_few_rows_say_nothing(rows):
    found = compared("rmse", *two(rows))
    assert math.isnan(found.p)
    assert not found.shown


def test_many_pairs_are_judged_together():
    each = Difference("A", "B", 10, 1.0, 0.5, 1.5, 0.02, 0.5)
    unknown = replace(each, p=math.nan)
    found = corrected([each, replace(each, p=0.04), unknown, replace(each, p=0.5)])
    assert [round(one.p, 3) for one in found if one.p == one.p] == [0.06, 0.08, 0.5]
    assert math.isnan(found[2].p)
    assert corrected([each]) == [each]


def test_the_rows_needed_are_those_of_the_power():
    each = Difference("A", "B", 10, 1.0, 0.5, 1.5, 0.2, 0.3)
    needed = rows_needed(each, pairs=True)
    assert TTestPower().power(0.3, needed, 0.05) >= 0.8 > TTestPower().power(0.3, needed - 2, 0.05)
    assert rows_needed(each, pairs=True, tests=3) > needed
    assert rows_needed(each, pairs=False) > 3 * needed
    assert rows_needed(replace(each, ratio=9.0), pairs=False) > 2 * rows_needed(each, pairs=False)
    assert rows_needed(replace(each, effect=9.0), pairs=True) == LEAST_ROWS
    assert rows_needed(replace(each, effect=0.0), pairs=True) is None
    assert rows_needed(replace(each, effect=math.nan), pairs=True) is None


def test_a_split_that_its_weights_do_not_explain_is_told():
    assert split_is_off({"A": 80, "B": 20}, {"A": 4.0, "B": 1.0}) is None
    assert split_is_off({"A": 500, "B": 500}, {"A": 4.0, "B": 1.0}) < 1e-6
    assert split_is_off({"A": 10, "B": 0}, {"A": 1.0, "B": 0.0}) is None
    assert split_is_off({"A": 10, "B": 1}, {"A": 1.0, "B": 0.0}) == 0.0
    with pytest.raises(ValueError, match="no variant has a weight"):
        split_is_off({"A": 1}, {"A": 0.0})
