from __future__ import annotations

import pytest

from sm_magics.errors import CellError
from sm_magics.spec import EndpointSpec, ModelFields, ModelObject, NamedModel, VariantSpec, parse_endpoint

LINEAR, XGB = object(), object()
VARIABLES = {
    "linear": LINEAR,
    "xgb": XGB,
    "cfg": {"A": XGB, "B": {"model": LINEAR, "weight": 3}},
    "n": 4,
    "pool": {"InstanceType": "ml.m5.large", "Priority": 1},
}
ROLE = "arn:aws:iam::123456789012:role/Serving"
DEFAULTS = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1, "InitialVariantWeight": 1}
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://b/p",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
}


def parse(text: str) -> EndpointSpec:
    return parse_endpoint(text, "boston", VARIABLES)


def error(text: str, name: str = "boston", **options) -> str:
    with pytest.raises(CellError) as caught:
        parse_endpoint(text, name, VARIABLES, **options)
    return str(caught.value)


def complaints(text: str) -> list[str]:
    """Return the first line of every problem, and its hint if there is one."""
    found = [each.splitlines() for each in error(text).split("\n\n")]
    return [
        rows[0] if rows[-1].endswith("^") or len(rows) == 1 else f"{rows[0]} / {rows[-1].strip()}" for rows in found
    ]


def test_two_variants_with_their_defaults():
    spec = parse("variants:\n  Linear-Model: {model: $linear, instance: ml.m5.xlarge, weight: 4}\n  XGB-Model: $xgb\n")
    assert spec == EndpointSpec(
        name="boston",
        variants=(
            VariantSpec(
                "Linear-Model",
                ModelObject(LINEAR, "$linear"),
                {"InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1, "InitialVariantWeight": 4},
            ),
            VariantSpec("XGB-Model", ModelObject(XGB, "$xgb"), DEFAULTS),
        ),
        shadow=(),
        config={},
        deployment={},
        tags={},
        role=None,
    )


def test_everything_that_an_endpoint_can_have():
    spec = parse(f"""
variants:
  A: xgb
models:
  xgb: {{image: xgboost@3.0-5, data: ./model.tar.gz, env: {{SAGEMAKER_INFERENCE_OUTPUT: predicted_score}}}}
shadow: {{B: {{model: live-model, weight: 0.5}}}}
deploy:
  blue_green_update_policy:
    traffic_routing_configuration: {{type: ALL_AT_ONCE, wait_interval_in_seconds: 0}}
retain_all_variant_properties: true
capture: {{to: s3://b/p}}
kms_key_id: key
VpcConfig: {{SecurityGroupIds: [sg-1], subnets: [subnet-1]}}
tags: {{team: pricing, cost: 010}}
role: {ROLE}
""")
    env = {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_score"}
    fields = ModelFields({"Image": "xgboost@3.0-5", "ModelDataUrl": "./model.tar.gz", "Environment": env}, {})
    assert spec.variants == (VariantSpec("A", fields, DEFAULTS),)
    assert spec.shadow == (VariantSpec("B", NamedModel("live-model"), {**DEFAULTS, "InitialVariantWeight": 0.5}),)
    assert spec.config == {
        "DataCaptureConfig": CAPTURE,
        "KmsKeyId": "key",
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
    }
    policy = {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}
    assert spec.deployment == {
        "DeploymentConfig": {"BlueGreenUpdatePolicy": policy},
        "RetainAllVariantProperties": True,
    }
    assert (spec.tags, spec.role) == ({"team": "pricing", "cost": "010"}, ROLE)


@pytest.mark.parametrize(
    ("variant", "fields"),
    [
        (
            "serverless: {memory: 2048, concurrency: 5}",
            {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}, "InitialVariantWeight": 1},
        ),
        (
            "instance_pools: [{instance_type: ml.m5.large, priority: 1}], instances: 2",
            {
                "InstancePools": [{"InstanceType": "ml.m5.large", "Priority": 1}],
                "InitialInstanceCount": 2,
                "InitialVariantWeight": 1,
            },
        ),
    ],
)
def test_defaults_stay_out_where_they_would_contradict(variant, fields):
    assert parse(f"variants: {{A: {{model: $xgb, {variant}}}}}").variants[0].fields == fields


@pytest.mark.parametrize(
    "capture",
    [
        "capture: s3://b/p",
        "capture: {to: s3://b/p, sample: 100%}",
        "capture: {to: s3://b/p, sample: 100}",
        "DataCaptureConfig: {DestinationS3Uri: s3://b/p, initial_sampling_percentage: 100 %}",
        "data_capture_config: {to: s3://b/p, capture_options: [{capture_mode: Input}, {CaptureMode: Output}]}",
    ],
)
def test_capture_has_a_short_form_and_its_own_fields(capture):
    assert parse(f"variants: {{A: $xgb}}\n{capture}").config == {"DataCaptureConfig": CAPTURE}


@pytest.mark.parametrize("place", ["./captured", "../x y", "/kept/x", "~/x", "file:///tmp/x"])
def test_a_directory_to_capture_to_stays_as_it_is_written(place):
    for capture in (f'"{place}"', f'{{to: "{place}"}}'):
        (config,) = parse(f"variants: {{A: $xgb}}\ncapture: {capture}").config.values()
        assert config == {**CAPTURE, "DestinationS3Uri": place}


def test_what_is_kept_as_text_is_csv_and_json_unless_the_cell_lists_other_types():
    header = CAPTURE["CaptureContentTypeHeader"]
    assert header == {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]}
    start = "variants: {A: $xgb}\ncapture: {to: s3://b/p, capture_content_type_header: "
    none = parse(start + "{}}").config["DataCaptureConfig"]
    assert none == {key: value for key, value in CAPTURE.items() if key != "CaptureContentTypeHeader"}
    other = parse(start + "{csv_content_types: [text/plain]}}").config["DataCaptureConfig"]
    assert other["CaptureContentTypeHeader"] == {"CsvContentTypes": ["text/plain"]}


def test_capture_may_differ_from_the_defaults():
    capture = parse(
        "variants: {A: $xgb}\ncapture: {to: s3://b/p, sample: 5%, capture_options: [{capture_mode: Input}]}"
    ).config
    assert capture == {
        "DataCaptureConfig": {**CAPTURE, "InitialSamplingPercentage": 5, "CaptureOptions": [{"CaptureMode": "Input"}]}
    }


def test_variants_may_come_from_the_notebook():
    spec = parse("variants: $cfg")
    assert spec.variants == (
        VariantSpec("A", ModelObject(XGB, "${cfg['A']}"), DEFAULTS),
        VariantSpec("B", ModelObject(LINEAR, "${cfg['B']['model']}"), {**DEFAULTS, "InitialVariantWeight": 3}),
    )


def test_one_model_may_serve_two_variants():
    spec = parse("models: {xgb: $xgb}\nvariants: {A: xgb, B: {model: xgb, weight: 0}}")
    assert [each.model for each in spec.variants] == [ModelObject(XGB, "$xgb")] * 2


def test_line_breaks_of_windows_change_nothing():
    text = "variants:\n  Größe: 1\n  B:\n    wieght: 2\n    model: $xgb\n"
    assert error(text.replace("\n", "\r\n")) == error(text)


def test_all_problems_are_shown_at_once_in_the_order_of_the_lines():
    text = """variants:
  Linear-Model: {model: $linaer, weight: -1}
  my_model: {model: $xgb, instance: ml.m5.larg}
tags: {a: }
role: me
"""
    assert (
        error(text, "my_endpoint")
        == """\
endpoint name 'my_endpoint' may hold letters, digits and hyphens only

line 2: $linaer is not defined
     1 | variants:
  -> 2 |   Linear-Model: {model: $linaer, weight: -1}
       |                         ^
  did you mean '$linear'?

line 2: weight must be at least 0, not -1
     1 | variants:
  -> 2 |   Linear-Model: {model: $linaer, weight: -1}
       |                                          ^

line 3: variant name 'my_model' may hold letters, digits and hyphens only
     2 |   Linear-Model: {model: $linaer, weight: -1}
  -> 3 |   my_model: {model: $xgb, instance: ml.m5.larg}
       |   ^

line 3: 'ml.m5.larg' is not an instance type
     2 |   Linear-Model: {model: $linaer, weight: -1}
  -> 3 |   my_model: {model: $xgb, instance: ml.m5.larg}
       |                                     ^
  did you mean 'ml.m5.large'?

line 4: a has no value
     3 |   my_model: {model: $xgb, instance: ml.m5.larg}
  -> 4 | tags: {a: }
       |        ^
  write "" for an empty text

line 5: role must be an ARN such as arn:aws:iam::123456789012:role/Name, not 'me'
     4 | tags: {a: }
  -> 5 | role: me
       |       ^"""
    )


def test_a_syntax_error_stands_alone():
    assert error("variants: {A: $nope\n", "my_endpoint").startswith("line 1: the '{' is never closed\n")


def test_lines_are_numbered_as_the_reader_numbers_them():
    text = error("variants: {A: $xgb}\nvariants: {A: $xgb}\nmodels: {m: {}}", first_line=2)
    assert "line 3: key 'variants' is already on line 2\n     2 | variants" in text
    assert "line 4: a model needs" in text


HOW = "write variants: {NAME: $model}"
HOW_CAPTURE = "write capture: {to: s3://bucket/prefix, sample: 20%}"
HOW_MODEL = "write $object, or a mapping with image, data and env"
V = "variants: {A: $xgb}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [f"the cell names no variants / {HOW}"]),
        ("# only words", [f"the cell names no variants / {HOW}"]),
        ("words", [f"line 1: an endpoint cell holds keys and values, not 'words' / {HOW}"]),
        (
            "variants:1",
            ["line 1: an endpoint cell holds keys and values, not 'variants:1' / put a space after 'variants:'"],
        ),
        ("$n", [f"line 1: an endpoint cell holds keys and values, not 4 ($n, int) / {HOW}"]),
        ("- a", [f"line 1: an endpoint cell holds keys and values, not a list / {HOW}"]),
        ("tags: {a: b}", [f"line 1: the cell has no 'variants' / {HOW}"]),
        ("variant: {A: $xgb}", ["line 1: unknown key 'variant' / did you mean 'variants'?"]),
        ("variants: ", [f"line 1: 'variants' holds no names / {HOW}"]),
        ("variants: {}", [f"line 1: 'variants' holds no names / {HOW}"]),
        ("variants: [A]", [f"line 1: 'variants' holds no names / {HOW}"]),
        ("variants: $nope", ["line 1: $nope is not defined / run the cell that defines it first"]),
        ("variants:\n  A:$xgb", ["line 2: 'variants' holds no names / put a space after 'A:'"]),
        ("variants: {A: }", [f"line 1: variant 'A' has no value / {HOW_MODEL}"]),
        ("variants: {A: 5}", [f"line 1: variant 'A' cannot be 5 / {HOW_MODEL}"]),
        ("variants: {A: [x]}", [f"line 1: variant 'A' cannot be a list / {HOW_MODEL}"]),
        ("variants: {A: {}}", ["line 1: variant 'A' needs 'model'"]),
        ("variants: {A: {modle: $xgb}}", ["line 1: unknown key 'modle' / did you mean 'model'?"]),
        ("variants: {A: {model: }}", [f"line 1: the model of variant 'A' has no value / {HOW_MODEL}"]),
        ("variants: {A: {model: $xgb, model_name: m}}", ["line 1: unknown key 'model_name' / use 'model'"]),
        ("variants: {A: my_model}", ["line 1: model name 'my_model' may hold letters, digits and hyphens only"]),
        ("variants: {A-: $xgb}", ["line 1: variant name 'A-' must start and end with a letter or a digit"]),
        (
            f"variants: {{{'A' * 64}: $xgb}}",
            [f"line 1: variant name '{'A' * 59}…' is too long: it has 64 characters, at most 63"],
        ),
        (
            "variants: {A: {model: $xgb, serverless: {memory: 2048, concurrency: 5}, instance: ml.m5.large}}",
            ["line 1: 'instance' has no place beside 'serverless' / remove one of the two"],
        ),
        (
            "variants:\n  A: {model: m, InstanceType: ml.m5.large, InstancePools: [$pool]}",
            ["line 2: 'InstanceType' has no place beside 'InstancePools' / remove one of the two"],
        ),
        (
            V + "models: {m: $xgb}",
            ["line 2: model 'm' is not used by any variant / remove it, or write model: m in a variant"],
        ),
        (V + "models: {}", ["line 2: 'models' holds no names / write NAME: {image: ..., data: ...}"]),
        ("variants: {A: m}\nmodels: {m: }", [f"line 2: model 'm' has no value / {HOW_MODEL}"]),
        (V + "shadow: {A: $linear}", ["line 2: variant name 'A' is used twice / give the shadow another name"]),
        (V + "shadow: {}", ["line 2: 'shadow' holds no names / write shadow: {NAME: $model}"]),
        (V + "bake: 5m", ["line 2: unknown key 'bake' / write it in deploy: {canary: 10%, wait: 5m}"]),
        (V + "sample: 5%", [f"line 2: unknown key 'sample' / {HOW_CAPTURE.replace('write', 'write it in')}"]),
        (V + "deploy: {deployment_config: {}}", ["line 2: unknown key 'deployment_config' / its fields stand here"]),
        (V + "capture: true", [f"line 2: capture must be keys and values, not true / {HOW_CAPTURE}"]),
        (V + "capture: {sample: 20%}", [f"line 2: capture needs 'to' / {HOW_CAPTURE}"]),
        (V + "capture: {to: s3://b/p, sample: 200%}", ["line 2: sample must be at most 100%, not 200%"]),
        (
            V + "deploy: {blue_green_update_policy: {}}",
            ["line 2: blue_green_update_policy needs 'traffic_routing_configuration'"],
        ),
        (V + "ProductionVariants: []", ["line 2: unknown key 'ProductionVariants' / use 'variants'"]),
        (
            V + "EndpointConfigName: c",
            ["line 2: unknown key 'EndpointConfigName' / the endpoint config gets its name from its content"],
        ),
        (V + "capture: {}", [f"line 2: capture needs 'to' / {HOW_CAPTURE}"]),
        (V + "capture: 3", [f"line 2: capture must be keys and values, not 3 / {HOW_CAPTURE}"]),
        (
            V + "capture: captured",
            [
                (
                    "line 2: capture must be an address such as s3://bucket/prefix, not 'captured' / "
                    "for a directory of this machine write ./captured"
                )
            ],
        ),
        (V + "capture: {to: ftp://b/p}", ["line 2: to must be an address such as s3://bucket/prefix, not 'ftp://b/p'"]),
        (V + "capture: {to: s3://b/p, sample: 101%}", ["line 2: sample must be at most 100%, not 101%"]),
        (V + "capture: {to: s3://b/p, sample: all}", ["line 2: sample must be a whole number, not 'all'"]),
        (
            V + "capture: {to: s3://b/p}\nDataCaptureConfig: {}",
            ["line 3: 'DataCaptureConfig' and 'capture' are the same / keep one of the two"],
        ),
        (V + "role: ", ["line 2: role has no value / give it one, or remove the key"]),
    ],
)
def test_endpoint_cells_that_are_refused(text, expected):
    assert complaints(text) == expected


def names(count: int) -> str:
    return ", ".join(f"V{n}: $xgb" for n in range(count))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"variants: {{{names(11)}}}", ["line 1: 11 variants; an endpoint takes at most 10"]),
        (
            f"variants: {{{names(10)}}}\nshadow: {{S: $xgb}}",
            [
                "line 1: 11 variants; an endpoint takes at most 10",
                "line 2: a shadow needs exactly one variant to follow, not 10",
            ],
        ),
        (V + "shadow: {S: $xgb, T: $xgb}", ["line 2: 2 shadow variants; an endpoint takes at most 1"]),
        (
            "variants:\n  A: {model: $xgb, weight: 0}\n  B: {model: $linear, weight: 0.0}\n",
            ["line 1: all weights are zero / give at least one variant a weight above 0"],
        ),
        (
            "variants:\n  A: $xgb\n  B: {model: $linear, serverless: {memory: 2048, concurrency: 5}}\n",
            ["line 3: 'B' is serverless and must be the only variant"],
        ),
        (
            "variants: {B: {model: $linear, serverless: {memory: 2048, concurrency: 5}}}\ncapture: {to: s3://b/p}",
            ["line 2: a serverless variant cannot be captured / remove one of the two"],
        ),
    ],
)
def test_what_the_service_would_refuse_later_is_refused_now(text, expected):
    assert complaints(text) == expected


def test_ten_variants_one_shadow_and_weights_of_zero_are_in_order():
    assert len(parse(f"variants: {{{names(10)}}}").variants) == 10
    assert len(parse(V + "shadow: {S: {model: $xgb, weight: 0}}").shadow) == 1
    assert len(parse("variants: {A: $xgb, B: {model: $xgb, weight: 0}}").variants) == 2
    serverless = "variants: {A: {model: $xgb, serverless: {memory: 2048, concurrency: 5}}}\n"
    off = f"{serverless}capture: {{to: s3://b/p, enable_capture: false}}"
    assert parse(off).config["DataCaptureConfig"]["EnableCapture"] is False


def test_names_that_differ_by_case_are_different():
    assert [each.name for each in parse("variants: {A: $xgb, a: $xgb}").variants] == ["A", "a"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_endpoint", "endpoint name 'my_endpoint' may hold letters, digits and hyphens only"),
        ("-x", "endpoint name '-x' must start and end with a letter or a digit"),
        ("", "endpoint name '' must start and end with a letter or a digit"),
        ("e" * 64, f"endpoint name '{'e' * 59}…' is too long: it has 64 characters, at most 63"),
    ],
)
def test_the_name_is_checked_without_a_line(name, message):
    assert error(V, name) == message
