"""What an attacker on this machine or in its browser may try; all of it against a real engine."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from pathlib import Path

import pytest
from enginekit import Signer, Wire, raw, running, send_raw

INVOKE = "/endpoints/{}/invocations"
CREATE = {"x-amz-target": "SageMaker.CreateModel"}
MODEL = json.dumps(
    {
        "ModelName": "intruder",
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/Serving",
        "PrimaryContainer": {"Image": "linear-learner:1"},
    }
).encode()


def refused(engine, data):
    """Send a request and return the status and the error's code of its answer."""
    reply = asked(engine, data)
    return reply.status, json.loads(reply.body).get("__type")


def asked(engine, data):
    async def run():
        wire = await Wire.open(engine.about)
        try:
            return await wire.ask(data)
        finally:
            wire.close()

    return asyncio.run(run())


def unsigned(_engine, headers, _target, _body):
    return {name: value for name, value in headers.items() if name != "authorization"}


def empty(_engine, headers, _target, _body):
    return {**headers, "authorization": ""}


def basic(_engine, headers, _target, _body):
    return {**headers, "authorization": "Basic dXNlcjpwYXNz"}


def garbled(_engine, headers, _target, _body):
    flipped = headers["authorization"][:-1] + ("0" if headers["authorization"][-1] != "0" else "1")
    return {**headers, "authorization": flipped}


def signing(service="sagemaker", **how):
    def forge(engine, headers, target, body):
        signed = {name: headers[name] for name in headers if name == "x-amz-target"}
        return Signer(engine.about, service, **how).headers(target, body, signed=signed)

    return forge


FORGED = {
    "no signature": (unsigned, "MissingAuthenticationTokenException"),
    "an empty one": (empty, "MissingAuthenticationTokenException"),
    "a password": (basic, "MissingAuthenticationTokenException"),
    "one wrong digit": (garbled, "InvalidSignatureException"),
    "another secret": (signing(secret="guessed"), "InvalidSignatureException"),
    "another key": (signing(key="AKIAOTHER"), "UnrecognizedClientException"),
    "another region": (signing(region="eu-west-1"), "InvalidSignatureException"),
    "another service": (signing(service="s3"), "InvalidSignatureException"),
    "an old one": (signing(clock=lambda: time.time() - 901), "InvalidSignatureException"),
    "one of the future": (signing(clock=lambda: time.time() + 901), "InvalidSignatureException"),
    "one of yesterday": (signing(clock=lambda: time.time() - 86_400), "InvalidSignatureException"),
}


@pytest.mark.parametrize("what", FORGED)
def test_without_a_good_signature_nothing_happens_on_either_plane(engine, endpoint, what):
    forge, code = FORGED[what]
    for target, body, signed in (("/", MODEL, CREATE), (INVOKE.format(endpoint), b"1", None)):
        good = engine.signer.headers(target, body, signed=signed)
        assert refused(engine, raw(target, body, forge(engine, good, target, body))) == (403, code)
    assert all(each["ModelName"] != "intruder" for each in engine.call("ListModels", MaxResults=100)["Models"])


@pytest.mark.parametrize("part", ["body", "target", "operation", "method"])
def test_a_signature_is_good_for_its_own_request_only(engine, endpoint, part):
    headers = engine.signer.headers("/", MODEL, signed={"x-amz-target": "SageMaker.ListModels"})
    sent = {
        "body": raw("/", MODEL + b" ", headers),
        "target": raw(INVOKE.format(endpoint), MODEL, headers),
        "operation": raw("/", MODEL, {**headers, **CREATE}),
        "method": raw("/", MODEL, headers, method="PUT"),
    }[part]
    assert refused(engine, sent)[0] == 403


def test_a_target_that_is_not_signed_cannot_turn_an_invocation_into_a_call(engine):
    headers = engine.signer.headers("/", MODEL)
    assert refused(engine, raw("/", MODEL, {**headers, **CREATE})) == (403, "InvalidSignatureException")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "127.0.0.1:1", "[::1]"]
)
def test_a_name_that_was_bound_to_this_machine_is_refused_even_when_signed(engine, endpoint, host):
    forged = Signer(engine.about)
    forged.host = host
    for data in (forged.invocation(endpoint, 1), forged.call("ListModels", {})):
        assert refused(engine, data) == (403, "AccessDeniedException")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:8888", ""])
def test_a_web_page_is_refused_even_when_signed(engine, endpoint, origin):
    for data in (
        engine.signer.invocation(endpoint, 1, origin=origin),
        engine.signer.request("/", b"{}", signed={"x-amz-target": "SageMaker.ListModels"}, plain={"origin": origin}),
    ):
        assert refused(engine, data) == (403, "AccessDeniedException")


def test_a_web_page_may_not_even_ask(engine):
    preflight = raw("/", b"", {"host": engine.signer.host, "origin": "https://a"}, method="OPTIONS")
    reply = asked(engine, preflight)
    assert reply.status == 403
    assert not any(name.startswith("access-control") for name in reply.headers)


SECOND = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nContent-Length: 0\r\n",
        b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"X: a\r\n folded: b\r\n",
        b"X: a\nContent-Length: 0\r\n",
        b"X: a\0b\r\n",
    ],
)
def test_a_request_hidden_in_another_is_not_read(engine, head):
    first = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + head + b"\r\n0\r\n\r\n"
    answer = send_raw(engine, first + SECOND, seconds=0.3)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_no_line_of_a_client_becomes_a_header_for_the_container(engine, endpoint):
    """A second request inside custom attributes would be one that nobody signed."""
    for lines in ("a\r\nContent-Length: 99", "a\r\nTransfer-Encoding: chunked", "a\rb", "a\nb", "a\0b"):
        data = engine.signer.invocation(endpoint, 1, **{"x-amzn-sagemaker-custom-attributes": lines})
        assert asked(engine, data).status == 400
    assert engine.invoke(endpoint, 2).score == 2


STARTS = (b"P", b"POST / HTTP/1.1\r\nX: a", b"POST / HTTP/1.1\r\nContent-Length: 999\r\n\r\na")


def test_slow_and_endless_requests_are_dropped_while_others_are_answered(tmp_path):
    with running(tmp_path, changed={"http.REQUEST_SECONDS": 0.2}) as engine:
        engine.serve("quick")

        async def run():
            slow = [await Wire.open(engine.about) for _ in STARTS * 9]
            for each, start in zip(slow, STARTS * 9, strict=True):
                each.writer.write(start)
            for _ in range(8):  # a byte now and then buys no time
                await asyncio.sleep(0.05)
                for each in slow:
                    each.writer.write(b"a")
            quick = await Wire.open(engine.about)
            assert (await quick.ask(engine.signer.invocation("quick", 3))).score == 3
            return [await each.ended() for each in slow]

        for answer in asyncio.run(run()):
            assert not answer or answer.startswith((b"HTTP/1.1 408", b"HTTP/1.1 400"))


def test_a_head_without_end_is_cut_off(engine):
    answer = send_raw(engine, b"GET / HTTP/1.1\r\nX: " + b"a" * 2_000_000, seconds=5)
    assert not answer or answer.startswith(b"HTTP/1.1 400")


def test_a_worker_has_none_of_the_users_environment(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "SOME_TOKEN"):
        monkeypatch.setenv(name, "the user's own")
    with running(tmp_path) as engine:
        engine.serve("e")
        for pid in (engine.template, *engine.workers):
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"AWS_" not in environment
            assert b"the user" not in environment


def test_what_the_engine_keeps_is_for_the_user_alone(engine, endpoint):
    assert engine.invoke(endpoint, 1).status == 200
    ours = {engine.state / "stderr.log", engine.state / "artifacts"}  # made by the tests
    for path in engine.state.iterdir():
        assert path in ours or not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert stat.S_IMODE((engine.state / "credentials.json").stat().st_mode) == 0o600


def test_it_listens_on_the_loopback_only(engine):
    port = int(engine.url.rpartition(":")[2])
    listening = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if state == "0A" and int(local.partition(":")[2], 16) == port:
            listening.add(local.partition(":")[0])
    assert listening == {"0100007F"}
    assert f"{port:04X}" not in {
        line.split()[1].rpartition(":")[2] for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]
    }
