"""Reads the rows that are to be sent, and their true values, out of whatever a notebook keeps them in."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Rows", "csv_line", "rows_of", "unusual", "values_of"]

_MISSING = frozenset({"None", "nan", "NaN", "<NA>", "NaT"})  # as Python, Decimal and pandas spell it
_TAKES = "give a data frame, a 2-D array or a list of rows; for raw text use a %%sm_invoke cell"


@dataclass(frozen=True, slots=True)
class Rows:
    """The first rows of some data as lists of plain values, and how many rows there are, where that is known."""

    first: list[list[Any]]
    available: int | None


def rows_of(data: Any, limit: int | None = None) -> Rows:
    """Return the first `limit` rows of a frame, an array, a sparse matrix, or anything that yields rows.

    A series or a flat list of values is one row.

    Raises
    ------
    CellError
        When `data` is none of these, or empty.
    """
    head = _head(data, limit)
    if head is None:
        raise CellError(f"--data takes rows, not a {type(data).__name__}", hint=_TAKES)
    if not head:
        raise CellError("--data has no rows", hint="nothing was sent")
    nested = [isinstance(each, list) for each in head]
    if not any(nested):
        rest = data if hasattr(data, "__next__") else itertools.islice(data, len(head), None)
        rows = Rows([[*head, *_plain(list(rest))]], 1)
    elif all(nested):
        rows = Rows(head, _count(data))
    else:
        raise CellError("--data mixes rows and single values", hint="give every row as a list of values")
    for number, row in enumerate(rows.first):
        if len(row) != len(rows.first[0]):
            told = f"--data: row {number} has {len(row)} values where row 0 has {len(rows.first[0])}"
            raise CellError(told, hint="give every row the same columns")
        if any(isinstance(value, list) for value in row):
            raise CellError("--data has more than two dimensions", hint="flatten each row to a list of values")
        if any(isinstance(value, Mapping | AbstractSet) for value in row):
            raise CellError("--data has mappings for rows", hint="make a frame of them: pandas.DataFrame(rows)")
    return rows


def values_of(truths: Any, number: int) -> list[Any]:
    """Return the first `number` true values of a series, an array, or a frame of one column.

    Raises
    ------
    CellError
        When there are fewer, or more than one for a row.
    """
    head = _head(truths, number)
    if head is None:
        raise CellError(f"--expect takes values, not a {type(truths).__name__}", hint="give one true value a row")
    if any(isinstance(each, list) and len(each) != 1 for each in head):
        raise CellError("--expect has more than one value for a row", hint="choose the column that is predicted")
    if len(head) < number:
        raise CellError(f"--expect has {len(head)} values for {number} rows", hint="give one true value a row")
    return [each[0] if isinstance(each, list) else each for each in head]


def csv_line(row: Sequence[Any]) -> bytes:
    """Return one row as CSV; a missing value is an empty field."""
    return ",".join(map(_field, row)).encode()


def unusual(data: Any, row: Sequence[Any]) -> str | None:
    """Return what about a row a model may not take, None where nothing stands out: a hint for a refused one."""
    names = list(getattr(data, "columns", range(len(row))))
    if hasattr(data, "iloc") and not hasattr(data, "columns") and len(row) > 1:
        return "a Series is sent as one row; for a column of rows, send a frame of that one column"
    for name, value in zip(names, row, strict=False):
        if isinstance(value, str):
            return f"column {name} is text, {value[:40]!r}: encode it as the model was trained on it"
        if str(value) in _MISSING:
            return f"column {name} has no value, and linear models take none that is missing: fill it in first"
    return None


def _field(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    text = str(value)
    if text in _MISSING and not isinstance(value, str):
        return ""
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if any(each in text for each in ',"\r\n') else text


def _head(data: Any, limit: int | None) -> list[Any] | None:
    """Return the first items of `data` as plain values, None where it has no items in an order."""
    if isinstance(data, str | bytes | Mapping | AbstractSet) or getattr(data, "shape", None) == ():
        return None
    if hasattr(data, "tocsr"):
        data = data.tocsr()  # the format of sparse matrices that can be sliced
    if hasattr(data, "iloc"):
        return _plain_list(data.iloc[:limit])
    if hasattr(data, "shape") and hasattr(data, "__getitem__"):
        return _plain_list(data[:limit])
    return _plain_list(itertools.islice(data, limit)) if isinstance(data, Iterable) else None


def _plain_list(items: Any) -> list[Any]:
    plain = _plain(items)
    return plain if isinstance(plain, list) else [_plain(each) for each in plain]


def _plain(value: Any) -> Any:
    """Return arrays and frames as lists of lists, and numpy's scalars as Python's."""
    if hasattr(value, "shape"):
        for method in ("toarray", "to_numpy", "tolist"):
            value = getattr(value, method, lambda value=value: value)()
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _count(data: Any) -> int | None:
    shape = getattr(data, "shape", None)
    if shape:
        return int(shape[0])
    return len(data) if hasattr(data, "__len__") else None
