"""What a front end asks of a real kernel besides running cells: completion, and an end to waiting."""

from __future__ import annotations

import os

import pytest
from kernelkit import Kernel, kinds

from sm_magics.watch import look


@pytest.fixture(scope="module")
def kernel(state, served):
    started = Kernel({**os.environ, "SM_MAGICS_STATE": str(state), "SM_MAGICS_DISPLAY": "text"})
    started.run("%load_ext sm_magics")
    started.run(f"%sm_status {served}")
    started.run("linear, training = 1, 2")
    yield started
    started.stop()


@pytest.fixture
def cell(name, served, connection):
    """Return a cell that makes an endpoint out of a model that is there already, so that the kernel trains nothing."""
    config = connection.describe("EndpointConfig", look(connection, served).config_name)
    return f"%%sm_endpoint {name}\nvariants: {{A: {config['ProductionVariants'][0]['ModelName']}}}\n"


class TestCompletion:
    @pytest.mark.parametrize(
        ("marked", "found"),
        [
            ("%sm_status bos|", "%sm_status boston"),
            ("%sm_status --li|", "%sm_status --live"),
            ("%sm_panel bos|", "%sm_panel boston"),
            ("x = %sm_metrics bos| XGB-Model", "x = %sm_metrics boston XGB-Model"),
            ("%sm_invoke boston --variant |", "%sm_invoke boston --variant Linear-Model"),
            ("%sm_logs boston XGB-|", "%sm_logs boston XGB-Model"),
            ("%sm_fault boston L|", "%sm_fault boston Linear-Model"),
            ("%sm_invoke boston --da| $linear", "%sm_invoke boston --data $linear"),
            ("%sm_invoke boston --data $li|", "%sm_invoke boston --data $linear"),
            ("%%sm_endpoint bos|\nvariants:", "%%sm_endpoint boston\nvariants:"),
            ("%%sm_endpoint b\nvariants:\n  A: {model: $li|}", "%%sm_endpoint b\nvariants:\n  A: {model: $linear}"),
            ("%%sm_model m\nimage: xgb|", "%%sm_model m\nimage: xgboost@3.0-5"),
            ("%%sm_model m\nimage: xgboost@3.0|\n", "%%sm_model m\nimage: xgboost@3.0-5\n"),
            (
                "%%sm_endpoint b\nvariants: {A: {model: {image: line|, data: x}}}",
                "%%sm_endpoint b\nvariants: {A: {model: {image: linear-learner@1, data: x}}}",
            ),
        ],
    )
    def test_what_is_offered_fits_where_the_cursor_is(self, kernel, marked, found):
        offered = kernel.complete(marked)
        assert found in offered.values()
        typed = marked.split("|")[0].split()[-1].strip("{")
        assert all(each.startswith(typed) or marked[marked.index("|") - 1] == " " for each in offered)

    def test_elsewhere_the_kernel_completes_as_ever(self, kernel):
        assert "training" in kernel.complete("train|")


class TestWaiting:
    def error(self, told, kind):
        error = told[-1]["content"]
        assert (told[-1]["msg_type"], error["ename"]) == ("error", kind)
        assert error["traceback"] == [f"{kind}: {error['evalue']}"]
        return error["evalue"]

    @pytest.mark.parametrize("waiting", ["%sm_status {} --wait", "%sm_delete {} --yes"])
    def test_an_interrupt_ends_it_and_the_service_goes_on(self, kernel, cell, paused, name, connection, waiting):
        with paused():
            kernel.run(cell.replace("\n", " --no-wait\n", 1))
            kernel.begin(waiting.format(name))
            kernel.until(lambda message: f"{name}: Creating" in message["content"].get("text", ""))
            kernel.manager.interrupt_kernel()
            told = kernel.end()
            assert "stopped waiting" in self.error(told, "Detached")
            assert look(connection, name).status == "Creating"
        assert "InService" in kernel.run(f"%sm_status {name} --wait")[-1]["content"]["data"]["text/plain"]

    def test_a_timeout_ends_it_and_says_how_to_follow(self, kernel, cell, paused, name):
        with paused():
            kernel.begin(cell.replace("\n", " --timeout 300ms\n", 1))
            told = kernel.end()
            assert f"endpoint '{name}' is still Creating after 0.3 s" in self.error(told, "DeployError")
            kernel.begin(f"%sm_status {name} --wait --timeout 200ms")
            assert f"it goes on by itself; follow it: %sm_status {name} --wait" in self.error(
                kernel.end(), "DeployError"
            )
        told = kernel.run(f"%sm_status {name} --wait --timeout 30s")
        assert kinds(told)[-1] == "execute_result"
        assert "InService" in told[-1]["content"]["data"]["text/plain"]
