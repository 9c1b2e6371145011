"""What a comparison shows, in a sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sm_magics.compare.measures import measure_of
from sm_magics.compare.samples import Sample
from sm_magics.compare.statistics import Difference
from sm_magics.compare.verdict import digits, judge, value_of

RMSE = measure_of("rmse")


def samples(*spreads, rows=200, seed=0, shared=1.0):
    rng = np.random.default_rng(seed)
    truths = 22 + rng.normal(size=rows) * 5
    common = rng.normal(size=rows) * shared
    return [
        Sample(name, np.arange(rows), truths, truths + common + rng.normal(size=rows) * s, np.full(rows, 0.01), none())
        for name, s in zip("ABC", spreads, strict=False)
    ]


def none():
    return np.zeros(0, dtype=int)


def judged(found, measure=RMSE, **options):
    return judge(found, measure, rng=np.random.default_rng(1), **options)


def test_a_better_variant_is_named_with_its_numbers():
    found = samples(1.0, 2.0)
    verdict = judged(found)
    assert (verdict.outcome, verdict.best) == ("better", "A")
    values = [digits(value_of(RMSE, each)) for each in found]
    assert verdict.sentence.startswith(f"A is better: rmse {values[0]} against {values[1]} of B, lower by ")
    assert verdict.sentence.endswith("200 rows).")
    assert verdict.cautions == ()
    assert verdict.more is None


def test_the_order_of_the_variants_does_not_matter():
    assert judged(samples(2.0, 1.0)).best == "B"
    assert judged(samples(2.0, 1.0), measure_of("r2")).best == "B"


def test_the_same_predictions_are_no_difference():
    found = samples(1.0)
    verdict = judged([found[0], replace(found[0], variant="B")])
    assert verdict.outcome == "same"
    assert verdict.sentence == "No difference: both gave the same predictions for all 200 rows."


def test_a_difference_that_may_be_chance_says_how_many_rows_would_tell():
    verdict = judged(samples(1.0, 1.15, seed=3))
    assert verdict.outcome == "open"
    assert verdict.sentence.startswith("Not yet: rmse ")
    assert f"About {verdict.more:,} more rows would show a difference of this size." in verdict.sentence


def test_a_difference_that_is_out_of_reach_is_none_shown():
    verdict = judged(samples(1.0, 1.0, seed=0))
    assert (verdict.outcome, verdict.more) == ("open", None)
    assert verdict.sentence.startswith("No difference shown: rmse ")
    assert "which chance could explain (p = " in verdict.sentence


def test_too_few_rows():
    verdict = judged(samples(1.0, 3.0, rows=5))
    assert verdict.outcome == "unknown"
    assert verdict.sentence == "Too few rows to tell: 5 were answered by each variant; 8 are the least."


def test_the_best_of_three_is_better_than_each():
    verdict = judged(samples(2.0, 1.0, 3.0))
    assert verdict.best == "B"
    assert "of A, the next best of 3, lower by" in verdict.sentence
    assert len(verdict.differences) == 3


def test_one_that_is_worse_makes_no_best():
    verdict = judged(samples(1.0, 1.0, 4.0, seed=2))
    assert verdict.outcome == "open"
    assert verdict.best is None
    assert verdict.sentence.startswith("No difference shown: rmse ")
    assert verdict.sentence.endswith("rows). C is worse.")


def test_without_truth_nothing_is_said_of_quality():
    found = [replace(each, truths=None) for each in samples(1.0, 2.0)]
    verdict = judged(found, None)
    assert verdict.outcome == "unknown"
    assert verdict.sentence == (
        "Nothing can be said of quality without true values (--target). "
        "The two gave the same prediction for 0 of 200 rows."
    )


def test_rows_without_an_answer_are_told_and_weighed():
    first, second = samples(1.0, 1.1)
    second = replace(second.take(np.arange(20, 200)), failed=np.arange(20))
    verdict = judged([first, second])
    assert verdict.cautions == (
        "No answer: B for 20 of 200 rows. Only rows that both answered are compared.",
        "B fails more often than A, and not by chance.",
    )
    few = replace(second, failed=np.arange(1))
    assert len(judged([first, few]).cautions) == 1


def test_failures_of_nobody_known_and_rows_sent_again_are_told():
    verdict = judged(samples(1.0, 2.0), pairs=False, nobodys=3, again=5)
    assert verdict.cautions[0] == "No answer to 3 rows; the service does not say which variant failed."
    assert verdict.cautions[1].startswith("5 rows were sent a second time after no answer, and whoever was next")
    assert len(verdict.cautions) == 2
    assert judged(samples(1.0, 2.0), again=5).cautions == ()  # in pairs, it is asked of the same variant


def test_a_measure_that_is_no_number_is_not_taken_for_too_few_rows():
    verdict = judged(samples(1.0, 2.0), measure_of(lambda _, __: float("nan"), "lower"))
    assert verdict.outcome == "unknown"
    assert verdict.sentence == "<lambda> is not a number for these rows, so nothing can be said of it."


def test_in_a_split_the_one_with_too_few_rows_is_named():
    first, second = samples(1.0, 2.0)
    verdict = judged([first, second.take(np.arange(3))], pairs=False)
    assert verdict.sentence == "Too few rows to tell: B answered 3; 8 are the least."


def test_a_comparison_that_is_looked_at_begins_with_its_first_look():
    verdict = judged(samples(1.0, 9.0, rows=20), peeked=True)
    assert verdict.outcome == "unknown"
    assert verdict.sentence.endswith(
        "20 were answered by each variant; 100 are the least; without --until, fewer will do."
    )


def test_a_comparison_that_is_looked_at_waits_for_the_rows_that_its_own_test_needs():
    found = samples(1.0, 1.12, rows=300, seed=4)
    peeked, once = judged(found, peeked=True), judged(found)
    assert peeked.outcome == once.outcome == "open"
    assert peeked.more > once.more


def test_values_are_of_the_rows_that_all_answered():
    first, second = samples(1.0, 2.0)
    wild = replace(first, predictions=np.where(np.arange(200) < 20, 999.0, first.predictions))
    some = replace(second.take(np.arange(20, 200)), failed=np.arange(20))
    verdict = judged([wild, some])
    assert verdict.best == "A"
    assert f"rmse {digits(value_of(RMSE, wild.take(np.arange(20, 200))))} against" in verdict.sentence


def test_with_rows_that_only_some_answered_no_sentence_is_missing():
    """A leads on the rows that all three answered, and loses to B on those that both did."""
    a, b, c = samples(1.0, 3.0, 90.0, rows=400)
    a = replace(a, predictions=np.where(np.arange(400) >= 100, a.truths + 50, a.predictions))
    c = replace(c.take(np.arange(100)), failed=np.arange(100, 400))
    verdict = judged([a, b, c])
    assert verdict.best == "B"
    assert f"{digits(value_of(RMSE, b))} against {digits(value_of(RMSE, a))} of A" in verdict.sentence
    c = replace(c, predictions=b.predictions[:100] + 0.01)
    verdict = judged([a, b, c])
    assert verdict.outcome == "open"
    assert f"{digits(value_of(RMSE, b.take(np.arange(100))))} of B against" in verdict.sentence


def test_two_of_three_that_predict_the_same_are_told():
    first, _, third = samples(1.0, 2.0, 4.0)
    verdict = judged([first, replace(first, variant="B"), third])
    assert verdict.sentence == "No difference: A and B gave the same predictions for all 200 rows. C is worse."


def test_an_interval_on_both_sides_of_zero_shows_nothing():
    each = Difference("A", "B", 10, -1.0, -2.5, 0.5, 0.04, 0.5)
    assert not each.shown
    assert replace(each, high=-0.1).shown


def test_a_split_that_is_off_spoils_the_comparison():
    first, second = samples(1.0, 2.0)
    second = second.take(np.arange(60))
    verdict = judged([first, second], pairs=False, weights={"A": 1.0, "B": 1.0})
    assert verdict.cautions[0].startswith(
        "The split is not what the weights say (A 76.9% for 50.0%, B 23.1% for 50.0%; p = "
    )
    assert not judged([first, second], pairs=False, weights={"A": 10.0, "B": 3.0}).cautions


def test_a_comparison_that_was_looked_at_needs_more_to_say_so():
    found = samples(1.0, 2.0, rows=400)
    peeked, once = judged(found, peeked=True), judged(found)
    assert peeked.best == once.best == "A"
    wide = [each.high - each.low for each in (peeked.differences[0], once.differences[0])]
    assert wide[0] > wide[1]
    assert peeked.differences[0].value == pytest.approx(once.differences[0].value)
    with pytest.raises(ValueError, match="auc is no mean over rows"):
        judged(found, measure_of("auc"), peeked=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5, "1,234"),
        (12.345, "12.35"),
        (0.5, "0.500"),
        (0.01234, "0.0123"),
        (0.0, "0.0000"),
        (float("nan"), "–"),
        (1e-7, "1.0e-07"),
    ],
)
def test_numbers_have_as_many_digits_as_tell_something(value, text):
    assert digits(value) == text
