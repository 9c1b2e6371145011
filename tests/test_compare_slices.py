"""Quality by the values of a column, and rows on which variants disagree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.compare.measures import measure_of
from sm_magics.compare.samples import Sample
from sm_magics.compare.slices import disagreements, slices


def sample(name, truths, predictions, rows=None):
    rows = np.arange(len(predictions)) if rows is None else np.asarray(rows)
    truths = None if truths is None else np.asarray(truths)
    return Sample(name, rows, truths, np.asarray(predictions), np.zeros(len(rows)), np.zeros(0, int))


def cut(column, *, variants="AB", worse=3.0):
    rng = np.random.default_rng(4)
    truths = rng.normal(size=len(column))
    noise = [rng.normal(size=len(column)) * (worse if at else 1) for at in range(len(variants))]
    made = [sample(name, truths, truths + away) for name, away in zip(variants, noise, strict=True)]
    return slices(made, measure_of("rmse"), np.asarray(column), pairs=True, rng=rng)


def test_each_value_is_a_slice_with_the_quality_of_each_variant():
    found = cut(["north", "south"] * 60)
    assert [(each.label, each.rows) for each in found] == [("north", 60), ("south", 60)]
    assert all(each.values[0] < each.values[1] for each in found)
    assert all(each.difference.shown for each in found)


@given(st.lists(st.one_of(st.floats(-9, 9), st.just(float("nan"))), min_size=12, max_size=60))
def test_many_numbers_are_cut_at_their_quartiles_and_no_row_is_lost(column):
    found = cut(column)
    assert sum(each.rows for each in found) == len(column)
    assert len(found) <= 10


def test_times_are_cut_at_their_quartiles():
    column = np.arange("2024-01-01", "2024-04-10", dtype="datetime64[D]").astype("datetime64[us]")
    column[0] = "NaT"
    assert [(each.label, each.rows) for each in cut(column)] == [
        ("below 2024-01-26T12:00", 25),
        ("2024-01-26T12:00 to 2024-02-20T00:00", 24),
        ("2024-02-20T00:00 to 2024-03-15T12:00", 25),
        ("from 2024-03-15T12:00", 25),
        ("no value", 1),
    ]


def test_rows_without_a_value_are_a_slice():
    column = np.array([None, "b", float("nan"), "b"] * 20, dtype=object)
    assert [(each.label, each.rows) for each in cut(column)] == [("b", 40), ("no value", 40)]


def test_more_values_than_a_card_has_room_for_are_put_together():
    found = cut([f"v{each:02d}" for each in range(30)] * 4)
    assert len(found) == 9
    assert found[-1].label == "all others"
    assert sum(each.rows for each in found) == 120


def test_slices_are_judged_together():
    column = ["a", "b", "c", "d"] * 10
    together = [each.difference.p for each in cut(column, worse=1.5)]
    alone = [cut([each if each == name else "rest" for each in column], worse=1.5) for name in "abcd"]
    smallest = min(each.difference.p for found in alone for each in found if each.label != "rest")
    assert min(together) > smallest


def test_of_more_than_two_variants_no_slice_is_judged():
    assert all(each.difference is None for each in cut(["a", "b"] * 30, variants="ABC"))


def test_a_slice_with_few_rows_says_nothing():
    found = cut(["rare"] * 2 + ["usual"] * 60)
    assert found[0].label == "rare"
    assert not found[0].difference.shown


def test_the_rows_that_are_predicted_most_differently_come_first():
    first = sample("A", [1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])
    second = sample("B", [1.0] * 5, [1.0, 2.5, 9.0, 4.0, 5.1])
    found = disagreements([first, second], 2)
    assert [(each.row, each.predictions) for each in found] == [(2, (3.0, 9.0)), (1, (2.0, 2.5))]
    assert found[0].truth == 1.0


def test_labels_disagree_or_not():
    found = disagreements([sample("A", None, ["x", "y", "z"]), sample("B", None, ["x", "q", "z"])], 5)
    assert [each.row for each in found] == [1]
    assert found[0].truth is None


def test_probabilities_disagree_by_the_class_that_differs_most():
    one = sample("A", None, [[0.1, 0.9], [0.5, 0.5]])
    assert [each.row for each in disagreements([one, sample("B", None, [[0.2, 0.8], [0.9, 0.1]])], 5)] == [1, 0]


def test_only_rows_that_all_answered_are_compared():
    assert disagreements([sample("A", None, [1.0], [0]), sample("B", None, [2.0], [1])], 5) == ()
    three = [sample(name, None, [float(at), 9.0 * at], [0, at + 1]) for at, name in enumerate("ABC")]
    assert [each.row for each in disagreements(three, 5)] == [0]
    assert disagreements(three, 5)[0].predictions == pytest.approx((0.0, 1.0, 2.0))
