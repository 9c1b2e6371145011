"""What plain IPython prints in a terminal, typed into as users do: lines while a cell waits, then a table of text."""

from __future__ import annotations

import os
import re
import sys

import pexpect
import pytest

from sm_magics.watch import look

SECONDS = 20
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07")
RUNS, WAITS = "\x1b[?2004l", "\x1b[?2004h"  # the terminal's pasting is switched off while a cell runs
NO_TEXT = ("<div", "<table", "<style", "HTML(", "VBox(", "Box(", "Output(", "object at 0x", "Traceback")


class Terminal:
    """IPython in a terminal, of 120 columns where nothing else is said."""

    def __init__(self, folder, state, columns=120):
        own = {"SM_MAGICS_STATE": str(state), "IPYTHONDIR": str(folder), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        environment = {**os.environ, **own}
        environment.pop("SM_MAGICS_DISPLAY", None)
        options = ["--no-banner", "--no-confirm-exit", "--HistoryManager.enabled=False"]
        self.pty = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", *options],
            env=environment,
            encoding="utf-8",
            timeout=SECONDS,
            dimensions=(50, columns),
        )
        self.number = 1
        self.until_it_asks()

    def until_it_asks(self):
        """Wait for the next prompt, and return what was written before."""
        self.pty.expect(rf"In [^\n]*\[[^\n]*{self.number}[^\n]*\]")
        return self.pty.before

    def begin(self, cell):
        """Paste a cell, as terminals do it, and press Alt and Enter, which runs one of several lines at once."""
        self.pty.send(f"\x1b[200~{cell}\x1b[201~\x1b\r")
        self.pty.expect_exact(RUNS)

    def end(self):
        """Return what a cell prints, line by line."""
        self.number += 1
        shown = ESCAPES.sub("", self.until_it_asks().partition(WAITS)[0])
        assert not [each for each in NO_TEXT if each in shown], shown
        return [line.rstrip() for line in shown.split("\n")]

    def run(self, cell):
        self.begin(cell)
        return self.end()


@pytest.fixture(scope="module")
def terminal(tmp_path_factory, state):
    started = Terminal(tmp_path_factory.mktemp("ipython"), state)
    started.run("%load_ext sm_magics")
    yield started
    started.pty.close(force=True)


@pytest.fixture
def cell(name, served, connection):
    """Return a cell that makes an endpoint out of a model that is there already."""
    config = connection.describe("EndpointConfig", look(connection, served).config_name)
    return f"%%sm_endpoint {name}\nvariants:\n  A: {config['ProductionVariants'][0]['ModelName']}"


def test_a_cell_prints_a_line_for_each_call_and_each_change_and_then_a_table(terminal, cell, name):
    shown = terminal.run(cell)
    end = next(place for place, line in enumerate(shown) if line.startswith("Out["))
    plan, config, endpoint, *states, last = shown[:end]
    assert plan == "plan: 2 calls"
    assert config.startswith(f"CreateEndpointConfig: endpoint config {name}-")
    assert endpoint == f"CreateEndpoint: endpoint {name}"
    assert states == list(dict.fromkeys(states))  # none twice
    assert all(line.startswith(f"{name}: Creating (A ") for line in states)
    assert last == f"{name}: InService"
    assert shown[end + 1] == f"Endpoint {name} · InService"
    head, rule, row = (line for line in shown if line.startswith(("  variant", "  ──", "  A ")))
    assert head.split() == ["variant", "model", "image", "instances", "weight", "traffic"]
    assert len(rule) == len(row) <= 120
    assert row.endswith("██████████  100 %")
    assert "  Done and verified: CreateEndpointConfig, CreateEndpoint." in shown


def test_cards_fit_into_a_narrow_terminal(tmp_path, state, cell, served):
    narrow = Terminal(tmp_path, state, columns=80)
    try:
        narrow.run("%load_ext sm_magics")
        made = narrow.run(cell)
        cards = [made[next(place for place, line in enumerate(made) if line.startswith("Out[")) + 1 :]]
        cards += [narrow.run(each.format(served))[1:] for each in ("%sm_status {}", "%sm_panel {}", "%sm_history {}")]
    finally:
        narrow.pty.close(force=True)
    assert [line for card in cards for line in card if len(line) > 80] == []
    names = [line.split()[0] for line in cards[0] if line.startswith("  ") and line.strip()]
    assert names[2:8] == ["variant", "model", "image", "instances", "weight", "traffic"]


def test_a_result_that_was_kept_is_its_table_again(terminal, served):
    assert terminal.run(f"ep = %sm_status {served}") == ["", ""]
    assert f"Endpoint {served} · InService" in terminal.run("ep")
    assert terminal.run("print(ep)")[0] == f"Endpoint {served} · InService"


def test_a_panel_is_a_table_and_says_what_changes_it_here(terminal, served):
    shown = terminal.run(f"%sm_panel {served}")
    assert f"Endpoint {served} · InService" in shown
    assert "  To change it here: %sm_traffic, %sm_promote, %sm_rollback, %sm_delete." in shown


def test_a_live_table_says_that_it_does_not_change_here(terminal, served):
    shown = terminal.run("%sm_status --live")
    assert [line.split()[:2] for line in shown if line.startswith(f"  {served} ")] == [[served, "InService"]]
    assert "  As it is now. A notebook, in JupyterLab for one, keeps it up to date." in shown


def test_an_error_is_short(terminal, served):
    assert terminal.run(f"%sm_panel {served}x")[:2] == [
        f"CellError: there is no endpoint '{served}x' · local engine",
        f"  did you mean '{served}'?",
    ]


def test_control_c_ends_the_waiting_and_destroys_nothing(terminal, cell, name, paused, connection):
    with paused():
        terminal.begin(cell)
        terminal.pty.expect_exact(f"{name}: Creating")
        terminal.pty.sendintr()
        shown = terminal.end()
    (told,) = (line.removeprefix("^C") for line in shown if "Detached" in line)
    assert told.startswith("Detached: ")
    assert told == "Detached: stopped waiting; CreateEndpoint was asked for, and goes on by itself"
    assert look(connection, name).status in {"Creating", "InService"}
    assert any("Nothing to change" in line for line in terminal.run(cell))
