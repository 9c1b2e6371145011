"""Reads the rows that are to be sent, and their true values, out of whatever a notebook keeps them in."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "SERIALIZERS",
    "Rows",
    "by_index",
    "csv_line",
    "each_row",
    "json_line",
    "missing",
    "number_of",
    "rows_of",
    "unusual",
    "values_of",
]

BLOCK = 256  # rows
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
        raise _mixed()
    _check(rows.first, 0, len(rows.first[0]))
    return rows


def each_row(data: Any) -> Iterator[list[Any]]:
    """Yield the rows of whatever `rows_of` takes, however many: only a block of them is plain values at a time.

    Of an iterator, no row is read before it is asked for.

    Raises
    ------
    CellError
        As `rows_of`, once the row that is wrong is reached.
    """
    blocks = _blocks(data)
    rows = rows_of(next(blocks)).first
    width, number = len(rows[0]), 0
    while True:
        yield from rows
        number += len(rows)
        block = next(blocks, None)
        if block is None:
            return
        rows = _head(block, None) or []
        if not all(isinstance(row, list) for row in rows):
            raise _mixed()
        _check(rows, number, width)


def _blocks(data: Any) -> Iterator[Any]:
    """Yield the blocks of rows that `data` consists of, at least one; the whole where it is one row, or holds none."""
    if hasattr(data, "tocsr"):
        data = data.tocsr()  # once, not for each block
    shape = getattr(data, "shape", None)
    if shape is not None and len(shape) > 1:
        rows = getattr(data, "iloc", data)
        for at in range(0, max(shape[0], 1), BLOCK):
            yield rows[at : at + BLOCK]
    elif shape is not None or isinstance(data, str | bytes | Mapping | AbstractSet) or not isinstance(data, Iterable):
        yield data
    else:
        items = iter(data)
        size = 1 if items is data else BLOCK
        block = list(itertools.islice(items, size))
        if not any(isinstance(each, list) for each in _plain_list(block)):
            block += items
        yield block
        while block := list(itertools.islice(items, size)):
            yield block


def _check(rows: list[list[Any]], first: int, width: int) -> None:
    """Raise when one of some rows, the first of them the row of that number, is none to be sent."""
    for number, row in enumerate(rows, first):
        if len(row) != width:
            told = f"--data: row {number} has {len(row)} values where row 0 has {width}"
            raise CellError(told, hint="give every row the same columns")
        if any(isinstance(value, list) for value in row):
            raise CellError("--data has more than two dimensions", hint="flatten each row to a list of values")
        if any(isinstance(value, Mapping | AbstractSet) for value in row):
            raise CellError("--data has mappings for rows", hint="make a frame of them: pandas.DataFrame(rows)")


def _mixed() -> CellError:
    return CellError("--data mixes rows and single values", hint="give every row as a list of values")


def values_of(truths: Any, number: int, *, of: int | None = None, option: str = "--expect") -> list[Any]:
    """Return the first `number` true values of a series, an array, or a frame of one column; `option` gave them.

    Raises
    ------
    CellError
        When there are fewer, or more than one for a row; or more than there are rows, `of` them, where that is known.
    """
    there_are = _count(truths)
    head = _head(truths, number if of is None or there_are is not None else max(number, of + 1))
    if head is None:
        raise CellError(f"{option} takes values, not a {type(truths).__name__}", hint="give one true value a row")
    if any(isinstance(each, list) and len(each) != 1 for each in head):
        raise CellError(f"{option} has more than one value for a row", hint="choose the column that is predicted")
    if len(head) < number:
        raise CellError(f"{option} has {len(head)} values for {number} rows", hint="give one true value a row")
    if of is not None and (there_are or len(head)) > of:
        told = f"{option} has {there_are or f'more than {of}'} values for {of} rows: they may not belong together"
        raise CellError(told, hint="give one true value a row")
    return [each[0] if isinstance(each, list) else each for each in head[:number]]


def by_index(truths: Any, data: Any, number: int | None = None, *, option: str = "--expect") -> Any:
    """Return true values in the order of the rows: where both are of pandas, those of the same index belong together.

    Where there are fewer values than rows, they have to be those of the first `number` rows, which are sent.

    Raises
    ------
    CellError
        When a row's index is not among those of the values, or is there twice: what belongs together is not known
        then. More values than rows, and fewer than are sent, are for `values_of` to refuse.
    """
    if not (hasattr(truths, "iloc") and hasattr(data, "iloc") and hasattr(data, "columns")):
        return truths
    fewer = number is not None and number <= len(truths) < len(data)
    if len(truths) != len(data) and not fewer:
        return truths
    rows = data.index[:number] if fewer else data.index
    if truths.index[: len(rows)].equals(rows):
        return truths
    if truths.index.is_unique and data.index.is_unique and not len(rows.difference(truths.index)):
        return truths.loc[rows]
    whose = f"the first {number:,} rows of --data" if fewer else "--data"
    told = f"the index of {option} is not that of {whose}: which value belongs to which row is not known"
    raise CellError(told, hint=f"where they are in the same order, leave the index out: {option} ${{name.values}}")


def missing(value: Any) -> bool:
    """Whether it stands for a value that is not there: None, or NaN as Python, Decimal, numpy or pandas have it."""
    return not isinstance(value, str) and str(value) in _MISSING


def number_of(value: Any) -> float | None:
    """Return a finite number as a float; None for all else: text, infinity, what is missing or too large."""
    if isinstance(value, str) or not hasattr(value, "__float__"):
        return None
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def csv_line(row: Sequence[Any]) -> bytes:
    """Return one row as CSV; a missing value is an empty field."""
    return ",".join(map(_field, row)).encode()


def json_line(row: Sequence[Any]) -> bytes:
    """Return one row as SageMaker's JSON lines have it, `{"features": [...]}`; a missing value is null."""
    return json.dumps({"features": [_json_value(value) for value in row]}, separators=(",", ":")).encode()


SERIALIZERS: Mapping[str, Callable[[Sequence[Any]], bytes]] = {
    "text/csv": csv_line,
    "application/jsonlines": json_line,
}


def unusual(data: Any, row: Sequence[Any]) -> str | None:
    """Return what about a row a model may not take, None where nothing stands out: a hint for a refused one."""
    names = list(getattr(data, "columns", range(len(row))))
    if hasattr(data, "iloc") and not hasattr(data, "columns") and len(row) > 1:
        return "a Series is sent as one row; for a column of rows, send a frame of that one column"
    for name, value in zip(names, row, strict=False):
        if isinstance(value, str):
            return f"column {name} is text, {value[:40]!r}: encode it as the model was trained on it"
        if missing(value):
            return f"column {name} has no value, and linear models take none that is missing: fill it in first"
    return None


def _json_value(value: Any) -> Any:
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = str(value)
    if text in _MISSING:
        return None
    try:
        return float(text) if math.isfinite(float(text)) else text  # JSON has no infinity
    except ValueError:
        return text


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
    return len(data) if shape is None and hasattr(data, "__len__") else None
