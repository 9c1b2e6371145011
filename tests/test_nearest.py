from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.nearest import LONGEST, did_you_mean, nearest

WORDS = ["weight", "instance", "serverless_config"]


@pytest.mark.parametrize(
    ("word", "found"),
    [("wieght", "weight"), ("WEIGHT", "weight"), ("ServerlesConfig", "serverless_config"), ("zebra", None), ("", None)],
)
def test_the_nearest_word(word, found):
    assert nearest(word, WORDS) == found


def test_it_is_found_as_it_is_written():
    assert nearest("xgb-modle", ["Linear-Model", "XGB-Model"]) == "XGB-Model"
    assert nearest("Linear", ["clear", "Linear-Model"], 0.5) == "Linear-Model"


def test_how_like_it_is_to_be_can_be_said():
    assert nearest("wait", WORDS) == "weight"
    assert nearest("wait", WORDS, 0.7) is None


def test_half_of_a_short_word_is_not_near_but_a_beginning_is():
    assert nearest("nope", ["shop"], 0.5) is None
    assert nearest("xgb", ["XGB-Model"], 0.5) == "XGB-Model"
    assert nearest("xgb", ["XGB-Model"]) is None
    assert nearest("shpo", ["nope", "shop"], 0.5) == "shop"


def test_a_suggestion_asks():
    assert did_you_mean("modle", ["model"]) == "did you mean 'model'?"
    assert did_you_mean("zebra", ["model"]) is None


def test_very_long_words_are_not_compared():
    assert nearest("x" * LONGEST, ["x" * LONGEST]) is not None
    assert nearest("x" * (LONGEST + 1), ["x" * LONGEST]) is None


@given(st.lists(st.text(min_size=1, max_size=8)), st.text(max_size=8))
def test_what_is_suggested_is_one_of_the_words(words, word):
    assert nearest(word, words) in {None, *words}
