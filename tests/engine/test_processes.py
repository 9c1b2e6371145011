"""The engine's side of the template."""

from __future__ import annotations

import os
import signal

from enginekit import running, runs, until


def test_a_template_that_does_not_end_in_time_is_made_to(tmp_path):
    with running(tmp_path, changed={"processes.STOP_SECONDS": 0.2}) as engine:
        engine.serve("e")
        template, workers = engine.template, engine.workers
        os.kill(template, signal.SIGSTOP)
        assert engine.stop() == 0
        until(lambda: not any(map(runs, [template, *workers])))
    assert "Traceback" not in (tmp_path / "stderr.log").read_text()
