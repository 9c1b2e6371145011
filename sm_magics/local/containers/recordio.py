"""RecordIO-protobuf, the binary format of SageMaker's built-in algorithms: tensors in `aialgs.data.Record`.

A record is framed as magic, length, data, padding to four bytes (little endian). Inside is a protobuf message with two
maps from a name to a tensor: `features` (field 1) and `label` (field 2). A tensor is field 2, 3 or 7 of its Value for
float32, float64 or int32, and has the fields values (1), keys (2, where the values are sparse) and shape (3).
"""

from __future__ import annotations

from array import array
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["DecodeError", "Record", "Tensor", "read", "write"]

_MAGIC = 0xCED7230A
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's wire types
_FEATURES, _LABEL = 1, 2  # fields of a record
_NAME, _VALUE = 1, 2  # fields of an entry of a map
_RAW = 9  # the field of a value that is bytes
_VALUES, _KEYS, _SHAPE = 1, 2, 3  # fields of a tensor
_MORE = 0x80  # the bit of a byte that says that its number goes on

Kind = Literal["float32", "float64", "int32"]
_FLOAT32, _FLOAT64, _INT32 = 2, 3, 7  # fields of a value
_KINDS: Mapping[int, Kind] = {_FLOAT32: "float32", _FLOAT64: "float64", _INT32: "int32"}


class DecodeError(ValueError):
    """The data inside a frame is no protobuf message."""

    shown_as = "<class 'google.protobuf.message.DecodeError'>"  # how the container's answer names it

    def __init__(self) -> None:
        super().__init__("Error parsing message")


class Tensor(NamedTuple):
    """Numbers; with `keys` they are those at these places of a sparse vector, whose length is `shape[0]` if given."""

    values: Sequence[float]
    keys: tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None
    kind: Kind = "float32"


class Record(NamedTuple):
    """One example: tensors by name. A value that is no tensor is None."""

    features: Mapping[str, Tensor | None]
    label: Mapping[str, Tensor | None]


def read(data: bytes) -> list[Record]:
    """Read all records.

    Raises
    ------
    ValueError
        When the frames are broken, with the text of the container; a DecodeError when what they hold is.
    """
    return [_record(frame) for frame in _frames(data)]


def write(records: Iterable[Record]) -> bytes:
    """Write records, tensors as float32."""
    written = bytearray()
    for record in records:
        body = b"".join(
            _field(number, _field(_NAME, name.encode()) + _field(_VALUE, _tensor_bytes(tensor)))
            for number, tensors in ((_FEATURES, record.features), (_LABEL, record.label))
            for name, tensor in tensors.items()
            if tensor is not None
        )
        written += pack("<II", _MAGIC, len(body)) + body + bytes(-len(body) % 4)
    return bytes(written)


def _frames(data: bytes) -> Iterator[memoryview]:
    view, offset = memoryview(data), 0
    while offset + 8 <= len(data):  # the container ignores a shorter rest
        magic, length = unpack_from("<II", data, offset)
        if magic != _MAGIC:
            raise ValueError(f"Invalid RecordIO magic at offset {offset}")
        offset += 8
        padded = length + -length % 4
        if offset + padded > len(data):
            raise ValueError(f"Truncated record at offset {offset}")
        yield view[offset : offset + length]
        offset += padded


def _record(data: memoryview) -> Record:
    features: dict[str, Tensor | None] = {}
    label: dict[str, Tensor | None] = {}
    for number, wire, content in _fields(data):
        if number in {_FEATURES, _LABEL} and wire == _BYTES:
            name, tensor = _map_entry(content)
            (features if number == _FEATURES else label)[name] = tensor
    return Record(features, label)


def _map_entry(data: memoryview) -> tuple[str, Tensor | None]:
    name, tensor = "", None
    for number, wire, content in _fields(data):
        if number == _NAME and wire == _BYTES:
            try:
                name = str(content, "utf-8")
            except UnicodeDecodeError:
                raise DecodeError from None
        elif number == _VALUE and wire == _BYTES:
            tensor = _value(content)
    return name, tensor


def _value(data: memoryview) -> Tensor | None:
    tensor = None
    for number, wire, content in _fields(data):
        if wire == _BYTES and number in _KINDS:
            tensor = _tensor(content, _KINDS[number])
        elif wire == _BYTES and number == _RAW:
            tensor = None
    return tensor


def _tensor(data: memoryview, kind: Kind) -> Tensor:
    values: array[float] = array("d" if kind == "float64" else "f" if kind == "float32" else "q")
    keys: list[int] = []
    shape: list[int] = []
    for number, wire, content in _fields(data):
        if number == _VALUES and kind == "int32":
            values.extend(map(_signed, _varints(content, wire)))
        elif number == _VALUES:
            _extend(values, content, wire)
        elif number == _KEYS:
            keys.extend(_varints(content, wire))
        elif number == _SHAPE:
            shape.extend(_varints(content, wire))
    return Tensor(values, tuple(keys) or None, tuple(shape) or None, kind)


def _extend(values: array[float], content: memoryview, wire: int) -> None:
    """Append floats, which are written packed together or one by one."""
    single = _FIXED64 if values.typecode == "d" else _FIXED32
    if wire not in {_BYTES, single} or len(content) % values.itemsize:
        raise DecodeError
    values.frombytes(content)


def _varints(content: memoryview, wire: int) -> list[int]:
    if wire not in {_BYTES, _VARINT}:
        raise DecodeError
    numbers, offset = [], 0
    while offset < len(content):
        number, offset = _varint(content, offset)
        numbers.append(number)
    return numbers


def _signed(number: int) -> int:
    """Return the int32 that protobuf writes as `number`, negative ones as their 64-bit complement."""
    number &= 0xFFFFFFFF
    return number - (number >> 31 << 32)


def _fields(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield the fields of a message as number, wire type and content."""
    offset, end = 0, len(data)
    while offset < end:
        tag, offset = _varint(data, offset)
        wire, start = tag & 7, offset
        if wire == _VARINT:
            _, offset = _varint(data, offset)
        elif wire == _FIXED64:
            offset += 8
        elif wire == _FIXED32:
            offset += 4
        elif wire == _BYTES:
            length, start = _varint(data, offset)
            offset = start + length
        else:
            raise DecodeError
        if offset > end or not tag >> 3:  # there is no field 0
            raise DecodeError
        yield tag >> 3, wire, data[start:offset]


def _varint(data: memoryview, offset: int) -> tuple[int, int]:
    number = 0
    for position, byte in enumerate(data[offset : offset + 10]):  # 64 bits, seven to a byte
        number |= (byte & ~_MORE) << 7 * position
        if not byte & _MORE:
            return number & 0xFFFFFFFFFFFFFFFF, offset + position + 1
    raise DecodeError


def _tensor_bytes(tensor: Tensor) -> bytes:
    body = _field(_VALUES, array("f", tensor.values).tobytes())
    if tensor.keys is not None:
        body += _field(_KEYS, b"".join(map(_varint_bytes, tensor.keys)))
    if tensor.shape is not None:
        body += _field(_SHAPE, b"".join(map(_varint_bytes, tensor.shape)))
    return _field(_FLOAT32, body)


def _field(number: int, content: bytes) -> bytes:
    return _varint_bytes(number << 3 | _BYTES) + _varint_bytes(len(content)) + content


def _varint_bytes(number: int) -> bytes:
    written = bytearray()
    while number >= _MORE:
        written.append(number & 0x7F | _MORE)
        number >>= 7
    written.append(number)
    return bytes(written)
