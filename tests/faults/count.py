"""Counts requests by id while everything around them changes: none may be lost, none answered twice or for another.

`python tests/faults/count.py --requests 100000`. Connections that stay open send one request after another; meanwhile
the endpoint is updated (as a canary, rolling, linear) between configs with and without data capture and a shadow, an
update fails and is rolled back, it is scaled out and in, and its weights and tags change. Then the engine is stopped by
SIGTERM in the middle of the load: every request that it took is answered, and of each that a capturing config answered
there is one record; of its copy there is at most one, with the shadow's answer.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import capturekit
from enginekit import SETTLED, CallFailed, Wire, running

CONNECTIONS = 16
PIPELINED = 4  # requests that a connection sends before it reads the first answer
BIASES = {"c0": 0.25, "c1": 0.5, "c2": 0.0}
CAPTURING, SHADOWED = {"c1", "c2"}, {"c0", "c1"}
SHADOWS = 0.75  # what the model of the shadow adds
STOPPING = 1_000_000  # the first id after SIGTERM; of more, floats would not tell the biases
HALF = {"Type": "CAPACITY_PERCENT", "Value": 50}


def blue_green(kind, size, wait):
    routing = {"Type": kind, size: HALF, "WaitIntervalInSeconds": wait}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}


POLICIES = {
    "c1": blue_green("CANARY", "CanarySize", 1),
    "c2": {"RollingUpdatePolicy": {"MaximumBatchSize": HALF, "WaitIntervalInSeconds": 0}},
    "c0": blue_green("LINEAR", "LinearStepSize", 0),
    "broken": {"RollingUpdatePolicy": {"MaximumBatchSize": HALF, "WaitIntervalInSeconds": 0}},
}
PATIENT = {"engine.QUIET_SECONDS": 2.0}  # machines under load are slow to send what they are about to send


@dataclass
class Counts:
    """What happened to every id: `answers` counts the right answers of each, `wrong` has whatever else came."""

    answers: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)
    fleets: Counter = field(default_factory=Counter)
    captured: set = field(default_factory=set)  # ids that must be

    def take(self, number, reply):
        if reply.status != 200 or reply.score - number not in BIASES.values():
            self.wrong.append((number, reply))
        else:
            self.answers[number] += 1
            self.fleets[reply.score - number] += 1
            if reply.score - number in {BIASES[each] for each in CAPTURING}:
                self.captured.add(number)


async def user(engine, numbers, enough, counts):
    """Send requests, `PIPELINED` at a time, until `enough()`; return the ids that were never answered."""
    wire = await Wire.open(engine)
    try:
        while not enough():
            batch = list(itertools.islice(numbers, PIPELINED))
            wire.writer.write(b"".join(engine.signer.invocation("count", each) for each in batch))
            told_to_go = False
            for place, number in enumerate(batch):
                try:
                    reply = await wire.answer()
                except (asyncio.IncompleteReadError, ConnectionResetError):
                    return batch[place:]
                counts.take(number, reply)
                told_to_go = reply.headers.get("connection") == "close"
            if told_to_go:
                return []
    finally:
        wire.close()
    return []


class Control:
    """Calls of the control plane on a connection that stays open."""

    def __init__(self, engine, wire):
        self._engine, self._wire = engine, wire

    async def call(self, operation, **request):
        reply = await self._wire.ask(self._engine.signer.call(operation, request))
        if reply.status != 200:
            told = json.loads(reply.body)
            raise CallFailed(told["__type"], told["message"], reply.status)
        return json.loads(reply.body or b"{}")

    async def settled(self, name="count"):
        while True:
            told = await self.call("DescribeEndpoint", EndpointName=name)
            if told["EndpointStatus"] in SETTLED:
                return told
            await asyncio.sleep(0.005)


CHANGES = ("c1", "in", "weights", "broken", "out", "tags", "c2", "in", "broken", "out", "c0", "in")


async def change(control, kind):
    """Change the endpoint in one way, and wait until that is done."""
    if kind in {"in", "out"}:
        await rescale(control, A={"DesiredInstanceCount": 1 if kind == "in" else 3})
    elif kind == "weights":  # on a config with a shadow: from now on half of the requests are copied
        await rescale(control, A={"DesiredWeight": 2}, S={"DesiredWeight": 1, "DesiredInstanceCount": 2})
    elif kind == "tags":
        arn = (await control.call("DescribeEndpoint", EndpointName="count"))["EndpointArn"]
        await control.call("AddTags", ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
        assert (await control.call("ListTags", ResourceArn=arn))["Tags"] == [{"Key": "a", "Value": "b"}]
        await control.call("DeleteTags", ResourceArn=arn, TagKeys=["a"])
    else:
        await control.call(
            "UpdateEndpoint", EndpointName="count", EndpointConfigName=kind, DeploymentConfig=POLICIES[kind]
        )
    told = await control.settled()
    assert told["EndpointStatus"] == "InService", told
    assert ("FailureReason" in told) == (kind == "broken"), told


async def rescale(control, **variants):
    wanted = [{"VariantName": name, **changes} for name, changes in variants.items()]
    await control.call("UpdateEndpointWeightsAndCapacities", EndpointName="count", DesiredWeightsAndCapacities=wanted)


def prepare(engine):
    engine.echo("m-shadow", SHADOWS)
    for config, bias in BIASES.items():
        shadow = ("S", "m-shadow") if config in SHADOWED else None
        capture = capturekit.config("s3://captured/here", **capturekit.TYPES) if config in CAPTURING else None
        engine.config(config, ("A", engine.echo(f"m-{config}", bias), 1, 3), shadow=shadow, capture=capture)
    engine.config("broken", ("A", engine.model("m-broken", b"no archive")))
    engine.call("CreateEndpoint", EndpointName="count", EndpointConfigName="c0")
    assert engine.settled("count")["EndpointStatus"] == "InService"


async def count(engine, requests):
    """Send so many requests while the endpoint changes; return the counts, and the changes that were made."""
    counts, numbers, changes = Counts(), itertools.count(), 0

    def enough():
        return counts.answers.total() >= requests and changes >= len(CHANGES)

    control = Control(engine, await Wire.open(engine))
    users = [asyncio.create_task(user(engine, numbers, enough, counts)) for _ in range(CONNECTIONS)]
    for kind in itertools.cycle(CHANGES):
        await change(control, kind)
        changes += 1
        if all(each.done() for each in users):
            break
    unanswered = [each for lost in await asyncio.gather(*users) for each in lost]
    sent = next(numbers)
    check(counts, unanswered, sent)
    return counts, sent, changes


async def stop_in_the_middle(engine):
    """Stop the engine by SIGTERM under load; return the counts and how many were sent: all are answered, each once."""
    control = Control(engine, await Wire.open(engine))
    if (await control.settled())["EndpointConfigName"] not in CAPTURING:
        await change(control, "c1")
    counts, numbers = Counts(), itertools.count(STOPPING)
    users = [asyncio.create_task(user(engine, numbers, lambda: False, counts)) for _ in range(CONNECTIONS)]
    await asyncio.sleep(0.3)
    engine.process.send_signal(signal.SIGTERM)
    unanswered = [each for lost in await asyncio.gather(*users) for each in lost]
    sent = next(numbers) - STOPPING
    check(counts, unanswered, sent)
    return counts, sent


def check(counts, unanswered, sent):
    assert not counts.wrong, counts.wrong[:3]
    assert not unanswered, unanswered[:10]
    assert max(counts.answers.values()) == 1, "a request was answered twice"
    assert len(counts.answers) == sent, f"{sent - len(counts.answers)} of {sent} were never answered"


def check_captured(engine, *of):
    """Compare what is captured with what was answered; return how many records there are of answers and of copies."""
    root = engine.about.artifact_path("captured", "here") / "count"
    answers, copies = rows_captured(root, "A"), rows_captured(root, "S")
    biases = {BIASES[each] for each in CAPTURING}
    assert all(score - row in biases for row, score in answers), "a record of another request's answer"
    assert all(score - row == SHADOWS for row, score in copies), "a record of another copy's answer"
    wanted = set().union(*(each.captured for each in of))
    rows = Counter(row for row, _ in answers)
    assert rows.keys() == wanted, (
        f"{len(wanted - rows.keys())} not captured, {len(rows.keys() - wanted)} never answered"
    )
    assert max(rows.values()) == 1, "a request was captured twice"
    assert max(Counter(row for row, _ in copies).values()) == 1, "a request was copied twice"
    assert not list(root.rglob(".*")), "a file that was not finished"
    return len(answers), len(copies)


def rows_captured(root, variant):
    found = []
    for each in capturekit.captured(root, variant):
        sides = each["captureData"]
        score = json.loads(sides["endpointOutput"]["data"])["predictions"][0]["score"]
        found.append((int(sides["endpointInput"]["data"]), score))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=5_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), changed=PATIENT) as engine:
        prepare(engine)
        began = time.perf_counter()
        counts, sent, changes = asyncio.run(count(engine, given.requests))
        seconds = time.perf_counter() - began
        sys.stdout.write(
            f"{sent:,} requests in {seconds:.0f} s over {changes} changes: 0 lost, 0 answered twice, "
            f"by fleet {sorted(counts.fleets.values())}\n"
        )
        stopped, sent = asyncio.run(stop_in_the_middle(engine))
        assert engine.process.wait(90) == 0
        sys.stdout.write(f"stopped by SIGTERM in the middle of {sent:,} requests: 0 lost, 0 answered twice\n")
        answers, copies = check_captured(engine, counts, stopped)
        sys.stdout.write(f"captured: {answers:,} answers, each once and none missing, and {copies:,} copies\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
