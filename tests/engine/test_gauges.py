from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.gauges import NAMES, Gauges

A = (("EndpointName", "boston"), ("VariantName", "A"))
START = 1_800_000_000
PERCENTS = st.lists(st.floats(0, 6400), min_size=1, max_size=30)


@pytest.fixture
def gauges():
    return Gauges()


def test_a_period_holds_its_minutes_of_all_instances(gauges):
    for minute, cpu in enumerate((10.0, 20.0, 60.0, 250.0)):
        gauges.take("boston", "A", START + 60 * minute, (cpu, 1.5))
        gauges.take("boston", "A", START + 60 * minute, (0.0, 2.5))
    gauges.take("boston", "B", START, (99.0, 99.0))
    first, second, third = gauges.values("CPUUtilization", A, START, 3, 120)
    assert (first.count, first.total, first.least, first.most) == (4, 30.0, 0.0, 20.0)
    assert (second.average, second.most) == (77.5, 250.0)
    assert third.count == 0
    (memory,) = gauges.values("MemoryUtilization", A, START + 60, 1, 60)
    assert (memory.count, memory.average, memory.percentile(50)) == (2, 2.0, 2.0)


@given(PERCENTS)
def test_the_figures_are_exact_and_percentiles_within_half_a_point_or_a_bin(values):
    gauges = Gauges()
    for each in values:
        gauges.take("boston", "A", START, (each, 0.0))
    (told,) = gauges.values("CPUUtilization", A, START, 1, 60)
    assert (told.count, told.total, told.least, told.most) == (len(values), sum(values), min(values), max(values))
    middle = sorted(values)[(len(values) + 1) // 2 - 1]
    assert abs(told.percentile(50) - middle) <= max(1.0, middle / 15)


@pytest.mark.parametrize(
    ("name", "dimensions"), [("DiskUtilization", A), ("CPUUtilization", A[:1]), ("Invocations", A)]
)
def test_what_is_not_measured_has_no_values(gauges, name, dimensions):
    gauges.take("boston", "A", START, (1.0, 1.0))
    assert [each.count for each in gauges.values(name, dimensions, START, 2, 60)] == [0, 0]


def test_what_is_old_is_forgotten(gauges):
    for minute in range(3):
        gauges.take("boston", "A", START + 60 * minute, (minute, 0.0))
    gauges.forget(START + 60)
    assert [each.count for each in gauges.values("CPUUtilization", A, START, 3, 60)] == [0, 1, 1]
    assert set(gauges.known(START + 120)) == {(name, A) for name in NAMES}
    assert set(gauges.known(START + 121)) == set()
    gauges.forget(START + 180)
    assert set(gauges.known(0)) == set()


def test_a_clock_that_is_set_back_breaks_nothing(gauges):
    for minute in (60, 0, 120):
        gauges.take("boston", "A", START + minute, (1.0, 1.0))
    assert [each.count for each in gauges.values("CPUUtilization", A, START, 3, 60)] == [0, 2, 1]
