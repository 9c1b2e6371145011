"""Durations and shares as people write them: `5m`, `200ms`, `10%`."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["duration", "percentage", "seconds"]

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|m|h|d)")
_PERCENTAGE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*%")


def seconds(value: Any) -> float | None:
    """Return a duration such as `200ms`, `5m` or `1.5h` in seconds, None for what is none."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return round(float(found[1]) * _SECONDS[found[2]], 9) if found else None


def duration(amount: float) -> str:
    """Return seconds as the shortest duration that `seconds` reads as the same."""
    if amount > _SECONDS["d"] and amount % _SECONDS["d"] == 0:
        return f"{amount / _SECONDS['d']:.0f}d"
    for unit in ("h", "m", "s"):
        if amount and amount % _SECONDS[unit] == 0:
            return f"{amount / _SECONDS[unit]:.0f}{unit}"
    if amount >= 1:
        return f"{amount:.15g}s"
    return f"{round(amount * 1000, 6):.10g}ms" if amount else "0s"


def percentage(value: Any) -> float | None:
    """Return the number in `10%`, None for what is none."""
    found = _PERCENTAGE.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) if found else None
