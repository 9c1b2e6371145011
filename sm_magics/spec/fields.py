"""Nodes of a cell turned into the values of a request, and checked by the rules of the service model.

Where each value stands in the cell is kept beside it, so that whatever is found wrong with the request is shown there.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sm_magics.spec.keys import below, level, sagemaker, written
from sm_magics.spec.nodes import UNKNOWN, Entry, ListNode, MappingNode, ScalarNode, opened
from sm_magics.spec.problems import Place, Problem, clipped
from sm_magics.spec.rules import EXAMPLES, sentence, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics.service_model import Shape, Steps, Violation

__all__ = ["Form", "Found", "Site"]

_INTEGER_BITS = {"integer": 32, "long": 64}
_NUMBERS = frozenset({"integer", "long", "float", "double"})


@dataclass(frozen=True, slots=True)
class Site:
    """Where a value of a request stands in the cell, and what it is called there."""

    label: str
    key: Place | None = None
    value: Place | None = None
    expression: str | None = None


Found = dict[str, Entry]  # entries by the members that they stand for


@dataclass
class Form:
    """The values of one cell's requests by their path, with what is wrong with them."""

    problems: list[Problem] = field(default_factory=list)
    _sites: dict[Steps, Site] = field(default_factory=dict)
    _settled: set[Steps] = field(default_factory=set)

    def say(self, message: str, hint: str | None = None, place: Place | None = None) -> None:
        """Add a problem."""
        self.problems.append(Problem(message, hint, place))

    def settle(self, path: Steps) -> None:
        """Let the value at `path` pass any later check: it is in order, or its problem has been told."""
        self._settled.add(path)

    def is_settled(self, path: Steps) -> bool:
        """Whether there is no more to say of what is missing at `path`."""
        return path in self._settled

    def locate(self, path: Steps, site: Site) -> None:
        """Remember where the value at `path` stands."""
        self._sites[path] = site

    def site(self, path: Steps) -> Site:
        """Return where the value at `path` stands, or else what holds it."""
        while path and path not in self._sites:
            path = path[:-1]
        return self._sites.get(path, Site("the cell"))

    def entries(self, node: MappingNode, name: str, path: Steps) -> Found:
        """Return the entries of a mapping by the members that they stand for on the level `name`."""
        found: Found = {}
        meant: set[str] = set()
        for entry in node.entries:
            key = level(name).find(entry.key)
            if key is None:
                self.say(f"unknown key '{clipped(entry.key)}'", level(name).advice(entry.key), entry.place)
                intended = level(name).meant(entry.key)
                meant |= {intended.member} if intended else set()
            elif key.member in found:
                other = found[key.member].key
                self.say(f"'{entry.key}' and '{other}' are the same", "keep one of the two", entry.place)
            else:
                found[key.member] = entry
        for member in meant - found.keys():
            self.settle((*path, member))  # a misspelled key is not missing as well
        return found

    def fill_all(self, found: Found, name: str, path: Steps) -> dict[str, Any]:
        """Return the values of `found`, the entries on the level `name`, by member."""
        shapes = {member: level(name).words[entry.key].shape for member, entry in found.items()}
        return {member: self.fill(entry, shapes[member], (*path, member)) for member, entry in found.items()}

    def fill(self, entry: Entry, shape_name: str, path: Steps) -> Any:
        """Return the value of `entry` as its shape wants it; None where there is none to be had."""
        node = opened(entry.value)
        shape = sagemaker().shape(shape_name)
        self.locate(path, Site(clipped(entry.key), entry.place, node.place, node.expression))
        if isinstance(node, ScalarNode):
            return self._scalar(node, shape, path, entry)
        if isinstance(node, MappingNode):
            return self._mapping(node, shape, path)
        return self._list(node, shape, path, entry)

    def check(self, shape_name: str, value: Any, path: Steps) -> None:
        """Add what is wrong with `value` by the rules of its shape, once for each place."""
        shape = sagemaker().shape(shape_name)
        for violation in sagemaker().check(shape, value, path):
            holder = sagemaker().shape(_shape_at(shape_name, violation.path[len(path) : -1]))
            if _too_long_as_well(violation):
                continue
            if holder.key == violation.shape.name:
                self._report_key(violation)
            elif violation.path not in self._settled:
                self.settle(violation.path)
                self._report(violation, holder)

    def check_all(self, shape_name: str, values: Mapping[str, Any], path: Steps) -> None:
        """Check `values` one by one as members of a structure, whatever else that structure requires."""
        members = sagemaker().shape(shape_name).members
        for member, value in values.items():
            if value is not None:
                self.check(members[member].shape, value, (*path, member))

    def check_name(self, shape_name: str, value: str, label: str) -> None:
        """Check a name that stands on the magic's line."""
        self.locate((label,), Site(label))
        self.check(shape_name, value, (label,))

    def _report_key(self, violation: Violation) -> None:
        message, hint = sentence(violation, "key", None)
        self.say(message, hint, self.site(violation.path).key)

    def _report(self, violation: Violation, holder: Shape) -> None:
        if violation.rule == "required":
            site = self.site(violation.path[:-1])
            self.say(
                f"{site.label} needs '{written(holder.name, str(violation.path[-1]))}'",
                EXAMPLES.get(holder.name),
                site.key,
            )
            return
        site = self.site(violation.path)
        message, hint = sentence(violation, site.label, site.expression)
        self.say(message, hint, site.key if isinstance(violation.value, list | dict) else site.value)

    def _mapping(self, node: MappingNode, shape: Shape, path: Steps) -> Any:
        if shape.type == "structure":
            return self.fill_all(self.entries(node, shape.name, path), shape.name, path)
        if shape.type != "map":
            return {}
        if sagemaker().shape(shape.element or "").type == "string":
            return {entry.key: self._text(entry, (*path, entry.key)) for entry in node.entries}
        return {entry.key: self.fill(entry, shape.element or "", (*path, entry.key)) for entry in node.entries}

    def _list(self, node: ListNode, shape: Shape, path: Steps, entry: Entry) -> list[Any]:
        if shape.type != "list":
            return []
        items = (Entry(f"{entry.key}[{number}]", item.place, item) for number, item in enumerate(node.items))
        return [self.fill(item, shape.element or "", (*path, number)) for number, item in enumerate(items)]

    def _scalar(self, node: ScalarNode, shape: Shape, path: Steps, entry: Entry) -> Any:
        if self._has_no_value(node, path, entry, "give it one, or remove the key"):
            return None
        value = _percent(_python(node.value)) if shape.name == "SamplingPercentage" else _python(node.value)
        if shape.type in _NUMBERS and _is_out_of_reach(value, shape.type):
            self.settle(path)
            finite = isinstance(value, int) or math.isfinite(value)
            what = "is too large a number:" if finite else "must be a finite number, not"
            self.say(f"{entry.key} {what} {shown(value, node.expression)}", None, node.place)
        return value

    def _text(self, entry: Entry, path: Steps) -> Any:
        node = entry.value
        self.locate(path, Site(clipped(entry.key), entry.place, node.place, node.expression))
        if not isinstance(node, ScalarNode):
            return [] if isinstance(node, ListNode) else {}
        if self._has_no_value(node, path, entry, 'write "" for an empty text'):
            return None
        if node.expression is None:
            return node.text
        value = _python(node.value)
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, int | float) else value

    def _has_no_value(self, node: ScalarNode, path: Steps, entry: Entry, hint: str) -> bool:
        if node.value is None:
            where = f": {clipped(node.expression)} is None" if node.expression else ""
            self.say(f"{clipped(entry.key)} has no value{where}", hint, entry.place)
        elif node.value is not UNKNOWN:
            return False
        self.settle(path)
        return True


def _shape_at(root: str, steps: Steps) -> str:
    for step in steps:
        root = below(root, step) or root
    return root


def _too_long_as_well(violation: Violation) -> bool:
    """Whether a text that does not fit its pattern is too long, too: that says more."""
    value, most = violation.value, violation.shape.max
    return violation.rule == "pattern" and most is not None and isinstance(value, str) and len(value) > most


def _python(value: Any) -> Any:
    """Return a scalar of numpy and its like as Python's own; anything else as it is."""
    shape = getattr(value, "shape", None)
    return value.item() if isinstance(shape, tuple) and shape == () and hasattr(value, "item") else value


def _percent(value: Any) -> Any:
    """Return the number in `100%`; anything else as it is."""
    found = re.fullmatch(r"(\d{1,9})\s*%", value) if isinstance(value, str) else None
    return int(found[1]) if found else value


def _is_out_of_reach(value: Any, kind: str) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return abs(value) >= 1 << (_INTEGER_BITS.get(kind, 1024) - 1)
