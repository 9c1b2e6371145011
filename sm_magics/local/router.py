"""Which variant and which instance answers a request.

A variant is drawn by weight in seeded, randomly permuted blocks: over every block the shares are exactly those of the
weights, and within a block the order is random, so that no pattern of the client's rows can fall into step with it. The
instance is the one of that variant with the fewest outstanding requests.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

    from sm_magics.local.instance import Instance, Waiter

__all__ = ["Route", "Shares"]

MAX_BLOCK = 100
MAX_PARKED = 10_000


class Shares:
    """An endless sequence of names in which each has its weight's share.

    Parameters
    ----------
    weights
        By name; at least one above zero.
    rng
        Permutes the blocks.
    """

    def __init__(self, weights: Mapping[str, float], rng: random.Random) -> None:
        total = sum(Fraction(weight) for weight in weights.values())
        shares = {name: Fraction(weight) / total for name, weight in weights.items() if weight > 0}
        size = _block_size(shares.values())
        self._whole = {name: int(share * size) for name, share in shares.items()}
        self._rest = {name: share * size - self._whole[name] for name, share in shares.items()}
        self._places_left = size - sum(self._whole.values())
        self._owed = dict.fromkeys(shares, Fraction(0))
        self._rng = rng
        self._block: list[str] = []

    def draw(self) -> str:
        """Return the next name."""
        if not self._block:
            self._block = self._next_block()
        return self._block.pop()

    def _next_block(self) -> list[str]:
        """Return a permuted block; the places left by whole draws go to whom the blocks so far owe most."""
        for name, rest in self._rest.items():
            self._owed[name] += rest
        luckiest = sorted(self._owed, key=lambda name: self._owed[name], reverse=True)[: self._places_left]
        for name in luckiest:
            self._owed[name] -= 1
        block = [name for name, count in self._whole.items() for _ in range(count)] + luckiest
        self._rng.shuffle(block)
        return block


def _block_size(shares: Iterable[Fraction]) -> int:
    """Return the smallest block in which every share is a whole number, at most `MAX_BLOCK`."""
    shares = list(shares)
    for size in range(len(shares), MAX_BLOCK):
        if all((share * size).denominator == 1 for share in shares):
            return size
    return MAX_BLOCK


class Route:
    """Where the requests of one endpoint go.

    A request for a variant none of whose instances is ready is parked, and sent as soon as one is: an instance that
    died is back in a moment, and nobody should fail for having come in that moment.
    """

    def __init__(
        self,
        config_name: str,
        weights: Mapping[str, float],
        instances: Mapping[str, Sequence[Instance]],
        rng: random.Random,
    ) -> None:
        self.config_name = config_name
        self._instances = instances
        self._rng = rng
        self._parked: dict[str, deque[tuple[bytes, Waiter]]] = {name: deque() for name in instances}
        self.reweigh(weights)

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Draw by other weights from now on."""
        self._shares = Shares(weights, self._rng)

    def variant(self, target: str | None) -> str | None:
        """Return the variant that a request goes to, None when `target` is not one of this endpoint."""
        if target is None:
            return self._shares.draw()
        return target if target in self._instances else None

    def send(self, variant: str, request: bytes, waiter: Waiter) -> bool:
        """Send a request to an instance of `variant`, or park it; False when too many are parked."""
        best: Instance | None = None
        for instance in self._instances[variant]:
            if instance.ready and (best is None or instance.outstanding < best.outstanding):
                best = instance
        if best is not None:
            best.send(request, waiter)
            return True
        parked = self._parked[variant]
        if len(parked) >= MAX_PARKED:
            return False
        parked.append((request, waiter))
        return True

    def release(self, variant: str) -> None:
        """Send what was parked for a variant that has a ready instance again."""
        parked, self._parked[variant] = self._parked[variant], deque()
        for request, waiter in parked:
            self.send(variant, request, waiter)

    @property
    def parked(self) -> int:
        """How many requests wait for an instance."""
        return sum(map(len, self._parked.values()))

    def abandon(self) -> None:
        """Tell everybody who is parked that their request is lost."""
        for parked in self._parked.values():
            while parked:
                parked.popleft()[1].lost()
