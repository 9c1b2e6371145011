from __future__ import annotations

import io
import json
import struct
import zipfile

import numpy as np
import pytest

from sm_magics.models import linear_artifact

WEIGHTS, BIAS = np.array([[1.5], [-2.0]]), np.array([0.25])


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


def test_the_parameters_are_laid_out_byte_for_byte_as_mxnet_lays_them_out():
    def array(rows, columns, *values):
        head = struct.pack("<IiIqqiii", 0xF993FAC9, 0, 2, rows, columns, 1, 0, 0)
        return head + struct.pack(f"<{len(values)}f", *values)

    def name(text):
        return struct.pack("<Q", len(text)) + text

    assert members(linear_artifact.write(WEIGHTS, BIAS, "regressor"))["mx-mod-0000.params"] == b"".join(
        [
            struct.pack("<QQQ", 0x112, 0, 2),
            array(2, 1, 1.5, -2.0),
            array(1, 1, 0.25),
            struct.pack("<Q", 2),
            name(b"arg:fc0_weight"),
            name(b"arg:fc0_bias"),
        ]
    )


def test_weights_are_written_row_by_row_whatever_their_order_in_memory():
    weights = np.arange(6.0).reshape(2, 3)
    bias = np.zeros(3)
    kind = "multiclass_classifier"
    assert linear_artifact.write(np.asfortranarray(weights), bias, kind) == linear_artifact.write(weights, bias, kind)


def test_the_zip_is_stored_and_dated_alike_everywhere():
    with zipfile.ZipFile(io.BytesIO(linear_artifact.write(WEIGHTS, BIAS, "regressor"))) as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert (info.create_system, info.external_attr) == (3, 0o644 << 16)


@pytest.mark.parametrize(
    ("kind", "head", "loss", "threshold"),
    [
        ("regressor", "LinearRegressionOutput", "squared_loss", 0.0),
        ("binary_classifier", "LogisticRegressionOutput", "logistic", 0.5),
        ("multiclass_classifier", "SoftmaxOutput", "softmax_loss", 0.5),
    ],
)
def test_the_kind_decides_the_head_and_the_settings(kind, head, loss, threshold):
    files = members(linear_artifact.write(WEIGHTS, BIAS, kind))
    graph = json.loads(files["mx-mod-symbol.json"])
    assert graph["nodes"][graph["heads"][0][0]]["op"] == head
    assert json.loads(files["additional-params.json"]) == {
        "loss_type": loss,
        "metrics_params": {},
        "predictor_type": kind,
        "threshold": threshold,
    }
    assert json.loads(files["manifest.json"]) == {
        "additional-params.json": "json",
        "mx-mod": "mxnet_module",
        "version": 1,
    }


def test_every_input_of_the_graph_is_a_node_before_it():
    graph = json.loads(members(linear_artifact.write(WEIGHTS, BIAS, "regressor"))["mx-mod-symbol.json"])
    for number, node in enumerate(graph["nodes"]):
        assert all(source < number for source, _, _ in node["inputs"])
    assert [graph["nodes"][n]["name"] for n in graph["arg_nodes"]] == ["data", "fc0_weight", "fc0_bias", "out_label"]
    assert len(graph["node_row_ptr"]) == len(graph["nodes"]) + 1
