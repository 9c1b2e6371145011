from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.containers import recordio
from sm_magics.local.containers.recordio import DecodeError, Record, Tensor

FLOATS = st.lists(st.floats(width=32, allow_nan=False), max_size=6)
KEYS = st.none() | st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4).map(tuple)
TENSORS = st.builds(Tensor, FLOATS, KEYS, KEYS)
RECORDS = st.lists(st.builds(Record, *[st.dictionaries(st.text(max_size=5), TENSORS, max_size=2)] * 2), max_size=4)


def plain(records):
    return [
        [{k: (list(t.values), t.keys, t.shape) for k, t in tensors.items()} for tensors in record] for record in records
    ]


@given(RECORDS)
def test_what_is_written_reads_the_same(records):
    assert plain(recordio.read(recordio.write(records))) == plain(records)


def test_the_bytes_of_one_record():
    tensor = b"\x0a\x08" + struct.pack("<2f", 1.5, -2)
    value = b"\x12" + bytes([len(tensor)]) + tensor
    entry = b"\x0a\x06values" + b"\x12" + bytes([len(value)]) + value
    body = b"\x0a" + bytes([len(entry)]) + entry
    frame = struct.pack("<II", 0xCED7230A, len(body)) + body + bytes(-len(body) % 4)
    record = Record({"values": Tensor([1.5, -2.0])}, {})
    assert recordio.write([record]) == frame
    assert plain(recordio.read(frame * 2)) == plain([record, record])


def message(*fields):
    return b"".join(bytes([number << 3 | 2, len(content)]) + content for number, content in fields)


def framed(body):
    return struct.pack("<II", 0xCED7230A, len(body)) + body + bytes(-len(body) % 4)


def features(value):
    [record] = recordio.read(framed(message((1, message((1, b"x"), (2, value))))))
    return record.features["x"]


@pytest.mark.parametrize(
    ("value", "kind", "values"),
    [
        (message((3, message((1, struct.pack("<2d", 1.1, 2))))), "float64", [1.1, 2]),
        (message((7, message((1, b"\x05" + b"\xff" * 9 + b"\x01")))), "int32", [5, -1]),
        (message((2, b"\x0d" + struct.pack("<f", 3) + b"\x0d" + struct.pack("<f", 4))), "float32", [3, 4]),
        (message((9, b"raw"), (2, message((1, struct.pack("<f", 3))))), "float32", [3]),
    ],
)
def test_tensors_of_every_type_packed_or_not(value, kind, values):
    tensor = features(value)
    assert (tensor.kind, list(tensor.values)) == (kind, values)


def test_a_value_of_bytes_is_no_tensor():
    assert features(message((9, b"raw"))) is None


def test_unknown_fields_are_passed_over():
    body = message((3, b"uid"), (4, b"meta")) + b"\x68\x80\x01" + b"\x71" + bytes(8) + b"\x75" + bytes(4)
    assert recordio.read(framed(body)) == [Record({}, {})]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"12345678", "Invalid RecordIO magic at offset 0"),
        (framed(b"") + b"12345678", "Invalid RecordIO magic at offset 8"),
        (struct.pack("<II", 0xCED7230A, 2**31), "Truncated record at offset 8"),
        (struct.pack("<II", 0xCED7230A, 3) + b"abc", "Truncated record at offset 8"),
    ],
)
def test_broken_frames(data, text):
    with pytest.raises(ValueError, match=text) as raised:
        recordio.read(data)
    assert type(raised.value) is ValueError


def test_a_rest_shorter_than_a_frame_is_ignored():
    assert recordio.read(b"1234567") == []


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x7f",  # a length beyond the end
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a length of 2 ** 64 - 1
        b"\xff" * 11,  # a number without end
        b"\x0b",  # a group
        b"\x02\x00",  # field 0
        message((1, message((1, b"\xff")))),  # a name that is no text
        message((1, message((2, message((2, message((1, b"12345")))))))),  # a float and a quarter
        message((1, message((2, message((2, b"\x08\x01")))))),  # a float as a varint
    ],
)
def test_frames_without_a_message_inside(body):
    with pytest.raises(DecodeError, match="Error parsing message"):
        recordio.read(framed(body))


@given(st.binary(max_size=80), st.booleans())
def test_garbage_raises_nothing_but_value_errors(data, in_frame):
    with contextlib.suppress(ValueError):
        recordio.read(framed(data) if in_frame else data)


@given(RECORDS.filter(bool), st.data())
def test_a_cut_never_goes_unnoticed_within_a_frame(records, data):
    written = recordio.write(records)
    cut = data.draw(st.integers(1, len(written) - 1))
    try:
        assert len(recordio.read(written[:cut])) <= len(records)
    except ValueError as error:
        assert str(error).startswith("Truncated")  # noqa: PT017 - raising is not a must
