"""Sends rows or a payload to an endpoint, one request each, and keeps what came back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from sm_magics.compare.exchange import Answer, Prediction, Request, Target, prediction_of
from sm_magics.compare.replay import replay
from sm_magics.connection import call
from sm_magics.errors import InvokeError, ServiceError
from sm_magics.rows import csv_line, rows_of, unusual, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sm_magics.connection import Connection

__all__ = ["Answer", "Invocations", "Prediction", "Row", "Target", "invoke", "invoke_rows", "prediction_of"]

BAD_REQUEST = 400  # as a container says that it cannot take a row


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
    connection: Connection,
    target: Target,
    body: bytes,
    clock: Callable[[], float] = time.perf_counter,
    *,
    inference_id: str | None = None,
) -> Answer:
    """Send one payload.

    Raises
    ------
    InvokeError
        When the endpoint answers with an error.
    """
    options = {
        "TargetVariant": target.variant,
        "Accept": target.accept,
        "ContentType": target.content_type,
        "InferenceId": inference_id,
    }
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
    serialize: Callable[[Sequence[Any]], bytes] = csv_line,
    inference_id: str | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Invocations:
    """Send the first `limit` rows of `data`, one request each, in order.

    Parameters
    ----------
    serialize
        Makes the body of a row; `target.content_type` says what it is.
    inference_id
        What the ids begin with by which captured data is known: `ID-0`, `ID-1` and so on.

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
    requests = (
        Request(number, serialize(row), inference_id=None if inference_id is None else f"{inference_id}-{number}")
        for number, row in enumerate(rows.first)
    )
    sent = []
    try:
        for outcome in replay(connection, target, requests, concurrency=1, clock=clock):
            if outcome.refusal is not None:
                _refuse(outcome.refusal, target, data, outcome.number, rows.first[outcome.number])
            answer, truth = outcome.answer(), known[outcome.number]
            sent.append(Row(outcome.number, prediction_of(answer), truth, answer.variant, answer.milliseconds))
    except ServiceError as error:
        raise _explained(error, target) from error
    weights = {each["VariantName"]: each.get("DesiredWeight", 0.0) for each in described.get("ProductionVariants", ())}
    return Invocations(target, tuple(sent), weights, rows.available)


def _refuse(refusal: ServiceError, target: Target, data: Any, number: int, row: list[Any]) -> NoReturn:
    """Raise what became of a row that was refused, with what may be the matter with it."""
    told = _explained(refusal, target)
    by_model = refusal.response.get("OriginalStatusCode") == BAD_REQUEST
    hint = (unusual(data, row) if by_model else None) or told.hint
    raise InvokeError(f"row {number} ({len(row)} columns): {told.message}", hint=hint) from refusal


def _explained(error: ServiceError, target: Target) -> InvokeError:
    told = error.response.get("OriginalMessage")
    status = error.response.get("OriginalStatusCode")
    who = f"variant '{target.variant}'" if target.variant else f"endpoint '{target.endpoint}'"
    text = f"{who} answered {status}: {told.strip()}" if told is not None else error.message
    return InvokeError(text[:1000], hint=error.hint)
