"""What xgboost's container makes of a request: its content type, and its rows as CSV, libsvm or RecordIO-protobuf.

The container parses with csv.Sniffer, numpy and scipy; what these accept and how their errors read is kept, because the
errors are part of the container's answers. Rows become flat arrays of float32.
"""

from __future__ import annotations

import csv
from array import array
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from sm_magics.local.containers import recordio
from sm_magics.local.containers.tables import Dense, Sparse, Table, compressed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics.local.containers.recordio import Tensor

__all__ = [
    "CSV",
    "LIBSVM",
    "PARQUET",
    "RECORDIO",
    "content_kind",
    "media_type",
    "parse_csv",
    "parse_libsvm",
    "parse_recordio",
]

CSV, LIBSVM, PARQUET, RECORDIO = "csv", "libsvm", "parquet", "recordio-protobuf"
_KINDS: Mapping[str, str] = {
    "csv": CSV,
    "libsvm": LIBSVM,
    "parquet": PARQUET,
    "recordio-protobuf": RECORDIO,
    "text/csv": CSV,
    "text/libsvm": LIBSVM,
    "text/x-libsvm": LIBSVM,
    "application/x-parquet": PARQUET,
    "application/x-recordio-protobuf": RECORDIO,
}
_SNIFFED = 512  # characters of the first line that decide on the delimiter
_LARGEST_INDEX = 2**63 - 1


@lru_cache(maxsize=256)
def media_type(header: str) -> tuple[str, Mapping[str, str]]:
    """Split a header like `text/csv; label_size=1` into the type and its parameters."""
    name, *rest = header.split(";")
    pairs = (part.split("=", 1) for part in rest if "=" in part)
    return name.strip(), {key.strip().lower(): value.strip().strip('"') for key, value in pairs}


@lru_cache(maxsize=256)
def content_kind(header: str | None) -> str:
    """Return CSV, LIBSVM, PARQUET or RECORDIO for a Content-Type; without one the container reads libsvm.

    Raises
    ------
    ValueError
        When the container refuses the content type; the text is its answer.
    """
    if header is None:
        return LIBSVM
    name, parameters = media_type(header.lower())
    kind = _KINDS.get(name)
    if kind is None:
        raise ValueError(f"{header} is not an accepted ContentType: {', '.join(_KINDS)}.")
    if kind == CSV and parameters.get("label_size", "1") != "1":
        raise ValueError(
            f"{header} is not an accepted csv ContentType. Optional parameter label_size must be equal to 1"
        )
    return kind


def parse_csv(body: bytes) -> Dense:
    """Parse rows of numbers without a header; an empty field is missing, the first line tells the delimiter.

    Raises
    ------
    ValueError, csv.Error
        With the texts of numpy and csv.
    """
    text = body.strip().decode()
    if "\n" not in text and "," in text[:_SNIFFED]:
        try:  # one row of plain numbers, by far the most frequent request
            values = array("f", map(float, text.split(",")))
        except ValueError:
            pass
        else:
            return Dense(values, 1, len(values))
    lines = text.split("\n")
    delimiter = _delimiter(lines[0][:_SNIFFED])
    separators = lines[0].count(delimiter)
    if any(line.count(delimiter) != separators for line in lines):
        raise ValueError("setting an array element with a sequence." + _RAGGED.format(rows=len(lines)))
    fields = text.replace("\n", delimiter).split(delimiter)
    try:
        values = array("f", map(float, fields))
    except ValueError:
        values = array("f", [float(field or "nan") for field in fields])
    return Dense(values, len(lines), separators + 1)


# What numpy from 1.24 on adds; older ones stop after the first sentence.
_RAGGED = (
    " The requested array has an inhomogeneous shape after 1 dimensions."
    " The detected shape was ({rows},) + inhomogeneous part."
)


def _delimiter(line: str) -> str:
    """Return what csv.Sniffer takes for the delimiter of one line, a comma where that is a letter or a digit."""
    if '"' in line or "'" in line:
        found = csv.Sniffer().sniff(line).delimiter
    else:
        preferred = (character for character in ",\t; :" if character in line)
        found = next(preferred, "") or _most_frequent(line)
    return "," if found.isalnum() else found


def _most_frequent(line: str) -> str:
    candidates = sorted({character for character in line if ord(character) < 127})  # noqa: PLR2004 - the Sniffer's range
    if not candidates:
        raise csv.Error("Could not determine delimiter")
    return max(reversed(candidates), key=line.count)


def parse_libsvm(body: bytes, *, shift: bool) -> Sparse:
    """Parse lines of `index:value`; words without a colon, as a label, are ignored.

    With `shift`, indices that all start from one are moved to start from zero.

    Raises
    ------
    ValueError, OverflowError
        With the texts of numpy and scipy.
    """
    rows: list[int] = []
    words: list[list[str]] = []
    for number, line in enumerate(body.strip().decode().split("\n")):
        found = [word.split(":") for word in line.split(" ") if ":" in word]
        words.extend(found)
        rows.extend([number] * len(found))
    indices = [int(word[0]) for word in words]
    values = [float(word[1]) for word in words]
    if not indices:
        raise ValueError("cannot infer dimensions from zero sized index arrays")
    if max(indices) > _LARGEST_INDEX or min(indices) < -_LARGEST_INDEX:
        raise OverflowError("Python int too large to convert to C long")
    if min(indices) < 0:
        raise ValueError("negative column index found")
    first = 1 if shift and min(indices) >= 1 else 0
    table: dict[int, dict[int, float]] = {row: {} for row in rows}
    for row, index, value in zip(rows, indices, values, strict=True):
        table[row][index - first] = table[row].get(index - first, 0.0) + value
    return compressed((table.get(row, {}) for row in range(rows[-1] + 1)), max(indices) - first + 1)


def parse_recordio(body: bytes) -> Table:
    """Parse records whose feature `values` is a row; one sparse row makes the whole table sparse.

    Raises
    ------
    ValueError
        With the texts of the container, as of 3.2-0, or of numpy and scipy.
    """
    rows = [row for record in recordio.read(body) if (row := record.features.get("values")) is not None]
    if not rows:
        raise ValueError("No records found in RecordIO-Protobuf data")
    if any(row.keys is not None for row in rows):
        return _sparse_records(rows)
    for number, row in enumerate(rows):
        if len(row.values) != len(rows[0].values):
            raise ValueError(
                "all the input array dimensions except for the concatenation axis must match exactly, but along "
                f"dimension 1, the array at index 0 has size {len(rows[0].values)} and the array at index {number} "
                f"has size {len(row.values)}"
            )
    values = array("f", chain.from_iterable(row.values for row in rows))
    return Dense(values, len(rows), len(rows[0].values))


def _sparse_records(rows: list[Tensor]) -> Sparse:
    widths = {_width(row) for row in rows}
    if len(widths) > 1:
        raise ValueError(f"Mismatching dimensions along axis 1: {widths}")
    return compressed(map(_entries, rows), widths.pop())


def _width(row: Tensor) -> int:
    if row.keys is None:
        return len(row.values)
    return row.shape[0] if row.shape else max(row.keys) + 1


def _entries(row: Tensor) -> dict[int, float]:
    if row.keys is None:
        return {index: value for index, value in enumerate(row.values) if value}
    if len(row.keys) != len(row.values):
        raise ValueError("indices and data should have the same size")
    if max(row.keys) >= _width(row):
        raise ValueError(f"axis 1 index {max(row.keys)} exceeds matrix dimension {_width(row)}")
    entries: dict[int, float] = {}
    for index, value in zip(row.keys, row.values, strict=True):
        entries[index] = entries.get(index, 0.0) + value
    return entries
