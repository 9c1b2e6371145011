"""Kills an engine at random moments of a storm of calls and compares what it knows with what it acknowledged.

`python tests/faults/storm.py --seeds 200`. Every seed is a run of its own: two clients create, update, rescale, tag and
delete endpoints of their own, the engine is killed (SIGKILL) several times in the middle, and started again. A call
that was acknowledged has happened; one that was refused has not; one that was never answered may have.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from enginekit import CallFailed, launch

KILLS = 3
BIASES = {"c0": 0.0, "c1": 0.25, "c2": 0.5}  # by config: what tells in an answer which config gave it
BROKEN = "broken"  # a config whose model cannot be loaded
WEIGHTS = (1.0, 2.0, 3.0)


@dataclass(frozen=True)
class Known:
    """What must be true of an endpoint once it has settled."""

    config: str
    weight: float = 1.0
    count: int = 1
    tags: tuple[str, ...] = ()


class Client:
    """One user: makes random calls on endpoints of its own and keeps a model of what they must have done.

    `possible` holds for each endpoint every state that may be true: one, unless a call was never answered.
    """

    def __init__(self, number, seed):
        self._random = random.Random(f"{seed}:{number}")
        self._names = [f"ep-{number}-{each}" for each in range(2)]
        self.possible = {name: {None} for name in self._names}
        self.acknowledged = self.refused = self.unanswered = 0

    def run(self, engine, stop):
        """Call until the engine goes away."""
        while not stop.is_set():
            name = self._random.choice(self._names)
            operation, request, after = self._random_call(name)
            try:
                engine.call(operation, **request)
            except CallFailed as refused:
                if refused.status != 400:
                    raise
                self.refused += 1
            except OSError:
                self.unanswered += 1
                self.possible[name] |= {after(each) for each in self.possible[name]}
                return
            else:
                self.acknowledged += 1
                self.possible[name] = {after(each) for each in self.possible[name]}
            time.sleep(self._random.random() * 0.015)

    def _random_call(self, name):
        """Return an operation, its request, and what follows from what was before."""
        kind = self._random.choice(["create", "update", "update", "rescale", "rescale", "tag", "delete"])
        config = self._random.choice([*BIASES, *BIASES, BROKEN])
        weight, count = self._random.choice(WEIGHTS), self._random.randint(1, 2)
        if kind == "create":
            request = {"EndpointName": name, "EndpointConfigName": config}
            return "CreateEndpoint", request, lambda known: known or Known(config)
        if kind == "update":
            request = {"EndpointName": name, "EndpointConfigName": config}
            return "UpdateEndpoint", request, lambda known: known and _updated(known, config)
        if kind == "rescale":
            wanted = [{"VariantName": "A", "DesiredWeight": weight, "DesiredInstanceCount": count}]
            request = {"EndpointName": name, "DesiredWeightsAndCapacities": wanted}
            return (
                "UpdateEndpointWeightsAndCapacities",
                request,
                lambda known: known and replace(known, weight=weight, count=count),
            )
        if kind == "tag":
            key = self._random.choice("xyz")
            arn = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name}"
            request = {"ResourceArn": arn, "Tags": [{"Key": key, "Value": "1"}]}
            return (
                "AddTags",
                request,
                lambda known: known and replace(known, tags=tuple(sorted({*known.tags, key}))),
            )
        return "DeleteEndpoint", {"EndpointName": name}, lambda _: None


def _updated(known, config):
    """Return what an update to `config` leads to: back to what was, when its model cannot be loaded."""
    return known if config == BROKEN else replace(known, config=config, weight=1.0, count=1)


def prepare(engine):
    for config, bias in BIASES.items():
        engine.echo(f"m-{config}", bias)
        engine.config(config, ("A", f"m-{config}"))
    engine.model("m-broken", b"this is no archive")
    engine.config(BROKEN, ("A", "m-broken"))


def verify(engine, client):
    """Compare what the engine knows with what may be true; return what is wrong."""
    wrong = []
    for name, possible in client.possible.items():
        told = engine.settled(name)
        actual = _seen(engine, told)
        if actual not in possible:
            wrong.append(f"{name} is {actual}, but of what was acknowledged follows {possible}")
        client.possible[name] = {actual}
        if actual and actual.config != BROKEN:
            reply = engine.invoke(name, 3)
            if reply.status != 200 or reply.score != 3 + BIASES[actual.config]:
                wrong.append(f"{name} on {actual.config} answers {reply}")
    return wrong


def _seen(engine, told):
    if told is None:
        return None
    tags = engine.call("ListTags", ResourceArn=told["EndpointArn"])["Tags"]
    keys = tuple(sorted(each["Key"] for each in tags))
    if told["EndpointStatus"] == "Failed":
        return Known(told["EndpointConfigName"], tags=keys)
    if told["EndpointStatus"] != "InService":
        return told["EndpointStatus"]
    (variant,) = told["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["CurrentInstanceCount"]) == (
        variant["DesiredWeight"],
        variant["DesiredInstanceCount"],
    )
    return Known(told["EndpointConfigName"], variant["CurrentWeight"], variant["CurrentInstanceCount"], keys)


def storm(seed, folder):
    """Run one seed; return what is wrong, and how many calls were acknowledged, refused, and never answered."""
    chance = random.Random(seed)
    clients = [Client(number, seed) for number in range(2)]
    engine = launch(folder)
    try:
        prepare(engine)
        wrong = []
        for _ in range(KILLS):
            stop = threading.Event()
            with ThreadPoolExecutor(len(clients)) as threads:
                runs = [threads.submit(each.run, engine, stop) for each in clients]
                time.sleep(chance.random() * 0.6)
                engine.kill()
                stop.set()
                for each in runs:
                    each.result()
            engine.process.stdout.close()
            engine = launch(folder)
            if chance.random() < 0.7:  # else it is killed again in the middle of coming back
                for each in clients:
                    wrong += verify(engine, each)
        for each in clients:
            wrong += verify(engine, each)
    finally:
        if engine.process.poll() is None:
            engine.stop()
        engine.process.stdout.close()
    counts = [sum(getattr(each, what) for each in clients) for what in ("acknowledged", "refused", "unanswered")]
    return wrong, counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    total, failed = [0, 0, 0], 0
    for seed in range(given.first, given.first + given.seeds):
        folder = Path(tempfile.mkdtemp())
        wrong, counts = storm(seed, folder)
        total = [a + b for a, b in zip(total, counts, strict=True)]
        for each in wrong:
            sys.stdout.write(f"seed {seed}: {each}\n")
        failed += bool(wrong)
        if not wrong:
            shutil.rmtree(folder)
        sys.stdout.flush()
    sys.stdout.write(
        f"{given.seeds} seeds, {given.seeds * KILLS} kills; calls: {total[0]} acknowledged, {total[1]} refused, "
        f"{total[2]} never answered; {failed} seeds failed\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
