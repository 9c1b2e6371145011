from __future__ import annotations

import inspect

import pytest

from sm_magics import errors
from sm_magics.errors import CellError, DeployError, Detached, ServiceError, SmError, in_words

KINDS = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, SmError)]


def test_a_hint_stands_indented_on_a_line_of_its_own():
    assert str(CellError("no such thing", hint="make one")) == "no such thing\n  make one"
    assert str(CellError("no such thing")) == "no such thing"


def test_message_and_hint_can_be_had_apart():
    error = CellError("no such thing", hint="make one")
    assert (error.message, error.hint) == ("no such thing", "make one")
    assert CellError("no such thing").hint is None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not ServiceError])
def test_every_error_shows_itself_by_its_name_and_text_alone(kind):
    error = kind("what", hint="do this")
    assert error._render_traceback_() == [f"{kind.__name__}: what\n  do this"]


def test_all_kinds_are_offered_by_name():
    assert {kind.__name__ for kind in KINDS} < set(errors.__all__)


def test_a_service_error_keeps_what_the_service_said():
    response = {"Error": {"Code": "ValidationException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    error = ServiceError("CreateModel", "ValidationException", "no role", response, hint="add one")
    assert str(error) == "CreateModel: no role\n  add one"
    assert (error.operation, error.code, error.response) == ("CreateModel", "ValidationException", response)


@pytest.mark.parametrize(("code", "shown"), [("Throttling", "Throttling"), ("", "refused without a reason")])
def test_a_service_that_gives_no_message_still_leaves_a_word(code, shown):
    assert str(ServiceError("CreateModel", code, "", {})) == f"CreateModel: {shown}"


def test_a_deployment_s_error_says_whether_the_service_has_finished():
    assert not DeployError("still Creating").over
    assert DeployError("it failed", over=True, log=("a line",)).log == ("a line",)


def test_detaching_is_a_keyboard_interrupt_so_that_run_all_stops_and_no_error_of_ours():
    error = Detached("stopped waiting")
    assert isinstance(error, KeyboardInterrupt)
    assert not isinstance(error, Exception)
    assert error._render_traceback_() == ["Detached: stopped waiting"]


def test_an_error_of_a_thread_is_told_in_words_and_a_bug_of_ours_by_its_name():
    assert in_words(SmError("it is gone", hint="make it")) == "it is gone\n  make it"
    assert in_words(ZeroDivisionError("by zero")) == "ZeroDivisionError: by zero"
