from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.expressions import names, parse, value
from sm_magics.local.lifecycle import Refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100*m1/m2", 50.0),
        ("(m1 + m2) / 2 - -1", 4.0),
        ("FILL(m3, 0) + m1", 2.0),
        ("FILL(m1, 9)", 2.0),
        ("FILL(m3, -1.5)", -1.5),
        ("m1 + m3", None),
        ("m1 / (m2 - 4)", None),
        ("-m3", None),
        (" +1e3 ", 1000.0),
    ],
)
def test_values(text, expected):
    assert value(parse(text), {"m1": 2.0, "m2": 4.0, "m3": None}) == expected


def test_the_ids_that_are_used_and_not_the_function():
    assert names(parse("100*FILL(m1, 0)/m2 + m1")) == {"m1", "m2"}


@pytest.mark.parametrize(
    "text",
    [
        "", "m1 +", "m1 ** m2", "__import__('os')", "m1.real", "SUM(m1)", "FILL(m1, m2)", "FILL(m1)", "m1 if m2 else 1",
        "[m1]", "'m1'", "True", "1j", "(lambda: 1)()", "m1 > 2", "m1; m2", "(" * 5000,
        "1" + "0" * 400, "1e999", "-" * 2000 + "1", "\x00",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(Refused) as caught:
        parse(text)
    assert caught.value.code == "ValidationError"


@given(st.text(st.sampled_from("m12+-*/(). ,FIL0"), max_size=30))
def test_whatever_is_read_has_a_value_or_none(text):
    try:
        read = parse(text)
    except Refused:
        return
    told = value(read, dict.fromkeys(names(read), 3.0))
    assert told is None or isinstance(told, float)
    assert told is None or math.isfinite(told)
