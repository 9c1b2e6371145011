from __future__ import annotations

import pytest

from sm_magics.errors import CellError, PackagingError
from sm_magics.results import Model


@pytest.fixture
def declared(notebook, name):
    """Declare a model of the test's own, and delete it afterwards; its name."""
    own = f"{name}-model"
    yield own
    notebook.cell(f"%sm_delete {own} --yes")


def test_a_cell_declares_a_model_and_shows_its_card(notebook, declared):
    ran = notebook.run(f"%%sm_model {declared} -o made\ndata: $xgb\n")
    assert isinstance(ran.result, Model)
    assert notebook.variables["made"] is ran.result
    assert ran.result.name.startswith(f"{declared}-")
    assert f"Made by CreateModel. An endpoint's cell can name it: model: {declared}" in ran.shown


def test_the_same_cell_again_makes_nothing(notebook, declared):
    cell = f"%%sm_model {declared}\ndata: $xgb\n"
    first = notebook.run(cell).result
    again = notebook.run(cell)
    assert again.result.name == first.name
    assert "There already: nothing to change." in again.shown


def test_a_dry_run_shows_what_would_be_made_and_makes_nothing(notebook, declared):
    cell = f"%%sm_model {declared} --dry-run\ndata: $xgb\n"
    ran = notebook.run(cell)
    assert "It would be made by CreateModel." in ran.shown
    assert notebook.session.connection().describe("Model", ran.result.name) is None
    notebook.run(cell.replace(" --dry-run", ""))
    assert "It is there already: nothing to do." in notebook.run(cell).shown


def test_a_changed_cell_makes_another_model_and_the_old_one_stays(notebook, declared):
    names = [notebook.run(f"%%sm_model {declared}\ndata: ${each}\n").result.name for each in ("xgb", "linear")]
    assert names[0] != names[1]
    assert all(notebook.session.connection().describe("Model", each) for each in names)


def test_an_endpoint_s_cell_can_name_it(notebook, name, declared):
    made = notebook.run(f"%%sm_model {declared}\ndata: $linear\n").result
    ran = notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: {declared}}}\n")
    assert ran.result.config["ProductionVariants"][0]["ModelName"] == made.name
    notebook.run(f"%sm_delete {name} --yes")


def test_a_later_session_finds_it_by_the_name_it_was_declared_by(notebook, declared, open_notebook):
    made = notebook.run(f"%%sm_model {declared}\ndata: $linear\n").result
    assert open_notebook().run(f"%sm_model {declared}").result.name == made.name


def test_the_line_shows_it_with_its_image_and_its_data(notebook, declared):
    notebook.run(f"%%sm_model {declared}\ndata: $xgb\nenv: {{SAGEMAKER_INFERENCE_OUTPUT: predicted_score}}\n")
    shown = notebook.run(f"%sm_model {declared}").shown
    assert "sagemaker-xgboost:3.0-5" in shown
    assert "predicted_score" in shown
    assert "model.tar.gz" in shown


@pytest.mark.parametrize(
    ("cell", "kind", "told"),
    [
        ("%sm_model nowhere", CellError, "there is no model 'nowhere'"),
        ("%sm_model", CellError, "the following arguments are required: NAME"),
        ("%sm_model xgb --dry-run", CellError, "--dry-run says nothing here"),
        ("%%sm_model xgb", CellError, ""),
        ("%%sm_model xgb\ndata: $xbg", CellError, "did you mean '$xgb'?"),
        ("%%sm_model xgb\ndta: $xgb", CellError, "did you mean 'data'?"),
        ("%%sm_model xgb\ndata: ./nowhere.tar.gz", PackagingError, "nowhere.tar.gz"),
        ("%%sm_model xgb\nother", CellError, "other"),
    ],
)
def test_a_mistake_is_an_error_that_says_what_to_do(notebook, cell, kind, told):
    assert told in notebook.fails(cell, kind)
