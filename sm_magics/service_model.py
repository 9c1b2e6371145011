"""What AWS says of its own calls: operations, shapes and constraints, read from the data that botocore ships.

The cells' keys, their types and their help come from here, and the engine checks and serialises requests by the same
shapes. So nothing is listed by hand, and a field that AWS adds works on the day botocore has it. Only the data is read:
botocore itself is not imported, which keeps the engine small.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sm_magics.errors import SmError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Operation", "ServiceModel", "Shape", "Violation", "load", "matches", "snake_case"]

OWN = Path(__file__).parent / "local" / "service"  # models of what the engine offers beyond AWS, laid out as botocore's
Steps = tuple[str | int, ...]
Rule = Literal["required", "unknown", "type", "enum", "pattern", "min", "max"]


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a structure: the name of its shape, its documentation, and where HTTP carries it."""

    shape: str
    documentation: str = ""
    location: str | None = None
    location_name: str | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of a service. `min` and `max` bound a number's value and anything else's length."""

    name: str
    type: str
    documentation: str = ""
    members: Mapping[str, Member] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    element: str | None = None
    key: str | None = None
    enum: tuple[str, ...] = ()
    pattern: str | None = None
    min: float | None = None
    max: float | None = None
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of a service; an operation without input or output has None there."""

    name: str
    input: str | None
    output: str | None
    documentation: str = ""


@dataclass(frozen=True, slots=True)
class Violation:
    """A value that breaks a rule of its shape; `path` leads to it, with 0-based positions in lists."""

    path: Steps
    rule: Rule
    value: Any
    shape: Shape


class ServiceModel:
    """The operations and shapes of one service.

    Parameters
    ----------
    document
        botocore's `service-2.json`, or the part of it that `operations` need.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.metadata: Mapping[str, Any] = document["metadata"]
        self._operations: Mapping[str, Any] = document["operations"]
        self._shapes: Mapping[str, Any] = document["shapes"]
        self._cache: dict[str, Shape] = {}

    @property
    def target_prefix(self) -> str:
        """What stands before the dot in `X-Amz-Target`."""
        return str(self.metadata.get("targetPrefix", ""))

    @cached_property
    def operations(self) -> Mapping[str, Operation]:
        """The operations by name."""
        return {
            name: Operation(
                name,
                (raw.get("input") or {}).get("shape"),
                (raw.get("output") or {}).get("shape"),
                raw.get("documentation", ""),
            )
            for name, raw in self._operations.items()
        }

    def shape(self, name: str) -> Shape:
        """Return the shape called `name`."""
        shape = self._cache.get(name)
        if shape is None:
            shape = self._cache[name] = _shape(name, self._shapes[name])
        return shape

    def input(self, operation: str) -> Shape:
        """Return the shape of an operation's request."""
        name = self.operations[operation].input
        return self.shape(name) if name else Shape("", "structure")

    def output(self, operation: str) -> Shape | None:
        """Return the shape of an operation's answer, None where it answers with nothing."""
        name = self.operations[operation].output
        return self.shape(name) if name else None

    def check(self, shape: Shape, value: Any, path: Steps = ()) -> Iterator[Violation]:
        """Yield what is wrong with `value` by the rules of `shape`, in the order of the members."""
        if not _is_a(value, shape.type):
            yield Violation(path, "type", value, shape)
            return
        yield from _bounds(shape, value, path)
        if shape.type == "structure":
            yield from self._check_members(shape, value, path)
        elif shape.type == "list":
            element = self.shape(shape.element or "")
            for number, item in enumerate(value):
                yield from self.check(element, item, (*path, number))
        elif shape.type == "map":
            key, element = self.shape(shape.key or ""), self.shape(shape.element or "")
            for name, item in value.items():
                yield from self.check(key, name, (*path, name))
                yield from self.check(element, item, (*path, name))

    def _check_members(self, shape: Shape, value: Mapping[str, Any], path: Steps) -> Iterator[Violation]:
        for name in shape.required:
            if value.get(name) is None:
                yield Violation((*path, name), "required", None, self.shape(shape.members[name].shape))
        for name in value:
            if name not in shape.members:
                yield Violation((*path, name), "unknown", value[name], shape)
            elif value[name] is not None:
                yield from self.check(self.shape(shape.members[name].shape), value[name], (*path, name))


@cache
def load(service: str, operations: tuple[str, ...] = ()) -> ServiceModel:
    """Read the model of a service; with `operations`, keep only what those need (a tenth of the memory).

    Raises
    ------
    SmError
        When the installed botocore has no data for `service`.
    """
    spec = importlib.util.find_spec("botocore")
    places = [Path(place, "data") for place in (spec.submodule_search_locations or ())] if spec else []
    found = sorted(path for place in (*places, OWN) for path in (place / service).glob("*/service-2.json*"))
    if not found:
        raise SmError(
            f"botocore has no service model for '{service}'",
            hint="reinstall it: pip install --force-reinstall botocore",
        )
    if not operations:
        return ServiceModel(json.loads(_text(found[-1])))
    return ServiceModel(_part(_text(found[-1]), operations))


def _text(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()


def snake_case(name: str) -> str:
    """Return a member's name in snake_case: `VolumeSizeInGB` becomes `volume_size_in_gb`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def summary(documentation: str) -> str:
    """Return the first sentence of a shape's documentation as plain text."""
    from html import unescape  # noqa: PLC0415 - half a megabyte that the engine does without

    text = unescape(re.sub(r"<[^>]*>", " ", documentation))
    text = re.sub(r"\s+([.,;:)])", r"\1", " ".join(text.split()))
    return re.split(r"(?<=[a-z0-9)])\.(?=\s|$)", text, maxsplit=1)[0]


def matches(pattern: str, value: str) -> bool:
    """Whether the whole of `value` fits `pattern`, a Java regular expression of the service model."""
    translated = _translate(pattern)
    subject = value if value.isascii() else "".join(map(_representative, value))
    return re.fullmatch(translated, subject) is not None


# Java's classes that Python's `re` lacks. The Unicode ones stand for one private character per general category, which
# `_representative` puts in the place of every character outside ASCII that has that category.
_POSIX = {"Alnum": "a-zA-Z0-9", "Alpha": "a-zA-Z", "Digit": "0-9", "ASCII": r"\x00-\x7f", "Print": r"\x20-\x7e"}
_CATEGORY = {
    "L": "a-zA-Z\ue000",
    "M": "\ue001",
    "Z": " \ue002",
    "N": "0-9\ue003",
    "P": r"!-#%-*,-/:;?@\[-\]_{}" + "\ue004",
    "S": r"$+<=>\^`|~" + "\ue005",
    "Zs": " \ue002",
}


def _representative(character: str) -> str:
    places = {"L": "\ue000", "M": "\ue001", "Z": "\ue002", "N": "\ue003", "P": "\ue004", "S": "\ue005"}
    return character if character < "\x80" else places.get(unicodedata.category(character)[0], character)


@cache
def _translate(pattern: str) -> str:
    if pattern.startswith(r"[\u0020-"):  # "anything but control characters", in surrogate pairs
        return r"[^\x00-\x08\x0b\x0c\x0e-\x1f]*" if r"\r\n" in pattern else r"[^\x00-\x08\x0a-\x1f]*"
    text = re.sub(r"\)\$\{\d+,\d+\}$", ")", pattern)  # a slip of the model: the length is given apart
    text = text.replace(r"\z", r"\Z").replace(r"[\w-_]", r"[\w\-]")
    text = re.sub(r"(?<!\[)\\p\{(\w+)\}(?=[*+?{]|$)(?![^\[]*\])", r"[\\p{\1}]", text)
    return re.sub(r"\\p\{(\w+)\}", lambda found: (_POSIX | _CATEGORY)[found[1]], text)


def _shape(name: str, raw: Mapping[str, Any]) -> Shape:
    return Shape(
        name=name,
        type=raw["type"],
        documentation=raw.get("documentation", ""),
        members={
            key: Member(m["shape"], m.get("documentation", ""), m.get("location"), m.get("locationName"))
            for key, m in (raw.get("members") or {}).items()
        },
        required=tuple(raw.get("required") or ()),
        element=(raw.get("member") or raw.get("value") or {}).get("shape"),
        key=(raw.get("key") or {}).get("shape"),
        enum=tuple(raw.get("enum") or ()),
        pattern=raw.get("pattern"),
        min=raw.get("min"),
        max=raw.get("max"),
        sensitive=bool(raw.get("sensitive")),
    )


def _part(text: str, operations: tuple[str, ...]) -> Mapping[str, Any]:
    """Read the operations of a document and what they need.

    One entry at a time: a large document that has been here as a whole leaves most of its memory taken.
    """
    places = _places(text, 0, ("operations", "shapes"))[0]
    wanted = {name: _value(text, places["operations", name]) for name in operations}
    due = [reference for raw in wanted.values() for reference in (raw.get("input"), raw.get("output"))]
    shapes: dict[str, Any] = {}
    while due:
        reference = due.pop()
        if reference and reference["shape"] not in shapes:
            raw = shapes[reference["shape"]] = _value(text, places["shapes", reference["shape"]])
            due += [*(raw.get("members") or {}).values(), raw.get("member"), raw.get("key"), raw.get("value")]
    return {"metadata": _value(text, places["metadata",]), "operations": wanted, "shapes": shapes}


def _places(text: str, at: int, entered: tuple[str, ...] = ()) -> tuple[dict[tuple[str, ...], int], int]:
    """Return where each value in the object at `at` begins, and where the object ends.

    A value is found by its name; the values in objects called as one of `entered` by that name and their own.
    """
    places: dict[tuple[str, ...], int] = {}
    at = _next(text, at + 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _next(text, at)
        if name in entered:
            within, at = _places(text, at)
            places |= {(name, *rest): place for rest, place in within.items()}
        else:
            places[name,] = at
            _, at = _DECODER.raw_decode(text, at)
        at = _next(text, at)
    return places, at + 1


def _next(text: str, at: int) -> int:
    """Return where the next name or value begins, or the object ends."""
    while text[at] in _BETWEEN:
        at += 1
    return at


def _value(text: str, at: int) -> dict[str, Any]:
    value: dict[str, Any] = _DECODER.raw_decode(text, at)[0]
    return value


_BETWEEN = frozenset(" \t\r\n,:")
_DECODER = json.JSONDecoder()


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "boolean": bool,
    "timestamp": (int, float, str, datetime),
    "blob": (str, bytes),
    "list": (list, tuple),
    "map": dict,
    "structure": dict,
}
_NUMBERS = frozenset({"integer", "long", "float", "double"})


def _is_a(value: Any, kind: str) -> bool:
    if isinstance(value, bool) and kind != "boolean":
        return False  # Python's booleans are integers, the service's are not
    return isinstance(value, _TYPES[kind])


def _bounds(shape: Shape, value: Any, path: Steps) -> Iterator[Violation]:
    if shape.enum and value not in shape.enum:
        yield Violation(path, "enum", value, shape)
    if isinstance(value, str) and shape.pattern and not matches(shape.pattern, value):
        yield Violation(path, "pattern", value, shape)
    size = value if shape.type in _NUMBERS else len(value) if isinstance(value, str | list | tuple | dict) else None
    if size is None:
        return
    if shape.min is not None and size < shape.min:
        yield Violation(path, "min", value, shape)
    if shape.max is not None and size > shape.max:
        yield Violation(path, "max", value, shape)
