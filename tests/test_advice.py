from __future__ import annotations

import pytest

from sm_magics.advice import _ADVICE, advice


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("The primary container for production variant A did not pass the ping health check. Please check", "its log"),
        ("Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error.", "another"),
        ("The account-level service limit 'ml.m4.xlarge for endpoint usage' is 0 Instances", "Service Quotas"),
        (
            'Cannot update in-progress endpoint "arn:aws:sagemaker:us-east-1:1:endpoint/boston".',
            "%sm_status boston --wait",
        ),
        ("The security token included in the request is expired", "credentials"),
        ('Could not connect to the endpoint URL: "https://api.sagemaker.us-east-1.amazonaws.com/"', "nothing answers"),
        ('Could not connect to the endpoint URL: "http://127.0.0.1:1/"', "embedded engine"),
        (
            'Connection was closed before we received a valid response from endpoint URL: "http://127.0.0.1:1/".',
            "embedded engine",
        ),
        ('Read timeout on endpoint URL: "https://api.sagemaker.us-east-1.amazonaws.com/"', "in time"),
        ("Your invocation timed out while waiting for a response from container primary.", "60 s"),
        ("Feature size of csv inference data 6 is not consistent with feature size of trained model 8.", "columns"),
        ("Unable to evaluate payload provided: could not convert string to float: 'a'", "numbers only"),
        ("Endpoint nope of account 123456789012 not found.", "%sm_status"),
    ],
)
def test_a_known_reason_has_advice(text, part):
    assert part in advice(text)


def test_an_unknown_reason_has_none():
    assert advice("Request to service failed. If failure persists after retry, contact customer support.") is None


def test_no_line_hides_behind_an_earlier_one():
    for number, (part, what) in enumerate(_ADVICE):
        assert advice(part) == what, f"line {number} is never reached"


def test_advice_fits_a_line_and_needs_no_full_stop():
    for _, what in _ADVICE:
        assert len(what) <= 100
        assert not what.endswith(".")
