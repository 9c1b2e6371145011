from __future__ import annotations

from pathlib import Path

import pytest

from sm_magics.errors import CellError
from sm_magics.spec import ModelFields, ModelObject, ModelSpec, NamedModel, parse_endpoint, parse_model

XGB = object()
ROLE = "arn:aws:iam::123456789012:role/Serving"
VARIABLES = {
    "xgb": XGB,
    "path": Path("model.tar.gz"),
    "uri": "s3://b/model.tar.gz",
    "none": None,
    "cfg": {"image": "i"},
}


def source(text: str):
    return parse_endpoint(f"variants:\n  A: {text}\n", "e", VARIABLES).variants[0].model


def complaints(text: str, name: str = "m") -> list[str]:
    """Return the first and the last line of every problem of a model cell."""
    with pytest.raises(CellError) as caught:
        parse_model(text, name, VARIABLES)
    found = [each.splitlines() for each in str(caught.value).split("\n\n")]
    return [
        rows[0] if rows[-1].endswith("^") or len(rows) == 1 else f"{rows[0]} / {rows[-1].strip()}" for rows in found
    ]


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("$xgb", ModelObject(XGB, "$xgb")),
        ("{model: $xgb}", ModelObject(XGB, "$xgb")),
        ("'${cfg}'", ModelObject(VARIABLES["cfg"], "${cfg}")),
        ("other-model", NamedModel("other-model")),
        ("{model: other-model}", NamedModel("other-model")),
        ("{model: {image: i, data: $xgb}}", ModelFields({"Image": "i", "ModelDataUrl": ModelObject(XGB, "$xgb")}, {})),
        ("{model: {data: $path}}", ModelFields({"ModelDataUrl": ModelObject(VARIABLES["path"], "$path")}, {})),
        ("{model: {data: $uri}}", ModelFields({"ModelDataUrl": "s3://b/model.tar.gz"}, {})),
        ("{model: {data: ./model.tar.gz}}", ModelFields({"ModelDataUrl": "./model.tar.gz"}, {})),
        ("{model: {data: file:///m.tar.gz}}", ModelFields({"ModelDataUrl": "file:///m.tar.gz"}, {})),
    ],
)
def test_a_variant_says_its_model_in_many_ways(text, model):
    assert source(text) == model


def test_the_fields_of_a_model_go_to_the_container_or_to_the_request():
    text = f"{{image: i, env: {{A: 1}}, Mode: SingleModel, enable_network_isolation: true, role: '{ROLE}'}}"
    assert source(f"{{model: {text}}}") == ModelFields(
        {"Image": "i", "Environment": {"A": "1"}, "Mode": "SingleModel"},
        {"EnableNetworkIsolation": True, "ExecutionRoleArn": ROLE},
    )


def test_a_primary_container_is_the_same_as_its_fields():
    assert source("{model: {PrimaryContainer: {Image: i, data: $xgb}}}") == source("{model: {image: i, data: $xgb}}")
    assert source("{model: {primary_container: $cfg}}") == ModelFields({"Image": "i"}, {})


def test_a_pipeline_has_containers():
    model = source("{model: {containers: [{image: a}, {Image: b, env: {X: y}}]}}")
    assert model == ModelFields({}, {"Containers": [{"Image": "a"}, {"Image": "b", "Environment": {"X": "y"}}]})


def test_a_model_cell_is_a_mapping_or_an_object():
    assert parse_model("$xgb", "m", VARIABLES) == ModelSpec("m", ModelObject(XGB, "$xgb"), {})
    assert parse_model("image: i\ntags: {a: 1, b: true}\n", "m", VARIABLES) == ModelSpec(
        "m", ModelFields({"Image": "i"}, {}), {"a": "1", "b": "true"}
    )


HOW = "write $object, or a mapping with image, data and env"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [f"the cell says no model / {HOW}"]),
        ("name", [f"line 1: a model cell cannot be 'name' / {HOW}"]),
        ("image:x", ["line 1: a model cell cannot be 'image:x' / put a space after 'image:'"]),
        ("5", [f"line 1: a model cell cannot be 5 / {HOW}"]),
        ("- a", [f"line 1: a model cell cannot be a list / {HOW}"]),
        ("$none", [f"line 1: a model cell has no value: $none is None / {HOW}"]),
        ("$nope", ["line 1: $nope is not defined / did you mean '$none'?"]),
        ("tags: {a: b}", [f"line 1: a model needs 'image', 'data' or another field of a container / {HOW}"]),
        ("imaeg: x", ["line 1: unknown key 'imaeg' / did you mean 'image'?"]),
        ("image: a b", ["line 1: image 'a b' may not hold spaces"]),
        ("image: ''", ["line 1: image '' may not hold spaces"]),
        ("{image: i, data: 5}", ["line 1: data must be text, not 5 / put quotes around it"]),
        ("{image: i, data: s3:/x}", ["line 1: data must be an address such as s3://bucket/prefix, not 's3:/x'"]),
        (
            "{image: i, containers: []}",
            ["line 1: 'image' and 'containers' cannot both be given / put all fields into 'containers'"],
        ),
        (
            "{image: i, primary_container: {image: j}}",
            ["line 1: 'image' and 'primary_container' cannot both be given / put all fields into 'primary_container'"],
        ),
        ("primary_container: 5", ["line 1: primary_container must be keys and values, not 5"]),
        ("containers: [{image: i, data: $xgb}]", ["line 1: data must be text, not $xgb (object)"]),
        ("{image: i, role: me}", ["line 1: role must be an ARN such as arn:aws:iam::123456789012:role/Name, not 'me'"]),
        ("model: {image: i}", ["line 1: unknown key 'model' / its fields stand here: image, data, env"]),
        ("{image: i, ModelName: m}", ["line 1: unknown key 'ModelName' / the name stands on the magic's line"]),
        ("{image: i, tags: 5}", ["line 1: tags must be keys and values, not 5"]),
        ("{image: i, tags: }", ["line 1: tags has no value / give it one, or remove the key"]),
        (
            "{image: i, tags: {'a,b': x}}",
            ["line 1: tag key 'a,b' may hold letters, digits, spaces and _ . : / = + - @ only"],
        ),
        (
            "{image: i, tags: {'aws:a': x}}",
            ["line 1: tag key 'aws:a' cannot start with aws: / AWS keeps such keys for itself"],
        ),
        (
            "{image: i, tags: {a: 'x!'}}",
            ["line 1: tag 'a' 'x!' may hold letters, digits, spaces and _ . : / = + - @ only"],
        ),
        ("{image: i, tags: {'': x}}", ["line 1: tag key '' is too short: it has 0 characters, at least 1"]),
        (
            "{image: i, mode: Two, env: {A: }}",
            [
                "line 1: mode cannot be 'Two' / write SingleModel or MultiModel",
                'line 1: A has no value / write "" for an empty text',
            ],
        ),
    ],
)
def test_model_cells_that_are_refused(text, expected):
    assert complaints(text) == expected


def test_too_many_tags_are_counted():
    tags = ", ".join(f"k{n}: v" for n in range(51))
    assert complaints(f"{{image: i, tags: {{{tags}}}}}") == ["line 1: 51 tags; at most 50 can be given"]


def test_the_name_is_checked_without_a_line():
    assert complaints("image: i", "my_model") == ["model name 'my_model' may hold letters, digits and hyphens only"]
    assert complaints("image: i", "m" * 64)[0].endswith("is too long: it has 64 characters, at most 63")
    assert complaints("image: i", "-m") == ["model name '-m' must start and end with a letter or a digit"]


def test_tags_of_an_inline_model_belong_to_the_cell():
    with pytest.raises(CellError, match="tags go to the top level of the cell"):
        source("{model: {image: i, tags: {a: b}}}")


def test_a_file_as_the_name_of_a_model_is_pointed_to_data():
    with pytest.raises(CellError) as caught:
        source("./model.tar.gz")
    assert "write a file as {image: ..., data: ./model.tar.gz}" in str(caught.value)


def test_a_pattern_that_has_no_words_of_its_own_is_shown():
    (found,) = complaints("model_package_name: a b")
    message, hint = found.split(" / ", 1)
    assert message == "line 1: model_package_name 'a b' is not in the form that SageMaker asks for"
    assert hint.startswith("the pattern is (arn:aws")
