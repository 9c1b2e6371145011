"""A disk that is full, slow, or has broken the file with the state."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
import sqlite3

import pytest
from enginekit import CallFailed, Wire, launch, running

FULL = 4096  # bytes that a file may have: less than any write of the state needs


def fill(engine, size=FULL):
    """Let no file of the engine grow: the disk is full, as far as it can tell. `None` makes room again."""
    size = resource.RLIM_INFINITY if size is None else size
    resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_on_a_full_disk_nothing_is_acknowledged_and_everything_goes_on_serving(tmp_path):
    with running(tmp_path) as engine:
        engine.serve("before", 0.5)
        fill(engine)
        for operation, request in (
            ("CreateEndpoint", {"EndpointName": "after", "EndpointConfigName": "c-before"}),
            ("DeleteEndpoint", {"EndpointName": "before"}),
            ("DeleteModel", {"ModelName": "m-before"}),
        ):
            with pytest.raises(CallFailed, match="the engine cannot write its state") as refused:
                engine.call(operation, **request)
            assert refused.value.status == 500
        assert engine.status("before") == "InService"
        assert engine.status("after") is None
        assert engine.invoke("before", 1).score == 1.5
        fill(engine, None)
        engine.call("CreateEndpoint", EndpointName="after", EndpointConfigName="c-before")
        assert engine.settled("after")["EndpointStatus"] == "InService"
    with running(tmp_path) as engine:
        assert engine.settled("before")["EndpointStatus"] == "InService"
        assert engine.settled("after")["EndpointStatus"] == "InService"


def test_an_update_that_ends_on_a_full_disk_is_written_down_once_there_is_room(tmp_path):
    with running(tmp_path, changed={"deployment.WRITE_SECONDS": 0.05}) as engine:
        engine.serve("e")
        engine.config("next", ("A", engine.echo("m-next", 0.5)))
        os.kill(engine.template, signal.SIGSTOP)
        engine.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="next")
        fill(engine)
        os.kill(engine.template, signal.SIGCONT)
        while engine.invoke("e", 1).score != 1.5:
            assert engine.status("e") == "Updating"
        assert engine.status("e") == "Updating"
        fill(engine, None)
        assert engine.settled("e")["EndpointConfigName"] == "next"


SLOW = """
import sqlite3, time, types
from sm_magics.local import store
class Slow(sqlite3.Connection):
    def execute(self, statement, *values):
        if statement.startswith(("INSERT", "DELETE")):
            time.sleep(0.1)
        return super().execute(statement, *values)
def connect(path, **options):
    return sqlite3.connect(path, factory=Slow, **options)
store.sqlite3 = types.SimpleNamespace(connect=connect, Error=sqlite3.Error)
"""


def test_nobody_waits_for_a_slow_disk_but_those_who_write(tmp_path):
    with running(tmp_path, code=SLOW) as engine:
        engine.serve("e")

        async def run():
            writer, reader = await Wire.open(engine.about), await Wire.open(engine.about)
            tags = {"ResourceArn": engine.describe("e")["EndpointArn"], "Tags": [{"Key": "a", "Value": "b"}]}
            writing = asyncio.create_task(writer.ask(engine.signer.call("AddTags", tags)))
            answered = 0
            while not writing.done():
                assert (await reader.ask(engine.signer.invocation("e", answered))).score == answered
                answered += 1
            return answered, (await writing).status

        answered, status = asyncio.run(run())
        assert status == 200
        assert answered > 3


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a state directory with some resources in it, of an engine that was stopped."""
    folder = tmp_path_factory.mktemp("written")
    with running(folder) as engine:
        engine.serve("e")
        for number in range(40):
            engine.config(f"c{number}", ("A", "m-e"))
    return folder


def copy(written, folder):
    for name in ("state.sqlite", "engine.json", "credentials.json"):
        (folder / name).write_bytes((written / name).read_bytes())
    return folder / "state.sqlite"


def refused(folder):
    """Start an engine that must not start; return what it says. Whatever the file holds must stay as it is."""
    before = (folder / "state.sqlite").read_bytes()
    with pytest.raises(RuntimeError) as caught:
        launch(folder)
    assert (folder / "state.sqlite").read_bytes() == before
    text = str(caught.value)
    assert "Traceback" not in text
    assert str(folder / "state.sqlite") in text
    assert "another state directory" in text
    return text


def test_a_file_that_is_no_database_is_refused(written, tmp_path):
    copy(written, tmp_path).write_bytes(b"no database" * 1000)
    assert "file is not a database" in refused(tmp_path)


def test_an_empty_file_where_there_was_a_state_is_refused(written, tmp_path):
    copy(written, tmp_path).write_bytes(b"")
    assert "is empty" in refused(tmp_path)


def test_a_state_that_was_moved_away_on_purpose_is_begun_anew(written, tmp_path):
    copy(written, tmp_path).unlink()
    with running(tmp_path) as engine:
        assert engine.call("ListEndpoints")["Endpoints"] == []


def test_a_file_that_was_cut_off_anywhere_is_refused(written, tmp_path):
    path = copy(written, tmp_path)
    whole = path.read_bytes()
    rng = random.Random(0)
    for length in [4096, len(whole) - 4096, len(whole) - 1, *(rng.randrange(1, len(whole)) for _ in range(5))]:
        path.write_bytes(whole[:length])
        refused(tmp_path)


def test_a_page_that_was_lost_is_found(written, tmp_path):
    path = copy(written, tmp_path)
    whole = path.read_bytes()
    for start in range(4096, len(whole), 4096):
        path.write_bytes(whole[:start] + bytes(4096) + whole[start + 4096 :])
        refused(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE resources SET document = '{' WHERE kind = 'endpoint'",
        "UPDATE resources SET document = '{}' WHERE kind = 'endpoint'",
        "UPDATE resources SET document = '[]' WHERE kind = 'model'",
        "UPDATE resources SET document = json_set(document, '$.later', 1) WHERE kind = 'model'",
        "UPDATE resources SET kind = 'pipeline' WHERE kind = 'model'",
        "ALTER TABLE resources RENAME COLUMN document TO text",
        "PRAGMA user_version = 99",
    ],
)
def test_a_state_that_does_not_say_what_it_should_is_refused(written, tmp_path, change):
    with contextlib.closing(sqlite3.connect(copy(written, tmp_path), isolation_level=None)) as database:
        database.execute(change)
    refused(tmp_path)


def test_an_instance_that_dies_on_a_full_disk_comes_back_though_its_log_cannot_say_so(tmp_path):
    with running(tmp_path) as engine:
        engine.serve("e")
        (worker,) = engine.workers
        (log,) = tmp_path.glob("logs/e/A/*")
        log.write_text("1\tsome line\n" * FULL)
        fill(engine)
        os.kill(worker, signal.SIGKILL)
        while engine.workers in ([worker], []):
            assert engine.invoke("e", 1).status in {200, 424}  # of what the dead one held
        assert engine.invoke("e", 1).score == 1
        assert "ended by itself" not in log.read_text()
