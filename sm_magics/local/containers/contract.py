"""What every container answers to: the HTTP contract of SageMaker's containers, without the HTTP.

A worker turns `GET /ping` into `Container.ping` and `POST /invocations` into `Container.invoke`. It hands over every
request that waits at that moment, so that a container can predict them together; each request gets its own answer, and
one that is wrong never spoils another's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Container", "LoadError", "Request", "Response"]


class Request(NamedTuple):
    """One invocation as the container receives it; a header that was not sent is None."""

    body: bytes
    content_type: str | None = None
    accept: str | None = None
    custom_attributes: str | None = None


class Response(NamedTuple):
    """One answer: HTTP status, body and its Content-Type."""

    status: int
    body: bytes
    content_type: str
    custom_attributes: str | None = None


class LoadError(Exception):
    """The model directory holds nothing that this container can load; the text is what the container would log."""


class Container(Protocol):
    """One loaded model behind SageMaker's container contract."""

    def ping(self) -> Response:
        """Answer the health check: 200 when the model can serve."""

    def invoke(self, requests: Sequence[Request]) -> list[Response]:
        """Answer `requests`, in order, one response each. Raises nothing: a bad request is a 4xx response."""
