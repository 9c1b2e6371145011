from __future__ import annotations

import argparse
from types import SimpleNamespace

import pytest

from sm_magics.errors import CellError, Detached
from sm_magics.events import Calling, Seen
from sm_magics.magics.session import DISPLAYS, Session, Settings
from sm_magics.plan import Action
from sm_magics.watch import Snapshot

ACTION = Action("CreateModel", {}, "model m", "", "", "")


def seen(status):
    return Seen(Snapshot("boston", "arn", status, "c", ()))


def given(**options):
    return argparse.Namespace(**{"quiet": False, "wait": None, "timeout": None, **options})


@pytest.fixture
def session():
    return Session(SimpleNamespace(user_ns={}, user_ns_hidden={}), Settings(display="static"))


class TestSettings:
    def test_by_default_cells_wait_for_an_hour_and_show_what_fits(self):
        assert Settings.from_environment({}) == Settings("auto", wait=True, timeout=3600.0)

    def test_the_display_may_come_from_the_environment(self):
        assert Settings.from_environment({"SM_MAGICS_DISPLAY": "text"}).display == "text"

    def test_a_display_that_is_none_names_the_variable_that_says_so(self):
        with pytest.raises(CellError, match="SM_MAGICS_DISPLAY: display cannot be 'loud'") as caught:
            Settings.from_environment({"SM_MAGICS_DISPLAY": "loud"})
        assert caught.value.hint == "it takes auto, live, static, text"

    @pytest.mark.parametrize("display", DISPLAYS)
    def test_each_display_can_be_chosen(self, display):
        assert Settings().changed("display", display).display == display

    def test_waiting_and_its_time_can_be_changed(self):
        assert Settings().changed("wait", "false").changed("timeout", "5m") == Settings("auto", wait=False, timeout=300)

    @pytest.mark.parametrize(
        ("name", "text", "told"),
        [("wait", "maybe", "wait cannot be 'maybe'"), ("timeout", "soon", "timeout: 'soon' is no duration")],
    )
    def test_a_value_that_a_setting_does_not_take_is_refused(self, name, text, told):
        with pytest.raises(CellError, match=told):
            Settings().changed(name, text)


class TestConnecting:
    def test_nothing_is_connected_before_the_first_use(self, session):
        assert session.connected is None

    def test_a_connection_is_kept_while_it_is_alive(self, session):
        session.connect = lambda: SimpleNamespace(alive=lambda: True)
        first = session.connection()
        assert session.connection() is first
        assert session.connected is first

    def test_an_engine_that_came_back_elsewhere_is_connected_anew(self, session):
        session.connect = lambda: SimpleNamespace(alive=lambda: False)
        assert session.connection() is not session.connection()

    def test_another_connection_forgets_the_models_of_the_last(self, session):
        session.declared["xgb"] = "xgb-0123abcd"
        made = session.use(lambda: SimpleNamespace(endpoint_url=None))
        assert session.connected is made
        assert session.declared == {}

    def test_a_connection_that_fails_leaves_the_last_in_place(self, session):
        made = session.use(lambda: SimpleNamespace(endpoint_url=None))

        def fail():
            raise CellError("no")

        with pytest.raises(CellError):
            session.use(fail)
        assert session.connected is made


class TestFollowing:
    def test_events_come_back_with_only_the_last_look_of_each_wait(self, session):
        events = [seen("Creating"), seen("InService"), Calling(ACTION), seen("Deleting"), seen("Deleting")]
        happened = session.follow(iter(events), given())
        assert happened == [events[1], events[2], events[4]]

    def test_an_interrupt_detaches_and_says_what_goes_on(self, session):
        def events():
            yield seen("Creating")
            raise KeyboardInterrupt

        with pytest.raises(
            Detached,
            match=r"what was asked for before goes on by itself\n  run the cell again.*\n  last seen: Creating",
        ):
            session.follow(events(), given())

    def test_an_error_passes_through(self, session):
        def events():
            yield seen("Creating")
            raise CellError("no")

        with pytest.raises(CellError):
            session.follow(events(), given())

    @pytest.mark.parametrize(("quiet", "told"), [(False, "boston: Creating\n"), (True, "")])
    def test_progress_is_shown_unless_it_is_to_be_quiet(self, session, capsys, quiet, told):
        session.settings = Settings(display="text")
        session.follow([seen("Creating")], given(quiet=quiet))
        assert capsys.readouterr().out == told


class TestOptions:
    @pytest.mark.parametrize(
        ("line", "setting", "waits"), [(None, True, True), (None, False, False), (True, False, True)]
    )
    def test_the_line_comes_before_the_settings_in_whether_to_wait(self, session, line, setting, waits):
        session.settings = Settings(wait=setting)
        assert session.waits(given(wait=line)) is waits

    def test_the_line_comes_before_the_settings_in_how_long(self, session):
        assert session.timeout(given()) == 3600.0
        assert session.timeout(given(timeout=5.0)) == 5.0

    def test_a_result_is_kept_where_the_line_says(self, session):
        session.keep("ep", 1)
        session.keep(None, 2)
        assert session.variables == {"ep": 1}
