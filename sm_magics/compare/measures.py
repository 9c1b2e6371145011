"""How good predictions are: the measures of `--metric`, computed by scikit-learn.

Where a measure is a mean over rows (or a function of one), it also gives each row's loss: that makes resampling fast,
and a test that may be looked at while rows come in possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sm_magics.errors import CellError
from sm_magics.nearest import did_you_mean
from sm_magics.spec.problems import clipped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["MEASURES", "Measure", "measure_of"]

Direction = Literal["lower", "higher"]
_AS_NUMBERS = "give the true values as the numbers that the model was trained on, or let --parse make labels"
_GETS = "it is given two arrays, the true values and the predictions, and has to return one number"
Column = Any  # an array of shape (n,) or (n, classes); numpy's types say no more than this


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of quality.

    Attributes
    ----------
    name
        What it is called on the line and in the card.
    better
        Whether lower or higher values are better.
    prepare
        Turns predictions into what `value` takes, given the truths: `(truths, predictions) -> predictions`.
        Raises CellError where they are nothing that can be measured so.
    value
        `(truths, predictions) -> float`, predictions being prepared.
    losses
        `(truths, predictions) -> (n,)`: each row's loss, lower being better, whose mean orders models as `value`
        does. None where the measure is no mean over rows.
    of_mean
        The value for a mean loss; None where it is no function of that alone.
    many
        As `value`, of many resamples at once: of shape (resamples, n), and as many values. None where that is not
        known; a few thousand calls of `value` then take seconds.
    numbers
        Whether it takes no truths but numbers.
    """

    name: str
    better: Direction
    prepare: Callable[[Column, Column], Column]
    value: Callable[[Column, Column], float]
    losses: Callable[[Column, Column], NDArray[np.float64]] | None = None
    of_mean: Callable[[Column], Column] | None = None
    many: Callable[[Column, Column], Column] | None = None
    numbers: bool = False

    def wins(self, difference: float) -> bool:
        """Whether a value that is larger by `difference` is the better one."""
        return difference < 0 if self.better == "lower" else difference > 0


def measure_of(told: str | Callable[..., Any], better: Direction | None = None) -> Measure:
    """Return the measure of a name, or of a function `(truths, predictions) -> number`.

    Parameters
    ----------
    better
        Which values of a function of yours are better; the named measures know it.

    Raises
    ------
    CellError
        When there is no such measure, or nobody said which values of a function are better.
    """
    if isinstance(told, str):
        if told not in MEASURES:
            hint = did_you_mean(told, MEASURES) or f"there are {', '.join(MEASURES)}, and $your_function"
            raise CellError(f"unknown metric '{told}'", hint=hint)
        if better not in {None, MEASURES[told].better}:
            raise CellError(f"of {told}, {MEASURES[told].better} is better", hint="leave --better out")
        return MEASURES[told]
    name = getattr(told, "__name__", type(told).__name__)
    if not callable(told):
        raise CellError(f"--metric takes a name or a function, not a {name}", hint=f"there are {', '.join(MEASURES)}")
    if better is None:
        raise CellError(f"which values of {name} are better?", hint="add --better lower, or --better higher")

    def value(truths: Column, predictions: Column) -> float:
        hint = "give one number for all rows"
        try:
            made = told(truths, predictions)
        except Exception as error:
            raise CellError(f"--metric {name} {_raised(error)}", hint=_GETS) from error
        try:
            found = np.asarray(made, dtype=float)
        except (TypeError, ValueError) as error:
            raise CellError(f"{name} returned no number, but a {type(made).__name__}", hint=hint) from error
        if found.size != 1:
            raise CellError(f"{name} returned {found.size} values for {len(truths)} rows", hint=hint)
        return float(found.reshape(()))

    return Measure(name, better, lambda _, predictions: predictions, value)


def _raised(error: Exception) -> str:
    """Return what a function of the user raised, and in which of its lines where it has any."""
    told = f"raised {type(error).__name__}: {clipped(str(error), 300)}".rstrip(": ")
    within = error.__traceback__.tb_next if error.__traceback__ is not None else None
    return told if within is None else f"{told} (its line {within.tb_lineno})"


def _numbers(truths: Column, predictions: Column) -> Column:
    """Return predictions of numbers as they are.

    Raises
    ------
    CellError
        When a truth or a prediction is no number.
    """
    for what, values in (("true value", truths), ("prediction", predictions)):
        if values.ndim != 1 or values.dtype.kind not in "fiub":
            shown = str(values[0]) if len(values) else "none"
            hint = "this metric compares numbers; for labels take accuracy, f1, auc or logloss"
            raise CellError(f"a {what} is no number: {shown[:60]}", hint=hint)
    return predictions.astype(float)


def _labels(truths: Column, predictions: Column) -> Column:
    """Return the label that each prediction stands for: itself, its likeliest class, or 1 for a score from 0.5 on.

    Raises
    ------
    CellError
        When predictions are neither labels nor probabilities.
    """
    if predictions.ndim == 2:  # noqa: PLR2004 - a probability for each class
        _check_classes(truths, predictions.shape[1])
        return predictions.argmax(axis=1)
    if predictions.dtype.kind not in "fiub":
        return predictions.astype(str) if truths.dtype.kind in "OUS" else predictions
    known = np.unique(truths)
    if truths.dtype.kind not in "fiub":
        told = f"the true values are labels, as {str(known[0])[:40]!r}, and the predictions numbers"
        raise CellError(f"{told}, as {predictions[0]:g}" if len(predictions) else told, hint=_AS_NUMBERS)
    if np.isin(predictions, known).all():
        return predictions
    scores = ((predictions >= 0) & (predictions <= 1)).all()
    if scores and np.isin(known, (0, 1)).all():
        return (predictions >= 0.5).astype(truths.dtype)  # noqa: PLR2004 - as likely as not
    if (predictions == np.round(predictions)).all():
        return predictions  # a class that does not occur among these truths
    odd = predictions[~np.isin(predictions, known)][0]
    raise CellError(f"a prediction is no label: {odd:g}", hint="for numbers take rmse, mae, mape or r2")


def _scores(truths: Column, predictions: Column) -> Column:
    """Return the probabilities of the classes: the second of two, or one for each.

    Raises
    ------
    CellError
        When predictions are no probabilities.
    """
    if truths.dtype.kind not in "fiub":  # which of two texts a score is of, only a guess could tell
        raise CellError(
            f"the true values are labels, as {str(truths[0])[:40]!r}, and the predictions scores", hint=_AS_NUMBERS
        )
    if predictions.dtype.kind not in "fiub":
        hint = "let the model answer scores: for xgboost objective=binary:logistic or multi:softprob"
        raise CellError(f"a prediction is no probability: {str(predictions[0])[:60]}", hint=hint)
    found = predictions.astype(float)
    if found.ndim == 2 and found.shape[1] == 2:  # noqa: PLR2004 - two classes, of which one says it all
        found = found[:, 1]
    if found.ndim == 2:  # noqa: PLR2004 - a probability for each class
        _check_classes(truths, found.shape[1])
    if found.ndim == 1 and len(np.unique(truths)) > 2:  # noqa: PLR2004 - a score tells two classes apart
        raise CellError(
            "one score a row cannot tell more than two classes apart",
            hint="let the model answer a probability for each class: multi:softprob",
        )
    return found


def _probabilities(truths: Column, predictions: Column) -> Column:
    found = _scores(truths, predictions)
    if found.ndim == 1 and not np.isin(truths, (0, 1)).all():
        odd = truths[~np.isin(truths, (0, 1))][0]
        raise CellError(f"a true value is neither 0 nor 1: {odd:g}", hint="give 1 for what the score is the chance of")
    if ((found < 0) | (found > 1)).any():
        odd = found[(found < 0) | (found > 1)].ravel()[0]
        hint = "logloss needs scores from 0 to 1; auc takes any scores"
        raise CellError(f"a prediction is no probability: {odd:g}", hint=hint)
    return found


def _check_classes(truths: Column, number: int) -> None:
    """Raise where truths are not the places of their classes among the probabilities: a guess may be wrong."""
    odd = truths[~np.isin(truths, np.arange(number))] if truths.dtype.kind in "fiub" else truths
    if len(odd):
        told = f"a true value is no class from 0 to {number - 1}, as {number} probabilities a row have it"
        raise CellError(f"{told}: {str(odd[0])[:40]}", hint=_AS_NUMBERS)


def _of_truth(truths: Column, predictions: Column) -> Column:
    """Return the probability that was given to what is true."""
    if predictions.ndim == 1:
        return np.where(truths == 1, predictions, 1 - predictions)
    normal = predictions / predictions.sum(axis=1, keepdims=True)
    return normal[np.arange(len(truths)), truths.astype(int)]


def _log_losses(truths: Column, predictions: Column) -> Column:
    likely = _of_truth(truths, predictions)
    return -np.log(np.clip(likely, np.finfo(float).eps, 1.0))


def _auc(truths: Column, predictions: Column) -> float:
    from sklearn.metrics import roc_auc_score

    if len(np.unique(truths)) < (2 if predictions.ndim == 1 else predictions.shape[1]):
        return float("nan")  # a resample may lack a class
    if not np.isfinite(predictions).all():
        return float("nan")
    if predictions.ndim == 1:
        return float(roc_auc_score(truths, predictions))
    classes = np.arange(predictions.shape[1])
    normal = predictions / predictions.sum(axis=1, keepdims=True)
    return float(roc_auc_score(truths, normal, multi_class="ovr", labels=classes))


def _auc_of_many(truths: Column, scores: Column) -> Column:
    """Return the areas by the ranks of the scores (Mann and Whitney's U): scikit-learn's value, for many at once."""
    from scipy.stats import rankdata

    positive = truths == 1
    ones = positive.sum(axis=-1)
    zeros = truths.shape[-1] - ones
    ranks = np.where(positive, rankdata(scores, axis=-1), 0).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample may hold one class only
        return (ranks - ones * (ones + 1) / 2) / (ones * zeros)


def _f1(truths: Column, predictions: Column) -> float:
    from sklearn.metrics import f1_score

    truths = truths.astype(predictions.dtype) if predictions.dtype.kind in "US" else truths
    average = "binary" if _binary(truths, predictions) else "macro"
    return float(f1_score(truths, predictions, average=average, zero_division=0.0))


def _f1_of_many(truths: Column, predictions: Column) -> Column:
    """Return what scikit-learn's f1_score does, for many at once: of label 1 of two, or the mean over all labels."""
    truths = truths.astype(predictions.dtype) if predictions.dtype.kind in "US" else truths
    labels = [1] if _binary(truths, predictions) else np.unique(np.concatenate([truths.ravel(), predictions.ravel()]))
    total, present = np.zeros(truths.shape[:-1]), np.zeros(truths.shape[:-1])
    for label in labels:
        true, told = truths == label, predictions == label
        size = true.sum(axis=-1) + told.sum(axis=-1)
        total += 2 * (true & told).sum(axis=-1) / np.maximum(size, 1)
        present += size > 0
    return total / np.maximum(present, 1)


def _binary(truths: Column, predictions: Column) -> bool:
    return bool(np.isin(truths, (0, 1)).all() and np.isin(predictions, (0, 1)).all())


def _r2(truths: Column, predictions: Column) -> float:
    from sklearn.metrics import r2_score

    measurable = len(truths) > 1 and np.isfinite(predictions).all()
    return float(r2_score(truths, predictions)) if measurable else float("nan")


def _r2_of_many(truths: Column, predictions: Column) -> Column:
    spread = np.square(truths - truths.mean(axis=-1, keepdims=True)).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):  # truths that are all alike have none
        return 1 - np.square(predictions - truths).sum(axis=-1) / spread


def _named(measures: Sequence[Measure]) -> dict[str, Measure]:
    return {each.name: each for each in measures}


def _mean(
    name: str,
    better: Direction,
    prepare: Callable[..., Column],
    losses: Callable[..., Column],
    of_mean: Callable[..., Column],
) -> Measure:
    """Return a measure that is a function of the mean of its losses."""
    numbers = prepare is not _labels
    return Measure(
        name, better, prepare, lambda t, p: float(of_mean(losses(t, p).mean())), losses, of_mean, None, numbers
    )


def _squares(truths: Column, predictions: Column) -> Column:
    return np.square(predictions - truths)


def _wrong(truths: Column, predictions: Column) -> Column:
    return (truths.astype(predictions.dtype) != predictions).astype(float)


def _relative(truths: Column, predictions: Column) -> Column:
    return np.abs(predictions - truths) / np.maximum(np.abs(truths), np.finfo(float).eps)  # as scikit-learn does


MEASURES = _named(
    (
        _mean("rmse", "lower", _numbers, _squares, np.sqrt),
        _mean("mae", "lower", _numbers, lambda t, p: np.abs(p - t), lambda mean: mean),
        _mean("mape", "lower", _numbers, _relative, lambda mean: mean),
        Measure("r2", "higher", _numbers, _r2, _squares, many=_r2_of_many, numbers=True),
        _mean("accuracy", "higher", _labels, _wrong, lambda mean: 1 - mean),
        Measure("f1", "higher", _labels, _f1, many=_f1_of_many),
        Measure("auc", "higher", _scores, _auc, many=_auc_of_many, numbers=True),
        _mean("logloss", "lower", _probabilities, _log_losses, lambda mean: mean),
    )
)
