from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.containers.contract import LoadError
from sm_magics.local.containers.mxnet_graph import compile_graph
from sm_magics.local.containers.mxnet_params import NDArray

RANDOM = np.random.default_rng(2)


def ndarray(matrix):
    matrix = np.asarray(matrix, float)
    return NDArray(matrix.shape, tuple(matrix.ravel().tolist()))


def graph(*operators, attributes="attrs"):
    """Return the graph of operators (name, parameters, attributes) applied to `data` one after the other."""
    nodes = [{"op": "null", "name": "data", "inputs": []}]
    before = 0
    for op, names, *attrs in operators:
        inputs = [[before, 0, 0]]
        for name in names:
            inputs.append([len(nodes), 0, 0])
            nodes.append({"op": "null", "name": name, "inputs": []})
        before = len(nodes)
        nodes.append({"op": op, "name": op, "inputs": inputs} | ({attributes: attrs[0]} if attrs else {}))
    return {"nodes": nodes, "heads": [[before, 0, 0]]}


def linear(head, weight, bias):
    return compile_graph(
        graph(("dot", ["w"]), ("broadcast_add", ["b"]), (head, ["out_label"])),
        {"w": ndarray(weight), "b": ndarray(bias)},
    )


WEIGHT, ROW = RANDOM.normal(size=(4, 1)), RANDOM.normal(size=4)
SCORE = (ROW @ WEIGHT)[0] + 0.5


@pytest.mark.parametrize("head", ["LinearRegressionOutput", "MAERegressionOutput"])
def test_a_regression_is_a_weighted_sum(head):
    network = linear(head, WEIGHT, [[0.5]])
    assert (network.inputs, network.outputs) == (4, 1)
    np.testing.assert_allclose(network.predict(ROW.tolist()), [SCORE])


def test_a_logistic_regression_ends_in_a_sigmoid():
    network = linear("LogisticRegressionOutput", WEIGHT, [[0.5]])
    np.testing.assert_allclose(network.predict(ROW.tolist()), [1 / (1 + np.exp(-SCORE))])


@pytest.mark.parametrize("head", ["SoftmaxOutput", "softmax"])
def test_several_classes_end_in_a_softmax(head):
    weight, bias = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=(1, 3))
    network = linear(head, weight, bias)
    assert network.outputs == 3
    powers = np.exp(ROW @ weight + bias[0])
    np.testing.assert_allclose(network.predict(ROW.tolist()), powers / powers.sum())


@pytest.mark.parametrize("attributes", ["attrs", "attr", "param"])
def test_the_attributes_of_every_version_are_read(attributes):
    weight, bias = RANDOM.normal(size=(2, 4)), RANDOM.normal(size=2)
    symbol = graph(("FullyConnected", ["w"], {"no_bias": "True", "num_hidden": "2"}), attributes=attributes)
    network = compile_graph(symbol, {"w": ndarray(weight)})
    np.testing.assert_allclose(network.predict(ROW.tolist()), weight @ ROW)
    symbol = graph(("FullyConnected", ["w", "b"], {"num_hidden": "2"}), attributes=attributes)
    network = compile_graph(symbol, {"w": ndarray(weight), "b": ndarray(bias)})
    np.testing.assert_allclose(network.predict(ROW.tolist()), weight @ ROW + bias)


def test_a_transposed_weight():
    network = compile_graph(graph(("dot", ["w"], {"transpose_b": "True"})), {"w": ndarray(WEIGHT.T)})
    np.testing.assert_allclose(network.predict(ROW.tolist()), ROW @ WEIGHT)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_sigmoid_never_overflows(value):
    [result] = linear("LogisticRegressionOutput", [[1.0]], [[0.0]]).predict([value])
    assert 0 <= result <= 1


@pytest.mark.parametrize(
    ("symbol", "params", "text"),
    [
        (graph(("Convolution", ["w"])), {"w": WEIGHT}, "operator 'Convolution', which is not known here"),
        (graph(("dot", ["w"])), {}, r"operator 'dot' lacks parameters; its inputs are \['w'\]"),
        (graph(("dot", ["w"], {"transpose_a": "True"})), {"w": WEIGHT}, "transposes its data"),
        (graph(("dot", ["w"])), {"w": WEIGHT[:, 0]}, "cannot be read"),
        (graph(("dot", ["w"])), {"w": np.zeros((4, 0))}, "empty weight"),
        (graph(("dot", ["w"]), ("broadcast_add", ["b"])), {"w": WEIGHT, "b": [[]]}, "empty bias"),
        (graph(("dot", ["w"]), ("broadcast_add", ["b"])), {"w": WEIGHT, "b": [[1, 2]]}, "1 numbers meet 2"),
        (graph(("FullyConnected", ["w", "b"])), {"w": WEIGHT, "b": [1, 2]}, "2 biases for 4 outputs"),
        (graph(("softmax", [])), {}, "no weights"),
        ({"nodes": [{"op": "null", "name": "other"}], "heads": [[0]]}, {}, "starts from 'other'"),
        ({"nodes": [{"op": "dot", "inputs": [[0]]}], "heads": [[0]]}, {}, "not in order"),
        ({"nodes": [], "heads": [[0]]}, {}, "cannot be read"),
        ({"nodes": 3, "heads": [[0]]}, {}, "cannot be read"),
        ([], {}, "cannot be read"),
        (None, {}, "cannot be read"),
    ],
)
def test_what_cannot_be_compiled_is_told(symbol, params, text):
    with pytest.raises(LoadError, match=text):
        compile_graph(symbol, {name: ndarray(matrix) for name, matrix in params.items()})


@pytest.mark.parametrize("shape", [(2**62, 0), (0, 2**62)])
@pytest.mark.parametrize("attributes", [{}, {"transpose_b": "True"}])
def test_a_weight_without_numbers_is_told_at_once_however_many_rows_it_claims(shape, attributes):
    with pytest.raises(LoadError, match="empty weight"):
        compile_graph(graph(("dot", ["w"], attributes)), {"w": NDArray(shape, ())})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from(["null", "dot", "data", "w"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["op", "name", "inputs"]), inner),
)


@given(JSON, JSON)
def test_any_json_is_a_graph_or_an_error(nodes, heads):
    with pytest.raises(LoadError):
        compile_graph({"nodes": nodes, "heads": heads}, {"w": ndarray(WEIGHT)})
