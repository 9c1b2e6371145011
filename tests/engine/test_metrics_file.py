from __future__ import annotations

import asyncio
import json
import logging
import random

import pytest
from enginekit import launch, until

from sm_magics.local import metrics_file
from sm_magics.local.metrics import NAMESPACE, Metric, Metrics
from sm_magics.local.metrics_file import MetricsFile

BOTH = (("EndpointName", "boston"), ("VariantName", "A"))
START = 1_000_000_020  # a whole minute


class Disk:
    """Metrics with their file, which begin anew on the same file as after a kill; time is the test's."""

    def __init__(self, folder):
        self.path, self.now = folder / "metrics.jsonl", float(START)
        self.begin()

    def begin(self):
        self.metrics = Metrics(lambda: self.now)
        self.file = MetricsFile(self.path, self.metrics)

    async def run(self, seconds, per_second=1, status=200):
        """Count for so many seconds, and write as the engine does."""
        rng = random.Random(0)
        meter = self.metrics.meter("boston", "A", "c1")
        for _ in range(seconds):
            for _ in range(per_second):
                meter.count(status, rng.randrange(1, 50_000), rng.randrange(100), 2)
            self.now += 1
            await self.tick()

    async def tick(self):
        self.metrics.tick()
        self.file.tick()
        if self.file._writing is not None:
            await self.file._writing

    def seen(self):
        """Return every value there is, by name, in steps of ten seconds."""
        names = {each.name for each in self.metrics.known()}
        steps = int(self.now - START) // 10 + 1
        return {name: self.metrics.values(Metric(NAMESPACE, name, BOTH), START, steps, 10) for name in names}


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


def test_what_was_counted_is_there_after_a_kill_to_the_last_step(disk):
    asyncio.run(disk.run(60, per_second=3, status=500))
    before = disk.seen()
    assert sum(each.count for each in before["Invocations"]) == 180
    disk.begin()
    assert disk.seen() == before
    assert disk.file._growth == 0
    asyncio.run(disk.run(20))
    assert sum(each.count for each in disk.seen()["Invocations"]) == 200
    assert disk.path.stat().st_mode & 0o777 == 0o600


def test_a_graceful_end_keeps_the_step_under_way_too_and_the_next_engine_goes_on_in_it(disk):
    async def main():
        await disk.run(3)
        await disk.file.close()

    asyncio.run(main())
    disk.begin()
    asyncio.run(disk.run(2))
    assert disk.seen()["Invocations"][0].count == 5
    disk.begin()
    assert disk.seen()["Invocations"][0].count == 3  # the last two were not over


def test_what_is_old_is_kept_in_minutes_and_what_is_too_old_is_not_written_anew(disk, monkeypatch):
    monkeypatch.setattr(metrics_file, "MAX_GROWTH", 0)
    asyncio.run(disk.run(120))
    disk.now += 4 * 3600
    asyncio.run(disk.tick())
    asyncio.run(disk.run(20))
    starts = [json.loads(each)[3] - START for each in disk.path.read_text().splitlines()]
    assert starts == [0, 60, 4 * 3600 + 120, 4 * 3600 + 130]
    disk.begin()
    assert sum(each.count for each in disk.metrics.values(Metric(NAMESPACE, "Invocations", BOTH), START, 2, 60)) == 120
    disk.now += 23 * 3600
    asyncio.run(disk.tick())
    asyncio.run(disk.run(20))
    starts = [json.loads(each)[3] - START for each in disk.path.read_text().splitlines()]
    assert starts == [4 * 3600 + 120, 27 * 3600 + 140, 27 * 3600 + 150]


@pytest.mark.parametrize("rubbish", [b'["boston","A"', b"\xff\n", b"[]\n", b'["a","b","c",1,2,3,4,5,6,7,8]\n', b"{}\n"])
def test_a_line_that_is_none_costs_no_other_one(disk, rubbish, caplog):
    asyncio.run(disk.run(10))
    with disk.path.open("ab") as file:
        file.write(rubbish)
    disk.begin()
    assert "1 lines of the metrics in" in caplog.text
    asyncio.run(disk.run(10))
    disk.begin()
    assert sum(each.count for each in disk.seen()["Invocations"]) == 20
    assert len(disk.path.read_text().splitlines()) == 2


def test_a_disk_that_fails_is_said_once_and_everything_is_written_when_it_is_well_again(disk, caplog):
    asyncio.run(disk.run(10))
    kept = disk.path.read_bytes()
    disk.path.unlink()
    disk.path.mkdir()
    with caplog.at_level(logging.WARNING):
        asyncio.run(disk.run(20))
    assert caplog.text.count("the metrics cannot be written") == 1
    disk.path.rmdir()
    asyncio.run(disk.run(10))
    assert disk.path.read_bytes().startswith(kept)
    before = disk.seen()
    disk.begin()
    assert disk.seen() == before


def test_one_that_cannot_be_read_is_said_and_keeps_no_engine_from_starting(disk, caplog):
    disk.path.mkdir()
    disk.begin()
    assert "cannot be read" in caplog.text
    assert disk.seen() == {}


def test_metrics_of_a_real_engine_outlive_it(tmp_path):
    path = tmp_path / "state" / "metrics.jsonl"

    def written():
        return sum(json.loads(each)[4] for each in path.read_text().splitlines()) if path.exists() else 0

    engine = launch(tmp_path / "state")
    try:
        engine.serve("boston")
        for number in range(5):
            assert engine.invoke("boston", number).score == number
        until(lambda: written() == 5)
        engine.kill()
        engine = launch(tmp_path / "state")
        engine.invoke("boston", 1)
    finally:
        engine.stop()
    assert written() == 6
