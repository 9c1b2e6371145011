"""What happens while a plan is carried out, for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sm_magics.plan import Action, Plan
    from sm_magics.watch import Snapshot

__all__ = ["Called", "Calling", "Event", "Planned", "Progress", "Reached", "Seen", "Stepping", "interrupted"]

_OF_THE_ENDPOINT = frozenset(
    {"CreateEndpoint", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities", "DeleteEndpoint"}
)


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


@dataclass(frozen=True, slots=True)
class Stepping:
    """A variant's share of traffic, in percent, is held for so many more seconds; then comes the next of `steps`."""

    endpoint: str
    variant: str
    percent: float
    left: float
    steps: tuple[float, ...]

    @property
    def to_come(self) -> tuple[float, ...]:
        """The shares that come after this one."""
        return tuple(each for each in self.steps if each > self.percent)

    @property
    def how_it_stays(self) -> str:
        """What an interrupt leaves."""
        return f"stopped stepping; variant '{self.variant}' stays at {self.percent:g} % of the traffic"

    @property
    def how_to_go_on(self) -> str:
        """What to do after an interrupt."""
        steps = ",".join(f"{each:g}" for each in self.to_come)
        go_on = f"to go on from there, run the cell again with --steps {steps}, and all else as it is"
        return go_on if steps else "that was the last step: nothing more was to come"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a comparison is: requests that came to an end, of how many, how many failed, after so many seconds."""

    endpoint: str
    done: int
    total: int | None
    failed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second so far."""
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float | None:
        """The seconds that are left at this rate, None where that is not known."""
        return (self.total - self.done) / self.rate if self.total is not None and self.rate else None


@dataclass(frozen=True, slots=True)
class Loading:
    """How far a load is: requests that came to an end, how many were lost and why most often, of its time so far.

    Times are in seconds; `p50` and `p99` are latencies, None before the first answer.
    """

    endpoint: str
    sent: int
    lost: int
    seconds: float
    whole: float
    p50: float | None = None
    p99: float | None = None
    error: str = ""

    @property
    def rate(self) -> float:
        """Requests a second so far."""
        return self.sent / self.seconds if self.seconds else 0.0

    @property
    def how_it_stays(self) -> str:
        """What an interrupt leaves."""
        return (
            f"stopped waiting; the load on endpoint '{self.endpoint}' goes on by itself, {self.sent:,} requests so far"
        )

    @property
    def how_to_go_on(self) -> str:
        """What to do after an interrupt."""
        return f"%sm_load {self.endpoint} shows it, %sm_load {self.endpoint} stop ends it"


Event = Planned | Calling | Called | Seen | Reached | Stepping


def interrupted(happened: Sequence[object]) -> tuple[str, str]:
    """Return what an interrupt after these events leaves: what was done and goes on, and how to go on oneself."""
    called = [each.action for each in happened if isinstance(each, Called)]
    of_endpoint = [each for each in called if each.operation in _OF_THE_ENDPOINT]
    done = ", ".join(each.operation for each in called) or "nothing"
    in_steps = any(isinstance(each, Stepping) for each in happened)
    from_there = f"run the cell again{', with the steps that are left,' if in_steps else ''} to go on from there"
    match happened[-1] if happened else None:
        case (Stepping() | Loading()) as at:
            return at.how_it_stays, at.how_to_go_on
        case Seen(earlier=True):
            told = "stopped waiting; a change that was asked for before goes on by itself"
            return f"{told}, and of this cell {done} was done", "run the cell again"
        case Calling(action):
            told = f"stopped in the middle of {action.operation}; done before: {done}"
            return told, f"%sm_status shows whether it was accepted; {from_there}"
        case Seen() if not any(isinstance(each, Planned) for each in happened):
            return "stopped waiting; what was asked for before goes on by itself", "run the cell again to go on waiting"
    if of_endpoint:
        last = of_endpoint[-1]
        to = f" to {last.after}" if last.operation == "UpdateEndpointWeightsAndCapacities" and last.after else ""
        return f"stopped waiting; {last.operation}{to} was asked for, and goes on by itself", from_there
    return f"stopped before the endpoint was touched; done so far: {done}", from_there
