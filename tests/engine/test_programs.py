"""Programs of the user as containers, on a real engine."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from enginekit import ROLE, CallFailed, launch, runs, until

from sm_magics.models import archive

SERVER = """
import http.server, json, os, sys, threading, time

print("arguments", sys.argv[1:], flush=True)

class Model(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ping" else 404)
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if body == "die":
            os._exit(9)
        told = {
            "pid": os.getpid(), "body": body, "headers": dict(self.headers), "environment": dict(os.environ),
            "model": open(os.path.join(os.environ["SM_MODEL_DIR"], "weights.txt")).read(), "place": os.getcwd(),
            "base": open(os.path.join(os.environ["SAGEMAKER_BASE_DIR"], "model", "weights.txt")).read(),
        }
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        custom = "X-Amzn-SageMaker-Custom-Attributes"
        self.send_header(custom, self.headers.get(custom, ""))
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Model).serve_forever()
"""


def write(path, text, mode=0o755):
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def script(tmp_path):
    """Return a shell script that serves through a child of its own, as such scripts do."""
    write(tmp_path / "server.py", SERVER)
    return write(tmp_path / "serve.sh", '#!/bin/sh\npython3 server.py "$@" & wait\n')


def create(engine, name, image, environment=None, startup=None):
    """Make an endpoint of a program, and wait until it has settled."""
    data = engine.about.artifact_path("models", f"{name}.tar.gz")
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_bytes(archive.pack({"weights.txt": b"heavy"}))
    container = {
        "Image": str(image),
        "ModelDataUrl": f"s3://models/{name}.tar.gz",
        "Environment": environment or {},
    }
    engine.call("CreateModel", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "A", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    if startup:
        variant["ContainerStartupHealthCheckTimeoutInSeconds"] = startup
    engine.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=[variant])
    engine.call("CreateEndpoint", EndpointName=name, EndpointConfigName=name)
    return engine.settled(name)


def log(engine, name):
    """Return what the instances of an endpoint printed."""
    folder = engine.state / "logs" / name / "A"
    return "\n".join(each.read_text() for each in sorted(folder.iterdir()))


def test_a_program_serves_by_the_contract_and_knows_nothing_of_the_user(tmp_path, script, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the user's own")
    engine = launch(tmp_path / "state")
    try:
        told = create(engine, "prog", script.as_uri() + "#1a2b", {"OWN": "1"})
        assert (told["EndpointStatus"], told.get("FailureReason")) == ("InService", None)
        reply = engine.invoke("prog", "1,2", **{"x-amzn-sagemaker-custom-attributes": "trace=7"})
        seen = json.loads(reply.body)
        assert (reply.status, seen["body"], seen["model"]) == (200, "1,2", "heavy")
        assert reply.headers["x-amzn-sagemaker-custom-attributes"] == "trace=7"
        assert seen["place"] == str(script.parent)
        environment = seen["environment"]
        assert environment["OWN"] == "1"
        base = Path(environment["SAGEMAKER_BASE_DIR"])
        (base / "code").mkdir()  # it is the instance's own, to write in
        assert seen["base"] == "heavy"
        assert not [each for each in environment if each.startswith("AWS")]
        assert environment["HOME"] != str(Path.home())
        assert "arguments ['serve']" in log(engine, "prog")

        group = os.getpgid(seen["pid"])
        assert group not in {seen["pid"], os.getpgid(engine.about.pid)}
        engine.call("DeleteEndpoint", EndpointName="prog")
        engine.settled("prog")
        until(lambda: not runs(seen["pid"]) and not runs(group))
        until(lambda: not base.exists())
        assert Path(environment["SM_MODEL_DIR"], "weights.txt").exists()
    finally:
        engine.stop()


def test_one_that_dies_loses_what_it_had_read_and_is_started_again(engine, script):
    create(engine, "dying", script)
    first = json.loads(engine.invoke("dying", "1").body)["pid"]
    reply = engine.invoke("dying", "die")
    assert (reply.status, json.loads(reply.body)["OriginalStatusCode"]) == (424, 500)
    until(lambda: engine.invoke("dying", "1").status == 200)
    assert json.loads(engine.invoke("dying", "1").body)["pid"] != first
    assert "the container ended by itself; a new instance is started" in log(engine, "dying")
    engine.call("DeleteEndpoint", EndpointName="dying")


@pytest.mark.parametrize("killed", ["engine", "template"])
def test_no_program_outlives_the_engine_or_the_process_that_started_it(tmp_path, script, killed):
    engine = launch(tmp_path / "state")
    try:
        create(engine, "prog", script)
        pid = json.loads(engine.invoke("prog", "1").body)["pid"]
        leader = os.getpgid(pid)
        if killed == "engine":
            engine.kill()
        else:
            os.kill(engine.template, signal.SIGKILL)
            until(lambda: engine.invoke("prog", "1").status == 200)
        until(lambda: not runs(pid) and not runs(leader))
    finally:
        if killed == "template":
            engine.stop()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/no/such/interpreter\n", "there is no such interpreter as its first line names: #!/no/such/interpreter"),
        ("echo hello\n", "it is no program; let its first line name an interpreter"),
        ("#!/bin/sh\necho it hurts >&2\nexit 3\n", "it hurts"),
        ("#!/bin/sh\necho it hurts >&2\nexit 3\n", "ERROR the container's process ended with status 3"),
    ],
)
def test_one_that_cannot_start_fails_at_once_with_a_log_that_says_why(engine, tmp_path, text, said):
    name = tmp_path.name.replace("_", "-")
    told = create(engine, name, write(tmp_path / "serve", text))
    assert told["EndpointStatus"] == "Failed"
    assert told["FailureReason"] == (
        "CannotStartContainerError. Please ensure the model container for variant A starts correctly when invoked "
        f"with '{tmp_path / 'serve'} serve'"
    )
    assert said in log(engine, name)


def test_an_edited_program_never_goes_live_by_the_death_of_an_instance_nor_of_the_engine(tmp_path, script):
    engine = launch(tmp_path / "state")
    try:
        create(engine, "prog", script)
        before = script.read_text()
        script.write_text(before.replace("serve", "other"))
        engine.invoke("prog", "die")
        until(lambda: f"ERROR the program {script} of model prog was changed" in log(engine, "prog"))
        assert engine.invoke("prog", "1").status == 503  # after some seconds, and from then on at once
        (row,) = engine.describe("prog")["ProductionVariants"]
        assert (row["CurrentInstanceCount"], row["DesiredInstanceCount"]) == (0, 1)
        assert "being tried: The program" in log(engine, "prog")
        engine.kill()
        engine = launch(tmp_path / "state")
        until(lambda: engine.settled("prog")["EndpointStatus"] == "OutOfService")
        told = engine.settled("prog")
        assert told["FailureReason"].startswith(f"The program {script} of model prog was changed since the model was")
        assert engine.invoke("prog", "1").status == 503

        engine.kill()
        script.write_text(before)  # the program that was deployed may serve again
        engine = launch(tmp_path / "state")
        until(lambda: engine.invoke("prog", "1").status == 200)
    finally:
        engine.kill()


def test_an_update_replaces_a_program_that_cannot_be_started_any_more(engine, tmp_path, script):
    create(engine, "gone", script)
    script.rename(tmp_path / "other.sh")
    engine.invoke("gone", "die")
    until(lambda: engine.invoke("gone", "1").status == 503)
    container = {"Image": str(tmp_path / "other.sh"), "ModelDataUrl": "s3://models/gone.tar.gz"}
    engine.call("CreateModel", ModelName="gone2", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "A", "ModelName": "gone2", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    engine.call("CreateEndpointConfig", EndpointConfigName="gone2", ProductionVariants=[variant])
    engine.call("UpdateEndpoint", EndpointName="gone", EndpointConfigName="gone2")
    told = engine.settled("gone")
    (row,) = told["ProductionVariants"]
    assert (told.get("FailureReason"), told["EndpointConfigName"], row["CurrentInstanceCount"]) == (None, "gone2", 1)
    assert engine.invoke("gone", "1").status == 200
    engine.call("DeleteEndpoint", EndpointName="gone")


def test_one_that_is_missing_or_cannot_be_executed_is_refused(engine, tmp_path):
    with pytest.raises(CallFailed, match="is no file of this machine"):
        create(engine, "missing", tmp_path / "serve")
    with pytest.raises(CallFailed, match="is a file that cannot be executed"):
        create(engine, "plain", write(tmp_path / "serve", "", 0o644))


def test_it_inherits_no_ignored_signal_and_no_open_file_of_ours(engine, tmp_path):
    lines = ["#!/bin/sh", "grep SigIgn /proc/self/status", "ls -C /proc/self/fd"]
    create(engine, "clean", write(tmp_path / "serve", "\n".join(lines)))
    assert "SigIgn:\t0000000000000000" in log(engine, "clean")
    assert "0  1  2  3" in log(engine, "clean")  # the last is that of the listing


def test_what_finds_no_room_to_wait_is_told_that_the_service_is_unavailable(tmp_path, script):
    changed = {"router.Parking.__init__.__defaults__": (10_000, 0)}
    engine = launch(tmp_path / "state", changed=changed)
    try:
        create(engine, "full", script)
        script.write_text("#!/bin/sh\nsleep 60\n")  # from now on no instance comes back
        engine.invoke("full", "die")
        until(lambda: engine.invoke("full", "1").status == 503)
        reply = engine.invoke("full", "1")
        assert json.loads(reply.body)["Message"] == "Endpoint full cannot answer right now."
        assert reply.headers["x-amzn-errortype"].startswith("ServiceUnavailable:")
    finally:
        engine.kill()
