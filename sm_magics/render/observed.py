"""The cards of what was observed of an endpoint: what its instances printed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sm_magics.render.view import Badge, Column, Note, Table, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sm_magics.logs import Entry
    from sm_magics.render.view import Block

__all__ = ["following", "logs"]

LONGEST_LINE = 2000  # characters of a printed line that a card shows
_STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours for a terminal
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def logs(endpoint: str, variant: str | None, entries: Sequence[Entry], *, lines: int, times: bool) -> View:
    """Return the card of what the instances of an endpoint, or of one variant, printed last."""
    title = f"Logs of {endpoint}" if variant is None else f"Logs of {endpoint}, variant {variant}"
    if not entries:
        return View(title, None, (Note("Nothing was printed yet."),))
    blocks: list[Block] = []
    if len(entries) > lines:
        blocks.append(Note(f"The last {lines} of {len(entries)} lines; the object's `entries` has them all."))
    blocks.append(_printed(entries[-lines:], times=times))
    return View(title, None, tuple(blocks))


def following(entries: Sequence[Entry]) -> View:
    """Return the card of a log while it is followed."""
    note = Note("Interrupt the cell to end it; what was seen is kept.")
    block = _printed(entries, times=True) if entries else Note("Nothing was printed yet.")
    return View("Logs", Badge("following", "busy"), (block, note))


def _printed(entries: Sequence[Entry], *, times: bool) -> Table:
    """Return the lines with who printed them: instances by their numbers, or with their ids and times."""
    numbers = _numbers(entries)
    columns = [Column("variant"), Column("instance"), Column("printed", code=True)]
    if times:
        columns.insert(0, Column("time (UTC)"))

    def cells(entry: Entry) -> tuple[str, ...]:
        if times:
            return _time(entry.time), entry.variant, entry.instance, _plain(entry.text)
        return entry.variant, str(numbers[entry.variant, entry.instance]), _plain(entry.text)

    return Table(tuple(columns), tuple(map(cells, entries)))


def _numbers(entries: Sequence[Entry]) -> dict[tuple[str, str], int]:
    """Return each instance's number among those of its variant, in the order in which they printed."""
    numbers: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    for entry in entries:
        if (entry.variant, entry.instance) not in numbers:
            counts[entry.variant] = counts.get(entry.variant, 0) + 1
            numbers[entry.variant, entry.instance] = counts[entry.variant]
    return numbers


def _time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{milliseconds % 1000:03d}"


def _plain(text: str) -> str:
    text = _CONTROLS.sub("", _STYLES.sub("", text)).expandtabs()
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1] + "…"
