from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.containers import ubjson

X = np.random.default_rng(1).normal(size=(50, 3))
MODEL = bytes(xgb.train({"max_depth": 2}, xgb.DMatrix(X, X[:, 0]), 3).save_raw("ubj"))


def test_a_model_of_xgboost_is_whole():
    ubjson.check(MODEL)


@given(st.integers(0, len(MODEL) - 1))
def test_a_cut_model_is_not(length):
    with pytest.raises(ValueError, match=r"cut off|no length|no value"):
        ubjson.check(MODEL[:length])


@given(st.data(), st.sampled_from([2**20, 2**31, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1]))
def test_a_length_beyond_the_end_is_found(data, length):
    places = [n for n in range(len(MODEL) - 9) if MODEL[n : n + 5] == b"L\0\0\0\0"]
    place = data.draw(st.sampled_from(places)) + 1
    with pytest.raises(ValueError, match=r"cut off|no length"):
        ubjson.check(MODEL[:place] + length.to_bytes(8, "big") + MODEL[place + 8 :])


@pytest.mark.parametrize(
    "data",
    [b"{}", b"{i\x01aT}", b"[Z]", b"[#i\x02TF", b"[$d#i\x01" + struct.pack(">f", 1), b"{U\x01xSi\x02hi}"],
)
def test_every_kind_of_container(data):
    ubjson.check(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"?", b"{i\xff}", b"{", b"[", b"[$d", b"[$d#", b"[$d#d\0\0\0\0", b"[#i\x02T", b"[" * 1000, b"[$?#i\x01a"],
)
def test_what_is_no_value(data):
    with pytest.raises(ValueError, match=r"cut off|no length|no value|levels"):
        ubjson.check(data)


@given(st.binary(max_size=40))
def test_garbage_raises_nothing_but_value_errors(data):
    with contextlib.suppress(ValueError):
        ubjson.check(b"{" + data)
