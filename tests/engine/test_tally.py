from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.tally import Meter, merged, spread_of

MICROSECONDS = st.lists(st.integers(0, 60_000_000), min_size=1, max_size=200)


@given(MICROSECONDS, st.integers(1, 100))
def test_a_percentile_is_within_a_bin_of_the_value_of_that_rank(values, percent):
    exact = sorted(values)[math.ceil(len(values) * percent / 100) - 1]
    told = spread_of(Counter(values)).percentile(percent)
    assert abs(told - exact) <= max(1, exact / 16)


@given(MICROSECONDS, MICROSECONDS)
def test_spreads_taken_together_are_the_spread_of_all(some, others):
    both = merged([spread_of(Counter(some)), spread_of(Counter(others))])
    assert both == spread_of(Counter(some + others))
    assert (both.count, both.total, both.least, both.most) == (
        len(some + others),
        sum(some + others),
        min(some + others),
        max(some + others),
    )


def test_of_nothing_every_number_is_zero():
    nothing = merged([])
    assert (nothing.count, nothing.average, nothing.percentile(50)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("status", "client", "server", "model"),
    [(200, 0, 0, 0), (204, 0, 0, 0), (415, 1, 0, 1), (429, 1, 0, 1), (500, 0, 1, 1), (0, 0, 1, 1), (302, 0, 0, 1)],
)
def test_an_answer_counts_by_the_class_of_its_status(status, client, server, model):
    meter = Meter()
    meter.count(status, 900, 100, 2)
    meter.fold(10)
    tally = meter.take()
    assert (tally.client_errors, tally.server_errors, tally.model_errors) == (client, server, model)
    assert (tally.invocations, tally.per_instance, tally.model.total, tally.overhead.total) == (1, 0.5, 900, 100)


def test_a_copy_has_no_time_apart_from_the_container():
    meter = Meter()
    meter.count_copy(500, 7, 1)
    meter.fold(0)
    told = meter.take()
    assert (told.invocations, told.server_errors, told.model.total, told.overhead.count) == (1, 1, 7, 0)


def test_what_is_folded_in_parts_is_one_tally_and_is_taken_once():
    meter = Meter()
    for status in (200, 500, 200):
        meter.count(status, 7, 3, 1)
        meter.fold(20)
    assert meter.peek() == meter.peek()
    tally = meter.take()
    assert (tally.start, tally.invocations, tally.server_errors, tally.model.total) == (20, 3, 1, 21)
    assert meter.take() is None


def test_no_instance_left_is_no_division_by_zero():
    meter = Meter()
    meter.count(500, 7, 3, 0)
    meter.fold(0)
    assert meter.take().per_instance == 1
