from __future__ import annotations

from types import SimpleNamespace

import ipywidgets

from sm_magics.live.widgets import LIVE, Written, alert, button, hear_at_once, live_bundle, row, walk


class Comm:
    def _reply_subshell_for(self, _data, _default):
        return "the main shell"


def test_what_is_the_same_is_not_sent_again():
    written, sent = Written("sm-live"), []
    written.widget.observe(lambda change: sent.append(change["new"]), "value")
    for text in ("a", "a", "b", "b"):
        written.write(text)
    assert sent == ["a", "b"]
    assert "sm-live" in written.widget._dom_classes


def test_what_is_shown_while_it_lives_has_nothing_to_show_afterwards():
    widget = ipywidgets.HTML("<b>now</b>")
    bundle = live_bundle(widget)
    view = "application/vnd.jupyter.widget-view+json"
    assert list(bundle) == ["text/plain", view, LIVE]  # of vendors' types VS Code takes the first that it can show
    assert (bundle["text/plain"], bundle[view]["model_id"]) == ("", widget.model_id)


def test_messages_go_to_the_shell_that_the_front_end_names():
    inner, old = SimpleNamespace(comm=Comm()), SimpleNamespace(comm=object())
    hear_at_once(SimpleNamespace(comm=Comm(), children=(inner, old)))
    assert inner.comm._reply_subshell_for({}, "a subshell") == "a subshell"
    assert not hasattr(old.comm, "_reply_subshell_for")


def test_an_error_is_said_at_once_and_is_never_markup():
    assert alert("") == ""
    assert alert("a <b>") == '<div class="sm-alert" role="alert">a &lt;b&gt;</div>'


def test_a_button_says_what_it_does_and_does_it():
    pressed = []
    made = button("Go", "Goes there", lambda: pressed.append(1))
    made.click()
    assert (made.description, made.tooltip, pressed) == ("Go", "Goes there", [1])


def test_walking_finds_all():
    inner = ipywidgets.HTML()
    outer = ipywidgets.VBox([row(inner)])
    assert list(walk(outer))[-1] is inner
