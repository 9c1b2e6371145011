"""What the benchmarks share: a load by `wrk`, signed requests, and what processes cost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from xgboost import XGBRegressor

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of `wrk` saw: requests per second, how many, how many of them failed, and latencies in ms."""

    rate: float
    requests: int
    failed: int
    p50: float
    p99: float


def the_model() -> tuple[XGBRegressor, np.ndarray]:
    """Return the model of all benchmarks, 100 trees of depth 4 on 13 features, and rows for it."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 13)).round(3)
    return XGBRegressor(n_estimators=100, max_depth=4, n_jobs=1).fit(rows, rows @ rng.normal(size=13)), rows


def wrk(url: str, script: Path, connections: int, seconds: int, *, may_fail: bool = False) -> Load:
    """Send one request after another over each connection; a run in which any failed is refused unless it may."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "20s", "-s", script, url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", told)
    failed = sum(int(each) for found in (refused, broken) if found for each in found.groups())
    if failed and not may_fail:
        sys.exit(f"not every request was answered well:\n{told}")
    rate, requests = re.search(r"Requests/sec:\s+([\d.]+)", told)[1], re.search(r"(\d+) requests in", told)[1]
    return Load(float(rate), int(requests), failed, _ms(told, "50%"), _ms(told, "99%"))


def _ms(told: str, line: str) -> float:
    number, unit = re.search(rf"{line}\s+([\d.]+)(us|ms|s)", told).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def request_script(path: Path, headers: dict[str, str], body: str) -> Path:
    """Write the request that wrk repeats."""
    lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(body)}"]
    lines += [f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in headers.items()]
    path.write_text("\n".join(lines))
    return path


def signed_headers(connection, endpoint: str, body: str) -> dict[str, str]:
    """Return the headers of an invocation with a fresh signature, good for five minutes."""
    url = f"{connection.endpoint_url}/endpoints/{endpoint}/invocations"
    host = connection.endpoint_url.removeprefix("http://")
    request = AWSRequest("POST", url, headers={"Content-Type": "text/csv", "Host": host}, data=body)
    SigV4Auth(connection.session.get_credentials(), "sagemaker", connection.region).add_auth(request)
    return dict(request.headers.items())


def descendants(pid: int) -> list[int]:
    """Return a process and all below it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found, due = [], [pid]
    while due:
        found.append(due.pop())
        due += children.get(found[-1], [])
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU time that processes have used, children that have ended included."""
    spent = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        spent += sum(map(int, fields[11:15]))
    return spent / TICKS


def resident(pid: int) -> tuple[float, float]:
    """Return a process's proportional and private memory in MB."""
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0, 0.0
    fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", told, re.MULTILINE))
    return int(fields["Pss"]) / 1024, (int(fields["Private_Dirty"]) + int(fields["Private_Clean"])) / 1024
