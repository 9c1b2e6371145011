"""The life of an endpoint as SageMaker tells it: which states there are and what leads from one to the next.

Pure: every function takes an endpoint and the time and returns the endpoint that follows, or raises `Refused` with the
service's own words. Whoever calls stores the result and makes it true.

    (none) --create--> Creating --settle--> InService --update--> Updating --settle--> InService on the new config
                           |                    |                     '----fail----> InService on the old config
                           '--fail--> Failed    '--rescale--> Updating --settle--> InService, same config
                           a rolling update that can neither go on nor back: UpdateRollbackFailed, a mix of both configs
    InService | Failed | OutOfService | UpdateRollbackFailed --delete--> Deleting --> (none)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Change",
    "Endpoint",
    "Refused",
    "Variant",
    "as_running",
    "capacity",
    "create",
    "delete",
    "fail",
    "lose",
    "marked",
    "mix",
    "rescale",
    "retained",
    "settle",
    "update",
]

IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


class Refused(Exception):  # noqa: N818 - named for what the service does
    """The service refuses the call; `code` is the error's code on the wire."""

    def __init__(self, message: str, code: str = "ValidationException") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant, production or shadow: what it serves and how much of it.

    What it serves is kept here, so that it outlives its model and its endpoint config.
    """

    name: str
    model: str
    image: str
    instance_type: str
    model_data_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    startup_seconds: float = 240.0  # in which the container must pass its health check
    desired_weight: float = 1.0
    desired_count: int = 1
    current_weight: float = 0.0
    current_count: int = 0
    status: str | None = None
    status_message: str | None = None
    status_since: float = 0.0
    shadow: bool = False  # it gets copies of the requests, and its answers are dropped
    deployed: Mapping[str, Any] = field(default_factory=dict)  # the image: which it turned out to be, and when


@dataclass(frozen=True, slots=True)
class Pending:
    """A deployment that is under way: the config it leads to and the fleet it builds."""

    config_name: str
    variants: tuple[Variant, ...]
    started: float
    capture: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as DescribeEndpoint tells it; times are seconds since the epoch.

    `variants` are what serves now: none while the endpoint is created.
    """

    name: str
    arn: str
    status: str
    config_name: str
    created: float
    modified: float
    variants: tuple[Variant, ...] = ()
    pending: Pending | None = None
    failure_reason: str | None = None
    deployment_config: Mapping[str, Any] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    capture: Mapping[str, Any] | None = None  # the DataCaptureConfig

    def to_json(self) -> dict[str, Any]:
        """Return the endpoint as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the endpoint that `to_json` wrote."""
        pending = document["pending"]
        return cls(
            **{
                **document,
                "variants": tuple(Variant(**each) for each in document["variants"]),
                "pending": pending
                and Pending(**{**pending, "variants": tuple(Variant(**each) for each in pending["variants"])}),
            }
        )


def create(  # noqa: PLR0913 - an endpoint is its parts
    name: str,
    arn: str,
    *,
    config_name: str,
    variants: Iterable[Variant],
    tags: Mapping[str, str],
    now: float,
    capture: Mapping[str, Any] | None = None,
) -> Endpoint:
    """Return a new endpoint, `Creating`."""
    fleet = tuple(_launching(each, now) for each in variants)
    pending = Pending(config_name, fleet, now, capture)
    return Endpoint(name, arn, "Creating", config_name, now, now, pending=pending, tags=tags)


def update(
    endpoint: Endpoint,
    config_name: str,
    variants: Iterable[Variant],
    now: float,
    capture: Mapping[str, Any] | None = None,
) -> Endpoint:
    """Begin to replace the fleet by one of another config."""
    _must_be_settled(endpoint)
    if endpoint.status == "Failed":
        raise Refused(f'Cannot update failed endpoint "{endpoint.arn}".')
    if config_name == endpoint.config_name:
        raise Refused(f'Cannot update endpoint with the currently in use endpoint configuration "{config_name}".')
    fleet = tuple(_launching(each, now) for each in variants)
    _must_have_traffic(fleet)
    return replace(
        endpoint,
        status="Updating",
        modified=now,
        pending=Pending(config_name, fleet, now, capture),
        failure_reason=None,
    )


def retained(endpoint: Endpoint, variants: Iterable[Variant], excluded: frozenset[str]) -> tuple[Variant, ...]:
    """Return `variants` of a new config with the weights and counts that their namesakes have now.

    `excluded` holds `DesiredWeight` or `DesiredInstanceCount` where the new config's own are to apply.
    """
    current = {each.name: each for each in endpoint.variants}

    def kept(variant: Variant) -> Variant:
        now = current.get(variant.name, variant)
        weight = variant if "DesiredWeight" in excluded else now
        count = variant if "DesiredInstanceCount" in excluded else now
        return replace(variant, desired_weight=weight.desired_weight, desired_count=count.desired_count)

    return tuple(kept(each) for each in variants)


@dataclass(frozen=True, slots=True)
class Change:
    """What a rescaling asks of one variant; None leaves it as it is."""

    weight: float | None = None
    count: int | None = None


def rescale(endpoint: Endpoint, changes: Mapping[str, Change], now: float) -> Endpoint:
    """Begin to change weights or instance counts in place; a variant that is not named keeps its own."""
    _must_be_settled(endpoint)
    if endpoint.status == "Failed":
        raise Refused(f'Cannot update failed endpoint "{endpoint.arn}".')
    if endpoint.status == "UpdateRollbackFailed":  # ours: what the service says of a mix of two configs is not known
        raise Refused(f'Cannot rescale endpoint "{endpoint.arn}" while it serves two configs: update it first.')
    unknown = ", ".join(f'"{name}"' for name in changes if name not in {each.name for each in endpoint.variants})
    if unknown:
        raise Refused(
            f'The variant name(s) {unknown} is/are not present within endpoint configuration "{endpoint.config_name}".'
        )

    def changed(variant: Variant) -> Variant:
        change = changes.get(variant.name, Change())
        wanted = replace(
            variant,
            desired_weight=variant.desired_weight if change.weight is None else change.weight,
            desired_count=variant.desired_count if change.count is None else change.count,
        )
        return marked(wanted, "Updating", now)

    variants = tuple(changed(each) for each in endpoint.variants)
    _must_have_traffic(variants)
    return replace(endpoint, status="Updating", modified=now, variants=variants, failure_reason=None)


def settle(endpoint: Endpoint, now: float) -> Endpoint:
    """End a creation, an update or a rescaling with what was asked for."""
    reached = endpoint.pending or endpoint
    return replace(
        endpoint,
        status="InService",
        config_name=reached.config_name,
        variants=tuple(map(_reached, reached.variants)),
        pending=None,
        failure_reason=None,
        modified=now,
        capture=reached.capture,
    )


def fail(endpoint: Endpoint, reason: str, now: float) -> Endpoint:
    """End a creation as `Failed`, an update or a rescaling back on what served before, with the reason."""
    if endpoint.status == "Creating":
        return replace(endpoint, status="Failed", pending=None, failure_reason=reason[:1024], modified=now)
    # A rescaling goes back to what was; an update leaves what the old fleet should be.
    variants = endpoint.variants if endpoint.pending else map(as_running, endpoint.variants)
    return replace(
        endpoint,
        status="InService",
        variants=tuple(map(_reached, variants)),
        pending=None,
        failure_reason=reason[:1024],
        modified=now,
    )


def mix(endpoint: Endpoint, reason: str, now: float) -> Endpoint:
    """Leave a rolling update that can neither go on nor back: both fleets serve as far as they have come."""
    return replace(endpoint, status="UpdateRollbackFailed", pending=None, failure_reason=reason[:1024], modified=now)


def lose(endpoint: Endpoint, reason: str, now: float) -> Endpoint:
    """Mark an endpoint whose fleet can no longer be started as `OutOfService`: nothing of it serves."""
    gone = tuple(replace(marked(each, None, now), current_weight=0.0, current_count=0) for each in endpoint.variants)
    lost = replace(endpoint, status="OutOfService", variants=gone, pending=None, modified=now)
    return replace(lost, failure_reason=reason[:1024])


def delete(endpoint: Endpoint, now: float) -> Endpoint:
    """Begin to delete an endpoint."""
    _must_be_settled(endpoint)
    return replace(endpoint, status="Deleting", modified=now)


def capacity(variants: Iterable[Variant]) -> dict[str, int]:
    """Return the instance counts of production variants, by which deployments go."""
    return {each.name: each.desired_count for each in variants if not each.shadow}


def as_running(variant: Variant) -> Variant:
    """Return a variant as it served before the rescaling that is under way; as it should be when it did not serve."""
    count = variant.current_count
    return replace(variant, desired_count=count, desired_weight=variant.current_weight) if count else variant


def _must_be_settled(endpoint: Endpoint) -> None:
    if endpoint.status in IN_PROGRESS:
        raise Refused(f'Cannot update in-progress endpoint "{endpoint.arn}".')


def _must_have_traffic(variants: Iterable[Variant]) -> None:
    if not any(each.desired_weight for each in variants if not each.shadow):
        # Not documented for the service; an endpoint that can send its traffic nowhere helps nobody.
        raise Refused("At least one production variant must have a weight greater than 0.")


def _launching(variant: Variant, now: float) -> Variant:
    return replace(marked(variant, "Creating", now), status_message=f"Launching {variant.desired_count} instance(s).")


def marked(variant: Variant, status: str | None, now: float) -> Variant:
    """Return a variant with another status, and no message yet."""
    return replace(variant, status=status, status_message=None, status_since=now)


def _reached(variant: Variant) -> Variant:
    return replace(
        variant,
        current_weight=variant.desired_weight,
        current_count=variant.desired_count,
        status=None,
        status_message=None,
        status_since=0.0,
    )
