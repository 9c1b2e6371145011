"""The card of an endpoint on its way, word by word, and the line that tells the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sm_magics.events import Stepping
from sm_magics.render import html, text, views
from sm_magics.render.watching import held, stepping, summary, watching
from sm_magics.watch import AlarmState, Snapshot, VariantState

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/boston"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BAKING = "Baking for 300 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 1 instance(s)."


def size(value, kind="CAPACITY_PERCENT"):
    return {"Type": kind, "Value": value}


def blue_green(kind, member=None, part=None, **times):
    routing = {"Type": kind, "WaitIntervalInSeconds": 300, **({member: part} if member else {})}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **times}}


CANARY = blue_green("CANARY", "CanarySize", size(10))


def moving(share, phase="Baking", *, config=CANARY, count=1, old_phase=None, **changes):
    """Return an endpoint of two variants of which the new fleet has `share` of the traffic."""
    new, old = (
        tuple(
            VariantState(name, None if part is None else weight * part, weight, number, count, what, message, since)
            for name, weight in (("A", 4.0), ("B", 1.0))
        )
        for part, number, what, message, since in (
            (share, 0 if phase == "Creating" else count, phase, BAKING if phase == "Baking" else None, NOW),
            (None if share is None else 1 - share, count, old_phase, None, None),
        )
    )
    raw = {"LastDeploymentConfig": config}
    fields = {"elapsed": 75.4, "now": NOW + timedelta(seconds=65), "raw": raw, **changes}
    return Snapshot("boston", ARN, "Updating", "boston-c1", old, "boston-c2", new, **fields)


def lines(snapshot):
    return text.render(watching(snapshot)).split("\n")


def test_the_card_of_a_canary_shows_the_phase_the_time_in_it_and_the_traffic_of_both_fleets():
    assert lines(moving(0.1)) == [
        "Endpoint boston · Updating",
        "",
        "  phase    baking · step 1 of 2 · 1 min 5 s of 5 min",
        "  traffic  new 10 %  █░░░░░░░░░  old 90 %",
        "  policy   canary 10%, wait 5m",
        "  new      boston-c2",
        "  old      boston-c1",
        "  waited   1 min 15 s",
        "",
        "  fleet  variant  phase            ready    weight  traffic",
        "  ────────────────────────────────────────────────────────────────────",
        "  new    A        baking          1 of 1  0.4 of 4  █░░░░░░░░░     8 %",
        "  new    B        baking          1 of 1  0.1 of 1  ░░░░░░░░░░     2 %",
        "  old    A        serving         1 of 1  3.6 of 4  ███████░░░    72 %",
        "  old    B        serving         1 of 1  0.9 of 1  ██░░░░░░░░    18 %",
    ]


@pytest.mark.parametrize(
    ("snapshot", "told"),
    [
        (moving(0.0, "Creating"), "starting the new fleet, new 0 %"),
        (moving(0.1, "ActivatingTraffic"), "moving traffic, step 1 of 2, new 10 %"),
        (moving(0.1), "baking, step 1 of 2, new 10 %"),
        (moving(1.0), "baking, step 2 of 2, new 100 %"),
        (moving(1.0, old_phase="Deleting"), "old fleet going, step 2 of 2, new 100 %"),
        (moving(0.5, config=blue_green("LINEAR", "LinearStepSize", size(25))), "baking, step 2 of 4, new 50 %"),
        (moving(0.9, config=blue_green("LINEAR", "LinearStepSize", size(30))), "baking, step 3 of 4, new 90 %"),
        (
            moving(0.5, config=blue_green("LINEAR", "LinearStepSize", size(1, "INSTANCE_COUNT")), count=2),
            "baking, step 2 of 4, new 50 %",
        ),
        (moving(1.0, config=blue_green("ALL_AT_ONCE")), "baking, new 100 %"),
        (moving(1.0, config=None), "baking, new 100 %"),
        (moving(None), "baking, A 1 of 1 ready, B 1 of 1 ready"),
        (moving(0.1, "Sleeping"), "Sleeping, step 1 of 2, new 10 %"),
        (moving(0.0, None), "updating, new 0 %"),
    ],
)
def test_the_line_tells_phase_step_and_share_and_no_time(snapshot, told):
    assert summary(snapshot) == told


def test_a_rolling_update_counts_its_batches():
    config = {"RollingUpdatePolicy": {"MaximumBatchSize": size(50), "WaitIntervalInSeconds": 5}}
    new, old = (VariantState("A", each, 1.0, 2, 3, phase) for each, phase in ((2 / 3, "Baking"), (1 / 3, None)))
    raw = {"LastDeploymentConfig": config}
    snapshot = Snapshot("boston", ARN, "Updating", "boston-c1", (old,), "boston-c2", (new,), raw=raw)
    assert summary(snapshot) == "baking, step 2 of 3, new 66.7 %"
    assert "  policy   rolling 50%, wait 5s" in lines(snapshot)


def test_fleets_of_other_weights_share_the_traffic_as_fleets():
    new = (VariantState("A", 0.5, 1.0, 1, 1, "Baking"),)
    old = (VariantState("A", 2.0, 4.0, 1, 1),)
    shown = lines(Snapshot("boston", ARN, "Updating", "boston-c1", old, "boston-c2", new))
    assert [line.split()[-2:] for line in shown[-2:]] == [["50", "%"], ["50", "%"]]


def test_where_the_service_tells_no_weight_no_traffic_is_made_up():
    shown = "\n".join(lines(moving(None)))
    assert "%" not in shown.replace("canary 10%", "")
    assert "█" not in shown


def test_the_time_in_a_phase_is_the_service_s_and_never_longer_than_the_phase():
    late = moving(0.1, now=NOW + timedelta(hours=1))
    assert "  phase    baking · step 1 of 2 · 5 min of 5 min" in lines(late)
    early = moving(0.1, now=NOW - timedelta(seconds=3))
    assert "  phase    baking · step 1 of 2 · 0 s of 5 min" in lines(early)
    assert "  phase    baking · step 1 of 2" in lines(moving(0.1, now=None))
    assert "  phase    moving traffic · step 1 of 2" in lines(moving(0.1, "ActivatingTraffic"))


def test_alarms_are_shown_with_their_states_and_one_that_goes_off_says_what_follows():
    alarms = tuple(
        AlarmState(*each) for each in (("a", "OK"), ("b", "INSUFFICIENT_DATA"), ("c", "ALARM"), ("d", "New"))
    )
    view = watching(moving(0.1, alarms=alarms))
    shown = text.render(view).split("\n")
    at = next(number for number, line in enumerate(shown) if line.split()[:1] == ["alarm"])
    assert [line.split(maxsplit=1) for line in shown[at + 2 : at + 6]] == [
        ["a", "OK"],
        ["b", "no data yet"],
        ["c", "in ALARM"],
        ["d", "New"],
    ]
    assert shown[-1] == "  An alarm has gone off: the update is rolled back, and the old fleet gets all traffic again."
    assert summary(moving(0.1, alarms=alarms)).endswith(", c in ALARM")
    assert "rolled back" not in text.render(watching(moving(0.1, alarms=alarms[:2])))
    assert "in ALARM" in html.render(view)


def test_a_change_that_was_asked_for_before_is_told_as_one():
    for snapshot in (moving(0.1), Snapshot("boston", ARN, "Creating", "c", (), "c", ())):
        assert "was asked for before" not in text.render(watching(snapshot))
        assert text.render(watching(snapshot, earlier=True)).split("\n")[-1] == (
            "  This change was asked for before. It is waited for; what this cell asks for comes then."
        )


def test_the_endpoint_s_own_card_shows_both_fleets_while_an_update_is_under_way():
    alarm = AlarmState("a", "OK")
    shown = text.render(views.endpoint(moving(0.1, alarms=(alarm,)), None, "here", done="Asked for.")).split("\n")
    assert shown[:8] == [
        "Endpoint boston · Updating",
        "",
        "  phase       baking · step 1 of 2 · 1 min 5 s of 5 min",
        "  traffic     new 10 %  █░░░░░░░░░  old 90 %",
        "  policy      canary 10%, wait 5m",
        "  new         boston-c2",
        "  old         boston-c1",
        "  connection  here",
    ]
    assert [line.split()[0] for line in shown[11:15]] == ["new", "new", "old", "old"]
    assert any(line.split() == ["a", "OK"] for line in shown)
    assert shown[-1] == "  Asked for."


def test_a_new_endpoint_counts_what_is_ready():
    pending = (VariantState("A", 0.0, 1.0, 1, 2, "Creating"),)
    snapshot = Snapshot("boston", ARN, "Creating", "boston-c1", (), "boston-c1", pending, elapsed=12.4)
    assert lines(snapshot) == [
        "Endpoint boston · Creating",
        "",
        "  waited  12 s",
        "",
        "  variant  phase      ready  instances",
        "  ─────────────────────────────────────",
        "  A        starting  1 of 2  █████░░░░░",
    ]
    assert summary(snapshot) == "A 1 of 2 ready"


def test_while_weights_change_the_card_shows_the_fleet_that_serves():
    snapshot = Snapshot("boston", ARN, "Updating", "boston-c1", (VariantState("B", 1.0, 1.0, 2, 2, "Updating"),))
    assert lines(snapshot)[-1].split() == ["B", "updating", "2", "of", "2", "██████████"]
    assert "old" not in text.render(watching(snapshot))


def test_a_variant_that_wants_no_instances_is_no_division_by_zero():
    snapshot = Snapshot("boston", ARN, "Updating", "boston-c1", (VariantState("A", 1.0, 1.0, 0, None),))
    assert lines(snapshot)[-1].split() == ["A", "serving"]


def test_a_serverless_variant_is_told_without_a_number_of_instances():
    alone = Snapshot("boston", ARN, "Creating", "c", (), "c", (VariantState("A", 0.0, 1.0, 0, None, "Creating"),))
    assert summary(alone) == "A starting"
    assert lines(alone)[-1].split() == ["A", "starting"]


class TestSteps:
    AT = Stepping("boston", "B", 10, 90.0, (10, 50, 100))

    def test_the_card_has_the_share_the_time_and_what_comes_next(self):
        told = " ".join(text.render(stepping(self.AT)).split())
        assert told.startswith("Traffic of boston · stepping share █░░░░░░░░░ 10 % held for")
        assert told.endswith("B has 10 % of the traffic; next 50 %, then 100 %")

    def test_the_line_has_no_time_so_that_it_is_told_once(self):
        assert held(self.AT) == held(Stepping("boston", "B", 10, 30.0, (10, 50, 100)))
        assert held(Stepping("boston", "B", 100, 1.0, (50, 100))) == "B has 100 % of the traffic; the last step"
