from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import threading
import time
import warnings
from collections import Counter
from datetime import UTC, datetime, timedelta

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError, CredentialRetrievalError
from invokekit import Reply, Server, connect, refusal, tls

from sm_magics.compare.direct import Direct
from sm_magics.compare.exchange import Request, Target, prediction_of
from sm_magics.compare.replay import AHEAD, replay
from sm_magics.connection import call
from sm_magics.errors import ServiceError

TARGET = Target("boston")
THROTTLED = refusal("ThrottlingException", "Rate exceeded", 400)
BAD_ROW = refusal(
    "ModelError",
    "Received client error (400)",
    424,
    OriginalStatusCode=400,
    OriginalMessage="bad row",
    LogStreamArn="arn",
)


@pytest.fixture(scope="module")
def session():
    """Return the session of all connections here: to make one takes boto3 half a second."""
    return boto3.Session("AKID", "secret", region_name="eu-west-1")


@pytest.fixture
def serve(session):
    """Yield a function from what is answered to a connection and its server; replies may be a function of what came."""
    servers = []

    def start(*replies, context=None):
        turns = iter(replies)
        kept = []

        def reply(asked):
            kept.append(asked)
            answer = replies[0] if len(replies) == 1 else next(turns)
            return answer(asked) if callable(answer) else answer

        server = Server(reply, context)
        server.asked = kept
        servers.append(server.__enter__())
        return connect(server.url, session), server

    yield start
    for server in servers:
        server.__exit__()


async def at_once(_seconds):
    await asyncio.sleep(0)


def numbered(count, **fields):
    return (Request(number, str(number).encode(), **fields) for number in range(count))


def echo(asked):
    return Reply(asked.body, headers={"x-Amzn-Invoked-Production-Variant": "AB"[int(asked.body) % 2]})


def threads():
    return [each for each in threading.enumerate() if each.name == "sm_magics replay"]


def test_every_request_is_answered_once_with_its_own_answer(serve):
    connection, server = serve(echo)
    outcomes = list(replay(connection, TARGET, numbered(500)))
    assert sorted(each.number for each in outcomes) == list(range(500))
    for each in outcomes:
        assert each.body == str(each.number).encode()
        assert each.variant == "AB"[each.number % 2]
        assert (each.status, each.attempts, each.error, each.content_type) == (200, 1, None, "text/csv; charset=utf-8")
        assert 0 < each.seconds <= each.latency
    assert server.opened <= 32
    assert not threads()


def test_what_is_sent_is_what_boto3_sends(serve):
    connection, server = serve(Reply())
    target = Target("boston", "Linear-Model", "application/json", "text/csv")
    list(replay(connection, target, [Request(0, b"{}", inference_id="id-1")]))
    client = connection.client("sagemaker-runtime")
    call(client, "InvokeEndpoint", EndpointName="boston", Body=b"{}", ContentType="application/json", Accept="text/csv",
         TargetVariant="Linear-Model", InferenceId="id-1")  # fmt: skip
    ours, boto3_s = server.asked
    assert (ours.target, ours.body) == (boto3_s.target, boto3_s.body)
    of_the_attempt = {"authorization", "x-amz-date", "amz-sdk-invocation-id", "amz-sdk-request", "accept-encoding"}
    assert {k: v for k, v in ours.headers.items() if k not in of_the_attempt} == {
        k: v for k, v in boto3_s.headers.items() if k not in of_the_attempt
    }


def test_a_request_s_own_variant_goes_before_the_target_s(serve):
    connection, server = serve(Reply())
    list(replay(connection, Target("boston", "A"), [Request(0, b"1", "B"), Request(1, b"1")], concurrency=1))
    assert [each.headers["x-amzn-sagemaker-target-variant"] for each in server.asked] == ["B", "A"]


def test_one_at_a_time_keeps_the_order_and_sends_none_before_the_last_outcome_was_taken(serve):
    connection, server = serve(echo)
    outcomes = replay(connection, TARGET, numbered(20), concurrency=1)
    for number, outcome in enumerate(outcomes):
        assert (outcome.number, len(server.asked)) == (number, number + 1)


def test_requests_are_read_no_further_ahead_than_the_connections_need(serve):
    connection, server = serve(Reply())
    read = itertools.count()
    outcomes = replay(connection, TARGET, (Request(next(read), b"1") for _ in itertools.count()), concurrency=4)
    for taken in range(1, 200):
        next(outcomes)
        assert next(read) - taken <= AHEAD * 3 + 1 + taken  # each look at the counter counts too
    outcomes.close()
    assert server.most_under_way <= 4
    assert not threads()


def test_as_many_are_under_way_as_asked_for(serve):
    connection, server = serve(Reply(latency=0.02))
    list(replay(connection, TARGET, numbered(40), concurrency=8))
    assert server.most_under_way == 8


def test_connecting_is_no_part_of_how_long_an_answer_took_but_of_the_latency(serve, monkeypatch):
    connects = Direct._connected

    async def slowly(self):
        await asyncio.sleep(0.2)
        return await connects(self)

    monkeypatch.setattr(Direct, "_connected", slowly)
    connection, _ = serve(Reply())
    (outcome,) = replay(connection, TARGET, numbered(1))
    assert outcome.latency - outcome.seconds >= 0.19


def test_no_requests_are_no_outcomes(serve):
    connection, server = serve(Reply())
    assert list(replay(connection, TARGET, [])) == []
    assert server.asked == []


class TestFailures:
    def test_the_error_is_the_one_of_a_boto3_call(self, serve):
        connection, _ = serve(BAD_ROW)
        (outcome,) = replay(connection, TARGET, numbered(1))
        with pytest.raises(ServiceError) as caught:
            call(connection.client("sagemaker-runtime"), "InvokeEndpoint", EndpointName="boston", Body=b"0")
        ours, boto3_s = outcome.refusal, caught.value
        assert (ours.code, ours.message, ours.hint) == (boto3_s.code, boto3_s.message, boto3_s.hint)
        of_the_answer = {**boto3_s.response, "ResponseMetadata": None}
        assert {**ours.response, "ResponseMetadata": None} == of_the_answer
        assert ours.response["OriginalMessage"] == "bad row"
        assert (outcome.status, outcome.attempts) == (424, 1)
        assert outcome.error == "ModelError: InvokeEndpoint: Received client error (400)"
        with pytest.raises(ServiceError):
            outcome.answer()

    @pytest.mark.parametrize(
        "failing",
        [
            Reply(b"", 500),
            Reply(b"<html>", 502),
            refusal("ServiceUnavailable", "later", 503),
            Reply(b"", 504),
            THROTTLED,
            Reply(b"", 429),
            refusal("ModelNotReadyException", "loading", 429),
            refusal("InternalDependencyException", "broken", 530),
            refusal("ValidationError", "no", 400),
            BAD_ROW,
            Reply(drop=True),
        ],
        ids=lambda reply: f"{reply.status}-{reply.drop}",
    )
    def test_what_botocore_sends_again_is_sent_again_as_often_and_the_error_is_the_same(
        self, serve, failing, monkeypatch
    ):
        connection, server = serve(failing)
        (outcome,) = replay(connection, TARGET, numbered(1), sleep=at_once)
        ours = len(server.asked)
        monkeypatch.setattr(time, "sleep", lambda _: None)
        with pytest.raises(ServiceError) as caught:
            call(connection.client("sagemaker-runtime"), "InvokeEndpoint", EndpointName="boston", Body=b"0")
        assert (ours, outcome.attempts) == (len(server.asked) - ours, ours)
        assert outcome.refusal.code == caught.value.code
        if not failing.drop:  # whose exceptions are worded by other libraries
            assert outcome.refusal.message == caught.value.message

    def test_an_answer_that_is_no_error_of_the_service_s_is_one_all_the_same(self, serve):
        connection, _ = serve(Reply(b"1.0", 500))
        (outcome,) = replay(connection, TARGET, numbered(1), attempts=1)
        assert (outcome.status, outcome.refusal.code) == (500, "500")

    def test_one_that_succeeds_in_the_end_has_not_failed(self, serve):
        connection, _ = serve(THROTTLED, Reply(drop=True), Reply(b"2.0"))
        (outcome,) = replay(connection, TARGET, numbered(1), sleep=at_once)
        assert (outcome.error, outcome.body, outcome.attempts) == (None, b"2.0", 3)
        assert outcome.seconds < outcome.latency

    def test_the_waiting_between_attempts_grows_and_is_longer_when_throttled(self, serve):
        waited = []

        async def note(seconds):
            waited.append(seconds)
            await asyncio.sleep(0)

        for failing, base in ((THROTTLED, 1.0), (Reply(b"", 500), 0.05)):
            connection, _ = serve(failing)
            list(replay(connection, TARGET, numbered(1), sleep=note))
            assert len(waited) == 3
            assert all(each <= base * 2**turn for turn, each in enumerate(waited))
            waited.clear()

    def test_fewer_attempts_may_be_asked_for(self, serve):
        connection, server = serve(Reply(b"", 500))
        (outcome,) = replay(connection, TARGET, numbered(1), attempts=1)
        assert (outcome.attempts, len(server.asked)) == (1, 1)

    def test_the_allowance_for_retries_is_the_client_s_and_is_given_back(self, serve):
        connection, _ = serve(lambda asked: Reply() if asked.body == b"x" else Reply(b"", 500))
        failing = list(replay(connection, TARGET, numbered(40), sleep=at_once))
        assert sum(each.attempts - 1 for each in failing) == 35  # of 500, 14 for each
        good = (Request(number, b"x") for number in range(500))
        requests = itertools.chain(numbered(1), good, numbered(1))
        outcomes = list(replay(connection, TARGET, requests, concurrency=1, sleep=at_once))
        assert outcomes[0].attempts == 1
        assert outcomes[-1].attempts == 4

    def test_a_service_that_is_not_there_is_told_as_boto3_tells_it(self, session):
        connection = connect("http://127.0.0.1:9", session)
        outcomes = list(replay(connection, TARGET, numbered(2), sleep=at_once))
        assert {each.refusal.code for each in outcomes} == {"EndpointConnectionError"}
        assert {each.status for each in outcomes} == {0}
        assert "http://127.0.0.1:9/endpoints/boston/invocations" in outcomes[0].error

    def test_an_answer_that_does_not_come_is_a_timeout(self, serve, session):
        connection, _ = serve(Reply(latency=30))
        config = Config(read_timeout=0.2, retries={"mode": "standard", "total_max_attempts": 1})
        client = session.client("sagemaker-runtime", endpoint_url=connection.endpoint_url, config=config)
        connection._clients["sagemaker-runtime"] = client
        (outcome,) = replay(connection, TARGET, numbered(1))
        assert outcome.refusal.code == "ReadTimeoutError"

    def test_without_credentials_nothing_is_sent(self, serve, monkeypatch):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        _, server = serve(Reply())
        with pytest.raises(ServiceError) as caught:
            list(replay(connect(server.url, boto3.Session(region_name="eu-west-1")), TARGET, numbered(1)))
        assert caught.value.code == "NoCredentialsError"
        assert not threads()

    def test_an_error_of_the_requests_themselves_is_the_caller_s(self, serve):
        def broken():
            yield Request(0, b"1")
            raise ZeroDivisionError

        connection, _ = serve(Reply())
        with pytest.raises(ZeroDivisionError):
            list(replay(connection, TARGET, broken()))
        assert not threads()


class TestEnding:
    def test_closing_gives_up_what_is_under_way_and_leaves_nothing(self, serve, caplog):
        connection, server = serve(lambda asked: Reply(latency=0.001 if int(asked.body) < 5 else 60))
        with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
            warnings.simplefilter("error")
            outcomes = replay(connection, TARGET, numbered(1000), concurrency=8)
            next(outcomes)
            outcomes.close()
        assert not threads()
        assert caplog.records == []
        deadline = time.monotonic() + 5
        while server.transports and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not server.transports  # each of its sockets was closed

    def test_an_interrupt_ends_it_at_once(self, serve):
        connection, _ = serve(Reply(latency=60))

        def interrupted():
            yield Request(0, b"1")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(replay(connection, TARGET, interrupted()))
        assert not threads()

    def test_a_signal_while_it_waits_ends_it_at_once(self, serve):
        connection, _ = serve(Reply(latency=60))
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            list(replay(connection, TARGET, numbered(3)))
        assert not threads()

    def test_it_works_where_a_loop_runs_already(self, serve):
        connection, _ = serve(Reply())

        async def cell():
            return list(replay(connection, TARGET, numbered(10)))

        assert len(asyncio.run(cell())) == 10


class TestCredentials:
    @pytest.fixture
    def expiring(self, serve):
        """Return a function that connects with credentials that are due for a refresh by `fetch`, and the server."""

        def make(fetch, reply):
            _, server = serve(reply)
            soon = datetime.now(UTC) + timedelta(minutes=12)  # a refresh is advised, and not yet needed
            credentials = RefreshableCredentials("OLD", "s", "t", soon, fetch, "role")
            botocore_s = botocore.session.Session()
            botocore_s._credentials = credentials
            return connect(server.url, boto3.Session(botocore_session=botocore_s, region_name="eu-west-1")), server

        return make

    def test_those_that_are_due_are_refreshed_while_others_are_under_way(self, expiring):
        began, enough = threading.Event(), threading.Event()

        def fetch():
            if not began.is_set():  # at botocore's own look
                raise OSError("not now")
            assert enough.wait(10)
            later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
            return {"access_key": "NEW", "secret_key": "s", "token": "t2", "expiry_time": later}

        def reply(asked):
            tokens[asked.headers["x-amz-security-token"]] += 1
            if tokens["t"] == 20:
                enough.set()
            return Reply()

        def requests():
            began.set()
            yield from numbered(100)

        tokens = Counter()
        connection, _ = expiring(fetch, reply)
        outcomes = list(replay(connection, TARGET, requests(), concurrency=4))
        assert [each.error for each in outcomes] == [None] * 100
        assert tokens["t"] >= 20
        assert tokens["t2"] >= 1
        assert tokens.total() == 100

    def test_those_that_cannot_be_refreshed_fail_the_requests_as_they_would_boto3_s(self, expiring):
        def fetch():
            raise CredentialRetrievalError(provider="role", error_msg="no")

        connection, server = expiring(fetch, Reply())
        credentials = connection.session.get_credentials()

        def requests():
            credentials._expiry_time = datetime.now(UTC)  # after botocore's own look
            yield from numbered(2)

        outcomes = list(replay(connection, TARGET, requests()))
        assert {each.refusal.code for each in outcomes} == {"CredentialRetrievalError"}
        assert server.asked == []

    def test_a_role_that_may_no_longer_be_assumed_fails_the_requests_with_the_service_s_words(self, expiring):
        def fetch():
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized"}}, "AssumeRole")

        connection, server = expiring(fetch, Reply())
        credentials = connection.session.get_credentials()

        def requests():
            credentials._expiry_time = datetime.now(UTC)  # after botocore's own look
            yield from numbered(2)

        outcomes = list(replay(connection, TARGET, requests()))
        assert [each.refusal.code for each in outcomes] == ["AccessDenied"] * 2
        assert server.asked == []


class TestRate:
    def test_requests_are_sent_at_their_times(self, serve):
        connection, _ = serve(Reply())
        began = time.perf_counter()
        outcomes = list(replay(connection, TARGET, numbered(11), rate=50))
        assert time.perf_counter() - began >= 10 / 50
        assert [each.number for each in outcomes] == list(range(11))

    def test_a_request_that_had_to_wait_for_a_connection_counts_from_when_it_was_due(self, serve):
        connection, _ = serve(Reply(latency=0.05))
        outcomes = list(replay(connection, TARGET, numbered(6), rate=1000, concurrency=1))
        for turn, each in enumerate(outcomes, 1):
            assert each.seconds >= 0.045
            assert each.latency >= 0.045 * turn - 0.006


class TestTls:
    def test_a_certificate_that_is_trusted_is_enough(self, serve, session, tmp_path):
        context, authority = tls(tmp_path)
        connection, server = serve(Reply(), context=context)
        client = session.client("sagemaker-runtime", endpoint_url=server.url, verify=authority)
        connection._clients["sagemaker-runtime"] = client
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert [each.error for each in replay(connection, TARGET, numbered(5))] == [None] * 5

    def test_one_that_is_not_is_refused(self, serve, tmp_path):
        context, _ = tls(tmp_path)
        connection, server = serve(Reply(), context=context)
        (outcome,) = replay(connection, TARGET, numbered(1), attempts=1)
        assert outcome.refusal.code == "SSLError"
        assert server.asked == []

    def test_verification_can_be_switched_off_as_for_boto3(self, serve, session, tmp_path):
        context, _ = tls(tmp_path)
        connection, server = serve(Reply(), context=context)
        client = session.client("sagemaker-runtime", endpoint_url=server.url, verify=False)
        connection._clients["sagemaker-runtime"] = client
        (outcome,) = replay(connection, TARGET, numbered(1))
        assert outcome.error is None

    def test_a_bundle_that_is_not_there_is_told(self, serve, session, tmp_path):
        context, _ = tls(tmp_path)
        connection, server = serve(Reply(), context=context)
        client = session.client("sagemaker-runtime", endpoint_url=server.url, verify=str(tmp_path / "none.pem"))
        connection._clients["sagemaker-runtime"] = client
        with pytest.raises(ServiceError, match="No such file"):
            list(replay(connection, TARGET, numbered(1)))
        assert not threads()


def test_a_proxy_is_used_as_boto3_would(serve, session):
    _, proxy = serve(Reply(b"by proxy"))
    connection = connect("http://sagemaker.invalid", session)
    client = session.client(
        "sagemaker-runtime", endpoint_url=connection.endpoint_url, config=Config(proxies={"http": proxy.url})
    )
    connection._clients["sagemaker-runtime"] = client
    (outcome,) = replay(connection, TARGET, numbered(1))
    assert outcome.body == b"by proxy"
    assert proxy.asked[0].target == "http://sagemaker.invalid/endpoints/boston/invocations"


def test_on_the_engine_shares_are_exact_and_answers_those_of_the_models(connection, served, linear, xgb, data):
    rows, _ = data
    requests = (Request(number, ",".join(map(str, row)).encode()) for number, row in enumerate(rows))
    outcomes = list(replay(connection, Target(served), requests))
    models = {"Linear-Model": linear, "XGB-Model": xgb}
    assert Counter(each.variant for each in outcomes) == {"Linear-Model": 160, "XGB-Model": 40}
    for each in outcomes[:40]:
        expected = models[each.variant].predict(rows[each.number : each.number + 1])[0]
        assert prediction_of(each.answer()) == pytest.approx(float(expected), rel=1e-4)
