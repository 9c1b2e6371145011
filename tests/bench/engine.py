"""Measures the engine as a user meets it, and prints one table: `python tests/bench/engine.py`.

Needs `wrk` (a package of Debian). Throughput is measured in interleaved rounds with a bare uvloop echo beside it, so
read it as a ratio: machines are noisy. The model is XGBoost, 100 trees of depth 4 on 13 features, one CSV row each;
every request carries a signature that the engine verifies.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from measured import descendants, request_script, resident, signed_headers, the_model, wrk

from sm_magics.clock import Clock
from sm_magics.connection import connect_local
from sm_magics.deploy import deploy
from sm_magics.local.start import start
from sm_magics.resolve import resolve
from sm_magics.spec import parse_endpoint

CONNECTIONS = (1, 8, 32)
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
            updates(connection, model, body)
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
    whole = sum(resident(pid)[0] for pid in before)
    report("memory, router, template and two instances", f"{whole:.0f} MB")
    changes = [{"VariantName": "A", "DesiredInstanceCount": 9}]
    connection.call("UpdateEndpointWeightsAndCapacities", EndpointName="bench", DesiredWeightsAndCapacities=changes)
    endpoint(connection, "variants: {A: {model: $model, weight: 4, instances: 9}, B: {model: $model}}", model)
    further = [pid for pid in descendants(engine.pid) if pid not in before]
    report("memory, each further instance, private", f"{median(resident(pid)[1] for pid in further):.1f} MB")


def updates(connection, model, body: str) -> None:
    """Report what eight updates under load lose: four threads of boto3, one request after another."""
    stop, sent, lost = threading.Event(), [], []
    runtime = connection.client("sagemaker-runtime")

    def users() -> None:
        while not stop.is_set():
            try:
                runtime.invoke_endpoint(EndpointName="bench", ContentType="text/csv", Body=body)["Body"].read()
                sent.append(1)
            except Exception as error:  # noqa: BLE001 - whatever it is, it counts
                lost.append(error)

    threads = [threading.Thread(target=users) for _ in range(4)]
    for each in threads:
        each.start()
    spent = []
    try:
        for number in range(8):
            began = time.perf_counter()
            endpoint(connection, BOTH if number % 2 else ONE, model)
            spent.append(time.perf_counter() - began)
    finally:
        stop.set()
        for each in threads:
            each.join()
    report(
        "eight updates under load",
        f"{len(lost)} of {len(sent) + len(lost):,} requests lost, {median(spent):.2f} s each",
    )


if __name__ == "__main__":
    main()
