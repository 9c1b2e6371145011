from __future__ import annotations

import datetime as dt
import logging
from unittest import mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, DeferredRefreshableCredentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.compare.signer import Signer, host_of

URL = "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/boston/invocations"
TYPE = {"Content-Type": "text/csv"}
STATIC = Credentials("AKID", "secret")
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def botocore_s(credentials, url, headers, body, when, region="eu-west-1"):
    """Return the headers that botocore adds."""
    request = AWSRequest("POST", url, headers=headers, data=body)
    with mock.patch("botocore.auth.get_current_datetime", return_value=when.replace(tzinfo=None)):
        SigV4Auth(credentials, "sagemaker", region).add_auth(request)
    return {name: value for name, value in request.headers.items() if name not in headers}


def signer(credentials=STATIC, url=URL, headers=TYPE, now=NOON.timestamp, region="eu-west-1"):
    return Signer(credentials, region, "sagemaker", url, headers, now=now)


values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
names = st.sampled_from(["X-Amzn-SageMaker-Target-Variant", "X-Amzn-SageMaker-Inference-Id", "Accept", "X-A%s"])
headers = st.dictionaries(names, values, max_size=3)
moments = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2099, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001 - as hypothesis takes it
paths = st.text(st.sampled_from("abcXYZ09-._~%20/+=:@$é "), max_size=20)
keys = st.text("abc/+=", min_size=1)
kinds = st.builds(Credentials, st.just("AKID"), keys, st.none() | keys)


@given(st.binary(max_size=200), headers, headers, moments, paths, kinds)
def test_a_signature_is_that_of_botocore(body, constant, own, when, path, credentials):
    url = f"https://host.example/endpoints/{path}/invocations"
    ours = signer(credentials, url, constant, when.timestamp).headers(body, own)
    assert ours == botocore_s(credentials, url, {**constant, **own}, body, when)


@given(st.lists(st.tuples(st.binary(max_size=50), headers, moments, kinds), min_size=2, max_size=6))
def test_what_is_kept_between_requests_changes_nothing(requests):
    moment, credentials = mock.Mock(), mock.Mock()
    kept = signer(credentials, now=moment)
    for body, own, when, of in requests:
        moment.return_value = when.timestamp()
        credentials.get_frozen_credentials.return_value = of.get_frozen_credentials()
        assert kept.headers(body, own) == botocore_s(of, URL, {**TYPE, **own}, body, when)


def test_the_key_is_made_anew_when_the_day_changes():
    moment, now = dt.datetime(2026, 2, 28, 23, 59, 59, tzinfo=dt.UTC), mock.Mock()
    kept = signer(now=now)
    for seconds in (0, 0.5, 1, 2):
        moment += dt.timedelta(seconds=seconds)
        now.return_value = moment.timestamp()
        assert kept.headers(b"1", {}) == botocore_s(STATIC, URL, TYPE, b"1", moment)
    assert moment.day == 1


@pytest.mark.parametrize("kind", ["refreshable", "deferred"])
def test_credentials_that_expire_are_refreshed_when_botocore_would(kind):
    moment, fetched = [NOON], []

    def fetch():
        fetched.append(moment[0])
        key = f"AKID{len(fetched)}"
        expiry = (moment[0] + dt.timedelta(hours=1)).isoformat()
        return {"access_key": key, "secret_key": f"s{key}", "token": f"t{key}", "expiry_time": expiry}

    def clock():
        return moment[0]

    if kind == "refreshable":
        credentials = RefreshableCredentials.create_from_metadata(fetch(), fetch, "role")
        credentials._time_fetcher = clock
    else:
        credentials = DeferredRefreshableCredentials(fetch, "role", clock)
    kept = signer(credentials, now=lambda: clock().timestamp())
    keys = []
    for minutes in (0, 10, 30, 10, 20, 60):
        moment[0] += dt.timedelta(minutes=minutes)
        ours = kept.headers(b"1", {})
        assert ours == botocore_s(credentials, URL, TYPE, b"1", moment[0])
        keys.append(ours["X-Amz-Security-Token"])
    # The advisory time is 15 minutes before the end.
    assert keys == ["tAKID1", "tAKID1", "tAKID1", "tAKID2", "tAKID2", "tAKID3"]


def test_credentials_that_cannot_be_refreshed_any_more_are_an_error_and_never_used():
    def fetch():
        raise CredentialRetrievalError(provider="role", error_msg="no")

    expired = NOON - dt.timedelta(seconds=1)
    credentials = RefreshableCredentials("A", "s", "t", expired, fetch, "role", lambda: NOON)
    with pytest.raises(CredentialRetrievalError):
        signer(credentials).headers(b"1", {})


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("https://Host.Example:443/x", "host.example"),
        ("http://host:80/", "host"),
        ("https://host:80/", "host:80"),
        ("http://[::1]:99/", "[::1]:99"),
        ("https://[::1]/", "[::1]"),
    ],
)
def test_the_host_is_signed_as_it_is_sent(url, host):
    assert host_of(url) == host
    assert signer(url=url).headers(b"", {}) == botocore_s(STATIC, url, TYPE, b"", NOON)


def test_nothing_is_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        signer(Credentials("AKID", "very secret", "very secret too")).headers(b"1", {})
    assert caplog.records == []
