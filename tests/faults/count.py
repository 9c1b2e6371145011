"""Counts requests by id while everything around them changes: none may be lost, none answered twice or for another.

`python tests/faults/count.py --requests 100000`. Connections that stay open send one request after another; meanwhile
the endpoint is updated, an update fails and is rolled back, and it is scaled out and in. Then the engine is stopped by
SIGTERM in the middle of the load: every request that it took is answered.
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

from enginekit import SETTLED, CallFailed, Wire, running

CONNECTIONS = 16
PIPELINED = 4  # requests that a connection sends before it reads the first answer
BIASES = {"c0": 0.25, "c1": 0.5}
PATIENT = {"engine.QUIET_SECONDS": 2.0}  # machines under load are slow to send what they are about to send


@dataclass
class Counts:
    """What happened to every id: `answers` counts the right answers of each, `wrong` has whatever else came."""

    answers: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)
    fleets: Counter = field(default_factory=Counter)

    def take(self, number, reply):
        if reply.status != 200 or reply.score - number not in BIASES.values():
            self.wrong.append((number, reply))
        else:
            self.answers[number] += 1
            self.fleets[reply.score - number] += 1


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


CHANGES = ("c1", "in", "broken", "out", "c0", "in")


async def change(control, kind):
    """Change the endpoint in one way, and wait until that is done."""
    if kind in {"in", "out"}:
        wanted = [{"VariantName": "A", "DesiredInstanceCount": 1 if kind == "in" else 3}]
        await control.call(
            "UpdateEndpointWeightsAndCapacities", EndpointName="count", DesiredWeightsAndCapacities=wanted
        )
    else:
        await control.call("UpdateEndpoint", EndpointName="count", EndpointConfigName=kind)
    told = await control.settled()
    assert told["EndpointStatus"] == "InService", told
    assert ("FailureReason" in told) == (kind == "broken"), told


def prepare(engine):
    for config, bias in BIASES.items():
        engine.config(config, ("A", engine.echo(f"m-{config}", bias), 1, 3))
    engine.config("broken", ("A", engine.model("m-broken", b"no archive")))
    engine.call("CreateEndpoint", EndpointName="count", EndpointConfigName="c0")
    assert engine.settled("count")["EndpointStatus"] == "InService"


async def count(engine, requests):
    """Send so many requests while the endpoint changes; return the counts, and the changes that were made."""
    counts, numbers, changes = Counts(), itertools.count(), 0
    control = Control(engine, await Wire.open(engine))
    users = [
        asyncio.create_task(user(engine, numbers, lambda: counts.answers.total() >= requests, counts))
        for _ in range(CONNECTIONS)
    ]
    for kind in itertools.cycle(CHANGES):
        await change(control, kind)
        changes += 1
        if all(each.done() for each in users) and changes >= len(CHANGES):
            break
    unanswered = [each for lost in await asyncio.gather(*users) for each in lost]
    sent = next(numbers)
    check(counts, unanswered, sent)
    return counts, sent, changes


async def stop_in_the_middle(engine):
    """Stop the engine by SIGTERM under load; return how many were answered: all that were sent, each once."""
    counts, numbers = Counts(), itertools.count()
    users = [asyncio.create_task(user(engine, numbers, lambda: False, counts)) for _ in range(CONNECTIONS)]
    await asyncio.sleep(0.3)
    engine.process.send_signal(signal.SIGTERM)
    unanswered = [each for lost in await asyncio.gather(*users) for each in lost]
    sent = next(numbers)
    check(counts, unanswered, sent)
    return sent


def check(counts, unanswered, sent):
    assert not counts.wrong, counts.wrong[:3]
    assert not unanswered, unanswered[:10]
    assert max(counts.answers.values()) == 1, "a request was answered twice"
    assert len(counts.answers) == sent, f"{sent - len(counts.answers)} of {sent} were never answered"


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
        sent = asyncio.run(stop_in_the_middle(engine))
        assert engine.process.wait(90) == 0
        sys.stdout.write(f"stopped by SIGTERM in the middle of {sent:,} requests: 0 lost, 0 answered twice\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
