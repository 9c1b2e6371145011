from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.errors import CellError
from sm_magics.spec import resolve
from sm_magics.spec.variables import is_expression, item_of


class Rude:
    def __dir__(self):
        raise RuntimeError

    @property
    def broken(self):
        raise ValueError("out of order")


XGB = object()
VARIABLES = {
    "xgb": XGB,
    "größe": 7,
    "_private": 1,
    "job": SimpleNamespace(best=SimpleNamespace(rounds=[10, 20]), by_name={"k": "v", "it's": 1, "": 2}, _hidden=1),
    "rude": Rude(),
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$xgb", XGB),
        ("${xgb}", XGB),
        ("$größe", 7),
        ("${job.best.rounds[0]}", 10),
        ("${job.best.rounds[-1]}", 20),
        ("${job.by_name['k']}", "v"),
        ('${job.by_name["it\'s"]}', 1),
        ("${job.by_name['']}", 2),
    ],
)
def test_names_attributes_and_items_are_followed(expression, value):
    assert resolve(expression, VARIABLES) is value


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("$xbg", "$xbg is not defined", "did you mean '$xgb'?"),
        ("$nothing_like_it", "$nothing_like_it is not defined", "run the cell that defines it first"),
        ("${jbo.best}", "$jbo is not defined", "did you mean '$job'?"),
        ("${job.bets}", "${job.bets}: no attribute 'bets' on a SimpleNamespace", "did you mean 'best'?"),
        ("${job.best.rounds[2]}", "${job.best.rounds[2]}: no item 2 in a list", None),
        ("${job.by_name['kk']}", "${job.by_name['kk']}: no item 'kk' in a dict", "did you mean 'k'?"),
        ("${xgb['a']}", "${xgb['a']}: no item 'a' in a object", None),
        ("${rude.nope}", "${rude.nope}: no attribute 'nope' on a Rude", None),
        ("${rude.broken}", "${rude.broken}: ValueError: out of order", None),
        ("$_private", "$_private is private", "names that start with an underscore are not read"),
        ("${job._hidden}", "${job._hidden} is private", "names that start with an underscore are not read"),
        ("${xgb.__class__}", "${xgb.__class__} is private", "names that start with an underscore are not read"),
        ("$job.best", "cannot read '$job.best'", "write ${job.best}"),
        (
            "${job.run()}",
            "cannot read '${job.run()}'",
            "nothing is called here: give the result a name in a cell above",
        ),
    ],
)
def test_what_leads_nowhere_says_why_and_what_is_near(expression, message, hint):
    with pytest.raises(CellError) as caught:
        resolve(expression, VARIABLES)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    "expression",
    [
        "$",
        "${",
        "${}",
        "$5",
        "$x y",
        "${x",
        "${x}}",
        "${x y}",
        "${x[y]}",
        "${x[1:2]}",
        "${x.}",
        "${x+1}",
        "xgb",
        "",
        "$$x",
    ],
)
def test_what_is_no_path_is_refused(expression):
    with pytest.raises(CellError, match="cannot read"):
        resolve(expression, VARIABLES)


@given(st.text(alphabet="$x{}[].'\"()0_j ob\n", max_size=20) | st.text())
def test_any_text_gives_a_value_or_a_cell_error(text):
    for expression in (text, f"${text}", f"${{{text}}}"):
        with suppress(CellError):
            resolve(expression, VARIABLES)


def test_expressions_start_with_one_dollar():
    assert [is_expression(text) for text in ("$x", "${x", "$", "$$x", "a$x", "")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("expression", ["$job", "${job.best}", "${job['a'][0]}"])
def test_the_expression_of_an_item_leads_to_it(expression):
    inner = {"a": [{"k": 5}], "k": 5}
    job = type("Job", (dict,), {"best": {"k": 5}})(inner)
    assert resolve(item_of(expression, "k"), {"job": job}) == 5


ONLY = "only attributes, and items by a number or a text, are read here: give the result a name in a cell above"


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("X", "write $X"),
        ("$X.head(2)", "nothing is called here: give the result a name in a cell above"),
        ("$X.iloc", "write ${X.iloc}"),
        ("$X['a'][-1]", "write ${X['a'][-1]}"),
        ("${X.iloc", "write ${X.iloc}"),
        *((each, ONLY) for each in ("$X[:0]", "${X[:0]}", "$X[a]", "${X[1,2]}", "${X.}", "$X.iloc, X")),
    ],
)
def test_what_is_no_expression_says_what_to_write(written, hint):
    with pytest.raises(CellError) as caught:
        resolve(written, {"X": 1})
    assert caught.value.hint == hint


@given(st.text(alphabet="X$x{}[].:-'\"01(a", max_size=12))
def test_what_a_hint_says_to_write_can_be_read(text):
    for written in (text, f"$X{text}", f"${{X{text}"):
        with suppress(CellError):
            resolve(written, {"X": 1})
            continue
        with pytest.raises(CellError) as caught:
            resolve(written, {"X": 1})
        if caught.value.message.startswith("cannot read") and caught.value.hint.startswith("write ${X"):
            with suppress(CellError):
                resolve(caught.value.hint.removeprefix("write "), {"X": 1})
                continue
            with pytest.raises(CellError, match=r"no attribute|no item|is private"):
                resolve(caught.value.hint.removeprefix("write "), {"X": 1})
