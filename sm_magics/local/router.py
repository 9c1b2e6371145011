"""Which variant and which instance answers a request.

A variant is drawn by weight in seeded, randomly permuted blocks: over every block the shares are exactly those of the
weights, and within a block the order is random, so that no pattern of the client's rows can fall into step with it. The
instance is the one of that variant with the fewest outstanding requests. While an endpoint is updated, two fleets serve
it: each of their variants is a lane of its own, with its own share.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

    from sm_magics.local.instance import Serving, Waiter
    from sm_magics.local.tally import Meter
    from sm_magics.local.tap import Tap

__all__ = ["Lane", "Part", "Route", "Shares"]

MAX_BLOCK = 100
MAX_PARKED = 10_000
T = TypeVar("T")


class Shares(Generic[T]):
    """An endless sequence of things in which each has its weight's share.

    Parameters
    ----------
    weights
        By thing; at least one above zero.
    rng
        Permutes the blocks.
    """

    def __init__(self, weights: Mapping[T, float | Fraction], rng: random.Random) -> None:
        total = sum(Fraction(weight) for weight in weights.values())
        shares = {each: Fraction(weight) / total for each, weight in weights.items() if weight > 0}
        size = _block_size(shares.values())
        whole = {each: int(share * size) for each, share in shares.items()}
        self._rest = {each: share * size - whole[each] for each, share in shares.items()}
        self._places_left = size - sum(whole.values())
        self._owed = dict.fromkeys(shares, Fraction(0))
        self._certain = [each for each, count in whole.items() for _ in range(count)]
        self._rng = rng
        self._block: list[T] = []

    def draw(self) -> T:
        """Return the next one."""
        if not self._block:
            self._block = self._next_block()
        return self._block.pop()

    def _next_block(self) -> list[T]:
        """Return a permuted block; the places left by whole draws go to whom the blocks so far owe most."""
        block = self._certain + self._luckiest() if self._places_left else self._certain.copy()
        self._rng.shuffle(block)
        return block

    def _luckiest(self) -> list[T]:
        for each, rest in self._rest.items():
            self._owed[each] += rest
        luckiest = sorted(self._owed, key=lambda each: self._owed[each], reverse=True)[: self._places_left]
        for each in luckiest:
            self._owed[each] -= 1
        return luckiest


def _block_size(shares: Iterable[Fraction]) -> int:
    """Return the smallest block in which every share is a whole number, at most `MAX_BLOCK`."""
    shares = list(shares)
    for size in range(len(shares), MAX_BLOCK):
        if all((share * size).denominator == 1 for share in shares):
            return size
    return MAX_BLOCK


class Lane:
    """One variant of one fleet: its instances, and the requests that wait for one of them.

    A request that finds no instance ready is parked, and sent as soon as one is: an instance that died is back in a
    moment, and nobody should fail for having come in that moment. `meter` counts what was answered.
    """

    def __init__(self, variant: str, config_name: str, meter: Meter) -> None:
        self.variant = variant
        self.config_name = config_name
        self.meter = meter
        self.header = variant.encode()
        self.tap: Tap | None = None
        self.instances: list[Serving] = []
        self._parked: deque[tuple[bytes, Waiter]] = deque()

    def send(self, request: bytes, waiter: Waiter) -> bool:
        """Send a request to an instance, or park it; False when too many are parked."""
        best: Serving | None = None
        for instance in self.instances:
            if instance.ready and (best is None or instance.outstanding < best.outstanding):
                best = instance
        if best is not None:
            best.send(request, waiter)
            return True
        if len(self._parked) >= MAX_PARKED:
            return False
        self._parked.append((request, waiter))
        return True

    def release(self) -> None:
        """Send what was parked, now that an instance is ready again."""
        parked, self._parked = self._parked, deque()
        for request, waiter in parked:
            if not waiter.over:
                self.send(request, waiter)

    @property
    def parked(self) -> int:
        """How many requests wait for an instance."""
        return len(self._parked)

    def abandon(self) -> None:
        """Tell everybody who is parked that their request is lost."""
        while self._parked:
            self._parked.popleft()[1].lost(started=False)


class Part(NamedTuple):
    """One fleet's part of an endpoint's traffic: its lanes and weights by variant, and its share of the whole."""

    lanes: Mapping[str, Lane]
    weights: Mapping[str, float]
    share: Fraction


class Route:
    """Where the requests of one endpoint go."""

    def __init__(self, endpoint: str, rng: random.Random) -> None:
        self.endpoint = endpoint
        self._rng = rng

    def serve(self, parts: Sequence[Part]) -> None:
        """Draw from these fleets from now on."""
        parts = [part for part in parts if part.share > 0]
        weights: dict[Lane, Fraction] = {}
        targets: dict[str, dict[Lane, Fraction]] = {}
        for part in parts:
            total = sum(map(Fraction, part.weights.values()))
            for variant, lane in part.lanes.items():
                weights[lane] = part.share * Fraction(part.weights[variant]) / total
                targets.setdefault(variant, {})[lane] = part.share
        self._shares = Shares(weights, self._rng)
        self._targets = {
            variant: next(iter(lanes)) if len(lanes) == 1 else Shares(lanes, self._rng)
            for variant, lanes in targets.items()
        }

    def lane(self, target: str | None) -> Lane | None:
        """Return the lane of the next request, None when its `target` is no variant of this endpoint."""
        if target is None:
            return self._shares.draw()
        found = self._targets.get(target)
        return found.draw() if isinstance(found, Shares) else found
