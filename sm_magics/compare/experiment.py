"""Sends rows to the variants of an endpoint: each row to all of them, or to one as users' requests go."""

from __future__ import annotations

import itertools
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sm_magics.compare.collected import Collected
from sm_magics.compare.exchange import Request, Target, prediction_of
from sm_magics.compare.replay import replay
from sm_magics.compare.sequential import LEAST_LOOK
from sm_magics.compare.verdict import judge, value_of
from sm_magics.errors import CellError, InvokeError
from sm_magics.events import Progress
from sm_magics.rows import csv_line, each_row

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sm_magics.compare.exchange import Answer, Outcome, Prediction
    from sm_magics.compare.measures import Measure
    from sm_magics.connection import Connection

__all__ = ["Design", "Run", "run"]

SHOWN_EVERY = 0.1  # seconds
HOPELESS = 20  # first requests that all fail: then nothing more is sent
GONE = 200  # requests in a row that fail: then the endpoint is gone, and what was measured is kept
MEASURABLE = 20  # answers after which it is known whether the measure takes them
LOOK_GROWTH = 1.1  # each look has so many times the rows of the one before


@dataclass(frozen=True)
class Design:
    """What is compared, and how.

    Attributes
    ----------
    endpoint
        Its name.
    weights
        The weight of each variant that is compared, by name.
    pairs
        Whether each row goes to every variant; otherwise to one, by the weights.
    measure
        What is measured, None without truths.
    until
        Whether to end as soon as the rows so far show which variant is better.
    concurrency
        How many requests are under way at once.
    serialize, parse
        Make a row's body, and an answer's prediction.
    """

    endpoint: str
    weights: Mapping[str, float]
    pairs: bool = True
    measure: Measure | None = None
    until: bool = False
    seed: int = 0
    concurrency: int = 8
    content_type: str = "text/csv"
    accept: str | None = None
    serialize: Callable[[Sequence[Any]], bytes] = csv_line
    parse: Callable[[Answer], Prediction] = prediction_of

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of what is compared."""
        return tuple(self.weights)


@dataclass
class Run:
    """A comparison that is under way: what was collected stays when it is interrupted.

    Attributes
    ----------
    order
        The row of the data at each place in which rows are sent, None where that is the data's own order.
    seconds
        How long it took so far.
    enough
        How many rows were enough to tell, None where all were sent.
    again
        How many requests failed and were sent once more.
    gone
        Whether it ended because nobody answered any more.
    cut
        Whether the data had more rows than there are truths; those were not sent.
    """

    design: Design
    truths: NDArray[Any] | None = None
    order: NDArray[np.int64] | None = None
    collected: Collected = field(init=False)
    seconds: float = 0.0
    enough: int | None = None
    again: int = 0
    gone: bool = False
    cut: bool = False
    over: bool = False

    def __post_init__(self) -> None:
        self.collected = Collected(self.design.variants)

    def row(self, place: int) -> int:
        """Return the row of the data that is sent at a place."""
        return place if self.order is None else int(self.order[place])


def run(  # noqa: PLR0913 - what to compare on what, and what is injected
    connection: Connection,
    made: Run,
    data: Any,
    *,
    count: int | None,
    sending: Callable[..., Iterator[Outcome]] = replay,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Progress]:
    """Send the rows of `data`, and those that fail once more; yield how far it is, several times a second.

    Parameters
    ----------
    made
        Where answers are kept; it is up to date after each step.
    count
        How many rows are sent; None for all of data whose length is not known, as far as there are truths.

    Raises
    ------
    InvokeError
        When every one of the first requests fails, to all variants or to one.
    CellError
        When a row of the data cannot be sent, or an answer not be measured.
    """
    design, began, shown = made.design, clock(), clock()
    target = Target(design.endpoint, None, design.content_type, design.accept)
    rows = each_row(data if made.order is None else _ordered(data, made.order))
    known = count if count is not None or made.truths is None else len(made.truths)
    total = None if known is None else known * (len(design.variants) if design.pairs else 1)
    options = {"concurrency": design.concurrency, "clock": clock}
    watching = _Watching(made)
    failed: list[Request] = []
    done = 0
    for requests in (_requests(made, itertools.islice(rows, known)), failed):
        again = requests is failed
        for outcome in sending(connection, target, iter(list(failed) if again else requests), **options):
            done += not again
            made.again += again
            if outcome.refusal is not None and not again:
                failed.append(outcome.request)
            _keep(made, outcome)
            made.seconds = clock() - began
            watching.hopeless(outcome)
            if made.collected.answered == MEASURABLE:
                _check_measurable(made)
            made.gone = watching.gone(outcome)
            if made.gone or (not again and watching.decided(outcome)):
                break
            if clock() - shown >= SHOWN_EVERY:
                shown = clock()
                yield Progress(design.endpoint, done, total, len(made.collected.failures), made.seconds)
        if made.gone or made.enough is not None:
            break
    if count is None and known is not None and not made.gone and made.enough is None:
        made.cut = _goes_on(rows)  # only now: data that makes us wait for its next row holds up nothing
    made.over = not made.gone
    yield Progress(design.endpoint, done, total, len(made.collected.failures), made.seconds)


def _ordered(data: Any, order: NDArray[np.int64]) -> Any:
    if hasattr(data, "iloc"):
        return data.iloc[order]
    if hasattr(data, "tocsr"):
        return data.tocsr()[order]
    return data[order] if hasattr(data, "shape") else [data[place] for place in order]


def _requests(made: Run, rows: Iterable[Sequence[Any]]) -> Iterator[Request]:
    """Yield the requests: numbered by place, and in pairs by place and variant."""
    design, names = made.design, made.design.variants
    for place, row in enumerate(rows):
        with _noted(f"while --serialize made the body of row {made.row(place)}"):
            body = design.serialize(row)
        if not design.pairs:
            yield Request(place, body)
            continue
        for at in range(len(names)):
            which = (place + at) % len(names)  # who is asked first changes with each row, so that none gains by it
            yield Request(place * len(names) + which, body, names[which])


def _goes_on(rows: Iterator[Sequence[Any]]) -> bool:
    """Whether there is another row, also one that could not be sent."""
    try:
        return next(rows, None) is not None
    except CellError:
        return True


@contextmanager
def _noted(doing: str) -> Iterator[None]:
    """Have what a user's function raises say at which row it did."""
    try:
        yield
    except Exception as error:
        error.add_note(doing)
        raise


def _place(design: Design, number: int) -> int:
    return number // len(design.variants) if design.pairs else number


def _keep(made: Run, outcome: Outcome) -> None:
    place = _place(made.design, outcome.number)
    if outcome.refusal is not None:
        made.collected.fail(place, outcome.request.variant or outcome.variant, str(outcome.error))
        return
    answer = outcome.answer()
    if outcome.request.variant is None:  # sent again, it may be another variant that answers
        made.collected.failures.pop((place, ""), None)
    with _noted(f"while --parse read the answer of {answer.variant} to row {made.row(place)}: {answer.body[:200]!r}"):
        prediction = made.design.parse(answer)
    made.collected.add(place, outcome.request.variant or answer.variant, prediction, outcome.seconds)


def _check_measurable(made: Run) -> None:
    """Raise now, and not when all rows were sent, where the measure does not take what the variants predict."""
    if made.design.measure is not None and made.truths is not None:
        for each in made.collected.samples(made.truths):
            if len(each):
                value_of(made.design.measure, each)


class _Watching:
    """Looks at a run after each answer: whether there is any hope, and whether it has shown enough."""

    def __init__(self, made: Run) -> None:
        self._made = made
        self._failures: dict[str, int] = {}
        self._answered: set[str] = set()
        self._in_a_row = 0  # failures
        self._waiting: dict[int, int] = {}  # answers that are missing, by place, of places at or after the frontier
        self._frontier = 0  # all places before it are answered by all
        self._look = LEAST_LOOK

    def hopeless(self, outcome: Outcome) -> None:
        """Raise when nobody answers, or one variant does not."""
        who = outcome.request.variant or ""
        if outcome.refusal is None:
            self._answered.add(who)
            return
        self._failures[who] = self._failures.get(who, 0) + 1
        if self._failures[who] >= HOPELESS and who not in self._answered:
            name = f"variant '{who}' of endpoint '{self._made.design.endpoint}'" if who else "the endpoint"
            told = f"{name} answered none of the first {HOPELESS} rows: {outcome.refusal.message}"
            hint = "see what it prints: %sm_logs " + f"{self._made.design.endpoint} {who}".strip()
            raise InvokeError(told, hint=hint, variant=who) from outcome.refusal

    def gone(self, outcome: Outcome) -> bool:
        """Whether so many requests failed in a row that no more are worth sending."""
        self._in_a_row = 0 if outcome.refusal is None else self._in_a_row + 1
        return self._in_a_row >= GONE

    def decided(self, outcome: Outcome) -> bool:
        """Whether the rows up to the frontier show which variant is better."""
        made = self._made
        if not made.design.until or made.design.measure is None:
            return False
        place = _place(made.design, outcome.number)
        left = self._waiting.get(place, len(made.design.variants)) - 1
        self._waiting[place] = left
        while self._waiting.get(self._frontier) == 0:
            del self._waiting[self._frontier]
            self._frontier += 1
        while self._frontier >= self._look:
            look, self._look = self._look, max(self._look + 1, int(self._look * LOOK_GROWTH))
            samples = made.collected.samples(made.truths, below=look)
            verdict = judge(samples, made.design.measure, rng=np.random.default_rng(0), peeked=True)
            if verdict.outcome == "better":
                made.enough = look
                return True
        return False
