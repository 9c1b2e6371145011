"""Measures what the router itself spends on a request, by stage: `python tests/bench/router.py`.

One process, no network and no model: signed requests go into `http.Connection`s whose transports only take what is
written, and an echo stands in for the worker. Each stage is measured with all before it, in rounds that take turns; its
cost is the difference of the least of all rounds, so a noisy machine can only be slower than what is printed. Every
request has its own row, time and signature; run it on two checkouts (`PYTHONPATH`) to compare them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import uvloop
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sm_magics.local.engine import Engine, Settings
from sm_magics.local.http import Connection
from sm_magics.local.instance import Instance
from sm_magics.local.router import Lane, Parking, Part, Route
from sm_magics.local.tally import Meter

CONNECTIONS = 32
KEY = ("AKIABENCH", "secret")
HOST = "127.0.0.1:8080"
ANSWER = b"HTTP/1.1 200 \r\nContent-Type: text/csv; charset=utf-8\r\nContent-Length: 19\r\n\r\n22.318199157714844\n"
FIXED = b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n22.318199157714844\n"


class Transport:
    """Takes what is written, and forgets it."""

    def write(self, data: bytes) -> None:
        self.written = data

    def writelines(self, data: list[bytes]) -> None:
        self.written = data[-1]

    def close(self) -> None: ...


class Stages:
    """The data plane up to a stage; what does not come by a container is answered by the stage itself."""

    def __init__(self, folder: Path, instances: int) -> None:
        self.engine = Engine(Settings(folder), KEY)
        self.engine._hosts = frozenset({HOST.encode()})
        self.instances = [[self._instance(variant) for _ in range(instances)] for variant in "AB"]
        lanes = {}
        for variant, mine in zip("AB", self.instances, strict=True):
            lanes[variant] = Lane(variant, "config", Meter(), Parking())
            lanes[variant].instances = mine
        self.lanes = list(lanes.values())
        route = Route("bench", random.Random(0))
        route.serve([Part(lanes, {"A": 4, "B": 1}, 1)])
        self.engine._runtime.routes["bench"] = route

    def _instance(self, variant: str) -> Instance:
        made = Instance("i", variant, lambda _: None)
        made.connection_made(Transport())
        made.ready = True
        return made

    def parse(self, exchange) -> None:
        exchange.answer(FIXED)

    def verify(self, exchange) -> None:
        self.engine._verifier.verify(exchange, "sagemaker")
        exchange.answer(FIXED)

    def whole(self, exchange) -> None:
        self.engine.handle(exchange)

    async def answer(self) -> None:
        """Have every instance answer what it was sent."""
        await asyncio.sleep(0)  # what is sent together goes out by now
        for each in (each for mine in self.instances for each in mine if each.outstanding):
            each.data_received(ANSWER * each.outstanding)
        for lane in self.lanes:
            lane.meter._clear()


def signed_requests(number: int) -> list[bytes]:
    """Return different requests with good signatures, as wrk sends them."""
    rows = np.random.default_rng(0).normal(size=(number, 13)).round(3)
    path = "/endpoints/bench/invocations"
    made = []
    for row in rows:
        body = ",".join(map(str, row))
        request = AWSRequest("POST", f"http://{HOST}{path}", {"Content-Type": "text/csv", "Host": HOST}, body)
        SigV4Auth(Credentials(*KEY), "sagemaker", "us-east-1").add_auth(request)
        lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        made.append(f"POST {path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    return made


async def spent(stages: Stages, handle, requests: list[bytes]) -> float:
    """Return the CPU microseconds of a request up to where `handle` ends."""
    connections = [Connection(handle, set()) for _ in range(CONNECTIONS)]
    for each in connections:
        each.connection_made(Transport())
    began = time.process_time()
    for first in range(0, len(requests), CONNECTIONS):
        for connection, request in zip(connections, requests[first : first + CONNECTIONS], strict=True):
            connection.data_received(request)
        await stages.answer()
    return (time.process_time() - began) * 1e6 / len(requests)


async def measure(rounds: int, instances: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        stages = Stages(Path(folder), instances)
        requests = signed_requests(10 * CONNECTIONS)
        least: dict[str, float] = {}
        for _ in range(rounds):
            for name in ("parse", "verify", "whole"):
                least[name] = min(least.get(name, 1e9), await spent(stages, getattr(stages, name), requests))
            gc.collect()
        return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--instances", type=int, default=1, help="of each of the two variants")
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        least = runner.run(measure(given.rounds, given.instances))
    stages = (
        ("read the request, write an answer", least["parse"]),
        ("verify the signature", least["verify"] - least["parse"]),
        ("choose, forward, hear the answer, count", least["whole"] - least["verify"]),
        ("all", least["whole"]),
    )
    for name, cost in stages:
        sys.stdout.write(f"{name:<40} {cost:5.1f} µs\n")


if __name__ == "__main__":
    main()
