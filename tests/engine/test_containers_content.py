from __future__ import annotations

import csv
import math
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from sm_magics.local.containers import content, recordio
from sm_magics.local.containers.recordio import Record, Tensor
from sm_magics.local.containers.tables import Dense, Sparse

LIST = (
    "csv, libsvm, parquet, recordio-protobuf, text/csv, text/libsvm, text/x-libsvm, application/x-parquet, "
    "application/x-recordio-protobuf"
)


def rows(table):
    """Return a table as a list of rows, with None for what is missing."""
    if isinstance(table, Sparse):
        bounds = zip(table.starts, table.starts[1:], strict=False)
        return [dict(zip(table.indices[a:b], table.values[a:b], strict=True)) for a, b in bounds]
    values = [None if math.isnan(value) else value for value in table.values]
    return [values[n * table.columns : (n + 1) * table.columns] for n in range(table.rows)]


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("csv", content.CSV),
        ("text/csv", content.CSV),
        ("Text/CSV; charset=UTF-8", content.CSV),
        ("text/csv; label_size=1", content.CSV),
        ("text/csv;label_size = 1", content.CSV),
        (None, content.LIBSVM),
        ("libsvm", content.LIBSVM),
        ("text/libsvm ;charset=utf8", content.LIBSVM),
        ("text/x-libsvm", content.LIBSVM),
        ("application/x-parquet", content.PARQUET),
        ("application/x-recordio-protobuf", content.RECORDIO),
    ],
)
def test_content_types_in_any_case_and_with_parameters(header, kind):
    assert content.content_kind(header) == kind


def test_an_unknown_content_type_is_refused_in_its_own_spelling():
    with pytest.raises(ValueError, match="is not an accepted") as refused:
        content.content_kind("Application/JSON; x=1")
    assert str(refused.value) == f"Application/JSON; x=1 is not an accepted ContentType: {LIST}."


def test_a_label_size_other_than_one_is_refused():
    with pytest.raises(ValueError, match="label_size") as refused:
        content.content_kind("text/csv;label_size=0")
    assert str(refused.value) == (
        "text/csv;label_size=0 is not an accepted csv ContentType. Optional parameter label_size must be equal to 1"
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"1,2.5,-3e2", [[1, 2.5, -300]]),
        (b"1,2\n3,4\n", [[1, 2], [3, 4]]),
        (b"1,2\r\n3,4\r\n", [[1, 2], [3, 4]]),
        (b"1,,3", [[1, None, 3]]),
        (b",\n,1", [[None, None], [None, 1]]),
        (b"1\t2\n3\t4", [[1, 2], [3, 4]]),
        (b"1;2;3", [[1, 2, 3]]),
        (b"1, 2, 3", [[1, 2, 3]]),
        (b"1 2 3", [[1, 2, 3]]),
        (b"1|2|3", [[1, 2, 3]]),
        (b"7", [[7]]),
        (b"1.5\n2.5", [[1.5], [2.5]]),
        (b" 1,2 \n", [[1, 2]]),
        (b"nan,NaN,1", [[None, None, 1]]),
    ],
)
def test_csv_with_the_delimiter_of_its_first_line(body, expected):
    assert rows(content.parse_csv(body)) == expected


@pytest.mark.parametrize(
    ("body", "error", "text"),
    [
        (b"1,abc,3", ValueError, "could not convert string to float: 'abc'"),
        (b'"1","2"', ValueError, "could not convert string to float: '\"1\"'"),
        (b"a,b\n1,2", ValueError, "could not convert string to float: 'a'"),
        (b"1,2\n3", ValueError, "setting an array element with a sequence."),
        (b" \n ", csv.Error, "Could not determine delimiter"),
        (b"\xff,1", UnicodeDecodeError, "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_csv_errors_in_the_words_of_the_container(body, error, text):
    with pytest.raises(error) as raised:
        content.parse_csv(body)
    assert str(raised.value).startswith(text)


LINES = st.text(st.sampled_from("0123456789.,;|\t :-eE'\"\r é"), min_size=1, max_size=30)


@given(LINES)
def test_the_delimiter_is_what_the_sniffer_finds(line):
    try:
        expected = csv.Sniffer().sniff(line).delimiter
    except csv.Error:
        with pytest.raises(csv.Error):
            content._delimiter(line)
    else:
        assert content._delimiter(line) == ("," if expected.isalnum() else expected)


@given(st.lists(LINES, min_size=1, max_size=4))
def test_csv_is_read_as_numpy_reads_it(lines):
    text = "\n".join(lines).strip()

    def reference():
        found = csv.Sniffer().sniff(text.split("\n")[0][:512]).delimiter
        delimiter = "," if found.isalnum() else found
        table = [["nan" if x == "" else x for x in line.split(delimiter)] for line in text.split("\n")]
        return np.array(table).astype(float)

    try:
        expected = reference()
    except (ValueError, csv.Error) as error:
        with pytest.raises(type(error)):
            content.parse_csv(text.encode())
    else:
        table = content.parse_csv(text.encode())
        with np.errstate(over="ignore"):
            expected = expected.astype("f4")
        np.testing.assert_array_equal(np.array(table.values), expected.ravel())
        assert (table.rows, table.columns) == expected.shape


@given(st.binary(max_size=60))
def test_garbage_raises_only_what_the_container_answers_to(body):
    for parse in (content.parse_csv, lambda body: content.parse_libsvm(body, shift=True), content.parse_recordio):
        try:
            parse(body)
        except (ValueError, OverflowError, csv.Error):
            continue


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"1 0:1.5 3:2", [{0: 1.5, 3: 2}]),
        (b"0:1\n1:2\n", [{0: 1}, {1: 2}]),
        (b"0 0:1\n0\n0 1:2", [{0: 1}, {}, {1: 2}]),
        (b"0 0:1\n0", [{0: 1}]),
        (b"3:1 0:2 3:4", [{0: 2, 3: 5}]),
        (b"1:2:3", [{1: 2}]),
        (b"0:0", [{0: 0}]),
    ],
)
def test_libsvm_takes_the_words_with_a_colon(body, expected):
    assert rows(content.parse_libsvm(body, shift=False)) == expected


def test_libsvm_indices_from_one_are_shifted_only_if_all_are():
    assert content.parse_libsvm(b"1:5 3:6", shift=True)[1:] == (array("Q", [0, 2]), array("f", [5, 6]), 3)
    assert content.parse_libsvm(b"0:5 3:6", shift=True).columns == 4
    assert content.parse_libsvm(b"1:5 3:6", shift=False).columns == 4


@pytest.mark.parametrize(
    ("body", "error", "text"),
    [
        (b"no columns here", ValueError, "cannot infer dimensions from zero sized index arrays"),
        (b"a:1", ValueError, "invalid literal for int() with base 10: 'a'"),
        (b"1:x", ValueError, "could not convert string to float: 'x'"),
        (b"-1:1", ValueError, "negative column index found"),
        (b"9999999999999999999:1", OverflowError, "Python int too large to convert to C long"),
    ],
)
def test_libsvm_errors_in_the_words_of_the_container(body, error, text):
    with pytest.raises(error) as raised:
        content.parse_libsvm(body, shift=False)
    assert str(raised.value) == text


ENTRIES = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.floats(-9, 9, width=32)), max_size=5), min_size=1, max_size=5
)


@given(ENTRIES)
def test_libsvm_is_read_as_scipy_reads_it(lines):
    body = "\n".join("0 " + " ".join(f"{i}:{v!r}" for i, v in line) for line in lines).encode()
    triples = [(v, n, i) for n, line in enumerate(lines) for i, v in line]
    if triples:
        values, numbers, indices = zip(*triples, strict=True)
        expected = csr_matrix((values, (numbers, indices)))
        table = content.parse_libsvm(body, shift=False)
        assert (len(table.starts) - 1, table.columns) == expected.shape
        assert list(table.indices) == expected.indices.tolist()
        np.testing.assert_array_equal(np.array(table.values), expected.data.astype("f4"))


def record(values, **more):
    return Record({"values": Tensor(values, **more)}, {"values": Tensor([1.0])})


def test_dense_records_are_rows():
    body = recordio.write([record([1, 2]), record([3, 4]), Record({}, {})])
    assert content.parse_recordio(body) == Dense(array("f", [1, 2, 3, 4]), 2, 2)


def test_one_sparse_record_makes_all_sparse():
    body = recordio.write([record([5, 6], keys=(0, 3), shape=(4,)), record([1, 0, 0, 2])])
    table = content.parse_recordio(body)
    assert rows(table) == [{0: 5, 3: 6}, {0: 1, 3: 2}]
    assert table.columns == 4


def test_a_sparse_record_without_shape_ends_with_its_last_key():
    assert content.parse_recordio(recordio.write([record([5], keys=(7,))])).columns == 8


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([], "No records found in RecordIO-Protobuf data"),
        ([Record({}, {})], "No records found in RecordIO-Protobuf data"),
        ([record([1]), record([1, 2])], "all the input array dimensions"),
        ([record([1], keys=(0,), shape=(1,)), record([1, 2])], "Mismatching dimensions along axis 1"),
        ([record([1, 2], keys=(0,), shape=(3,))], "indices and data should have the same size"),
        ([record([1], keys=(3,), shape=(3,))], "axis 1 index 3 exceeds matrix dimension 3"),
    ],
)
def test_records_that_are_no_table(records, text):
    with pytest.raises(ValueError, match=text):
        content.parse_recordio(recordio.write(records))
