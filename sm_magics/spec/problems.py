"""What is wrong with a cell, collected and shown: every problem with its line, a caret, and what to do about it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sm_magics.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Place", "Problem", "Source", "clipped"]

_WIDTH = 100  # of the part of a long line that is shown
_SHOWN = 50  # problems of one cell
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what YAML takes for one


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands in a cell, both counted from 0."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; without a place, it is not in the cell's body."""

    message: str
    hint: str | None = None
    place: Place | None = None


@dataclass(frozen=True)
class Source:
    """The text of a cell's body; `first_line` is the number of its first line as the reader counts."""

    text: str
    first_line: int = 1

    @cached_property
    def lines(self) -> list[str]:
        """The text line by line."""
        return _LINE_BREAK.split(self.text)

    def at(self, index: int) -> Place:
        """Return the place of the character at `index`."""
        before = _LINE_BREAK.split(self.text[:index])
        return Place(len(before) - 1, len(before[-1]))

    def error(self, problems: Iterable[Problem]) -> CellError:
        """Return one error that shows all `problems` in the order of the lines."""
        ordered = sorted(problems, key=lambda each: each.place or Place(-1, -1))
        shown = [self._show(each) for each in ordered[:_SHOWN]]
        if len(ordered) > _SHOWN:
            shown.append(f"and {len(ordered) - _SHOWN} more")
        return CellError("\n\n".join(shown))

    def _show(self, problem: Problem) -> str:
        hint = f"\n  {problem.hint}" if problem.hint else ""
        if problem.place is None:
            return problem.message + hint
        line = min(problem.place.line, len(self.lines) - 1)
        number = line + self.first_line
        return f"line {number}: {problem.message}\n{self._excerpt(line, problem.place.column)}{hint}"

    def _excerpt(self, line: int, column: int) -> str:
        start = max(0, column - _WIDTH * 2 // 3)
        number = line + self.first_line
        width = len(str(number))
        text = self.lines[line]
        rows = [f"     {number - 1:>{width}} | {_window(self.lines[line - 1], start)}"] if line else []
        rows.append(f"  -> {number:>{width}} | {_window(text, start)}")
        indent = _columns(text[start:column].ljust(column - start)) + (1 if start else 0)
        rows.append(f"     {'':>{width}} | {' ' * indent}^")
        return "\n".join(row.rstrip() for row in rows)


def clipped(text: str, length: int = 60) -> str:
    """Return `text` with its end cut off where it is longer than `length`."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _window(line: str, start: int) -> str:
    text = "".join(_visible(character) for character in line[start : start + _WIDTH])
    return ("…" if start else "") + text + ("…" if len(line) > start + _WIDTH else "")


def _visible(character: str) -> str:
    if character == "\t":
        return "→"
    return character if character.isprintable() else "�"


def _columns(text: str) -> int:
    """Return how wide `text` is in a font of fixed width."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )
