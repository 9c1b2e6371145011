"""Linear models of scikit-learn as artifacts of the linear-learner image.

A model is recognised by what it has (`coef_`, `intercept_`, `classes_`), not by its class, and then tried: unless its
own predictions are those of the weights that were read, it is refused. So a model with a link function, one-versus-rest
probabilities or an overridden `predict` cannot end up behind an endpoint that answers something else.
"""

from __future__ import annotations

import reprlib
import warnings
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from sm_magics.errors import PackagingError
from sm_magics.models import linear_artifact
from sm_magics.models.types import Packed

__all__ = ["IMAGE", "SUPPORTED", "pack"]

IMAGE = "linear-learner"
SUPPORTED = "linear and logistic regressions of scikit-learn, alone or after StandardScaler; or a model of xgboost"
_BINARY = 2
_TOLERANCE = 1e-5  # of a float32 model's own arithmetic

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class _Linear:
    """Outputs are `rows @ weights + bias`; weights are (features, outputs), the bias is (outputs,)."""

    weights: Array
    bias: Array
    kind: linear_artifact.Kind

    def outputs(self, rows: Array) -> Array:
        return rows @ self.weights + self.bias


def pack(value: Any, name: str) -> Packed:
    """Turn a fitted linear model, or a Pipeline of StandardScalers and one, into the files of an artifact.

    Parameters
    ----------
    value
        The estimator.
    name
        What to call it in messages.

    Raises
    ------
    PackagingError
        When it is not fitted, not linear, or does not predict as linear-learner would.
    """
    steps = _steps(value)
    if not steps:
        raise PackagingError(f"{name} is a Pipeline without a model", hint=f"supported: {SUPPORTED}")
    for title, step in steps[:-1]:
        if not _is_scaler(step):
            raise PackagingError(
                f"{name}: step '{title}' is a {type(step).__name__}, which linear-learner cannot do",
                hint="only StandardScaler and 'passthrough' may come before the model",
            )
    for title, step in steps:
        _check_fitted(step, f"{name}: step '{title}'" if title else name)
    linear = _read(steps[-1][1], name)
    for _, scaler in reversed(steps[:-1]):
        linear = _with_scaler(linear, scaler)
    _check_floats(linear, name)
    _check_predictions(value, linear, name)
    file = linear_artifact.write(linear.weights, linear.bias, linear.kind)
    return Packed(IMAGE, files={linear_artifact.FILE_NAME: file})


def _steps(value: Any) -> list[tuple[str, Any]]:
    """Return the steps that do something, nested pipelines opened; a lone estimator is one step without a title."""
    if not hasattr(value, "steps"):
        return [("", value)]
    steps = []
    for title, step in value.steps:
        if step is None or (isinstance(step, str) and step == "passthrough"):
            continue
        steps += [(f"{title}.{inner}".rstrip("."), part) for inner, part in _steps(step)]
    return steps


def _sklearn_bases(value: Any) -> set[str]:
    return {base.__name__ for base in type(value).__mro__ if base.__module__.startswith("sklearn.")}


def _is_scaler(step: Any) -> bool:
    return "StandardScaler" in _sklearn_bases(step)


def _check_fitted(step: Any, name: str) -> None:
    """Refuse an estimator of scikit-learn without the attributes that end in `_`, which only fitting sets."""
    learned = any(key.endswith("_") and not key.startswith("__") for key in vars(step))
    if _sklearn_bases(step) and not learned:
        raise PackagingError(f"{name} is a {type(step).__name__} that is not fitted", hint="call its fit first")


def _read(model: Any, name: str) -> _Linear:
    what = f"{name} is a {type(model).__name__}"
    if hasattr(model, "best_estimator_"):
        raise PackagingError(f"{what}, a search for a model", hint="give its best_estimator_")
    if not hasattr(model, "coef_") or not hasattr(model, "intercept_"):
        raise PackagingError(f"{what}, which no prebuilt image serves from here", hint=f"supported: {SUPPORTED}")
    if hasattr(model.coef_, "toarray"):
        raise PackagingError(f"{name} has sparse coefficients", hint="call its densify() first")
    weights = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
    kind: linear_artifact.Kind = "regressor"
    if hasattr(model, "classes_"):
        kind = _kind_of_classifier(model, what)
    outputs = len(model.classes_) if kind == "multiclass_classifier" else 1
    if len(weights) != outputs:
        raise PackagingError(
            f"{name} has {len(weights)} rows of coefficients, where linear-learner takes {outputs}",
            hint="deploy one model per target" if kind == "regressor" else f"supported: {SUPPORTED}",
        )
    bias = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64).ravel(), (outputs,))
    return _Linear(weights.T, bias, kind)


def _kind_of_classifier(model: Any, what: str) -> linear_artifact.Kind:
    classes = np.asarray(model.classes_)
    if classes.dtype.kind not in "biuf" or not np.array_equal(classes, np.arange(len(classes))):
        raise PackagingError(
            f"{what} of the classes {reprlib.repr(classes.tolist())}; linear-learner answers label numbers",
            hint=f"train it with the labels 0 to {len(classes) - 1}",
        )
    if not hasattr(model, "predict_proba"):
        raise PackagingError(f"{what}, which has no probabilities", hint=f"supported: {SUPPORTED}")
    return "binary_classifier" if len(classes) == _BINARY else "multiclass_classifier"


def _with_scaler(linear: _Linear, scaler: Any) -> _Linear:
    """Let the weights take raw features: w'(x - mean)/scale + b is (w/scale)'x + (b - w'mean/scale)."""
    width = len(linear.weights)
    scale = np.asarray(scaler.scale_ if scaler.with_std else np.ones(width), dtype=np.float64)
    mean = np.asarray(scaler.mean_ if scaler.with_mean else np.zeros(width), dtype=np.float64)
    weights = linear.weights / scale[:, None]
    return _Linear(weights, linear.bias - mean @ weights, linear.kind)


def _check_floats(linear: _Linear, name: str) -> None:
    with np.errstate(over="ignore"):
        kept = np.append(linear.weights, linear.bias).astype(np.float32)
    if not np.isfinite(kept).all():
        raise PackagingError(f"{name} has coefficients that no 32-bit float holds", hint="check its training data")


def _check_predictions(value: Any, linear: _Linear, name: str) -> None:
    """Ask the object itself for rows with small outputs, where neither rounding nor saturation hides a difference."""
    count = linear.weights.shape[1]
    targets = np.linspace(-2, 2, 5 * count).reshape(count, 5).T
    rows: Array = np.linalg.lstsq(linear.weights.T, (targets - linear.bias).T, rcond=None)[0].T.astype(np.float64)
    outputs = linear.outputs(rows)
    rounding = _TOLERANCE * (np.abs(rows) @ np.abs(linear.weights) + np.abs(linear.bias) + 1)
    expected, told = _answers(outputs, linear.kind), _predictions(value, rows, linear.kind, name)
    if told.shape != expected.shape or not (np.abs(told - expected) <= rounding.max(axis=1, keepdims=True)).all():
        rule = {
            "regressor": "its intercept plus its coefficients times the features",
            "binary_classifier": "the logistic function of its score",
            "multiclass_classifier": "the softmax of its scores",
        }[linear.kind]
        raise PackagingError(
            f"{name} is a {type(value).__name__} that does not predict {rule}", hint=f"supported: {SUPPORTED}"
        )


def _answers(outputs: Array, kind: linear_artifact.Kind) -> Array:
    """Return what linear-learner answers: values, or a probability per class."""
    if kind == "regressor":
        return outputs
    if kind == "binary_classifier":
        outputs = np.hstack([np.zeros_like(outputs), outputs])
    exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def _predictions(value: Any, rows: Array, kind: linear_artifact.Kind, name: str) -> Array:
    predict = value.predict if kind == "regressor" else value.predict_proba
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the rows have no column names
        try:
            return np.asarray(predict(rows), dtype=np.float64).reshape(len(rows), -1)
        except Exception as error:  # an estimator's own code may raise anything
            raise PackagingError(
                f"{name} does not take plain numbers: {error}", hint=f"supported: {SUPPORTED}"
            ) from error
