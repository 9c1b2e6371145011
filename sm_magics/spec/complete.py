"""What can be written where the cursor stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sm_magics.spec.cursor import Cursor, find_cursor, names_under
from sm_magics.spec.keys import (
    ALARM,
    DEPLOY,
    ENDPOINT,
    MODEL,
    MODEL_CELL,
    NAMED,
    VARIANT,
    WORDS,
    below,
    is_level,
    level,
    sagemaker,
)
from sm_magics.spec.problems import Source
from sm_magics.spec.variables import public

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Suggestion", "Suggestions", "suggest"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One way to go on, and the first sentence of its documentation."""

    text: str
    help: str


@dataclass(frozen=True, slots=True)
class Suggestions:
    """All ways to go on; each replaces what stands between the column `start` and the cursor."""

    start: int
    items: tuple[Suggestion, ...]


def suggest(
    text: str, line: int, column: int, variables: Iterable[str], *, cell: Literal["endpoint", "model"] = "endpoint"
) -> Suggestions:
    """Return what can be written at the cursor of a cell that is still being typed.

    Parameters
    ----------
    text
        The cell without its first line, the magic's.
    line, column
        The cursor, both counted from 0.
    variables
        The names that may follow `$`.
    cell
        Which cell it is.
    """
    lines = Source(text).lines
    cursor = find_cursor(lines, line, column)
    if cursor is None:
        return Suggestions(column, ())
    name = _level_at(ENDPOINT if cell == "endpoint" else MODEL_CELL, cursor.path)
    if name is None:
        items: Iterable[Suggestion] = ()
    elif cursor.word.startswith("$"):
        takes_one = not cursor.is_key or (cell == "model" and not cursor.path)
        is_closed = lines[line][column:].startswith("}")
        items = _variables(cursor.word, variables, is_closed=is_closed) if takes_one else ()
    elif cursor.is_key:
        items = _keys(name, cursor)
    else:
        items = _values(name, lines)
    fitting = (each for each in items if each.text.lower().startswith(cursor.word.lower()))
    return Suggestions(cursor.start, tuple(fitting))


def _level_at(root: str, path: tuple[str | int, ...]) -> str | None:
    name: str | None = root
    for step in path:
        name = below(name, step) if name else None
    return name


def _keys(name: str, cursor: Cursor) -> Iterator[Suggestion]:
    if not is_level(name):
        return
    present = {key.member for word in cursor.present if (key := level(name).find(word))}
    for word, key in level(name).choices():
        if key.member not in present:
            yield Suggestion(word, key.help)


def _values(name: str, lines: Sequence[str]) -> Iterator[Suggestion]:
    if name in (MODEL, VARIANT):
        yield from (Suggestion(each, "A model of this cell") for each in names_under(lines, "models"))
    elif name == ALARM:
        yield Suggestion("{metric: Invocation5XXErrors, above: 1%, for: 1m}", "An alarm that is made for this update")
    elif name == DEPLOY:
        yield Suggestion("all-at-once", level(DEPLOY).words["all-at-once"].help)
    elif name == NAMED:
        yield from (Suggestion(each, "A variant of this cell") for each in names_under(lines, "variants"))
    elif name in WORDS:
        yield from (Suggestion(each, "") for each in WORDS[name])
    elif not is_level(name):
        shape = sagemaker().shape(name)
        words = ("true", "false") if shape.type == "boolean" else shape.enum
        yield from (Suggestion(each, "") for each in words)


def _variables(word: str, variables: Iterable[str], *, is_closed: bool) -> Iterator[Suggestion]:
    in_braces = word.startswith("${")
    end = "}" if in_braces and not is_closed else ""
    return (Suggestion(f"{'${' if in_braces else '$'}{each}{end}", "") for each in sorted(public(variables)))
