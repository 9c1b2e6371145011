from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics import service_model
from sm_magics.local.cbor import Cbor, operation
from sm_magics.local.lifecycle import Refused

MODEL = service_model.load("cloudwatch", ("GetMetricData", "GetMetricStatistics", "DescribeAlarms"))
NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (b"/service/GraniteServiceVersion20100801/operation/ListMetrics", "ListMetrics"),
        (b"/service/X/operation/", ""),
        (b"/service/X/operation/a/b", ""),
        (b"/X/operation/ListMetrics", ""),
        (b"service/X/operation/ListMetrics", ""),
        (b"/", ""),
        (b"/service/\xff/operation/\xfc", "ü"),
    ],
)
def test_an_operation_is_named_by_the_path(target, name):
    assert operation(target) == name


def test_a_request_is_read_with_its_times():
    request = {"StartTime": datetime.fromtimestamp(NOW, UTC), "Period": 60, "Statistics": ["Sum"]}
    assert Cbor().read(cbor2.dumps(request)) == request
    assert Cbor().read(b"") == {}


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(body):
    with contextlib.suppress(Refused):
        Cbor().read(body)


HOSTILE = {
    "a rational with nothing to divide by": cbor2.dumps(cbor2.CBORTag(30, [1, 0])),
    "a date of the year 10^300": cbor2.dumps(cbor2.CBORTag(1, 1e300)),
    "a date that is none": cbor2.dumps(cbor2.CBORTag(0, "yesterday")),
    "a fraction of a huge exponent": cbor2.dumps(cbor2.CBORTag(4, [10**6, 1])),
    "a pattern that is none": cbor2.dumps(cbor2.CBORTag(35, "(")),
    "a list as a key": b"\xa1\x80\x01",
    "a mapping that never ends": b"\xbf",
    "lists in lists in lists": b"\x81" * 100_000,
    "a length beyond all memory": b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "a list of a length beyond all memory": b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "text that is none": b"\x61\xff",
    "a reference to nothing": b"\xd8\x1d\x05",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_meant_to_break_a_reader_is_read_or_refused(what):
    with contextlib.suppress(Refused):
        Cbor().read(HOSTILE[what])


def test_what_is_no_cbor_is_refused_by_its_code():
    with pytest.raises(Refused) as caught:
        Cbor().read(b"\xff")
    assert caught.value.code == "SerializationException"


def answered(name, value):
    """Return an answer as it is on the wire, and as a client reads it."""
    reply = Cbor().answer(value, MODEL, MODEL.output(name))
    assert (reply.status, reply.headers["smithy-protocol"]) == (200, "rpc-v2-cbor")
    return reply.body, cbor2.loads(reply.body) if reply.body else None


def test_times_are_tagged_and_doubles_are_floats_and_nothing_is_null():
    value = {
        "MetricDataResults": [{"Id": "a", "Timestamps": [NOW, NOW + 60], "Values": [1, 2.5], "Label": None}],
        "NextToken": None,
    }
    body, told = answered("GetMetricData", value)
    times = [datetime.fromtimestamp(each, UTC) for each in (NOW, NOW + 60)]
    assert told == {"MetricDataResults": [{"Id": "a", "Timestamps": times, "Values": [1.0, 2.5]}]}
    assert [type(each) for each in told["MetricDataResults"][0]["Values"]] == [float, float]
    assert body.count(b"\xc1") >= 2  # CBOR's tag 1


def test_maps_and_times_that_are_times_already_are_written_too():
    point = {"Timestamp": datetime.fromtimestamp(NOW, UTC), "ExtendedStatistics": {"p90": 3, "p99": 4}}
    _, told = answered("GetMetricStatistics", {"Label": "x", "Datapoints": [point]})
    assert told["Datapoints"] == [{"Timestamp": point["Timestamp"], "ExtendedStatistics": {"p90": 3.0, "p99": 4.0}}]


def test_no_answer_has_no_body():
    assert answered("DescribeAlarms", None) == (b"", None)


@pytest.mark.parametrize(
    ("code", "status", "kind", "told"),
    [
        ("ResourceNotFound", 404, "ResourceNotFound", "ResourceNotFound;Sender"),
        ("ResourceNotFoundException", 404, "ResourceNotFoundException", "ResourceNotFoundException;Sender"),
        ("ValidationException", 400, "ValidationException", "ValidationError;Sender"),
        ("InternalFailure", 500, "InternalServiceFault", "InternalFailure;Receiver"),
        ("Throttling", 400, "Throttling", "Throttling;Sender"),
    ],
)
def test_an_error_tells_the_code_that_it_has_now_and_the_one_it_had(code, status, kind, told):
    reply = Cbor().error(400, code, "no")
    assert (reply.status, reply.headers["x-amzn-query-error"]) == (status, told)
    assert cbor2.loads(reply.body) == {"__type": kind, "message": "no"}
