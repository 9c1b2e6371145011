"""Which keys each level of a cell takes: a few short ones, and every member that the service model has there.

A level is named by the shape of the service model that it fills. The cell's own levels, which no single shape
describes, have the names below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from sm_magics import service_model
from sm_magics.service_model import snake_case, summary
from sm_magics.spec.problems import did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "ENDPOINT",
    "MODEL",
    "MODELS",
    "MODEL_CELL",
    "SHORT",
    "TEXTS",
    "VARIANT",
    "VARIANTS",
    "Key",
    "Level",
    "below",
    "is_level",
    "level",
    "sagemaker",
    "written",
]

ENDPOINT, MODEL_CELL = "endpoint cell", "model cell"
VARIANTS, VARIANT, MODELS, MODEL, TEXTS = "variants", "variant", "models", "model", "texts"

# What everyone writes, by the structure that has the member.
SHORT: Mapping[str, Mapping[str, str]] = {
    "ProductionVariant": {
        "instance": "InstanceType",
        "instances": "InitialInstanceCount",
        "weight": "InitialVariantWeight",
        "serverless": "ServerlessConfig",
    },
    "ProductionVariantServerlessConfig": {
        "memory": "MemorySizeInMB",
        "concurrency": "MaxConcurrency",
        "provisioned": "ProvisionedConcurrency",
    },
    "ContainerDefinition": {"image": "Image", "data": "ModelDataUrl", "env": "Environment"},
    "CreateModelInput": {"role": "ExecutionRoleArn"},
    "DataCaptureConfig": {"to": "DestinationS3Uri", "sample": "InitialSamplingPercentage"},
    "CreateEndpointConfigInput": {"capture": "DataCaptureConfig"},
    "CreateEndpointInput": {"deploy": "DeploymentConfig"},
}
_POLICY = "use DeploymentConfig's own fields: blue_green_update_policy, rolling_update_policy"
_ALARMS = "name the alarms under deploy: auto_rollback_configuration"
_NAMED_ABOVE = "the name stands on the magic's line"
_CONFIG_NAME = "the endpoint config gets its name from its content"

# Names that a reader may try, by level, and what to write instead.
_ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    ENDPOINT: {
        "endpoint_name": _NAMED_ABOVE,
        "endpoint_config_name": _CONFIG_NAME,
        "production_variants": "use 'variants'",
        "shadow_production_variants": "use 'shadow'",
        "rollback_on": _ALARMS,
    },
    VARIANT: {"variant_name": "the name is the key above, under variants", "model_name": "use 'model'"},
    MODEL: {"model_name": "the model gets its name from its content", "tags": "tags go to the top level of the cell"},
    MODEL_CELL: {"model_name": _NAMED_ABOVE},
    "DeploymentConfig": dict.fromkeys(("canary", "linear", "rolling", "all-at-once", "all_at_once", "wait"), _POLICY)
    | {"rollback_on": _ALARMS},
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `name` as a reader writes it, `member` as SageMaker calls it, `shape` as what stands below it."""

    name: str
    member: str
    shape: str
    documentation: str
    short: bool = True

    @property
    def help(self) -> str:
        """The first sentence about it."""
        return summary(self.documentation)


@dataclass(frozen=True, slots=True)
class Level:
    """The keys of one level by every spelling: the short ones first, then snake_case, then CamelCase."""

    words: Mapping[str, Key]
    elsewhere: Mapping[str, str]

    def find(self, word: str) -> Key | None:
        """Return the key that is spelled `word`."""
        return self.words.get(word)

    def choices(self) -> Iterator[tuple[str, Key]]:
        """Yield what a reader should write: the short keys, then the members in snake_case."""
        return ((word, key) for word, key in self.words.items() if word.islower())

    def meant(self, word: str) -> Key | None:
        """Return the key that is most like `word`, None when none is like it."""
        choices = dict(self.choices())
        return choices.get(nearest(word, choices) or "")

    def advice(self, word: str) -> str | None:
        """Return what to do about a `word` that is no key here."""
        return self.elsewhere.get(snake_case(word)) or did_you_mean(word, (each for each, _ in self.choices()))


_ELEMENTS = {VARIANTS: VARIANT, MODELS: MODEL, TEXTS: "TagValue"}
_OWN = {
    "variants": Key("variants", "variants", VARIANTS, "The variants by name, each with its model and its share."),
    "shadow": Key("shadow", "shadow", VARIANTS, "A variant that gets a copy of the requests and never answers."),
    "models": Key("models", "models", MODELS, "Models by name, for the variants to refer to."),
    "tags": Key("tags", "Tags", TEXTS, "Tags for all that the cell creates."),
    "role": Key("role", "role", "RoleArn", "The role that the models run as; otherwise the connection's."),
    "model": Key("model", "model", MODEL, "What is served: $object, the name of a model, or image, data and env."),
}


@cache
def sagemaker() -> service_model.ServiceModel:
    """Return the part of SageMaker's model that cells speak of."""
    return service_model.load("sagemaker", ("CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint", "CreateModel"))


@cache
def level(name: str) -> Level:
    """Return the keys of the structure `name`, or of one of the cell's own levels."""
    keys = [*_keys(name)]
    words = {key.name: key for key in keys if key.short}
    words |= {snake_case(key.member): key for key in keys}
    return Level(words | {key.member: key for key in keys}, _ELSEWHERE.get(name, {}))


def written(shape: str, member: str) -> str:
    """Return how a reader writes `member` of the structure `shape`: its short key, or its name in snake_case."""
    for short, long in SHORT.get(shape, {}).items():
        if long == member:
            return short
    return snake_case(member)


def below(name: str, step: str | int) -> str | None:
    """Return the level or shape that stands under `step` of the level or shape `name`, None where there is none."""
    if name in _ELEMENTS:
        return _ELEMENTS[name]
    if is_level(name):
        key = level(name).find(str(step))
        return key.shape if key else None
    return sagemaker().shape(name).element


def is_level(name: str) -> bool:
    """Whether `name` takes keys that are known."""
    if name in _ELEMENTS:
        return False
    return name in (ENDPOINT, VARIANT, MODEL, MODEL_CELL) or sagemaker().shape(name).type == "structure"


def _keys(name: str) -> Iterator[Key]:
    if name == ENDPOINT:
        yield from (_OWN[each] for each in ("variants", "models", "shadow", "tags", "role"))
        yield from _members("CreateEndpointInput", {"EndpointName", "EndpointConfigName", "Tags"})
        names = {"EndpointConfigName", "ProductionVariants", "ShadowProductionVariants", "Tags"}
        yield from _members("CreateEndpointConfigInput", names)
        yield from _members("UpdateEndpointInput", {"EndpointName", "EndpointConfigName", "DeploymentConfig"})
    elif name == VARIANT:
        yield _OWN["model"]
        yield from _members("ProductionVariant", {"VariantName", "ModelName"})
    elif name in (MODEL, MODEL_CELL):
        yield from _members("ContainerDefinition", ())
        yield from _members("CreateModelInput", {"ModelName", "Tags"})
        if name == MODEL_CELL:
            yield _OWN["tags"]
    else:
        yield from _members(name, ())


def _members(shape: str, without: Iterable[str]) -> Iterator[Key]:
    """Yield the members of a shape, those with a short key first."""
    members = sagemaker().shape(shape).members
    shorts = [member for member in SHORT.get(shape, {}).values() if member in members]
    for member in dict.fromkeys((*shorts, *members)):
        about = members[member]
        if member not in without:
            documentation = about.documentation or sagemaker().shape(about.shape).documentation
            short = member in SHORT.get(shape, {}).values()
            yield Key(written(shape, member), member, about.shape, documentation, short)
