"""A steady load in the background, and the count of what became of it: to watch an update under."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sm_magics.compare.exchange import Request
from sm_magics.compare.replay import replay
from sm_magics.events import Loading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sm_magics.compare.exchange import Outcome, Target
    from sm_magics.connection import Connection

__all__ = ["MOST_ROWS", "Load", "Tally"]

MOST_ROWS = 10_000  # of the data that a load goes over and over again
MOST_CONNECTIONS = 256
LOOK_SECONDS = 0.25  # between two looks at a load that is waited for
MOST_CHARACTERS, LONGEST_WORD = 300, 60  # of an error; a longer word is cut, too
_STEP = math.log(1.01)  # latencies are kept to a hundredth, so that a day of them takes no more room than a minute


@dataclass
class Tally:
    """What became of the requests so far; latencies are counted from the moment when each was due.

    Attributes
    ----------
    answered, lost
        How many were answered with a prediction, and how many were not, in spite of all attempts.
    again
        How many attempts were made beyond the first of each.
    errors
        How often each error was told, of those that were lost.
    by_variant, lost_at
        How many were answered by each variant, and how many were lost, in each second since the beginning.
    """

    answered: int = 0
    lost: int = 0
    again: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    by_variant: dict[str, Counter[int]] = field(default_factory=dict)
    lost_at: Counter[int] = field(default_factory=Counter)
    _latencies: Counter[int] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        """How many requests came to an end."""
        return self.answered + self.lost

    def add(self, outcome: Outcome, second: int) -> None:
        """Count one that came to an end in a second since the beginning; that it did is counted last, for readers."""
        self.again += max(outcome.attempts - 1, 0)
        if outcome.error is None:
            self.by_variant.setdefault(outcome.variant, Counter())[second] += 1
            self._latencies[round(math.log(max(outcome.latency, 1e-6)) / _STEP)] += 1
            self.answered += 1
        else:
            self.lost_at[second] += 1
            self.errors[_cut(outcome.error)] += 1
            self.lost += 1

    def percentile(self, share: float) -> float | None:
        """Return the latency in seconds that this share of the answered requests did not exceed, None for none."""
        steps, below = _running(self._latencies)
        if not below:
            return None
        due = math.ceil(share * below[-1])  # not of `answered`, which another thread may be about to raise
        return math.exp(next(step for step, count in zip(steps, below, strict=True) if count >= due) * _STEP)


class Load:
    """A load on one endpoint, from its making on.

    Parameters
    ----------
    connection, target
        Where to.
    bodies
        What is sent, over and over again in this order.
    rate
        Requests a second, whether or not those before were answered.
    seconds
        For how long; where the endpoint falls behind the rate, fewer are sent, not longer.
    sending
        The load client.
    clock
        Measures time in seconds.

    Attributes
    ----------
    tally
        What became of the requests so far.
    stopped
        Whether it was ended before its time.
    """

    def __init__(  # noqa: PLR0913 - what to send, where to, and how much of it
        self,
        connection: Connection,
        target: Target,
        bodies: Sequence[bytes],
        *,
        rate: float,
        seconds: float,
        sending: Callable[..., Iterator[Outcome]] = replay,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.target, self.rate, self.seconds = target, rate, seconds
        self.tally = Tally()
        self.failure: Exception | None = None
        self.stopped = False
        self._connection = connection
        self._sending, self._clock = sending, clock
        self._stop = threading.Event()
        self._over = threading.Event()  # not is_alive(): a join that is interrupted makes it false (CPython 3.11)
        self.count = max(1, round(rate * seconds))
        self._began, self._ended = clock(), math.nan
        requests = self._requests(itertools.cycle(bodies))
        self._thread = threading.Thread(target=self._run, args=(requests,), name="sm_magics load", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return not self._over.is_set()

    @property
    def elapsed(self) -> float:
        """For how many seconds it has gone on, or went on."""
        return (self._clock() if math.isnan(self._ended) else self._ended) - self._began

    def now(self) -> Loading:
        """Return how far it is."""
        answered, lost = self.tally.answered, self.tally.lost  # first: of what is counted, all else is there
        errors = self.tally.errors.copy()
        error = max(errors, key=errors.__getitem__, default="")
        times = self.tally.percentile(0.5), self.tally.percentile(0.99)
        return Loading(self.target.endpoint, answered + lost, lost, self.elapsed, self.seconds, *times, error)

    def stop(self) -> None:
        """End it; what is under way is given up, and not counted."""
        self.stopped = self.stopped or self.running
        self._stop.set()
        self._over.wait()
        self._thread.join()  # which has nothing left to do

    def wait(self, timeout: float | None = None) -> None:
        """Return once it is over, or `timeout` seconds have passed.

        Raises
        ------
        SmError
            When nothing could be sent at all: there are no credentials, say. A bug of ours is raised as it is.
        """
        if self._over.wait(timeout):
            self._thread.join()
        if self.failure is not None:
            raise self.failure

    def watch(self, timeout: float | None = None) -> Iterator[Loading]:
        """Wait, and yield how far it is, a few times a second, and once more when the waiting is over.

        Raises
        ------
        SmError
            As `wait`.
        """
        ends = math.inf if timeout is None else self._clock() + timeout
        going = True
        while going:
            yield self.now()
            self._over.wait(min(LOOK_SECONDS, max(ends - self._clock(), 0.0)))
            going = self.running and self._clock() < ends
        yield self.now()
        self.wait(0)

    def _requests(self, bodies: Iterator[bytes]) -> Iterator[Request]:
        """Yield as many as are due in its time; where answers come slower than that, none after it."""
        ends = self._clock() + self.seconds
        for number, body in zip(range(self.count), bodies, strict=False):
            if number and self._clock() > ends:
                return
            yield Request(number, body)

    def _run(self, requests: Iterator[Request]) -> None:
        connections = min(MOST_CONNECTIONS, max(8, math.ceil(self.rate)))
        options = {"concurrency": connections, "rate": self.rate, "until": self._stop}
        try:
            for outcome in self._sending(self._connection, self.target, requests, **options):
                self.tally.add(outcome, int(self._clock() - self._began))
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            self.failure = error
        finally:
            self._ended = self._clock()
            self._over.set()


def _cut(text: str) -> str:
    """Return the beginning of a long text, up to the end of a word."""
    if len(text) <= MOST_CHARACTERS:
        return text
    kept = text[: MOST_CHARACTERS - 1]
    words = kept.rstrip() if text[len(kept)].isspace() else kept.rpartition(" ")[0].rstrip()
    return f"{words if len(kept) - len(words) <= LONGEST_WORD else kept}…"


def _running(counted: Counter[int]) -> tuple[list[int], list[int]]:
    """Return the keys in their order, and how many were counted up to each."""
    kept = counted.copy()
    keys = sorted(kept)
    return keys, list(itertools.accumulate(kept[key] for key in keys))
