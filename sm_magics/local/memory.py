"""Memory that only starting needed: given back, and what stays kept out of the garbage collector's way."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

__all__ = ["settle"]


def settle() -> None:
    """Give back what is free, and have the collector pass over what is here by now; processes forked later share it."""
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # only glibc keeps what is free until it is told to
            ctypes.CDLL(None).malloc_trim(0)
