from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.messages import MAX_HEAD, Messages


def head(line, headers):
    return line, dict(headers)


def written(line, headers, body):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{line}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


LINES = st.text("aZ /.1", min_size=1, max_size=9)
HEADERS = st.dictionaries(st.text("abC-", min_size=1, max_size=3), st.text("a;=: b", max_size=6).map(str.strip))
MESSAGES = st.lists(
    st.tuples(LINES, HEADERS.filter(lambda found: len({each.lower() for each in found}) == len(found)), st.binary()),
    max_size=5,
)


@given(MESSAGES, st.lists(st.integers(0, 900)))
def test_messages_come_out_as_they_went_in_however_the_bytes_are_cut(messages, cuts):
    stream = Messages(head)
    data = b"".join(written(*each) for each in messages) * 2  # the second time all heads are known
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    found = [each for start, end in pairwise(places) for each in stream.feed(data[start:end])]
    assert [(line, body) for (line, _), body in found] == [(line.encode(), body) for line, _, body in messages * 2]
    for ((_, headers), _), (_, wanted, body) in zip(found, messages * 2, strict=True):
        told = {name.lower().encode(): value.encode() for name, value in wanted.items()}
        assert headers == told | {b"content-length": b"%d" % len(body)}


@given(st.binary(max_size=80))
def test_whatever_comes_is_a_message_or_refused(data):
    try:
        for _, body in Messages(head).feed(data + b"\r\n\r\n"):
            assert body in data + b"\r\n\r\n"
    except ValueError:
        pass


@pytest.mark.parametrize(
    "text",
    [
        b"a\r\nno header",
        b"a\r\nX: 1\r\nx: 2",
        b"a\r\nContent-Length: 1\r\nContent-Length: 1",
        b"a\r\nContent-Length: -1",
        b"a\r\nContent-Length: 1, 1",
        b"a\r\nTransfer-Encoding: chunked",
    ],
)
def test_a_head_that_leaves_the_length_open_is_refused_each_time(text):
    for _ in range(2):
        with pytest.raises(ValueError, match=r"header|Content-Length"):
            Messages(head).feed(text + b"\r\n\r\nb")


def test_a_head_is_read_once_and_a_very_long_one_each_time_but_none_without_end():
    read = []
    stream = Messages(lambda line, _: read.append(line))
    for _ in range(3):
        stream.feed(b"short\r\n\r\n" + b"long" * 300 + b"\r\n\r\n")
    assert [len(each) for each in read] == [5, 1200, 1200, 1200]
    with pytest.raises(ValueError, match="too long"):
        Messages(head).feed(b"a" * (MAX_HEAD + 1))


def test_the_heads_that_are_known_are_bounded():
    stream = Messages(head)
    for number in range(10_000):
        stream.feed(b"%d\r\n\r\n" % number)
    assert len(stream._known) < 300
