"""What is known of the rows of a comparison before any is sent: how many, what is true of each, and by what to cut."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from sm_magics.errors import CellError
from sm_magics.nearest import did_you_mean
from sm_magics.rows import by_index, missing, number_of, values_of
from sm_magics.spec.problems import clipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["by_of", "count_of", "flows", "measured_by", "truths_of"]

MOST_TRUTHS = 1_000_000  # of an iterator, where nothing says how many rows there are: it may have no end


def flows(data: Any) -> bool:
    """Whether data comes row by row, and its length is not known."""
    return not hasattr(data, "__len__") and getattr(data, "shape", None) is None


def count_of(data: Any, most: int | None) -> int | None:
    """Return how many rows are sent, `most` at most; None where that is not known."""
    shape = getattr(data, "shape", None)
    known = int(shape[0]) if shape else len(data) if hasattr(data, "__len__") else None
    return most if known is None else min(known, most or known)


def truths_of(target: Any, count: int | None, data: Any, *, numbers: bool = False) -> NDArray[Any]:
    """Return the truths as an array, as many as there are rows to send; of an iterator no more are taken than rows.

    Parameters
    ----------
    numbers
        Whether they have to be numbers, as what they are measured by has it.

    Raises
    ------
    CellError
        When there are fewer than rows to send, or more than rows, or one that nothing can be `measured_by`.
    """
    whole = count_of(data, None)
    endless = not hasattr(target, "__len__")
    if endless:
        target = _taken(target, count if whole is None else whole)
    if whole is not None and not (count or whole) <= len(target) <= whole:
        more = len(target) > whole
        has = f"more than {whole:,}" if endless and more else f"{len(target):,}"
        rows = whole if more else count or whole
        raise CellError(f"--target has {has} values for {rows:,} rows", hint="give one true value a row")
    target = by_index(target, data, count, option="--target")
    values = values_of(target, len(target) if count is None else count, option="--target")
    return measured_by(values, lambda at: f"row {at}", numbers=numbers)


def measured_by(values: list[Any], where: Callable[[int], str], *, numbers: bool) -> NDArray[Any]:
    """Return truths as an array that can be measured by; `where` says of which row each is.

    Raises
    ------
    CellError
        When one is missing or infinite, or no number where they have to be.
    """
    made = np.asarray(values)
    fit = made.dtype.kind in "iub" or (made.dtype.kind == "f" and np.isfinite(made).all())
    for at, each in enumerate(() if fit else values):
        if (error := _unfit(each, where(at), numbers=numbers)) is not None:
            raise error
    return made.astype(float) if made.dtype.kind == "O" and all(hasattr(each, "__float__") for each in values) else made


def _unfit(value: Any, where: str, *, numbers: bool) -> CellError | None:
    """Return the error to raise for a truth that nothing can be measured by, None where it is fit."""
    if missing(value):
        return CellError(f"--target has no value for {where}", hint="leave rows without a true value out")
    if number_of(value) is not None:
        return None
    if not isinstance(value, str) and hasattr(value, "__float__"):
        told = f"--target has no finite value for {where}: {clipped(str(value))}"
        return CellError(told, hint="leave rows without a finite true value out")
    if numbers:
        told = f"--target has no number for {where}: {clipped(repr(value))}"
        return CellError(
            told, hint="this metric takes numbers, as the model was trained on; accuracy and f1 take labels"
        )
    return None


def _taken(target: Any, rows: int | None) -> list[Any]:
    """Return what an iterator yields: one value more than there are rows, by which too many are seen."""
    most = MOST_TRUTHS if rows is None else rows
    values = list(itertools.islice(target, most + 1))
    if rows is None and len(values) > most:
        told = f"--target has more than {most:,} values, and neither it nor --data says how many there are"
        raise CellError(told, hint="say how many rows are to be sent: --rows 1000")
    return values


def by_of(told: Any, data: Any, count: int | None) -> tuple[str, NDArray[Any]] | None:
    """Return the name of the column by which the rows are cut, and its value for each.

    Raises
    ------
    CellError
        When there is no such column, or it has not one value for each row.
    """
    if told is None:
        return None
    if not isinstance(told, str):
        column, whole = np.asarray(told), count_of(data, None)
        if count is None or len(column) < count or (whole is not None and len(column) != whole):
            raise CellError(
                f"--by has {len(column):,} values for {'unknown' if count is None else whole or count} rows",
                hint="give one a row",
            )
        return getattr(told, "name", None) or "by", column[:count]
    if not hasattr(data, "columns"):
        raise CellError("--by names a column of a data frame", hint="or give a value for each row: --by $values")
    if told not in data.columns:
        raise CellError(f"--data has no column '{told}'", hint=did_you_mean(told, map(str, data.columns), 0.4))
    return told, np.asarray(data[told])[:count]
