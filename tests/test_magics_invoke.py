from __future__ import annotations

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from sm_magics import invoke
from sm_magics.errors import CellError, Detached, InvokeError
from sm_magics.magics.invoke import DEFAULT_ROWS
from sm_magics.results import Invoked, Payload


def test_rows_of_a_frame_are_sent_and_shown_with_who_answered(notebook, served):
    notebook.variables["frame"] = pd.DataFrame(notebook.variables["X"])
    ran = notebook.run(f"%sm_invoke {served} --data $frame --expect $y -o sent")
    assert isinstance(ran.result, Invoked)
    assert notebook.variables["sent"] is ran.result
    assert len(ran.result.rows) == DEFAULT_ROWS
    assert ran.result.rows[0].error is not None
    assert f"10 of 200 rows to {served}" in ran.shown
    assert "How the answers split over the variants" in ran.shown


def test_as_many_rows_as_are_asked_for(notebook, served):
    assert len(notebook.run(f"%sm_invoke {served} --data $X --rows 3").result.rows) == 3


def test_an_item_of_a_dictionary_can_be_sent(notebook, served):
    notebook.variables["frames"] = {"test set": notebook.variables["X"]}
    assert len(notebook.run(f'%sm_invoke {served} --data ${{frames["test set"]}}').result.rows) == DEFAULT_ROWS


def test_one_variant_can_be_asked(notebook, served):
    ran = notebook.run(f"%sm_invoke {served} --variant XGB-Model --data $X --rows 3")
    assert {row.variant for row in ran.result.rows} == {"XGB-Model"}


def test_a_cell_sends_its_body_as_it_is(notebook, served):
    row = ",".join(map(str, notebook.variables["X"][0]))
    ran = notebook.run(f"%%sm_invoke {served} --variant Linear-Model -o answer\n{row}\n")
    assert isinstance(ran.result, Payload)
    assert notebook.variables["answer"] is ran.result
    assert ran.result.answer.variant == "Linear-Model"
    assert "Linear-Model answered in" in ran.shown


def test_types_of_request_and_answer_can_be_named(notebook, served):
    row = ",".join(map(str, notebook.variables["X"][0]))
    cell = f"%%sm_invoke {served} --variant XGB-Model --content-type text/csv --accept application/json\n{row}\n"
    assert notebook.run(cell).result.answer.content_type.startswith("application/json")


def test_quiet_shows_nothing_and_returns_the_rows(notebook, served):
    ran = notebook.run(f"%sm_invoke {served} --data $X --quiet")
    assert len(ran.result.rows) == DEFAULT_ROWS
    assert "prediction" not in ran.shown


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("%sm_invoke boston", "add --data $rows"),
        ("%sm_invoke boston --data X", "cannot read 'X'"),
        ("%sm_invoke boston --data $x", "did you mean '$X'?"),
        ("%sm_invoke boston --data $nowhere", "$nowhere is not defined"),
        ("%sm_invoke boston --data $X --expect $z", "$z is not defined"),
        ("%sm_invoke boston --data $X --rows 0", "send at least 1 row"),
        ("%sm_invoke boston --data $X --rows many", "--rows: 'many' is no whole number"),
        ("%sm_invoke boston --data $linear", "--data takes rows, not a LinearRegression"),
        ("%sm_invoke boston --data $X --content-type application/json", "use a %%sm_invoke cell"),
        ("%sm_invoke boston --data $X --expect $short", "--expect has 1 values for 10 rows"),
        ("%%sm_invoke boston", "there is no payload to send"),
        ("%%sm_invoke boston\n  \n", "there is no payload to send"),
        ("%%sm_invoke boston --data $X\n1,2", "--data goes with %sm_invoke, the line"),
        ("%%sm_invoke boston --rows 2\n1,2", "--rows goes with %sm_invoke, the line"),
        ("%%sm_invoke\n1,2", "the following arguments are required: NAME"),
    ],
)
def test_a_mistake_is_an_error_that_says_what_to_do(notebook, served, cell, told):
    assert served == "boston"
    notebook.variables["short"] = [1.0]
    assert told in notebook.fails(cell, CellError)


def test_an_answer_that_is_an_error_names_the_row(notebook, served):
    notebook.variables["wide"] = [[0.0] * 20]
    text = notebook.fails(f"%sm_invoke {served} --variant XGB-Model --data $wide", InvokeError)
    assert text.startswith("row 0 (20 columns): variant 'XGB-Model' answered 400: ")
    assert "as many columns" in text


def test_a_refused_row_is_told_by_what_stands_out_in_it(notebook, served):
    frame = pd.DataFrame(notebook.variables["X"])
    frame.iloc[0, 2] = float("nan")
    notebook.variables["gap"], notebook.variables["column"] = frame, frame.iloc[:, 0]
    text = notebook.fails(f"%sm_invoke {served} --variant Linear-Model --data $gap --rows 1", InvokeError)
    assert f"column {frame.columns[2]} has no value" in text
    assert "a Series is sent as one row" in notebook.fails(f"%sm_invoke {served} --data $column", InvokeError)


def test_an_endpoint_that_is_not_there_is_said_so(notebook):
    assert "there is no endpoint 'nope'" in notebook.fails("%sm_invoke nope --data $X", InvokeError)
    assert "Endpoint nope of account" in notebook.fails("%%sm_invoke nope\n1,2", InvokeError)


@pytest.mark.parametrize("how", ["inline", "declared"])
def test_columns_in_another_order_than_the_model_s_are_refused(notebook, name, data, how):
    names = [f"c{number}" for number in range(13)]
    frame = pd.DataFrame(data[0], columns=names)
    notebook.variables.update(frame=frame, mixed=frame[names[::-1]], named=LinearRegression().fit(frame, data[1]))
    if how == "declared":
        notebook.run(f"%%sm_model {name}-m\n$named")
    notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: {'$named' if how == 'inline' else name + '-m'}}}")
    told = notebook.fails(f"%sm_invoke {name} --data $mixed", CellError)
    assert "variant 'A'" in told
    assert "column 0 is c12 where the model takes c0" in told
    for line in (
        "--data $frame --expect $y --rows 2",
        "--data ${mixed.values} --rows 2",
    ):  # without names it is not known
        notebook.run(f"%sm_invoke {name} {line}")
    if how == "declared":
        notebook.run(f"%sm_delete {name} --yes")
        notebook.run(f"%sm_delete {name}-m --yes")


def test_rows_that_fail_are_counted_beside_those_that_are_answered_which_are_kept(notebook, name):
    notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}")
    rows = [[float(n)] * 13 for n in range(6)]
    rows[2][0] = rows[4][0] = "text"
    notebook.variables["rows"] = rows
    ran = notebook.cell(f"%sm_invoke {name} --data $rows -o sent")
    assert isinstance(ran.error, InvokeError)
    assert ran.error.message.startswith("2 of 6 rows failed: first row 2 (13 columns): endpoint ")
    assert [row.number for row in notebook.variables["sent"].rows] == [0, 1, 3, 5]
    assert f"6 rows to {name}" in ran.shown
    assert "2 of 6 rows failed" in ran.shown
    quiet = notebook.cell(f"%sm_invoke {name} --data $rows --quiet").shown
    assert "failed" not in quiet.partition("InvokeError")[0]


def test_stopping_it_keeps_what_was_answered(notebook, served, monkeypatch):
    usual = invoke.replay

    def replay(*given, **options):
        outcomes = usual(*given, **options)
        yield next(outcomes)
        raise KeyboardInterrupt

    monkeypatch.setattr(invoke, "replay", replay)
    ran = notebook.cell(f"%sm_invoke {served} --data $X -o sent")
    assert isinstance(ran.error, Detached)
    assert str(ran.error) == "stopped; 1 of 10 rows were answered"
    assert len(notebook.variables["sent"].rows) == 1
