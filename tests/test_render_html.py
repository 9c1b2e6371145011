from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from sm_magics.render.html import record, render, style
from sm_magics.render.view import Badge, Code, Column, Facts, Note, Table, View, bar

EVIL = "<script>alert('x')</script> & \"quoted\""
VOID = {"br", "hr", "img", "input", "meta", "link"}


class Reader(HTMLParser):
    """Reads HTML strictly: every tag is closed in its turn; keeps the text and the attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return "".join(self.words)


def full(text):
    """Return a card with `text` wherever a text can stand."""
    return View(
        text,
        Badge(text, "bad"),
        (
            Facts(((text, text),)),
            Table((Column(text), Column(text, number=True), Column(text, prose=True)), ((text, text, text),), text),
            Note(text, "bad"),
            Code(text, text),
        ),
    )


def test_every_kind_of_block_is_well_formed():
    read = Reader(render(full("word")))
    assert read.text.count("word") == 14
    assert {"table", "pre", "p"} <= set(read.tags)


def test_everything_is_escaped_wherever_it_stands():
    text = render(full(EVIL))
    assert "<script" not in text
    assert Reader(text).text.count(EVIL) == 14


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1))
def test_any_text_comes_out_as_it_went_in(text):
    read = Reader(render(View("t", None, (Note(text), Table((Column("a"),), ((text,),))))))
    assert read.text.count(text) >= 2
    assert "script" not in read.tags


def test_nothing_in_a_card_runs_or_loads_anything():
    read = Reader(render(full("word")))
    assert not {"script", "iframe", "object", "embed", "link", "img"} & set(read.tags)
    assert not {name for name, _ in read.attributes} & {"onclick", "onload", "src", "href", "style", "id"}
    assert "url(" not in render(full("word"))


def test_words_carry_all_that_colours_say():
    good, bad = (
        Reader(render(View("Endpoint e", Badge(text, tone)))) for text, tone in [("up", "good"), ("down", "bad")]
    )
    assert "up" in good.text
    assert "down" in bad.text


def test_styles_stay_inside_the_card():
    style = render(View("t")).partition("<style>")[2].partition("</style>")[0]
    style = re.sub(r"/\*.*?\*/|@media[^{]*\{", "", style)
    selectors = [each.strip() for part in style.split("}") for each in part.partition("{")[0].split(",")]
    assert all(each.startswith(".sm-card") for each in selectors if each)


def test_numbers_stand_right_even_where_styles_are_stripped():
    read = Reader(render(View("t", None, (Table((Column("n", number=True),), (("1",),)),))))
    assert read.attributes.count(("align", "right")) == 2


def test_dollar_signs_are_no_formula_to_whoever_looks_for_them():
    card = Reader(render(View("t", None, (Note("from $5 to $6"),))))
    classes = dict(card.attributes)["class"].split()
    assert {"mathjax_ignore", "tex2jax_ignore"} <= set(classes)


def test_it_reads_aloud_with_a_heading_what_titles_are_of_and_no_bars():
    table = Table((Column("share"), Column("printed", code=True)), ((bar(0.5), "··· a log's line"),))
    text = render(View("t", None, (Facts((("name", "value"),)), table)))
    attributes = Reader(text).attributes
    assert ("role", "heading") in attributes
    assert attributes.count(("scope", "row")) == 1
    assert attributes.count(("scope", "col")) == 2
    assert f'<span aria-hidden="true">{bar(0.5)}</span>' in text
    assert attributes.count(("aria-hidden", "true")) == 1


def test_a_table_without_rows_and_a_card_without_blocks_are_fine():
    assert Reader(render(View("only a title"))).text.strip() == "only a title"
    assert "name" in Reader(render(View("t", None, (Table((Column("name"),), ()),)))).text


def test_a_bar_among_words_looks_like_any_other_and_the_words_are_escaped():
    text = render(View("t", None, (Facts((("traffic", f"<new> {bar(0.5)} old"),)),)))
    assert f'<td>&lt;new&gt; <span class="sm-bar" aria-hidden="true">{bar(0.5)}</span> old</td>' in text


def test_an_empty_cell_is_no_bar_and_a_bar_is_one():
    read = Reader(render(View("t", None, (Table((Column("a"), Column("b")), (("", bar(0.5)),)),))))
    assert read.attributes.count(("class", "sm-bar")) == 1


def test_the_same_card_gives_the_same_html():
    assert render(full("word")) == render(full("word"))


def test_cells_of_a_wide_table_know_their_column_for_narrow_windows_and_others_need_not():
    names = ("one", "two", "three", "four", "")
    cells = ("1", "2", "3", "4", "5 %")
    wide = Reader(render(View("t", None, (Table(tuple(map(Column, names)), (cells,)),))))
    assert [value for name, value in wide.attributes if name == "data-of"] == ["one", "two", "three", "four"]
    assert ("class", "sm-table sm-wide") in wide.attributes
    slim = Reader(render(View("t", None, (Table(tuple(map(Column, names[:4])), (cells[:4],)),))))
    assert "data-of" not in {name for name, _ in slim.attributes}
    assert ("class", "sm-table") in slim.attributes


def test_a_record_is_the_card_in_a_place_that_a_widget_can_hide():
    view = View("Endpoint boston", None, (Note("as it was"),))
    shown = record(view)
    assert shown.startswith(f'<div class="sm-record">{render(view)}')
    assert ":not(:has(.sm-panel)) {display: none}" in shown  # what stands where the widget is missing


def test_where_the_style_is_already_the_card_comes_without():
    view = View("Endpoint boston", None, (Note("as it was"),))
    assert f"<style>\n{style()}\n</style>\n" in render(view)
    assert render(view, styled=False) == render(view).replace(f"<style>\n{style()}\n</style>\n", "")
