from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from sm_magics.target import Share, Target, content, percent, shares_text

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


def of(endpoint="boston", *variants, **config):
    return Target(endpoint, {"ProductionVariants": list(variants), **config})


def variant(name="A", weight=1.0, count=1, **fields):
    return {
        "VariantName": name,
        "ModelName": "m",
        "InitialVariantWeight": weight,
        "InitialInstanceCount": count,
        **fields,
    }


@given(st.from_regex(NAME, fullmatch=True), st.floats(0, 10), st.integers(1, 9))
def test_a_config_name_is_always_one_that_the_service_takes(endpoint, weight, count):
    name = of(endpoint, variant(weight=weight, count=count)).config_name
    assert NAME.fullmatch(name)


def test_the_name_tells_content_and_amounts_apart():
    first, heavier = of("e", variant(weight=1)), of("e", variant(weight=2))
    other = of("e", variant(InstanceType="ml.c5.large"))
    assert first.content_hash == heavier.content_hash != other.content_hash
    assert len({first.config_name, heavier.config_name, other.config_name}) == 3


def test_the_same_content_always_has_the_same_name():
    assert of("e", variant(weight=1)).config_name == of("e", variant(weight=1.0)).config_name
    one, two = variant("A"), variant("B")
    assert of("e", one, two).content_hash == of("e", two, one).content_hash


def test_endpoints_whose_long_names_begin_alike_share_no_config():
    first, second = of("x" * 62 + "a", variant()), of("x" * 62 + "b", variant())
    assert first.config_name != second.config_name


def test_content_leaves_out_what_only_an_answer_has():
    answer = {
        "EndpointConfigName": "c",
        "EndpointConfigArn": "a",
        "CreationTime": 1,
        "ResponseMetadata": {},
        "KmsKeyId": "k",
    }
    assert content(answer) == {"KmsKeyId": "k"}


def test_shares_as_text():
    assert shares_text({"A": Share(4, 1), "B": Share(1, 1)}) == "A 80 %, B 20 %"
    assert shares_text({"A": Share(1, 1), "B": Share(2, 1)}) == "A 33.3 %, B 66.7 %"
    assert percent(0.001) == "0.1 %"
    assert percent(1.0) == "100 %"
