from __future__ import annotations

import threading

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from sm_magics.compare.load import Load
from sm_magics.errors import CellError, Detached
from sm_magics.results import Loaded


def words(ran):
    return " ".join(ran.shown.split())


def loads():
    return [each for each in threading.enumerate() if each.name == "sm_magics load"]


@pytest.fixture
def own(deployer, name):
    """Return the name of an endpoint of the test's own: where others count shares, no load is to come between."""
    deployer.run(name, "variants: {Linear-Model: {model: $linear, weight: 4}, XGB-Model: $xgb}")
    return name


class TestALoad:
    def test_it_returns_at_once_and_an_update_under_it_loses_nothing(self, notebook, deployer, name):
        deployer.run(name, "variants: {A: $linear}")
        ran = notebook.run(f"load = %sm_load {name} --data $X --rps 100 --for 1h\nload")
        load = notebook.variables["load"]
        assert isinstance(load, Loaded)
        assert load.load.running
        assert f"Load on {name} · 100 requests a second for 1h · running" in words(ran)
        notebook.run(f"%%sm_endpoint {name}\nvariants: {{B: $xgb}}")
        reached = load.tally.sent
        while load.tally.sent < reached + 20:  # some after the update
            load.wait(0.02)
        told = words(notebook.run(f"%sm_load {name} stop"))
        assert not load.load.running
        assert "none lost" in told
        assert load.tally.lost == 0
        assert set(load.tally.by_variant) == {"A", "B"}

    def test_one_that_is_over_can_be_looked_at_again(self, notebook, own):
        notebook.run(f"%sm_load {own} --data $X --rps 200 --for 100ms -o kept --quiet")
        assert notebook.variables["kept"].wait().tally.answered == 20
        told = words(notebook.run(f"%sm_load {own}"))
        assert "sent 20 answered 20 lost 0" in told
        assert "Linear-Model 16 80 %" in told
        assert notebook.run(f"%sm_load {own} stop").result.tally.sent == 20
        assert "--rps says nothing here" in notebook.fails(f"%sm_load {own} --rps 5", CellError)
        notebook.run(f"%sm_load {own} --data $X --rps 50 --for 40ms").result.wait()

    def test_all_may_go_to_one_variant_as_json_lines(self, notebook, own):
        how = "--variant Linear-Model --content-type application/jsonlines"
        load = notebook.run(f"%sm_load {own} --data $X --rps 200 --for 50ms {how}").result.wait()
        assert load.tally.answered == 10
        assert set(load.tally.by_variant) == {"Linear-Model"}

    def test_what_is_lost_is_told(self, notebook, own):
        notebook.variables["wide"] = [[1.0] * 20]
        notebook.run(f"%sm_load {own} --data $wide --rps 100 --for 50ms").result.wait()
        told = words(notebook.run(f"%sm_load {own}"))
        assert "5 lost" in told
        assert "ModelError: InvokeEndpoint: Received client error (400)" in told

    def test_who_waits_is_told_how_far_it_is_and_an_interrupt_ends_the_waiting_only(self, notebook, own, interrupt_in):
        notebook.run("%sm_config display=text")
        ran = notebook.run(f"%sm_load {own} --data $X --rps 20 --for 500ms -o load --quiet")
        notebook.run(f"%sm_load {own} -o load")
        assert f"load on {own}: 0 % of 500ms\n" in notebook.run("load.wait()").shown
        assert ran.result.wait().tally.sent == 10
        notebook.run(f"%sm_load {own} --data $X --rps 5 --for 1h -o load")
        load = notebook.variables["load"].load

        interrupt_in(Load.watch)
        told = notebook.fails("load.wait()", Detached)
        assert f"stopped waiting; the load on endpoint '{own}' goes on by itself" in told
        assert f"%sm_load {own} stop ends it" in told
        assert load.running
        assert "already" in notebook.fails(f"%sm_load {own} --data $X", CellError)
        while not load.tally.sent:
            load.wait(0.02)
        assert "Stopped early" in words(notebook.run(f"%sm_load {own} stop"))
        assert load.stopped

    def test_there_is_one_for_each_endpoint(self, notebook, own):
        notebook.run(f"%sm_load {own} --data $X --rps 5 --for 1h")
        told = notebook.fails(f"%sm_load {own} --data $X", CellError)
        assert "already" in told
        assert f"%sm_load {own} stop" in told
        notebook.run(f"%sm_load {own} stop")

    def test_columns_in_another_order_than_the_model_s_are_refused(self, notebook, name, data):
        frame = pd.DataFrame(data[0], columns=[f"c{number}" for number in range(13)])
        notebook.variables.update(mixed=frame[frame.columns[::-1]], named=LinearRegression().fit(frame, data[1]))
        notebook.run(f"%%sm_endpoint {name}\nvariants: {{A: $named}}")
        assert "another order" in notebook.fails(f"%sm_load {name} --data $mixed", CellError)

    def test_unloading_the_extension_ends_it(self, notebook, own):
        notebook.run(f"%sm_load {own} --data $X --rps 5 --for 1h")
        assert loads()
        notebook.run("%unload_ext sm_magics")
        assert not loads()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%sm_load boston", "there is no load on endpoint 'boston'"),
        ("%sm_load boston stop", "there is no load on endpoint 'boston'"),
        ("%sm_load boston stop --data $X", "--data starts a load, and stop ends one"),
        ("%sm_load boston --data $X --rps 0", "--rps 0"),
        ("%sm_load boston --data $X --rps 3000", "at most 2000"),
        ("%sm_load boston --data $X --for 0s", "--for 0s"),
        ("%sm_load boston --data $X --content-type text/plain", "text/csv or application/jsonlines"),
        ("%sm_load boston --data nothing", "write $nothing"),
        ("%sm_load boston --data $X --variant XGB-Modell", "did you mean 'XGB-Model'?"),
        ("%sm_load bostan --data $X", "did you mean 'boston'?"),
        ("%sm_load snob --data $X", "%sm_status shows all endpoints"),
        ("%sm_load boston begin --data $X", "stop"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_sent(notebook, served, line, told):
    assert served == "boston"
    assert told in notebook.fails(line, CellError)
    assert not loads()
