"""What is known of rows before any is sent."""

from __future__ import annotations

import itertools
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from sm_magics.compare import known
from sm_magics.compare.known import by_of, count_of, flows, truths_of
from sm_magics.errors import CellError

ROWS = np.ones((3, 2))


def endless(taken):
    """Yield numbers without end, and note how many were taken."""
    for number in itertools.count():
        taken.append(number)
        yield float(number)


def test_of_truths_without_an_end_no_more_are_taken_than_show_that_there_are_too_many():
    taken = []
    with pytest.raises(CellError, match="--target has more than 3 values for 3 rows"):
        truths_of(endless(taken), 3, ROWS)
    assert len(taken) == 4


def test_where_rows_flow_as_many_truths_are_taken_as_rows_are_asked_for():
    taken = []
    assert list(truths_of(endless(taken), 3, iter(ROWS))) == [0.0, 1.0, 2.0]
    assert len(taken) == 4


def test_where_nothing_says_how_many_there_are_truths_have_a_bound(monkeypatch):
    monkeypatch.setattr(known, "MOST_TRUTHS", 10)
    assert len(truths_of(iter(range(10)), None, iter(ROWS))) == 10
    with pytest.raises(CellError, match="--target has more than 10 values, and neither it nor --data says") as caught:
        truths_of(itertools.count(), None, iter(ROWS))
    assert "--rows" in caught.value.hint


def test_truths_of_the_rows_index_belong_to_them_in_any_order():
    frame = pd.DataFrame({"x": [1, 2, 3]}, index=["a", "b", "c"])
    assert list(truths_of(pd.Series([3.0, 1.0, 2.0], index=["c", "a", "b"]), 3, frame)) == [1.0, 2.0, 3.0]
    with pytest.raises(CellError, match="the index of --target is not that of --data"):
        truths_of(pd.Series([3.0, 1.0, 2.0]), 3, frame)


def test_fewer_are_taken_where_all_rows_that_are_sent_have_theirs():
    assert list(truths_of([5.0, 6.0], 2, ROWS)) == [5.0, 6.0]
    assert list(truths_of(iter([5.0, 6.0]), 1, ROWS)) == [5.0]
    with pytest.raises(CellError, match="--target has 1 values for 2 rows"):
        truths_of([5.0], 2, ROWS)
    with pytest.raises(CellError, match="--target has 4 values for 3 rows"):
        truths_of([5.0] * 4, 2, ROWS)
    frame = pd.DataFrame({"x": [1, 2, 3]}, index=["c", "a", "b"])
    assert list(truths_of(pd.Series([1.0, 3.0], index=["a", "c"]), 2, frame)) == [3.0, 1.0]
    with pytest.raises(CellError, match="the index of --target is not that of the first 2 rows of --data"):
        truths_of(pd.Series([1.0, 2.0], index=["a", "b"]), 2, frame)


INFINITE = [float("inf"), -np.inf, Decimal("Infinity"), 10**400]


@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize("value", INFINITE)
def test_an_infinite_truth_is_refused_by_its_row(value, numbers):
    for target in ([1.0, value, 3.0], pd.Series([1.0, value, 3.0], dtype=object)):
        with pytest.raises(CellError, match="--target has no finite value for row 1: ") as caught:
            truths_of(target, 3, ROWS, numbers=numbers)
        assert "without a finite true value" in caught.value.hint
        assert list(truths_of(target, 1, ROWS, numbers=numbers)) == [1.0]  # that of a row that is not sent


def test_a_truth_that_is_no_number_is_named_where_they_have_to_be():
    mixed = pd.Series([2.48, 7.0, 1.0], dtype=object)
    mixed.iloc[1] = "x"
    with pytest.raises(CellError, match="--target has no number for row 1: 'x'") as caught:
        truths_of(mixed, 3, ROWS, numbers=True)
    assert "accuracy and f1 take labels" in caught.value.hint
    assert list(truths_of(mixed, 3, ROWS)) == ["2.48", "x", "1.0"]
    assert list(truths_of([Decimal("2.5"), True, 3], 3, ROWS, numbers=True)) == [2.5, 1.0, 3.0]


@pytest.mark.parametrize(("target", "told"), [([1.0], "1 values for 3"), ([1.0] * 4, "4 values for 3")])
def test_too_few_and_too_many_are_refused(target, told):
    with pytest.raises(CellError, match=f"--target has {told} rows"):
        truths_of(target, 3, ROWS)


def test_rows_are_counted_where_they_can_be():
    assert (flows(ROWS), flows(iter(ROWS))) == (False, True)
    assert (count_of(ROWS, None), count_of(ROWS, 2), count_of(iter(ROWS), None), count_of([1], 9)) == (3, 2, None, 1)


def test_a_column_to_cut_by_is_named_or_given():
    frame = pd.DataFrame({"x": [1, 2, 3]})
    assert by_of(None, frame, 3) is None
    name, column = by_of("x", frame, 2)
    assert (name, list(column)) == ("x", [1, 2])
    assert by_of(["a", "b", "c"], ROWS, 3)[0] == "by"
