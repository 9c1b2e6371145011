from __future__ import annotations

import pytest

from sm_magics.live.turns import Task, Turns

READ, CHANGE, OTHER = (Task(name, list, changes=name != "read") for name in ("read", "change", "other"))


@pytest.fixture
def began():
    return []


@pytest.fixture
def turns(began):
    return Turns(began.append)


def test_a_task_begins_at_once_where_nothing_is_done(turns, began):
    assert not turns.busy
    assert turns.ask(CHANGE) is None
    assert (began, turns.busy, turns.change) == ([CHANGE], True, CHANGE)
    turns.over()
    assert (turns.busy, turns.change) == (False, None)


def test_while_something_is_read_one_task_waits(turns, began):
    turns.ask(READ)
    assert turns.change is None
    assert turns.ask(CHANGE) is None
    assert (began, turns.change) == ([READ], CHANGE)
    assert turns.ask(OTHER) is CHANGE
    turns.over()
    assert began == [READ, CHANGE]
    assert turns.change is CHANGE


def test_of_two_that_wait_to_read_the_later_knows_better(turns, began):
    later = Task("read", list, "later", changes=False)
    for each in (READ, READ, later):
        assert turns.ask(each) is None
    turns.over()
    turns.over()
    assert began == [READ, later]
    assert not turns.busy


@pytest.mark.parametrize("task", [READ, CHANGE, OTHER])
def test_nothing_waits_for_a_change(turns, began, task):
    turns.ask(CHANGE)
    assert turns.ask(task) is CHANGE
    turns.over()
    assert began == [CHANGE]
