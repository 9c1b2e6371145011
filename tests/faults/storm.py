"""Kills an engine at random moments of a storm of calls and compares what it knows with what it acknowledged.

`python tests/faults/storm.py --seeds 200`. Every seed is a run of its own: two clients create, update (at once, as a
canary, linear, rolling), rescale, tag and delete endpoints of their own, with and without data capture, shadow and
several variants; the engine is killed (SIGKILL) several times in the middle, and started again. A call that was
acknowledged has happened; one that was refused has not; one that was never answered may have. In the end the engine is
stopped gracefully: what it answered since the last kill is captured, each once.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import capturekit
from capturekit import captured
from enginekit import CallFailed, launch

KILLS = 3
BROKEN = "broken"  # a config whose model cannot be loaded
SHADOWS = 1000.0  # what the model of a shadow variant adds
WEIGHTS = (0.0, 1.0, 2.0, 3.0)
_NUMBERS = itertools.count()  # rows: each tells which request it was


@dataclass(frozen=True)
class Config:
    """An endpoint config: `bias` tells in an answer that it gave it."""

    bias: float
    production: tuple[tuple[str, int], ...] = (("A", 1),)  # names and counts
    shadow: str | None = None
    capture: bool = False

    @property
    def variants(self):
        """What DescribeEndpoint tells of it once it serves: names, weights and counts."""
        shadow = ((self.shadow, 1),) if self.shadow else ()
        return tuple((name, 1.0, count) for name, count in (*self.production, *shadow))


CONFIGS = {
    "plain": Config(0.0),
    "captured": Config(0.125, (("A", 2),), capture=True),
    "shadowed": Config(0.25, shadow="S"),
    "all": Config(0.375, shadow="S", capture=True),
    "two": Config(0.5, (("A", 1), ("B", 1)), capture=True),
}


@dataclass(frozen=True)
class Known:
    """What must be true of an endpoint once it has settled; `policy` is its LastDeploymentConfig, as JSON."""

    config: str
    variants: tuple[tuple[str, float, int], ...] = ()
    tags: tuple[str, ...] = ()
    policy: str = "null"


def policies(chance):
    """Return a deployment policy of any kind."""
    wait = chance.choice([0, 0, 0, 1])
    half = {"Type": "CAPACITY_PERCENT", "Value": 50}
    canary = {"Type": "CANARY", "CanarySize": half, "WaitIntervalInSeconds": wait}
    linear = {"Type": "LINEAR", "LinearStepSize": half, "WaitIntervalInSeconds": wait}
    batch = {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": wait}
    return chance.choice(
        [
            {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": canary}},
            {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": linear, "TerminationWaitInSeconds": 0}},
            {"RollingUpdatePolicy": batch},
        ]
    )


@dataclass
class Client:
    """One user: makes random calls on endpoints of its own and keeps a model of what they must have done.

    `possible` holds for each endpoint every state that may be true: one, unless a call was never answered. `answered`
    holds by endpoint the rows that a capturing config answered since the engine was started last.
    """

    number: int
    seed: int
    acknowledged: int = 0
    refused: int = 0
    unanswered: int = 0
    kinds: Counter = field(default_factory=Counter)

    def __post_init__(self):
        self._random = random.Random(f"{self.seed}:{self.number}")
        self._names = [f"ep-{self.number}-{each}" for each in range(2)]
        self.possible = {name: {None} for name in self._names}
        self.answered = {name: set() for name in self._names}

    def run(self, engine, stop):
        """Call until the engine goes away."""
        while not stop.is_set():
            name = self._random.choice(self._names)
            kind = self._random.choice(["create", "update", "update", "update", "rescale", "rescale", "tags", "delete"])
            operation, request, after = getattr(self, f"_{kind}")(name)
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
                self.kinds[operation, *request.get("DeploymentConfig", ())] += 1
                self.possible[name] = {after(each) for each in self.possible[name]}
            time.sleep(self._random.random() * 0.015)

    # Each returns an operation, its request, and what follows from what was before.

    def _config(self):
        return self._random.choice([*CONFIGS, *CONFIGS, BROKEN])

    def _create(self, name):
        config = self._config()
        request = {"EndpointName": name, "EndpointConfigName": config}
        return "CreateEndpoint", request, lambda known: known or Known(config, _variants(config))

    def _update(self, name):
        config, how = self._config(), self._random.choice(["plain", "policy", "policy", "retained"])
        request = {"EndpointName": name, "EndpointConfigName": config}
        policy = "null"
        if how == "policy":
            request["DeploymentConfig"] = policies(self._random)
            policy = _text(request["DeploymentConfig"])
        if how == "retained":
            request["RetainDeploymentConfig"] = True

        def after(known):
            if known is None:
                return None
            kept = replace(known, policy=known.policy if how == "retained" else policy)
            # Back to what was, when the model cannot be loaded.
            return kept if config == BROKEN else replace(kept, config=config, variants=_variants(config))

        return "UpdateEndpoint", request, after

    def _rescale(self, name):
        names = self._random.choice([("A",), ("A",), ("A", "S"), ("S",), ("A", "B"), ("B",)])
        wanted = {each: (self._random.choice(WEIGHTS), self._random.randint(1, 2)) for each in names}
        rows = [
            {"VariantName": each, "DesiredWeight": weight, "DesiredInstanceCount": count}
            for each, (weight, count) in wanted.items()
        ]

        def after(known):
            changed = tuple((each, *wanted.get(each, (weight, count))) for each, weight, count in known.variants)
            return replace(known, variants=changed)

        request = {"EndpointName": name, "DesiredWeightsAndCapacities": rows}
        return "UpdateEndpointWeightsAndCapacities", request, lambda known: known and after(known)

    def _tags(self, name):
        key, add = self._random.choice("xyz"), self._random.random() < 0.7
        arn = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name}"
        told = {"Tags": [{"Key": key, "Value": "1"}]} if add else {"TagKeys": [key]}

        def after(known):
            return replace(known, tags=tuple(sorted({*known.tags, key} if add else {*known.tags} - {key})))

        operation = "AddTags" if add else "DeleteTags"
        return operation, {"ResourceArn": arn, **told}, lambda known: known and after(known)

    def _delete(self, name):
        return "DeleteEndpoint", {"EndpointName": name}, lambda _: None


def _variants(config):
    return () if config == BROKEN else CONFIGS[config].variants


def _text(policy):
    """Return a policy so that it can be compared: what the service adds by itself is left out."""
    text = json.dumps(policy, sort_keys=True)
    return text.replace(', "TerminationWaitInSeconds": 0', "")


def prepare(engine):
    engine.echo("m-shadow", SHADOWS)
    for name, config in CONFIGS.items():
        engine.echo(f"m-{name}", config.bias)
        production = [(variant, f"m-{name}", 1, count) for variant, count in config.production]
        capture = capturekit.config("s3://captured/here", **capturekit.TYPES) if config.capture else None
        engine.config(name, *production, shadow=(config.shadow, "m-shadow") if config.shadow else None, capture=capture)
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
        if isinstance(actual, Known) and actual.config != BROKEN:
            config, row = CONFIGS[actual.config], next(_NUMBERS)
            reply = engine.invoke(name, row)
            if reply.status != 200 or reply.score != row + config.bias:
                wrong.append(f"{name} on {actual.config} answers {reply}")
            elif config.capture:
                client.answered[name].add(row)
    return wrong


def _seen(engine, told):
    if told is None:
        return None
    if told["EndpointStatus"] not in {"InService", "Failed"}:
        return told["EndpointStatus"]
    tags = engine.call("ListTags", ResourceArn=told["EndpointArn"])["Tags"]
    keys = tuple(sorted(each["Key"] for each in tags))
    policy = _text(told.get("LastDeploymentConfig"))
    config = told["EndpointConfigName"]
    if told["EndpointStatus"] == "Failed":
        return Known(config, (), keys, policy)
    shadows = told.get("ShadowProductionVariants", ())
    variants = [*told["ProductionVariants"], *shadows]
    for each in variants:
        assert (each["CurrentWeight"], each["CurrentInstanceCount"]) == (
            each["DesiredWeight"],
            each["DesiredInstanceCount"],
        )
    assert ("DataCaptureConfig" in told) == CONFIGS[config].capture
    assert [each["VariantName"] for each in shadows] == [each for each in [CONFIGS[config].shadow] if each]
    serving = tuple((each["VariantName"], each["CurrentWeight"], each["CurrentInstanceCount"]) for each in variants)
    return Known(config, serving, keys, policy)


def wrongly_captured(engine, clients):
    """Return what is wrong with what a gracefully stopped engine has captured."""
    wrong = []
    root = engine.about.artifact_path("captured", "here")
    for client in clients:
        for name, rows in client.answered.items():
            found = Counter()
            for each in captured(root, name):
                sides = each["captureData"]
                row = float(sides["endpointInput"]["data"])
                score = json.loads(sides["endpointOutput"]["data"])["predictions"][0]["score"]
                found[row, score == row + SHADOWS] += 1
            twice = [each for each, times in found.items() if times > 1]
            missing = [row for row in rows if not found[float(row), False]]
            if twice or missing:
                wrong.append(f"{name}: captured twice {twice}, never {missing}")
    unfinished = list(root.rglob(".*"))
    return wrong + [f"unfinished: {unfinished}"] * bool(unfinished)


def kill_in_the_middle(engine, clients, chance):
    """Have all clients call, and kill the engine at a random moment."""
    stop = threading.Event()
    with ThreadPoolExecutor(len(clients)) as threads:
        runs = [threads.submit(each.run, engine, stop) for each in clients]
        time.sleep(chance.random() * chance.choice([0.6, 1.6]))
        engine.kill()
        stop.set()
        for each in runs:
            each.result()
    engine.process.stdout.close()
    for each in clients:
        for rows in each.answered.values():
            rows.clear()  # may be captured, or lost


def storm(seed, folder):
    """Run one seed; return what is wrong, how many calls were acknowledged, refused and never answered, and which."""
    chance = random.Random(seed)
    clients = [Client(number, seed) for number in range(2)]
    engine = launch(folder)
    try:
        prepare(engine)
        wrong = []
        for _ in range(KILLS):
            kill_in_the_middle(engine, clients, chance)
            engine = launch(folder)
            if chance.random() < 0.7:  # else it is killed again in the middle of coming back
                for each in clients:
                    wrong += verify(engine, each)
        for each in clients:
            wrong += verify(engine, each)
        if engine.stop():
            wrong.append("it did not stop")
        wrong += wrongly_captured(engine, clients)
    finally:
        if engine.process.poll() is None:
            engine.stop()
        engine.process.stdout.close()
    counts = [sum(getattr(each, what) for each in clients) for what in ("acknowledged", "refused", "unanswered")]
    return wrong, counts, sum((each.kinds for each in clients), Counter())


def run(seed):
    """Run one seed in a directory of its own, which is kept if anything is wrong."""
    folder = Path(tempfile.mkdtemp())
    found = storm(seed, folder)
    if not found[0]:
        shutil.rmtree(folder)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--together", type=int, default=1, help="seeds that run at the same time")
    given = parser.parse_args()
    total, failed, kinds = [0, 0, 0], 0, Counter()
    seeds = range(given.first, given.first + given.seeds)
    with ThreadPoolExecutor(given.together) as threads:
        for seed, (wrong, counts, made) in zip(seeds, threads.map(run, seeds), strict=True):
            total = [a + b for a, b in zip(total, counts, strict=True)]
            kinds += made
            for each in wrong:
                sys.stdout.write(f"seed {seed}: {each}\n")
            failed += bool(wrong)
            if (seed + 1 - given.first) % 20 == 0:
                sys.stdout.write(f"{seed + 1 - given.first} seeds, {sum(total)} calls\n")
            sys.stdout.flush()
    sys.stdout.write(
        f"{given.seeds} seeds, {given.seeds * KILLS} kills; calls: {total[0]} acknowledged, {total[1]} refused, "
        f"{total[2]} never answered; {failed} seeds failed\n"
    )
    for kind, times in sorted(kinds.items()):
        sys.stdout.write(f"{times:>6} {' '.join(kind)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
