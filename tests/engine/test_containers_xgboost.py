from __future__ import annotations

import itertools
import json
import math
import pickle
import re
import struct

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_magics.local.containers import Kind, LoadError, Request, Response, recordio
from sm_magics.local.containers.recordio import Record, Tensor

RANDOM = np.random.default_rng(11)
X = RANDOM.normal(size=(80, 4)).astype("f4")
Y = np.abs(X.sum(axis=1))
CLASSES = (Y * 3 % 3).astype(int)
HTML = "text/html; charset=utf-8"

TRAINED = {
    "regression": xgb.train({"objective": "reg:squarederror", "max_depth": 3}, xgb.DMatrix(X, Y), 6),
    "other": xgb.train({"objective": "reg:squarederror", "max_depth": 2}, xgb.DMatrix(X, Y), 3),
    "binary": xgb.train({"objective": "binary:logistic"}, xgb.DMatrix(X, CLASSES > 0), 6),
    "softprob": xgb.train({"objective": "multi:softprob", "num_class": 3}, xgb.DMatrix(X, CLASSES), 6),
    "softmax": xgb.train({"objective": "multi:softmax", "num_class": 3}, xgb.DMatrix(X, CLASSES), 6),
    "ranking": xgb.train({"objective": "rank:pairwise"}, xgb.DMatrix(X, CLASSES), 6),
    "linear": xgb.train({"booster": "gblinear"}, xgb.DMatrix(X, Y), 6),
}


@pytest.fixture(scope="module")
def container(tmp_path_factory):
    """Return a function that loads a container: models by name, tag of the image, environment."""

    def load(*names, tag="3.2-0", pickled=False, **environment):
        directory = tmp_path_factory.mktemp("model")
        for name in names or ("regression",):
            data = pickle.dumps(TRAINED[name]) if pickled else TRAINED[name].save_raw("ubj")
            (directory / name).write_bytes(data)
        return Kind("xgboost", tag).load(directory, environment)

    return load


def ask(container, body, content_type="text/csv", accept=None):
    [answer] = container.invoke([Request(body, content_type, accept)])
    return answer


def said(container, body, content_type="text/csv", accept=None):
    answer = ask(container, body, content_type, accept)
    return answer.status, answer.body.decode()


def as_csv(rows):
    return "\n".join(",".join("" if math.isnan(v) else repr(v) for v in row) for row in rows.tolist()).encode()


def as_libsvm(rows, first=0):
    return "\n".join("0 " + " ".join(f"{i}:{v!r}" for i, v in enumerate(row, first)) for row in rows.tolist()).encode()


def as_recordio(rows):
    return recordio.write(Record({"values": Tensor(row)}, {}) for row in rows.tolist())


# Predictions


@pytest.mark.parametrize("name", TRAINED)
def test_every_content_type_is_predicted_as_by_the_python_package(container, name):
    rows = X.copy()
    rows[::5, 1] = np.nan
    expected = TRAINED[name].predict(xgb.DMatrix(rows))
    bodies = [(as_csv(rows), "text/csv"), (as_recordio(rows), "application/x-recordio-protobuf")]
    for body, content_type in bodies:
        answer = ask(container(name), body, content_type)
        numbers = [list(map(float, line.split(","))) for line in answer.body.decode().splitlines()]
        np.testing.assert_allclose(np.array(numbers).reshape(expected.shape), expected, rtol=1e-6)
        assert answer[::2] == (200, "text/csv; charset=utf-8")
    expected = TRAINED[name].predict(xgb.DMatrix(X))
    for content_type in ("text/libsvm", None):
        numbers = [
            list(map(float, line.split(",")))
            for line in ask(container(name), as_libsvm(X), content_type).body.decode().splitlines()
        ]
        np.testing.assert_allclose(np.array(numbers).reshape(expected.shape), expected, rtol=1e-6)


def test_numbers_are_written_as_float64_of_float32(container):
    expected = "".join(repr(float(value)) + "\n" for value in TRAINED["regression"].predict(xgb.DMatrix(X[:3])))
    assert said(container(), as_csv(X[:3])) == (200, expected)


def test_json_on_demand(container):
    answer = ask(container("softprob"), as_csv(X[:2]), accept="application/json")
    assert answer.content_type == "application/json"
    scores = [row["score"] for row in json.loads(answer.body)["predictions"]]
    np.testing.assert_allclose(scores, TRAINED["softprob"].predict(xgb.DMatrix(X[:2])), rtol=1e-6)


def test_the_default_format_comes_from_the_environment(container):
    served = container(SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="application/json")
    assert ask(served, as_csv(X[:1])).content_type == "application/json"
    assert ask(served, as_csv(X[:1]), accept="*/*").content_type == "application/json"
    assert ask(served, as_csv(X[:1]), accept="text/csv").content_type == "text/csv; charset=utf-8"


@pytest.mark.parametrize("tag", ["1", "0.90-1-cpu-py3", "1.0-1-cpu-py3", "1.2-1"])
def test_images_before_1_2_2_answer_on_one_line_whatever_is_accepted(container, tag):
    values = [float(value) for value in TRAINED["regression"].predict(xgb.DMatrix(X[:2]))]
    for accept in (None, "application/json", "nonsense"):
        answer = ask(container(tag=tag), as_csv(X[:2]), accept=accept)
        assert answer == Response(200, ",".join(map(repr, values)).encode(), "text/csv; charset=utf-8")
    rows = TRAINED["softprob"].predict(xgb.DMatrix(X[:2])).tolist()
    assert said(container("softprob", tag=tag), as_csv(X[:2])) == (200, ",".join(map(str, rows)))


def test_a_batch_transform_gets_lines(container):
    rows = TRAINED["softprob"].predict(xgb.DMatrix(X[:2])).tolist()
    expected = f"{rows[0]}\n{rows[1]}\n".encode()
    answer = ask(container("softprob", SAGEMAKER_BATCH="true"), as_csv(X[:2]), accept="application/json")
    assert answer == Response(200, expected, "application/json")
    assert ask(container("softprob", tag="1.0-1", SAGEMAKER_BATCH="true"), as_csv(X[:2])).body == expected


def test_too_few_columns_are_missing_values(container):
    narrow = np.hstack([X[:2, :2], np.full((2, 2), np.nan)])
    numbers = [float(line) for line in said(container(), as_csv(X[:2, :2]))[1].split()]
    np.testing.assert_allclose(numbers, TRAINED["regression"].predict(xgb.DMatrix(narrow)), rtol=1e-6)


def test_libsvm_indices_from_one_mean_the_first_column_in_3_2(container):
    body = as_libsvm(X[:2], first=1)
    assert said(container(tag="3.2-0"), body, "libsvm") == said(container(), as_csv(X[:2]))
    status, text = said(container(tag="3.0-5"), body, "libsvm")
    assert status == 400
    assert "(4 vs. 5)" in text


def test_an_ensemble_answers_with_the_mean(container):
    expected = np.mean([TRAINED[name].predict(xgb.DMatrix(X[:3])) for name in ("regression", "other")], axis=0)
    numbers = [float(line) for line in said(container("regression", "other"), as_csv(X[:3]))[1].split()]
    np.testing.assert_allclose(numbers, expected, rtol=1e-6)


# The table of errors


def test_an_empty_body_is_a_204(container):
    for content_type in ("text/csv", "application/json", None):
        assert ask(container(), b"", content_type) == Response(204, b"", HTML)


@pytest.mark.parametrize("form", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_a_form_is_a_204(container, form):
    assert ask(container(), b"a=1", form) == Response(204, b"", HTML)


def test_an_unknown_content_type_is_a_415(container):
    status, text = said(container(), b"[1]", "application/json")
    assert status == 415
    assert text.startswith("application/json is not an accepted ContentType: csv, libsvm, parquet, ")
    assert ask(container(), b"[1]", "application/json").content_type == HTML


def test_parquet_is_a_415(container):
    expected = (415, "Content-type application/x-parquet is not supported.")
    assert said(container(), b"PAR1", "application/x-parquet") == expected


def test_a_label_size_other_than_one_is_a_415(container):
    expected = (
        "text/csv;label_size=0 is not an accepted csv ContentType. Optional parameter label_size must be equal to 1"
    )
    assert said(container(), b"1,2", "text/csv;label_size=0") == (415, expected)


CSV_ERROR = "Loading csv data failed with Exception, please ensure data is in csv format:\n "
RAGGED = "<class 'ValueError'>\n setting an array element with a sequence."
SHAPE = (
    " The requested array has an inhomogeneous shape after 1 dimensions. "
    "The detected shape was (2,) + inhomogeneous part."
)


@pytest.mark.parametrize(
    ("tag", "body", "text"),
    [
        ("1.7-1", b"1,abc", "<class 'ValueError'>\n could not convert string to float: 'abc'"),
        ("3.2-0", b"1,abc", "<class 'ValueError'>\n could not convert string to float: np.str_('abc')"),
        ("1.7-1", b"1,2\n3", RAGGED),
        ("3.2-0", b"1,2\n3", RAGGED + SHAPE),
        ("3.2-0", b" \n", "<class '_csv.Error'>\n Could not determine delimiter"),
    ],
)
def test_csv_that_cannot_be_parsed_is_a_415(container, tag, body, text):
    assert said(container(tag=tag), body) == (415, CSV_ERROR + text)


@pytest.mark.parametrize(("body", "kind"), [(b"1,1e39,3,4", "csv"), (b"0:1 1:inf", "libsvm")])
def test_infinite_values_are_a_415_with_the_words_of_xgboost(container, body, kind):
    status, text = said(container(), body, kind)
    opening = f"Loading {kind} data failed with Exception, please ensure data is in {kind} format:\n "
    assert status == 415
    assert text.startswith(opening + "<class 'xgboost.core.XGBoostError'>\n [")
    assert text.endswith("Input data contains `inf` or a value too large, while `missing` is not set to `inf`")


def test_libsvm_that_cannot_be_parsed_is_a_415(container):
    opening = (
        "Loading libsvm data failed with Exception, please ensure data is in libsvm format:\n <class 'ValueError'>\n "
    )
    expected = opening + "cannot infer dimensions from zero sized index arrays"
    assert said(container(), b"garbage", "text/libsvm") == (415, expected)
    expected = opening + "invalid literal for int() with base 10: np.str_('a')"
    assert said(container(), b"a:1", "text/libsvm") == (415, expected)


def test_recordio_that_cannot_be_parsed_is_a_415(container):
    opening = (
        "Loading recordio-protobuf data failed with Exception, please ensure data is in recordio-protobuf format: "
    )
    expected = opening + "<class 'ValueError'> Invalid RecordIO magic at offset 0"
    assert said(container(), b"garbage!", "recordio-protobuf") == (415, expected)
    expected = opening + "<class 'google.protobuf.message.DecodeError'> Error parsing message"
    frame = struct.pack("<II", 0xCED7230A, 4) + b"\xff" * 4
    assert said(container(), frame, "recordio-protobuf") == (415, expected)


@pytest.mark.parametrize(
    ("body", "kind"), [(b"1,2,3,4,5", "csv"), (b"0:1 4:5", "libsvm"), (b"4611686018427387904:1", "libsvm")]
)
def test_a_row_with_too_many_columns_is_a_400(container, body, kind):
    status, text = said(container(), body, kind)
    assert status == 400
    assert re.fullmatch(
        r"Unable to evaluate payload provided: \[\d\d:\d\d:\d\d\] \S+/learner.cc:\d+: Check failed: "
        r"learner_model_param_.num_feature >= p_fmat->Info\(\).num_col_ \(4 vs. \d+\) : "
        r"Number of columns does not match number of features in booster.",
        text,
    )


def test_xgboost_1_0_passes_over_extra_columns(container):
    served = container(tag="1.0-1-cpu-py3")
    wide = np.hstack([X[:2], X[:2]])
    expected = said(served, as_csv(X[:2]))
    assert expected[0] == 200
    assert said(served, as_csv(wide)) == said(served, as_libsvm(wide), "libsvm") == expected


@pytest.mark.parametrize(
    ("columns", "kind", "text"),
    [
        (2, "csv", "Feature size of csv inference data 2 is not consistent with feature size of trained model 4."),
        (3, "csv", None),
        (4, "csv", None),
        (5, "csv", "Feature size of csv inference data 5 is not consistent with feature size of trained model 4."),
        (2, "libsvm", None),
        (5, "libsvm", "(4 vs. 5)"),
        (6, "libsvm", "Feature size of libsvm inference data 6 is larger than feature size of trained model 4."),
        (6, "recordio-protobuf", "Feature size of recordio-protobuf inference data 6 is not consistent with feature"),
    ],
)
def test_a_pickled_model_minds_the_width_of_the_rows(container, columns, kind, text):
    rows = np.ones((1, columns), "f4")
    body = {"csv": as_csv, "libsvm": as_libsvm, "recordio-protobuf": as_recordio}[kind](rows)
    status, answer = said(container(pickled=True), body, kind)
    assert status == (400 if text else 200)
    if text:
        assert answer.startswith("Unable to evaluate payload provided: ")
        assert text in answer


def test_an_unknown_accept_header_is_a_406_after_the_prediction(container):
    status, text = said(container(), b"1,2,3,4", accept="text/libsvm")
    assert (status, text[:40]) == (406, "Accept type text/libsvm is not supported")
    assert said(container(), b"1,2,3,4,5", accept="text/libsvm")[0] == 400


@pytest.mark.parametrize("accept", ["application/jsonlines", "application/x-recordio-protobuf"])
def test_formats_of_selectable_output_are_a_500_without_it(container, accept):
    answer = ask(container(), b"1,2,3,4", accept=accept)
    assert (answer.status, answer.content_type) == (500, HTML)
    assert b"<title>500 Internal Server Error</title>" in answer.body


def test_a_body_over_the_limit_is_a_413(container):
    served = container(MAX_CONTENT_LENGTH="8")
    assert ask(served, b"1,2,3,44").status == 200
    assert b"<title>413 Request Entity Too Large</title>" in ask(served, b"1,2,3,444").body
    assert ask(container(), b"1" * (6 * 1024**2 + 1)).status == 413


def test_the_health_check(container):
    assert container().ping() == Response(200, b"", HTML)


@pytest.mark.parametrize(
    "environment", [{"SAGEMAKER_PROGRAM": "a.py"}, {"SAGEMAKER_MULTI_MODEL": "true"}, {"MAX_CONTENT_LENGTH": "6 MB"}]
)
def test_modes_that_are_not_served_do_not_load(container, environment):
    with pytest.raises(LoadError, match=next(iter(environment))):
        container(**environment)


# Selectable output


def test_selected_facts_in_every_format(container):
    keys = {"SAGEMAKER_INFERENCE_OUTPUT": "Predicted_Label, probabilities,nonsense"}
    served = container("softprob", **keys)
    probabilities = TRAINED["softprob"].predict(xgb.DMatrix(X[:2])).tolist()
    labels = [row.index(max(row)) for row in probabilities]
    expected = "\n".join(f'{label},"{row}",nan' for label, row in zip(labels, probabilities, strict=True))
    assert said(served, as_csv(X[:2])) == (200, expected)
    answer = ask(served, as_csv(X[:2]), accept="application/json")
    assert answer.content_type == "application/json"
    assert [list(row.values())[:2] for row in json.loads(answer.body)["predictions"]] == [
        [label, row] for label, row in zip(labels, probabilities, strict=True)
    ]
    answer = ask(served, as_csv(X[:2]), accept="application/jsonlines")
    assert (answer.content_type, len(answer.body.splitlines())) == ("application/jsonlines", 2)
    answer = ask(served, as_csv(X[:2]), accept="application/x-recordio-protobuf")
    assert [list(record.label["predicted_label"].values) for record in recordio.read(answer.body)] == [
        [label] for label in labels
    ]


def test_images_before_1_0_do_not_select(container):
    keys = {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_score"}
    assert said(container(tag="0.90-1-cpu-py3", **keys), as_csv(X[:1]), accept="nonsense")[0] == 200
    assert said(container(tag="1.2-1", **keys), as_csv(X[:1]), accept="nonsense")[0] == 406
    assert ask(container(tag="1.2-1", **keys), as_csv(X[:1]), accept="application/json").body.startswith(b'{"pred')


def test_an_objective_without_selectable_output_is_a_500(container):
    expected = "Objective `rank:pairwise` unsupported for selectable inference predictions."
    assert said(container("ranking", SAGEMAKER_INFERENCE_OUTPUT="labels"), as_csv(X[:1])) == (500, expected)


def test_a_default_format_that_does_not_exist_is_a_500(container):
    odd = {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "image/png"}
    assert said(container(**odd), as_csv(X[:1]))[0] == 500
    expected = "Cannot encode selected predictions into accept type 'image/png'."
    assert said(container(SAGEMAKER_INFERENCE_OUTPUT="predicted_score", **odd), as_csv(X[:1])) == (500, expected)


# Merging


NUMBERS = st.floats(-5, 5, width=32)
TABLES = (
    st.integers(1, 6)
    .flatmap(lambda columns: st.lists(st.lists(NUMBERS, min_size=columns, max_size=columns), min_size=1, max_size=4))
    .map(lambda rows: np.array(rows, "f4"))
)
GARBAGE = st.sampled_from([b"", b"abc", b"1,2\n3", b"1,,3,4", b"1e39,1,1,1", b"\xff", b" ", b"1:2", b"9:1 a:2"])
TYPES = st.sampled_from(
    ["text/csv", "libsvm", None, "application/x-recordio-protobuf", "application/json", "text/csv;label_size=3"]
)
ACCEPTS = st.sampled_from([None, "text/csv", "application/json", "text/html", "application/jsonlines"])
REQUESTS = st.one_of(
    st.builds(Request, TABLES.map(as_csv), st.just("text/csv"), ACCEPTS),
    st.builds(Request, TABLES.map(as_csv), st.just("text/csv"), ACCEPTS),
    st.builds(Request, TABLES.map(as_libsvm), st.just("libsvm"), ACCEPTS),
    st.builds(Request, TABLES.map(as_recordio), st.just("recordio-protobuf"), ACCEPTS),
    st.builds(Request, st.one_of(GARBAGE, st.binary(max_size=20)), TYPES, ACCEPTS),
)


@pytest.fixture(scope="module")
def served(container):
    return [
        container(),
        container("softprob"),
        container("linear"),
        container("regression", "other"),
        container("regression", pickled=True),
        container(tag="1.0-1-cpu-py3"),
        container("binary", SAGEMAKER_INFERENCE_OUTPUT="predicted_label,probability,raw_scores"),
    ]


def without_clock(answers):
    return [answer._replace(body=re.sub(rb"\[\d\d:\d\d:\d\d\]", b"[time]", answer.body)) for answer in answers]


@settings(deadline=None)
@given(st.lists(REQUESTS, max_size=8), st.integers(0, 6))
def test_merging_changes_no_answer(served, requests, which):
    alone = itertools.chain.from_iterable(served[which].invoke([request]) for request in requests)
    assert without_clock(served[which].invoke(requests)) == without_clock(alone)


def test_what_waits_is_predicted_in_one_call(container, monkeypatch):
    served = container()
    [booster] = served._model._boosters
    calls = []
    predict = booster.predict
    monkeypatch.setattr(booster, "predict", lambda table: calls.append(table.rows) or predict(table))
    served.invoke([Request(as_csv(X[n : n + 2]), "text/csv") for n in range(5)] + [Request(b"1,2", "text/csv")])
    assert calls == [11]
