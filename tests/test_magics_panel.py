from __future__ import annotations

import pytest

from sm_magics.errors import CellError
from sm_magics.results import Watched


class TestRecord:
    def test_in_a_terminal_it_is_a_table(self, notebook, served):
        ran = notebook.run(f"%sm_panel {served} -o kept")
        assert isinstance(ran.result, Watched)
        assert notebook.variables["kept"] is ran.result
        assert f"Endpoint {served} · InService" in ran.shown
        assert "80 %" in ran.shown
        assert "application/vnd.jupyter.widget-view+json" not in ran.result._repr_mimebundle_()

    def test_one_that_there_is_not_is_an_error_with_the_nearest(self, notebook, served):
        assert f"did you mean '{served}'?" in notebook.fails(f"%sm_panel {served}x", CellError)

    def test_all_endpoints_are_a_table(self, notebook, served):
        shown = notebook.run("%sm_status --live").shown
        assert f"{served}" in shown
        assert "80 % / 20 %" in shown

    def test_live_is_for_all_endpoints(self, notebook, served):
        assert f"%sm_panel {served} shows one endpoint live" in notebook.fails(f"%sm_status {served} --live", CellError)


class TestLive:
    """In a shell that says it is a kernel's: what a front end would be given."""

    VIEW = "application/vnd.jupyter.widget-view+json"

    @pytest.fixture
    def kernel(self, notebook, monkeypatch):
        cell = {"metadata": {"cellId": "c1"}}
        monkeypatch.setattr(notebook.shell, "kernel", object(), raising=False)
        monkeypatch.setattr(notebook.shell, "get_parent", lambda: cell, raising=False)
        monkeypatch.setattr(notebook.session, "settings", notebook.session.settings.changed("display", "auto"))
        yield notebook
        notebook.session.close()

    def shown(self, notebook):
        return list(notebook.session._shown.values())

    def test_the_widget_comes_with_the_record(self, kernel, served):
        kernel.run(f"p = %sm_panel {served}")
        assert self.shown(kernel) == []  # nothing is watched before it is displayed
        bundle = kernel.variables["p"]._repr_mimebundle_()
        (panel,) = self.shown(kernel)
        assert bundle[self.VIEW]["model_id"] == panel.widget.model_id
        assert "run that cell to see it live" in bundle["text/html"]
        assert bundle["text/plain"].startswith(f"Panel of endpoint {served}")
        assert "InService" not in bundle["text/plain"]  # what another run may find changed
        again = kernel.variables["p"]._repr_mimebundle_()
        assert again[self.VIEW]["model_id"] == panel.widget.model_id

    def test_a_cell_that_is_run_again_ends_what_it_showed(self, kernel, served):
        for magic in (f"%sm_panel {served}", "%sm_status --live"):
            kernel.run(f"p = {magic}")
            kernel.variables["p"]._repr_mimebundle_()
            (last,) = self.shown(kernel)
            kernel.run(f"p = {magic}")
            kernel.variables["p"]._repr_mimebundle_()
            (now,) = self.shown(kernel)
            assert now is not last
            assert (last.watching, now.watching) == (False, True)

    def test_records_are_all_where_the_display_is_static(self, kernel, served):
        kernel.session.settings = kernel.session.settings.changed("display", "static")
        kernel.run(f"p = %sm_panel {served}")
        assert self.VIEW not in kernel.variables["p"]._repr_mimebundle_()

    def test_all_that_is_live_shares_one_poller_and_ends_with_the_session(self, kernel, served):
        kernel.run(f"p = %sm_panel {served}")
        kernel.variables["p"]._repr_mimebundle_()
        poller = kernel.session.poller()
        assert poller is kernel.session.poller()
        kernel.session.close()
        assert poller.turn() is None
