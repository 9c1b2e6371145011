from __future__ import annotations

import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.live.controls import Controls, Presses
from sm_magics.live.widgets import button, walk
from sm_magics.watch import Snapshot, VariantState


def snapshot(**weights):
    states = (VariantState(name, weight, weight, 1, 1) for name, weight in weights.items())
    return Snapshot("boston", "arn", "InService", "c", tuple(states))


def found(controls, **traits):
    """Return the widgets that have these traits."""
    return [
        each
        for each in walk(controls.widget)
        if all(getattr(each, name, None) == value for name, value in traits.items())
    ]


def slider(controls, variant):
    (one,) = found(controls, tooltip=f"Share of the traffic of {variant}, in percent")
    return one


def number(controls, variant):
    (one,) = found(controls, tooltip=f"Instances of {variant}")
    return one


def typed(controls, variant):
    (one,) = found(controls, description=f"{variant} traffic %")
    return one


@pytest.fixture
def pressed():
    return []


@pytest.fixture
def make(pressed):
    def make_one(**weights):
        names = ("roll_back", "delete", "copy", "apply")
        presses = {name: lambda name=name: pressed.append(name) for name in names}
        watch = button("Stop watching", "Look no more", lambda: pressed.append("watch"))
        controls = Controls(Presses(promote=pressed.append, **presses), watch, lambda _: None, threading.RLock())
        controls.follow(snapshot(**weights))
        controls.allow(change=True, back=True, delete=True)
        return controls

    return make_one


def test_sliders_say_the_shares_that_there_are_and_nothing_differs(make):
    controls = make(A=4.0, B=1.0)
    assert (slider(controls, "A").value, slider(controls, "B").value) == (80.0, 20.0)
    assert controls.weights == {"A": 4.0, "B": 1.0}
    assert not controls.differ
    assert controls.apply.disabled


def test_a_variant_has_one_instance_at_least_as_the_service_wants_it(make):
    controls = make(A=4.0, B=1.0)
    number(controls, "A").value = 0
    assert controls.counts == {"A": 1, "B": 1}
    assert not controls.differ


def test_what_one_gets_the_others_lose(make):
    controls = make(A=4.0, B=1.0, C=5.0)
    slider(controls, "C").value = 0.0
    assert controls.weights == {"A": 80.0, "B": 20.0, "C": 0.0}
    assert not controls.apply.disabled


def test_a_share_can_be_typed_and_says_what_its_slider_says(make):
    controls = make(A=2.0, B=1.0)
    assert (typed(controls, "A").value, typed(controls, "B").value) == (66.7, 33.3)
    assert controls.weights == {"A": 2.0, "B": 1.0}  # what is rounded to be read changes nothing
    typed(controls, "A").value = 90.0
    assert (slider(controls, "A").value, slider(controls, "B").value) == (90.0, pytest.approx(10.0))
    slider(controls, "B").value = 25.0
    assert (typed(controls, "A").value, typed(controls, "B").value) == (75.0, 25.0)
    controls.reset()
    assert typed(controls, "A").value == 66.7


def test_all_that_is_typed_into_has_a_name_of_its_own_with_its_variant_in_it(make):
    controls = make(Alpha=2.0, Beta=1.0)
    named = [each.description for each in walk(controls.widget) if hasattr(each, "max") and hasattr(each, "step")]
    aloud = [re.sub("<.*?>", "", name) for name in named if name != "traffic %"]  # a slider's is not read
    assert aloud == ["Alpha traffic %", "Alpha instances", "Beta traffic %", "Beta instances"]


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 100)), max_size=12))
def test_shares_add_up_to_all_of_it_whatever_is_moved(moves):
    watch = button("Stop watching", "Look no more", lambda: None)
    controls = Controls(Presses(*[lambda *_: None] * 5), watch, lambda _: None, threading.RLock())
    controls.follow(snapshot(A=4.0, B=1.0, C=5.0))
    for which, share in moves:
        slider(controls, "ABC"[which]).value = share
        assert sum(slider(controls, each).value for each in "ABC") == pytest.approx(100)


def test_one_variant_alone_keeps_all_of_it(make):
    controls = make(A=1.0)
    slider(controls, "A").value = 30.0
    assert slider(controls, "A").value == typed(controls, "A").value == 100.0
    (promote,) = found(controls, description="Promote A")
    assert promote.disabled


def test_instances_alone_leave_the_weights_as_they_are(make):
    controls = make(A=4.0, B=1.0)
    number(controls, "B").value = 3
    assert (controls.weights, controls.counts) == ({"A": 4.0, "B": 1.0}, {"A": 1, "B": 3})
    assert not controls.apply.disabled


def test_what_is_asked_for_is_told_in_words(make):
    controls = make(A=2.0, B=1.0)
    assert controls.asked == ""
    number(controls, "B").value = 3
    assert controls.asked == "B × 3"
    slider(controls, "A").value = 25.0
    assert controls.asked == "A 25 %, B 75 %, B × 3"


def test_a_browser_takes_each_share_that_is_typed_or_shown(make):
    controls = make(A=2.0, B=1.0)
    for share in (33.3, 0.1, 99.9):
        typed(controls, "B").value = share
        for each in "AB":
            steps = typed(controls, each).value / typed(controls, each).step
            assert steps == pytest.approx(round(steps))


def test_what_the_user_has_begun_is_not_taken_back(make):
    controls = make(A=4.0, B=1.0)
    controls.follow(snapshot(A=1.0, B=1.0))
    assert slider(controls, "A").value == 50.0
    slider(controls, "A").value = 30.0
    controls.follow(snapshot(A=9.0, B=1.0))
    assert slider(controls, "A").value == 30.0
    controls.reset()
    assert slider(controls, "A").value == 90.0


def test_other_variants_get_other_sliders(make):
    controls = make(A=4.0, B=1.0)
    controls.follow(snapshot(A=4.0, New=1.0))
    assert controls.weights == {"A": 4.0, "New": 1.0}
    controls.follow(None)
    assert controls.weights == {}


def test_who_reads_while_rows_are_made_gets_all_of_them_or_none():
    read, threads = [], []

    def reader(_):
        threads.append(threading.Thread(target=lambda: read.append((controls.says, controls.asked, controls.differ))))
        threads[-1].start()
        threads[-1].join(0.1)  # it may come in between

    watch = button("Stop watching", "Look no more", lambda: None)
    controls = Controls(Presses(*[lambda *_: None] * 5), watch, reader, threading.RLock())
    controls.follow(snapshot(A=4.0, B=1.0))
    for each in threads:
        each.join(10)
    assert read == [(({"A": 4.0, "B": 1.0}, {"A": 1, "B": 1}), "", False)] * 2


def test_a_serverless_variant_has_no_number_of_instances(make):
    controls = make(A=1.0)
    controls.follow(Snapshot("b", "arn", "InService", "c", (VariantState("A", 1.0, 1.0, 0, None),)))
    assert controls.counts == {}
    assert not found(controls, tooltip="Instances of A")


def test_what_cannot_be_done_is_disabled(make):
    controls = make(A=4.0, B=1.0)
    slider(controls, "A").value = 30.0
    controls.allow(change=False, back=False, delete=False)
    able = [each.description for each in walk(controls.widget) if getattr(each, "disabled", None) is False]
    assert able == ["Stop watching"]
    controls.allow(change=True, back=False, delete=True)
    assert not controls.apply.disabled
    assert controls.roll_back.disabled


def test_every_button_does_its_own(make, pressed):
    controls = make(A=4.0, B=1.0)
    labels = ("Apply", "Roll back", "Copy as cell", "Stop watching", "Delete", "Promote A", "Promote B")
    for label in labels:
        (one,) = found(controls, description=label)
        one.click()
    assert pressed == ["apply", "roll_back", "copy", "watch", "delete", "A", "B"]


def test_all_that_can_be_used_tells_what_it_does(make):
    controls = make(A=4.0, B=1.0)
    assert all(each.tooltip for each in walk(controls.widget) if hasattr(each, "disabled"))
