"""Values of all kinds, through one variant: how they are read, and what is said about those that are wrong."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from sm_magics.errors import CellError
from sm_magics.spec import parse_endpoint

VARIABLES = {
    "m": object(),
    "frame": pd.DataFrame(),
    "minus": -1,
    "half": np.float32(0.5),
    "three": np.int64(3),
    "yes": np.True_,
    "array": np.array(4),
    "nan": math.nan,
    "text": "2",
    "none": None,
    "third": Fraction(1, 3),
    "cfg": {"memory": 2048, "concurrency": np.int32(5)},
    "pools": ({"instance_type": "ml.m5.large", "priority": 1},),
    "env": {"A": True, "B": 1, "C": "x", "D": np.float64(0.5), "F": False},
    "big": 2**40,
}


def fields(text: str) -> dict:
    return dict(parse_endpoint(f"variants: {{A: {{model: $m, {text}}}}}", "e", VARIABLES).variants[0].fields)


def complaint(text: str) -> tuple[str, str, str | None]:
    """Return the message, what stands above the caret, and the hint of the only problem."""
    with pytest.raises(CellError) as caught:
        parse_endpoint(f"variants:\n  A:\n    model: $m\n    {text}\n", "e", VARIABLES)
    rows = str(caught.value).splitlines()
    caret = next(number for number, row in enumerate(rows) if row.endswith("^"))
    message = rows[0].split(": ", 1)[1]
    assert "" not in rows, "one problem only"
    return message, rows[caret - 1][rows[caret].index("^") :], rows[caret + 1].strip() if rows[caret + 1 :] else None


@pytest.mark.parametrize(
    ("text", "member", "value"),
    [
        ("weight: 2", "InitialVariantWeight", 2),
        ("weight: 0.5", "InitialVariantWeight", 0.5),
        ("weight: $half", "InitialVariantWeight", 0.5),
        ("instances: $three", "InitialInstanceCount", 3),
        ("instances: $array", "InitialInstanceCount", 4),
        ("EnableSSMAccess: $yes", "EnableSSMAccess", True),
        ("enable_ssm_access: false", "EnableSSMAccess", False),
        ("instance: ml.m5.xlarge", "InstanceType", "ml.m5.xlarge"),
        ("serverless: $cfg", "ServerlessConfig", {"MemorySizeInMB": 2048, "MaxConcurrency": 5}),
        (
            "serverless: {MemorySizeInMB: 2048, max_concurrency: 5}",
            "ServerlessConfig",
            {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
        ),
        ("instance_pools: $pools", "InstancePools", [{"InstanceType": "ml.m5.large", "Priority": 1}]),
        (
            "InstancePools: [{InstanceType: ml.m5.large, Priority: 1}]",
            "InstancePools",
            [{"InstanceType": "ml.m5.large", "Priority": 1}],
        ),
    ],
)
def test_values_keep_their_type(text, member, value):
    found = fields(text)[member]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message", "at", "hint"),
    [
        ("wieght: 2", "unknown key 'wieght'", "wieght: 2", "did you mean 'weight'?"),
        ("weight: -1", "weight must be at least 0, not -1", "-1", None),
        ("weight: $minus", "weight must be at least 0, not -1 ($minus, int)", "$minus", None),
        ("weight: '2'", "weight must be a number, not '2'", "'2'", "write it without quotes"),
        ("weight: $text", "weight must be a number, not '2' ($text, str)", "$text", None),
        ("weight: $frame", "weight must be a number, not $frame (DataFrame)", "$frame", None),
        ("weight: $third", "weight must be a number, not $third (Fraction)", "$third", None),
        ("weight: $yes", "weight must be a number, not true ($yes, bool)", "$yes", None),
        ("weight: .nan", "weight must be a finite number, not nan", ".nan", None),
        ("weight: $nan", "weight must be a finite number, not nan ($nan, float)", "$nan", None),
        ("weight: 1e999", "weight must be a finite number, not inf", "1e999", None),
        ("weight:", "weight has no value", "weight:", "give it one, or remove the key"),
        ("weight: $none", "weight has no value: $none is None", "weight: $none", "give it one, or remove the key"),
        ("weight: [1]", "weight must be a number, not a list", "weight: [1]", None),
        ("weight: {a: 1}", "weight must be a number, not keys and values", "weight: {a: 1}", None),
        ("weight: $undefined", "$undefined is not defined", "$undefined", "run the cell that defines it first"),
        ("instances: 1.5", "instances must be a whole number, not 1.5", "1.5", None),
        ("instances: 0", "instances must be at least 1, not 0", "0", None),
        ("instances: 5000000000", "instances is too large a number: 5000000000", "5000000000", None),
        ("instances: $big", "instances is too large a number: 1099511627776 ($big, int)", "$big", None),
        ("enable_ssm_access: yes", "enable_ssm_access must be true or false, not 'yes'", "yes", "write true"),
        ("EnableSSMAccess: False", "EnableSSMAccess must be true or false, not 'False'", "False", "write false"),
        ("enable_ssm_access: 1", "enable_ssm_access must be true or false, not 1", "1", None),
        ("instance: ml.m5.larg", "'ml.m5.larg' is not an instance type", "ml.m5.larg", "did you mean 'ml.m5.large'?"),
        ("instance: tiny", "'tiny' is not an instance type", "tiny", "ml.m5.large is one"),
        ("instance: 5", "instance must be text, not 5", "5", "put quotes around it"),
        ("serverless: 5", "serverless must be keys and values, not 5", "5", None),
        ("serverless: [1]", "serverless must be keys and values, not a list", "serverless: [1]", None),
        ("serverless: {concurrency: 5}", "serverless needs 'memory'", "serverless: {concurrency: 5}", None),
        (
            "serverless: {memroy: 2048, concurrency: 5}",
            "unknown key 'memroy'",
            "memroy: 2048, concurrency: 5}",
            "did you mean 'memory'?",
        ),
        ("serverless: {memory: 2048, concurrency: 500}", "concurrency must be at most 200, not 500", "500}", None),
        (
            "serverless:\n      memory:2048",
            "serverless must be keys and values, not 'memory:2048'",
            "memory:2048",
            "put a space after 'memory:'",
        ),
        (
            "instance_pools: {a: 1}",
            "instance_pools must be a list, not keys and values",
            "instance_pools: {a: 1}",
            "put it in brackets: [...]",
        ),
        ("instance_pools: []", "instance_pools takes at least 1 entry, not 0", "instance_pools: []", None),
        ("instance_pools: [5]", "instance_pools[0] must be keys and values, not 5", "5]", None),
        ("instance_pools: [{priority: 1}]", "instance_pools[0] needs 'instance_type'", "{priority: 1}]", None),
        (
            "routing_config: {routing_strategy: RANDON}",
            "routing_strategy cannot be 'RANDON'",
            "RANDON}",
            "did you mean 'RANDOM'?",
        ),
        (
            "managed_instance_scaling: {status: quick}",
            "status cannot be 'quick'",
            "quick}",
            "write ENABLED or DISABLED",
        ),
        (
            "core_dump_config: {destination_s3_uri: here}",
            "destination_s3_uri must be an address such as s3://bucket/prefix, not 'here'",
            "here}",
            None,
        ),
        ("core_dump_config: {}", "core_dump_config needs 'destination_s3_uri'", "core_dump_config: {}", None),
        (
            "capacity_reservation_config: {ml_reservation_arn: x}",
            "ml_reservation_arn must be an ARN such as arn:aws:..., not 'x'",
            "x}",
            None,
        ),
        (
            "core_dump_config: {destination_s3_uri: s3://b/p, kms_key_id: a b}",
            "kms_key_id 'a b' may hold letters, digits and : / _ - only",
            "a b}",
            None,
        ),
    ],
)
def test_what_is_wrong_is_said_in_plain_words_at_its_place(text, message, at, hint):
    assert complaint(text) == (message, at, hint)


def test_the_same_value_under_two_names_is_refused():
    message, at, hint = complaint("weight: 1\n    InitialVariantWeight: 1")
    assert message == "'InitialVariantWeight' and 'weight' are the same"
    assert (at, hint) == ("InitialVariantWeight: 1", "keep one of the two")


def test_a_number_in_a_scalar_that_is_too_long_for_one_is_no_crash():
    assert complaint(f"weight: {'9' * 5000}")[0] == "weight must be a finite number, not inf"


def container(text: str) -> dict:
    spec = parse_endpoint(f"variants: {{A: {{model: {{image: i, {text}}}}}}}", "e", VARIABLES)
    return dict(spec.variants[0].model.container)


def test_environment_values_become_text_as_they_are_written():
    written = container("env: {A: 010, B: true, C: 1.50, D: '5', E: on, F: $text, G: $half, H: $$x, I: ''}")[
        "Environment"
    ]
    assert written == {
        "A": "010",
        "B": "true",
        "C": "1.50",
        "D": "5",
        "E": "on",
        "F": "2",
        "G": "0.5",
        "H": "$x",
        "I": "",
    }
    assert container("env: $env")["Environment"] == {"A": "true", "B": "1", "C": "x", "D": "0.5", "F": "false"}


def test_keys_of_maps_stay_as_they_are():
    assert container("Environment: {SageMakerThing: x, snake_case: y}")["Environment"] == {
        "SageMakerThing": "x",
        "snake_case": "y",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{A: null}", "A has no value"),
        ("{A: $none}", "A has no value: $none is None"),
        ("{A: [1]}", "A must be text, not a list"),
        ("{A: $frame}", "A must be text, not $frame (DataFrame)"),
        ("{1A: x}", "key '1A' may hold letters, digits and _ only, and starts with no digit"),
        ("5", "env must be keys and values, not 5"),
    ],
)
def test_environments_that_are_refused(text, message):
    with pytest.raises(CellError) as caught:
        container(f"env: {text}")
    assert str(caught.value).splitlines()[0] == f"line 1: {message}"
