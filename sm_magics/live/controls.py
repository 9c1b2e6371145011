"""The controls of a panel: what each variant is to have, and buttons. They say what is asked for, and do nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.live.widgets import button, row
from sm_magics.target import Share, shares_text
from sm_magics.traffic import stepped

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from sm_magics.watch import Snapshot

__all__ = ["Controls", "Presses"]

WHOLE = 100.0  # percent
MOST_INSTANCES = 1000
_SAME = 0.05  # percent: shares that differ by less are the same


@dataclass(frozen=True, slots=True)
class Presses:
    """What the buttons call."""

    apply: Callable[[], None]
    promote: Callable[[str], None]
    roll_back: Callable[[], None]
    delete: Callable[[], None]
    copy: Callable[[], None]


class Controls:
    """Sliders, numbers and buttons of one endpoint; the shares of all sliders add up to 100 %.

    They are moved and read on one thread while another makes others: `lock` is held for either.
    """

    def __init__(self, presses: Presses, watch: Any, hear: Callable[[Any], None], lock: threading.RLock) -> None:
        import ipywidgets

        self._presses, self._hear, self._lock = presses, hear, lock
        self._weights: Mapping[str, float] = {}
        self._counts: Mapping[str, int] = {}
        self._sliders: dict[str, Any] = {}
        self._typed: dict[str, Any] = {}  # the shares again, for who does not see the sliders
        self._numbers: dict[str, Any] = {}
        self._promotes: dict[str, Any] = {}
        self._linking = self._able = False
        self.apply = button("Apply", "Give the variants these shares and instances, in place", presses.apply, "primary")
        self.roll_back = button("Roll back", "Go back to the endpoint config before this one", presses.roll_back)
        self.delete = button("Delete", "Delete the endpoint with all that was made for it", presses.delete, "danger")
        self.copy = button("Copy as cell", "Show the cell that makes what the sliders say", presses.copy)
        self._rows = ipywidgets.VBox()
        self._rows.add_class("sm-variants")
        buttons = row(self.apply, self.roll_back, self.copy, watch, self.delete)
        self.widget = ipywidgets.VBox([self._rows, buttons])
        self.widget.add_class("sm-controls")

    @property
    def weights(self) -> dict[str, float]:
        """The weight that each variant is to have: as it is, where no slider was moved, else its percentage."""
        with self._lock:
            moved = any(abs(self._sliders[name].value - share) > _SAME for name, share in self._shares().items())
            said = {name: round(each.value, 4) for name, each in self._sliders.items()}
            return said if moved else dict(self._weights)

    @property
    def counts(self) -> dict[str, int]:
        """The instances that each variant is to have; a serverless one is left out."""
        with self._lock:
            return {name: each.value for name, each in self._numbers.items()}

    @property
    def says(self) -> tuple[dict[str, float], dict[str, int]]:
        """The weights and the instances."""
        with self._lock:
            return self.weights, self.counts

    @property
    def asked(self) -> str:
        """What they say that is not there, in words: `A 25 %, B 75 %, B × 2`."""
        with self._lock:
            weights, counts = self.says
            shares = [shares_text({name: Share(each, None) for name, each in weights.items()})]
            more = [f"{name} × {count}" for name, count in counts.items() if count != self._counts[name]]
            return ", ".join((shares if weights != self._weights else []) + more)

    @property
    def differ(self) -> bool:
        """Whether they say something else than what is there."""
        with self._lock:
            return self.says != (dict(self._weights), dict(self._counts))

    def follow(self, snapshot: Snapshot | None) -> None:
        """Say what an endpoint is to be now, unless its user has begun to say something else."""
        variants = snapshot.variants if snapshot is not None else ()
        weights = {each.name: each.wanted_weight or 0.0 for each in variants}
        counts = {each.name: each.wanted_count for each in variants if each.wanted_count is not None}
        with self._lock:  # so that nobody reads half of it
            if weights.keys() != self._sliders.keys() or counts.keys() != self._numbers.keys():
                self._weights, self._counts = weights, counts
                self._build()
            elif (weights, counts) != (self._weights, self._counts):
                touched = self.differ
                self._weights, self._counts = weights, counts
                if not touched or not self.differ:
                    self.reset()

    def reset(self) -> None:
        """Say what is there."""
        self._linking = True
        for name, share in self._shares().items():
            self._put(name, share)
        for name, count in self._counts.items():
            self._numbers[name].value = count
        self._linking = False
        self._refresh()

    def allow(self, *, change: bool, back: bool, delete: bool) -> None:
        """Disable what cannot be done now."""
        self._able = change
        for each in (*self._sliders.values(), *self._typed.values(), *self._numbers.values()):
            each.disabled = not change
        for each in self._promotes.values():
            each.disabled = not change or len(self._promotes) < 2  # noqa: PLR2004 - one alone has nothing to win
        self.copy.disabled = not change
        self.roll_back.disabled = not back
        self.delete.disabled = not delete
        self._refresh()

    def _shares(self) -> dict[str, float]:
        total = math.fsum(self._weights.values()) or 1.0
        return {name: WHOLE * each / total for name, each in self._weights.items()}

    def _refresh(self) -> None:
        with self._lock:
            self.apply.disabled = not self._able or not self.differ

    def _build(self) -> None:
        old = self._rows.children
        self._sliders, self._typed, self._numbers, self._promotes, rows = {}, {}, {}, {}, []
        for name, share in self._shares().items():
            made = self._row(name, share)
            self._hear(made)
            rows.append(made)
        self._rows.children = rows
        for each in old:
            each.close()

    def _row(self, name: str, share: float) -> Any:
        """Return the controls of one variant.

        ipywidgets gives a slider no name that a screen reader says. The share that is typed has one; it is seen only
        while it has the keyboard's focus.
        """
        import ipywidgets

        label = ipywidgets.Label(name)
        label.add_class("sm-variant")
        percent, told = {"min": 0, "max": WHOLE, "step": 1}, f"Share of the traffic of {name}, in percent"
        slider = self._sliders[name] = ipywidgets.FloatSlider(
            share,
            description="traffic %",
            tooltip=told,
            readout_format=".1f",
            continuous_update=False,
            **percent,
        )
        typed = self._typed[name] = ipywidgets.BoundedFloatText(
            round(share, 1),
            description=f"{name} traffic %",
            tooltip=f"{told}: type it",
            layout={"width": "auto"},
            **{**percent, "step": 0.1},  # else the browser calls 33.3 invalid
        )
        typed.add_class("sm-typed")
        parts = [label, slider, typed]
        for each in (slider, typed):
            each.observe(lambda change: self._moved(name, change["new"]), "value")
        if name in self._counts:
            number = self._numbers[name] = ipywidgets.BoundedIntText(
                self._counts[name],
                min=min(1, self._counts[name]),  # only inference components may have none
                max=MOST_INSTANCES,
                description=f'<span class="sm-aloud">{name}</span> instances',
                description_allow_html=True,
                tooltip=f"Instances of {name}",
                layout={"width": "140px"},
            )
            number.add_class("sm-count")
            number.observe(lambda _: self._refresh(), "value")
            parts.append(number)
        told = f"Make {name} the only variant, with all the traffic"
        promote = self._promotes[name] = button(f"Promote {name}", told, lambda: self._presses.promote(name))
        promote.add_class("sm-promote")
        return row(*parts, promote)

    def _put(self, name: str, share: float) -> None:
        """Let a variant's slider and its typed share say the same."""
        self._sliders[name].value = share
        self._typed[name].value = round(share, 1)

    def _moved(self, name: str, share: float) -> None:
        """Divide what is left over the other sliders as they do now; one alone has it all."""
        with self._lock:
            if self._linking or name not in self._sliders:
                return
            self._linking = True
            now = {each: slider.value for each, slider in self._sliders.items()}
            shares = {name: WHOLE} if len(now) == 1 else stepped(now, name, share)
            for each, value in shares.items():
                self._put(each, value)
            self._linking = False
            self._refresh()
