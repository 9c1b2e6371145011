from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from sklearn.linear_model import LinearRegression

from sm_magics.errors import PackagingError
from sm_magics.models import objects
from sm_magics.models.images import image_uri

REGION = "eu-west-1"
X = np.random.default_rng(3).normal(size=(40, 2))
XGB = xgb.XGBRegressor(n_estimators=2, max_depth=2).fit(X, X[:, 0])
LINEAR = LinearRegression().fit(X, X[:, 0])


def uri(image: str) -> str:
    return image_uri(image, REGION)


def pack(value, image=None):
    return objects.pack(value, "$m", image, REGION)


class Estimator:
    """An estimator of an SDK after training."""

    model_data = "s3://bucket/job/output/model.tar.gz"
    environment = ("not", "a", "dict")
    env = {"A": "1"}  # noqa: RUF012 - as the SDK has it

    def fit(self):
        """Train."""

    def training_image_uri(self):
        return uri("xgboost@1.5-1")


class Model:
    """A model of an SDK, whose attributes are those of the instance."""

    def __init__(self):
        self.model_data = "s3://bucket/model.tar.gz"
        self.image_uri = uri("sklearn@1.2-1")
        self.environment = {"B": "2"}


class Untrained:
    image_uri = "registry/image"

    @property
    def model_data(self):
        return "/".join(["s3:", None])


def test_an_object_gets_the_image_that_serves_its_kind():
    assert pack(XGB).image == uri("xgboost@3.0-5")
    assert pack(LINEAR).image == uri("linear-learner")


def test_the_image_of_the_cell_goes_first():
    assert pack(XGB, uri("xgboost@1.7-1")).image == uri("xgboost@1.7-1")
    assert pack(Estimator(), "mine/image").image == "mine/image"


def test_an_image_that_is_not_known_is_taken_for_able():
    assert list(pack(XGB, "mine/image:1").files) == ["xgboost-model"]
    assert list(pack(LINEAR, "mine/image:1").files) == ["model_algo-1"]


@pytest.mark.parametrize(
    ("value", "image", "problem"),
    [
        (XGB, "linear-learner", r"\$m is a XGBRegressor, which the image linear-learner@1 cannot serve"),
        (XGB, "sklearn@1.2-1", r"\$m is a XGBRegressor, which the image sklearn@1.2-1 cannot serve"),
        (LINEAR, "xgboost@1.7-1", r"\$m is a LinearRegression, which the image xgboost@1.7-1 cannot serve"),
        (XGB, "xgboost@1.5-1", r"xgboost@1.5-1 cannot serve \$m"),
    ],
)
def test_an_image_of_another_kind_is_refused(value, image, problem):
    with pytest.raises(PackagingError, match=problem) as caught:
        pack(value, uri(image))
    assert "use" in caught.value.hint


def test_an_estimator_of_an_sdk_brings_data_image_and_environment():
    packed = pack(Estimator())
    assert (packed.image, packed.data_url) == (uri("xgboost@1.5-1"), Estimator.model_data)
    assert packed.environment == {"A": "1"}
    assert packed.files is None


def test_a_model_of_an_sdk_brings_data_image_and_environment():
    packed = pack(Model())
    assert (packed.image, packed.data_url) == (uri("sklearn@1.2-1"), "s3://bucket/model.tar.gz")
    assert packed.environment == {"B": "2"}


def test_an_sdk_object_without_an_image_leaves_it_open():
    model = Model()
    model.image_uri = None
    assert pack(model).image is None


@pytest.mark.parametrize("data", [None, "/local/model.tar.gz", {"S3DataSource": {}}])
def test_an_sdk_object_whose_data_is_not_on_s3_is_refused(data):
    model = Model()
    model.model_data = data
    with pytest.raises(PackagingError, match=r"\$m is a Model without model_data on S3"):
        pack(model)


def test_an_sdk_estimator_that_raises_before_training_is_refused():
    with pytest.raises(PackagingError, match=r"\$m is a Untrained without model_data on S3"):
        pack(Untrained())


@pytest.mark.parametrize("value", [None, 3, X, [LINEAR], len, object()])
def test_anything_else_is_refused_with_its_type_and_what_is_supported(value):
    with pytest.raises(PackagingError) as caught:
        pack(value)
    assert caught.value.message == f"$m is a {type(value).__name__}, which is no model"
    assert "xgboost" in caught.value.hint
    assert "scikit-learn" in caught.value.hint


def test_packing_an_sdk_model_loads_neither_numpy_nor_xgboost():
    code = (
        "import sys; from sm_magics.models import objects\n"
        "M = type('M', (), {'model_data': 's3://b/m.tar.gz', 'image_uri': 'r/i'})\n"
        "objects.pack(M(), '$m', None, 'eu-west-1')\n"
        "sys.exit(bool({'numpy', 'xgboost', 'sklearn', 'botocore'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


NAMED = pd.DataFrame(X, columns=["b", "a"])
BOOSTER = xgb.train({}, xgb.DMatrix(NAMED, label=X[:, 0]), 1)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (LinearRegression().fit(NAMED, X[:, 0]), ("b", "a")),
        (xgb.XGBRegressor(n_estimators=1).fit(NAMED, X[:, 0]), ("b", "a")),
        (BOOSTER, ("b", "a")),
        (LINEAR, ()),
        (XGB, ()),
        (xgb.train({}, xgb.DMatrix(X, label=X[:, 0]), 1), ()),
        (LinearRegression(), ()),
        (xgb.XGBRegressor(), ()),
        (Estimator(), ()),
        (SimpleNamespace(feature_names="ba"), ()),
        (SimpleNamespace(feature_names=2), ()),
        ("s3://b/m.tar.gz", ()),
    ],
)
def test_the_columns_are_those_that_the_model_was_trained_on(value, names):
    assert objects.columns(value) == names
