"""The card of a load: what was sent, what was lost, how long it took, and who answered when."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from sm_magics.amounts import duration
from sm_magics.errors import in_words
from sm_magics.render.view import Badge, Column, Facts, Note, Picture, Table, View, bar, sparks
from sm_magics.target import percent

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from sm_magics.compare.load import Load, Tally
    from sm_magics.events import Loading
    from sm_magics.render.view import Block

__all__ = ["figure", "load", "progress", "series", "summary"]

MOST_STEPS = 60  # of the picture; as text, half as many
MOST_ERRORS = 5
LOST = "#c8443c"
JUST_BEGUN = 2.0  # seconds: before, there are no numbers yet that would tell anything


def load(made: Load, *, pictures: bool) -> View:
    """Return the card of a load: what it is to be while it goes on, what became of it afterwards."""
    to = (
        made.target.endpoint
        if made.target.variant is None
        else f"{made.target.endpoint}, variant {made.target.variant}"
    )
    title = f"Load on {to} · {made.rate:g} requests a second for {duration(made.seconds)}"
    if made.running:
        name = made.target.endpoint
        told = f"It goes on in the background. %sm_load {name} shows this card anew, %sm_load {name} stop ends it."
        so_far = () if made.elapsed < JUST_BEGUN else (_so_far(made.now()),)
        return View(title, Badge("running", "busy"), (*so_far, Note(told)))
    if made.failure is not None:
        return View(title, Badge("failed", "bad"), (Note(in_words(made.failure), "bad"),))
    tally = made.tally
    if not tally.sent:
        early = f" after {_time(made.elapsed)} of {duration(made.seconds)}" if made.stopped else ""
        told = f"Nothing was answered before it was stopped{early}."
        return View(title, Badge("stopped", "plain"), (Note(told),))
    badge = Badge(f"{tally.lost:,} lost", "bad") if tally.lost else Badge("none lost", "good")
    blocks: list[Block] = [_counts(tally), _variants(tally, pictures=pictures)]
    if made.stopped:
        early = f"Stopped early, after {_time(made.elapsed)} of {duration(made.seconds)}"
        blocks.insert(0, Note(f"{early}: {tally.sent:,} of {made.count:,} requests had come to an end."))
    if tally.errors:
        blocks.append(_errors(tally))
    if pictures:
        blocks.append(Picture(lambda: _png(tally), f"Requests a second that each variant of {to} answered"))
    return View(title, badge, tuple(blocks))


def progress(seen: Loading) -> View:
    """Return the card of a load that is waited for."""
    share = min(1.0, seen.seconds / seen.whole)
    note = Note("Interrupt the cell to end the waiting; the load goes on.")
    blocks = (Note(f"{bar(share)} {percent(share)} of {duration(seen.whole)}"), _so_far(seen), note)
    return View(f"Load on {seen.endpoint}", Badge("running", "busy"), blocks)


def summary(seen: Loading) -> str:
    """Return a line on how far a load is: the same for each tenth of it."""
    return f"load on {seen.endpoint}: {int(min(10.0, seen.seconds * 10 / seen.whole)) * 10} % of {duration(seen.whole)}"


def _so_far(seen: Loading) -> Facts:
    lost = f"{seen.lost:,}, most often: {textwrap.shorten(seen.error, 120)}" if seen.error else f"{seen.lost:,}"
    pairs = [("sent", f"{seen.sent:,}"), ("a second", f"{seen.rate:,.1f}"), ("answered", f"{seen.sent - seen.lost:,}")]
    latencies = [(f"latency {name}", _milliseconds(each)) for name, each in (("p50", seen.p50), ("p99", seen.p99))]
    return Facts((*pairs, ("errors", lost), *latencies))


def _time(seconds: float) -> str:
    return duration(round(seconds) if seconds >= 1 else round(seconds, 1))


def _milliseconds(latency: float | None) -> str:
    return "–" if latency is None else f"{latency * 1000:.1f} ms"


def _counts(tally: Tally) -> Facts:
    pairs = [("sent", f"{tally.sent:,}"), ("answered", f"{tally.answered:,}"), ("lost", f"{tally.lost:,}")]
    if tally.again:
        pairs.append(("sent again", f"{tally.again:,} times, as every AWS client does"))
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        pairs.append((f"latency {name}", _milliseconds(tally.percentile(share))))
    return Facts(tuple(pairs))


def _variants(tally: Tally, *, pictures: bool) -> Table:
    """Return who answered how much; over time in little bars where there is no picture of that."""
    step, named = series(tally, MOST_STEPS // 2)
    columns = [Column("variant"), Column("answered", number=True), Column("share", number=True), Column("")]
    if not pictures:
        columns.append(Column(f"per {duration(step)}"))

    def row(name: str, counts: Sequence[int], whole: int) -> tuple[str, ...]:
        share = sum(counts) / whole if whole else 0.0
        cells = (name, f"{sum(counts):,}", percent(share), bar(share))
        return cells if pictures else (*cells, sparks([float(each) for each in counts]))

    answered = [row(name, counts, tally.answered) for name, counts in sorted(named.items()) if name]
    lost = [row("lost", named[""], tally.sent)] if tally.lost else []
    return Table(tuple(columns), (*answered, *lost))


def _errors(tally: Tally) -> Table:
    columns = (Column("times", number=True), Column("what was answered instead", prose=True))
    rows = [(f"{count:,}", told) for told, count in tally.errors.most_common(MOST_ERRORS)]
    more = sum(tally.errors.values()) - sum(count for _, count in tally.errors.most_common(MOST_ERRORS))
    return Table(columns, (*rows, *([(f"{more:,}", "other errors")] if more else [])))


def series(tally: Tally, most: int) -> tuple[int, dict[str, list[int]]]:
    """Return the seconds of a step, and how many were answered by each variant in each; lost ones under no name.

    There are at most `most` steps.
    """
    counted: dict[str, Counter[int]] = {**tally.by_variant, **({"": tally.lost_at} if tally.lost else {})}
    seconds = 1 + max((second for each in counted.values() for second in each), default=0)
    step = -(-seconds // most)
    named = {name: [0] * -(-seconds // step) for name in counted}
    for name, each in counted.items():
        for second, count in each.items():
            named[name][second // step] += count
    return step, named


def figure(tally: Tally) -> Any:
    """Return the matplotlib figure of the requests a second: what each variant answered, and what was lost."""
    from matplotlib.figure import Figure

    from sm_magics.render.plots import COLOURS, INK, PANEL_HEIGHT, WIDTH, plain

    step, named = series(tally, MOST_STEPS)
    made = Figure(figsize=(WIDTH, PANEL_HEIGHT + 0.75), layout="constrained")
    axes = made.subplots()
    names = [*sorted(name for name in named if name), *([""] if "" in named else [])]
    times = [step * at for at in range(len(next(iter(named.values()))))]
    below = [0.0] * len(times)
    for name, colour in zip(names, [*COLOURS[: len(names) - ("" in named)], LOST], strict=False):
        rates = [count / step for count in named[name]]
        axes.bar(times, rates, step, below, align="edge", color=colour, label=name or "lost", linewidth=0)
        below = [a + b for a, b in zip(below, rates, strict=True)]
    axes.set_ylabel("requests\na second")
    plain(axes, whole=False)
    axes.set_xlim(0, times[-1] + step)
    axes.set_xlabel("seconds since the beginning", color=INK, fontsize=9)
    made.legend(loc="outside upper left", ncols=6, frameon=False, fontsize=9, labelcolor=INK)
    return made


def _png(tally: Tally) -> bytes:
    from sm_magics.render.plots import saved

    return saved(figure(tally))
