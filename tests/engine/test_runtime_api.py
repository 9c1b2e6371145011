"""The data plane at its own interface: a client's exchange on one side, a lane with an instance on the other."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.api import Account
from sm_magics.local.instance import Answer
from sm_magics.local.router import Lane, Parking
from sm_magics.local.runtime_api import ANSWER_SECONDS, Runtime, container_request, request_id
from sm_magics.local.tally import Meter

PATH = b"/endpoints/boston/invocations"
CSV = {b"content-type": b"text/csv"}
GOOD = Answer(200, b"text/csv; charset=utf-8", None, b"21.5")
ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"


class Instance:
    """An instance that keeps what it is sent."""

    def __init__(self):
        self.ready, self.sent = True, []

    @property
    def outstanding(self):
        return len(self.sent)

    def send(self, request, waiter):
        self.sent.append((request, waiter))

    def next(self):
        return self.sent.pop(0)[1]


class Exchange:
    """A client's request, and what it was answered."""

    def __init__(self, headers=CSV, body=b"1,2", target=PATH, method=b"POST"):
        self.method, self.target, self.headers, self.body, self.came = method, target, headers, body, 0.0
        self.answers = []

    def answer(self, response):
        self.answers.append(response)

    @property
    def reply(self):
        """The one answer: its status, its headers and its body."""
        (answer,) = self.answers
        head, _, body = answer.partition(b"\r\n\r\n")
        start, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert int(headers["content-length"]) == len(body)
        return int(start.split()[1]), headers, body

    @property
    def error(self):
        """The one answer that is an error: its status, its type, and what it tells."""
        status, headers, body = self.reply
        return status, headers["x-amzn-errortype"].partition(":")[0], json.loads(body)


class DataPlane:
    """A data plane with one endpoint, boston, whose variants A and B have an instance each."""

    def __init__(self):
        self.statuses = {}
        self.now = 0.0
        self.parking = Parking()
        self.runtime = Runtime(Account(), self.statuses.get, lambda: self.now)
        self.lanes = {name: Lane(name, "c1", Meter(), self.parking) for name in ("A", "B")}
        self.instances = {name: Instance() for name in self.lanes}
        for name, lane in self.lanes.items():
            lane.instances.append(self.instances[name])
        self.runtime.routes["boston"] = SimpleNamespace(lane=lambda name: self.lanes.get(name or "A"))

    def ask(self, *given, **more):
        exchange = Exchange(*given, **more)
        self.runtime.handle(exchange)
        return exchange

    def counted(self, name="A"):
        meter = self.lanes[name].meter
        meter.fold(0)
        return meter.take()


@pytest.fixture
def plane():
    return DataPlane()


def test_an_answer_is_the_containers_own_and_tells_the_variant(plane):
    asked = plane.ask()
    assert asked.answers == []
    plane.instances["A"].next().answered(GOOD)
    status, headers, body = asked.reply
    assert (status, body) == (200, b"21.5")
    assert headers.pop("x-amzn-requestid")
    assert headers == {
        "x-amzn-invoked-production-variant": "A",
        "content-type": "text/csv; charset=utf-8",
        "content-length": "4",
    }


def test_custom_attributes_come_back_only_as_the_container_gives_them(plane):
    asked = plane.ask({**CSV, ATTRIBUTES: b"trace=7"})
    plane.instances["A"].next().answered(GOOD._replace(custom_attributes=b"trace=8"))
    assert asked.reply[1][ATTRIBUTES.decode()] == "trace=8"


@given(
    st.dictionaries(
        st.sampled_from([b"content-type", b"accept", ATTRIBUTES, b"host", b"authorization", b"x-amz-date", b"cookie"]),
        st.sampled_from([b"a", b"text/csv", b"x=1; y=2"]),
    ),
    st.binary(max_size=50),
)
def test_a_container_gets_the_contracts_headers_and_no_others(headers, body):
    head, _, rest = container_request(headers, body).partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    assert start == b"POST /invocations HTTP/1.1"
    assert rest == body
    passed = {b"content-type", b"accept", ATTRIBUTES} & headers.keys()
    assert dict(line.split(b": ", 1) for line in lines) == {
        b"Content-Length": b"%d" % len(body),
        **{name: headers[name] for name in passed},
    }


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"GET", PATH),
        (b"POST", b"/endpoints/boston/async-invocations"),
        (b"POST", b"/endpoints/boston/invocations-response-stream"),
        (b"POST", b"/"),
        (b"POST", b"/ping"),
    ],
)
def test_what_is_no_invoke_endpoint_is_not_offered(plane, method, target):
    status, kind, told = plane.ask(method=method, target=target).error
    assert (status, kind) == (404, "UnknownOperationException")
    assert "InvokeEndpoint only" in told["Message"]


def test_what_stands_behind_a_question_mark_names_nothing(plane):
    plane.ask(target=PATH + b"?x=1")
    assert len(plane.instances["A"].sent) == 1


@pytest.mark.parametrize("status", [None, "Creating", "Failed", "Deleting"])
def test_an_endpoint_that_does_not_serve_yet_or_any_more_is_not_found(plane, status):
    plane.statuses["other"] = status
    code, kind, told = plane.ask(target=b"/endpoints/other/invocations").error
    assert (code, kind) == (400, "ValidationError")
    assert told == {"ErrorCode": "NO_SUCH_ENDPOINT", "Message": "Endpoint other of account 123456789012 not found."}


@pytest.mark.parametrize("status", ["InService", "Updating", "OutOfService"])
def test_one_that_should_serve_and_has_no_fleet_is_unavailable(plane, status):
    plane.statuses["other"] = status
    code, kind, _ = plane.ask(target=b"/endpoints/other/invocations").error
    assert (code, kind) == (503, "ServiceUnavailable")


@pytest.mark.parametrize(
    ("header", "value", "told"),
    [
        (b"x-amzn-sagemaker-target-model", b"m.tar.gz", "does not offer the header x-amzn-sagemaker-target-model"),
        (b"x-amzn-sagemaker-inference-component", b"c", "does not offer"),
        (b"x-amzn-sagemaker-enable-explanations", b"`true`", "does not offer"),
        (ATTRIBUTES, b"a" * 1025, "length less than or equal to 1024"),
        (b"x-amzn-sagemaker-inference-id", b"a" * 65, "'inferenceId' failed to satisfy constraint"),
    ],
)  # fmt: skip
def test_what_a_client_may_not_ask_for_is_refused_before_anything_is_sent(plane, header, value, told):
    status, kind, answer = plane.ask({**CSV, header: value}).error
    assert (status, kind) == (400, "ValidationError")
    assert told in answer["Message"]
    assert plane.instances["A"].sent == []


@pytest.mark.parametrize(("header", "most"), [(ATTRIBUTES, 1024), (b"x-amzn-sagemaker-inference-id", 64)])
def test_as_much_as_is_allowed_is_taken(plane, header, most):
    plane.ask({**CSV, header: b"a" * most})
    assert len(plane.instances["A"].sent) == 1


def test_a_target_variant_is_asked_whatever_the_weights(plane):
    asked = plane.ask({**CSV, b"x-amzn-sagemaker-target-variant": b"B"})
    plane.instances["B"].next().answered(GOOD)
    assert asked.reply[1]["x-amzn-invoked-production-variant"] == "B"
    status, kind, told = plane.ask({**CSV, b"x-amzn-sagemaker-target-variant": b"C"}).error
    assert (status, kind, told["Message"]) == (
        400, "ValidationError", 'Could not find variant "C" for endpoint "boston".',
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "side", "code"),
    [(400, "client", "CLIENT_ERROR_FROM_MODEL"), (415, "client", "CLIENT_ERROR_FROM_MODEL"),
     (500, "server", "INTERNAL_FAILURE_FROM_MODEL"), (302, "server", "INTERNAL_FAILURE_FROM_MODEL")],
)  # fmt: skip
def test_a_containers_error_is_a_model_error_in_the_services_words(plane, status, side, code):
    asked = plane.ask()
    plane.instances["A"].next().answered(Answer(status, b"text/plain", None, "no Zürich \xff".encode("latin-1")))
    http, kind, told = asked.error
    group = "/aws/sagemaker/Endpoints/boston"
    assert (http, kind) == (424, "ModelError")
    assert told == {
        "ErrorCode": code,
        "LogStreamArn": f"arn:aws:logs:us-east-1:123456789012:log-group:{group}",
        "OriginalMessage": "no Z�rich �",
        "OriginalStatusCode": status,
        "Message": f'Received {side} error ({status}) from primary with message "no Z�rich �". See '
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        f"#logEventViewer:group={group} in account 123456789012 for more information.",
    }
    counted = plane.counted()
    assert (counted.invocations, counted.model_errors, counted.client_errors) == (1, 1, int(side == "client"))


def test_what_an_instance_had_not_begun_with_is_sent_again_once(plane):
    asked = plane.ask()
    plane.instances["A"].next().lost(started=False)
    assert asked.answers == []
    plane.instances["A"].next().answered(GOOD)
    assert asked.reply[0] == 200
    assert plane.counted().invocations == 1


@pytest.mark.parametrize("begun", [[True], [False, False], [False, True]])
def test_what_it_may_have_begun_with_is_an_error_and_so_is_a_second_loss(plane, begun):
    asked = plane.ask()
    for each in begun:
        assert asked.answers == []
        plane.instances["A"].next().lost(started=each)
    assert plane.instances["A"].sent == []
    status, kind, told = asked.error
    assert (status, kind, told["OriginalStatusCode"]) == (424, "ModelError", 500)
    assert told["OriginalMessage"] == "The container ended before it answered."
    assert plane.counted().server_errors == 1


def test_a_model_that_takes_too_long_is_answered_for_and_its_own_answer_dropped(plane):
    first = plane.ask()
    plane.now = 1.0
    second = plane.ask()
    plane.now = ANSWER_SECONDS + 0.5
    plane.runtime.expire()
    assert second.answers == []
    status, kind, told = first.error
    assert (status, kind, told["OriginalStatusCode"]) == (424, "ModelError", 0)
    assert told["OriginalMessage"].startswith("Your invocation timed out while waiting for a response from container")
    late, waiting = (plane.instances["A"].next() for _ in range(2))
    assert (late.over, waiting.over) == (True, False)
    late.answered(GOOD)
    waiting.answered(GOOD)
    assert (len(first.answers), second.reply[0]) == (1, 200)
    counted = plane.counted()
    assert (counted.invocations, counted.server_errors) == (2, 1)


def test_one_that_is_lost_after_its_time_is_not_sent_again(plane):
    asked = plane.ask()
    plane.now = ANSWER_SECONDS + 1
    plane.runtime.expire()
    plane.instances["A"].next().lost(started=True)
    assert len(asked.answers) == 1


class Turning:
    """A fault that turns every request away; a throttle, or none."""

    def __init__(self, *, throttling):
        self.throttling = throttling

    def send(self, _instance, _request, _waiter):
        return False


def test_a_throttle_is_the_services_refusal_and_no_invocation(plane):
    plane.lanes["A"].fault = Turning(throttling=True)
    status, kind, told = plane.ask().error
    assert (status, kind, told["Message"]) == (400, "ThrottlingException", "Rate exceeded")
    assert plane.counted() is None


def test_when_too_many_wait_for_an_instance_it_is_unavailable_and_counted(plane):
    plane.instances["A"].ready = False
    plane.parking.take(10_000, 0)
    status, kind, _ = plane.ask().error
    assert (status, kind) == (503, "ServiceUnavailable")
    assert plane.counted().server_errors == 1


def test_where_no_instance_comes_back_it_is_unavailable_at_once_and_says_so(plane):
    plane.instances["A"].ready = False
    plane.lanes["A"].down = True
    status, kind, told = plane.ask().error
    assert (status, kind) == (503, "ServiceUnavailable")
    assert told["Message"] == "Endpoint boston cannot answer right now: no instance of variant A is healthy."


def test_the_time_in_the_container_is_told_from_the_time_apart_from_it(plane):
    plane.now = 0.25  # the exchange came at 0
    plane.ask()
    plane.now = 2.0
    plane.instances["A"].next().answered(GOOD)
    counted = plane.counted()
    assert (counted.model.total, counted.overhead.total) == (1_750_000, 250_000)


class Tap:
    """Takes what is captured."""

    def __init__(self):
        self.asked, self.taken = [], []

    def request(self, headers, body):
        self.asked.append((headers, body))
        return self.taken.append


@pytest.mark.parametrize(("answer", "number"), [(GOOD, 1), (GOOD._replace(status=500), 0)])
def test_a_tap_learns_of_the_request_and_of_an_answer_that_is_a_success(plane, answer, number):
    tap = plane.lanes["A"].tap = Tap()
    plane.ask()
    assert tap.asked == [(CSV, b"1,2")]
    waiter = plane.instances["A"].next()
    waiter.answered(answer)
    waiter.answered(answer)  # which nobody waits for any more
    assert tap.taken == [answer] * number


def test_ids_of_requests_are_uuids_of_their_own():
    ids = {request_id().decode() for _ in range(100)}
    assert len(ids) == 100
    assert {tuple(map(len, each.split("-"))) for each in ids} == {(8, 4, 4, 4, 12)}
