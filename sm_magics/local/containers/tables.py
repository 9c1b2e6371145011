"""Tables of float32 as libxgboost takes them, dense or in compressed rows, and how tables are put together."""

from __future__ import annotations

from array import array
from math import isfinite, isinf, nan
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Dense", "Sparse", "Table", "compressed", "has_infinity", "merged", "narrowed", "widened"]


class Dense(NamedTuple):
    """A table: `values` holds `rows` times `columns` float32, row by row; NaN is missing."""

    values: array[float]
    rows: int
    columns: int


class Sparse(NamedTuple):
    """A table in compressed rows: row i has the entries from `starts[i]` on; what has no entry is missing."""

    starts: array[int]
    indices: array[int]
    values: array[float]
    columns: int


Table = Dense | Sparse


def compressed(rows: Iterable[Mapping[int, float]], columns: int) -> Sparse:
    """Return rows of {index: value} in compressed form."""
    starts, indices, values = array("Q", [0]), array("Q"), array("f")
    for row in rows:
        for index in sorted(row):
            indices.append(index)
            values.append(row[index])
        starts.append(len(indices))
    return Sparse(starts, indices, values, columns)


def has_infinity(values: array[float]) -> bool:
    """Whether a value is infinite as float32, which xgboost refuses."""
    return not isfinite(sum(values)) and any(map(isinf, values))


def merged(tables: Sequence[Dense]) -> Dense:
    """Return the rows of tables of the same width as one table."""
    if len(tables) == 1:
        return tables[0]
    values = array("f")
    for table in tables:
        values += table.values
    return Dense(values, sum(table.rows for table in tables), tables[0].columns)


def widened(table: Dense, columns: int) -> Dense:
    """Return a table with missing values to the right."""
    missing = array("f", [nan]) * (columns - table.columns)
    values = array("f")
    for row in range(table.rows):
        values += table.values[row * table.columns : (row + 1) * table.columns]
        values += missing
    return Dense(values, table.rows, columns)


def narrowed(table: Table, columns: int) -> Table:
    """Return a table without what lies to the right of the first `columns` columns."""
    if isinstance(table, Dense):
        rows = (table.values[row * table.columns :][:columns] for row in range(table.rows))
        return merged([Dense(row, 1, columns) for row in rows])
    bounds = zip(table.starts, table.starts[1:], strict=False)
    rows_left = (
        {index: value for index, value in zip(table.indices[a:b], table.values[a:b], strict=True) if index < columns}
        for a, b in bounds
    )
    return compressed(rows_left, columns)
