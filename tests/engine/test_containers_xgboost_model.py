from __future__ import annotations

from array import array

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sm_magics.local.containers import xgboost_model
from sm_magics.local.containers.tables import Dense, compressed
from sm_magics.local.containers.xgboost_library import Booster, LibraryError, Predictions
from sm_magics.local.containers.xgboost_model import Model, mean, vote

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(90, 4)).astype("f4")
Y = (np.abs(X.sum(axis=1)) * 2 % 3).astype(int)


def train(objective="reg:squarederror", columns=4, seed=1, **parameters):
    parameters = {"objective": objective, "max_depth": 3, "seed": seed, "subsample": 0.5} | parameters
    return xgb.train(parameters, xgb.DMatrix(X[:, :columns], Y), 5)


def model(*boosters, **options):
    return Model([Booster(bytes(each.save_raw())) for each in boosters], pickled=False, **options)


def dense(rows):
    rows = np.asarray(rows, "f4")
    return Dense(array("f", rows.ravel()), *rows.shape)


def test_each_table_has_its_own_predictions_or_its_own_error():
    trained = train()
    tables = [dense(X[:2]), dense(np.ones((1, 5))), compressed([{0: 1.0}], 1), dense(X[2:3, :2]), dense(X[3:9])]
    first, wide, sparse, narrow, last = model(trained).predict(tables)
    np.testing.assert_array_equal(first.values, trained.predict(xgb.DMatrix(X[:2])))
    assert isinstance(wide, LibraryError)
    nothing = [np.nan] * 3
    np.testing.assert_array_equal(sparse.values, trained.predict(xgb.DMatrix([[1.0, *nothing]])))
    np.testing.assert_array_equal(narrow.values, trained.predict(xgb.DMatrix([[*X[2, :2], *nothing[:2]]])))
    np.testing.assert_array_equal(last.values, trained.predict(xgb.DMatrix(X[3:9])))


def test_many_narrow_rows_are_predicted_without_widening_them_all(monkeypatch):
    monkeypatch.setattr(xgboost_model, "_MOST_WIDENED", 7)
    monkeypatch.setattr(xgboost_model, "merged", None)
    trained = train()
    [predicted] = model(trained).predict([dense(X[:2, :3])])
    expected = trained.predict(xgb.DMatrix(X[:2, :3]), validate_features=False)
    np.testing.assert_array_equal(predicted.values, expected)


def test_an_error_of_all_together_is_only_that_of_the_one_at_fault(monkeypatch):
    served = model(train())
    expected = served.predict([dense(X[:2]), dense(X[5:6])])

    def refuse(_):
        raise LibraryError("no")

    monkeypatch.setattr(served._boosters[0], "predict", refuse)
    assert served.predict([dense(X[:2]), dense(X[5:6])]) == expected


def test_no_tables_have_no_predictions():
    assert model(train()).predict([]) == []


@pytest.mark.parametrize("objective", ["reg:squarederror", "multi:softprob"])
def test_an_ensemble_predicts_the_mean(objective):
    classes = {"num_class": 3} if objective.startswith("multi") else {}
    trained = [train(objective, seed=seed, **classes) for seed in (1, 2, 3)]
    [predicted] = model(*trained).predict([dense(X)])
    expected = np.mean([each.predict(xgb.DMatrix(X)) for each in trained], axis=0)
    np.testing.assert_allclose(np.array(predicted.rows()), expected, rtol=1e-6)


def test_an_ensemble_of_labels_takes_a_vote():
    trained = [train("multi:softmax", seed=seed, num_class=3) for seed in (1, 2, 3, 4)]
    [predicted] = model(*trained).predict([dense(X)])
    expected = stats.mode(np.array([each.predict(xgb.DMatrix(X)) for each in trained])).mode
    np.testing.assert_array_equal(predicted.values, expected)


def test_an_ensemble_of_models_of_different_width_predicts_what_suits_all():
    trained = [train(), train(columns=3)]
    narrow, wide = model(*trained).predict([dense(X[:2, :3]), dense(X[:2])])
    expected = np.mean([each.predict(xgb.DMatrix(X[:2, :3]), validate_features=False) for each in trained], axis=0)
    np.testing.assert_allclose(narrow.values, expected, rtol=1e-6)
    assert isinstance(wide, LibraryError)


def test_old_versions_pass_over_columns_that_the_model_does_not_know():
    trained = train(columns=3)
    tables = [dense(X[:2]), compressed([{0: 1.0, 3: 5.0, 9: 7.0}], 10)]
    both, sparse = model(trained, ignores_extra_columns=True).predict(tables)
    np.testing.assert_array_equal(both.values, trained.predict(xgb.DMatrix(X[:2, :3])))
    np.testing.assert_array_equal(sparse.values, trained.predict(xgb.DMatrix([[1.0, np.nan, np.nan]])))


MANY = st.integers(2, 6).flatmap(
    lambda rows: st.lists(
        st.lists(st.floats(-100, 100, width=32), min_size=rows, max_size=rows), min_size=2, max_size=6
    )
)


@given(MANY)
def test_the_mean_is_that_of_numpy(values):
    expected = np.mean(np.array(values, "f4"), axis=0)
    assert mean([Predictions(each, None) for each in values]) == Predictions(expected.tolist(), None)


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=3, max_size=3), min_size=2, max_size=6))
def test_the_vote_is_that_of_scipy(values):
    expected = stats.mode(np.array(values)).mode
    assert vote([Predictions(each, None) for each in values]) == Predictions(expected.tolist(), None)
