"""What each card holds: one function from the data of a result to its view."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from sm_magics.amounts import duration
from sm_magics.render.view import Badge, Code, Column, Facts, Note, Table, View, badge, bar
from sm_magics.render.watching import summary, update
from sm_magics.target import percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sm_magics.explain import LogTail
    from sm_magics.faults import Fault
    from sm_magics.inventory import Deletion, Inventory
    from sm_magics.plan import Action, Plan
    from sm_magics.render.view import Block
    from sm_magics.watch import Snapshot, VariantState

__all__ = [
    "deletion",
    "endpoint",
    "endpoints",
    "facts",
    "faults",
    "inventory",
    "model",
    "plan",
    "short_image",
]

_SECRET = re.compile(r"(?i)secret|passw|passphrase|credential|(api|access|private)_?key|(^|_)(token|pwd|key|auth)$")
_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_ALL_OF_IT = {
    "crash": "once, at the next invocation",
    "ping": "every health check",
    "throttle": "every invocation",
    "stuck-creating": "every new instance",
    "quota": "every new instance",
}


def endpoint(  # noqa: PLR0913 - what may be said of one endpoint
    snapshot: Snapshot,
    config: Mapping[str, Any] | None,
    where: str,
    *,
    done: str | None = None,
    body: str | None = None,
    log: LogTail | None = None,
) -> View:
    """Return the card of an endpoint: what serves, with which weight, on what, and what was just done to it.

    While an update is under way that is both fleets, the one that serves and the one that is coming.

    Parameters
    ----------
    config
        The DescribeEndpointConfig answer, None when the config was deleted.
    where
        The connection's label.
    done
        What was done to it, in a sentence.
    body
        The cell that would reproduce the endpoint.
    log
        What the instances of one that has failed printed last.
    """
    about = (("connection", where), *_capture(snapshot.raw))
    blocks: list[Block] = list(update(snapshot, about)) or [Facts((("config", snapshot.config_name), *about))]
    if len(blocks) == 1 and (snapshot.variants or snapshot.pending):
        blocks.append(_variants(snapshot, config))
    if snapshot.failure_reason:
        blocks.append(Note(f"Reason: {snapshot.failure_reason}", "bad"))
    blocks += _trouble(snapshot, log)
    if done is not None:
        blocks.append(Note(done))
    if body is not None:
        blocks.append(Code(f"%%sm_endpoint {snapshot.name}\n{body}", "The cell that would reproduce it:"))
    return View(f"Endpoint {snapshot.name}", badge(snapshot.status), tuple(blocks))


def _trouble(snapshot: Snapshot, log: LogTail | None) -> Iterator[Block]:
    """Yield what there is to see and to do where nothing answers."""
    name = snapshot.name
    if log is not None:
        yield Code("\n".join(log.lines), f"Last lines of {log.stream}:")
    if snapshot.status == "Failed":
        yield Note(f"Run its cell again, mended, which replaces it, or delete it: %sm_delete {name} --yes")
    dead = [each.name for each in snapshot.variants if each.wanted_count and each.count == 0]
    if snapshot.status == "InService" and dead:
        told = f"No instance of {' and '.join(dead)} is ready. What they printed: %sm_logs {name}"
        yield Note(told, "bad")


def _variants(snapshot: Snapshot, config: Mapping[str, Any] | None) -> Table:
    made = config or {}
    everyone = (*made.get("ProductionVariants", ()), *(made.get("ShadowProductionVariants") or ()))
    details = {each["VariantName"]: each for each in everyone}
    images = _images(snapshot.raw)
    states = snapshot.variants or snapshot.pending
    total = sum(each.wanted_weight or 0.0 for each in states) or 1.0
    columns = (
        Column("variant"),
        Column("model"),
        Column("image"),
        Column("instances"),
        Column("weight", number=True),
        Column("traffic"),
        Column("", number=True),
    )

    def row(state: VariantState, name: str, note: str = "") -> tuple[str, ...]:
        detail = details.get(state.name, {})
        share = min(1.0, (state.wanted_weight or 0.0) / total)
        return (
            name,
            detail.get("ModelName", "unknown: the config was deleted"),
            short_image(images.get(state.name, "")),
            _instances(state, detail),
            _number(state.wanted_weight),
            bar(share),
            f"{percent(share)}{note}",
        )

    rows = [row(each, each.name) for each in states]
    rows += [row(each, f"{each.name} (shadow)", " copied") for each in snapshot.shadows]
    return Table(columns, tuple(rows))


def _capture(raw: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the fact about data capture: how much goes where, and whether it arrives."""
    told = raw.get("DataCaptureConfig")
    if not told or not told["EnableCapture"]:
        return ()
    stopped = "" if told["CaptureStatus"] == "Started" else f" ({told['CaptureStatus']})"
    return (("capture", f"{told['CurrentSamplingPercentage']} % to {told['DestinationS3Uri']}{stopped}"),)


def _images(raw: Mapping[str, Any]) -> Mapping[str, str]:
    pending = raw.get("PendingDeploymentSummary") or {}
    production = raw.get("ProductionVariants") or pending.get("ProductionVariants") or ()
    variants = (*production, *(raw.get("ShadowProductionVariants") or ()))
    return {
        each["VariantName"]: images[0].get("SpecifiedImage", "")
        for each in variants
        if (images := each.get("DeployedImages"))
    }


def _instances(state: VariantState, detail: Mapping[str, Any]) -> str:
    if "ServerlessConfig" in detail:
        return "serverless"
    kind = detail.get("InstanceType", "")
    count = state.wanted_count if state.wanted_count is not None else detail.get("InitialInstanceCount", "?")
    reached = "" if state.count in {None, count} else f"{state.count} of "
    return f"{reached}{count} × {kind}" if kind else f"{reached}{count}"


def done(done: Sequence[Action], *, verified: bool) -> str:
    """Return the sentence that tells which calls were made."""
    if not done:
        return "Nothing to change: the endpoint is what the cell says."
    calls = Counter(each.operation for each in done)
    told = ", ".join(name if number == 1 else f"{number} × {name}" for name, number in calls.items())
    said = f"Done and verified: {told}." if verified else f"Asked for, and not waited for: {told}."
    return "\n".join([said, *(each.caution for each in done if each.caution)])


def short_image(uri: str) -> str:
    """Return an image without its registry: `sagemaker-xgboost:3.0-5`."""
    return uri.rpartition("/")[2]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def endpoints(snapshots: Iterable[Snapshot], where: str, *, live: bool = False) -> View:
    """Return the table of all endpoints of a connection; a live one says what those are at that move."""
    rows = tuple(
        (
            each.name,
            each.status,
            ", ".join(state.name for state in each.variants or each.pending),
            _traffic(each.variants or each.pending),
            _ready(each.variants),
            *(["" if each.settled else summary(each)] if live else []),
        )
        for each in snapshots
    )
    columns: tuple[Column, ...] = (
        Column("endpoint"),
        Column("status"),
        Column("variants"),
        Column("traffic"),
        Column("instances", number=True),
    )
    columns = (*columns, Column("", prose=True)) if live else columns
    block: Block = Table(columns, rows) if rows else Note("There are no endpoints yet.")
    return View(f"Endpoints · {where}", None, (block,))


def _ready(states: Sequence[VariantState]) -> str:
    """Return how many instances there are, and of how many where some are missing."""
    count = sum(each.count or 0 for each in states)
    wanted = sum(each.wanted_count or 0 for each in states)
    return f"{count} of {wanted}" if count < wanted else str(count)


def _traffic(states: Sequence[VariantState]) -> str:
    total = sum(each.wanted_weight or 0.0 for each in states) or 1.0
    return " / ".join(percent((each.wanted_weight or 0.0) / total) for each in states)


def plan(plan: Plan) -> View:
    """Return the card of a plan: what would be called, in order, and why."""
    title = f"Plan for endpoint {plan.endpoint}"
    if plan.settle_first:
        text = "The service is changing this endpoint right now: it would be waited for, then looked at again."
        return View(title, Badge("wait first", "busy"), (Note(text),))
    if not plan.actions:
        return View(title, Badge("nothing to do", "good"), (Note("The endpoint is what the cell says."),))
    count = len(plan.actions)
    return View(
        title,
        Badge(f"{count} call{'s' if count > 1 else ''}", "busy"),
        (_actions(plan.actions), *_cautions(plan.actions), *map(Note, plan.notes)),
    )


def _cautions(actions: Sequence[Action]) -> tuple[Note, ...]:
    return tuple(Note(each.caution) for each in actions if each.caution)


def _actions(actions: Sequence[Action]) -> Table:
    columns = (
        Column("", number=True),
        Column("AWS call"),
        Column("what", prose=True),
        Column("from", prose=True),
        Column("to", prose=True),
        Column("why", prose=True),
    )
    rows = tuple(
        (str(number), each.operation, each.what, each.before or "–", each.after or "–", each.why)
        for number, each in enumerate(actions, 1)
    )
    return Table(columns, rows)


def deletion(going: Deletion, *, done: bool) -> View:
    """Return the card of a deletion, planned or done."""
    columns = (Column("deleted" if done else "would be deleted"), Column("AWS call"))
    rows = tuple((each.what, each.operation) for each in going.actions)
    blocks: list[Block] = [Table(columns, rows)]
    blocks += [Note(f"Kept {what}: {why}.") for what, why in going.kept]
    if not done:
        blocks.append(Note(f"Nothing was deleted. To do it: %sm_delete {going.name} --yes"))
    return View(f"Deleting {going.name}", Badge("done", "good") if done else Badge("not yet", "busy"), tuple(blocks))


def inventory(owned: Inventory, where: str) -> View:
    """Return the card of everything that is ours, and of what is left over."""
    things = (*owned.endpoints, *owned.alarms, *owned.configs, *owned.models)
    if not things:
        return View(f"Made by sm_magics · {where}", None, (Note("Nothing."),))
    left = owned.leftovers
    columns = (Column("kind"), Column("name"), Column("made for"), Column("status"))
    rows = tuple((each.kind, each.name, each.owner, "left over" if each in left else each.status) for each in things)
    blocks: list[Block] = [Table(columns, rows)]
    blocks += [
        Note(f"Left over from endpoint {owner}, which is gone. To delete it: %sm_delete {owner} --yes")
        for owner in dict.fromkeys(each.owner for each in left)
    ]
    return View(f"Made by sm_magics · {where}", None, tuple(blocks))


def faults(endpoint: str, faults: Sequence[Fault]) -> View:
    """Return the card of what goes wrong on purpose with an endpoint."""
    title = f"Faults of {endpoint}"
    if not faults:
        return View(title, Badge("no faults", "good"), (Note("Nothing goes wrong on purpose."),))
    columns = (Column("kind"), Column("variant"), Column("how much"), Column("fleets"))
    rows = tuple((each.kind, each.variant or "all", _how_much(each), _fleets(each)) for each in faults)
    told = (
        f"They end with %sm_fault {endpoint} clear. They are in memory only: a restart of the engine clears them, too."
    )
    badge = Badge(f"{len(faults)} fault{'s' if len(faults) > 1 else ''}", "bad")
    return View(title, badge, (Table(columns, rows), Note(told)))


def _how_much(fault: Fault) -> str:
    if fault.seconds is not None:
        return f"{duration(fault.seconds)} later"
    if fault.percentage is not None:
        return f"{percent(fault.percentage / 100)} of invocations"
    return _ALL_OF_IT[fault.kind]


def _fleets(fault: Fault) -> str:
    if not fault.next_only:
        return "all"
    return "the next" if fault.spared is None else f"all but that of {fault.spared}"


def _open(key: str, value: str) -> str:
    """Return a variable of a container's environment as a card may show it: cards are saved with the notebook."""
    is_secret = _SECRET.search(key) or _WITH_PASSWORD.search(value)
    return "hidden, as it looks like a secret" if is_secret and value else value


def model(name: str, request: Mapping[str, Any], note: str) -> View:
    """Return the card of a model."""
    container: Mapping[str, Any] = request.get("PrimaryContainer") or next(iter(request.get("Containers") or ()), {})
    pairs = [
        ("image", container.get("Image", "")),
        ("data", container.get("ModelDataUrl", "none")),
        *((key, _open(key, value)) for key, value in (container.get("Environment") or {}).items()),
        ("role", request.get("ExecutionRoleArn", "")),
    ]
    blocks: list[Block] = [Facts(tuple(pairs))]
    return View(f"Model {name}", None, (*blocks, Note(note)) if note else tuple(blocks))


def facts(title: str, pairs: Mapping[str, str], note: str = "") -> View:
    """Return a card of names and values."""
    blocks: list[Block] = [Facts(tuple(pairs.items()))]
    return View(title, None, (*blocks, Note(note)) if note else tuple(blocks))
