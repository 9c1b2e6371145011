from __future__ import annotations

import pytest

from sm_magics.render.shown import Shown, bundle
from sm_magics.render.view import Note, View

VIEW = View("A card", None, (Note("that says this"),))


class Thing(Shown):
    def view(self):
        return VIEW


def test_a_card_goes_to_every_front_end_as_text_and_as_html():
    assert set(bundle(VIEW)) == {"text/plain", "text/html"}
    assert bundle(VIEW)["text/plain"] == "A card\n\n  that says this"
    assert bundle(VIEW)["text/html"].startswith("<div class=")


def test_a_thing_shows_itself_the_same_way_everywhere():
    thing = Thing()
    assert thing._repr_mimebundle_() == bundle(VIEW)
    assert repr(thing) == str(thing) == bundle(VIEW)["text/plain"]


def test_a_quiet_thing_displays_nothing_and_can_still_be_printed():
    thing = Thing()
    thing.quiet = True
    assert thing._ipython_display_() is None
    assert str(thing) == bundle(VIEW)["text/plain"]


def test_a_thing_that_is_not_quiet_leaves_the_display_to_ipython():
    with pytest.raises(NotImplementedError):
        Thing()._ipython_display_()


def test_a_subclass_must_say_what_its_card_holds():
    with pytest.raises(NotImplementedError):
        Shown().view()
