"""The values of a cell as nodes that know where they stand, with the notebook's objects in their places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sm_magics.errors import CellError
from sm_magics.spec.problems import Place, Problem, Source
from sm_magics.spec.variables import is_expression, item_of, resolve

__all__ = ["UNKNOWN", "Entry", "ListNode", "MappingNode", "Node", "ScalarNode", "opened", "plain_value", "read"]

MAX_DEPTH = 30
UNKNOWN = object()  # the value of an expression that leads nowhere: said once, then passed over in silence


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One value: `text` is as written, `expression` is there where a `$` expression gave the value."""

    value: Any
    text: str
    place: Place
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping and its value; `place` is the key's."""

    key: str
    place: Place
    value: Node


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys and values in the order of the text; no key is there twice."""

    entries: tuple[Entry, ...]
    place: Place
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class ListNode:
    """Values in a row."""

    items: tuple[Node, ...]
    place: Place
    expression: str | None = None


Node = ScalarNode | MappingNode | ListNode


def read(source: Source, variables: Mapping[str, Any], problems: list[Problem]) -> Node | None:
    """Return the cell as nodes, with `$` expressions resolved; None where it is empty.

    Repeated keys and expressions that lead nowhere are added to `problems`.

    Raises
    ------
    CellError
        When the text is not the YAML that a cell is written in.
    """
    from sm_magics.spec.yaml_in import parse  # noqa: PLC0415 - PyYAML is read with the first cell, not with the extension

    node = parse(source, problems)
    return None if node is None else _bound(node, variables, problems)


def opened(node: Node) -> Node:
    """Return `node` as the mapping or list that its expression led to; any other node as it is."""
    if isinstance(node, ScalarNode) and node.expression is not None:
        return _lifted(node.value, node.expression, node.place)
    return node


_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: Mapping[str, object] = {"": None, "~": None, "null": None, "true": True, "false": False}
_LONG = 400  # an integer of so many digits is an infinite float


def plain_value(text: str) -> object:
    """Return what a word without quotes means: null, true, false, a decimal number, or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) and len(text) < _LONG:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _bound(node: Node, variables: Mapping[str, Any], problems: list[Problem]) -> Node:
    if isinstance(node, MappingNode):
        entries = (replace(entry, value=_bound(entry.value, variables, problems)) for entry in node.entries)
        return replace(node, entries=tuple(entries))
    if isinstance(node, ListNode):
        return replace(node, items=tuple(_bound(item, variables, problems) for item in node.items))
    if not isinstance(node.value, str) or not node.value.startswith("$"):
        return node
    if not is_expression(node.value):
        return replace(node, value=node.value[1:], text=node.value[1:])
    try:
        return replace(node, value=resolve(node.value, variables), expression=node.value)
    except CellError as error:
        problems.append(Problem(error.message, error.hint, node.place))
        return replace(node, value=UNKNOWN, expression=node.value)


def _lifted(value: object, expression: str, place: Place, depth: int = 0) -> Node:
    """Turn a Python value into nodes; one that is too deep, or that holds itself, stays a value down there."""
    if isinstance(value, Mapping) and depth < MAX_DEPTH:
        entries = (
            Entry(str(key), place, _lifted(item, item_of(expression, key), place, depth + 1))
            for key, item in value.items()
        )
        return MappingNode(tuple(entries), place, expression)
    if isinstance(value, list | tuple) and depth < MAX_DEPTH:
        items = (_lifted(item, item_of(expression, n), place, depth + 1) for n, item in enumerate(value))
        return ListNode(tuple(items), place, expression)
    return ScalarNode(value, value if isinstance(value, str) else "", place, expression)
