from __future__ import annotations

from pathlib import Path

import pytest

from sm_magics.errors import PackagingError
from sm_magics.models import written
from sm_magics.spec.types import ModelFields, ModelObject


def of(value) -> ModelFields:
    return written.fields(ModelObject(value, "$m"))


def test_fields_stay_as_they_are():
    fields = ModelFields(container={"Image": "xgboost@1.7-1"}, request={})
    assert written.fields(fields) is fields


def test_an_object_becomes_the_data_of_a_container():
    source = ModelObject(object(), "$m")
    assert written.fields(source) == ModelFields(container={"ModelDataUrl": source}, request={})


def test_a_mapping_may_use_short_names_snake_case_and_the_api_s_own():
    assert of(
        {
            "image": "xgboost@1.7-1",
            "data": "s3://bucket/model.tar.gz",
            "env": {"A": "1"},
            "container_hostname": "first",
            "ModelPackageName": "package",
            "enable_network_isolation": True,
            "ExecutionRoleArn": "arn",
        }
    ) == ModelFields(
        container={
            "Image": "xgboost@1.7-1",
            "ModelDataUrl": "s3://bucket/model.tar.gz",
            "Environment": {"A": "1"},
            "ContainerHostname": "first",
            "ModelPackageName": "package",
        },
        request={"EnableNetworkIsolation": True, "ExecutionRoleArn": "arn"},
    )


@pytest.mark.parametrize(
    ("mapping", "problem", "hint"),
    [
        ({"imgae": "x"}, r"\$m has the unknown key 'imgae'", "did you mean 'image'?"),
        ({"zzz": "x"}, r"\$m has the unknown key 'zzz'", "known are image, data, env"),
        ({7: "x"}, r"\$m has the unknown key '7'", "known are image, data, env"),
        ({"ModelName": "x"}, r"unknown key 'ModelName'", ""),
        ({"Tags": []}, r"unknown key 'Tags'", ""),
        ({"image": "x", "Image": "y"}, r"\$m gives Image twice", "take 'Image' or the other one out"),
        ({"data": "x", "model_data_url": "y"}, r"\$m gives ModelDataUrl twice", "take 'model_data_url'"),
    ],
)
def test_an_unknown_or_repeated_key_is_refused(mapping, problem, hint):
    with pytest.raises(PackagingError, match=problem) as caught:
        of(mapping)
    assert hint in caught.value.hint


def test_an_object_inside_a_mapping_keeps_a_name_for_messages():
    model = object()
    assert of({"data": model}).container == {"ModelDataUrl": ModelObject(model, "$m[data]")}
    named = ModelObject(model, "$inner")
    assert of({"data": named}).container == {"ModelDataUrl": named}


def test_a_text_that_is_no_place_of_data_is_no_model():
    with pytest.raises(PackagingError, match=r"\$m is the text 'my-model', which is no model") as caught:
        of("my-model")
    assert "without $" in caught.value.hint


def test_paths_and_uris_are_data(tmp_path, monkeypatch):
    for data in ("s3://bucket/m.tar.gz", "file:///m.tar.gz", "m.tar.gz", str(tmp_path), Path("anything")):
        assert of(data).container["ModelDataUrl"].value == data
    monkeypatch.setenv("HOME", str(tmp_path))
    assert written.is_data("~")
    assert not written.is_data("~/missing")


def test_a_text_that_cannot_be_a_path_is_no_place_of_data():
    for text in ("1,2,3\n" * 2000, "a\0b", "~nobody-of-that-name/model", ""):
        assert not written.is_data(text)
