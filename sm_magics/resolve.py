"""From a spec to a target: packages what the cell gives as models, and finds those that it names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sm_magics.alarms import names_in, prefix, specs
from sm_magics.errors import CellError, PackagingError, ServiceError
from sm_magics.models import Place, as_label, package, path_of
from sm_magics.nearest import did_you_mean
from sm_magics.spec import CAPTURE, EndpointSpec, NamedModel, VariantSpec, is_path, policy_words
from sm_magics.target import MODEL_TAG, content, target
from sm_magics.watch import described

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics.connection import Connection
    from sm_magics.models import DesiredModel
    from sm_magics.spec import AlarmSpec, ModelSource, ModelSpec
    from sm_magics.target import Target
    from sm_magics.watch import Snapshot

__all__ = ["desired_model", "find_model", "resolve", "spec_of"]


def resolve(spec: EndpointSpec, connection: Connection, declared: Mapping[str, str]) -> Target:
    """Return what `spec` asks for on a connection, every model packaged or found.

    Parameters
    ----------
    declared
        Names of models that cells declared, and the SageMaker models they stand for.

    Raises
    ------
    PackagingError, CellError
        When a model cannot be packaged, there is none of a name, or captured data cannot go where the cell says.
    """
    spec = replace(spec, config=_with_capture(spec.config, connection))
    names: dict[str, str] = {}
    made: dict[str, DesiredModel] = {}
    for variant in (*spec.variants, *spec.shadow):
        if isinstance(variant.model, NamedModel):
            names[variant.name] = find_model(variant.model.name, connection, declared)["ModelName"]
            continue
        label = as_label(f"{spec.name}-{variant.name}")
        desired = _packaged(f"variant {variant.name}", label, variant.model, connection, spec.role)
        made[desired.name] = desired
        names[variant.name] = desired.name
    return target(spec, names, list(made.values()))


def desired_model(spec: ModelSpec, connection: Connection) -> DesiredModel:
    """Return the model that a cell of its own declares.

    Raises
    ------
    PackagingError
        When it cannot be packaged.
    """
    return _packaged(f"model {spec.name}", as_label(spec.name), spec.source, connection, None)


def find_model(name: str, connection: Connection, declared: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the DescribeModel answer of the model that a cell calls `name`.

    That is the one that a cell of this session declared so, else the SageMaker model of that very name, else the newest
    that an earlier session declared so.

    Raises
    ------
    CellError
        When there is none.
    """
    for candidate in filter(None, (declared.get(name), name)):
        found = connection.describe("Model", candidate)
        if found is not None:
            return found
    pages = connection.pages("ListModels", NameContains=as_label(name)[:40], MaxResults=100)
    for row in (row for answer in pages for row in answer["Models"]):  # newest first
        tags = connection.call("ListTags", ResourceArn=row["ModelArn"])["Tags"]
        if {"Key": MODEL_TAG, "Value": name} in tags:
            found = connection.describe("Model", row["ModelName"])
            if found is not None:
                return found
    raise CellError(f"there is no model '{name}'", hint=_nearest(name, connection, declared))


def spec_of(connection: Connection, snapshot: Snapshot, config: Mapping[str, Any] | None) -> EndpointSpec | None:
    """Return the spec that would reproduce an endpoint as it is now, None when its config was deleted."""
    if config is None:
        return None
    now = {each.name: each for each in (*snapshot.variants, *snapshot.shadows)}

    def variant(found: Mapping[str, Any]) -> VariantSpec:
        fields = {key: value for key, value in found.items() if key not in {"VariantName", "ModelName"}}
        state = now.get(found["VariantName"])
        if state is not None:
            fields["InitialVariantWeight"] = state.wanted_weight
            if state.wanted_count is not None:
                fields["InitialInstanceCount"] = state.wanted_count
        return VariantSpec(found["VariantName"], NamedModel(found.get("ModelName", "")), fields)

    kept = content(config)
    deployment, alarms = _guardrails(connection, snapshot)
    tags = connection.call("ListTags", ResourceArn=snapshot.arn)["Tags"]
    return EndpointSpec(
        name=snapshot.name,
        variants=tuple(map(variant, config["ProductionVariants"])),
        shadow=tuple(map(variant, config.get("ShadowProductionVariants") or ())),
        config={key: value for key, value in kept.items() if not key.endswith("ProductionVariants")},
        deployment=deployment,
        tags={each["Key"]: each["Value"] for each in tags if not each["Key"].startswith(("sm_magics:", "aws:"))},
        role=None,
        alarms=alarms,
    )


def _guardrails(connection: Connection, snapshot: Snapshot) -> tuple[dict[str, Any], tuple[AlarmSpec, ...]]:
    """Return how the endpoint was updated last, and the alarms of ours that watched; the default says nothing."""
    config = dict(snapshot.raw.get("LastDeploymentConfig") or {})
    names = names_in(config)
    ours = [each for each in names if each.startswith(prefix(snapshot.name))]
    try:
        found = described(connection, ours) if ours else []
    except ServiceError:
        found = []  # shown without them
    if ours:
        config.pop("AutoRollbackConfiguration")
        others = [{"AlarmName": each} for each in names if each not in ours]
        config |= {"AutoRollbackConfiguration": {"Alarms": others}} if others else {}
    if not config or (policy_words(config) == "all-at-once" and not names):
        return {}, ()
    return {"DeploymentConfig": config}, specs(found, [each.name for each in snapshot.variants])


def _with_capture(config: Mapping[str, Any], connection: Connection) -> Mapping[str, Any]:
    """Return a config that captures to a URL, where the cell names a directory of this machine."""
    capture = config.get(CAPTURE) or {}
    to = capture.get("DestinationS3Uri", "")
    if not is_path(to):
        return config
    if not connection.writes_files:
        told = f"capture: '{to}' is a directory of this machine, to which only the embedded engine can write"
        raise CellError(told, hint="write where to as s3://bucket/prefix")
    path = path_of(to)
    if path.is_file():
        raise CellError(f"capture: '{to}' is a file", hint="name a directory; it is made where there is none")
    return {**config, CAPTURE: {**capture, "DestinationS3Uri": path.as_uri()}}


def _packaged(what: str, label: str, source: ModelSource, connection: Connection, role: str | None) -> DesiredModel:
    place = Place(connection.region, role or connection.role, connection.artifacts.prefix, connection.runs_programs)
    try:
        return package(label, source, place)  # type: ignore[arg-type]  # what is only named does not get here
    except PackagingError as error:
        raise PackagingError(f"{what}: {error.message}", hint=error.hint) from error


def _nearest(name: str, connection: Connection, declared: Mapping[str, str]) -> str:
    rows = connection.call("ListModels", MaxResults=100)["Models"]
    near = did_you_mean(name, [*declared, *(row["ModelName"] for row in rows)], 0.5)
    return near or f"declare it in a %%sm_model {name} cell, or give an object of the notebook: $name"
