"""Waits until the service has finished with an endpoint, and verifies what came of it.

Verified means: InService, on the config that was asked for, nothing pending, weights and counts as wanted. What settles
otherwise is a failure, explained by the service's reason, the last lines of the log, and what to do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sm_magics.advice import ALARMED, advice
from sm_magics.alarms import names_in, variant_of
from sm_magics.errors import DeployError
from sm_magics.events import Reached, Seen
from sm_magics.explain import failing_variant, left_over, log_tail, rung
from sm_magics.watch import Snapshot, look, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sm_magics.clock import Clock
    from sm_magics.connection import Connection
    from sm_magics.plan import Plan

__all__ = ["accepted", "awaited", "gone", "settle", "uses", "verified"]

GRACE_SECONDS = 20.0  # in which an endpoint may still read InService after an update was accepted
LOOKS, LOOK_SECONDS = 8, 1.0  # for an endpoint that was accepted a moment ago
_FOLLOW = "it goes on by itself; follow it: %sm_status {} --wait"
_GO_ON = "it goes on by itself; run the cell again to go on from there"
_NOT_YET = "that was asked for before, and nothing that this cell asks for was done yet: run it again, or wait longer"


def settle(connection: Connection, name: str, clock: Clock, timeout: float) -> Iterator[Seen]:
    """Wait until the service has finished with what it was asked before, whatever comes of it.

    Raises
    ------
    DeployError
        When it does not in time.
    """
    for seen in _waiting(connection, name, clock, timeout, until=_is_settled, hint=_NOT_YET):
        yield replace(seen, earlier=True)


def awaited(connection: Connection, name: str, clock: Clock, timeout: float) -> Iterator[Seen]:
    """Wait until the service has finished with what it was asked, by whomever; nothing more where it is gone then.

    Raises
    ------
    DeployError
        When it does not in time, or when that failed: an update that was rolled back, too.
    """
    last: Snapshot | None = None
    coming: str | None = None
    for seen in _waiting(connection, name, clock, timeout, until=_is_settled, hint=_FOLLOW.format(name)):
        last = seen.snapshot
        coming = last.pending_config or coming
        yield seen
    if last is None or not last.settled:
        return
    if last.status == "InService" and last.failure_reason is None and coming in {None, last.config_name}:
        return
    raise _failure(connection, last, coming, names_in(last.raw.get("LastDeploymentConfig")), stays=True)


def _is_settled(snapshot: Snapshot) -> bool:
    return snapshot.settled


def gone(connection: Connection, name: str, clock: Clock, timeout: float) -> Iterator[Seen]:
    """Wait until there is no such endpoint any more.

    Raises
    ------
    DeployError
        When there still is in the end.
    """
    yield from _waiting(connection, name, clock, timeout, until=lambda _: False, hint=_GO_ON)


def _waiting(  # noqa: PLR0913 - what to wait for, and what to say when that takes too long
    connection: Connection, name: str, clock: Clock, timeout: float, *, until: Callable[[Snapshot], bool], hint: str
) -> Iterator[Seen]:
    for snapshot in watch(connection, name, clock, until=until):
        yield Seen(snapshot)
        if snapshot.elapsed > timeout and not until(snapshot):
            raise DeployError(
                f"endpoint '{name}' is still {snapshot.status} after {timeout:g} s", hint=hint, snapshot=snapshot
            )


def accepted(connection: Connection, name: str, clock: Clock) -> Snapshot:
    """Return the endpoint as it is now; the service may need a moment to find what it has just accepted."""
    for _ in range(LOOKS):
        snapshot = look(connection, name)
        if snapshot is not None:
            return snapshot
        clock.sleep(LOOK_SECONDS)
    raise _deleted(name)


def verified(
    connection: Connection, steps: Plan, clock: Clock, timeout: float, old_reason: str | None
) -> Iterator[Seen | Reached]:
    """Wait until the endpoint is what the plan ends with, or has settled as something else.

    `old_reason` is why an earlier change failed: the service goes on telling it until this one begins.
    """
    last: Snapshot | None = None

    def over(snapshot: Snapshot) -> bool:
        nonlocal old_reason
        if not snapshot.settled:
            old_reason = None  # this change has begun: whatever reason is told from now on is its own
            return False
        new_reason = snapshot.failure_reason not in {None, old_reason}
        failed = new_reason or snapshot.status != "InService" or snapshot.elapsed > GRACE_SECONDS
        return failed or _is_reached(snapshot, steps)

    for seen in _waiting(connection, steps.endpoint, clock, timeout, until=over, hint=_FOLLOW.format(steps.endpoint)):
        last = seen.snapshot
        yield seen
    if last is None or not over(last):
        raise _deleted(steps.endpoint)
    if not _is_reached(last, steps):
        raise _failure(connection, last, steps.config_name, _alarm_names(steps))
    yield Reached(last, verified=True)


def _is_reached(snapshot: Snapshot, steps: Plan) -> bool:
    return (
        snapshot.settled
        and snapshot.status == "InService"
        and snapshot.config_name == steps.config_name
        and snapshot.shares.keys() == steps.expected.keys()
        and all(share.same(snapshot.shares[name]) for name, share in steps.expected.items())
    )


def uses(snapshot: object, steps: Plan) -> bool:
    """Whether the endpoint serves, if only in part, what the plan was to make of it."""
    return isinstance(snapshot, Snapshot) and (
        snapshot.status == "UpdateRollbackFailed"
        or (snapshot.status != "Failed" and snapshot.config_name == steps.config_name)
    )


def _deleted(name: str) -> DeployError:
    return DeployError(
        f"endpoint '{name}' was deleted by someone else meanwhile", hint="run the cell again to make it", over=True
    )


def _alarm_names(steps: Plan) -> tuple[str, ...]:
    updates = (each.request for each in steps.actions if each.operation == "UpdateEndpoint")
    return tuple(name for request in updates for name in names_in(request.get("DeploymentConfig")))


def _failure(
    connection: Connection, snapshot: Snapshot, wanted: str | None, watched: Sequence[str], *, stays: bool = False
) -> DeployError:
    """Return why an endpoint is not what it was to be, and what to do about it.

    Parameters
    ----------
    wanted
        The config that it was to have, None where nobody knows.
    watched
        The alarms of the deployment.
    stays
        Whether what was made for it is still there.
    """
    name, reason = snapshot.name, snapshot.failure_reason or "the service gives no reason"
    if snapshot.status == "Failed":
        what = f"endpoint '{name}' has failed"
    elif snapshot.status != "InService" or wanted == snapshot.config_name:
        what = f"endpoint '{name}' is {snapshot.status}, not what was asked for"
    else:
        what = f"the update of endpoint '{name}' failed and was rolled back; it serves config '{snapshot.config_name}'"
    went_off = rung(connection, watched, reason)
    variant = next(filter(None, (variant_of(alarm) for alarm, _ in went_off)), None) or failing_variant(reason)
    tail = log_tail(connection, name, variant)
    lines = [f"{what}: {reason}", *(f"  alarm {alarm}: {why or 'in state ALARM'}" for alarm, why in went_off)]
    if tail is not None:
        lines += [f"  last lines of {tail.stream}:", *(f"    {line}" for line in tail.lines)]
    hints = [advice(reason) or (ALARMED if went_off else None)]
    if stays and snapshot.status == "Failed":
        hints.append(f"run its cell again, mended, which replaces it, or delete it: %sm_delete {name} --yes")
    elif stays and (left := left_over(connection, name, wanted)):
        hints.append(f"left over: {', '.join(left)}; %sm_delete {name} --yes deletes all with the endpoint")
    return DeployError(
        "\n".join(lines),
        hint="\n  ".join(filter(None, hints)) or None,
        snapshot=snapshot,
        log=tail.lines if tail else None,
        over=True,
    )
