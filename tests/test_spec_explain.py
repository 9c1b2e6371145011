from __future__ import annotations

import pytest

from sm_magics.service_model import snake_case
from sm_magics.spec import example, explain, explain_below, parse_endpoint, words


@pytest.mark.parametrize(
    ("word", "rows"),
    [
        ("weight", [("variants.NAME", "InitialVariantWeight", "a number from 0")]),
        ("InitialVariantWeight", [("variants.NAME", "InitialVariantWeight", "a number from 0")]),
        ("initial_variant_weight", [("variants.NAME", "InitialVariantWeight", "a number from 0")]),
        ("model", [("variants.NAME", "model", "$object, a name, or fields")]),
        ("memory", [("variants.NAME.serverless", "MemorySizeInMB", "a number from 1024 to 6144")]),
        ("enable_ssm_access", [("variants.NAME", "EnableSSMAccess", "true or false")]),
        ("capture_mode", [("capture.capture_options", "CaptureMode", "Input, Output, InputAndOutput")]),
        ("canary", [("deploy", "canary", "10%, or a number of instances")]),
        ("wait", [("deploy", "wait", "a duration: 90s, 5m, 1h")]),
        ("rollback_on", [("top level", "rollback_on", "a list of names and alarms, at most 10")]),
        ("above", [("rollback_on", "above", "1%, a number, or 200ms")]),
        ("deploy", [("top level", "DeploymentConfig", "all-at-once, or a mapping")]),
        ("capture", [("top level", "DataCaptureConfig", "where to, as `to` has it; or a mapping")]),
        ("wieght", []),
    ],
)
def test_a_key_is_explained_in_any_of_its_spellings(word, rows):
    assert [row[:3] for row in explain(word)] == rows


def test_a_key_of_several_levels_is_explained_for_each():
    assert [row[0] for row in explain("instance_type")] == ["variants.NAME", "variants.NAME.instance_pools"]


def test_long_lists_of_choices_are_cut_short():
    assert len(explain("instance")[0][2]) < 120


def test_every_key_has_an_explanation():
    known = {"variants", "weight", "memory", "to", "image", "volume_size_in_gb", "wait_interval_in_seconds"}
    assert known <= set(words())
    for word in words():
        assert explain(word)
        assert all(text for row in explain(word) for text in row)
        assert word == snake_case(word)


def test_what_may_stand_below_a_key_is_explained_with_its_range():
    below = {key: (takes, what) for key, takes, what in explain_below("deploy")}
    assert [*below] == ["canary", "linear", "rolling", "all-at-once", "wait", "every", "bake", "timeout"]
    assert "at most 50%" in below["canary"][1]
    assert [key for key, *_ in explain_below("rollback_on")] == ["metric", "above", "for", "stat", "variant"]
    assert [key for key, *_ in explain_below("DataCaptureConfig")] == ["to", "sample"]
    assert [key for key, *_ in explain_below("shadow")][:4] == ["model", "instance", "instances", "weight"]
    assert explain_below("role") == explain_below("wieght") == []


@pytest.mark.parametrize("word", ["variants", "models", "shadow", "deploy", "rollback_on", "capture", "tags"])
def test_an_example_is_a_cell_that_can_be_read(word):
    variables = {"linear": object(), "xgb": object(), "next": object()}
    written = example(word)
    for each in written.split("\n") if word == "deploy" else [written]:
        text = each if "variants:" in each else f"variants: {{A: $xgb}}\n{each}"
        parse_endpoint(text, "boston", variables)


def test_what_one_line_says_has_no_example():
    assert example("role") is None
    assert example("wieght") is None
