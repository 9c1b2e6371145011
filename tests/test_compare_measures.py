"""Measures of quality: scikit-learn's values, and losses whose mean says the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from sm_magics.compare.measures import MEASURES, measure_of
from sm_magics.errors import CellError

NUMBERS = st.lists(st.tuples(*[st.floats(-1000, 1000).map(lambda x: round(x, 3))] * 2), min_size=2, max_size=40)
SCORES = st.lists(st.tuples(st.integers(0, 1), st.floats(0.001, 0.999)), min_size=2, max_size=40)
THEIRS = {
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "mape": metrics.mean_absolute_percentage_error,
    "r2": metrics.r2_score,
}


def measured(name, truths, predictions):
    measure = measure_of(name)
    truths, predictions = np.asarray(truths), np.asarray(predictions)
    return measure.value(truths, measure.prepare(truths, predictions))


@pytest.mark.parametrize("name", THEIRS)
@given(rows=NUMBERS)
def test_measures_of_numbers_are_scikit_learns(name, rows):
    truths, predictions = np.array(rows).T
    assert measured(name, truths, predictions) == pytest.approx(THEIRS[name](truths, predictions), rel=1e-9)


@given(SCORES)
def test_measures_of_scores_are_scikit_learns(rows):
    truths, scores = np.array([a for a, _ in rows]), np.array([b for _, b in rows])
    labels = (scores >= 0.5).astype(int)
    assert measured("accuracy", truths, scores) == pytest.approx(metrics.accuracy_score(truths, labels))
    assert measured("f1", truths, scores) == pytest.approx(metrics.f1_score(truths, labels, zero_division=0.0))
    assert measured("logloss", truths, scores) == pytest.approx(metrics.log_loss(truths, scores, labels=[0, 1]))
    if len(set(truths)) == 2:
        assert measured("auc", truths, scores) == pytest.approx(metrics.roc_auc_score(truths, scores))
    else:
        assert math.isnan(measured("auc", truths, scores))


@given(st.lists(st.tuples(st.integers(0, 2), *[st.floats(0.01, 1)] * 3), min_size=3, max_size=30))
def test_probabilities_of_three_classes(rows):
    truths, raw = np.array([each[0] for each in rows]), np.array([each[1:] for each in rows])
    scores = raw / raw.sum(axis=1, keepdims=True)
    assert measured("logloss", truths, scores) == pytest.approx(metrics.log_loss(truths, scores, labels=[0, 1, 2]))
    assert measured("accuracy", truths, scores) == pytest.approx((scores.argmax(axis=1) == truths).mean())
    if len(set(truths)) == 3:
        theirs = metrics.roc_auc_score(truths, scores, multi_class="ovr", labels=[0, 1, 2])
        assert measured("auc", truths, scores) == pytest.approx(theirs)


@pytest.mark.parametrize("name", [name for name, each in MEASURES.items() if each.losses])
@given(rows=NUMBERS, other=st.randoms())
def test_mean_losses_order_models_as_the_measure_does(name, rows, other):
    measure = MEASURES[name]
    truths, first = np.array(rows).T
    second = np.array([each + other.uniform(-50, 50) for each in truths])
    if name in {"accuracy", "logloss"}:
        truths = (truths > 0).astype(int)
        first, second = (1 / (1 + np.exp(-each / 100)) for each in (first, second))
    if len(set(truths)) < 2:
        return
    ready = [measure.prepare(truths, each) for each in (first, second)]
    losses = [measure.losses(truths, each).mean() for each in ready]
    values = [measure.value(truths, each) for each in ready]
    if not math.isclose(*losses, rel_tol=1e-6):
        assert (losses[0] < losses[1]) == measure.wins(values[0] - values[1])


@pytest.mark.parametrize("name", ["r2", "f1", "auc"])
@given(rows=SCORES, seed=st.integers(0, 99))
def test_many_resamples_at_once_are_as_one_after_the_other(name, rows, seed):
    measure = MEASURES[name]
    truths, scores = np.array([a for a, _ in rows]), np.array([b for _, b in rows])
    ready = measure.prepare(truths, scores)
    places = np.random.default_rng(seed).integers(0, len(rows), (5, len(rows)))
    many = measure.many(truths[places], ready[places])
    for found, place in zip(many, places, strict=True):
        if len(set(truths[place])) == 2:
            assert found == pytest.approx(measure.value(truths[place], ready[place]))


@given(st.lists(st.tuples(*[st.sampled_from(["cat", "dog", "eel"])] * 2), min_size=1, max_size=20))
def test_many_f1_of_labels_of_text(rows):
    truths, told = np.array(rows).T
    assert MEASURES["f1"].many(truths[None], told[None])[0] == pytest.approx(measured("f1", truths, told))


def test_labels_of_text():
    truths = np.array(["cat", "dog", "cat", "eel"])
    assert measured("accuracy", truths, np.array(["cat", "dog", "dog", "eel"])) == 0.75
    theirs = metrics.f1_score(truths, ["cat", "dog", "dog", "eel"], average="macro")
    assert measured("f1", truths, np.array(["cat", "dog", "dog", "eel"])) == pytest.approx(theirs)


def test_a_part_of_the_rows_may_lack_a_class():
    truths, told = np.array([1, 2]), np.array([[0.1, 0.7, 0.2], [0.1, 0.2, 0.7]])
    assert measured("accuracy", truths, told) == 1.0
    assert measured("logloss", truths, told) == pytest.approx(-np.log(0.7))
    assert math.isnan(measured("auc", truths, told))
    assert measured("logloss", np.array([0, 0]), np.array([0.1, 0.1])) == pytest.approx(-np.log(0.9))


def test_two_probabilities_are_one_score():
    truths = np.array([0, 1, 1])
    both = np.array([[0.8, 0.2], [0.4, 0.6], [0.7, 0.3]])
    assert measured("auc", truths, both) == measured("auc", truths, both[:, 1])
    assert measured("logloss", truths, both) == pytest.approx(measured("logloss", truths, both[:, 1]))


@pytest.mark.parametrize(
    ("name", "truths", "predictions", "told"),
    [
        ("rmse", [1.0, 2.0], ["a", "b"], "a prediction is no number: a"),
        ("rmse", ["x", "y"], [1.0, 2.0], "a true value is no number: x"),
        ("rmse", [1.0], [[0.1, 0.9]], "a prediction is no number"),
        ("accuracy", [0, 1, 2], [0.0, 23.5, 1.0], "a prediction is no label: 23.5"),
        ("auc", [0, 1, 2], [0.1, 0.5, 0.9], "one score a row cannot tell more than two classes apart"),
        ("auc", [0, 1], ["a", "b"], "a prediction is no probability: a"),
        ("logloss", [0, 1], [0.1, 1.5], "a prediction is no probability: 1.5"),
        (
            "logloss",
            ["a", "b"],
            [[0.1, 0.2, 0.7]] * 2,
            "the true values are labels, as 'a', and the predictions scores",
        ),
        ("logloss", [-1, 1], [0.1, 0.7], "a true value is neither 0 nor 1: -1"),
        ("logloss", [1, 3], [[0.1, 0.2, 0.7]] * 2, "a true value is no class from 0 to 2, .*: 3"),
        ("accuracy", ["a", "b"], [[0.1, 0.9]] * 2, "a true value is no class from 0 to 1, .*: a"),
        ("accuracy", ["no", "yes"], [0.1, 0.9], "the true values are labels, as 'no', and the predictions numbers"),
        ("f1", ["no", "yes"], [0.0, 1.0], "the true values are labels, as 'no', and the predictions numbers"),
        ("auc", ["no", "yes"], [0.1, 0.9], "the true values are labels, as 'no', and the predictions scores"),
    ],
)
def test_what_cannot_be_measured_so_is_told(name, truths, predictions, told):
    with pytest.raises(CellError, match=told) as caught:
        measured(name, truths, predictions)
    assert caught.value.hint


def test_a_metric_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(CellError, match="unknown metric 'rmsee'\n  did you mean 'rmse'"):
        measure_of("rmsee")
    with pytest.raises(CellError, match="there are rmse, mae"):
        measure_of("zzz")
    with pytest.raises(CellError, match="takes a name or a function, not a float"):
        measure_of(1.5)


def test_what_a_function_of_the_user_raises_is_told_shortly_with_its_cause_and_line():
    def boom(*_):
        raise KeyError("price")

    with pytest.raises(CellError) as caught:
        measure_of(boom, "lower").value(np.zeros(2), np.ones(2))
    line = boom.__code__.co_firstlineno + 1
    assert caught.value.message == f"--metric boom raised KeyError: 'price' (its line {line})"
    assert "two arrays" in caught.value.hint
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(CellError, match=r"--metric <lambda> raised ZeroDivisionError: "):
        measure_of(lambda *_: 1 / 0, "lower").value(np.zeros(2), np.ones(2))
    with pytest.raises(
        CellError, match=r"--metric pow raised TypeError: unsupported [^\n]*'list'\n"
    ):  # which has no lines
        measure_of(pow, "lower").value(["a"], ["b"])


@pytest.mark.parametrize("made", ["much", {}])
def test_a_function_of_the_user_that_returns_no_number_is_told(made):
    with pytest.raises(CellError, match=f"worst returned no number, but a {type(made).__name__}") as caught:
        measure_of(type("Worst", (), {"__name__": "worst", "__call__": lambda *_: made})(), "lower").value([0], [1])
    assert caught.value.hint == "give one number for all rows"


@pytest.mark.parametrize("name", ["r2", "auc"])
@pytest.mark.parametrize("odd", [np.inf, np.nan])
def test_of_predictions_that_are_no_finite_numbers_the_measure_is_none(name, odd):
    assert np.isnan(measured(name, np.array([0, 1, 1]), np.array([0.1, odd, 0.9])))


def test_which_take_no_truths_but_numbers_is_known():
    assert {name for name, each in MEASURES.items() if not each.numbers} == {"accuracy", "f1"}
    assert not measure_of(max, "lower").numbers


def test_a_function_of_the_user_is_a_measure():
    def worst(truths, predictions):
        return np.abs(truths - predictions).max()

    measure = measure_of(worst, "lower")
    assert measure.name == "worst"
    assert measure.losses is None
    assert measure.value(np.array([1.0, 5.0]), np.array([1.5, 3.0])) == 2.0
    assert measure.wins(-1)
    assert not measure.wins(1)
    with pytest.raises(CellError, match="which values of worst are better"):
        measure_of(worst)
    with pytest.raises(CellError, match="of rmse, lower is better"):
        measure_of("rmse", "higher")
    with pytest.raises(CellError, match="returned 2 values for 2 rows"):
        measure_of(lambda t, p: t - p, "lower").value(np.zeros(2), np.ones(2))
