"""One instance's start: what it is given, and what is said when it fails."""

from __future__ import annotations

import asyncio

import pytest
from fleetkit import Hosted, variant

from sm_magics.local import host
from sm_magics.local.containers import resolved
from sm_magics.local.faults import Fault
from sm_magics.local.host import StartFailed


def start(folder, given=None, **wanted):
    """Start one instance; return the host's parts and the instance, or the text of its failure."""

    async def main():
        hosted = Hosted(folder)
        for name, value in (given or {}).items():
            setattr(hosted.launcher, name, value)
        if hosted.launcher.health is None:
            hosted.launcher.may_ping.clear()
        one = variant(**wanted)
        fleet = hosted.fleet(one)
        if given and given.get("fault"):
            hosted.faults.put("boston", given["fault"])
        try:
            made = await hosted.host.start("boston", one, fleet.lanes["A"], lambda _: None)
        except StartFailed as failure:
            return hosted, str(failure)
        return hosted, made

    return asyncio.run(main())


def test_a_container_gets_what_its_contract_names_and_nothing_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the user's")
    hosted, made = start(tmp_path, environment={"OWN": "1"})
    assert (made.name, made.variant, made.ready) == ("i-1", "A", True)
    (worker,) = hosted.launcher.workers
    assert worker.image == "linear-learner:1"
    assert sorted(worker.environment) == ["HOME", "LANG", "OWN", "PATH", "SAGEMAKER_BIND_TO_PORT", "SM_MODEL_DIR"]
    assert worker.environment["SM_MODEL_DIR"] == str(worker.directory)


@pytest.mark.parametrize(
    ("given", "log"),
    [
        ({"health": 503}, ""),
        ({"health": None}, "ERROR the container did not pass its health check in 0.05 s: GET /ping is not answered"),
        ({"fails": OSError("no more processes")}, "ERROR the container's process cannot be started: no more processes"),
        ({"fault": Fault("ping")}, "ERROR GET /ping is answered with 500: a fault on purpose"),
    ],
)
def test_a_container_that_is_not_well_is_ended_and_its_log_says_why(tmp_path, given, log):
    hosted, text = start(tmp_path, given, startup_seconds=0.05 if given.get("health", 0) is None else 20)
    assert text == (
        "The primary container for production variant A did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )
    assert log in hosted.log("i-1")
    assert hosted.launcher.killed == [each.pid for each in hosted.launcher.workers]


def test_while_a_container_is_not_well_its_log_says_why_ever_more_rarely(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "FIRST_WORD", 0.01)
    hosted, _ = start(tmp_path, {"health": None}, startup_seconds=0.2)
    lines = [each.partition("\t")[2] for each in hosted.log("i-1").splitlines()]
    assert lines[:2] == [
        "WARNING the container is not healthy after 0.01 s of 0.2 s: GET /ping is not answered yet",
        "WARNING the container is not healthy after 0.02 s of 0.2 s: GET /ping is not answered yet",
    ]
    assert len(lines) <= 7


@pytest.mark.parametrize("edited", ["#!/bin/false", None])
def test_a_program_that_was_edited_or_removed_is_not_started_in_the_place_of_the_one_that_was_deployed(
    tmp_path, edited
):
    program = tmp_path / "serve.sh"
    program.write_text("#!/bin/sh")
    deployed = {"ResolvedImage": resolved(str(program))}
    program.unlink() if edited is None else program.write_text(edited)
    hosted, text = start(tmp_path / "state", image=str(program), deployed=deployed)
    what = "was changed since the model was made" if edited else "cannot be read: No such file or directory"
    assert text == (
        f"The program {program} of model m {what}. "
        "To serve what it is now, make a new model of it: run the endpoint's cell again."
    )
    assert f"ERROR the program {program} of model m {what}: it is not started" in hosted.log("i-1")


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "Failed to download model data for container"), (b"no archive", "Failed to extract model data archive")],
)
def test_model_data_that_cannot_be_had_is_said_as_the_service_says_it(tmp_path, content, text):
    archive = tmp_path / "model.tar.gz"
    if content:
        archive.write_bytes(content)
    hosted, told = start(tmp_path / "state", model_data_url=archive.as_uri())
    assert text in told
    assert archive.as_uri() in told
    assert "ERROR the model data at" in hosted.log("i-1")
    assert hosted.launcher.workers == []
