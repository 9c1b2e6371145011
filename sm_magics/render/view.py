"""What a card says, as plain data: a title, a badge and blocks. How it looks is decided once for all, elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Badge", "Block", "Code", "Column", "Facts", "Note", "Picture", "Table", "View", "badge", "bar", "sparks"]

Tone = Literal["good", "busy", "bad", "plain"]
BAR_CELLS = 10
SPARKS = "▁▂▃▄▅▆▇█"
_TONES: Mapping[str, Tone] = {
    "InService": "good",
    "Creating": "busy",
    "Updating": "busy",
    "SystemUpdating": "busy",
    "RollingBack": "busy",
    "Deleting": "busy",
    "Failed": "bad",
    "OutOfService": "bad",
    "UpdateRollbackFailed": "bad",
}


@dataclass(frozen=True, slots=True)
class Badge:
    """A state in a word, and how good that is."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and their values, one a line."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Numbers stand right. As text, a column takes at least `width` characters; one of prose is broken into lines, one of
    code keeps its spaces.
    """

    title: str
    number: bool = False
    prose: bool = False
    width: int = 0
    code: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column titles, with a caption where it needs one."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Code:
    """Text that keeps its lines: a cell's body, a log."""

    text: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that adds to the words; `draw` makes it, as a PNG file, where it can be shown."""

    draw: Callable[[], bytes]
    told: str


Block = Facts | Table | Note | Code | Picture


@dataclass(frozen=True, slots=True)
class View:
    """One card."""

    title: str
    badge: Badge | None = None
    blocks: tuple[Block, ...] = ()


def badge(status: str) -> Badge:
    """Return the badge of an endpoint's status."""
    return Badge(status, _TONES.get(status, "plain"))


def bar(share: float) -> str:
    """Return a share of 1 as a bar that needs no style: it reads the same on GitHub and in a terminal."""
    filled = round(max(0.0, min(1.0, share)) * BAR_CELLS)
    return "█" * filled + "░" * (BAR_CELLS - filled)


def sparks(values: Sequence[float | None]) -> str:
    """Return values from 0 on as a line of little bars, the highest of them full; a dot where there is nothing."""
    top = max((each for each in values if each), default=1.0)
    return "".join("·" if not each else SPARKS[math.ceil(each / top * len(SPARKS)) - 1] for each in values)
