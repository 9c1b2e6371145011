from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.containers.contract import LoadError
from sm_magics.local.containers.mxnet_params import NDArray, read_params

CODES = {
    0: "f4",
    1: "f8",
    2: "f2",
    3: "u1",
    4: "i4",
    5: "i1",
    6: "i8",
    7: "?",
    8: "i2",
    9: "u2",
    10: "u4",
    11: "u8",
}
CONTEXT = struct.pack("<ii", 1, 0)
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA


def shape(dimensions, code="q"):
    return struct.pack(f"<I{len(dimensions)}{code}", len(dimensions), *dimensions)


def stored(values, kind):
    if kind == 12:
        return (np.asarray(values, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return np.asarray(values).astype("<" + CODES[kind]).tobytes()


def dense(version, dimensions, values, kind=0):
    head = {
        "V2": struct.pack("<Ii", V2, 0) + shape(dimensions),
        "V3": struct.pack("<Ii", V3, 0) + shape(dimensions),
        "V1": struct.pack("<I", V1) + shape(dimensions),
        "legacy": shape(dimensions, "I"),
    }[version]
    return head + CONTEXT + struct.pack("<i", kind) + stored(values, kind)


def row_sparse(dimensions, rows, values, kind=6):
    head = struct.pack("<Ii", V2, 1) + shape((len(rows), *dimensions[1:])) + shape(dimensions) + CONTEXT
    return head + struct.pack("<ii", 0, kind) + shape([len(rows)]) + stored(values, 0) + stored(rows, kind)


def scalar_row_sparse():
    """Return what only V3 can say: a single number, but stored by rows."""
    head = struct.pack("<Ii", V3, 1) + shape(()) + shape(()) + CONTEXT
    return head + struct.pack("<ii", 0, 6) + shape([1]) + stored([5], 0) + stored([0], 6)


def csr(dimensions, starts, columns, values):
    head = struct.pack("<Ii", V2, 2) + shape([len(values)]) + shape(dimensions) + CONTEXT + struct.pack("<i", 0)
    auxiliary = struct.pack("<i", 6) + shape([len(starts)]) + struct.pack("<i", 6) + shape([len(columns)])
    return head + auxiliary + stored(values, 0) + stored(starts, 6) + stored(columns, 6)


def params(**arrays):
    names = b"".join(struct.pack("<Q", len(name) + 4) + b"arg:" + name.encode() for name in arrays)
    count = struct.pack("<Q", len(arrays))
    return struct.pack("<QQ", 0x112, 0) + count + b"".join(arrays.values()) + count + names


@pytest.mark.parametrize("version", ["V1", "V2", "V3", "legacy"])
@pytest.mark.parametrize("kind", [*CODES, 12])
def test_every_layout_and_type(version, kind):
    values = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0] if kind == 7 else [0.0, 1.0, 2.0, 100.0, 5.0, 7.0]
    assert read_params(params(w=dense(version, (3, 2), values, kind))) == {"w": NDArray((3, 2), tuple(values))}


def test_several_arrays_keep_their_names_without_prefix():
    data = params(fc0_weight=dense("V2", (2, 1), [1, 2]), fc0_bias=dense("legacy", (1, 1), [3]))
    assert read_params(data) == {"fc0_weight": NDArray((2, 1), (1.0, 2.0)), "fc0_bias": NDArray((1, 1), (3.0,))}


def test_brain_floats_keep_their_upper_half():
    data = params(w=dense("V2", (2,), [-1.5, 3.140625], 12))
    assert read_params(data)["w"].values == (-1.5, 3.140625)


def test_sparse_arrays_become_dense():
    data = params(rows=row_sparse((3, 2), [2, 0], [1, 2, 3, 4]), csr=csr((2, 3), [0, 2, 3], [0, 2, 1], [5, 6, 7]))
    assert read_params(data) == {
        "rows": NDArray((3, 2), (3.0, 4.0, 0.0, 0.0, 1.0, 2.0)),
        "csr": NDArray((2, 3), (5.0, 0.0, 6.0, 0.0, 7.0, 0.0)),
    }


def test_arrays_that_were_never_filled_are_left_out():
    nothing = [
        struct.pack("<IiI", V2, 0, 0),
        struct.pack("<Iii", V3, 0, -1),
        struct.pack("<II", V1, 0),
        struct.pack("<I", 0),
    ]
    data = params(a=nothing[0], b=nothing[1], c=nothing[2], d=nothing[3], e=dense("V2", (1,), [1]))
    assert set(read_params(data)) == {"e"}


def test_a_scalar_has_no_dimensions():
    data = params(x=struct.pack("<IiI", V3, 0, 0) + CONTEXT + struct.pack("<i", 0) + stored([2.5], 0))
    assert read_params(data) == {"x": NDArray((), (2.5,))}


GOOD = params(w=dense("V2", (2, 1), [1, 2]), s=csr((2, 3), [0, 2, 3], [0, 2, 1], [5, 6, 7]))


@given(st.integers(0, len(GOOD) - 1))
def test_a_cut_file_is_an_error(length):
    with pytest.raises(LoadError, match="the parameters cannot be read"):
        read_params(GOOD[:length])


@given(st.integers(0, len(GOOD) - 8), st.sampled_from([0, 1, 2**16, 2**31, 2**40, 2**62, 2**63, 2**64 - 1]))
def test_a_lying_number_is_an_error_or_harmless(place, lie):
    try:
        read_params(GOOD[:place] + struct.pack("<Q", lie) + GOOD[place + 8 :])
    except LoadError:
        return


@given(st.binary(max_size=100))
def test_garbage_is_an_error(data):
    with pytest.raises(LoadError):
        read_params(struct.pack("<QQQ", 0x112, 0, 1) + data)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (dense("V2", (2,), [1, 2])[:-20] + struct.pack("<i", 99) + bytes(8), "cut off|unknown type 99"),
        (struct.pack("<Ii", V2, 7), "unknown storage type 7"),
        (struct.pack("<IiI", V2, 0, 1000), "1000 dimensions"),
        (struct.pack("<IiIq", V2, 0, 1, -1), "shape"),
        (csr((2**20, 2**20), [0, 1], [0], [5]), "too large"),
        (csr((2, 2), [0, 5, 1], [0], [5]), "do not fit"),
        (csr((2, 2), [0, 1], [0], [5]), "do not fit"),
        (csr((1, 2), [0, 1], [2], [5]), "do not fit"),
        (csr((1, 2), [0, 1], [-1], [5]), "do not fit"),
        (csr((1, 2, 3), [0, 1], [0], [5]), "unpack"),
        (scalar_row_sparse(), "has no rows"),
        (row_sparse((2, 1), [math.inf], [5], kind=0), "infinity"),
        (row_sparse((2, 1), [math.nan], [5], kind=0), "NaN"),
        (row_sparse((2, 1), [2], [5]), "do not fit"),
        (row_sparse((2, 1), [-1], [5]), "do not fit"),
    ],
)
def test_what_an_array_cannot_be(array, text):
    with pytest.raises(LoadError, match=text):
        read_params(params(w=array))


def test_arrays_without_names_are_an_error():
    data = params(w=dense("V2", (1,), [1]))
    with pytest.raises(LoadError, match="1 arrays have 0 names"):
        read_params(data[:-21] + bytes(8))
