"""What magics return: the data of a result with the card that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.render.shown import Shown
from sm_magics.results.compared import Compared
from sm_magics.results.endpoint import Endpoint
from sm_magics.results.history import History
from sm_magics.results.invoked import Invoked
from sm_magics.results.live import Watched
from sm_magics.results.observed import Loaded, Logs, Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics import inventory
    from sm_magics import plan as plans
    from sm_magics.faults import Fault
    from sm_magics.invoke import Answer, Target
    from sm_magics.render.view import View
    from sm_magics.watch import Snapshot

__all__ = [
    "Card",
    "Compared",
    "Deleted",
    "Endpoint",
    "EndpointTable",
    "Faults",
    "History",
    "Invoked",
    "Listing",
    "Loaded",
    "Logs",
    "Metrics",
    "Model",
    "Payload",
    "Planned",
    "Watched",
]


@dataclass(frozen=True, repr=False)
class EndpointTable(Shown):
    """All endpoints of a connection."""

    snapshots: tuple[Snapshot, ...]
    where: str
    quiet: bool = False

    def view(self) -> View:
        from sm_magics.render import views

        return views.endpoints(self.snapshots, self.where)


@dataclass(frozen=True, repr=False)
class Planned(Shown):
    """What a cell would do."""

    plan: plans.Plan
    quiet: bool = False

    def view(self) -> View:
        from sm_magics.render import views

        return views.plan(self.plan)


@dataclass(frozen=True, repr=False)
class Model(Shown):
    """A model: the name it has on SageMaker and the CreateModel request that makes it."""

    name: str
    request: Mapping[str, Any]
    note: str = ""
    quiet: bool = False

    def view(self) -> View:
        from sm_magics.render import views

        return views.model(self.name, self.request, self.note)


@dataclass(frozen=True, repr=False)
class Payload(Shown):
    """A payload that was sent and what came back."""

    target: Target
    answer: Answer
    quiet: bool = False

    def view(self) -> View:
        from sm_magics.render import invocations

        return invocations.payload(self.target, self.answer)


@dataclass(frozen=True, repr=False)
class Deleted(Shown):
    """What a deletion took away, or would take."""

    deletion: inventory.Deletion
    done: bool
    quiet: bool = False

    def view(self) -> View:
        from sm_magics.render import views

        return views.deletion(self.deletion, done=self.done)


@dataclass(frozen=True, repr=False)
class Listing(Shown):
    """Everything that is ours on a connection."""

    inventory: inventory.Inventory
    where: str
    quiet: bool = False

    def view(self) -> View:
        from sm_magics.render import views

        return views.inventory(self.inventory, self.where)


@dataclass(frozen=True, repr=False)
class Faults(Shown):
    """What goes wrong on purpose with an endpoint."""

    endpoint: str
    faults: tuple[Fault, ...]
    quiet: bool = False

    def view(self) -> View:
        from sm_magics.render import views

        return views.faults(self.endpoint, self.faults)


@dataclass(frozen=True, repr=False)
class Card(Shown):
    """A card that is all there is: help, settings, a connection."""

    content: View
    quiet: bool = False

    def view(self) -> View:
        return self.content
