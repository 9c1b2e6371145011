"""Rows to variants: who gets which, what fails, when it ends."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from comparekit import Variants, compared, design
from scipy import sparse

from sm_magics.compare.experiment import GONE, HOPELESS, Progress, Run, run
from sm_magics.compare.measures import measure_of
from sm_magics.errors import CellError, InvokeError


def test_in_pairs_every_variant_gets_every_row_and_is_asked_first_as_often():
    made, variants, _ = compared(60)
    assert Counter(each.variant for each in variants.sent) == {"A": 60, "B": 60}
    assert Counter(each.variant for each in variants.sent[::2]) == {"A": 30, "B": 30}
    assert [len(each) for each in made.samples] == [60, 60]
    assert made.verdict.best == "A"
    assert not made.interrupted


def test_in_a_split_every_row_is_sent_once_and_nobody_is_named():
    made, variants, _ = compared(60, pairs=False)
    assert [each.variant for each in variants.sent] == [None] * 60
    assert [len(each) for each in made.samples] == [30, 30]
    assert list(made.samples[0].rows) == list(range(0, 60, 2))


def test_a_row_that_fails_is_sent_once_more():
    turns = itertools.count()
    answers = {"A": lambda x: None if x == 5 and next(turns) == 0 else x, "B": lambda x: x + 1}
    made, variants, _ = compared(30, answers=answers)
    assert len(variants.sent) == 61
    assert made.failures == {}
    assert [len(each) for each in made.samples] == [30, 30]


def test_a_row_that_fails_twice_is_counted_and_kept():
    made, variants, seen = compared(30, answers={"A": lambda x: None if x in {5, 6} else x, "B": lambda x: x + 1})
    assert len(variants.sent) == 62
    assert made.failures == {(5, "A"): "ModelError: InvokeEndpoint: no", (6, "A"): "ModelError: InvokeEndpoint: no"}
    assert list(made.samples[0].failed) == [5, 6]
    assert seen[-1].failed == 2
    assert "No answer: A for 2 of 30 rows." in made.verdict.cautions[0]


def test_in_a_split_a_row_may_be_answered_by_another_variant_the_second_time():
    answers = {"A": lambda x: x, "B": lambda x: None if x < 10 else x}
    made, _, _ = compared(40, answers=answers, pairs=False)
    assert sum(map(len, made.samples)) + len(made.failures) == 40
    assert all(name == "" for _, name in made.failures)
    failed = len(made.failures)
    assert made.verdict.cautions[0] == f"No answer to {failed} rows; the service does not say which variant failed."
    assert made.verdict.cautions[1].startswith("5 rows were sent a second time")


def test_in_a_split_a_variant_that_an_update_brings_is_told():
    answers = {"A": lambda x: x, "B": lambda x: x + 1, "New": lambda x: x}
    made, _, _ = compared(90, answers=answers, pairs=False)
    assert [each.variant for each in made.samples] == ["A", "B", "New"]
    assert "New 33.3% for 0.0%" in made.verdict.cautions[0]


def test_when_one_variant_never_answers_nothing_more_is_sent():
    variants = Variants(A=lambda x: x, B=lambda _: None)
    with pytest.raises(
        InvokeError, match="variant 'B' of endpoint 'boston' answered none of the first 20 rows"
    ) as caught:
        list(run(None, Run(design()), np.ones((9000, 1)), count=9000, sending=variants))
    assert "%sm_logs boston B" in caught.value.hint
    assert len(variants.sent) <= 2 * HOPELESS
    with pytest.raises(InvokeError, match="the endpoint answered none"):
        list(run(None, Run(design(pairs=False)), np.ones((90, 1)), count=90, sending=Variants(A=lambda _: None)))


def test_when_nobody_answers_any_more_it_ends_and_keeps_what_was_measured():
    answers = {"A": lambda x: x if x < 100 else None, "B": lambda x: x + 1 if x < 100 else None}
    made, variants, _ = compared(5000, answers=answers)
    assert len(variants.sent) == 200 + GONE
    assert made.gone
    assert made.interrupted
    assert [len(each) for each in made.samples] == [100, 100]
    assert made.verdict.best == "A"
    assert len(made.failures) == GONE


def test_what_cannot_be_measured_is_told_before_all_rows_are_sent():
    variants = Variants(A=lambda _: "cat", B=lambda _: "dog")
    made = Run(design(), truths=np.arange(9000.0))
    with pytest.raises(CellError, match="a prediction is no number: cat"):
        list(run(None, made, np.ones((9000, 1)), count=9000, sending=variants))
    assert len(variants.sent) < 50


@pytest.mark.parametrize(
    ("hook", "call", "told"),
    [
        ("serialize", 7, "while --serialize made the body of row 22"),
        ("parse", 14, "while --parse read the answer of B to row 22: '19.002937560056054'"),
    ],
)
def test_a_function_of_the_user_that_fails_says_at_which_row(hook, call, told):
    turns = itertools.count()

    def fails(made):
        if next(turns) == call:
            raise ValueError("oh")
        return b"%g" % made[0] if hook == "serialize" else float(made.body)

    with pytest.raises(ValueError, match="oh") as caught:
        compared(30, **{hook: fails}, order=np.arange(30)[::-1])
    assert caught.value.__notes__ == [told]


def test_an_interrupt_keeps_what_was_measured():
    def interrupted(x):
        if x == 40:
            raise KeyboardInterrupt
        return x

    made = Run(design(), truths=np.arange(100.0))
    with pytest.raises(KeyboardInterrupt):
        list(run(None, made, np.arange(100.0)[:, None], count=100, sending=Variants(A=interrupted, B=lambda x: x)))
    assert made.collected.answered == 80
    assert not made.over


class TestUntilItIsSignificant:
    def test_it_ends_as_soon_as_the_rows_tell_which_is_better(self):
        made, variants, _ = compared(5000, until=True)
        assert made.verdict.best == "A"
        assert made.enough == 100
        assert len(variants.sent) < 300
        assert [len(each) for each in made.samples] == [100, 100]

    def test_the_rows_it_tells_of_do_not_depend_on_who_answers_first(self):
        class Shuffled(Variants):
            def __call__(self, connection, target, requests, **options):
                block = list(itertools.islice(requests, 64))
                while block:
                    outcomes = list(super().__call__(connection, target, block, **options))
                    yield from reversed(outcomes)
                    block = list(itertools.islice(requests, 64))

        found = []
        for kind in (Variants, Shuffled):
            made = Run(design(until=True), truths=np.arange(5000.0))
            sending = kind(A=lambda x: x + np.sin(7 * x), B=lambda x: x + 1.15 * np.cos(5 * x))
            list(run(None, made, np.arange(5000.0)[:, None], count=5000, sending=sending))
            found.append(made.enough)
        assert found[0] == found[1]
        assert found[0] > 100

    def test_where_there_is_no_difference_all_rows_are_sent(self):
        same = {"A": lambda x: x + 1, "B": lambda x: x + 1}
        made, variants, _ = compared(400, until=True, answers=same)
        assert made.enough is None
        assert len(variants.sent) == 800
        assert made.verdict.outcome == "same"

    def test_rows_are_told_by_their_places_in_the_data_whatever_order_they_were_sent_in(self):
        order = np.random.default_rng(3).permutation(300)
        made, variants, _ = compared(300, order=order, until=True)
        assert [float(each.body) for each in variants.sent[:6:2]] == [float(each) for each in order[:3]]
        for sample in made.samples:
            assert list(sample.truths) == [float(each) for each in sample.rows]
            assert list(sample.rows) == sorted(sample.rows)


@pytest.mark.parametrize("kind", ["frame", "array", "list", "sparse", "iterator"])
def test_rows_come_from_whatever_a_notebook_has(kind):
    array = np.arange(40.0)[:, None]
    frame = pd.DataFrame(array, columns=["x"])
    data = {
        "frame": frame,
        "array": array,
        "list": array.tolist(),
        "sparse": sparse.csr_array(array),
        "iterator": iter(array),
    }[kind]
    order = None if kind == "iterator" else np.arange(40)[::-1]
    made, variants, _ = compared(40, data=data, order=order)
    first = 0.0 if kind == "iterator" else 39.0
    assert float(variants.sent[0].body) == first
    assert list(made.samples[0].rows) == list(range(40))


def test_only_so_many_rows_of_an_endless_iterator_are_sent():
    made = Run(design(measure=None))
    variants = Variants(A=lambda x: x, B=lambda x: x)
    list(run(None, made, ([float(each)] for each in itertools.count()), count=50, sending=variants))
    assert len(variants.sent) == 100


def test_progress_tells_how_far_it_is_and_how_long_it_takes():
    assert Progress("boston", 50, 200, 0, 5.0).left == 15.0
    assert Progress("boston", 50, None, 0, 5.0).left is None
    assert Progress("boston", 0, 10, 0, 0.0).left is None
    time = itertools.count()
    made = Run(design(measure=None))
    options = {"count": 10, "sending": Variants(A=lambda x: x, B=lambda x: x), "clock": lambda: float(next(time))}
    seen = list(run(None, made, np.ones((10, 1)), **options))
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    assert seen[-1].done == seen[-1].total == 20
    assert len(seen) > 5


def test_a_users_measure_that_is_no_mean_is_measured_too():
    made, _, _ = compared(60, measure=measure_of(lambda t, p: float(np.abs(t - p).max()), "lower"))
    assert made.verdict.differences[0].value < 0
