"""What magics return: the data of a result with the card that shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sm_magics.render.shown import Shown
from sm_magics.results.compared import Compared
from sm_magics.results.observed import Loaded, Logs, Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sm_magics import inventory
    from sm_magics import plan as plans
    from sm_magics.connection import ArtifactStore
    from sm_magics.explain import LogTail
    from sm_magics.faults import Fault
    from sm_magics.invoke import Answer, Invocations, Row, Target
    from sm_magics.plan import Action
    from sm_magics.render.view import View
    from sm_magics.watch import Snapshot

__all__ = [
    "Card",
    "Compared",
    "Deleted",
    "Endpoint",
    "EndpointTable",
    "Faults",
    "Invoked",
    "Listing",
    "Loaded",
    "Logs",
    "Metrics",
    "Model",
    "Payload",
    "Planned",
]


@dataclass(frozen=True, repr=False)
class Endpoint(Shown):
    """An endpoint as it was when it was looked at last.

    Attributes
    ----------
    snapshot
        What DescribeEndpoint said; `snapshot.raw` is the whole answer.
    config
        What DescribeEndpointConfig said of the config in use, None when that was deleted.
    where
        The connection it is on.
    done
        The calls that were made for it, None when it was only shown.
    verified
        Whether it was waited for after those calls, and found to be what was asked for.
    body
        The cell that would reproduce it, where that was asked for.
    store
        Where captured data is found.
    log
        The last lines that the instances of one that has failed printed.
    """

    snapshot: Snapshot
    config: Mapping[str, Any] | None
    where: str
    done: Sequence[Action] | None = None
    verified: bool = True
    body: str | None = None
    quiet: bool = False
    store: ArtifactStore | None = field(default=None, compare=False)
    log: LogTail | None = None

    def captured(self) -> list[str]:
        """Return the files that data capture has written by now: `pandas.read_json(each, lines=True)` reads one."""
        told = self.snapshot.raw.get("DataCaptureConfig")
        if not told or self.store is None:
            return []
        return self.store.below(f"{told['DestinationS3Uri'].rstrip('/')}/{self.name}")

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.snapshot.name

    @property
    def arn(self) -> str:
        """The endpoint's ARN."""
        return self.snapshot.arn

    @property
    def status(self) -> str:
        """The endpoint's status, as SageMaker calls it."""
        return self.snapshot.status

    def view(self) -> View:
        from sm_magics.render import views

        done = None if self.done is None else views.done(self.done, verified=self.verified)
        return views.endpoint(self.snapshot, self.config, self.where, done=done, body=self.body, log=self.log)


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
