"""`%%sm_endpoint`, `%sm_endpoint`, `%sm_status`, `%sm_delete` and `%sm_list`, as they are typed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from sm_magics.clock import Clock
from sm_magics.errors import CellError, DeployError, Detached, PackagingError, PlanError, ServiceError
from sm_magics.magics import endpoint
from sm_magics.results import Deleted, Endpoint, EndpointTable, Listing, Planned
from sm_magics.watch import look


@pytest.fixture
def writes(noting_writes):
    """Return a context that gives the list of all calls that a notebook's cells make within it to change something."""
    return lambda notebook: noting_writes(notebook.session.connection())


class TestMaking:
    def test_a_cell_makes_the_endpoint_and_shows_its_card(self, notebook, name):
        ran = notebook.run(f"%%sm_endpoint {name}\nvariants:\n  A: {{model: $linear, weight: 4}}\n  B: $xgb\n")
        assert isinstance(ran.result, Endpoint)
        assert (ran.result.name, ran.result.status, ran.result.verified) == (name, "InService", True)
        assert f"Endpoint {name} · InService" in ran.shown
        assert "Done and verified: 2 × CreateModel, CreateEndpointConfig, CreateEndpoint." in ran.shown

    def test_a_cell_with_capture_and_a_shadow_makes_both_and_changes_nothing_again(self, notebook, writes, name, data):
        body = (
            "variants: {A: $linear}\nshadow: {New: {model: $xgb, weight: 0.5}}\ncapture: {to: s3://kept/x, sample: 50%}"
        )
        ran = notebook.run(f"%%sm_endpoint {name}\n{body}")
        assert "New (shadow)" in ran.shown
        assert "50 % copied" in ran.shown
        assert "50 % to s3://kept/x" in ran.shown
        with writes(notebook) as made:
            assert "Nothing to change" in notebook.run(f"%%sm_endpoint {name}\n{body}").shown
        assert made == []
        shown = notebook.run(f"%sm_endpoint {name}").result.body
        assert "shadow:" in shown
        assert "sample: 50" in shown
        notebook.variables["rows"] = data[0]
        notebook.run(f"%sm_invoke {name} --data $rows --rows 4")
        done = notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}")  # the old fleet writes what it has
        assert (done.result.snapshot.shadows, done.result.captured()) == ((), [])
        files = ran.result.captured()
        lines = [line for each in files if "/A/" in each for line in Path(each).read_text().splitlines()]
        assert len(lines) == 2  # of 4

    def test_what_is_captured_to_a_directory_lies_there_as_text(self, notebook, writes, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        cell = f"%%sm_endpoint {name}\nvariants: {{A: $linear}}\ncapture: ./kept here"
        ran = notebook.run(cell)
        with writes(notebook) as made:
            assert "Nothing to change" in notebook.run(cell).shown
            body = notebook.run(f"%sm_endpoint {name}").result.body
            assert "Nothing to change" in notebook.run(f"%%sm_endpoint {name}\n{body}").shown
        assert made == []
        notebook.run(f"%sm_invoke {name} --data $X --rows 1")
        notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}")  # the old fleet writes what it has
        (file,) = ran.result.captured()
        assert Path(file).is_relative_to(tmp_path / "kept here" / name / "A")
        sides = json.loads(Path(file).read_text())["captureData"]
        assert [each["encoding"] for each in sides.values()] == ["CSV", "JSON"]
        assert sides["endpointInput"]["data"].count(",") == 12
        assert "predictions" in json.loads(sides["endpointOutput"]["data"])

    def test_the_same_cell_again_changes_nothing_and_says_so(self, notebook, writes, name):
        cell = f"%%sm_endpoint {name}\nvariants: {{A: $linear}}"
        notebook.run(cell)
        with writes(notebook) as made:
            assert "Nothing to change: the endpoint is what the cell says." in notebook.run(cell).shown
        assert made == []

    def test_a_dry_run_shows_the_plan_and_makes_no_write_call(self, notebook, writes, name):
        with writes(notebook) as made:
            ran = notebook.run(f"%%sm_endpoint {name} --dry-run -o plan\nvariants: {{A: $linear}}")
        assert made == []
        assert isinstance(ran.result, Planned)
        assert notebook.variables["plan"] is ran.result
        assert f"Plan for endpoint {name} · 3 calls" in ran.shown
        assert look(notebook.session.connection(), name) is None

    def test_a_dry_run_lists_the_alarms_that_an_update_would_have(self, notebook, writes, name):
        notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}")
        guards = "deploy: {canary: 10%, wait: 5m}\nrollback_on: [{metric: Invocation5XXErrors, above: 1%}]"
        with writes(notebook) as made:
            ran = notebook.run(f"%%sm_endpoint {name} --dry-run\nvariants: {{A: $xgb}}\n{guards}")
        assert made == []
        calls = [each.operation for each in ran.result.plan.actions]
        assert calls == ["CreateModel", "CreateEndpointConfig", "PutMetricAlarm", "UpdateEndpoint"]
        assert f"sm_magics/{name}/A/Invocation5XXErrors/" in ran.shown

    def test_a_policy_that_cannot_be_is_refused_at_its_line(self, notebook, name):
        told = notebook.fails(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}\ndeploy: {{canary: 60%}}", CellError)
        assert "line 3: canary must be from 1% to 50%, not 60%" in told
        assert "line 3: canary needs 'wait'" in told

    def test_without_waiting_it_says_what_was_asked_for(self, notebook, name):
        ran = notebook.run(f"%%sm_endpoint {name} --no-wait\nvariants: {{A: $linear}}")
        assert not ran.result.verified
        assert "Asked for, and not waited for: CreateModel, CreateEndpointConfig, CreateEndpoint." in ran.shown
        assert notebook.run(f"%sm_status {name} --wait").result.status == "InService"

    def test_the_settings_say_whether_to_wait_and_the_line_says_otherwise(self, notebook, name):
        notebook.run("%sm_config wait=false")
        body = "variants: {A: $linear}"
        assert not notebook.run(f"%%sm_endpoint {name}\n{body}").result.verified
        assert notebook.run(f"%%sm_endpoint {name} --wait\n{body}").result.verified

    def test_a_timeout_is_an_error_that_says_how_to_follow(self, notebook, name, paused):
        with paused():
            text = notebook.fails(f"%%sm_endpoint {name} --timeout 100ms\nvariants: {{A: $linear}}", DeployError)
        assert f"endpoint '{name}' is still Creating after 0.1 s" in text
        assert f"%sm_status {name} --wait" in text

    def test_a_failure_is_raised_with_its_reason_and_kept_in_a_variable_before(self, notebook, name):
        cell = f"%%sm_endpoint {name} -o ep\nvariants:\n  A: {{model: {{image: xgboost@3.0-5, data: $corrupt}}}}\n"
        text = notebook.fails(cell, DeployError)
        assert f"endpoint '{name}' has failed: The primary container for production variant A did not pass" in text
        assert f"last lines of /aws/sagemaker/Endpoints/{name}/A/" in text
        assert notebook.variables["ep"].status == "Failed"

    def test_a_result_that_cannot_be_had_does_not_hide_why_it_failed(self, notebook, name, monkeypatch):
        def refuse(*_):
            raise ServiceError("DescribeEndpointConfig", "Throttling", "Rate exceeded", {})

        monkeypatch.setattr(endpoint.EndpointMagics, "_result", refuse)
        cell = f"%%sm_endpoint {name} -o ep\nvariants:\n  A: {{model: {{image: xgboost@3.0-5, data: $corrupt}}}}\n"
        assert f"endpoint '{name}' has failed" in notebook.fails(cell, DeployError)
        assert "ep" not in notebook.variables

    def test_an_update_that_fails_leaves_the_endpoint_serving(self, notebook, name):
        notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}")
        cell = f"%%sm_endpoint {name} -o ep\nvariants:\n  A: {{model: {{image: xgboost@3.0-5, data: $corrupt}}}}\n"
        assert "was rolled back" in notebook.fails(cell, DeployError)
        assert notebook.variables["ep"].status == "InService"
        notebook.run(f"%sm_invoke {name} --data $X --rows 1")

    def test_what_is_shown_while_it_happens_is_lines_in_a_terminal(self, notebook, name):
        notebook.run("%sm_config display=text")
        shown = notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}").shown
        assert "plan: 3 calls\nCreateModel: model " in shown
        assert f"{name}: InService\n" in shown

    def test_a_quiet_cell_shows_nothing_and_returns_the_object(self, notebook, name):
        notebook.run("%sm_config display=text")
        ran = notebook.run(f"%%sm_endpoint {name} --quiet -o ep\nvariants: {{A: $linear}}")
        assert "Endpoint" not in ran.shown
        assert "plan" not in ran.shown
        assert notebook.variables["ep"].status == ran.result.status == "InService"


class TestInterrupting:
    def test_an_interrupt_detaches_and_the_same_cell_goes_on_from_there(self, notebook, name, paused):
        cell = f"%%sm_endpoint {name}\nvariants: {{A: $linear}}"
        usual = notebook.session.clock
        with paused():
            notebook.session.clock = Clock(sleep=_interrupted)
            ran = notebook.cell(cell)
        assert isinstance(ran.error, Detached)
        assert ran.shown.endswith(
            "Detached: stopped waiting; CreateEndpoint was asked for, and goes on by itself\n"
            "  run the cell again to go on from there\n"
            "  last seen: Creating, A 0 of 1 ready\n"
        )
        notebook.session.clock = usual
        assert notebook.run(cell).result.verified

    def test_what_was_not_asked_for_yet_is_not_said_to_go_on(self, notebook, name, paused):
        with paused():
            notebook.run(f"%%sm_endpoint {name} --no-wait\nvariants: {{A: $linear}}")
            other = f"%%sm_endpoint {name}{{}}\nvariants: {{{{A: $xgb}}}}"
            for line in (other, f"%sm_delete {name} --yes{{}}"):
                text = notebook.fails(line.format(" --timeout 100ms"), DeployError)
                assert f"endpoint '{name}' is still Creating after 0.1 s\n  that was asked for before, and " in text
                assert "nothing that this cell asks for was done yet" in text
            notebook.session.clock = Clock(sleep=_interrupted)
            for line in (other, f"%sm_delete {name} --yes{{}}"):
                assert notebook.fails(line.format(""), Detached) == (
                    "stopped waiting; a change that was asked for before goes on by itself, "
                    "and of this cell nothing was done\n  run the cell again\n"
                    "  last seen: Creating, A 0 of 1 ready"
                )

    def test_waiting_for_a_status_can_be_interrupted_too(self, notebook, name, paused):
        with paused():
            notebook.run(f"%%sm_endpoint {name} --no-wait\nvariants: {{A: $linear}}")
            notebook.session.clock = Clock(sleep=_interrupted)
            told = notebook.fails(f"%sm_status {name} --wait", Detached)
        assert told.startswith("stopped waiting; what was asked for before goes on by itself\n")

    def test_any_other_magic_can_be_stopped_without_a_traceback(self, notebook, monkeypatch):
        def interrupt():
            raise KeyboardInterrupt

        monkeypatch.setattr(notebook.session, "connection", interrupt)
        for line in ("%%sm_endpoint x\nvariants: {A: $linear}", "%sm_list"):
            assert notebook.fails(line, Detached) == "stopped"


def _interrupted(_seconds):
    """Be interrupted from outside while sleeping, as by the stop button."""
    threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
    time.sleep(60)


class TestMistakes:
    @pytest.mark.parametrize(
        ("cell", "told"),
        [
            ("%%sm_endpoint boston", "the cell names no variants"),
            ("%%sm_endpoint boston\n   \n", "the cell names no variants"),
            ("%%sm_endpoint\nvariants: {A: $linear}", "the following arguments are required: NAME"),
            ("%%sm_endpoint boston --wiat\nvariants: {A: $linear}", "did you mean --wait?"),
            ("%%sm_endpoint 'boston\nvariants: {A: $linear}", "no closing quotation"),
            ("%%sm_endpoint boston\nvariants: {A: $linaer}", "did you mean '$linear'?"),
            ("%%sm_endpoint boston\nvarints: {A: $linear}", "did you mean 'variants'?"),
            ("%%sm_endpoint boston\nvariants: {A: $linear", "line 2"),
            ("%%sm_endpoint my_boston\nvariants: {A: $linear}", "my_boston"),
            ("%%sm_endpoint boston\nvariants: {A: nowhere}", "there is no model 'nowhere'"),
            ("%sm_endpoint", "the following arguments are required: NAME"),
            ("%sm_endpoint boston --dry-run", "--dry-run says nothing here"),
            ("%sm_endpoint boston --no-wait", "--no-wait says nothing here"),
            ("%sm_status --wait", "name the endpoint to wait for"),
            ("%sm_status boston --timeout 5s", "it goes with --wait"),
            ("%sm_status boston --no-wait", "--no-wait says nothing here"),
            ("%sm_status one two", "unrecognized arguments: two"),
            ("%sm_delete", "the following arguments are required: NAME"),
        ],
    )
    def test_a_mistake_is_an_error_that_says_where_and_what_to_do(self, notebook, cell, told):
        assert told in notebook.fails(cell, CellError)

    def test_a_line_that_cannot_be_read_keeps_no_variable_and_makes_no_call(self, notebook, writes, name):
        with writes(notebook) as made:
            text = notebook.fails(f"%%sm_endpoint {name} -o class\nvariants: {{A: $linear}}", CellError)
        assert "'class' is no name for a variable" in text
        assert made == []

    def test_an_object_that_is_no_model_is_named_with_its_variant(self, notebook, name):
        notebook.variables["number"] = 3
        assert "variant A" in notebook.fails(f"%%sm_endpoint {name}\nvariants: {{A: $number}}", PackagingError)

    def test_a_missing_endpoint_is_told_with_the_nearest_name(self, notebook, served):
        assert notebook.fails("%sm_status bostom", CellError).endswith(f"did you mean '{served}'?")
        assert "%sm_status shows all endpoints" in notebook.fails("%sm_endpoint zzzzzzzzz", CellError)
        assert "there is no endpoint 'no such name'" in notebook.fails("%sm_status 'no such name'", CellError)


class TestVariables:
    def test_a_dollar_and_braces_reach_the_cell_as_they_were_written(self, notebook, name):
        notebook.variables["A"] = "not this"
        notebook.variables["weights"] = {"A": 3}
        cell = f"%%sm_endpoint {name}\nvariants: {{A: {{model: $linear, weight: \"${{weights['A']}}\"}}}}"
        assert notebook.run(cell).result.snapshot.variants[0].weight == 3.0

    def test_a_number_stays_a_number(self, notebook, name):
        notebook.variables["n"] = 2
        ran = notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: {{model: $linear, instances: $n}}}}")
        assert ran.result.snapshot.variants[0].count == 2

    def test_the_result_of_a_line_can_be_assigned(self, notebook, served):
        ran = notebook.run(f"x = %sm_status {served}")
        assert ran.shown == ""
        assert notebook.variables["x"].name == served

    def test_a_cell_can_be_run_from_a_function(self, notebook, name):
        notebook.run(
            "def make(name, weight):\n"
            "    body = f'variants: {{A: {{model: $linear, weight: {weight}}}}}'\n"
            "    return get_ipython().run_cell_magic('sm_endpoint', name, body)\n"
        )
        assert notebook.run(f"made = make('{name}', 3)").error is None
        assert notebook.variables["made"].snapshot.variants[0].weight == 3.0


class TestShowing:
    def test_the_line_shows_the_endpoint_and_the_cell_that_would_reproduce_it(self, notebook, served):
        ran = notebook.run(f"%sm_endpoint {served}")
        assert ran.result.body.startswith("variants:\n")
        assert f"The cell that would reproduce it:\n    %%sm_endpoint {served}\n    variants:" in ran.shown
        assert notebook.run(f"%%sm_endpoint {served} --dry-run\n{ran.result.body}").result.plan.actions == ()

    def test_an_endpoint_whose_config_was_deleted_is_shown_without_its_cell(self, notebook, name):
        made = notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}").result
        connection = notebook.session.connection()
        connection.call("DeleteEndpointConfig", EndpointConfigName=made.snapshot.config_name)
        ran = notebook.run(f"%sm_endpoint {name}")
        assert "unknown: the config was deleted" in ran.shown
        assert ran.result.body is None
        text = notebook.fails(f"%%sm_endpoint {name}\nvariants: {{B: $xgb}}", PlanError)
        assert f"%sm_delete {name} --yes" in text

    def test_a_status_is_the_card_and_without_a_name_the_table(self, notebook, served):
        assert isinstance(notebook.run(f"%sm_status {served}").result, Endpoint)
        ran = notebook.run("%sm_status")
        assert isinstance(ran.result, EndpointTable)
        assert served in [each.name for each in ran.result.snapshots]
        assert "Endpoints · local engine" in ran.shown

    def test_during_an_update_the_status_shows_both_fleets_and_the_phase(self, notebook, name, paused):
        notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}")
        with paused():
            asked = notebook.run(f"%%sm_endpoint {name} --no-wait\nvariants: {{A: $xgb}}").shown
            for shown in (asked, *(notebook.run(f"{line} {name}").shown for line in ("%sm_status", "%sm_endpoint"))):
                rows = [line.split()[:3] for line in shown.split("\n")]
                assert ["phase", "starting", "the"] in rows
                assert ["new", "A", "starting"] in rows
                assert ["old", "A", "serving"] in rows
        assert "fleet" not in notebook.run(f"%sm_status {name} --wait").shown

    def test_the_update_of_another_notebook_is_waited_for_and_said_so(
        self, notebook, open_notebook, connection, xgb, name, paused
    ):
        notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}")
        other = open_notebook()
        other.session.connect = lambda: connection
        other.variables["xgb"] = xgb
        notebook.run("%sm_config display=text")
        with contextlib.ExitStack() as held:
            held.enter_context(paused())
            other.run(f"%%sm_endpoint {name} --no-wait\nvariants: {{A: $xgb}}")
            notebook.session.clock = Clock(sleep=lambda seconds: (held.close(), time.sleep(seconds)))
            ran = notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear, B: $xgb}}")
        told = ran.shown.split("\n")
        assert told[0] == (
            f"{name}: Updating (starting the new fleet, new 0 %), as asked for before: waiting for it first"
        )
        planned = told.index("plan: 3 calls")
        assert told[planned - 1] == f"{name}: InService"
        assert [each.name for each in ran.result.snapshot.variants] == ["A", "B"]
        assert ran.result.verified

    def test_waiting_ends_when_the_endpoint_has_settled(self, notebook, name, paused):
        with contextlib.ExitStack() as held:
            held.enter_context(paused())
            notebook.run(f"%%sm_endpoint {name} --no-wait\nvariants: {{A: $linear}}")
            notebook.session.clock = Clock(sleep=lambda seconds: (held.close(), time.sleep(seconds)))
            assert notebook.run(f"%sm_status {name} --wait").result.status == "InService"

    def test_waiting_for_what_fails_is_an_error_with_its_reason_and_what_is_left_over(self, notebook, name, paused):
        notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}")
        usual = notebook.session.clock
        bad = (
            f"%%sm_endpoint {name} --no-wait -o ep\nvariants:\n  A: {{model: {{image: xgboost@3.0-5, data: $corrupt}}}}"
        )
        with contextlib.ExitStack() as held:
            held.enter_context(paused())
            notebook.run(bad)
            coming = notebook.variables["ep"].snapshot.pending_config
            notebook.session.clock = Clock(sleep=lambda seconds: (held.close(), time.sleep(seconds)))
            text = notebook.fails(f"%sm_status {name} --wait -o ep", DeployError)
        notebook.session.clock = usual
        assert f"the update of endpoint '{name}' failed and was rolled back; it serves config" in text
        assert "did not pass the ping health check" in text
        assert f"last lines of /aws/sagemaker/Endpoints/{name}/A/" in text
        assert f"left over: endpoint config {coming}, model {name}-" in text
        assert notebook.variables["ep"].status == "InService"
        again = notebook.fails(f"%sm_status {name} --wait", DeployError)  # also for who comes too late
        assert "failed and was rolled back" in again
        notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $xgb}}")
        assert notebook.run(f"%sm_status {name} --wait").result.status == "InService"

    def test_a_creation_that_failed_says_what_to_do_whoever_looks(self, notebook, name):
        bad = f"%%sm_endpoint {name} --no-wait\nvariants:\n  A: {{model: {{image: xgboost@3.0-5, data: $corrupt}}}}"
        notebook.run(bad)
        text = notebook.fails(f"%sm_status {name} --wait", DeployError)
        assert f"endpoint '{name}' has failed: The primary container" in text
        assert f"or delete it: %sm_delete {name} --yes" in text
        shown = notebook.run(f"%sm_status {name}").shown
        assert "instances" not in shown  # there are none
        assert f"Last lines of /aws/sagemaker/Endpoints/{name}/A/" in shown
        assert f"Run its cell again, mended, which replaces it, or delete it: %sm_delete {name} --yes" in shown

    def test_waiting_for_what_has_settled_is_over_at_once(self, notebook, served):
        assert notebook.run(f"%sm_status {served} --wait --timeout 1s").result.status == "InService"


class TestDeleting:
    def test_without_yes_it_shows_what_would_go_and_deletes_nothing(self, notebook, writes, name):
        notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}")
        with writes(notebook) as made:
            for flags in ("", "--dry-run", "--dry-run --yes"):
                ran = notebook.run(f"%sm_delete {name} {flags}")
                assert isinstance(ran.result, Deleted)
                assert f"To do it: %sm_delete {name} --yes" in ran.shown
        assert made == []

    def test_with_yes_nothing_is_left(self, notebook, name):
        notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $linear}}")
        ran = notebook.run(f"%sm_delete {name} --yes -o gone")
        assert notebook.variables["gone"] is ran.result
        assert f"Deleting {name} · done" in ran.shown
        owned = notebook.run("%sm_list").result.inventory
        assert name not in {each.owner for each in (*owned.endpoints, *owned.configs, *owned.models)}

    def test_what_is_not_there_cannot_be_deleted(self, notebook):
        assert "%sm_list" in notebook.fails("%sm_delete nope --yes", PlanError)


def test_the_list_has_all_that_was_made(notebook, served):
    ran = notebook.run("%sm_list")
    assert isinstance(ran.result, Listing)
    assert served in [each.name for each in ran.result.inventory.endpoints]
    assert "Made by sm_magics · local engine" in ran.shown
