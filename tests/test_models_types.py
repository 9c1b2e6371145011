from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics import service_model
from sm_magics.errors import PackagingError
from sm_magics.models.types import Artifact, DesiredModel, Place, as_label, plain

MODEL_NAME = service_model.load("sagemaker", ("CreateModel",)).shape("ModelName")
PLACE = Place("eu-west-1", "arn:aws:iam::123456789012:role/Serving", "s3://bucket/sm_magics/models/")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.text())
def test_the_label_of_any_text_makes_a_name_that_the_service_takes(text):
    name = DesiredModel.of(as_label(text), {"Image": text}, None).name
    assert service_model.matches(MODEL_NAME.pattern, name)
    assert len(name) <= MODEL_NAME.max


@given(st.text())
def test_a_label_is_its_own_label(text):
    assert as_label(as_label(text)) == as_label(text)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("XGB-Model", "xgb-model"),
        ("boston_XGB Model", "boston-xgb-model"),
        ("--a--b--", "a-b"),
        ("Übung", "bung"),
        ("", "model"),
        ("日本", "model"),
    ],
)
def test_labels_of_some_texts(text, label):
    assert as_label(text) == label


def test_a_long_label_is_cut_where_the_name_still_fits():
    assert DesiredModel.of("a" * 53 + "-b", {}, None).name == "a" * 53 + "-" + hashlib.sha256(b"{}").hexdigest()[:8]
    assert len(DesiredModel.of("a" * 100, {}, None).name) == 63


@given(st.dictionaries(st.text(), JSON, max_size=4), st.randoms())
def test_the_name_does_not_depend_on_the_order_of_the_request(request, random):
    items = list(request.items())
    random.shuffle(items)
    assert DesiredModel.of("m", dict(items), None).name == DesiredModel.of("m", request, None).name


def test_the_name_changes_with_the_request_and_not_with_the_artifact():
    names = [DesiredModel.of("m", {"Image": image}, None).name for image in ("a", "b")]
    assert names[0] != names[1]
    assert DesiredModel.of("m", {"Image": "a"}, Artifact.of_bytes(b"x")).name == names[0]


def test_an_artifact_is_the_same_from_memory_and_from_a_file(tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(b"model")
    held, filed = Artifact.of_bytes(b"model"), Artifact.of_file(path)
    assert held.digest == filed.digest == hashlib.sha256(b"model").hexdigest()
    assert (held.data, held.path, filed.data, filed.path) == (b"model", None, None, path)
    assert PLACE.uri(held) == f"s3://bucket/sm_magics/models/{held.digest[:16]}/model.tar.gz"


def test_an_artifact_shows_its_digest_and_not_its_bytes():
    assert "secret" not in repr(Artifact.of_bytes(b"secret"))


@given(JSON)
def test_plain_values_stay_as_they_are(value):
    assert plain(value) == value


def test_numbers_of_numpy_and_tuples_become_plain():
    value = plain({"a": (np.int64(1), np.float32(0.5), np.True_), "b": np.str_("x")})
    assert value == {"a": [1, 0.5, True], "b": "x"}
    assert [type(item) for item in (*value["a"], value["b"])] == [int, float, bool, str]


def test_what_a_request_cannot_hold_is_refused_with_the_way_to_it():
    with pytest.raises(PackagingError, match=r"PrimaryContainer.Environment\[1\].A is a object, which a request"):
        plain({"PrimaryContainer": {"Environment": [{}, {"A": object()}]}})
