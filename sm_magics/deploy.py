"""Applies a plan: makes its calls, waits and verifies. Yields what happens as it happens.

Where that fails, what this run had made is taken back, unless the endpoint uses it; what served goes on serving.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sm_magics import alarms
from sm_magics.connection import call, is_forbidden, is_missing
from sm_magics.errors import DeployError, PlanError, ServiceError
from sm_magics.events import Called, Calling, Planned, Reached
from sm_magics.plan import plan
from sm_magics.settle import accepted, gone, settle, uses, verified
from sm_magics.target import Live
from sm_magics.watch import described, look, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping

    from sm_magics.clock import Clock
    from sm_magics.connection import Connection
    from sm_magics.events import Event, Seen
    from sm_magics.models import Artifact, DesiredModel
    from sm_magics.plan import Action, Plan
    from sm_magics.target import Share, Target
    from sm_magics.watch import Snapshot

__all__ = ["at_rest", "change", "create_model", "deploy", "observe", "observe_endpoint"]

RETRIES, RETRY_SECONDS = 8, 1.0  # of a call that names something made a moment ago
_EXISTS = "Cannot create already existing"
_NAMED_BY_CONTENT = frozenset({"CreateModel", "CreateEndpointConfig"})  # one of the same name is the same
_UNDO = {
    "CreateEndpoint": ("DeleteEndpoint", "EndpointName"),
    "CreateModel": ("DeleteModel", "ModelName"),
    "CreateEndpointConfig": ("DeleteEndpointConfig", "EndpointConfigName"),
    "PutMetricAlarm": ("DeleteAlarms", "AlarmName"),
}


def observe(connection: Connection, target: Target) -> Live:
    """Return what the service says of the endpoint of `target` and of the parts it would be made of.

    Raises
    ------
    PlanError
        When there is an endpoint whose name differs in case only.
    ServiceError
        When the service does not answer.
    """
    existing = frozenset(
        [model.name for model in target.models if connection.describe("Model", model.name)]
        + [name for name in [target.config_name] if connection.describe("EndpointConfig", name)]
    )
    snapshot = look(connection, target.endpoint)
    if snapshot is None:
        return Live(existing=existing, by=connection.user)
    if snapshot.name != target.endpoint:
        raise PlanError(
            f"there is an endpoint '{snapshot.name}', and names that differ in case only are the same to SageMaker",
            hint=f"write it so: {snapshot.name}",
        )
    states = _alarms(connection, target, snapshot)
    return replace(
        _live(connection, snapshot),
        existing=existing,
        scaled=_scaled(connection, target, snapshot.shares),
        alarms=None if states is None else frozenset(states),
        ringing=frozenset(name for name, state in (states or {}).items() if state == "ALARM"),
    )


def observe_endpoint(connection: Connection, endpoint: str) -> Live:
    """Return what the service says of an endpoint, whatever it is to become; nothing where there is none.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    snapshot = look(connection, endpoint)
    return Live() if snapshot is None else _live(connection, snapshot)


def at_rest(connection: Connection, endpoint: str, clock: Clock, timeout: float) -> Generator[Seen, None, Live]:
    """Wait until the service has finished with an endpoint, and return what it says of it then.

    Raises
    ------
    ServiceError, DeployError
        When the service does not answer, or does not finish in time.
    """
    live = observe_endpoint(connection, endpoint)
    while live.in_progress:
        yield from settle(connection, endpoint, clock, timeout)
        live = observe_endpoint(connection, endpoint)
    return live


def _live(connection: Connection, snapshot: Snapshot) -> Live:
    tags = connection.call("ListTags", ResourceArn=snapshot.arn)["Tags"]
    return Live(
        status=snapshot.status,
        arn=snapshot.arn,
        config_name=snapshot.config_name,
        config=connection.describe("EndpointConfig", snapshot.config_name),
        shares=snapshot.shares,
        tags={each["Key"]: each["Value"] for each in tags},
        failure_reason=snapshot.failure_reason,
        by=connection.user,
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
        Seconds to wait at most for one change to end.

    Raises
    ------
    PlanError
        When the service would refuse what is asked; nothing was done.
    ServiceError
        When the service refuses a call; what this run had made is taken back.
    DeployError
        When the endpoint settles as something else, or does not settle in time.
    """

    def see() -> Live:
        return observe(connection, target)

    def make(live: Live) -> Plan:
        return plan(target, live)

    yield from change(connection, target.endpoint, see, make, clock, wait=wait, timeout=timeout)


def change(  # noqa: PLR0913 - what to look at, what to make of it, and how to wait
    connection: Connection,
    endpoint: str,
    see: Callable[[], Live],
    make: Callable[[Live], Plan],
    clock: Clock,
    *,
    wait: bool = True,
    timeout: float = 3600.0,
) -> Iterator[Event]:
    """Carry out the plan that `make` makes of what `see` sees; whatever else holds of `deploy` holds of this.

    Both are asked again where another change came first.
    """
    made: list[Action] = []
    try:
        steps, live = yield from _carry_out(connection, endpoint, see, make, made, clock=clock, timeout=timeout)
    except Exception:
        _take_back_unused(connection, made, endpoint)
        raise
    snapshot = accepted(connection, endpoint, clock)
    if not wait:
        yield Reached(snapshot, verified=False)
        return
    try:
        yield from verified(connection, steps, clock, timeout, live.failure_reason)
    except DeployError as error:
        if error.over and not uses(error.snapshot, steps):
            _take_back(connection, made)
        raise


def _carry_out(  # noqa: PLR0913 - as change
    connection: Connection,
    endpoint: str,
    see: Callable[[], Live],
    make: Callable[[Live], Plan],
    made: list[Action],
    *,
    clock: Clock,
    timeout: float,
) -> Generator[Event, None, tuple[Plan, Live]]:
    """Plan and make the calls, each one added to `made`; return the plan and what it was made for.

    A change that was asked for before is waited for, also one that came between our look and our call.
    """
    for left in itertools.count(RETRIES - 1, -1):
        live = see()
        while live.in_progress:
            yield from settle(connection, endpoint, clock, timeout)
            live = see()
        steps = make(live)
        yield Planned(steps)
        try:
            for action in steps.actions:
                yield Calling(action)
                if _perform(connection, action, clock):
                    made.append(action)
                yield Called(action)
                if action.operation == "DeleteEndpoint":
                    yield from gone(connection, endpoint, clock, timeout)
        except ServiceError as error:
            if not left or not _came_first(connection, endpoint, error):
                raise
            clock.sleep(RETRY_SECONDS)
        else:
            break
    return steps, live


def _came_first(connection: Connection, endpoint: str, error: ServiceError) -> bool:
    """Whether a call was refused because another changed or made the endpoint since we looked."""
    if error.operation == "CreateEndpoint" and "already existing endpoint" in error.message:
        return look(connection, endpoint) is not None
    return "Cannot update in-progress endpoint" in error.message


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


def _perform(connection: Connection, action: Action, clock: Clock) -> bool:
    """Make one call, and return whether that changed something: another may have made the same part meanwhile."""
    _upload(connection, action.artifact, action.request)
    for attempt in range(RETRIES):
        try:
            call(connection.client(action.service), action.operation, **action.request)
        except ServiceError as error:
            if action.operation in _NAMED_BY_CONTENT and _EXISTS in error.message:
                return False
            if attempt == RETRIES - 1 or not _may_pass(action, error):
                raise
            clock.sleep(RETRY_SECONDS)
        else:
            break
    return True


def _upload(connection: Connection, artifact: Artifact | None, request: Mapping[str, Any]) -> None:
    if artifact is not None:
        uri = request["PrimaryContainer"]["ModelDataUrl"]
        if not connection.artifacts.holds(uri):
            connection.artifacts.put(uri, artifact)


def _may_pass(action: Action, error: ServiceError) -> bool:
    """Whether the service only has not seen yet what was made, or deleted, a moment ago."""
    if action.operation in {"CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint"} and is_missing(error):
        return True
    return action.operation == "CreateEndpoint" and _EXISTS in error.message


def _take_back_unused(connection: Connection, made: list[Action], endpoint: str) -> None:
    """Take back what this run made, unless the endpoint has come to use it: by a call whose answer was lost, say."""
    if any(each.operation == "UpdateEndpoint" for each in made):
        return  # what that was accepted for comes into use
    try:
        used = parts(connection, endpoint)
    except ServiceError:
        return  # nor could anything be deleted
    members = ("EndpointConfigName", "ModelName")
    if not used & {each.request[member] for each in made for member in members if member in each.request}:
        _take_back(connection, made, used)


def _take_back(connection: Connection, made: list[Action], used: Collection[str] = ()) -> None:
    """Delete what this run made, newest first; what cannot be deleted is left for %sm_list to show."""
    for action in reversed(made):
        if action.operation in _UNDO:
            operation, member = _UNDO[action.operation]
            name = action.request[member]
            if name not in used:
                request = {"AlarmNames": [name]} if operation == "DeleteAlarms" else {member: name}
                _try(connection, operation, action.service, **request)


def _try(connection: Connection, operation: str, service: str = "sagemaker", **request: Any) -> None:
    try:
        call(connection.client(service), operation, **request)
    except ServiceError:
        return


def _scaled(connection: Connection, target: Target, shares: Mapping[str, Share]) -> frozenset[str]:
    """Return the variants that autoscaling scales, as far as we may know.

    That is asked only where the counts differ from the cell's; who may not ask does not use autoscaling.
    """
    if all(share.count == target.shares.get(name, share).count for name, share in shares.items()):
        return frozenset()
    prefix = f"endpoint/{target.endpoint}/variant/"
    ids = [prefix + name for name in shares]
    client = connection.client("application-autoscaling")
    try:
        answer = call(client, "DescribeScalableTargets", ServiceNamespace="sagemaker", ResourceIds=ids)
    except ServiceError as error:
        if is_forbidden(error):
            return frozenset()
        raise
    found = answer["ScalableTargets"]
    return frozenset(each["ResourceId"].removeprefix(prefix) for each in found)


def _alarms(connection: Connection, target: Target, snapshot: Snapshot) -> Mapping[str, str] | None:
    """Return the states of the target's alarms and of ours for the last deployment, None if we may not know."""
    last = alarms.names_in(snapshot.raw.get("LastDeploymentConfig"))
    ours = [each for each in last if each.startswith(alarms.prefix(target.endpoint))]
    names = {*alarms.names_in(alarms.guarded(target).get("DeploymentConfig")), *ours}
    if not names:
        return {}
    try:
        return {each["AlarmName"]: each.get("StateValue", "") for each in described(connection, sorted(names))}
    except ServiceError as error:
        if is_forbidden(error):
            return None
        raise
