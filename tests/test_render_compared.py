"""The card of a comparison."""

from __future__ import annotations

import numpy as np
import pytest
from comparekit import Variants, compared, design

from sm_magics.compare.comparison import unjudged
from sm_magics.compare.experiment import Run, run
from sm_magics.compare.measures import measure_of
from sm_magics.compare.verdict import digits
from sm_magics.events import Progress
from sm_magics.render import compared as card
from sm_magics.render import compared_plots, html, text
from sm_magics.render.view import Picture


def shown(made, *, pictures=False):
    return text.render(card.comparison(made, pictures=pictures))


def test_the_verdict_comes_first_then_the_variants_and_how_sure_it_is():
    made, _, _ = compared(60)
    told = shown(made)
    lines = [line for line in told.split("\n") if line.strip()]
    assert lines[0] == "Comparison on boston · rmse · 60 rows, each to both variants · A is better"
    assert (
        lines[1]
        .strip()
        .startswith(f"A is better: rmse {digits(made.values['A'])} against {digits(made.values['B'])} of B, lower by ")
    )
    assert "latency p50  latency p90  latency p99" in told
    assert "A minus B     60" in told
    assert "< 0.001" in told
    assert "disagree most on row" in told
    assert told.strip().endswith("Effect size: in standard deviations of a row. Seed 0.")


def test_a_split_shows_the_shares():
    told = shown(compared(60, pairs=False)[0])
    assert "60 rows, each to one variant" in told
    assert "50 %  █████░░░░░" in told
    assert "permutation of rows" in told


def test_three_variants_are_judged_together():
    answers = {"A": lambda x: x + np.sin(x), "B": lambda x: x - np.sin(3 * x), "C": lambda x: x + 9 * np.cos(x)}
    told = shown(compared(60, answers=answers, weights=dict.fromkeys("ABC", 1.0))[0])
    assert "each to all 3 variants" in told
    assert "C is worse." in told
    assert "Of 3 pairs, p is for all together (Holm), an interval for its own." in told


def test_many_rows_are_judged_by_students_test(monkeypatch):
    monkeypatch.setattr(card, "MANY_ROWS", 60)
    assert "Interval and p: Student's, with the bootstrap's error" in shown(compared(60)[0])


def test_what_failed_and_what_was_interrupted_is_said():
    answers = {"A": lambda x: None if x < 9 else x, "B": lambda x: x + 1}
    told = shown(compared(60, answers=answers)[0])
    assert "No answer: A for 9 of 60 rows." in told
    assert "The reason: ModelError: InvokeEndpoint: no" in told
    assert "A fails more often than B, and not by chance." in told


def test_statistics_that_were_interrupted_show_what_came_back_and_no_test():
    made = Run(design(), truths=np.arange(60.0))
    list(run(None, made, np.arange(60.0)[:, None], count=60, sending=Variants(A=lambda x: x, B=lambda x: x + 1)))
    told = shown(unjudged(made), pictures=True)
    assert "rmse · 60 rows, each to both variants · no verdict" in told
    assert "No verdict: the statistics were interrupted. All answers are kept" in told
    assert "permutation" not in told


def test_that_nobody_answered_any_more_is_said():
    answers = {"A": lambda x: x if x < 50 else None, "B": lambda x: x + 1 if x < 50 else None}
    told = shown(compared(500, answers=answers)[0])
    assert "It was ended, as nobody answered any more; this is what was measured until then." in told
    assert "A for 100 of 150 rows, B for 100 of 150 rows" in told


def test_a_slice_that_a_measure_says_nothing_of_has_not_too_few_rows():
    truths = np.arange(60) % 2
    answers = {"A": lambda x: x % 2 * 0.6 + 0.01 * (x % 7), "B": lambda x: 0.5 + 0.01 * (x % 3)}
    made, _, _ = compared(60, answers=answers, truths=truths, measure=measure_of("auc"), by=("side", truths))
    assert shown(made).count("not a number") == 2


def test_costs_and_slices():
    made, _, _ = compared(60, prices={"A": 0.115, "B": 0.23}, by=("half", np.array(["low", "high"] * 30)))
    told = shown(made)
    assert "cost of 1,000" in told
    assert "0.00032" in told
    assert "half" in told
    assert "A is better (p" in told


def test_it_says_when_fewer_rows_were_enough():
    told = shown(compared(500, until=True)[0])
    assert "Ended after 100 rows, which were enough." in told
    assert "Interval and p hold at every look" in told


def test_without_truths_the_card_is_about_latencies():
    told = shown(compared(30, measure=None)[0])
    assert "no verdict" in told
    assert "Nothing can be said of quality without true values" in told
    assert "rmse" not in told


def test_no_difference_is_a_plain_result():
    same = {"A": lambda x: x, "B": lambda x: x}
    told = shown(compared(30, answers=same)[0])
    assert told.startswith("Comparison on boston · rmse · 30 rows, each to both variants · no difference\n")
    assert "0.0000 to 0.0000" in told


def test_names_of_variants_are_escaped():
    evil = "<img onerror=x>"
    made, _, _ = compared(30, answers={evil: lambda x: x, "B": lambda x: x + 1}, weights={evil: 1.0, "B": 1.0})
    assert "<img onerror" not in html.render(card.comparison(made, pictures=False))


@pytest.mark.parametrize("kind", ["numbers", "classes", "none", "probabilities"])
def test_the_picture_fits_what_is_predicted(kind):
    label = {"A": lambda x: float(x % 2 > 0), "B": lambda x: float(x % 3 > 0)}
    truths = (np.arange(60) % 2).astype(int)
    options = {
        "numbers": {},
        "classes": {"answers": label, "truths": truths, "measure": measure_of("accuracy")},
        "none": {"measure": None},
        "probabilities": {
            "answers": {"A": lambda x: f"{x % 2},{1 - x % 2}", "B": lambda _: "0.4,0.6"},
            "truths": truths,
            "measure": measure_of("logloss"),
        },
    }[kind]
    made, _, _ = compared(60, **options)
    drawn = compared_plots.figure(made)
    labels = [axes.get_xlabel() for axes in drawn.axes]
    expected = {"numbers": ["truth", "prediction \u2212 truth"], "none": []}.get(kind, ["true class"])
    assert labels == [*expected, "latency in ms, up to p99"]
    view = card.comparison(made, pictures=True)
    (picture,) = [each for each in view.blocks if isinstance(each, Picture)]
    assert picture.draw().startswith(b"\x89PNG")


def test_many_rows_are_drawn_as_few_points():
    figure = compared_plots.figure(compared(700)[0])
    assert [len(each.get_offsets()) for each in figure.axes[0].collections] == [compared_plots.MOST_POINTS] * 2


def test_few_rows_have_no_picture():
    view = card.comparison(compared(4)[0], pictures=True)
    assert not [each for each in view.blocks if isinstance(each, Picture)]


def test_progress_in_a_card_and_in_a_line():
    seen = Progress("boston", 50, 200, 3, 5.0)
    told = text.render(card.progress(seen))
    assert "50 of 200" in told
    assert "time left  15s" in told
    assert "3, to be sent again" in told
    assert "Interrupt the cell" in told
    assert card.summary(seen) == "comparing on boston: 20 % of 200 requests"
    assert card.summary(Progress("boston", 50, None, 0, 1.0)) == ""
    assert card.summary(Progress("boston", 5050, None, 0, 1.0)) == "comparing on boston: 5,000 requests"
    assert "time left" not in text.render(card.progress(Progress("boston", 50, None, 0, 1.0)))
