"""Sends rows or a payload to an endpoint, one request each, and keeps what came back.

A row goes as CSV, which every built-in container takes; what a container answers, CSV or JSON, becomes a number where
it is one.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.connection import call
from sm_magics.errors import InvokeError, ServiceError
from sm_magics.rows import csv_line, rows_of, unusual, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sm_magics.connection import Connection

__all__ = ["Answer", "Invocations", "Row", "Target", "invoke", "invoke_rows", "prediction_of"]

BAD_REQUEST = 400  # as a container says that it cannot take a row
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
class Answer:
    """What came back: the body as text, its type, the variant that answered, and how long it took in ms."""

    body: str
    content_type: str
    variant: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Row:
    """One row that was sent: its place in the data, what was predicted and what is true, who answered and how fast."""

    number: int
    prediction: Prediction
    truth: Any
    variant: str
    milliseconds: float

    @property
    def error(self) -> float | None:
        """Prediction minus truth, None where either is no number."""
        if isinstance(self.prediction, float) and isinstance(self.truth, int | float):
            return self.prediction - self.truth
        return None


@dataclass(frozen=True, slots=True)
class Invocations:
    """The rows that were sent to an endpoint.

    `weights` are the wanted weights of its variants; `available` is how many rows the data has, where that is known.
    """

    target: Target
    rows: tuple[Row, ...]
    weights: Mapping[str, float]
    available: int | None


def invoke(
    connection: Connection, target: Target, body: bytes, clock: Callable[[], float] = time.perf_counter
) -> Answer:
    """Send one payload.

    Raises
    ------
    InvokeError
        When the endpoint answers with an error.
    """
    options = {"TargetVariant": target.variant, "Accept": target.accept, "ContentType": target.content_type}
    given = {name: value for name, value in options.items() if value}
    client = connection.client("sagemaker-runtime")
    began = clock()
    try:
        answer = call(client, "InvokeEndpoint", EndpointName=target.endpoint, Body=body, **given)
    except ServiceError as error:
        raise _explained(error, target) from error
    text = answer["Body"].read().decode(errors="replace")
    spent = (clock() - began) * 1000
    return Answer(text, answer.get("ContentType", ""), answer.get("InvokedProductionVariant", ""), spent)


def invoke_rows(  # noqa: PLR0913 - what to send, where to, and what is true
    connection: Connection,
    target: Target,
    data: Any,
    *,
    truths: Any = None,
    limit: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Invocations:
    """Send the first `limit` rows of `data`, one request each, in order.

    Raises
    ------
    CellError
        When there are no rows, or fewer truths than rows.
    InvokeError
        When the endpoint answers a row with an error; the message names the row.
    """
    rows = rows_of(data, limit)
    known = [None] * len(rows.first) if truths is None else values_of(truths, len(rows.first))
    described = connection.describe("Endpoint", target.endpoint)
    if described is None:
        raise InvokeError(f"there is no endpoint '{target.endpoint}'", hint="%sm_status shows all endpoints")
    sent = []
    for number, (row, truth) in enumerate(zip(rows.first, known, strict=True)):
        try:
            answer = invoke(connection, target, csv_line(row), clock)
        except InvokeError as error:
            hint = (unusual(data, row) if _refused_by_model(error) else None) or error.hint
            raise InvokeError(f"row {number} ({len(row)} columns): {error.message}", hint=hint) from error
        sent.append(Row(number, prediction_of(answer), truth, answer.variant, answer.milliseconds))
    weights = {each["VariantName"]: each.get("DesiredWeight", 0.0) for each in described.get("ProductionVariants", ())}
    return Invocations(target, tuple(sent), weights, rows.available)


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


def _refused_by_model(error: InvokeError) -> bool:
    """Whether it was the container that did not take the row."""
    return (
        isinstance(error.__cause__, ServiceError) and error.__cause__.response.get("OriginalStatusCode") == BAD_REQUEST
    )


def _explained(error: ServiceError, target: Target) -> InvokeError:
    told = error.response.get("OriginalMessage")
    status = error.response.get("OriginalStatusCode")
    who = f"variant '{target.variant}'" if target.variant else f"endpoint '{target.endpoint}'"
    text = f"{who} answered {status}: {told.strip()}" if told is not None else error.message
    return InvokeError(text[:1000], hint=error.hint)
