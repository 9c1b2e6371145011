"""The card of rows that were sent: each row with its prediction, truth and error, and how the answers split."""

from __future__ import annotations

from collections import Counter
from statistics import fmean, median
from typing import TYPE_CHECKING

from sm_magics.render.view import Code, Column, Note, Table, View, bar
from sm_magics.rows import missing, number_of
from sm_magics.target import percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sm_magics.invoke import Answer, Invocations, Prediction, Row, Target
    from sm_magics.render.view import Block

__all__ = ["invocations", "payload"]

TIME_WIDTH = 9  # of a latency as text: the same for 0.4 ms and 1234.5 ms, so that a card's layout does not depend on it
MOST_ROWS = 50  # that a card lists; the object has them all
MOST_ERRORS = 10  # different ones; the object has them all
MOST_LINES, MOST_CHARACTERS = 50, 10_000  # of an answer; the object has it all


def invocations(sent: Invocations) -> View:
    """Return the card of rows that were sent to an endpoint."""
    with_truth = any(row.truth is not None for row in sent.rows)
    listed = sent.rows[:MOST_ROWS]
    blocks: list[Block] = [_rows(listed, with_truth=with_truth)] if listed else []
    if len(sent.rows) > len(listed):
        blocks.append(Note(f"… and {len(sent.rows) - len(listed)} more rows, in the object's `rows`."))
    blocks += _left_out(sent.rows) if with_truth else ()
    if sent.target.variant is None and sent.rows:
        blocks.append(_split(sent))
    if sent.failed:
        blocks.append(_failures(sent))
    count = len(sent.rows) + len(sent.failed)
    of = f" of {sent.available}" if sent.available and sent.available > count else ""
    return View(f"{count}{of} row{'s' if count != 1 else ''} to {_address(sent.target)}", None, tuple(blocks))


def payload(target: Target, answer: Answer) -> View:
    """Return the card of one payload that was sent."""
    note = Note(f"{answer.variant} answered in {_milliseconds(answer.milliseconds)}")
    return View(f"Answer of {_address(target)}", None, (Code(_cut(answer.body), answer.content_type), note))


def _cut(text: str) -> str:
    """Return the beginning of a long answer, and how much more there is."""
    lines = text.rstrip("\n").split("\n")
    kept = "\n".join(lines[:MOST_LINES])
    if len(kept) > MOST_CHARACTERS:
        return (
            f"{kept[:MOST_CHARACTERS]}\n… and {len(text) - MOST_CHARACTERS:,} more characters, in the object's `body`"
        )
    return (
        kept
        if len(lines) <= MOST_LINES
        else f"{kept}\n… and {len(lines) - MOST_LINES:,} more lines, in the object's `body`"
    )


def _address(target: Target) -> str:
    return target.endpoint if target.variant is None else f"{target.endpoint}, variant {target.variant}"


def _rows(rows: tuple[Row, ...], *, with_truth: bool) -> Table:
    columns = [Column("row", number=True), Column("prediction", number=True)]
    if with_truth:
        columns += [Column("truth", number=True), Column("error", number=True)]
    columns += [Column("variant"), Column("latency", number=True, width=TIME_WIDTH)]

    def cells(row: Row) -> tuple[str, ...]:
        truth = ("–" if missing(row.truth) else _shown(row.truth), _signed(row.error)) if with_truth else ()
        return str(row.number), _shown(row.prediction), *truth, row.variant, _milliseconds(row.milliseconds)

    return Table(tuple(columns), tuple(cells(row) for row in rows))


def _left_out(rows: tuple[Row, ...]) -> Iterator[Note]:
    """Yield how many rows have no error for want of a true value, or, beside those that have one, of a number."""
    unknown = sum(missing(row.truth) for row in rows)
    odd = sum(number_of(row.truth) is None for row in rows) - unknown
    if all(row.error is None for row in rows):
        odd = 0  # truths that are labels have no errors at all
    for count, what in ((unknown, "no true value"), (odd, "a true value that is no finite number")):
        if count:
            left = f"has {what}, and is" if count == 1 else f"have {what}, and are"
            yield Note(f"{count} of {len(rows)} rows {left} left out of the errors.")


def _split(sent: Invocations) -> Table:
    """Return how many rows each variant answered, against its weight, and how far off it was."""
    names = list(dict.fromkeys([*sent.weights, *(row.variant for row in sent.rows)]))
    total = sum(sent.weights.values()) or 1.0
    with_error = any(row.error is not None for row in sent.rows)
    columns = [
        Column("variant"),
        Column("answers"),
        Column("", number=True),
        Column("share", number=True),
        Column("by weight", number=True),
        *([Column("mean |error|", number=True)] if with_error else []),
        Column("median latency", number=True, width=TIME_WIDTH),
    ]

    def cells(name: str) -> tuple[str, ...]:
        own = [row for row in sent.rows if row.variant == name]
        errors = [abs(row.error) for row in own if row.error is not None]
        share = len(own) / len(sent.rows)
        return (
            name,
            bar(share),
            str(len(own)),
            percent(share),
            percent(sent.weights.get(name, 0.0) / total),
            *([f"{fmean(errors):.2f}" if errors else "–"] if with_error else []),
            _milliseconds(median(row.milliseconds for row in own)) if own else "–",
        )

    return Table(tuple(columns), tuple(cells(name) for name in names), "How the answers split over the variants")


def _failures(sent: Invocations) -> Table:
    """Return how many rows failed, those with the same error as one."""
    counts = Counter(each.error.message for each in sent.failed)
    firsts: dict[str, int] = {}
    for each in sent.failed:
        firsts.setdefault(each.error.message, each.number)
    columns = (Column("failed", number=True), Column("first row", number=True), Column("what came back", prose=True))
    rows = tuple((str(count), str(firsts[told]), told) for told, count in counts.most_common(MOST_ERRORS))
    count = len(sent.rows) + len(sent.failed)
    return Table(columns, rows, f"{len(sent.failed)} of {count} rows failed")


def _shown(value: Prediction | object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 1e6 else f"{value:.6g}"  # noqa: PLR2004 - where decimals stop mattering
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 - what fits a table


def _signed(error: float | None) -> str:
    text = "" if error is None else f"{error:+.2f}"
    return text.lstrip("+-") if text.strip("+-0.") == "" else text  # not -0.00


def _milliseconds(value: float) -> str:
    return f"{value:.1f} ms"
