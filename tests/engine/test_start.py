"""Finding and starting engines: what a notebook does on first use."""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from enginekit import launch

from sm_magics import __version__
from sm_magics.errors import EngineError
from sm_magics.local.start import RunningEngine, default_state, find, start

module = importlib.import_module("sm_magics.local.start")  # the package's own `start` is the function


@pytest.fixture
def state(tmp_path):
    """Yield a state directory; an engine that runs on it is stopped in the end."""
    yield tmp_path / "state"
    engine = find(tmp_path / "state")
    if engine is not None:
        engine.stop()


def about(state, **changed):
    told = {
        "url": "http://127.0.0.1:1",
        "region": "eu-west-1",
        "account": "123456789012",
        "access_key_id": "AKIA",
        "secret_access_key": "secret",
        "pid": 1,
        "version": __version__,
        **changed,
    }
    return RunningEngine(**told, state=state)


def test_the_state_of_notebooks_is_the_one_that_is_set_or_lies_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("SM_MAGICS_STATE", str(tmp_path))
    assert default_state() == tmp_path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SM_MAGICS_STATE", "here")
    assert default_state() == tmp_path / "here"
    for nothing in (lambda: monkeypatch.setenv("SM_MAGICS_STATE", ""), lambda: monkeypatch.delenv("SM_MAGICS_STATE")):
        nothing()
        assert default_state() == Path.home() / ".sm_magics"


def test_what_a_client_needs_and_where_artifacts_lie_is_told(tmp_path):
    engine = about(tmp_path)
    assert engine.client_options == {
        "endpoint_url": "http://127.0.0.1:1",
        "region_name": "eu-west-1",
        "aws_access_key_id": "AKIA",
        "aws_secret_access_key": "secret",
    }
    assert engine.bucket == "sagemaker-eu-west-1-123456789012"
    assert engine.artifact_path("b", "a/k.tar.gz") == tmp_path / "artifacts" / "b" / "a" / "k.tar.gz"
    assert engine.client("sagemaker").meta.endpoint_url == engine.url


def test_stopping_one_that_is_gone_is_no_error(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    about(tmp_path, pid=ended.pid).stop()


def test_the_first_starts_it_and_the_next_finds_it(state):
    assert find(state) is None
    engine = start(state, region="eu-west-1")
    assert (engine.region, engine.version, engine.state) == ("eu-west-1", __version__, state)
    assert start(state) == find(state) == engine
    assert os.getsid(engine.pid) == engine.pid  # which a kernel's end does not reach
    assert (state / "engine.log").stat().st_mode & 0o777 == 0o600
    assert start(state).client("sagemaker").list_models()["Models"] == []
    engine.stop()
    assert find(state) is None


def test_those_who_start_it_at_the_same_moment_share_one(state):
    code = "import sys, pathlib; from sm_magics.local.start import start; print(start(pathlib.Path(sys.argv[1])).pid)"
    command = [sys.executable, "-c", code, str(state)]
    several = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    pids = {process.communicate(timeout=60)[0] for process in several}
    assert pids == {f"{find(state).pid}\n"}


def test_an_engine_of_another_version_is_replaced_and_what_it_knew_is_kept(state):
    old = launch(state, code="import sm_magics.local.process; sm_magics.local.process.__version__ = '0.0.1'")
    old.echo("kept")
    assert find(state).version == "0.0.1"
    engine = start(state)
    assert old.process.wait(timeout=60) == 0
    old.process.stdout.close()
    assert (engine.version, engine.access_key_id) == (__version__, old.access_key_id)
    assert engine.client("sagemaker").describe_model(ModelName="kept")["ModelName"] == "kept"


def test_one_that_was_killed_is_started_again_over_what_it_left(state):
    engine = start(state)
    os.kill(engine.pid, signal.SIGKILL)
    while module._is_locked(state):
        time.sleep(0.01)
    assert json.loads((state / "engine.json").read_text())["pid"] == engine.pid
    assert find(state) is None
    assert start(state).pid != engine.pid


@pytest.mark.parametrize(
    "told", ["", "[]", "null", "{}", '{"url": 5}', "as it was, of a server that listens no longer"]
)
def test_one_that_is_starting_or_stopping_is_not_found(state, told):
    state.mkdir()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    whole = {name: each for name, each in asdict(about(state, url=url)).items() if name != "state"}
    (state / "engine.json").write_text(json.dumps(whole) if told.startswith("as") else told)
    with (state / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert module._is_locked(state)
        assert find(state) is None
    assert not module._is_locked(state)


def test_why_it_did_not_start_is_told(state):
    state.mkdir()
    (state / "state.sqlite").write_text("no database, but a text that is long enough to be one" * 10)
    with pytest.raises(EngineError, match=r"the engine's state in .* cannot be used: file is not a database"):
        start(state)
    assert (state / "state.sqlite").read_text().startswith("no database")


def test_one_that_never_gets_ready_is_not_waited_for_without_end(state, monkeypatch):
    state.mkdir()
    monkeypatch.setattr(module, "START_SECONDS", 0.1)
    with (state / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EngineError, match=r"did not start in 0\.1 s") as caught:
            start(state)
    assert str(state / "engine.log") in caught.value.hint


def test_a_directory_that_cannot_be_one_is_an_error_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match=r"the state directory .* cannot be used: Not a directory") as caught:
        start(tmp_path / "file" / "state")
    assert "SM_MAGICS_STATE" in caught.value.hint
