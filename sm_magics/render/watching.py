"""The card of an endpoint on its way: the phase it is in, what is ready, how the traffic moves between two fleets.

All of it is what DescribeEndpoint gives, so the card is the same wherever the endpoint is.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from sm_magics.render.view import Badge, Column, Facts, Note, Table, View, badge, bar
from sm_magics.spec import policy_words
from sm_magics.target import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sm_magics.events import Stepping
    from sm_magics.render.view import Block
    from sm_magics.watch import Snapshot, VariantState

__all__ = ["held", "span", "stepping", "summary", "update", "watching"]

_PHASES = {
    "Creating": "starting",
    "Updating": "updating",
    "Deleting": "going",
    "ActivatingTraffic": "moving traffic",
    "Baking": "baking",
}
_EARLIER = "This change was asked for before. It is waited for; what this cell asks for comes then."
_STATES = {"OK": "OK", "ALARM": "in ALARM", "INSUFFICIENT_DATA": "no data yet"}
_BAKING = re.compile(r"Baking for (\d+) seconds")
MINUTE = 60


def watching(snapshot: Snapshot, *, earlier: bool = False) -> View:
    """Return the card of an endpoint that is on its way, maybe to what was asked for `earlier` than by this cell."""
    blocks = update(snapshot, (("waited", span(snapshot.elapsed)),)) or tuple(_alone(snapshot))
    notes = (Note(_EARLIER),) if earlier else ()
    return View(f"Endpoint {snapshot.name}", badge(snapshot.status), (*blocks, *notes))


def update(snapshot: Snapshot, about: Sequence[tuple[str, str]]) -> tuple[Block, ...]:
    """Return what there is to say of an update that is under way, and `about` it; nothing where there is none."""
    return tuple(_update(snapshot, about)) if _is_update(snapshot) else ()


def stepping(at: Stepping) -> View:
    """Return the card of a variant whose share of traffic rises step by step."""
    facts = Facts((("share", f"{bar(at.percent / 100)} {at.percent:g} %"), ("held for", f"{span(at.left)} more")))
    return View(f"Traffic of {at.endpoint}", Badge("stepping", "busy"), (facts, Note(held(at))))


def held(at: Stepping) -> str:
    """Return which share a variant has, and which it gets next, without the time."""
    then = ", then ".join(f"{each:g} %" for each in at.to_come)
    return f"{at.variant} has {at.percent:g} % of the traffic" + (f"; next {then}" if then else "; the last step")


def summary(snapshot: Snapshot) -> str:
    """Return where an endpoint is on its way, in a few words without the time."""
    if _is_update(snapshot):
        share = _share(snapshot)
        moved = "" if share is None else f"new {percent(share)}"
        rung = ", ".join(f"{each.name} in ALARM" for each in snapshot.alarms if each.state == "ALARM")
        return ", ".join(
            filter(None, [_phase(snapshot), _steps(snapshot), moved or _readiness(snapshot.pending), rung])
        )
    return _readiness(snapshot.pending or snapshot.variants)


def _is_update(snapshot: Snapshot) -> bool:
    return bool(snapshot.variants) and snapshot.pending_config not in {None, snapshot.config_name}


def _readiness(states: Sequence[VariantState]) -> str:
    """Return how many instances are ready of those wanted; a serverless variant wants no number of them."""
    return ", ".join(
        f"{each.name} {_word(each)}" if each.wanted_count is None else f"{each.name} {_ready(each)} ready"
        for each in states
    )


def _ready(state: VariantState) -> str:
    return f"{state.count or 0} of {state.wanted_count}"


def _alone(snapshot: Snapshot) -> Iterator[Block]:
    """Yield what there is to say while there is one fleet: instances ready of instances wanted."""
    states = snapshot.pending or snapshot.variants
    columns = (Column("variant"), Column("phase"), Column("ready", number=True), Column("instances"))

    def row(state: VariantState) -> tuple[str, ...]:
        if not state.wanted_count:
            return state.name, _word(state), "", ""
        return state.name, _word(state), _ready(state), bar((state.count or 0) / state.wanted_count)

    yield Facts((("waited", span(snapshot.elapsed)),))
    yield Table(columns, tuple(map(row, states)))


def _update(snapshot: Snapshot, about: Sequence[tuple[str, str]]) -> Iterator[Block]:
    policy = policy_words(snapshot.raw.get("LastDeploymentConfig") or {})
    told = [
        ("phase", " · ".join(filter(None, [_phase(snapshot), _steps(snapshot), _time(snapshot)]))),
        ("traffic", _split(share) if (share := _share(snapshot)) is not None else ""),
        ("policy", policy),
        ("new", snapshot.pending_config or ""),
        ("old", snapshot.config_name),
        *about,
    ]
    yield Facts(tuple(pair for pair in told if pair[1]))
    yield _fleets(snapshot)
    if snapshot.alarms:
        rows = tuple((each.name, _STATES.get(each.state, each.state)) for each in snapshot.alarms)
        yield Table((Column("alarm"), Column("state")), rows)
    if any(each.state == "ALARM" for each in snapshot.alarms):
        yield Note("An alarm has gone off: the update is rolled back, and the old fleet gets all traffic again.", "bad")


def _split(share: float) -> str:
    return f"new {percent(share)}  {bar(share)}  old {percent(1 - share)}"


def _fleets(snapshot: Snapshot) -> Table:
    """Return both fleets, each variant with its part of all traffic."""
    share = _share(snapshot)
    columns = (
        Column("fleet"),
        Column("variant"),
        Column("phase", width=len("moving traffic")),
        Column("ready", number=True),
        Column("weight", number=True),
        Column("traffic", width=10),
        Column("", number=True, width=len("33.3 %")),
    )

    def rows(fleet: str, states: Sequence[VariantState], part: float | None) -> Iterator[tuple[str, ...]]:
        total = sum(each.wanted_weight or 0.0 for each in states) or 1.0
        for each in states:
            own = None if part is None else part * (each.wanted_weight or 0.0) / total
            yield (
                fleet,
                each.name,
                _word(each),
                _ready(each) if each.wanted_count else "",
                _weight(each),
                "" if own is None else bar(own),
                "" if own is None else percent(own),
            )

    new = rows("new", snapshot.pending, share)
    old = rows("old", snapshot.variants, None if share is None else 1 - share)
    return Table(columns, (*new, *old))


def _share(snapshot: Snapshot) -> float | None:
    """Return the part of the traffic that the new fleet has, None where the service does not tell."""
    if any(each.weight is None for each in snapshot.pending):
        return None
    wanted = sum(each.wanted_weight or 0.0 for each in snapshot.pending)
    return min(1.0, sum(each.weight or 0.0 for each in snapshot.pending) / wanted) if wanted else None


def _phase(snapshot: Snapshot) -> str:
    if any(each.phase == "Deleting" for each in snapshot.variants):
        return "old fleet going"
    phases = [each.phase for each in snapshot.pending if each.phase]
    if phases and all(each == "Creating" for each in phases) and not _share(snapshot):
        return "starting the new fleet"
    return _PHASES.get(phases[-1], phases[-1]) if phases else "updating"


def _word(state: VariantState) -> str:
    return _PHASES.get(state.phase, state.phase) if state.phase else "serving"


def _weight(state: VariantState) -> str:
    if state.wanted_weight is None:
        return ""
    wanted = f"{state.wanted_weight:.3g}"
    return wanted if state.weight in {None, state.wanted_weight} else f"{state.weight:.3g} of {wanted}"


def _steps(snapshot: Snapshot) -> str:
    """Return how far a deployment is that takes more than one step: `step 1 of 2`."""
    config, share = snapshot.raw.get("LastDeploymentConfig") or {}, _share(snapshot)
    part = _step(config, sum(each.wanted_count or 0 for each in snapshot.pending))
    if not part or share is None:
        return ""
    kind = (config.get("BlueGreenUpdatePolicy") or {}).get("TrafficRoutingConfiguration", {}).get("Type")
    if kind == "CANARY":
        return f"step {1 if share < 1 else 2} of 2" if share else ""
    count = math.ceil(round(1 / part, 6))
    return f"step {math.ceil(round(share / part, 6))} of {count}" if share and count > 1 else ""


def _step(config: Mapping[str, Any], fleet: int) -> float:
    """Return how much of the traffic moves with one step, 0 where all of it does."""
    routing = (config.get("BlueGreenUpdatePolicy") or {}).get("TrafficRoutingConfiguration") or {}
    rolling = (config.get("RollingUpdatePolicy") or {}).get("MaximumBatchSize")
    size = routing.get("CanarySize") or routing.get("LinearStepSize") or rolling
    if not size:
        return 0.0
    if size["Type"] == "INSTANCE_COUNT":
        return float(size["Value"] / fleet) if fleet else 0.0
    part = float(size["Value"]) / 100
    return max(1, math.floor(part * fleet)) / fleet if rolling and fleet else part


def _time(snapshot: Snapshot) -> str:
    """Return how long the phase takes already, and how long it is to take where the service says so."""
    state = next((each for each in snapshot.pending if each.since is not None), None)
    if state is None or state.since is None or snapshot.now is None:
        return ""
    passed = max(0.0, (snapshot.now - state.since).total_seconds())
    baking = _BAKING.match(state.message or "")
    if baking is None or any(each.phase == "Deleting" for each in snapshot.variants):
        return ""
    whole = int(baking[1])
    return f"{span(min(passed, whole))} of {span(whole)}"


def span(seconds: float) -> str:
    """Return a time as people say it: `40 s`, `2 min 5 s`."""
    minutes, rest = divmod(round(seconds), MINUTE)
    return " ".join(filter(None, [f"{minutes} min" if minutes else "", f"{rest} s" if rest or not minutes else ""]))
