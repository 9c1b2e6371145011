from __future__ import annotations

import gc
import json
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics import service_model
from sm_magics.errors import SmError

SAGEMAKER = service_model.load("sagemaker")
SERVED = ("sagemaker", "sagemaker-runtime", "logs", "application-autoscaling", "cloudwatch")


def rules(operation: str, request: dict) -> list[tuple]:
    return [(v.path, v.rule) for v in SAGEMAKER.check(SAGEMAKER.input(operation), request)]


def test_a_good_request_breaks_no_rule():
    assert rules("CreateEndpoint", {"EndpointName": "boston", "EndpointConfigName": "boston-1"}) == []


def test_every_broken_rule_is_reported_with_the_path_to_it():
    request = {
        "EndpointConfigName": "under_score",
        "ProductionVariants": [
            {"VariantName": "A", "InstanceType": "ml.nope", "InitialVariantWeight": -1, "InitialInstanceCount": "2"},
            {"Colour": "red"},
        ],
    }
    assert rules("CreateEndpointConfig", request) == [
        (("EndpointConfigName",), "pattern"),
        (("ProductionVariants", 0, "InstanceType"), "enum"),
        (("ProductionVariants", 0, "InitialVariantWeight"), "min"),
        (("ProductionVariants", 0, "InitialInstanceCount"), "type"),
        (("ProductionVariants", 1, "VariantName"), "required"),
        (("ProductionVariants", 1, "Colour"), "unknown"),
    ]


def test_lists_and_maps_are_bounded_in_length():
    variants = [{"VariantName": f"V{n}"} for n in range(11)]
    assert (("ProductionVariants",), "max") in rules(
        "CreateEndpointConfig", {"EndpointConfigName": "c", "ProductionVariants": variants}
    )
    environment = {f"K{n}": "v" for n in range(101)}
    assert (("PrimaryContainer", "Environment"), "max") in rules(
        "CreateModel", {"ModelName": "m", "PrimaryContainer": {"Environment": environment}}
    )


def test_a_boolean_is_no_number():
    config = {"EndpointName": "e", "DesiredWeightsAndCapacities": [{"VariantName": "A", "DesiredInstanceCount": True}]}
    assert rules("UpdateEndpointWeightsAndCapacities", config) == [
        (("DesiredWeightsAndCapacities", 0, "DesiredInstanceCount"), "type")
    ]


def test_pruning_keeps_all_that_the_operations_need():
    pruned = service_model.load("sagemaker", ("CreateEndpointConfig", "DeleteEndpoint"))
    assert set(pruned.operations) == {"CreateEndpointConfig", "DeleteEndpoint"}
    request = {"EndpointConfigName": "c", "ProductionVariants": [{"VariantName": "A", "InstanceType": "ml.m5.large"}]}
    assert list(pruned.check(pruned.input("CreateEndpointConfig"), request)) == []
    assert pruned.output("DeleteEndpoint") is None


@pytest.mark.parametrize("indent", [None, 2])
def test_a_part_of_a_document_is_what_the_whole_says(indent):
    structure = {"type": "structure", "members": {"A": {"shape": "Text", "documentation": "{\\"}}}
    document = {
        "version": "2.0",
        "metadata": {"targetPrefix": "S"},
        "operations": {
            "Do": {"name": "Do", "input": {"shape": "Asked"}},
            "Undo": {"name": "Undo", "input": {"shape": "Other"}},
            "Rest": {"name": "Rest"},
        },
        "shapes": {"Asked": structure, "Other": structure, "Text": {"type": "string"}, "Empty": {}},
        "documentation": "}",
    }
    assert service_model._part(json.dumps(document, indent=indent), ("Do", "Rest")) == {
        "metadata": document["metadata"],
        "operations": {name: document["operations"][name] for name in ("Do", "Rest")},
        "shapes": {name: document["shapes"][name] for name in ("Asked", "Text")},
    }


def test_a_part_leaves_nothing_of_the_whole_in_memory():
    gc.disable()
    tracemalloc.start()
    try:
        kept = service_model.load("sagemaker", ("DescribeEndpoint",))
        now, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert kept
    assert now < 1e6


@pytest.mark.parametrize("service", SERVED)
def test_every_pattern_of_the_services_we_speak_compiles(service):
    model = service_model.load(service)
    patterns = {raw["pattern"] for raw in model._shapes.values() if "pattern" in raw}
    assert patterns
    for pattern in patterns:
        re.compile(service_model._translate(pattern))


@pytest.mark.parametrize(
    ("pattern", "fits", "fails"),
    [
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", ["team", "équipe 7", "日本", "a:b/c=d+e-f@g"], ["a,b", "naïve!", "a\tb"]),
        (r"\A\S[\p{Print}]*\z", ["id 7~"], [" id", "aé", "a\n"]),
        (r"\p{ASCII}*", ["", "a\tb"], ["é"]),
        (r"arn:[\p{Alnum}\-]+:x", ["arn:aws-cn:x"], ["arn:aws_cn:x", "arn:é:x"]),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", ["a\t😀é"], ["a\nb", "\x00"]),
        (r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", ["a", "a--b"], ["-a", "a-", "a_b", ""]),
    ],
)
def test_java_patterns_mean_what_they_mean_in_java(pattern, fits, fails):
    assert [text for text in fits if not service_model.matches(pattern, text)] == []
    assert [text for text in fails if service_model.matches(pattern, text)] == []


@given(st.text())
def test_matching_any_text_terminates_without_an_error(text):
    service_model.matches(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", text)


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("InstanceType", "instance_type"),
        ("VolumeSizeInGB", "volume_size_in_gb"),
        ("EnableSSMAccess", "enable_ssm_access"),
        ("KmsKeyId", "kms_key_id"),
        ("DestinationS3Uri", "destination_s3_uri"),
    ],
)
def test_names_in_snake_case(name, snake):
    assert service_model.snake_case(name) == snake


def test_no_two_members_of_a_structure_share_their_snake_case_name():
    for name in SAGEMAKER._shapes:
        members = list(SAGEMAKER.shape(name).members)
        assert len({service_model.snake_case(member) for member in members}) == len(members), name


def test_the_summary_is_the_first_sentence_as_plain_text():
    text = '<p>The name of the <a href="x">model</a>. Must be unique.</p>'
    assert service_model.summary(text) == "The name of the model"


def test_a_service_that_botocore_does_not_have_is_an_error():
    with pytest.raises(SmError, match="no service model for 'sagebaker'"):
        service_model.load("sagebaker")
