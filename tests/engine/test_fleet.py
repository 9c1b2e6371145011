"""Fleets on a launcher of the test's; `test_processes` and the tests of whole engines have real processes."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import replace

import pytest
from fleetkit import HandLauncher, Hosted, send, until, variant

from sm_magics.local import fleet as module
from sm_magics.local.faults import Fault
from sm_magics.local.host import StartFailed
from sm_magics.local.processes import Processes


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a test of a host of its own."""

    def on(test):
        async def main():
            async with asyncio.timeout(30):
                await test(Hosted(tmp_path))

        asyncio.run(main())

    return on


async def started(hosted, *variants):
    fleet = hosted.fleet(*variants)
    await fleet.start()
    return fleet


@pytest.mark.parametrize("name", ["launch", "run", "kill", "terminate"])
def test_the_launcher_of_these_tests_is_called_as_the_real_one(name):
    real, ours = (inspect.signature(getattr(each, name)) for each in (Processes, HandLauncher))
    assert list(real.parameters) == list(ours.parameters)
    assert [each.kind for each in real.parameters.values()] == [each.kind for each in ours.parameters.values()]


def test_a_fleet_with_a_real_process_answers_as_one_with_a_hand_played_one(tmp_path):
    async def main():
        processes = Processes()
        processes.start()
        try:
            hosted = Hosted(tmp_path, processes)
            fleet = hosted.fleet()
            with pytest.raises(StartFailed, match="did not pass the ping health check"):
                await fleet.start()  # there is no model in the directory, which a real container looks for
            assert "ERROR the model cannot be loaded" in hosted.log("i-1")
            assert fleet.counts == {"A": 0}
        finally:
            processes.stop()

    asyncio.run(main())


def test_all_instances_start_together_and_progress_tells_of_each(run):
    async def test(hosted):
        hosted.launcher.may_ping.clear()
        fleet, told = hosted.fleet(variant("A", 2), variant("B")), []
        starting = asyncio.ensure_future(fleet.start(lambda counts: told.append(sum(counts.values()))))
        await until(lambda: len(hosted.launcher.workers) == 3)
        assert fleet.counts == {"A": 0, "B": 0}
        hosted.launcher.may_ping.set()
        await starting
        assert (fleet.counts, told) == ({"A": 2, "B": 1}, [1, 2, 3])
        assert all(each.ready for lane in fleet.lanes.values() for each in lane.instances)
        await fleet.stop()
        await until(lambda: not hosted.launcher.alive)

    run(test)


def test_one_that_cannot_start_ends_the_whole_fleet(run):
    async def test(hosted):
        hosted.launcher.health = 500
        fleet = hosted.fleet(variant("A", 3))
        with pytest.raises(StartFailed, match="variant A did not pass the ping health check"):
            await fleet.start()
        await until(lambda: not hosted.launcher.alive)
        assert fleet.counts == {"A": 0}
        assert fleet.lanes["A"].meter.users == 0

    run(test)


def test_a_request_under_way_is_answered_before_its_instance_goes(run):
    async def test(hosted):
        fleet = await started(hosted, variant(count=2))
        first, second = hosted.launcher.workers
        waiters = send(fleet.lanes["A"], 2)
        await until(lambda: first.held == second.held == 1)
        scaling = asyncio.ensure_future(fleet.scale({"A": 1}))
        await until(lambda: fleet.counts == {"A": 1})
        assert not scaling.done()
        assert len(hosted.launcher.alive) == 2
        for each in (first, second):
            each.answer()
        await scaling
        assert [await each.came for each in waiters] == [200, 200]
        await until(lambda: len(hosted.launcher.alive) == 1)
        await fleet.stop()

    run(test)


def test_who_gives_up_waiting_for_a_scale_in_loses_no_answer(run):
    async def test(hosted):
        fleet = await started(hosted, variant(count=2))
        workers = hosted.launcher.workers
        waiters = send(fleet.lanes["A"], 2)
        await until(lambda: all(each.held == 1 for each in workers))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await fleet.scale({"A": 1})
        assert fleet.counts == {"A": 1}
        await fleet.scale({"A": 2})  # as a rollback does, meanwhile
        assert fleet.counts == {"A": 2}
        for each in workers[:2]:
            each.answer()
        assert [await each.came for each in waiters] == [200, 200]
        await until(lambda: len(hosted.launcher.alive) == 2)
        await fleet.stop()

    run(test)


def test_a_stop_waits_for_the_instances_that_are_on_their_way_out_already(run):
    async def test(hosted):
        fleet = await started(hosted, variant(count=2))
        workers = hosted.launcher.workers
        waiters = send(fleet.lanes["A"], 2)
        await until(lambda: all(each.held == 1 for each in workers))
        scaling = asyncio.ensure_future(fleet.scale({"A": 1}))
        await until(lambda: fleet.counts == {"A": 1})
        scaling.cancel()
        stopping = [asyncio.ensure_future(fleet.stop()) for _ in range(2)]
        await asyncio.sleep(0.02)
        stopping.pop().cancel()  # who stops it twice may give up once
        assert not stopping[0].done()
        for each in workers:
            each.answer()
        await stopping[0]
        assert [await each.came for each in waiters] == [200, 200]
        assert fleet.lanes["A"].meter.users == 0
        await until(lambda: not hosted.launcher.alive)

    run(test)


def test_an_instance_that_never_answers_is_not_waited_for_beyond_the_time_of_an_answer(run, monkeypatch):
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.02)

    async def test(hosted):
        fleet = await started(hosted)
        (waiter,) = send(fleet.lanes["A"])
        await until(lambda: hosted.launcher.workers[0].held == 1)
        await fleet.stop()
        assert await waiter.came == ("lost", True)
        assert hosted.launcher.killed == [hosted.launcher.workers[0].pid]

    run(test)


def test_an_instance_that_died_is_replaced_and_what_came_meanwhile_is_answered(run, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)

    async def test(hosted):
        fleet = await started(hosted)
        hosted.launcher.may_ping.clear()
        hosted.launcher.workers[0].end()
        await until(lambda: fleet.counts == {"A": 0})
        (waiter,) = send(fleet.lanes["A"])
        hosted.launcher.may_ping.set()
        await until(lambda: len(hosted.launcher.workers) == 2 and hosted.launcher.workers[1].held == 1)
        hosted.launcher.workers[1].answer()
        assert await waiter.came == 200
        assert "ERROR the container ended by itself; a new instance is started" in hosted.log("i-1")
        await fleet.stop()

    run(test)


def test_one_that_dies_while_the_fleet_stops_stays_dead(run, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)

    async def test(hosted):
        fleet = await started(hosted)
        (waiter,) = send(fleet.lanes["A"])
        await until(lambda: hosted.launcher.workers[0].held == 1)
        stopping = asyncio.ensure_future(fleet.stop())
        await asyncio.sleep(0)
        hosted.launcher.workers[0].end()
        await stopping
        assert await waiter.came == ("lost", True)
        await asyncio.sleep(0.02)
        assert len(hosted.launcher.workers) == 1

    run(test)


def test_a_replacement_is_not_kept_when_its_variant_was_scaled_in_meanwhile(run, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)

    async def test(hosted):
        fleet = await started(hosted, variant(count=2))
        hosted.launcher.may_ping.clear()
        hosted.launcher.workers[0].end()
        await until(lambda: len(hosted.launcher.workers) == 3)
        await fleet.scale({"A": 1})
        hosted.launcher.may_ping.set()
        await until(lambda: len(hosted.launcher.alive) == 1)
        assert fleet.counts == {"A": 1}
        await fleet.stop()

    run(test)


def test_replacements_that_keep_dying_come_ever_more_slowly(tmp_path):
    async def main():
        fleet = Hosted(tmp_path).fleet()
        pauses = [fleet._pause(0.0, 0.0)]
        now = asyncio.get_running_loop().time()
        for _ in range(12):
            pauses.append(fleet._pause(now, pauses[-1]))
        assert pauses[:4] == [0.05, 0.1, 0.2, 0.4]
        assert pauses[-2:] == [module.LONGEST_PAUSE] * 2
        assert fleet._pause(now - module.STABLE_SECONDS - 1, 10.0) == module.FIRST_PAUSE

    asyncio.run(main())


def test_a_replacement_that_cannot_start_is_tried_again(run, monkeypatch, caplog):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.002)

    async def test(hosted):
        fleet = await started(hosted)
        hosted.launcher.fails = OSError("no more processes")
        hosted.launcher.workers[0].end()
        await until(lambda: caplog.text.count("did not pass the ping health check") >= 2)
        hosted.launcher.fails = RuntimeError("a bug")
        await until(lambda: "an instance cannot be started again" in caplog.text)
        hosted.launcher.fails = None
        await until(lambda: fleet.counts == {"A": 1})
        await fleet.stop()

    run(test)


def test_requests_are_turned_away_once_no_instance_comes_back_and_taken_again_when_one_does(run, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.002)
    monkeypatch.setattr(module, "MISSED_SECONDS", 0.0)

    async def test(hosted):
        fleet = await started(hosted, variant(count=2))
        lane = fleet.lanes["A"]
        hosted.launcher.fails = OSError("no more processes")
        hosted.launcher.workers[0].end()
        await until(lambda: fleet.missing["A"] == 1)
        assert send(lane)  # the other one takes it
        assert "ERROR there is no new instance yet, which goes on being tried: The primary" in hosted.log("i-1")
        monkeypatch.setattr(module, "MISSED_SECONDS", 10.0)
        hosted.launcher.workers[1].end()
        await until(lambda: fleet.counts == {"A": 0})
        (parked,) = send(lane)
        assert lane.parked == 1  # the other one may come back yet
        monkeypatch.setattr(module, "MISSED_SECONDS", 0.0)
        assert await parked.came == ("lost", False)
        assert not lane.send(b"", parked)
        assert fleet.missing == {"A": 2}
        assert "ERROR no instance of variant A is left: requests to it are answered with 503" in hosted.log("i-2")
        hosted.launcher.fails = None
        await until(lambda: fleet.counts == {"A": 2})
        (waiter,) = send(lane)
        await until(lambda: any(each.held for each in hosted.launcher.alive))
        next(each for each in hosted.launcher.alive if each.held).answer()
        assert await waiter.came == 200
        assert fleet.missing == {"A": 0}
        await fleet.stop()

    run(test)


def test_one_that_died_is_not_started_by_a_scale_too(run, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)

    async def test(hosted):
        fleet = await started(hosted, variant(count=2))
        hosted.launcher.fails = OSError("no more processes")
        hosted.launcher.workers[0].end()
        await until(lambda: fleet.counts == {"A": 1})
        await fleet.scale({"A": 2})  # as an update does with the fleet that it is about to replace
        hosted.launcher.fails = None
        await fleet.scale({"A": 3})
        await until(lambda: fleet.counts == {"A": 3})
        assert len(hosted.launcher.alive) == 3
        await fleet.stop()

    run(test)


def test_an_instance_that_takes_very_long_to_come_back_is_missing_too(run, monkeypatch):
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.01)

    async def test(hosted):
        fleet = await started(hosted)
        hosted.launcher.may_ping.clear()
        hosted.launcher.workers[0].end()
        await until(lambda: fleet.lanes["A"].down)
        assert "being tried: none was healthy after 0.01 s" in hosted.log("i-1")
        hosted.launcher.may_ping.set()
        await until(lambda: fleet.counts == {"A": 1})
        assert not fleet.lanes["A"].down
        assert fleet.missing == {"A": 0}
        await fleet.stop()

    run(test)


def test_a_shadow_variant_comes_whole_and_has_no_part_of_the_traffic(run):
    async def test(hosted):
        shadow = replace(variant("S", 2), shadow=True)
        fleet = hosted.fleet(variant(count=3), shadow)
        await fleet.scale({"A": 1})
        assert fleet.counts == {"A": 1, "S": 2}
        assert fleet.weights == {"A": 1.0}
        assert fleet.full == {"A": 3, "S": 2}
        assert (fleet.lanes["A"].tap is None, fleet.lanes["S"].tap is None) == (False, True)
        await fleet.stop()

    run(test)


def test_other_weights_and_counts_are_taken_and_made_true_by_the_next_scale(run):
    async def test(hosted):
        fleet = await started(hosted)
        fleet.change([variant(count=2, weight=3.0)])
        assert (fleet.weights, fleet.full, fleet.counts) == ({"A": 3.0}, {"A": 2}, {"A": 1})
        await fleet.scale(fleet.full)
        assert fleet.counts == {"A": 2}
        await fleet.stop()

    run(test)


def test_an_instance_that_is_stuck_starts_when_the_fault_is_over(run):
    async def test(hosted):
        hosted.faults.put("boston", Fault("stuck-creating"))
        fleet = hosted.fleet()
        starting = asyncio.ensure_future(fleet.start())
        await asyncio.sleep(0.02)
        assert hosted.launcher.workers == []
        hosted.faults.clear("boston")
        await starting
        assert fleet.counts == {"A": 1}
        await fleet.stop()

    run(test)


def test_whoever_gives_up_a_start_leaves_no_process_behind(run):
    async def test(hosted):
        hosted.launcher.may_ping.clear()
        fleet = hosted.fleet(variant(count=2))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await fleet.start()
        await until(lambda: not hosted.launcher.alive)

    run(test)
