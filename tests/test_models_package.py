from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import xgboost as xgb
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sm_magics import service_model
from sm_magics.errors import PackagingError
from sm_magics.models import Place, archive, image_uri, package
from sm_magics.spec.types import ModelFields, ModelObject

ROLE = "arn:aws:iam::123456789012:role/Serving"
PLACE = Place("eu-west-1", ROLE, "s3://bucket/sm_magics/models")
XGBOOST = image_uri("xgboost@3.0-5", "eu-west-1")
X = np.random.default_rng(5).normal(size=(60, 3))
XGB = xgb.XGBRegressor(n_estimators=3, max_depth=2, n_jobs=1).fit(X, X[:, 0])
LINEAR = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, X[:, 0] > 0)


def of(value, place=PLACE):
    return package("boston", ModelObject(value, "$m"), place)


def written(request=None, **container):
    return package("boston", ModelFields(container=container, request=request or {}), PLACE)


def tar_gz(tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(archive.pack({"xgboost-model": b"{}"}))
    return path


def test_an_object_becomes_a_request_and_an_artifact_at_its_place():
    model = of(XGB)
    uri = f"s3://bucket/sm_magics/models/{model.artifact.digest[:16]}/model.tar.gz"
    assert model.request == {
        "PrimaryContainer": {"Image": XGBOOST, "ModelDataUrl": uri},
        "ExecutionRoleArn": ROLE,
    }
    assert model.artifact.data[:2] == b"\x1f\x8b"
    assert model.artifact.path is None


@pytest.mark.parametrize("value", [XGB, LINEAR])
def test_what_is_asked_for_breaks_no_rule_of_the_service(value):
    model = of(value)
    service = service_model.load("sagemaker", ("CreateModel",))
    request = {"ModelName": model.name, **model.request}
    assert list(service.check(service.input("CreateModel"), request)) == []


@pytest.mark.parametrize("value", [XGB, XGB.get_booster(), LINEAR], ids=["estimator", "booster", "pipeline"])
def test_the_same_object_is_the_same_bytes_in_every_process(tmp_path, value):
    (tmp_path / "object.pickle").write_bytes(pickle.dumps(value))
    code = (
        "import pickle, sys; from sm_magics.models import *; from sm_magics.spec.types import ModelObject\n"
        "value = pickle.load(open(sys.argv[1], 'rb'))\n"
        f"model = package('boston', ModelObject(value, '$m'), Place('eu-west-1', '{ROLE}', '{PLACE.bucket_prefix}'))\n"
        "print(model.name, model.artifact.digest)"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code, tmp_path / "object.pickle"],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert told == {f"{of(value).name} {of(value).artifact.digest}"}


def test_the_name_changes_with_all_that_the_model_is():
    other = xgb.XGBRegressor(n_estimators=4, max_depth=2, n_jobs=1).fit(X, X[:, 0])
    models = [
        of(XGB),
        of(other),
        of(XGB, Place("us-east-1", ROLE, "s3://bucket/sm_magics/models")),
        of(XGB, Place("eu-west-1", ROLE + "2", "s3://bucket/sm_magics/models")),
        of(XGB, Place("eu-west-1", ROLE, "s3://other")),
        written(ModelDataUrl=ModelObject(XGB, "$m"), Environment={"A": "1"}),
        written({"EnableNetworkIsolation": True}, ModelDataUrl=ModelObject(XGB, "$m")),
    ]
    assert len({model.name for model in models}) == len(models)
    assert all(model.name.startswith("boston-") for model in models)


def test_an_object_alone_and_as_data_are_the_same_model():
    assert of(XGB) == written(ModelDataUrl=ModelObject(XGB, "$m")) == of({"data": XGB}) == of({"ModelDataUrl": XGB})


def test_the_role_of_the_fields_goes_before_that_of_the_place():
    model = written({"ExecutionRoleArn": "arn:own"}, Image="a/b", ModelDataUrl="s3://b/m.tar.gz")
    assert model.request["ExecutionRoleArn"] == "arn:own"


def test_data_on_s3_and_in_a_file_uri_stays_where_it_is():
    for uri in ("s3://bucket/model.tar.gz", "file:///somewhere/model.tar.gz"):
        model = written(Image="xgboost@3.0-5", ModelDataUrl=uri)
        assert model.request["PrimaryContainer"] == {"Image": XGBOOST, "ModelDataUrl": uri}
        assert model.artifact is None


def test_a_local_archive_is_checked_and_uploaded_as_it_is(tmp_path, monkeypatch):
    path = tar_gz(tmp_path)
    monkeypatch.chdir(tmp_path)
    models = [written(Image="xgboost@3.0-5", ModelDataUrl=data) for data in ("./model.tar.gz", str(path), path)]
    assert len({model.name for model in models}) == 1
    assert {model.artifact.path for model in models} == {path}
    assert (
        models[0]
        .request["PrimaryContainer"]["ModelDataUrl"]
        .endswith(f"/{models[0].artifact.digest[:16]}/model.tar.gz")
    )
    path.write_bytes(b"no archive")
    with pytest.raises(PackagingError, match="not compressed with gzip"):
        written(Image="xgboost@3.0-5", ModelDataUrl=path)


def test_a_local_path_that_does_not_exist_is_refused():
    with pytest.raises(PackagingError, match=r"missing/model\.tar\.gz: there is no such file"):
        written(Image="xgboost@3.0-5", ModelDataUrl="missing/model.tar.gz")


@pytest.mark.parametrize("data", ["", "x" * 5000, "a\0b", "~nobody-of-that-name/model.tar.gz"])
def test_a_text_that_cannot_be_a_path_is_refused_as_data(data):
    with pytest.raises(PackagingError):
        written(Image="xgboost@3.0-5", ModelDataUrl=data)


def test_a_local_directory_is_packed(tmp_path):
    (tmp_path / "xgboost-model").write_bytes(b"{}")
    model = written(Image="xgboost@3.0-5", ModelDataUrl=str(tmp_path))
    assert model.artifact.data == archive.pack({"xgboost-model": b"{}"})


def test_a_variable_with_a_path_needs_an_image(tmp_path):
    path = tar_gz(tmp_path)
    for value in (path, str(path), tmp_path, "s3://bucket/model.tar.gz"):
        with pytest.raises(PackagingError, match="the model 'boston' has no image to serve it") as caught:
            of(value)
        assert "image: " in caught.value.hint
    model = written(Image="xgboost@3.0-5", ModelDataUrl=ModelObject(str(path), "$path"))
    assert model.artifact.path == path


def test_data_without_an_image_and_nothing_at_all_are_refused():
    for container in ({}, {"ModelDataUrl": "s3://bucket/model.tar.gz"}, {"Environment": {"A": "1"}}):
        with pytest.raises(PackagingError, match="has no image"):
            written(**container)


def test_an_image_alone_is_a_model():
    model = written(Image="registry/mine:1")
    assert model.request["PrimaryContainer"] == {"Image": "registry/mine:1"}


def test_an_image_that_is_no_text_is_refused():
    with pytest.raises(PackagingError, match="the image is a int, not a text"):
        written(Image=3)


def test_the_environment_of_the_cell_goes_over_that_of_an_sdk_object():
    sdk = type("Model", (), {"model_data": "s3://b/m.tar.gz", "image_uri": "a/b", "env": {"A": "1", "B": "1"}})()
    model = written(ModelDataUrl=ModelObject(sdk, "$sdk"), Environment={"B": "2"})
    assert model.request["PrimaryContainer"] == {
        "Image": "a/b",
        "ModelDataUrl": "s3://b/m.tar.gz",
        "Environment": {"A": "1", "B": "2"},
    }


def test_an_sdk_object_without_an_image_needs_one():
    sdk = type("Model", (), {"model_data": "s3://b/m.tar.gz"})()
    with pytest.raises(PackagingError, match="has no image"):
        of(sdk)
    assert written(Image="a/b", ModelDataUrl=ModelObject(sdk, "$sdk")).request["PrimaryContainer"]["Image"] == "a/b"


def test_pipelines_and_model_packages_pass_through_untouched():
    containers = [{"Image": "a/b", "ModelDataUrl": "s3://b/m.tar.gz"}, {"ModelPackageName": "package"}]
    assert written({"Containers": containers}).request == {"Containers": containers, "ExecutionRoleArn": ROLE}
    model = written(ModelPackageName="arn:aws:sagemaker:eu-west-1:123456789012:model-package/p/1")
    assert model.request["PrimaryContainer"] == {
        "ModelPackageName": "arn:aws:sagemaker:eu-west-1:123456789012:model-package/p/1"
    }


def test_other_fields_of_the_container_and_the_request_are_kept():
    vpc = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    model = written(
        {"VpcConfig": vpc, "PrimaryContainer": {"Mode": "SingleModel"}},
        Image="a/b",
        ImageConfig={"RepositoryAccessMode": "Platform"},
    )
    assert model.request == {
        "VpcConfig": vpc,
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {
            "Mode": "SingleModel",
            "Image": "a/b",
            "ImageConfig": {"RepositoryAccessMode": "Platform"},
        },
    }


def test_an_object_with_an_image_of_another_kind_is_refused():
    with pytest.raises(PackagingError, match="the image linear-learner@1 cannot serve"):
        written(Image="linear-learner", ModelDataUrl=ModelObject(XGB, "$m"))
    with pytest.raises(PackagingError, match="the image linear-learner@1 cannot serve"):
        of({"image": "linear-learner", "data": XGB})


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, sm_magics.models; sys.exit(bool({'numpy', 'xgboost', 'boto3', 'botocore'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
