"""The engine's side of the template, with a real template and real processes."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

import enginekit
import pytest
from enginekit import running, runs

from sm_magics.local.processes import Processes

IMAGE = "linear-learner:1"


@pytest.fixture
def run():
    """Return a function that runs a test with a template of its own; no process is left in the end."""

    def on(test):
        async def main():
            processes = Processes()
            processes.start()
            template = processes._process.pid
            try:
                async with asyncio.timeout(60):
                    await test(processes)
            finally:
                processes.stop()
            assert not runs(template)

        asyncio.run(main())

    return on


def environment(pid):
    return Path(f"/proc/{pid}/environ").read_bytes()


async def until(condition):
    for _ in range(4000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


async def launch(processes, folder, environment=None):
    """Launch a worker; return its pid, the socket it serves on, the memory it counts in and what it prints."""
    ours, theirs = socket.socketpair()
    printed = folder / "printed"
    log = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with tempfile.TemporaryFile() as file, theirs:
        file.truncate(mmap.PAGESIZE)
        memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        pid = await processes.launch(
            image=IMAGE,
            directory=folder,
            environment=environment or {},
            connection=theirs,
            log=log,
            shared=file.fileno(),
        )
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(log)  # it is closed here
    ours.settimeout(0)
    return pid, ours, memory, printed


async def ask(connection, request):
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, request)
    return await loop.sock_recv(connection, 65536)


async def program(processes, folder, text, environment=None):
    """Run a shell script; return its pid, and a future of the status it ended with."""
    (folder / "serve.sh").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "serve.sh").chmod(0o755)
    ended = asyncio.get_running_loop().create_future()
    log = os.open(folder / "printed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    pid = await processes.run(
        command=folder / "serve.sh", environment=environment or {"PATH": "/bin:/usr/bin"}, log=log,
        ended=ended.set_result,
    )  # fmt: skip
    return pid, ended


def test_a_worker_serves_on_its_socket_counts_in_its_memory_and_prints_to_its_log(run, tmp_path):
    async def test(processes):
        pid, connection, memory, printed = await launch(processes, tmp_path)
        assert runs(pid)
        assert (await ask(connection, b"GET /ping HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 500")
        assert memory[0] == 1
        assert "ERROR the model cannot be loaded" in printed.read_text()
        connection.close()
        await until(lambda: not runs(pid))

    run(test)


def test_a_process_that_is_killed_is_gone_and_the_others_are_not(run, tmp_path):
    async def test(processes):
        (one, first, *_), (other, second, *_) = [await launch(processes, tmp_path) for _ in range(2)]
        processes.kill(one)
        await until(lambda: not runs(one))
        assert await asyncio.get_running_loop().sock_recv(first, 1) == b""
        assert b"HTTP" in await ask(second, b"GET /ping HTTP/1.1\r\n\r\n")
        processes.kill(one)  # once more, which may be another's pid by now
        processes.kill(os.getpid())  # no process of the template's
        assert b"HTTP" in await ask(second, b"GET /ping HTTP/1.1\r\n\r\n")
        assert runs(other)
        for each in (first, second):
            each.close()

    run(test)


@pytest.mark.parametrize(("text", "status"), [("exit 3", 3), ("kill -9 $$", -9), ("exit 0", 0)])
def test_who_has_a_program_run_learns_how_it_ended(run, tmp_path, text, status):
    async def test(processes):
        _, ended = await program(processes, tmp_path, text)
        assert await ended == status

    run(test)


def test_a_program_has_the_environment_it_is_given_and_nothing_else(run, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the user's")

    async def test(processes):
        _, ended = await program(processes, tmp_path, "echo $1; env", {"PATH": "/bin:/usr/bin", "OWN": "1"})
        assert await ended == 0
        first, *rest = (tmp_path / "printed").read_text().splitlines()
        assert first == "serve"
        assert {line.partition("=")[0] for line in rest} - {"PWD", "SHLVL", "_"} == {"PATH", "OWN"}  # a shell's own

    run(test)


def test_a_program_that_does_not_end_when_asked_is_made_to_with_all_it_has_started(run, tmp_path):
    async def test(processes):
        pid, ended = await program(processes, tmp_path, "trap '' TERM; sleep 600 & echo $!; wait; wait")
        await until((tmp_path / "printed").read_text)
        child = int((tmp_path / "printed").read_text())
        processes.terminate(pid, 0.1)
        assert await ended == -9
        await until(lambda: not runs(child))

    run(test)


def test_one_that_ends_when_asked_is_not_killed(run, tmp_path):
    async def test(processes):
        pid, ended = await program(processes, tmp_path, "trap 'exit 7' TERM; echo up; while :; do sleep 0.02; done")
        await until(lambda: "up" in (tmp_path / "printed").read_text())
        processes.terminate(pid, 30)
        assert await ended == 7

    run(test)


def test_who_gives_up_while_a_process_is_started_leaves_none(run, tmp_path):
    async def test(processes):
        os.kill(processes._process.pid, signal.SIGSTOP)
        launching = asyncio.ensure_future(launch(processes, tmp_path))
        await asyncio.sleep(0.02)
        launching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await launching
        os.kill(processes._process.pid, signal.SIGCONT)
        pid, connection, *_ = await launch(processes, tmp_path)  # which is forked after the one nobody wants
        children = Path(f"/proc/{processes._process.pid}/task/{processes._process.pid}/children")
        await until(lambda: children.read_text().split() == [str(pid)])
        connection.close()

    run(test)


def test_a_template_that_dies_is_replaced_and_who_waited_for_it_is_told(run, tmp_path):
    async def test(processes):
        first = processes._process
        pid, ended = await program(processes, tmp_path, "sleep 600 & echo $!; wait")
        await until((tmp_path / "printed").read_text)
        child = int((tmp_path / "printed").read_text())
        os.kill(first.pid, signal.SIGSTOP)
        launching = asyncio.ensure_future(launch(processes, tmp_path))
        await asyncio.sleep(0.02)
        os.kill(first.pid, signal.SIGKILL)
        with pytest.raises(ConnectionError, match="the template process ended"):
            await launching
        assert await ended == -signal.SIGKILL
        await until(lambda: not runs(pid) and not runs(child))
        first.wait()
        worker, connection, *_ = await launch(processes, tmp_path)
        assert runs(worker)
        connection.close()

    run(test)


def test_a_template_that_cannot_be_started_leaves_no_socket_open(monkeypatch):
    made = []
    pair = socket.socketpair
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    monkeypatch.setattr(socket, "socketpair", lambda: made.extend(pair()) or made)
    with pytest.raises(FileNotFoundError):
        Processes().start()
    assert [each.fileno() for each in made] == [-1, -1]


def test_a_stop_ends_every_process(tmp_path):
    async def main():
        processes = Processes()
        pid, connection, *_ = await launch(processes, tmp_path)  # which starts the template, too
        other, _ = await program(processes, tmp_path, "exec sleep 600")
        processes.stop()
        await until(lambda: not runs(pid) and not runs(other))
        connection.close()
        processes.stop()  # twice is once

    asyncio.run(main())


def test_a_template_knows_nothing_of_the_users_credentials(run, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the user's")

    async def test(processes):
        told = environment(processes._process.pid)
        assert b"PATH=" in told
        assert b"AWS" not in told

    run(test)


def test_a_template_that_does_not_end_in_time_is_made_to(tmp_path):
    with running(tmp_path, changed={"processes.STOP_SECONDS": 0.2}) as engine:
        engine.serve("e")
        template, workers = engine.template, engine.workers
        os.kill(template, signal.SIGSTOP)
        assert engine.stop() == 0
        enginekit.until(lambda: not any(map(runs, [template, *workers])))
    assert "Traceback" not in (tmp_path / "stderr.log").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="what ends first is Linux's own way")
def test_when_memory_runs_out_a_worker_ends_before_the_engine(tmp_path):
    with running(tmp_path) as engine:
        engine.serve("e")
        scores = [int(Path(f"/proc/{pid}/oom_score").read_text()) for pid in (*engine.workers, engine.process.pid)]
        assert scores[0] > scores[1]
