"""Whatever is written in a cell, and whatever the notebook holds: a spec, or an error that says what is wrong."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from sm_magics.errors import CellError
from sm_magics.spec import parse_endpoint, parse_model

LINEAR, XGB = object(), object()
VARIABLES = {"linear": LINEAR, "xgb": XGB, "cfg": {"A": XGB, "B": {"model": LINEAR, "weight": 3}}, "n": 4}
ROLE = "arn:aws:iam::123456789012:role/Serving"

TOKENS = (
    *(
        "variants",
        "models",
        "shadow",
        "model",
        "weight",
        "instances",
        "serverless",
        "capture",
        "to",
        "tags",
        "role",
        "env",
    ),
    *(
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "- ",
        "$xgb",
        "$cfg",
        "$n",
        "$nope",
        "${cfg['A']}",
        "$",
        "$$",
    ),
    *(
        "A",
        "B",
        "a_b",
        "1",
        "-1",
        ".nan",
        "true",
        "null",
        "s3://b/p",
        "ml.m5.large",
        '"',
        "'",
        "#",
        "&",
        "*",
        "!!",
        "|",
        "\t",
        "é",
        "\r",
    ),
)


@given(
    st.lists(st.sampled_from(TOKENS), max_size=40).map("".join) | st.text(),
    st.sampled_from(["boston", "", "a_b", "\ud800"]),
)
@settings(deadline=None)  # the first example pays for what is loaded once
def test_any_text_gives_a_spec_or_a_cell_error(text, name):
    with suppress(CellError):
        assert parse_endpoint(text, name, VARIABLES).name == name
    with suppress(CellError):
        assert parse_model(text, name, VARIABLES).name == name


VALID = f"""variants:
  Linear: {{model: $linear, weight: 4, serverless: {{memory: 2048, concurrency: 5}}}}
  Other:
    model: {{image: i, env: {{A: 1}}, data: $xgb}}
    routing_config: {{routing_strategy: RANDOM}}
    instance_pools: [{{instance_type: ml.m5.large, priority: 1}}]
capture: {{to: s3://b/p, sample: 5%}}
deploy: {{auto_rollback_configuration: {{alarms: [{{alarm_name: a}}]}}}}
tags: {{a: b}}
role: {ROLE}
"""


@given(st.integers(0, len(VALID)), st.integers(0, 12), st.sampled_from(TOKENS))
@settings(deadline=None)  # the first example pays for what is loaded once
def test_any_slip_of_the_pen_gives_a_spec_or_a_cell_error(at, length, token):
    with suppress(CellError):
        parse_endpoint(VALID[:at] + token + VALID[at + length :], "boston", VARIABLES)


WILD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.just(XGB),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TOKENS) | st.integers(), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(
    WILD,
    st.sampled_from(
        [
            "$x",
            "variants: $x",
            "variants: {A: $x}",
            "variants: {A: {model: $xgb, weight: $x, env: $x}}",
            "variants: {A: {model: $xgb, serverless: $x, instance_pools: $x}}",
            "variants: {A: $xgb}\ntags: $x\nrole: $x\ncapture: $x\nvpc_config: $x",
            "variants: {A: m}\nmodels: {m: {image: $x, data: $x, env: $x, containers: $x, primary_container: $x}}",
            "variants: $x\nmodels: $x\nshadow: $x",
        ]
    ),
)
@settings(deadline=None)  # the first example pays for what is loaded once
def test_any_value_of_the_notebook_gives_a_spec_or_a_cell_error(value, text):
    with suppress(CellError):
        parse_endpoint(text, "boston", {"x": value, "xgb": XGB})
