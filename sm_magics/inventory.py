"""What is ours on a connection, found by its tags, and how it is deleted: in a safe order, and nothing else.

An endpoint goes first, then its alarms, configs and models; what another endpoint still runs on is kept.
Alarms are known by their names: we make none that could be taken for somebody else's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sm_magics.alarms import PREFIX, endpoint_of, prefix
from sm_magics.connection import call, is_forbidden, is_missing
from sm_magics.errors import PlanError, ServiceError
from sm_magics.events import Called, Calling, Planned
from sm_magics.plan import Action, Plan
from sm_magics.settle import gone, settle
from sm_magics.target import AFTER_TAG, ENDPOINT_TAG, MODEL_TAG
from sm_magics.versions import names_like
from sm_magics.watch import look, parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sm_magics.clock import Clock
    from sm_magics.connection import Connection
    from sm_magics.events import Seen

__all__ = ["Deletion", "Inventory", "Owned", "delete", "deletion", "inventory", "surplus", "unused"]

MODEL, DECLARED = "model", "declared model"
_WORDS = {"Endpoint": "endpoint", "EndpointConfig": "endpoint config", "Model": MODEL}
_GONE = frozenset({"ResourceNotFound", "ResourceNotFoundException"})  # CloudWatch's words for it
KEPT = 20  # endpoint configs that an endpoint is not on, for a rollback
_OUR_CONFIG = re.compile(r"-[0-9a-f]{8}-[0-9a-f]{4}$")
_OUR_MODEL = re.compile(r"-[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class Owned:
    """One thing that we made; `owner` is the endpoint or declared model that it was made for."""

    kind: str
    name: str
    owner: str
    created: datetime
    status: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that is ours."""

    endpoints: tuple[Owned, ...]
    configs: tuple[Owned, ...]
    models: tuple[Owned, ...]
    alarms: tuple[Owned, ...] = ()

    @property
    def leftovers(self) -> tuple[Owned, ...]:
        """Alarms, configs and models whose endpoint is no longer there."""
        alive = {each.name for each in self.endpoints}
        parts = (*self.alarms, *self.configs, *(each for each in self.models if each.kind == MODEL))
        return tuple(each for each in parts if each.owner not in alive)


@dataclass(frozen=True, slots=True)
class Deletion:
    """What deleting `name` takes away, in order, and what it leaves with the reason."""

    name: str
    actions: tuple[Action, ...]
    kept: tuple[tuple[str, str], ...] = ()


def inventory(connection: Connection) -> Inventory:
    """Return all that is ours on a connection.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    endpoints = tuple(_owned(connection, "Endpoint"))
    used = frozenset[str]().union(*(parts(connection, each.name) for each in endpoints))
    configs = (
        replace(each, status="in use" if each.name in used else "kept for rollback")
        for each in _owned(connection, "EndpointConfig", _OUR_CONFIG)
    )
    return Inventory(
        endpoints,
        tuple(configs),
        tuple(_owned(connection, "Model", _OUR_MODEL)),
        tuple(_alarms(connection, PREFIX)),
    )


def deletion(connection: Connection, name: str) -> Deletion:
    """Return what deleting the endpoint called `name` takes away, or the model that a cell declared by that name.

    Raises
    ------
    PlanError
        When there is nothing of that name, it is not ours, or an endpoint still serves the model.
    """
    snapshot = look(connection, name)
    name = name if snapshot is None else snapshot.name  # the service finds it in any case of letters
    if snapshot is not None and connection.tags(snapshot.arn).get(ENDPOINT_TAG) is None:
        raise PlanError(
            f"endpoint '{name}' was not made by sm_magics, so it is not deleted here",
            hint="delete it with the tool that made it",
        )
    configs = [each for each in _owned(connection, "EndpointConfig", _OUR_CONFIG) if each.owner == name]
    owned = [each for each in _owned(connection, "Model", _OUR_MODEL) if each.owner == name]
    models = [each for each in owned if each.kind == MODEL]
    alarms = [*_alarms(connection, prefix(name))]
    if snapshot is None and not configs and not models and not alarms:
        return _declared(connection, name, [each for each in owned if each.kind == DECLARED])
    shared = {each.name for each in (*configs, *models)}
    users = _users(connection, shared, but=name) if shared else {}
    actions = [_delete("Endpoint", name, snapshot.status)] if snapshot is not None else []
    actions += [_delete_alarm(each.name) for each in alarms]
    actions += [_delete("EndpointConfig", each.name, "") for each in configs if each.name not in users]
    actions += [_delete("Model", each.name, "") for each in models if each.name not in users]
    used = [each for each in (*configs, *models) if each.name in users]
    kept = tuple((f"{each.kind} {each.name}", f"endpoint {users[each.name]} serves it") for each in used)
    return Deletion(name, tuple(actions), kept)


def _declared(connection: Connection, name: str, models: Sequence[Owned]) -> Deletion:
    if not models:
        raise PlanError(f"there is no endpoint and no declared model '{name}'", hint="%sm_list shows what there is")
    for user in _users(connection, {each.name for each in models}, but="").values():
        raise PlanError(f"endpoint '{user}' still serves model '{name}'", hint=f"first: %sm_delete {user} --yes")
    return Deletion(name, tuple(_delete("Model", each.name, "") for each in models))


def unused(connection: Connection, name: str) -> Deletion:
    """Return what an endpoint would lose nothing by now: its models that do not serve, and the configs that need them.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    serving = parts(connection, name)
    owned = [each for each in _owned(connection, "Model", _OUR_MODEL) if each.owner == name and each.kind == MODEL]
    models = {each.name for each in owned} - serving
    configs = {
        each.name: _models_in(connection, each.name)
        for each in _owned(connection, "EndpointConfig", _OUR_CONFIG)
        if each.owner == name and each.name not in serving
    }
    going = [config for config, needed in configs.items() if needed & models]
    users = _users(connection, {*going, *models}, but=name) if models else {}
    actions = [_delete("EndpointConfig", each, "") for each in going if each not in users]
    actions += [_delete("Model", each, "") for each in sorted(models) if each not in users]
    return Deletion(name, tuple(actions))


def surplus(connection: Connection, name: str) -> Deletion:
    """Return the oldest configs of an endpoint, where it has more than are kept for a rollback.

    The one that it is on, and the one before that, are never among them.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    if len(names_like(connection, name)) <= KEPT + 1:
        return Deletion(name, ())
    serving = parts(connection, name)
    ours = [each for each in _owned(connection, "EndpointConfig", _OUR_CONFIG) if each.owner == name]
    idle = sorted((each for each in ours if each.name not in serving), key=lambda each: each.created)
    before = {_after(connection, each.name) for each in ours if each.name in serving}
    old = [each.name for each in idle if each.name not in before][: max(0, len(idle) - KEPT)]
    users = _users(connection, {*old}, but=name) if old else {}
    return Deletion(name, tuple(_delete("EndpointConfig", each, "") for each in old if each not in users))


def _after(connection: Connection, config: str) -> str:
    answer = connection.describe("EndpointConfig", config)
    return "" if answer is None else connection.tags(answer["EndpointConfigArn"]).get(AFTER_TAG, "")


def _models_in(connection: Connection, config: str) -> set[str]:
    answer = connection.describe("EndpointConfig", config) or {}
    variants = (*answer.get("ProductionVariants", ()), *(answer.get("ShadowProductionVariants") or ()))
    return {each["ModelName"] for each in variants if "ModelName" in each}


def delete(
    connection: Connection, going: Deletion, clock: Clock, *, wait: bool = True, timeout: float = 3600.0
) -> Iterator[Planned | Calling | Called | Seen]:
    """Carry out a deletion, and yield what happens on the way; an endpoint in progress is waited for first.

    Raises
    ------
    ServiceError, DeployError
        When the service refuses a call or the endpoint does not settle in time; running it again goes on from there.
    """
    yield Planned(Plan(going.name, "", {}, going.actions))
    for action in going.actions:
        if wait and action.operation == "DeleteEndpoint":
            yield from settle(connection, going.name, clock, timeout)
        yield Calling(action)
        try:
            call(connection.client(action.service), action.operation, **action.request)
        except ServiceError as error:
            if not is_missing(error) and error.code not in _GONE:
                raise
        yield Called(action)
        if wait and action.operation == "DeleteEndpoint":
            yield from gone(connection, going.name, clock, timeout)


def _delete(kind: str, name: str, before: str) -> Action:
    return Action(f"Delete{kind}", {f"{kind}Name": name}, f"{_WORDS[kind]} {name}", before, "gone", "made here")


def _delete_alarm(name: str) -> Action:
    request = {"AlarmNames": [name]}
    return Action("DeleteAlarms", request, f"alarm {name}", "", "gone", "made here", service="cloudwatch")


def _alarms(connection: Connection, named: str) -> Iterator[Owned]:
    """Yield our alarms whose names begin with `named`; who may not look at alarms has none of ours."""
    token: Mapping[str, str] = {}
    while True:
        try:
            answer = call(connection.client("cloudwatch"), "DescribeAlarms", AlarmNamePrefix=named, **token)
        except ServiceError as error:
            if is_forbidden(error):
                return
            raise
        for each in answer["MetricAlarms"]:
            owner = endpoint_of(each["AlarmName"])
            if owner:
                made = each["AlarmConfigurationUpdatedTimestamp"]
                yield Owned("alarm", each["AlarmName"], owner, made, each["StateValue"])
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}


def _owned(connection: Connection, kind: str, named: re.Pattern[str] | None = None) -> Iterator[Owned]:
    """Yield what is ours of one kind; only names that look like ours are asked for their tags."""
    for answer in connection.pages(f"List{kind}s", MaxResults=100):
        for row in answer[f"{kind}s"]:
            name = row[f"{kind}Name"]
            if named is not None and not named.search(name):
                continue
            tags = connection.tags(row[f"{kind}Arn"])
            owner = tags.get(ENDPOINT_TAG) or tags.get(MODEL_TAG)
            if owner:
                word = DECLARED if MODEL_TAG in tags else _WORDS[kind]
                yield Owned(word, name, owner, row["CreationTime"], row.get("EndpointStatus", ""))


def _users(connection: Connection, names: set[str], but: str) -> Mapping[str, str]:
    """Return which configs and models of these `names` another endpoint serves, and which endpoint that is."""
    users: dict[str, str] = {}
    for answer in connection.pages("ListEndpoints", MaxResults=100):
        for row in answer["Endpoints"]:
            if row["EndpointName"] != but:
                served = parts(connection, row["EndpointName"])
                users |= dict.fromkeys(names & served, row["EndpointName"])
    return users
