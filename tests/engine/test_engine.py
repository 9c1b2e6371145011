"""The engine in the test's own process: which calls reach what, how it stops, and on which states it does not begin."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from types import SimpleNamespace

import pytest
from controlkit import IMAGE, ROLE
from enginekit import Signer, Wire, raw

from sm_magics.errors import EngineError
from sm_magics.local import cbor
from sm_magics.local import engine as module
from sm_magics.local.engine import Engine, Settings

KEY = ("AKIATEST", "secret")
MODEL = {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}}
ANOTHER_CLOCK = 2_000_000_000.0


@contextlib.asynccontextmanager
async def serving(state, *, now=time.time, **settings):
    """Serve in this process; yield the engine, how to reach it, and the task that ends when it has stopped."""
    engine = Engine(Settings(state, **settings), KEY, now)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    ready = asyncio.Event()
    task = asyncio.create_task(engine.serve(listener, ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    about = SimpleNamespace(url=url, access_key_id=KEY[0], secret_access_key=KEY[1], region=engine._settings.region)
    try:
        yield engine, about, task
    finally:
        engine.stopping.set()
        await task


async def asked(about, request):
    wire = await Wire.open(about)
    try:
        return await wire.ask(request)
    finally:
        wire.close()


def called(about, service, target, request, **signer):
    body = json.dumps(request).encode()
    signed = {"x-amz-target": target}
    return asked(about, Signer(about, service, **signer).request("/", body, signed=signed))


def test_each_service_is_found_by_its_target_and_what_none_has_is_refused_by_name(tmp_path):
    calls = [
        ("sagemaker", "SageMaker.ListModels", {}, {"Models": []}),
        ("sagemaker", "SageMaker.ListEndpoints", {}, {"Endpoints": []}),
        ("logs", "Logs_20140328.DescribeLogGroups", {}, {"logGroups": []}),
        ("monitoring", "GraniteServiceVersion20100801.ListMetrics", {}, {"Metrics": []}),
        ("application-autoscaling", "AnyScaleFrontendService.DescribeScalableTargets",
         {"ServiceNamespace": "sagemaker"}, {"ScalableTargets": []}),
    ]  # fmt: skip

    async def run():
        async with serving(tmp_path) as (_, about, _):
            answers = [await called(about, *each[:3]) for each in calls]
            unknown = await called(about, "sagemaker", "SageMaker.CreateTrainingJob", {})
            stranger = await called(about, "sagemaker", "DynamoDB_20120810.ListTables", {})
            return answers, unknown, stranger

    answers, unknown, stranger = asyncio.run(run())
    assert [each.status for each in answers] == [200] * len(calls)
    assert [json.loads(each.body) for each in answers] == [each[3] for each in calls]
    assert len({each.headers["x-amzn-requestid"] for each in answers}) == len(calls)
    for refused, name in ((unknown, "CreateTrainingJob"), (stranger, "ListTables")):
        assert (refused.status, json.loads(refused.body)["__type"]) == (400, "UnknownOperationException")
        assert name in json.loads(refused.body)["message"]


def test_cloudwatch_is_asked_in_cbor_and_answers_so(tmp_path):
    async def run():
        async with serving(tmp_path) as (_, about, _):
            path = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
            plain = {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor"}
            good = Signer(about, "monitoring").request(path, b"\xa0", plain=plain)
            return await asked(about, good), await asked(about, raw(path, b"\xa0", {"host": about.url[7:], **plain}))

    good, unsigned = asyncio.run(run())
    assert (good.status, good.headers["smithy-protocol"]) == (200, "rpc-v2-cbor")
    assert cbor.Cbor().read(good.body) == {"Metrics": []}
    assert (unsigned.status, unsigned.headers["smithy-protocol"]) == (403, "rpc-v2-cbor")
    assert "MissingAuthenticationToken" in cbor.Cbor().read(unsigned.body)["__type"]


def test_the_query_protocol_of_old_clients_is_refused_in_its_own_form(tmp_path):
    async def run():
        async with serving(tmp_path) as (_, about, _):
            plain = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
            signer = Signer(about, "monitoring")
            return await asked(about, signer.request("/", b"Action=ListMetrics&Version=2010-08-01", plain=plain))

    told = asyncio.run(run())
    assert (told.status, told.headers["content-type"]) == (400, "text/xml")
    assert b"<Code>UnsupportedProtocol</Code>" in told.body
    assert b"boto3 1.40" in told.body


@pytest.mark.parametrize(
    ("signer", "target"),
    [
        ({"key": "AKIAOTHER"}, "SageMaker.CreateModel"),
        ({"secret": "guessed"}, "SageMaker.CreateModel"),
        ({"region": "eu-west-1"}, "SageMaker.CreateModel"),
        ({"clock": lambda: ANOTHER_CLOCK}, "SageMaker.CreateModel"),
        ({}, "Logs_20140328.DescribeLogGroups"),  # signed for another service
    ],
)
def test_who_does_not_sign_for_this_engine_now_is_refused(tmp_path, signer, target):
    async def run():
        async with serving(tmp_path) as (engine, about, _):
            reply = await called(about, "sagemaker", target, MODEL, **signer)
            return reply, engine._store.all("model")

    reply, models = asyncio.run(run())
    assert (reply.status, models) == (403, [])
    assert reply.headers["x-amzn-errortype"] == json.loads(reply.body)["__type"]


def test_its_clock_is_the_one_it_is_given(tmp_path):
    async def run():
        async with serving(tmp_path, now=lambda: ANOTHER_CLOCK) as (engine, about, _):
            reply = await called(about, "sagemaker", "SageMaker.CreateModel", MODEL, clock=lambda: ANOTHER_CLOCK)
            return reply, engine._store.model("m")

    reply, model = asyncio.run(run())
    assert (reply.status, model.created) == (200, ANOTHER_CLOCK)


def test_it_stops_by_itself_once_it_is_idle_and_empty(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.01)

    async def run():
        async with serving(tmp_path, idle_seconds=0.05) as (_, _, task):
            async with asyncio.timeout(20):
                await task

    asyncio.run(run())


@pytest.mark.parametrize("kept", ["an endpoint", "no time"])
def test_it_goes_on_while_there_is_an_endpoint_or_no_time_is_set(tmp_path, monkeypatch, kept):
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.001)

    async def run():
        async with serving(tmp_path, idle_seconds=0.01 if kept == "an endpoint" else 0.0) as (engine, _, task):
            if kept == "an endpoint":
                monkeypatch.setattr(engine._store, "all", lambda _: ["an endpoint"])
            await asyncio.wait([task], timeout=0.2)
            gone_on = not task.done()
            monkeypatch.undo()
        return gone_on

    assert asyncio.run(run())


def test_a_call_that_is_under_way_is_answered_before_it_stops_and_none_is_taken_after(tmp_path):
    async def run():
        async with serving(tmp_path) as (engine, about, task):
            began, may_go_on = asyncio.Event(), asyncio.Event()
            operations = engine._services["sagemaker"]._operations

            async def slow(_request):
                began.set()
                await may_go_on.wait()
                return {"Models": []}

            operations["ListModels"] = slow
            call = asyncio.create_task(called(about, "sagemaker", "SageMaker.ListModels", {}))
            await began.wait()
            engine.stopping.set()
            await asyncio.sleep(2 * module.QUIET_SECONDS)
            assert not task.done()
            may_go_on.set()
            reply = await call
            await task
            with pytest.raises(ConnectionError):
                await called(about, "sagemaker", "SageMaker.ListModels", {})
            return reply

    assert asyncio.run(run()).status == 200


def test_what_was_made_is_there_in_the_next_engine(tmp_path):
    async def made():
        async with serving(tmp_path) as (_, about, _):
            await called(about, "sagemaker", "SageMaker.CreateModel", MODEL)

    async def found():
        async with serving(tmp_path) as (_, about, _):
            return await called(about, "sagemaker", "SageMaker.DescribeModel", {"ModelName": "m"})

    asyncio.run(made())
    assert json.loads(asyncio.run(found()).body)["PrimaryContainer"]["Image"] == IMAGE


def begin(state, **settings):
    """Make an engine, and end it."""
    engine = Engine(Settings(state, **settings), KEY)
    engine._store.close()


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"region": "eu-west-1"}, "not of 123456789012 in eu-west-1"),
        ({"account": "210987654321"}, "not of 210987654321 in us-east-1"),
    ],
)
def test_a_state_of_another_account_or_region_is_refused(tmp_path, other, told):
    async def made():
        async with serving(tmp_path) as (_, about, _):
            await called(about, "sagemaker", "SageMaker.CreateModel", MODEL)

    asyncio.run(made())
    with pytest.raises(EngineError) as caught:
        begin(tmp_path, **other)
    assert told in caught.value.message
    assert "--region us-east-1" in caught.value.hint
    begin(tmp_path)


def test_a_state_that_was_emptied_is_refused_and_a_new_one_is_not(tmp_path):
    begin(tmp_path)
    (tmp_path / "engine.json").write_text("{}")
    (tmp_path / "state.sqlite").write_bytes(b"")
    with pytest.raises(EngineError, match="is empty, which it was not before") as caught:
        begin(tmp_path)
    assert "put a copy of it back" in caught.value.hint
    assert (tmp_path / "state.sqlite").read_bytes() == b""
    (tmp_path / "state.sqlite").unlink()
    begin(tmp_path)
