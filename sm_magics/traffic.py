"""Shares of an endpoint's traffic: what a line asks for as weights, and the steps of the way from one to another.

Pure: plain data in, plain data out.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from sm_magics.errors import CellError
from sm_magics.nearest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["check_rising", "check_spaces", "check_variant", "completed", "parse_steps", "parse_weights", "stepped"]

WHOLE = 100.0  # percent
MOST = 3.4028234663852886e38  # SageMaker's weights are floats of 32 bits


def check_variant(endpoint: str, variant: str, names: Iterable[str], *, otherwise: str = "") -> None:
    """Raise when a variant is none of those that there are; `otherwise` is what to do when it is not a typing error.

    Raises
    ------
    CellError
        With the nearest name that there is.
    """
    known = list(names)
    if variant not in known:
        hint = did_you_mean(variant, known, 0.5) or f"it has {', '.join(known) or 'none yet'}{otherwise}"
        raise CellError(f"endpoint '{endpoint}' has no variant '{variant}'", hint=hint)


def parse_weights(words: Sequence[str], endpoint: str, names: Sequence[str]) -> dict[str, float]:
    """Return the weights that `A=90 B=10` asks for.

    Raises
    ------
    CellError
        When a word is none, a variant is named twice, or as `completed`.
    """
    given: dict[str, float] = {}
    for word in words:
        variant, equals, number = word.partition("=")
        if not equals:
            hint = f"write {variant}=90, or move its share in steps: {variant} --steps 10,50,100 --every 5m"
            raise CellError(f"'{word}' says no share", hint=hint)
        if variant in given:
            raise CellError(f"variant '{variant}' has two shares", hint="keep one of the two")
        check_variant(endpoint, variant, names)
        given[variant] = _share(word, number.removesuffix("%"))
    return completed(given, endpoint, names)


def completed(shares: Mapping[str, float], endpoint: str, names: Sequence[str]) -> dict[str, float]:
    """Return the weight of each variant, by the shares of all of them or of all but one.

    Where one is left out, the shares are percent, and it gets the rest of 100.

    Raises
    ------
    CellError
        When a variant is unknown, or more than one left out; a share is none, or nothing would get any traffic.
    """
    given: dict[str, float] = {}
    for variant, share in shares.items():
        check_variant(endpoint, variant, names)
        given[variant] = _share(f"{variant}={share}", str(share))
    left = [each for each in names if each not in given]
    if len(left) > 1:
        raise CellError(
            f"nothing is said of {' and '.join(left)}", hint="give each variant a share; one may be left out: the rest"
        )
    if left:
        rest = round(WHOLE - sum(given.values()), 9)  # 33.3 and 66.7 are a bit more than 100 as floats may be
        if rest < 0:
            raise CellError(
                f"there is no rest of 100 for '{left[0]}': the others have {WHOLE - rest:g}",
                hint=f"give it a share, too: {left[0]}=…",
            )
        given[left[0]] = rest
    if not any(given.values()):
        raise CellError("no variant would get any traffic", hint="give at least one a share above 0")
    return {name: given[name] for name in names}


def parse_steps(text: str) -> tuple[float, ...]:
    """Return the percentages in `10,50,100`, which are to rise.

    Raises
    ------
    CellError
        When they do not, or one is none.
    """
    parts = [each.strip() for each in text.split(",")]
    if not all(parts):
        raise CellError(f"--steps {text}: a comma has no share beside it", hint="--steps 10,50,100, say")
    steps = tuple(_share(f"--steps {text}", each.removesuffix("%")) for each in parts)
    rising = all(one < other for one, other in itertools.pairwise(steps))
    if not rising or not 0 < steps[0] <= steps[-1] <= WHOLE:
        raise CellError(f"--steps {text}: they are percent that rise up to 100 at most", hint="--steps 10,50,100, say")
    return steps


def check_spaces(flag: str, text: str, apart: Sequence[str]) -> None:
    """Raise when the list of a flag was written with spaces: then its end stands `apart`, as words of their own.

    Raises
    ------
    CellError
        With the list as it should be.
    """
    if apart and (text.endswith(",") or any(each[0] == "," or each[-1] == "," for each in apart)):
        whole = ",".join(part for each in (text, *apart) for part in each.split(",") if part)
        told = f"{flag} {' '.join((text, *apart))}: a list ends at a space"
        raise CellError(told, hint=f"write it without spaces: {flag} {whole}")


def check_rising(endpoint: str, newcomer: str, weights: Mapping[str, float], steps: Sequence[float]) -> None:
    """Raise when the first step would take away some of the share that a newcomer has, which is to rise.

    Raises
    ------
    CellError
        With the steps that are above, or with what would lower it.
    """
    has = WHOLE * weights[newcomer] / (sum(weights.values()) or 1.0)
    if steps[0] >= has or math.isclose(steps[0], has, rel_tol=1e-4):
        return
    above = ",".join(f"{each:g}" for each in steps if each > has)
    fewer = " ".join(f"{name}={share:.6g}" for name, share in stepped(weights, newcomer, steps[-1]).items())
    hint = f"begin above: --steps {above}" if above else f"to give it less: %sm_traffic {endpoint} {fewer}"
    raise CellError(f"variant '{newcomer}' has {has:.3g} % of the traffic: --steps {steps[0]:g} is less", hint=hint)


def stepped(weights: Mapping[str, float], newcomer: str, percent: float) -> dict[str, float]:
    """Return weights that sum up to 100, of which `newcomer` has `percent`; the others divide the rest as they do now.

    Where they have nothing now, they divide it equally.
    """
    others = {name: weight for name, weight in weights.items() if name != newcomer}
    total = sum(others.values())
    rest = WHOLE - percent
    return {
        name: percent if name == newcomer else rest * (others[name] / total if total else 1 / len(others))
        for name in weights
    }


def _share(word: str, number: str) -> float:
    try:
        share = float(number)
    except ValueError:
        share = math.nan
    if not 0 <= share <= MOST:
        raise CellError(f"{word}: '{number}' is no share", hint=f"a share is a number from 0 to {MOST:.6g}")
    return share
