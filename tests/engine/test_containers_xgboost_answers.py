from __future__ import annotations

import json
import math

import pytest

from sm_magics.local.containers import recordio, xgboost_answers
from sm_magics.local.containers.xgboost_library import Predictions

NUMBERS = Predictions([1.6201711893081665, -0.5], None)
VECTORS = Predictions([0.25, 0.5, 0.25, 0.1, 0.2, 0.7], 3)
ALL = ("predicted_label", "labels", "probability", "probabilities", "raw_score", "raw_scores", "predicted_score")


@pytest.mark.parametrize(
    ("header", "accept"),
    [
        (None, "the/default"),
        ("", "the/default"),
        ("*/*", "the/default"),
        ("*/*;q=0.5", "the/default"),
        ("Application/JSON; verbose=True", "application/json"),
        ("text/csv", "text/csv"),
        ("application/jsonlines", "application/jsonlines"),
    ],
)
def test_accept_headers_without_case_and_parameters(header, accept):
    assert xgboost_answers.accepted(header, "the/default") == accept


@pytest.mark.parametrize("header", ["Text/libsvm", "text/csv, application/json"])
def test_an_unknown_accept_header_is_refused_in_its_own_spelling(header):
    with pytest.raises(ValueError, match="is not supported") as raised:
        xgboost_answers.accepted(header, "text/csv")
    assert str(raised.value) == (
        f"Accept type {header} is not supported. Please use supported accept types: "
        "['application/json', 'application/jsonlines', 'application/x-recordio-protobuf', 'text/csv']."
    )


def test_scores_as_csv_and_json():
    assert xgboost_answers.scores_as_csv(NUMBERS) == "1.6201711893081665\n-0.5\n"
    assert xgboost_answers.scores_as_csv(VECTORS) == "0.25,0.5,0.25\n0.1,0.2,0.7\n"
    assert (
        xgboost_answers.scores_as_json(NUMBERS) == '{"predictions": [{"score": 1.6201711893081665}, {"score": -0.5}]}'
    )
    assert xgboost_answers.scores_as_json(VECTORS).startswith('{"predictions": [{"score": [0.25, 0.5, 0.25]}, ')


def test_answers_of_old_images_and_of_batch_transforms():
    assert xgboost_answers.one_line(NUMBERS) == "1.6201711893081665,-0.5"
    assert xgboost_answers.one_line(VECTORS) == "[0.25, 0.5, 0.25],[0.1, 0.2, 0.7]"
    assert xgboost_answers.lines(NUMBERS) == "1.6201711893081665\n-0.5\n"
    assert xgboost_answers.lines(VECTORS) == "[0.25, 0.5, 0.25]\n[0.1, 0.2, 0.7]\n"


def facts(predictions, objective, classes=0, wanted=ALL):
    return xgboost_answers.select(predictions, wanted, objective, classes)


def without_nan(row):
    return {key: value for key, value in row.items() if isinstance(value, list) or not math.isnan(value)}


@pytest.mark.parametrize(
    ("objective", "number", "label"),
    [
        ("binary:logistic", 0.875, 1),
        ("binary:logistic", 0.5, 0),
        ("binary:logitraw", 0.25, 1),
        ("binary:logitraw", -0.25, 0),
        ("binary:hinge", 1.0, 1.0),
    ],
)
def test_facts_of_a_binary_classifier(objective, number, label):
    [row] = facts(Predictions([number], None), objective)
    expected = {"predicted_label": label, "labels": [0, 1], "raw_score": number, "raw_scores": [1 - number, number]}
    if objective == "binary:logistic":
        expected |= {"probability": number, "probabilities": [1 - number, number]}
    assert without_nan(row) == expected


def test_facts_of_multiclass_classifiers():
    first, second = facts(VECTORS, "multi:softprob", 3)
    assert without_nan(first) == {
        "predicted_label": 1,
        "labels": [0, 1, 2],
        "probability": 0.5,
        "probabilities": [0.25, 0.5, 0.25],
        "raw_score": 0.5,
        "raw_scores": [0.25, 0.5, 0.25],
    }
    assert second["predicted_label"] == 2
    [row] = facts(Predictions([2.0], None), "multi:softmax", 3)
    assert without_nan(row) == {
        "predicted_label": 2.0,
        "labels": [0, 1, 2],
        "raw_score": 2.0,
        "raw_scores": [-1.0, 2.0],
    }


@pytest.mark.parametrize(
    "objective", ["reg:squarederror", "reg:logistic", "reg:gamma", "reg:absoluteerror", "reg:tweedie"]
)
def test_facts_of_a_regressor(objective):
    [row] = facts(Predictions([2.5], None), objective)
    assert without_nan(row) == {"predicted_score": 2.5}
    assert next(iter(row)) == "predicted_score"


def test_keys_that_the_objective_does_not_have_come_last_as_nan():
    [row] = facts(Predictions([0.75], None), "binary:logistic", wanted=("nonsense", "raw_score", "predicted_label"))
    assert list(row) == ["predicted_label", "raw_score", "nonsense"]
    assert math.isnan(row["nonsense"])


def test_other_objectives_have_no_facts():
    with pytest.raises(ValueError, match="Objective `rank:pairwise` unsupported for selectable"):
        facts(NUMBERS, "rank:pairwise")


def test_a_vector_is_no_single_score():
    with pytest.raises(ValueError, match="can only convert an array of size 1 to a Python scalar"):
        facts(VECTORS, "reg:squarederror")


ROWS = [{"predicted_label": 1, "probabilities": [0.25, 0.75]}, {"predicted_label": 0, "probabilities": [1.0, 0.0]}]
WANTED = ("probabilities", "predicted_label")


def test_selected_csv_has_the_columns_in_the_order_asked_for():
    expected = b'"[0.25, 0.75]",1\n"[1.0, 0.0]",0'
    assert xgboost_answers.selected(ROWS, WANTED, "text/csv", batch=False) == expected
    assert xgboost_answers.selected(ROWS, WANTED, "text/csv", batch=True) == expected + b"\n"


def test_selected_json_and_jsonlines():
    assert json.loads(xgboost_answers.selected(ROWS, WANTED, "application/json", batch=False)) == {"predictions": ROWS}
    lines = xgboost_answers.selected(ROWS, WANTED, "application/jsonlines", batch=False)
    first, second = lines.splitlines(keepends=True)
    assert first == b'{"predicted_label": 1, "probabilities": [0.25, 0.75]}\n'
    assert second == b'{"predicted_label": 0, "probabilities": [1.0, 0.0]}\n'
    assert xgboost_answers.selected([{"x": math.nan}], ("x",), "application/jsonlines", batch=False) == b'{"x": NaN}\n'


def test_selected_recordio_has_the_facts_as_labels():
    body = xgboost_answers.selected(ROWS, WANTED, "application/x-recordio-protobuf", batch=False)
    read = [{key: list(tensor.values) for key, tensor in record.label.items()} for record in recordio.read(body)]
    assert read == [
        {"predicted_label": [1], "probabilities": [0.25, 0.75]},
        {"predicted_label": [0], "probabilities": [1, 0]},
    ]


def test_an_odd_default_cannot_be_written():
    with pytest.raises(RuntimeError, match="Cannot encode selected predictions into accept type 'image/png'"):
        xgboost_answers.selected(ROWS, WANTED, "image/png", batch=False)
