"""Measures the engine beside what else serves models in Python: `python tests/bench/peers/run.py --environments DIR`.

Each peer gets an environment of its own in DIR, made on first use (several GB and ten minutes). All serve the same
XGBoost model with one row a request. They are measured one after another, round by round, so that all see the same
machine; read the table as ratios. Needs `wrk` and `nginx` (packages of Debian).
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import measured  # noqa: E402 - a sibling of this folder

from sm_magics.clock import Clock  # noqa: E402
from sm_magics.connection import connect_local  # noqa: E402
from sm_magics.deploy import deploy  # noqa: E402
from sm_magics.local.start import start  # noqa: E402
from sm_magics.resolve import resolve  # noqa: E402
from sm_magics.spec import parse_endpoint  # noqa: E402

CONNECTIONS = (1, 32)
START_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Peer:
    """A server: its packages, the script that starts it, and the request that it understands."""

    name: str
    script: str
    packages: tuple[str, ...]
    path: str
    kind: str = "application/json"
    body: str = "csv"


PEERS = (
    Peer("nginx, fixed answer", "nginx_alone.py", (), "/", "text/csv"),
    Peer(
        "SageMaker's own stack",
        "sagemaker_stack.py",
        ("gunicorn", "packaging", "gevent", "flask", "xgboost-cpu", "numpy"),
        "/invocations",
        "text/csv",
    ),
    Peer("LitServe", "litserve_server.py", ("litserve", "xgboost-cpu", "numpy"), "/predict", body="rows"),
    Peer(
        "MLServer",
        "mlserver_server.py",
        ("mlserver", "mlserver-xgboost", "xgboost-cpu"),
        "/v2/models/bench/infer",
        body="v2",
    ),
    Peer("BentoML", "bentoml_server.py", ("bentoml", "xgboost-cpu", "numpy"), "/predict", body="rows"),
    Peer(
        "mlflow models serve",
        "mlflow_server.py",
        ("mlflow", "xgboost-cpu", "pandas", "scikit-learn"),
        "/invocations",
        body="inputs",
    ),
    Peer("Ray Serve", "ray_server.py", ("ray[serve]", "xgboost-cpu", "numpy"), "/", "text/csv"),
)


@dataclass(frozen=True, slots=True)
class Running:
    """A started server: where it is asked, by which script of wrk, its first process, and what starting it cost."""

    name: str
    url: str
    script: Path
    pid: int
    seconds: float = 0.0
    megabytes: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--environments", type=Path, required=True, help="where the peers are installed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--only", nargs="*", help="names of scripts, without .py")
    given = parser.parse_args()
    model, rows = measured.the_model()
    row = [float(each) for each in rows[0]]
    truth = float(model.predict(rows[:1])[0])
    chosen = [each for each in PEERS if not given.only or Path(each.script).stem in given.only]
    found: dict[tuple[str, int], list[tuple[measured.Load, float]]] = {}
    servers: dict[str, Running] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        saved = Path(folder, "model.json")
        model.save_model(saved)
        engine = stack.enter_context(the_engine(model, Path(folder), row))
        for number in range(given.rounds):
            measure(found, engine(), given.seconds)
            servers["sm_magics"] = engine()
            for peer in chosen:
                # Only one peer runs at a time: an idle Ray or mlflow would cost the others their share of the machine.
                with running(peer, given.environments, saved, Path(folder, f"{peer.script}-{number}"), row) as server:
                    if peer.script != "nginx_alone.py":
                        check(peer, server, row, truth)
                    measure(found, server, given.seconds)
                    servers[peer.name] = remembered(server)
    table(found, servers)


@contextmanager
def the_engine(model, folder: Path, row: list[float]):
    """Start the engine with two variants; yields what signs a fresh request."""
    os.environ["SM_MAGICS_STATE"] = str(folder / "state")
    began = time.perf_counter()
    connection = connect_local()
    try:
        spec = parse_endpoint("variants: {A: {model: $m, weight: 4}, B: {model: $m}}", "bench", {"m": model})
        for _ in deploy(connection, resolve(spec, connection, {}), Clock()):
            pass
        spent, body = time.perf_counter() - began, text("csv", row)

        def signed() -> Running:
            headers = measured.signed_headers(connection, "bench", body)
            script = measured.request_script(folder / "engine.lua", headers, body)
            url = f"{connection.endpoint_url}/endpoints/bench/invocations"
            return remembered(Running("sm_magics", url, script, start().pid, spent))

        yield signed
    finally:
        start().stop()


@contextmanager
def running(peer: Peer, environments: Path, model: Path, folder: Path, row: list[float]):
    """Start a peer in its own environment, wait until it answers the request of the benchmark, and stop it."""
    folder.mkdir()
    python = environment(peer, environments)
    port = free_port()
    script = measured.request_script(folder / "wrk.lua", {"Content-Type": peer.kind}, text(peer.body, row))
    began = time.perf_counter()
    variables = {**os.environ, "MODEL": str(model), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    with Path(folder, "log").open("w") as log:
        process = subprocess.Popen(
            [python, HERE / peer.script, str(port), str(folder)], stdout=log, stderr=log, env=variables
        )
    server = Running(peer.name, f"http://127.0.0.1:{port}{peer.path}", script, process.pid)
    try:
        while not answers(peer, server, row):
            if process.poll() is not None or time.perf_counter() - began > START_SECONDS:
                sys.exit(f"{peer.name} did not start:\n{Path(folder, 'log').read_text()[-3000:]}")
            time.sleep(0.05)
        yield replace(server, seconds=time.perf_counter() - began)
    finally:
        below = measured.descendants(process.pid)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in below[1:]:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, 9)


def environment(peer: Peer, environments: Path) -> Path:
    """Return the Python of a peer's environment, made if it is not there."""
    if not peer.packages:
        return Path(sys.executable)
    folder = environments / Path(peer.script).stem
    if not (folder / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", *peer.packages], check=True)
    return folder / "bin" / "python"


def remembered(server: Running) -> Running:
    """Return a server with the memory of its processes."""
    return replace(server, megabytes=sum(measured.resident(pid)[0] for pid in measured.descendants(server.pid)))


def text(form: str, row: list[float]) -> str:
    """Return one row as a server wants it."""
    forms = {
        "csv": lambda: ",".join(map(str, row)),
        "rows": lambda: json.dumps({"rows": [row]}),
        "inputs": lambda: json.dumps({"inputs": [row]}),
        "v2": lambda: json.dumps(
            {"inputs": [{"name": "rows", "shape": [1, len(row)], "datatype": "FP32", "data": row}]}
        ),
    }
    return forms[form]()


def asked(peer: Peer, server: Running, row: list[float]) -> str:
    request = urllib.request.Request(server.url, text(peer.body, row).encode(), {"Content-Type": peer.kind})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


def answers(peer: Peer, server: Running, row: list[float]) -> bool:
    try:
        asked(peer, server, row)
    except OSError:
        return False
    return True


def check(peer: Peer, server: Running, row: list[float], truth: float) -> None:
    """Make sure that a peer predicts what the model predicts."""
    told = asked(peer, server, row)
    found = json.loads(told)
    while not isinstance(found, float | int):
        if isinstance(found, dict):
            found = found.get("predictions", found.get("outputs", found.get("data")))
        else:
            found = found[0]
    if abs(found - truth) > 1e-3:
        sys.exit(f"{peer.name} answered {told}, the model says {truth}")


def measure(found: dict, server: Running, seconds: int) -> None:
    for number in CONNECTIONS:
        measured.wrk(server.url, server.script, number, 1)  # warms up
        before = measured.cpu_seconds(measured.descendants(server.pid))
        load = measured.wrk(server.url, server.script, number, seconds)
        spent = measured.cpu_seconds(measured.descendants(server.pid)) - before
        found.setdefault((server.name, number), []).append((load, spent * 1000 / load.requests))


def table(found: dict, servers: dict[str, Running]) -> None:
    ours = {number: median(load.rate for load, _ in found["sm_magics", number]) for number in CONNECTIONS}
    head = ("server", "start s", "MB", "c=1 req/s", "p50 ms", "ratio", "c=32 req/s", "p99 ms", "CPU ms/req", "ratio")
    write(head)
    write(["---"] * len(head))
    for name, server in servers.items():
        one, many = found[name, 1], found[name, 32]
        rates = {number: median(load.rate for load, _ in found[name, number]) for number in CONNECTIONS}
        write(
            (
                name,
                f"{server.seconds:.1f}",
                f"{server.megabytes:.0f}",
                f"{rates[1]:,.0f}",
                f"{median(load.p50 for load, _ in one):.2f}",
                f"{ours[1] / rates[1]:.2f}",
                f"{rates[32]:,.0f}",
                f"{median(load.p99 for load, _ in many):.1f}",
                f"{median(cpu for _, cpu in many):.3f}",
                f"{ours[32] / rates[32]:.2f}",
            )
        )


def write(cells) -> None:
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
