"""The symbol graphs of mxnet, as far as linear-learner has them: a chain of few operators from `data` to the head.

A graph is compiled into Python functions from row to row, which for one row of a linear model are faster than arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from operator import add, mul
from typing import TYPE_CHECKING, Any

from sm_magics.local.containers.contract import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sm_magics.local.containers.mxnet_params import NDArray

__all__ = ["Network", "compile_graph"]

Row = list[float]


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator with its parameters: from `inputs` numbers to `outputs`, None where it takes any number."""

    apply: Callable[[Row], Row]
    inputs: int | None = None
    outputs: int | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A compiled graph, from rows of `inputs` numbers to `outputs` numbers."""

    inputs: int
    outputs: int
    steps: tuple[Callable[[Row], Row], ...]

    def predict(self, row: Row) -> Row:
        """Return the outputs for one row of exactly `inputs` numbers."""
        for step in self.steps:
            row = step(row)
        return row


def compile_graph(symbol: Mapping[str, Any], params: Mapping[str, NDArray]) -> Network:
    """Compile a graph, given as the parsed JSON of mxnet, with its parameters.

    Raises
    ------
    LoadError
        When it has an operator that is not known here, or its parameters are missing or do not fit.
    """
    try:
        layers = [_layer(symbol["nodes"], node, params) for node in _chain(symbol)]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise LoadError(f"the graph of the model cannot be read: {type(error).__name__} {error}") from None
    inputs = width = None
    for layer in layers:
        if None not in {width, layer.inputs} and width != layer.inputs:
            raise LoadError(f"the graph of the model does not fit together: {width} numbers meet {layer.inputs}")
        inputs = inputs or layer.inputs
        width = layer.outputs or width
    if inputs is None or width is None:
        raise LoadError("the graph of the model has no weights")
    return Network(inputs, width, tuple(layer.apply for layer in layers if layer.apply is not _identity))


def _chain(symbol: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the operators in the order of their application."""
    nodes, number = symbol["nodes"], symbol["heads"][0][0]
    chain: list[Mapping[str, Any]] = []
    while nodes[number]["op"] != "null":
        before = nodes[number]["inputs"][0][0]
        if not 0 <= before < number:  # mxnet saves a node after its inputs; without this a loop would have no end
            raise LoadError("the graph of the model is not in order")
        chain.append(nodes[number])
        number = before
    if nodes[number]["name"] != "data":
        raise LoadError(f"the graph of the model starts from '{nodes[number]['name']}' instead of 'data'")
    return chain[::-1]


def _layer(nodes: Sequence[Mapping[str, Any]], node: Mapping[str, Any], params: Mapping[str, NDArray]) -> Layer:
    make = _OPERATORS.get(node["op"])
    if make is None:
        known = ", ".join(sorted(_OPERATORS))
        raise LoadError(f"the model uses the operator '{node['op']}', which is not known here; known are: {known}")
    attributes = node.get("attrs") or node.get("param") or node.get("attr") or {}  # by the version of mxnet
    names = [nodes[number]["name"] for number, *_ in node["inputs"][1:]]
    try:
        return make([params[name] for name in names if name in params], attributes)
    except IndexError:
        raise LoadError(f"the operator '{node['op']}' lacks parameters; its inputs are {names}") from None


def _dot(operands: Sequence[NDArray], attributes: Mapping[str, str]) -> Layer:
    if _is_true(attributes, "transpose_a"):
        raise LoadError("the model transposes its data, which is not known here")
    rows, columns = operands[0].shape
    if not rows or not columns:  # the other number may be anything
        raise LoadError("the model has an empty weight")
    if _is_true(attributes, "transpose_b"):
        return _product([operands[0].values[row * columns : (row + 1) * columns] for row in range(rows)], columns)
    return _product([operands[0].values[column::columns] for column in range(columns)], rows)


def _fully_connected(operands: Sequence[NDArray], attributes: Mapping[str, str]) -> Layer:
    product = _dot(operands, {"transpose_b": "True"})
    if _is_true(attributes, "no_bias"):
        return product
    bias = _broadcast_add(operands[1:], {})
    if bias.inputs not in {None, product.outputs}:
        raise LoadError(f"the model has {bias.inputs} biases for {product.outputs} outputs")
    return Layer(lambda row: bias.apply(product.apply(row)), product.inputs, product.outputs)


def _product(weights: Sequence[Sequence[float]], inputs: int) -> Layer:
    if len(weights) == 1:
        only = weights[0]
        return Layer(lambda row: [sum(map(mul, only, row))], inputs, 1)
    return Layer(lambda row: [sum(map(mul, each, row)) for each in weights], inputs, len(weights))


def _broadcast_add(operands: Sequence[NDArray], _: Mapping[str, str]) -> Layer:
    bias = operands[0].values
    if not bias:
        raise LoadError("the model has an empty bias")
    if len(bias) == 1:
        only = bias[0]
        return Layer(lambda row: [value + only for value in row])
    return Layer(lambda row: list(map(add, row, bias)), len(bias), len(bias))


def _identity(row: Row) -> Row:
    return row


def _sigmoid(row: Row) -> Row:
    # exp of a large number overflows, exp of a very negative one is zero
    return [1 / (1 + exp(-value)) if value >= 0 else exp(value) / (1 + exp(value)) for value in row]


def _softmax(row: Row) -> Row:
    largest = max(row)
    powers = [exp(value - largest) for value in row]
    total = sum(powers)
    return [power / total for power in powers]


def _is_true(attributes: Mapping[str, str], name: str) -> bool:
    return attributes.get(name, "False") in {"True", "true", "1"}


_OPERATORS: Mapping[str, Callable[[Sequence[NDArray], Mapping[str, str]], Layer]] = {
    "dot": _dot,
    "FullyConnected": _fully_connected,
    "broadcast_add": _broadcast_add,
    "broadcast_plus": _broadcast_add,
    "LinearRegressionOutput": lambda *_: Layer(_identity),
    "MAERegressionOutput": lambda *_: Layer(_identity),
    "LogisticRegressionOutput": lambda *_: Layer(_sigmoid),
    "SoftmaxOutput": lambda *_: Layer(_softmax),
    "softmax": lambda *_: Layer(_softmax),
}
