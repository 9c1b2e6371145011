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
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sm_magics.local.faults import LaneFault
    from sm_magics.local.instance import Serving, Waiter
    from sm_magics.local.tally import Meter
    from sm_magics.local.tap import Tap

__all__ = ["Lane", "Parking", "Part", "Route", "Shares"]

MAX_BLOCK = 100
MAX_PARKED = 10_000  # requests that wait for an instance, of all endpoints together
MAX_PARKED_BYTES = 256 * 1024 * 1024
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


class Parking:
    """How much may wait for instances, over all lanes of an engine: requests, and their bytes."""

    def __init__(self, requests: int = MAX_PARKED, size: int = MAX_PARKED_BYTES) -> None:
        self._requests = requests
        self._size = size
        self.lanes: set[Lane] = set()  # those in which any request waits

    def has_room(self, size: int) -> bool:
        """Whether a request of `size` bytes may wait too."""
        if not self._fits(size):
            for lane in [*self.lanes]:
                lane.leave_out_the_late()
        return self._fits(size)

    def take(self, requests: int, size: int) -> None:
        """Take so many requests and bytes; give them back with negative numbers."""
        self._requests -= requests
        self._size -= size

    def _fits(self, size: int) -> bool:
        return self._requests > 0 and size <= self._size


class Lane:
    """One variant of one fleet: its instances, and the requests that wait for one of them.

    A request that finds no instance ready is parked, and sent as soon as one is: an instance that died is back in a
    moment, and nobody should fail for having come in that moment. `meter` counts what was answered; `parking` bounds
    what waits.
    """

    def __init__(self, variant: str, config_name: str, meter: Meter, parking: Parking) -> None:
        self.variant = variant
        self.config_name = config_name
        self.meter = meter
        self.header = variant.encode()
        self.tap: Tap | None = None
        self.fault: LaneFault | None = None  # on purpose
        self.instances: list[Serving] = []
        self.down = False  # none is ready, and none will be soon: nothing is parked
        self._parking = parking
        self._parked: deque[tuple[bytes, Waiter]] = deque()

    def send(self, request: bytes, waiter: Waiter) -> bool:
        """Send a request to an instance, or park it; False when it cannot wait either, or a fault throttles it."""
        best: Serving | None = None
        for instance in self.instances:
            if instance.ready and (best is None or instance.outstanding < best.outstanding):
                best = instance
                if not best.outstanding:
                    break  # none has fewer
        if best is not None:
            if self.fault is not None:
                return self.fault.send(best, request, waiter)
            best.send(request, waiter)
            return True
        if self.down or not self._parking.has_room(len(request)):
            return False
        self._park([(request, waiter)])
        return True

    def release(self) -> None:
        """Send what was parked, now that an instance is ready again."""
        for request, waiter in self._unpark():
            if not waiter.over:
                self.send(request, waiter)

    @property
    def parked(self) -> int:
        """How many requests wait for an instance."""
        return len(self._parked)

    def abandon(self) -> None:
        """Tell everybody who is parked that their request is lost."""
        for _, waiter in self._unpark():
            waiter.lost(started=False)

    def leave_out_the_late(self) -> None:
        """Forget the parked requests that nobody waits for any more."""
        self._park([each for each in self._unpark() if not each[1].over])

    def _park(self, requests: Collection[tuple[bytes, Waiter]]) -> None:
        if requests:
            self._parked.extend(requests)
            self._parking.take(len(requests), sum(len(request) for request, _ in requests))
            self._parking.lanes.add(self)

    def _unpark(self) -> Collection[tuple[bytes, Waiter]]:
        parked, self._parked = self._parked, deque()
        self._parking.take(-len(parked), -sum(len(request) for request, _ in parked))
        self._parking.lanes.discard(self)
        return parked


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
