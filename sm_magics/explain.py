"""Why a deployment failed: the variant that the service names, and what its container printed last."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sm_magics.errors import ServiceError
from sm_magics.logs import Log
from sm_magics.watch import described

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sm_magics.connection import Connection

__all__ = ["LogTail", "failing_variant", "log_tail", "rung"]

TAIL_LINES = 6


@dataclass(frozen=True, slots=True)
class LogTail:
    """The last lines that a variant's instances printed; `stream` is where they stand."""

    stream: str
    lines: tuple[str, ...]


def failing_variant(reason: str) -> str | None:
    """Return the variant that a FailureReason names."""
    found = re.search(r"\bvariant (\S+?)[ .,]", reason)
    return found[1] if found else None


def rung(connection: Connection, names: Sequence[str], reason: str) -> list[tuple[str, str]]:
    """Return the alarms that ended a deployment, and why each went off: those in ALARM, or that `reason` names."""
    if not names:
        return []
    try:
        found = described(connection, names)
    except ServiceError:
        found = [{"AlarmName": each} for each in names]  # as far as the reason tells
    return [
        (each["AlarmName"], each.get("StateReason", ""))
        for each in found
        if each.get("StateValue") == "ALARM" or _names(reason, each["AlarmName"])
    ]


def _names(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w/-]){re.escape(name)}(?![\w/-])", text) is not None


def log_tail(connection: Connection, endpoint: str, variant: str | None) -> LogTail | None:
    """Return the last lines of the newest log stream of a variant (of any, for None); None when there is no log.

    A log is a help, never a reason to fail: where it cannot be read, there is none.
    """
    log = Log(connection, endpoint, variant)
    try:
        names = log.streams()
        lines = tuple(each.text for each in log.last(names[0], TAIL_LINES)) if names else ()
    except ServiceError:
        return None
    return LogTail(f"{log.group}/{names[0]}", lines) if lines else None
