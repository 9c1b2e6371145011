from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.lifecycle import Refused
from sm_magics.local.listing import page


@dataclass(frozen=True)
class Thing:
    name: str
    created: float
    modified: float = 0.0
    status: str = "InService"


THINGS = [
    Thing(f"n{number:02}", float(number % 7), status="Failed" if number == 3 else "InService") for number in range(25)
]


def names(request: dict) -> list[str]:
    return [each.name for each in page(THINGS, request)[0]]


def test_ten_at_a_time_newest_first_by_default():
    assert len(names({})) == 10
    assert names({})[:2] == ["n20", "n13"]


def test_order_filters_and_size():
    assert names({"SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 2}) == ["n00", "n01"]
    assert names({"SortBy": "Status", "SortOrder": "Ascending", "MaxResults": 1}) == ["n03"]
    assert names({"StatusEquals": "Failed"}) == ["n03"]
    assert names({"NameContains": "n1", "SortBy": "Name", "SortOrder": "Ascending"})[-1] == "n19"
    assert {each.created for each in page(THINGS, {"CreationTimeAfter": 4, "CreationTimeBefore": 6})[0]} == {5.0}
    at_four = datetime.fromtimestamp(4, UTC).isoformat()
    assert {each.created for each in page(THINGS, {"CreationTimeAfter": at_four})[0]} == {5.0, 6.0}
    assert names({"LastModifiedTimeAfter": 0}) == []


@pytest.mark.parametrize("token", ["", "nonsense", "WzFd", "eyJhIjoxfQ=="])
def test_a_made_up_token_is_refused(token):
    with pytest.raises(Refused, match="pagination token"):
        page(THINGS, {"NextToken": token})


@given(
    st.lists(
        st.builds(Thing, st.text("abc", min_size=1, max_size=3), st.integers(0, 3).map(float)),
        unique_by=lambda t: t.name,
    ),
    st.integers(1, 4),
    st.sampled_from(["Name", "CreationTime", "Status"]),
    st.sampled_from(["Ascending", "Descending"]),
)
def test_the_pages_together_are_the_whole_list_in_order(things, size, sort_by, order):
    request = {"MaxResults": size, "SortBy": sort_by, "SortOrder": order}
    seen, token = page(things, request)
    while token:
        assert len(seen) % size == 0
        more, token = page(things, {**request, "NextToken": token})
        seen += more
    assert seen == page(things, {**request, "MaxResults": 1000})[0]
    assert sorted(each.name for each in seen) == sorted(each.name for each in things)
