"""A cell whose body is options: `key: value`, one a line, read with positions and `$` variables as any cell is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sm_magics.nearest import did_you_mean
from sm_magics.spec.nodes import UNKNOWN, ListNode, MappingNode, ScalarNode, read
from sm_magics.spec.problems import Problem, Source, clipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sm_magics.spec.nodes import Node

__all__ = ["parse_options"]


def parse_options(
    text: str, keys: Iterable[str], variables: Mapping[str, Any], *, first_line: int = 1
) -> dict[str, Any]:
    """Return the options of a cell; a `$name` is the notebook's object.

    Parameters
    ----------
    keys
        The keys that there are; a cell may write `-` for `_`.

    Raises
    ------
    CellError
        With all that is wrong with it.
    """
    source, problems = Source(text, first_line), list[Problem]()
    known = {each.replace("_", "-"): each for each in keys} | {each: each for each in keys}
    node = read(source, variables, problems)
    if node is not None and not isinstance(node, MappingNode):
        problems.append(Problem("a cell of options is keys and values", "write key: value", node.place))
        node = None
    found: dict[str, Any] = {}
    for entry in node.entries if node is not None else ():
        if entry.key not in known:
            hint = did_you_mean(entry.key, known) or f"there are {', '.join(dict.fromkeys(known.values()))}"
            problems.append(Problem(f"unknown key '{clipped(entry.key)}'", hint, entry.place))
        else:
            found[known[entry.key]] = _plain(entry.value)
    if problems:
        raise source.error(problems)
    return {key: value for key, value in found.items() if value is not UNKNOWN}


def _plain(node: Node) -> Any:
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, ListNode):
        return [_plain(each) for each in node.items]
    return {each.key: _plain(each.value) for each in node.entries}
