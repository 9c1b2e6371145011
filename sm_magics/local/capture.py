"""Data capture: what an endpoint was asked and answered, sampled, as lines of JSON in files of the service's layout.

A request that is captured costs the data plane one append. Everything else - encoding, directories, disk - is done by
a thread, some seconds later, and nothing that goes wrong there reaches a client. A file appears whole or not at all.
Source: the SageMaker developer guide, "Capture data from real-time endpoint".
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sm_magics.local.router import Shares

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from sm_magics.local.instance import Answer

__all__ = ["Capture", "Captures", "Seen", "Types", "line", "seen_in"]

_LOG = logging.getLogger(__name__)
FLUSH_SECONDS = 5.0  # how long a record waits to be written
FLUSH_BYTES = 1 << 20  # of records, which are written at once
MAX_HELD = 32 << 20  # bytes of records that wait for the disk; further ones are dropped
RECORD_BYTES = 600  # that a record holds beside its data
_UNFINISHED = ".part"


class Seen(NamedTuple):
    """One captured invocation; `time` is in seconds since the epoch, a side is None where it is not captured."""

    variant: str
    event_id: str
    time: float
    input: tuple[bytes, bytes] | None  # content type, data
    output: tuple[bytes, bytes] | None
    inference_id: str | None = None
    custom_attributes: str | None = None

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        return RECORD_BYTES + sum(len(side[1]) for side in (self.input, self.output) if side)


@dataclass(frozen=True, slots=True)
class Types:
    """Content types that are kept as text; all others are kept in base64."""

    csv: frozenset[str]
    json: frozenset[str]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Types:
        """Return what a DataCaptureConfig lists."""
        headers = config.get("CaptureContentTypeHeader") or {}
        csv, json_ = headers.get("CsvContentTypes") or (), headers.get("JsonContentTypes") or ()
        return cls(frozenset(map(str.lower, csv)), frozenset(map(str.lower, json_)))

    def encoding(self, content_type: str) -> str:
        """Return the encoding of a content type; its parameters do not count unless they are listed with it."""
        names = {content_type.lower(), content_type.partition(";")[0].strip().lower()}
        return "CSV" if names & self.csv else "JSON" if names & self.json else "BASE64"


def line(seen: Seen, types: Types) -> bytes:
    """Return the line of one invocation, with its end."""
    data = {}
    if seen.input is not None:
        data["endpointInput"] = _side("INPUT", *seen.input, types)
    if seen.output is not None:
        data["endpointOutput"] = _side("OUTPUT", *seen.output, types)
    event: dict[str, Any] = {"eventId": seen.event_id}
    if seen.inference_id is not None:
        event["inferenceId"] = seen.inference_id
    if seen.custom_attributes is not None:
        event["customAttributes"] = [seen.custom_attributes]
    event["inferenceTime"] = datetime.fromtimestamp(seen.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    record = {"captureData": data, "eventMetadata": event, "eventVersion": "0"}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _side(mode: str, content_type: bytes, data: bytes, types: Types) -> dict[str, str]:
    observed = content_type.decode("latin-1")
    encoding = types.encoding(observed)
    try:
        text = data.decode() if encoding != "BASE64" else base64.b64encode(data).decode()
    except UnicodeDecodeError:  # ours: what the service does with a text that is none is not known
        encoding, text = "BASE64", base64.b64encode(data).decode()
    return {"observedContentType": observed, "mode": mode, "data": text, "encoding": encoding}


def seen_in(text: bytes | str) -> dict[str, tuple[str, bytes]]:
    """Return what a captured line holds: content type and data by `INPUT` and `OUTPUT`.

    Raises
    ------
    ValueError
        When it is no such line.
    """
    try:
        sides = json.loads(text)["captureData"].values()
        return {each["mode"]: (each["observedContentType"], _data(each)) for each in sides}
    except (KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ValueError(f"this is no line of captured data: {error!r}") from None


def _data(side: Mapping[str, str]) -> bytes:
    data = side["data"].encode()
    return base64.b64decode(data, validate=True) if side["encoding"] == "BASE64" else data


class Captures:
    """The captures of all fleets: the thread that writes, and which endpoints' data arrives.

    Parameters
    ----------
    place
        Returns the directory that a destination URL means.
    now
        Returns the time in seconds since the epoch.
    new_id
        Makes the ids of events and files.
    """

    def __init__(
        self,
        place: Callable[[str], Path],
        now: Callable[[], float],
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self.place = place
        self.now = now
        self.new_id = new_id
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="capture")
        self.unwritten: set[Capture] = set()  # those that have records which wait
        self._failing: set[str] = set()

    def open(self, endpoint: str, config: Mapping[str, Any] | None, rng: random.Random) -> Capture | None:
        """Return the capture that a DataCaptureConfig asks for, None when it asks for none."""
        if not config or not config.get("EnableCapture", True) or not config["InitialSamplingPercentage"]:
            return None
        return Capture(endpoint, config, self, rng)

    def clean(self, endpoint: str, config: Mapping[str, Any]) -> None:
        """Remove what an engine that was killed had not finished, by the DataCaptureConfig of then."""
        self.thread.submit(self._clean, endpoint, config["DestinationS3Uri"])

    def _clean(self, endpoint: str, url: str) -> None:
        try:
            for each in (self.place(url) / endpoint).glob(f"*/*/*/*/*/.*{_UNFINISHED}"):
                each.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("unfinished files of captured data of %s cannot be removed: %s", endpoint, error)

    def works(self, endpoint: str) -> bool:
        """Whether what is captured of an endpoint is written."""
        return endpoint not in self._failing

    def report(self, endpoint: str, problem: Exception | None) -> None:
        """Learn how the last writing went, or that records were dropped; said once, until it is over."""
        if problem is None:
            self._failing.discard(endpoint)
        elif endpoint not in self._failing:
            self._failing.add(endpoint)
            _LOG.warning("the captured data of %s cannot be written: %s", endpoint, problem)

    async def close(self) -> None:
        """Write all that is left."""
        await asyncio.gather(*(each.close() for each in self.unwritten))
        self.thread.shutdown(wait=True)


class Capture:
    """What one fleet's requests and answers are captured to.

    Its memory is bounded: while the disk does not take them, records wait; when too many wait, new ones are dropped.
    """

    def __init__(self, endpoint: str, config: Mapping[str, Any], captures: Captures, rng: random.Random) -> None:
        percentage = config["InitialSamplingPercentage"]
        modes = {each["CaptureMode"] for each in config["CaptureOptions"]}
        self._input = bool(modes & {"Input", "InputAndOutput"})
        self._output = bool(modes & {"Output", "InputAndOutput"})
        self._endpoint = endpoint
        self._destination: str = config["DestinationS3Uri"]
        self._types = Types.of(config)
        self._captures = captures
        self._shares = Shares({True: percentage, False: 100 - percentage}, rng)
        self._waiting: list[Seen] = []
        self._held = 0
        self._fresh = 0  # bytes that have come since the last writing began
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self.dropped = 0

    def wanted(self) -> bool:
        """Whether the next request is one of the sample."""
        return self._shares.draw()

    def take(self, variant: str, headers: Mapping[bytes, bytes], body: bytes, answer: Answer) -> None:
        """Keep an invocation, to be written soon; whatever goes wrong, who answers it never learns of it."""
        try:
            self._take(variant, headers, body, answer)
        except Exception as error:  # noqa: BLE001 - a record is worth less than an answer
            self._drop(error)

    def _take(self, variant: str, headers: Mapping[bytes, bytes], body: bytes, answer: Answer) -> None:
        inference_id = headers.get(b"x-amzn-sagemaker-inference-id")
        custom = headers.get(b"x-amzn-sagemaker-custom-attributes")
        seen = Seen(
            variant,
            self._captures.new_id(),
            self._captures.now(),
            (headers.get(b"content-type", b""), body) if self._input else None,
            (answer.content_type, answer.body) if self._output else None,
            None if inference_id is None else inference_id.decode("latin-1"),
            None if custom is None else custom.decode("latin-1"),
        )
        if self._held and self._held + seen.size > MAX_HELD:
            self._drop(BufferError("the disk is too slow, records are dropped"))
            return
        self._captures.unwritten.add(self)
        self._waiting.append(seen)
        self._held += seen.size
        self._fresh += seen.size
        if self._fresh >= FLUSH_BYTES:
            self._begin()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._begin)

    def _drop(self, why: Exception) -> None:
        self.dropped += 1
        self._captures.report(self._endpoint, why)

    async def close(self) -> None:
        """Write what is left; what is lost is said. Whoever is cancelled here stops nothing from being written."""
        for _ in range(2):  # one may be under way already
            self._begin()
            while self._writing:  # the end of one may be the begin of the next
                await asyncio.wait([self._writing])
        if self._timer:
            self._timer.cancel()  # of a last try that failed
            self._timer = None
        lost = self.dropped + len(self._waiting)
        if lost:
            _LOG.warning("%d captured records of %s are lost", lost, self._endpoint)
        self._waiting.clear()
        self._held = self._fresh = self.dropped = 0
        self._captures.unwritten.discard(self)
        self._captures.report(self._endpoint, None)

    def _begin(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if self._writing is None and self._waiting:
            self._writing = asyncio.get_running_loop().create_task(self._write())
            self._writing.add_done_callback(self._written)

    def _written(self, _: asyncio.Task[None]) -> None:
        self._writing = None
        if self._fresh >= FLUSH_BYTES:
            self._begin()

    async def _write(self) -> None:
        batch, self._waiting, self._fresh = self._waiting, [], 0
        loop = asyncio.get_running_loop()
        try:
            bad = await loop.run_in_executor(self._captures.thread, self._files, batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, capturing goes on
            self._captures.report(self._endpoint, error)
            self._waiting = batch + self._waiting  # tried again, as long as there is room
        else:
            self._held -= sum(each.size for each in batch)
            self._captures.report(self._endpoint, bad[0] if bad else None)
            self.dropped += len(bad)
        if self._waiting and self._timer is None:
            self._timer = loop.call_later(FLUSH_SECONDS, self._begin)
        elif not self._waiting:
            self._captures.unwritten.discard(self)

    def _files(self, batch: Iterable[Seen]) -> list[Exception]:
        """Write a batch, a file for each variant and hour; what was written before a failure is not kept.

        A record that is none, which would fail again and again, is left out; what was wrong with such is returned.
        """
        groups: dict[str, list[tuple[Seen, bytes]]] = {}
        bad: list[Exception] = []
        for each in batch:
            try:
                hour = datetime.fromtimestamp(each.time, UTC).strftime("%Y/%m/%d/%H")
                written = each, line(each, self._types)
            except Exception as error:  # noqa: BLE001 - it must not keep the others from being written
                bad.append(error)
            else:
                groups.setdefault(f"{self._endpoint}/{each.variant}/{hour}", []).append(written)
        root = self._captures.place(self._destination)
        made: list[Path] = []
        try:
            for folder, group in groups.items():
                made.append(self._file(root / folder, group))
        except BaseException:
            for each_file in made:  # the whole batch is written again
                each_file.unlink(missing_ok=True)
            raise
        return bad

    def _file(self, folder: Path, group: list[tuple[Seen, bytes]]) -> Path:
        first = datetime.fromtimestamp(group[0][0].time, UTC)
        name = f"{first:%M-%S}-{first.microsecond // 1000:03d}-{self._captures.new_id()}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f".{name}{_UNFINISHED}"
        try:
            with scratch.open("wb") as file:
                file.writelines(text for _, text in group)
                file.flush()
                os.fsync(file.fileno())
            return scratch.rename(folder / name)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
