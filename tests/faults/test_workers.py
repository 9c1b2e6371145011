"""Workers that die, hang or run out of memory, under real load."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import resource
import signal
import time
from collections import Counter

import pytest
import xgboost_models
from enginekit import Wire, running

from sm_magics.models import archive

CONNECTIONS = 8


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with running(tmp_path_factory.mktemp("engine")) as made:
        yield made


_NUMBERS = itertools.count()


@pytest.fixture
def serve(engine):
    """Return a function that brings an endpoint of so many instances into service."""
    served = []

    def bring(count=1):
        served.append(engine.serve(f"ep{next(_NUMBERS)}", count=count))
        return served[-1], engine.workers[-count:]

    yield bring
    for name in served:
        engine.call("DeleteEndpoint", EndpointName=name)
        engine.settled(name)


def failed_in_the_container(reply):
    return (
        reply.status == 424 and json.loads(reply.body)["OriginalMessage"] == "The container ended before it answered."
    )


async def load(engine, name, outcomes, stop):
    """Send one request after another; `outcomes` gets `ok` or `lost` for each. Anything else is an error."""
    wire = await Wire.open(engine.about)
    number = id(wire) % 1000
    while not stop.is_set():
        number += 1
        reply = await wire.ask(engine.signer.invocation(name, number))
        if failed_in_the_container(reply):
            outcomes["lost"] += 1
        else:
            assert (reply.status, reply.score) == (200, number)
            outcomes["ok"] += 1
    wire.close()


def last_of_two(engine):
    while len(workers := engine.workers) < 2:
        time.sleep(0.01)
    return workers[-1]


def test_of_a_killed_worker_only_begun_requests_fail_and_it_is_back_at_once(engine, serve):
    name, _ = serve(count=2)
    kills = 4

    async def run():
        outcomes, stop = Counter(), asyncio.Event()
        users = [asyncio.create_task(load(engine, name, outcomes, stop)) for _ in range(CONNECTIONS)]
        for _ in range(kills):
            await asyncio.sleep(0.1)
            os.kill(await asyncio.to_thread(last_of_two, engine), signal.SIGKILL)
        await asyncio.sleep(0.2)
        stop.set()
        await asyncio.gather(*users)
        return outcomes

    outcomes = asyncio.run(run())
    assert outcomes["ok"] > 100
    assert outcomes["lost"] <= kills * CONNECTIONS


def test_what_a_worker_never_began_with_is_sent_again(engine, serve):
    name, (worker,) = serve()

    async def run():
        wires = [await Wire.open(engine.about) for _ in range(CONNECTIONS)]
        os.kill(worker, signal.SIGSTOP)
        asked = [asyncio.create_task(each.ask(engine.signer.invocation(name, n))) for n, each in enumerate(wires)]
        await asyncio.sleep(0.1)
        assert not any(each.done() for each in asked)
        os.kill(worker, signal.SIGKILL)
        return [(await each).score for each in asked]

    assert asyncio.run(run()) == list(range(CONNECTIONS))


def test_a_worker_that_hangs_is_answered_for_in_time_and_its_late_answers_go_to_nobody(tmp_path):
    async def run(engine):
        wire = await Wire.open(engine.about)
        (worker,) = engine.workers
        os.kill(worker, signal.SIGSTOP)
        late = [await wire.ask(engine.signer.invocation("hangs", number)) for number in (1, 2)]
        os.kill(worker, signal.SIGCONT)
        while True:  # a machine that is busy may need longer than there is
            after = await wire.ask(engine.signer.invocation("hangs", 3))
            if after.status == 200:
                return late, after

    with running(tmp_path, changed={"runtime_api.ANSWER_SECONDS": 0.5}) as engine:
        engine.serve("hangs")
        late, after = asyncio.run(run(engine))
    for reply in late:
        told = json.loads(reply.body)
        assert (reply.status, told["OriginalStatusCode"]) == (424, 0)
        assert "timed out while waiting for a response" in told["Message"]
    assert after.score == 3


def test_what_finds_a_worker_out_of_memory_is_answered_by_the_next(engine, serve):
    name, (worker,) = serve()
    resource.prlimit(worker, resource.RLIMIT_AS, (2**20, 2**20))  # what it has, it keeps
    reply = engine.invoke(name, "4" + " " * 500_000)  # no more to calculate than that is to read
    assert reply.status == 200
    assert {each["score"] for each in json.loads(reply.body)["predictions"]} == {4.0}
    assert worker not in engine.workers


def test_when_all_workers_end_at_once_all_are_back(engine, serve):
    name, _ = serve(count=2)
    os.kill(engine.template, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (reply := engine.invoke(name, 5)).status != 200:
        assert failed_in_the_container(reply) or reply.status == 503
        assert time.monotonic() < deadline
    assert reply.score == 5


def test_an_old_fleet_that_hangs_does_not_hold_up_an_update(tmp_path):
    with running(tmp_path, changed={"fleet.DRAIN_SECONDS": 0.3}) as engine:
        name = engine.serve("hangs")
        (worker,) = engine.workers
        engine.config("next", ("A", engine.echo("m-next", 0.5)))

        async def run():
            wire = await Wire.open(engine.about)
            os.kill(worker, signal.SIGSTOP)
            asked = asyncio.create_task(wire.ask(engine.signer.invocation(name, 1)))
            await asyncio.sleep(0.1)
            engine.call("UpdateEndpoint", EndpointName=name, EndpointConfigName="next")
            return await asked

        assert failed_in_the_container(asyncio.run(run()))
        assert engine.settled(name)["EndpointConfigName"] == "next"
        assert engine.invoke(name, 1).score == 1.5


CRASHING = {
    "a null pointer when it is read": (2, rb'"weights"', b'"whights"'),
    "a tree that points nowhere when it is walked": (0, rb'"left_children":\[\d+', b'"left_children":[2000000000'),
}


@pytest.mark.parametrize("how", CRASHING)
def test_a_model_that_crashes_libxgboost_fails_its_endpoint_with_a_log_that_says_so(engine, serve, how):
    name, _ = serve()
    number, what, changed = CRASHING[how]
    crashing, changes = re.subn(what, changed, xgboost_models.models()[number])
    assert changes
    engine.model(f"m-crashing-{number}", archive.pack({"xgboost-model": crashing}), image="sagemaker-xgboost:3.2-0")
    engine.config(f"crashing-{number}", ("A", f"m-crashing-{number}"))
    engine.call("CreateEndpoint", EndpointName="crashing", EndpointConfigName=f"crashing-{number}")
    told = engine.settled("crashing")
    assert (told["EndpointStatus"], told["FailureReason"].startswith("The primary container for")) == ("Failed", True)
    logs = [each.read_text() for each in (engine.state / "logs" / "crashing" / "A").iterdir()]
    assert all("ERROR the container's process ended before it answered its health check" in each for each in logs)
    assert logs
    assert engine.invoke(name, 5).score == 5
    engine.call("DeleteEndpoint", EndpointName="crashing")
    engine.settled("crashing")
