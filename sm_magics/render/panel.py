"""The panel of an endpoint: the same card while it is watched, and as the record that stays in the notebook."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sm_magics.render.observed import latency
from sm_magics.render.view import Code, Column, Facts, Note, Table, View, badge, bar, sparks
from sm_magics.render.watching import span, summary, update
from sm_magics.target import percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sm_magics.metrics import Span, Used
    from sm_magics.render.view import Block
    from sm_magics.watch import Snapshot, VariantState

__all__ = ["Lately", "declared", "events", "happened", "panel", "printed", "record", "still"]

RECENT = 3  # of the last whole periods are what rates and shares are of


@dataclass(frozen=True, slots=True)
class Lately:
    """How the variants of an endpoint were used lately; `problem` is why that is not known."""

    used: tuple[Used, ...]
    when: Span
    problem: str = ""


def panel(
    name: str, snapshot: Snapshot | None, where: str, lately: Lately | None = None, notes: Sequence[Note] = ()
) -> View:
    """Return the card of an endpoint that is watched: where it is, its variants, and the update that is under way."""
    title = f"Endpoint {name}"
    if snapshot is None:
        return View(title, badge("gone"), (Facts((("connection", where),)), *notes))
    about = [("connection", where)]
    if not snapshot.settled:
        about.append(("changing for", span(snapshot.elapsed)))
    blocks: list[Block] = list(update(snapshot, about)) or [Facts((*about, ("config", snapshot.config_name)))]
    blocks.append(_variants(snapshot, lately))
    if snapshot.failure_reason:
        blocks.append(Note(f"Reason: {snapshot.failure_reason}", "bad"))
    if lately is not None and lately.problem:
        blocks.append(Note(f"How it is used is not known: {lately.problem}"))
    return View(title, badge(snapshot.status), (*blocks, *notes))


def record(name: str, snapshot: Snapshot, where: str) -> View:
    """Return the panel as it stays in a notebook, and is read where no kernel runs."""
    told = f"As it was when %sm_panel {name} ran; run that cell to see it live and with its controls."
    return panel(name, snapshot, where, None, (Note(told),))


def printed(name: str, snapshot: Snapshot, where: str) -> View:
    """Return the panel as a terminal has it, which shows no controls."""
    told = "To change it here: %sm_traffic, %sm_promote, %sm_rollback, %sm_delete."
    return still(panel(name, snapshot, where, None, (Note(told),)))


def still(view: View) -> View:
    """Return the card of something live as a terminal has it, which keeps nothing up to date."""
    told = "As it is now. A notebook, in JupyterLab for one, keeps it up to date."
    return replace(view, blocks=(*view.blocks, Note(told)))


def declared(name: str, snapshot: Snapshot) -> View:
    """Return what a panel is of, without anything that another run may find changed."""
    total = sum(each.wanted_weight or 0.0 for each in snapshot.variants) or 1.0
    rows = tuple(
        (each.name, f"{each.wanted_weight or 0.0:g}", percent((each.wanted_weight or 0.0) / total))
        for each in snapshot.variants
    )
    columns = (Column("variant"), Column("weight", number=True), Column("traffic", number=True))
    return View(f"Panel of endpoint {name}", None, (Table(columns, rows),) if rows else ())


def events(lines: Sequence[str]) -> View:
    """Return the log of what happened while an endpoint was watched, the newest first."""
    return View("Events", None, (Code("\n".join(reversed(lines))) if lines else Note("Nothing happened yet."),))


def happened(snapshot: Snapshot | None) -> str:
    """Return where an endpoint is, and what failed, as a line of the log: the same as long as nothing happens."""
    if snapshot is None:
        return "gone"
    told = snapshot.failure_reason if snapshot.settled else summary(snapshot)
    return f"{snapshot.status}: {told}" if told else snapshot.status


def _variants(snapshot: Snapshot, lately: Lately | None) -> Table:
    states = snapshot.variants or snapshot.pending
    wanted = sum(each.wanted_weight or 0.0 for each in states) or 1.0
    used = {each.variant: each for each in lately.used} if lately is not None else {}
    measured = lately is not None and not lately.problem
    recent = {name: _recent(each) for name, each in used.items()}
    total = sum(_sum(recent[each.name], "invocations") for each in states if each.name in recent)
    columns = [
        Column("variant"),
        Column("status"),
        Column("weight", number=True),
        Column("instances", number=True),
        Column("traffic", width=10),
        Column("wanted", number=True),
    ]
    if measured:
        columns += [
            Column("now", number=True),
            Column("requests/s", number=True),
            Column("errors", number=True),
            Column("p50", number=True),
            Column("latency"),
        ]

    def row(state: VariantState, label: str) -> tuple[str, ...]:
        part = (state.wanted_weight or 0.0) / wanted
        told = (label, _status(state), _weight(state), _instances(state), bar(part), percent(part))
        if not measured or lately is None:
            return told
        if state.name not in used:
            return (*told, "–", "–", "–", "–", "")
        asked = _sum(recent[state.name], "invocations")
        failed = _sum(recent[state.name], "errors_4xx") + _sum(recent[state.name], "errors_5xx")
        typical = used[state.name].series["model_p50"]
        last = next((each for each in reversed(typical) if each is not None), None)
        seconds = lately.when.period * RECENT
        return (
            *told,
            percent(asked / total) if total and label == state.name else "–",
            _rate(asked / seconds),
            percent(failed / asked) if asked else "–",
            latency(last),
            sparks(typical),
        )

    rows = [row(each, each.name) for each in states]
    rows += [row(each, f"{each.name} (shadow)") for each in snapshot.shadows]
    caption = (
        "" if not measured or lately is None else f"Now: the last {RECENT * lately.when.period} s that were counted."
    )
    return Table(tuple(columns), tuple(rows), caption)


def _recent(used: Used) -> Mapping[str, Sequence[float | None]]:
    """Return what was counted in the last whole periods; the very last one is not over yet."""
    return {key: values[-RECENT - 1 : -1] for key, values in used.series.items()}


def _sum(recent: Mapping[str, Sequence[float | None]], key: str) -> float:
    return math.fsum(each or 0.0 for each in recent[key])


def _status(state: VariantState) -> str:
    if state.phase is not None:
        return state.phase
    if state.wanted_count and (state.count or 0) < state.wanted_count:
        return "not ready" if not state.count else "serves in part"
    return "serves" if state.settled else "changing"


def _weight(state: VariantState) -> str:
    wanted = f"{state.wanted_weight or 0.0:.4g}"
    return wanted if state.weight in {None, state.wanted_weight} else f"{state.weight:.4g} → {wanted}"


def _instances(state: VariantState) -> str:
    if state.wanted_count is None:
        return "serverless"
    return (
        str(state.wanted_count) if state.count == state.wanted_count else f"{state.count or 0} of {state.wanted_count}"
    )


def _rate(each_second: float) -> str:
    return f"{each_second:.1f}" if each_second < 100 else f"{each_second:,.0f}"  # noqa: PLR2004 - three digits do
