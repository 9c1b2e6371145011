"""What every magic has in common: registration, `-o`, `--quiet`, errors, and a session for each shell."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from sm_magics.errors import CellError
from sm_magics.magics import open_empty_cell
from sm_magics.magics.complete import Completer


def sm_magics_in(shell):
    return [name for table in shell.magics_manager.magics.values() for name in table if name.startswith("sm_")]


def completers_in(shell):
    return [each for each in shell.Completer.custom_matchers if isinstance(each.__self__, Completer)]


class TestTheExtension:
    def test_unloading_takes_everything_away(self, open_notebook):
        shell = open_notebook().shell
        assert sm_magics_in(shell)
        shell.run_line_magic("unload_ext", "sm_magics")
        assert sm_magics_in(shell) == []
        assert completers_in(shell) == []
        assert open_empty_cell not in shell.input_transformers_post

    def test_reloading_leaves_one_of_each(self, open_notebook):
        notebook = open_notebook()
        notebook.run("%reload_ext sm_magics")
        assert len(completers_in(notebook.shell)) == 1
        assert notebook.shell.input_transformers_post.count(open_empty_cell) == 1
        notebook.run("%sm_status")

    def test_loading_it_twice_changes_nothing(self, open_notebook):
        notebook = open_notebook()
        session = notebook.session
        notebook.run("%load_ext sm_magics")
        assert notebook.session is session

    def test_a_display_in_the_environment_that_is_none_is_told_at_loading(self, open_notebook, monkeypatch):
        shell = open_notebook().shell
        shell.run_line_magic("unload_ext", "sm_magics")
        monkeypatch.setenv("SM_MAGICS_DISPLAY", "loud")
        with pytest.raises(CellError, match="SM_MAGICS_DISPLAY"):
            shell.run_line_magic("load_ext", "sm_magics")
        assert sm_magics_in(shell) == []


class TestSessions:
    def test_two_shells_have_sessions_of_their_own(self, open_notebook, linear, xgb):
        one, other = open_notebook(), open_notebook()
        one.run("%sm_config timeout=5m")
        one.variables["model"], other.variables["model"] = linear, xgb
        cell = "%%sm_endpoint twoshells --dry-run\nvariants: {A: $model}"
        plans = [each.run(cell).result.plan for each in (one, other)]
        assert plans[0].config_name != plans[1].config_name
        assert other.session.settings.timeout == 3600.0
        assert one.session is not other.session

    def test_nothing_is_contacted_before_a_cell_needs_it(self, open_notebook):
        notebook = open_notebook()
        notebook.run("%sm_config")
        notebook.fails("%%sm_endpoint boston\nvariants: {A: $nowhere}", CellError)
        notebook.fails("%sm_status --wait", CellError)
        assert notebook.session.connected is None


class TestResults:
    def test_a_result_is_kept_and_returned_and_shown(self, notebook, served):
        ran = notebook.run(f"%sm_status {served} -o kept")
        assert notebook.variables["kept"] is ran.result
        assert f"Endpoint {served}" in ran.shown

    def test_a_quiet_result_is_kept_and_returned_and_not_shown(self, notebook, served):
        ran = notebook.run(f"%sm_status {served} -o kept --quiet")
        assert ran.result.name == served
        assert "Endpoint" not in ran.shown
        assert f"Endpoint {served}" in notebook.run("kept").shown

    def test_help_is_not_kept(self, notebook):
        notebook.run("%sm_status --help -o kept")
        assert "kept" not in notebook.variables


class TestErrors:
    def test_names_of_the_shell_are_not_suggested(self, notebook):
        error = notebook.fails("%%sm_endpoint boston\nvariants: {A: $opn}", CellError)
        assert "open" not in str(error)

    def test_an_error_of_ours_is_shown_in_its_own_lines_only(self, notebook):
        ran = notebook.cell("%sm_status --nonsense")
        assert isinstance(ran.error, CellError)
        assert ran.shown.startswith("CellError: unrecognized arguments: --nonsense\n  ")
        assert len(ran.shown.strip().split("\n")) == 2

    def test_a_bug_keeps_its_traceback(self, notebook, monkeypatch):
        monkeypatch.setattr(type(notebook.session), "connection", lambda _: 1 / 0)
        ran = notebook.cell("%sm_list")
        assert isinstance(ran.error, ZeroDivisionError)
        assert "Traceback" in ran.shown

    def test_no_mistake_of_a_line_is_a_usage_error_which_tools_take_for_success(self, notebook):
        for line in ("%sm_status --nonsense", "%sm_endpoint", "%sm_config a b", "%sm_help a b", "%sm_list extra"):
            assert not isinstance(notebook.cell(line).error, UsageError), line

    @pytest.mark.parametrize("magic", ["sm_endpoint", "sm_model", "sm_invoke"])
    def test_neither_is_an_empty_cell(self, notebook, magic):
        for cell in (f"%%{magic} boston", f"%%{magic} boston\n", f"\n%%{magic} boston\n\n"):
            assert isinstance(notebook.cell(cell).error, CellError), cell


@pytest.mark.parametrize(
    ("line", "opened"),
    [
        (
            "get_ipython().run_cell_magic('sm_endpoint', 'e', '')\n",
            "get_ipython().run_cell_magic('sm_endpoint', 'e', '\\n')\n",
        ),
        ("get_ipython().run_cell_magic('time', '', '')\n", "get_ipython().run_cell_magic('time', '', '')\n"),
        ("x = 'sm_endpoint'\n", "x = 'sm_endpoint'\n"),
        (
            "get_ipython().run_cell_magic('sm_model', 'e', 'a')\n",
            "get_ipython().run_cell_magic('sm_model', 'e', 'a')\n",
        ),
    ],
)
def test_only_empty_cells_of_ours_are_handed_on(line, opened):
    assert open_empty_cell([line]) == [opened]
