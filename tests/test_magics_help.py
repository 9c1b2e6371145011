from __future__ import annotations

import pytest

from sm_magics.errors import CellError

MAGICS = [
    "sm_compare",
    "sm_config",
    "sm_connect",
    "sm_delete",
    "sm_endpoint",
    "sm_fault",
    "sm_help",
    "sm_history",
    "sm_invoke",
    "sm_list",
    "sm_load",
    "sm_logs",
    "sm_metrics",
    "sm_model",
    "sm_panel",
    "sm_promote",
    "sm_rollback",
    "sm_status",
    "sm_traffic",
]
CELLS = ["sm_compare", "sm_endpoint", "sm_invoke", "sm_model"]


def registered(notebook):
    table = notebook.shell.magics_manager.magics
    return sorted(name for name in {**table["line"], **table["cell"]} if name.startswith("sm_"))


def test_every_magic_is_tested_here(notebook):
    assert registered(notebook) == MAGICS


def test_without_a_topic_every_magic_is_listed_as_it_is_written(notebook):
    shown = notebook.run("%sm_help").shown
    for name in MAGICS:
        assert (f"%%{name} %{name}" if name in CELLS else f"  %{name} ") in shown


@pytest.mark.parametrize("name", MAGICS)
class TestEveryMagic:
    def test_help_explains_it_with_its_options(self, notebook, name):
        for asked in (name, f"%{name}", f"%%{name}"):
            shown = notebook.run(f"%sm_help {asked}").shown
            assert f"Help for {name}" in shown
            assert f"%{name}" in shown

    def test_its_own_help_is_the_same(self, notebook, name):
        assert notebook.run(f"%{name} --help").result == notebook.run(f"%sm_help {name}").result

    def test_a_question_mark_shows_it_too(self, notebook, name):
        found = notebook.shell.object_inspect(f"%{name}")
        assert found["found"]
        assert f"%{name}" in found["docstring"]
        first = notebook.shell.find_line_magic(name).parser.description.strip().split("\n")[0]
        assert first in found["docstring"]
        assert first in notebook.run(f"%{name}?").shown

    def test_its_first_line_is_a_sentence_that_fits_the_list(self, notebook, name):
        first = notebook.shell.find_line_magic(name).parser.description.strip().split("\n")[0]
        assert first.endswith(".")
        assert len(first) <= 110

    def test_every_option_says_what_it_is_for(self, notebook, name):
        for action in notebook.shell.find_line_magic(name).parser._actions:
            assert action.help, action


@pytest.mark.parametrize("name", CELLS)
def test_help_in_a_cell_s_line_does_not_read_the_cell(notebook, name):
    assert f"Help for {name}" in notebook.run(f"%%{name} --help\nthis: is [no cell").shown
    assert f"Help for {name}" in notebook.run(f"%%{name} anything --help\n").shown


def test_a_key_of_a_cell_is_explained_by_sagemaker_s_own_name(notebook):
    shown = notebook.run("%sm_help weight").shown
    assert "InitialVariantWeight" in shown
    assert "variants.NAME" in shown


def test_a_key_that_holds_others_is_explained_with_them_and_an_example(notebook):
    shown = notebook.run("%sm_help rollback_on").shown
    assert "1%, a number, or 200ms" in shown
    assert "- {metric: ModelLatency, above: 200ms, stat: p99}" in shown


def test_a_topic_that_is_none_is_an_error_with_the_nearest(notebook):
    assert "did you mean weight?" in notebook.fails("%sm_help wieght", CellError)
    assert "did you mean sm_status?" in notebook.fails("%sm_help sm_statsu", CellError)
    assert "%sm_help lists the magics" in notebook.fails("%sm_help zzzzzzzzzz", CellError)


def test_help_contacts_nobody(notebook):
    notebook.run("%sm_help")
    notebook.run("%sm_help weight")
    notebook.run("%sm_endpoint --help")
    assert notebook.session.connected is None
