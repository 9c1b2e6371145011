"""What an interrupt is told to have left behind, by what had happened."""

from __future__ import annotations

import pytest

from sm_magics.events import Called, Calling, Planned, Reached, Seen, interrupted
from sm_magics.plan import Action, Plan
from sm_magics.watch import Snapshot

SNAPSHOT = Snapshot("boston", "arn", "Updating", "c", ())
EARLIER = "stopped waiting; a change that was asked for before goes on by itself"
PLANNED = Planned(Plan("boston", "c", {}))


def step(operation):
    action = Action(operation, {}, "", "", "", "")
    return [Calling(action), Called(action)]


@pytest.mark.parametrize(
    ("happened", "told"),
    [
        ([], "stopped before the endpoint was touched; done so far: nothing"),
        ([PLANNED], "stopped before the endpoint was touched; done so far: nothing"),
        ([PLANNED, *step("CreateModel")], "stopped before the endpoint was touched; done so far: CreateModel"),
        (
            [PLANNED, *step("CreateModel"), *step("UpdateEndpoint")[:1]],
            "stopped in the middle of UpdateEndpoint; done before: CreateModel",
        ),
        (
            [PLANNED, *step("CreateModel"), *step("UpdateEndpoint"), Seen(SNAPSHOT)],
            "stopped waiting; UpdateEndpoint was asked for, and goes on by itself",
        ),
        (
            [PLANNED, *step("CreateEndpoint"), Seen(SNAPSHOT), Reached(SNAPSHOT, verified=True)],
            "stopped waiting; CreateEndpoint was asked for, and goes on by itself",
        ),
        ([Seen(SNAPSHOT)], "stopped waiting; what was asked for before goes on by itself"),
        (
            [Seen(SNAPSHOT, earlier=True)],
            f"{EARLIER}, and of this cell nothing was done",
        ),
        (
            [PLANNED, *step("CreateModel"), Seen(SNAPSHOT, earlier=True)],
            f"{EARLIER}, and of this cell CreateModel was done",
        ),
    ],
)
def test_an_interrupt_says_what_was_done_and_what_goes_on(happened, told):
    what, how = interrupted(happened)
    assert what == told
    assert "run the cell again" in how
