"""What the List calls have in common: filters, sort orders and pages, as SageMaker has them."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sm_magics.local.lifecycle import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["after", "page", "seconds"]

DEFAULT_PAGE = 10


class _Listed(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def created(self) -> float: ...


Item = TypeVar("Item", bound=_Listed)
Row = TypeVar("Row")
_Key = tuple[str | float, str]


def page(items: Iterable[Item], request: dict[str, Any]) -> tuple[list[Item], str | None]:
    """Return the page of `items` that a List request asks for, and the token of the next one, None on the last.

    The token tells the last item that was seen, not its number, so that what is made or deleted meanwhile neither
    repeats nor hides an item.
    """
    descending = request.get("SortOrder", "Descending") == "Descending"
    sort_by = request.get("SortBy", "CreationTime")
    chosen = sorted(
        (each for each in items if _wanted(each, request)),
        key=lambda each: _key(each, sort_by),
        reverse=descending,
    )
    token = request.get("NextToken")
    if token is not None:
        last = _read_token(token, sort_by)
        chosen = [each for each in chosen if (_key(each, sort_by) < last if descending else _key(each, sort_by) > last)]
    size = request.get("MaxResults", DEFAULT_PAGE)
    head = chosen[:size]
    more = len(chosen) > size
    return head, _token(_key(head[-1], sort_by), sort_by) if more else None


def after(rows: Sequence[Row], token: str | None, size: int) -> tuple[Sequence[Row], str | None]:
    """Return the page of `rows` that follows on a token of this function, and the token of the next one."""
    try:
        start = 0 if token is None else int(base64.urlsafe_b64decode(token))
    except ValueError:
        raise Refused("The NextToken is not valid.", "InvalidNextToken") from None
    end = start + size
    return rows[start:end], base64.urlsafe_b64encode(b"%d" % end).decode() if end < len(rows) else None


def _wanted(item: Item, request: dict[str, Any]) -> bool:
    modified = getattr(item, "modified", item.created)
    return (
        request.get("NameContains", "") in item.name
        and request.get("StatusEquals") in {None, getattr(item, "status", None)}
        and _between(item.created, request.get("CreationTimeAfter"), request.get("CreationTimeBefore"))
        and _between(modified, request.get("LastModifiedTimeAfter"), request.get("LastModifiedTimeBefore"))
    )


def _between(time: float, after: float | str | None, before: float | str | None) -> bool:
    return (after is None or time > seconds(after)) and (before is None or time < seconds(before))


def seconds(time: float | str | datetime) -> float:
    """Return a request's timestamp as seconds since the epoch."""
    if isinstance(time, datetime):
        return time.timestamp()
    if not isinstance(time, str):
        return time
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        raise Refused(f"'{time}' is not a timestamp", "SerializationException") from None


def _key(item: Item, sort_by: str) -> _Key:
    first = {"Name": item.name, "Status": getattr(item, "status", "")}.get(sort_by, item.created)
    return first, item.name


def _token(key: _Key, sort_by: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort_by, *key]).encode()).decode()


def _read_token(token: str, sort_by: str) -> _Key:
    try:
        kind, first, name = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        kind, first, name = None, None, None
    wanted = float if sort_by == "CreationTime" else str
    if kind != sort_by or not isinstance(name, str) or not isinstance(first, wanted):
        raise Refused("The pagination token is not valid.")
    return first, name
