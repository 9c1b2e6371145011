from __future__ import annotations

import itertools
import re

import pytest

from sm_magics.errors import CellError
from sm_magics.live.widgets import LIVE
from sm_magics.results import Watched


class TestRecord:
    def test_in_a_terminal_it_is_a_table(self, notebook, served):
        ran = notebook.run(f"%sm_panel {served} -o kept")
        assert isinstance(ran.result, Watched)
        assert notebook.variables["kept"] is ran.result
        assert f"Endpoint {served} · InService" in ran.shown
        assert "80 %" in ran.shown
        assert "To change it here: %sm_traffic" in ran.shown
        assert "controls" not in ran.shown  # there are none
        assert "application/vnd.jupyter.widget-view+json" not in ran.result._repr_mimebundle_()

    def test_one_that_there_is_not_is_an_error_with_the_nearest(self, notebook, served):
        assert f"did you mean '{served}'?" in notebook.fails(f"%sm_panel {served}x", CellError)

    def test_all_endpoints_are_a_table(self, notebook, served):
        shown = notebook.run("%sm_status --live").shown
        assert f"{served}" in shown
        assert "80 % / 20 %" in shown
        assert "A notebook, in JupyterLab for one, keeps it up to date." in shown

    def test_live_is_for_all_endpoints(self, notebook, served):
        assert f"%sm_panel {served} shows one endpoint live" in notebook.fails(f"%sm_status {served} --live", CellError)


class TestLive:
    """In a shell that says it is a kernel's: what a front end would be given."""

    VIEW = "application/vnd.jupyter.widget-view+json"

    @pytest.fixture
    def kernel(self, notebook, monkeypatch):
        runs = itertools.count()
        notebook.begin = lambda: cell.update(header={"msg_id": f"m{next(runs)}"})
        cell = {"metadata": {"cellId": "c1"}}
        notebook.begin()
        monkeypatch.setattr(notebook.shell, "kernel", object(), raising=False)
        monkeypatch.setattr(notebook.shell, "get_parent", lambda: cell, raising=False)
        monkeypatch.setattr(notebook.session, "settings", notebook.session.settings.changed("display", "auto"))
        yield notebook
        notebook.session.close()

    @pytest.fixture
    def outputs(self, monkeypatch):
        shown = []
        monkeypatch.setattr("IPython.display.display", lambda bundle, **_: shown.append(bundle))
        return shown

    def shown(self, notebook):
        return [each for _, panels in notebook.session._shown.values() for each in panels]

    def test_the_record_and_the_widget_are_two_outputs(self, kernel, served, outputs):
        kernel.run(f"p = %sm_panel {served}")
        assert self.shown(kernel) == []  # nothing is watched before it is displayed
        kernel.run("p")
        (panel,) = self.shown(kernel)
        record, widget = outputs
        assert widget[self.VIEW]["model_id"] == panel.widget.model_id
        assert widget["text/plain"] == ""
        assert self.VIEW not in record
        assert "run that cell to see it live" in record["text/html"]
        assert record["text/plain"].startswith(f"Panel of endpoint {served}")
        assert "InService" not in record["text/plain"]  # what another run may find changed
        kernel.run("p")
        assert outputs[-1][self.VIEW]["model_id"] == panel.widget.model_id

    @pytest.mark.parametrize("magic", ["%sm_panel {}", "%sm_status --live"])
    def test_a_front_end_that_is_not_run_here_gets_all_it_needs_in_the_bundle(self, kernel, served, outputs, magic):
        kernel.run(magic.format(served))
        record, widget = outputs
        assert set(record) == {"text/plain", "text/html"}
        assert set(widget) == {"text/plain", self.VIEW, LIVE}  # without HTML: it would be the record twice
        assert not re.findall(
            r"(?i)<script|<link|<iframe|\b(?:src|href|on\w+)=|url\(|https?:|@import", record["text/html"]
        )
        bare = re.sub(r"(?s)<style>.*?</style>", "", record["text/html"])  # as GitHub strips it
        assert "<style" not in bare
        assert "display:" not in bare  # nothing that a style alone would hide
        words = re.sub(r"<[^>]*>", " ", bare)
        assert all(each in words for each in (served, "InService", "80 %", "20 %"))

    def test_a_cell_that_is_run_again_ends_what_it_showed(self, kernel, served, outputs):
        for magic in (f"%sm_panel {served}", "%sm_status --live"):
            kernel.begin()
            kernel.run(magic)
            kernel.run(magic)
            first, second = self.shown(kernel)  # of one run
            assert (first.watching, second.watching) == (True, True)
            kernel.begin()
            kernel.run(magic)
            (now,) = self.shown(kernel)
            assert (first.watching, second.watching, now.watching) == (False, False, True)
        assert len(outputs) == 12

    def test_quiet_shows_nothing(self, kernel, served, outputs):
        kernel.run(f"%sm_panel {served} --quiet")
        assert (outputs, self.shown(kernel)) == ([], [])

    def test_records_are_all_where_the_display_is_static(self, kernel, served, outputs):
        kernel.session.settings = kernel.session.settings.changed("display", "static")
        assert "80 %" in kernel.run(f"%sm_panel {served}").shown
        assert outputs == []

    @pytest.mark.usefixtures("outputs")
    def test_all_that_is_live_shares_one_poller_and_ends_with_the_session(self, kernel, served):
        kernel.run(f"%sm_panel {served}")
        poller = kernel.session.poller()
        assert poller is kernel.session.poller()
        kernel.session.close()
        assert poller.turn() is None
