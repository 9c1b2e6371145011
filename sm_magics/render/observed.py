"""The cards of what was observed of an endpoint: what its instances printed, and how it was used."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sm_magics.amounts import duration
from sm_magics.logs import plain
from sm_magics.metrics import PERCENTILES
from sm_magics.render.view import Badge, Column, Note, Picture, Table, View, sparks
from sm_magics.target import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sm_magics.logs import Entry
    from sm_magics.metrics import Span, Used
    from sm_magics.render.view import Block

__all__ = ["followed", "following", "latency", "logs", "metrics"]

TIME_WIDTH = 9  # of a latency as text, so that a card's layout does not depend on it
PERCENT_WIDTH = 8  # the same of a utilisation
MOST_SPARKS = 30
LONGEST_LINE = 2000  # characters of a printed line that a card shows


def logs(endpoint: str, variant: str | None, entries: Sequence[Entry], *, lines: int, times: bool) -> View:
    """Return the card of what the instances of an endpoint, or of one variant, printed last."""
    title = _title(endpoint, variant)
    if not entries:
        return View(title, None, (Note("Nothing was printed yet, answered health checks aside."),))
    blocks: list[Block] = []
    if len(entries) > lines:
        blocks.append(Note(f"The last {lines} of {len(entries)} lines; the object's `entries` has them all."))
    blocks.append(_printed(entries[-lines:], times=times))
    return View(title, None, tuple(blocks))


def _title(endpoint: str, variant: str | None) -> str:
    return f"Logs of {endpoint}" if variant is None else f"Logs of {endpoint}, variant {variant}"


def followed(endpoint: str, variant: str | None, entries: Sequence[Entry]) -> View:
    """Return the card of a log whose lines were printed while it was followed."""
    count = f"{len(entries)} line{'' if len(entries) == 1 else 's'}"
    told = (
        f"{count} while it was followed; the object's `entries` has them."
        if entries
        else "Nothing was printed yet, answered health checks aside."
    )
    return View(_title(endpoint, variant), None, (Note(told),))


def following(entries: Sequence[Entry]) -> View:
    """Return the card of a log while it is followed."""
    note = Note("Interrupt the cell to end it; what was seen is kept.")
    block = _printed(entries, times=True) if entries else Note("Nothing was printed yet, answered health checks aside.")
    return View("Logs", Badge("following", "busy"), (block, note))


def _printed(entries: Sequence[Entry], *, times: bool) -> Table:
    """Return the lines with who printed them: instances by their numbers, or with their ids and times."""
    numbers = _numbers(entries)
    columns = [Column("variant"), Column("instance"), Column("printed", code=True)]
    if times:
        columns.insert(0, Column("time (UTC)"))

    def cells(entry: Entry) -> tuple[str, ...]:
        if times:
            return _time(entry.time), entry.variant, entry.instance, _cut(entry.text)
        return entry.variant, str(numbers[entry.variant, entry.instance]), _cut(entry.text)

    return Table(tuple(columns), tuple(map(cells, entries)))


def _numbers(entries: Sequence[Entry]) -> dict[tuple[str, str], int]:
    """Return each instance's number among those of its variant, in the order in which they printed."""
    numbers: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    for entry in entries:
        if (entry.variant, entry.instance) not in numbers:
            counts[entry.variant] = counts.get(entry.variant, 0) + 1
            numbers[entry.variant, entry.instance] = counts[entry.variant]
    return numbers


def _time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{milliseconds % 1000:03d}"


def _cut(text: str) -> str:
    text = plain(text)
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1] + "…"


def metrics(endpoint: str, used: Sequence[Used], when: Span, *, draw: Callable[[], bytes] | None) -> View:
    """Return the card of how the variants of an endpoint were used.

    Parameters
    ----------
    draw
        Returns the picture as a PNG file; None where there is none to be had.
    """
    title = f"Metrics of {endpoint} · last {duration(when.seconds)}"
    if not any(each.invocations for each in used):
        told = "No invocations were counted in this time. On AWS they are counted a minute or two later."
        return View(title, None, (Note(told), *_utilisation(used, when)))
    blocks: list[Block] = [_counts(used, when), _latencies([each for each in used if each.invocations], when)]
    blocks += _utilisation(used, when)
    if draw is not None:
        told = f"Invocations, errors and latencies of {endpoint} over the last {duration(when.seconds)}"
        blocks.append(Picture(draw, told))
    return View(title, None, tuple(blocks))


def _counts(used: Sequence[Used], when: Span) -> Table:
    columns = (
        Column("variant"),
        Column("invocations", number=True),
        Column(f"per {_spark_period(when)}"),
        Column("4XX errors", number=True),
        Column("5XX errors", number=True),
        Column("model errors", number=True),
        Column("error share", number=True),
    )

    def row(each: Used) -> tuple[str, ...]:
        share = percent(each.errors / each.invocations) if each.invocations else "–"
        errors = (_count(each.total[key]) for key in ("errors_4xx", "errors_5xx", "model_errors"))
        return each.variant, _count(each.invocations), sparks(_fewer(each.series["invocations"], sum)), *errors, share

    return Table(columns, tuple(map(row, used)))


def _latencies(used: Sequence[Used], when: Span) -> Table:
    columns = (
        Column("variant"),
        Column("latency of"),
        *(Column(name, number=True, width=TIME_WIDTH) for name in PERCENTILES),
        Column(f"p99 per {_spark_period(when)}"),
    )
    rows = tuple(
        (
            each.variant,
            kind,
            *(latency(each.total[f"{key}_{name}"]) for name in PERCENTILES),
            sparks(_fewer(each.series[f"{key}_p99"], max)),
        )
        for each in used
        for kind, key in (("the model", "model"), ("SageMaker's overhead", "overhead"))
    )
    return Table(columns, rows)


def _utilisation(used: Sequence[Used], when: Span) -> tuple[Table, ...]:
    """Return how busy the instances were; nothing when that was not measured, as in the first minute of an endpoint."""
    measured = [each for each in used if each.total["cpu"] is not None or each.total["memory"] is not None]
    columns = (
        Column("variant"),
        Column("utilisation of"),
        *(Column(name, number=True, width=PERCENT_WIDTH) for name in ("average", "most")),
        Column(f"average per {_spark_period(when)}"),
    )
    rows = tuple(
        (
            each.variant,
            kind,
            *(_percent(each.total[key]) for key in (of, f"{of}_most")),
            sparks(_fewer(each.series[of], max)),
        )
        for each in measured
        for kind, of in (("CPU", "cpu"), ("memory", "memory"))
    )
    return (Table(columns, rows),) if rows else ()


def _fewer(values: Sequence[float | None], joined: Callable[[list[float]], float]) -> list[float | None]:
    """Return at most `MOST_SPARKS` values, each of which joins as many of `values`; the last may be of fewer."""
    size = -(-len(values) // MOST_SPARKS)
    groups = ([v for v in values[at : at + size] if v is not None] for at in range(0, len(values), size))
    return [joined(group) if group else None for group in groups]


def _spark_period(when: Span) -> str:
    return duration(when.period * -(-when.count // MOST_SPARKS))


def _count(value: float | None) -> str:
    return f"{value or 0.0:,.0f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} %"


def latency(value: float | None) -> str:
    """Return a latency in milliseconds as people read it."""
    if value is None:
        return "–"
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms"  # noqa: PLR2004 - three digits tell enough
