"""Why a deployment failed: the service's reason, what the failing container printed, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sm_magics.connection import call
from sm_magics.errors import ServiceError

if TYPE_CHECKING:
    from sm_magics.connection import Connection

__all__ = ["LogTail", "advice", "failing_variant", "log_tail"]

LOG_GROUP = "/aws/sagemaker/Endpoints/"
TAIL_LINES = 6
_ADVICE = (
    ("did not pass the ping health check", "the container started but cannot serve the model; its log says why"),
    ("Failed to download model data", "check that the artifact exists and that the role may read it"),
    ("Failed to extract model data", "make the artifact a gzip-compressed tar of plain files, without links"),
    ("InsufficientInstanceCapacity", "AWS has none of these instances free: try another instance type, or later"),
    ("account-level service limit", "ask for more in Service Quotas, or use fewer or other instances"),
    ("CannotStartContainerError", "the image does not start with 'serve'; check its entry point"),
    ("images included in the model", "check the image and that the role may pull it"),
    ("is not authorized", "the role or your credentials lack a permission that the message names"),
)


@dataclass(frozen=True, slots=True)
class LogTail:
    """The last lines that a variant's instances printed; `stream` is where they stand."""

    stream: str
    lines: tuple[str, ...]


def advice(reason: str) -> str | None:
    """Return what to do about a failure, None when the reason says nothing that we know."""
    return next((text for part, text in _ADVICE if part in reason), None)


def failing_variant(reason: str) -> str | None:
    """Return the variant that a FailureReason names."""
    found = re.search(r"production variant (\S+?)[ .,]", reason)
    return found[1] if found else None


def log_tail(connection: Connection, endpoint: str, variant: str | None) -> LogTail | None:
    """Return the last lines of the newest log stream of a variant (of any, for None); None when there is no log.

    A log is a help, never a reason to fail: where it cannot be read, there is none.
    """
    logs = connection.client("logs")
    group = LOG_GROUP + endpoint
    prefix = {"logStreamNamePrefix": f"{variant}/"} if variant else {}
    try:
        streams = call(logs, "DescribeLogStreams", logGroupName=group, **prefix)["logStreams"]
        if not streams:
            return None
        newest = max(streams, key=lambda each: each.get("lastEventTimestamp", each.get("creationTime", 0)))
        name = newest["logStreamName"]
        events = call(logs, "GetLogEvents", logGroupName=group, logStreamName=name, limit=TAIL_LINES)["events"]
    except ServiceError:
        return None
    lines = tuple(each["message"].rstrip() for each in events)
    return LogTail(f"{group}/{name}", lines) if lines else None
