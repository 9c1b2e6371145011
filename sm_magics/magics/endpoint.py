"""`%%sm_endpoint`: the cell is what the endpoint should be; `%sm_endpoint` shows it; `%sm_status` and `%sm_delete`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class

from sm_magics.errors import CellError
from sm_magics.magics.base import magic
from sm_magics.magics.deploying import DeployingMagics
from sm_magics.magics.options import flag, name, output, quiet, waiting
from sm_magics.nearest import did_you_mean

if TYPE_CHECKING:
    import argparse

    from sm_magics.connection import Connection
    from sm_magics.results import Endpoint, EndpointTable, Watched
    from sm_magics.watch import Snapshot

__all__ = ["CELL_BEGINS", "EndpointMagics", "find_endpoint", "refuse"]

_live = flag("--live", what="keep the table of all endpoints up to date")
CELL_BEGINS = 2  # the line of a cell on which the body of a cell magic begins


@magics_class
class EndpointMagics(DeployingMagics):
    """The magics about endpoints."""

    @magic(
        "line_cell",
        name("the endpoint"),
        flag("--dry-run", what="show what would be done, and do nothing"),
        waiting,
        quiet,
        output,
    )
    def sm_endpoint(self, given: argparse.Namespace, cell: str | None) -> Any:
        """Make an endpoint what the cell says; as a line, show it and the cell that would reproduce it.

        The cell is YAML, for example:

            variants:
              Linear-Model: {model: $linear, weight: 4}
              XGB-Model:    {model: $xgb, instance: ml.m5.large, weight: 1}

        Running it again changes nothing; running it changed updates the endpoint, which serves all the while.
        """
        if cell is None:
            refuse(given, "it goes with a cell that changes the endpoint", dry_run=False, wait=None, timeout=None)
            return self._show(given.name)
        from sm_magics.columns import noted
        from sm_magics.deploy import deploy, observe
        from sm_magics.plan import plan
        from sm_magics.resolve import resolve
        from sm_magics.results import Planned
        from sm_magics.spec import parse_endpoint

        spec = parse_endpoint(cell, given.name, self.session.variables, first_line=CELL_BEGINS)
        connection = self.session.connection()
        target = resolve(spec, connection, self.session.declared)
        self.session.columns = noted(self.session.columns, target.models)
        if given.dry_run:
            return Planned(plan(target, observe(connection, target)))
        events = deploy(
            connection,
            target,
            self.session.clock,
            wait=self.session.waits(given),
            timeout=self.session.timeout(given),
        )
        return self._follow(given, connection, events)

    @magic("line", name("the endpoint; all of them without", optional=True), _live, waiting, quiet, output)
    def sm_status(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Show an endpoint, or the table of all endpoints; with --wait, once it has settled.

        During an update that is both fleets, the phase, and how far the traffic has moved. With --wait it is an error
        when what was waited for has failed, or was rolled back.
        """
        from sm_magics.settle import awaited

        if given.name is None:
            refuse(given, "name the endpoint to wait for", wait=None, timeout=None)
            return self._table(live=given.live)
        refuse(given, f"%sm_panel {given.name} shows one endpoint live", live=False)
        if not given.wait:
            refuse(given, "it goes with --wait", wait=None, timeout=None)
        connection = self.session.connection()
        snapshot = find_endpoint(connection, given.name)
        if given.wait:
            timeout = self.session.timeout(given)
            self._followed(given, connection, awaited(connection, snapshot.name, self.session.clock, timeout))
            snapshot = find_endpoint(connection, given.name)
        return self._result(connection, snapshot)

    @magic(
        "line",
        name("the endpoint, or a model that a cell declared"),
        flag("--yes", what="delete it; without this, show what would be deleted"),
        flag("--dry-run", what="show what would be deleted, and do nothing"),
        waiting,
        quiet,
        output,
    )
    def sm_delete(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Delete an endpoint with its alarms, configs and models, or a declared model; only what was made here."""
        from sm_magics.inventory import delete, deletion
        from sm_magics.results import Deleted

        connection = self.session.connection()
        going = deletion(connection, given.name)
        if given.dry_run or not given.yes:
            return Deleted(going, done=False)
        wait, timeout = self.session.waits(given), self.session.timeout(given)
        events = delete(connection, going, self.session.clock, wait=wait, timeout=timeout)
        self.session.follow(events, given)
        return Deleted(going, done=True)

    @magic("line", quiet, output)
    def sm_list(self, _given: argparse.Namespace, _cell: str | None) -> Any:
        """List all that was made here: endpoints, alarms, configs, models, and what is left over from deleted ones."""
        from sm_magics.inventory import inventory
        from sm_magics.results import Listing

        connection = self.session.connection()
        return Listing(inventory(connection), connection.label)

    def _table(self, *, live: bool) -> EndpointTable | Watched:
        from sm_magics.render.panel import still
        from sm_magics.results import EndpointTable, Watched
        from sm_magics.watch import look

        connection = self.session.connection()
        pages = connection.pages("ListEndpoints", SortBy="Name", SortOrder="Ascending")
        snapshots = [look(connection, row["EndpointName"]) for page in pages for row in page["Endpoints"]]
        table = EndpointTable(tuple(filter(None, snapshots)), connection.label)
        if not live:
            return table
        if not self.session.in_kernel:
            return Watched(still(table.view()))

        def make() -> Any:
            from sm_magics.live.board import Board

            return Board(self.session.poller())

        return Watched(table.view(), None, self.session.live(make))

    def _show(self, endpoint: str) -> Endpoint:
        from sm_magics.resolve import spec_of
        from sm_magics.spec import to_yaml

        connection = self.session.connection()
        shown = self._result(connection, find_endpoint(connection, endpoint))
        spec = spec_of(connection, shown.snapshot, shown.config)
        return replace(shown, body=None if spec is None else to_yaml(spec))


def refuse(given: argparse.Namespace, hint: str, **defaults: Any) -> None:
    """Raise for options that say nothing here: an option is never ignored."""
    for option, default in defaults.items():
        value = getattr(given, option)
        if value != default:
            flag = "no-wait" if option == "wait" and not value else option.replace("_", "-")
            raise CellError(f"--{flag} says nothing here", hint=hint)


def find_endpoint(connection: Connection, endpoint: str) -> Snapshot:
    """Return an endpoint as it is now.

    Raises
    ------
    CellError
        When there is none, with the nearest name that there is.
    """
    from sm_magics.watch import look

    snapshot = look(connection, endpoint)
    if snapshot is None:
        names = [row["EndpointName"] for page in connection.pages("ListEndpoints") for row in page["Endpoints"]]
        hint = did_you_mean(endpoint, names, 0.5) or "%sm_status shows all endpoints"
        raise CellError(f"there is no endpoint '{endpoint}' · {connection.label}", hint=hint)
    return snapshot
