"""Runs an engine for long and watches its memory: `python tests/faults/soak.py --requests 1000000`.

Besides the requests there are, again and again, updates between configs with and without data capture and a shadow, a
failed update, a rescaling, a creation and a deletion, a worker that dies, and clients that come and go. Memory is taken
ten times; what counts is from the second time on, when everything has been used once. Prints the resident and the
private memory in MB.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import count
from count import Counts, user
from enginekit import Wire, running

LOOKS = 10
VISIT = 200  # times that a client sends something before it goes
PAUSE = 0.3  # seconds between one trouble and the next
MOST_GROWN = 5.0  # MB


def memory(pid):
    """Return the resident and the private memory of a process, in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    fields = {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    return fields["Rss"] / 1024, (fields["Private_Dirty"] + fields["Private_Clean"]) / 1024


def descriptors(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def visitors(engine, numbers, counts, enough):
    """Come, send some hundred requests, and go, again and again."""
    while not enough():
        visit = itertools.chain(itertools.repeat(False, VISIT), itertools.repeat(True))  # noqa: FBT003 - "is it over?"
        await user(engine, numbers, visit.__next__, counts)


async def trouble(engine, enough):
    """Do everything that may happen to an engine, again and again."""
    control = count.Control(engine, await Wire.open(engine))
    for kind in itertools.cycle((*count.CHANGES, "another", "worker")):
        if enough():
            return
        if kind == "another":
            await control.call("CreateEndpoint", EndpointName="another", EndpointConfigName="c0")
            await control.settled("another")
            await control.call("DeleteEndpoint", EndpointName="another")
        elif kind == "worker":
            os.kill(engine.workers[-1], signal.SIGKILL)
        else:
            await count.change(control, kind)
        await asyncio.sleep(PAUSE)


async def run(engine, requests):
    """Return the memory of the engine after each tenth of the requests, and tell of it."""
    counts, numbers, looks = Counts(), itertools.count(), []

    def enough():
        return len(looks) == LOOKS

    tasks = [asyncio.create_task(visitors(engine, numbers, counts, enough)) for _ in range(count.CONNECTIONS)]
    tasks.append(asyncio.create_task(trouble(engine, enough)))
    while not enough():
        await asyncio.sleep(0.05)
        broken = [each.exception() for each in tasks if each.done()]
        assert not broken, broken
        counts.wrong.clear()  # what a worker that was killed had begun with
        if counts.answers.total() >= (len(looks) + 1) * requests // LOOKS:
            looks.append(memory(engine.about.pid))
            sys.stdout.write(
                f"{counts.answers.total():>9,} requests: {looks[-1][0]:6.1f} MB resident, {looks[-1][1]:6.1f} private, "
                f"template {memory(engine.template)[1]:5.1f} private, {descriptors(engine.about.pid)} descriptors\n"
            )
            sys.stdout.flush()
    await asyncio.gather(*tasks)
    return looks


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=200_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as engine:
        count.prepare(engine)
        looks = asyncio.run(run(engine, given.requests))
        engine.stop()
        root = engine.about.artifact_path("captured", "here")
        records = sum(each.read_bytes().count(b"\n") for each in root.rglob("*.jsonl"))
    grown = looks[-1][1] - looks[1][1]
    sys.stdout.write(f"private memory grew by {grown:.1f} MB from the second look to the last\n")
    sys.stdout.write(f"{records:,} records were captured, of answers and of copies\n")
    return 1 if grown > MOST_GROWN else 0


if __name__ == "__main__":
    sys.exit(main())
