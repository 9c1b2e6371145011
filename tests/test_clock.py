from __future__ import annotations

from sm_magics.clock import Clock


def test_by_default_time_is_the_machine_s():
    clock = Clock()
    before = clock.now()
    clock.sleep(0.002)
    assert clock.now() - before >= 0.002
