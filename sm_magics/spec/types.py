"""What a cell says, as plain data: the names and values are SageMaker's own, ready to be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AlarmSpec",
    "EndpointSpec",
    "ModelFields",
    "ModelObject",
    "ModelSource",
    "ModelSpec",
    "NamedModel",
    "VariantSpec",
]


@dataclass(frozen=True, slots=True)
class NamedModel:
    """The name of a SageMaker model that exists, or that a cell declared."""

    name: str


@dataclass(frozen=True, slots=True)
class ModelObject:
    """A Python object of the notebook, and the expression that led to it, as written."""

    value: object
    expression: str


@dataclass(frozen=True, slots=True)
class ModelFields:
    """A model by its fields.

    `container` holds members of ContainerDefinition; its ModelDataUrl may be a path, a URL or a `ModelObject`.
    `request` holds the other members of CreateModel.
    """

    container: Mapping[str, Any]
    request: Mapping[str, Any]


ModelSource = NamedModel | ModelObject | ModelFields


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """One variant; `fields` are ProductionVariant's members but its name and model, with the defaults filled in."""

    name: str
    model: ModelSource
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AlarmSpec:
    """An alarm that a cell describes: `stat` of `metric` is above `threshold` for so many seconds.

    The threshold is in CloudWatch's unit: microseconds for latencies, a part of 1 for shares. Without a `variant`,
    there is one such alarm for each.
    """

    metric: str
    stat: str
    threshold: float
    seconds: int = 60
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """One endpoint.

    `config` holds the other members of CreateEndpointConfig; `deployment` holds DeploymentConfig and the members that
    UpdateEndpoint alone has; the alarms that the cell names are in there, those that it describes in `alarms`. `role`
    is None where the connection's is to be used.
    """

    name: str
    variants: tuple[VariantSpec, ...]
    shadow: tuple[VariantSpec, ...]
    config: Mapping[str, Any]
    deployment: Mapping[str, Any]
    tags: Mapping[str, str]
    role: str | None
    alarms: tuple[AlarmSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model."""

    name: str
    source: ModelSource
    tags: Mapping[str, str]
