"""The end of a worker, in a forked child as the template makes it, and the end of a template."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from enginekit import runs, until

from sm_magics.local.template import Template

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"


def test_a_worker_whose_engine_goes_away_ends_without_a_complaint(tmp_path, capfd):
    ours, theirs = socket.socketpair()
    theirs.sendall(b"an answer that nobody has read")
    ours.close()
    with tempfile.TemporaryFile() as shared:
        shared.truncate(8)
        pid = os.fork()
        if pid == 0:
            order = {"environment": {}, "directory": str(tmp_path), "image": IMAGE}
            Template._become_worker(SimpleNamespace(_leave=lambda _: None), order, theirs.fileno(), 1, shared.fileno())
        _, status = os.waitpid(pid, 0)
    theirs.close()
    assert os.waitstatus_to_exitcode(status) == 0
    assert "Traceback" not in capfd.readouterr().err


def test_a_template_whose_engine_is_killed_ends_its_programs_and_what_they_started(tmp_path, capfd):
    script = tmp_path / "serve.sh"
    script.write_text("#!/bin/sh\nsleep 600 & echo $! > started; wait\n")
    script.chmod(0o755)
    ours, theirs = socket.socketpair()
    with theirs:
        template = subprocess.Popen([sys.executable, "-P", "-m", "sm_magics.local.template"], stdin=theirs.fileno())
    order = {"run": {"id": 0, "command": str(script), "environment": {"PATH": os.environ["PATH"]}}}
    with Path(os.devnull).open("wb") as log:
        socket.send_fds(ours, [json.dumps(order).encode() + b"\n"], [log.fileno()])
    started = tmp_path / "started"
    until(lambda: started.exists() and started.read_text().strip())
    ours.close()  # with what the template has said unread, as the kernel does for an engine that is killed
    assert template.wait(20) == 0
    until(lambda: not runs(int(started.read_text())))
    assert "Traceback" not in capfd.readouterr().err
