from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_magics.errors import CellError
from sm_magics.service_model import snake_case
from sm_magics.spec import EndpointSpec, ModelFields, ModelObject, NamedModel, VariantSpec, parse_endpoint, to_yaml
from sm_magics.spec.defaults import CAPTURE_DEFAULTS, variant_defaults
from sm_magics.spec.keys import level, sagemaker

MODELS = {"xgb": object(), "jobs": {"it's": [object()]}, "größe": object()}
EXPRESSIONS = {"$xgb": MODELS["xgb"], '${jobs["it\'s"][0]}': MODELS["jobs"]["it's"][0], "$größe": MODELS["größe"]}
ROLE = "arn:aws:iam::123456789012:role/Serving"

# Texts of which at least one fits every pattern of the service model that a cell can reach.
TEXTS = (
    *(
        "a",
        "A-1",
        "true",
        "1",
        "null",
        "s3://bucket/prefix",
        "https://bucket/x",
        ROLE,
        "text/csv",
        "mig-1g.5gb",
        "/metrics",
    ),
    "arn:aws:sns:eu-west-1:123456789012:topic",
    "arn:aws:sagemaker:eu-west-1:123456789012:ml-reservation/x",
    *(
        "_ENV",
        "$x",
        "$$",
        "a b",
        " a ",
        "é: {x}",
        "# no",
        "x\ny\t\u2028",
        "😀",
        "'\"\\",
        "-",
        "? a",
        "a:b",
        "5:30",
        "[1]",
        "",
    ),
)


def parse(text: str) -> EndpointSpec:
    return parse_endpoint(text, "boston", MODELS)


def test_the_first_cell_of_all():
    text = "variants:\n  Linear-Model: {model: $linear, weight: 4}\n  XGB-Model: $xgb\n"
    assert to_yaml(parse_endpoint(text, "boston", {"linear": object(), "xgb": object()})) == text


def test_defaults_are_left_out_and_short_keys_come_first():
    spec = parse("""
models: {m: {env: {B: 1, A: $$x}, image: i, mode: SingleModel, data: ./m.tar.gz}}
variants:
  A: {volume_size_in_gb: 5, instance: ml.m5.large, weight: 2.0, model: m, instances: 1}
  B: {model: live, weight: 0.5}
  C: {model: "${jobs[\\"it's\\"][0]}"}
capture: {to: s3://b/p, sample: 50%, CaptureOptions: [{CaptureMode: Input}, {capture_mode: Output}]}
tags: {team: pricing, cost: 010, note: "a: b"}
role: arn:aws:iam::123456789012:role/Serving
DeploymentConfig: {AutoRollbackConfiguration: {Alarms: [{AlarmName: boston 5xx}]}}
RetainAllVariantProperties: true
""")
    assert (
        to_yaml(spec)
        == """\
variants:
  A:
    model: {image: i, data: ./m.tar.gz, env: {B: "1", A: "$$x"}, mode: SingleModel}
    weight: 2
    volume_size_in_gb: 5
  B: {model: live, weight: 0.5}
  C: "${jobs[\\"it's\\"][0]}"
capture: {to: s3://b/p, sample: 50%}
deploy: {auto_rollback_configuration: {alarms: [{alarm_name: "boston 5xx"}]}}
retain_all_variant_properties: true
tags: {team: pricing, cost: "010", note: "a: b"}
role: arn:aws:iam::123456789012:role/Serving
"""
    )


def test_a_capture_that_keeps_nothing_as_text_says_so_and_reads_back_the_same():
    bare = {key: value for key, value in CAPTURE_DEFAULTS.items() if key != "CaptureContentTypeHeader"}
    spec = replace(parse("variants: {A: live}"), config={"DataCaptureConfig": {"DestinationS3Uri": "s3://b/p", **bare}})
    assert "capture: {to: s3://b/p, capture_content_type_header: {}}" in to_yaml(spec)
    assert parse(to_yaml(spec)).config == spec.config


def test_what_does_not_fit_on_a_line_is_spread():
    container = {"Image": "i" * 60, "Environment": {f"KEY_{n}": "value" * 4 for n in range(4)}}
    pools = [{"InstanceType": "ml.m5.large", "Priority": n, "ModelNameOverride": "m" * 60} for n in (1, 2)]
    fields = {"InstancePools": pools, "InitialInstanceCount": 1, "InitialVariantWeight": 1}
    spec = EndpointSpec("boston", (VariantSpec("A", ModelFields(container, {}), fields),), (), {}, {}, {}, None)
    text = to_yaml(spec)
    assert (
        text
        == f"""\
variants:
  A:
    model:
      image: {"i" * 60}
      env:
        KEY_0: valuevaluevaluevalue
        KEY_1: valuevaluevaluevalue
        KEY_2: valuevaluevaluevalue
        KEY_3: valuevaluevaluevalue
    instance_pools:
      - instance_type: ml.m5.large
        priority: 1
        model_name_override: {"m" * 60}
      - instance_type: ml.m5.large
        priority: 2
        model_name_override: {"m" * 60}
"""
    )
    assert parse(text) == spec


@cache
def fitting(name: str) -> list[str]:
    return [text for text in TEXTS if not list(sagemaker().check(sagemaker().shape(name), text))]


@cache
def api_values(name: str) -> st.SearchStrategy:
    """Make values that the service model has nothing against."""
    shape = sagemaker().shape(name)
    least, most = int(shape.min or 0), int(shape.max if shape.max is not None else 10)
    if shape.type == "structure":
        made = {member: api_values(about.shape) for member, about in shape.members.items()}
        required = {member: made.pop(member) for member in shape.required}
        return st.fixed_dictionaries(required, optional=made)
    if shape.type == "list":
        return st.lists(api_values(shape.element), min_size=least, max_size=min(most, least + 2))
    if shape.type == "map":
        return st.dictionaries(api_values(shape.key), api_values(shape.element), max_size=3)
    if shape.type == "string":
        return st.sampled_from(shape.enum[:5] or fitting(name))
    if shape.type == "boolean":
        return st.booleans()
    numbers = st.integers(least, max(most, least))
    return numbers | st.floats(least, 1e30) if shape.type in ("float", "double") else numbers


def members(name: str, *without: str) -> st.SearchStrategy:
    shape = sagemaker().shape(name)
    optional = {m: api_values(about.shape) for m, about in shape.members.items() if m not in without}
    return st.fixed_dictionaries({}, optional=optional)


def variant(name: str, model: object, fields: dict) -> VariantSpec:
    for member, others in (
        ("ServerlessConfig", ("InstanceType", "InitialInstanceCount", "InstancePools")),
        ("InstancePools", ("InstanceType",)),
    ):
        if member in fields:
            fields = {key: value for key, value in fields.items() if key not in others}
    return VariantSpec(name, model, variant_defaults(fields) | fields)


def named_objects() -> st.SearchStrategy:
    return st.sampled_from(sorted(EXPRESSIONS)).map(lambda text: ModelObject(EXPRESSIONS[text], text))


def models() -> st.SearchStrategy:
    data = st.sampled_from(["./model.tar.gz", "$odd", "s3://bucket/m", "a: b"]) | named_objects()
    container = st.builds(
        lambda image, rest, url: {"Image": image, **rest, **({"ModelDataUrl": url} if url else {})},
        st.sampled_from(["xgboost@3.0-5", "1", "a.b/c:1"]),
        members("ContainerDefinition", "Image", "ModelDataUrl"),
        st.none() | data,
    )
    request = members("CreateModelInput", "ModelName", "Tags", "PrimaryContainer", "Containers")
    pipeline = st.lists(api_values("ContainerDefinition"), min_size=1, max_size=2).map(
        lambda each: ModelFields({}, {"Containers": each})
    )
    return (
        named_objects()
        | st.sampled_from(["live", "null", "1"]).map(NamedModel)
        | st.builds(ModelFields, container, request)
        | pipeline
    )


# Content types that are none, `{}`, are read as left out: no cell gives them.
CAPTURES = api_values("DataCaptureConfig").map(
    lambda capture: {key: value for key, value in {**CAPTURE_DEFAULTS, **capture}.items() if value != {}}
)


@st.composite
def deployments(draw: st.DrawFn, *, rolling: bool) -> dict:
    """Make DeploymentConfigs that the service would carry out."""
    config: dict = draw(members("DeploymentConfig", "BlueGreenUpdatePolicy", "RollingUpdatePolicy"))
    size = st.integers(10, 50).map(lambda part: {"Type": "CAPACITY_PERCENT", "Value": part}) | st.integers(1, 9).map(
        lambda count: {"Type": "INSTANCE_COUNT", "Value": count}
    )
    if rolling and draw(st.booleans()):
        policy = draw(members("RollingUpdatePolicy", "MaximumBatchSize", "RollbackMaximumBatchSize"))
        policy |= {"WaitIntervalInSeconds": draw(st.integers(0, 3600)), "MaximumBatchSize": draw(size)}
        return config | {"RollingUpdatePolicy": policy}
    kind, member = draw(
        st.sampled_from([("ALL_AT_ONCE", None), ("CANARY", "CanarySize"), ("LINEAR", "LinearStepSize")])
    )
    policy = draw(members("BlueGreenUpdatePolicy", "TrafficRoutingConfiguration"))
    routing = {"Type": kind, "WaitIntervalInSeconds": draw(st.integers(0, 3600))}
    policy["TrafficRoutingConfiguration"] = routing | ({member: draw(size)} if member else {})
    return config | {"BlueGreenUpdatePolicy": policy}


@st.composite
def specs(draw: st.DrawFn) -> EndpointSpec:
    fields = members("ProductionVariant", "VariantName", "ModelName")
    names = draw(st.lists(st.sampled_from(["A", "true", "1", "Linear-Model"]), min_size=1, max_size=3, unique=True))
    variants = [variant(name, draw(models()), draw(fields)) for name in names]
    if len(variants) > 1:
        variants = [
            variant(each.name, each.model, {k: v for k, v in each.fields.items() if k != "ServerlessConfig"})
            for each in variants
        ]
    if all(each.fields["InitialVariantWeight"] == 0 for each in variants):
        variants[0] = VariantSpec(
            variants[0].name, variants[0].model, {**variants[0].fields, "InitialVariantWeight": 0.1}
        )
    serverless = "ServerlessConfig" in variants[0].fields
    shadow = [variant("S", draw(models()), {})] if len(variants) == 1 and not serverless and draw(st.booleans()) else []
    config = draw(
        members(
            "CreateEndpointConfigInput",
            "EndpointConfigName",
            "ProductionVariants",
            "ShadowProductionVariants",
            "Tags",
            "DataCaptureConfig",
        )
    )
    if not serverless and draw(st.booleans()):
        config["DataCaptureConfig"] = draw(CAPTURES)
    deployment = draw(members("UpdateEndpointInput", "EndpointName", "EndpointConfigName", "DeploymentConfig"))
    if draw(st.booleans()):
        deployment["DeploymentConfig"] = draw(deployments(rolling=len(variants) == 1))
    tags = draw(
        st.dictionaries(
            st.sampled_from(fitting("TagKey")),
            st.sampled_from(fitting("TagValue")),
            max_size=3,
        )
    )
    return EndpointSpec(
        "boston", tuple(variants), tuple(shadow), config, deployment, tags, draw(st.none() | st.just(ROLE))
    )


@given(specs())
@settings(deadline=None)
def test_what_is_written_reads_as_the_same_spec(spec):
    text = to_yaml(spec)
    again = parse(text)
    assert again == spec
    assert to_yaml(again) == text


def written(value: object) -> str:
    """Return a value of the API as JSON-like YAML, which `to_yaml` has no part in."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def in_snake_case(value: object, name: str) -> object:
    shape = sagemaker().shape(name)
    if isinstance(value, list):
        return [in_snake_case(item, shape.element) for item in value]
    if shape.type != "structure":
        return value
    return {snake_case(member): in_snake_case(item, shape.members[member].shape) for member, item in value.items()}


@pytest.mark.parametrize(
    "member", sorted(set(sagemaker().shape("ProductionVariant").members) - {"VariantName", "ModelName"})
)
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_every_member_of_a_variant_is_reached_by_both_of_its_names(member, data):
    shape = sagemaker().shape("ProductionVariant").members[member].shape
    value = data.draw(api_values(shape))
    if member == "InitialVariantWeight":
        value = 3
    camel = parse(f"variants: {{A: {{model: $xgb, {member}: {written(value)}}}}}")
    snake = parse(f"variants: {{A: {{model: $xgb, {snake_case(member)}: {written(in_snake_case(value, shape))}}}}}")
    assert camel == snake
    assert camel.variants[0].fields[member] == value
    assert level("variant").find(member) is level("variant").find(snake_case(member))


def test_a_spec_with_an_unfitting_value_does_not_read_back():
    bad = EndpointSpec("boston", (VariantSpec("A", NamedModel("m"), {"InstanceType": "tiny"}),), (), {}, {}, {}, None)
    with pytest.raises(CellError, match="not an instance type"):
        parse(to_yaml(bad))
