from __future__ import annotations

import io
import json
import math
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.containers import Kind, LoadError, Request, Response, recordio
from sm_magics.local.containers.recordio import Record, Tensor

RANDOM = np.random.default_rng(4)
WEIGHT = RANDOM.normal(size=(5, 1)).astype("f4")
CLASSES = RANDOM.normal(size=(5, 3)).astype("f4")
X = RANDOM.normal(size=(20, 5)).astype("f4")
HEADS = {
    "regressor": "LinearRegressionOutput",
    "binary_classifier": "LogisticRegressionOutput",
    "multiclass_classifier": "SoftmaxOutput",
}
BAD = Response(400, b"unable to evaluate payload provided", "text/html; charset=utf-8")


def array(matrix):
    shape = struct.pack("<Iqq", 2, *matrix.shape)
    return struct.pack("<Ii", 0xF993FAC9, 0) + shape + struct.pack("<iii", 1, 0, 0) + matrix.astype("<f4").tobytes()


def params(weight, bias):
    names = b"".join(struct.pack("<Q", len(name)) + name for name in (b"arg:fc0_bias", b"arg:fc0_weight"))
    count = struct.pack("<Q", 2)
    return struct.pack("<QQ", 0x112, 0) + count + array(bias) + array(weight) + count + names


def symbol(head):
    def variable(name):
        return {"op": "null", "name": name, "inputs": []}

    nodes = [
        variable("data"),
        variable("fc0_weight"),
        {"op": "dot", "name": "dot0", "inputs": [[0, 0, 0], [1, 0, 0]]},
        variable("fc0_bias"),
        {"op": "broadcast_add", "name": "broadcast_add0", "inputs": [[2, 0, 0], [3, 0, 0]]},
        variable("out_label"),
        {"op": head, "name": "out", "inputs": [[4, 0, 0], [5, 0, 0]]},
    ]
    return {"nodes": nodes, "arg_nodes": [0, 1, 3, 5], "heads": [[6, 0, 0]]}


def members(predictor="binary_classifier", weight=WEIGHT, bias=0.25, **additional):
    bias = np.full((1, weight.shape[1]), bias, "f4")
    additional = {"threshold": 0.5, "predictor_type": predictor, "loss_type": "auto"} | additional
    return {
        "additional-params.json": json.dumps(additional).encode(),
        "manifest.json": b'{"additional-params.json": "json", "mx-mod": "mxnet_module", "version": 1}',
        "mx-mod-symbol.json": json.dumps(symbol(HEADS[predictor])).encode(),
        "mx-mod-0000.params": params(weight, bias),
    }


def artifact(files, compression=zipfile.ZIP_STORED):
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return written.getvalue()


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    def load(data):
        directory = tmp_path_factory.mktemp("model")
        (directory / "model_algo-1").write_bytes(data)
        return Kind("linear-learner", "1").load(directory, {})

    return load


@pytest.fixture(scope="module")
def regressor(load):
    return load(artifact(members("regressor")))


@pytest.fixture(scope="module")
def binary(load):
    return load(artifact(members(threshold=0.6)))


@pytest.fixture(scope="module")
def multiclass(load):
    return load(artifact(members("multiclass_classifier", CLASSES)))


def ask(container, body, content_type="text/csv", accept=None):
    [answer] = container.invoke([Request(body, content_type, accept)])
    return answer


def predictions(container, body, content_type="text/csv"):
    answer = ask(container, body, content_type)
    assert (answer.status, answer.content_type) == (200, "application/json")
    return json.loads(answer.body)["predictions"]


def as_csv(rows):
    return "\n".join(",".join(map(repr, row)) for row in rows.tolist()).encode()


def as_instances(rows):
    return json.dumps({"instances": [{"features": row} for row in rows.tolist()]}).encode()


def as_tensors(rows):
    return json.dumps({"instances": [{"data": {"features": {"values": row}}} for row in rows.tolist()]}).encode()


def as_sparse(rows):
    tensor = {"keys": list(range(5))[::-1], "shape": [5]}
    instances = [{"data": {"features": tensor | {"values": row[::-1]}}} for row in rows.tolist()]
    return json.dumps({"instances": instances}).encode()


def as_jsonlines(rows):
    return "\n".join(json.dumps({"features": row}) for row in rows.tolist()).encode()


def as_recordio(rows, **more):
    return recordio.write(Record({"values": Tensor(row, **more)}, {}) for row in rows.tolist())


FORMATS = [
    (as_csv, "text/csv"),
    (as_csv, "text/csv; label_size=0"),
    (as_csv, "Text/CSV"),
    (as_csv, None),
    (as_instances, "application/json"),
    (as_tensors, "application/json;charset=utf-8"),
    (as_sparse, "application/json"),
    (as_jsonlines, "application/jsonlines"),
    (as_recordio, "application/x-recordio-protobuf"),
]


@pytest.mark.parametrize(("write", "content_type"), FORMATS)
def test_a_regressor_answers_with_scores(regressor, write, content_type):
    answer = predictions(regressor, write(X), content_type)
    assert all(list(row) == ["score"] for row in answer)
    np.testing.assert_allclose([row["score"] for row in answer], (X @ WEIGHT)[:, 0] + 0.25, rtol=1e-5)


def test_a_binary_classifier_adds_a_label_by_its_threshold(binary):
    answer = predictions(binary, as_csv(X))
    scores = 1 / (1 + np.exp(-(X.astype(float) @ WEIGHT)[:, 0] - 0.25))
    np.testing.assert_allclose([row["score"] for row in answer], scores, rtol=1e-6)
    assert [row["predicted_label"] for row in answer] == (scores >= 0.6).astype(int).tolist()
    assert {row["predicted_label"] for row in answer} == {0, 1}


def test_a_score_at_the_threshold_is_label_one(load):
    half = load(artifact(members(weight=np.zeros((5, 1)), bias=0)))
    assert ask(half, b"1,2,3,4,5").body == b'{"predictions": [{"score": 0.5, "predicted_label": 1}]}'


def test_a_multiclass_classifier_answers_with_all_scores(multiclass):
    answer = predictions(multiclass, as_csv(X))
    powers = np.exp(X.astype(float) @ CLASSES)
    scores = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose([row["score"] for row in answer], scores, rtol=1e-6)
    assert [row["predicted_label"] for row in answer] == scores.argmax(axis=1).tolist()


def test_scores_are_written_as_float64_of_float32(regressor):
    [row] = predictions(regressor, as_csv(X[:1]))
    assert row["score"] == float(np.float32(row["score"]))
    assert repr(row["score"]).encode() in ask(regressor, as_csv(X[:1])).body


@pytest.mark.parametrize("accept", [None, "*/*", "text/csv", "application/json, text/csv", "Application/JSON"])
def test_json_is_the_answer_whatever_else_is_accepted(binary, accept):
    answer = ask(binary, as_csv(X[:1]), accept=accept)
    assert answer.content_type == "application/json"
    assert answer.body.startswith(b'{"predictions": [{"score": 0.')


def test_jsonlines_on_demand(binary):
    answer = ask(binary, as_csv(X[:3]), accept="application/jsonlines")
    assert answer.content_type == "application/jsonlines"
    lines = [json.loads(line) for line in answer.body.decode().splitlines()]
    assert lines == predictions(binary, as_csv(X[:3]))
    assert answer.body.endswith(b"}\n")


@pytest.mark.parametrize("container", ["regressor", "binary", "multiclass"])
def test_recordio_on_demand(request, container):
    container = request.getfixturevalue(container)
    answer = ask(container, as_csv(X[:2]), accept="application/x-recordio-protobuf")
    assert answer.content_type == "application/x-recordio-protobuf"
    read = [{key: list(tensor.values) for key, tensor in each.label.items()} for each in recordio.read(answer.body)]
    expected = predictions(container, as_csv(X[:2]))
    assert read == [
        {key: value if isinstance(value, list) else [value] for key, value in row.items()} for row in expected
    ]


def test_features_without_a_key_are_zero(regressor):
    sparse = {"instances": [{"data": {"features": {"keys": [1, 3], "shape": [5], "values": [2, -1]}}}]}
    expected = predictions(regressor, b"0,2,0,-1,0")
    assert predictions(regressor, json.dumps(sparse).encode(), "application/json") == expected
    body = recordio.write([Record({"values": Tensor([2, -1], keys=(1, 3), shape=(5,))}, {})])
    assert predictions(regressor, body, "application/x-recordio-protobuf") == expected


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "text/csv"),
        (b"\n", "text/csv"),
        (b"1,2,3,4", "text/csv"),
        (b"1,2,3,4,5,6", "text/csv"),
        (b"1,2,3,4,x", "text/csv"),
        (b"1,2,3,4,", "text/csv"),
        (b"1,2,3,4,5\n1", "text/csv"),
        (b"1,2,3,4,nan", "text/csv"),
        (b"1,2,3,4,1e300", "text/csv"),
        (b"\xff", "text/csv"),
        (b"{}", "application/json"),
        (b"[[1,2,3,4,5]]", "application/json"),
        (b'{"instances": []}', "application/json"),
        (b'{"instances": [{"features": "12345"}]}', "application/json"),
        (b'{"instances": [{"features": [1,2,3,4,true]}]}', "application/json"),
        (b'{"instances": [{"features": [1,2,3,4,1' + b"0" * 400 + b"]}]}", "application/json"),
        (b'{"instances": [{"data": {"features": [1,2,3,4,5]}}]}', "application/json"),
        (b'{"instances": [{"data": {"features": {"keys": [9], "values": [1]}}}]}', "application/json"),
        (b'{"instances": [{"data": {"features": {"keys": [-1], "values": [1]}}}]}', "application/json"),
        (b'{"instances": [{"data": {"features": {"keys": [1.5], "values": [1]}}}]}', "application/json"),
        (b'{"instances": [{"data": {"features": {"keys": [1,2], "values": [1]}}}]}', "application/json"),
        (b'{"instances": [{"data": {"features": {"keys": [1], "shape": [6], "values": [1]}}}]}', "application/json"),
        (b"[" * 100000, "application/json"),
        (b'{"features": [1,2,3,4,5]}\n{', "application/jsonlines"),
        (b"garbage!", "application/x-recordio-protobuf"),
        (recordio.write([Record({}, {})]), "application/x-recordio-protobuf"),
    ],
)
def test_a_payload_that_does_not_fit_is_a_400(regressor, body, content_type):
    assert ask(regressor, body, content_type) == BAD


def test_only_float32_records_are_read(regressor):
    doubles = recordio.write([Record({"values": Tensor([1.0])}, {})])
    body = struct.pack("<5d", 1, 2, 3, 4, 5)
    tensor = b"\x0a" + bytes([len(body)]) + body
    value = b"\x1a" + bytes([len(tensor)]) + tensor
    entry = b"\x0a\x06values\x12" + bytes([len(value)]) + value
    record = b"\x0a" + bytes([len(entry)]) + entry
    frame = doubles[:4] + struct.pack("<I", len(record)) + record + bytes(-len(record) % 4)
    assert recordio.read(frame)[0].features["values"].kind == "float64"
    assert ask(regressor, frame, "application/x-recordio-protobuf") == BAD


def test_an_unknown_content_type_is_a_415(regressor):
    assert ask(regressor, b"1", "image/png").status == 415


def test_the_health_check(regressor):
    assert regressor.ping().status == 200


BODIES = st.one_of(
    st.integers(1, 4).map(lambda n: as_csv(X[:n])), st.integers(1, 4).map(lambda n: as_jsonlines(X[:n])), st.binary()
)
REQUESTS = st.builds(
    Request,
    BODIES,
    st.sampled_from(
        ["text/csv", "application/json", "application/jsonlines", "application/x-recordio-protobuf", "a/b"]
    ),
    st.sampled_from([None, "application/jsonlines", "text/csv"]),
)


@given(st.lists(REQUESTS, max_size=6))
def test_no_request_changes_the_answer_to_another(binary, requests):
    assert binary.invoke(requests) == [binary.invoke([request])[0] for request in requests]


# Loading


def test_a_compressed_artifact_loads_too(load):
    assert load(artifact(members(), zipfile.ZIP_DEFLATED)).ping().status == 200


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(LoadError, match="no file 'model_algo-1'"):
        Kind("linear-learner", "1").load(tmp_path, {})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mx-mod-symbol.json": None}, "mx-mod-symbol.json"),
        ({"mx-mod-0000.params": b"x"}, "the parameters cannot be read"),
        ({"mx-mod-symbol.json": b"{"}, "JSONDecodeError"),
        ({"mx-mod-symbol.json": b"[" * 100000}, "recursion"),
        ({"mx-mod-symbol.json": json.dumps(symbol("Dropout")).encode()}, "operator 'Dropout'"),
        ({"additional-params.json": b"[]"}, "TypeError"),
        ({"additional-params.json": b"{}"}, "predictor_type"),
        ({"additional-params.json": b'{"predictor_type": "ranker"}'}, "unknown predictor_type 'ranker'"),
        ({"additional-params.json": b'{"predictor_type": ["a"]}'}, "TypeError|unknown"),
        ({"additional-params.json": b'{"predictor_type": "binary_classifier"}'}, "no threshold"),
        ({"mx-mod-0000.params": params(CLASSES, np.zeros((1, 3)))}, "one output, not 3"),
    ],
)
def test_an_artifact_that_cannot_be_served_says_why(load, changes, text):
    files = {name: data for name, data in (members() | changes).items() if data is not None}
    with pytest.raises(LoadError, match=rf"^Unable to load model: .*({text})"):
        load(artifact(files))


def test_a_list_of_arrays_is_no_linear_model(load):
    with pytest.raises(LoadError, match="is no zip file of linear-learner"):
        load(params(WEIGHT, np.zeros((1, 1))))


WHOLE = artifact(members())


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_artifact_is_an_error(load, length):
    with pytest.raises(LoadError):
        load(WHOLE[:length])


@given(st.integers(0, len(WHOLE) - 4), st.binary(min_size=1, max_size=4))
def test_a_changed_artifact_is_served_or_an_error(load, place, change):
    try:
        answer = ask(load(WHOLE[:place] + change + WHOLE[place + len(change) :]), as_csv(X[:1]))
    except LoadError:
        return
    assert answer.status in {200, 400}
    assert answer.status == 400 or math.isfinite(json.loads(answer.body)["predictions"][0]["score"])
