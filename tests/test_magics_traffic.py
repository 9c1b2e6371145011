from __future__ import annotations

import pytest

from sm_magics.clock import Clock
from sm_magics.errors import CellError, DeployError, Detached
from sm_magics.watch import look

TWO = "variants: {A: {model: $linear, weight: 3}, B: {model: $xgb, weight: 1}}"


@pytest.fixture
def own(deployer, name):
    deployer.run(name, TWO)
    return name


def weights(connection, name):
    return {key: share.weight for key, share in look(connection, name).shares.items()}


def words(ran):
    return " ".join(ran.shown.split())


class TestShares:
    def test_they_are_moved_and_the_endpoint_is_shown(self, notebook, connection, own):
        told = words(notebook.run(f"ep = %sm_traffic {own} A=90 B=10\nep"))
        assert "Done and verified: UpdateEndpointWeightsAndCapacities." in told
        assert "90 %" in told
        assert weights(connection, own) == {"A": 90.0, "B": 10.0}
        assert notebook.variables["ep"].name == own

    def test_the_rest_goes_to_the_one_that_is_left_out(self, notebook, connection, own):
        notebook.run(f"%sm_traffic {own} B=25")
        assert weights(connection, own) == {"A": 75.0, "B": 25.0}

    def test_a_dry_run_shows_the_call_and_makes_none(self, notebook, connection, own):
        told = words(notebook.run(f"%sm_traffic {own} B=50 --dry-run"))
        assert "A 75 %, B 25 %" in told
        assert "A 50 %, B 50 %" in told
        assert weights(connection, own) == {"A": 3.0, "B": 1.0}

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("", "say what A and B should get"),
            ("--steps 10,20", "say which variant is to go these steps\n  %sm_traffic {own} B --steps 10,20"),
            ("B --steps 10,20 --guard speed --dry-run", "there is no guard 'speed'"),
            ("C=1", "has no variant 'C'"),
            ("A=0 B=0", "no variant would get any traffic"),
            ("A=1 B=1 --every 5s", "--every says nothing here"),
            ("A=10 --steps 10,20", "--steps moves one variant's share"),
            ("B A --steps 10,20", "--steps moves one variant's share"),
            ("b --steps 10,20", "has no variant 'b'"),
            (
                "B --steps 5, 10, 50",
                "--steps 5, 10, 50: a list ends at a space\n  write it without spaces: --steps 5,10,50",
            ),
            ("--steps 5 ,10 B", "write it without spaces: --steps 5,10"),
            ("B --steps 5, 10 --guard errors", "write it without spaces: --steps 5,10"),
            ("B --steps 5,10 --guard errors, latency", "write it without spaces: --guard errors,latency"),
            ("B --steps 5,", "--steps 5,: a comma has no share beside it"),
            ("B --steps 5,10 --guard errors,", "--guard errors,: a comma has no guard beside it"),
            ("B --steps 10,50", "variant 'B' has 25 % of the traffic: --steps 10 is less\n  begin above: --steps 50"),
            ("B --steps 10,20 --dry-run", "to give it less: %sm_traffic {own} A=80 B=20"),
            ("B=1e300 A=1", "B=1e300: '1e300' is no share\n  a share is a number from 0 to 3.40282e+38"),
            ("B --steps 20,10", "they are percent that rise"),
            ("B --steps 10,20 --guard speed", "there is no guard 'speed'"),
            ("B --steps 10,20 --guard rmse", "--guard rmse needs rows and true values"),
            ("B --steps 10,20 --every 0s --guard errors", "--every 0s leaves --guard errors no time"),
            ("B --steps 100 --guard errors", "--steps 100 leaves the others no requests"),
            ("B --steps 10,20 --every 1000d", "--every 1000d: a share is held for 7d at most\n  the cell runs"),
            ("B --steps 10,20 --every soon", "--every TIME: hold each share so long, such as 30s; 5m by default, at"),
            ("B --steps 10,20 --data $X", "--data says nothing here"),
            ("A=1 B=1 --guard errors", "--guard says nothing here"),
            ("B --steps 10,20 --no-wait", "--no-wait does not go with --steps"),
        ],
    )
    def test_what_cannot_be_is_refused_and_nothing_is_done(self, notebook, connection, own, line, told):
        assert told.replace("{own}", own) in notebook.fails(f"%sm_traffic {own} {line}", CellError)
        assert weights(connection, own) == {"A": 3.0, "B": 1.0}

    def test_an_only_variant_has_it_all(self, notebook, deployer, name):
        deployer.run(name, "variants: {A: $linear}")
        assert "is the only variant" in notebook.fails(f"%sm_traffic {name} A --steps 10,20", CellError)

    def test_an_unknown_endpoint_gets_the_nearest_name(self, notebook, served):
        assert f"did you mean '{served}'?" in notebook.fails("%sm_traffic bostn A=1", CellError)


class TestSteps:
    def test_they_are_gone_in_turn_and_told_in_lines(self, notebook, connection, own):
        notebook.run("%sm_config display=text")
        ran = notebook.run(f"%sm_traffic {own} B --steps 50,100 --every 50ms")
        assert "B has 50 % of the traffic; next 100 %\n" in ran.shown
        assert "Done and verified: 2 × UpdateEndpointWeightsAndCapacities." in words(ran)
        assert weights(connection, own) == {"A": 0.0, "B": 100.0}

    def test_run_again_they_take_nothing_back(self, notebook, connection, own):
        line = f"%sm_traffic {own} B --steps 50,100 --every 50ms"
        notebook.run(line)
        assert "Nothing to change" in words(notebook.run(f"{line} --guard errors"))
        assert "nothing to do" in words(notebook.run(f"{line} --dry-run"))
        assert weights(connection, own) == {"A": 0.0, "B": 100.0}

    def test_a_dry_run_shows_all_of_them(self, notebook, connection, own):
        told = words(notebook.run(f"%sm_traffic {own} B --steps 30,50 --dry-run"))
        assert "2 calls" in told
        assert "Each share is held for 5m, but the last, which stays: 5m in all" in told
        assert "Nothing guards it" in told
        line = f"%sm_traffic {own} B --steps 30,50 --every 4m --guard errors --dry-run"
        told = words(notebook.run(line))
        assert "Each share is held for 4m, the last one, too: 8m in all" in told
        assert "--guard errors looks 5 times while a share is held; when 'B' is worse" in told
        assert "the traffic goes back to A 75 %, B 25 %" in told
        told = words(notebook.run(f"%sm_traffic {own} B --steps 100 --dry-run"))
        assert "The share is moved at once, and stays" in told
        assert "Each share is held" not in told
        assert weights(connection, own) == {"A": 3.0, "B": 1.0}

    def test_an_interrupt_says_at_which_share_it_stays_and_how_to_go_on(self, notebook, connection, own):
        def interrupted(seconds):
            if seconds > 5:
                raise KeyboardInterrupt
            Clock().sleep(seconds)

        notebook.session.clock = Clock(Clock().now, interrupted)
        told = notebook.fails(f"%sm_traffic {own} B --steps 30,50,100", Detached)
        assert told == (
            "stopped stepping; variant 'B' stays at 30 % of the traffic\n"
            "  to go on from there, run the cell again with --steps 50,100, and all else as it is"
        )
        assert weights(connection, own) == {"A": 70.0, "B": 30.0}


class TestGuard:
    def test_one_that_fails_under_load_is_taken_back(self, notebook, connection, own):
        notebook.run(f"%sm_fault {own} B 5xx=100%")
        notebook.run(f"%sm_load {own} --data $X --rps 100 --for 1h")
        try:
            told = notebook.fails(f"%sm_traffic {own} B --steps 50,100 --every 5s --guard errors -o ep", DeployError)
        finally:
            notebook.run(f"%sm_load {own} stop")
        assert f"variant 'B' of endpoint '{own}' was taken back at 50 %" in told
        assert "requests to it failed, of those to the others 0 of" in told
        assert weights(connection, own) == {"A": 3.0, "B": 1.0}
        assert notebook.variables["ep"].snapshot.shares["B"].weight == 1.0

    def test_one_that_predicts_worse_is_taken_back(self, notebook, connection, own):
        line = f"%sm_traffic {own} B --steps 80,100 --every 50ms --guard rmse --data $X --target $y"
        told = notebook.fails(line, DeployError)
        assert f"variant 'B' of endpoint '{own}' was taken back at 80 %: A is better: rmse" in told
        assert weights(connection, own) == {"A": 3.0, "B": 1.0}

    def test_an_interrupt_of_the_taking_back_says_what_was_worse(self, notebook, connection, own):
        events, operation = connection.client("sagemaker").meta.events, "UpdateEndpointWeightsAndCapacities"
        calls = []

        def interrupted(**_):
            calls.append(operation)
            if len(calls) == 2:
                raise KeyboardInterrupt

        events.register(f"before-call.sagemaker.{operation}", interrupted)
        try:
            line = f"%sm_traffic {own} B --steps 80,100 --every 50ms --guard rmse --data $X --target $y"
            told = notebook.fails(line, Detached)
        finally:
            events.unregister(f"before-call.sagemaker.{operation}", interrupted)
        assert told.startswith("stopped; variant 'B' was to be taken back at 80 %: A is better: rmse")
        assert told.endswith(f"to take it back yourself: %sm_traffic {own} A=3 B=1")

    def test_one_that_is_better_comes_all_the_way(self, notebook, connection, own):
        notebook.run(f"%sm_traffic {own} A --steps 90,100 --every 50ms --guard errors,rmse --data $X --target $y")
        assert weights(connection, own) == {"A": 100.0, "B": 0.0}
