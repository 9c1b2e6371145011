"""Which variant a user is for: always the same one, in the shares of the weights, and without keeping anything."""

from __future__ import annotations

import hashlib
import math
import numbers
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from sm_magics.errors import SmError
from sm_magics.rows import missing

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["assigned", "id_of"]

EXACT = 2**53  # from it on, several whole numbers are the same float
BITS = 52  # of a hash: half a step more than any of its values is still below 1 as a float
_KEEP = "keep ids as text, or as whole numbers: ids.astype('Int64')"


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


def id_of(user: object) -> str:
    """Return a user's id as text; a whole float is its integer, as a pandas column of ids with a gap has floats.

    Bytes are the text that they are as UTF-8, an array without dimensions is what is in it.

    Raises
    ------
    SmError
        When it is no id: missing, true or false, many at once, a float that is not finite or too large to be exact, or
        text that is no Unicode.
    """
    if not isinstance(user, str | bytes) and getattr(user, "shape", None) == ():
        user = user[()]  # type: ignore[index]  # what has a shape is indexed by as many numbers: here by none
    if isinstance(user, bytes | bytearray):
        user = _decoded(bytes(user))
    if getattr(user, "shape", ()) != () or isinstance(user, list | tuple | range | dict | set | frozenset | Iterator):
        told = f"a {type(user).__name__} is nobody's id"
        raise SmError(told, hint="ask for one at a time: [ep.variant_for(each) for each in ids]")
    if missing(user) or user == "":
        hint = "leave those out who have none: they would all be for the same variant"
        raise SmError(f"{user!r} is nobody's id", hint=hint)
    if isinstance(user, bool) or getattr(getattr(user, "dtype", None), "kind", None) == "b":
        raise SmError(f"{user!r} is nobody's id: true and false are for everybody", hint="give the user's own id")
    if isinstance(user, numbers.Real | Decimal) and not isinstance(user, numbers.Rational):
        if not (user.is_finite() if isinstance(user, Decimal) else math.isfinite(user)):
            raise SmError(f"{user!r} is nobody's id: it is no finite number", hint=_KEEP)
        if isinstance(user, numbers.Real):
            user = _whole(float(user), _exact(user))
    text = str(user)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SmError(f"{text!r} is nobody's id: it is no Unicode", hint="read the ids with their encoding") from None
    return text


def _decoded(user: bytes) -> str:
    try:
        return user.decode()
    except UnicodeDecodeError:
        told = f"{user!r} is nobody's id: these bytes are no UTF-8"
        raise SmError(told, hint="give text: decode them with their encoding, or id.hex()") from None


def _exact(number: numbers.Real) -> int:
    """Return from which number on floats of its type leave whole numbers out: numpy has shorter ones than Python."""
    if (dtype := getattr(number, "dtype", None)) is None:
        return EXACT
    import numpy as np

    return min(EXACT, int(2 ** (np.finfo(dtype).nmant + 1)))


def _whole(number: float, exact: int) -> float:
    """Return a float as the integer that it is, where it is one."""
    if not number.is_integer():
        return number
    if abs(number) >= exact:
        told = f"{number!r} is nobody's id: a float as large as that may stand for several"
        raise SmError(told, hint=_KEEP)
    return int(number)


def _drawn(endpoint: str, user: str, variant: str) -> float:
    # No endpoint's name holds a slash, so no two pairs of endpoint and user are hashed as one text.
    text = f"{endpoint}/{user}".encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=8, key=variant.encode()).digest())
    return float(((number >> (64 - BITS)) + 0.5) / 2**BITS)
