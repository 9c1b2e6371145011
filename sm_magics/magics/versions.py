"""`%sm_promote`: one variant alone; `%sm_rollback`: an older config; `%sm_history`: which configs there were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class

from sm_magics.errors import CellError
from sm_magics.magics.base import magic
from sm_magics.magics.deploying import DeployingMagics
from sm_magics.magics.endpoint import find_endpoint, refuse
from sm_magics.magics.options import argument, flag, name, output, quiet, waiting
from sm_magics.traffic import check_variant

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from sm_magics.connection import Connection
    from sm_magics.events import Event

__all__ = ["VersionsMagics"]


@magics_class
class VersionsMagics(DeployingMagics):
    """The magics that go from one endpoint config to another."""

    @magic(
        "line",
        name("the endpoint"),
        argument("variant", metavar="VARIANT", help="the variant that is to serve alone"),
        argument("--instances", type=int, metavar="N", help="on so many instances; by default as many as it has"),
        flag("--delete-losers", what="then delete the models that no longer serve, and the configs that need them"),
        flag("--dry-run", what="show what would be done, and do nothing"),
        waiting,
        quiet,
        output,
    )
    def sm_promote(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Make one variant of an endpoint its only one, on a new config; all traffic moves at once.

        The models and configs of the others are kept, so that %sm_rollback brings them back.
        """
        from sm_magics.results import Planned
        from sm_magics.versions import promote, promotion

        if given.instances is not None and given.instances < 1:
            raise CellError(f"--instances {given.instances}: it takes at least 1")
        wait, timeout = self.session.waits(given), self.session.timeout(given)
        if given.delete_losers and not wait:
            raise CellError("--delete-losers waits for the winner to serve alone", hint="leave --no-wait out")
        connection = self.session.connection()
        snapshot = find_endpoint(connection, given.name)
        check_variant(
            snapshot.name,
            given.variant,
            [each.name for each in snapshot.variants],
            otherwise=f"; %sm_history {snapshot.name} shows its configs, and %sm_rollback brings one back",
        )
        if given.dry_run:
            refuse(given, "what it deletes is known once the winner serves: leave it out here", delete_losers=False)
            return Planned(promotion(connection, snapshot.name, given.variant, given.instances))
        options = {"instances": given.instances, "wait": wait, "timeout": timeout}
        events = promote(connection, snapshot.name, given.variant, self.session.clock, **options)
        if given.delete_losers:
            events = self._without_losers(connection, snapshot.name, events, timeout)
        return self._follow(given, connection, events)

    def _without_losers(
        self, connection: Connection, endpoint: str, events: Iterator[Event], timeout: float
    ) -> Iterator[Event]:
        from sm_magics.events import Reached
        from sm_magics.inventory import delete, unused

        reached: Event | None = None
        for reached in events:
            yield reached
        yield from delete(connection, unused(connection, endpoint), self.session.clock, timeout=timeout)
        assert isinstance(reached, Reached)  # noqa: S101 - what a deployment that does not raise ends with
        yield reached

    @magic(
        "line",
        name("the endpoint"),
        argument("to", nargs="?", metavar="TO", help="a config's name or its number in %%sm_history"),
        flag("--dry-run", what="show what would be done, and do nothing"),
        waiting,
        quiet,
        output,
    )
    def sm_rollback(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Bring an endpoint back to the config before the one that it is on, or to another one that it had.

        All traffic moves at once; weights and instance counts are those that the config was made with.
        """
        from sm_magics.deploy import observe_endpoint
        from sm_magics.plan import switch
        from sm_magics.results import Planned
        from sm_magics.versions import chosen, history, rollback

        connection = self.session.connection()
        snapshot = find_endpoint(connection, given.name)
        to = chosen(snapshot.name, history(connection, snapshot), given.to)
        if given.dry_run:
            return Planned(switch(snapshot.name, observe_endpoint(connection, snapshot.name), to.config, to.answer))
        wait, timeout = self.session.waits(given), self.session.timeout(given)
        events = rollback(connection, snapshot.name, to, self.session.clock, wait=wait, timeout=timeout)
        return self._follow(given, connection, events)

    @magic(
        "line",
        name("the endpoint"),
        flag("--times", what="show when and by whom each config was made"),
        quiet,
        output,
    )
    def sm_history(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Show the configs that an endpoint has and had: what was new in each, and what has become of it."""
        from sm_magics.results import History
        from sm_magics.versions import history

        connection = self.session.connection()
        snapshot = find_endpoint(connection, given.name)
        return History(snapshot.name, history(connection, snapshot), snapshot.failure_reason, times=given.times)
