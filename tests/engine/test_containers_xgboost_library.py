from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
from array import array

import numpy as np
import pytest
import xgboost as xgb

from sm_magics.local.containers import xgboost_library
from sm_magics.local.containers.contract import LoadError
from sm_magics.local.containers.tables import Dense, compressed
from sm_magics.local.containers.xgboost_library import Booster, LibraryError, Predictions

RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(120, 5)).astype("f4")
Y = np.abs(X @ [1, 2, 0, -1, 3])
CLASSES = (Y * 10 % 3).astype(int)

MODELS = {
    "reg:squarederror": ({}, Y),
    "reg:gamma": ({}, Y + 0.1),
    "count:poisson": ({}, Y),
    "binary:logistic": ({}, CLASSES > 0),
    "binary:logitraw": ({}, CLASSES > 0),
    "binary:hinge": ({}, CLASSES > 0),
    "multi:softprob": ({"num_class": 3}, CLASSES),
    "multi:softmax": ({"num_class": 3}, CLASSES),
    "rank:pairwise": ({}, CLASSES),
    "gblinear": ({"booster": "gblinear", "objective": "reg:squarederror"}, Y),
    "dart": ({"booster": "dart", "rate_drop": 0.5, "objective": "reg:squarederror"}, Y),
    "two targets": ({"objective": "reg:squarederror"}, np.stack([Y, -Y], axis=1)),
}


@pytest.fixture(scope="module", params=MODELS)
def trained(request):
    parameters, target = MODELS[request.param]
    depth = {} if "booster" in parameters else {"max_depth": 3}
    parameters = {"objective": request.param, "seed": 1} | depth | parameters
    return xgb.train(parameters, xgb.DMatrix(X, np.asarray(target, float)), 7)


def dense(rows):
    rows = np.asarray(rows, "f4")
    return Dense(array("f", rows.ravel()), *rows.shape)


def as_array(predictions):
    return np.array(predictions.rows())


def test_dense_rows_are_predicted_as_by_the_python_package(trained):
    rows = X.copy()
    rows[::7, 2] = np.nan
    expected = trained.predict(xgb.DMatrix(rows))
    for model in ("json", "ubj"):
        booster = Booster(bytes(trained.save_raw(model)))
        for predicted in (booster.predict(dense(rows)), booster.predict_checked(dense(rows))):
            np.testing.assert_allclose(as_array(predicted), expected, rtol=1e-6)
            assert as_array(predicted).shape == expected.shape


def test_sparse_rows_are_predicted_with_the_rest_missing(trained):
    rows = X.copy()
    rows[RANDOM.random(X.shape) < 0.5] = np.nan
    table = compressed(({i: v for i, v in enumerate(row) if not math.isnan(v)} for row in rows.tolist()), 5)
    booster = Booster(bytes(trained.save_raw()))
    np.testing.assert_allclose(as_array(booster.predict_sparse(table)), trained.predict(xgb.DMatrix(rows)), rtol=1e-6)


def test_what_a_model_says_of_itself(trained):
    booster = Booster(bytes(trained.save_raw()))
    parameters = {"objective": "reg:squarederror"} | MODELS.get(booster.objective, ({}, None))[0]
    assert booster.columns == 5
    assert booster.classes == parameters.get("num_class", 0)


def test_one_booster_predicts_again_and_again():
    booster = Booster(bytes(xgb.train({"max_depth": 2}, xgb.DMatrix(X, Y), 3).save_raw()))
    first = booster.predict(dense(X[:3]))
    assert booster.predict(dense(X[5:6])) != first
    assert booster.predict(dense(X[:3])) == first


def test_early_stopped_models_use_all_their_trees():
    data = xgb.DMatrix(X, Y)
    trained = xgb.train({"eta": 1}, data, 30, evals=[(data, "a")], early_stopping_rounds=1, verbose_eval=False)
    trained.set_attr(best_iteration="2")
    booster = Booster(bytes(trained.save_raw()))
    np.testing.assert_allclose(as_array(booster.predict(dense(X))), trained.predict(data), rtol=1e-6)


def test_errors_come_without_their_stack_trace():
    booster = Booster(bytes(xgb.train({}, xgb.DMatrix(X, Y), 1).save_raw()))
    with pytest.raises(LibraryError) as raised:
        booster.predict_checked(dense(np.ones((1, 6))))
    text = str(raised.value)
    assert "(5 vs. 6) : Number of columns does not match number of features in booster." in text
    assert "Stack trace" not in text
    assert not text.endswith("\n")


def test_infinite_values_are_refused_on_check():
    with pytest.raises(LibraryError, match="Input data contains `inf`"):
        xgboost_library.check(dense([[1, np.inf]]))
    xgboost_library.check(dense([[1, np.nan]]))


@pytest.mark.parametrize("model", [b"{", b"[]", b"{}", b"what", b'{"learner": 1}', b'{"version":[3,2,0]}'])
def test_what_is_no_model_is_an_error(model):
    with pytest.raises(LibraryError):
        Booster(model)


def test_a_missing_xgboost_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    xgboost_library.library.cache_clear()
    with pytest.raises(LoadError, match="pip install xgboost-cpu"):
        xgboost_library.library()


def test_the_version_is_that_of_the_package():
    assert xgboost_library.library_version() == tuple(map(int, xgb.__version__.split(".")[:2]))


def test_parts_and_rows_of_predictions():
    assert Predictions([1.0, 2.0, 3.0], None).part(1, 2) == Predictions([2.0, 3.0], None)
    table = Predictions([1.0, 2.0, 3.0, 4.0], 2)
    assert table.part(1, 1) == Predictions([3.0, 4.0], 2)
    assert table.rows() == [[1.0, 2.0], [3.0, 4.0]]


def test_a_model_is_loaded_and_served_on_one_thread_without_numpy(tmp_path):
    path = tmp_path / "model"
    xgb.train({}, xgb.DMatrix(X, Y), 20).save_model(path.with_suffix(".json"))
    program = f"""
import os, sys
from array import array
from pathlib import Path
from sm_magics.local.containers.tables import Dense
from sm_magics.local.containers.xgboost_library import Booster
booster = Booster(Path({str(path.with_suffix(".json"))!r}).read_bytes())
booster.predict(Dense(array("f", [0.0] * 50000), 10000, 5))
assert not os.path.exists("/proc/self/task") or len(os.listdir("/proc/self/task")) == 1
assert not {{"numpy", "scipy", "xgboost"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
