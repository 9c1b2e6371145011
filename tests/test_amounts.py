from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.amounts import duration, percentage, seconds


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1.5h", 5400),
        ("200ms", 0.2),
        ("1 h", 3600),
        ("0s", 0),
        ("5", None),
        ("2d", 172_800),
        ("5w", None),
        ("", None),
        ("-5m", None),
        (5, None),
        (None, None),
    ],
)
def test_a_duration_has_a_unit(text, amount):
    assert seconds(text) == amount


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0s"),
        (30, "30s"),
        (90, "90s"),
        (300, "5m"),
        (7200, "2h"),
        (86_400, "24h"),
        (8_640_000, "100d"),
        (0.25, "250ms"),
        (1.5, "1.5s"),
    ],
)
def test_a_duration_is_written_as_people_would(amount, text):
    assert duration(amount) == text


@given(st.integers(0, 100_000) | st.integers(1, 10**9).map(lambda millionths: millionths / 10**6))
def test_a_duration_that_is_written_reads_as_the_same(amount):
    assert seconds(duration(amount)) == pytest.approx(amount, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "part"), [("10%", 10), ("0.5 %", 0.5), ("10", None), ("%", None), ("-1%", None), (10, None), (None, None)]
)
def test_a_percentage_has_its_sign(text, part):
    assert percentage(text) == part
