from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import threading
import time
from itertools import count
from pathlib import Path

import pytest
from capturekit import TYPES, captured, config, invoke_all
from enginekit import CallFailed, Wire, running
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local import capture as module
from sm_magics.local.capture import Captures, Seen, Types, line, seen_in
from sm_magics.local.instance import Answer

NOON = 1_700_049_600.25  # 2023-11-15 12:00:00.25


def answer(body=b"0.5", content_type=b"application/json"):
    return Answer(200, content_type, None, body)


class Disk:
    """Captures that write below a directory, at a time and with ids of the test's."""

    def __init__(self, root):
        self.root, self.time, ids = root, NOON, count(1)
        self.captures = Captures(self.place, lambda: self.time, lambda: f"id-{next(ids)}")

    def place(self, _url):
        return self.root

    def open(self, seed=0, **given):
        return self.captures.open("boston", config(**given), random.Random(seed))

    @property
    def files(self):
        return sorted(self.root.rglob("*.jsonl"))

    @property
    def lines(self):
        return [json.loads(each) for file in self.files for each in file.read_text().splitlines()]


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path / "captured")


def take(capture, row=b"1", headers=(), variant="A", **given):
    capture.take(variant, {b"content-type": b"text/csv", **dict(headers)}, row, answer(**given))


async def until(condition):
    for _ in range(4000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


# The record


def test_a_line_is_the_services_record():
    seen = Seen("A", "e-1", NOON, (b"text/csv", b"1,2\n"), (b"text/csv; charset=utf-8", b"0.5"), "row-7", "x=1")
    assert line(seen, Types.of(TYPES)) == (
        b'{"captureData":{"endpointInput":{"observedContentType":"text/csv","mode":"INPUT","data":"1,2\\n",'
        b'"encoding":"CSV"},"endpointOutput":{"observedContentType":"text/csv; charset=utf-8","mode":"OUTPUT",'
        b'"data":"0.5","encoding":"CSV"}},"eventMetadata":{"eventId":"e-1","inferenceId":"row-7",'
        b'"customAttributes":["x=1"],"inferenceTime":"2023-11-15T12:00:00Z"},"eventVersion":"0"}\n'
    )


@pytest.mark.parametrize(
    ("content_type", "data", "encoding", "kept"),
    [
        (b"text/csv", b"1", "CSV", "1"),
        (b"Text/CSV;header=present", b"1", "CSV", "1"),
        (b"application/json", b'{"a": "\xc3\xbc"}', "JSON", '{"a": "ü"}'),
        (b"application/x-npy", b"\x93NUMPY", "BASE64", base64.b64encode(b"\x93NUMPY").decode()),
        (b"", b"1", "BASE64", "MQ=="),
        (b"text/csv", b"\xff", "BASE64", "/w=="),
    ],
)
def test_data_of_the_listed_types_is_text_and_all_other_base64(content_type, data, encoding, kept):
    told = json.loads(line(Seen("A", "e", NOON, (content_type, data), None), Types.of(TYPES)))
    assert told["captureData"] == {
        "endpointInput": {
            "observedContentType": content_type.decode(),
            "mode": "INPUT",
            "data": kept,
            "encoding": encoding,
        }
    }


def test_without_listed_types_everything_is_base64():
    told = json.loads(line(Seen("A", "e", NOON, (b"text/csv", b"1"), None), Types.of({})))
    assert told["captureData"]["endpointInput"]["encoding"] == "BASE64"


KINDS = st.sampled_from([b"text/csv", b"text/csv; charset=utf-8", b"application/json", b"image/png", b""])


@given(KINDS, st.binary(), KINDS, st.binary() | st.text().map(str.encode), st.text(max_size=64))
def test_every_record_is_one_line_that_gives_back_what_was_sent_and_answered(kind, sent, kind_back, answered, ident):
    written = line(Seen("A", ident, NOON, (kind, sent), (kind_back, answered)), Types.of(TYPES))
    assert written.count(b"\n") == 1
    assert seen_in(written) == {"INPUT": (kind.decode(), sent), "OUTPUT": (kind_back.decode(), answered)}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"captureData": []}', '{"captureData": {"a": {"mode": "x"}}}'])
def test_what_is_no_record_is_said(text):
    with pytest.raises(ValueError):  # noqa: PT011 - of json's or ours
        seen_in(text)


# From records to files


def test_files_lie_by_variant_and_hour(disk):
    async def run():
        capture = disk.open()
        take(capture, b"1")
        take(capture, b"2", variant="B")
        disk.time += 3600
        take(capture, b"3")
        await capture.close()

    asyncio.run(run())
    assert [str(each.parent.relative_to(disk.root)) for each in disk.files] == [
        "boston/A/2023/11/15/12",
        "boston/A/2023/11/15/13",
        "boston/B/2023/11/15/12",
    ]
    assert disk.files[0].name == "00-00-250-id-4.jsonl"


@pytest.mark.parametrize(
    ("options", "sides"),
    [
        (["Input"], {"endpointInput"}),
        (["Output"], {"endpointOutput"}),
        (["InputAndOutput"], {"endpointInput", "endpointOutput"}),
        (["Output", "Input"], {"endpointInput", "endpointOutput"}),
    ],
)
def test_the_sides_that_are_asked_for_are_captured(disk, options, sides):
    async def run():
        capture = disk.open(options=[{"CaptureMode": each} for each in options])
        take(capture)
        await capture.close()

    asyncio.run(run())
    (told,) = disk.lines
    assert told["captureData"].keys() == sides


def test_what_captures_nothing_is_not_opened(disk):
    for off in (None, config(percentage=0), config() | {"EnableCapture": False}):
        assert disk.captures.open("boston", off, random.Random(0)) is None


@given(st.integers(1, 100), st.integers(0, 3))
def test_the_sample_is_exact_in_every_hundred_requests(percentage, seed):
    captures = Captures(Path, lambda: NOON)
    capture = captures.open("boston", config("/nowhere", percentage), random.Random(seed))
    captures.thread.shutdown()
    drawn = [capture.wanted() for _ in range(300)]
    assert [sum(drawn[start : start + 100]) for start in (0, 100, 200)] == [percentage] * 3


def test_records_are_written_soon_by_themselves(disk, monkeypatch):
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.01)

    async def run():
        capture = disk.open()
        for row in range(3):
            before = len(disk.files)
            take(capture, b"%d" % row)
            await until(lambda before=before: len(disk.files) > before)
        await capture.close()

    asyncio.run(run())
    assert len(disk.files) == len(disk.lines) == 3


def test_many_records_are_written_at_once(disk, monkeypatch):
    monkeypatch.setattr(module, "FLUSH_BYTES", 10_000)

    async def run():
        capture = disk.open()
        for row in range(100):
            take(capture, b"%d" % row + bytes(1000))
        await until(lambda: disk.files)  # long before FLUSH_SECONDS
        await capture.close()

    asyncio.run(run())
    assert len(disk.lines) == 100


def test_a_disk_that_fails_is_said_and_what_waits_is_written_when_it_is_well_again(disk, caplog, monkeypatch):
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.01)
    disk.root.write_text("a file where the directory should be")

    async def run():
        capture = disk.open()
        take(capture, b"1")
        await until(lambda: not disk.captures.works("boston"))
        take(capture, b"2")
        disk.root.unlink()
        await until(lambda: disk.captures.works("boston") and len(disk.lines) == 2)
        await capture.close()

    asyncio.run(run())
    assert len({each["eventMetadata"]["eventId"] for each in disk.lines}) == 2
    assert "the captured data of boston cannot be written" in caplog.text


def test_a_batch_that_fails_half_way_is_not_written_twice(disk, monkeypatch):
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.01)
    disk.root.mkdir()
    (disk.root / "boston").mkdir()
    (disk.root / "boston" / "B").write_text("a file where the directory should be")

    async def run():
        capture = disk.open()
        take(capture, b"1")
        take(capture, b"2", variant="B")
        await until(lambda: not disk.captures.works("boston"))
        assert not disk.files
        (disk.root / "boston" / "B").unlink()
        await capture.close()

    asyncio.run(run())
    assert len(disk.lines) == 2


def test_memory_is_bounded_while_the_disk_does_not_take_records(disk, caplog, monkeypatch):
    monkeypatch.setattr(module, "MAX_HELD", 10_000)
    disk.root.write_text("a file where the directory should be")

    async def run():
        capture = disk.open()
        for _ in range(100):
            take(capture, bytes(400))
        dropped = capture.dropped
        assert not disk.captures.works("boston")
        await capture.close()
        return dropped

    assert asyncio.run(run()) == 91
    assert "100 captured records of boston are lost" in caplog.text


def test_what_a_killed_engine_had_not_finished_is_removed(disk):
    folder = disk.root / "boston/A/2023/11/15/12"
    folder.mkdir(parents=True)
    (folder / ".00-00-000-x.jsonl.part").write_text('{"capt')
    (folder / "00-00-000-y.jsonl").write_text("{}\n")

    async def run():
        disk.captures.clean("boston", config())
        await disk.captures.close()

    asyncio.run(run())
    assert [each.name for each in folder.iterdir()] == ["00-00-000-y.jsonl"]


def test_what_is_cancelled_while_it_writes_what_is_left_loses_nothing(disk):
    go_on = threading.Event()

    async def run():
        capture = disk.open()
        take(capture, b"1")
        disk.captures.thread.submit(go_on.wait)  # a slow disk
        closing = asyncio.ensure_future(capture.close())
        await asyncio.sleep(0.01)
        closing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await closing
        threading.Timer(0.05, go_on.set).start()
        await disk.captures.close()

    asyncio.run(run())
    assert len(disk.lines) == 1


def test_what_is_answered_after_the_end_is_written_too(disk):
    async def run():
        capture = disk.open()
        take(capture, b"1")
        await capture.close()
        take(capture, b"2")  # as a fault that makes answers slow does
        await disk.captures.close()

    asyncio.run(run())
    assert len(disk.lines) == 2
    assert not disk.captures.unwritten


def test_one_record_may_be_as_large_as_it_is(disk, monkeypatch):
    monkeypatch.setattr(module, "MAX_HELD", 1000)

    async def run():
        capture = disk.open()
        take(capture, b"large" * 1000)
        take(capture, b"1")  # no room beside it
        assert capture.dropped == 1
        await capture.close()

    asyncio.run(run())
    (told,) = disk.lines
    assert base64.b64decode(told["captureData"]["endpointInput"]["data"]) == b"large" * 1000


def test_a_record_that_cannot_be_written_at_all_is_said_and_does_not_end_the_capture(disk, caplog, monkeypatch):
    async def run():
        capture = disk.open()
        with monkeypatch.context() as patched:
            patched.setattr(module, "line", lambda *_: 1 / 0)
            take(capture, b"1")
            capture._begin()
            await until(lambda: not disk.captures.works("boston"))
        assert not disk.captures.unwritten
        take(capture, b"2")
        await capture.close()

    asyncio.run(run())
    assert len(disk.lines) == 1
    assert "1 captured records of boston are lost" in caplog.text
    assert not list(disk.root.rglob(".*"))


# The engine


def serve(engine, name, capture, model=None):
    """Bring an endpoint with capture into service."""
    model = model or engine.echo(f"m-{name}")
    variant = {"VariantName": "A", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    engine.call(
        "CreateEndpointConfig", EndpointConfigName=f"c-{name}", ProductionVariants=[variant], DataCaptureConfig=capture
    )
    engine.call("CreateEndpoint", EndpointName=name, EndpointConfigName=f"c-{name}")
    assert engine.settled(name)["EndpointStatus"] == "InService"
    return name


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_endpoint_captures_what_it_was_asked_and_answered(engine):
    root = engine.about.artifact_path("captured", "here")
    name = serve(engine, "captures", config(percentage=20, **TYPES))
    assert engine.describe(name)["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 20,
        "DestinationS3Uri": "s3://captured/here",
        "KmsKeyId": "",
    }
    replies = invoke_all(engine, name, range(50))
    assert all(each.status == 200 for each in replies)
    engine.call("DeleteEndpoint", EndpointName=name)
    assert engine.settled(name) is None
    lines = captured(root, name)
    assert len(lines) == 10
    for each in lines:
        sides = each["captureData"]
        assert (
            float(sides["endpointInput"]["data"])
            == json.loads(sides["endpointOutput"]["data"])["predictions"][0]["score"]
        )
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", each["eventMetadata"]["inferenceTime"])
    assert len({each["eventMetadata"]["eventId"] for each in lines}) == 10


def test_an_inference_id_and_attributes_are_kept_and_failures_are_not_captured(engine, tmp_path):
    name = serve(engine, "identified", config(f"file://{tmp_path}"))
    ids = {"x-amzn-sagemaker-inference-id": "row-7", "x-amzn-sagemaker-custom-attributes": "a=b"}
    assert engine.invoke(name, 7, **ids).status == 200
    assert engine.invoke(name, "text").status == 424
    engine.call("DeleteEndpoint", EndpointName=name)
    assert engine.settled(name) is None
    (told,) = captured(tmp_path, name)
    assert told["eventMetadata"]["inferenceId"] == "row-7"
    assert told["eventMetadata"]["customAttributes"] == ["a=b"]
    assert seen_in(json.dumps(told))["INPUT"] == ("text/csv", b"7")


def test_an_update_takes_the_capture_of_the_new_config_and_writes_what_the_old_one_had(engine, tmp_path):
    name = serve(engine, "recaptured", config(f"file://{tmp_path}"))
    invoke_all(engine, name, range(3))
    engine.config("c-uncaptured", ("A", f"m-{name}"))
    engine.call("UpdateEndpoint", EndpointName=name, EndpointConfigName="c-uncaptured", RetainAllVariantProperties=True)
    assert "DataCaptureConfig" not in engine.settled(name)
    assert len(captured(tmp_path, name)) == 3
    invoke_all(engine, name, range(3))
    engine.call("DeleteEndpoint", EndpointName=name)
    assert engine.settled(name) is None
    assert len(captured(tmp_path, name)) == 3


def test_capture_that_is_off_is_told_as_stopped(engine):
    name = serve(engine, "switched-off", config() | {"EnableCapture": False})
    told = engine.describe(name)["DataCaptureConfig"]
    assert (told["EnableCapture"], told["CaptureStatus"]) == (False, "Stopped")
    engine.call("DeleteEndpoint", EndpointName=name)


def test_a_destination_that_cannot_be_written_is_refused(engine):
    model = engine.echo("m-nowhere")
    for to in ("https://bucket/x", "s3://bucket/../../x", "s3://../x"):
        with pytest.raises(CallFailed, match=r"DestinationS3Uri .* cannot be used"):
            serve(engine, "nowhere", config(to), model)


def test_a_destination_that_fails_stops_the_capture_and_nothing_else(tmp_path):
    to = tmp_path / "captured"
    to.write_text("a file where the directory should be")
    with running(tmp_path / "state", changed={"capture.FLUSH_SECONDS": 0.05}) as engine:
        name = serve(engine, "boston", config(f"file://{to}"))
        assert [each.status for each in invoke_all(engine, name, range(20))] == [200] * 20
        wait_for(lambda: engine.describe(name)["DataCaptureConfig"]["CaptureStatus"] == "Stopped")
        to.unlink()
        wait_for(lambda: engine.describe(name)["DataCaptureConfig"]["CaptureStatus"] == "Started")
        assert len(captured(to, name)) == 20


def test_a_graceful_stop_writes_everything_and_a_restart_goes_on(tmp_path):
    to, state = tmp_path / "captured", tmp_path / "state"
    with running(state) as engine:
        name = serve(engine, "boston", config(f"file://{to}"))
        invoke_all(engine, name, range(5))
        assert engine.stop() == 0
        assert len(captured(to, name)) == 5
    with running(state) as engine:
        assert engine.describe(name)["DataCaptureConfig"]["CaptureStatus"] == "Started"
        invoke_all(engine, name, range(5))
        assert engine.stop() == 0
    assert len(captured(to, name)) == 10


def test_an_engine_killed_while_it_deletes_leaves_no_unfinished_file(tmp_path):
    to, state = tmp_path / "captured", tmp_path / "state"
    with running(state) as engine:
        name = serve(engine, "boston", config(f"file://{to}"))
        folder = to / name / "A/2023/11/15/12"
        folder.mkdir(parents=True)

        async def delete_while_a_request_is_under_way():
            wire = await Wire.open(engine.about)
            os.kill(engine.workers[0], signal.SIGSTOP)
            wire.writer.write(engine.signer.invocation(name, 1))
            await asyncio.sleep(0.1)
            engine.call("DeleteEndpoint", EndpointName=name)
            assert engine.status(name) == "Deleting"

        asyncio.run(delete_while_a_request_is_under_way())
        (folder / ".00-00-000-x.jsonl.part").write_text('{"capt')
        engine.kill()
    with running(state) as engine:
        assert engine.settled(name) is None
        assert engine.stop() == 0
    assert not list(to.rglob(".*"))


@pytest.mark.parametrize("seed", range(3))
def test_an_engine_killed_while_it_captures_leaves_whole_lines_only(tmp_path, seed):
    to, state = tmp_path / "captured", tmp_path / "state"
    rng = random.Random(seed)
    with running(state, changed={"capture.FLUSH_SECONDS": 0.001}) as engine:
        name = serve(engine, "boston", config(f"file://{to}"))

        async def storm():
            wire = await Wire.open(engine.about)
            end = time.monotonic() + rng.uniform(0.3, 0.8)
            while time.monotonic() < end:
                await wire.ask(engine.signer.invocation(name, "1"))
            engine.process.kill()
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await wire.ask(engine.signer.invocation(name, "1"))

        asyncio.run(storm())
        engine.process.wait()
    before = captured(to, name)
    assert before
    with running(state) as engine:
        engine.settled(name)
        invoke_all(engine, name, range(2))
        assert engine.stop() == 0
    assert len(captured(to, name)) == len(before) + 2
    assert not list(to.rglob(".*"))
    shutil.rmtree(to)


# What goes wrong


def test_a_record_that_is_none_is_left_out_and_the_others_are_written(disk, caplog):
    async def run():
        capture = disk.open()
        take(capture, b"1")
        disk.time = 1e12  # past the last year of the calendar
        take(capture, b"2")
        disk.time = NOON
        take(capture, b"3")
        await capture.close()

    asyncio.run(run())
    assert [seen_in(json.dumps(each))["INPUT"][1] for each in disk.lines] == [b"1", b"3"]
    assert "the captured data of boston cannot be written: year 33658 is out of range" in caplog.text
    assert "1 captured records of boston are lost" in caplog.text


def test_whatever_fails_in_writing_is_said_and_tried_again(disk, caplog, monkeypatch):
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.01)
    place = disk.captures.place

    def broken(_url):
        raise ZeroDivisionError("a bug")

    async def run():
        disk.captures.place = broken
        capture = disk.open()
        take(capture, b"1")
        await until(lambda: not disk.captures.works("boston"))
        disk.captures.place = place
        await until(lambda: disk.captures.works("boston") and disk.lines)
        disk.captures.place = broken
        take(capture, b"2")
        await capture.close()  # whatever it is, closing is not the place for it

    asyncio.run(run())
    assert len(disk.lines) == 1
    assert "the captured data of boston cannot be written: a bug" in caplog.text
    assert "1 captured records of boston are lost" in caplog.text


def test_a_record_that_cannot_be_taken_harms_nobody(disk):
    async def run():
        capture = disk.open()
        disk.captures.new_id = None  # whose call fails
        take(capture, b"1")
        assert (capture.dropped, disk.captures.works("boston")) == (1, False)
        disk.captures.new_id = lambda: "id"
        take(capture, b"2")
        await capture.close()

    asyncio.run(run())
    assert len(disk.lines) == 1


def test_on_a_full_disk_every_request_is_answered_and_captured_once_there_is_room(tmp_path):
    to = tmp_path / "captured"
    with running(tmp_path / "state", changed={"capture.FLUSH_SECONDS": 0.05}) as engine:
        name = serve(engine, "boston", config(f"file://{to}"))
        resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        replies = invoke_all(engine, name, range(20))
        assert [(each.status, each.score) for each in replies] == [(200, row) for row in range(20)]
        wait_for(lambda: engine.describe(name)["DataCaptureConfig"]["CaptureStatus"] == "Stopped")
        assert captured(to, name) == []
        assert not list(to.rglob(".*"))
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        wait_for(lambda: engine.describe(name)["DataCaptureConfig"]["CaptureStatus"] == "Started")
        assert len(captured(to, name)) == 20
