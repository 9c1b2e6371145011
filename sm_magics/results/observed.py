"""The results of looking at what an endpoint does: its log, its metrics, a load on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sm_magics.errors import SmError
from sm_magics.render.shown import Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sm_magics.compare.load import Load, Tally
    from sm_magics.events import Loading
    from sm_magics.logs import Entry
    from sm_magics.metrics import Span, Used
    from sm_magics.render.plots import Png
    from sm_magics.render.view import View

__all__ = ["Loaded", "Logs", "Metrics"]


@dataclass(frozen=True, repr=False)
class Logs(Shown):
    """What the instances of an endpoint printed.

    Attributes
    ----------
    endpoint, variant
        Whose lines these are; all variants' for None.
    entries
        The lines, the oldest first, each with `variant`, `instance`, `text` and `time`.
    lines
        How many of them the card lists: the last.
    times
        Whether the card tells times and instances by their ids, which no two runs have in common.
    printed
        Whether the lines were printed while they were followed; then the card only counts them.
    """

    endpoint: str
    variant: str | None
    entries: tuple[Entry, ...]
    lines: int = 50
    times: bool = False
    printed: bool = False
    quiet: bool = False

    def to_frame(self) -> Any:
        """Return the lines as a pandas data frame, with `time` as UTC timestamps."""
        import pandas as pd

        rows = [(each.time, each.variant, each.instance, each.text) for each in self.entries]
        frame = pd.DataFrame(rows, columns=["time", "variant", "instance", "text"])
        return frame.assign(time=pd.to_datetime(frame["time"], unit="ms", utc=True))

    def view(self) -> View:
        from sm_magics.render import observed

        if self.printed:
            return observed.followed(self.endpoint, self.variant, self.entries)
        return observed.logs(self.endpoint, self.variant, self.entries, lines=self.lines, times=self.times)


@dataclass(frozen=True, repr=False)
class Metrics(Shown):
    """How the variants of an endpoint were used.

    Attributes
    ----------
    variants
        For each variant its `total` and `series` of every measure.
    span
        The time that was looked at.
    """

    endpoint: str
    variants: tuple[Used, ...]
    span: Span
    quiet: bool = False

    def to_frame(self) -> Any:
        """Return a pandas data frame: a row for each variant and period, latencies in ms, utilisation in percent."""
        import pandas as pd

        from sm_magics.metrics import MEASURES

        frames = [
            pd.DataFrame({"time": self.span.times, "variant": each.variant, **each.series}) for each in self.variants
        ]
        columns = ["time", "variant", *(each.key for each in MEASURES)]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)

    def picture(self) -> Png:
        """Return the picture of it: the bytes of a PNG file, which a notebook shows.

        Raises
        ------
        SmError
            When matplotlib is not installed.
        """
        from sm_magics.render import plots

        if not plots.available():
            raise SmError("pictures need matplotlib", hint="install it: pip install 'sm-magics[plots]'")
        return plots.png(self.variants, self.span)

    def view(self) -> View:
        from sm_magics.render import observed, plots

        draw = self.picture if plots.available() else None
        return observed.metrics(self.endpoint, self.variants, self.span, draw=draw)


@dataclass(frozen=True, repr=False)
class Loaded(Shown):
    """A load on an endpoint, while it goes on and when it is over; `follow` shows how far it is to who waits for it."""

    load: Load
    quiet: bool = False
    follow: Callable[[Iterator[Loading]], object] | None = field(default=None, compare=False)

    @property
    def tally(self) -> Tally:
        """What became of the requests so far: `sent`, `answered`, `lost` and so on."""
        return self.load.tally

    def stop(self) -> Loaded:
        """End it, and return it with what has been counted."""
        self.load.stop()
        return self

    def wait(self, timeout: float | None = None) -> Loaded:
        """Return it once it is over, or so many seconds later; an interrupt ends the waiting only.

        In a notebook, a card shows meanwhile how far it is.
        """
        if self.follow is None:
            self.load.wait(timeout)
        else:
            self.follow(self.load.watch(timeout))
        return self

    def view(self) -> View:
        from sm_magics.render import loaded, plots

        return loaded.load(self.load, pictures=plots.available())
