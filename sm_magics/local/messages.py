"""What the router and our own workers say to each other: a stream of HTTP messages, split into heads and bodies.

Both ends of such a stream are ours, every message is whole by its Content-Length, and nearly all heads are the same: so
a head is read once, and known by its bytes from then on. Clients and programs of others are read by httptools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Messages"]

MAX_HEAD = 128 * 1024  # bytes; the headers of a client are at most half of that
_KNOWN, _KNOWN_SIZE = 256, 1024  # how many heads are remembered, and of which size at most
_END = b"\r\n\r\n"
Head = TypeVar("Head")


class Messages(Generic[Head]):
    """Splits one direction of a stream.

    Parameters
    ----------
    read
        Makes what is handed out of a first line and headers, whose names are lower case; raises ValueError when it is
        no head of such a message.
    """

    def __init__(self, read: Callable[[bytes, Mapping[bytes, bytes]], Head]) -> None:
        self._read = read
        self._known: dict[bytes, tuple[Head, int]] = {}  # with the length of the body
        self._parts: list[bytes] = []  # of a message that has not arrived whole
        self._missing = 0  # at least so many bytes of it

    def feed(self, data: bytes) -> list[tuple[Head, bytes]]:
        """Return the messages that are whole by now: the heads, and the bodies.

        Raises
        ------
        ValueError
            When it is no such stream; it cannot be read any further.
        """
        if self._parts:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return []
            data = b"".join(self._parts)
            self._parts.clear()
        whole: list[tuple[Head, bytes]] = []
        at, size = 0, len(data)
        while at < size:
            end = data.find(_END, at)
            if end < 0:
                if size - at > MAX_HEAD:
                    raise ValueError("the head of a message is too long")
                self._keep(data[at:], 1)
                break
            text = data[at:end]
            head, length = self._known.get(text) or self._new(text)
            start = end + len(_END)
            end = start + length
            if end > size:
                self._keep(data[at:], end - size)
                break
            whole.append((head, data[start:end]))
            at = end
        return whole

    def _keep(self, part: bytes, missing: int) -> None:
        self._parts.append(part)
        self._missing = missing

    def _new(self, text: bytes) -> tuple[Head, int]:
        first, *lines = text.split(b"\r\n")
        headers: dict[bytes, bytes] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            name = name.lower()
            if not colon or name in headers:
                raise ValueError(f"a header that cannot be: {line[:100]!r}")
            headers[name] = value.strip()
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or b"transfer-encoding" in headers:
            raise ValueError("a message must have one Content-Length")
        new = self._read(first, headers), int(length)
        if len(text) <= _KNOWN_SIZE:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[text] = new
        return new
