"""`%sm_load`: a steady load on an endpoint in the background, to watch an update under."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class

from sm_magics.errors import CellError
from sm_magics.magics.base import SmMagics, magic
from sm_magics.magics.endpoint import find_endpoint, refuse
from sm_magics.magics.options import argument, duration, name, output, quiet

if TYPE_CHECKING:
    import argparse

__all__ = ["LoadMagics"]

DEFAULT_RATE, MOST_RATE = 50.0, 2000.0
DEFAULT_SECONDS = 60.0


@magics_class
class LoadMagics(SmMagics):
    """The magic that keeps an endpoint busy."""

    @magic(
        "line",
        name("the endpoint"),
        argument("word", nargs="?", choices=["stop"], metavar="stop", help="end the load that is on it"),
        argument("--data", metavar="$ROWS", help="a data frame, an array or a list of rows, sent over and over again"),
        argument("--rps", type=float, metavar="N", help=f"requests a second; {DEFAULT_RATE:g} by default"),
        argument("--for", dest="seconds", type=duration, metavar="TIME", help="so long: 30s, 10m; 1m by default"),
        argument("--variant", metavar="VARIANT", help="send to this variant, whatever the weights"),
        argument("--content-type", default="text/csv", metavar="TYPE", help="text/csv or application/jsonlines"),
        quiet,
        output,
    )
    def sm_load(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Send a steady stream of requests to an endpoint in the background; show what became of them.

        The cell returns at once. With a name alone it shows the last load on that endpoint, and `stop` ends it.
        The result's wait() shows how far it is until it is over.
        """
        from sm_magics.results import Loaded

        last = self.session.loads.get(given.name)
        follow = partial(self.session.follow, given=given)
        if given.data is None:
            if last is None:
                hint = "add --data $rows to start one"
                raise CellError(f"there is no load on endpoint '{given.name}'", hint=hint)
            refuse(given, "it goes with --data", rps=None, seconds=None, variant=None, content_type="text/csv")
            shown = Loaded(last, follow=follow)
            return shown.stop() if given.word == "stop" else shown
        if given.word is not None:
            raise CellError("--data starts a load, and stop ends one", hint="keep one of the two")
        if last is not None and last.running:
            told = f"a load is on endpoint '{given.name}' already"
            raise CellError(told, hint=f"%sm_load {given.name} stop ends it")
        started = self.session.loads[given.name] = self._start(given)
        return Loaded(started, follow=follow)

    def _start(self, given: argparse.Namespace) -> Any:
        from sm_magics.columns import check_columns
        from sm_magics.compare.exchange import Target
        from sm_magics.compare.load import MOST_ROWS, Load
        from sm_magics.rows import SERIALIZERS, each_row
        from sm_magics.spec import resolve
        from sm_magics.traffic import check_variant

        rate = DEFAULT_RATE if given.rps is None else given.rps
        seconds = DEFAULT_SECONDS if given.seconds is None else given.seconds
        if not 0 < rate <= MOST_RATE:
            raise CellError(f"--rps {rate:g}: it takes more than 0 and at most {MOST_RATE:g}")
        if not seconds:
            raise CellError("--for 0s: let it last a while", hint="--for 1m, say")
        if given.content_type not in SERIALIZERS:
            raise CellError(f"--data is sent as {' or '.join(SERIALIZERS)}")
        data = resolve(given.data, self.session.variables)
        rows = itertools.islice(each_row(data), MOST_ROWS)
        bodies = [SERIALIZERS[given.content_type](row) for row in rows]
        connection = self.session.connection()
        snapshot = find_endpoint(connection, given.name)
        if given.variant is not None:
            check_variant(given.name, given.variant, snapshot.shares)
        target = Target(given.name, given.variant, given.content_type)
        check_columns(connection, target, data, self.session.columns)
        return Load(connection, target, bodies, rate=rate, seconds=seconds)
