"""Where the cursor stands in a cell that is still being typed, and is no valid YAML yet.

The lines above lead to the level by their indentation; braces and brackets count on the cursor's own line only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Cursor", "find_cursor", "names_under"]

_KEY = re.compile(r"""("[^"]*"|'[^']*'|[^\s"'{}\[\],#&*!|>%@`-][^:#]*?)\s*:(?=\s|$)""")
_SIGNS = frozenset("\"'{}[],:#")  # that mean something outside quotes
_ITEM = 0  # the step from a list to what it holds


@dataclass(frozen=True, slots=True)
class Cursor:
    """What is typed and where: `word` starts at column `start`, under the keys of `path` (0 for the item of a list).

    `present` are the other keys of the same mapping.
    """

    path: tuple[str | int, ...]
    word: str
    start: int
    is_key: bool
    present: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Mark:
    """A key of one line, or the dash of a list's item, and its column."""

    column: int
    step: str | int


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is open on one line; `key` is the one whose value is being written."""

    sign: str
    keys: dict[int, str] = field(default_factory=dict)
    key: str | None = None


def find_cursor(lines: Sequence[str], line: int, column: int) -> Cursor | None:
    """Return where the cursor stands, None where nothing can be completed: in a comment, or outside the text."""
    if not (0 <= line < len(lines) and 0 <= column <= len(lines[line])):
        return None
    text = lines[line]
    dashes, content = _before_content(text[:column])
    scan = _Scan(text, content)
    scan.read_to(column)
    if scan.in_comment or text[:column].endswith(":"):
        return None
    frame, path, (start, word) = scan.stack[-1], scan.path(), scan.word(column)
    is_key = frame.sign != "[" and frame.key is None
    scan.read_to(len(text))  # for the keys that follow
    present = {key for place, key in frame.keys.items() if place != start}
    if not frame.sign:
        present.update(_siblings(lines, line, content, is_item=bool(dashes)))
    above = _steps_above(lines[:line], dashes[0] if dashes else content, in_list=bool(dashes))
    return Cursor((*above, *(_ITEM for _ in dashes), *path), word, start, is_key, frozenset(present))


def names_under(lines: Sequence[str], name: str) -> list[str]:
    """Return the keys of the mapping under the top-level key `name`."""
    for number, text in enumerate(lines):
        if _marks(text)[:1] == [_Mark(0, name)]:
            scan = _Scan(text, 0)
            scan.read_to(len(text))
            return [*scan.inner, *_first_keys(lines[number + 1 :])]
    return []


def _first_keys(lines: Iterable[str]) -> Iterator[str]:
    """Yield the keys of the block that `lines` start with, and not those inside its values."""
    depth: int | None = None
    for text in lines:
        for mark in _marks(text)[:1]:
            depth = mark.column if depth is None else depth
            if mark.column == 0:
                return
            if mark.column == depth and isinstance(mark.step, str):
                yield mark.step


def _before_content(text: str) -> tuple[list[int], int]:
    """Return the columns of the dashes that `text` starts with, and the column of what follows."""
    dashes = []
    content = len(text) - len(text.lstrip(" "))
    while text[content : content + 2] == "- ":
        dashes.append(content)
        content += 1
        content += len(text[content:]) - len(text[content:].lstrip(" "))
    return dashes, content


def _marks(text: str) -> list[_Mark]:
    dashes, content = _before_content(text)
    key = _KEY.match(text, content)
    return [*(_Mark(each, _ITEM) for each in dashes), *([_Mark(content, _bare(key[1]))] if key else [])]


def _bare(key: str) -> str:
    return key.strip().strip("\"'")


def _steps_above(lines: Sequence[str], column: int, *, in_list: bool) -> list[str | int]:
    """Return the steps that lead to what stands at `column` below `lines`.

    A list's dashes may stand in the column of its key.
    """
    steps: list[str | int] = []
    for text in reversed(lines):
        for mark in reversed(_marks(text)):
            is_key = isinstance(mark.step, str)
            if mark.column < column or (in_list and is_key and mark.column == column):
                steps.append(mark.step)
                column, in_list = mark.column, not is_key
    return steps[::-1]


def _siblings(lines: Sequence[str], line: int, column: int, *, is_item: bool) -> Iterator[str]:
    """Yield the keys of the block mapping at `column` that stand on other lines than `line`."""
    if not is_item:
        for text in reversed(lines[:line]):
            yield from _keys_at(text, column)
            if _indent(text) < column:
                break
    for text in lines[line + 1 :]:
        if _indent(text) < column:
            break
        yield from _keys_at(text, column)


def _keys_at(text: str, column: int) -> Iterator[str]:
    return (mark.step for mark in _marks(text) if mark.column == column and isinstance(mark.step, str))


def _indent(text: str) -> int:
    """Return the column where a line starts; a blank one or a comment belongs to any level."""
    content = text.lstrip(" ")
    return len(text) - len(content) if content.strip() and not content.startswith("#") else 1 << 30


class _Scan:
    """Reads one line as far as it is asked to, keeping track of what is open."""

    def __init__(self, text: str, start: int) -> None:
        self.stack = [_Frame("")]
        self.in_comment = False
        self.inner: Iterable[str] = ()  # the keys of the first braces of the line
        self._text = text
        self._next = start
        self._token = start  # where the word begins that is being read
        self._closing = ""  # what ends the quoted part that is being read

    def read_to(self, end: int) -> None:
        """Read on to the column `end`."""
        while self._next < end and not self.in_comment:
            self._read(self._next, self._text[self._next])
            self._next += 1

    def path(self) -> list[str | int]:
        """Return the steps from the line's start to what is open."""
        steps: list[str | int | None] = [_ITEM if each.sign == "[" else each.key for each in self.stack]
        return [step for step in steps if step is not None]

    def word(self, end: int) -> tuple[int, str]:
        """Return the start of what is being read, and its text before the column `end`; without an opening quote."""
        word = self._text[self._token : end].lstrip()
        word = word[1:] if word[:1] in ("'", '"') else word
        return end - len(word), word

    def _read(self, at: int, sign: str) -> None:
        if sign not in _SIGNS:
            return
        frame = self.stack[-1]
        before = self._text[self._token : at].strip()
        if self._closing:
            self._closing = "" if sign == self._closing else self._closing
        elif sign in "\"'" and not before:
            self._closing = sign
        elif sign == "{" and before == "$":
            self._closing = "}"
        elif sign in "{[" and not before:
            self._open(sign, at)
        elif sign in "}],":
            self._close(sign, at)
        elif sign == ":" and frame.sign != "[" and frame.key is None and self._text[at + 1 : at + 2] in ("", " "):
            frame.key = frame.keys[self._start(at)] = _bare(before)
            self._token = at + 1
        elif sign == "#" and self._text[at - 1 : at] in ("", " "):
            self.in_comment = True

    def _start(self, end: int) -> int:
        return self.word(end)[0]

    def _open(self, sign: str, at: int) -> None:
        frame = _Frame(sign)
        if sign == "{" and not self.inner:
            self.inner = frame.keys.values()
        self.stack.append(frame)
        self._token = at + 1

    def _close(self, sign: str, at: int) -> None:
        if len(self.stack) == 1:
            return
        if sign == ",":
            self.stack[-1].key = None
        else:
            self.stack.pop()
        self._token = at + 1
