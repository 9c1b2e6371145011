"""What comparing variants returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.render.shown import Shown

if TYPE_CHECKING:
    from sm_magics.compare.comparison import Comparison
    from sm_magics.compare.verdict import Verdict
    from sm_magics.render.view import View

__all__ = ["Compared"]


@dataclass(frozen=True, repr=False)
class Compared(Shown):
    """What a comparison of variants found."""

    comparison: Comparison
    quiet: bool = False

    @property
    def verdict(self) -> Verdict:
        """What may be said: `outcome`, `sentence`, `best`, `differences`, `more`, `cautions`."""
        return self.comparison.verdict

    def to_frame(self) -> Any:
        """Return a pandas data frame: a line for each row and variant, latency in ms, failed ones with their error."""
        return self.comparison.to_frame()

    def view(self) -> View:
        from sm_magics.render import compared, plots

        return compared.comparison(self.comparison, pictures=plots.available())
