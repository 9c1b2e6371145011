"""`%sm_panel`: an endpoint, live and with controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class

from sm_magics.magics.base import SmMagics, magic
from sm_magics.magics.endpoint import find_endpoint
from sm_magics.magics.options import name, output, quiet

if TYPE_CHECKING:
    import argparse

__all__ = ["PanelMagics"]


@magics_class
class PanelMagics(SmMagics):
    """The magic that shows a panel."""

    @magic("line", name("the endpoint"), quiet, output)
    def sm_panel(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Show an endpoint live, with controls: shares, instances, promote, roll back, delete.

        The controls do what cells do, and `Copy as cell` shows the cell that makes what the sliders say. Where there is
        no kernel, or no ipywidgets, it is a table.
        """
        from sm_magics.render.panel import declared, printed, record
        from sm_magics.results import Watched

        connection = self.session.connection()
        snapshot = find_endpoint(connection, given.name)

        def make() -> Any:
            from sm_magics.live.panel import Context, Panel

            return Panel(snapshot, Context(self.session.poller(), self.session.clock, self.session.settings.timeout))

        if not self.session.in_kernel:
            return Watched(printed(snapshot.name, snapshot, connection.label))
        shown, plain = record(snapshot.name, snapshot, connection.label), declared(snapshot.name, snapshot)
        return Watched(shown, plain, self.session.live(make))
