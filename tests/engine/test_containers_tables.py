from __future__ import annotations

import math
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.containers.tables import Dense, compressed, has_infinity, merged, narrowed, widened

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 5))


def dense(matrix):
    return Dense(array("f", matrix.ravel()), *matrix.shape)


def matrix(table):
    return np.array(table.values).reshape(table.rows, table.columns)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(1, 4))
def test_merging_stacks_the_rows(counts, columns):
    tables = [np.random.default_rng(n).normal(size=(count, columns)).astype("f4") for n, count in enumerate(counts)]
    np.testing.assert_array_equal(matrix(merged([dense(table) for table in tables])), np.vstack(tables))


@given(SHAPES, st.integers(0, 3))
def test_widening_adds_missing_values_and_narrowing_takes_them_away(shape, more):
    original = np.arange(math.prod(shape), dtype="f4").reshape(shape)
    wide = widened(dense(original), shape[1] + more)
    np.testing.assert_array_equal(matrix(wide)[:, : shape[1]], original)
    assert np.isnan(matrix(wide)[:, shape[1] :]).all()
    assert narrowed(wide, shape[1]) == dense(original)


def test_narrowing_a_sparse_table_drops_its_entries_to_the_right():
    table = compressed([{4: 1.0, 0: 2.0}, {}, {3: 1.0}], 5)
    assert narrowed(table, 4) == compressed([{0: 2.0}, {}, {3: 1.0}], 4)


@pytest.mark.parametrize(
    ("values", "infinite"),
    [([], False), ([1, math.nan], False), ([math.inf], True), ([1e39, math.nan], True), ([math.inf, -math.inf], True)],
)
def test_infinity_is_found_among_missing_values(values, infinite):
    assert has_infinity(array("f", values)) is infinite
