"""What happens while a plan is carried out, for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sm_magics.plan import Action, Plan
    from sm_magics.watch import Snapshot

__all__ = ["Called", "Calling", "Event", "Planned", "Reached", "Seen"]


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made; its calls follow."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Calling:
    """A call is about to be made."""

    action: Action


@dataclass(frozen=True, slots=True)
class Called:
    """A call was accepted."""

    action: Action


@dataclass(frozen=True, slots=True)
class Seen:
    """The endpoint was looked at while waiting; `earlier` where that is for a change that was asked for before."""

    snapshot: Snapshot
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class Reached:
    """The endpoint is what was asked for; without waiting, it was asked for."""

    snapshot: Snapshot
    verified: bool


Event = Planned | Calling | Called | Seen | Reached
