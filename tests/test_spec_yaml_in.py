from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_magics.errors import CellError
from sm_magics.spec.nodes import ListNode, MappingNode, ScalarNode
from sm_magics.spec.problems import Source
from sm_magics.spec.yaml_in import parse


def values(text: str):
    problems = []
    node = parse(Source(text), problems)
    assert problems == []
    return plain(node)


def plain(node):
    if isinstance(node, MappingNode):
        return {entry.key: plain(entry.value) for entry in node.entries}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.value if isinstance(node, ScalarNode) else node


def refusal(text: str) -> str:
    with pytest.raises(CellError) as caught:
        parse(Source(text), [])
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("~", None),
        ("true", True),
        ("false", False),
        ("12", 12),
        ("-3", -3),
        ("+4", 4),
        ("010", 10),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-.inf", -math.inf),
        ("9" * 500, math.inf),
        ("1e999", math.inf),
    ],
)
def test_words_without_quotes_are_null_booleans_or_decimal_numbers(text, value):
    found = values(f"k: {text}")["k"]
    assert (found, type(found)) == (value, type(value))


def test_nan_is_a_number():
    assert math.isnan(values("k: .nan")["k"])


@pytest.mark.parametrize(
    "text",
    [
        "on",
        "off",
        "yes",
        "no",
        "True",
        "NULL",
        "5:30",
        "0x10",
        "0o7",
        "1_000",
        "2026-01-02",
        "1.2.3",
        "1e",
        ".",
        "١٢",
        "nan",
    ],
)
def test_all_other_words_are_text(text):
    assert values(f"k: {text}") == {"k": text}


def test_quotes_and_blocks_make_text():
    assert values("a: '1'\nb: \"true\"\nc: |\n  5\nd: ''\n") == {"a": "1", "b": "true", "c": "5\n", "d": ""}


def test_keys_are_text_as_written():
    assert values("1: a\ntrue: b\n5:30: c\n'<<': d\n? e\n: f") == {
        "1": "a",
        "true": "b",
        "5:30": "c",
        "<<": "d",
        "e": "f",
    }


@pytest.mark.parametrize("text", ["", " \n\n", "# nothing\n", "---\n", "\ufeff"])
def test_an_empty_cell_has_no_nodes(text):
    assert parse(Source(text), []) is None


def test_nodes_know_where_they_stand():
    node = parse(Source("a:\r\n  b: {cé: 1, d: [x, y]}\r\n"), [])
    inner = node.entries[0].value.entries[0].value
    places = [(entry.key, entry.place.line, entry.place.column) for entry in inner.entries]
    assert places == [("cé", 1, 6), ("d", 1, 13)]
    assert [(item.place.line, item.place.column) for item in inner.entries[1].value.items] == [(1, 17), (1, 20)]


def test_a_repeated_key_is_a_problem_that_names_both_lines():
    problems = []
    node = parse(Source("a: 1\nb: 2\na: 3\n", first_line=2), problems)
    assert plain(node) == {"a": 1, "b": 2}
    assert [(each.message, each.place.line) for each in problems] == [("key 'a' is already on line 2", 2)]


@pytest.mark.parametrize(
    ("text", "first_line", "caret", "hint"),
    [
        ("a: {model: ${a.b}}", "line 1: an expression in braces needs quotes here", 11, 'put quotes around "${a.b}"'),
        ("a: [${a.b}]", "line 1: an expression in braces needs quotes here", 4, 'put quotes around "${a.b}"'),
        ("a: 1\nweight:2\n", "line 2: a key without ': ' after it", 0, "put a space after 'weight:'"),
        ("weight:2\nb: 1", "line 1: a key without ': ' after it", 0, "put a space after 'weight:'"),
        ("a:\n  A:$m\n  B: $m", "line 2: a key without ': ' after it", 2, "put a space after 'A:'"),
        ("a: {weight:2, b: 1}", "line 1: a key without ': ' after it", 4, "put a space after 'weight:'"),
        ("a: 1\nword\nb: 1", "line 2: a key without ': ' after it", 0, "write key: value"),
        ("a: b: c", "line 1: a second ':' on this line", 4, 'put quotes around text that holds ": "'),
        (
            "a: 1\n b: 2",
            "line 2: this key is indented too far",
            2,
            "check the indentation: the line above has a value already",
        ),
        ("a:\n  b: 1\n c: 2", "line 3: this line does not line up", 1, "keys of one level start in the same column"),
        ("a:\n\tb: 1", "line 2: a tab where a key or a value should start", 0, "use spaces"),
        ("a:\tb", "line 1: a tab where a key or a value should start", 2, "use spaces"),
        ("a: {b: 1", "line 1: the '{' is never closed", 3, "close it with '}'"),
        ("a: [b", "line 1: the '[' is never closed", 3, "close it with ']'"),
        ("a: {b: 1\nc: 2", "line 2: ',' or '}' is missing here", 1, "the '{' on line 1 is still open"),
        ("a: 'x", "line 1: the quote is never closed", 3, "close it with the same sign"),
        ("a: @x", "line 1: text cannot start with '@'", 3, "put quotes around it"),
        ("a: {b: 1}}", "line 1: '}' closes nothing", 9, "remove it"),
        ("a: 'x' y", "line 1: text after a value that has ended", 7, "put quotes around all of it"),
        ("- a\nb: 1", "line 2: a key among the items of a list", 0, "check the indentation"),
        ("a: 1\n- b", "line 2: a list item among keys", 0, "check the indentation"),
        ("a: {b: 1,, c: 1}", "line 1: a value is missing before ','", 9, None),
        (": x", "line 1: ':' without a key before it", 0, "write key: value"),
        ('a: "\\q"', "line 1: '\\q' means nothing between double quotes", 5, "use single quotes"),
        ("a: 1\n%sm_list\n", "line 2: a line that starts with % is not read here", 0, "put it in a cell of its own"),
        ("%sm_list\na: 1\n", "line 1: a line that starts with % is not read here", 0, "put it in a cell of its own"),
        ("%YAML 1.1\n---\na: 1", "line 1: a line that starts with % is not read here", 0, None),
        ("a: \x01", "line 1: a character that cannot be read", 3, "remove it, or write it as \\x.. in quotes"),
        (
            'a: "\\UFFFFFFFF"',
            "line 1: a number in the text is too large for YAML",
            4,
            "a character's number has at most 0010ffff",
        ),
        (
            "a: &x 1",
            "line 1: anchors (&x) are not read here",
            3,
            "write the value out, or put quotes around text that starts with &",
        ),
        (
            "a: *x",
            "line 1: aliases (*x) are not read here",
            3,
            "write the value out, or put quotes around text that starts with *",
        ),
        (
            "a: !!int 1",
            "line 1: tags (!) are not read here",
            3,
            "leave it out, or put quotes around text that starts with !",
        ),
        ("<<: {a: 1}", "line 1: merge keys (<<) are not read here", 0, "write the values out"),
        ("a: 1\n---\nb: 2", "line 2: a cell holds one document", 0, "remove the line ---"),
        ("[a]: 1", "line 1: a key must be a word", 0, "put quotes around text with {, [, } or ]"),
        (
            "a: !<",
            "line 1: this is not YAML: expected URI, but found '\\x00'",
            5,
            "a cell holds lines of key: value, indented with spaces",
        ),
    ],
)
def test_a_syntax_error_is_told_in_plain_words(text, first_line, caret, hint):
    rows = refusal(text).splitlines()
    assert rows[0] == first_line
    assert next(row.index("^") - len("       | ") for row in rows if row.endswith("^")) == caret
    assert rows[-1].strip() == (hint or rows[-1].strip())


@pytest.mark.parametrize(
    "text", ["[" * 5000, "{a: " * 5000, "- " * 5000, "".join(" " * n + "a:\n" for n in range(400))]
)
def test_too_deep_a_text_is_refused(text):
    assert "more than 30 levels" in refusal(text)


def test_too_long_a_text_is_refused():
    assert refusal("x" * (256 * 1024 + 1024)) == "the cell has 257 kB, more than 256 are not read"


@given(st.text(alphabet="ab:{}[]-\"'|>&*!%@`#$,?~ \n\t\r\\U0\x85\ufeff\x00\ud800", max_size=60) | st.text())
@settings(deadline=None)  # the first example pays for what is loaded once
def test_any_text_gives_nodes_or_a_cell_error(text):
    with suppress(CellError):
        parse(Source(text), [])
