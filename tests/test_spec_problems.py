from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.spec.problems import Place, Problem, Source, clipped


def shown(text: str, *problems: Problem, first_line: int = 1) -> str:
    return str(Source(text, first_line).error(problems))


def test_a_problem_shows_its_line_the_one_before_a_caret_and_the_hint():
    text = "variants:\n  Linear-Model: $linear\n  XGB-Model:\n    wieght: 2\n"
    assert shown(text, Problem("unknown key 'wieght'", "did you mean 'weight'?", Place(3, 4))) == (
        "line 4: unknown key 'wieght'\n"
        "     3 |   XGB-Model:\n"
        "  -> 4 |     wieght: 2\n"
        "       |     ^\n"
        "  did you mean 'weight'?"
    )


def test_the_first_line_has_none_before_it():
    assert shown("a: 1", Problem("wrong", None, Place(0, 3))) == "line 1: wrong\n  -> 1 | a: 1\n       |    ^"


def test_lines_are_counted_as_the_reader_counts():
    assert shown("a: 1\nb: 2", Problem("wrong", None, Place(1, 0)), first_line=9) == (
        "line 10: wrong\n      9 | a: 1\n  -> 10 | b: 2\n        | ^"
    )


def test_a_problem_without_a_place_comes_first_and_has_no_line():
    text = shown("a: 1", Problem("in the body", None, Place(0, 0)), Problem("name too long", "shorten it"))
    assert text == "name too long\n  shorten it\n\nline 1: in the body\n  -> 1 | a: 1\n       | ^"


def test_problems_come_in_the_order_of_lines_and_columns():
    places = [Place(1, 5), Place(0, 2), Place(1, 0)]
    text = shown("a: 1\nbcd: 2", *(Problem(f"{p.line}.{p.column}", None, p) for p in places))
    assert [line for line in text.splitlines() if line.startswith("line")] == [
        "line 1: 0.2",
        "line 2: 1.0",
        "line 2: 1.5",
    ]


def test_a_blank_line_before_leaves_no_blanks_behind():
    assert shown("\nb", Problem("wrong", None, Place(1, 0))) == "line 2: wrong\n     1 |\n  -> 2 | b\n       | ^"


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\x85", "\u2028"])
def test_all_line_breaks_of_yaml_count(line_break):
    text = shown(line_break.join(["a: 1", "b: 2", "c: 3"]), Problem("wrong", None, Place(2, 3)))
    assert text == "line 3: wrong\n     2 | b: 2\n  -> 3 | c: 3\n       |    ^"


@pytest.mark.parametrize(
    ("line", "column", "indent"),
    [("é: x", 3, 3), ("日本: x", 4, 6), ("e\u0301: x", 4, 3), ("\ta", 1, 1), ("😀 x", 2, 3)],
)
def test_the_caret_stands_under_wide_and_combined_characters(line, column, indent):
    caret = shown(line, Problem("wrong", None, Place(0, column))).splitlines()[2]
    assert caret == "       | " + " " * indent + "^"


def test_tabs_and_control_characters_are_made_visible():
    assert "  -> 1 | →a �[31m" in shown("\ta \x1b[31m", Problem("wrong", None, Place(0, 0)))


@given(column=st.integers(0, 3999))
def test_of_a_long_line_the_part_around_the_caret_is_shown(column):
    line = "".join(str(n % 10) for n in range(4000))
    _, excerpt, caret = shown(line, Problem("wrong", None, Place(0, column))).splitlines()
    assert len(excerpt) < 120
    assert excerpt[caret.index("^")] == line[column]


def test_a_place_behind_the_text_is_shown_at_its_end():
    assert shown("a", Problem("wrong", None, Place(7, 3))).startswith("line 1: wrong\n  -> 1 | a\n")


def test_of_very_many_problems_the_first_are_shown_and_the_rest_counted():
    text = shown("a", *(Problem("wrong", None, Place(0, 0)) for _ in range(57)))
    assert text.count("wrong") == 50
    assert text.endswith("\n\nand 7 more")


def test_an_index_of_the_text_has_a_place():
    assert Source("ab\r\ncd\n").at(5) == Place(1, 1)


def test_long_texts_are_clipped():
    assert clipped("x" * 60) == "x" * 60
    assert clipped("x" * 61) == "x" * 59 + "…"
