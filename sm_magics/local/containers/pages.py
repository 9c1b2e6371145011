"""Answers that are not predictions: plain texts, and the error pages of the web framework inside the containers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from sm_magics.local.containers.contract import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HTML", "error_page", "text"]

HTML = "text/html; charset=utf-8"

_PAGES: Mapping[HTTPStatus, tuple[str, str]] = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "Request Entity Too Large",
        "The data value transmitted exceeds the capacity limit.",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "Internal Server Error",
        (
            "The server encountered an internal error and was unable to complete your request. "
            "Either the server is overloaded or there is an error in the application."
        ),
    ),
}


def text(status: int, body: str = "") -> Response:
    """Return an answer with a plain text, which the containers label as HTML."""
    return Response(status, body.encode(errors="replace"), HTML)


def error_page(status: HTTPStatus) -> Response:
    """Return the page that Flask shows for an error which the container itself does not handle."""
    title, reason = _PAGES[status]
    head = f"<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n"
    return text(status, f"{head}<h1>{title}</h1>\n<p>{reason}</p>\n")
