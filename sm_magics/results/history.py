"""What the history of an endpoint returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.render.shown import Shown

if TYPE_CHECKING:
    from sm_magics.render.view import View
    from sm_magics.versions import Version

__all__ = ["History"]


@dataclass(frozen=True, repr=False)
class History(Shown):
    """The configs of an endpoint, the oldest first.

    Attributes
    ----------
    versions
        One for each, with `number`, `config`, `made`, `by`, `what` and `state`.
    reason
        Why the last update failed, where it did.
    times
        Whether the card tells when and by whom each was made, which no two runs have in common.
    """

    endpoint: str
    versions: tuple[Version, ...]
    reason: str | None = None
    times: bool = False
    quiet: bool = False

    def to_frame(self) -> Any:
        """Return a pandas data frame: a row for each config."""
        import pandas as pd

        columns = ["number", "config", "made", "by", "after", "what", "state"]
        return pd.DataFrame([[getattr(each, name) for name in columns] for each in self.versions], columns=columns)

    def view(self) -> View:
        from sm_magics.render import history

        return history.history(self.endpoint, self.versions, self.reason, times=self.times)
