"""The YAML of a cell, strict and small: `on`, `5:30` and `0x10` are text, and what a cell has no use for is refused.

The nodes are built from PyYAML's events. Composing them with PyYAML would have followed aliases before they could be
refused, and lost where they stand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from sm_magics.errors import CellError
from sm_magics.spec.nodes import MAX_DEPTH, Entry, ListNode, MappingNode, Node, ScalarNode, plain_value
from sm_magics.spec.problems import Place, Problem, Source, clipped
from sm_magics.spec.syntax import explain, missing_space, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["parse"]

MAX_BYTES = 256 * 1024


def parse(source: Source, problems: list[Problem]) -> Node | None:
    """Return the nodes of a cell, None for an empty one; repeated keys are added to `problems`.

    Raises
    ------
    CellError
        When the text is not the YAML that a cell is written in.
    """
    size = len(source.text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise CellError(f"the cell has {size // 1024} kB, more than {MAX_BYTES // 1024} are not read")
    try:
        return _Reader(source, problems).document()
    except yaml.MarkedYAMLError as error:
        raise source.error([explain(error, source)]) from None
    except (yaml.reader.ReaderError, ValueError, OverflowError) as error:
        raise source.error([unreadable(error, source)]) from None


class _Reader:
    def __init__(self, source: Source, problems: list[Problem]) -> None:
        self._source = source
        self._problems = problems
        self._events: Iterator[Any] = yaml.parse(source.text, Loader=yaml.SafeLoader)

    def document(self) -> Node | None:
        next(self._events)  # the start of the stream
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            return None
        if start.version or start.tags:
            raise self._refusal("a line that starts with % is not read here", None, start)
        node = self._node(next(self._events), depth=0)
        next(self._events)  # the end of the document
        another = next(self._events)
        if isinstance(another, yaml.DocumentStartEvent):
            raise self._refusal("a cell holds one document", "remove the line ---", another)
        return None if isinstance(node, ScalarNode) and node.text == "" else node

    def _node(self, event: Any, depth: int) -> Node:
        self._refuse_extras(event)
        if depth > MAX_DEPTH:
            raise self._refusal(f"more than {MAX_DEPTH} levels, one in another", None, event)
        place = _place(event)
        if isinstance(event, yaml.ScalarEvent):
            value = plain_value(event.value) if event.style is None else event.value
            return ScalarNode(value, event.value, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return ListNode(tuple(self._items(depth + 1)), place)
        return MappingNode(tuple(self._entries(depth + 1)), place)

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, depth)

    def _entries(self, depth: int) -> Iterator[Entry]:
        seen: dict[str, Place] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key, place = self._key(event), _place(event)
            value = self._node(next(self._events), depth)
            if isinstance(value, ScalarNode) and value.value is None and (hint := missing_space(key)):
                raise self._refusal("a key without ': ' after it", hint, event)
            if key in seen:
                line = seen[key].line + self._source.first_line
                message = f"key '{clipped(key)}' is already on line {line}"
                self._problems.append(Problem(message, "remove one of the two", place))
                continue
            seen[key] = place
            yield Entry(key, place, value)

    def _key(self, event: Any) -> str:
        self._refuse_extras(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise self._refusal("a key must be a word", "put quotes around text with {, [, } or ]", event)
        if event.style is None and event.value == "<<":
            raise self._refusal("merge keys (<<) are not read here", "write the values out", event)
        return str(event.value)

    def _refuse_extras(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            sign, kind = ("*", "aliases") if isinstance(event, yaml.AliasEvent) else ("&", "anchors")
            hint = f"write the value out, or put quotes around text that starts with {sign}"
            raise self._refusal(f"{kind} ({sign}{clipped(event.anchor)}) are not read here", hint, event)
        if event.tag is not None:
            hint = "leave it out, or put quotes around text that starts with !"
            raise self._refusal("tags (!) are not read here", hint, event)

    def _refusal(self, message: str, hint: str | None, event: Any) -> CellError:
        return self._source.error([Problem(message, hint, _place(event))])


def _place(event: Any) -> Place:
    return Place(event.start_mark.line, event.start_mark.column)
