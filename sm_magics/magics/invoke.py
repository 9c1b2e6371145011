"""`%sm_invoke --data` sends rows of a frame, `%%sm_invoke` sends its body; both show which variant answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class
from IPython.display import display

from sm_magics.errors import CellError, Detached
from sm_magics.magics.base import SmMagics, magic
from sm_magics.magics.options import argument, name, output, quiet

if TYPE_CHECKING:
    import argparse

    from sm_magics.results import Invoked

__all__ = ["InvokeMagics"]

DEFAULT_ROWS = 10


@magics_class
class InvokeMagics(SmMagics):
    """The magics that send something to an endpoint."""

    @magic(
        "line_cell",
        name("the endpoint"),
        argument("--data", metavar="$ROWS", help="a data frame, an array or a list of rows; one request each"),
        argument(
            "--expect",
            metavar="$VALUES",
            help="the true value of each row (pandas: by the index), to show the error",
        ),
        argument("--rows", type=int, metavar="N", help=f"send the first N rows; {DEFAULT_ROWS} by default"),
        argument("--variant", metavar="VARIANT", help="send to this variant, whatever the weights"),
        argument("--content-type", default="text/csv", metavar="TYPE", help="of what is sent; text/csv by default"),
        argument("--accept", metavar="TYPE", help="of what should come back"),
        argument("--inference-id", metavar="ID", help="to know what is captured by; rows get ID-0, ID-1 and so on"),
        quiet,
        output,
    )
    def sm_invoke(self, given: argparse.Namespace, cell: str | None) -> Any:
        """Send rows of a data frame to an endpoint, or the body of a cell as it is, and show which variant answered."""
        from sm_magics.columns import check_columns
        from sm_magics.invoke import Target, invoke, invoke_rows
        from sm_magics.results import Invoked, Payload
        from sm_magics.rows import SERIALIZERS
        from sm_magics.spec import resolve

        target = Target(given.name, given.variant, given.content_type, given.accept)
        if cell is not None:
            _check_payload(given, cell)
            connection = self.session.connection()
            return Payload(
                target, invoke(connection, target, cell.strip("\n").encode(), inference_id=given.inference_id)
            )
        if given.data is None:
            raise CellError(
                "nothing to send", hint="add --data $rows, or use a %%sm_invoke cell with the payload below"
            )
        if given.rows is not None and given.rows < 1:
            raise CellError(f"--rows {given.rows}: send at least 1 row")
        if given.content_type not in SERIALIZERS:
            told = f"--data is sent as {' or '.join(SERIALIZERS)}"
            raise CellError(told, hint="for another type use a %%sm_invoke cell")
        data = resolve(given.data, self.session.variables)
        truths = None if given.expect is None else resolve(given.expect, self.session.variables)
        connection = self.session.connection()
        check_columns(connection, target, data, self.session.columns)
        limit = given.rows or DEFAULT_ROWS
        options = {"truths": truths, "limit": limit, "inference_id": given.inference_id}
        options["serialize"] = SERIALIZERS[given.content_type]
        return self._sent(given, Invoked(invoke_rows(connection, target, data, **options)))

    def _sent(self, given: argparse.Namespace, result: Invoked) -> Invoked:
        """Return a result, or raise for the rows that failed: those that were answered are kept and shown before."""
        error: BaseException | None = result.sent.error
        if result.sent.interrupted:
            error = Detached(f"stopped; {len(result.rows)} of {result.sent.planned} rows were answered")
        if error is None:
            return result
        self.session.keep(given.out, result)
        if result.rows and not given.quiet:
            display(result)
        raise error


def _check_payload(given: argparse.Namespace, cell: str) -> None:
    for option in ("data", "expect", "rows"):
        if getattr(given, option) is not None:
            raise CellError(f"--{option} goes with %sm_invoke, the line", hint="a cell's payload is its body")
    if not cell.strip():
        raise CellError("the cell is empty: there is no payload to send", hint="write it below the first line")
