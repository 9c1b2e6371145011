"""Which variant a user is for: always the same one, in the shares of the weights, and without keeping anything."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from sm_magics.errors import SmError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["assigned"]

BITS = 52  # of a hash: half a step more than any of its values is still below 1 as a float


def assigned(endpoint: str, user: str, weights: Mapping[str, float]) -> str:
    """Return the variant of `weights` that a user is for, by weighted rendezvous hashing.

    Each variant draws u in (0, 1) for the user, by a hash, and the highest -w / ln(u) has the user. So each has its
    share of users; raising one weight only moves users to that variant, and taking a variant away only moves its own.
    Source of the formula: J. Resch, "New Hashing Algorithms for Data Storage", SNIA Storage Developer Conference 2015.

    Parameters
    ----------
    endpoint
        Goes into the hash, so that experiments on two endpoints do not split users alike.
    weights
        From 0 on; a variant of weight 0 has nobody.

    Raises
    ------
    SmError
        When no variant has a weight.
    """
    scores = {name: -weight / math.log(_drawn(endpoint, user, name)) for name, weight in weights.items() if weight > 0}
    if not scores:
        raise SmError(f"no variant of endpoint '{endpoint}' has a weight, so none is anybody's")
    return max(sorted(scores), key=scores.__getitem__)


def _drawn(endpoint: str, user: str, variant: str) -> float:
    # No endpoint's name holds a slash, so no two pairs of endpoint and user are hashed as one text.
    text = f"{endpoint}/{user}".encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=8, key=variant.encode()).digest())
    return float(((number >> (64 - BITS)) + 0.5) / 2**BITS)
