from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest

from sm_magics.errors import InvokeError
from sm_magics.invoke import Answer, Failed, Invocations, Row, Target
from sm_magics.render import text
from sm_magics.render.invocations import MOST_ROWS, invocations, payload

TARGET = Target("boston")


def sent(*rows, weights=None, target=TARGET, available=None):
    return Invocations(target, rows, weights or {"A": 4.0, "B": 1.0}, available)


def lines(view):
    return text.render(view).split("\n")


def test_each_row_is_told_with_its_truth_its_error_and_who_answered():
    view = invocations(sent(Row(0, 24.5, 24.0, "A", 1.5), Row(1, 20.0, 22.0, "B", 1234.5), available=506))
    assert lines(view)[:6] == [
        "2 of 506 rows to boston",
        "",
        "  row  prediction  truth  error  variant    latency",
        "  ─────────────────────────────────────────────────",
        "    0       24.50  24.00  +0.50  A           1.5 ms",
        "    1       20.00  22.00  -2.00  B        1234.5 ms",
    ]


def test_how_the_answers_split_is_told_against_the_weights():
    rows = [Row(n, 1.0, 2.0, "A", 1.0) for n in range(3)] + [Row(3, 1.0, 1.5, "B", 3.0)]
    told = lines(invocations(sent(*rows)))
    head = next(n for n, line in enumerate(told) if line.startswith("  How the answers split"))
    a, b = (line.split() for line in told[head + 3 : head + 5])
    assert [a[0], *a[2:]] == ["A", "3", "75", "%", "80", "%", "1.00", "1.0", "ms"]
    assert [b[0], *b[2:]] == ["B", "1", "25", "%", "20", "%", "0.50", "3.0", "ms"]


def test_without_truths_there_are_no_errors():
    told = text.render(invocations(sent(Row(0, 1.0, None, "A", 1.0))))
    assert "truth" not in told
    assert "error" not in told


@pytest.mark.parametrize("gap", [None, float("nan"), pd.NA])
def test_rows_without_a_true_value_are_left_out_of_the_errors_and_counted(gap):
    told = lines(invocations(sent(Row(0, 3.0, 1.0, "A", 1.0), Row(1, 9.0, gap, "A", 1.0))))
    assert told[5].split() == ["1", "9.00", "–", "A", "1.0", "ms"]
    assert "1 of 2 rows has no true value, and is left out of the errors." in " ".join(told)
    assert next(line for line in told if "100 %" in line).split()[6:8] == ["%", "2.00"]


@pytest.mark.parametrize("odd", ["x", float("inf"), Decimal("-Infinity")])
def test_rows_whose_true_value_is_no_finite_number_are_left_out_of_the_errors_and_counted(odd):
    told = lines(invocations(sent(Row(0, 3.0, 1.0, "A", 1.0), Row(1, 9.0, odd, "A", 1.0), Row(2, 1.0, None, "A", 1.0))))
    assert [told[5].split()[1], *told[5].split()[3:]] == ["9.00", "A", "1.0", "ms"]
    told_whole = " ".join(told)
    assert "1 of 3 rows has no true value, and is left out of the errors." in told_whole
    assert "1 of 3 rows has a true value that is no finite number, and is left out of the errors." in told_whole
    assert next(line for line in told if "100 %" in line).split()[6:8] == ["%", "2.00"]


def test_true_values_that_are_labels_have_no_errors_and_nothing_is_said_of_them():
    told = text.render(invocations(sent(Row(0, "cat", "cat", "A", 1.0), Row(1, 1.0, "dog", "A", 1.0))))
    assert "left out" not in told


def test_true_values_may_be_decimal_numbers():
    assert Row(0, 3.0, Decimal("2.5"), "A", 1.0).error == 0.5


def test_a_variant_that_answered_nothing_is_shown_as_such():
    told = lines(invocations(sent(Row(0, 1.0, 1.0, "A", 1.0))))
    assert told[-1].split()[2:] == ["0", "0", "%", "20", "%", "–", "–"]


def test_a_variant_that_has_no_weight_any_more_is_shown_too():
    told = lines(invocations(sent(Row(0, 1.0, None, "Gone", 1.0), weights={"A": 1.0})))
    assert told[-1].split()[0] == "Gone"


def test_rows_that_failed_are_counted_by_what_came_back():
    failed = [Failed(n, 13, InvokeError("A answered 500: boom")) for n in (1, 3)] + [Failed(4, 13, InvokeError("slow"))]
    told = lines(invocations(Invocations(TARGET, (Row(0, 1.0, None, "A", 1.0),), {"A": 1.0}, 9, tuple(failed), 5)))
    assert told[0] == "4 of 9 rows to boston"
    at = told.index("  3 of 4 rows failed")
    assert [line.split() for line in told[at + 3 :]] == [
        ["2", "1", "A", "answered", "500:", "boom"],
        ["1", "4", "slow"],
    ]


def test_where_all_failed_there_are_no_empty_tables():
    told = text.render(invocations(Invocations(TARGET, (), {"A": 1.0}, 1, (Failed(0, 1, InvokeError("no")),), 1)))
    assert "prediction" not in told
    assert "How the answers split" not in told


def test_one_variant_alone_needs_no_split():
    told = text.render(invocations(sent(Row(0, 1.0, None, "A", 1.0), target=Target("boston", "A"))))
    assert told.startswith("1 row to boston, variant A\n")
    assert "How the answers split" not in told


def test_many_rows_are_cut_and_the_rest_is_counted():
    told = text.render(invocations(sent(*(Row(n, 1.0, None, "A", 1.0) for n in range(MOST_ROWS + 7)))))
    assert "… and 7 more rows, in the object's `rows`." in told
    assert f"\n  {MOST_ROWS} " not in told


@pytest.mark.parametrize(
    ("prediction", "shown"),
    [
        (24.456, "24.46"),
        (1234567.0, "1.23457e+06"),
        ((0.1, 0.9), "0.10, 0.90"),
        ("setosa", "setosa"),
        ("x" * 80, "x" * 59 + "…"),
        (float("nan"), "nan"),
    ],
)
def test_predictions_of_every_kind_are_shown_in_a_table_s_width(prediction, shown):
    assert f" {shown} " in text.render(invocations(sent(Row(0, prediction, None, "A", 1.0))))


def test_an_answer_of_several_lines_does_not_break_the_table():
    told = lines(invocations(sent(Row(0, "one\ntwo", None, "A", 1.0), Row(1, "three", None, "B", 1.0))))
    assert told[4].split() == ["0", "one", "A", "1.0", "ms"]
    assert told[5].split() == ["two"]
    assert told[6].split() == ["1", "three", "B", "1.0", "ms"]


@pytest.mark.parametrize(("prediction", "shown"), [(1.001, "0.00"), (0.999, "0.00"), (1.5, "+0.50"), (0.5, "-0.50")])
def test_no_error_is_minus_zero(prediction, shown):
    assert lines(invocations(sent(Row(0, prediction, 1.0, "A", 1.0))))[4].split()[3] == shown


def test_a_card_s_layout_does_not_depend_on_how_fast_the_answers_were():
    fast, slow = (lines(invocations(sent(Row(0, 1.0, None, "A", time)))) for time in (0.4, 1234.5))
    assert [len(line) for line in fast] == [len(line) for line in slow]


def test_weights_that_are_all_zero_are_no_division_by_zero():
    assert "0 %" in text.render(invocations(sent(Row(0, 1.0, None, "A", 1.0), weights={"A": 0.0})))


def test_a_payload_s_answer_is_shown_as_it_came():
    view = payload(TARGET, Answer('{"predictions": []}', "application/json", "A", 1.25))
    assert lines(view) == [
        "Answer of boston",
        "",
        "  application/json",
        '    {"predictions": []}',
        "",
        "  A answered in 1.2 ms",
    ]


def test_a_long_answer_is_cut_and_the_rest_is_counted():
    many = text.render(payload(TARGET, Answer("1\n" * 120, "text/csv", "A", 1.0)))
    assert "… and 70 more lines" in many
    wide = text.render(payload(TARGET, Answer("1," * 20_000, "text/csv", "A", 1.0)))
    assert "… and 30,000 more characters" in wide
