"""Comparing without sending anything: captured requests, joined with what turned out to be true by InferenceId."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from sm_magics.compare.exchange import Answer
from sm_magics.compare.experiment import Run
from sm_magics.compare.known import measured_by
from sm_magics.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sm_magics.compare.exchange import Prediction
    from sm_magics.compare.experiment import Design

__all__ = ["from_capture", "truths_by_id"]

VARIANT_FROM_END = -6  # of a file's path: variant/year/month/day/hour/file


def from_capture(design: Design, files: Iterable[tuple[str, bytes]], truths: Mapping[str, Any]) -> Run:
    """Return what captured requests show; the place of a row is the order in which its InferenceId was met first.

    Parameters
    ----------
    files
        The names and the contents of captured files, in the service's layout and JSON lines.
    truths
        What is true, by InferenceId.

    Raises
    ------
    CellError
        When no captured request is one that a truth is known of, or a truth is one that nothing can be `measured_by`.
    """
    ids: dict[str, int] = {}
    found: list[tuple[str, int, Prediction]] = []
    seen = without = 0
    for name, content in files:
        variant = name.split("/")[VARIANT_FROM_END]
        for event, answer in _events(content, variant):
            seen += 1
            without += event is None
            if event in truths and variant in design.weights:
                found.append((variant, ids.setdefault(str(event), len(ids)), design.parse(answer)))
    if not found:
        raise CellError(_nothing(design, seen, without))
    numbers = design.measure is not None and design.measure.numbers
    names = list(ids)
    known = measured_by([truths[each] for each in names], lambda at: f"InferenceId '{names[at]}'", numbers=numbers)
    made = Run(design, truths=known)
    taken: set[tuple[str, int]] = set()
    for variant, place, prediction in found:
        if (variant, place) not in taken:  # an id that was sent again counts once
            taken.add((variant, place))
            made.collected.add(place, variant, prediction, float("nan"))
    made.over = True
    return made


def truths_by_id(target: Any) -> Mapping[str, Any]:
    """Return the truths of a mapping, or of a pandas series whose index are the ids.

    Raises
    ------
    CellError
        When it is neither.
    """
    if len(getattr(target, "columns", ())) == 1:
        target = target.iloc[:, 0]
    if hasattr(target, "items") and not hasattr(target, "columns"):
        return {str(key): value for key, value in target.items()}
    hint = "a pandas Series with the ids as its index, or a dict"
    raise CellError(f"--target takes truths by InferenceId, not a {type(target).__name__}", hint=hint)


def _events(content: bytes, variant: str) -> Iterator[tuple[str | None, Answer]]:
    """Yield the InferenceId and the answer of each captured request that has one."""
    for line in content.decode(errors="replace").splitlines():
        if not line.strip():
            continue
        told = json.loads(line)
        output = told.get("captureData", {}).get("endpointOutput")
        if not output:
            continue
        data = output.get("data", "")
        read: Callable[[str], str] = _base64 if output.get("encoding") == "BASE64" else str
        kind = output.get("observedContentType") or ""
        yield told.get("eventMetadata", {}).get("inferenceId"), Answer(read(data), kind, variant, float("nan"))


def _base64(data: str) -> str:
    return base64.b64decode(data).decode(errors="replace")


def _nothing(design: Design, seen: int, without: int) -> str:
    if not seen:
        told = f"nothing that endpoint '{design.endpoint}' answered was captured yet; a capture is written now and then"
    elif without == seen:
        told = f"none of the {seen:,} captured requests has an InferenceId; send one with each: --inference-id"
    else:
        told = f"none of the {seen:,} captured requests has an InferenceId that --target knows"
    return told
