"""The endpoint configs of an endpoint, one after another: which there were, and going to another one.

All of it is what the service keeps: configs with their times, and tags that say by whom and after which each was made.
Configs that no longer serve are kept for a rollback, and go with the endpoint.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sm_magics.deploy import at_rest, change, observe, observe_endpoint
from sm_magics.errors import CellError, PlanError
from sm_magics.plan import at_once, config_of, difference, plan, promoted, switch
from sm_magics.target import AFTER_TAG, BY_TAG, ENDPOINT_TAG, Live, Target, shares_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sm_magics.clock import Clock
    from sm_magics.connection import Connection
    from sm_magics.events import Event
    from sm_magics.plan import Plan
    from sm_magics.watch import Snapshot

__all__ = ["Version", "before", "chosen", "history", "names_like", "promote", "promotion", "rollback"]

OF_ENDPOINT = 49  # characters of an endpoint's name that its configs' names begin with
LISTS, CONFIGS = 5, 12  # that are asked for at most, to find the config before


@dataclass(frozen=True, slots=True)
class Version:
    """One endpoint config of an endpoint.

    Attributes
    ----------
    number
        Its place, from 1 for the oldest.
    config
        Its name.
    made, by
        When, and by whom as the service knows them; empty where nobody was noted.
    after
        The config that served when it was made, empty for the first or where that is not known.
    what
        What it has that the one before did not, in words.
    state
        What has become of it, in words.
    answer
        What DescribeEndpointConfig says of it.
    """

    number: int
    config: str
    made: datetime
    by: str
    after: str
    what: str
    state: str
    answer: Mapping[str, Any]

    @property
    def serves(self) -> bool:
        """Whether the endpoint is on it."""
        return self.state == "serves"


def names_like(connection: Connection, endpoint: str) -> list[str]:
    """Return the names of the configs that may be an endpoint's by their names, the oldest first."""
    return [row["EndpointConfigName"] for page in _listed(connection, endpoint, "Ascending") for row in page]


def history(connection: Connection, snapshot: Snapshot) -> tuple[Version, ...]:
    """Return the configs of an endpoint that there are, the oldest first, the one that it is on among them.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    found: dict[str, tuple[Mapping[str, Any], Mapping[str, str]]] = {}
    for name in dict.fromkeys([*names_like(connection, snapshot.name), snapshot.config_name]):
        if (told := _told(connection, name)) is not None:
            found[name] = told
    found = {
        name: (answer, tags)
        for name, (answer, tags) in found.items()
        if name == snapshot.config_name or tags.get(ENDPOINT_TAG) == snapshot.name
    }
    ordered = sorted(found.items(), key=lambda each: each[1][0]["CreationTime"])
    numbers = {name: number for number, (name, _) in enumerate(ordered, 1)}
    followed = {tags[AFTER_TAG]: numbers[name] for name, (_, tags) in ordered if AFTER_TAG in tags}
    versions = []
    for (name, (answer, tags)), before in zip(ordered, [None, *(each for each, _ in ordered)], strict=False):
        after = tags.get(AFTER_TAG, "")
        old = found.get(after) or (found[before] if before else None)
        what = _what(snapshot.name, answer, old and old[0])
        state = _state(snapshot, name, followed)
        by = tags.get(BY_TAG, "")
        versions.append(Version(numbers[name], name, answer["CreationTime"], by, after, what, state, answer))
    return tuple(versions)


def chosen(endpoint: str, versions: Sequence[Version], to: str | None) -> Version:
    """Return the config to go back to: of a name or a number, or else the one before that which serves.

    Before means: the config that served when this one was made; where that is not known, the next older one.

    Raises
    ------
    CellError
        When there is none.
    """
    if to is not None:
        found = next((each for each in versions if to in {each.config, str(each.number)}), None)
        if found is None:
            told = f"endpoint '{endpoint}' has no config '{to}' to go back to"
            raise CellError(told, hint=f"%sm_history {endpoint} shows what it has, with numbers")
        return found
    now = next((each for each in versions if each.serves), None)
    before = [each for each in versions if now is not None and each.number < now.number]
    if now is not None and now.after:
        before = [each for each in versions if each.config == now.after]
    if not before:
        newer = now is not None and len(versions) > 1
        hint = f"name another one by its number: %sm_history {endpoint}" if newer else "it has no other config"
        raise CellError(f"there is no config before the one that endpoint '{endpoint}' is on", hint=hint)
    return before[-1]


def before(connection: Connection, snapshot: Snapshot) -> str | None:
    """Return the name of the config that is `chosen` to go back to, empty where there is none.

    It asks for the configs that this takes, while a `history` asks for all; None where that were too many.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    now = _told(connection, snapshot.config_name) if snapshot.status != "Failed" else None
    if now is None:
        return ""
    if after := now[1].get(AFTER_TAG):
        return after if after != snapshot.config_name and _is_of(connection, after, snapshot.name) else ""
    asked = 0
    for number, page in enumerate(_listed(connection, snapshot.name, "Descending"), 1):
        for row in page:
            if row["CreationTime"] >= now[0]["CreationTime"]:
                continue
            if asked == CONFIGS:
                return None
            asked += 1
            if _is_of(connection, row["EndpointConfigName"], snapshot.name):
                return str(row["EndpointConfigName"])
        if number == LISTS:
            return None
    return ""


def rollback(  # noqa: PLR0913 - as deploy
    connection: Connection, endpoint: str, to: Version, clock: Clock, *, wait: bool = True, timeout: float = 3600.0
) -> Iterator[Event]:
    """Bring an endpoint to one of its configs, and yield what happens on the way, as a deployment does.

    Raises
    ------
    PlanError, ServiceError, DeployError
        As a deployment.
    """

    def make(live: Live) -> Plan:
        return switch(endpoint, live, to.config, to.answer)

    look = partial(observe_endpoint, connection, endpoint)
    yield from change(connection, endpoint, look, make, clock, wait=wait, timeout=timeout)


def promotion(connection: Connection, endpoint: str, variant: str, instances: int | None) -> Plan:
    """Return the plan of a promotion, as things are now.

    Raises
    ------
    PlanError
        When the service would refuse it.
    """
    target = promoted(endpoint, observe_endpoint(connection, endpoint), variant, instances)
    return at_once(plan(target, observe(connection, target)))


def promote(  # noqa: PLR0913 - as deploy
    connection: Connection,
    endpoint: str,
    variant: str,
    clock: Clock,
    *,
    instances: int | None = None,
    wait: bool = True,
    timeout: float = 3600.0,
) -> Iterator[Event]:
    """Make one variant of an endpoint its only one, and yield what happens on the way, as a deployment does.

    Raises
    ------
    PlanError, ServiceError, DeployError
        As a deployment.
    """
    live = yield from at_rest(connection, endpoint, clock, timeout)
    if live.status != "InService":
        raise PlanError(f"endpoint '{endpoint}' is {live.status or 'gone'}: it serves no variant to promote")
    target = promoted(endpoint, live, variant, instances)

    def make(live: Live) -> Plan:
        return at_once(plan(target, live))

    yield from change(
        connection, endpoint, partial(observe, connection, target), make, clock, wait=wait, timeout=timeout
    )


def _listed(connection: Connection, endpoint: str, order: str) -> Iterator[list[Mapping[str, Any]]]:
    """Yield what lists of configs have with names that begin as an endpoint's do, by the time they were made."""
    begins = endpoint[:OF_ENDPOINT].rstrip("-")
    by = {"SortBy": "CreationTime", "SortOrder": order, "MaxResults": 100}
    for page in connection.pages("ListEndpointConfigs", NameContains=begins, **by):
        yield [row for row in page["EndpointConfigs"] if row["EndpointConfigName"].startswith(begins)]


def _is_of(connection: Connection, config: str, endpoint: str) -> bool:
    """Whether there is such a config, made for this endpoint."""
    told = _told(connection, config)
    return told is not None and told[1].get(ENDPOINT_TAG) == endpoint


def _told(connection: Connection, config: str) -> tuple[Mapping[str, Any], Mapping[str, str]] | None:
    """Return what the service says of a config, and its tags."""
    answer = connection.describe("EndpointConfig", config)
    return None if answer is None else (answer, connection.tags(answer["EndpointConfigArn"]))


def _what(endpoint: str, answer: Mapping[str, Any], old: Mapping[str, Any] | None) -> str:
    """Return what a config has that the one before had not, in words."""
    new = Target(endpoint, config_of(answer))
    if old is None:
        return shares_text(new.shares)
    before = Target(endpoint, config_of(old))
    if new.content_hash != before.content_hash:
        return difference(new, Live(config=old))
    counts = [f"{name} × {each.count}" for name, each in new.shares.items() if each.count != before.shares[name].count]
    return ", ".join(itertools.chain([shares_text(new.shares)], counts))


def _state(snapshot: Snapshot, name: str, followed: Mapping[str, int]) -> str:
    if name == snapshot.pending_config != snapshot.config_name:
        return "is coming"
    if name == snapshot.config_name:
        return "serves" if snapshot.status != "Failed" else "failed"
    return f"replaced by {followed[name]}" if name in followed else "not in use"
