from __future__ import annotations

import pytest

from sm_magics.logs import Entry
from sm_magics.render import html, text
from sm_magics.render.observed import LONGEST_LINE, following, logs

ENTRIES = (
    Entry("A", "i-1", "INFO  two  spaces", 1_700_000_000_123),
    Entry("B", "i-2", "<b>not bold</b>", 1_700_000_001_000),
    Entry("A", "i-3", "ERROR", 1_700_000_002_000),
)


def lines(view):
    return text.render(view).split("\n")


def test_each_line_is_told_with_its_variant_and_the_instance_s_number():
    assert lines(logs("boston", None, ENTRIES, lines=50, times=False)) == [
        "Logs of boston",
        "",
        "  variant  instance  printed",
        "  ────────────────────────────────────",
        "  A        1         INFO  two  spaces",
        "  B        1         <b>not bold</b>",
        "  A        2         ERROR",
    ]


def test_without_times_nothing_on_the_card_differs_from_run_to_run():
    card = html.render(logs("boston", None, ENTRIES, lines=50, times=False))
    assert "i-1" not in card
    assert "2023" not in card


def test_times_and_ids_are_told_when_asked_for():
    told = lines(logs("boston", "A", ENTRIES[:1], lines=50, times=True))
    assert told[0] == "Logs of boston, variant A"
    assert told[-1] == "  2023-11-14 22:13:20.123  A        i-1       INFO  two  spaces"


def test_the_last_lines_are_shown_and_all_are_counted():
    told = text.render(logs("boston", None, ENTRIES, lines=2, times=False))
    assert "The last 2 of 3 lines; the object's `entries` has them all." in told
    assert "spaces" not in told


def test_nothing_printed_is_said():
    assert lines(logs("boston", None, (), lines=2, times=False))[-1] == "  Nothing was printed yet."
    assert "Nothing was printed yet." in text.render(following(()))


def test_what_is_printed_is_text_and_keeps_its_spaces():
    card = html.render(logs("boston", None, ENTRIES, lines=50, times=False))
    assert "&lt;b&gt;not bold" in card
    assert '<td class="sm-text">INFO  two  spaces</td>' in card


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("one\ttwo", "one     two"),
        ("bell\x07\x00", "bell"),
        ("100 %\r", "100 %"),
        ("x" * 3000, "x" * (LONGEST_LINE - 1) + "…"),
    ],
)
def test_what_only_a_terminal_understands_is_left_out(printed, shown):
    view = logs("boston", None, (Entry("A", "i-1", printed, 0),), lines=50, times=False)
    assert lines(view)[-1] == f"  A        1         {shown}"


def test_a_long_line_does_not_make_a_long_rule():
    told = lines(logs("boston", None, (Entry("A", "i-1", "x" * 500, 0),), lines=50, times=False))
    assert len(told[3]) < 100


def test_while_it_is_followed_the_card_says_how_to_end_it():
    told = text.render(following(ENTRIES))
    assert told.startswith("Logs · following\n")
    assert "Interrupt the cell to end it" in told
    assert "22:13:20.123" in told
