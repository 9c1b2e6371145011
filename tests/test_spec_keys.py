from __future__ import annotations

import pytest

from sm_magics.service_model import snake_case
from sm_magics.spec.keys import (
    ALARM,
    DEPLOY,
    ENDPOINT,
    METRIC,
    MODEL,
    MODEL_CELL,
    MODELS,
    ROLLBACK,
    SHORT,
    TEXTS,
    VARIANT,
    VARIANTS,
    below,
    is_level,
    level,
    sagemaker,
    written,
)

LEVELS = (ENDPOINT, VARIANT, MODEL, MODEL_CELL, "ServerlessConfig", "DeploymentConfig", "DataCaptureConfig")


def members(shape: str) -> set[str]:
    return set(sagemaker().shape(shape).members)


def test_every_member_of_a_variant_is_a_key_but_those_with_a_place_of_their_own():
    found = {key.member for key in level(VARIANT).words.values()}
    assert found == members("ProductionVariant") - {"VariantName", "ModelName"} | {"model"}


def test_every_member_of_the_requests_is_a_key_of_an_endpoint_cell():
    requests = members("CreateEndpointConfigInput") | members("CreateEndpointInput") | members("UpdateEndpointInput")
    names = {"EndpointName", "EndpointConfigName", "ProductionVariants", "ShadowProductionVariants"}
    assert {key.member for key in level(ENDPOINT).words.values()} == requests - names | {
        "variants",
        "models",
        "shadow",
        "role",
        "rollback_on",
    }


def test_every_member_of_a_container_and_of_create_model_is_a_key_of_a_model():
    found = {key.member for key in level(MODEL).words.values()}
    assert found == members("ContainerDefinition") | members("CreateModelInput") - {"ModelName", "Tags"}
    assert {key.member for key in level(MODEL_CELL).words.values()} == found | {"Tags"}


def test_every_key_is_found_in_both_cases():
    for name in (ENDPOINT, VARIANT, MODEL, "BlueGreenUpdatePolicy"):
        for key in level(name).words.values():
            assert level(name).find(snake_case(key.member)) is key
            assert level(name).find(key.member) is key


def test_no_short_key_hides_another_member():
    for shape, shorts in SHORT.items():
        snake = {snake_case(member): member for member in members(shape)}
        assert all(snake.get(short, member) == member for short, member in shorts.items())
        assert set(shorts.values()) <= members(shape)


def test_the_keys_of_different_requests_do_not_collide():
    assert not members("ContainerDefinition") & members("CreateModelInput")


def test_the_short_keys_come_first():
    assert [word for word, _ in level(VARIANT).choices()][:5] == [
        "model",
        "instance",
        "instances",
        "weight",
        "serverless",
    ]
    assert [word for word, _ in level(MODEL).choices()][:3] == ["image", "data", "env"]


@pytest.mark.parametrize(
    ("name", "word", "advice"),
    [
        (VARIANT, "wieght", "did you mean 'weight'?"),
        (VARIANT, "InstanceTyp", "did you mean 'instance_type'?"),
        (VARIANT, "ModelName", "use 'model'"),
        (VARIANT, "variant_name", "the name is the key above, under variants"),
        (VARIANT, "zzz", None),
        (ENDPOINT, "variant", "did you mean 'variants'?"),
        (ENDPOINT, "ProductionVariants", "use 'variants'"),
        (ENDPOINT, "shadow_production_variants", "use 'shadow'"),
        (ENDPOINT, "endpoint_name", "the name stands on the magic's line"),
        (DEPLOY, "rollback_on", "write it at the top level of the cell: rollback_on: [ALARM]"),
        (DEPLOY, "WaitIntervalInSeconds", "use 'wait'"),
        (DEPLOY, "all_at_once", "write all-at-once: true"),
        (ALARM, "threshold", "use 'above'"),
        (ALARM, "metrik", "did you mean 'metric'?"),
        (MODEL, "tags", "tags go to the top level of the cell"),
    ],
)
def test_advice_for_a_word_that_is_no_key(name, word, advice):
    assert level(name).find(word) is None
    assert level(name).advice(word) == advice


def test_members_are_written_short_where_there_is_a_short_key():
    assert written("ProductionVariant", "InstanceType") == "instance"
    assert written("ProductionVariant", "VolumeSizeInGB") == "volume_size_in_gb"
    assert written("CoreDumpConfig", "DestinationS3Uri") == "destination_s3_uri"


@pytest.mark.parametrize(
    ("name", "step", "found"),
    [
        (ENDPOINT, "variants", VARIANTS),
        (ENDPOINT, "models", MODELS),
        (ENDPOINT, "tags", TEXTS),
        (VARIANTS, "any name", VARIANT),
        (MODELS, "any name", MODEL),
        (VARIANT, "model", MODEL),
        (VARIANT, "serverless", "ProductionVariantServerlessConfig"),
        (VARIANT, "instance_pools", "InstancePoolList"),
        ("InstancePoolList", 0, "InstancePool"),
        (MODEL, "env", "EnvironmentMap"),
        ("EnvironmentMap", "A", "EnvironmentValue"),
        (ENDPOINT, "deploy", DEPLOY),
        (DEPLOY, "canary", "CapacitySize"),
        (DEPLOY, "rolling_update_policy", "RollingUpdatePolicy"),
        (ENDPOINT, "rollback_on", ROLLBACK),
        (ROLLBACK, 0, ALARM),
        (ALARM, "metric", METRIC),
        (METRIC, "deeper", None),
        (VARIANT, "nothing", None),
        ("Url", "deeper", None),
    ],
)
def test_every_level_knows_what_is_below(name, step, found):
    assert below(name, step) == found


def test_only_levels_with_known_keys_are_levels():
    assert all(is_level(name) for name in LEVELS if name != "ServerlessConfig")
    assert not any(is_level(name) for name in (VARIANTS, MODELS, TEXTS, "Url", "EnvironmentMap", "TagList"))


def test_every_key_has_help_of_one_sentence():
    for name in (ENDPOINT, VARIANT, MODEL_CELL, DEPLOY, ALARM):
        for key in level(name).words.values():
            assert key.help
            assert "<" not in key.help
