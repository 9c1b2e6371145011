"""The process around an engine: its lock, its port, its key, and what it tells when it is ready."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from enginekit import launch

from sm_magics import __version__
from sm_magics.errors import EngineError
from sm_magics.local import process as module
from sm_magics.local.__main__ import main
from sm_magics.local.engine import Settings
from sm_magics.local.process import last_region, run


@contextlib.contextmanager
def locked(state):
    """Hold the lock of a state directory, as an engine does."""
    with (state / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def engine_of(state, *options):
    engine = launch(state, *options)
    try:
        yield engine
    finally:
        engine.stop()
        engine.process.stdout.close()


@pytest.fixture(autouse=True)
def _umask():
    """Give the process of the tests its umask back, which an engine in it sets."""
    before = os.umask(0o077)
    os.umask(before)
    yield
    os.umask(before)


def mode(path):
    return path.stat().st_mode & 0o777


def test_it_tells_in_one_line_how_to_reach_it_and_keeps_that_in_a_file(tmp_path):
    with engine_of(tmp_path, "--region", "eu-west-1", "--account", "210987654321") as engine:
        told = json.loads((tmp_path / "engine.json").read_text())
        assert told == {
            "url": engine.url,
            "region": "eu-west-1",
            "account": "210987654321",
            "access_key_id": engine.access_key_id,
            "secret_access_key": engine.secret_access_key,
            "pid": engine.process.pid,
            "version": __version__,
        }
        assert {mode(tmp_path / each) for each in ("engine.json", "credentials.json", "engine.lock")} == {0o600}
        assert engine.access_key_id.startswith("AKIA")
        assert len(engine.access_key_id) == 20
        assert len(engine.secret_access_key) == 40


def test_the_next_one_has_the_same_key_port_and_region(tmp_path):
    with engine_of(tmp_path, "--region", "eu-west-1") as first:
        pass
    with engine_of(tmp_path) as second:
        assert (second.url, second.region) == (first.url, "eu-west-1")
        assert (second.access_key_id, second.secret_access_key) == (first.access_key_id, first.secret_access_key)


def test_a_port_that_another_has_taken_meanwhile_is_not_insisted_on_unless_it_is_asked_for(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "engine.json").write_text(json.dumps({"url": f"http://127.0.0.1:{port}"}))
        with engine_of(tmp_path) as engine:
            assert not engine.url.endswith(f":{port}")
        assert main(["--state", str(tmp_path), "--port", str(port)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert f"port {port} of 127.0.0.1 cannot be used: Address already in use" in told.err
    assert "--port 0 for a free one" in told.err


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_when_it_is_told_to(tmp_path, signal_):
    engine = launch(tmp_path)
    engine.process.send_signal(signal_)
    assert engine.process.wait(timeout=60) == 0
    engine.process.stdout.close()
    with locked(tmp_path):  # which it holds no longer
        pass


def test_a_second_one_on_a_state_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOCK_TRIES", 2)
    with locked(tmp_path), pytest.raises(EngineError, match=r"an engine runs on .* already") as caught:
        run(Settings(tmp_path), io.StringIO())
    assert "another state directory" in caught.value.hint


def test_who_only_looks_for_it_does_not_keep_it_from_starting(tmp_path):
    with (tmp_path / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        looking = threading.Timer(0.05, fcntl.flock, (lock, fcntl.LOCK_UN))
        looking.start()
        module._lock(tmp_path).close()
        looking.join()


def test_a_state_directory_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match=r"the state directory .* cannot be used: Not a directory") as caught:
        run(Settings(tmp_path / "file" / "state"), io.StringIO())
    assert "--state DIR" in caught.value.hint


@pytest.mark.parametrize("told", ["", "null", "[]", "{", '{"region": "eu-west-1"}'])
def test_a_file_that_tells_nothing_is_none(tmp_path, told):
    (tmp_path / "engine.json").write_text(told)
    assert last_region(tmp_path) == ("eu-west-1" if "region" in told else None)
    assert last_region(tmp_path / "nothing") is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:many", "http://[", 5, None, "", "http://127.0.0.1:99999"])
def test_an_address_that_is_none_is_as_good_as_none(tmp_path, url):
    (tmp_path / "engine.json").write_text(json.dumps({"url": url}))
    with module._listen(Settings(tmp_path)) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("kept", ["", "{", "[]", '{"access_key_id": "AKIA"}', "null"])
def test_a_key_that_cannot_be_read_is_made_anew_and_then_kept(tmp_path, kept):
    path = tmp_path / "credentials.json"
    path.write_text(kept)
    key = module._key(path)
    assert (module._key(path), mode(path)) == (key, 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["credentials.json"]  # nothing half-written is left


def test_keys_differ_from_state_to_state(tmp_path):
    keys = {module._key(tmp_path / f"{number}.json") for number in range(3)}
    assert len({each for key in keys for each in key}) == 6


def test_what_it_cannot_take_is_said_by_the_command_line(tmp_path):
    command = [sys.executable, "-m", "sm_magics.local", "--state", str(tmp_path), "--port", "many"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 2
    assert "argument --port: invalid int value: 'many'" in done.stderr
