"""Sends rows or a payload to an endpoint, one request each, and keeps what came back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.compare.exchange import Answer, Prediction, Request, Target, prediction_of
from sm_magics.compare.replay import replay
from sm_magics.connection import call, is_forbidden
from sm_magics.errors import InvokeError, ServiceError
from sm_magics.rows import by_index, csv_line, number_of, rows_of, unusual, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sm_magics.connection import Connection

__all__ = [
    "Answer",
    "Failed",
    "Invocations",
    "Prediction",
    "Row",
    "Target",
    "invoke",
    "invoke_rows",
    "prediction_of",
]

BAD_REQUEST, SERVER_ERROR = 400, 500  # as a container says that it cannot take a row, and that it cannot answer
PATIENCE = 5  # rows that may fail before any is answered
_SERVES = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"})
_REFUSED = frozenset({"ValidationError", "ValidationException"})  # the call itself, whatever the row


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
        """Prediction minus truth, None where either is no number, or there is no finite truth."""
        truth = number_of(self.truth)
        return self.prediction - truth if isinstance(self.prediction, float) and truth is not None else None


@dataclass(frozen=True, slots=True)
class Failed:
    """A row that led to an error: its place in the data, its number of columns, and what was said."""

    number: int
    columns: int
    error: InvokeError


@dataclass(frozen=True, slots=True)
class Invocations:
    """The rows that were sent to an endpoint, those that were answered and those that failed.

    `weights` are the wanted weights of its variants; `available` is how many rows the data has, where that is known;
    `planned` is how many were to be sent, and `interrupted` says that the user did not let it come to that.
    """

    target: Target
    rows: tuple[Row, ...]
    weights: Mapping[str, float]
    available: int | None
    failed: tuple[Failed, ...] = ()
    planned: int = 0
    interrupted: bool = False

    @property
    def error(self) -> InvokeError | None:
        """What to raise for the rows that failed, None where none did."""
        if not self.failed:
            return None
        first, sent = self.failed[0], len(self.rows) + len(self.failed)
        told = f"row {first.number} ({first.columns} column{'s' if first.columns != 1 else ''}): {first.error.message}"
        if self.planned > 1:
            ended = "" if sent >= self.planned or self.interrupted else ", and no more were sent"
            told = f"{len(self.failed)} of {self.planned} rows failed{ended}: first {told}"
        return InvokeError(told, hint=first.error.hint)


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
    """Send the first `limit` rows of `data`, one request each, in order; one that fails does not end it.

    No more are sent once it is clear that none will be answered, or after one that took its minute in vain.

    Parameters
    ----------
    serialize
        Makes the body of a row; `target.content_type` says what it is.
    inference_id
        What the ids begin with by which captured data is known: `ID-0`, `ID-1` and so on.

    Raises
    ------
    CellError
        When there are no rows, or fewer truths than rows, or more; or truths of another index than the rows.
    InvokeError
        When nothing can be sent: there is no such endpoint, or it does not serve, or there are no credentials.
    """
    rows = rows_of(data, limit)
    of = rows.available or (len(rows.first) if limit is None else None)
    number = len(rows.first)
    known = [None] * number if truths is None else values_of(by_index(truths, data, number), number, of=of)
    described = connection.describe("Endpoint", target.endpoint)
    if described is None:
        raise InvokeError(f"there is no endpoint '{target.endpoint}'", hint="%sm_status shows all endpoints")
    _check_serving(described, target.endpoint)
    requests = (
        Request(number, serialize(row), inference_id=None if inference_id is None else f"{inference_id}-{number}")
        for number, row in enumerate(rows.first)
    )
    sent: list[Row] = []
    failed: list[Failed] = []
    interrupted = False
    try:
        for outcome in replay(connection, target, requests, concurrency=1, clock=clock):
            number, refusal = outcome.number, outcome.refusal
            if refusal is None:
                answer, truth = outcome.answer(), known[number]
                sent.append(Row(number, prediction_of(answer), truth, answer.variant, answer.milliseconds))
                continue
            failed.append(_failed(refusal, target, data, number, rows.first[number]))
            if _is_vain(refusal) or (not sent and len(failed) == PATIENCE):
                break
    except ServiceError as error:
        raise _explained(error, target) from error
    except KeyboardInterrupt:
        interrupted = True
    weights = {each["VariantName"]: each.get("DesiredWeight", 0.0) for each in described.get("ProductionVariants", ())}
    available, planned = rows.available, len(rows.first)
    return Invocations(target, tuple(sent), weights, available, tuple(failed), planned, interrupted)


def _check_serving(described: Mapping[str, Any], endpoint: str) -> None:
    """Raise where nothing could answer, by what DescribeEndpoint says."""
    status = described.get("EndpointStatus", "InService")
    if status not in _SERVES:
        more = f"%sm_status {endpoint} {'--wait waits for it' if status == 'Creating' else 'says more'}"
        raise InvokeError(f"endpoint '{endpoint}' is {status}, so nothing answers", hint=more)


def _failed(refusal: ServiceError, target: Target, data: Any, number: int, row: list[Any]) -> Failed:
    """Return what became of a row that was refused, with what may be the matter with it."""
    told = _explained(refusal, target)
    by_model = refusal.response.get("OriginalStatusCode") == BAD_REQUEST
    hint = (unusual(data, row) if by_model else None) or told.hint
    error = InvokeError(told.message, hint=hint)
    error.__cause__ = refusal
    return Failed(number, len(row), error)


def _is_vain(refusal: ServiceError) -> bool:
    """Whether the next row would fare no better, or would take as long to fail."""
    took_its_minute = refusal.response.get("OriginalStatusCode") == 0
    return not refusal.response or refusal.code in _REFUSED or is_forbidden(refusal) or took_its_minute


def _explained(error: ServiceError, target: Target) -> InvokeError:
    told, status = error.response.get("OriginalMessage"), error.response.get("OriginalStatusCode")
    who = f"variant '{target.variant}'" if target.variant else f"endpoint '{target.endpoint}'"
    hint = error.hint
    if told is None:
        text = error.message
    else:
        text = f"{who} {f'answered {status}' if status else 'did not answer'}: {told.strip()}"
        if hint is None and status and status >= SERVER_ERROR:
            hint = "%sm_logs NAME shows what its instances printed"
    return InvokeError(text[:1000], hint=hint and hint.replace("NAME", target.endpoint))
