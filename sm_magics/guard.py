"""Whether a newcomer is worse than the variants that served before it: errors, latency, quality.

Errors and latencies are CloudWatch's, of users' own requests from the first step on; an error is one of the server or
of the model (5XX), and a row that is refused (4XX) is none. Quality is measured by rows that are sent to both.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.errors import CellError, InvokeError
from sm_magics.metrics import MEASURES, Span, read
from sm_magics.nearest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sm_magics.compare.asked import Asked
    from sm_magics.connection import Connection
    from sm_magics.metrics import Used

__all__ = [
    "Counts",
    "Guards",
    "Metered",
    "Quality",
    "check_every",
    "check_steps",
    "guards",
    "more_errors",
    "parse_guards",
    "slower",
]

ERRORS, LATENCY = "errors", "latency"
ALPHA = 0.01  # how likely all looks of all steps together take a newcomer that is no worse for one with more errors
RATIO, LEAST_MS = 1.5, 5.0  # by which p99 is to be higher for a newcomer to be slower: times, and milliseconds
LEAST_PERIODS = 4  # of CloudWatch's: one that the step begins in, two by which it is late, and one to be seen
ENOUGH = 100  # requests that a p99 needs to say anything, and the others' errors in one step
MINUTE = 60  # CloudWatch's period
READ = [each for each in MEASURES if each.key == "invocations" or "errors" in each.key or each.key == "model_p99"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests, how many of them failed, and the 99th percentile of latency in ms, None where nothing was measured."""

    requests: int
    failed: int
    p99: float | None = None


def parse_guards(text: str) -> tuple[str, ...]:
    """Return the guards in `errors,latency,rmse`.

    Raises
    ------
    CellError
        When there is no such guard, or scipy is missing, which they need.
    """
    from importlib.util import find_spec

    if any(find_spec(each) is None for each in ("scipy", "sklearn", "statsmodels")):
        raise CellError("--guard needs scipy", hint="install what it needs: pip install 'sm-magics[compare]'")
    from sm_magics.compare.measures import MEASURES

    known = (ERRORS, LATENCY, *MEASURES)
    asked = tuple(dict.fromkeys(each.strip() for each in text.split(",")))
    if "" in asked:
        raise CellError(f"--guard {text}: a comma has no guard beside it", hint="--guard errors,latency, say")
    for each in asked:
        if each not in known:
            hint = did_you_mean(each, known) or f"there are {', '.join(known)}"
            raise CellError(f"--guard {text}: there is no guard '{each}'", hint=hint)
    return asked


def check_every(connection: Connection, every: float, kinds: Sequence[str]) -> None:
    """Raise when a share is held for so short a time that guards of these kinds would see nothing of it.

    Parameters
    ----------
    every
        For how long, in seconds.

    Raises
    ------
    CellError
        When it is no time, or less than four minutes where CloudWatch counts errors and latency by minutes.
    """
    if every <= 0:
        told = f"--every {every:g}s leaves --guard {','.join(kinds)} no time in which to see anything"
        raise CellError(told, hint="hold each share for a while: --every 5m")
    counted = [each for each in kinds if each in {ERRORS, LATENCY}]
    if counted and connection.counts_every >= MINUTE and every < LEAST_PERIODS * connection.counts_every:
        told = f"--every {every:g}s is too short for --guard {','.join(counted)}: CloudWatch counts by minutes, and"
        told += " tells of a request one to two minutes after it came, so that the guard would see nothing"
        raise CellError(told, hint=f"hold each share longer: --every {LEAST_PERIODS * connection.counts_every // 60}m")


def check_steps(steps: Sequence[float], kinds: Sequence[str]) -> None:
    """Raise when guards of these kinds would have nobody to compare with: the others get no requests from the first on.

    Raises
    ------
    CellError
        When the first step gives the newcomer all the traffic.
    """
    counted = [each for each in kinds if each in {ERRORS, LATENCY}]
    if counted and steps[0] >= 100:  # noqa: PLR2004 - percent
        told = f"--steps {steps[0]:g} leaves the others no requests, with which --guard {','.join(counted)} compares"
        raise CellError(told, hint="begin with a smaller share: --steps 10,100")


def more_errors(newcomer: Counts, others: Counts, alpha: float) -> str | None:
    """Return in words that a newcomer fails more often, by Fisher's exact test, one-sided; None where it does not."""
    from scipy.stats import fisher_exact

    table = [[each.failed, each.requests - each.failed] for each in (newcomer, others)]
    p = float(fisher_exact(table, alternative="greater").pvalue)
    if p >= alpha:
        return None
    told = f"{newcomer.failed:,} of {newcomer.requests:,} requests to it failed"
    return f"{told}, of those to the others {others.failed:,} of {others.requests:,} (p = {p:.1g})"


def slower(newcomer: Counts, others: Counts) -> str | None:
    """Return in words that a newcomer is slower: its p99 is 1.5 times the others' and 5 ms more; None where not.

    With less than 100 requests to either nothing is said.
    """
    if min(newcomer.requests, others.requests) < ENOUGH or newcomer.p99 is None or others.p99 is None:
        return None
    if newcomer.p99 < max(RATIO * others.p99, others.p99 + LEAST_MS):
        return None
    return f"its p99 latency is {newcomer.p99:,.1f} ms, that of the others {others.p99:,.1f} ms"


@dataclass(frozen=True, slots=True)
class _Mark:
    """From when on requests count, in seconds since the epoch, and what its minute had counted before that."""

    at: float
    newcomer: Counts
    others: Counts


class Metered:
    """Watches errors and latencies of one newcomer by CloudWatch's metrics.

    Nothing counts that came before the first step. The newcomer's requests are those from the step on; the others' too,
    where they are enough, so that what goes wrong for all is not taken for the newcomer's; else those from the first
    step on, for in the last the others may have no traffic any more. Latencies of the others are all from the first
    step on. Where CloudWatch counts by minutes, a step counts from the next full minute on; the engine counts at once,
    but its latencies may be of requests from up to a minute before the step.

    Parameters
    ----------
    kinds
        `errors` and `latency`, or one of them.
    looks
        How often will be looked in all.
    wall
        The time, in seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - who is watched, for what
        self,
        connection: Connection,
        endpoint: str,
        newcomer: str,
        others: Sequence[str],
        *,
        kinds: Sequence[str],
        looks: int,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._connection, self._endpoint = connection, endpoint
        self._newcomer, self._others = newcomer, others
        self._kinds, self._alpha, self._wall = kinds, ALPHA / looks, wall
        self._by_minutes = connection.counts_every >= MINUTE
        self._marks: list[_Mark] = []  # of each step that began

    def begin(self) -> None:
        """Take note of what there was before the next step."""
        at = self._wall()
        mine, *theirs = self._read(at)
        if self._by_minutes:
            self._marks.append(_Mark(math.ceil(at / MINUTE) * MINUTE, Counts(0, 0), Counts(0, 0)))
        else:
            self._marks.append(_Mark(at, _counts([mine]), _counts(theirs)))

    def trouble(self) -> str | None:
        """Return what is worse in this step, None where nothing is."""
        here, beside = self._since(self._marks[-1])
        others = beside if len(self._marks) == 1 else self._since(self._marks[0])[1]
        at_once = beside if beside.requests >= ENOUGH else others
        if ERRORS in self._kinds and (told := more_errors(here, at_once, self._alpha)):
            return told
        return slower(here, others) if LATENCY in self._kinds else None

    def _since(self, mark: _Mark) -> tuple[Counts, Counts]:
        """Return the newcomer's and the others' requests from a mark on."""
        if self._wall() <= mark.at:
            return Counts(0, 0), Counts(0, 0)
        mine, *theirs = self._read(mark.at)
        return _since(_counts([mine]), mark.newcomer), _since(_counts(theirs), mark.others)

    def _read(self, since: float) -> tuple[Used, ...]:
        start = int(since // MINUTE) * MINUTE
        count = max(1, math.ceil((self._wall() - start) / MINUTE))
        names = [self._newcomer, *self._others]
        return read(self._connection, self._endpoint, names, Span(start, MINUTE, count), READ)


class Quality:
    """Measures a newcomer and one other variant once in each step, by rows that are sent to both."""

    def __init__(self, connection: Connection, told: Mapping[str, Any], newcomer: str) -> None:
        self._connection, self._told, self._newcomer = connection, told, newcomer
        self._next: Asked | None = None

    def begin(self) -> None:
        """Measure anew in the next step; what cannot be compared is refused now."""
        from sm_magics.compare.asked import asked

        self._next = asked(self._connection, self._told, {})

    def trouble(self) -> str | None:
        """Return the verdict where the newcomer is worse, None where it is not, or was measured in this step."""
        from sm_magics.compare.asked import compare

        wanted, self._next = self._next, None
        if wanted is None:
            return None
        try:
            for _ in wanted.progress:
                pass
        except InvokeError as error:
            return error.message if error.variant == self._newcomer else None  # no reason to go back to who is dead
        verdict = compare(wanted).verdict
        return None if verdict.best in {None, self._newcomer} else " ".join([verdict.sentence, *verdict.cautions])


def _since(counts: Counts, earlier: Counts) -> Counts:
    return Counts(max(0, counts.requests - earlier.requests), max(0, counts.failed - earlier.failed), counts.p99)


def _counts(used: Sequence[Used]) -> Counts:
    """Return the counts of some variants together; of their latencies the highest."""
    failed = sum(map(_failed, used))
    latencies = [each.total["model_p99"] for each in used]
    p99 = max((each for each in latencies if each is not None), default=None)
    requests = sum(_summed(each, "invocations") for each in used)
    return Counts(int(requests), min(int(failed), int(requests)), p99)


def _failed(used: Used) -> float:
    """Return how many requests failed by the server or the model: a model's errors are all but 2XX, so less the 4XX."""
    by_model = _summed(used, "model_errors") - _summed(used, "errors_4xx")
    return max(_summed(used, "errors_5xx"), by_model)


def _summed(used: Used, key: str) -> float:
    """Return the sum of the minutes: exactly those that were asked for, however the service cuts the whole."""
    return sum(each or 0.0 for each in used.series[key])


@dataclass(frozen=True, slots=True)
class Guards:
    """Several guards as one: the first that finds something is heard."""

    each: tuple[Metered | Quality, ...]

    def begin(self) -> None:
        """Tell all that a step begins."""
        for guard in self.each:
            guard.begin()

    def trouble(self) -> str | None:
        """Return what the first that finds something finds."""
        return next((told for told in (guard.trouble() for guard in self.each) if told is not None), None)


def guards(  # noqa: PLR0913 - who is watched, for what
    connection: Connection,
    endpoint: str,
    newcomer: str,
    weights: Mapping[str, float],
    kinds: Sequence[str],
    *,
    looks: int,
    data: Any = None,
    target: Any = None,
) -> Guards:
    """Return the guards of these kinds for a newcomer, among variants that have these weights.

    Quality is compared with the variant that has the most traffic.

    Raises
    ------
    CellError
        When quality needs rows and true values, or rows are there and nothing measures quality.
    """
    others = sorted((name for name in weights if name != newcomer), key=lambda name: -weights[name])
    counted = [each for each in kinds if each in {ERRORS, LATENCY}]
    metrics = [each for each in kinds if each not in {ERRORS, LATENCY}]
    if metrics and (data is None or target is None):
        raise CellError(f"--guard {metrics[0]} needs rows and true values", hint="add --data $rows --target $values")
    if metrics and (iter(data) is data or iter(target) is target):
        why = "--guard sends the rows in each step anew"
        raise CellError(why, hint="give it lists, arrays or frames as --data and --target, not an iterator")
    if not metrics and (data is not None or target is not None):
        raise CellError("--data and --target are for a guard of quality", hint="add one, such as --guard errors,rmse")
    made: list[Metered | Quality] = []
    if counted:
        made.append(Metered(connection, endpoint, newcomer, others, kinds=counted, looks=looks))
    for metric in metrics:
        flags = dict.fromkeys(("split", "from_capture"), False)
        told = {"name": endpoint, "data": data, "target": target, "metric": metric, "variants": [others[0], newcomer]}
        options = {"paired": True, "concurrency": 8, "seed": 0, "content_type": "text/csv"}
        made.append(Quality(connection, {**told, **flags, **options}, newcomer))
    return Guards(tuple(made))
