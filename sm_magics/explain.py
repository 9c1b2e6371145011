"""Why a deployment failed: the variant that the service names, and what its container printed last."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from sm_magics.errors import ServiceError
from sm_magics.logs import Log, plain
from sm_magics.spec.keys import LATENCIES
from sm_magics.watch import described, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sm_magics.connection import Connection

__all__ = ["LogTail", "failing_variant", "left_over", "log_tail", "rung"]

TAIL_LINES = 6
MOST_READ = 1_000  # lines, to count those that are alike
MOST_SHOWN = 400  # characters of a line
_UNIT = " (in microseconds)"  # which CloudWatch's reason for a latency does not say
_CLOCK = re.compile(r"(\d{4}[-/]\d\d[-/]\d\d[T ]?)?\d\d:\d\d:\d\d([.,]\d+)?")


@dataclass(frozen=True, slots=True)
class LogTail:
    """The last lines that a variant's instances printed, what is alike as one; `stream` is where they stand."""

    stream: str
    lines: tuple[str, ...]


def failing_variant(reason: str) -> str | None:
    """Return the variant that a FailureReason names."""
    found = re.search(r"\bvariant (\S+?)(?:[ .,]|$)", reason)
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
        (each["AlarmName"], each.get("StateReason", "") + (_UNIT if each.get("MetricName", "") in LATENCIES else ""))
        for each in found
        if each.get("StateValue") == "ALARM" or _names(reason, each["AlarmName"])
    ]


def _names(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w/-]){re.escape(name)}(?![\w/-])", text) is not None


def left_over(connection: Connection, endpoint: str, config: str | None) -> list[str]:
    """Return what is there of a config that an endpoint did not come to serve: itself, and the models of it alone."""
    try:
        used = parts(connection, endpoint)
        made = connection.describe("EndpointConfig", config) if config and config not in used else None
    except ServiceError:
        return []  # no reason to fail either
    variants = (*made["ProductionVariants"], *(made.get("ShadowProductionVariants") or ())) if made else ()
    models = dict.fromkeys(each["ModelName"] for each in variants if each.get("ModelName", "") not in {"", *used})
    return [f"endpoint config {config}", *(f"model {each}" for each in models)] if made else []


def log_tail(connection: Connection, endpoint: str, variant: str | None) -> LogTail | None:
    """Return the last lines of the newest log stream of a variant (of any, for None); None when there is no log.

    A log is a help, never a reason to fail: where it cannot be read, there is none.
    """
    log = Log(connection, endpoint, variant, pings=False)
    try:
        name = log.newest()
        lines = [plain(each.text) for each in log.last(name, MOST_READ)] if name is not None else []
    except ServiceError:
        return None
    return LogTail(f"{log.group}/{name}", _folded(lines)[-TAIL_LINES:]) if lines else None


def _folded(lines: Sequence[str]) -> tuple[str, ...]:
    """Return lines cut to what can be read; those that follow each other and differ in clock times only are one."""
    groups = [list(group) for _, group in groupby(lines, key=lambda line: _CLOCK.sub("", line))]
    whole = len(lines) < MOST_READ  # otherwise there may be more of the first
    return tuple(_told(group[-1], len(group), whole=whole or at > 0) for at, group in enumerate(groups))


def _told(line: str, times: int, *, whole: bool) -> str:
    cut = line if len(line) <= MOST_SHOWN else f"{line[: MOST_SHOWN - 1]}…"
    return cut if times == 1 else f"{cut} ({times} times{'' if whole else ' or more'})"
