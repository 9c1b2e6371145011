"""The test that may be looked at while rows come in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.compare.sequential import LEAST_LOOK, half_width, looked_at, rows_until
from sm_magics.compare.statistics import ALPHA


@given(st.integers(LEAST_LOOK, 3000), st.floats(-0.5, 0.5), st.integers(0, 99))
def test_p_says_what_the_interval_says(rows, mean, seed):
    low, high, p = looked_at(np.random.default_rng(seed).normal(mean, 1, rows))
    assert low < high
    assert (p < ALPHA) == (not low <= 0 <= high)


@given(st.integers(1, 100_000))
def test_an_interval_that_holds_at_every_look_is_wider_than_one_for_one_look(rows):
    assert half_width(rows) > 1.96 / math.sqrt(rows)
    assert half_width(rows, 0.01) > half_width(rows, 0.05)


def test_rows_make_it_narrower():
    widths = [half_width(rows) for rows in (100, 1000, 10_000, 100_000)]
    assert widths == sorted(widths, reverse=True)


def test_nothing_is_said_before_the_first_look():
    assert looked_at(np.ones(LEAST_LOOK - 1)) == (-math.inf, math.inf, 1.0)


def test_so_many_rows_show_a_difference_four_times_in_five():
    rows = rows_until(0.15)
    rng = np.random.default_rng(1)
    shown = [looked_at(rng.normal(0.15, 1, rows))[2] < ALPHA for _ in range(400)]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.06)
    assert rows_until(0.15, tests=3) > rows == rows_until(-0.15)
    assert rows_until(9.0) == LEAST_LOOK
    assert rows_until(0.0) is None
    assert rows_until(math.nan) is None


def test_rows_that_all_differ_alike():
    assert looked_at(np.ones(LEAST_LOOK)) == (1.0, 1.0, 0.0)
    assert looked_at(np.zeros(LEAST_LOOK)) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("kind", ["normal", "squares"])
def test_looking_all_the_while_alarms_no_more_often_than_it_says(kind):
    rng, alarms, trials = np.random.default_rng(5), 0, 400
    widths = np.array([half_width(rows) for rows in range(1, 3001)])
    for _ in range(trials):
        noise = rng.normal(size=(2, 3000))
        away = noise[0] if kind == "normal" else noise[0] ** 2 - noise[1] ** 2
        counts = np.arange(1, 3001)
        means = np.cumsum(away) / counts
        deviations = np.sqrt(np.cumsum(away**2) / counts - means**2)
        alarms += bool((np.abs(means) > deviations * widths)[LEAST_LOOK - 1 :].any())
    assert alarms / trials <= ALPHA
