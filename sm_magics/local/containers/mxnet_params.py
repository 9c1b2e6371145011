"""The .params files of mxnet: named arrays, in every layout that mxnet has written (little endian).

A file is magic 0x112, a reserved number, the arrays, the names. An array is, by its own magic,

* V2 and V3: storage type, [shape as stored], shape, context, type, [types and shapes of the indices], data, [indices]
* V1: shape, context, type, data
* before that: no magic, the number of dimensions comes first, and dimensions are 32 bits

where what stands in brackets is there for sparse storage only. An array without a shape ends after the shape.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from sm_magics.local.containers.contract import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["NDArray", "read_params"]

_LIST = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DENSE, _ROW_SPARSE, _CSR = 0, 1, 2
_CODES: Mapping[int, str] = dict(enumerate("fdeBibq?hHIQ"))  # mxnet's number of a type: its code in struct
_BFLOAT16 = 12
_MOST_DIMENSIONS = 32
_MOST_UNPACKED = 2**20  # numbers that a sparse array may have once it is dense


class NDArray(NamedTuple):
    """A tensor, the last axis varying fastest; the shape () is a single number."""

    shape: tuple[int, ...]
    values: tuple[float, ...]


def read_params(data: bytes) -> dict[str, NDArray]:
    """Read the arrays of a .params file by name, without the prefix `arg:` or `aux:`. Sparse arrays become dense.

    Raises
    ------
    LoadError
        When the file is something else, or cut off, or lies about its sizes.
    """
    try:
        return _read_list(_Reader(data))
    except (ValueError, OverflowError, struct.error) as error:  # an infinite index overflows
        raise LoadError(f"the parameters cannot be read: {error}") from None


class _Reader:
    """Reads numbers one after the other, and never more than there are."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def take(self, length: int) -> bytes:
        start, end = self._offset, self._offset + length
        if not start <= end <= len(self._data):
            raise ValueError(f"cut off at byte {len(self._data)}")
        self._offset = end
        return self._data[start:end]

    def number(self, code: str) -> int:
        return int(struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0])

    def numbers(self, code: str, count: int) -> tuple[Any, ...]:
        data = self.take(count * struct.calcsize("<" + code))
        return struct.unpack(f"<{count}{code}", data)

    def shape(self, code: str = "q") -> tuple[int, ...]:
        return self.dimensions(self.number("I"), code)

    def dimensions(self, count: int, code: str = "q") -> tuple[int, ...]:
        if count > _MOST_DIMENSIONS:
            raise ValueError(f"an array of {count} dimensions")
        dimensions = self.numbers(code, count)
        if any(dimension < 0 for dimension in dimensions):
            raise ValueError(f"an array of shape {dimensions}")
        return dimensions


def _read_list(reader: _Reader) -> dict[str, NDArray]:
    magic = reader.number("Q")
    if magic != _LIST:
        raise ValueError("this is no list of arrays of mxnet")
    reader.number("Q")
    arrays = [_read_array(reader) for _ in range(reader.number("Q"))]
    names = [reader.take(reader.number("Q")).decode() for _ in range(reader.number("Q"))]
    if len(names) != len(arrays):
        raise ValueError(f"{len(arrays)} arrays have {len(names)} names")
    return {
        name.removeprefix("arg:").removeprefix("aux:"): array
        for name, array in zip(names, arrays, strict=True)
        if array is not None
    }


def _read_array(reader: _Reader) -> NDArray | None:
    magic = reader.number("I")
    if magic == _V2:
        return _read_stored(reader, reader.number("i"), scalars=False)
    if magic == _V3:
        return _read_stored(reader, reader.number("i"), scalars=True)
    shape = reader.shape() if magic == _V1 else reader.dimensions(magic, "I")
    if not shape:
        return None
    return NDArray(shape, _read_values(reader, _read_type(reader), shape))


def _read_stored(reader: _Reader, storage: int, *, scalars: bool) -> NDArray | None:
    """Read what follows the storage type; with `scalars`, no dimensions are a number and -1 is no array."""
    if storage not in {_DENSE, _ROW_SPARSE, _CSR}:
        raise ValueError(f"unknown storage type {storage}")
    stored = None if storage == _DENSE else reader.shape()
    count = reader.number("i")
    if count < (0 if scalars else 1):
        return None
    shape = reader.dimensions(count)
    kind = _read_type(reader)
    indices = [(reader.number("i"), reader.shape()) for _ in range(storage)]  # csr has two lists, row_sparse one
    values = _read_values(reader, kind, shape if stored is None else stored)
    if storage == _DENSE:
        return NDArray(shape, values)
    if not shape or prod(shape) > _MOST_UNPACKED:
        raise ValueError(f"a sparse array of shape {shape} {'is too large' if shape else 'has no rows'}")
    lists = [tuple(map(int, _read_values(reader, kind, length))) for kind, length in indices]
    unpack = _unpack_rows if storage == _ROW_SPARSE else _unpack_csr
    return NDArray(shape, unpack(shape, values, *lists))


def _read_type(reader: _Reader) -> int:
    reader.numbers("i", 2)  # the device that the array was on
    return reader.number("i")


def _read_values(reader: _Reader, kind: int, shape: tuple[int, ...]) -> tuple[float, ...]:
    if kind == _BFLOAT16:  # the upper half of a float32
        halves = reader.numbers("H", prod(shape))
        return struct.unpack(f"<{len(halves)}f", struct.pack(f"<{len(halves)}I", *(half << 16 for half in halves)))
    if kind not in _CODES:
        raise ValueError(f"unknown type {kind}")
    return tuple(map(float, reader.numbers(_CODES[kind], prod(shape))))


def _unpack_rows(shape: tuple[int, ...], values: Sequence[float], rows: Sequence[int]) -> tuple[float, ...]:
    width = prod(shape[1:])
    dense = [0.0] * prod(shape)
    if len(values) != len(rows) * width or any(not 0 <= row < shape[0] for row in rows):
        raise ValueError("a sparse array whose rows do not fit its shape")
    for place, row in enumerate(rows):
        dense[row * width : (row + 1) * width] = values[place * width : (place + 1) * width]
    return tuple(dense)


def _unpack_csr(
    shape: tuple[int, ...], values: Sequence[float], starts: Sequence[int], columns: Sequence[int]
) -> tuple[float, ...]:
    rows, width = shape
    dense = [0.0] * (rows * width)
    in_order = all(0 <= start <= end <= len(values) for start, end in pairwise(starts))
    in_range = all(0 <= column < width for column in columns)
    if len(starts) != rows + 1 or len(columns) != len(values) or not in_order or not in_range:
        raise ValueError("a sparse array whose entries do not fit its shape")
    for row, (start, end) in enumerate(pairwise(starts)):
        for place in range(start, end):
            dense[row * width + columns[place]] = values[place]
    return tuple(dense)
