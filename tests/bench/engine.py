"""Measures the engine as a user meets it, and prints one table: `python tests/bench/engine.py`.

Needs `wrk` (a package of Debian). Throughput is measured in interleaved rounds with a bare uvloop echo beside it, so
read it as a ratio: machines are noisy. The model is XGBoost, 100 trees of depth 4 on 13 features, one CSV row each;
every request carries a signature that the engine verifies.
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from measured import cpu_seconds, descendants, request_script, resident, signed_headers, the_model, wrk

from sm_magics.clock import Clock
from sm_magics.connection import connect_local
from sm_magics.deploy import deploy
from sm_magics.local.start import start
from sm_magics.resolve import resolve
from sm_magics.spec import parse_endpoint

CONNECTIONS = (1, 8, 32)
UNDER_LOAD_SECONDS = 10
IDLE_SECONDS = 10
BOTH = "variants: {A: {model: $model, weight: 4}, B: {model: $model}}"
ONE = "variants: {A: {model: $model}}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each throughput measurement")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    model, rows = the_model()
    body = ",".join(map(str, rows[0]))
    with tempfile.TemporaryDirectory() as folder:
        report("%load_ext, CPU in a live kernel", f"{load_ext():.1f} ms")
        report("engine, start to ready", f"{engine_start(Path(folder, 'start'), given.rounds):.2f} s")
        os.environ["SM_MAGICS_STATE"] = str(Path(folder, "state"))
        began = time.perf_counter()
        connection = connect_local()
        try:
            endpoint(connection, BOTH, model)
            report("cell to InService, engine cold", f"{time.perf_counter() - began:.2f} s")
            report("cell to InService, engine warm", f"{warm(connection, model, given.rounds):.2f} s")
            throughput(connection, body, given)
            memory(connection, model)
            url = f"{connection.endpoint_url}/endpoints/bench/invocations"
            script = request_script(Path(folder, "wrk.lua"), signed_headers(connection, "bench", body), body)
            updates(connection, model, url, script)
            killed(connection, model, body)
            idle()
        finally:
            start().stop()


def report(what: str, value: str) -> None:
    sys.stdout.write(f"{what:<48} {value}\n")
    sys.stdout.flush()


def load_ext() -> float:
    """Return the CPU milliseconds of `%load_ext sm_magics` where IPython and ipykernel are loaded."""
    code = (
        "import time, ipykernel.ipkernel\nfrom IPython.core.interactiveshell import InteractiveShell\n"
        "s = InteractiveShell()\nb = time.process_time()\ns.run_line_magic('load_ext', 'sm_magics')\n"
        "print((time.process_time() - b) * 1000)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(6)]
    return median(float(run.stdout) for run in runs[1:])


def engine_start(folder: Path, rounds: int) -> float:
    spent = []
    for number in range(rounds):
        began = time.perf_counter()
        engine = start(folder / str(number))
        spent.append(time.perf_counter() - began)
        engine.stop()
    return median(spent)


def endpoint(connection, body: str, model, name: str = "bench") -> None:
    target = resolve(parse_endpoint(body, name, {"model": model}), connection, {})
    for _ in deploy(connection, target, Clock()):
        pass


def warm(connection, model, rounds: int) -> float:
    spent = []
    for number in range(rounds):
        began = time.perf_counter()
        endpoint(connection, BOTH, model, f"warm-{number}")
        spent.append(time.perf_counter() - began)
        connection.call("DeleteEndpoint", EndpointName=f"warm-{number}")
    return median(spent)


def throughput(connection, body: str, given) -> None:
    echo = subprocess.Popen([sys.executable, Path(__file__).with_name("echo.py")], stdout=subprocess.PIPE, text=True)
    found: dict = {}
    try:
        port = int(echo.stdout.readline())
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(given.rounds):
                headers = signed_headers(connection, "bench", body)
                script = request_script(Path(folder, "wrk.lua"), headers, body)
                for number in CONNECTIONS:
                    for name, url in (("engine", connection.endpoint_url), ("bare echo", f"http://127.0.0.1:{port}")):
                        load = wrk(f"{url}/endpoints/bench/invocations", script, number, given.seconds)
                        found.setdefault((name, number), []).append(load)
    finally:
        echo.terminate()
        echo.wait()
    for number in CONNECTIONS:
        rates = {name: median(each.rate for each in found[name, number]) for name in ("engine", "bare echo")}
        p50, p99 = (median(getattr(each, which) for each in found["engine", number]) for which in ("p50", "p99"))
        report(
            f"InvokeEndpoint, {number} connection{'s' if number > 1 else ''}",
            f"{rates['engine']:,.0f} req/s ({rates['engine'] / rates['bare echo']:.2f} of a bare echo), "
            f"p50 {p50:.2f} ms, p99 {p99:.2f} ms",
        )


def memory(connection, model) -> None:
    """Report the memory of the engine with two instances, and of each further one."""
    engine = start()
    before = descendants(engine.pid)
    router, template, *instances = (resident(pid)[0] for pid in before)
    report("memory, router and two instances", f"{router + sum(instances):.0f} MB, the template {template:.0f}")
    changes = [{"VariantName": "A", "DesiredInstanceCount": 9}]
    connection.call("UpdateEndpointWeightsAndCapacities", EndpointName="bench", DesiredWeightsAndCapacities=changes)
    endpoint(connection, "variants: {A: {model: $model, weight: 4, instances: 9}, B: {model: $model}}", model)
    further = [pid for pid in descendants(engine.pid) if pid not in before]
    report("memory, each further instance, private", f"{median(resident(pid)[1] for pid in further):.1f} MB")


def updates(connection, model, url: str, script: Path) -> None:
    """Report what eight updates under the load of eight connections lose, and what they do to its latency."""
    endpoint(connection, BOTH, model)
    calm = wrk(url, script, 8, UNDER_LOAD_SECONDS)
    spent = []
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(wrk, url, script, 8, UNDER_LOAD_SECONDS, may_fail=True)
        for number in range(8):
            time.sleep(0.3)
            began = time.perf_counter()
            endpoint(connection, BOTH if number % 2 else ONE, model)
            spent.append(time.perf_counter() - began)
        if load.done():
            sys.exit("the updates took longer than the load")
        seen = load.result()
    report(
        "eight updates under load",
        f"{seen.failed} of {seen.requests:,} requests lost, {median(spent):.2f} s each, "
        f"p99 {seen.p99:.2f} ms ({seen.p99 / calm.p99:.1f} of undisturbed)",
    )


def killed(connection, model, body: str) -> None:
    """Report what the SIGKILL of one of two instances under load costs: what failed, and the longest silence."""
    endpoint(connection, "variants: {A: {model: $model, instances: 2}}", model)
    headers = signed_headers(connection, "bench", body)
    host, waits, failed = connection.endpoint_url.removeprefix("http://"), [], []

    def user() -> None:
        client = http.client.HTTPConnection(host)
        while (began := time.perf_counter()) < ended:
            client.request("POST", "/endpoints/bench/invocations", body, headers)
            with client.getresponse() as answer:
                answer.read()
                if answer.status != 200:
                    failed.append(answer.status)
            waits.append(time.perf_counter() - began)

    ended = time.perf_counter() + 3
    with ThreadPoolExecutor(8) as pool:
        users = [pool.submit(user) for _ in range(8)]
        time.sleep(1)
        os.kill(descendants(start().pid)[-1], 9)  # an instance: router and template come before
        for each in users:
            each.result()
    report(
        "SIGKILL of one of two instances under load",
        f"{len(failed)} of {len(waits):,} requests failed, longest wait for an answer {max(waits):.2f} s",
    )


def idle() -> None:
    """Report the share of a core that the engine uses when nothing is asked of it."""
    pids = descendants(start().pid)
    before = cpu_seconds(pids)
    time.sleep(IDLE_SECONDS)
    report("CPU when idle", f"{(cpu_seconds(pids) - before) / IDLE_SECONDS * 100:.2f} %")


if __name__ == "__main__":
    main()
