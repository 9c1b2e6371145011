"""`%sm_fault`: an endpoint of the embedded engine fails on purpose, so that a bad rollout can be rehearsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class

from sm_magics.magics.base import SmMagics, magic
from sm_magics.magics.endpoint import find_endpoint
from sm_magics.magics.options import argument, flag, name, output, quiet

if TYPE_CHECKING:
    import argparse

__all__ = ["FaultMagics"]

_WORDS = "slow=2s, crash, crash=10%%, 5xx=20%%, ping=fail, throttle, throttle=10%%, stuck-creating, quota"


@magics_class
class FaultMagics(SmMagics):
    """The magic that makes endpoints fail."""

    @magic(
        "line",
        name("the endpoint"),
        argument(
            "words",
            nargs="*",
            default=(),
            metavar="FAULT",
            help=f"a variant, where not all fail; then of {_WORDS}; or clear",
        ),
        flag("--next", what="spare the endpoint config that serves now, so that only the next update meets it"),
        quiet,
        output,
    )
    def sm_fault(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Make an endpoint of the embedded engine fail on purpose, show what fails, or `clear` it.

        Faults are in memory only: a restart of the engine clears them.
        """
        from sm_magics.faults import carry_out, check, listed, parse
        from sm_magics.results import Faults
        from sm_magics.watch import look

        asked = parse(given.words, next_only=given.next)
        connection = self.session.connection()
        present = listed(connection, given.name)
        waits = given.next or present  # for an endpoint that may be still to come
        snapshot = look(connection, given.name) if waits else find_endpoint(connection, given.name)
        variants = [each.variant for each in present if each.variant is not None]
        if snapshot is not None:
            variants = [each.name for each in (*snapshot.variants, *snapshot.pending)] + variants
        shadows = [] if snapshot is None else [each.name for each in snapshot.shadows]
        check(asked, given.name, list(dict.fromkeys(variants)), shadows, present)
        carry_out(connection, given.name, asked)
        return Faults(given.name, listed(connection, given.name))
