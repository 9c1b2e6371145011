"""What an endpoint can do in code outside cells, on the engine."""

from __future__ import annotations

import pandas as pd
import pytest

from sm_magics.errors import CellError, DeployError, Detached, InvokeError, SmError
from sm_magics.results.endpoint import Endpoint, seen
from sm_magics.watch import Snapshot, VariantState, look

OWN = Snapshot(
    "boston", "arn", "InService", "c", (VariantState("A", 0.0, 1.0, 1, 1), VariantState("B", 1.0, 0.0, 1, 1))
)


@pytest.fixture
def ep(connection, served):
    return seen(connection, look(connection, served), {})


class TestInvoking:
    def test_all_rows_are_sent_and_compared_with_what_is_true(self, ep, data):
        result = ep.invoke(data[0][:12], data[1][:12])
        assert [row.number for row in result.rows] == list(range(12))
        assert [row.truth for row in result.rows] == list(data[1][:12])
        assert "12 rows to boston" in str(result)

    def test_some_rows_go_to_the_variant_of_a_user(self, ep, data):
        for user in (1, 2, 3, 4):
            result = ep.invoke(data[0], rows=2, variant=ep.variant_for(user))
            assert [row.variant for row in result.rows] == [ep.variant_for(str(user))] * 2

    def test_a_row_that_fails_is_raised(self, ep):
        with pytest.raises(InvokeError, match="row 0"):
            ep.invoke([["x", "y"]])

    def test_no_rows_are_refused(self, ep, data):
        with pytest.raises(CellError, match="rows=0: send at least 1 row"):
            ep.invoke(data[0], rows=0)

    def test_columns_in_another_order_are_refused(self, notebook, name):
        notebook.run(
            "import pandas as pd\nfrom sklearn.linear_model import LinearRegression\n"
            "frame = pd.DataFrame({'a': [1.0, 2.0, 4.0], 'b': [2.0, 1.0, 0.0]})\n"
            "model = LinearRegression().fit(frame, [1.0, 2.0, 3.0])"
        )
        notebook.run(f"%%sm_endpoint {name} -o own\nvariants: {{A: $model}}")
        notebook.run("own.invoke(frame)")
        assert "in another order" in str(notebook.cell("own.invoke(frame[['b', 'a']])").error)

    def test_an_interrupt_says_how_far_it_came(self, ep, data, monkeypatch):
        def interrupted(*_, **__):
            raise KeyboardInterrupt
            yield

        monkeypatch.setattr("sm_magics.invoke.replay", interrupted)
        with pytest.raises(Detached, match="stopped; 0 of 3 rows were answered"):
            ep.invoke(data[0], rows=3)


class TestLookingAgain:
    def test_it_is_as_it_is_now(self, deployer, name):
        deployer.run(name, "variants: {A: $linear, B: $xgb}")
        old = seen(deployer.connection, look(deployer.connection, name), {})
        deployer.run(name, "variants: {A: {model: $linear, weight: 3}, B: $xgb}")
        assert old.snapshot.shares["A"].weight == 1.0
        assert old.refresh().snapshot.shares["A"].weight == 3.0

    def test_waiting_ends_once_it_has_settled(self, deployer, name):
        deployer.run(name, "variants: {A: $linear}", wait=False)
        ep = seen(deployer.connection, look(deployer.connection, name), {})
        assert ep.wait(60).status == "InService"

    def test_what_was_waited_for_and_failed_is_raised(self, deployer, name):
        deployer.run(name, "variants: {A: {model: {image: xgboost@3.0-5, data: $corrupt}}}", wait=False)
        with pytest.raises(DeployError, match="has failed"):
            seen(deployer.connection, look(deployer.connection, name), {}).wait(60)

    def test_one_that_is_gone_says_so(self, connection):
        with pytest.raises(SmError, match="endpoint 'nowhere' is gone"):
            Endpoint(Snapshot("nowhere", "", "InService", "c", ()), None, "here", connection=connection).refresh()

    def test_one_without_a_connection_says_how_to_get_it(self):
        with pytest.raises(SmError, match="has no connection") as caught:
            Endpoint(OWN, None, "here").refresh()
        assert caught.value.hint == "ep = %sm_status boston"


class TestChanging:
    def test_traffic_promotion_and_back_again(self, deployer, connection, name):
        deployer.run(name, "variants: {A: $linear, B: $xgb}")
        ep = seen(connection, look(connection, name), {})
        moved = ep.traffic({"A": 90})
        assert {key: share.weight for key, share in moved.snapshot.shares.items()} == {"A": 90.0, "B": 10.0}
        assert "Done and verified: UpdateEndpointWeightsAndCapacities." in str(moved)
        assert [each.name for each in moved.promote("B").snapshot.variants] == ["B"]
        assert [each.state for each in ep.history().versions] == ["replaced by 2", "serves"]
        assert [each.name for each in ep.rollback().snapshot.variants] == ["A", "B"]
        assert [each.name for each in ep.rollback(2).snapshot.variants] == ["B"]

    def test_what_there_is_not_is_refused_and_nothing_done(self, ep, connection, noting_writes):
        with noting_writes(connection) as made:
            for act in (lambda: ep.traffic({"C": 1}), lambda: ep.promote("C"), lambda: ep.rollback(99)):
                with pytest.raises(CellError):
                    act()
        assert made == []


def test_users_go_by_the_weights_of_the_look_until_a_new_one_is_taken(deployer, notebook, name):
    deployer.run(name, "variants: {A: $linear, B: {model: $linear, weight: 0}}")
    notebook.run(f"ep = %sm_status {name} --quiet")
    ep = notebook.variables["ep"]
    moved = ep.traffic({"A": 0, "B": 100})
    assert ep.variant_for(1) == "A"
    assert moved.variant_for(1) == ep.refresh().variant_for(1) == "B"


def test_users_go_by_the_wanted_weights():
    assert {Endpoint(OWN, None, "here").variant_for(each) for each in range(20)} == {"A"}


@pytest.mark.parametrize("nobody", [None, "", float("nan"), pd.NA, pd.NaT])
def test_who_has_no_id_is_for_no_variant(nobody):
    with pytest.raises(SmError, match="is nobody's id"):
        Endpoint(OWN, None, "here").variant_for(nobody)
