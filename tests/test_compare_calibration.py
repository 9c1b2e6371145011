"""That the statistics err no more often than they say: the cases of `bench/calibration.py`, with fewer trials."""

from __future__ import annotations

import pytest
from calibration import A_A, DIFFERENT, named, peeking, promised, seen, true_difference
from scipy.stats import binom

TRIALS = 80
PAIRED = [each for each in A_A if each.pairs and each.metric != "mape"]


def fewest(share):
    """Return how small a share of the trials is by chance one time in a thousand, where the true one is `share`."""
    return binom.ppf(0.001, TRIALS, share) / TRIALS


def most(share):
    """Return how large it may be."""
    return binom.ppf(0.999, TRIALS, share) / TRIALS


@pytest.mark.parametrize("case", A_A, ids=named)
def test_no_difference_gives_alarm_one_time_in_twenty_at_most(case):
    rates = seen(case, 100, TRIALS, seed=11)
    assert rates.alarms <= most(0.05)
    assert rates.covered >= fewest(0.93)


@pytest.mark.parametrize("case", DIFFERENT, ids=named)
def test_a_difference_is_found_at_the_promised_power(case):
    rows = promised(case, seed=12)
    rates = seen(case, rows, TRIALS, 13, true_difference(case, 14))
    assert rates.alarms >= fewest(0.8)
    assert rates.covered >= fewest(0.93)


@pytest.mark.parametrize("case", PAIRED, ids=named)
def test_looking_all_the_while_gives_alarm_one_time_in_twenty_at_most(case):
    assert peeking(case, 2000, TRIALS, seed=15)[0] <= most(0.05)


def test_looking_all_the_while_finds_what_is_there():
    share, after = peeking(DIFFERENT[0], 5000, TRIALS, seed=16)
    assert share >= 0.9
    assert after < 5000
