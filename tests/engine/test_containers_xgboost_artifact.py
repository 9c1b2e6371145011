from __future__ import annotations

import copyreg
import logging
import pickle
import struct
import subprocess
import sys
from array import array
from types import SimpleNamespace

import numpy as np
import pytest
import xgboost as xgb
import xgboost_models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sm_magics.local.containers.contract import LoadError
from sm_magics.local.containers.tables import Dense
from sm_magics.local.containers.xgboost_artifact import _check_memo, load_model
from sm_magics.local.containers.xgboost_dialect import dialect
from sm_magics.local.containers.xgboost_library import library_version

from_3_1 = pytest.mark.skipif(library_version() < (3, 1), reason="xgboost 3.1 changed what it reads and writes")

X = np.random.default_rng(5).normal(size=(60, 3)).astype("f4")


@pytest.fixture(scope="module")
def trained():
    return [xgb.train({"max_depth": 2, "eta": rate}, xgb.DMatrix(X, X.sum(axis=1)), 4) for rate in (0.1, 0.9)]


@pytest.fixture
def directory(tmp_path):
    return tmp_path


def load(directory, tag="3.2-0", **environment):
    return load_model(directory, dialect(tag), environment)


def predicted(model):
    [answer] = model.predict([Dense(array("f", X.ravel()), *X.shape)])
    return np.array(answer.values)


def expected(*boosters):
    return np.mean([booster.predict(xgb.DMatrix(X)) for booster in boosters], axis=0)


@pytest.mark.parametrize("name", ["xgboost-model", "model.json", "anything.txt"])
@pytest.mark.parametrize("kind", ["json", "ubj", "pickle"])
def test_a_model_of_any_name_and_format_loads(directory, trained, name, kind):
    booster = trained[0]
    (directory / name).write_bytes(pickle.dumps(booster) if kind == "pickle" else booster.save_raw(kind))
    model = load(directory)
    assert model.pickled == (kind == "pickle")
    np.testing.assert_allclose(predicted(model), expected(booster), rtol=1e-6)


def test_a_file_that_a_wrapper_saved_loads(directory):
    classifier = xgb.XGBClassifier(n_estimators=3).fit(X, X[:, 0] > 0)
    classifier.save_model(directory / "xgboost-model.json")
    np.testing.assert_allclose(predicted(load(directory)), classifier.predict_proba(X)[:, 1], rtol=1e-6)


def test_feature_names_do_not_matter(directory):
    data = xgb.DMatrix(X, X[:, 0], feature_names=["a", "b", "c"])
    booster = xgb.train({"max_depth": 2}, data, 3)
    booster.save_model(directory / "model.ubj")
    np.testing.assert_allclose(predicted(load(directory)), booster.predict(data), rtol=1e-6)


@pytest.fixture
def two(directory, trained):
    for name, booster in zip("ab", trained, strict=True):
        booster.save_model(directory / f"{name}.json")
    (directory / "code").mkdir()
    (directory / "code" / "inference.py").touch()
    return directory


def test_several_files_are_an_ensemble_and_directories_are_ignored(two, trained):
    np.testing.assert_allclose(predicted(load(two)), expected(*trained), rtol=1e-6)


@pytest.mark.parametrize("switch", ["false", "no"])
def test_an_ensemble_can_be_switched_off(two, trained, switch):
    model = load(two, SAGEMAKER_INFERENCE_ENSEMBLE=switch)
    np.testing.assert_allclose(predicted(model), expected(trained[0]), rtol=1e-6)


def test_images_before_1_2_take_one_file(two, trained):
    np.testing.assert_allclose(predicted(load(two, "1.0-1-cpu-py3")), expected(trained[0]), rtol=1e-6)


def test_dotfiles_are_ignored_from_1_7_on(directory, trained):
    trained[0].save_model(directory / "model.json")
    (directory / ".DS_Store").write_bytes(b"nothing")
    load(directory, "1.7-1")
    with pytest.raises(LoadError, match=r"\.DS_Store cannot be loaded"):
        load(directory, "1.5-1")


def test_an_extra_file_breaks_loading(directory, trained):
    trained[0].save_model(directory / "model.json")
    (directory / "features.txt").write_text("a,b,c")
    with pytest.raises(LoadError) as raised:
        load(directory)
    beginning = "Unable to load model: Model /opt/ml/model/features.txt cannot be loaded:\nPickle load error="
    assert str(raised.value).startswith(beginning)
    assert "\nXGB load model error=" in str(raised.value)


def test_an_empty_directory(directory):
    with pytest.raises(LoadError, match=r"^Unable to load model: list index out of range$"):
        load(directory)


def test_a_missing_directory(directory):
    with pytest.raises(LoadError, match=r"^Unable to load model: .*No such file"):
        load(directory / "nowhere")


def test_a_pickled_wrapper_is_refused(directory):
    classifier = xgb.XGBClassifier(n_estimators=2).fit(X, X[:, 0] > 0)
    (directory / "xgboost-model").write_bytes(pickle.dumps(classifier))
    with pytest.raises(LoadError) as raised:
        load(directory)
    assert str(raised.value) == "Unable to load model: 'XGBClassifier' object has no attribute 'set_param'"


def test_a_pickled_object_without_a_model_inside_is_refused(directory):
    (directory / "xgboost-model").write_bytes(pickle.dumps(SimpleNamespace(set_param=print)))
    with pytest.raises(LoadError, match=r"cannot be loaded:\n.*save_raw"):
        load(directory)


def old_binary():
    """Return how a model began in the format that xgboost dropped in 3.1: a header of numbers, then two names."""
    names = (b"reg:squarederror", b"gbtree")
    header = b"binf" + struct.pack("<fIiIIII", 0.5, 3, 0, 1, 0, 1, 7) + bytes(27 * 4)
    return header + b"".join(struct.pack("<Q", len(name)) + name for name in names) + bytes(200)


class PickledLongAgo:
    def __init__(self, handle):
        self.handle = handle

    def __reduce__(self):
        return copyreg._reconstructor, (xgb.Booster, object, None), {"handle": bytearray(self.handle)}


OLD = [
    old_binary(),
    pickle.dumps(PickledLongAgo(old_binary())),
    pickle.dumps(PickledLongAgo(b'{"Config":{},"Model":{}}')),
]


@from_3_1
@pytest.mark.parametrize("data", OLD, ids=["saved", "pickled up to 1.2", "pickled by 1.3 to 1.5"])
def test_old_formats_have_a_way_out(directory, data):
    (directory / "xgboost-model").write_bytes(data)
    with pytest.raises(LoadError, match=r"old format of xgboost.* before 3.1, and save it as JSON"):
        load(directory)


INTERCEPT = "misread its intercept"


@from_3_1
@pytest.mark.parametrize("kind", ["json", "ubj", "pickle"])
def test_an_intercept_that_an_older_image_misreads_is_told(directory, trained, caplog, kind):
    data = pickle.dumps(trained[0]) if kind == "pickle" else trained[0].save_raw(kind)
    (directory / "xgboost-model").write_bytes(data)
    with caplog.at_level(logging.WARNING):
        load(directory, "3.2-0")
        assert INTERCEPT not in caplog.text
        load(directory, "3.0-5")
    assert INTERCEPT in caplog.text


@from_3_1
def test_an_intercept_as_older_versions_wrote_it_is_not_told(directory, trained, caplog):
    before = bytes(trained[0].save_raw("json"))
    start, end = before.index(b'"base_score":"[') + 15, before.index(b']"', before.index(b'"base_score":"['))
    (directory / "model").write_bytes(before[: start - 1] + before[start:end] + before[end + 1 :])
    np.testing.assert_allclose(predicted(load(directory, "1.7-1")), expected(trained[0]), rtol=1e-6)
    assert INTERCEPT not in caplog.text


@pytest.mark.parametrize(
    ("tag", "kind", "told"),
    [("0.90-1-cpu-py3", "json", True), ("1.0-1", "json", False), ("1.5-1", "ubj", True), ("1.7-1", "ubj", False)],
)
def test_a_format_that_the_image_does_not_know_is_told(directory, trained, caplog, tag, kind, told):
    (directory / "model").write_bytes(trained[0].save_raw(kind))
    load(directory, tag)
    assert ("could not load" in caplog.text) is told


@pytest.mark.parametrize("memo", [b"NpX", b"Np99999999999\n.", b"Nr\xff\xff\xff\xff."])
def test_a_pickle_that_reserves_memory_without_end_is_refused(directory, memo):
    if b"X" not in memo:
        with pytest.raises(pickle.UnpicklingError, match="memo"):
            _check_memo(memo)
    (directory / "xgboost-model").write_bytes(memo)
    with pytest.raises(LoadError):
        load(directory)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.data())
def test_a_cut_file_is_an_error_and_nothing_worse(directory, trained, data):
    kind = data.draw(st.sampled_from(["json", "ubj", "pickle"]))
    whole = pickle.dumps(trained[0]) if kind == "pickle" else bytes(trained[0].save_raw(kind))
    (directory / "xgboost-model").write_bytes(whole[: data.draw(st.integers(0, len(whole) - 2))])
    with pytest.raises(LoadError, match="Unable to load model: "):
        load(directory)


@pytest.fixture(scope="module")
def loader():
    """Yield a function that loads a changed model in a process of its own, and returns how that ended."""
    with subprocess.Popen(
        [sys.executable, xgboost_models.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def load(script):
            process.stdin.write(script.hex() + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield load
        process.stdin.close()


CHANGES = st.lists(st.binary(min_size=4, max_size=4), max_size=6).map(b"".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.binary(min_size=1, max_size=1), CHANGES)
def test_however_a_model_is_changed_it_loads_or_is_refused_or_ends_its_own_process(loader, which, changes):
    expected = {xgboost_models.LOADED, xgboost_models.REFUSED} | xgboost_models.ABORTED
    assert loader(which + changes) in expected


def test_the_models_that_are_changed_load(loader):
    ends = [loader(bytes([number])) for number in range(len(xgboost_models.models()))]
    assert ends == [xgboost_models.LOADED] * 8 + [xgboost_models.REFUSED] * 2
