"""The laws of the plan, held against a small pure model of what the service does with each call."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.alarms import names_in, prefix
from sm_magics.errors import PlanError
from sm_magics.models import DesiredModel
from sm_magics.plan import plan
from sm_magics.spec import AlarmSpec
from sm_magics.target import ENDPOINT_TAG, TAGS_TAG, Live, Share, Target

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/boston"


def variant(name="A", model="m1", weight=1.0, count=1, **fields):
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": count,
        "InitialVariantWeight": weight,
        **fields,
    }


def wanted(*variants, tags=None, deployment=None, alarms=(), **config):
    variants = variants or (variant(),)
    names = {each["ModelName"] for each in variants}
    made = tuple(
        DesiredModel(each, {"PrimaryContainer": {"Image": "i", "ModelDataUrl": f"s3://b/{each}"}}, None)
        for each in sorted(names)
    )
    return Target(
        "boston", {"ProductionVariants": list(variants), **config}, made, deployment or {}, tags or {}, alarms
    )


def applied(live: Live, target: Target, *, steps=None, rest=None) -> Live:
    """Return what the service says after the calls of a plan: a model of SageMaker of a few lines."""
    made = dict(rest or {})
    for action in (steps or plan(target, live)).actions:
        request = action.request
        match action.operation:
            case "CreateModel":
                live = replace(live, existing=live.existing | {request["ModelName"]})
            case "CreateEndpointConfig":
                assert all(v["ModelName"] in live.existing | {"named"} for v in request["ProductionVariants"])
                made[request["EndpointConfigName"]] = request
                live = replace(live, existing=live.existing | {request["EndpointConfigName"]})
            case "PutMetricAlarm" | "DeleteAlarms":
                live = replace(live, alarms=alarms_after(live.alarms, request))
            case "CreateEndpoint" | "UpdateEndpoint":
                assert set(names_in(request.get("DeploymentConfig"))) <= (live.alarms or set())
                assert request["EndpointConfigName"] in live.existing
                assert request["EndpointConfigName"] != live.config_name or live.status is None
                live = serving(live, made.get(request["EndpointConfigName"], live.config), request)
            case "UpdateEndpointWeightsAndCapacities":
                live = replace(live, shares=reshared(live.shares, request["DesiredWeightsAndCapacities"]))
            case "DeleteEndpoint":
                live = Live(existing=live.existing, alarms=live.alarms)
            case "AddTags":
                live = replace(live, tags={**live.tags, **{t["Key"]: t["Value"] for t in request["Tags"]}})
            case "DeleteTags":
                live = replace(live, tags={k: v for k, v in live.tags.items() if k not in request["TagKeys"]})
        assert live.status != "InService" or any(each.weight for each in live.shares.values())
    return live


def alarms_after(alarms, request):
    if "AlarmName" in request:
        assert request["AlarmName"] not in alarms
        return alarms | {request["AlarmName"]}
    assert set(request["AlarmNames"]) <= alarms
    return alarms - set(request["AlarmNames"])


def serving(live, config, request):
    shares = {
        each["VariantName"]: Share(each["InitialVariantWeight"], each["InitialInstanceCount"])
        for each in config["ProductionVariants"]
    }
    if request.get("RetainAllVariantProperties"):
        shares = {name: live.shares.get(name, share) for name, share in shares.items()}
    tags = {each["Key"]: each["Value"] for each in request["Tags"]} if "Tags" in request else live.tags
    return replace(
        live,
        status="InService",
        arn=ARN,
        config_name=request["EndpointConfigName"],
        config=config,
        shares=shares,
        tags=tags,
    )


def reshared(shares, changes):
    shares = dict(shares)
    for each in changes:
        known = shares[each["VariantName"]]
        weight = each.get("DesiredWeight", known.weight)
        shares[each["VariantName"]] = Share(weight, each.get("DesiredInstanceCount", known.count))
    return shares


def operations(target, live):
    return [each.operation for each in plan(target, live).actions]


VARIANTS = st.lists(
    st.builds(
        variant,
        st.sampled_from("ABC"),
        st.sampled_from(["m1", "m2", "m3"]),
        st.sampled_from([0.0, 1.0, 4.0, 0.5]),
        st.integers(1, 3),
        InstanceType=st.sampled_from(["ml.m5.large", "ml.c5.large"]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda each: each["VariantName"],
).filter(lambda variants: any(each["InitialVariantWeight"] for each in variants))
TAGS = st.dictionaries(st.sampled_from(["team", "env"]), st.sampled_from(["a", "b"]))
CANARY = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "WaitIntervalInSeconds": 60,
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
        }
    }
}
ALARM = AlarmSpec("Invocation5XXErrors", "Average", 0.01)
TARGETS = st.builds(lambda variants, tags: wanted(*variants, tags=tags), VARIANTS, TAGS)
GUARDED = st.builds(
    lambda target, alarms: replace(target, deployment={"DeploymentConfig": CANARY}, alarms=tuple(alarms)),
    TARGETS,
    st.lists(st.builds(replace, st.just(ALARM), threshold=st.sampled_from([0.01, 0.5])), max_size=2, unique=True),
)
HISTORIES = st.lists(TARGETS, max_size=4)


def after(history) -> tuple[Live, dict]:
    live, configs = Live(alarms=frozenset()), {}
    for target in history:
        steps = plan(target, live)
        for action in steps.actions:
            if action.operation == "CreateEndpointConfig":
                configs[action.request["EndpointConfigName"]] = action.request
        live = applied(live, target, steps=steps, rest=configs)
    return live, configs


@given(HISTORIES, TARGETS)
def test_applying_a_plan_reaches_the_target(history, target):
    live, configs = after(history)
    steps = plan(target, live)
    reached = applied(live, target, steps=steps, rest=configs)
    assert reached.status == "InService"
    assert dict(reached.shares) == dict(target.shares) == dict(steps.expected)
    assert reached.config_name == steps.config_name
    assert all(reached.tags[key] == value for key, value in target.tags.items())
    served = {each["VariantName"]: each["ModelName"] for each in reached.config["ProductionVariants"]}
    assert served == {each["VariantName"]: each["ModelName"] for each in target.config["ProductionVariants"]}


@given(HISTORIES, TARGETS)
def test_a_target_that_is_reached_needs_no_call(history, target):
    live, configs = after(history)
    reached = applied(live, target, rest=configs)
    assert plan(target, reached).actions == ()


@given(HISTORIES, TARGETS)
def test_an_endpoint_that_serves_is_never_deleted_on_the_way(history, target):
    live, _ = after(history)
    if live.status == "InService":
        assert "DeleteEndpoint" not in operations(target, live)


@given(HISTORIES, TARGETS)
def test_tags_that_others_put_on_the_endpoint_stay(history, target):
    live, configs = after(history)
    if live.status is None:
        return
    live = replace(live, tags={**live.tags, "aws:created": "x", "cost-centre": "y"})
    reached = applied(live, target, rest=configs)
    assert reached.tags["cost-centre"] == "y"
    ours = {key for key in reached.tags if not key.startswith(("sm_magics:", "aws:", "cost"))}
    assert ours == set(target.tags)


def live_of(target, **changes) -> Live:
    return replace(applied(Live(), target), **changes)


def test_a_new_endpoint_is_made_from_its_parts_in_order():
    target = wanted(variant("A", "m1"), variant("B", "m2"))
    assert operations(target, Live()) == ["CreateModel", "CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    assert operations(target, Live(existing=frozenset({"m1", "m2"}))) == ["CreateEndpointConfig", "CreateEndpoint"]


def test_everything_that_is_made_says_for_which_endpoint():
    for action in plan(wanted(tags={"team": "x"}), Live()).actions:
        tags = {each["Key"]: each["Value"] for each in action.request["Tags"]}
        assert tags[ENDPOINT_TAG] == "boston"
        assert tags["team"] == "x"


def test_only_weights_differ_in_place_without_a_new_fleet():
    live = live_of(wanted(variant("A", weight=4.0), variant("B", "m2")))
    target = wanted(variant("A", weight=1.0), variant("B", "m2"))
    (action,) = plan(target, live).actions
    assert action.operation == "UpdateEndpointWeightsAndCapacities"
    assert action.request["DesiredWeightsAndCapacities"] == [{"VariantName": "A", "DesiredWeight": 1.0}]
    assert (action.before, action.after) == ("A 80 %, B 20 %", "A 50 %, B 50 %")
    assert plan(target, live).config_name == live.config_name


def test_weights_are_compared_with_the_live_ones_not_with_the_config():
    target = wanted(variant("A", weight=4.0), variant("B", "m2"))
    live = live_of(target, shares={"A": Share(1.0, 1), "B": Share(1.0, 1)})
    assert operations(target, live) == ["UpdateEndpointWeightsAndCapacities"]


def test_a_count_is_sent_only_where_it_differs():
    live = live_of(wanted(variant("A", count=1), variant("B", "m2", count=2)))
    (action,) = plan(wanted(variant("A", count=3), variant("B", "m2", count=2)), live).actions
    assert action.request["DesiredWeightsAndCapacities"] == [
        {"VariantName": "A", "DesiredWeight": 1.0, "DesiredInstanceCount": 3}
    ]


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (variant("A", "m2"), "A: another model"),
        (variant("A", InstanceType="ml.c5.large"), "A: another instance type"),
        (variant("A", VolumeSizeInGB=20), "A: VolumeSizeInGB"),
        (variant("N"), "without A, with N"),
    ],
)
def test_anything_else_is_a_new_config_and_says_why(new, why):
    steps = plan(wanted(new), live_of(wanted(variant("A"))))
    assert steps.actions[-1].operation == "UpdateEndpoint"
    assert steps.actions[-1].why == why
    assert steps.config_name != live_of(wanted(variant("A"))).config_name


SHADOW = variant("New", "m2", weight=0.5)
CAPTURE = {"DestinationS3Uri": "s3://b/p", "InitialSamplingPercentage": 5}


@pytest.mark.parametrize(
    ("extra", "why"),
    [({"ShadowProductionVariants": [SHADOW]}, "without shadow"), ({"DataCaptureConfig": CAPTURE}, "without capture")],
)
def test_what_a_cell_leaves_out_is_taken_away(extra, why):
    before = wanted(**extra)
    update = plan(wanted(), live_of(before)).actions[-1]
    assert (update.operation, update.why) == ("UpdateEndpoint", why)
    assert operations(before, live_of(before)) == []
    assert operations(wanted(), live_of(wanted(), config={**wanted().config, "ShadowProductionVariants": []})) == []


def test_another_weight_of_a_shadow_is_a_new_config():
    before = wanted(ShadowProductionVariants=[SHADOW])
    after = wanted(ShadowProductionVariants=[{**SHADOW, "InitialVariantWeight": 1.0}])
    assert operations(after, live_of(before))[-1] == "UpdateEndpoint"


def test_an_endpoint_in_progress_is_waited_for():
    for status in ("Creating", "Updating", "RollingBack", "SystemUpdating", "Deleting"):
        steps = plan(wanted(), live_of(wanted(), status=status))
        assert steps.settle_first
        assert steps.actions == ()


def test_a_failed_endpoint_of_ours_is_deleted_and_made_again():
    live = live_of(wanted(variant("A")), status="Failed", shares={})
    assert operations(wanted(variant("A", "m2")), live) == [
        "DeleteEndpoint",
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
    ]


def test_a_failed_endpoint_of_others_is_left_alone():
    with pytest.raises(PlanError, match="has failed") as caught:
        plan(wanted(), live_of(wanted(), status="Failed", tags={}))
    assert "not made here" in (caught.value.hint or "")


def test_an_endpoint_that_others_made_the_same_is_left_as_it_is_and_tagged():
    target = wanted(variant("A", "named"))
    config = {"EndpointConfigName": "theirs", "ProductionVariants": [variant("A", "named", EnableSSMAccess=False)]}
    live = Live("InService", ARN, "theirs", config, {"A": Share(1.0, 1)}, {}, frozenset())
    assert operations(target, live) == ["AddTags"]


def test_autoscaled_counts_are_left_to_autoscaling():
    live = live_of(wanted(variant("A")), shares={"A": Share(1.0, 5)}, scaled=frozenset({"A"}))
    assert operations(wanted(variant("A", count=1)), live) == []
    steps = plan(wanted(variant("A", "m2", count=1)), live)
    config = next(each for each in steps.actions if each.operation == "CreateEndpointConfig")
    assert config.request["ProductionVariants"][0]["InitialInstanceCount"] == 5
    assert steps.expected == {"A": Share(1.0, 5)}


def test_an_endpoint_whose_config_was_deleted_cannot_be_updated():
    live = live_of(wanted(variant("A")), config=None)
    assert operations(wanted(variant("A")), live) == []
    with pytest.raises(PlanError, match="was deleted") as caught:
        plan(wanted(variant("A", "m2")), live)
    assert "%sm_delete boston --yes" in (caught.value.hint or "")


POLICY = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}}


def test_a_policy_needs_the_same_variants_before_and_after():
    live = live_of(wanted(variant("A"), variant("B", "m2")))
    with pytest.raises(PlanError, match="same variants before and after"):
        plan(wanted(variant("A"), deployment={"DeploymentConfig": POLICY}), live)


def test_a_rolling_deployment_works_for_one_variant_only():
    live = live_of(wanted(variant("A"), variant("B", "m2")))
    rolling = {"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50}}}
    with pytest.raises(PlanError, match="one variant only"):
        plan(wanted(variant("A", "m3"), variant("B", "m2"), deployment={"DeploymentConfig": rolling}), live)


def test_retained_weights_are_what_is_expected_then():
    live = live_of(wanted(variant("A", weight=4.0, count=2)), shares={"A": Share(3.0, 7)})
    retain = {"RetainAllVariantProperties": True}
    assert plan(wanted(variant("A", "m2"), deployment=retain), live).expected == {"A": Share(3.0, 7)}
    but_weight = {**retain, "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}]}
    assert plan(wanted(variant("A", "m2"), deployment=but_weight), live).expected == {"A": Share(1.0, 7)}


def test_a_weight_that_the_service_keeps_in_single_precision_is_the_weight_of_the_cell():
    live = live_of(wanted(variant("A", weight=0.1)), shares={"A": Share(0.10000000149011612, 1)})
    assert operations(wanted(variant("A", weight=0.1)), live) == []
    assert operations(wanted(variant("A", weight=0.1001)), live) == ["UpdateEndpointWeightsAndCapacities"]


def test_tags_of_the_cell_are_added_changed_and_taken_away():
    live = live_of(wanted(tags={"team": "x", "env": "dev"}))
    assert live.tags[TAGS_TAG] == "team env"
    target = wanted(tags={"team": "y"})
    add, delete = plan(target, live).actions
    assert {"Key": "team", "Value": "y"} in add.request["Tags"]
    assert delete.request == {"ResourceArn": ARN, "TagKeys": ["env"]}


@given(GUARDED, GUARDED)
def test_an_update_has_its_alarms_before_it_and_leaves_no_others(first, second):
    live = applied(Live(alarms=frozenset()), first)
    assert live.alarms == frozenset()  # a first deployment has nothing to go back to
    if first.shares.keys() != second.shares.keys():
        return
    steps = plan(second, live)
    reached = applied(live, second, steps=steps, rest={second.config_name: second.config})
    assert plan(second, reached).actions == ()
    updates = [each for each in steps.actions if each.operation == "UpdateEndpoint"]
    described = {each for each in reached.alarms if each.startswith(prefix("boston"))}
    if updates:
        assert described == set(names_in(updates[0].request["DeploymentConfig"]))
        assert len(described) == len(second.alarms) * len(second.shares)
    else:
        assert described == set()


def guarded(*variants, config=CANARY, alarms=(ALARM,)):
    return wanted(*variants, deployment={"DeploymentConfig": config}, alarms=alarms)


def test_the_alarms_of_an_earlier_update_go_with_the_next():
    live = live_of(wanted(), alarms=frozenset({"sm_magics/boston/A/ModelLatency/0", "theirs"}))
    steps = plan(guarded(variant(model="m2")), live)
    assert [(each.operation, each.service) for each in steps.actions] == [
        ("CreateModel", "sagemaker"),
        ("CreateEndpointConfig", "sagemaker"),
        ("PutMetricAlarm", "cloudwatch"),
        ("UpdateEndpoint", "sagemaker"),
        ("DeleteAlarms", "cloudwatch"),
    ]
    assert steps.actions[2].after == "Invocation5XXErrors of A above 1% for 1m"
    assert steps.actions[3].after == "A 100 % · canary 10%, wait 1m"
    assert steps.actions[4].request == {"AlarmNames": ["sm_magics/boston/A/ModelLatency/0"]}


def test_alarms_that_a_retained_policy_names_once_more_stay():
    live = live_of(wanted(), alarms=frozenset({"sm_magics/boston/A/ModelLatency/0"}))
    steps = plan(wanted(variant(model="m2"), deployment={"RetainDeploymentConfig": True}), live)
    assert [each.operation for each in steps.actions] == ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint"]


def test_alarms_that_we_may_not_look_at_are_made_all_the_same():
    steps = plan(guarded(variant(model="m2")), live_of(wanted(), alarms=None))
    assert [each.operation for each in steps.actions if each.service == "cloudwatch"] == ["PutMetricAlarm"]


def test_a_first_endpoint_keeps_its_policy_without_alarms_of_ours():
    create = plan(guarded(), Live()).actions[-1]
    assert create.operation == "CreateEndpoint"
    assert create.request["DeploymentConfig"] == CANARY


def test_a_named_alarm_must_be_there():
    config = {**CANARY, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "boston-5xx"}]}}
    target = guarded(variant(model="m2"), config=config, alarms=())
    with pytest.raises(PlanError, match="there is no alarm 'boston-5xx'"):
        plan(target, live_of(wanted(), alarms=frozenset()))
    assert plan(target, live_of(wanted(), alarms=frozenset({"boston-5xx"}))).actions
    assert plan(target, live_of(wanted(), alarms=None)).actions


def test_a_named_alarm_that_is_in_alarm_already_would_roll_it_back_at_once():
    config = {**CANARY, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "boston-5xx"}]}}
    live = live_of(wanted(), alarms=frozenset({"boston-5xx"}), ringing=frozenset({"boston-5xx"}))
    with pytest.raises(PlanError, match="alarm 'boston-5xx' is in ALARM already") as caught:
        plan(guarded(variant(model="m2"), config=config, alarms=()), live)
    assert "leave it out" in caught.value.hint


@pytest.mark.parametrize(
    ("target", "warned"), [(guarded(variant(weight=3.0)), True), (wanted(variant(weight=3.0)), False)]
)
def test_a_policy_that_weights_alone_do_not_follow_is_said_so(target, warned):
    (step,) = plan(target, live_of(wanted(variant(weight=1.0)))).actions
    assert step.operation == "UpdateEndpointWeightsAndCapacities"
    assert bool(step.caution) is warned


def sized(kind, value):
    size = {"Type": "INSTANCE_COUNT", "Value": value}
    if kind == "ROLLING":
        return {"RollingUpdatePolicy": {"MaximumBatchSize": size, "WaitIntervalInSeconds": 0}}
    member = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}[kind]
    routing = {"Type": kind, "WaitIntervalInSeconds": 0, member: size}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}


@pytest.mark.parametrize(
    ("kind", "value", "instances", "fits"),
    [
        ("CANARY", 1, 1, False),
        ("CANARY", 1, 2, True),
        ("CANARY", 2, 3, False),
        ("LINEAR", 2, 4, True),
        ("LINEAR", 3, 4, False),
        ("ROLLING", 1, 1, True),
        ("ROLLING", 2, 3, False),
    ],
)
def test_a_step_of_instances_is_at_most_half_of_the_new_fleet(kind, value, instances, fits):
    live = live_of(wanted())
    target = wanted(variant(model="m2", count=instances), deployment={"DeploymentConfig": sized(kind, value)})
    if fits:
        assert plan(target, live).actions
    else:
        with pytest.raises(
            PlanError, match=f"{value} of {instances} instances is more than half of the new fleet"
        ) as caught:
            plan(target, live)
        assert f"write {kind.lower()}: 10% where a percentage is meant" in caught.value.hint
