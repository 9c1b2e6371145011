from __future__ import annotations

import asyncio

import count
from enginekit import running


def test_no_request_is_lost_or_answered_twice_while_everything_changes(tmp_path):
    with running(tmp_path, changed=count.PATIENT) as engine:
        count.prepare(engine)
        counts, _, changes = asyncio.run(count.count(engine, 5_000))
        assert changes >= len(count.CHANGES)
        assert len(counts.fleets) == len(count.BIASES)
        stopped, _ = asyncio.run(count.stop_in_the_middle(engine))
        assert engine.process.wait(90) == 0
        answers, copies = count.check_captured(engine, counts, stopped)
        assert answers > 0
        assert copies > 0
