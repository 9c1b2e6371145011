"""The cell that says what a spec says: short keys, nothing that is the default anyway, no more lines than it needs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from sm_magics.spec.alarms import alarm_words
from sm_magics.spec.capture import CAPTURE, TYPES
from sm_magics.spec.defaults import CAPTURE_DEFAULTS, variant_defaults
from sm_magics.spec.deployment import DEPLOYMENT, watches, worded
from sm_magics.spec.keys import SHORT, sagemaker, written
from sm_magics.spec.nodes import plain_value
from sm_magics.spec.types import ModelFields, ModelObject, NamedModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sm_magics.spec.types import EndpointSpec, ModelSource, VariantSpec

__all__ = ["to_yaml"]

_WIDTH = 100  # a mapping that fits is written on one line
_PLAIN = re.compile(r"\$[A-Za-z_]\w*|[\w./]([\w./@%+=:-]*[\w./@%+=-])?", re.ASCII)  # needs no quotes, in braces neither
_UNPRINTABLE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_MANY = 10**15  # a float beyond is not written as a whole number

Tree = dict[str, Any] | list[Any] | str  # keys and scalars as YAML text


def to_yaml(spec: EndpointSpec) -> str:
    """Return the body of the cell that reads as `spec`.

    Models that are objects are written as their expression, so the cell needs the notebook's variables.
    """
    cell: dict[str, Any] = {"variants": {_text(each.name): _variant(each) for each in spec.variants}}
    if spec.shadow:
        cell["shadow"] = {_text(each.name): _variant(each) for each in spec.shadow}
    config = dict(spec.config)
    if CAPTURE in config:
        config[CAPTURE] = _without({TYPES: {}, **config[CAPTURE]}, CAPTURE_DEFAULTS)
    cell |= _members(config, "CreateEndpointConfigInput")
    cell |= _deployment(spec)
    if spec.tags:
        cell["tags"] = _texts(spec.tags)
    if spec.role is not None:
        cell["role"] = _value(spec.role)
    return "".join(f"{line}\n" for key, value in cell.items() for line in _lines(key, value, ""))


def _deployment(spec: EndpointSpec) -> dict[str, Tree]:
    """Return `deploy` and `rollback_on` in few words where they can say it, and the other members."""
    members = dict(spec.deployment)
    config = dict(members.pop(DEPLOYMENT, {}))
    words = worded(config)
    named = config.get("AutoRollbackConfiguration") or {}
    cell: dict[str, Tree] = {}
    alarms: list[Tree] = [
        {key: _quoted_if_needed(text) for key, text in alarm_words(each).items()} for each in spec.alarms
    ]
    plain = named.keys() == {"Alarms"} and all(each.keys() == {"AlarmName"} for each in named["Alarms"])
    names = [each["AlarmName"] for each in named["Alarms"]] if plain else []
    if alarms or (names and watches(config) and len(set(names)) == len(names)):
        alarms = [*map(_value, names), *alarms]
        config.pop("AutoRollbackConfiguration", None)
    if alarms:
        cell["rollback_on"] = alarms
    if words is not None and "AutoRollbackConfiguration" not in config:
        cell = {"deploy": words, **cell}
    elif DEPLOYMENT in spec.deployment and (config or not alarms):
        cell = {"deploy": _tree(config, DEPLOYMENT), **cell}
    return cell | {
        written("CreateEndpointInput", member): _tree(value, _shape_of("UpdateEndpointInput", member))
        for member, value in members.items()
    }


def _variant(variant: VariantSpec) -> Tree:
    fields = _without(variant.fields, variant_defaults(variant.fields))
    if not fields and not isinstance(variant.model, ModelFields):
        return _model(variant.model)
    return {"model": _model(variant.model), **_members(fields, "ProductionVariant")}


def _model(source: ModelSource) -> Tree:
    if isinstance(source, NamedModel):
        return _value(source.name)
    if isinstance(source, ModelObject):
        return _quoted_if_needed(source.expression)
    return _members(source.container, "ContainerDefinition") | _members(source.request, "CreateModelInput")


def _without(fields: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in fields.items() if member not in defaults or defaults[member] != value}


def _members(values: Mapping[str, Any], shape: str) -> dict[str, Any]:
    """Return members as keys, those with a short key first."""
    shorts = [*SHORT.get(shape, {}).values()]
    order = sorted(values, key=lambda member: shorts.index(member) if member in shorts else len(shorts))
    return {written(shape, member): _tree(values[member], _shape_of(shape, member)) for member in order}


def _shape_of(shape: str, member: str) -> str:
    return sagemaker().shape(shape).members[member].shape


def _tree(value: Any, shape_name: str) -> Tree:
    shape = sagemaker().shape(shape_name)
    if isinstance(value, ModelObject):
        return _quoted_if_needed(value.expression)
    if shape.type == "structure":
        return _members(value, shape_name)
    if shape.type == "list":
        return [_tree(item, shape.element or "") for item in value]
    if shape.type == "map":
        return {_text(key): _tree(item, shape.element or "") for key, item in value.items()}
    return f"{value}%" if shape_name == "SamplingPercentage" else _value(value)


def _texts(values: Mapping[str, str]) -> Tree:
    return {_text(key): _value(value) for key, value in values.items()}


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _MANY else repr(value)
    if isinstance(value, str):
        return _text(f"${value}" if value.startswith("$") else value)
    return str(value)


def _text(text: str) -> str:
    """Return a text so that it stays one: in quotes where it would be read as something else."""
    is_text = plain_value(text) == text and not text.startswith("$")
    return _quoted_if_needed(text) if is_text else _quoted(text)


def _quoted_if_needed(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _lines(key: str, value: Tree, indent: str) -> Iterator[str]:
    """Yield the lines of a key and its value; the names of variants stand on lines of their own."""
    line = f"{indent}{key}: {_flow(value)}"
    spread = not indent and key in ("variants", "shadow")
    if isinstance(value, str) or not value or (len(line) <= _WIDTH and not spread):
        yield line
        return
    yield f"{indent}{key}:"
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _lines(name, item, indent + "  ")
        return
    for item in value:
        yield from _item(item, indent + "  ")


def _item(item: Tree, indent: str) -> Iterator[str]:
    line = f"{indent}- {_flow(item)}"
    if len(line) <= _WIDTH or not isinstance(item, dict) or not item:
        yield line
        return
    below = [line for key, value in item.items() for line in _lines(key, value, indent + "  ")]
    yield f"{indent}- {below[0].lstrip()}"
    yield from below[1:]


def _flow(value: Tree) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{', '.join(_flow(item) for item in value)}]"
    return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
