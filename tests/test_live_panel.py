from __future__ import annotations

import html
import re
import time

import pytest

from sm_magics.clock import Clock
from sm_magics.live.board import Board
from sm_magics.live.panel import Context, Panel
from sm_magics.live.poller import Poller, Report
from sm_magics.live.widgets import walk
from sm_magics.watch import look

TWO = "variants: {A: {model: $linear, weight: 4}, B: {model: $xgb, weight: 1}}"


class Stepped(Poller):
    """A poller without a thread: the test looks."""

    def __init__(self, connection):
        super().__init__(connection, start=lambda _: None)


class Bench:
    """A panel whose work is done when the test says so, and what there is to see of it."""

    def __init__(self, connection, name):
        self.poller, self.waiting, self.timers, self.time = Stepped(connection), [], [], 0.0
        clock = Clock(lambda: self.time, time.sleep)
        context = Context(
            self.poller, clock, 60.0, lambda: 0.0, self.waiting.append, lambda _, run: self.timers.append(run)
        )
        self.panel = Panel(look(connection, name), context)
        self.look()

    def look(self):
        self.poller.hurry()
        self.poller.turn()

    def press(self, label):
        (button,) = [each for each in self.buttons if each.description == label]
        assert not button.disabled, label
        button.click()

    def work(self):
        """Do what waits; what that lets begin waits for the next time."""
        waiting, self.waiting[:] = self.waiting[:], []
        for run in waiting:
            run()
        self.look()

    @property
    def area(self):
        (one,) = [each for each in walk(self.panel.widget) if hasattr(each, "rows")]
        return one

    @property
    def lines(self):
        """What the log says, the newest first, without the times."""
        return re.findall(r"\d\d:\d\d:\d\d  (.*?)(?=\n|<)", self.text("sm-log"))

    @property
    def buttons(self):
        return [each for each in walk(self.panel.widget) if hasattr(each, "button_style")]

    @property
    def able(self):
        return {each.description for each in self.buttons if not each.disabled}

    def text(self, part):
        (one,) = [each for each in walk(self.panel.widget) if part in getattr(each, "_dom_classes", ())]
        return html.unescape(one.value)

    def slider(self, variant):
        told = f"Share of the traffic of {variant}, in percent"
        return next(each for each in walk(self.panel.widget) if getattr(each, "tooltip", None) == told)


@pytest.fixture
def bench(deployer, connection, name):
    deployer.run(name, TWO)
    return Bench(connection, name)


def weights(connection, name):
    return {each.name: each.weight for each in look(connection, name).variants}


class TestActing:
    def test_shares_that_were_set_are_applied_in_place(self, bench, connection, name):
        config = look(connection, name).config_name
        bench.slider("A").value = 25.0
        bench.press("Apply")
        assert weights(connection, name) == {"A": 4.0, "B": 1.0}
        bench.work()
        assert weights(connection, name) == {"A": 25.0, "B": 75.0}
        assert look(connection, name).config_name == config
        assert "Apply: done by UpdateEndpointWeightsAndCapacities" in bench.text("sm-log")
        assert bench.slider("A").value == 25.0
        assert "Apply" not in bench.able

    def test_instances_are_applied_and_weights_stay(self, bench, connection, name):
        next(each for each in walk(bench.panel.widget) if getattr(each, "tooltip", "") == "Instances of B").value = 2
        bench.press("Apply")
        bench.work()
        assert {each.name: (each.weight, each.count) for each in look(connection, name).variants} == {
            "A": (4.0, 1),
            "B": (1.0, 2),
        }

    def test_promote_and_roll_back_do_as_the_magics(self, bench, connection, name):
        config = look(connection, name).config_name
        bench.press("Promote B")
        bench.work()
        assert weights(connection, name) == {"B": 1.0}
        bench.press("Roll back")
        assert f"Roll back: to {config}" in bench.text("sm-log")
        bench.work()
        assert weights(connection, name).keys() == {"A", "B"}
        assert bench.slider("A").value == 80.0
        assert look(connection, name).config_name == config

    def test_there_is_no_going_back_from_the_first_config_and_no_promoting_of_one_alone(self, bench):
        assert {"Promote A", "Promote B"} <= bench.able
        assert "Roll back" not in bench.able
        bench.press("Promote B")
        bench.work()
        assert "Roll back" in bench.able
        assert "Promote B" not in bench.able
        bench.press("Roll back")
        bench.work()
        assert "Roll back" not in bench.able

    def test_whether_there_is_a_way_back_is_tried_where_it_may_not_be_read(self, bench, connection, name):
        config = look(connection, name).config_name
        for before, able in ((config, None), True), ((config, ""), False), (("z", "c"), False), ((config, "c"), True):
            bench.panel.see(Report({name: look(connection, name)}, before={name: before}))
            assert ("Roll back" in bench.able) == able

    def test_delete_takes_a_second_click(self, bench, connection, name):
        bench.press("Delete")
        assert not bench.waiting
        bench.timers.pop()()
        bench.press("Delete")
        assert not bench.waiting
        bench.press(f"Really delete {name}?")
        bench.work()
        assert look(connection, name) is None
        assert "gone" in bench.text("sm-live")
        assert bench.able == {"Stop watching"}

    def test_the_second_click_has_its_time_whatever_was_clicked_before(self, bench, name):
        for _ in range(3):  # the second deletes, the third asks again
            bench.panel.delete()
        first, second = bench.timers
        first()
        assert bench.panel.controls.delete.description == f"Really delete {name}?"
        second()
        assert bench.panel.controls.delete.description == "Delete"

    def test_what_somebody_else_did_meanwhile_is_logged(self, bench, deployer, name):
        bench.press("Copy as cell")
        deployer.remove(name)
        bench.work()
        assert bench.lines[0] == "gone"
        bench.look()
        assert bench.lines.count("gone") == 1

    def test_where_it_is_after_a_task_that_failed_is_logged_if_it_is_new(self, bench, connection, deployer, name):
        connection.call("DeleteEndpointConfig", EndpointConfigName=look(connection, name).config_name)
        bench.press("Promote B")
        bench.work()
        failed, pressed, first = bench.lines
        assert (failed.partition(":")[0], pressed, first) == ("Promote B", "Promote B", "InService")
        bench.slider("A").value = 50.0
        bench.press("Apply")
        deployer.remove(name)
        bench.work()
        assert bench.lines[0] == "gone"
        assert bench.lines[1].startswith("Apply: ")

    def test_an_error_is_shown_and_the_next_try_takes_it_away(self, bench, connection, name):
        connection.call("DeleteEndpointConfig", EndpointConfigName=look(connection, name).config_name)
        bench.press("Promote B")
        bench.work()
        assert "was deleted" in bench.text("sm-problem")
        assert "Promote B: " in bench.text("sm-log")
        assert 'role="alert"' in bench.text("sm-problem")
        assert "Apply" not in bench.able
        bench.slider("A").value = 50.0
        bench.press("Apply")
        assert bench.text("sm-problem") == ""

    def test_one_change_at_a_time_and_a_click_that_was_on_its_way_is_answered(self, bench):
        bench.slider("A").value = 50.0
        bench.press("Apply")
        assert bench.able == {"Stop watching"}
        bench.panel.promote("B")
        assert len(bench.waiting) == 1
        assert "Promote B: not done, as 'Apply' is under way" in bench.text("sm-log")
        bench.work()
        assert {"Copy as cell", "Delete", "Promote A"} <= bench.able

    def test_what_is_pressed_while_a_cell_is_written_waits_for_its_turn(self, bench, connection, name):
        bench.slider("A").value = 25.0
        bench.press("Copy as cell")
        bench.press("Apply")
        assert bench.able == {"Stop watching"}
        bench.work()
        assert weights(connection, name) == {"A": 4.0, "B": 1.0}
        assert bench.area.layout.display is None
        bench.work()
        assert weights(connection, name) == {"A": 25.0, "B": 75.0}
        assert bench.area.layout.display is None  # it still says what is there
        assert "weight: 25" in bench.area.value
        bench.press("Promote B")
        bench.work()
        assert bench.area.layout.display == "none"

    def test_the_log_says_what_was_asked_and_what_happened(self, bench):
        bench.slider("A").value = 25.0
        bench.press("Apply")
        bench.work()
        ended, *went, asked, first = bench.lines
        assert first == "InService"
        assert asked == "Apply: A 25 %, B 75 %"
        assert ended == "Apply: done by UpdateEndpointWeightsAndCapacities"
        assert all(line.startswith("Updating") for line in went)
        assert len(went) <= 1

    def test_a_bug_is_shown_too_and_leaves_the_panel_usable(self, bench, monkeypatch):
        monkeypatch.setattr(bench.panel, "_body", lambda *_: 1 / 0)
        bench.press("Copy as cell")
        bench.work()
        assert "ZeroDivisionError" in bench.text("sm-problem")
        assert "Promote A" in bench.able


def test_the_cell_that_is_shown_makes_what_the_sliders_say(bench, deployer, connection, name):
    bench.slider("A").value = 25.0
    bench.press("Copy as cell")
    bench.work()
    area = bench.area
    first, _, body = area.value.partition("\n")
    assert first == f"%%sm_endpoint {name}"
    assert bench.slider("A").value == 25.0
    assert "Apply" in bench.able
    assert weights(connection, name) == {"A": 4.0, "B": 1.0}
    assert area.layout.display is None
    deployer.run(name, body)
    assert weights(connection, name) == {"A": 25.0, "B": 75.0}


class TestWatching:
    def test_the_card_tells_where_and_what_serves_and_how_it_is_used(self, bench, name):
        shown = bench.text("sm-live")
        for each in (f"Endpoint {name}", "InService", "local engine", "80 %", "requests/s", "latency"):
            assert each in shown
        assert "InService" in bench.text("sm-log")

    def test_what_has_not_changed_is_not_sent(self, bench):
        sent = []
        for each in walk(bench.panel.widget):
            each.observe(lambda change: sent.append(change["name"]))
        for _ in range(5):
            bench.look()
        assert sent == []

    def test_while_something_is_done_it_is_sent_five_times_a_second_at_most(self, bench):
        bench.press("Promote A")
        bench.panel.see(Report({}))
        assert "gone" not in bench.text("sm-live")
        bench.time += 0.2
        bench.panel.see(Report({}))
        assert "gone" in bench.text("sm-live")

    def test_stopping_ends_the_looks_and_says_so(self, bench):
        bench.press("Stop watching")
        assert bench.poller.turn() is None
        assert "No longer watched" in bench.text("sm-live")
        assert bench.able == {"Watch again"}
        bench.press("Watch again")
        bench.look()
        assert "No longer watched" not in bench.text("sm-live")
        assert "Promote A" in bench.able

    def test_a_look_that_was_under_way_when_it_stopped_changes_nothing(self, bench):
        bench.panel.close()
        bench.panel.see(Report({}))
        assert "InService" in bench.text("sm-live")

    def test_a_look_that_failed_is_told_and_the_last_one_stays(self, bench, name):
        bench.panel.see(Report({}, problem="DescribeEndpoint: no", all_seen=False))
        assert "Not up to date: DescribeEndpoint: no" in bench.text("sm-live")
        assert f"Endpoint {name}" in bench.text("sm-live")
        assert "InService" in bench.text("sm-live")

    def test_a_panel_that_is_closed_is_looked_at_no_more(self, bench):
        for each in walk(bench.panel.widget):
            each.comm = None
        assert bench.poller.turn() is None


def test_the_board_has_a_line_for_each_endpoint_and_follows_them(deployer, connection, name):
    poller = Stepped(connection)
    board = Board(poller)
    (card,) = [each for each in walk(board.widget) if "sm-live" in getattr(each, "_dom_classes", ())]
    deployer.run(name, TWO)
    poller.turn()
    assert name in card.value
    assert "80 % / 20 %" in card.value
    deployer.remove(name)
    poller.hurry()
    poller.turn()
    assert name not in card.value
    board.see(Report({}, problem="no"))
    assert "Not up to date: no" in card.value
    (button,) = [each for each in walk(board.widget) if hasattr(each, "button_style")]
    button.click()
    assert poller.turn() is None
    assert "No longer watched" in card.value
    assert button.description == "Watch again"
    button.click()
    assert poller.turn() is not None
    board.close()
    assert poller.turn() is None
