"""The card of an endpoint's history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sm_magics.render.view import Block, Column, Note, Table, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sm_magics.versions import Version

__all__ = ["history"]


def history(endpoint: str, versions: Sequence[Version], reason: str | None, *, times: bool) -> View:
    """Return the card of the configs that an endpoint has and had, the oldest first.

    Parameters
    ----------
    reason
        Why the last update failed, where it did.
    times
        Whether it tells when and by whom each was made, which no two runs have in common.
    """
    when = (Column("made"), Column("by")) if times else ()
    columns = (Column("", number=True), Column("config"), *when, Column("what is new", prose=True), Column("state"))
    rows = tuple(
        (
            str(each.number),
            each.config,
            *((f"{each.made:%Y-%m-%d %H:%M:%S %Z}".strip(), each.by or "unknown") if times else ()),
            each.what,
            each.state,
        )
        for each in versions
    )
    blocks: list[Block] = [Table(columns, rows)] if rows else [Note("Its configs were deleted.")]
    if reason is not None:
        blocks.append(Note(f"The last update failed: {reason}", "bad"))
    if len(versions) > 1:
        blocks.append(Note(f"All are kept for a rollback: %sm_rollback {endpoint} NUMBER. They go with the endpoint."))
    return View(f"History of {endpoint}", None, tuple(blocks))
