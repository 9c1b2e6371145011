from __future__ import annotations

import io
from types import SimpleNamespace

import matplotlib.image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.compare.exchange import Outcome, Request, Target
from sm_magics.compare.load import Tally
from sm_magics.errors import ServiceError
from sm_magics.events import Loading
from sm_magics.render import html, loaded, text
from sm_magics.render.view import Picture


def tally_of(*counts, lost=()):
    """Return the tally of so many answered by a variant in a second, and so many lost in others."""
    tally = Tally()
    for variant, second, count in counts:
        for _ in range(count):
            tally.add(Outcome(Request(0, b""), variant, 200, b"1", "text/csv", 0.01, 0.01, 1), second)
    for told, second, count in lost:
        error = ServiceError("InvokeEndpoint", "ModelError", told, {})
        for _ in range(count):
            tally.add(Outcome(Request(0, b""), "", 424, b"", "", 0.01, 0.01, 2, error), second)
    return tally


SEEN = Loading("boston", 1500, 12, 30.0, 60.0, 0.0102, 0.25, "ModelError: boom")


def shown(tally=None, *, running=False, failure=None, pictures=False, variant=None, elapsed=0.1, stopped=False):
    made = SimpleNamespace(target=Target("boston", variant), rate=50.0, seconds=60.0, running=running, failure=failure,
                           elapsed=elapsed, stopped=stopped, count=3000, now=lambda: SEEN,
                           tally=tally or Tally())  # fmt: skip
    return loaded.load(made, pictures=pictures)


def words(view):
    return " ".join(text.render(view).split())


def test_while_it_goes_on_the_card_says_how_to_look_at_it_and_end_it_and_no_more():
    told = words(shown(tally_of(("A", 0, 5)), running=True))
    assert "Load on boston · 50 requests a second for 1m" in told
    assert "running" in told
    assert "%sm_load boston stop ends it" in told
    assert "answered" not in told


LIVE = "sent 1,500 a second 50.0 answered 1,488 errors 12, most often: ModelError: boom latency p50 10.2 ms"


def test_once_it_has_gone_on_for_a_while_the_card_says_how_far_it_is():
    told = words(shown(running=True, elapsed=30.0))
    assert f"{LIVE} latency p99 250.0 ms" in told
    assert "%sm_load boston stop ends it" in told


def test_while_it_is_waited_for_a_card_and_a_line_say_how_far_it_is():
    told = words(loaded.progress(SEEN))
    assert "Load on boston · running" in told
    assert "█████░░░░░ 50 % of 1m" in told
    assert f"{LIVE} latency p99 250.0 ms" in told
    assert loaded.summary(SEEN) == "load on boston: 50 % of 1m"
    told = words(loaded.progress(Loading("boston", 0, 0, 0.0, 60.0)))
    assert "sent 0 a second 0.0 answered 0 errors 0 latency p50 – latency p99 –" in told


def test_one_that_was_stopped_says_so_and_after_how_much():
    told = words(shown(tally_of(("A", 0, 30)), stopped=True, elapsed=12.3))
    assert "Stopped early, after 12s of 1m: 30 of 3,000 requests had come to an end." in told
    assert "Stopped early" not in words(shown(tally_of(("A", 0, 30)), elapsed=60.0))
    assert "Nothing was answered before it was stopped after 200ms of 1m." in words(shown(stopped=True, elapsed=0.2))


def test_afterwards_it_says_what_became_of_it():
    told = words(shown(tally_of(("A", 0, 30), ("B", 1, 10), ("A", 2, 10))))
    assert "none lost" in told
    for each in ("sent 50", "answered 50", "lost 0", "latency p50 10.0 ms", "latency p99 10.0 ms"):
        assert each in told
    assert "variant answered share per 1s" in told
    assert "A 40 80 % ████████░░ █·▃" in told
    assert "B 10 20 % ██░░░░░░░░ ·█·" in told


def test_what_was_lost_is_counted_with_why():
    view = shown(tally_of(("A", 0, 8), lost=[("boom", 1, 2), *((f"e{n}", 0, 1) for n in range(6))]))
    told = words(view)
    assert view.badge.text == "8 lost"
    assert view.badge.tone == "bad"
    assert "sent again 8 times" in told
    assert "lost 8 50 %" in told
    assert "2 ModelError: InvokeEndpoint: boom" in told
    assert "2 other errors" in told


def test_one_that_could_not_begin_says_why():
    assert "no credentials" in words(shown(failure=ServiceError("InvokeEndpoint", "X", "no credentials", {})))
    assert "ZeroDivisionError: a bug" in words(shown(failure=ZeroDivisionError("a bug")))


def test_one_that_was_stopped_before_any_answer_says_so():
    assert "Nothing was answered" in words(shown())


def test_a_variant_that_all_went_to_is_named():
    assert "Load on boston, variant A ·" in words(shown(running=True, variant="A"))


def test_the_picture_takes_the_place_of_the_little_bars():
    view = shown(tally_of(("A", 0, 3), ("B", 1, 3)), pictures=True)
    assert not {"▃", "▄", "▅"} & set(text.render(view))
    (picture,) = [each for each in view.blocks if isinstance(each, Picture)]
    drawn = matplotlib.image.imread(io.BytesIO(picture.draw()))
    assert drawn.shape[1] == pytest.approx(1008, abs=2)
    assert "<img" in html.render(view)


def test_the_bars_of_the_picture_stand_on_each_other_and_are_rates():
    made = loaded.figure(tally_of(("A", 0, 3), ("B", 0, 2), lost=[("boom", 1, 4)]))
    (axes,) = made.axes
    bars = [(bar.get_x(), bar.get_y(), bar.get_height()) for bar in axes.patches]
    assert bars == [(0, 0, 3), (1, 0, 0), (0, 3, 2), (1, 0, 0), (0, 5, 0), (1, 0, 4)]
    assert [each.get_text() for each in made.legends[0].get_texts()] == ["A", "B", "lost"]
    assert axes.get_ylabel() == "requests\na second"


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 5000), st.just(1)), min_size=1), st.integers(1, 60))
def test_steps_are_no_more_than_may_be_and_hold_every_request(counts, most):
    step, named = loaded.series(tally_of(*counts), most)
    assert all(len(each) <= most for each in named.values())
    assert sum(map(sum, named.values())) == len(counts)
    assert step * most > max(second for _, second, _ in counts)
