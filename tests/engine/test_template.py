"""The end of a worker, in a forked child as the template makes it."""

from __future__ import annotations

import os
import socket
import tempfile
from types import SimpleNamespace

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
