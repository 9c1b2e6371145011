"""Fuzzes one reader of foreign bytes with atheris; see README.md."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sm_magics", "tarfile"]):
    import tarfile

    from sm_magics.local import artifacts, http, instance
    from sm_magics.local.containers import LoadError, Request, linear_learner, recordio, ubjson
    from sm_magics.local.containers.mxnet_graph import compile_graph
    from sm_magics.local.containers.mxnet_params import NDArray, read_params

import numpy as np
import xgboost_models

from sm_magics.models import archive as packing
from sm_magics.models import linear_artifact

LOOP = asyncio.new_event_loop()
LINEAR = linear_artifact.write(np.ones((2, 1)), np.zeros(1), "regressor")


class Transport:
    """Takes what is written."""

    def __init__(self):
        self.written, self.closed = b"", False

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


def cut(data):
    """Return the bytes in pieces; the first byte decides how long they are."""
    size = (data[0] if data else 0) or 1
    return [data[1:][place : place + size] for place in range(0, len(data) - 1, size)]


def in_a_loop(test):
    async def run(data):
        test(data)

    return lambda data: LOOP.run_until_complete(run(data))


@in_a_loop
def fuzz_http(data):
    seen = []

    def handle(exchange):
        seen.append(exchange)
        exchange.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    connection = http.Connection(handle, set())
    transport = Transport()
    connection.connection_made(transport)
    for piece in cut(data):
        connection.data_received(piece)
    assert transport.written.count(b"HTTP/1.1 4") <= 1
    for each in seen:
        length = each.headers.get(b"content-length")
        assert length is None or int(length) == len(each.body)
        assert not (length is not None and b"transfer-encoding" in each.headers)


class Waiter:
    over = False

    def __init__(self):
        self.told = 0

    def answered(self, _):
        self.told += 1

    def lost(self, *, started):
        assert isinstance(started, bool)
        self.told += 1


@in_a_loop
def fuzz_answers(data):
    made = instance.Instance("i", "A", lambda _: None)
    made.connection_made(Transport())
    waiters = [Waiter() for _ in range(3)]
    for each in waiters:
        made.send(b"", each)
    for piece in cut(data):
        made.data_received(piece)
        if made._transport.closed:
            break
    made.connection_lost(None)
    assert all(each.told == 1 for each in waiters)


def fuzz_archive(data):
    with tempfile.TemporaryDirectory() as folder:
        outside, inside = Path(folder), Path(folder, "a", "b")
        inside.mkdir(parents=True)
        archive = outside / "model.tar.gz"
        archive.write_bytes(gzipped(data))
        with contextlib.suppress(artifacts.Unpackable):
            artifacts._unpack(archive, inside / "target")
        assert {each.name for each in outside.iterdir()} == {"a", "model.tar.gz"}
        assert {each.name for each in (outside / "a").iterdir()} == {"b"}
        assert {each.name for each in inside.iterdir()} <= {"target"}
        assert not any(each.is_symlink() for each in inside.rglob("*"))


def gzipped(data):
    """Return the bytes as they are or, most often, packed, so that the fuzzer reaches the tar inside."""
    import gzip  # noqa: PLC0415 - not to be instrumented

    return data[1:] if data[:1] == b"\0" else gzip.compress(data[1:], 0)


def fuzz_ubjson(data):
    with contextlib.suppress(ValueError):
        ubjson.check(data)


def fuzz_params(data):
    with contextlib.suppress(LoadError):
        for array in read_params(data).values():
            assert len(array.values) == int(np.prod(array.shape))


def fuzz_recordio(data):
    with contextlib.suppress(ValueError):
        recordio.read(data)


def fuzz_linear(data):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, linear_artifact.FILE_NAME).write_bytes(data)
        try:
            container = linear_learner.load(Path(folder))
        except LoadError:
            return
        (answer,) = container.invoke([Request(b"1,2", "text/csv")])
        assert answer.status in {200, 400}


def fuzz_graph(data):
    """Compile whatever JSON the bytes are, with parameters of any shape."""
    try:
        symbol = json.loads(data)
    except (ValueError, RecursionError):
        return
    params = {
        "w": NDArray((2, 1), (1.0, 2.0)),
        "b": NDArray((1,), (0.5,)),
        "e": NDArray((2**60, 0), ()),
        "s": NDArray((), (1.0,)),
    }
    with contextlib.suppress(LoadError):
        network = compile_graph(symbol, params)
        assert len(network.predict([1.0] * network.inputs)) == network.outputs


SEEN = Counter()


def fuzz_xgboost(data):
    """Load a changed model; nothing of its process guides the fuzzer, so the bytes say how to change which model."""
    model = xgboost_models.changed(data)
    status = xgboost_models.load_apart(model)
    aborted = status in xgboost_models.ABORTED
    kinds = {xgboost_models.LOADED: "loaded", xgboost_models.REFUSED: "refused"}
    SEEN["aborted" if aborted else kinds.get(status, "wrong")] += 1
    if aborted:
        Path(f"aborted-{hashlib.sha256(model).hexdigest()[:12]}").write_bytes(model)
    if SEEN.total() % 100 == 0:
        sys.stdout.write(f"{dict(SEEN)}\n")
        sys.stdout.flush()
    assert aborted or status in kinds, f"the process ended with {status}"


def seeds(target):
    """Return what a target begins with."""
    request = b"POST /endpoints/a/invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 3\r\n\r\nabc"
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as made:
        for name, kind in (("a/b", tarfile.REGTYPE), ("../c", tarfile.REGTYPE), ("d", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc"
            made.addfile(member)
    parameters = {"arg:w": np.ones((2, 3)), "arg:b": np.ones((1, 1))}
    record = recordio.write([recordio.Record({"values": recordio.Tensor([1.0, 2.0])}, {})])
    if target == "xgboost":
        return [bytes([number]) for number in range(len(xgboost_models.models()))]
    return {
        "http": [b"\x10" + request * 2, b"\xff" + chunked + request],
        "answers": [b"\x10" + answer * 3, b"\xff" + answer + b"HTTP/1.1 101 a\r\nUpgrade: b\r\n\r\n"],
        "archive": [b"\1" + tar.getvalue(), b"\0" + packing.pack({"a": b"b"})],
        "ubjson": [b"{U\x01xSi\x02hi}", b"[$d#i\x01\0\0\0\0", b"[#i\x02TF"],
        "params": [linear_artifact._parameters(parameters)],
        "recordio": [record],
        "linear": [LINEAR],
        "graph": [
            json.dumps(linear_artifact._symbol(each)).encode() for each in ("softmax", "LogisticRegressionOutput")
        ],
    }[target]


def main():
    target, *options = sys.argv[1:]
    corpus = Path(tempfile.mkdtemp())
    for number, seed in enumerate(seeds(target)):
        (corpus / str(number)).write_bytes(seed)
    random.seed(0)
    others = (
        {"custom_mutator": lambda _data, _size, seed: xgboost_models.script(random.Random(seed))}
        if target == "xgboost"
        else {}
    )
    atheris.Setup(
        [sys.argv[0], "-timeout=30", "-rss_limit_mb=2048", *options, str(corpus)],
        globals()[f"fuzz_{target}"],
        **others,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
