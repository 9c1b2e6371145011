"""What a cell asks for and what the service says, in the form in which they can be compared."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sm_magics.models import DesiredModel
    from sm_magics.spec import AlarmSpec, EndpointSpec

__all__ = [
    "AFTER_TAG",
    "AMOUNTS",
    "ANSWER_ONLY",
    "BY_TAG",
    "ENDPOINT_TAG",
    "MODEL_TAG",
    "TAGS_TAG",
    "Live",
    "Share",
    "Target",
    "content",
    "percent",
    "shares_text",
    "target",
]

ENDPOINT_TAG = "sm_magics:endpoint"  # on whatever we make for an endpoint: its name
MODEL_TAG = "sm_magics:model"  # on a model that a cell declared on its own: the name it was declared by
TAGS_TAG = "sm_magics:tags"  # on an endpoint: which of its tags came from the cell
BY_TAG = "sm_magics:by"  # on an endpoint config: who made it
AFTER_TAG = "sm_magics:after"  # on an endpoint config: the name of the one that served when it was made
MAX_NAME = 63
AMOUNTS = ("InitialVariantWeight", "InitialInstanceCount")
ANSWER_ONLY = ("EndpointConfigName", "EndpointConfigArn", "CreationTime", "Tags", "ResponseMetadata")
_SINGLE_PRECISION = 1e-6  # relative: the service keeps weights as 32-bit floats
IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


@dataclass(frozen=True)
class Share:
    """How much of an endpoint one variant is: its weight and its instances (None for a serverless variant)."""

    weight: float
    count: int | None

    def same(self, other: Share | None) -> bool:
        """Whether both are the same to the service."""
        return (
            other is not None
            and self.count == other.count
            and math.isclose(self.weight, other.weight, rel_tol=_SINGLE_PRECISION)
        )


@dataclass(frozen=True)
class Target:
    """What a cell asks for, with every name decided.

    `config` is the CreateEndpointConfig request without name and tags; `models` are those that we make, `alarms` those
    that the cell describes.
    """

    endpoint: str
    config: Mapping[str, Any]
    models: tuple[DesiredModel, ...] = ()
    deployment: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    alarms: tuple[AlarmSpec, ...] = ()

    @property
    def shares(self) -> Mapping[str, Share]:
        """Weight and instances by variant."""
        return {
            each["VariantName"]: Share(each["InitialVariantWeight"], each.get("InitialInstanceCount"))
            for each in self.config["ProductionVariants"]
        }

    @property
    def config_name(self) -> str:
        """The endpoint's name and two hashes: of what is served, and of how much of it.

        The first tells whether a live config serves the same, whatever has become of the weights.
        """
        amounts = [[name, float(each.weight), each.count] for name, each in self.shares.items()]
        tail = f"-{self.content_hash}-{digest(amounts)[:4]}"
        return self.endpoint[: MAX_NAME - len(tail)].rstrip("-") + tail

    @property
    def content_hash(self) -> str:
        """Hash of the config without weights and counts, and of the endpoint that it is for."""
        return digest([self.endpoint, content(self.config)])[:8]


@dataclass(frozen=True)
class Live:
    """What the service says of an endpoint; `status` is None when there is none.

    `config` is the DescribeEndpointConfig answer, None when the config in use was deleted; `existing` holds the names
    of those wanted models and configs that are there already; `scaled` the variants that autoscaling scales.
    `failure_reason` is why the change before this one failed, if it did. `alarms` are those there are of the target's
    alarms and of ours for the endpoint's last deployment; None when we may not know. Those in ALARM are `ringing`.
    `by` is who looks, as the service knows them.
    """

    status: str | None = None
    arn: str = ""
    config_name: str = ""
    config: Mapping[str, Any] | None = None
    shares: Mapping[str, Share] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    existing: frozenset[str] = frozenset()
    scaled: frozenset[str] = frozenset()
    failure_reason: str | None = None
    alarms: frozenset[str] | None = None
    ringing: frozenset[str] = frozenset()
    by: str = ""

    @property
    def in_progress(self) -> bool:
        """Whether the service is changing the endpoint right now."""
        return self.status in IN_PROGRESS


def target(spec: EndpointSpec, models: Mapping[str, str], made: Sequence[DesiredModel]) -> Target:
    """Return what `spec` asks for, with the model name of each variant and shadow variant from `models`."""
    config: dict[str, Any] = {
        "ProductionVariants": [
            {"VariantName": each.name, "ModelName": models[each.name], **each.fields} for each in spec.variants
        ]
    }
    if spec.shadow:
        config["ShadowProductionVariants"] = [
            {"VariantName": each.name, "ModelName": models[each.name], **each.fields} for each in spec.shadow
        ]
    config.update(spec.config)
    return Target(spec.name, config, tuple(made), spec.deployment, spec.tags, spec.alarms)


def shares_text(shares: Mapping[str, Share]) -> str:
    """Return weights as shares of traffic: `A 80 %, B 20 %`."""
    total = sum(each.weight for each in shares.values()) or 1.0
    return ", ".join(f"{name} {percent(each.weight / total)}" for name, each in shares.items())


def percent(share: float) -> str:
    """Return a share of 1 as people write it: `80 %`, `33.3 %`."""
    return f"{share * 100:.3g} %"


def content(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config serves: without names, times, and the weights and counts of production variants."""
    kept = {key: value for key, value in config.items() if key not in ANSWER_ONLY}
    if "ProductionVariants" in kept:
        variants = kept["ProductionVariants"]
        trimmed = ({name: value for name, value in each.items() if name not in AMOUNTS} for each in variants)
        kept["ProductionVariants"] = sorted(trimmed, key=lambda each: str(each["VariantName"]))
    return kept


def digest(value: Any) -> str:
    """Return the hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
