"""SageMaker's xgboost container in algorithm mode: CSV, libsvm or RecordIO in, predictions out.

The checks, their order, and the texts of the errors are those of the container's serving application. All requests that
wait are predicted in one call, which changes nothing about any of their answers: a table that libxgboost might refuse
is predicted on its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from sm_magics.local.containers import content, pages, xgboost_answers, xgboost_library
from sm_magics.local.containers.contract import LoadError, Request, Response
from sm_magics.local.containers.tables import Table, has_infinity
from sm_magics.local.containers.xgboost_artifact import load_model
from sm_magics.local.containers.xgboost_dialect import Dialect, dialect
from sm_magics.local.containers.xgboost_library import LibraryError, Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sm_magics.local.containers.xgboost_model import Model

__all__ = ["Settings", "XGBoost", "load"]

_OK = int(HTTPStatus.OK)  # a member of the enum costs each answer a third of a microsecond
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the container takes from its environment."""

    selected: tuple[str, ...] | None  # keys of SAGEMAKER_INFERENCE_OUTPUT
    accept: str
    batch: bool
    largest_body: int


def load(model_dir: Path, environment: Mapping[str, str], tag: str) -> XGBoost:
    """Load the model of a directory as the image with this tag would.

    Raises
    ------
    LoadError
        When it could not, or when the environment asks for a mode that is not served here.
    """
    for variable, mode in (("SAGEMAKER_PROGRAM", "script mode"), ("SAGEMAKER_MULTI_MODEL", "multi-model mode")):
        if environment.get(variable):
            raise LoadError(f"{variable} is set, but {mode} of the xgboost container is not served here")
    spoken = dialect(tag)
    return XGBoost(load_model(model_dir, spoken, environment), spoken, _settings(environment, spoken))


def _settings(environment: Mapping[str, str], dialect: Dialect) -> Settings:
    keys = environment.get("SAGEMAKER_INFERENCE_OUTPUT") if dialect.selectable_output else None
    limit = environment.get("MAX_CONTENT_LENGTH", str(6 * 1024**2))
    if not limit.isdecimal():
        raise LoadError(f"MAX_CONTENT_LENGTH must be a number of bytes, not '{limit}'")
    return Settings(
        selected=None if keys is None else tuple(keys.replace(" ", "").lower().split(",")),
        accept=environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", xgboost_answers.CSV),
        batch=bool(environment.get("SAGEMAKER_BATCH")),
        largest_body=int(limit),
    )


class XGBoost:
    """One loaded model behind the container contract."""

    def __init__(self, model: Model, dialect: Dialect, settings: Settings) -> None:
        self._model = model
        self._dialect = dialect
        self._settings = settings
        self._parsers: Mapping[str, Callable[[bytes], Table]] = {
            content.CSV: content.parse_csv,
            content.LIBSVM: partial(content.parse_libsvm, shift=dialect.shifts_libsvm),
            content.RECORDIO: content.parse_recordio,
        }

    def ping(self) -> Response:
        """Answer the health check; a container whose model does not load does not come to be."""
        return pages.text(HTTPStatus.OK)

    def invoke(self, requests: Sequence[Request]) -> list[Response]:
        """Answer requests in order, predicting all that can be predicted together in one call."""
        read = [self._read(request) for request in requests]
        predictions = iter(self._model.predict([table for table in read if not isinstance(table, Response)]))
        return [
            found if isinstance(found, Response) else self._answer(request, next(predictions))
            for request, found in zip(requests, read, strict=True)
        ]

    def _read(self, request: Request) -> Table | Response:
        """Return the rows of a request, or the answer to a bad one."""
        body, header = request.body, request.content_type
        if len(body) > self._settings.largest_body:
            return pages.error_page(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not body or (header and content.media_type(header.lower())[0] in _FORMS):  # Flask takes forms for itself
            return pages.text(HTTPStatus.NO_CONTENT)
        try:
            kind = content.content_kind(header)
        except ValueError as error:
            return pages.text(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, str(error))
        if kind == content.PARQUET:
            return pages.text(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-type {header} is not supported.")
        try:
            table = self._parsers[kind](body)
            if has_infinity(table.values):
                xgboost_library.check(table)
        except Exception as error:  # noqa: BLE001 - the container answers so to whatever its parsers raise
            return pages.text(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _parse_error(kind, error, self._dialect))
        misfit = _misfit(kind, table.columns, self._model.columns) if self._model.pickled else None
        return _cannot_evaluate(misfit) if misfit else table

    def _answer(self, request: Request, predictions: Predictions | LibraryError) -> Response:
        if isinstance(predictions, LibraryError):
            return _cannot_evaluate(predictions)
        keys, batch = self._settings.selected, self._settings.batch
        if self._dialect.one_line_answers and keys is None:
            write = xgboost_answers.lines if batch else xgboost_answers.one_line
            return _success(write(predictions), xgboost_answers.CSV)
        try:
            accept = xgboost_answers.accepted(request.accept, self._settings.accept)
        except ValueError as error:
            return pages.text(HTTPStatus.NOT_ACCEPTABLE, str(error))
        return self._write(predictions, accept) if keys is None else self._write_selected(predictions, keys, accept)

    def _write(self, predictions: Predictions, accept: str) -> Response:
        if self._settings.batch:
            return _success(xgboost_answers.lines(predictions), accept)
        if accept == xgboost_answers.CSV:
            return _success(xgboost_answers.scores_as_csv(predictions), accept)
        if accept == xgboost_answers.JSON:
            return _success(xgboost_answers.scores_as_json(predictions), accept)
        return pages.error_page(HTTPStatus.INTERNAL_SERVER_ERROR)  # formats that only selected keys can be written in

    def _write_selected(self, predictions: Predictions, keys: Sequence[str], accept: str) -> Response:
        try:
            rows = xgboost_answers.select(predictions, keys, self._model.objective, self._model.classes)
            body = xgboost_answers.selected(rows, keys, accept, batch=self._settings.batch)
        except (ValueError, RuntimeError) as error:
            return pages.text(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        return _success(body, accept)


_RAGGED = "setting an array element with a sequence."
_UNREADABLE = ("could not convert string to float: ", "invalid literal for int() with base 10: ")


def _parse_error(kind: str, error: Exception, dialect: Dialect) -> str:
    """Return the container's answer to rows that it cannot parse, in the words of the image's numpy."""
    text = str(error)
    if text.startswith(_RAGGED) and not dialect.numpy_2:
        text = _RAGGED
    if text.startswith(_UNREADABLE) and dialect.numpy_2:
        text = text.replace(": ", ": np.str_(", 1) + ")"
    shown = getattr(error, "shown_as", str(type(error)))
    space = " " if kind == content.RECORDIO else "\n "
    opening = f"Loading {kind} data failed with Exception, please ensure data is in {kind} format:"
    return f"{opening}{space}{shown}{space}{text}"


def _misfit(kind: str, columns: int, trained: int) -> str | None:
    """Return how the container complains of rows that do not fit a pickled model, if it does."""
    if kind == content.LIBSVM:
        fits, relation = columns <= trained + 1, "larger than"
    else:  # 70 columns for 69 are refused: aws/amazon-sagemaker-examples, issue 392
        fits, relation = columns in {trained, trained - 1}, "not consistent with"
    if fits:
        return None
    return f"Feature size of {kind} inference data {columns} is {relation} feature size of trained model {trained}."


def _cannot_evaluate(reason: object) -> Response:
    return pages.text(HTTPStatus.BAD_REQUEST, f"Unable to evaluate payload provided: {reason}")


def _success(body: str | bytes, media_type: str) -> Response:
    """Return predictions; Flask names the charset of texts."""
    content_type = f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type
    return Response(_OK, body.encode() if isinstance(body, str) else body, content_type)
