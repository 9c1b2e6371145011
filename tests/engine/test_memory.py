"""What only starting needed is given back."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

import pytest

from sm_magics.local import memory


@pytest.fixture(autouse=True)
def thawed():
    """Leave the collector as it was."""
    yield
    gc.unfreeze()


def test_what_is_here_is_kept_out_of_the_collectors_way():
    before = gc.get_freeze_count()
    kept = [[] for _ in range(5000)]
    memory.settle()
    assert gc.get_freeze_count() >= before + len(kept)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps what is free")
def test_free_memory_goes_back_to_the_system():
    held = [bytes(50_000) for _ in range(2000)]  # from the heap: larger ones are mapped by themselves
    pinned = bytes(50_000)  # above them, so that they are free and stay
    del held
    before = resident()
    memory.settle()
    assert resident() < before - 50_000_000
    assert pinned


def resident():
    """Return the bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_a_c_library_without_trimming_is_none_to_fail_of(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    memory.settle()
