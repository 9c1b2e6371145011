from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics import service_model
from sm_magics.errors import EngineError
from sm_magics.local.awsjson import JsonService
from sm_magics.local.lifecycle import Refused

MODEL = service_model.load("sagemaker", ("CreateEndpoint", "CreateModel", "UpdateEndpointWeightsAndCapacities"))


def call(body, operation="CreateEndpoint", answer=None):
    """Return the status, the answer, and what the operation was given."""
    given_to_it = []

    async def run(request):
        given_to_it.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    status, *_, told = asyncio.run(JsonService(MODEL, {operation: run}).call(operation, body))
    return status, json.loads(told or b"null"), given_to_it


def refusal(request, operation="CreateEndpoint"):
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    status, told, given_to_it = call(body, operation)
    assert (status, given_to_it) == (400, [])
    return told["__type"], told["message"]


GOOD = {"EndpointName": "boston", "EndpointConfigName": "c1"}


def test_a_good_request_reaches_its_operation_without_nulls():
    assert call(json.dumps({**GOOD, "Tags": None}).encode())[2] == [GOOD]


def test_members_that_the_model_does_not_know_pass_as_they_do_at_the_service():
    assert call(json.dumps({**GOOD, "Later": 1}).encode())[0] == 200


def test_an_answer_has_no_nulls_and_times_are_seconds():
    time = datetime(2026, 1, 1, tzinfo=UTC)
    status, told, _ = call(json.dumps(GOOD).encode(), answer={"A": None, "B": [{"C": time, "D": None}]})
    assert (status, told) == (200, {"B": [{"C": time.timestamp()}]})


def test_no_answer_is_an_empty_body():
    service = JsonService(MODEL, {"CreateEndpoint": nothing})
    assert b"" in asyncio.run(service.call("CreateEndpoint", json.dumps(GOOD).encode()))


async def nothing(_):
    return None


@pytest.mark.parametrize(
    ("request_", "where", "rule"),
    [
        ({"EndpointName": "boston"}, "null at 'endpointConfigName'", "not be null"),
        (
            {**GOOD, "EndpointName": "bad name!"},
            "'bad name!' at 'endpointName'",
            "satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        ),
        (
            {**GOOD, "Tags": [{"Key": "a", "Value": "b"}, {"Key": "", "Value": "b"}]},
            "'' at 'tags.2.member.key'",
            "have length greater than or equal to 1",
        ),
    ],
)
def test_what_breaks_a_constraint_is_refused_in_the_services_words(request_, where, rule):
    told = f"1 validation error detected: Value {where} failed to satisfy constraint: Member must {rule}"
    assert refusal(request_) == ("ValidationException", told)


def test_all_broken_constraints_are_told_at_once():
    code, message = refusal({"EndpointName": "-", "EndpointConfigName": "-"})
    assert (code, message.split(":")[0]) == ("ValidationException", "2 validation errors detected")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "The request's body is not JSON."),
        (b"\xff", "The request's body is not JSON."),
        (b"[" * 100_000, "The request's body is not JSON."),
        (b'{"EndpointName": NaN}', "The request's body is not JSON."),
        (b'{"EndpointName": 1, "EndpointConfigName": "c"}', "NUMBER_VALUE can not be converted to string"),
        (b'{"EndpointName": true, "EndpointConfigName": "c"}', "BOOLEAN_VALUE can not be converted to string"),
        (b'{"EndpointName": [], "EndpointConfigName": "c"}', "START_ARRAY can not be converted to string"),
        (b'{"EndpointName": "a", "EndpointConfigName": "c", "Tags": {}}', "START_OBJECT can not be converted to list"),
        (b"[]", "START_ARRAY can not be converted to structure"),
        (b"null", "can not be converted to structure"),
    ],
)
def test_what_is_no_request_is_refused(body, message):
    code, told = refusal(body)
    assert code == "SerializationException"
    assert message in told


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Refused("no"), 400, "ValidationException"),
        (Refused("no", "ResourceLimitExceeded"), 400, "ResourceLimitExceeded"),
        (EngineError("the disk is full"), 500, "InternalFailure"),
        (KeyError("a bug"), 500, "InternalFailure"),
    ],
)
def test_what_an_operation_raises_is_answered(error, status, code):
    told = call(json.dumps(GOOD).encode(), answer=error)
    assert (told[0], told[1]["__type"]) == (status, code)
    assert "a bug" not in told[1]["message"]


def test_an_operation_that_is_not_offered_is_refused_by_name():
    status, *_, told = asyncio.run(JsonService(MODEL, {}).call("CreateNotebookInstance", b"{}"))
    assert (status, json.loads(told)["__type"]) == (400, "UnknownOperationException")
    assert b"CreateNotebookInstance" in told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["EndpointName", "Tags", "Key", "x"]), inner)
    ),
    max_leaves=8,
)


@given(JSON | st.binary(max_size=30))
def test_whatever_is_sent_is_answered_with_a_refusal_or_taken_never_a_failure(value):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    for operation in ("CreateEndpoint", "UpdateEndpointWeightsAndCapacities"):
        assert call(body, operation)[0] in {200, 400}
