"""What a key of a cell means, wherever it may stand: for help inside the notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sm_magics.spec.keys import ENDPOINT, MODEL, VARIANT, below, is_level, level, sagemaker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sm_magics.service_model import Shape
    from sm_magics.spec.keys import Key

__all__ = ["Explanation", "example", "explain", "explain_below", "words"]

Explanation = tuple[str, str, str, str]
MOST_CHOICES = 6
_EXAMPLES: Mapping[str, str] = {  # of the keys at the top of a cell
    "variants": "variants:\n  Linear-Model: {model: $linear, weight: 4}\n  XGB-Model: {model: $xgb, instances: 2}",
    "models": "models:\n  xgb: {image: xgboost@3.0-5, data: ./model.tar.gz}\nvariants: {XGB-Model: xgb}",
    "shadow": "variants: {XGB-Model: $xgb}\nshadow: {Next-Model: {model: $next, weight: 0.5}}  # a copy of half of it",
    "deploy": (
        "deploy: {canary: 10%, wait: 5m}\ndeploy: {linear: 25%, every: 2m, bake: 10m}\n"
        "deploy: {rolling: 50%, wait: 1m}\ndeploy: all-at-once"
    ),
    "rollback_on": (
        "deploy: {canary: 10%, wait: 5m}\nrollback_on:\n  - my-alarm\n"
        "  - {metric: Invocation5XXErrors, above: 1%, for: 1m}\n  - {metric: ModelLatency, above: 200ms, stat: p99}"
    ),
    "capture": "capture: {to: s3://bucket/prefix, sample: 20%}",
    "tags": "tags: {team: pricing}",
}


def explain(word: str) -> list[Explanation]:
    """Return what a key means, at each place it may stand: the place, SageMaker's name, what it takes, what it is."""
    found = []
    for name, place in _levels():
        key = level(name).find(word)
        if key is not None:
            found.append((place, key.member, _takes(key), key.help))
    return found


def explain_below(word: str) -> list[tuple[str, str, str]]:
    """Return the keys that may stand below a key at the top of a cell: each with what it takes and what it is.

    Of many, those that everyone writes; the others are SageMaker's own.
    """
    key = level(ENDPOINT).find(word)
    inner = _below(key.shape, "") if key is not None else []
    inner = [(VARIANT, "")] if key is not None and key.member in {"variants", "shadow"} else inner
    keys = [key for name, _ in inner for written, key in level(name).choices() if written == key.name]
    shown = [key for key in keys if key.short] or keys
    return [(key.name, _takes(key), key.help) for key in shown]


def example(word: str) -> str | None:
    """Return how a key at the top of a cell is written, None where one line says it."""
    key = level(ENDPOINT).find(word)
    return _EXAMPLES.get(key.name) if key is not None else None


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
