"""What the instances print: kept in one file per log stream, and offered through the calls of CloudWatch Logs.

A group is `/aws/sagemaker/Endpoints/<endpoint>`, a stream `<variant>/<instance id>`, as on AWS. Each line of a
file is the time in milliseconds, a tab, and what was printed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.local.lifecycle import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from sm_magics.local.awsjson import Operations

__all__ = ["GROUP_PREFIX", "LogStream", "Logs"]

_LOG = logging.getLogger(__name__)
GROUP_PREFIX = "/aws/sagemaker/Endpoints/"
MAX_FILE = 8 * 1024 * 1024  # bytes of one stream; the older half goes when it is full
# What is over is kept for the look back at a rollout that went wrong, which comes within days, not for ever as
# CloudWatch does: this disk is the user's, and 64 MB are some hundred thousand lines.
KEPT_SECONDS = 7 * 24 * 3600.0  # after its last line, the log of an endpoint that is gone
KEPT_BYTES = 64 * 1024 * 1024  # of all those together; the oldest goes first
KEPT_STREAMS = 100  # of instances that have ended, of each endpoint: one that cannot start is tried thousands of times
MAX_LINE = 256 * 1024  # CloudWatch's limit of one event
_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Event:
    """One line that was printed, when (milliseconds since the epoch), and where."""

    stream: str
    time: int
    text: str


class LogStream:
    """One instance's log: a pipe to print into and the file behind it."""

    def __init__(self, path: Path, now: Callable[[], float], opened: set[Path]) -> None:
        self._path = path
        self._opened = opened  # the files that something prints into
        self._now = now
        self._rest = b""
        self._failing = False
        self._to_disk(b"")

    def open_pipe(self) -> int:
        """Return the descriptor of a new pipe whose lines end up in the log; the caller closes it."""
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        self._opened.add(self._path)
        asyncio.get_running_loop().add_reader(read_end, self._drain, read_end)
        return write_end

    def write(self, text: str) -> None:
        """Add lines of the engine's own."""
        stamp = b"%d\t" % (self._now() * 1000)
        self._to_disk(b"".join(stamp + line[:MAX_LINE] + b"\n" for line in text.encode().splitlines()))

    def _to_disk(self, lines: bytes) -> None:
        """Add to the file. A disk that takes nothing costs these lines: a log is never a reason to fail."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(lines)
                size = file.tell()
            if size > MAX_FILE:
                self._halve()
        except OSError as error:
            if not self._failing:
                _LOG.warning("the log %s cannot be written: %s", self._path, error)
            self._failing = True
        else:
            self._failing = False

    def _drain(self, read_end: int) -> None:
        try:
            data = os.read(read_end, 64 * 1024)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data or len(self._rest) > MAX_LINE:
            lines, self._rest = [*lines, self._rest], b""
        if text := b"\n".join(lines).decode(errors="replace").strip("\n"):
            self.write(text)
        if not data:
            asyncio.get_running_loop().remove_reader(read_end)
            os.close(read_end)
            self._opened.discard(self._path)

    def _halve(self) -> None:
        kept = self._path.read_bytes()[MAX_FILE // 2 :]
        self._path.write_bytes(kept.partition(b"\n")[2])


class Logs:
    """The logs of every endpoint, below one directory.

    Parameters
    ----------
    directory
        Holds a folder per endpoint, in it a folder per variant, in it a file per instance.
    arn
        Returns the ARN of a log group by its name.
    now
        Returns the time in seconds since the epoch.
    """

    def __init__(self, directory: Path, arn: Callable[[str], str], now: Callable[[], float]) -> None:
        self._directory = directory
        self._arn = arn
        self._now = now
        self._opened: set[Path] = set()

    def stream(self, endpoint: str, variant: str, instance: str) -> LogStream:
        """Return the log of an instance; made when it is new."""
        return LogStream(self._directory / endpoint / variant / instance, self._now, self._opened)

    async def tidy(self, endpoints: Collection[str]) -> None:
        """Remove the oldest logs of endpoints that are gone, and of each that is there those that ended long ago."""
        await asyncio.to_thread(_remove, [*self._directory.glob(".*")])  # what a kill left half removed
        over, size = [], 0
        for folder in self._folders():
            if folder.name in endpoints:
                ended = [(path.stat().st_mtime, path) for path in folder.glob("*/*") if path not in self._opened]
                for _, path in sorted(ended, reverse=True)[KEPT_STREAMS:]:
                    path.unlink()
            elif not any(folder in path.parents for path in self._opened):
                found = [path.stat() for path in (folder, *folder.glob("*/*"))]
                over.append((max(each.st_mtime for each in found), sum(each.st_size for each in found), folder))
        gone = []
        for last, own, folder in sorted(over, reverse=True):
            size += own
            if size > KEPT_BYTES or last < self._now() - KEPT_SECONDS:
                gone.append(folder.rename(folder.with_name(f".{folder.name}")))  # its name may be used again meanwhile
        await asyncio.to_thread(_remove, gone)

    def operations(self) -> Operations:
        """Return the operations by name."""
        return {
            "DescribeLogGroups": self.describe_groups,
            "DescribeLogStreams": self.describe_streams,
            "FilterLogEvents": self.filter_events,
            "GetLogEvents": self.get_events,
        }

    async def describe_groups(self, request: dict[str, Any]) -> dict[str, Any]:
        prefix = request.get("logGroupNamePrefix", "")
        names = sorted(GROUP_PREFIX + path.name for path in self._folders())
        return {"logGroups": [{"logGroupName": n, "arn": self._arn(n)} for n in names if n.startswith(prefix)]}

    async def describe_streams(self, request: dict[str, Any]) -> dict[str, Any]:
        prefix = request.get("logStreamNamePrefix", "")
        group = request.get("logGroupName", "")
        rows: list[dict[str, Any]] = [
            {
                "logStreamName": name,
                "arn": f"{self._arn(group)}:log-stream:{name}",
                **_began(path),
                "lastEventTimestamp": int(path.stat().st_mtime * 1000),
            }
            for name, path in self._streams(group)
            if name.startswith(prefix)
        ]
        if request.get("orderBy") == "LastEventTime":
            rows.sort(key=lambda row: row["lastEventTimestamp"])
        if request.get("descending"):
            rows.reverse()
        start = _offset(request.get("nextToken"))
        end = start + request.get("limit", 50)
        return {"logStreams": rows[start:end], "nextToken": str(end) if end < len(rows) else None}

    async def filter_events(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("logStreamNames")
        prefix = request.get("logStreamNamePrefix", "")
        pattern = request.get("filterPattern", "").strip('"')
        found = [
            event
            for name, path in self._streams(request.get("logGroupName", ""))
            if name.startswith(prefix) and (wanted is None or name in wanted)
            for event in _events(name, path)
            if request.get("startTime", 0) <= event.time <= request.get("endTime", event.time)
            and all(word in event.text for word in pattern.split())
        ]
        found.sort(key=lambda event: event.time)
        start = _offset(request.get("nextToken"))
        end = start + request.get("limit", _PAGE)
        return {
            "events": [
                {
                    "logStreamName": event.stream,
                    "timestamp": event.time,
                    "message": event.text,
                    "ingestionTime": event.time,
                    "eventId": f"{number:056d}",
                }
                for number, event in enumerate(found[start:end], start)
            ],
            "searchedLogStreams": [],
            "nextToken": str(end) if end < len(found) else None,
        }

    async def get_events(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["logStreamName"]
        streams = dict(self._streams(request.get("logGroupName", "")))
        if name not in streams:
            raise _missing("stream")
        events = [
            event
            for event in _events(name, streams[name])
            if request.get("startTime", 0) <= event.time < request.get("endTime", event.time + 1)
        ]
        size = request.get("limit", _PAGE)
        token = request.get("nextToken")
        if token and token.startswith("b/"):
            end = min(len(events), _offset(token[2:]))
            start = max(0, end - size)
        else:
            latest = 0 if request.get("startFromHead") else max(0, len(events) - size)
            start = _offset(token[2:]) if token else latest
            end = min(len(events), start + size)
        return {
            "events": [{"timestamp": e.time, "message": e.text, "ingestionTime": e.time} for e in events[start:end]],
            "nextForwardToken": f"f/{end}",
            "nextBackwardToken": f"b/{start}",
        }

    def _folders(self) -> list[Path]:
        found = self._directory.iterdir() if self._directory.is_dir() else ()
        return [path for path in found if path.is_dir() and not path.name.startswith(".")]

    def _streams(self, group: str) -> list[tuple[str, Path]]:
        endpoint = group.removeprefix(GROUP_PREFIX)
        for folder in self._folders():
            if folder.name == endpoint:
                return [(f"{p.parent.name}/{p.name}", p) for p in sorted(folder.glob("*/*"))]
        raise _missing("group")


def _remove(folders: Iterable[Path]) -> None:
    for each in folders:
        shutil.rmtree(each, ignore_errors=True)


def _missing(what: str) -> Refused:
    return Refused(f"The specified log {what} does not exist.", "ResourceNotFoundException")


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isdigit():
        raise Refused("The specified nextToken is invalid.", "InvalidParameterException")
    return int(token)


def _began(path: Path) -> dict[str, int]:
    """Return when a stream began: with the first line that is kept of it, where there is one."""
    with path.open(encoding="utf-8", errors="replace") as file:
        time, tab, _ = file.readline(MAX_LINE).partition("\t")
    if not tab:
        return {"creationTime": int(path.stat().st_ctime * 1000)}
    return {"creationTime": int(time), "firstEventTimestamp": int(time)}


def _events(name: str, path: Path) -> Iterator[Event]:
    for line in path.read_text(errors="replace").split("\n"):
        time, tab, text = line.partition("\t")
        if tab:
            yield Event(name, int(time), text)
