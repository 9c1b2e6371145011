"""Which keys each level of a cell takes: a few short ones, and every member that the service model has there.

A level is named by the shape of the service model that it fills. The cell's own levels, which no single shape
describes, have the names below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from sm_magics import service_model
from sm_magics.nearest import did_you_mean, nearest
from sm_magics.service_model import snake_case, summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "ALARM",
    "DEPLOY",
    "ENDPOINT",
    "ERRORS",
    "LATENCIES",
    "METRIC",
    "MODEL",
    "MODELS",
    "MODEL_CELL",
    "NAMED",
    "ROLLBACK",
    "SHORT",
    "STAT",
    "STATISTICS",
    "TEXTS",
    "VARIANT",
    "VARIANTS",
    "WORDS",
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
DEPLOY, ROLLBACK, ALARM = "deployment", "alarms", "alarm"

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
_ALARMS = "write it at the top level of the cell: rollback_on: [ALARM]"
_DEPLOY = "write it in deploy: {canary: 10%, wait: 5m}"
_NAMED_ABOVE = "the name stands on the magic's line"
_CONFIG_NAME = "the endpoint config gets its name from its content"

# Names that a reader may try, by level, and what to write instead.
_ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    ENDPOINT: {
        "endpoint_name": _NAMED_ABOVE,
        "endpoint_config_name": _CONFIG_NAME,
        "production_variants": "use 'variants'",
        "shadow_production_variants": "use 'shadow'",
        **dict.fromkeys(("canary", "linear", "rolling", "wait", "every", "bake", "timeout"), _DEPLOY),
        **dict.fromkeys(("to", "sample"), "write it in capture: {to: s3://bucket/prefix, sample: 20%}"),
    },
    VARIANT: {"variant_name": "the name is the key above, under variants", "model_name": "use 'model'"},
    MODEL: {"model_name": "the model gets its name from its content", "tags": "tags go to the top level of the cell"},
    MODEL_CELL: {"model_name": _NAMED_ABOVE, "model": "its fields stand here: image, data, env"},
    DEPLOY: {
        "deployment_config": "its fields stand here",
        "rollback_on": _ALARMS,
        "alarms": _ALARMS,
        "all_at_once": "write all-at-once: true",
        "termination_wait_in_seconds": "use 'bake'",
        "wait_interval_in_seconds": "use 'wait'",
        "maximum_execution_timeout_in_seconds": "use 'timeout'",
    },
    ALARM: {
        "metric_name": "use 'metric'",
        "threshold": "use 'above'",
        "period": "use 'for'",
        "alarm_name": "an alarm that exists is named alone: - NAME",
    },
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `name` as a reader writes it, `member` as SageMaker calls it, `shape` as what stands below it."""

    name: str
    member: str
    shape: str
    documentation: str
    short: bool = True
    takes: str = ""  # said where the shape alone does not tell

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


# Values that no shape of the service model lists, by what stands for their shape.
METRIC, STAT, NAMED, LIMIT = "metric", "statistic", "name of a variant", "limit"
ERRORS = ("Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")
LATENCIES = ("ModelLatency", "OverheadLatency")
STATISTICS = ("Average", "Sum", "Minimum", "Maximum", "SampleCount", "p50", "p90", "p99", "p99.9")
WORDS: Mapping[str, tuple[str, ...]] = {METRIC: (*ERRORS, *LATENCIES), STAT: STATISTICS, NAMED: (), LIMIT: ()}

_ELEMENTS = {VARIANTS: VARIANT, MODELS: MODEL, TEXTS: "TagValue", ROLLBACK: ALARM}
_OWN = {
    "variants": Key("variants", "variants", VARIANTS, "The variants by name, each with its model and its share."),
    "shadow": Key("shadow", "shadow", VARIANTS, "A variant that gets a copy of the requests and never answers."),
    "models": Key("models", "models", MODELS, "Models by name, for the variants to refer to."),
    "tags": Key("tags", "Tags", TEXTS, "Tags for all that the cell creates."),
    "role": Key("role", "role", "RoleArn", "The role that the models run as; otherwise the connection's."),
    "model": Key("model", "model", MODEL, "What is served: $object, the name of a model, or image, data and env."),
    "rollback_on": Key(
        "rollback_on",
        "rollback_on",
        ROLLBACK,
        "Alarms that roll an update back when one goes off while `deploy` watches: names, or {metric, above, for}.",
        takes="a list of names and alarms, at most 10",
    ),
}
_SIZE, _TIME = "10%, or a number of instances", "a duration: 90s, 5m, 1h"
_TAKES = {
    ("ContainerDefinition", "Image"): "xgboost@3.0-5, a registry URI, or ./PROGRAM of this machine (embedded engine)",
    ("ContainerDefinition", "ModelDataUrl"): "a .tar.gz, a directory, an s3:// URI, or $object",
    ("CreateEndpointConfigInput", "DataCaptureConfig"): "where to, as `to` has it; or a mapping",
    ("DataCaptureConfig", "DestinationS3Uri"): "s3://bucket/prefix, or ./DIRECTORY of this machine (embedded engine)",
    ("DataCaptureConfig", "CaptureContentTypeHeader"): "what is kept as text: text/csv, application/json by default",
}
_OWN_DEPLOY = (
    Key("canary", "canary", "CapacitySize", "Traffic that the new fleet gets first, at most 50%.", takes=_SIZE),
    Key("linear", "linear", "CapacitySize", "Traffic that moves with each step, 10% to 50%.", takes=_SIZE),
    Key("rolling", "rolling", "CapacitySize", "Instances that are replaced at a time, 5% to 50%.", takes=_SIZE),
    Key("all-at-once", "all-at-once", "Boolean", "All traffic moves in one step; `bake` watches it.", takes="true"),
    Key("wait", "wait", "WaitIntervalInSeconds", "How long each step is watched, at most 1h.", takes=_TIME),
    Key("every", "every", "WaitIntervalInSeconds", "The same as `wait`, for linear and rolling.", takes=_TIME),
    Key(
        "bake",
        "bake",
        "TerminationWaitInSeconds",
        "How long the old fleet is kept once the new one has all traffic, at most 1h.",
        takes=_TIME,
    ),
    Key(
        "timeout",
        "timeout",
        "MaximumExecutionTimeoutInSeconds",
        "How long the whole deployment may take before it is rolled back, 10m to 8h.",
        takes=_TIME,
    ),
)
_OWN_ALARM = (
    Key("metric", "metric", METRIC, "What is measured, by CloudWatch's name.", takes=", ".join(WORDS[METRIC])),
    Key(
        "above",
        "above",
        LIMIT,
        "Where the alarm goes off: a share of the invocations, a number of them, or a latency.",
        takes="1%, a number, or 200ms",
    ),
    Key("for", "for", LIMIT, "How long it must be above: 1m unless said otherwise.", takes=_TIME),
    Key("stat", "stat", STAT, "Of a latency: Average unless said otherwise; of a number: Sum.", takes="p99, Sum, …"),
    Key("variant", "variant", NAMED, "The one variant that is measured; otherwise each by itself.", takes="a name"),
)


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
    if name in WORDS:
        return None
    return sagemaker().shape(name).element


def is_level(name: str) -> bool:
    """Whether `name` takes keys that are known."""
    if name in _ELEMENTS or name in WORDS:
        return False
    return name in (ENDPOINT, VARIANT, MODEL, MODEL_CELL, DEPLOY, ALARM) or sagemaker().shape(name).type == "structure"


def _keys(name: str) -> Iterator[Key]:
    if name == ENDPOINT:
        yield from (_OWN[each] for each in ("variants", "models", "shadow", "tags", "role"))
        documentation = sagemaker().shape("DeploymentConfig").documentation
        yield Key("deploy", "DeploymentConfig", DEPLOY, documentation, takes="all-at-once, or a mapping")
        yield _OWN["rollback_on"]
        names = {"EndpointConfigName", "ProductionVariants", "ShadowProductionVariants", "Tags"}
        yield from _members("CreateEndpointConfigInput", names)
        yield from _members("UpdateEndpointInput", {"EndpointName", "EndpointConfigName", "DeploymentConfig"})
    elif name == DEPLOY:
        yield from _OWN_DEPLOY
        yield from _members("DeploymentConfig", ())
    elif name == ALARM:
        yield from _OWN_ALARM
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
            takes = _TAKES.get((shape, member), "")
            yield Key(written(shape, member), member, about.shape, documentation, short, takes)
