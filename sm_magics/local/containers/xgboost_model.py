"""The model that xgboost's container serves: one booster or an ensemble, predicting several tables in one call."""

from __future__ import annotations

from array import array
from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING

from sm_magics.local.containers.tables import Dense, Table, merged, narrowed, widened
from sm_magics.local.containers.xgboost_library import LibraryError, Predictions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sm_magics.local.containers.xgboost_library import Booster

__all__ = ["Model", "mean", "vote"]

_MOST_WIDENED = 2**22  # values; many rows of few columns would take much memory if they were as wide as the model

_LABELS = ("multi:softmax", "binary:hinge")  # objectives that predict a label, which has no mean


class Model:
    """One booster, or several whose predictions are combined.

    Parameters
    ----------
    boosters
        At least one.
    pickled
        Whether the first came out of a pickle.
    ignores_extra_columns
        Whether columns that the model does not know are passed over, as old versions of xgboost do.
    """

    def __init__(self, boosters: Sequence[Booster], *, pickled: bool, ignores_extra_columns: bool = False) -> None:
        self._boosters = tuple(boosters)
        self._ignores_extra_columns = ignores_extra_columns
        self._same_columns = len({booster.columns for booster in boosters}) == 1
        self.pickled = pickled
        self.columns = boosters[0].columns
        self.objective = boosters[0].objective
        self.classes = boosters[0].classes

    def predict(self, tables: Sequence[Table]) -> list[Predictions | LibraryError]:
        """Predict each table, those that surely suit the model together; one that does not has its error."""
        suited = [self._suited(table) for table in tables]
        together = iter(self._predict_together([table for table in suited if table is not None]))
        return [
            self._predict_alone(table) if suit is None else next(together)
            for table, suit in zip(tables, suited, strict=True)
        ]

    def _suited(self, table: Table) -> Dense | None:
        """Return a dense table as wide as the model; None for one that libxgboost has to check."""
        if not isinstance(table, Dense) or not self._same_columns:
            return None
        if table.columns == self.columns:
            return table
        can_be_widened = table.columns < self.columns and table.rows * self.columns <= _MOST_WIDENED
        return widened(table, self.columns) if can_be_widened else None

    def _predict_together(self, tables: Sequence[Dense]) -> list[Predictions | LibraryError]:
        if not tables:
            return []
        table = merged(tables)
        try:
            predictions = self._combined([booster.predict(table) for booster in self._boosters])
        except LibraryError:
            return [self._predict_alone(table) for table in tables]
        ends = accumulate(table.rows for table in tables)
        return [predictions.part(end - table.rows, table.rows) for table, end in zip(tables, ends, strict=True)]

    def _predict_alone(self, table: Table) -> Predictions | LibraryError:
        try:
            return self._combined([self._predict_with(booster, table) for booster in self._boosters])
        except LibraryError as error:
            return error

    def _predict_with(self, booster: Booster, table: Table) -> Predictions:
        if self._ignores_extra_columns and table.columns > booster.columns:
            table = narrowed(table, booster.columns)
        if isinstance(table, Dense) or table.columns > booster.columns:
            return booster.predict_checked(table)
        return booster.predict_sparse(table)

    def _combined(self, predictions: Sequence[Predictions]) -> Predictions:
        if len(predictions) == 1:
            return predictions[0]
        return (vote if self.objective in _LABELS else mean)(predictions)


def mean(predictions: Sequence[Predictions]) -> Predictions:
    """Return the mean of several models' predictions, in float32 as numpy calculates it."""
    total = array("f", predictions[0].values)
    for each in predictions[1:]:
        total = array("f", map(add, total, each.values))
    count = len(predictions)
    return Predictions(array("f", [value / count for value in total]).tolist(), predictions[0].width)


def vote(predictions: Sequence[Predictions]) -> Predictions:
    """Return what most models predict, the smallest where several are as frequent."""
    votes = (sorted(row) for row in zip(*(each.values for each in predictions), strict=True))
    return Predictions([max(row, key=row.count) for row in votes], predictions[0].width)
