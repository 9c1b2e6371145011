"""Measures how the engine's cost grows with endpoints and with instances: `python tests/bench/growth.py`.

Needs `wrk` (a package of Debian). Every figure is the median of a few; the router's CPU is its process's alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from measured import cpu_seconds, descendants, request_script, resident, signed_headers, the_model, wrk

from sm_magics.clock import Clock
from sm_magics.connection import connect_local
from sm_magics.deploy import deploy
from sm_magics.local.start import start
from sm_magics.resolve import resolve
from sm_magics.spec import parse_endpoint

HEAD = ("what", "all in service s", "all answer after a kill s", "MB", "router µs/req", "Describe ms", "List ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 10, 100])
    given = parser.parse_args()
    model, rows = the_model()
    body = ",".join(map(str, rows[0]))
    write(HEAD)
    write(["---"] * len(HEAD))
    for endpoints, instances in [(n, 1) for n in given.sizes] + [(1, n) for n in given.sizes[1:]]:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["SM_MAGICS_STATE"] = str(Path(folder, "state"))
            write((f"{endpoints} × {instances}", *measured_at(endpoints, instances, model, body, Path(folder))))


def measured_at(endpoints: int, instances: int, model, body: str, folder: Path) -> list[str]:
    """Return the figures of so many endpoints with so many instances each."""
    connection = connect_local()
    try:
        began = time.perf_counter()
        wanted = f"variants: {{A: {{model: $m, instances: {instances}}}}}"
        target = resolve(parse_endpoint(wanted, "bench-0", {"m": model}), connection, {})
        for _ in deploy(connection, target, Clock()):
            pass
        config = connection.call("DescribeEndpoint", EndpointName="bench-0")["EndpointConfigName"]
        for number in range(1, endpoints):
            connection.call("CreateEndpoint", EndpointName=f"bench-{number}", EndpointConfigName=config)
        wait(connection, endpoints)
        served = time.perf_counter() - began
        os.kill(start().pid, 9)
        time.sleep(0.1)  # until it is gone
        began = time.perf_counter()
        connection = connect_local()
        runtime = connection.client("sagemaker-runtime")
        for number in range(endpoints):  # each waits until its instances are there
            runtime.invoke_endpoint(EndpointName=f"bench-{number}", ContentType="text/csv", Body=body)["Body"].read()
        back = time.perf_counter() - began
        router = [start().pid]
        script = request_script(folder / "wrk.lua", signed_headers(connection, "bench-0", body), body)
        url = f"{connection.endpoint_url}/endpoints/bench-0/invocations"
        wrk(url, script, 8, 1)
        before = cpu_seconds(router)
        load = wrk(url, script, 8, 4)
        spent = cpu_seconds(router) - before
        memory = sum(resident(pid)[0] for pid in descendants(*router))
        describe = asked(lambda: connection.call("DescribeEndpoint", EndpointName="bench-0"))
        listed = asked(lambda: connection.call("ListEndpoints", MaxResults=100))
    finally:
        start().stop()
    figures = (served, back, memory, spent * 1e6 / load.requests, describe, listed)
    return [f"{each:.{places}f}" for each, places in zip(figures, (2, 2, 0, 0, 1, 1), strict=True)]


def wait(connection, endpoints: int) -> None:
    while len(connection.call("ListEndpoints", StatusEquals="InService", MaxResults=100)["Endpoints"]) < endpoints:
        time.sleep(0.01)


def asked(call) -> float:
    """Return the median milliseconds of a call."""
    spent = []
    for _ in range(50):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return median(spent) * 1000


def write(cells) -> None:
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
