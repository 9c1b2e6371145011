"""Samples: what each variant answered, and the rows that two of them share."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.compare.samples import Sample, paired, shared


def sample(name, rows, failed=()):
    rows = np.array(sorted(rows), dtype=int)
    return Sample(name, rows, rows * 1.0, rows + 0.5, rows / 1000, np.array(failed, dtype=int))


@given(st.sets(st.integers(0, 50)), st.sets(st.integers(0, 50)), st.randoms())
def test_pairs_are_the_rows_that_both_answered_in_the_order_of_the_data(first, second, random):
    a, b = sample("A", first), sample("B", second)
    places = list(range(len(a)))
    random.shuffle(places)
    left, right = paired(a.take(np.array(places, dtype=int)), b)
    assert list(left.rows) == list(right.rows) == sorted(first & second)
    assert list(left.predictions) == [each + 0.5 for each in left.rows]


def test_a_sample_knows_its_error_rate():
    assert sample("A", [0, 1, 2], failed=[3]).error_rate == 0.25
    assert sample("A", []).error_rate == 0.0


def test_a_part_of_a_sample_keeps_its_columns_together():
    part = sample("A", [4, 5, 6]).take(np.array([True, False, True]))
    assert list(part.rows) == [4, 6]
    assert list(part.truths) == [4.0, 6.0]
    assert list(part.seconds) == [0.004, 0.006]


def test_a_sample_without_truths_has_none_in_its_parts():
    whole = Sample("A", np.arange(3), None, np.arange(3), np.zeros(3), np.zeros(0, int))
    assert whole.take(np.array([0])).truths is None


@given(st.lists(st.sets(st.integers(0, 20)), min_size=1, max_size=4))
def test_shared_rows_are_those_that_all_answered(rows):
    found = shared([sample(f"V{at}", each) for at, each in enumerate(rows)])
    assert all(list(each.rows) == sorted(set.intersection(*rows)) for each in found)
