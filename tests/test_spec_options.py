"""Cells whose body is options."""

from __future__ import annotations

import pytest

from sm_magics.errors import CellError
from sm_magics.spec import parse_options

KEYS = ("data", "metric", "content_type", "price")


def parsed(text, **variables):
    return parse_options(text, KEYS, variables, first_line=2)


def test_values_are_what_they_look_like_and_names_are_objects():
    rows = object()
    found = parsed(
        "data: $rows\nmetric: rmse\ncontent-type: text/csv\nprice: {ml.m5.large: 0.1, b: [1, two]}", rows=rows
    )
    assert found == {
        "data": rows,
        "metric": "rmse",
        "content_type": "text/csv",
        "price": {"ml.m5.large": 0.1, "b": [1, "two"]},
    }
    assert parsed("content_type: x") == {"content_type": "x"}
    assert parsed("") == {}


def test_all_that_is_wrong_is_told_with_its_line():
    with pytest.raises(CellError) as caught:
        parsed("metrik: rmse\ndata: $nothing\nzzzz: 1")
    told = str(caught.value)
    assert "line 2: unknown key 'metrik'" in told
    assert "did you mean 'metric'?" in told
    assert "line 3: $nothing is not defined" in told
    assert "there are data, metric, content_type, price" in told


def test_a_cell_that_is_no_mapping_is_refused():
    with pytest.raises(CellError, match="a cell of options is keys and values"):
        parsed("- data")
