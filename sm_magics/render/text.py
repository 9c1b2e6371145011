"""Cards as text: for terminals, for `text/plain`, and for whoever reads a notebook in a diff."""

from __future__ import annotations

import textwrap
import unicodedata
from itertools import zip_longest
from typing import TYPE_CHECKING

from sm_magics.render.view import Code, Facts, Note, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sm_magics.render.view import Block, Column, View

__all__ = ["render"]

GAP = "  "
PROSE_WIDTH = 36
LONGEST_RULE = 60  # over lines of a program, which may be very long
_NO_WIDTH = frozenset({"Mn", "Me", "Cf"})  # combining marks, and what only controls how others look


def render(view: View) -> str:
    """Return the card as lines of text."""
    head = f"{view.title} · {view.badge.text}" if view.badge else view.title
    blocks = ("\n".join(_block(each)) for each in view.blocks)
    return "\n\n".join([head, *filter(None, blocks)])


def _block(block: Block) -> Iterator[str]:
    """Yield the lines of a block; a picture has none, as its card says it in words as well."""
    match block:
        case Facts(pairs):
            width = max((_width(name) for name, _ in pairs), default=0)
            for name, value in pairs:
                for first, line in zip_longest([name], value.split("\n"), fillvalue=""):
                    yield f"{GAP}{_padded(first, width)}{GAP}{line}".rstrip()
        case Table(columns, rows, caption):
            if caption:
                yield GAP + caption
            yield from _table(columns, rows)
        case Note(text):
            yield from (GAP + line for line in text.split("\n"))
        case Code(text, caption):
            if caption:
                yield GAP + caption
            for line in text.rstrip("\n").split("\n"):
                yield (GAP * 2 + line).rstrip()


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
    if column.prose:
        return textwrap.wrap(cell, PROSE_WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    return cell.split("\n")


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
