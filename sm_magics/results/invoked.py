"""What sending rows returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sm_magics.render.shown import Shown

if TYPE_CHECKING:
    from sm_magics.invoke import Invocations, Row
    from sm_magics.render.view import View

__all__ = ["Invoked"]


@dataclass(frozen=True, repr=False)
class Invoked(Shown):
    """Rows that were sent and what came back; `rows` has them all."""

    sent: Invocations
    quiet: bool = False

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows, in the order in which they were sent."""
        return self.sent.rows

    def view(self) -> View:
        from sm_magics.render import invocations

        return invocations.invocations(self.sent)
