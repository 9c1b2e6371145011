"""`$name` and `${name.attr[0]}`: names of the notebook and paths into them. Nothing is ever evaluated or called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.errors import CellError
from sm_magics.nearest import did_you_mean
from sm_magics.spec.problems import clipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["is_expression", "item_of", "public", "resolve", "type_name"]

_NAME = re.compile(r"[^\W\d]\w*")
_STEP = re.compile(
    r"""\.(?P<attribute>[^\W\d]\w*)|\[(?P<index>-?\d{1,18})\]|\['(?P<single>[^'\\]*)'\]|\["(?P<double>[^"\\]*)"\]"""
)


@dataclass(frozen=True, slots=True)
class _Step:
    key: str | int
    is_attribute: bool

    def of(self, value: Any) -> object:
        return getattr(value, str(self.key)) if self.is_attribute else value[self.key]

    def missing_from(self, value: object) -> str:
        if self.is_attribute:
            return f"no attribute '{self.key}' on a {type_name(value)}"
        return f"no item {self.key!r} in a {type_name(value)}"


def is_expression(text: str) -> bool:
    """Whether `text` starts as an expression does; `$$` starts a text that begins with `$`."""
    return text.startswith("$") and not text.startswith("$$")


def resolve(expression: str, variables: Mapping[str, Any]) -> object:
    """Return the object that `$name` or `${name.attr[0]['key']}` leads to, as it is.

    Raises
    ------
    CellError
        When the expression is not one, or leads nowhere; with the nearest name.
    """
    name, steps = _parsed(expression)
    if name.startswith("_") or any(step.is_attribute and str(step.key).startswith("_") for step in steps):
        raise CellError(f"{clipped(expression)} is private", hint="names that start with an underscore are not read")
    if name not in variables:
        suggestion = did_you_mean(f"${name}", [f"${each}" for each in public(variables)])
        raise CellError(
            f"{clipped(f'${name}')} is not defined", hint=suggestion or "run the cell that defines it first"
        )
    value: object = variables[name]
    for step in steps:
        value = _follow(step, value, expression)
    return value


def item_of(expression: str, key: object) -> str:
    """Return the expression of the item `key` of what `expression` leads to."""
    return f"${{{expression.removeprefix('$').strip('{}')}[{key!r}]}}"


def type_name(value: object) -> str:
    """Return the name of the type of `value`, as messages show it."""
    return type(value).__name__


def public(names: Iterable[object]) -> Iterator[str]:
    """Yield those of `names` that an expression may use."""
    return (each for each in names if isinstance(each, str) and not each.startswith("_"))


def _parsed(expression: str) -> tuple[str, list[_Step]]:
    braced = expression.startswith("${")
    path = expression[2:-1] if braced else expression[1:]
    name = _NAME.match(path)
    closed = expression.endswith("}") if braced else name is not None and name.end() == len(path)
    if not expression.startswith("$") or name is None or not closed:
        raise _not_a_path(expression)
    return name[0], list(_steps(path, name.end(), expression))


def _steps(path: str, position: int, expression: str) -> Iterator[_Step]:
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None:
            raise _not_a_path(expression)
        position = found.end()
        key = next(text for text in found.groups() if text is not None)
        yield _Step(int(key) if found["index"] else key, is_attribute=found["attribute"] is not None)


def _not_a_path(expression: str) -> CellError:
    if "(" in expression:
        hint = "nothing is called here: give the result a name in a cell above"
    elif re.fullmatch(r"\$\{?[^\W\d]\w*[.\[].*", expression):
        hint = "only attributes, and items by a number or a text, are read here: give the result a name in a cell above"
        inside = expression[1:].removeprefix("{").removesuffix("}")
        if f"${{{inside}}}" != expression and _is_path(f"${{{inside}}}"):
            hint = f"write ${{{clipped(inside)}}}"
    elif expression.isidentifier():
        hint = f"write ${clipped(expression)}"
    else:
        hint = "write $name or ${name.attr[0]}; a text that starts with $ is written $$"
    return CellError(f"cannot read '{clipped(expression)}'", hint=hint)


def _is_path(expression: str) -> bool:
    with suppress(CellError):
        _parsed(expression)
        return True
    return False


def _follow(step: _Step, value: object, expression: str) -> object:
    try:
        return step.of(value)
    except (AttributeError, LookupError, TypeError):
        suggestion = did_you_mean(str(step.key), _names_in(value, step))
        raise CellError(f"{clipped(expression)}: {step.missing_from(value)}", hint=suggestion) from None
    except Exception as error:
        raise CellError(f"{clipped(expression)}: {type_name(error)}: {clipped(str(error))}") from error


def _names_in(value: object, step: _Step) -> list[str]:
    with suppress(Exception):  # an object of the notebook may do anything when asked for its names
        if step.is_attribute:
            return list(public(dir(value)))
        if isinstance(value, Mapping):
            return [key for key in value if isinstance(key, str)]
    return []
