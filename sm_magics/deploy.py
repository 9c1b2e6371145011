"""Applies a plan: makes its calls, waits, verifies, and explains what went wrong. Yields what happens as it happens.

Done means verified: InService, on the config that was asked for, nothing pending, weights and counts as wanted. What
settles otherwise is a failure, and what this run had made for it is taken back; the endpoint that served goes
on serving.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.connection import call
from sm_magics.errors import DeployError, ServiceError, SmError
from sm_magics.explain import advice, failing_variant, log_tail
from sm_magics.plan import Action, Plan, plan
from sm_magics.target import Live, Share
from sm_magics.watch import Clock, Snapshot, is_missing, look, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sm_magics.connection import Connection
    from sm_magics.models import Artifact, DesiredModel
    from sm_magics.target import Target

__all__ = [
    "Called",
    "Calling",
    "Event",
    "Planned",
    "Reached",
    "Seen",
    "create_model",
    "deploy",
    "describe",
    "observe",
    "settle",
]

GRACE_SECONDS = 20.0  # in which an endpoint may still read InService after an update was accepted
RETRIES, RETRY_SECONDS = 8, 1.0  # of a call that names something made a moment ago
_UNDO = {
    "CreateModel": ("DeleteModel", "ModelName"),
    "CreateEndpointConfig": ("DeleteEndpointConfig", "EndpointConfigName"),
}


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made; its calls follow."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Calling:
    """A call is about to be made."""

    action: Action


@dataclass(frozen=True, slots=True)
class Called:
    """A call was accepted."""

    action: Action


@dataclass(frozen=True, slots=True)
class Seen:
    """The endpoint was looked at while waiting."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Reached:
    """The endpoint is what was asked for; without waiting, it was asked for."""

    snapshot: Snapshot
    verified: bool


Event = Planned | Calling | Called | Seen | Reached


def observe(connection: Connection, target: Target) -> Live:
    """Return what the service says of the endpoint of `target` and of the parts it would be made of.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    existing = frozenset(
        [model.name for model in target.models if describe(connection, "Model", model.name)]
        + [name for name in [target.config_name] if describe(connection, "EndpointConfig", name)]
    )
    snapshot = look(connection, target.endpoint)
    if snapshot is None:
        return Live(existing=existing)
    tags = connection.call("ListTags", ResourceArn=snapshot.arn)["Tags"]
    shares = {each.name: Share(each.wanted_weight or 0.0, each.wanted_count) for each in snapshot.variants}
    return Live(
        status=snapshot.status,
        arn=snapshot.arn,
        config_name=snapshot.config_name,
        config=describe(connection, "EndpointConfig", snapshot.config_name),
        shares=shares,
        tags={each["Key"]: each["Value"] for each in tags},
        existing=existing,
        scaled=_scaled(connection, target, shares),
    )


def deploy(
    connection: Connection, target: Target, clock: Clock, *, wait: bool = True, timeout: float = 3600.0
) -> Iterator[Event]:
    """Make the endpoint what `target` says, and yield what happens on the way.

    Parameters
    ----------
    wait
        Whether to wait until the endpoint has settled, and verify that it is what was asked for.
    timeout
        Seconds to wait at most.

    Raises
    ------
    PlanError
        When the service would refuse what is asked; nothing was done.
    ServiceError
        When the service refuses a call; what this run had made is taken back.
    DeployError
        When the endpoint settles as something else, or does not settle in time.
    """
    live = observe(connection, target)
    if live.in_progress:
        yield from settle(connection, target.endpoint, clock, timeout)
        live = observe(connection, target)
    steps = plan(target, live)
    yield Planned(steps)
    made: list[Action] = []
    try:
        for action in steps.actions:
            yield Calling(action)
            _perform(connection, action, clock)
            made.append(action)
            yield Called(action)
    except SmError:
        _take_back(connection, made)
        raise
    if not wait:
        snapshot = look(connection, target.endpoint)
        if snapshot is not None:
            yield Reached(snapshot, verified=False)
        return
    try:
        yield from _verified(connection, steps, clock, timeout)
    except DeployError as error:
        if error.over:
            _take_back(connection, made)
        raise


def create_model(connection: Connection, desired: DesiredModel, tags: Mapping[str, str]) -> None:
    """Make one model on its own, its artifact first.

    Raises
    ------
    ServiceError
        When the service refuses it.
    """
    _upload(connection, desired.artifact, desired.request)
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    connection.call("CreateModel", ModelName=desired.name, **desired.request, Tags=listed)


def settle(connection: Connection, name: str, clock: Clock, timeout: float) -> Iterator[Seen]:
    """Wait until the service has finished with what it was asked, whatever comes of it.

    Raises
    ------
    DeployError
        When it does not in time.
    """
    yield from _waiting(connection, name, clock, timeout, lambda snapshot: snapshot.settled)


def _waiting(
    connection: Connection, name: str, clock: Clock, timeout: float, until: Callable[[Snapshot], bool]
) -> Iterator[Seen]:
    for snapshot in watch(connection, name, clock, until=until):
        yield Seen(snapshot)
        if snapshot.elapsed > timeout and not until(snapshot):
            raise DeployError(
                f"endpoint '{name}' is still {snapshot.status} after {timeout:g} s",
                hint=f"it goes on by itself; follow it: %sm_status {name} --wait",
                snapshot=snapshot,
            )


def _verified(connection: Connection, steps: Plan, clock: Clock, timeout: float) -> Iterator[Event]:
    """Wait until the endpoint is what the plan ends with, or has settled as something else."""
    before = look(connection, steps.endpoint)
    known_reason = before.failure_reason if before is not None and before.settled else None
    last: Snapshot | None = None

    def over(snapshot: Snapshot) -> bool:
        if not snapshot.settled or _is_reached(snapshot, steps):
            return snapshot.settled
        new_reason = snapshot.failure_reason not in {None, known_reason}
        return new_reason or snapshot.status != "InService" or snapshot.elapsed > GRACE_SECONDS

    for seen in _waiting(connection, steps.endpoint, clock, timeout, over):
        last = seen.snapshot
        yield seen
    if last is None:
        raise DeployError(f"endpoint '{steps.endpoint}' was deleted while it was waited for", over=True)
    if not _is_reached(last, steps):
        raise _failure(connection, last, steps)
    yield Reached(last, verified=True)


def _is_reached(snapshot: Snapshot, steps: Plan) -> bool:
    shares = {each.name: Share(each.weight or 0.0, each.count) for each in snapshot.variants}
    return (
        snapshot.settled
        and snapshot.status == "InService"
        and snapshot.config_name == steps.config_name
        and shares == dict(steps.expected)
    )


def _failure(connection: Connection, snapshot: Snapshot, steps: Plan) -> DeployError:
    name, reason = snapshot.name, snapshot.failure_reason or "the service gives no reason"
    if snapshot.status == "Failed":
        what = f"endpoint '{name}' could not be created"
    elif snapshot.config_name != steps.config_name:
        what = f"the update of endpoint '{name}' failed and was rolled back; it serves config '{snapshot.config_name}'"
    else:
        what = f"endpoint '{name}' is {snapshot.status}, not what was asked for"
    tail = log_tail(connection, name, failing_variant(reason))
    lines = [f"{what}: {reason}"]
    if tail is not None:
        lines += [f"  last lines of {tail.stream}:", *(f"    {line[:200]}" for line in tail.lines)]
    return DeployError(
        "\n".join(lines), hint=advice(reason), snapshot=snapshot, log=tail.lines if tail else None, over=True
    )


def _perform(connection: Connection, action: Action, clock: Clock) -> None:
    _upload(connection, action.artifact, action.request)
    for attempt in range(RETRIES):
        try:
            connection.call(action.operation, **action.request)
        except ServiceError as error:
            if attempt == RETRIES - 1 or not _may_pass(action, error):
                raise
            clock.sleep(RETRY_SECONDS)
        else:
            break
    if action.operation == "DeleteEndpoint":
        for _ in watch(connection, action.request["EndpointName"], clock, until=lambda _: False):
            pass


def _upload(connection: Connection, artifact: Artifact | None, request: Mapping[str, Any]) -> None:
    if artifact is not None:
        uri = request["PrimaryContainer"]["ModelDataUrl"]
        if not connection.artifacts.holds(uri):
            connection.artifacts.put(uri, artifact)


def _may_pass(action: Action, error: ServiceError) -> bool:
    """Whether the service only has not seen yet what was made, or deleted, a moment ago."""
    if action.operation in {"CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint"} and is_missing(error):
        return True
    return action.operation == "CreateEndpoint" and "already existing endpoint" in str(error)


def _take_back(connection: Connection, made: list[Action]) -> None:
    """Delete what this run made, newest first; what cannot be deleted is left for %sm_list to show."""
    for action in reversed(made):
        if action.operation == "CreateEndpoint":
            _try(connection, "DeleteEndpoint", EndpointName=action.request["EndpointName"])
        elif action.operation in _UNDO:
            operation, member = _UNDO[action.operation]
            _try(connection, operation, **{member: action.request[member]})


def _try(connection: Connection, operation: str, **request: Any) -> None:
    try:
        connection.call(operation, **request)
    except ServiceError:
        return


def describe(connection: Connection, kind: str, name: str) -> Mapping[str, Any] | None:
    """Return the Describe answer of a `Model` or an `EndpointConfig`, None when there is none.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    try:
        answer: Mapping[str, Any] = connection.call(f"Describe{kind}", **{f"{kind}Name": name})
    except ServiceError as error:
        if is_missing(error):
            return None
        raise
    return answer


def _scaled(connection: Connection, target: Target, shares: Mapping[str, Share]) -> frozenset[str]:
    """Return the variants that autoscaling scales; asked only where the counts differ from the cell's."""
    if all(share.count == target.shares.get(name, share).count for name, share in shares.items()):
        return frozenset()
    prefix = f"endpoint/{target.endpoint}/variant/"
    ids = [prefix + name for name in shares]
    client = connection.client("application-autoscaling")
    found = call(client, "DescribeScalableTargets", ServiceNamespace="sagemaker", ResourceIds=ids)["ScalableTargets"]
    return frozenset(each["ResourceId"].removeprefix(prefix) for each in found)
