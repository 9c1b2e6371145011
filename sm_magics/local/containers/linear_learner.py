"""SageMaker's linear-learner container: scores and labels of a linear model, in plain Python arithmetic.

What is known of it is its documentation, its artifacts and recorded answers; where these say nothing, a comment does.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from ctypes import c_float
from http import HTTPStatus
from math import isfinite
from typing import TYPE_CHECKING, Any

from sm_magics.local.containers import pages, recordio
from sm_magics.local.containers.content import media_type
from sm_magics.local.containers.contract import LoadError, Request, Response
from sm_magics.local.containers.mxnet_graph import Network, compile_graph
from sm_magics.local.containers.mxnet_params import read_params

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["LinearLearner", "load"]

_ARTIFACT = "model_algo-1"
_GRAPH, _PARAMS, _ADDITIONAL = "mx-mod-symbol.json", "mx-mod-0000.params", "additional-params.json"
_LARGEST_MEMBER = 256 * 1024**2  # bytes, also once decompressed

_REGRESSOR, _BINARY, _MULTICLASS = "regressor", "binary_classifier", "multiclass_classifier"
_JSON, _JSONLINES, _RECORDIO = "application/json", "application/jsonlines", "application/x-recordio-protobuf"
_CSV = "text/csv"

Prediction = tuple[float | list[float], int | None]  # score or scores, and the label


def load(model_dir: Path) -> LinearLearner:
    """Load the artifact of linear-learner in a directory.

    Raises
    ------
    LoadError
        When there is none, or it cannot be read.
    """
    path = model_dir / _ARTIFACT
    if not path.is_file():
        raise LoadError(
            f"Unable to load model: {model_dir} has no file '{_ARTIFACT}', which linear-learner's models are"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: _member(archive, name) for name in (_GRAPH, _PARAMS, _ADDITIONAL)}
        additional = json.loads(members[_ADDITIONAL])
        network = compile_graph(json.loads(members[_GRAPH]), read_params(members[_PARAMS]))
        return LinearLearner(network, additional["predictor_type"], additional.get("threshold"))
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise LoadError(f"Unable to load model: {path} is no zip file of linear-learner: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LoadError(f"Unable to load model: {path} cannot be read: {type(error).__name__} {error}") from None
    except LoadError as error:
        raise LoadError(f"Unable to load model: {path}: {error}") from None


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        data = member.read(_LARGEST_MEMBER + 1)
    if len(data) > _LARGEST_MEMBER:
        raise LoadError(f"'{name}' is larger than {_LARGEST_MEMBER} bytes")
    return data


class LinearLearner:
    """One linear model behind the container contract.

    Parameters
    ----------
    network
        From features to score, or to the scores of the classes.
    predictor_type
        `regressor`, `binary_classifier` or `multiclass_classifier`.
    threshold
        The least score of label 1; only a binary classifier has one.

    Raises
    ------
    LoadError
        When these do not go together.
    """

    def __init__(self, network: Network, predictor_type: str, threshold: float | None) -> None:
        if predictor_type not in {_REGRESSOR, _BINARY, _MULTICLASS}:
            raise LoadError(f"unknown predictor_type '{predictor_type}'")
        if predictor_type != _MULTICLASS and network.outputs != 1:
            raise LoadError(f"a {predictor_type} has one output, not {network.outputs}")
        if predictor_type == _BINARY and not isinstance(threshold, int | float):
            raise LoadError("the model of a binary_classifier has no threshold")
        self._network = network
        self._predictor_type = predictor_type
        self._threshold = threshold or 0.0

    def ping(self) -> Response:
        """Answer the health check."""
        return pages.text(HTTPStatus.OK)

    def invoke(self, requests: Sequence[Request]) -> list[Response]:
        """Answer requests in order."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Response:
        # Without a content type the container's answer is not known; read as CSV, its simplest format.
        kind = media_type((request.content_type or _CSV).lower())[0]
        parse = _PARSERS.get(kind)
        if parse is None:  # nor are the words of this answer known
            return pages.text(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"unsupported content type {request.content_type}")
        try:
            predictions = [self._predict(row) for row in parse(request.body, self._network.inputs)]
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            predictions = []
        if not predictions:
            return pages.text(HTTPStatus.BAD_REQUEST, "unable to evaluate payload provided")
        # Whatever else is accepted, text/csv and lists of types included, gets JSON.
        accept = media_type((request.accept or _JSON).lower())[0]
        write = _WRITERS.get(accept)
        if write is None:
            accept, write = _JSON, _as_json
        return Response(HTTPStatus.OK, write(predictions), accept)

    def _predict(self, row: list[float]) -> Prediction:
        if len(row) != self._network.inputs:
            raise ValueError(f"{len(row)} features")
        scores = [c_float(score).value for score in self._network.predict(row)]
        if not all(map(isfinite, scores)):  # from features that are; what the container says of them is not known
            raise ValueError("no finite score")
        if self._predictor_type == _MULTICLASS:
            return scores, scores.index(max(scores))
        return scores[0], None if self._predictor_type == _REGRESSOR else int(scores[0] >= self._threshold)


# Requests: each parser takes a body and the number of features, and yields rows.


def _from_csv(body: bytes, _: int) -> Iterable[list[float]]:
    return (list(map(float, line.split(","))) for line in body.decode().strip().split("\n"))


def _from_json(body: bytes, features: int) -> Iterable[list[float]]:
    return (_instance(instance, features) for instance in json.loads(body)["instances"])


def _from_jsonlines(body: bytes, features: int) -> Iterable[list[float]]:
    return (_instance(json.loads(line), features) for line in body.decode().strip().split("\n"))


def _from_recordio(body: bytes, features: int) -> Iterable[list[float]]:
    for record in recordio.read(body):
        tensor = record.features["values"]
        if tensor is None or tensor.kind != "float32":
            raise ValueError("the features are no float32")
        yield _scattered(tensor.keys, tensor.values, tensor.shape, features)


def _instance(instance: Mapping[str, Any], features: int) -> list[float]:
    """Return the features of `{"features": [...]}` or `{"data": {"features": {"values": [...], ...}}}`."""
    if "features" in instance:
        return list(map(_number, instance["features"]))
    tensor = instance["data"]["features"]
    return _scattered(tensor.get("keys"), list(map(_number, tensor["values"])), tensor.get("shape"), features)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _scattered(
    keys: Sequence[int] | None, values: Sequence[float], shape: Sequence[int] | None, features: int
) -> list[float]:
    """Return the row of a tensor: values at their keys, zero elsewhere."""
    if keys is None:
        return list(values)
    if shape is not None and list(shape) != [features]:
        raise ValueError(f"a tensor of shape {shape}")
    row = [0.0] * features
    for key, value in zip(keys, values, strict=True):
        if not 0 <= key < features:
            raise ValueError(f"there is no feature {key}")
        row[key] = value
    return row


_PARSERS: Mapping[str, Callable[[bytes, int], Iterable[list[float]]]] = {
    _CSV: _from_csv,
    _JSON: _from_json,
    _JSONLINES: _from_jsonlines,
    _RECORDIO: _from_recordio,
}


# Answers


def _as_object(prediction: Prediction) -> str:
    score, label = prediction
    return f'{{"score": {score!r}}}' if label is None else f'{{"score": {score!r}, "predicted_label": {label}}}'


def _as_json(predictions: Iterable[Prediction]) -> bytes:
    return f'{{"predictions": [{", ".join(map(_as_object, predictions))}]}}'.encode()


def _as_jsonlines(predictions: Iterable[Prediction]) -> bytes:
    return "".join(_as_object(prediction) + "\n" for prediction in predictions).encode()


def _as_recordio(predictions: Iterable[Prediction]) -> bytes:
    return recordio.write(recordio.Record({}, _as_tensors(prediction)) for prediction in predictions)


def _as_tensors(prediction: Prediction) -> Mapping[str, recordio.Tensor | None]:
    score, label = prediction
    tensors = {"score": recordio.Tensor(score if isinstance(score, list) else [score])}
    return tensors if label is None else tensors | {"predicted_label": recordio.Tensor([label])}


_WRITERS: Mapping[str, Callable[[Iterable[Prediction]], bytes]] = {
    _JSON: _as_json,
    _JSONLINES: _as_jsonlines,
    _RECORDIO: _as_recordio,
}
