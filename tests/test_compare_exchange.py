from __future__ import annotations

import numpy as np
import pytest

from sm_magics.compare.exchange import Answer, Outcome, Request, requests_of
from sm_magics.errors import CellError, ServiceError
from sm_magics.rows import json_line


def outcome(refusal=None):
    return Outcome(Request(7, b"1"), "A", 200, b"2.5\xff", "text/csv", 0.002, 0.5, 1, refusal)


def test_requests_are_the_rows_in_their_order():
    assert list(requests_of(np.array([[1.0, 2.0], [3.0, 4.0]]))) == [Request(0, b"1.0,2.0"), Request(1, b"3.0,4.0")]


def test_a_hook_makes_any_body():
    assert [each.body for each in requests_of([[1], [2]], json_line)] == [b'{"features":[1]}', b'{"features":[2]}']
    assert [each.body for each in requests_of([[1], [2]], lambda row: b"x" * row[0])] == [b"x", b"xx"]


def test_what_holds_no_rows_is_an_error():
    with pytest.raises(CellError, match="--data"):
        list(requests_of("text"))


def test_an_answer_is_text_with_its_own_time():
    assert outcome().answer() == Answer("2.5\ufffd", "text/csv", "A", 2.0)
    assert (outcome().number, outcome().error) == (7, None)


def test_there_is_none_of_a_request_that_failed():
    refused = ServiceError("InvokeEndpoint", "ModelError", "no", {})
    assert outcome(refused).error == "ModelError: InvokeEndpoint: no"
    with pytest.raises(ServiceError, match="no"):
        outcome(refused).answer()
