"""What an interrupt is told to have left behind, by what had happened."""

from __future__ import annotations

import pytest

from sm_magics.events import Called, Calling, Loading, Planned, Reached, Seen, Stepping, interrupted
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


def test_who_waited_for_a_load_is_told_that_it_goes_on():
    assert interrupted([Loading("boston", 1200, 0, 5.0, 60.0)]) == (
        "stopped waiting; the load on endpoint 'boston' goes on by itself, 1,200 requests so far",
        "%sm_load boston shows it, %sm_load boston stop ends it",
    )


class TestSteps:
    AT = Stepping("boston", "B", 10, 30.0, (10, 50, 100))

    def test_while_a_share_is_held_it_says_which_and_what_is_left(self):
        assert interrupted([PLANNED, *step("UpdateEndpointWeightsAndCapacities"), self.AT]) == (
            "stopped stepping; variant 'B' stays at 10 % of the traffic",
            "to go on from there, run the cell again with --steps 50,100, and all else as it is",
        )

    def test_at_the_last_one_nothing_is_left(self):
        last = Stepping("boston", "B", 100, 30.0, (10, 50, 100))
        assert interrupted([last])[1] == "that was the last step: nothing more was to come"

    def test_between_two_it_says_to_what_the_traffic_goes(self):
        action = Action("UpdateEndpointWeightsAndCapacities", {}, "", "A 90 %, B 10 %", "A 50 %, B 50 %", "")
        told, how = interrupted([self.AT, PLANNED, Calling(action), Called(action), Seen(SNAPSHOT)])
        assert told == (
            "stopped waiting; UpdateEndpointWeightsAndCapacities to A 50 %, B 50 % was asked for, and goes on by itself"
        )
        assert "with the steps that are left" in how
