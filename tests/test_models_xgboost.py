from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from sm_magics.errors import PackagingError
from sm_magics.models import xgboost

RNG = np.random.default_rng(7)
X = RNG.normal(size=(120, 4)).astype(np.float32)
Y = 3 * X[:, 0] + X[:, 1] + 41
BINARY = (Y > 41.5).astype(int)
CLASSES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
SMALL = {"n_estimators": 4, "max_depth": 2, "n_jobs": 1}


def packed(model, version=None) -> tuple[str, dict]:
    """Pack a model; return its default image and the JSON of its only file."""
    found = xgboost.pack(model, "$xgb", version)
    assert list(found.files) == ["xgboost-model"]
    return found.image, json.loads(found.files["xgboost-model"])


def base_score(document: dict) -> str:
    return document["learner"]["learner_model_param"]["base_score"]


def load(document: dict) -> xgb.Booster:
    return xgb.Booster(model_file=bytearray(json.dumps(document).encode()))


def predict(booster: xgb.Booster, rows=X):
    return booster.predict(xgb.DMatrix(rows), validate_features=False)


MODELS = {
    "regression": lambda: xgb.XGBRegressor(**SMALL).fit(X, Y),
    "binary": lambda: xgb.XGBClassifier(**SMALL).fit(X, BINARY),
    "multiclass": lambda: xgb.XGBClassifier(base_score=0.5, **SMALL).fit(X, CLASSES),
    "forest": lambda: xgb.XGBRFRegressor(**SMALL).fit(X, Y),
    "dart": lambda: xgb.XGBRegressor(booster="dart", rate_drop=0.5, **SMALL).fit(X, Y),
    "linear": lambda: xgb.XGBRegressor(booster="gblinear", n_estimators=4).fit(X, Y),
    "named features": lambda: xgb.XGBRegressor(**SMALL).fit(pd.DataFrame(X, columns=list("abcd")), Y),
    "ranker": lambda: xgb.XGBRanker(**SMALL).fit(X, BINARY, qid=np.repeat(np.arange(12), 10)),
    "booster": lambda: xgb.train({"objective": "count:poisson"}, xgb.DMatrix(X, Y), 3),
    "two targets": lambda: xgb.XGBRegressor(base_score=1, **SMALL).fit(X, np.c_[Y, -Y]),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_packed_model_predicts_as_the_object_does(make):
    model = make()
    booster = model if isinstance(model, xgb.Booster) else model.get_booster()
    expected = predict(booster)
    image, document = packed(model)
    assert image == "xgboost@3.0-5"
    assert "[" not in base_score(document)
    np.testing.assert_allclose(predict(load(document)), expected, rtol=1e-6)


def test_the_intercept_is_one_number_for_images_before_3_2_and_as_saved_from_there_on():
    model = MODELS["regression"]()
    saved = json.loads(model.get_booster().save_raw("json"))
    _, old = packed(model, "1.7-1")
    _, new = packed(model, "3.2-0")
    assert new == saved
    assert base_score(new) == f"[{base_score(old)}]"
    old["learner"]["learner_model_param"]["base_score"] = base_score(new)
    assert old == saved  # and nothing else was touched


def test_an_intercept_as_older_versions_save_it_stays():
    raw = b'{"learner":{"learner_model_param":{"base_score":"4.25E-1","num_class":"0"}}}'
    assert xgboost._with_plain_intercept(raw) == raw


def test_a_feature_named_like_the_intercept_is_not_taken_for_it():
    name = '"learner_model_param":{"base_score":"(7)"'.replace("(", "{")
    booster = xgb.train({}, xgb.DMatrix(X[:, :1], Y, feature_names=[name]), 2)
    expected = booster.predict(xgb.DMatrix(X[:, :1], feature_names=[name]))
    _, document = packed(booster)
    assert document["learner"]["feature_names"] == [name]
    np.testing.assert_allclose(predict(load(document), X[:, :1]), expected, rtol=1e-6)


def test_an_intercept_per_class_chooses_the_image_that_can_read_it():
    model = xgb.XGBClassifier(**SMALL).fit(X, CLASSES)
    image, document = packed(model)
    assert image == "xgboost@3.2-0"
    np.testing.assert_allclose(predict(load(document)), model.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize("version", ["1.7-1", "3.0-5", "1.7-1-1"])
def test_an_intercept_per_class_is_refused_for_images_that_would_misread_it(version):
    model = xgb.XGBClassifier(**SMALL).fit(X, CLASSES)
    with pytest.raises(PackagingError, match=rf"xgboost@{version} cannot serve \$xgb: its intercept differs") as caught:
        xgboost.pack(model, "$xgb", version)
    assert caught.value.hint == "use xgboost@3.2-0 or train it with base_score=0.5"


@pytest.mark.parametrize("version", ["1", "latest", "0.90-1", "0.90-2", "1.0-1", "1.2-2", "1.3-1", "1.5-1"])
def test_images_that_cannot_load_the_json_are_refused(version):
    with pytest.raises(PackagingError, match=r"xgboost before 1\.7 cannot load the JSON") as caught:
        xgboost.pack(MODELS["regression"](), "$xgb", version)
    assert caught.value.hint == "use xgboost@1.7-1, xgboost@3.0-5, xgboost@3.2-0"


def test_what_xgboost_1_7_does_not_know_is_refused_for_its_image():
    trees = xgb.XGBRegressor(base_score=1, multi_strategy="multi_output_tree", **SMALL).fit(X, np.c_[Y, -Y])
    quantile = xgb.XGBRegressor(objective="reg:quantileerror", quantile_alpha=0.1, **SMALL).fit(X, Y)
    for model, reason in ((MODELS["ranker"](), "rank:ndcg"), (trees, "several outputs"), (quantile, "quantileerror")):
        with pytest.raises(PackagingError, match=reason) as caught:
            xgboost.pack(model, "$xgb", "1.7-1")
        assert caught.value.hint == "use xgboost@3.0-5, xgboost@3.2-0"
        assert xgboost.pack(model, "$xgb").image == "xgboost@3.0-5"


def test_an_image_whose_version_says_nothing_gets_what_most_versions_read():
    _, document = packed(MODELS["regression"](), "mine")
    assert "[" not in base_score(document)


@pytest.mark.parametrize("booster", ["gbtree", "dart"])
def test_early_stopping_packs_the_rounds_up_to_the_best(booster):
    noise = RNG.normal(size=50)
    model = xgb.XGBRegressor(n_estimators=40, early_stopping_rounds=3, n_jobs=1, booster=booster)
    model.fit(X, Y, eval_set=[(X[:50], Y[:50] + noise * 20)], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    _, document = packed(model)
    assert load(document).num_boosted_rounds() == model.best_iteration + 1
    np.testing.assert_allclose(predict(load(document)), model.predict(X), rtol=1e-6)


def test_early_stopping_of_a_linear_booster_packs_all_there_is():
    model = xgb.XGBRegressor(n_estimators=40, early_stopping_rounds=1, booster="gblinear")
    model.fit(X, Y, eval_set=[(X[:50], -Y[:50])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    _, document = packed(model)
    np.testing.assert_allclose(predict(load(document)), model.predict(X), rtol=1e-6)


@pytest.mark.parametrize(
    "model", [xgb.XGBRegressor(), xgb.XGBClassifier(), xgb.Booster(), xgb.Booster({}, [xgb.DMatrix(X, Y)])]
)
def test_a_model_that_is_not_fitted_is_refused(model):
    with pytest.raises(PackagingError, match=r"\$xgb is not fitted"):
        xgboost.pack(model, "$xgb")


def test_an_object_of_xgboost_that_is_no_model_is_refused():
    with pytest.raises(PackagingError, match=r"\$xgb is a DMatrix, which is no model"):
        xgboost.pack(xgb.DMatrix(X, Y), "$xgb")


class Derived(xgb.XGBRegressor):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [(xgb.Booster(), True), (Derived(), True), (xgb.DMatrix(X), True), (X, False), ("xgboost", False)],
)
def test_objects_of_xgboost_are_told_by_the_module_of_their_class(value, expected):
    assert xgboost.is_xgboost(value) is expected


def test_a_module_that_only_begins_like_xgboost_is_another():
    assert not xgboost.is_xgboost(type("Model", (), {"__module__": "xgboost_tools.model"})())


def test_packing_leaves_the_object_as_it_was():
    model = MODELS["regression"]()
    before = model.get_booster().save_raw("json")
    xgboost.pack(model, "$xgb")
    assert model.get_booster().save_raw("json") == before
