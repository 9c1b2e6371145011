"""Time as waiting sees it, so that a test can give it other hands."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock"]


class Clock(NamedTuple):
    """What time it is, and how to let it pass, in seconds."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
