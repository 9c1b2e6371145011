"""The file that the linear-learner image loads: a network of one layer in MXNet's formats, in a stored zip.

The layout is that of real artifacts of the algorithm; see `write`.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

__all__ = ["FILE_NAME", "Kind", "write"]

Kind = Literal["regressor", "binary_classifier", "multiclass_classifier"]

FILE_NAME = "model_algo-1"
_HEADS: Mapping[Kind, str] = {
    "regressor": "LinearRegressionOutput",
    "binary_classifier": "LogisticRegressionOutput",
    "multiclass_classifier": "SoftmaxOutput",
}
_LOSSES: Mapping[Kind, str] = {
    "regressor": "squared_loss",
    "binary_classifier": "logistic",
    "multiclass_classifier": "softmax_loss",
}
_MANIFEST = {"additional-params.json": "json", "mx-mod": "mxnet_module", "version": 1}
_THRESHOLD = 0.5
_LIST_MAGIC, _ARRAY_MAGIC = 0x112, 0xF993FAC9
_DENSE, _CPU, _FLOAT32 = 0, 1, 0


def write(weights: np.ndarray[Any, Any], bias: np.ndarray[Any, Any], kind: Kind) -> bytes:
    """Return the bytes of `model_algo-1`.

    Parameters
    ----------
    weights
        One row per feature, one column per output, on the scale of the raw features. Kept as 32-bit floats.
    bias
        One number per output.
    kind
        What the outputs mean: a value; the log-odds of class 1 (label 1 from probability 0.5 on); a score per class,
        turned into probabilities by softmax.
    """
    parameters = {"arg:fc0_weight": weights, "arg:fc0_bias": bias.reshape(1, -1)}
    settings = {
        "loss_type": _LOSSES[kind],
        "metrics_params": {},
        "predictor_type": kind,
        "threshold": 0.0 if kind == "regressor" else _THRESHOLD,
    }
    return _stored_zip(
        {
            "manifest.json": _json(_MANIFEST),
            "additional-params.json": _json(settings),
            "mx-mod-symbol.json": _json(_symbol(_HEADS[kind])),
            "mx-mod-0000.params": _parameters(parameters),
        }
    )


def _symbol(head: str) -> dict[str, Any]:
    """Return head(data . fc0_weight + fc0_bias) as MXNet's graph; an input is [node, output, version]."""
    nodes: list[dict[str, Any]] = [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "null", "name": "fc0_weight", "inputs": []},
        {"op": "dot", "name": "dot0", "inputs": [[0, 0, 0], [1, 0, 0]]},
        {"op": "null", "name": "fc0_bias", "inputs": []},
        {"op": "broadcast_add", "name": "broadcast_add0", "inputs": [[2, 0, 0], [3, 0, 0]]},
        {"op": "null", "name": "out_label", "inputs": []},
        {"op": head, "name": "out", "inputs": [[4, 0, 0], [5, 0, 0]]},
    ]
    return {
        "nodes": nodes,
        "arg_nodes": [number for number, node in enumerate(nodes) if node["op"] == "null"],
        "node_row_ptr": list(range(len(nodes) + 1)),
        "heads": [[len(nodes) - 1, 0, 0]],
        "attrs": {"mxnet_version": ["int", 10901]},
    }


def _parameters(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Return arrays as MXNet's list of named arrays, little endian."""
    parts = [struct.pack("<QQQ", _LIST_MAGIC, 0, len(arrays))]
    for array in arrays.values():
        parts.append(struct.pack("<Ii", _ARRAY_MAGIC, _DENSE))
        parts.append(struct.pack(f"<I{array.ndim}q", array.ndim, *array.shape))
        parts.append(struct.pack("<iii", _CPU, 0, _FLOAT32))
        parts.append(array.astype("<f4").tobytes())
    names = [struct.pack("<Q", len(name)) + name.encode("ascii") for name in arrays]
    return b"".join([*parts, struct.pack("<Q", len(arrays)), *names])


def _stored_zip(members: Mapping[str, bytes]) -> bytes:
    """Return a zip without compression whose bytes depend on nothing but `members`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)  # dated 1980
            member.create_system, member.external_attr = 3, 0o644 << 16  # Unix, whatever this is
            archive.writestr(member, content)
    return buffer.getvalue()


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True).encode()
