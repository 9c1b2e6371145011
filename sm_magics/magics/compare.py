"""`%sm_compare`: which variant of an endpoint is better, by rows that are sent to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class

from sm_magics.errors import CellError
from sm_magics.magics.base import SmMagics, magic
from sm_magics.magics.options import argument, flag, name, output, quiet

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

__all__ = ["CompareMagics"]

CELL_BEGINS = 2  # the line of a cell on which its body begins


@magics_class
class CompareMagics(SmMagics):
    """The magic that compares variants."""

    @magic(
        "line_cell",
        name("the endpoint"),
        argument("--data", metavar="$ROWS", help="the rows to send: a data frame, an array, a list, an iterator"),
        argument(
            "--target",
            metavar="$VALUES",
            help="the true value of each row (pandas: by the index; of captures: by InferenceId); with --metric",
        ),
        argument(
            "--metric", metavar="NAME", help="with --target: rmse, mae, mape, r2, accuracy, f1, auc, logloss, or $yours"
        ),
        argument("--better", choices=["lower", "higher"], help="which values of $yours are better"),
        flag("--paired", what="send each row to every variant; the default where there is a target"),
        flag("--split", what="send each row once, to a variant by the weights, as users' requests go"),
        flag("--from-capture", what="send nothing: take what data capture has kept, joined with --target"),
        argument("--until", choices=["significant"], help="end as soon as the rows so far show which one is better"),
        argument("--rows", type=int, metavar="N", help="send the first N rows; all of them by default"),
        argument("--by", metavar="COLUMN", help="show the quality for each value of this column, too"),
        argument("--variants", metavar="A,B", help="compare these; by default all that the endpoint has"),
        argument("--concurrency", type=int, default=8, metavar="N", help="requests under way at once; 8 by default"),
        argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn by chance; 0 by default"),
        argument("--serialize", metavar="$FUNCTION", help="makes the body of a row, which comes as a list of values"),
        argument("--parse", metavar="$FUNCTION", help="makes the prediction of an answer's text"),
        argument(
            "--content-type", default="text/csv", metavar="TYPE", help="text/csv, application/jsonlines, or yours"
        ),
        argument("--accept", metavar="TYPE", help="of what should come back"),
        quiet,
        output,
    )
    def sm_compare(self, given: argparse.Namespace, cell: str | None) -> Any:
        """Compare the variants of an endpoint: quality, latency, errors, and how sure that is.

        As a cell, the body has the same options as keys, and `price`, what an instance costs an hour by its type:

            data: $X_test
            target: $y_test
            metric: rmse
            price: {ml.m5.large: 0.115}
        """
        from sm_magics.columns import check_columns
        from sm_magics.compare.asked import asked, compare
        from sm_magics.compare.exchange import Target
        from sm_magics.results import Compared
        from sm_magics.spec import parse_options

        told: Mapping[str, Any] = vars(given)
        if cell is not None:
            keys = ("price", *(key for key in told if key not in {"name", "quiet", "out"}))
            body = parse_options(cell, keys, self.session.variables, first_line=CELL_BEGINS)
            told = {**told, **{key: _checked(key, value) for key, value in body.items()}}
        connection = self.session.connection()
        wanted = asked(connection, told, self.session.variables)
        to = wanted.run.design.weights
        check_columns(connection, Target(given.name), wanted.data, self.session.columns, compared=to)
        self.session.follow(wanted.progress, given, calm=True)
        return Compared(compare(wanted, calm=True))


def _checked(key: str, value: Any) -> Any:
    """Return the value of a key in a cell, as the line would give it."""
    numbers = {"rows", "concurrency", "seed"}
    flags = {"paired", "split", "from_capture"}
    if key in numbers and (not isinstance(value, int) or isinstance(value, bool)):
        raise CellError(f"{key} takes a whole number, not {value!r}")
    if key in flags and not isinstance(value, bool):
        raise CellError(f"{key} is true or false, not {value!r}")
    if key == "until" and value != "significant":
        raise CellError(f"until takes 'significant', not {value!r}")
    return value
