"""What the tests and scripts of the engine share: an engine in a process of its own, models that echo, a raw client.

A model that echoes answers a row of one number with that number plus the model's bias: so every answer tells which
request it belongs to, and which config gave it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sm_magics.local.start import RunningEngine
from sm_magics.models import archive, linear_artifact

IMAGE = "linear-learner:1"
ROLE = "arn:aws:iam::123456789012:role/Serving"
SETTLED = frozenset({"InService", "Failed", "OutOfService", "UpdateRollbackFailed", None})


class CallFailed(Exception):  # noqa: N818 - named for what happened
    """The engine refused a call; `code` is the error's code."""

    def __init__(self, code, message, status):
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


class Signer:
    """Signs requests as AWS's clients do, by the General Reference; fast enough for load."""

    def __init__(self, engine, service="sagemaker", *, secret=None, key=None, region=None, clock=time.time):
        self.host = engine.url.removeprefix("http://")
        self._secret = secret or engine.secret_access_key
        self._key_id = key or engine.access_key_id
        self._region = region or engine.region
        self._service = service
        self._clock = clock
        self._keys = {}

    def _key(self, day):
        if day not in self._keys:
            key = b"AWS4" + self._secret.encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._keys[day] = key
        return self._keys[day]

    def headers(self, target, body=b"", *, method="POST", signed=None):
        """Return all headers of a request: host, date, those in `signed` (lower case), and the signature."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))
        headers = {"host": self.host, "x-amz-date": stamp, **(signed or {})}
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = f"{method}\n{target}\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(self._key(stamp[:8]), text.encode(), "sha256").hexdigest()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return headers

    def request(self, target, body=b"", *, method="POST", signed=None, plain=None):
        """Return a whole signed request; `plain` are headers that are not signed."""
        headers = {**self.headers(target, body, method=method, signed=signed), **(plain or {})}
        return raw(target, body, headers, method=method)

    def invocation(self, endpoint, row, **plain):
        """Return a whole InvokeEndpoint of one CSV row."""
        headers = {"content-type": "text/csv", **plain}
        return self.request(f"/endpoints/{endpoint}/invocations", str(row).encode(), plain=headers)

    def call(self, operation, request):
        """Return a whole request of SageMaker's control plane."""
        body = json.dumps(request).encode()
        return self.request("/", body, signed={"x-amz-target": f"SageMaker.{operation}"})


def raw(target, body, headers, *, method="POST"):
    """Return a request as it stands on the wire."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True)
class Reply:
    """One answer off the wire."""

    status: int
    headers: dict
    body: bytes

    @property
    def score(self):
        """What a model that echoes answered."""
        return json.loads(self.body)["predictions"][0]["score"]


class Wire:
    """One connection to the engine."""

    def __init__(self, reader, writer):
        self._reader, self.writer = reader, writer

    @classmethod
    async def open(cls, engine):
        host, port = engine.url.removeprefix("http://").split(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=2**24))

    async def ask(self, request):
        """Send whole requests and return the next answer."""
        self.writer.write(request)
        return await self.answer()

    async def answer(self):
        """Return the next answer. Raises IncompleteReadError when the connection ends instead."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return Reply(int(status.split()[1]), headers, body)

    async def ended(self, seconds=10):
        """Return whatever is left until the connection ends."""
        async with asyncio.timeout(seconds):
            with contextlib.suppress(ConnectionResetError):
                return await self._reader.read(-1)

    def close(self):
        self.writer.close()


def send_raw(engine, data, seconds=10):
    """Send bytes on a connection of their own and return all that comes back until it ends or is idle."""

    async def run():
        wire = await Wire.open(engine)
        wire.writer.write(data)
        got = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            async with asyncio.timeout(seconds):
                while chunk := await wire._reader.read(65536):
                    got += chunk
        wire.close()
        return got

    return asyncio.run(run())


@dataclass
class Engine:
    """An engine that runs as a process of its own, and SageMaker's calls to it."""

    about: RunningEngine
    process: subprocess.Popen
    signer: Signer = field(init=False)

    def __post_init__(self):
        self.signer = Signer(self.about)

    def __getattr__(self, name):
        return getattr(self.about, name)

    def call(self, operation, **request):
        """Make one call on a connection of its own. Raises CallFailed, or OSError when the engine went away."""
        body = json.dumps(request).encode()
        wire = http.client.HTTPConnection(self.signer.host, timeout=60)
        try:
            headers = self.signer.headers("/", body, signed={"x-amz-target": f"SageMaker.{operation}"})
            wire.request("POST", "/", body, headers)
            answer = wire.getresponse()
            told = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"no answer: {error!r}") from None
        finally:
            wire.close()
        if answer.status != http.HTTPStatus.OK:
            refusal = json.loads(told)
            raise CallFailed(refusal["__type"], refusal["message"], answer.status)
        return json.loads(told or b"{}")

    def describe(self, name):
        """Return what DescribeEndpoint says, None when there is no such endpoint."""
        try:
            return self.call("DescribeEndpoint", EndpointName=name)
        except CallFailed as refused:
            if "Could not find" in refused.message:
                return None
            raise

    def status(self, name):
        return (self.describe(name) or {}).get("EndpointStatus")

    def settled(self, name, seconds=60):
        """Wait until nothing is under way on an endpoint; return what DescribeEndpoint says then."""
        deadline = time.monotonic() + seconds
        while (told := self.describe(name)) and told["EndpointStatus"] not in SETTLED:
            assert time.monotonic() < deadline, f"{name} is still {told['EndpointStatus']}"
            time.sleep(0.01)
        return told

    def echo(self, name, bias=0.0):
        """Make a model that echoes, plus `bias`."""
        return self.model(name, echo_archive(bias))

    def model(self, name, archive_bytes, environment=None, image=IMAGE):
        path = self.about.artifact_path("models", f"{name}.tar.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive_bytes)
        container = {"Image": image, "ModelDataUrl": f"s3://models/{name}.tar.gz", "Environment": environment or {}}
        self.call("CreateModel", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        return name

    def config(self, name, *variants, shadow=None, capture=None):
        """Make an endpoint config; a variant, also a shadow, is (name, model) and, if given, weight and count."""
        others = {"DataCaptureConfig": capture} if capture else {}
        if shadow:
            others["ShadowProductionVariants"] = [_variant(*shadow)]
        rows = [_variant(*each) for each in variants]
        self.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=rows, **others)
        return name

    def serve(self, name, bias=0.0, count=1):
        """Bring an endpoint into service that echoes, plus `bias`."""
        self.echo(f"m-{name}", bias)
        self.config(f"c-{name}", ("A", f"m-{name}", 1, count))
        self.call("CreateEndpoint", EndpointName=name, EndpointConfigName=f"c-{name}")
        assert self.settled(name)["EndpointStatus"] == "InService"
        return name

    def invoke(self, name, row, **plain):
        """Invoke on a connection of its own."""

        async def run():
            wire = await Wire.open(self.about)
            try:
                return await wire.ask(self.signer.invocation(name, row, **plain))
            finally:
                wire.close()

        return asyncio.run(run())

    @property
    def template(self):
        """The pid of the process that forks workers."""
        (pid,) = children(self.about.pid)
        return pid

    @property
    def workers(self):
        """The pids of the processes that are instances."""
        return children(self.template)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Stop it as a user does; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=90)


def _variant(name, model, weight=1, count=1):
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": count,
        "InitialVariantWeight": weight,
    }


def children(pid):
    """Return the children of a process."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until(true, seconds=20):
    """Wait for something that takes a moment."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(pid):
    """Whether a process runs; one that has ended and is only not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def echo_archive(bias):
    """Return the model.tar.gz of a model that echoes."""
    network = linear_artifact.write(np.ones((1, 1)), np.array([bias]), "regressor")
    return archive.pack({linear_artifact.FILE_NAME: network})


def launch(state, *options, changed=None, code=""):
    """Start an engine on `state`.

    `changed` sets constants of its modules, such as {"runtime_api.ANSWER_SECONDS": 1}; `code` runs in the new process
    before the engine does.
    """
    state.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "sm_magics.local"]
    if changed or code:
        modules = {name.partition(".")[0] for name in changed or {}}
        lines = [f"from sm_magics.local import {each}" for each in modules]
        lines += [f"{name} = {value!r}" for name, value in (changed or {}).items()]
        lines += [code, "from sm_magics.local.__main__ import main", "raise SystemExit(main())"]
        command = [sys.executable, "-c", "\n".join(lines)]
    with (state / "stderr.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--state", str(state), *options],
            stdout=subprocess.PIPE,
            stderr=log,
        )
    line = process.stdout.readline()
    if not line:
        process.wait()
        raise RuntimeError((state / "stderr.log").read_text())
    return Engine(RunningEngine(**json.loads(line), state=state), process)


@contextlib.contextmanager
def running(state, *options, **given):
    """Run an engine for a while."""
    engine = launch(state, *options, **given)
    try:
        yield engine
    finally:
        if engine.process.poll() is None:
            for pid in [engine.template, *engine.workers]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            engine.stop()
        engine.process.stdout.close()
