"""How xgboost's container writes its predictions down: formats by Accept header, and SAGEMAKER_INFERENCE_OUTPUT."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sm_magics.local.containers.content import media_type
from sm_magics.local.containers.recordio import Record, Tensor, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sm_magics.local.containers.xgboost_library import Predictions

__all__ = ["CSV", "JSON", "accepted", "lines", "one_line", "scores_as_csv", "scores_as_json", "select", "selected"]

CSV, JSON = "text/csv", "application/json"
_JSONLINES, _RECORDIO = "application/jsonlines", "application/x-recordio-protobuf"
_SUPPORTED = [JSON, _JSONLINES, _RECORDIO, CSV]


@lru_cache(maxsize=256)
def accepted(header: str | None, default: str) -> str:
    """Return the format that an Accept header asks for; `default`, unchecked, when it leaves the choice.

    Raises
    ------
    ValueError
        When the container does not have it, a list of types included; the text is its answer.
    """
    name, _ = media_type(header or "")
    if not name or name == "*/*":
        return default
    if name.lower() not in _SUPPORTED:
        raise ValueError(f"Accept type {name} is not supported. Please use supported accept types: {_SUPPORTED}.")
    return name.lower()


def scores_as_csv(predictions: Predictions) -> str:
    """Return one line for each row."""
    if predictions.width is None:
        return "\n".join(map(repr, predictions.values)) + "\n"
    return "".join(",".join(map(repr, row)) + "\n" for row in _vectors(predictions))


def scores_as_json(predictions: Predictions) -> str:
    """Return one JSON object with a list of scores."""
    return json.dumps({"predictions": [{"score": row} for row in predictions.rows()]})


def one_line(predictions: Predictions) -> str:
    """Return what images before 1.2-2 answer: everything on one line without an end."""
    return ",".join(map(str, predictions.rows()))


def lines(predictions: Predictions) -> str:
    """Return what a batch transform gets: one line for each row, a list in brackets."""
    return "\n".join(map(str, predictions.rows())) + "\n"


def _vectors(predictions: Predictions) -> list[list[float]]:
    width = predictions.width or 1
    return [predictions.values[start : start + width] for start in range(0, len(predictions.values), width)]


# Selectable output: the keys in the order of the answer, and those that each objective has.
_REGRESSION = ("predicted_score",)
_SCORED = ("predicted_label", "labels", "raw_score", "raw_scores")
_PROBABLE = ("predicted_label", "labels", "probability", "probabilities", "raw_score", "raw_scores")
_KEYS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("reg:squarederror", "reg:logistic", "reg:gamma", "reg:absoluteerror", "reg:tweedie"),
        _REGRESSION,
    ),
    **dict.fromkeys(("binary:logistic", "multi:softprob"), _PROBABLE),
    **dict.fromkeys(("binary:logitraw", "binary:hinge", "multi:softmax"), _SCORED),
}
_BINARY_THRESHOLDS = {"binary:logistic": 0.5, "binary:logitraw": 0.0}


def select(predictions: Predictions, wanted: Sequence[str], objective: str, classes: int) -> list[dict[str, Any]]:
    """Return the wanted facts of each row; a key that the objective does not have is NaN.

    Raises
    ------
    ValueError
        When the container has no such facts of this objective; the text is its answer.
    """
    if objective not in _KEYS:
        raise ValueError(f"Objective `{objective}` unsupported for selectable inference predictions.")
    known = [key for key in _KEYS[objective] if key in wanted]
    unknown = dict.fromkeys((key for key in wanted if key not in known), math.nan)
    labels = [0, 1] if objective.startswith("binary:") else list(range(classes)) or math.nan
    facts = [{"labels": labels} | _facts(row, objective) for row in predictions.rows()]
    return [{key: fact[key] for key in known} | unknown for fact in facts]


def _facts(row: float | list[float], objective: str) -> dict[str, Any]:
    if isinstance(row, list):
        if objective != "multi:softprob":
            raise ValueError("can only convert an array of size 1 to a Python scalar")  # numpy's words
        label: float = row.index(max(row))
        score, scores = max(row), row
    else:
        threshold = _BINARY_THRESHOLDS.get(objective)
        label = row if threshold is None else int(row > threshold)
        score, scores = row, [1.0 - row, row]
    return {
        "predicted_label": label,
        "probability": score,
        "probabilities": scores,
        "raw_score": score,
        "raw_scores": scores,
        "predicted_score": score,
    }


def selected(rows: Sequence[Mapping[str, Any]], wanted: Sequence[str], accept: str, *, batch: bool) -> bytes:
    """Write selected facts in the accepted format.

    Raises
    ------
    RuntimeError
        When there is no such format, as with an odd SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT.
    """
    if accept == JSON:
        return json.dumps({"predictions": rows}).encode()
    if accept == _JSONLINES:
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if accept == _RECORDIO:
        return write(Record({}, {key: _tensor(value) for key, value in row.items()}) for row in rows)
    if accept == CSV:
        text = "\n".join(",".join(_csv_field(row[key]) for key in wanted) for row in rows)
        return (text + "\n" if batch else text).encode()
    raise RuntimeError(f"Cannot encode selected predictions into accept type '{accept}'.")


def _tensor(value: float | list[float]) -> Tensor:
    return Tensor(value if isinstance(value, list) else [value])


def _csv_field(value: float | list[float]) -> str:
    return f'"{value}"' if isinstance(value, list) else str(value)
