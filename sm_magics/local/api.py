"""The control plane of SageMaker: models, endpoint configs and tags, and the table of all its operations.

Messages in quotes are the service's own; where the service is unknown or the engine can do less, a comment says so.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.local import containers
from sm_magics.local.artifacts import Unreadable
from sm_magics.local.lifecycle import Refused
from sm_magics.local.listing import page
from sm_magics.local.store import EndpointConfig, Model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sm_magics.local.artifacts import Artifacts
    from sm_magics.local.awsjson import Operations
    from sm_magics.local.store import Resource, Store

__all__ = ["Account", "Resources", "limited", "not_offered", "tag_list", "tags_of"]

MAX_TAGS = 50
# What the engine cannot do yet is refused by name: a field is never ignored.
_NOT_OFFERED_IN_MODEL = ("InferenceExecutionConfig",)
_NOT_OFFERED_IN_CONTAINER = ("ModelPackageName", "MultiModelConfig", "AdditionalModelDataSources", "ModelDataSource")
_NOT_OFFERED_IN_CONFIG = ("AsyncInferenceConfig", "ExplainerConfig")
_ROUTING = "LEAST_OUTSTANDING_REQUESTS"
_NOT_OFFERED_IN_VARIANT = ("ServerlessConfig", "InstancePools", "ManagedInstanceScaling", "AcceleratorPartitionLayouts")


@dataclass(frozen=True, slots=True)
class Account:
    """Whose resources these are; every ARN is made of it."""

    region: str = "us-east-1"
    account: str = "123456789012"

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of a resource; the service lowers the case of its name."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name.lower()}"


class Resources:
    """The operations on models, endpoint configs and tags.

    Parameters
    ----------
    store
        Where resources are kept.
    artifacts
        Where model data is found.
    account
        Whose resources these are.
    now
        Returns the time in seconds since the epoch.
    """

    def __init__(self, store: Store, artifacts: Artifacts, account: Account, now: Callable[[], float]) -> None:
        self._store = store
        self._artifacts = artifacts
        self._account = account
        self._now = now

    def operations(self) -> Operations:
        """Return the operations by name."""
        return {
            "CreateModel": self.create_model,
            "DescribeModel": self.describe_model,
            "ListModels": self.list_models,
            "DeleteModel": self.delete_model,
            "CreateEndpointConfig": self.create_config,
            "DescribeEndpointConfig": self.describe_config,
            "ListEndpointConfigs": self.list_configs,
            "DeleteEndpointConfig": self.delete_config,
            "AddTags": self.add_tags,
            "ListTags": self.list_tags,
            "DeleteTags": self.delete_tags,
        }

    # Models

    async def create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        tags = tags_of(request)
        container = _only_container(request)
        _refuse_members(request, _NOT_OFFERED_IN_MODEL)
        _refuse_members(container, _NOT_OFFERED_IN_CONTAINER)
        if not container.get("Image"):
            raise Refused("Specify one of either Image and Model Data URL or ModelPackageName in container definition.")
        _check_image(container["Image"])
        await self._check_data(container.get("ModelDataUrl"), request.get("ExecutionRoleArn", ""))
        name = request["ModelName"]
        arn = self._account.arn("model", name)
        async with self._store.lock:
            if self._store.model(name):
                raise Refused(f'Cannot create already existing model "{arn}".')
            kept = {key: value for key, value in request.items() if key != "Tags"}
            await self._store.put(Model(name, arn, self._now(), kept, tags))
        return {"ModelArn": arn}

    async def _check_data(self, url: str | None, role: str) -> None:
        if url is None:
            return
        try:
            await self._artifacts.check(url)
        except Unreadable as error:
            raise Refused(
                f'Could not access model data at {url}. Please ensure that the role "{role}" exists and that its trust '
                'relationship policy allows the action "sts:AssumeRole" for the service principal '
                '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" permissions and that the '
                f"object is located in {self._account.region}. ({error})"
            ) from None

    def model(self, name: str) -> Model:
        """Return a model, or refuse."""
        model = self._store.model(name)
        if model is None:
            raise Refused(f'Could not find model "{self._account.arn("model", name)}".')
        return model

    async def describe_model(self, request: dict[str, Any]) -> dict[str, Any]:
        model = self.model(request["ModelName"])
        defaults: dict[str, Any] = {"EnableNetworkIsolation": model.request.get("EnableNetworkIsolation", False)}
        if "PrimaryContainer" in model.request:
            defaults["PrimaryContainer"] = {"Mode": "SingleModel", **model.request["PrimaryContainer"]}
        return {**model.request, **defaults, "ModelArn": model.arn, "CreationTime": model.created}

    async def list_models(self, request: dict[str, Any]) -> dict[str, Any]:
        found, token = page(self._store.all("model"), request)
        rows = [{"ModelName": each.name, "ModelArn": each.arn, "CreationTime": each.created} for each in found]
        return {"Models": rows, "NextToken": token}

    async def delete_model(self, request: dict[str, Any]) -> None:
        async with self._store.lock:
            await self._store.drop(self.model(request["ModelName"]))

    # Endpoint configs

    async def create_config(self, request: dict[str, Any]) -> dict[str, Any]:
        tags = tags_of(request)
        _refuse_members(request, _NOT_OFFERED_IN_CONFIG)
        variants = request["ProductionVariants"]
        shadows = request.get("ShadowProductionVariants") or []
        _check_variants(variants, shadows)
        self._check_capture(request.get("DataCaptureConfig"))
        name = request["EndpointConfigName"]
        arn = self._account.arn("endpoint-config", name)
        async with self._store.lock:
            for variant in (*variants, *shadows):
                self.model(variant["ModelName"])
            if self._store.config(name):
                raise Refused(f'Cannot create already existing endpoint configuration "{arn}".')
            kept = {key: value for key, value in request.items() if key != "Tags"}
            for member in ("ProductionVariants", "ShadowProductionVariants"):
                if kept.get(member):
                    kept[member] = [{"InitialVariantWeight": 1.0, **variant} for variant in kept[member]]
            await self._store.put(EndpointConfig(name, arn, self._now(), kept, tags))
        return {"EndpointConfigArn": arn}

    def _check_capture(self, config: Mapping[str, Any] | None) -> None:
        """Refuse to capture data to where the engine cannot write it."""
        if config is not None:
            try:
                self._artifacts.place(config["DestinationS3Uri"])
            except Unreadable as error:  # ours: the service's text is not known
                raise Refused(f"DestinationS3Uri {config['DestinationS3Uri']} cannot be used: {error}.") from None

    def config(self, name: str) -> EndpointConfig:
        """Return an endpoint config, or refuse."""
        config = self._store.config(name)
        if config is None:
            raise Refused(f'Could not find endpoint configuration "{self._account.arn("endpoint-config", name)}".')
        return config

    async def describe_config(self, request: dict[str, Any]) -> dict[str, Any]:
        config = self.config(request["EndpointConfigName"])
        return {**config.request, "EndpointConfigArn": config.arn, "CreationTime": config.created}

    async def list_configs(self, request: dict[str, Any]) -> dict[str, Any]:
        found, token = page(self._store.all("endpoint-config"), request)
        rows = [
            {"EndpointConfigName": each.name, "EndpointConfigArn": each.arn, "CreationTime": each.created}
            for each in found
        ]
        return {"EndpointConfigs": rows, "NextToken": token}

    async def delete_config(self, request: dict[str, Any]) -> None:
        async with self._store.lock:
            await self._store.drop(self.config(request["EndpointConfigName"]))

    # Tags

    def _tagged(self, arn: str) -> Resource:
        kind, _, name = arn.rpartition(":")[2].partition("/")
        resources = self._store.all(kind) if kind in {"model", "endpoint-config", "endpoint"} else []
        for each in resources:
            if each.arn == arn.replace(name, name.lower()):
                return each
        raise Refused(f'Could not find resource "{arn}".')  # ours: the service's text is not known

    async def add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        async with self._store.lock:
            resource = self._tagged(request["ResourceArn"])
            tags = limited({**resource.tags, **tags_of(request)})
            await self._store.amend(resource, tags=tags)
        return {"Tags": tag_list(tags)}

    async def list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": tag_list(self._tagged(request["ResourceArn"]).tags)}

    async def delete_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        async with self._store.lock:
            resource = self._tagged(request["ResourceArn"])
            tags = {key: value for key, value in resource.tags.items() if key not in request["TagKeys"]}
            await self._store.amend(resource, tags=tags)
        return {}


def tags_of(request: dict[str, Any]) -> dict[str, str]:
    """Return a request's tags as a mapping."""
    return limited({each["Key"]: each["Value"] for each in request.get("Tags") or ()})


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as the service lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def limited(tags: dict[str, str]) -> dict[str, str]:
    """Return the tags of a resource, or refuse too many."""
    if len(tags) > MAX_TAGS:
        raise Refused(f"A resource can have at most {MAX_TAGS} tags, not {len(tags)}.")
    return tags


def not_offered(what: str) -> Refused:
    """Return the refusal of something that SageMaker has and the engine does not."""
    return Refused(f"The embedded engine does not offer {what}.")


def _check_image(image: str) -> None:
    command = containers.local_command(image)
    if command is None:
        if containers.find(image) is None:
            raise Refused(f'The embedded engine has no container that serves image "{image}".')
    elif not command.is_file():
        raise Refused(f'Image "{image}" is no file of this machine.')
    elif not os.access(command, os.X_OK):
        raise Refused(f'Image "{image}" is a file that cannot be executed.')
    elif what := containers.whats_changed(image):
        raise Refused(f'Image "{image}" {what}: it is not the program of that fingerprint any more.')


def _refuse_members(request: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if request.get(name):
            raise not_offered(name)


def _only_container(request: dict[str, Any]) -> dict[str, Any]:
    containers_given = request.get("Containers") or []
    primary = request.get("PrimaryContainer")
    if bool(primary) == bool(containers_given):
        raise Refused("Specify either PrimaryContainer or Containers.")  # ours: the service's text is not known
    if len(containers_given) > 1:
        raise not_offered("inference pipelines (more than one container)")
    container: dict[str, Any] = primary or containers_given[0]
    if container.get("Mode") == "MultiModel":
        raise not_offered("multi-model containers")
    return container


def _check_variants(variants: list[dict[str, Any]], shadows: list[dict[str, Any]]) -> None:
    if shadows and len(variants) + len(shadows) > 2:  # noqa: PLR2004 - one of each
        # The documented rule; the service's text is not known.
        raise Refused("Specify one variant for ProductionVariants and one variant for ShadowProductionVariants.")
    everyone = [*variants, *shadows]
    names = [each["VariantName"] for each in everyone]
    for name in names:
        if names.count(name) > 1:
            raise Refused(f'The variant name "{name}" was non-unique within the request.')
    for each in everyone:
        _refuse_members(each, _NOT_OFFERED_IN_VARIANT)
        if each.get("RoutingConfig", {}).get("RoutingStrategy", _ROUTING) != _ROUTING:
            raise not_offered(f"RoutingStrategy {each['RoutingConfig']['RoutingStrategy']}, only {_ROUTING}")
        for member in ("ModelName", "InstanceType", "InitialInstanceCount"):
            if each.get(member) is None:
                raise Refused(f"Variant {each['VariantName']} needs {member}.")  # ours: text not known
    if not any(each.get("InitialVariantWeight", 1.0) for each in variants):
        # Not documented for the service; an endpoint that can send its traffic nowhere helps nobody.
        raise Refused("At least one production variant must have a weight greater than 0.")
