"""The control plane of SageMaker: the operations on endpoints."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sm_magics.local import containers, lifecycle, rollout
from sm_magics.local.api import not_offered, tags_of
from sm_magics.local.lifecycle import Change, Endpoint, Pending, Refused, Variant
from sm_magics.local.listing import page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sm_magics.local.api import Account, Resources
    from sm_magics.local.awsjson import Operations
    from sm_magics.local.store import EndpointConfig, Store

__all__ = ["Endpoints"]

_RESERVATION = "CapacityReservationConfig"
STARTUP_SECONDS = 240  # the service's default for a container to pass its health check


class Endpoints:
    """The operations on endpoints: each decides, keeps the decision, and has `follow` make it true.

    Parameters
    ----------
    store
        Where resources are kept.
    resources
        The models and endpoint configs that endpoints are made of.
    account
        Whose resources these are.
    follow
        Told the name of an endpoint whose state has changed.
    is_alarm
        Whether there is an alarm of that name.
    captures
        Whether what is captured of an endpoint is written.
    missing
        How many instances of each variant of an endpoint died and do not come back soon.
    check_quota
        Refuses instances that an endpoint may not have: its name, its config's, and how many more of each variant.
    now
        Returns the time in seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - what it stands between
        self,
        store: Store,
        resources: Resources,
        account: Account,
        *,
        follow: Callable[[str], None],
        is_alarm: Callable[[str], bool],
        captures: Callable[[str], bool],
        missing: Callable[[str], Mapping[str, int]],
        check_quota: Callable[[str, str, Iterable[tuple[Variant, int]]], None],
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._resources = resources
        self._account = account
        self._follow = follow
        self._is_alarm = is_alarm
        self._captures = captures
        self._missing = missing
        self._check_quota = check_quota
        self._now = now

    def operations(self) -> Operations:
        """Return the operations by name."""
        return {
            "CreateEndpoint": self.create,
            "DescribeEndpoint": self.describe,
            "ListEndpoints": self.list,
            "UpdateEndpoint": self.update,
            "UpdateEndpointWeightsAndCapacities": self.update_weights_and_capacities,
            "DeleteEndpoint": self.delete,
        }

    async def create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        arn = self._account.arn("endpoint", name)
        tags = tags_of(request)
        async with self._store.lock:
            if self._store.endpoint(name):
                raise Refused(f'Cannot create already existing endpoint "{arn}".')
            config = self._resources.config(request["EndpointConfigName"])
            variants = await self._variants(config)
            self._check_quota(name, config.name, _whole(variants))
            endpoint = lifecycle.create(
                name,
                arn,
                config_name=config.name,
                variants=variants,
                tags=tags,
                now=self._now(),
                capture=config.request.get("DataCaptureConfig"),
            )
            await self._keep(replace(endpoint, deployment_config=request.get("DeploymentConfig")))
        return {"EndpointArn": arn}

    async def update(self, request: dict[str, Any]) -> dict[str, Any]:
        async with self._store.lock:
            endpoint = self._find(request["EndpointName"])
            config = self._resources.config(request["EndpointConfigName"])
            variants = await self._variants(config)
            if request.get("RetainAllVariantProperties"):
                excluded = request.get("ExcludeRetainedVariantProperties") or ()
                variants = lifecycle.retained(
                    endpoint, variants, frozenset(each["VariantPropertyType"] for each in excluded)
                )
            # The service cannot retain the DataCaptureConfig either: the new config's applies, or none.
            capture = config.request.get("DataCaptureConfig")
            updated = lifecycle.update(endpoint, config.name, variants, self._now(), capture)
            self._resources.config(endpoint.config_name)  # the service refuses once the config in use was deleted
            kept = endpoint.deployment_config if request.get("RetainDeploymentConfig") else None
            deployment = request.get("DeploymentConfig") or kept
            self._check_deployment(deployment or {}, updated)
            self._check_quota(endpoint.name, config.name, _whole(variants))
            await self._keep(replace(updated, deployment_config=deployment))
        return {"EndpointArn": endpoint.arn}

    async def update_weights_and_capacities(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request["DesiredWeightsAndCapacities"]
        names = [each["VariantName"] for each in wanted]
        for each in wanted:
            if names.count(each["VariantName"]) > 1:
                raise Refused(f'The variant name "{each["VariantName"]}" was non-unique within the request.')
            if each.get("ServerlessUpdateConfig"):
                raise not_offered("ServerlessUpdateConfig")
            if each.get("DesiredInstanceCount") == 0:
                # Only inference components scale to zero; the service's text is not known.
                raise Refused(f"Production variant {each['VariantName']} must keep at least 1 instance.")
        changes = {  # a weight or count that is missing or null means "unchanged"
            each["VariantName"]: Change(each.get("DesiredWeight"), each.get("DesiredInstanceCount")) for each in wanted
        }
        async with self._store.lock:
            endpoint = self._find(request["EndpointName"])
            rescaled = lifecycle.rescale(endpoint, changes, self._now())
            growth = [(each, each.desired_count - each.current_count) for each in rescaled.variants]
            self._check_quota(endpoint.name, endpoint.config_name, growth)
            await self._keep(rescaled)
        return {"EndpointArn": endpoint.arn}

    async def delete(self, request: dict[str, Any]) -> None:
        async with self._store.lock:
            await self._keep(lifecycle.delete(self._find(request["EndpointName"]), self._now()))

    async def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._find(request["EndpointName"])
        pending, config = endpoint.pending, self._store.config(endpoint.config_name)
        asked = config.request if config else {}  # of a config that was deleted the endpoint keeps only what it serves
        return {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": endpoint.config_name,
            **_summaries(self._there(endpoint), asked),
            "DataCaptureConfig": endpoint.capture and self._capture_summary(endpoint, endpoint.capture),
            "EndpointStatus": endpoint.status,
            "FailureReason": endpoint.failure_reason,
            "CreationTime": endpoint.created,
            "LastModifiedTime": endpoint.modified,
            "LastDeploymentConfig": endpoint.deployment_config,
            "MetricsConfig": asked.get("MetricsConfig"),
            "CrossRegionTrafficConfig": asked.get("CrossRegionTrafficConfig"),
            "PendingDeploymentSummary": pending and self._pending_summary(pending),
        }

    def _there(self, endpoint: Endpoint) -> tuple[Variant, ...]:
        """Return the variants with the instances that serve.

        That one which died and does not come back is none is our reading of "the number of instances associated with
        the variant"; what the service tells while it replaces one is not known.
        """
        missing = {} if endpoint.pending else self._missing(endpoint.name)
        variants = endpoint.variants
        return tuple(replace(v, current_count=max(0, v.current_count - missing.get(v.name, 0))) for v in variants)

    def _pending_summary(self, pending: Pending) -> dict[str, Any]:
        config = self._store.config(pending.config_name)
        return {
            "EndpointConfigName": pending.config_name,
            **_summaries(pending.variants, config.request if config else {}, pending=True),
            "StartTime": pending.started,
        }

    async def list(self, request: dict[str, Any]) -> dict[str, Any]:
        found, token = page(self._store.all("endpoint"), request)
        rows = [
            {
                "EndpointName": each.name,
                "EndpointArn": each.arn,
                "CreationTime": each.created,
                "LastModifiedTime": each.modified,
                "EndpointStatus": each.status,
            }
            for each in found
            if isinstance(each, Endpoint)
        ]
        return {"Endpoints": rows, "NextToken": token}

    def _capture_summary(self, endpoint: Endpoint, config: Mapping[str, Any]) -> dict[str, Any]:
        enabled = config.get("EnableCapture", True)
        return {
            "EnableCapture": enabled,
            "CaptureStatus": "Started" if enabled and self._captures(endpoint.name) else "Stopped",
            "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
            "DestinationS3Uri": config["DestinationS3Uri"],
            "KmsKeyId": config.get("KmsKeyId", ""),  # the service model requires it
        }

    def _check_deployment(self, deployment: Mapping[str, Any], updated: Endpoint) -> None:
        new = updated.pending.variants if updated.pending else ()
        rollout.check(deployment, lifecycle.capacity(updated.variants), lifecycle.capacity(new))
        for each in (deployment.get("AutoRollbackConfiguration") or {}).get("Alarms") or ():
            if not self._is_alarm(each["AlarmName"]):
                raise Refused(f'Could not find alarm "{each["AlarmName"]}".')  # ours: the text is not known

    async def _keep(self, endpoint: Endpoint) -> None:
        await self._store.put(endpoint)
        self._follow(endpoint.name)

    def _find(self, name: str) -> Endpoint:
        endpoint = self._store.endpoint(name)
        if endpoint is None:
            raise Refused(f'Could not find endpoint "{self._account.arn("endpoint", name)}".')
        return endpoint

    async def _variants(self, config: EndpointConfig) -> tuple[Variant, ...]:
        shadows = config.request.get("ShadowProductionVariants") or ()
        variants = (
            *(self._variant(each) for each in config.request["ProductionVariants"]),
            *(replace(self._variant(each), shadow=True) for each in shadows),
        )
        images = [await asyncio.to_thread(containers.resolved, each.image) for each in variants]
        return tuple(
            replace(each, deployed={"ResolvedImage": image, "ResolutionTime": self._now()} if image else {})
            for each, image in zip(variants, images, strict=True)
        )

    def _variant(self, variant: Mapping[str, Any]) -> Variant:
        model = self._resources.model(variant["ModelName"])
        container = model.request.get("PrimaryContainer") or model.request["Containers"][0]
        return Variant(
            name=variant["VariantName"],
            model=model.name,
            image=container["Image"],
            instance_type=variant["InstanceType"],
            model_data_url=container.get("ModelDataUrl"),
            environment=container.get("Environment") or {},
            startup_seconds=variant.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_SECONDS),
            desired_weight=variant["InitialVariantWeight"],
            desired_count=variant["InitialInstanceCount"],
        )


def _whole(variants: Iterable[Variant]) -> list[tuple[Variant, int]]:
    """Return variants with the instances of a whole new fleet."""
    return [(each, each.desired_count) for each in variants]


def _summaries(variants: Iterable[Variant], config: Mapping[str, Any], *, pending: bool = False) -> dict[str, Any]:
    """Return both lists of variants of a description; only of those that are pending is the instance type told."""
    found: dict[str, Any] = {"ProductionVariants": None, "ShadowProductionVariants": None}
    for member in found:
        asked = {each["VariantName"]: each for each in config.get(member) or ()}
        found[member] = [
            {
                **_summary(each),
                "RoutingConfig": asked.get(each.name, {}).get("RoutingConfig"),
                # Nothing is reserved here: it is told as the config has it, without the service's counts.
                "CapacityReservationConfig": None if pending else asked.get(each.name, {}).get(_RESERVATION),
                "InstanceType": each.instance_type if pending else None,
            }
            for each in variants
            if each.shadow is (member == "ShadowProductionVariants")
        ] or None
    return found


def _summary(variant: Variant) -> dict[str, Any]:
    status = {"Status": variant.status, "StatusMessage": variant.status_message, "StartTime": variant.status_since}
    return {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": variant.image, **variant.deployed}],
        "CurrentWeight": variant.current_weight,
        "DesiredWeight": variant.desired_weight,
        "CurrentInstanceCount": variant.current_count,
        "DesiredInstanceCount": variant.desired_count,
        "VariantStatus": [status] if variant.status else None,
    }
