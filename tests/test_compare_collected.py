"""What came back so far, in columns."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.compare.collected import Collected

PREDICTIONS = st.one_of(st.floats(-9, 9), st.just("cat"), st.tuples(st.floats(0, 1), st.floats(0, 1)))


@given(st.lists(st.tuples(st.integers(0, 99), st.floats(-9, 9), st.floats(0, 9)), unique_by=lambda each: each[0]))
def test_a_sample_has_the_answers_in_the_order_of_the_data(answers):
    collected = Collected(["A"])
    for place, prediction, seconds in answers:
        collected.add(place, "A", prediction, seconds)
    (sample,) = collected.samples(np.arange(100.0))
    expected = sorted(answers)
    assert list(sample.rows) == [each[0] for each in expected]
    assert list(sample.predictions) == [each[1] for each in expected]
    assert list(sample.seconds) == [each[2] for each in expected]
    assert list(sample.truths) == [float(each[0]) for each in expected]
    assert collected.answered == len(answers)


@given(st.lists(PREDICTIONS, min_size=1, max_size=9))
def test_predictions_of_any_kinds_are_kept_as_they_came(predictions):
    collected = Collected(["A"])
    for place, each in enumerate(predictions):
        collected.add(place, "A", each, 0.1)
    (sample,) = collected.samples(None)
    assert len(sample.predictions) == len(predictions)
    assert sample.truths is None
    if len({type(each) for each in predictions}) == 1:
        assert [tuple(each) if isinstance(each, np.ndarray) else each for each in sample.predictions] == predictions


def test_numbers_take_eight_bytes_each():
    collected = Collected(["A"])
    for place in range(1000):
        collected.add(place, "A", 1.0, 0.1)
    column = collected._columns["A"]
    assert column.others is None
    assert column.numbers.itemsize * len(column.numbers) == 8000


def test_rows_before_a_place_are_a_sample_of_their_own():
    collected = Collected(["A", "B"])
    for place in (3, 0, 2):
        collected.add(place, "A", float(place), 0.1)
    collected.fail(1, "A", "why")
    collected.fail(5, "A", "why")
    first, second = collected.samples(None, below=3)
    assert list(first.rows) == [0, 2]
    assert list(first.failed) == [1]
    assert len(second) == 0


def test_a_row_that_is_answered_after_all_has_not_failed():
    collected = Collected(["A"])
    collected.fail(0, "A", "why")
    collected.add(0, "A", 1.0, 0.1)
    assert collected.failures == {}


def test_a_variant_that_was_not_expected_is_kept_too():
    collected = Collected(["A"])
    collected.add(0, "Z", 1.0, 0.1)
    assert [each.variant for each in collected.samples(None)] == ["A", "Z"]


class Interrupting(array):
    """A column whose next append is interrupted before it is done."""

    def append(self, _value):
        raise KeyboardInterrupt


@pytest.mark.parametrize(("part", "kind"), [("places", "q"), ("seconds", "d"), ("numbers", "d")])
@pytest.mark.parametrize("then", [3.0, "cat"])
def test_an_answer_that_an_interrupt_left_half_made_does_not_count(part, kind, then):
    collected = Collected(["A"])
    collected.add(0, "A", 1.0, 0.1)
    column = collected._columns["A"]
    whole = getattr(column, part)
    setattr(column, part, Interrupting(kind, whole))
    with pytest.raises(KeyboardInterrupt):
        collected.add(1, "A", 2.0, 0.2)
    (sample,) = collected.samples(None)
    assert (len(sample.rows), len(sample.seconds), len(sample.predictions)) == (1, 1, 1)
    setattr(column, part, whole)
    collected.add(2, "A", then, 0.3)
    (sample,) = collected.samples(None)
    assert list(sample.rows) == [0, 2]
    assert list(sample.seconds) == [0.1, 0.3]
    assert list(sample.predictions) == list(np.array([1.0, then]))


class InterruptedBefore(dict):
    """Failures, of which the next is not taken away, for that is interrupted."""

    def pop(self, *_):
        raise KeyboardInterrupt


class InterruptedAfter(dict):
    """Failures, of which the next is taken away, and nothing comes after that."""

    def pop(self, *key):
        super().pop(*key)
        raise KeyboardInterrupt


@pytest.mark.parametrize("kind", [InterruptedBefore, InterruptedAfter])
def test_an_interrupt_leaves_no_row_both_answered_and_failed(kind):
    collected = Collected(["A"])
    collected.fail(0, "A", "why")
    collected.failures = kind(collected.failures)
    with pytest.raises(KeyboardInterrupt):
        collected.add(0, "A", 1.0, 0.1)
    (sample,) = collected.samples(None)
    assert len(sample) == 0
    assert len(sample.failed) == len(collected.failures) == (kind is InterruptedBefore)


def test_predictions_of_different_lengths_are_kept():
    collected = Collected(["A"])
    collected.add(0, "A", (1.0, 2.0), 0.1)
    collected.add(1, "A", (1.0,), 0.1)
    (sample,) = collected.samples(None)
    assert sample.predictions.dtype == object
    assert sample.predictions[1] == pytest.approx((1.0,))
