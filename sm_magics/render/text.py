"""Cards as text: for terminals, for `text/plain`, and for whoever reads a notebook in a diff."""

from __future__ import annotations

import re
import unicodedata
from itertools import zip_longest
from typing import TYPE_CHECKING

from sm_magics.render.view import Code, Facts, Note, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sm_magics.render.view import Block, Column, View

__all__ = ["render"]

GAP = "  "
PROSE_WIDTH = 36
LONGEST_RULE = 60  # over lines of a program, which may be very long
_NO_WIDTH = frozenset({"Mn", "Me", "Cf"})  # combining marks, and what only controls how others look


def render(view: View, width: int | None = None) -> str:
    """Return the card as lines of text.

    Parameters
    ----------
    width
        How many columns there are: sentences are broken to fit, and a table that is wider becomes names and values, one
        row below the other. None for as many as it takes. Words and programs stay whole.
    """
    head = f"{view.title} · {view.badge.text}" if view.badge else view.title
    blocks = ("\n".join(_block(each, width)) for each in view.blocks)
    return "\n\n".join([head, *filter(None, blocks)])


def _block(block: Block, width: int | None) -> Iterator[str]:
    """Yield the lines of a block; a picture has none, as its card says it in words as well."""
    match block:
        case Facts(pairs):
            yield from _pairs(pairs, width)
        case Table(columns, rows, caption):
            if caption:
                yield GAP + caption
            lines = list(_table(columns, rows))
            fits = width is None or max(map(_width, lines)) <= width
            yield from lines if fits or any(each.code for each in columns) else _stacked(columns, rows, width)
        case Note(text):
            yield from (GAP + line for line in _broken(text, width and width - len(GAP)))
        case Code(text, caption):
            if caption:
                yield GAP + caption
            for line in text.rstrip("\n").split("\n"):
                yield (GAP * 2 + line).rstrip()


def _pairs(pairs: Sequence[tuple[str, str]], width: int | None) -> Iterator[str]:
    """Yield names and their values, one below the other."""
    named = max((_width(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        lines = _broken(value, width and width - named - 2 * len(GAP))
        for first, line in zip_longest([name], lines, fillvalue=""):
            yield f"{GAP}{_padded(first, named)}{GAP}{line}".rstrip()


def _stacked(columns: tuple[Column, ...], rows: tuple[tuple[str, ...], ...], width: int | None) -> Iterator[str]:
    """Yield a table's rows one below the other.

    A column without a title belongs to the one before it, the first to the one after it.
    """
    for number, row in enumerate(rows):
        pairs: list[tuple[str, str]] = []
        for column, cell in zip(columns, row, strict=True):
            if pairs and not (column.title and pairs[-1][0]):
                before, value = pairs.pop()
                pairs.append((before or column.title, f"{value}{GAP}{cell}".strip()))
            else:
                pairs.append((column.title, cell))
        if number:
            yield ""
        yield from _pairs(pairs, width)


def _table(columns: tuple[Column, ...], rows: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    broken = [[_lines(cell, column) for cell, column in zip(row, columns, strict=True)] for row in rows]
    widths = [
        max([column.width, _width(column.title), *(_width(line) for row in broken for line in row[place])])
        for place, column in enumerate(columns)
    ]

    def line(cells: tuple[str, ...]) -> str:
        padded = (
            _padded(cell, width, right=column.number)
            for cell, width, column in zip(cells, widths, columns, strict=True)
        )
        return (GAP + GAP.join(padded)).rstrip()

    yield line(tuple(column.title for column in columns))
    ruled = (min(width, LONGEST_RULE) if column.code else width for width, column in zip(widths, columns, strict=True))
    yield GAP + "─" * (sum(ruled) + len(GAP) * (len(widths) - 1))
    for row in broken:
        yield from map(line, zip_longest(*row, fillvalue=""))


def _lines(cell: str, column: Column) -> list[str]:
    return _wrapped(cell, PROSE_WIDTH) if column.prose else cell.split("\n")


def _broken(text: str, width: int | None) -> list[str]:
    lines = text.split("\n")
    return lines if width is None else [part for line in lines for part in _wrapped(line, max(width, 1))]


def _wrapped(line: str, width: int) -> list[str]:
    """Break a line between words; not by `textwrap`, for which a wide character is one column."""
    lines = [""]
    for blanks, word in re.findall(r"(\s*)(\S+)", line):
        longer = lines[-1] + blanks + word
        if lines[-1] and _width(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _padded(text: str, width: int, *, right: bool = False) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes; wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(each) in _NO_WIDTH else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )
