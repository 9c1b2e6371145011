from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sm_magics.local import lifecycle, progress
from sm_magics.local.lifecycle import Change, Endpoint, Refused, Variant

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/boston"


def variant(name: str = "A", weight: float = 1.0, count: int = 1) -> Variant:
    return Variant(name, "m", "xgboost:1", "ml.m5.large", desired_weight=weight, desired_count=count)


def created(*variants: Variant) -> Endpoint:
    return lifecycle.create(
        "boston", ARN, config_name="c1", variants=variants or (variant(),), tags={"team": "x"}, now=1.0
    )


def in_service(*variants: Variant) -> Endpoint:
    return lifecycle.settle(created(*variants), 2.0)


def test_a_new_endpoint_serves_nothing_until_it_settles():
    new = created(variant("A", 4, 2))
    assert (new.status, new.variants, new.config_name) == ("Creating", (), "c1")
    assert new.pending is not None
    assert new.pending.variants[0].status == "Creating"
    settled = lifecycle.settle(new, 5.0)
    (served,) = settled.variants
    assert (settled.status, settled.modified, settled.pending) == ("InService", 5.0, None)
    assert (served.current_weight, served.current_count, served.status) == (4, 2, None)


def test_progress_tells_the_instances_that_answer_by_now():
    pending = progress.launched(created(variant("A", count=3)), {"A": 2}).pending
    assert pending is not None
    assert pending.variants[0].current_count == 2


def test_an_endpoint_that_cannot_be_created_has_failed_for_good():
    failed = lifecycle.fail(created(), "no ping", 3.0)
    assert (failed.status, failed.failure_reason) == ("Failed", "no ping")
    with pytest.raises(Refused, match="Cannot update failed endpoint"):
        lifecycle.update(failed, "c2", (variant(),), 4.0)
    with pytest.raises(Refused, match="Cannot update failed endpoint"):
        lifecycle.rescale(failed, {}, 4.0)
    assert lifecycle.delete(failed, 5.0).status == "Deleting"


def test_a_failed_update_leaves_the_old_config_serving_and_says_why():
    before = in_service(variant("A", 4), variant("B", 1))
    after = lifecycle.fail(lifecycle.update(before, "c2", (variant("C"),), 3.0), "no ping", 4.0)
    assert (after.status, after.config_name, after.failure_reason) == ("InService", "c1", "no ping")
    assert after.variants == before.variants


def test_the_reason_of_a_failure_goes_with_the_next_update():
    failed = lifecycle.fail(lifecycle.update(in_service(), "c2", (variant(),), 3.0), "no ping", 4.0)
    assert lifecycle.update(failed, "c3", (variant(),), 5.0).failure_reason is None


def test_a_reason_is_cut_at_the_service_limit():
    assert len(lifecycle.fail(created(), "x" * 2000, 1.0).failure_reason or "") == 1024


@pytest.mark.parametrize("status", ["Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"])
def test_an_endpoint_in_progress_refuses_every_change(status):
    busy = replace(in_service(), status=status)
    text = f'Cannot update in-progress endpoint "{ARN}"'
    with pytest.raises(Refused, match=text):
        lifecycle.update(busy, "c2", (variant(),), 3.0)
    with pytest.raises(Refused, match=text):
        lifecycle.rescale(busy, {"A": Change(weight=2)}, 3.0)
    with pytest.raises(Refused, match=text):
        lifecycle.delete(busy, 3.0)


def test_the_config_in_use_is_no_update():
    with pytest.raises(Refused, match="currently in use endpoint configuration"):
        lifecycle.update(in_service(), "c1", (variant(),), 3.0)


def test_rescaling_keeps_what_is_not_named():
    before = in_service(variant("A", 4, 1), variant("B", 1, 2))
    busy = lifecycle.rescale(before, {"A": Change(weight=0)}, 3.0)
    assert [(v.desired_weight, v.current_weight, v.desired_count) for v in busy.variants] == [(0, 4, 1), (1, 1, 2)]
    assert [(v.current_weight, v.current_count) for v in lifecycle.settle(busy, 4.0).variants] == [(0, 1), (1, 2)]


def test_a_rescaling_that_fails_goes_back_to_what_was():
    before = in_service(variant("A", 4, 1), variant("B", 1, 2))
    after = lifecycle.fail(lifecycle.rescale(before, {"B": Change(3, 9)}, 3.0), "no room", 4.0)
    assert after.variants == before.variants
    assert after.failure_reason == "no room"


def test_rescaling_refuses_unknown_variants_and_an_endpoint_without_traffic():
    before = in_service(variant("A"), variant("B"))
    with pytest.raises(Refused, match=r'The variant name\(s\) "X", "Y" is/are not present'):
        lifecycle.rescale(before, {"X": Change(), "Y": Change()}, 3.0)
    with pytest.raises(Refused, match="weight greater than 0"):
        lifecycle.rescale(before, {"A": Change(weight=0), "B": Change(weight=0)}, 3.0)


@pytest.mark.parametrize(
    ("excluded", "weight", "count"),
    [((), 4, 3), (("DesiredWeight",), 1, 3), (("DesiredInstanceCount",), 4, 1)],
)
def test_retained_properties_follow_the_variants_name(excluded, weight, count):
    before = in_service(variant("A", 4, 3))
    kept, new = lifecycle.retained(before, (variant("A"), variant("N", 7, 8)), frozenset(excluded))
    assert (kept.desired_weight, kept.desired_count) == (weight, count)
    assert (new.desired_weight, new.desired_count) == (7, 8)


NAMES = st.sampled_from("ABC")
VARIANTS = st.lists(
    st.builds(variant, NAMES, st.integers(0, 5).map(float), st.integers(1, 3)),
    min_size=1,
    max_size=3,
    unique_by=lambda each: each.name,
).filter(lambda variants: any(each.desired_weight for each in variants))


@given(VARIANTS, VARIANTS)
def test_an_endpoint_survives_its_way_through_json(first, second):
    for each in (created(*first), lifecycle.update(in_service(*first), "c2", second, 3.0)):
        assert Endpoint.from_json(json.loads(json.dumps(each.to_json()))) == each


LEGAL = {
    "Creating": {"InService", "Failed"},
    "InService": {"Updating", "Deleting", "OutOfService"},
    "Updating": {"InService", "UpdateRollbackFailed", "OutOfService"},
    "UpdateRollbackFailed": {"Updating", "Deleting", "OutOfService", "InService"},
    "OutOfService": {"Updating", "Deleting", "InService"},
    "Failed": {"Deleting"},
    "Deleting": set(),
}


def under_way(machine):
    return machine.endpoint.status in {"Creating", "Updating"}


def shifting(machine):
    return machine.endpoint.status == "Updating" and machine.endpoint.pending is not None


class AnyHistory(RuleBasedStateMachine):
    """Whatever is asked and whatever happens, in any order: what holds for every endpoint at all times."""

    @initialize(variants=VARIANTS)
    def create(self, variants):
        self.now, self.configs, self.share = 1.0, {"c1"}, Fraction(0)
        self.endpoint = created(*variants)
        self.asked = wanted(variants)
        self.before, self.config_before, self.lost = {}, "c1", False

    def tick(self) -> float:
        self.now += 1
        return self.now

    def becomes(self, endpoint):
        old, new = self.endpoint.status, endpoint.status
        assert old == new or new in LEGAL[old], f"{old} became {new}"
        self.endpoint = endpoint

    def served(self):
        return {each.name: (each.current_weight, each.current_count) for each in self.endpoint.variants}

    def attempt(self, change, asked, *, allowed):
        try:
            changed = change(self.tick())
        except Refused:
            return
        assert self.endpoint.status in allowed, f"a change was accepted while {self.endpoint.status}"
        self.asked, self.share = asked, Fraction(0)
        self.config_before = self.endpoint.config_name
        self.becomes(changed)
        self.before = wanted(changed.variants) if changed.pending or self.lost else self.served()
        self.served_before = self.served()

    @rule(variants=VARIANTS)
    def update(self, variants):
        name = f"c{len(self.configs) + 1}"
        self.configs.add(name)
        allowed = {"InService", "OutOfService", "UpdateRollbackFailed"}
        self.attempt(
            lambda now: lifecycle.update(self.endpoint, name, variants, now), wanted(variants), allowed=allowed
        )

    @rule(weights=st.dictionaries(NAMES, st.integers(0, 3).map(float)), count=st.integers(1, 4))
    def rescale(self, weights, count):
        changes = {name: Change(weight, count) for name, weight in weights.items()}
        asked = wanted(self.endpoint.variants) | {name: (weight, count) for name, weight in weights.items()}
        allowed = {"InService", "OutOfService"}
        self.attempt(lambda now: lifecycle.rescale(self.endpoint, changes, now), asked, allowed=allowed)

    @rule()
    def delete(self):
        allowed = {"InService", "OutOfService", "UpdateRollbackFailed", "Failed"}
        self.attempt(lambda now: lifecycle.delete(self.endpoint, now), {}, allowed=allowed)

    @precondition(under_way)
    @rule(count=st.integers(0, 3))
    def progress(self, count):
        self.becomes(progress.launched(self.endpoint, dict.fromkeys("ABC", count)))

    @precondition(shifting)
    @rule(
        step=st.integers(1, 20).map(lambda part: Fraction(part, 20)),
        status=st.sampled_from(["ActivatingTraffic", "Baking"]),
    )
    def shift(self, step, status):
        self.share += (1 - self.share) * step
        self.becomes(progress.shift(self.endpoint, self.share, status, lambda v: f"about {v.name}", self.tick()))
        for each in self.endpoint.pending.variants:
            assert (each.status, each.status_message) == (status, f"about {each.name}")
            assert each.status_since <= self.now

    @precondition(lambda self: shifting(self) and self.share == 1)
    @rule()
    def retire(self):
        self.becomes(progress.retiring(self.endpoint, self.tick()))
        assert all(each.status == "Deleting" for each in self.endpoint.variants)

    @precondition(under_way)
    @rule()
    def settle(self):
        self.lost = False
        self.becomes(lifecycle.settle(self.endpoint, self.tick()))
        assert self.served() == self.asked
        assert self.endpoint.failure_reason is None

    @precondition(under_way)
    @rule()
    def fail(self):
        self.lost = False
        created_before = self.endpoint.status != "Creating"
        self.becomes(lifecycle.fail(self.endpoint, "because", self.tick()))
        assert self.endpoint.failure_reason == "because"
        assert self.endpoint.config_name == self.config_before
        assert self.served() == (self.before if created_before else {})

    @precondition(lambda self: shifting(self) and self.share < 1)
    @rule()
    def mix(self):
        self.becomes(lifecycle.mix(self.endpoint, "because", self.tick()))

    @precondition(lambda self: self.endpoint.status in {"InService", "Updating", "UpdateRollbackFailed"})
    @rule()
    def lose(self):
        self.lost = True
        self.becomes(lifecycle.lose(self.endpoint, "because", self.tick()))
        assert all(each == (0, 0) for each in self.served().values())

    @precondition(lambda self: self.endpoint.status in {"OutOfService", "UpdateRollbackFailed"})
    @rule()
    def come_back(self):
        self.lost = False
        self.becomes(lifecycle.settle(self.endpoint, self.tick()))

    @invariant()
    def the_config_in_use_is_one_that_was_asked_for(self):
        assert self.endpoint.config_name in self.configs
        if self.endpoint.pending:
            assert self.endpoint.pending.config_name in self.configs

    @invariant()
    def what_is_under_way_shows(self):
        assert (self.endpoint.pending is not None) <= (self.endpoint.status in lifecycle.IN_PROGRESS)
        assert (self.endpoint.failure_reason is not None) <= (self.endpoint.status not in {"Creating", "Updating"})
        if self.endpoint.status == "InService":
            assert all(each.status is None for each in self.endpoint.variants)

    @invariant()
    def there_is_always_somewhere_for_traffic_to_go(self):
        pending = self.endpoint.pending.variants if self.endpoint.pending else ()
        if self.endpoint.status in {"InService", "Updating", "UpdateRollbackFailed"} and not self.lost:
            assert any(each.current_weight for each in (*self.endpoint.variants, *pending))

    @invariant()
    def what_serves_goes_on_as_it_was_until_the_new_fleet_gets_traffic(self):
        if self.endpoint.status == "Updating" and self.share == 0:
            assert self.served() == self.served_before

    @invariant()
    def it_survives_a_restart(self):
        assert Endpoint.from_json(json.loads(json.dumps(self.endpoint.to_json()))) == self.endpoint


def wanted(variants):
    return {each.name: (each.desired_weight, each.desired_count) for each in variants}


TestAnyHistory = AnyHistory.TestCase
