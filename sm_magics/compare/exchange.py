"""What is sent to an endpoint and what comes back, as plain data.

What a container answers, CSV or JSON, becomes a number where it is one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.rows import csv_line, each_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sm_magics.errors import ServiceError

__all__ = ["Answer", "Outcome", "Prediction", "Request", "Target", "prediction_of", "requests_of"]

CSV = "text/csv"
Prediction = float | str | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """What is invoked and how: an endpoint, maybe one variant of it, and the types of request and answer."""

    endpoint: str
    variant: str | None = None
    content_type: str = CSV
    accept: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a target: a number to know its outcome by, its body, the variant where not the target's own.

    `inference_id` goes into what data capture keeps.
    """

    number: int
    body: bytes
    variant: str | None = None
    inference_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the body as text, its type, the variant that answered, and how long it took in ms."""

    body: str
    content_type: str
    variant: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    Attributes
    ----------
    request
        What was sent.
    variant
        Who answered, as the service says; empty where it does not.
    status
        Of HTTP; 0 where there was no answer.
    body, content_type
        The answer.
    seconds
        How long the last attempt took, from sending over a connection that is there to the last byte.
    latency
        How long the request took: from the moment it was due, which is before it was sent where all connections were
        busy, over all attempts and the waiting between them.
    attempts
        How often it was sent.
    refusal
        Why it failed, the very error that a boto3 call would have led to; None when it did not.
    """

    request: Request
    variant: str
    status: int
    body: bytes
    content_type: str
    seconds: float
    latency: float
    attempts: int
    refusal: ServiceError | None = None

    @property
    def number(self) -> int:
        """The number of the request."""
        return self.request.number

    @property
    def error(self) -> str | None:
        """Why it failed in a few words, None when it did not."""
        return None if self.refusal is None else f"{self.refusal.code}: {self.refusal.message}"

    def answer(self) -> Answer:
        """Return what came back, as text.

        Raises
        ------
        ServiceError
            When the request failed.
        """
        if self.refusal is not None:
            raise self.refusal
        return Answer(self.body.decode(errors="replace"), self.content_type, self.variant, self.seconds * 1000)


def requests_of(data: Any, serialize: Callable[[Sequence[Any]], bytes] = csv_line) -> Iterator[Request]:
    """Yield a request for each row of a frame, an array, a sparse matrix or an iterator, numbered from 0.

    Raises
    ------
    CellError
        As `sm_magics.rows.each_row`.
    """
    return (Request(number, serialize(row)) for number, row in enumerate(each_row(data)))


def prediction_of(answer: Answer) -> Prediction:
    """Return what a container predicted for one row: its label where it gives one, else its score."""
    text = answer.body.strip()
    if "json" in answer.content_type:
        try:
            return _from_json(json.loads(text.splitlines()[0] if "jsonlines" in answer.content_type else text))
        except (ValueError, LookupError, TypeError):
            return text
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        return text
    return values[0] if len(values) == 1 else values


def _from_json(found: Any) -> Prediction:
    first = found["predictions"][0] if isinstance(found, dict) and "predictions" in found else found
    if isinstance(first, dict):
        first = first["predicted_label"] if "predicted_label" in first else first["score"]
    while isinstance(first, list) and len(first) == 1:
        first = first[0]
    if isinstance(first, str):
        return first
    return tuple(float(each) for each in first) if isinstance(first, list) else float(first)
