from __future__ import annotations

import csv
import io
import itertools
import json
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.errors import CellError
from sm_magics.rows import BLOCK, Rows, by_index, csv_line, each_row, json_line, number_of, rows_of, unusual, values_of
from sm_magics.spec import resolve

TABLE = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
FRAME = pd.DataFrame(TABLE, columns=["a", "b"], index=[7, 8, 9])


def generated():
    yield from TABLE


def lines(data, limit=None):
    return [csv_line(row).decode() for row in rows_of(data, limit).first]


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        tuple(map(tuple, TABLE)),
        np.array(TABLE),
        np.array(TABLE, dtype="float32"),
        FRAME,
        scipy.sparse.csr_matrix(TABLE),
        scipy.sparse.csc_array(TABLE),
        scipy.sparse.coo_matrix(TABLE),
        list(np.array(TABLE)),
        [pd.Series(row) for row in TABLE],
        [(np.float64(a), np.float32(b)) for a, b in TABLE],
    ],
    ids=lambda data: type(data).__name__,
)
def test_rows_come_out_of_whatever_holds_them(data):
    assert rows_of(data, 2) == Rows([[1.0, 2.0], [3.0, 4.0]], 3)
    assert rows_of(data) == Rows(TABLE, 3)
    assert all(type(value) is float for row in rows_of(data).first for value in row)


def test_a_generator_gives_no_more_than_is_asked_for_and_its_length_is_unknown():
    rows = generated()
    assert rows_of(rows, 2) == Rows([[1.0, 2.0], [3.0, 4.0]], None)
    assert next(rows) == [5.0, 6.0]


@pytest.mark.parametrize(
    "data",
    [
        [1.0, 2.0, 3.0],
        (1.0, 2.0, 3.0),
        np.array([1.0, 2.0, 3.0]),
        pd.Series([1.0, 2.0, 3.0], index=["a", "b", "c"]),
        iter([1.0, 2.0, 3.0]),
        range(1, 4),
    ],
    ids=lambda data: type(data).__name__,
)
def test_a_flat_list_is_one_row_and_not_cut(data):
    assert rows_of(data, 2) == Rows([[1.0, 2.0, 3.0]], 1)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("1,2,3", "str"),
        (b"1,2", "bytes"),
        (7, "int"),
        (None, "NoneType"),
        ({"a": 1}, "dict"),
        ({1, 2}, "set"),
        (np.array(5.0), "ndarray"),
        (object(), "object"),
    ],
)
def test_what_holds_no_rows_is_named(data, kind):
    with pytest.raises(CellError, match=f"--data takes rows, not a {kind}") as caught:
        rows_of(data, 2)
    assert "%%sm_invoke" in caught.value.hint


@pytest.mark.parametrize("data", [[], (), np.empty((0, 3)), FRAME[:0], iter([]), pd.Series([], dtype=float)])
def test_no_rows_is_an_error(data):
    with pytest.raises(CellError, match="--data has no rows"):
        rows_of(data, 2)


@pytest.mark.parametrize("data", [np.zeros((2, 2, 2)), [[[1]]], [[[1, 2]], [[3, 4]]]])
def test_more_than_two_dimensions_is_an_error(data):
    with pytest.raises(CellError, match="more than two dimensions"):
        rows_of(data)


def test_rows_of_unequal_length_are_an_error_that_names_the_first():
    with pytest.raises(CellError, match="row 1 has 1 values where row 0 has 2"):
        rows_of([[1, 2], [3]])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (pd.Series([1.0, 2.0]), "a Series is sent as one row"),
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), "column b is text, 'x'"),
        (pd.DataFrame({"a": [1.0], "b": [float("nan")]}), "column b has no value"),
        ([[1.0, None]], "column 1 has no value"),
        ([[1.0, 2.0]], None),
    ],
)
def test_what_stands_out_in_a_row_is_named(data, told):
    found = unusual(data, rows_of(data).first[0])
    assert found is None if told is None else told in found


def test_rows_mixed_with_values_are_an_error():
    with pytest.raises(CellError, match="mixes rows and single values"):
        rows_of([1, [2, 3]])


def test_rows_that_are_mappings_are_an_error_that_says_what_to_do():
    with pytest.raises(CellError, match="mappings") as caught:
        rows_of([{"a": 1}, {"a": 2}])
    assert "pandas.DataFrame" in caught.value.hint


def test_a_frame_keeps_numbers_texts_and_booleans_apart():
    frame = pd.DataFrame({"n": [1, 2], "t": ["x", 'say "hi", you'], "b": [True, False]})
    assert lines(frame) == ["1,x,1", '2,"say ""hi"", you",0']


@pytest.mark.parametrize(
    "value", [None, float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT, Decimal("NaN")], ids=repr
)
def test_a_missing_value_is_an_empty_field(value):
    assert lines([[1, value, 2]]) == ["1,,2"]


def test_missing_values_of_frames_are_empty_fields():
    frame = pd.DataFrame({"a": [1.5, np.nan], "b": pd.array([1, None], dtype="Int64")})
    assert lines(frame) == ["1.5,1", ","]


@pytest.mark.parametrize(
    ("value", "field"),
    [(True, "1"), (np.False_, "0"), (3, "3"), (np.int64(3), "3"), (1e-7, "1e-07"), (float("inf"), "inf"),
     ("nan", "nan"), ("", ""), ("a\nb", '"a\nb"')],
)  # fmt: skip
def test_a_value_is_written_as_containers_read_it(value, field):
    assert lines([[value, 1]]) == [f"{field},1"]


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_numbers_come_back_from_csv_as_they_were(row):
    (line,) = lines([row])
    assert [float(part) for part in line.split(",")] == row


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=2))
def test_texts_come_back_from_csv_as_they_were(row):
    (line,) = lines([row])
    assert next(csv.reader(io.StringIO(line, newline=""))) == row


class TestTruths:
    @pytest.mark.parametrize(
        "truths",
        [
            [1.0, 2.0, 3.0],
            np.array([1.0, 2.0, 3.0]),
            np.array([[1.0], [2.0], [3.0]]),
            pd.Series([1.0, 2.0, 3.0], index=[9, 8, 7]),
            pd.DataFrame({"medv": [1.0, 2.0, 3.0]}),
            iter([1.0, 2.0, 3.0]),
            [[1.0], [2.0], [3.0]],
        ],
        ids=lambda truths: type(truths).__name__,
    )
    def test_values_come_out_of_whatever_holds_them(self, truths):
        values = values_of(truths, 2)
        assert values == [1.0, 2.0]
        assert all(type(value) is float for value in values)

    def test_too_few_are_an_error_with_both_numbers(self):
        with pytest.raises(CellError, match="--expect has 1 values for 3 rows"):
            values_of([1.0], 3)

    @pytest.mark.parametrize("truths", [[1.0] * 4, iter([1.0] * 4), np.ones(4), pd.DataFrame({"y": [1.0] * 4})])
    def test_more_than_there_are_rows_are_an_error(self, truths):
        with pytest.raises(CellError, match=r"--expect has (4|more than 3) values for 3 rows: they may not belong"):
            values_of(truths, 2, of=3)

    def test_as_many_as_there_are_rows_are_none_whatever_is_sent(self):
        assert values_of(iter([1.0, 2.0, 3.0]), 2, of=3) == [1.0, 2.0]
        assert values_of([1.0, 2.0], 2, of=3) == [1.0, 2.0]
        assert values_of(iter([1.0, 2.0, 3.0]), 2) == [1.0, 2.0]  # of so many rows as nobody knows

    def test_more_than_one_column_is_an_error(self):
        with pytest.raises(CellError, match="more than one value for a row") as caught:
            values_of(FRAME, 2)
        assert "column" in caught.value.hint

    @pytest.mark.parametrize("truths", [5, 5.0, "abc", None, {"a": 1}, np.array(5)])
    def test_what_holds_no_values_is_named(self, truths):
        with pytest.raises(CellError, match="--expect takes values, not a"):
            values_of(truths, 1)


LONG = [[float(number), float(number % 7)] for number in range(2 * BLOCK + 3)]


class TestAnyNumberOfRows:
    @pytest.mark.parametrize(
        "data",
        [
            LONG,
            np.array(LONG),
            pd.DataFrame(LONG),
            scipy.sparse.csc_matrix(LONG),
            iter(LONG),
            map(tuple, LONG),
            list(np.array(LONG)),
        ],
        ids=lambda data: type(data).__name__,
    )
    def test_all_come_in_order(self, data):
        assert list(each_row(data)) == LONG

    def test_an_iterator_is_read_row_by_row_however_long_it_is(self):
        source = itertools.count()
        rows = each_row([number, 1] for number in source)
        for number in range(3 * BLOCK):
            assert next(rows) == [number, 1]
            assert source.__reduce__()[1][0] == number + 1

    def test_no_more_than_a_block_of_an_array_becomes_plain_values(self):
        class Watched:
            shape = (10**9, 2)
            asked = ()

            def __getitem__(self, part):
                self.asked = (*self.asked, part)
                return np.zeros((part.stop - part.start, 2))

        watched = Watched()
        assert list(itertools.islice(each_row(watched), BLOCK + 1)) == [[0.0, 0.0]] * (BLOCK + 1)
        assert len(watched.asked) == 2

    @pytest.mark.parametrize(
        "data",
        [[1.0] * 600, np.ones(600), pd.Series([1.0] * 600), iter([1.0] * 600)],
        ids=lambda data: type(data).__name__,
    )
    def test_a_flat_list_is_one_row_however_long(self, data):
        assert list(each_row(data)) == [[1.0] * 600]

    @pytest.mark.parametrize(
        ("data", "told"),
        [
            ([], "no rows"),
            (np.empty((0, 3)), "no rows"),
            (iter([]), "no rows"),
            ("text", "not a str"),
            (7, "not a int"),
            ({"a": 1}, "not a dict"),
            (np.zeros((2, 2, 2)), "two dimensions"),
            ([*LONG, [1.0]], f"row {len(LONG)} has 1 values where row 0 has 2"),
            (iter([*LONG, [1.0]]), f"row {len(LONG)} has 1 values where row 0 has 2"),
            ([*LONG, 1.0], "mixes rows"),
            (iter([*LONG, 1.0]), "mixes rows"),
            (iter([1.0, [1.0]]), "mixes rows"),
            ([*LONG, [[1.0], 2.0]], "two dimensions"),
            ([*LONG, [{}, 2.0]], "mappings"),
        ],
    )
    def test_what_is_wrong_is_said_when_it_is_reached(self, data, told):
        with pytest.raises(CellError, match=told):
            list(each_row(data))


class TestJsonLines:
    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text() | st.booleans()))
    def test_values_come_back_as_they_were(self, row):
        assert json.loads(json_line(row)) == {"features": row}

    @pytest.mark.parametrize("value", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, Decimal("NaN")], ids=repr)
    def test_a_missing_value_is_null(self, value):
        assert json_line([1, value]) == b'{"features":[1,null]}'

    def test_what_json_does_not_have_is_a_number_where_it_is_one_and_else_a_text(self):
        row = [Decimal("1.5"), math.inf, pd.Timestamp("2026-01-02"), 1 + 2j]
        assert json.loads(json_line(row)) == {"features": [1.5, "inf", "2026-01-02 00:00:00", "(1+2j)"]}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (True, 1.0),
        (np.float32(0.5), 0.5),
        (Decimal("2.5"), 2.5),
        *((each, None) for each in ("1", None, pd.NA, pd.NaT, float("nan"), Decimal("nan"), Decimal("sNaN"), [1.0])),
        *((each, None) for each in (float("inf"), -np.inf, np.longdouble("inf"), Decimal("-Infinity"), 10**400)),
    ],
)
def test_a_number_is_what_a_finite_float_holds(value, number):
    assert number_of(value) == number


class TestByIndex:
    FRAME = pd.DataFrame({"x": [1, 2, 3]}, index=[7, 5, 9])

    def test_true_values_come_in_the_order_of_the_rows(self):
        assert list(by_index(pd.Series([9.0, 7.0, 5.0], index=[9, 7, 5]), self.FRAME)) == [7.0, 5.0, 9.0]
        same = pd.Series([7.0, 5.0, 9.0], index=[7, 5, 9])
        assert by_index(same, self.FRAME) is same

    @pytest.mark.parametrize("index", [[0, 1, 2], [7, 7, 5], [7, 5, 8]])
    def test_where_the_indexes_differ_it_is_refused_with_what_to_do(self, index):
        with pytest.raises(CellError, match="the index of --expect is not that of --data") as caught:
            by_index(pd.Series([1.0, 2.0, 3.0], index=index), self.FRAME)
        assert "--expect ${name.values}" in caught.value.hint

    def test_where_either_has_no_index_the_order_is_all_there_is(self):
        truths = pd.Series([1.0, 2.0, 3.0])
        assert by_index(truths, self.FRAME.to_numpy()) is truths
        assert by_index([1.0, 2.0, 3.0], self.FRAME) == [1.0, 2.0, 3.0]

    @pytest.mark.parametrize("kind", [float, "Float64", "category"])
    def test_what_it_says_to_do_about_another_index_can_be_done(self, kind):
        truths = pd.Series([1.0, 2.0, 3.0], dtype=kind)
        for values in (truths, truths.to_frame()):
            with pytest.raises(CellError) as caught:
                by_index(values, self.FRAME)
            expression = caught.value.hint.rpartition("--expect ")[2]
            plain = resolve(expression, {"name": values})
            assert values_of(by_index(plain, self.FRAME), 3) == [1.0, 2.0, 3.0]

    def test_fewer_values_than_rows_are_those_of_the_rows_that_are_sent(self):
        first = pd.Series([7.0, 5.0], index=[7, 5])
        assert by_index(first, self.FRAME, 2) is first
        assert list(by_index(first[::-1], self.FRAME, 2)) == [7.0, 5.0]
        assert list(by_index(pd.Series([9.0, 7.0], index=[9, 7]), self.FRAME, 1)) == [7.0]

    @pytest.mark.parametrize("index", [[5, 9], [0, 1], [5, 5]])
    def test_fewer_values_that_are_of_other_rows_are_refused(self, index):
        told = "the index of --expect is not that of the first 2 rows of --data: which value belongs to which row"
        with pytest.raises(CellError, match=told) as caught:
            by_index(pd.Series([1.0, 2.0], index=index), self.FRAME, 2)
        assert "--expect ${name.values}" in caught.value.hint

    def test_rows_of_one_index_may_be_any_of_them(self):
        twice = pd.DataFrame({"x": [1, 2, 3]}, index=[7, 5, 7])
        with pytest.raises(CellError, match="the first 2 rows"):
            by_index(pd.Series([5.0, 7.0], index=[5, 7]), twice, 2)

    @pytest.mark.parametrize("count", [1, 4])
    def test_too_few_and_too_many_are_left_for_who_counts_them(self, count):
        truths = pd.Series(range(count))
        assert by_index(truths, self.FRAME, 2) is truths

    @given(st.permutations(range(6)), st.permutations(range(6)), st.integers(1, 6))
    def test_a_value_is_that_of_its_row_or_there_is_none(self, rows, values, number):
        frame, truths = pd.DataFrame({"x": rows}, index=rows), pd.Series(values, index=values)
        for count in range(number, 7):
            try:
                made = values_of(by_index(truths.head(count), frame, number), number, of=6)
            except CellError:
                assert not set(rows[:number]) <= set(values[:count])
            else:
                assert made == rows[:number]
