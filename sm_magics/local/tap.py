"""What happens to a production variant's requests on the side: they are captured, and copied to a shadow variant.

The client never notices: the request is on its way already, and whatever goes wrong here is dropped.
"""

from __future__ import annotations

import logging
import time
from fractions import Fraction
from typing import TYPE_CHECKING

from sm_magics.local.router import Shares
from sm_magics.local.runtime_api import container_request

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from sm_magics.local.capture import Capture
    from sm_magics.local.instance import Answer
    from sm_magics.local.logs import LogStream
    from sm_magics.local.router import Lane

    Taken = Callable[[Answer], None]

__all__ = ["Shadow", "Tap", "shadow_share"]

_LOG = logging.getLogger(__name__)
MAX_BEHIND = 100  # copies that wait for one instance of a shadow variant; further ones are dropped
MAX_HELD = 32 << 20  # bytes of copies that wait


class Tap:
    """Taps the requests of one production variant of one fleet."""

    def __init__(self, variant: str, capture: Capture | None, shadow: Shadow | None) -> None:
        self._variant = variant
        self._capture = capture
        self._shadow = shadow

    def request(self, headers: Mapping[bytes, bytes], body: bytes) -> Taken | None:
        """Learn of a request that was sent; return who wants its answer, if it is a success.

        A shadow's answer is captured with the production variant's. Requests that fail are not captured: what the
        service does with them is not documented.
        """
        try:
            captured = self._capture is not None and self._capture.wanted()
            if self._shadow is not None:
                shadow = self._shadow
                shadow.copy(headers, body, self._taker(shadow.lane.variant, headers, body) if captured else None)
        except Exception:  # noqa: BLE001 - the client's own request is on its way, and nothing here may harm it
            _LOG.exception("a request for %s is neither copied nor captured", self._variant)
            return None
        return self._taker(self._variant, headers, body) if captured else None

    def _taker(self, variant: str, headers: Mapping[bytes, bytes], body: bytes) -> Taken:
        capture = self._capture
        assert capture is not None  # noqa: S101 - only asked for what is captured
        return lambda answer: capture.take(variant, headers, body, answer)


class Shadow:
    """Copies requests to a shadow variant, and drops what it answers; it is counted by the variant's meter.

    Parameters
    ----------
    lane
        The shadow variant's.
    share
        Which part of the requests is copied.
    rng
        Chooses them, as exactly as traffic is shared.
    log
        Returns the log of an instance by its name: it tells of copies that were dropped.
    clock
        Measures, in seconds.
    """

    def __init__(
        self,
        lane: Lane,
        share: Fraction,
        rng: random.Random,
        log: Callable[[str], LogStream],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.lane = lane
        self.clock = clock
        self.held = 0
        self.dropped = 0
        self.closed = False
        self._rng = rng
        self._log = log
        self._told = 0
        self.share(share)

    def share(self, share: Fraction) -> None:
        """Copy this part of the requests from now on."""
        self._shares = Shares({True: share, False: 1 - share}, self._rng)

    def copy(self, headers: Mapping[bytes, bytes], body: bytes, taken: Taken | None) -> None:
        """Send a copy of a request, if it is one of the share and the shadow is not behind."""
        if self.closed or not self._shares.draw():
            return
        behind = min((each.outstanding for each in self.lane.instances if each.ready), default=MAX_BEHIND)
        if behind >= MAX_BEHIND or self.held + len(body) > MAX_HELD:
            self._drop()
            return
        self.held += len(body)
        if not self.lane.send(container_request(headers, body), _Copy(self, len(body), taken)):
            self.held -= len(body)  # a fault throttles it
            self._drop()

    def close(self) -> None:
        """Copy nothing any more, and count nothing that is lost."""
        self.closed = True
        if self.dropped != self._told:
            self._tell()

    def _drop(self) -> None:
        self.dropped += 1
        if self.dropped >= 10 * self._told:  # the first, then about the 10th, the 100th and so on
            self._tell()

    def _tell(self) -> None:
        """Say in the variant's log how many copies were dropped: SageMaker names no metric for them."""
        for instance in self.lane.instances[:1]:
            self._told = self.dropped
            self._log(instance.name).write(
                f"WARNING {self.dropped} requests in all that this shadow variant got no copy of: it was behind, "
                "not ready or throttled. No metric counts them."
            )


class _Copy:
    """One request that a shadow variant answers to nobody."""

    __slots__ = ("_sent", "_shadow", "_size", "_taken")
    over = False

    def __init__(self, shadow: Shadow, size: int, taken: Taken | None) -> None:
        self._shadow = shadow
        self._size = size
        self._taken = taken
        self._sent = shadow.clock()

    def answered(self, answer: Answer) -> None:
        self._count(answer.status)
        if self._taken is not None and 200 <= answer.status < 300:  # noqa: PLR2004 - the class of successes
            self._taken(answer)

    def lost(self, *, started: bool) -> None:  # noqa: ARG002 - a copy is not sent again
        self._count(500)

    def _count(self, status: int) -> None:
        shadow = self._shadow
        shadow.held -= self._size
        if not shadow.closed:
            took = int(1e6 * (shadow.clock() - self._sent))
            shadow.lane.meter.count_copy(status, took, len(shadow.lane.instances))


def shadow_share(production: float, shadow: float) -> Fraction:
    """Return which part of the requests a shadow variant gets: its weight by the production variant's, at most all.

    This ratio is our reading of what a shadow's weight means; no source for it was checked.
    """
    return min(Fraction(1), Fraction(shadow) / Fraction(production))
