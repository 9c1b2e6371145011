"""An endpoint as magics return it, and what it can do in code outside cells."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sm_magics.errors import CellError, Detached, SmError
from sm_magics.render.shown import Shown
from sm_magics.results.invoked import Invoked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sm_magics.clock import Clock
    from sm_magics.connection import Connection
    from sm_magics.events import Event
    from sm_magics.explain import LogTail
    from sm_magics.plan import Action
    from sm_magics.render.view import View
    from sm_magics.results.compared import Compared
    from sm_magics.results.history import History
    from sm_magics.watch import Snapshot

__all__ = ["Endpoint", "seen"]


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
    connection
        How it is reached.
    columns
        The order in which models take their columns, by the models' names, as far as that is known.
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
    connection: Connection | None = field(default=None, compare=False)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    log: LogTail | None = None

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

    @property
    def reached_by(self) -> Connection:
        """The connection.

        Raises
        ------
        SmError
            When there is none, as for one that was copied or made by hand.
        """
        if self.connection is None:
            raise SmError(f"this endpoint '{self.name}' has no connection", hint=f"ep = %sm_status {self.name}")
        return self.connection

    def captured(self) -> list[str]:
        """Return the files that data capture has written by now: `pandas.read_json(each, lines=True)` reads one.

        What was sent a moment ago is not in them yet: the engine writes within 5 s, AWS within minutes.
        """
        told = self.snapshot.raw.get("DataCaptureConfig")
        if not told or self.connection is None:
            return []
        return self.connection.artifacts.below(f"{told['DestinationS3Uri'].rstrip('/')}/{self.name}")

    def variant_for(self, user: object) -> str:
        """Return the variant that a user is for, by the weights as they were when the endpoint was looked at.

        After a change of the weights take a new look first, for this one keeps the old ones: `ep = ep.refresh()`.

        It is always the same for the same user (an id: text, or what becomes text) and weights, on any machine; 1, 1.0,
        "1" and b"1" are the same user, as pandas makes floats of a column of whole numbers that has a gap.
        `ep.invoke(rows, variant=ep.variant_for(id))` sends there. A change of weights moves as few users as it can.

        Raises
        ------
        SmError
            When no variant has a weight, or the user has no id, for all who have none would be for one variant; or
            what is given is no id of one user: a Series, a list, a tuple, True, text or bytes that are no Unicode, a
            float that is not finite or too large to be exact, from 2**53 on.
        """
        from sm_magics.sticky import assigned, id_of

        weights = {each.name: each.wanted_weight or 0.0 for each in self.snapshot.variants}
        return assigned(self.name, id_of(user), weights)

    def invoke(self, data: Any, expect: Any = None, rows: int | None = None, variant: str | None = None) -> Invoked:
        """Send rows of a frame, an array or a list, one request each, and return what came back.

        Parameters
        ----------
        expect
            The true value of each row.
        rows
            How many of them are sent, all for None.
        variant
            Send to this one, whatever the weights.

        Raises
        ------
        CellError
            When there are no rows, fewer truths than rows, or columns in another order than the model takes them.
        InvokeError
            When a row is answered with an error.
        Detached
            When the user interrupts.
        """
        from sm_magics.columns import check_columns
        from sm_magics.invoke import Target, invoke_rows

        if rows is not None and rows < 1:
            raise CellError(f"rows={rows}: send at least 1 row")
        target = Target(self.name, variant)
        check_columns(self.reached_by, target, data, self.columns)
        sent = invoke_rows(self.reached_by, target, data, truths=expect, limit=rows)
        if sent.interrupted:
            raise Detached(f"stopped; {len(sent.rows)} of {sent.planned} rows were answered")
        if sent.error is not None:
            raise sent.error
        return Invoked(sent)

    def compare(self, data: Any = None, target: Any = None, metric: Any = None, **options: Any) -> Compared:
        """Compare its variants, as `%sm_compare` does; an interrupt ends it, and what was measured is returned.

        Parameters
        ----------
        data, target, metric
            The rows to send, what is true of each, and what to measure: a name, or a function of both.
        **options
            The flags of `%sm_compare` by their names: `split=True`, `until="significant"`, `by="column"`, `seed=1`.

        Raises
        ------
        CellError
            When these contradict each other, or do not fit the endpoint or the data, or a model takes the columns of
            the data in another order.
        InvokeError
            When a variant answers none of the first rows.
        """
        from sm_magics.columns import check_columns
        from sm_magics.compare.asked import asked_by, compare
        from sm_magics.compare.exchange import Target
        from sm_magics.results.compared import Compared

        told = {"data": data, "target": target, "metric": metric, **options}
        wanted = asked_by(self.reached_by, self.name, told)
        to = wanted.run.design.weights
        check_columns(self.reached_by, Target(self.name), wanted.data, self.columns, compared=to)
        with suppress(KeyboardInterrupt):
            for _ in wanted.progress:
                pass
        return Compared(compare(wanted, calm=True))

    def traffic(self, shares: Mapping[str, float], timeout: float = 3600.0) -> Endpoint:
        """Give each variant its share of the traffic, in place, and return the endpoint once that is verified.

        This object keeps the shares as they were; what is returned has the new ones: `ep = ep.traffic(...)`.

        Raises
        ------
        CellError
            When a variant is unknown or left out: one may be, and then shares are percent, and it gets the rest.
        PlanError, ServiceError, DeployError
            As `%sm_traffic`.
        """
        from sm_magics.clock import Clock
        from sm_magics.shifting import shift
        from sm_magics.traffic import completed

        weights = completed(shares, self.name, [each.name for each in self.refresh().snapshot.variants])
        return self._reached(shift(self.reached_by, self.name, weights, Clock(), timeout=timeout))

    def promote(self, variant: str, instances: int | None = None, timeout: float = 3600.0) -> Endpoint:
        """Make one variant the only one, and return the endpoint once that is verified; the others' models are kept.

        Raises
        ------
        CellError
            When there is no such variant.
        PlanError, ServiceError, DeployError
            As `%sm_promote`.
        """
        from sm_magics.clock import Clock
        from sm_magics.traffic import check_variant
        from sm_magics.versions import promote

        check_variant(self.name, variant, [each.name for each in self.refresh().snapshot.variants])
        events = promote(self.reached_by, self.name, variant, Clock(), instances=instances, timeout=timeout)
        return self._reached(events)

    def rollback(self, to: str | int | None = None, timeout: float = 3600.0) -> Endpoint:
        """Go back to the config before, or to one by its name or number, and return the endpoint once that is verified.

        Raises
        ------
        CellError
            When there is none to go back to.
        PlanError, ServiceError, DeployError
            As `%sm_rollback`.
        """
        from sm_magics.clock import Clock
        from sm_magics.versions import chosen, rollback

        version = chosen(self.name, self.history().versions, None if to is None else str(to))
        return self._reached(rollback(self.reached_by, self.name, version, Clock(), timeout=timeout))

    def history(self) -> History:
        """Return the configs that it has and had, the oldest first.

        Raises
        ------
        SmError
            When it is gone, or the service does not answer.
        """
        from sm_magics.results.history import History
        from sm_magics.versions import history

        now = self.refresh().snapshot
        return History(self.name, history(self.reached_by, now), now.failure_reason)

    def _reached(self, events: Iterator[Event]) -> Endpoint:
        from sm_magics.events import Called

        done = [each.action for each in events if isinstance(each, Called)]
        return replace(self.refresh(), done=done)

    def refresh(self) -> Endpoint:
        """Return the endpoint as it is now, as a new object, for this one stays as it was: `ep = ep.refresh()`.

        Raises
        ------
        SmError
            When it is gone, or the service does not answer.
        """
        from sm_magics.watch import look

        snapshot = look(self.reached_by, self.name)
        if snapshot is None:
            raise SmError(f"endpoint '{self.name}' is gone", hint="%sm_status shows all endpoints")
        return seen(self.reached_by, snapshot, self.columns)

    def wait(self, timeout: float = 3600.0, clock: Clock | None = None) -> Endpoint:
        """Return the endpoint once the service has finished with what it was asked, at most `timeout` seconds later.

        Raises
        ------
        DeployError
            When it does not in time, or when that failed: an update that was rolled back, too.
        SmError
            When it is gone then.
        """
        from sm_magics.clock import Clock
        from sm_magics.settle import awaited

        for _ in awaited(self.reached_by, self.name, clock or Clock(), timeout):
            pass
        return self.refresh()

    def view(self) -> View:
        from sm_magics.render import views

        done = None if self.done is None else views.done(self.done, verified=self.verified)
        return views.endpoint(self.snapshot, self.config, self.where, done=done, body=self.body, log=self.log)


def seen(
    connection: Connection, snapshot: Snapshot, columns: Mapping[str, tuple[str, ...]], **options: Any
) -> Endpoint:
    """Return an endpoint as it was seen, with what else there is to know of it.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    from sm_magics.explain import failing_variant, log_tail
    from sm_magics.watch import with_alarms

    snapshot = with_alarms(connection, snapshot)
    config = connection.describe("EndpointConfig", snapshot.config_name)
    shown = Endpoint(snapshot, config, connection.label, connection=connection, columns=columns, **options)
    if snapshot.status == "Failed":
        shown = replace(shown, log=log_tail(connection, snapshot.name, failing_variant(snapshot.failure_reason or "")))
    return shown
