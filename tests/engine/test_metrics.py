from __future__ import annotations

import pytest

from sm_magics.local import gauges
from sm_magics.local.metrics import NAMESPACE, UNITS, Metric, Metrics

NAMES = UNITS.keys() - gauges.NAMES
BOTH = (("EndpointName", "boston"), ("VariantName", "A"))
START = 1_000_000_020  # a whole minute


class Time:
    now = float(START)

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def metrics(time):
    return Metrics(time)


def of(name, dimensions=BOTH):
    return Metric(NAMESPACE, name, dimensions)


def only(config):
    return (("EndpointConfigName", config), *BOTH)


def test_a_period_holds_what_happened_in_it(metrics, time):
    meter = metrics.meter("boston", "A", "c1")
    for second in range(120):
        time.now = START + second
        metrics.tick()
        meter.count(500 if second % 4 == 0 else 200, 1000 + second, 50, 2)
    metrics.tick()
    counts = metrics.values(of("Invocations"), START, 2, 60)
    assert [each.total for each in counts] == [60, 60]
    assert [each.total for each in metrics.values(of("Invocation5XXErrors"), START, 2, 60)] == [15, 15]
    assert metrics.values(of("Invocation5XXErrors"), START, 1, 60)[0].average == 0.25
    assert metrics.values(of("InvocationsPerInstance"), START, 1, 60)[0].total == 30
    latency = metrics.values(of("ModelLatency"), START, 1, 60)[0]
    assert (latency.least, latency.most, latency.average) == (1000, 1059, 1029.5)
    assert [each.count for each in metrics.values(of("Invocations"), START, 12, 10)] == [10] * 12


def test_what_is_under_way_is_seen_at_once(metrics):
    metrics.meter("boston", "A", "c1").count(200, 5, 5, 1)
    metrics.tick()
    assert metrics.values(of("Invocations"), START, 1, 10)[0].count == 1


def test_a_variant_is_the_sum_of_its_fleets_and_each_fleet_is_seen_alone(metrics):
    metrics.meter("boston", "A", "c1").count(200, 5, 5, 1)
    metrics.meter("boston", "A", "c2").count(500, 5, 5, 1)
    metrics.meter("boston", "B", "c2").count(500, 5, 5, 1)
    metrics.tick()
    errors = {
        dimensions: metrics.values(of("Invocation5XXErrors", dimensions), START, 1, 60)[0]
        for dimensions in (BOTH, only("c1"), only("c2"), (("EndpointName", "boston"),))
    }
    assert [(each.count, each.total) for each in errors.values()] == [(2, 1), (1, 0), (1, 1), (0, 0)]


def test_the_fleet_of_a_config_that_comes_back_goes_on_counting(metrics):
    assert metrics.meter("boston", "A", "c1") is metrics.meter("boston", "A", "c1")


def test_after_three_hours_minutes_are_left_and_after_a_day_nothing(metrics, time):
    meter = metrics.meter("boston", "A", "c1")
    for second in range(0, 120, 10):
        time.now = START + second
        metrics.tick()
        meter.count(200, 1000, 50, 1)
    for hours, tens, minutes in (
        (1, [1] * 12, [6, 6]),
        (4, [6] + [0] * 5 + [6] + [0] * 5, [6, 6]),
        (25, [0] * 12, [0, 0]),
    ):
        time.now = START + hours * 3600
        metrics.tick()
        assert [each.count for each in metrics.values(of("Invocations"), START, 12, 10)] == tens
        assert [each.count for each in metrics.values(of("ModelLatency"), START, 2, 60)] == minutes


def test_only_what_has_values_is_known_and_since_when(metrics):
    metrics.meter("boston", "B", "c1")
    metrics.meter("boston", "A", "c1").count(200, 5, 5, 1)
    metrics.tick()
    known = set(metrics.known())
    assert known == {of(name, dimensions) for name in NAMES for dimensions in (BOTH, only("c1"))}
    assert not list(metrics.known(since=START + 60))


@pytest.mark.parametrize("metric", [of("Invocation"), Metric("AWS/Lambda", "Invocations", BOTH)])
def test_a_metric_that_nobody_counts_has_no_values(metrics, metric):
    metrics.meter("boston", "A", "c1").count(200, 5, 5, 1)
    metrics.tick()
    assert metrics.values(metric, START, 1, 60)[0].count == 0


def test_meters_are_forgotten_rather_than_kept_without_end(metrics, monkeypatch):
    monkeypatch.setattr("sm_magics.local.metrics.MAX_METERS", 2)
    for config in ("c1", "c2", "c3"):
        meter = metrics.meter("boston", "A", config)
        meter.count(200, 5, 5, 1)
        meter.users -= 1
    metrics.meter("boston", "A", "c4")
    metrics.tick()
    assert metrics.values(of("Invocations"), START, 1, 60)[0].count == 1


def test_the_meter_of_a_fleet_that_serves_is_never_forgotten(metrics, monkeypatch):
    monkeypatch.setattr("sm_magics.local.metrics.MAX_METERS", 2)
    serving = metrics.meter("boston", "A", "c0")
    for config in ("c1", "c2", "c3"):
        metrics.meter("boston", "A", config).users -= 1
    serving.count(200, 5, 5, 1)
    metrics.tick()
    assert metrics.values(of("Invocations"), START, 1, 60)[0].count == 1


def test_a_meter_that_nobody_uses_is_forgotten_once_its_last_value_is(metrics, time):
    meter = metrics.meter("boston", "A", "c1")
    meter.count(200, 5, 5, 1)
    meter.users -= 1
    metrics.tick()
    time.now += 48 * 3600
    metrics.tick()
    metrics.tick()
    assert metrics.meter("boston", "A", "c1") is not meter
