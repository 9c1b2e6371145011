"""Rollouts carried out on fleets of the test's making, and their time limit on a real engine."""

from __future__ import annotations

import asyncio
import random
import threading
from fractions import Fraction

import pytest
from enginekit import ROLE, running
from fleetkit import Hosted, send, until, variant

from sm_magics.local import shifting as module
from sm_magics.local.host import StartFailed
from sm_magics.local.rollout import plan
from sm_magics.local.router import Route
from sm_magics.local.shifting import RolledBack, Shift, Stuck, parts

OLD, NEW = "c1", "c2"


class Seen:
    """An observer that keeps what it is told; `ringing` are the alarms that are in ALARM."""

    def __init__(self):
        self.told, self.ringing = [], []

    def launched(self, counts):
        self.told.append(("launched", counts["A"]))

    def shifted(self, step, status):
        self.told.append((status, step.share))

    def left(self, counts):
        self.told.append(("left", counts["A"]))

    def retiring(self):
        self.told.append(("retiring",))

    def alarmed(self, names):
        return [each for each in names if each in self.ringing]


class Shifted:
    """A fleet that serves, a new one, and the shift between them."""

    def __init__(self, folder, count, deployment):
        self.hosted = Hosted(folder)
        self.launcher = self.hosted.launcher
        self.old, self.new = (self.hosted.fleet(variant(count=count), config=each) for each in (OLD, NEW))
        self.route, self.seen = Route("boston", random.Random(0)), Seen()
        self.rollout = plan(deployment, {"A": count}, {"A": count})

    async def begin(self, seconds=None):
        await self.old.start()
        serving = [(self.old, Fraction(1))]
        self.route.serve(parts(serving))
        object.__setattr__(self.rollout, "seconds", seconds)
        self.shift = Shift(serving, self.new, self.route, self.rollout, self.seen)
        return asyncio.ensure_future(self.shift.run())

    def configs(self, number=20):
        """Return which configs the next requests go to."""
        return {self.route.lane(None).config_name for _ in range(number)}

    def workers_of(self, fleet):
        pids = {each.pid for lane in fleet.lanes.values() for each in lane.instances}
        return [each for each in self.launcher.workers if each.pid in pids]


@pytest.fixture
def shifted(tmp_path, monkeypatch):
    """Return a function that runs a test of one shift."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.005)

    def run(test, deployment, count=2):
        async def main():
            async with asyncio.timeout(30):
                await test(Shifted(tmp_path, count, deployment))

        asyncio.run(main())

    return run


def blue_green(kind="ALL_AT_ONCE", wait=0, **size):
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **size}
    return {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "rings"}]},
    }


CANARY = blue_green("CANARY", 3600, CanarySize={"Type": "CAPACITY_PERCENT", "Value": 50})
ROLLING = {
    "RollingUpdatePolicy": {
        "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
        "WaitIntervalInSeconds": 0,
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "rings"}]},
}


def test_the_new_fleet_serves_alone_in_the_end(shifted):
    async def test(made):
        assert await (await made.begin()) == [(made.new, Fraction(1))]
        assert made.configs() == {NEW}
        assert (made.new.counts, made.old.counts) == ({"A": 2}, {"A": 0})
        assert made.seen.told == [("launched", 1), ("launched", 2), ("ActivatingTraffic", Fraction(1)), ("retiring",)]
        await until(lambda: len(made.launcher.alive) == 2)
        await made.new.stop()

    shifted(test, blue_green())


def test_a_rolling_update_goes_one_batch_after_the_other(shifted):
    async def test(made):
        await (await made.begin())
        half, whole = Fraction(1, 2), Fraction(1)
        assert made.seen.told == [
            ("launched", 1), ("ActivatingTraffic", half), ("Baking", half), ("left", 1),
            ("launched", 2), ("ActivatingTraffic", whole), ("left", 0), ("retiring",),
        ]  # fmt: skip
        assert made.configs() == {NEW}
        await made.new.stop()

    shifted(test, ROLLING)


def test_an_alarm_in_a_canary_gives_everything_back_to_the_old_fleet(shifted):
    async def test(made):
        running_shift = await made.begin()
        await until(lambda: ("Baking", Fraction(1, 2)) in made.seen.told)
        assert made.configs() == {OLD, NEW}
        made.seen.ringing = ["rings"]
        with pytest.raises(RolledBack, match=r"alarms \[rings\] in AutoRollbackConfiguration went into ALARM state"):
            await running_shift
        assert made.configs() == {OLD}
        assert (made.old.counts, made.new.counts) == ({"A": 2}, {"A": 0})
        await made.old.stop()

    shifted(test, CANARY)


@pytest.mark.parametrize("by", ["time", "alarm"])
def test_a_rollback_while_old_instances_drain_loses_none_of_their_answers(shifted, by):
    async def test(made):
        shift = await made.begin(seconds=1 if by == "time" else None)
        old = made.workers_of(made.old)
        waiters = send(made.old.lanes["A"], 2)
        await until(lambda: made.old.counts == {"A": 1})  # one of them drains
        assert all(each.held == 1 for each in old)
        if by == "alarm":
            made.seen.ringing = ["rings"]
        with pytest.raises(RolledBack, match="within 1 seconds" if by == "time" else "went into ALARM"):
            await shift
        assert made.old.counts == {"A": 2}
        assert made.configs() == {OLD}
        for each in old:
            each.answer()
        assert [await each.came for each in waiters] == [200, 200]
        await made.old.stop()
        await until(lambda: not made.launcher.alive)

    shifted(test, ROLLING)


def test_the_new_fleet_answers_what_it_was_sent_before_a_rollback_ends_it(shifted):
    async def test(made):
        shift = await made.begin()
        await until(lambda: ("Baking", Fraction(1, 2)) in made.seen.told)
        waiters = send(made.new.lanes["A"], 2)
        made.seen.ringing = ["rings"]
        await until(lambda: made.configs() == {OLD})
        assert not shift.done()
        for each in made.workers_of(made.new):
            each.answer()
        with pytest.raises(RolledBack):
            await shift
        assert [await each.came for each in waiters] == [200, 200]
        await made.old.stop()

    shifted(test, CANARY)


def test_a_new_fleet_that_cannot_start_never_gets_a_request(shifted):
    async def test(made):
        await made.old.start()
        made.launcher.health = 500
        shift = await made.begin()
        with pytest.raises(StartFailed):
            await shift
        assert made.configs() == {OLD}
        assert made.seen.told == []
        assert made.old.counts == {"A": 2}
        await made.old.stop()

    shifted(test, blue_green())


def test_a_rollback_that_fails_too_leaves_a_mix_that_serves(shifted):
    async def test(made):
        shift = await made.begin()
        old = made.workers_of(made.old)
        send(made.old.lanes["A"], 2)
        await until(lambda: made.old.counts == {"A": 1})
        made.launcher.health = 500
        made.seen.ringing = ["rings"]
        with pytest.raises(Stuck, match="The rollback failed too"):
            await shift
        assert dict(made.shift.serving) == {
            made.new: Fraction(1, 2),
            made.old: Fraction(1, 2),
        }
        assert made.configs() == {OLD, NEW}
        for each in old:
            each.answer()
        await asyncio.gather(made.old.stop(), made.new.stop())

    shifted(test, ROLLING)


def test_what_waits_for_an_instance_that_died_is_answered_before_its_fleet_is_retired(shifted, monkeypatch):
    monkeypatch.setattr("sm_magics.local.fleet.FIRST_PAUSE", 0.0)

    async def test(made):
        await made.old.start()
        made.launcher.may_ping.clear()
        made.launcher.workers[0].end()
        await until(lambda: made.old.counts == {"A": 0})
        (waiter,) = send(made.old.lanes["A"])
        retiring = asyncio.ensure_future(module.retire(made.old))
        made.launcher.may_ping.set()
        await until(lambda: made.launcher.workers[-1].held == 1)
        made.launcher.workers[-1].answer()
        await retiring
        assert await waiter.came == 200

    shifted(test, blue_green(), count=1)


# The time limit, on a real engine. The shortest that the service takes is ten minutes, which are three seconds here.

QUICK = """
from dataclasses import replace
from sm_magics.local import rollout
def quick(*given, plan=rollout.plan):
    planned = plan(*given)
    return replace(planned, seconds=planned.seconds and planned.seconds / 200)
rollout.plan = quick
"""

SERVER = """
import http.server, os, pathlib, time

class Model(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if body == "held":
            pathlib.Path(f"held-{os.getpid()}").touch()
            while not pathlib.Path("released").exists():
                time.sleep(0.02)
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(os.environ["OWN"].encode())

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Model).serve_forever()
"""


def configured(engine, folder, name, count):
    """Make an endpoint config of a program that answers its config's name."""
    container = {"Image": str(folder / "serve.sh"), "Environment": {"OWN": name}}
    engine.call("CreateModel", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    engine.config(name, ("A", name, 1, count))


@pytest.mark.parametrize("policy", ["rolling", "canary"])
def test_an_update_that_runs_out_of_time_goes_back_and_no_request_under_way_fails(tmp_path, policy):
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "serve.sh").write_text("#!/bin/sh\nexec python3 server.py\n")
    (tmp_path / "serve.sh").chmod(0o755)
    deployment = {
        "rolling": {"RollingUpdatePolicy": {**ROLLING["RollingUpdatePolicy"], "MaximumExecutionTimeoutInSeconds": 600}},
        "canary": {
            "BlueGreenUpdatePolicy": {**CANARY["BlueGreenUpdatePolicy"], "MaximumExecutionTimeoutInSeconds": 600}
        },
    }[policy]
    with running(tmp_path / "state", code=QUICK) as engine:
        for each in ("old", "new"):
            configured(engine, tmp_path, each, 2)
        engine.call("CreateEndpoint", EndpointName="e", EndpointConfigName="old")
        assert engine.settled("e")["EndpointStatus"] == "InService"
        replies = []
        threads = [threading.Thread(target=lambda: replies.append(engine.invoke("e", "held"))) for _ in range(2)]
        for each in threads:
            each.start()
        while len(list(tmp_path.glob("held-*"))) < 2:
            assert engine.status("e") == "InService"
        engine.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="new", DeploymentConfig=deployment)
        told = engine.settled("e")
        assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", "old")
        assert told["FailureReason"] == "The deployment did not finish within 3 seconds, so it was rolled back."
        assert "PendingDeploymentSummary" not in told
        (row,) = told["ProductionVariants"]
        assert (row["CurrentInstanceCount"], row["CurrentWeight"]) == (2, 1)
        assert {engine.invoke("e", "1").body for _ in range(6)} == {b"old"}
        (tmp_path / "released").touch()
        for each in threads:
            each.join()
        assert [(each.status, each.body) for each in replies] == [(200, b"old")] * 2
