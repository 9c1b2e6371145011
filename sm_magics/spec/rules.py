"""What breaks a rule of the service model, in plain words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sm_magics.nearest import did_you_mean
from sm_magics.spec.problems import clipped
from sm_magics.spec.syntax import missing_space
from sm_magics.spec.variables import type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics.service_model import Shape, Violation

__all__ = ["KINDS", "sentence", "shown"]

KINDS: Mapping[str, str] = {
    "string": "text",
    "integer": "a whole number",
    "long": "a whole number",
    "float": "a number",
    "double": "a number",
    "boolean": "true or false",
    "list": "a list",
    "map": "keys and values",
    "structure": "keys and values",
}
_YES_NO = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
_FEW = 6  # so many choices are listed

# Patterns of the service model that can be said in words.
_LETTERS = "may hold letters, digits and hyphens only"
_WORDS: Mapping[str, str] = {
    "[a-zA-Z_][a-zA-Z0-9_]*": "may hold letters, digits and _ only, and starts with no digit",
    r"[\S]+": "may not hold spaces",
    r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)": "may hold letters, digits, spaces and _ . : / = + - @ only",
    r"[-0-9a-zA-Z]+": _LETTERS,
    r"[a-zA-Z0-9:/_-]*": "may hold letters, digits and : / _ - only",
}


EXAMPLES: Mapping[str, str] = {"DataCaptureConfig": "write capture: {to: s3://bucket/prefix, sample: 20%}"}


def sentence(violation: Violation, label: str, expression: str | None) -> tuple[str, str | None]:
    """Return what is wrong with a value called `label`, and what to do about it.

    `expression` is the one that the value came from, if any. A missing member is the caller's to tell: it has no value.
    """
    value, shape = violation.value, violation.shape
    got = shown(value, expression)
    if violation.rule == "type":
        hint = EXAMPLES.get(shape.name) or _other_type(value, shape, expression)
        return f"{label} must be {KINDS.get(shape.type, shape.type)}, not {got}", hint
    if violation.rule == "enum":
        return _not_one_of(str(value), shape, label, got)
    if violation.rule == "pattern":
        return _misfit(str(value), shape, label, got)
    return _out_of_bounds(violation, label, got), None


def shown(value: Any, expression: str | None) -> str:
    """Return a value as messages show it, with the expression it came from and its type."""
    text = _literal(value)
    if expression is None:
        return text or type_name(value)
    if text is None:
        return f"{clipped(expression)} ({type_name(value)})"
    return f"{text} ({clipped(expression)}, {type_name(value)})"


def _literal(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{clipped(value)}'"
    if isinstance(value, int | float):
        return clipped(str(value)) if isinstance(value, float) or abs(value) < 10**60 else "a huge number"
    if isinstance(value, dict):
        return "keys and values"
    return "a list" if isinstance(value, list) else None


def _other_type(value: Any, shape: Shape, expression: str | None) -> str | None:
    if expression is not None:
        return None
    if shape.type == "string" and isinstance(value, int | float):
        return "put quotes around it"
    if shape.type == "boolean" and str(value).lower() in _YES_NO:
        return f"write {_YES_NO[str(value).lower()]}"
    if isinstance(value, str) and shape.type in ("structure", "map"):
        return missing_space(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return "write it without quotes"
    return "put it in brackets: [...]" if shape.type == "list" else None


def _not_one_of(value: str, shape: Shape, label: str, got: str) -> tuple[str, str | None]:
    hint = did_you_mean(value, shape.enum)
    if shape.name.endswith("InstanceType"):
        return f"{got} is not an instance type", hint or "ml.m5.large is one"
    if hint is None and len(shape.enum) <= _FEW:
        hint = f"write {' or '.join(shape.enum)}"
    return f"{label} cannot be {got}", hint


def _misfit(value: str, shape: Shape, label: str, got: str) -> tuple[str, str | None]:
    pattern = shape.pattern or ""
    subject = f"{label} {got}"
    if pattern.startswith("[a-zA-Z0-9](") and not re.search(r"[/.+]", pattern):
        kind = _LETTERS if re.search(r"[^a-zA-Z0-9-]", value) else "must start and end with a letter or a digit"
        is_file = shape.name == "ModelName" and ("/" in value or value.endswith(".tar.gz"))
        return f"{subject} {kind}", f"write a file as {{image: ..., data: {clipped(value)}}}" if is_file else None
    if pattern.startswith("(https|s3)://"):
        return f"{label} must be an address such as s3://bucket/prefix, not {got}", None
    if pattern.startswith("arn:"):
        example = "arn:aws:iam::123456789012:role/Name" if ":iam:" in pattern else "arn:aws:..."
        return f"{label} must be an ARN such as {example}, not {got}", None
    if pattern in _WORDS:
        return f"{subject} {_WORDS[pattern]}", None
    return f"{subject} is not in the form that SageMaker asks for", f"the pattern is {clipped(pattern)}"


def _out_of_bounds(violation: Violation, label: str, got: str) -> str:
    value, shape = violation.value, violation.shape
    least = violation.rule == "min"
    bound = f"at least {shape.min}" if least else f"at most {shape.max}"
    if isinstance(value, str):
        return f"{label} {got} is too {'short' if least else 'long'}: it has {len(value)} characters, {bound}"
    if isinstance(value, list | tuple | dict):
        return f"{label} takes {bound} {'entry' if bound.endswith(' 1') else 'entries'}, not {len(value)}"
    unit = "%" if shape.name == "SamplingPercentage" else ""
    return f"{label} must be {bound}{unit}, not {got}{unit}"
