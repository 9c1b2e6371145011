"""The metrics of an endpoint: as moto plays CloudWatch, and by a script for what moto does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from sm_magics.connection import Connection
from sm_magics.errors import CellError, ServiceError
from sm_magics.metrics import DAY, MEASURES, MOST_STEPS, QUERIES, Span, read, span, variants

NOW = 1_800_000_030.0  # half past a minute
MINUTES = Span(1_800_000_000 - 9 * 60, 60, 10)


class TestSpan:
    def test_it_ends_with_the_period_that_now_is_in(self):
        assert span(NOW, 600, 60) == MINUTES
        assert MINUTES.start + MINUTES.seconds > NOW
        assert MINUTES.times[0] == datetime.fromtimestamp(MINUTES.start, UTC)
        assert [b - a for a, b in zip(MINUTES.times, MINUTES.times[1:], strict=False)] == [timedelta(minutes=1)] * 9

    @pytest.mark.parametrize(
        ("seconds", "period"),
        [
            (60, 60),
            (3600, 60),
            (7200, 60),
            (6 * 3600, 300),
            (DAY, 900),
            (3 * DAY, 3600),
            (30 * DAY, 21600),
            (90 * DAY, DAY),
        ],
    )
    def test_without_a_period_there_are_as_many_steps_as_can_be_read(self, seconds, period):
        assert span(NOW, seconds, None).period == period

    @given(
        st.floats(1e9, 4e9),
        st.integers(60, 455 * DAY),
        st.one_of(st.none(), st.integers(1, 2000).map(lambda n: n * 60)),
    )
    def test_any_span_that_is_given_covers_what_was_asked_for_in_whole_minutes(self, now, seconds, period):
        try:
            when = span(now, seconds, period)
        except CellError:
            return
        assert when.seconds >= seconds
        assert when.period % 60 == when.start % 60 == 0
        assert when.start + when.seconds - when.period < now + 1
        assert now <= when.start + when.seconds
        assert 1 <= when.count <= MOST_STEPS

    @pytest.mark.parametrize(
        ("seconds", "period", "told"),
        [
            (3600, 30, "--period 30s: metrics are kept in steps of 1m\n  write --period 1m, or a multiple"),
            (3600, 90, "--period 90s: metrics are kept in steps of 1m"),
            (3600, 0, "--period 0s"),
            (20 * DAY, 60, "--period 1m: for so long there are only steps of 5m"),
            (100 * DAY, 300, "--period 5m: for so long there are only steps of 1h"),
            (500 * DAY, None, "CloudWatch keeps metrics for 455 days"),
            (60, 300, "--for 1m is shorter than one period of 5m"),
            (3, None, "shorter than one period of 1m\n  write a time with its unit, without a space: --for 3m"),
            (0, None, "--for 0s is shorter than one period of 1m"),
            (10 * DAY, 60, "that is 14400 steps, and 1500 at most are shown"),
        ],
    )
    def test_periods_that_there_are_not_are_an_error(self, seconds, period, told):
        with pytest.raises(CellError) as raised:
            span(NOW, seconds, period)
        assert told in str(raised.value)


@pytest.fixture
def aws(monkeypatch):
    """Return a connection to AWS as moto plays it, and a function that counts there what a variant does in a minute."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        connection = Connection(session, "123456789012", "us-east-1", "role", None, "AWS")

        def count(variant, minute, endpoint="boston", **values):
            dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
            data = [
                {"MetricName": name, "Dimensions": dimensions, "Timestamp": MINUTES.times[minute], "Value": value}
                for name, many in values.items()
                for value in many
            ]
            connection.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=data)

        yield connection, count


class TestRead:
    def test_counts_of_each_variant(self, aws):
        connection, count = aws
        count("A", 2, Invocations=[1, 1, 1], Invocation4XXErrors=[0, 1, 0])
        count("A", 5, Invocations=[1], Invocation5XXErrors=[1], InvocationModelErrors=[1])
        count("B", 5, Invocations=[1])
        a, b = read(connection, "boston", ["A", "B"], MINUTES)
        assert (a.variant, a.invocations, a.errors) == ("A", 4.0, 2.0)
        assert a.series["invocations"] == (0, 0, 3, 0, 0, 1, 0, 0, 0, 0)
        assert (a.total["errors_4xx"], a.total["errors_5xx"], a.total["model_errors"]) == (1.0, 1.0, 1.0)
        assert a.series["model_p99"] == (None,) * 10
        assert (b.invocations, b.errors, b.total["model_p50"]) == (1.0, 0.0, None)

    def test_an_endpoint_s_metrics_are_its_own(self, aws):
        connection, count = aws
        count("A", 2, endpoint="boston2", Invocations=[1])
        (a,) = read(connection, "boston", ["A"], MINUTES)
        assert a.invocations == 0.0
        assert variants(connection, "boston") == []

    def test_variants_are_those_that_were_counted(self, aws):
        connection, count = aws
        count("B", 2, Invocations=[1])
        count("A", 3, Invocations=[1])
        assert variants(connection, "boston") == ["A", "B"]


def point(number, *values, at=MINUTES.start, **more):
    times = [datetime.fromtimestamp(at, UTC)] * len(values)
    return {"Id": f"m{number}", "Timestamps": times, "Values": list(values), **more}


P99, CPU = (next(n for n, each in enumerate(MEASURES) if each.key == key) for key in ("model_p99", "cpu"))


class TestAnswers:
    def test_utilisation_is_asked_for_in_the_namespace_of_instances(self, fake_connection):
        connection = fake_connection(
            get_metric_data=[{"MetricDataResults": [point(2 * CPU, 150.0), point(2 * CPU + 1, 50.0)]}]
        )
        (a,) = read(connection, "boston", ["A"], MINUTES)
        assert (a.total["cpu"], a.series["cpu"][:2], a.total["memory"]) == (50.0, (150.0, None), None)
        ((_, request),) = connection.session.calls
        asked = {
            each["MetricStat"]["Metric"]["MetricName"]: each["MetricStat"]["Metric"]["Namespace"]
            for each in request["MetricDataQueries"]
        }
        assert asked["CPUUtilization"] == asked["MemoryUtilization"] == "/aws/sagemaker/Endpoints"
        assert {each for name, each in asked.items() if "Utilization" not in name} == {"AWS/SageMaker"}

    def test_latencies_come_in_microseconds_and_are_told_in_milliseconds(self, fake_connection):
        rows = [point(2 * P99, 1500.0, at=MINUTES.start + 120), point(2 * P99 + 1, 1500.0)]
        (a,) = read(fake_connection(get_metric_data=[{"MetricDataResults": rows}]), "boston", ["A"], MINUTES)
        assert a.series["model_p99"] == (None, None, 1.5, *[None] * 7)
        assert (a.total["model_p99"], a.total["model_p50"]) == (1.5, None)

    def test_what_comes_in_pages_is_put_together(self, fake_connection):
        last = MINUTES.start + MINUTES.seconds - 60
        pages = [
            {"MetricDataResults": [point(0, 2.0)], "NextToken": "t"},
            {"MetricDataResults": [point(0, 3.0, at=last), point(1, 5.0)]},
        ]
        connection = fake_connection(get_metric_data=pages)
        (a,) = read(connection, "boston", ["A"], MINUTES)
        assert a.series["invocations"] == (2.0, *[0.0] * 8, 3.0)
        assert a.invocations == 5.0
        assert connection.session.calls[1][1]["NextToken"] == "t"

    def test_a_span_that_the_service_cuts_in_two_is_summed_and_its_percentiles_are_the_larger(self, fake_connection):
        rows = [point(1, 5.0, 7.0), point(2 * P99 + 1, 1000.0, 4000.0)]
        (a,) = read(fake_connection(get_metric_data=[{"MetricDataResults": rows}]), "boston", ["A"], MINUTES)
        assert (a.invocations, a.total["model_p99"]) == (12.0, 4.0)

    def test_what_lies_outside_the_span_is_left_out(self, fake_connection):
        rows = [point(0, 1.0, at=MINUTES.start - 60), point(0, 1.0, at=MINUTES.start + MINUTES.seconds)]
        (a,) = read(fake_connection(get_metric_data=[{"MetricDataResults": rows}]), "boston", ["A"], MINUTES)
        assert a.series["invocations"] == (0.0,) * 10

    def test_very_many_variants_are_asked_for_in_several_calls(self, fake_connection):
        connection = fake_connection(get_metric_data=[lambda **_: {"MetricDataResults": [point(1, 1.0)]}])
        names = [f"V{n}" for n in range(30)]
        used = read(connection, "boston", names, MINUTES)
        sizes = [len(request["MetricDataQueries"]) for _, request in connection.session.calls]
        assert sizes == [QUERIES, 30 * 2 * len(MEASURES) - QUERIES]
        assert [each.variant for each in used] == names
        assert sum(each.invocations for each in used) >= 1.0

    def test_the_query_is_in_the_service_s_words(self, fake_connection):
        connection = fake_connection(get_metric_data=[{"MetricDataResults": []}])
        read(connection, "boston", ["A"], MINUTES)
        ((_, request),) = connection.session.calls
        metric = {
            "Namespace": "AWS/SageMaker",
            "MetricName": "Invocations",
            "Dimensions": [{"Name": "EndpointName", "Value": "boston"}, {"Name": "VariantName", "Value": "A"}],
        }
        step, whole = request["MetricDataQueries"][:2]
        assert step == {"Id": "m0", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
        assert whole == {"Id": "m1", "MetricStat": {"Metric": metric, "Period": 600, "Stat": "Sum"}}
        assert (request["StartTime"], request["EndTime"]) == (
            MINUTES.times[0],
            MINUTES.times[0] + timedelta(minutes=10),
        )

    def test_a_metric_that_failed_is_an_error(self, fake_connection):
        row = point(0, StatusCode="InternalError", Messages=[{"Code": "c", "Value": "try again"}])
        with pytest.raises(ServiceError, match="GetMetricData: try again"):
            read(fake_connection(get_metric_data=[{"MetricDataResults": [row]}]), "boston", ["A"], MINUTES)

    def test_a_permission_that_is_missing_is_named(self, fake_connection, refusal):
        told = "User: u is not authorized to perform: cloudwatch:ListMetrics"
        with pytest.raises(ServiceError, match="lack a permission that the message names"):
            variants(fake_connection(list_metrics=[refusal(told, "AccessDenied")]), "boston")
