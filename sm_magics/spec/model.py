"""What a `model:` may be, and the cell that declares a model on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sm_magics.spec.fields import Form, Found, Site
from sm_magics.spec.keys import MODEL, MODEL_CELL, sagemaker
from sm_magics.spec.nodes import UNKNOWN, Entry, MappingNode, Node, ScalarNode, opened, read
from sm_magics.spec.problems import Place, Source, clipped
from sm_magics.spec.rules import shown
from sm_magics.spec.syntax import missing_space
from sm_magics.spec.tags import read_tags
from sm_magics.spec.types import ModelFields, ModelObject, ModelSource, ModelSpec, NamedModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics.service_model import Steps

__all__ = ["UNTOLD", "parse_model", "read_source"]

UNTOLD = NamedModel("")  # stands for a model that could not be read
_HOW = "write $object, or a mapping with image, data and env"


def parse_model(text: str, name: str, variables: Mapping[str, Any], *, first_line: int = 1) -> ModelSpec:
    """Read the body of a model cell: a mapping of the model's fields, or one `$name`.

    The parameters are those of `parse_endpoint`.

    Raises
    ------
    CellError
        With all that is wrong with the cell.
    """
    source, form = Source(text, first_line), Form()
    form.check_name("ModelName", name, "model name")
    root = read(source, variables, form.problems)
    model, tags = _cell(root, form)
    if form.problems:
        raise source.error(form.problems)
    return ModelSpec(name, model, tags)


def read_source(entry: Entry, form: Form, path: Steps, label: str) -> ModelSource:
    """Return the model that `entry` says; where that cannot be told, say so in `form` and return `UNTOLD`."""
    node = entry.value
    if isinstance(node, MappingNode):
        found = form.entries(node, MODEL, path)
        return _by_fields(found, MODEL, form, path, entry.place)
    if isinstance(node, ScalarNode) and node.expression is None and isinstance(node.value, str):
        form.locate(path, Site("model name", entry.place, node.place))
        form.check("ModelName", node.value, path)
        return NamedModel(node.value)
    return _object(node, form, label, entry.place)


def _cell(root: Node | None, form: Form) -> tuple[ModelSource, dict[str, str]]:
    if root is None:
        form.say("the cell says no model", _HOW)
        return UNTOLD, {}
    if not isinstance(root, MappingNode):
        return _object(root, form, "a model cell", root.place), {}
    found = form.entries(root, MODEL_CELL, ())
    tags = read_tags(found.pop("Tags", None), form)
    return _by_fields(found, MODEL_CELL, form, (), root.place), tags


def _object(node: Node, form: Form, label: str, key: Place) -> ModelSource:
    if not isinstance(node, ScalarNode):
        form.say(f"{label} cannot be a list", _HOW, node.place)
    elif node.value is None:
        where = f": {clipped(node.expression)} is None" if node.expression else ""
        form.say(f"{label} has no value{where}", _HOW, key)
    elif node.expression is None:
        form.say(f"{label} cannot be {shown(node.value, None)}", missing_space(node.text) or _HOW, node.place)
    elif node.value is not UNKNOWN:
        return ModelObject(node.value, node.expression)
    return UNTOLD


def _by_fields(found: Found, name: str, form: Form, path: Steps, place: Place) -> ModelFields:
    inner = found.pop("PrimaryContainer", None)
    members = sagemaker().shape("ContainerDefinition").members
    outer = {member: found.pop(member) for member in [*found] if member in members}
    if not (inner or outer or "Containers" in found or any(form.is_settled((*path, each)) for each in members)):
        form.say("a model needs 'image', 'data' or another field of a container", _HOW, place)
    _say_two_kinds(inner, outer, found.get("Containers"), form)
    request = form.fill_all(found, name, path)
    form.check_all("CreateModelInput", request, path)
    container = _container(outer, name, form, path)
    return ModelFields(container | _primary(inner, form, (*path, "PrimaryContainer")), request)


def _say_two_kinds(inner: Entry | None, outer: Found, containers: Entry | None, form: Form) -> None:
    """Refuse a model whose containers are given in more than one way."""
    given = [each for each in (inner, containers, next(iter(outer.values()), None)) if each]
    for entry in given[1:]:
        message = f"'{entry.key}' and '{given[0].key}' cannot both be given"
        form.say(message, f"put all fields into '{given[0].key}'", entry.place)


def _primary(entry: Entry | None, form: Form, path: Steps) -> dict[str, Any]:
    if entry is None:
        return {}
    node = opened(entry.value)
    if isinstance(node, MappingNode):
        return _container(form.entries(node, "ContainerDefinition", path), "ContainerDefinition", form, path)
    form.check("ContainerDefinition", form.fill(entry, "ContainerDefinition", path), path)
    return {}


def _container(found: Found, name: str, form: Form, path: Steps) -> dict[str, Any]:
    data = found.pop("ModelDataUrl", None)
    values = form.fill_all(found, name, path)
    if data:
        values["ModelDataUrl"] = _data(data, form, (*path, "ModelDataUrl"))
    form.check_all("ContainerDefinition", values, path)
    return values


def _data(entry: Entry, form: Form, path: Steps) -> Any:
    """Return a URL, a path on the notebook's machine, or an object; packaging makes a URL of what is none yet."""
    node = entry.value
    if isinstance(node, ScalarNode) and node.expression and not _is_text(node.value):
        form.settle(path)
        return ModelObject(node.value, node.expression)
    value = form.fill(entry, "Url", path)
    if isinstance(value, str) and value and not value.startswith(("s3:", "http:", "https:")):
        form.settle(path)
    return value


def _is_text(value: object) -> bool:
    return value is UNKNOWN or value is None or isinstance(value, str)
