"""How busy instances are: by a /proc that is made up, by that of real processes, and on a real engine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from cloudwatchkit import client_of, dimensions
from enginekit import running

from sm_magics.local.utilisation import Utilisation

TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
MACHINE = os.sysconf("SC_PHYS_PAGES") * PAGE
START = 1_800_000_000


class Machine:
    """A machine of made-up processes, in a folder that is like /proc."""

    def __init__(self, folder):
        self.folder = folder
        self.now = float(START)
        self.instances = []
        self.taken = []
        self.measuring = Utilisation(lambda: self.instances, self.take, lambda: self.now, folder)

    def take(self, endpoint, variant, minute, percents):
        self.taken.append((endpoint, variant, minute - START, [round(each, 6) for each in percents]))

    def process(self, pid, born, seconds, memory, children=(), ended_children=0.0):
        """Write what a process has used: CPU seconds, and memory as a part of the machine's."""
        times = [int(each * TICKS) for each in (seconds / 2, seconds / 2, ended_children, 0)]
        fields = [
            "S",
            "1",
            *["0"] * 9,
            *times,
            "20",
            "0",
            "1",
            "0",
            int(born * TICKS),
            "0",
            round(memory * MACHINE / PAGE),
        ]
        task = self.folder / str(pid) / "task" / str(pid)
        task.mkdir(parents=True, exist_ok=True)
        (self.folder / str(pid) / "stat").write_text(f"{pid} (a (name) 7) " + " ".join(map(str, fields)) + " 0 0\n")
        (task / "children").write_text("".join(f"{each} " for each in children))

    def pass_seconds(self, seconds):
        self.now += seconds
        (self.folder / "uptime").write_text(f"{self.now - START + 1000:.2f} 0.00\n")
        self.measuring.tick()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_once_a_minute_what_was_used_in_it(machine):
    machine.instances = [("boston", "A", 7)]
    machine.process(7, born=1000, seconds=0.6, memory=0.25)
    machine.pass_seconds(59)
    assert machine.taken == []
    machine.pass_seconds(1)
    machine.pass_seconds(1)
    machine.process(7, born=1000, seconds=90.6, memory=0.5)  # a core and a half
    machine.pass_seconds(59)
    assert machine.taken == [("boston", "A", 0, [1, 25]), ("boston", "A", 60, [150, 50])]


def test_an_instance_is_measured_from_its_birth_on(machine):
    machine.pass_seconds(60)
    machine.instances = [("boston", "A", 7)]
    machine.process(7, born=1110, seconds=5, memory=0)
    machine.pass_seconds(60)
    assert machine.taken == [("boston", "A", 60, [50, 0])]


def test_another_process_with_the_same_id_is_another(machine):
    machine.instances = [("boston", "A", 7)]
    machine.process(7, born=1000, seconds=60, memory=0)
    machine.pass_seconds(60)
    machine.process(7, born=1090, seconds=3, memory=0)
    machine.pass_seconds(60)
    assert [percents[0] for *_, percents in machine.taken] == [100, 10]


def test_what_a_program_has_started_counts_with_it(machine):
    machine.instances = [("boston", "A", 7)]
    machine.process(7, born=1000, seconds=6, memory=0.125, children=[8, 9], ended_children=12)
    machine.process(8, born=1001, seconds=6, memory=0.125, children=[10])
    machine.process(10, born=1001, seconds=6, memory=0.125)  # and 9 has just ended
    machine.pass_seconds(60)
    assert machine.taken == [("boston", "A", 0, [50, 37.5])]


def test_one_that_has_ended_is_left_out(machine):
    machine.instances = [("boston", "A", 7), ("boston", "B", 8)]
    machine.process(8, born=1000, seconds=6, memory=0)
    machine.pass_seconds(60)
    assert machine.taken == [("boston", "B", 0, [10, 0])]


def test_a_child_that_was_not_waited_for_takes_its_share_along(machine):
    machine.instances = [("boston", "A", 7)]
    machine.process(7, born=1000, seconds=6, memory=0, children=[8])
    machine.process(8, born=1000, seconds=54, memory=0)
    machine.pass_seconds(60)
    machine.process(7, born=1000, seconds=7, memory=0)
    machine.pass_seconds(60)
    assert [percents[0] for *_, percents in machine.taken] == [100, 0]


def test_without_a_proc_nothing_is_measured(tmp_path):
    taken = []
    now = [float(START)]
    measuring = Utilisation(lambda: [("boston", "A", 1)], lambda *given: taken.append(given), lambda: now[0], tmp_path)
    now[0] += 60
    measuring.tick()
    assert taken == []


BURN = """
import os, sys, time
held = bytearray(64 << 20)
while sum(os.times()[:2]) < 0.3:
    pass
print("burnt", flush=True)
sys.stdin.read()
"""


def test_of_a_real_process_and_its_child_both_are_measured():
    shell = [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])"]
    taken, now = [], [0.0]
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    with subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "burnt\n"
        measuring = Utilisation(
            lambda: [("boston", "A", process.pid)], lambda *given: taken.append(given), lambda: now[0]
        )
        now[0] += 60
        measuring.tick()
        lived = time.clock_gettime(time.CLOCK_BOOTTIME) - began
        process.stdin.close()
    ((_, _, minute, (cpu, memory)),) = taken
    assert minute == 0
    assert cpu / 100 * (lived + 0.02) > 0.28  # the clocks tell hundredths
    assert (64 << 20) / MACHINE * 100 < memory < 100


def test_both_metrics_are_in_cloudwatch_by_their_names_dimensions_and_unit(tmp_path):
    namespace = "/aws/sagemaker/Endpoints"
    with running(tmp_path, changed={"utilisation.MINUTE": 1}) as engine:
        engine.serve("boston", count=2)
        cloudwatch = client_of(engine)
        by = dimensions(EndpointName="boston", VariantName="A")
        deadline = time.monotonic() + 30
        while not (found := cloudwatch.list_metrics(Namespace=namespace)["Metrics"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        now = datetime.now(UTC)
        span = {"StartTime": now - timedelta(hours=1), "EndTime": now + timedelta(hours=1)}
        points = {
            name: cloudwatch.get_metric_statistics(
                Namespace=namespace, MetricName=name, Dimensions=by, Period=86400, Unit="Percent",
                Statistics=["Minimum", "Maximum", "SampleCount"], **span,
            )["Datapoints"]
            for name in ("CPUUtilization", "MemoryUtilization")
        }  # fmt: skip
    assert sorted((each["MetricName"], each["Dimensions"]) for each in found) == [(name, by) for name in points]
    for point in (each for some in points.values() for each in some):
        assert point["SampleCount"] >= 1
        assert point["Unit"] == "Percent"
        assert 0 <= point["Minimum"] <= point["Maximum"]
    assert all(points.values())
    assert points["MemoryUtilization"][-1]["Minimum"] > 0
