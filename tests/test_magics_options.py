from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.magic_arguments import magic_arguments

from sm_magics.errors import CellError
from sm_magics.magics.options import (
    HelpAsked,
    argument,
    duration,
    flag,
    name,
    output,
    parse,
    quiet,
    usage,
    waiting,
)


@magic_arguments()
@name("the thing")
@flag("--dry-run", what="do nothing")
@argument("--data", help="rows")
@argument("--rps", type=float, metavar="N", help="requests a second")
@argument("--rows", type=int, metavar="N", help="send N rows, 10 %% of them")
@argument("--better", choices=["lower", "higher"])
@waiting
@quiet
@output
def sm_thing(self, line):
    """Do the thing.

    It is done well.
    """


def given_by(line):
    return parse(sm_thing, line)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("1.5h", 5400.0),
        ("250ms", 0.25),
        ("7", 7.0),
        ("1.5", 1.5),
        ("1d", 86400.0),
        (" 2 m ", 120.0),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_read_in_seconds(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-5s", "5 minutes", "1h30m", "five", "1e3s"])
def test_anything_else_is_no_duration(text):
    with pytest.raises(argparse.ArgumentTypeError, match="no duration"):
        duration(text)


def test_a_line_is_read_word_by_word():
    given = given_by("boston --dry-run --timeout 5m -o result --quiet")
    assert (given.name, given.dry_run, given.timeout, given.out, given.quiet) == ("boston", True, 300.0, "result", True)


def test_a_negative_number_is_the_value_of_the_option_before_it():
    assert given_by("boston --rps -1.5 --rows -2").rps == -1.5


def test_what_is_not_given_is_not_set():
    given = given_by("boston")
    assert (given.dry_run, given.wait, given.timeout, given.out, given.quiet) == (False, None, None, None, False)


@pytest.mark.parametrize(("flags", "wait"), [("--wait", True), ("--no-wait", False), ("", None)])
def test_waiting_is_asked_for_refused_or_left_open(flags, wait):
    assert given_by(f"boston {flags}").wait is wait


@pytest.mark.parametrize(
    ("word", "data"),
    [
        ("$X", "$X"),
        ("${frames[0].head}", "${frames[0].head}"),
        ("${d['a b']}", "${d['a b']}"),
        ('${d["a b"]}', '${d["a b"]}'),
        ("'${d[\"a\"]}'", '${d["a"]}'),
        ("'two words'", "two words"),
        ("{braces}", "{braces}"),
    ],
)
def test_a_word_comes_as_it_was_written_and_an_expression_keeps_its_quotes(word, data):
    assert given_by(f"boston --data {word}").data == data
    assert given_by(f"boston --data={word}").data == data


@pytest.mark.parametrize(
    ("line", "told", "hint"),
    [
        ("", "the following arguments are required: NAME", "%sm_thing"),
        ("boston --dry-rnu", "unrecognized arguments: --dry-rnu", "did you mean --dry-run?"),
        ("boston --qiet", "unrecognized arguments: --qiet", "did you mean --quiet?"),
        ("boston --zzzzzz", "unrecognized arguments: --zzzzzz", "%sm_thing"),
        ("boston extra", "unrecognized arguments: extra", "%sm_thing"),
        ("boston --dry", "unrecognized arguments: --dry", "did you mean --dry-run?"),
        (
            "boston --timeout soon",
            "--timeout: 'soon' is no duration; write 30s, 5m or 1h",
            "--timeout TIME: wait at most",
        ),
        (
            "boston --timeout -1s",
            "--timeout: '-1s' is no duration; write 30s, 5m or 1h",
            "--timeout TIME: wait at most",
        ),
        ("--timeout -.5s boston", "--timeout: '-.5s' is no duration", "--timeout TIME: wait at most"),
        ("boston --timeout", "--timeout: it needs a value", "--timeout TIME: wait at most"),
        ("boston --timeout --quiet", "--timeout: it needs a value", "--timeout TIME: wait at most"),
        ("boston --rps abc", "--rps: 'abc' is no number", "--rps N: requests a second"),
        ("boston --rows 1.5", "--rows: '1.5' is no whole number", "--rows N: send N rows, 10 % of them"),
        ("boston --better best", "--better: 'best' is none of lower, higher", "--better lower|higher"),
        ("boston --data", "--data: it needs a value", "--data VALUE: rows"),
        ("boston -o 2x", "--out: '2x' is no name for a variable", "--out VARIABLE: keep"),
        ("boston -o class", "'class' is no name for a variable", "--out VARIABLE: keep"),
        ("boston -o a.b", "'a.b' is no name for a variable", "--out VARIABLE: keep"),
        ("'boston", "no closing quotation", "close the quote: 'boston"),
        ('boston --data "a', "no closing quotation", "close the quote"),
    ],
)
def test_a_line_that_cannot_be_read_is_an_error_with_what_to_do(line, told, hint):
    with pytest.raises(CellError) as caught:
        given_by(line)
    assert told in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("line", ["--help", "-h", "boston --help", "--nonsense --help"])
def test_help_is_given_whatever_else_the_line_says(line):
    with pytest.raises(HelpAsked):
        given_by(line)


@given(st.text(max_size=40))
def test_any_line_is_read_or_refused_and_never_breaks(line):
    try:
        given_by(line)
    except (CellError, HelpAsked):
        return


def test_the_usage_has_the_options_and_the_description():
    told = usage(sm_thing)
    assert told.startswith("%sm_thing [--dry-run]")
    assert "Do the thing." in told
    assert "--timeout TIME" in told
    assert "::" not in told


def test_opposites_on_one_line_are_refused():
    with pytest.raises(CellError, match="the opposite of each other"):
        given_by("boston --wait --no-wait")
