"""A comparison that is over."""

from __future__ import annotations

import numpy as np
import pytest
from comparekit import Variants, compared, design

from sm_magics.compare.comparison import concluded, unjudged
from sm_magics.compare.experiment import Run, run


def test_a_comparison_has_the_values_and_the_verdict():
    made, _, _ = compared(60)
    assert made.verdict.best == "A"
    assert made.values["A"] < made.values["B"]
    assert made.rows == 60
    assert made.column == ""
    assert len(made.disagreements) == 5


def test_the_same_seed_says_the_same():
    first, second = compared(60)[0], compared(60)[0]
    assert first.verdict == second.verdict
    assert first.verdict != compared(60, seed=1)[0].verdict


def test_the_frame_has_every_row_and_every_failure():
    made, _, _ = compared(20, answers={"A": lambda x: None if x == 3 else x, "B": lambda x: x + 1})
    frame = made.to_frame()
    assert list(frame.columns) == ["row", "variant", "truth", "prediction", "latency_ms", "error"]
    assert len(frame) == 40
    failed = frame[frame["error"].notna()]
    assert failed[["row", "variant"]].to_numpy().tolist() == [[3, "A"]]
    assert frame["latency_ms"].dropna().between(9, 12).all()
    assert frame[(frame.row == 7) & (frame.variant == "B")].prediction.item() == 8.0


def test_the_frame_has_probabilities_of_classes_as_they_are():
    answers = {"A": lambda _: "0.25,0.75", "B": lambda _: "0.5,0.5"}
    made, _, _ = compared(10, answers=answers, measure=None)
    assert made.to_frame().prediction[0] == (0.25, 0.75)
    assert made.to_frame().truth.isna().all()


def test_a_thousand_answers_cost_what_the_instances_do_for_their_time():
    made, _, _ = compared(20, prices={"A": 3.6})
    assert made.costs == {"A": pytest.approx(3.6 / 3600 * float(made.samples[0].seconds.mean()) * 1000)}


def test_data_that_ends_before_the_truths_is_told():
    made, _, _ = compared(60, data=iter(np.arange(50.0)[:, None].tolist()))
    assert made.verdict.cautions == ("--data had 50 rows, and --target has 60 values: they may not belong together.",)
    assert compared(60, data=iter(np.arange(70.0)[:, None].tolist()))[0].verdict.cautions == ()


@pytest.mark.parametrize(("rows", "cut"), [(60, False), (61, True), (70, True)])
def test_data_that_goes_on_after_the_truths_is_told(rows, cut):
    told = design()
    made, variants = Run(told, truths=np.arange(60.0)), Variants(A=lambda x: x + np.sin(7 * x), B=lambda x: x + 3)
    *_, last = run(None, made, iter(np.arange(float(rows))[:, None].tolist()), count=None, sending=variants)
    assert (last.done, last.total, made.cut) == (120, 120, cut)
    more = (
        "--data has more rows than --target has values, 60: only so many were sent, and they may not belong together."
    )
    assert concluded(made).verdict.cautions == ((more,) if cut else ())


def test_an_empty_row_after_the_last_truth_is_not_sent_and_fails_nothing():
    made, variants = Run(design(), truths=np.arange(60.0)), Variants(A=lambda x: x, B=lambda x: x + 3)
    list(run(None, made, iter([*np.arange(60.0)[:, None].tolist(), []]), count=None, sending=variants))
    assert (made.over, made.cut, made.collected.answered) == (True, True, 120)


def test_what_was_collected_is_there_without_statistics():
    order = np.random.default_rng(0).permutation(60)
    told = design()
    made = Run(told, truths=np.arange(60.0)[order], order=order)
    variants = Variants(A=lambda x: None if x == 7 else x + np.sin(7 * x), B=lambda x: x + 3)
    list(run(None, made, np.arange(60.0)[:, None], count=60, sending=variants))
    found, whole = unjudged(made), concluded(made)
    assert found.to_frame().equals(whole.to_frame())
    assert found.failures == whole.failures == {(7, "A"): "ModelError: InvokeEndpoint: no"}
    assert (found.verdict.outcome, found.verdict.differences, found.interrupted) == ("unknown", (), False)
    assert "the statistics were interrupted" in found.verdict.sentence
    assert np.isnan(list(found.values.values())).all()


def test_rows_are_cut_by_a_column():
    made, _, _ = compared(60, by=("half", np.array(["low"] * 30 + ["high"] * 30)))
    assert made.column == "half"
    assert [(each.label, each.rows) for each in made.slices] == [("high", 30), ("low", 30)]


def test_a_comparison_without_truths_measures_nothing():
    made, _, _ = compared(30, measure=None)
    assert made.values == {}
    assert made.verdict.outcome == "unknown"
