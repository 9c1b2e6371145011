"""Measures the load client beside boto3's threads, and prints one table: `python tests/bench/clients.py`.

Both send one CSV row of 13 features a request, 32 under way, to a server of its own process that answers like
InvokeEndpoint at once, or 10 ms later. They take turns, so read the figures as ratios: machines are noisy. Ideal is
what latency and concurrency alone allow. `--memory 1000000` sends so many rows from an iterator and shows how much
memory that takes.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from botocore.config import Config
from invokekit import connect
from measured import cpu_seconds, resident

from sm_magics.compare.exchange import Target, requests_of
from sm_magics.compare.replay import replay
from sm_magics.connection import call

IN_FLIGHT = 32
ROW = [round(0.1 * number, 3) for number in range(13)]
LATENCIES = (0.0, 0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000, help="by the load client; a tenth by boto3")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, metavar="ROWS", help="measure memory instead, over so many rows")
    given = parser.parse_args()
    if given.memory:
        with serving(0.0) as url:
            memory(connect(url), given.memory)
        return
    line("client", "latency", "rows/s", "CPU µs a row", "× boto3", "× ideal time")
    for latency in LATENCIES:
        with serving(latency) as url:
            compare(connect(url), latency, given)


@contextmanager
def serving(latency: float):
    """Give the URL of a server that answers so many seconds later."""
    command = [sys.executable, Path(__file__).parents[1] / "faults/invokekit.py", "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def compare(connection, latency, given) -> None:
    clients = {"boto3, 32 threads": (by_threads, given.rows // 10), "replay": (by_replay, given.rows)}
    taken = {name: [] for name in clients}
    for _, (name, (send, rows)) in itertools.product(range(given.rounds), clients.items()):
        began, spent = time.perf_counter(), cpu_seconds(["self"])
        sent = send(connection, rows)
        if sent != rows:
            sys.exit(f"{name}: {sent} of {rows} rows were answered")
        taken[name].append(((time.perf_counter() - began) / rows, (cpu_seconds(["self"]) - spent) / rows))
    seconds = {name: median(each for each, _ in of) for name, of in taken.items()}
    for name, of in taken.items():
        each = seconds[name]
        ideal = f"{each * IN_FLIGHT / latency:.2f}" if latency else "–"
        cpu = f"{median(spent for _, spent in of) * 1e6:.0f}"
        line(name, f"{latency * 1000:.0f} ms", f"{1 / each:,.0f}", cpu, f"{seconds[min(seconds)] / each:.1f}", ideal)


def by_threads(connection, rows: int) -> int:
    config = Config(max_pool_connections=IN_FLIGHT)
    client = connection.session.client("sagemaker-runtime", endpoint_url=connection.endpoint_url, config=config)

    def send(request) -> int:
        answer = call(client, "InvokeEndpoint", EndpointName="boston", Body=request.body, ContentType="text/csv")
        return answer["Body"].read() == b"1.0"

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        return sum(pool.map(send, requests_of(itertools.repeat(ROW, rows))))


def by_replay(connection, rows: int) -> int:
    outcomes = replay(connection, Target("boston"), requests_of(itertools.repeat(ROW, rows)), concurrency=IN_FLIGHT)
    return sum(each.body == b"1.0" for each in outcomes)


def memory(connection, rows: int) -> None:
    line("rows", "seconds", "MB")
    began = time.perf_counter()
    outcomes = replay(connection, Target("boston"), requests_of(itertools.repeat(ROW, rows)), concurrency=IN_FLIGHT)
    for number, _ in enumerate(outcomes, 1):
        if number in {1000, rows} or number % (rows // 5) == 0:
            line(f"{number:,}", f"{time.perf_counter() - began:.1f}", f"{resident('self')[0]:.1f}")


def line(*cells: str) -> None:
    sys.stdout.write("  ".join(f"{cell:<17}" if not at else f"{cell:>12}" for at, cell in enumerate(cells)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
