from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sm_magics.render.text import PROSE_WIDTH, _width, render
from sm_magics.render.view import Badge, Code, Column, Facts, Note, Table, View


def card(*blocks, badge=None):
    return render(View("Title", badge, blocks)).split("\n")


def table(columns, *rows, caption=""):
    return card(Table(tuple(columns), rows, caption))[2:]


def test_a_card_begins_with_its_title_and_badge():
    assert card() == ["Title"]
    assert card(badge=Badge("InService", "good")) == ["Title · InService"]


def test_blocks_stand_apart_and_an_empty_one_leaves_no_gap():
    assert card(Note("one"), Facts(()), Note("two")) == ["Title", "", "  one", "", "  two"]


WIDE = (Column("variant"), Column("model"), Column("traffic"), Column("", number=True), Column("why", prose=True))
ROWS = (
    ("A", "linear-0123456789abcdef", "█████░░░░░", "50 %", "it was asked for by the cell that was run before this one"),
    ("B", "xgb-0123456789abcdef", "█████░░░░░", "50 %", ""),
)


def test_a_table_that_is_wider_than_there_is_room_for_is_names_and_values():
    view = View("Title", None, (Table(WIDE, ROWS), Note("This has to be said in more words than fit in one line.")))
    assert render(view, 48).split("\n")[2:] == [
        "  variant  A",
        "  model    linear-0123456789abcdef",
        "  traffic  █████░░░░░  50 %",
        "  why      it was asked for by the cell that was",
        "           run before this one",
        "",
        "  variant  B",
        "  model    xgb-0123456789abcdef",
        "  traffic  █████░░░░░  50 %",
        "  why",
        "",
        "  This has to be said in more words than fit in",
        "  one line.",
    ]
    assert render(view, 120).split("\n")[:3] == render(view).split("\n")[:3]  # where it fits it is a table


def test_a_program_s_lines_stay_as_they_are_where_they_do_not_fit():
    view = View("Title", None, (Table((Column("at"), Column("", code=True)), (("1", "  x = " + "y" * 90),)),))
    assert render(view, 40) == render(view)


@given(st.integers(20, 200), st.lists(st.text("ab 漢́", max_size=60), min_size=1, max_size=4))
def test_nothing_is_wider_than_there_is_room_for_but_words(width, cells):
    columns = tuple(Column(f"c{number}") for number in range(len(cells)))
    words = [word for cell in cells for word in cell.split()]
    view = View("Title", None, (Table(columns, (tuple(cells),)), Facts((("name", cells[0]),)), Note(cells[0])))
    lines = render(view, width).split("\n")
    assert all(_width(line) <= width or (line.split()[-1] in words and len(line.split()) <= 2) for line in lines)
    shown = "".join("".join(lines).split())
    assert all(word in shown for word in words)


def test_one_below_the_other_a_first_column_without_a_title_goes_with_the_next():
    columns = (Column("", number=True), Column("AWS call"), Column("what", prose=True), Column(""))
    view = View("Title", None, (Table(columns, (("1", "CreateModel", "a model", "*"), ("12", "", "b", ""))),))
    assert render(view, 28).split("\n")[2:] == [
        "  AWS call  1  CreateModel",
        "  what      a model  *",
        "",
        "  AWS call  12",
        "  what      b",
    ]


def test_facts_are_aligned():
    assert card(Facts((("a", "1"), ("longer", "2"), ("b", ""))))[2:] == ["  a       1", "  longer  2", "  b"]


def test_numbers_stand_right_and_words_left():
    columns = (Column("name"), Column("count", number=True))
    assert table(columns, ("a", "1"), ("bcd", "1000")) == [
        "  name  count",
        "  ───────────",
        "  a         1",
        "  bcd    1000",
    ]


def test_a_table_without_rows_still_says_what_it_would_hold():
    assert table((Column("name"), Column("x"))) == ["  name  x", "  ───────"]


def test_a_caption_stands_above_its_table():
    assert table((Column("name"),), ("a",), caption="What it is")[0] == "  What it is"


def test_wide_characters_take_two_columns_and_combining_ones_none():
    columns = (Column("name"), Column("x"))
    rows = (("日本", "|"), ("e\u0301te\u0301", "|"), ("abcd", "|"), ("a\u200db", "|"))
    assert [_width(line[: line.index("|")]) for line in table(columns, *rows)[2:]] == [8, 8, 8, 8]


def test_a_column_may_ask_for_more_than_its_cells_need():
    assert table((Column("t", number=True, width=9),), ("0.4 ms",))[2] == "  " + "0.4 ms".rjust(9)


def test_prose_is_broken_into_lines_and_other_cells_stay_whole():
    long = "word " * 20
    columns = (Column("a"), Column("why", prose=True), Column("z"))
    lines = table(columns, ("x" * 80, long, "end"))[2:]
    assert len(lines) == 3
    assert lines[0].endswith("end")
    assert all(len(line) <= 2 + 80 + 2 + PROSE_WIDTH + 2 + 3 for line in lines)


def test_an_empty_prose_cell_keeps_its_place():
    assert table((Column("why", prose=True), Column("z")), ("", "end"))[2] == "       end"


def test_a_cell_of_several_lines_stays_in_its_column():
    assert table((Column("a"), Column("b")), ("one\ntwo", "x"), ("three", "y"))[2:] == [
        "  one    x",
        "  two",
        "  three  y",
    ]


def test_facts_and_notes_of_several_lines_stay_indented():
    assert card(Facts((("a", "one\ntwo"),)), Note("x\ny"))[2:] == ["  a  one", "     two", "", "  x", "  y"]


def test_code_keeps_its_lines_and_its_indentation():
    assert card(Code("a:\n\n  b: 1\n", "The cell"))[2:] == ["  The cell", "    a:", "", "      b: 1"]


CELLS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5), st.booleans())
def test_columns_begin_at_one_place_in_every_row(rows, number):
    columns = (Column("a", number=number), Column("b"), Column("c"))
    lines = table(columns, *(tuple(f"{cell}|" for cell in row) for row in rows))
    for line, row in zip(lines[2:], rows, strict=True):
        assert line.count("|") == 3 + sum(cell.count("|") for cell in row)
    edges = {_width(line.rstrip()) <= _width(lines[1]) for line in lines}
    assert edges == {True}


@given(CELLS)
def test_no_line_ends_in_a_blank(cell):
    for line in card(Facts(((cell, cell),)), Table((Column(f"t{cell}"),), ((cell,),)), Code(cell)):
        assert line == line.rstrip()
