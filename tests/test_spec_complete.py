"""Cells in the making, with `|` where the cursor is."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sm_magics.spec import Suggestions, parse_endpoint, suggest
from sm_magics.spec.keys import level

VARIABLES = ["xgb", "linear", "_hidden", "X_test"]


def at(marked: str, cell: str = "endpoint") -> Suggestions:
    before, after = marked.split("|")
    lines = before.split("\n")
    return suggest(before + after, len(lines) - 1, len(lines[-1]), VARIABLES, cell=cell)


def texts(marked: str, cell: str = "endpoint") -> list[str]:
    return [each.text for each in at(marked, cell).items]


@pytest.mark.parametrize(
    ("marked", "first"),
    [
        ("|", ["variants", "models", "shadow", "tags", "role"]),
        ("variants: {A: $xgb}\n|", ["models", "shadow", "tags", "role", "deploy", "rollback_on", "capture"]),
        ("|\nvariants: {A: $xgb}", ["models", "shadow", "tags", "role", "deploy", "rollback_on", "capture"]),
        ("variants:\n  A:\n    |", ["model", "instance", "instances", "weight", "serverless", "instance_type"]),
        ("variants:\n  A:\n\n    # words\n    |", ["model", "instance"]),
        ("variants:\n  A:\n    weight: 2\n    |\n  B: $xgb\n", ["model", "instance", "instances", "serverless"]),
        ("variants:\n  A:\n    |\n    weight: 2\n", ["model", "instance", "instances", "serverless"]),
        ("variants:\n  A: {|", ["model", "instance"]),
        ("variants: {A: {weight: 1, |}}", ["model", "instance", "instances", "serverless"]),
        ("variants: {A: {|, weight: 1}}", ["model", "instance", "instances", "serverless"]),
        ("variants: {A: {weight: 1}, B: {|", ["model", "instance", "instances", "weight"]),
        ("variants:\n  A:\n    serverless: {memory: 2048, |}", ["concurrency", "provisioned", "max_concurrency"]),
        ("variants:\n  A:\n    serverless:\n      |", ["memory", "concurrency", "provisioned", "memory_size_in_mb"]),
        ("variants:\n  A:\n    InitialVariantWeight: 2\n    w|", []),
        ("variants:\n  A:\n    wei|ght: 2\n", ["weight"]),
        ("shadow:\n  A:\n    mod|", ["model", "model_data_download_timeout_in_seconds"]),
        ("models:\n  m: {|", ["image", "data", "env", "role"]),
        ("variants:\n  A:\n    model:\n      im|", ["image", "image_config"]),
        ("deploy:\n  auto_rollback_configuration:\n    alarms:\n      - |", ["alarm_name"]),
        ("deploy:\n  auto_rollback_configuration:\n    alarms:\n    - alarm_name: a\n    - al|", ["alarm_name"]),
        ("deploy:\n  auto_rollback_configuration:\n    alarms: [{alarm_name: a}, {|}]", ["alarm_name"]),
        (
            "variants:\n  A:\n    instance_pools:\n      - priority: 1\n        |",
            ["instance_type", "model_name_override"],
        ),
        (
            "variants:\n  A:\n    instance_pools:\n      - |\n        priority: 1\n",
            ["instance_type", "model_name_override"],
        ),
        ("variants:\n  A:\n    INST|", ["instance", "instances", "instance_type", "instance_pools"]),
        ('variants:\n  "A": {"wei|', ["weight"]),
        ("capture: {to: s3://b/p, sa|", ["sample"]),
        ("deploy: {|", ["canary", "linear", "rolling", "all-at-once", "wait", "every", "bake", "timeout"]),
        ("deploy:\n  canary: 10%\n  w|", ["wait"]),
        ("rollback_on: [{|", ["metric", "above", "for", "stat", "variant"]),
        ("rollback_on:\n  - metric: ModelLatency\n    |", ["above", "for", "stat", "variant"]),
    ],
)
def test_keys_of_the_level_that_are_not_there_yet(marked, first):
    assert texts(marked)[: len(first)] == first
    assert bool(first) == bool(texts(marked))


@pytest.mark.parametrize(
    ("marked", "found"),
    [
        ("variants:\n  A: {instance: ml.m5.l|", ["ml.m5.large"]),
        ("variants:\n  A:\n    instance: ML.M5.L|", ["ml.m5.large"]),
        ("variants:\n  A:\n    instance_pools: [{instance_type: ml.m5.l|", ["ml.m5.large"]),
        ("variants:\n  A: {enable_ssm_access: |}", ["true", "false"]),
        ("variants:\n  A: {EnableSSMAccess: t|", ["true"]),
        ("retain_all_variant_properties: f|", ["false"]),
        ("variants:\n  A:\n    managed_instance_scaling: {status: |", ["ENABLED", "DISABLED"]),
        ("models: {a: $x, b: {image: i}}\nvariants:\n  A: {model: |}", ["a", "b"]),
        ("variants:\n  A: |\nmodels:\n  one:\n    image: i\n\n  # two\n  two: $x\nrole: r", ["one", "two"]),
        ("variants:\n  A: t|\nmodels:\n  one: $x\n  two: $x\n", ["two"]),
        ("deploy: |", ["all-at-once"]),
        ("deploy: {all-at-once: |", ["true", "false"]),
        ("variants: {A: $xgb}\nrollback_on:\n  - metric: Invocation5|", ["Invocation5XXErrors"]),
        ("variants: {A: $xgb, B: $xgb}\nrollback_on: [{variant: |", ["A", "B"]),
        ("rollback_on: [|", ["{metric: Invocation5XXErrors, above: 1%, for: 1m}"]),
        ("rollback_on: [{stat: p9|", ["p90", "p99", "p99.9"]),
        ("rollback_on: [{above: |", []),
        ("variants:\n  A: |", []),
        ("variants:\n  A: {weight: |}", []),
        ("variants:\n  A: {serverless: |}", []),
        ("variants:\n  |", []),
        ("models:\n  |", []),
        ("tags:\n  |", []),
        ("tags: {a: |}", []),
        ("models: {m: {env: {|}}}", []),
        ("nonsense:\n  |", []),
        ("nonsense: {deeper: [|", []),
    ],
)
def test_values_that_the_key_can_have(marked, found):
    assert texts(marked) == found


@pytest.mark.parametrize(
    ("marked", "found"),
    [
        ("variants:\n  A: $|", ["$X_test", "$linear", "$xgb"]),
        ("variants:\n  A: {model: $x|, weight: 1}", ["$X_test", "$xgb"]),
        ('variants:\n  A: "${l|', ["${linear}"]),
        ('variants:\n  A: "${l|}"', ["${linear"]),
        ("variants:\n  A: ${|", ["${X_test}", "${linear}", "${xgb}"]),
        ("variants:\n  A: ${xgb.|", []),
        ("variants:\n  A: {weight: $|}", ["$X_test", "$linear", "$xgb"]),
        ("$|", []),
        ("variants:\n  A: $$|", []),
    ],
)
def test_variables_after_a_dollar(marked, found):
    assert texts(marked) == found


@pytest.mark.parametrize("marked", ["# va|", "variants: {A: $xgb} # |", "variants:|", "variants:\n  A:|"])
def test_nothing_in_comments_and_right_after_a_colon(marked):
    assert texts(marked) == []


@pytest.mark.parametrize(
    ("marked", "start"),
    [
        ("va|", 0),
        ("variants:\n  A: {model: $xgb, we|", 19),
        ("variants:\n  A: {model: $x|", 13),
        ("variants:\n  A:\n    |", 4),
        ('variants:\n  A: {model: "$x|"}', 14),
        ("variants:\n  A: {instance:   ml|}", 18),
        ("variants:\n  A:\n    instance_pools: [{instance_type: ml|", 37),
    ],
)
def test_a_suggestion_replaces_what_is_typed(marked, start):
    found = at(marked)
    assert found.start == start
    assert found.items


def test_a_model_cell_has_keys_of_its_own():
    assert texts("|", "model")[:5] == ["image", "data", "env", "role", "tags"]
    assert texts("image: i\nm|", "model")[:2] == ["model_data_url", "mode"]
    assert texts("$x|", "model") == ["$X_test", "$xgb"]


def test_the_help_is_the_first_sentence_of_the_documentation():
    found = {each.text: each.help for each in at("variants:\n  A:\n    |").items}
    assert found["instance"] == "The ML compute instance type"
    assert found["model"] == "What is served: $object, the name of a model, or image, data and env"


def test_lines_of_windows_count_the_same():
    assert suggest("variants:\r\n  A:\r\n    wei\r\n", 2, 7, []).items == at("variants:\n  A:\n    wei|\n").items


def test_a_cursor_outside_the_text_finds_nothing():
    assert suggest("a", 5, 0, []) == Suggestions(0, ())
    assert suggest("a", 0, 9, []) == Suggestions(9, ())
    assert suggest("a", -1, -1, []).items == ()


@pytest.mark.parametrize("key", [word for word, _ in level("variant").choices()])
def test_every_key_of_a_variant_is_offered_where_it_is_typed(key):
    assert key in texts(f"variants:\n  A:\n    {key[:3]}|")
    assert key in texts(f"variants:\n  A: {{model: m, {key[:3]}|") or key.startswith("mod")


TOKENS = (
    "variants",
    "A",
    "model",
    "serverless",
    ": ",
    ":",
    "\n",
    "\n  ",
    "\n    ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "- ",
    "-",
    "$x",
    "${",
    '"',
    "'",
    "#",
    "\t",
    "é",
    "\r\n",
)


@given(
    st.lists(st.sampled_from(TOKENS), max_size=30).map("".join) | st.text(), st.integers(-1, 12), st.integers(-1, 40)
)
@example("a: ]", 0, 4)
@settings(deadline=None)  # the first example pays for what is loaded once
def test_any_text_and_cursor_gives_suggestions(text, line, column):
    for cell in ("endpoint", "model"):
        found = suggest(text, line, column, VARIABLES, cell=cell)
        assert isinstance(found, Suggestions)
        assert not found.items or 0 <= found.start <= column


@given(st.sampled_from([word for word, _ in level("variant").choices()]), st.booleans())
@settings(deadline=None)  # the first example pays for what is loaded once
def test_what_is_offered_is_what_the_parser_knows(word, braces):
    marked = f"variants:\n  A: {{{word[:4]}|" if braces else f"variants:\n  A:\n    {word[:4]}|"
    for offered in texts(marked):
        with pytest.raises(Exception, match=f"(?m){offered} has no value|the model of variant 'A' has no value"):
            parse_endpoint(f"variants: {{A: {{{offered}: }}}}", "e", {})
