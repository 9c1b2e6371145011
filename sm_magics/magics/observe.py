"""`%sm_logs`: what an endpoint's instances print; `%sm_metrics`: how it was used."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class

from sm_magics.errors import CellError
from sm_magics.magics.base import SmMagics, magic
from sm_magics.magics.endpoint import find_endpoint, refuse
from sm_magics.magics.options import argument, duration, flag, name, output, quiet
from sm_magics.traffic import check_variant

if TYPE_CHECKING:
    import argparse

    from sm_magics.watch import Snapshot

__all__ = ["ObserveMagics"]

DEFAULT_LINES = 50
FOLLOW_SECONDS = 600.0
DEFAULT_SECONDS = 3600.0

_variant = argument("variant", nargs="?", metavar="VARIANT", help="of this variant only; of all without")


@magics_class
class ObserveMagics(SmMagics):
    """The magics that look at what an endpoint does."""

    @magic(
        "line",
        name("the endpoint"),
        _variant,
        argument("--lines", type=int, metavar="N", default=DEFAULT_LINES, help="show the last N; 50 by default"),
        flag("--pings", what="show the health checks that were answered well, too"),
        flag("--times", what="show when each line was printed, and the instances by their ids"),
        flag("--follow", what="go on showing what is printed, until the cell is interrupted or the time is over"),
        argument("--timeout", type=duration, metavar="TIME", help="follow so long: 30s, 10m, 1h; 10m by default"),
        quiet,
        output,
    )
    def sm_logs(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Show what the instances of an endpoint printed last, those of all variants together."""
        from sm_magics.logs import MOST_LINES, Log
        from sm_magics.results import Logs

        if not given.follow:
            refuse(given, "it goes with --follow", timeout=None)
        if not 1 <= given.lines <= MOST_LINES:
            raise CellError(f"--lines {given.lines}: it takes 1 to {MOST_LINES}")
        connection = self.session.connection()
        log = Log(connection, given.name, given.variant, pings=given.pings)
        if not log.streams():  # a deleted endpoint may still have a log
            snapshot = find_endpoint(connection, given.name)
            log = replace(log, endpoint=snapshot.name)  # the service finds it in any case of letters
            if given.variant is not None:
                check_variant(snapshot.name, given.variant, _variants(snapshot))
        if given.follow:
            timeout = FOLLOW_SECONDS if given.timeout is None else given.timeout
            happened = self.session.follow(log.follow(given.lines, self.session.clock, timeout), given, calm=True)
            entries = happened[-1].entries if happened else ()
        else:
            entries = log.tail(given.lines)
        printed = given.follow and not given.quiet and self.session.prints
        return Logs(log.endpoint, given.variant, entries, lines=given.lines, times=given.times, printed=printed)

    @magic(
        "line",
        name("the endpoint"),
        _variant,
        argument("--for", dest="seconds", type=duration, metavar="TIME", help="look back so long: 1h by default"),
        argument("--period", type=duration, metavar="TIME", help="in steps of 1m, 5m, 1h; by default what fits"),
        quiet,
        output,
    )
    def sm_metrics(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Show how an endpoint was used: invocations, errors, latencies and utilisation of each variant."""
        from time import time

        from sm_magics.metrics import read, span, variants
        from sm_magics.results import Metrics
        from sm_magics.watch import look

        when = span(time(), DEFAULT_SECONDS if given.seconds is None else given.seconds, given.period)
        connection = self.session.connection()
        endpoint, counted, present = given.name, variants(connection, given.name), []
        snapshot = look(connection, endpoint) if counted else find_endpoint(connection, endpoint)
        if snapshot is not None:
            present = _variants(snapshot)
            if snapshot.name != endpoint:  # the service finds it in any case of letters
                endpoint, counted = snapshot.name, variants(connection, snapshot.name)
        names = list(dict.fromkeys([*present, *counted]))  # one that is gone was used all the same
        if given.variant is not None:
            check_variant(endpoint, given.variant, names)
            names = present = [given.variant]
        used = read(connection, endpoint, names, when)
        shown = tuple(each for each in used if each.invocations or each.variant in present)
        return Metrics(endpoint, shown, when)


def _variants(snapshot: Snapshot) -> list[str]:
    """Return the variants that an endpoint has or is about to have, shadows among them."""
    return list(dict.fromkeys(each.name for each in (*snapshot.variants, *snapshot.pending, *snapshot.shadows)))
