from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import linear_model as lm
from sklearn.cross_decomposition import PLSRegression
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC

from sm_magics.errors import PackagingError
from sm_magics.models import linear

RNG = np.random.default_rng(11)
X = RNG.normal(size=(150, 5)) * [1, 10, 0.1, 3, 1] + [0, 5, -1, 2, 0]
Y = X @ [2, -0.3, 4, 1, 0] + 20 + RNG.normal(size=150)
BINARY = (np.median(Y) < Y).astype(int)
CLASSES = np.digitize(Y, np.quantile(Y, [0.33, 0.66]))


def arrays(params: bytes) -> dict[str, np.ndarray]:
    """Read MXNet's list of named arrays, as far as dense 32-bit floats go."""
    stream = io.BytesIO(params)

    def take(form: str):
        return struct.unpack(f"<{form}", stream.read(struct.calcsize(f"<{form}")))

    magic, _, count = take("QQQ")
    assert magic == 0x112
    found = []
    for _ in range(count):
        assert take("Ii") == (0xF993FAC9, 0)
        (dimensions,) = take("I")
        shape = take(f"{dimensions}q")
        assert take("iii") == (1, 0, 0)
        found.append(np.frombuffer(stream.read(4 * int(np.prod(shape))), "<f4").reshape(shape))
    (named,) = take("Q")
    names = [stream.read(take("Q")[0]).decode() for _ in range(named)]
    assert not stream.read()
    return dict(zip(names, found, strict=True))


def served(model, rows=X) -> tuple[str, np.ndarray]:
    """Pack a model, read the artifact back and run its graph; return the kind of predictor and the scores."""
    packed = linear.pack(model, "$lin")
    assert packed.image == "linear-learner"
    assert list(packed.files) == ["model_algo-1"]
    with zipfile.ZipFile(io.BytesIO(packed.files["model_algo-1"])) as archive:
        graph = json.loads(archive.read("mx-mod-symbol.json"))
        values = {name.removeprefix("arg:"): v for name, v in arrays(archive.read("mx-mod-0000.params")).items()}
        settings = json.loads(archive.read("additional-params.json"))
    values |= {"data": np.asarray(rows, dtype=np.float64), "out_label": None}
    outputs = []
    for node in graph["nodes"]:
        inputs = [outputs[number] for number, _, _ in node["inputs"]]
        outputs.append(values[node["name"]] if node["op"] == "null" else OPERATIONS[node["op"]](*inputs))
    return settings["predictor_type"], outputs[graph["heads"][0][0]]


def softmax(x, _=None):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


OPERATIONS = {
    "dot": np.dot,
    "broadcast_add": np.add,
    "LinearRegressionOutput": lambda x, _: x,
    "LogisticRegressionOutput": lambda x, _: 1 / (1 + np.exp(-x)),
    "SoftmaxOutput": softmax,
}
REGRESSORS = [
    lm.LinearRegression(),
    lm.LinearRegression(fit_intercept=False),
    lm.Ridge(),
    lm.Lasso(alpha=0.1),
    lm.Lasso(alpha=1e6),
    lm.ElasticNet(alpha=0.1),
    make_pipeline(StandardScaler(), lm.SGDRegressor(random_state=0)),
    lm.HuberRegressor(max_iter=1000),
    lm.BayesianRidge(),
    lm.ARDRegression(),
    lm.QuantileRegressor(),
    lm.TweedieRegressor(power=0),
    SVR(kernel="linear"),
]
BINARIES = [
    lm.LogisticRegression(max_iter=5000),
    lm.LogisticRegression(solver="liblinear"),
    make_pipeline(StandardScaler(), lm.SGDClassifier(loss="log_loss", random_state=0)),
    LinearDiscriminantAnalysis(),
]


@pytest.mark.parametrize("model", REGRESSORS, ids=str)
def test_a_regression_is_served_as_it_predicts(model):
    kind, scores = served(model.fit(X, Y))
    assert kind == "regressor"
    np.testing.assert_allclose(scores.ravel(), model.predict(X), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("model", BINARIES, ids=str)
def test_a_binary_classification_is_served_as_it_predicts(model):
    kind, scores = served(model.fit(X, BINARY))
    assert kind == "binary_classifier"
    np.testing.assert_allclose(scores.ravel(), model.predict_proba(X)[:, 1], rtol=1e-6, atol=2e-6)
    assert ((scores.ravel() >= 0.5) == model.predict(X)).all()


@pytest.mark.parametrize("model", [lm.LogisticRegression(max_iter=5000), LinearDiscriminantAnalysis()], ids=str)
def test_a_multinomial_classification_is_served_as_it_predicts(model):
    kind, scores = served(model.fit(X, CLASSES))
    assert kind == "multiclass_classifier"
    np.testing.assert_allclose(scores, model.predict_proba(X), rtol=1e-5, atol=1e-6)
    assert (scores.argmax(axis=1) == model.predict(X)).all()


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler()],
        [StandardScaler(with_mean=False)],
        [StandardScaler(with_std=False)],
        [StandardScaler(with_mean=False, with_std=False)],
        [StandardScaler(), "passthrough", StandardScaler()],
        [make_pipeline(StandardScaler(), None)],
        ["passthrough"],
    ],
    ids=str,
)
def test_scalers_before_the_model_are_folded_into_its_weights(steps):
    regression = make_pipeline(*steps, lm.Ridge()).fit(X, Y)
    np.testing.assert_allclose(served(regression)[1].ravel(), regression.predict(X), rtol=1e-6)
    classification = make_pipeline(*steps, lm.LogisticRegression(max_iter=9999)).fit(X, CLASSES)
    np.testing.assert_allclose(served(classification)[1], classification.predict_proba(X), rtol=1e-5, atol=1e-6)


def test_a_pipeline_ending_in_a_pipeline_is_opened():
    model = make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), lm.Ridge())).fit(X, Y)
    np.testing.assert_allclose(served(model)[1].ravel(), model.predict(X), rtol=1e-6)


def test_a_constant_feature_and_its_scaler_do_no_harm():
    rows = np.c_[X, np.full(len(X), 3.0)]
    model = make_pipeline(StandardScaler(), lm.LinearRegression()).fit(rows, Y)
    np.testing.assert_allclose(served(model, rows)[1].ravel(), model.predict(rows), rtol=1e-6)


def test_frames_targets_in_a_column_and_32_bit_training_are_all_fine():
    for model in (
        lm.LinearRegression().fit(pd.DataFrame(X, columns=list("abcde")), Y),
        lm.LinearRegression().fit(X, Y.reshape(-1, 1)),
        lm.Ridge().fit(X.astype(np.float32), Y.astype(np.float32)),
        lm.LogisticRegression(max_iter=5000).fit(X, BINARY.astype(bool)),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            linear.pack(model, "$lin")


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=6), st.floats(-100, 100, width=32))
def test_any_weights_come_back_from_the_artifact(weights, bias):
    model = lm.LinearRegression()
    model.coef_, model.intercept_, model.n_features_in_ = np.array(weights), bias, len(weights)
    _, scores = served(model, np.vstack([np.zeros(len(weights)), np.eye(len(weights))]))
    np.testing.assert_array_equal(scores.ravel(), np.float64([bias, *(np.float64(weights) + bias)]))


def refusal(model) -> PackagingError:
    with pytest.raises(PackagingError) as caught:
        linear.pack(model, "$lin")
    assert caught.value.message.startswith("$lin")
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (lm.LinearRegression(), "$lin is a LinearRegression that is not fitted"),
        (RandomForestRegressor(), "$lin is a RandomForestRegressor that is not fitted"),
        (make_pipeline(StandardScaler(), lm.Ridge()), "step 'standardscaler' is a StandardScaler that is not fitted"),
        (make_pipeline(StandardScaler().fit(X), lm.Ridge()), "step 'ridge' is a Ridge that is not fitted"),
        (make_pipeline("passthrough"), "a Pipeline without a model"),
    ],
)
def test_what_is_not_fitted_is_refused(model, problem):
    assert problem in refusal(model).message


@pytest.mark.parametrize(
    ("model", "target", "problem"),
    [
        (RandomForestRegressor(n_estimators=2), Y, "a RandomForestRegressor, which no prebuilt image serves"),
        (lm.LinearRegression(), np.c_[Y, Y], "has 2 rows of coefficients, where linear-learner takes 1"),
        (lm.PoissonRegressor(), np.abs(Y), "a PoissonRegressor that does not predict its intercept plus"),
        (lm.TweedieRegressor(power=0, link="log"), np.abs(Y), "does not predict its intercept plus"),
        (PLSRegression(), Y, "a PLSRegression that does not predict its intercept plus"),
        (lm.RidgeClassifier(), BINARY, "a RidgeClassifier, which has no probabilities"),
        (LinearSVC(), BINARY, "a LinearSVC, which has no probabilities"),
        (lm.SGDClassifier(), BINARY, "a SGDClassifier, which has no probabilities"),
        (lm.SGDClassifier(loss="modified_huber"), BINARY, "does not predict the logistic function of its score"),
        (lm.SGDClassifier(loss="log_loss"), CLASSES, "does not predict the softmax of its scores"),
        (SVC(kernel="linear"), CLASSES, "has no probabilities"),
        (
            lm.LogisticRegression(max_iter=5000),
            BINARY + 1,
            "of the classes [1, 2]; linear-learner answers label numbers",
        ),
        (lm.LogisticRegression(max_iter=5000), BINARY * 2 - 1, "of the classes [-1, 1]; linear-learner"),
        (
            lm.LogisticRegression(max_iter=5000),
            np.where(BINARY, "yes", "no"),
            "of the classes ['no', 'yes']; linear-learner",
        ),
        (make_pipeline(MinMaxScaler(), lm.Ridge()), Y, "step 'minmaxscaler' is a MinMaxScaler, which linear-learner"),
        (
            make_pipeline(make_pipeline(StandardScaler(), PolynomialFeatures()), lm.Ridge()),
            Y,
            "step 'pipeline.polynomialfeatures' is a PolynomialFeatures",
        ),
        (GridSearchCV(lm.Ridge(), {"alpha": [1, 2]}), Y, "a GridSearchCV, a search for a model"),
    ],
    ids=str,
)
def test_what_linear_learner_cannot_answer_is_refused(model, target, problem):
    assert problem in refusal(model.fit(X, target)).message


def test_a_search_is_told_to_give_its_best_model():
    assert "best_estimator_" in refusal(GridSearchCV(lm.Ridge(), {"alpha": [1, 2]}).fit(X, Y)).hint


def test_sparse_coefficients_are_refused():
    model = lm.SGDClassifier(loss="log_loss", random_state=0).fit(X, BINARY).sparsify()
    error = refusal(model)
    assert "sparse coefficients" in error.message
    assert "densify" in error.hint


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_coefficients_that_32_bits_cannot_hold_are_refused(value):
    model = lm.LinearRegression().fit(X, Y)
    model.coef_[1] = value
    assert "no 32-bit float holds" in refusal(model).message


class Clipped(lm.LinearRegression):
    def predict(self, X):  # noqa: N803 - scikit-learn's own name
        return np.clip(super().predict(X), 0, None)


def test_a_model_with_a_prediction_of_its_own_is_refused():
    assert "does not predict its intercept plus" in refusal(Clipped().fit(X, Y)).message


class Duck:
    """What has coefficients is linear, whatever package it is from."""

    coef_, intercept_ = np.array([1.0, 2.0]), 3.0

    def predict(self, rows):
        return rows @ self.coef_ + self.intercept_


def test_an_estimator_of_another_package_is_told_by_its_attributes():
    _, scores = served(Duck(), np.array([[1.0, 1.0]]))
    assert scores.tolist() == [[6.0]]
