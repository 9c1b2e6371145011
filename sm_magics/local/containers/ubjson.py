"""Whether a UBJSON file is whole, which libxgboost takes for granted: it hangs or crashes on one that is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check"]

# Bytes after each marker of a number, a truth value or null; lengths are signed and big endian.
_SIZES: Mapping[str, int] = {"i": 1, "U": 1, "I": 2, "l": 4, "L": 8, "d": 4, "D": 8, "T": 0, "F": 0, "Z": 0}
_DEEPEST = 64


def check(data: bytes) -> None:
    """Check that the data is one value of UBJSON, whose lengths all lie within it.

    Raises
    ------
    ValueError
        When it is not.
    """
    scanner = _Scanner(data)
    scanner.value()
    while scanner.open:
        scanner.step()


class _Scanner:
    """Walks over the values; `open` has what each container still expects: items of an array, or None till its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0
        self.open: list[tuple[str, int | None]] = []

    def step(self) -> None:
        """Pass over the next item of the innermost container, or over its end."""
        kind, left = self.open[-1]
        if left == 0 or (left is None and self._peek() == {"{": "}", "[": "]"}[kind]):
            self.open.pop()
            self._offset += left is None
            return
        if left is not None:
            self.open[-1] = kind, left - 1
        if kind == "{":
            self._skip(self._length())
        self.value()

    def value(self) -> None:
        """Pass over a value; an object or an array is only entered."""
        marker = self._marker()
        if marker == "S":
            self._skip(self._length())
        elif marker == "{":
            self._enter("{", None)
        elif marker == "[":
            self._array()
        else:
            self._skip(self._size(marker))

    def _array(self) -> None:
        if self._peek() == "$":
            self._skip(1)
            size = self._size(self._marker())
            if self._marker() != "#":
                raise ValueError(f"no length at byte {self._offset}")
            self._skip(self._length() * size)
        elif self._peek() == "#":
            self._skip(1)
            self._enter("[", self._length())
        else:
            self._enter("[", None)

    def _enter(self, kind: str, items: int | None) -> None:
        if len(self.open) == _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} levels")
        self.open.append((kind, items))

    def _length(self) -> int:
        marker = self._marker()
        size = self._size(marker)
        start = self._offset
        self._skip(size)
        length = int.from_bytes(self._data[start : self._offset], "big", signed=marker != "U")
        if marker not in "iUIlL" or not 0 <= length <= len(self._data):
            raise ValueError(f"no length at byte {start}")
        return length

    def _size(self, marker: str) -> int:
        size = _SIZES.get(marker)
        if size is None:
            raise ValueError(f"no value at byte {self._offset - 1}")
        return size

    def _marker(self) -> str:
        marker = self._peek()
        self._skip(1)
        return marker

    def _peek(self) -> str:
        return chr(self._data[self._offset]) if self._offset < len(self._data) else ""

    def _skip(self, length: int) -> None:
        self._offset += length
        if self._offset > len(self._data):
            raise ValueError(f"cut off at byte {len(self._data)}")
