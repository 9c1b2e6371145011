"""What the instances of an endpoint print, out of CloudWatch Logs: the streams of all instances, merged by time.

An endpoint's group is `/aws/sagemaker/Endpoints/<endpoint>`, an instance's stream `<variant>/<instance>`, to which a
pipeline adds the container.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.connection import call
from sm_magics.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sm_magics.clock import Clock
    from sm_magics.connection import Connection

__all__ = ["GROUP_PREFIX", "MOST_LINES", "Entry", "Log", "Printed", "plain"]

GROUP_PREFIX = "/aws/sagemaker/Endpoints/"
MOST_LINES = 10_000  # that GetLogEvents gives at once; following keeps as many
MOST_STREAMS = 50  # that are read: those written last
PAUSE = 1.0  # seconds between looks while following
LOOK_BACK = 30_000  # milliseconds: an instance's lines may arrive that much later than another's
_KNOWN = 1_000  # lines that following reads first, to tell what is new
_PING = re.compile(r"\bGET /ping(\?\S*)?( HTTP/[\d.]+)?\"? +2\d\d\b")  # as servers log a request, answered well
_STYLES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\))")  # colours, links, titles
# What moves a cursor or turns the direction of writing: a line that has it can look like another one.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line that an instance printed; `time` in milliseconds since the epoch."""

    variant: str
    instance: str
    text: str
    time: int


@dataclass(frozen=True, slots=True)
class Printed:
    """What following has seen so far, and what of it is new since the look before."""

    entries: tuple[Entry, ...]
    new: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Log:
    """The log of an endpoint, or of one variant of it; maybe without the health checks that were answered (`pings`)."""

    connection: Connection
    endpoint: str
    variant: str | None = None
    pings: bool = True

    @property
    def group(self) -> str:
        """The name of the endpoint's log group."""
        return GROUP_PREFIX + self.endpoint

    def streams(self) -> list[str]:
        """Return the names of the streams, the one written last first; none where nothing was printed yet.

        Raises
        ------
        ServiceError
            When the logs may not be read.
        """
        found = sorted(self._found(), key=lambda each: each.get("lastEventTimestamp", each.get("creationTime", 0)))
        return [each["logStreamName"] for each in reversed(found)]

    def newest(self) -> str | None:
        """Return the name of the stream that began last: of the instance that was started last, if it printed anything.

        Raises
        ------
        ServiceError
            When the logs may not be read.
        """
        found = max(
            self._found(), key=lambda each: each.get("firstEventTimestamp", each.get("creationTime", 0)), default=None
        )
        return None if found is None else str(found["logStreamName"])

    def last(self, stream: str, lines: int) -> list[Entry]:
        """Return the last lines of one stream, the oldest first.

        Raises
        ------
        ServiceError
            When the stream is not there, or may not be read.
        """
        client = self.connection.client("logs")
        request: dict[str, Any] = {"logGroupName": self.group, "logStreamName": stream, "limit": lines}
        found: list[Entry] = []
        read = 0
        while True:
            answer = call(client, "GetLogEvents", **request)
            read += len(answer["events"])
            found = [*self._entries((stream, each) for each in answer["events"]), *found]
            before = answer.get("nextBackwardToken")
            at_the_beginning = before in {None, request.get("nextToken")}  # where it repeats
            if len(found) >= lines or at_the_beginning or read >= MOST_LINES:
                return found[-lines:]
            request |= {"nextToken": before, "limit": MOST_LINES}

    def tail(self, lines: int) -> tuple[Entry, ...]:
        """Return the last lines of all instances together, in the order of their times.

        Raises
        ------
        ServiceError
            When the logs may not be read.
        """
        found = [entry for name in self.streams()[:MOST_STREAMS] for entry in self.last(name, lines)]
        return tuple(sorted(found, key=lambda entry: entry.time)[-lines:])

    def follow(self, lines: int, clock: Clock, timeout: float) -> Iterator[Printed]:
        """Yield the last lines and then, at every look until `timeout` seconds are over, what was printed since.

        Raises
        ------
        ServiceError
            When the logs may not be read.
        """
        ends = clock.now() + timeout
        known = self.tail(max(lines, _KNOWN))
        seen = Counter(known)
        floor = known[0].time if len(known) >= _KNOWN else -1  # what is older was left out, and is not new
        newest = known[-1].time if known else 0
        kept = deque(known[-lines:], maxlen=MOST_LINES)
        yield Printed(tuple(kept), tuple(kept))
        while (left := ends - clock.now()) > 0:
            clock.sleep(min(PAUSE, left))
            start = max(floor + 1, newest - LOOK_BACK, 0)
            found = Counter(self._since(start))
            new = sorted((found - seen).elements(), key=lambda entry: entry.time)
            seen = found | Counter({entry: times for entry, times in seen.items() if entry.time >= start})
            newest = max([newest, *(entry.time for entry in new)])
            kept.extend(new)
            yield Printed(tuple(kept), tuple(new))

    def _since(self, start: int) -> Iterator[Entry]:
        """Yield all lines from a time on (milliseconds since the epoch)."""
        try:
            for page in self._pages("FilterLogEvents", startTime=start, **self._of_variant()):
                yield from self._entries((each["logStreamName"], each) for each in page["events"])
        except ServiceError as error:
            if not _is_missing(error):
                raise

    def _found(self) -> list[Mapping[str, Any]]:
        try:
            pages = list(self._pages("DescribeLogStreams", **self._of_variant()))
        except ServiceError as error:
            if _is_missing(error):
                return []
            raise
        return [each for page in pages for each in page["logStreams"]]

    def _entries(self, events: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[Entry]:
        for stream, event in events:
            if self.pings or not _PING.search(event["message"]):
                yield _entry(stream, event)

    def _pages(self, operation: str, **request: Any) -> Iterator[Any]:
        client = self.connection.client("logs")
        while True:
            answer = call(client, operation, logGroupName=self.group, **request)
            yield answer
            if not answer.get("nextToken"):
                return
            request["nextToken"] = answer["nextToken"]

    def _of_variant(self) -> dict[str, str]:
        return {} if self.variant is None else {"logStreamNamePrefix": f"{self.variant}/"}


def plain(text: str) -> str:
    """Return what an instance printed without what only a terminal obeys."""
    return _CONTROLS.sub("", _STYLES.sub("", text)).expandtabs()


def _entry(stream: str, event: Mapping[str, Any]) -> Entry:
    variant, _, instance = stream.partition("/")
    return Entry(variant, instance, event["message"].rstrip(), event.get("timestamp", 0))


def _is_missing(error: ServiceError) -> bool:
    return error.code == "ResourceNotFoundException"
