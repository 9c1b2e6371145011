"""What a key of a cell means, wherever it may stand: for help inside the notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sm_magics.spec.keys import ENDPOINT, MODEL, VARIANT, below, is_level, level, sagemaker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sm_magics.service_model import Shape
    from sm_magics.spec.keys import Key

__all__ = ["Explanation", "explain", "words"]

Explanation = tuple[str, str, str, str]
MOST_CHOICES = 6


def explain(word: str) -> list[Explanation]:
    """Return what a key means, at each place it may stand: the place, SageMaker's name, what it takes, what it is."""
    found = []
    for name, place in _levels():
        key = level(name).find(word)
        if key is not None:
            found.append((place, key.member, _takes(key), key.help))
    return found


def words() -> list[str]:
    """Return all keys that a cell may hold, as a reader should write them."""
    return sorted({word for name, _ in _levels() for word, _ in level(name).choices()})


def _levels() -> Iterator[tuple[str, str]]:
    """Yield every level that takes keys, and where it stands: `variants.NAME.serverless`."""
    waiting = [(ENDPOINT, ""), (VARIANT, "variants.NAME"), (MODEL, "models.NAME")]
    seen: set[str] = set()
    while waiting:
        name, place = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        yield name, place or "top level"
        for word, key in level(name).choices():
            if word == key.name and key.shape not in {VARIANT, MODEL} and key.member != "PrimaryContainer":
                waiting += _below(key.shape, f"{place}.{word}" if place else word)


def _below(name: str, place: str) -> list[tuple[str, str]]:
    """Return the structure that `name` is, or holds as a list or map."""
    inner: str | None = name
    while inner is not None and not is_level(inner):
        inner = below(inner, "")
    return [] if inner is None or inner in {VARIANT, MODEL} else [(inner, place)]


def _takes(key: Key) -> str:
    if key.takes:
        return key.takes
    if key.member in {"model", "variants", "shadow", "models", "role", "Tags"}:
        return {"model": "$object, a name, or fields", "role": "an ARN"}.get(key.member, "a mapping")
    shape = sagemaker().shape(key.shape)
    if shape.enum:
        shown = ", ".join(shape.enum[:MOST_CHOICES])
        return shown if len(shape.enum) <= MOST_CHOICES else f"{shown}, … ({len(shape.enum)} in all)"
    return _type(shape)


def _type(shape: Shape) -> str:
    match shape.type:
        case "integer" | "long" | "float" | "double":
            low = f" from {shape.min:g}" if shape.min is not None else ""
            high = f" to {shape.max:g}" if shape.max is not None else ""
            return f"a number{low}{high}"
        case "boolean":
            return "true or false"
        case "list":
            return "a list" if shape.max is None else f"a list of at most {shape.max:g}"
        case "map" | "structure":
            return "a mapping"
        case _:
            return "a text"
