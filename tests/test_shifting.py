"""Moving traffic on the engine; how long a share is held is a clock's whose sleeps are counted."""

from __future__ import annotations

import pytest

from sm_magics.clock import Clock
from sm_magics.deploy import observe_endpoint
from sm_magics.errors import CellError, DeployError, Detached, PlanError, ServiceError
from sm_magics.events import Reached, Stepping
from sm_magics.inventory import delete, deletion
from sm_magics.plan import reweigh
from sm_magics.shifting import LOOKS, Course, course_plan, shift, step
from sm_magics.target import Live, Share
from sm_magics.watch import look

TWO = "variants: {A: {model: $linear, weight: 3}, B: {model: $xgb, weight: 1}}"
THREE = "variants: {A: {model: $linear, weight: 3}, B: {model: $linear, weight: 1}, C: {model: $xgb, weight: 0}}"


@pytest.fixture
def writes(connection, noting_writes):
    with noting_writes(connection) as made:
        yield made


@pytest.fixture
def quick():
    """Return a clock that lets no time pass for long sleeps, and the list of those."""
    slept = []
    real = Clock()
    return Clock(real.now, lambda seconds: slept.append(seconds) if seconds > 5 else real.sleep(seconds)), slept


def weights(connection, name):
    return {key: share.weight for key, share in look(connection, name).shares.items()}


class TestAtOnce:
    def test_weights_change_in_place_and_are_verified(self, deployer, connection, name, writes):
        deployer.run(name, TWO)
        config = look(connection, name).config_name
        writes.clear()
        end = list(shift(connection, name, {"A": 90.0, "B": 10.0}, Clock()))[-1]
        assert end == Reached(end.snapshot, verified=True)
        assert writes == ["UpdateEndpointWeightsAndCapacities"]
        assert end.snapshot.config_name == config
        assert weights(connection, name) == {"A": 90.0, "B": 10.0}

    def test_the_same_again_makes_no_call(self, deployer, connection, name, writes):
        deployer.run(name, TWO)
        writes.clear()
        events = list(shift(connection, name, {"A": 3.0, "B": 1.0}, Clock()))
        assert writes == []
        assert events[0].plan.actions == ()

    def test_an_update_that_is_under_way_is_waited_for(self, deployer, connection, name):
        deployer.run(name, TWO)
        deployer.run(name, TWO.replace("$linear", "$xgb"), wait=False)
        end = list(shift(connection, name, {"A": 1.0, "B": 0.0}, Clock()))[-1]
        assert end.verified
        assert weights(connection, name) == {"A": 1.0, "B": 0.0}

    def test_variants_that_were_changed_meanwhile_are_refused(self, deployer, connection, name, writes):
        deployer.run(name, "variants: {A: $linear}")
        writes.clear()
        with pytest.raises(PlanError, match=f"the variants of endpoint '{name}' are A, not A and B"):
            list(shift(connection, name, {"A": 1.0, "B": 1.0}, Clock()))
        assert writes == []

    def test_an_endpoint_that_is_gone_is_said_so(self, connection):
        with pytest.raises(PlanError, match="endpoint 'nowhere' is gone, and weights are changed in service only"):
            list(shift(connection, "nowhere", {"A": 1.0}, Clock()))


class TestSteps:
    def test_each_is_verified_and_held_but_the_last(self, deployer, connection, name, quick, writes):
        deployer.run(name, THREE)
        writes.clear()
        clock, slept = quick
        seen = []
        for event in step(connection, Course(name, "C", (10, 50, 100), 100.0), clock):
            if isinstance(event, Stepping):
                seen.append((event.percent, event.left, weights(connection, name)))
        assert writes == ["UpdateEndpointWeightsAndCapacities"] * 3
        assert [percent for percent, _, _ in seen] == [10] * LOOKS + [50] * LOOKS
        assert [left for _, left, _ in seen[:LOOKS]] == pytest.approx([100, 80, 60, 40, 20])
        assert seen[0][2] == pytest.approx({"A": 67.5, "B": 22.5, "C": 10.0})
        assert seen[-1][2] == pytest.approx({"A": 37.5, "B": 12.5, "C": 50.0})
        assert slept == [20.0] * LOOKS * 2
        assert isinstance(event, Reached)
        assert event.verified
        assert weights(connection, name) == {"A": 0.0, "B": 0.0, "C": 100.0}

    def test_traffic_that_somebody_else_moves_meanwhile_stays_there(self, deployer, connection, name):
        deployer.run(name, TWO)

        def moved(seconds):
            if seconds > 5:
                list(shift(connection, name, {"A": 100.0, "B": 0.0}, Clock()))
            else:
                Clock().sleep(seconds)

        with pytest.raises(DeployError, match="moved by somebody else while 'B' had 30 %: A 100 %, B 0 %"):
            list(step(connection, Course(name, "B", (30, 50, 100), 100.0), Clock(Clock().now, moved)))
        assert weights(connection, name) == {"A": 100.0, "B": 0.0}

    def test_who_has_the_last_share_already_keeps_it(self, deployer, connection, name, writes):
        deployer.run(name, TWO)
        writes.clear()
        course = Course(name, "B", (10, 25), 100.0)
        guard = Watching("worse")
        assert not any(isinstance(each, Stepping) for each in step(connection, course, Clock(), guard=guard))
        assert course_plan(observe_endpoint(connection, name), course).actions == ()
        assert (guard.began, writes) == (0, [])

    def test_a_share_that_would_fall_first_is_refused_and_one_that_it_has_is_not(
        self, deployer, connection, name, writes
    ):
        deployer.run(name, TWO)
        writes.clear()
        course, guard = Course(name, "B", (10, 50), 100.0), Watching("worse")
        for act in (
            lambda: list(step(connection, course, Clock(), guard=guard)),
            lambda: course_plan(observe_endpoint(connection, name), course),
        ):
            with pytest.raises(CellError, match="variant 'B' has 25 % of the traffic: --steps 10 is less"):
                act()
        assert (guard.began, writes) == (0, [])
        held = course_plan(observe_endpoint(connection, name), Course(name, "B", (25, 50), 100.0))
        assert held.actions[-1].after == "A 50 %, B 50 %"

    def test_an_interrupt_leaves_the_share_at_which_it_is(self, deployer, connection, name):
        deployer.run(name, TWO)

        def interrupted(seconds):
            if seconds > 5:
                raise KeyboardInterrupt
            Clock().sleep(seconds)

        with pytest.raises(KeyboardInterrupt):
            list(step(connection, Course(name, "B", (30, 100), 100.0), Clock(Clock().now, interrupted)))
        assert weights(connection, name) == {"A": 70.0, "B": 30.0}

    def test_their_plan_has_a_call_for_each_and_says_from_what_to_what(self, deployer, connection, name, writes):
        deployer.run(name, TWO)
        writes.clear()
        made = course_plan(observe_endpoint(connection, name), Course(name, "B", (30, 50), 1.0))
        assert [(each.before, each.after) for each in made.actions] == [
            ("A 75 %, B 25 %", "A 70 %, B 30 %"),
            ("A 70 %, B 30 %", "A 50 %, B 50 %"),
        ]
        assert writes == []
        assert made.notes[0] == "Each share is held for 1s, but the last, which stays: 1s in all, besides the calls."
        once = course_plan(observe_endpoint(connection, name), Course(name, "B", (100,), 300.0))
        assert once.notes == ("The share is moved at once, and stays: nothing is held, and nothing guards it.",)
        course = Course(name, "B", (30, 50), 300.0)
        guarded = course_plan(observe_endpoint(connection, name), course, ("errors", "rmse"))
        assert guarded.notes[0] == "Each share is held for 5m, the last one, too: 10m in all, besides the calls."
        assert guarded.notes[1].startswith(
            "--guard errors,rmse looks 5 times while a share is held; when 'B' is worse, "
        )
        assert guarded.notes[1].endswith("the traffic goes back to A 75 %, B 25 %.")


class Watching:
    """A guard that finds what it is told to find, look by look, and counts the steps that it saw begin."""

    def __init__(self, *found):
        self.found, self.began = list(found), 0

    def begin(self):
        self.began += 1

    def trouble(self):
        found = self.found.pop(0) if self.found else None
        if isinstance(found, Exception):
            raise found
        return found


class TestGuard:
    def test_while_nothing_is_worse_every_step_is_held_the_last_one_too(self, deployer, connection, name, quick):
        deployer.run(name, TWO)
        guard, (clock, slept) = Watching(), quick
        *_, end = step(connection, Course(name, "B", (30, 100), 100.0), clock, guard=guard)
        assert end.verified
        assert len(slept) == 2 * LOOKS
        assert guard.began == 2
        assert weights(connection, name) == {"A": 0.0, "B": 100.0}

    @pytest.mark.parametrize(
        ("found", "told"),
        [
            ("all of it failed", "at 50 %: all of it failed"),
            (ServiceError("GetMetricData", "Throttling", "Rate exceeded", {}), "at 50 %: it can no longer be watched"),
            (CellError("rmse takes numbers"), "at 50 %: it can no longer be watched (rmse takes numbers)"),
        ],
    )
    def test_one_that_is_worse_is_taken_back(self, deployer, connection, name, quick, found, told):
        deployer.run(name, TWO)
        course = Course(name, "B", (30, 50, 100), 100.0)
        with pytest.raises(DeployError) as caught:
            list(step(connection, course, quick[0], guard=Watching(*[None] * LOOKS, None, found)))
        assert f"variant 'B' of endpoint '{name}' was taken back {told}" in caught.value.message
        assert "the traffic is as before: A 75 %, B 25 %" in caught.value.hint
        assert caught.value.snapshot.shares["B"].weight == 1.0
        assert weights(connection, name) == {"A": 3.0, "B": 1.0}

    def test_it_goes_back_to_what_an_update_that_was_under_way_led_to(self, deployer, connection, name, quick):
        deployer.run(name, TWO)
        deployer.run(name, TWO.replace("weight: 3", "weight: 9").replace("$xgb", "$linear"), wait=False)
        with pytest.raises(DeployError, match="taken back at 50 %: worse"):
            list(step(connection, Course(name, "B", (50,), 100.0), quick[0], guard=Watching("worse")))
        assert weights(connection, name) == {"A": 9.0, "B": 1.0}

    @pytest.mark.parametrize(
        ("moved", "left", "hint"),
        [
            ({"A": 1.0, "B": 4.0}, "A 20 %, B 80 %", "to take 'B' back yourself: %sm_traffic {} A=75 B=25"),
            ({"A": 1.0, "B": 0.0}, "A 100 %, B 0 %", "it stays there; see what there is now: %sm_status {}"),
        ],
    )
    def test_what_somebody_else_moved_meanwhile_is_not_overwritten(
        self, deployer, connection, name, quick, moved, left, hint
    ):
        class Beside(Watching):
            def trouble(self):
                list(shift(connection, name, moved, Clock()))
                return "all of it failed"

        deployer.run(name, TWO)
        with pytest.raises(DeployError) as caught:
            list(step(connection, Course(name, "B", (30, 100), 100.0), quick[0], guard=Beside()))
        told = "variant 'B' was to be taken back at 30 %: all of it failed; it was not taken back: the traffic of"
        assert caught.value.message == f"{told} endpoint '{name}' was moved by somebody else while 'B' had 30 %: {left}"
        assert hint.format(name) in caught.value.hint
        assert weights(connection, name) == moved

    def test_what_somebody_moves_between_the_look_and_the_call_is_not_overwritten_either(
        self, deployer, connection, name, quick, coming_first
    ):
        other = TWO.replace("$xgb", "$linear")

        class Beside(Watching):
            def trouble(self):
                coming_first("UpdateEndpointWeightsAndCapacities", lambda: deployer.run(name, other, wait=False))
                return "all of it failed"

        deployer.run(name, TWO)
        with pytest.raises(DeployError, match=r"not taken back: .* while 'B' had 30 %: A 75 %, B 25 %"):
            list(step(connection, Course(name, "B", (30, 100), 100.0), quick[0], guard=Beside()))
        assert weights(connection, name) == {"A": 3.0, "B": 1.0}

    @pytest.mark.parametrize("operation", ["UpdateEndpointWeightsAndCapacities", "DescribeEndpoint"])
    def test_a_failed_taking_back_says_that_it_was_worse_and_still_has_its_share(
        self, deployer, connection, name, quick, refusal, operation
    ):
        events = connection.client("sagemaker").meta.events

        def expired(**_):
            raise refusal("The security token included in the request is expired", "ExpiredTokenException", 403)

        class Beside(Watching):
            def trouble(self):
                events.register(f"before-call.sagemaker.{operation}", expired)
                return "all of it failed"

        deployer.run(name, TWO)
        try:
            with pytest.raises(DeployError) as caught:
                list(step(connection, Course(name, "B", (50, 100), 100.0), quick[0], guard=Beside()))
        finally:
            events.unregister(f"before-call.sagemaker.{operation}", expired)
        still = f"it still has 50 % of the traffic of endpoint '{name}', for taking it back failed: "
        told = f"variant 'B' was to be taken back at 50 %: all of it failed; {still}"
        assert caught.value.message.startswith(told)
        assert "token included in the request is expired" in caught.value.message
        assert caught.value.hint.endswith(f"to take it back yourself: %sm_traffic {name} A=3 B=1")
        assert weights(connection, name) == {"A": 50.0, "B": 50.0}

    def test_a_taking_back_that_was_asked_for_and_failed_then_says_that_the_share_is_not_known(
        self, deployer, connection, name, quick, refusal
    ):
        events = connection.client("sagemaker").meta.events

        def expired(**_):
            raise refusal("expired", "ExpiredTokenException", 403)

        def accepted(**_):
            events.register("before-call.sagemaker.DescribeEndpoint", expired)

        class Beside(Watching):
            def trouble(self):
                events.register("after-call.sagemaker.UpdateEndpointWeightsAndCapacities", accepted)
                return "all of it failed"

        deployer.run(name, TWO)
        try:
            with pytest.raises(DeployError, match=r"all of it failed; it may still have 50 % .* was asked for"):
                list(step(connection, Course(name, "B", (50, 100), 100.0), quick[0], guard=Beside()))
        finally:
            events.unregister("before-call.sagemaker.DescribeEndpoint", expired)
            events.unregister("after-call.sagemaker.UpdateEndpointWeightsAndCapacities", accepted)

    @pytest.mark.parametrize(
        ("operation", "when", "why"),
        [
            ("UpdateEndpointWeightsAndCapacities", "before-call", "that was interrupted"),
            ("DescribeEndpoint", "before-call", "that was interrupted"),
            ("UpdateEndpointWeightsAndCapacities", "after-call", "that was asked for, and goes on by itself"),
        ],
    )
    def test_an_interrupted_taking_back_says_what_was_worse_too(
        self, deployer, connection, name, quick, operation, when, why
    ):
        events = connection.client("sagemaker").meta.events

        def interrupted(**_):
            raise KeyboardInterrupt

        def accepted(**_):
            events.register("before-call.sagemaker.DescribeEndpoint", interrupted)

        taken = f"{when}.sagemaker.{operation}", accepted if when == "after-call" else interrupted

        class Beside(Watching):
            def trouble(self):
                events.register(*taken)
                return "all of it failed"

        deployer.run(name, TWO)
        try:
            with pytest.raises(Detached) as caught:
                list(step(connection, Course(name, "B", (50, 100), 100.0), quick[0], guard=Beside()))
        finally:
            events.unregister(*taken)
            events.unregister("before-call.sagemaker.DescribeEndpoint", interrupted)
        assert str(caught.value) == (
            "stopped; variant 'B' was to be taken back at 50 %: all of it failed; it may still have 50 % of the "
            f"traffic of endpoint '{name}', for {why}\n"
            f"  %sm_status {name} shows it; to take it back yourself: %sm_traffic {name} A=3 B=1"
        )

    def test_one_that_is_gone_when_it_is_to_be_taken_back_is_said_so(self, deployer, connection, name, quick):
        class Beside(Watching):
            def trouble(self):
                list(delete(connection, deletion(connection, name), Clock()))
                return "all of it failed"

        deployer.run(name, TWO)
        with pytest.raises(DeployError, match=r"not taken back: .* had 30 %: it has no variants now"):
            list(step(connection, Course(name, "B", (30, 100), 100.0), quick[0], guard=Beside()))

    def test_the_last_share_too_is_said_to_be_there_only_where_it_still_is(self, deployer, connection, name, quick):
        class Beside(Watching):
            def trouble(self):
                list(shift(connection, name, {"A": 1.0, "B": 1.0}, Clock()))

        deployer.run(name, TWO)
        with pytest.raises(DeployError, match="moved by somebody else while 'B' had 100 %: A 50 %, B 50 %"):
            list(step(connection, Course(name, "B", (100,), 100.0), quick[0], guard=Beside()))

    def test_an_update_by_somebody_else_that_is_under_way_is_waited_for_and_kept(
        self, deployer, connection, name, quick, paused
    ):
        class Beside(Watching):
            def begin(self):
                super().begin()
                if self.began == 2:
                    with paused():
                        deployer.run(name, TWO.replace("$xgb", "$linear"), wait=False)

        deployer.run(name, TWO)
        with pytest.raises(DeployError, match="moved by somebody else while 'B' had 30 %: A 75 %, B 25 %"):
            list(step(connection, Course(name, "B", (30, 100), 100.0), quick[0], guard=Beside()))
        assert weights(connection, name) == {"A": 3.0, "B": 1.0}

    def test_what_cannot_be_watched_is_not_begun(self, deployer, connection, name, writes):
        class Blind(Watching):
            def begin(self):
                raise ServiceError("GetMetricData", "AccessDenied", "not authorized", {})

        deployer.run(name, TWO)
        writes.clear()
        with pytest.raises(ServiceError, match="not authorized"):
            list(step(connection, Course(name, "B", (30, 50), 100.0), Clock(), guard=Blind()))
        assert writes == []


@pytest.fixture(scope="module")
def changes():
    return []


class TestComingFirst:
    """The fixture leaves nothing behind for the next test where our call never comes."""

    def test_a_change_is_prepared_and_our_call_never_comes(self, coming_first, changes):
        coming_first("DescribeEndpoint", lambda: changes.append("change"))

    def test_it_does_not_come_in_the_next_test(self, connection, changes):
        assert connection.describe("Endpoint", "nowhere") is None
        assert changes == []


class TestPlan:
    def test_it_waits_for_what_is_in_progress(self):
        assert reweigh("boston", Live("Updating", shares={"A": Share(1.0, 1)}), {"A": 1.0}).settle_first

    def test_all_zero_is_refused(self):
        with pytest.raises(PlanError, match="all weights are 0"):
            reweigh("boston", Live("InService", shares={"A": Share(1.0, 1)}), {"A": 0.0})
