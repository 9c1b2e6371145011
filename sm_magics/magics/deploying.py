"""What the magics share that change an endpoint: they follow what happens, and return the endpoint."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sm_magics.errors import DeployError, ServiceError
from sm_magics.magics.base import SmMagics

if TYPE_CHECKING:
    import argparse

    from sm_magics.connection import Connection
    from sm_magics.results import Endpoint

__all__ = ["DeployingMagics"]


class DeployingMagics(SmMagics):
    """Magics that change endpoints."""

    def _followed(self, given: argparse.Namespace, connection: Connection, events: Any) -> list[Any]:
        """Show events and return them; an endpoint that failed is kept by `-o` before that is raised."""
        try:
            return self.session.follow(events, given)
        except DeployError as error:
            if error.snapshot is not None and given.out is not None:
                with suppress(ServiceError):  # which would hide why it failed
                    self.session.keep(given.out, self._result(connection, error.snapshot))
            raise

    def _follow(self, given: argparse.Namespace, connection: Connection, events: Any) -> Endpoint:
        """Show the events of a deployment and return the endpoint."""
        from sm_magics.events import Called, Reached

        happened = self._followed(given, connection, events)
        done = [each.action for each in happened if isinstance(each, Called)]
        reached = happened[-1]
        assert isinstance(reached, Reached)  # noqa: S101 - what a deployment that does not raise ends with
        if reached.verified and any(each.operation == "UpdateEndpoint" for each in done):
            self._tidy(connection, reached.snapshot.name)
        return self._result(connection, reached.snapshot, done=done, verified=reached.verified)

    def _tidy(self, connection: Connection, endpoint: str) -> None:
        """Delete the oldest configs, where there are more than are kept for a rollback."""
        from sm_magics.inventory import delete, surplus

        with suppress(ServiceError):  # who may not delete them keeps them
            for _ in delete(connection, surplus(connection, endpoint), self.session.clock):
                pass

    def _result(self, connection: Connection, snapshot: Any, **options: Any) -> Endpoint:
        from sm_magics.results.endpoint import seen

        return seen(connection, snapshot, self.session.columns, **options)
