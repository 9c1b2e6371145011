"""A state directory that does not grow: what a real engine leaves there, and that nothing it needs is ever missing."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from enginekit import ROLE, launch, running
from fleetkit import Hosted, until, variant

from sm_magics.local import housekeeping as module
from sm_magics.local import lifecycle
from sm_magics.local.housekeeping import Housekeeping
from sm_magics.local.store import Model, Store

SOON = {"housekeeping.LOOK_SECONDS": 0.1, "engine.SWEEP_SECONDS": 0.05}


def models(state):
    return {each.name for each in (state / "models").iterdir()} - {"empty"}


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def delete(engine, name):
    engine.call("DeleteEndpoint", EndpointName=name)
    engine.settled(name)
    engine.call("DeleteEndpointConfig", EndpointConfigName=f"c-{name}")
    engine.call("DeleteModel", ModelName=f"m-{name}")


def test_what_was_deleted_leaves_no_model_behind_and_what_serves_goes_on(tmp_path):
    with running(tmp_path, changed=SOON) as engine:
        for number, name in enumerate(("stays", "goes")):
            engine.serve(name, number)
        assert len(models(tmp_path)) == 2
        delete(engine, "goes")
        wait_for(lambda: len(models(tmp_path)) == 1)
        assert engine.invoke("stays", 1).score == 1
        os.kill(engine.workers[0], 9)  # the one that takes its place reads the model anew
        wait_for(lambda: engine.invoke("stays", 2).status == 200)
        assert len(list((tmp_path / "artifacts").rglob("*.tar.gz"))) == 2, "what a user has put there stays"
        engine.serve("goes", 5)
        assert engine.invoke("goes", 1).score == 6
        for name in ("stays", "goes"):
            delete(engine, name)
        wait_for(lambda: not models(tmp_path))


def test_a_model_that_is_known_and_not_deployed_stays_unpacked_until_the_engine_ends(tmp_path):
    with running(tmp_path, changed=SOON) as engine:
        engine.serve("e")
        engine.call("DeleteEndpoint", EndpointName="e")
        engine.settled("e")
        time.sleep(0.5)
        assert len(models(tmp_path)) == 1


def test_what_a_killed_engine_left_is_removed_by_the_next_and_its_endpoints_come_back(tmp_path):
    engine = launch(tmp_path)
    engine.serve("e", 0.5)
    (kept,) = models(tmp_path)
    for name in ("a" * 64, ".unpacking-x"):
        (tmp_path / "models" / name).mkdir()
    (tmp_path / "fetched" / ("b" * 64)).write_bytes(b"fetched")
    engine.kill()
    engine.process.stdout.close()
    with running(tmp_path, changed=SOON) as again:
        assert again.settled("e")["EndpointStatus"] == "InService"
        wait_for(lambda: models(tmp_path) == {kept} and not list((tmp_path / "fetched").iterdir()))
        assert again.invoke("e", 1).score == 1.5


@pytest.mark.parametrize("seed", range(3))
def test_an_engine_that_is_killed_while_it_removes_leaves_nothing_half(tmp_path, seed):
    engine = launch(tmp_path, changed=SOON)
    for number in range(3):
        engine.serve(f"e{number}", number)
    for number in range(1, 3):
        delete(engine, f"e{number}")
    time.sleep(seed * 0.05)
    engine.kill()
    engine.process.stdout.close()
    with running(tmp_path, changed=SOON) as again:
        wait_for(lambda: len(models(tmp_path)) == 1)
        again.settled("e0")
        for number in range(3):
            if number:
                again.serve(f"e{number}", number)
            assert again.invoke(f"e{number}", 1).score == 1 + number


def test_the_log_of_a_deleted_endpoint_can_still_be_read(tmp_path):
    with running(tmp_path, changed=SOON) as engine:
        container = {"Image": "linear-learner:1"}
        engine.call("CreateModel", ModelName="m-e", ExecutionRoleArn=ROLE, PrimaryContainer=container)
        engine.config("c-e", ("A", "m-e"))
        engine.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c-e")
        assert engine.settled("e")["EndpointStatus"] == "Failed"
        delete(engine, "e")
        time.sleep(0.4)
        (log,) = tmp_path.glob("logs/e/A/*")
        assert "ERROR the model cannot be loaded" in log.read_text()


# Without processes


def test_models_of_fleets_that_start_serve_and_drain_are_in_use_and_those_that_have_ended_are_not(tmp_path):
    async def main():
        hosted = Hosted(tmp_path)
        fleet, empty = hosted.fleet(variant()), hosted.artifacts.empty()
        hosted.launcher.may_ping.clear()
        starting = asyncio.ensure_future(fleet.start())
        await until(lambda: hosted.launcher.workers)
        assert hosted.host.directories == {empty}
        hosted.launcher.may_ping.set()
        await starting
        assert hosted.host.directories == {empty}
        await fleet.stop()
        await until(lambda: hosted.host.directories == set())
        hosted.launcher.health = 500
        with pytest.raises(Exception, match="ping health check"):
            await hosted.fleet(variant()).start()
        assert hosted.host.directories == set()

    asyncio.run(main())


def test_every_url_that_anything_names_is_needed(tmp_path):
    store = Store(tmp_path / "state.sqlite")
    one = lifecycle.Variant("A", "m", "i", "t", model_data_url="s3://b/serves")
    other = lifecycle.Variant("A", "m", "i", "t", model_data_url="s3://b/comes")
    made = lifecycle.create("e", "arn", config_name="c", variants=[one], tags={}, now=1.0)
    updating = lifecycle.update(lifecycle.settle(made, 2.0), "d", [other], 3.0)

    async def put():
        await store.put(updating)
        for name, given in (
            ("p", {"PrimaryContainer": {"ModelDataUrl": "s3://b/primary"}}),
            ("c", {"Containers": [{"ModelDataUrl": "s3://b/contained"}]}),
            ("n", {"PrimaryContainer": {"Image": "i"}}),
        ):
            await store.put(Model(name, "arn", 1.0, given))

    asyncio.run(put())
    hosted = Hosted(tmp_path)
    keeper = Housekeeping(store, hosted.host, hosted.artifacts, hosted.logs)
    assert set(keeper._urls()) == {"s3://b/serves", "s3://b/comes", "s3://b/primary", "s3://b/contained", None}
    store.close()


def test_it_looks_once_in_a_while_and_a_look_that_fails_ends_nothing(tmp_path, caplog):
    async def main():
        hosted = Hosted(tmp_path)
        store = Store(tmp_path / "state.sqlite")
        keeper = Housekeeping(store, hosted.host, hosted.artifacts, hosted.logs)
        looks = []

        async def tidy(_endpoints):
            looks.append(1)
            raise OSError("the disk has gone")

        hosted.logs.tidy = tidy
        for now in (0.0, 1.0, module.LOOK_SECONDS + 1, module.LOOK_SECONDS + 2):
            keeper.tick(now)
            await keeper.stop()
            await asyncio.sleep(0)
        store.close()
        return len(looks)

    assert asyncio.run(main()) == 2
    assert caplog.text.count("the state directory cannot be kept tidy") == 2
