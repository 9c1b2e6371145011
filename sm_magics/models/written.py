"""A model as it is written in a cell: `{image, data, env}` and SageMaker's own names, as the API's fields."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sm_magics import service_model
from sm_magics.errors import PackagingError
from sm_magics.models import archive
from sm_magics.nearest import did_you_mean
from sm_magics.spec.types import ModelFields, ModelObject

__all__ = ["fields", "is_data", "local_path"]

_SHORT = {"data": "ModelDataUrl", "env": "Environment"}
_OURS = {"ModelName", "Tags"}  # made from the content, and by whoever creates the model


def fields(source: ModelObject | ModelFields) -> ModelFields:
    """Return `source` as fields: a mapping or a path that a `$name` stands for is taken as if it were written there."""
    if isinstance(source, ModelFields):
        return source
    if isinstance(source.value, Mapping):
        return _of_mapping(source.value, source.expression)
    if isinstance(source.value, str) and not is_data(source.value):
        raise PackagingError(
            f"{source.expression} is the text '{source.value}', which is no model",
            hint="write the name of a SageMaker model as it is, without $; a path ends in .tar.gz or is a directory",
        )
    return ModelFields(container={"ModelDataUrl": source}, request={})


def is_data(text: str) -> bool:
    """Whether a text is the place of a model's data, rather than a name."""
    return bool(text) and ("://" in text or text.endswith(".tar.gz") or archive.is_directory(local_path(text)))


def local_path(text: str | Path) -> Path:
    """Return the path that a text names, with `~` for the home directory; an empty text names none."""
    if not str(text):
        raise PackagingError("the model's data is an empty text", hint="write a path, an s3:// URI, or leave it out")
    try:
        return Path(text).expanduser()
    except RuntimeError:  # of a user that does not exist
        return Path(text)


def _of_mapping(mapping: Mapping[Any, Any], expression: str) -> ModelFields:
    container_names, request_names = _names("ContainerDefinition"), _names("CreateModelInput")
    known = _SHORT | request_names | container_names
    container: dict[str, Any] = {}
    request: dict[str, Any] = {}
    for key, value in mapping.items():
        name = known.get(str(key))
        if name is None:
            hint = did_you_mean(str(key), known) or "known are image, data, env and SageMaker's own names"
            raise PackagingError(f"{expression} has the unknown key '{key}'", hint=hint)
        place = container if name in container_names else request
        if name in place:
            raise PackagingError(f"{expression} gives {name} twice", hint=f"take '{key}' or the other one out")
        place[name] = value
    data = container.get("ModelDataUrl")
    if data is not None and not isinstance(data, str | ModelObject):
        container["ModelDataUrl"] = ModelObject(data, f"{expression}[data]")
    return ModelFields(container=container, request=request)


def _names(shape: str) -> dict[str, str]:
    """Return a structure's members by their own names and in snake_case."""
    members = service_model.load("sagemaker", ("CreateModel",)).shape(shape).members.keys() - _OURS
    return {name: name for name in members} | {service_model.snake_case(name): name for name in members}
