from __future__ import annotations

import pytest

from sm_magics.errors import CellError, DeployError
from sm_magics.versions import history
from sm_magics.watch import look

ONE = "variants: {A: $linear}"
TWO = "variants: {A: {model: $linear, weight: 3}, B: {model: $xgb, weight: 1}}"


def words(ran):
    return " ".join(ran.shown.split())


@pytest.fixture
def own(deployer, name):
    deployer.run(name, ONE)
    deployer.run(name, TWO)
    return name


def variants(connection, name):
    return [each.name for each in look(connection, name).variants]


class TestPromote:
    def test_the_winner_serves_alone_and_the_card_says_how_it_came(self, notebook, connection, own):
        told = words(notebook.run(f"ep = %sm_promote {own} B\nep"))
        assert "Done and verified: CreateEndpointConfig, UpdateEndpoint. All traffic moves at once" in told
        assert variants(connection, own) == ["B"]
        assert len(connection.call("ListModels", NameContains=own)["Models"]) == 2
        told = words(notebook.run(f"%sm_promote {own} B"))
        assert "Nothing to change" in told

    def test_losers_are_deleted_on_demand_also_later(self, notebook, connection, deployer, own):
        notebook.run(f"%sm_promote {own} B")
        told = words(notebook.run(f"%sm_promote {own} B --delete-losers"))
        assert "Done and verified: 2 × DeleteEndpointConfig, DeleteModel." in told
        assert deployer.names("Model", own) == [
            connection.describe("EndpointConfig", look(connection, own).config_name)["ProductionVariants"][0][
                "ModelName"
            ]
        ]

    def test_a_dry_run_does_nothing(self, notebook, connection, own):
        told = words(notebook.run(f"%sm_promote {own} B --dry-run"))
        assert "2 calls" in told
        assert "without A" in told
        assert variants(connection, own) == ["A", "B"]

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("C", "has no variant 'C'\n  it has A, B; %sm_history {own} shows its configs, and %sm_rollback"),
            ("A --instances 0", "--instances 0: it takes at least 1"),
            ("A --delete-losers --no-wait", "--delete-losers waits"),
            ("A --delete-losers --dry-run", "--delete-losers says nothing here"),
        ],
    )
    def test_what_cannot_be_is_refused(self, notebook, connection, own, line, told):
        assert told.replace("{own}", own) in notebook.fails(f"%sm_promote {own} {line}", CellError)
        assert variants(connection, own) == ["A", "B"]


class TestRollback:
    def test_back_and_forward(self, notebook, connection, own):
        told = words(notebook.run(f"%sm_rollback {own}"))
        assert "Done and verified: UpdateEndpoint. All traffic moves at once, and weights" in told
        assert variants(connection, own) == ["A"]
        notebook.run(f"%sm_rollback {own} 2")
        assert variants(connection, own) == ["A", "B"]

    def test_a_dry_run_does_nothing(self, notebook, connection, own):
        told = words(notebook.run(f"%sm_rollback {own} --dry-run"))
        assert "1 call" in told
        assert "without B" in told
        assert variants(connection, own) == ["A", "B"]

    def test_what_there_is_not_is_refused(self, notebook, own):
        assert "has no config '7' to go back to" in notebook.fails(f"%sm_rollback {own} 7", CellError)


class TestHistory:
    def test_without_times_it_is_the_same_in_every_notebook(self, notebook, open_notebook, connection, own):
        told = notebook.run(f"%sm_history {own}").shown
        assert "with B" in told
        assert "replaced by 2" in told
        assert "serves" in told
        assert ":" not in told.split("All are kept")[0].split("state")[1]
        other = open_notebook()
        other.session.connect = lambda: connection
        assert other.run(f"%sm_history {own}").shown.partition("]")[2] == told.partition("]")[2]

    def test_with_times_it_tells_when_and_by_whom(self, notebook, connection, own):
        told = notebook.run(f"history = %sm_history {own} --times\nhistory").shown
        assert "20" in told
        frame = notebook.variables["history"].to_frame()
        assert list(frame["state"]) == ["replaced by 2", "serves"]
        assert list(frame["by"]) == [connection.user] * 2

    def test_an_update_that_failed_is_told_with_its_reason(self, notebook, own):
        notebook.fails(
            f"%%sm_endpoint {own}\nvariants: {{A: {{model: {{image: xgboost@3.0-5, data: $corrupt}}}}}}", DeployError
        )
        told = words(notebook.run(f"%sm_history {own}"))
        assert "The last update failed: The primary container for production variant A did not pass" in told

    def test_only_so_many_configs_are_kept(self, notebook, connection, name, monkeypatch):
        monkeypatch.setattr("sm_magics.inventory.KEPT", 1)
        for variant in ("A", "B", "C"):
            notebook.run(f"%%sm_endpoint {name}\nvariants: {{{variant}: $linear}}")
        assert [each.what for each in history(connection, look(connection, name))] == ["B 100 %", "without B, with C"]
