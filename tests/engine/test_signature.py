from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.http import Exchange
from sm_magics.local.signature import Unsigned, Verifier

KEY, SECRET = "AKIATEST", "a secret"
URL = "http://127.0.0.1:1234"


def signed(method="POST", path="/", body=b"", headers=None, *, key=KEY, secret=SECRET, token=None, **scope):
    """Return an exchange as botocore's own signer would send it."""
    request = AWSRequest(method, URL + path, headers=headers or {}, data=body)
    request.headers["Host"] = "127.0.0.1:1234"
    auth = SigV4Auth(
        Credentials(key, secret, token), scope.get("service", "sagemaker"), scope.get("region", "us-east-1")
    )
    auth.add_auth(request)
    sent = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
    return Exchange(None, method.encode(), path.encode(), sent, body, keep_alive=True)


def verifier(now=None):
    return Verifier(KEY, SECRET, "us-east-1", lambda: now or datetime.now(UTC).timestamp())


def code(exchange, service="sagemaker", now=None):
    with pytest.raises(Unsigned) as caught:
        verifier(now).verify(exchange, service)
    return caught.value.code


def test_what_botocore_signs_is_in_order():
    verifier().verify(signed(body=b"1,2,3", path="/endpoints/boston/invocations"), "sagemaker")


@given(
    st.sampled_from(["GET", "POST"]),
    st.text(st.sampled_from("aZ09-_~/ %é+"), max_size=12),
    st.lists(st.tuples(st.text("aZ é&=+", max_size=4), st.text("bY /", max_size=4)), max_size=3),
    st.binary(max_size=40),
    st.text(st.sampled_from("ab  "), max_size=8),
)
def test_any_request_that_botocore_signs_is_in_order(method, path, query, body, custom):
    target = "/" + quote(path, safe="-_~")  # no dots or "//": clients resolve those before they sign
    if query:
        target += "?" + urlencode(query, quote_via=quote)
    exchange = signed(method, target, body, {"X-Amz-Target": "SageMaker.X", "X-Custom": custom})
    verifier().verify(exchange, "sagemaker")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"secret": "other"}, "InvalidSignatureException"),
        ({"key": "AKIAOTHER"}, "UnrecognizedClientException"),
        ({"token": "session"}, "UnrecognizedClientException"),
        ({"region": "eu-west-1"}, "InvalidSignatureException"),
        ({"service": "s3"}, "InvalidSignatureException"),
    ],
)
def test_another_key_region_or_service_is_refused(change, expected):
    assert code(signed(**change)) == expected


@pytest.mark.parametrize("part", ["body", "target", "method"])
def test_a_request_that_was_changed_on_the_way_is_refused(part):
    exchange = signed(path="/endpoints/boston/invocations", body=b"1,2")
    setattr(exchange, part, {"body": b"1,3", "target": b"/endpoints/other/invocations", "method": b"PUT"}[part])
    assert code(exchange) == "InvalidSignatureException"


def test_a_signed_header_that_was_changed_is_refused():
    exchange = signed(headers={"X-Amz-Target": "SageMaker.DescribeEndpoint"})
    exchange.headers[b"x-amz-target"] = b"SageMaker.DeleteEndpoint"
    assert code(exchange) == "InvalidSignatureException"


def test_a_target_that_was_not_signed_is_refused():
    exchange = signed()
    exchange.headers[b"x-amz-target"] = b"SageMaker.DeleteEndpoint"
    assert code(exchange) == "InvalidSignatureException"


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_signature_outside_its_window_is_refused(minutes):
    now = (datetime.now(UTC) + timedelta(minutes=minutes)).timestamp()
    assert code(signed(), now=now) == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "MissingAuthenticationTokenException"),
        (b"Basic dXNlcg==", "MissingAuthenticationTokenException"),
        (b"AWS4-HMAC-SHA256 Signature=00", "IncompleteSignatureException"),
        (b"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00", "IncompleteSignatureException"),
        (
            b"AWS4-ECDSA Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=00",
            "IncompleteSignatureException",
        ),
    ],
)
def test_what_is_no_signature_is_refused(header, expected):
    exchange = signed()
    del exchange.headers[b"authorization"]
    if header:
        exchange.headers[b"authorization"] = header
    assert code(exchange) == expected


def test_a_date_that_is_none_is_refused():
    exchange = signed()
    exchange.headers[b"x-amz-date"] = exchange.headers[b"x-amz-date"][:8] + b"Tnoon"
    assert code(exchange) == "IncompleteSignatureException"
