from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from IPython import display as ipython_display
from ipywidgets.widgets.widget import _instances

from sm_magics.events import Called, Calling, Planned, Progress, Reached, Seen
from sm_magics.live.display import FIRST_SHOWN_SECONDS, LIVE_LINES, UPDATE_SECONDS, Card, Lines, Nothing, choose
from sm_magics.logs import Entry, Printed
from sm_magics.plan import Action, Plan
from sm_magics.watch import Snapshot, VariantState

ACTION = Action("CreateModel", {}, "model m", "", "", "")


def seen(status="Creating", ready=0, elapsed=0.0):
    pending = (VariantState("A", 0.0, 1.0, ready, 2, "Creating"),)
    return Seen(Snapshot("boston", "arn", status, "c", (), "c", pending, elapsed=elapsed))


SETTLED = Seen(Snapshot("boston", "arn", "InService", "c", (VariantState("A", 1.0, 1.0, 2, 2),)))


class TestChoice:
    KERNEL, TERMINAL = SimpleNamespace(kernel=object()), SimpleNamespace()

    @pytest.mark.parametrize(
        ("mode", "in_kernel", "in_terminal"),
        [("auto", Card, Lines), ("live", Card, Lines), ("text", Lines, Lines), ("static", Nothing, Nothing)],
    )
    def test_cards_are_for_kernels_and_lines_for_terminals(self, mode, in_kernel, in_terminal):
        assert type(choose(mode, self.KERNEL, print)) is in_kernel
        assert type(choose(mode, self.TERMINAL, print)) is in_terminal


def test_nothing_shows_nothing(capsys):
    display = Nothing()
    display.show(seen())
    display.close()
    assert capsys.readouterr() == ("", "")


class TestLines:
    def lines(self, *events):
        written = []
        display = Lines(written.append)
        for event in events:
            display.show(event)
        display.close()
        return "".join(written).split("\n")[:-1]

    def test_each_call_and_each_change_is_a_line(self):
        plan = Plan("boston", "c", {}, (ACTION, ACTION))
        assert self.lines(Planned(plan), Calling(ACTION), Called(ACTION), seen(), seen(ready=1), SETTLED) == [
            "plan: 2 calls",
            "CreateModel: model m",
            "boston: Creating (A 0 of 2 ready)",
            "boston: Creating (A 1 of 2 ready)",
            "boston: InService",
        ]

    def test_what_stays_the_same_is_said_once(self):
        assert self.lines(seen(), seen(elapsed=3.0), seen(elapsed=9.0)) == ["boston: Creating (A 0 of 2 ready)"]

    def test_a_change_that_was_asked_for_before_is_told_as_one(self):
        assert self.lines(replace(seen(), earlier=True), replace(SETTLED, earlier=True), seen()) == [
            "boston: Creating (A 0 of 2 ready), as asked for before: waiting for it first",
            "boston: InService",
            "boston: Creating (A 0 of 2 ready)",
        ]

    def test_a_comparison_is_told_in_tenths(self):
        seen = [Progress("boston", done, 100, 0, 1.0) for done in (1, 5, 12, 19, 100)]
        assert self.lines(*seen) == [f"comparing on boston: {tenth} % of 100 requests" for tenth in (0, 10, 100)]

    @pytest.mark.parametrize(("calls", "told"), [(0, "plan: nothing to change"), (1, "plan: 1 call")])
    def test_a_plan_is_told_in_words(self, calls, told):
        assert self.lines(Planned(Plan("boston", "c", {}, (ACTION,) * calls))) == [told]

    def test_new_lines_of_a_log_are_told_each_time_even_when_they_are_alike(self):
        beat = Entry("A", "i-1", "beat", 1)
        assert self.lines(Printed((), ()), Printed((beat,), (beat,)), Printed((beat, beat), (beat,))) == [
            "A/i-1  beat",
            "A/i-1  beat",
        ]

    def test_a_line_of_a_log_does_nothing_to_the_terminal(self):
        hostile = Entry("A", "i-1", "\x1b[2J\x1b]0;title\x07gone\r", 1)
        assert self.lines(Printed((hostile,), (hostile,))) == ["A/i-1  gone"]

    def test_the_end_is_the_record_s_to_tell(self):
        assert self.lines(Reached(SETTLED.snapshot, verified=True)) == []


class Handle:
    """What IPython gives for an output that can be replaced."""

    def __init__(self):
        self.updates = []

    def display(self, shown, *, raw=False):
        self.shown, self.raw = shown, raw

    def update(self, data, *, raw):
        assert raw
        self.updates.append(data)


def widget_of(bundle):
    """Return the widget that a front end would find."""
    return _instances[bundle["application/vnd.jupyter.widget-view+json"]["model_id"]]


@pytest.fixture
def handle(monkeypatch):
    """Stand in for IPython's display handle, which needs a kernel; `shown` is what was displayed first."""
    made = Handle()
    monkeypatch.setattr(ipython_display, "DisplayHandle", lambda: made)
    return made


@pytest.fixture(params=["widget", "output"])
def place(request, handle, monkeypatch):
    """Return the card's HTML as it stands in the front end: in a widget, and without ipywidgets in an output."""
    if request.param == "output":
        monkeypatch.setitem(sys.modules, "ipywidgets", None)
        return lambda: (handle.updates or [handle.shown])[-1]["text/html"]
    return lambda: widget_of(handle.shown).value


class TestCard:
    def test_what_is_over_within_a_second_shows_nothing(self, handle, fake_clock):
        card = Card(fake_clock.now)
        for _ in range(9):
            fake_clock.sleep(FIRST_SHOWN_SECONDS / 10)
            card.show(seen())
        card.close()
        assert not hasattr(handle, "shown")

    def test_after_a_second_of_waiting_the_card_is_there(self, place, fake_clock):
        card = Card(fake_clock.now)
        fake_clock.sleep(FIRST_SHOWN_SECONDS)
        card.show(seen(ready=1))
        assert "1 of 2" in place()
        assert "asked for before" not in place()

    def test_a_change_that_was_asked_for_before_is_told_as_one(self, place, fake_clock):
        card = Card(fake_clock.now)
        fake_clock.sleep(FIRST_SHOWN_SECONDS)
        card.show(replace(seen(), earlier=True))
        assert "was asked for before" in place()

    def test_of_a_log_it_shows_the_last_lines(self, place, fake_clock):
        card = Card(fake_clock.now)
        fake_clock.sleep(FIRST_SHOWN_SECONDS)
        card.show(Printed(tuple(Entry("A", "i-1", f"line {n}.", n) for n in range(LIVE_LINES + 1))))
        assert "line 1." in place()
        assert "line 0." not in place()

    def test_it_is_shown_by_looks_and_not_by_calls(self, handle, fake_clock):
        card = Card(fake_clock.now)
        fake_clock.sleep(FIRST_SHOWN_SECONDS)
        card.show(Calling(ACTION))
        assert not hasattr(handle, "shown")

    def test_it_changes_in_place(self, place, fake_clock, handle):
        card = Card(fake_clock.now)
        fake_clock.sleep(FIRST_SHOWN_SECONDS)
        card.show(seen(ready=0))
        first = handle.shown
        fake_clock.sleep(UPDATE_SECONDS * 2)
        card.show(seen(ready=2))
        assert handle.shown is first
        assert "2 of 2" in place()

    def test_it_does_not_change_faster_than_anyone_can_read(self, place, fake_clock):
        card = Card(fake_clock.now)
        fake_clock.sleep(FIRST_SHOWN_SECONDS)
        card.show(seen(ready=0))
        fake_clock.sleep(UPDATE_SECONDS / 2)
        card.show(seen(ready=1))
        assert "0 of 2" in place()

    def test_in_the_end_nothing_of_it_is_left(self, place, fake_clock, handle):
        card = Card(fake_clock.now)
        fake_clock.sleep(FIRST_SHOWN_SECONDS)
        card.show(seen())
        assert place()
        card.close()
        assert handle.updates[-1] == {"text/plain": "", "text/html": ""}

    def test_an_interrupt_while_it_is_shown_leaves_nothing_of_it(self, place, fake_clock, handle, monkeypatch):
        def interrupt(*args, **more):
            Handle.display(handle, *args, **more)
            raise KeyboardInterrupt

        monkeypatch.setattr(handle, "display", interrupt)
        card = Card(fake_clock.now)
        fake_clock.sleep(FIRST_SHOWN_SECONDS)
        with pytest.raises(KeyboardInterrupt):
            card.show(seen())
        assert place()
        card.close()
        assert handle.updates == [{"text/plain": "", "text/html": ""}]

    def test_a_widget_is_closed_so_that_the_kernel_forgets_it(self, handle, fake_clock):
        card = Card(fake_clock.now)
        fake_clock.sleep(FIRST_SHOWN_SECONDS)
        card.show(seen())
        widget = widget_of(handle.shown)
        assert (handle.raw, widget.comm is None) == (True, False)
        card.close()
        assert widget.comm is None

    def test_without_widgets_the_output_has_words_for_front_ends_without_html(self, handle, fake_clock, monkeypatch):
        monkeypatch.setitem(sys.modules, "ipywidgets", None)
        card = Card(fake_clock.now)
        fake_clock.sleep(FIRST_SHOWN_SECONDS)
        card.show(seen(ready=1))
        assert handle.raw
        assert "1 of 2" in handle.shown["text/plain"]

    def test_closing_what_was_never_shown_is_fine(self, fake_clock):
        Card(fake_clock.now).close()


def test_waiting_for_an_endpoint_loads_no_numpy():
    code = "import sys, sm_magics.live.display; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
