"""Completion as a front end asks for it: the whole cell, and `|` where the cursor is."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.completer import provisionalcompleter

from sm_magics.local.start import find
from sm_magics.magics.complete import NAMES_SECONDS, Completer

ENDPOINT = "%%sm_endpoint boston\nvariants:\n"
FAST_SECONDS = 0.05


def completions(notebook, marked):
    """Return what IPython offers at the `|`: each with what the cell would be with it."""
    before, after = marked.split("|")
    text = before + after
    with provisionalcompleter():
        found = list(notebook.shell.Completer.completions(text, len(before)))
    return {each.text: text[: each.start] + each.text + text[each.end :] for each in found}


def own_matchers(shell):
    return [each for each in shell.Completer.custom_matchers if isinstance(each.__self__, Completer)]


def texts(notebook, marked):
    return list(completions(notebook, marked))


@pytest.fixture
def connected(notebook, served):
    """Return a notebook that has connected, and so may ask for names."""
    notebook.run(f"%sm_status {served}")
    return notebook


class TestLines:
    @pytest.mark.parametrize(
        ("marked", "some"),
        [
            ("%sm_endpoint boston --|", ["--dry-run", "--wait", "--no-wait", "--timeout", "--quiet", "--out"]),
            ("%%sm_endpoint boston --dry|\nvariants:", ["--dry-run"]),
            ("%sm_invoke boston --d|", ["--data"]),
            ("%sm_delete boston --y|", ["--yes"]),
            ("x = %sm_status boston --w|", ["--wait"]),
            ("%sm_connect |", ["local", "aws"]),
            ("%sm_connect l|", ["local"]),
            ("%sm_config d|", ["display="]),
            ("%sm_logs boston --f|", ["--follow"]),
            ("%sm_metrics boston --p|", ["--period"]),
            ("%sm_load boston st|", ["stop"]),
            ("%sm_load boston --r|", ["--rps"]),
            ("%sm_help sm_e|", ["sm_endpoint"]),
            ("%sm_help rollback_o|", ["rollback_on"]),
            ("%sm_invoke boston --data $|", ["$X", "$y", "$linear", "$xgb"]),
            ("%sm_invoke boston --data $l|", ["$linear"]),
        ],
    )
    def test_flags_words_and_variables(self, notebook, marked, some):
        found = texts(notebook, marked)
        assert set(some) <= set(found)
        assert found == some or marked.rstrip("|").endswith(("--", "$"))

    def test_what_is_offered_replaces_what_was_typed(self, notebook):
        assert completions(notebook, "%sm_invoke boston --da| --rows 3") == {
            "--data": "%sm_invoke boston --data --rows 3"
        }
        assert completions(notebook, "%sm_invoke boston --data=$lin|")["$linear"] == "%sm_invoke boston --data=$linear"

    @pytest.mark.parametrize(
        "marked", ["%sm_status bos|", "%%sm_endpoint bos|", "x = %sm_status bos|", "%sm_delete b|"]
    )
    def test_names_of_endpoints(self, connected, marked):
        assert "boston" in texts(connected, marked)

    def test_names_of_variants(self, connected):
        assert texts(connected, "%sm_invoke boston --variant |") == ["Linear-Model", "XGB-Model"]
        assert texts(connected, "%sm_invoke boston --variant X|") == ["XGB-Model"]
        assert texts(connected, "%sm_logs boston X|") == ["XGB-Model"]
        assert texts(connected, "%sm_metrics boston L|") == ["Linear-Model"]
        assert not {"Linear-Model", "XGB-Model"} & set(texts(connected, "%sm_invoke nowhere --variant |"))

    def test_variants_of_traffic(self, connected):
        assert texts(connected, "%sm_traffic boston |") == ["Linear-Model", "XGB-Model"]
        assert texts(connected, "%sm_traffic boston Linear-Model=90 X|") == ["XGB-Model"]
        assert not {"Linear-Model", "XGB-Model"} & set(texts(connected, "%sm_traffic boston Linear-Model=|"))
        assert texts(connected, "%sm_traffic boston XGB-Model --st|") == ["--steps"]
        assert texts(connected, "%sm_traffic boston XGB-Model --guard er|") == ["errors"]
        assert texts(connected, "%sm_traffic boston XGB-Model --guard rm|") == ["rmse"]

    def test_variants_to_promote_and_configs_to_go_back_to(self, connected, connection):
        assert texts(connected, "%sm_promote boston X|") == ["XGB-Model"]
        assert connection.describe("Endpoint", "boston")["EndpointConfigName"] in texts(
            connected, "%sm_rollback boston |"
        )

    @pytest.mark.parametrize("line", ["%sm_promote nope ", "%sm_promote boston XGB-Model ", "%sm_status nope"])
    def test_where_nothing_fits_what_is_typed_stays_and_python_s_words_stay_away(self, connected, line):
        assert completions(connected, f"{line}|") == {line.split(" ")[-1]: line}

    def test_the_attributes_of_a_variable_are_ipython_s(self, notebook):
        assert not set(texts(notebook, "%sm_invoke boston --data $X.sha|")) & {"$X.sha"}

    def test_without_a_letter_help_offers_magics_only(self, notebook):
        found = texts(notebook, "%sm_help |")
        assert {"sm_endpoint", "sm_traffic"} <= set(found)
        assert all(each.startswith("sm_") for each in found)

    def test_values_of_a_comparison(self, connected):
        assert texts(connected, "%sm_compare boston --metric rm|") == ["rmse"]
        assert texts(connected, "%sm_compare boston --variants |") == ["Linear-Model", "XGB-Model"]
        assert texts(connected, "%sm_compare boston --until |") == ["significant"]
        assert "target: " in texts(connected, "%%sm_compare boston\ntar|")
        assert texts(connected, "%%sm_compare boston\ndata: $X\nmetric: acc|") == ["accuracy"]
        assert "$X" in texts(connected, "%%sm_compare boston\ndata: $|")

    def test_faults_and_the_variants_that_they_may_be_on(self, connected):
        kinds = ["slow=", "crash", "5xx=", "ping=fail", "throttle", "stuck-creating", "quota", "clear"]
        assert texts(connected, "%sm_fault bos|") == ["boston"]
        assert texts(connected, "%sm_fault boston |") == [*kinds, "Linear-Model", "XGB-Model"]
        assert texts(connected, "%sm_fault boston --next |") == [*kinds, "Linear-Model", "XGB-Model"]
        assert texts(connected, "%sm_fault boston XGB-Model s|") == ["slow=", "stuck-creating"]
        assert texts(connected, "%sm_fault boston slow=2s th|") == ["throttle"]
        assert texts(connected, "%sm_fault --next b|") == ["boston"]
        assert not {*kinds, "XGB-Model"} & set(texts(connected, "%sm_fault boston 5xx=|"))
        assert texts(connected, "%sm_fault boston ping=|") == ["fail"]
        assert texts(connected, "%sm_fault boston crash --n|") == ["--next"]

    def test_private_names_and_modules_and_ipython_s_own_are_no_variables(self, notebook):
        notebook.run("import os\n_hidden = 1")
        assert not {"$_hidden", "$os", "$In", "$Out", "$exit"} & set(texts(notebook, "%sm_invoke boston --data $|"))


class TestCells:
    @pytest.mark.parametrize(
        ("marked", "some"),
        [
            ("%%sm_endpoint boston\nvar|", ["variants"]),
            (ENDPOINT + "  A: {mod|}", ["model", "model_data_download_timeout_in_seconds"]),
            (ENDPOINT + "  A:\n    weig|", ["weight"]),
            (ENDPOINT + "  A: {instance: ml.m5.la|}", ["ml.m5.large"]),
            (ENDPOINT + "  A: {model: $li|}", ["$linear"]),
            (ENDPOINT + "  A: {model: $linear}\nta|", ["tags"]),
            ("%%sm_model m\nima|", ["image", "image_config"]),
        ],
    )
    def test_keys_and_values_at_the_cursor_s_level(self, notebook, marked, some):
        assert texts(notebook, marked) == some

    def test_what_is_offered_replaces_what_was_typed(self, notebook):
        marked = ENDPOINT + "  A: {instance: ml.m5.la|, weight: 1}"
        assert completions(notebook, marked)["ml.m5.large"] == ENDPOINT + "  A: {instance: ml.m5.large, weight: 1}"

    def test_names_of_models_follow_their_key(self, connected, connection):
        connected.session.declared["shared"] = "shared-0123abcd"
        found = texts(connected, ENDPOINT + "  A: {model: |}")
        assert "shared" in found
        listed = [each["ModelName"] for each in connection.call("ListModels", MaxResults=100)["Models"]]
        assert listed
        assert set(listed) <= set(found)

    @pytest.mark.parametrize(
        ("marked", "some"),
        [
            (ENDPOINT + "  A: {model: {image: linear|}}", ["linear-learner@1"]),
            (ENDPOINT + "  A: {model: {image: xgboost@3|, data: ./m.tar.gz}}", ["xgboost@3.0-5", "xgboost@3.2-0"]),
            ("%%sm_model m\nimage: sklearn@1.|", ["sklearn@1.0-1", "sklearn@1.2-1", "sklearn@1.4-2", "sklearn@1.9-0"]),
            ("%%sm_model m\nimage: ./|", ["./models/", "./serve.sh"]),
            ("%%sm_model m\nimage: ./.h|", ["./.hidden.sh"]),
            ("%%sm_model m\nimage: ~/ser|", ["~/serve.sh"]),
            ("%%sm_model m\ndata: |", ["models/", "old.tar.gz"]),
            ("%%sm_model m\ndata: ./models/|", ["./models/new.tar.gz"]),
            (ENDPOINT + "  A: $xgb\ncapture: ./m|", ["./models/"]),
            (ENDPOINT + "  A: $xgb\ncapture: {to: ./|, sample: 5%}", ["./models/"]),
        ],
    )
    def test_images_with_their_versions_and_files(self, notebook, tmp_path, monkeypatch, marked, some):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "models").mkdir()
        for each in ("serve.sh", ".hidden.sh", "old.tar.gz", "notes.txt", "with space.tar.gz", "models/new.tar.gz"):
            (tmp_path / each).touch(0o755 if each.endswith(".sh") else 0o644)
        assert texts(notebook, marked) == some

    @pytest.mark.parametrize("place", ["./nowhere/|", "/proc/1/root/|", "~nobody-of-this-name/|", "./notes.txt/|"])
    def test_where_there_are_no_files_none_are_offered(self, notebook, tmp_path, monkeypatch, place):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "notes.txt").touch()
        assert not [each for each in texts(notebook, f"%%sm_model m\nimage: {place}") if "/" in each]

    def test_a_payload_is_nobody_s_business(self, notebook):
        assert texts(notebook, "%%sm_invoke boston\nvar|") == texts(notebook, "%%writefile f\nvar|")


class TestElsewhere:
    def test_a_magic_of_ours_that_does_not_exist_has_no_flags(self, notebook):
        assert "--wait" not in texts(notebook, "%sm_nonsense --|")

    @pytest.mark.parametrize("marked", ["lin|", "x = lin|", "print(lin|)", "%%time\nlin|", "# %sm_status\nlin|"])
    def test_outside_our_magics_completion_is_ipython_s(self, notebook, marked):
        with_us = texts(notebook, marked)
        matchers = notebook.shell.Completer.custom_matchers
        matchers[:] = [each for each in matchers if each not in own_matchers(notebook.shell)]
        assert with_us == texts(notebook, marked)
        assert "linear" in with_us

    def test_inside_our_cells_python_s_words_stay_away(self, notebook):
        assert "while" not in texts(notebook, ENDPOINT + "  A: {w|}")


class TestContact:
    @pytest.mark.parametrize(
        "marked", ["%sm_status |", "%sm_invoke boston --variant |", ENDPOINT + "  A: {model: |}", "%sm_model |"]
    )
    def test_nothing_is_started_before_the_session_has_connected(self, notebook, tmp_path, monkeypatch, marked):
        monkeypatch.setenv("SM_MAGICS_STATE", str(tmp_path))
        notebook.session.connect = None
        texts(notebook, marked)
        assert notebook.session.connected is None
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("marked", "some"),
        [
            ("%%sm_endpoint bos|", "boston"),
            ("%sm_promote {} X|", "XGB-Model"),
            ("%sm_traffic {} L|", "Linear-Model"),
        ],
    )
    def test_an_engine_that_runs_is_asked_before_the_session_has_connected(self, notebook, served, marked, some):
        notebook.session.connect = None
        assert texts(notebook, marked.format(served)) == [some]
        assert notebook.session.connected is None

    def test_where_another_connection_was_chosen_no_engine_is_asked(self, notebook, served):
        notebook.session.connect = lambda: pytest.fail("completion connects")
        assert served not in texts(notebook, "%%sm_endpoint bos|")

    def test_names_are_asked_for_once_in_a_while_only(self, connected, fake_clock, monkeypatch):
        asked = []
        usual = type(connected.session.connected).call
        monkeypatch.setattr(
            type(connected.session.connected),
            "call",
            lambda *args, **more: asked.append(args[1]) or usual(*args, **more),
        )
        (own,) = own_matchers(connected.shell)
        own.__self__._clock = fake_clock.now
        for _ in range(3):
            texts(connected, "%sm_status b|")
        assert asked == ["ListEndpoints"]
        fake_clock.sleep(NAMES_SECONDS + 1)
        texts(connected, "%sm_status b|")
        assert len(asked) == 2

    def test_a_connection_that_is_gone_is_not_tried_at_every_key_and_not_brought_back(self, notebook, tmp_path):
        notebook.run(f"%sm_connect local --state '{tmp_path}'")
        find(tmp_path).stop()
        (match,) = own_matchers(notebook.shell)
        asked = []
        notebook.session.connected.client("sagemaker").meta.events.register(
            "before-call.sagemaker.ListEndpoints", lambda **_: asked.append(1)
        )
        for line in ("%sm_status ", "%sm_status b", "%sm_delete b", "%sm_invoke b --variant "):
            found = match(
                SimpleNamespace(full_text=line, cursor_line=0, cursor_position=len(line), text_until_cursor=line)
            )
            assert [each.text for each in found["completions"]] in ([], [line.split()[-1]], [""])
        assert len(asked) == 1
        assert find(tmp_path) is None


@pytest.mark.parametrize(
    "marked",
    [
        "%sm_invoke boston --|",
        "%sm_status |",
        ENDPOINT + "  A: {|}",
        ENDPOINT + "  A: {instance: |}",
        ENDPOINT + "  A: {model: |}",
        "%%sm_endpoint boston\n" + "# a line\n" * 300 + "var|",
    ],
)
def test_completing_is_not_felt(connected, marked):
    texts(connected, marked)  # what is read once is read
    took = []
    for _ in range(5):
        began = time.perf_counter()
        texts(connected, marked)
        took.append(time.perf_counter() - began)
    assert min(took) < FAST_SECONDS


CELL_TEXT = st.text(st.sampled_from("%sm_endpoi boston\n:{}[]$-,=\"' \taé#|&*!"), max_size=60)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(["", "%%sm_endpoint b\n", "%%sm_model m\n", "%sm_invoke ", "%%sm_"]), CELL_TEXT, st.data())
def test_whatever_is_typed_completion_never_breaks(notebook, first, rest, data):
    text = first + rest
    (own,) = own_matchers(notebook.shell)
    at = data.draw(st.integers(0, len(text)))
    before = text[:at].split("\n")
    place = {"cursor_line": len(before) - 1, "cursor_position": len(before[-1]), "text_until_cursor": before[-1]}
    assert set(own(SimpleNamespace(full_text=text, **place))) == {
        "completions",
        "matched_fragment",
        "suppress",
        "ordered",
    }
