from __future__ import annotations

from http import HTTPStatus

import pytest
from werkzeug import exceptions

from sm_magics.local.containers import pages


@pytest.mark.parametrize("error", [exceptions.RequestEntityTooLarge(), exceptions.InternalServerError()])
def test_error_pages_are_those_of_flask(error):
    answer = pages.error_page(HTTPStatus(error.code))
    assert answer.status == error.code
    assert answer.body.decode() == error.get_body()
    assert answer.content_type == "text/html; charset=utf-8"


def test_texts_that_cannot_be_encoded_are_still_answered():
    assert pages.text(400, "a\udcffb").body == b"a?b"
