"""The card of a comparison: the verdict, what each variant did, how sure the differences are, and where they lie."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from sm_magics.amounts import duration
from sm_magics.compare.statistics import ALPHA, LEAST_ROWS, MANY_APART, MANY_ROWS
from sm_magics.compare.verdict import digits
from sm_magics.render.view import Badge, Column, Facts, Note, Picture, Table, View, bar
from sm_magics.target import percent

if TYPE_CHECKING:
    from sm_magics.compare.comparison import Comparison
    from sm_magics.compare.slices import Slice
    from sm_magics.compare.statistics import Difference
    from sm_magics.events import Progress
    from sm_magics.render.view import Block

__all__ = ["comparison", "progress", "summary"]

LEAST_DRAWN = 20  # rows: fewer are better read than seen

_BADGES = {
    "same": ("no difference", "plain"),
    "open": ("no difference shown", "plain"),
    "unknown": ("no verdict", "plain"),
}


def comparison(made: Comparison, *, pictures: bool) -> View:
    """Return the card of a comparison that is over."""
    verdict = made.verdict
    text, tone = _BADGES.get(verdict.outcome, (f"{verdict.best} is better", "good"))
    badge: Any = Badge("not yet" if verdict.more else text, "good" if tone == "good" else "plain")
    blocks: list[Block] = [Note(verdict.sentence, "good" if verdict.outcome == "better" else "plain")]
    blocks += [Note(each, "bad") for each in verdict.cautions]
    blocks += [Note(each) for each in _why(made)]
    blocks += [Note(each) for each in _ended(made)]
    blocks.append(_variants(made))
    if verdict.differences:
        blocks.append(_differences(made))
    if made.slices:
        blocks.append(_slices(made))
    if made.disagreements:
        blocks.append(_disagreements(made))
    if pictures and min(map(len, made.samples)) >= LEAST_DRAWN:
        from sm_magics.render import compared_plots

        told = f"Predictions, errors and latencies of {' and '.join(each.variant for each in made.samples)}"
        blocks.append(Picture(lambda: compared_plots.png(made), told))
    if verdict.differences or made.design.measure is None:
        blocks.append(Note(_method(made)))
    return View(_title(made), badge, tuple(blocks))


def progress(seen: Progress) -> View:
    """Return the card of a comparison while it goes on."""
    done = f"{seen.done:,}" if seen.total is None else f"{seen.done:,} of {seen.total:,}"
    pairs = [("requests", done), ("a second", f"{seen.rate:,.0f}")]
    if seen.left is not None:
        pairs.append(("time left", duration(max(1, round(seen.left)))))
    if seen.failed:
        pairs.append(("failed", f"{seen.failed:,}, to be sent again"))
    blocks: list[Block] = [Facts(tuple(pairs)), Note("Interrupt the cell to end it; what was measured is kept.")]
    if seen.total:
        blocks.insert(0, Note(f"{bar(seen.done / seen.total)} {percent(seen.done / seen.total)}"))
    return View(f"Comparison on {seen.endpoint}", Badge("sending", "busy"), tuple(blocks))


def summary(seen: Progress) -> str:
    """Return a line on how far a comparison is: the same for each tenth of it."""
    if seen.total is None:
        return f"comparing on {seen.endpoint}: {seen.done // 1000},000 requests" if seen.done >= 1000 else ""  # noqa: PLR2004
    return f"comparing on {seen.endpoint}: {seen.done * 10 // max(seen.total, 1) * 10} % of {seen.total:,} requests"


def _title(made: Comparison) -> str:
    design = made.design
    if made.seconds is None:
        how = "from captured requests"
    elif design.pairs:
        how = f"each to {'both' if len(made.samples) == 2 else f'all {len(made.samples)}'} variants"  # noqa: PLR2004
    else:
        how = "each to one variant"
    measured = f" · {design.measure.name}" if design.measure else ""
    return f"Comparison on {design.endpoint}{measured} · {_rows(made.rows)}, {how}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _why(made: Comparison) -> list[str]:
    """Return why most of the rows that have no answer have none."""
    if not made.failures:
        return []
    why, times = Counter(made.failures.values()).most_common(1)[0]
    return [f"{'The reason' if times == len(made.failures) else 'Most often'}: {textwrap.shorten(why, 240)}"]


def _ended(made: Comparison) -> list[str]:
    if made.enough is not None:
        return [f"Ended after {_rows(made.enough)}, which were enough."]
    if made.gone:
        return ["It was ended, as nobody answered any more; this is what was measured until then."]
    if made.interrupted:
        return ["It was interrupted; this is what was measured until then."]
    return []


def _variants(made: Comparison) -> Table:
    """Return a line for each variant; which one is best is said by the verdict."""
    total = sum(len(each) + len(each.failed) for each in made.samples)
    columns = [Column("variant"), Column("rows", number=True), Column("no answer", number=True)]
    if not made.design.pairs:
        columns += [Column("share", number=True), Column("")]
    if made.design.measure:
        columns.append(Column(made.design.measure.name, number=True))
    if made.seconds is not None:
        columns += [Column(f"latency {name}", number=True, width=9) for name in ("p50", "p90", "p99")]
    if made.costs:
        columns.append(Column("cost of 1,000", number=True))

    def cells(at: int) -> tuple[str, ...]:
        each = made.samples[at]
        sent = len(each) + len(each.failed)
        row = [each.variant, f"{len(each):,}", f"{len(each.failed):,}"]
        if not made.design.pairs:
            row += [percent(sent / total), bar(sent / total)] if total else ["–", ""]
        if made.design.measure:
            row.append(digits(made.values[each.variant]))
        if made.seconds is not None:
            row += [_milliseconds(each.seconds, share) for share in (50, 90, 99)]
        if made.costs:
            cost = made.costs.get(each.variant)
            row.append("–" if cost is None else np.format_float_positional(cost, 2, fractional=False, trim="-"))
        return tuple(row)

    return Table(tuple(columns), tuple(map(cells, range(len(made.samples)))))


def _milliseconds(seconds: Any, share: int) -> str:
    return f"{np.percentile(seconds, share) * 1000:.1f} ms" if len(seconds) else "–"


def _differences(made: Comparison) -> Table:
    columns = (
        Column("difference"),
        Column("rows", number=True),
        Column(made.design.measure.name if made.design.measure else "", number=True),
        Column("95 % interval"),
        Column("p", number=True),
        Column("effect size", number=True),
    )
    return Table(columns, tuple(map(_difference, made.verdict.differences)))


def _difference(found: Difference) -> tuple[str, ...]:
    interval = f"{_signed(found.low)} to {_signed(found.high)}" if math.isfinite(found.low) else "–"
    who = f"{found.first} minus {found.second}"
    return who, f"{found.rows:,}", _signed(found.value), interval, _p(found.p), _effect(found.effect)


def _effect(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\u2212") if math.isfinite(value) else "–"


def _signed(value: float) -> str:
    text = digits(value)
    return f"+{text}" if value > 0 else text


def _p(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"  # noqa: PLR2004 - resamples tell no less


def _slices(made: Comparison) -> Table:
    names = [each.variant for each in made.samples]
    columns = [Column(made.column), Column("rows", number=True), *(Column(name, number=True) for name in names)]
    judged = any(each.difference is not None for each in made.slices)
    if judged:
        columns.append(Column("difference"))

    def cells(each: Slice) -> tuple[str, ...]:
        row = [each.label, f"{each.rows:,}", *map(digits, each.values)]
        return tuple([*row, _told(each.difference, made)] if judged else row)

    return Table(tuple(columns), tuple(map(cells, made.slices)))


def _told(found: Difference | None, made: Comparison) -> str:
    if found is None or not math.isfinite(found.p) or made.design.measure is None:
        return "too few rows" if found is None or found.rows < LEAST_ROWS else "not a number"
    if not found.shown:
        uneven = ", and its interval has zero" if found.p < ALPHA else ""  # a few rows weigh much
        return f"may be chance (p = {_p(found.p)}{uneven})"
    better = found.first if made.design.measure.wins(found.value) else found.second
    return f"{better} is better (p {_p(found.p) if found.p < 0.001 else '= ' + _p(found.p)})"  # noqa: PLR2004


def _disagreements(made: Comparison) -> Table:
    names = [each.variant for each in made.samples]
    truth = made.samples[0].truths is not None
    columns = [Column("disagree most on row", number=True), *([Column("truth", number=True)] if truth else [])]
    columns += [Column(name, number=True) for name in names]
    rows = [
        (f"{each.row:,}", *([_shown(each.truth)] if truth else []), *map(_shown, each.predictions))
        for each in made.disagreements
    ]
    return Table(tuple(columns), tuple(rows))


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return ", ".join(map(_shown, value))
    if isinstance(value, bool | np.bool_ | str) or not isinstance(value, int | float | np.number):
        return str(value)
    return f"{float(value):g}" if float(value).is_integer() else digits(float(value))


def _method(made: Comparison) -> str:
    """Say how the numbers came about, for who wants to know."""
    design = made.design
    if design.measure is None:
        return "Latencies as measured here, from sending to the last byte."
    if design.until:
        told = "Interval and p hold at every look (asymptotic confidence sequence)"
    elif min(map(len, made.samples)) >= MANY_ROWS:
        told = (
            "Interval and p: Student's, with the bootstrap's error"
            f" (p: permutation where fewer than {MANY_APART} predictions differ)"
        )
    else:
        dealt = "answers to the same row" if design.pairs else "rows"
        told = f"Interval: Student's, with the bootstrap's error; p: permutation of {dealt}"
    pairs = len(made.verdict.differences)
    many = f". Of {pairs} pairs, p is for all together (Holm), an interval for its own" if pairs > 1 else ""
    costs = " Cost: of the instances for the time of 1,000 requests one after another." if made.costs else ""
    return f"{told}{many}. Effect size: in standard deviations of a row. Seed {design.seed}.{costs}"
