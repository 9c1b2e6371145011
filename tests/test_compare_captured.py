"""Comparing what was captured with what turned out to be true."""

from __future__ import annotations

import base64
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from comparekit import design

from sm_magics.compare.captured import from_capture, truths_by_id
from sm_magics.compare.comparison import concluded
from sm_magics.errors import CellError


def line(told, output, *, encoding="CSV"):
    data = base64.b64encode(output.encode()).decode() if encoding == "BASE64" else output
    event = {"eventId": "e", **({"inferenceId": told} if told else {})}
    captured = {"endpointOutput": {"data": data, "encoding": encoding, "observedContentType": "text/csv"}}
    return json.dumps({"captureData": captured, "eventMetadata": event})


def file(variant, *lines):
    return f"s3://bucket/prefix/boston/{variant}/2026/11/25/10/00-00-000-x.jsonl", "\n".join(lines).encode()


def test_answers_are_joined_with_truths_by_their_ids():
    files = [
        file("A", *(line(f"a{n}", f"{n + 0.1 * (n % 3)}") for n in range(40))),
        file("B", *(line(f"b{n}", f"{n + 2.0 * (n % 2)}", encoding="BASE64") for n in range(30)), line("unknown", "1")),
    ]
    truths = {f"{kind}{n}": float(n) for kind in "ab" for n in range(40)}
    made = from_capture(design(pairs=False), files, truths)
    found = concluded(made, captured=True)
    assert [len(each) for each in found.samples] == [40, 30]
    assert found.verdict.best == "A"
    assert found.seconds is None
    assert not found.interrupted
    assert np.isnan(found.samples[0].seconds).all()


def test_an_id_that_was_sent_twice_counts_once_and_what_was_never_answered_does_not():
    unanswered = json.dumps({"captureData": {"endpointInput": {}}, "eventMetadata": {"inferenceId": "x"}})
    files = [file("A", line("x", "1"), line("x", "2"), unanswered, ""), file("B", line("y", "1"))]
    made = from_capture(design(pairs=False), files, {"x": 1.0, "y": 1.0})
    assert [len(each) for each in made.collected.samples(made.truths)] == [1, 1]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([], "nothing that endpoint 'boston' answered was captured yet"),
        ([file("A", line(None, "1"))], "none of the 1 captured requests has an InferenceId; send one with each"),
        ([file("A", line("z", "1"))], "none of the 1 captured requests has an InferenceId that --target knows"),
    ],
)
def test_a_capture_that_cannot_be_joined_says_why(files, told):
    with pytest.raises(CellError, match=told):
        from_capture(design(pairs=False), files, {"x": 1.0})


@pytest.mark.parametrize("unknown", [None, float("nan"), pd.NA])
def test_a_truth_that_is_not_known_is_told(unknown):
    with pytest.raises(CellError, match="--target has no value for InferenceId 'y'"):
        from_capture(design(pairs=False), [file("A", line("x", "1"), line("y", "1"))], {"x": 1.0, "y": unknown})


@pytest.mark.parametrize(("truth", "told"), [(float("inf"), "no finite value"), ("cat", "no number")])
def test_a_truth_that_nothing_can_be_measured_by_is_told(truth, told):
    with pytest.raises(CellError, match=f"--target has {told} for InferenceId 'y': "):
        from_capture(design(pairs=False), [file("A", line("x", "1"), line("y", "1"))], {"x": 1.0, "y": truth})


def test_truths_may_be_decimal_numbers():
    files = [file("A", line("x", "1"), line("y", "1")), file("B", line("x", "2"), line("y", "2"))]
    made = from_capture(design(pairs=False), files, {"x": Decimal("1.5"), "y": Decimal("2.5")})
    assert made.truths.tolist() == [1.5, 2.5]
    assert f"{concluded(made, captured=True).samples[0].truths.dtype}" == "float64"


def test_truths_come_by_id():
    assert truths_by_id({1: 2.0}) == {"1": 2.0}
    assert truths_by_id(pd.Series([2.0], index=["a"])) == {"a": 2.0}
    assert truths_by_id(pd.DataFrame({"y": [2.0, 3.0]}, index=["a", "b"])) == {"a": 2.0, "b": 3.0}
    with pytest.raises(CellError, match="takes truths by InferenceId, not a list"):
        truths_by_id([1.0])
