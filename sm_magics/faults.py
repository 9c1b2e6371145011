"""Faults on purpose: what words such as `5xx=20%` ask for, and the calls that make an endpoint fail so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sm_magics.amounts import percentage, seconds
from sm_magics.connection import call
from sm_magics.errors import CellError
from sm_magics.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from sm_magics.connection import Connection

__all__ = ["CLEAR", "KINDS", "SPELLINGS", "Asked", "Fault", "carry_out", "check", "listed", "parse"]

SERVICE = "sm-magics-engine"
CLEAR = "clear"
LONGEST, WHOLE = 600.0, 100.0  # the most seconds and per cent that the engine takes
_SHARE = "above 0%, at most 100%"
KINDS: Mapping[str, str] = {  # how each is written
    "slow": "write slow=2s: above 0s, at most 10m",
    "crash": f"write crash, which happens once, or crash=10%: {_SHARE}",
    "5xx": f"write 5xx=20%: {_SHARE}",
    "ping": "write ping=fail",
    "throttle": f"write throttle, which hits all, or throttle=10%: {_SHARE}",
    "stuck-creating": "it takes no value",
    "quota": "it takes no value",
}
SPELLINGS = ("slow=", "crash", "5xx=", "ping=fail", "throttle", "stuck-creating", "quota")
_NO_KINDS = frozenset({"4xx", "400", "500", "503"})  # that look like one
_ALL = "slow=2s, crash, 5xx=20%, ping=fail, throttle, stuck-creating, quota"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `variant` of None is every variant, `spared` the endpoint config that one of `next_only` leaves alone.

    `seconds` is the delay of a slow one, `percentage` the share of invocations of one that hits only some.
    """

    kind: str
    variant: str | None = None
    seconds: float | None = None
    percentage: float | None = None
    next_only: bool = False
    spared: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: new faults, or an end of those that there are; without either, to see them."""

    variant: str | None = None
    faults: tuple[Fault, ...] = ()
    clears: bool = False


def parse(words: Sequence[str], *, next_only: bool = False) -> Asked:
    """Return what words ask for; a first one that is neither a kind nor `clear` is taken for a variant.

    Raises
    ------
    CellError
        When a word is no fault, or has a value that its kind does not take.
    """
    bare = bool(words) and "=" not in words[0] and words[0] not in {*KINDS, CLEAR}
    variant, rest = (words[0], words[1:]) if bare else (None, words)
    if CLEAR in rest:
        if len(rest) > 1 or next_only:
            raise CellError("clear stands alone", hint="write %sm_fault NAME clear, or %sm_fault NAME VARIANT clear")
        return Asked(variant, clears=True)
    if next_only and not words:
        raise CellError("--next says nothing here", hint=f"add what is to go wrong: {_ALL}")
    faults = tuple(_fault(each, variant, next_only=next_only) for each in rest)
    kinds = [each.kind for each in faults]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise CellError(f"{kind} is there twice", hint="keep one of the two")
    return Asked(variant, faults)


def check(
    asked: Asked,
    endpoint: str,
    variants: Collection[str],
    shadows: Collection[str] = (),
    present: Collection[Fault] = (),
) -> None:
    """Raise when nothing can be done as asked.

    A fault for the next fleet may be on a variant that is still to come, unless its name is very like a kind. `present`
    are the faults that there are.

    Raises
    ------
    CellError
        When its variant is none of `variants`, or nothing is to be done with it.
    """
    if asked.variant is None:
        return
    if asked.variant in shadows:
        told = f"'{asked.variant}' is a shadow of endpoint '{endpoint}', and faults are put on variants that answer"
        raise CellError(told, hint=f"it has {', '.join(variants)}")
    own = any(each.variant == asked.variant for each in present)
    if asked.clears and present and not own and asked.variant in variants:
        told = f"variant '{asked.variant}' has no faults of its own"
        raise CellError(told, hint=f"%sm_fault {endpoint} clear ends those of all variants, too")
    to_come = any(each.next_only for each in asked.faults) and not _near(asked.variant, [*KINDS, CLEAR], 0.7)
    if asked.variant not in variants and not to_come:
        told = f"'{asked.variant}' is neither a kind of fault nor a variant of endpoint '{endpoint}'"
        has = f"; it has {', '.join(variants)}" if variants else ""
        raise CellError(told, hint=_near(asked.variant, [*KINDS, CLEAR, *variants]) or f"kinds are {_ALL}{has}")
    if not asked.faults and not asked.clears:
        raise CellError(f"nothing is said of variant '{asked.variant}'", hint=f"add what is to go wrong: {_ALL}")


def listed(connection: Connection, endpoint: str) -> tuple[Fault, ...]:
    """Return the faults of an endpoint.

    Raises
    ------
    CellError
        When the connection leads to AWS, where nothing fails on purpose.
    ServiceError
        When the service does not answer.
    """
    if not connection.offers(SERVICE):
        raise CellError(
            f"faults are rehearsed on the embedded engine only, not on {connection.label}",
            hint="%sm_connect local leads there",
        )
    answer = call(connection.client(SERVICE), "ListFaults", EndpointName=endpoint)
    return tuple(map(_told, answer["Faults"]))


def carry_out(connection: Connection, endpoint: str, asked: Asked) -> None:
    """Put the faults that are asked for, or end those that there are.

    Raises
    ------
    ServiceError
        When the service refuses it.
    """
    client = connection.client(SERVICE)
    if asked.clears:
        call(client, "DeleteFaults", **_given(EndpointName=endpoint, VariantName=asked.variant))
    for each in asked.faults:
        request = _given(
            EndpointName=endpoint,
            Kind=each.kind,
            VariantName=each.variant,
            Seconds=each.seconds,
            Percentage=each.percentage,
            NextOnly=each.next_only or None,
        )
        call(client, "PutFault", **request)


def _fault(word: str, variant: str | None, *, next_only: bool) -> Fault:
    kind, equals, value = word.partition("=")
    if kind not in KINDS:
        hint = (kind not in _NO_KINDS and _near(kind, KINDS)) or f"kinds are {_ALL}; a variant comes before them"
        raise CellError(f"'{kind}' is no kind of fault", hint=hint)
    delay = seconds(value) if kind == "slow" else None
    share = percentage(value) if kind in {"crash", "5xx", "throttle"} else None
    if delay is not None:
        fits = 0 < delay <= LONGEST
    elif share is not None:
        fits = 0 < share <= WHOLE
    else:
        fits = word == "ping=fail" or (not equals and kind not in {"slow", "5xx"})
    if not fits:
        raise CellError(f"'{word}' is no fault", hint=KINDS[kind])
    return Fault(kind, variant, delay, share, next_only)


def _told(answer: Mapping[str, Any]) -> Fault:
    return Fault(
        answer["Kind"],
        answer.get("VariantName"),
        answer.get("Seconds"),
        answer.get("Percentage"),
        bool(answer.get("NextOnly")),
        answer.get("SparedConfigName"),
    )


def _given(**request: Any) -> dict[str, Any]:
    return {key: value for key, value in request.items() if value is not None}


def _near(word: str, known: Collection[str], like: float = 0.5) -> str | None:
    near = nearest(word, known, like)
    return f"did you mean {near}?" if near else None
