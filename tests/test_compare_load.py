from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invokekit import Reply, Server, connect

from sm_magics.compare.exchange import Outcome, Request, Target
from sm_magics.compare.load import LOOK_SECONDS, Load, Tally
from sm_magics.errors import ServiceError

TARGET = Target("boston")


def outcome(variant="A", latency=0.01, refusal=None, attempts=1, number=0):
    return Outcome(Request(number, b"1"), variant, 200, b"1", "text/csv", latency, latency, attempts, refusal)


def refused(text="no"):
    return ServiceError("InvokeEndpoint", "ModelError", text, {})


class TestTally:
    def test_what_is_answered_is_counted_by_variant_and_second(self):
        tally = Tally()
        for variant, second in (("A", 0), ("A", 0), ("B", 0), ("A", 3)):
            tally.add(outcome(variant), second)
        assert (tally.sent, tally.answered, tally.lost, tally.again) == (4, 4, 0, 0)
        assert tally.by_variant == {"A": {0: 2, 3: 1}, "B": {0: 1}}

    def test_what_is_lost_is_counted_with_why_and_when_and_has_no_latency(self):
        tally = Tally()
        tally.add(outcome(refusal=refused(), attempts=4), 2)
        tally.add(outcome(refusal=refused("x" * 999)), 2)
        assert (tally.sent, tally.lost, tally.again) == (2, 2, 3)
        assert tally.lost_at == {2: 2}
        assert tally.errors["ModelError: InvokeEndpoint: no"] == 1
        assert max(map(len, tally.errors)) == 300
        assert tally.percentile(0.5) is None

    @given(st.lists(st.text("ab", min_size=1, max_size=50), min_size=1, max_size=80))
    def test_a_long_error_is_cut_at_a_word(self, words):
        tally = Tally()
        tally.add(outcome(refusal=refused(" ".join(words))), 0)
        (told,), whole = tally.errors, f"ModelError: InvokeEndpoint: {' '.join(words)}"
        assert len(told) <= 300
        if told != whole:
            assert len(whole) > 300
            assert whole.startswith(told.removesuffix("…") + " ")

    @given(st.lists(st.floats(1e-5, 100), min_size=1, max_size=50), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
    def test_a_percentile_is_that_of_the_latencies_to_a_hundredth(self, latencies, share):
        tally = Tally()
        for each in latencies:
            tally.add(outcome(latency=each), 0)
        exact = sorted(latencies)[-(-round(share * 100) * len(latencies) // 100) - 1]
        assert tally.percentile(share) == pytest.approx(exact, rel=0.006)

    def test_who_reads_while_it_counts_misses_nothing_of_what_is_counted(self):
        tally, seen = Tally(), []

        class Read(Counter):
            """Is read right before and right after each change."""

            def __setitem__(self, key, value):
                for change in (lambda: None, lambda: super(Read, self).__setitem__(key, value)):
                    change()
                    seen.append((tally.answered, tally.percentile(0.99), tally.lost, sum(tally.errors.values())))

        tally._latencies, tally.errors = Read(), Read()
        for each in (outcome(), outcome(refusal=refused()), outcome()):
            tally.add(each, 0)
        assert [p99 is None for _, p99, _, _ in seen] == [True, *[False] * 5]
        assert [answered for answered, *_ in seen] == [0, 0, 1, 1, 1, 1]
        assert all(lost <= told for *_, lost, told in seen)

    def test_a_day_of_latencies_takes_no_more_room_than_all_that_differ(self):
        tally = Tally()
        for number in range(20_000):
            tally.add(outcome(latency=0.001 + 0.00001 * (number % 1000)), 0)
        assert len(tally._latencies) < 300


class TestLoad:
    def test_as_many_are_sent_as_rate_and_time_say_over_the_rows_again_and_again(self):
        asked = []
        with Server(lambda one: asked.append(one.body) or Reply()) as server:
            load = Load(connect(server.url), TARGET, [b"1", b"2", b"3"], rate=100, seconds=0.1, clock=lambda: 0.0)
            load.wait()
        assert not load.running
        assert sorted(asked) == sorted([b"1", b"2", b"3"] * 3 + [b"1"])
        assert (load.tally.answered, load.tally.lost) == (10, 0)

    def test_stopping_ends_it_at_once_even_where_nothing_answers(self):
        with Server(lambda _: Reply(latency=60)) as server:
            load = Load(connect(server.url), TARGET, [b"1"], rate=100, seconds=3600)
            deadline = time.monotonic() + 10
            while not server.under_way and time.monotonic() < deadline:
                time.sleep(0.01)
            assert load.running
            load.stop()
        assert not load.running
        assert load.tally.sent == 0
        assert not [each for each in threading.enumerate() if each.name.startswith("sm_magics")]

    def test_it_knows_whether_it_was_stopped_and_after_how_long(self):
        now, far = [10.0], threading.Event()

        def sends(_connection, _target, requests, until, **_):
            for request, _ in zip(requests, range(3), strict=False):
                yield outcome(number=request.number)
                now[0] += 1.0
            far.set()
            until.wait()

        load = Load(None, TARGET, [b"1"], rate=1, seconds=100, sending=sends, clock=lambda: now[0])
        far.wait()
        load.stop()
        assert (load.stopped, load.elapsed, load.tally.sent) == (True, 3.0, 3)
        over = Load(None, TARGET, [b"1"], rate=1, seconds=1, sending=lambda *_, **__: iter(()), clock=lambda: now[0])
        over.wait()
        over.stop()
        assert not over.stopped

    def test_it_is_watched_to_its_end(self):
        looked = threading.Event()

        def sends(_connection, _target, requests, **_):
            for request in requests:
                yield outcome(number=request.number)
                looked.wait()

        load = Load(None, TARGET, [b"1"], rate=50, seconds=0.6, sending=sends, clock=lambda: 0.0)
        seen = []
        for each in load.watch():
            seen.append(each)
            looked.set()
        assert not load.running
        assert seen[0].sent <= 1
        assert [each.sent for each in seen] == sorted(each.sent for each in seen)
        assert seen[-1].sent == load.tally.sent == 30
        assert (seen[-1].endpoint, seen[-1].whole, seen[-1].lost, seen[-1].error) == ("boston", 0.6, 0, "")
        assert 0 < seen[-1].p50 <= seen[-1].p99

    def test_one_that_ends_right_after_the_first_look_is_looked_at_once_more(self):
        looked = threading.Event()

        def sends(*_, **__):
            looked.wait()
            yield outcome()

        load = Load(None, TARGET, [b"1"], rate=1, seconds=1, sending=sends)
        looks = load.watch()
        assert next(looks).sent == 0
        looked.set()
        load.wait()
        assert [each.sent for each in looks] == [1]

    def test_between_two_looks_it_waits(self):
        load = Load(None, TARGET, [b"1"], rate=1, seconds=1, sending=lambda *_, **__: iter(()), clock=lambda: 0.0)
        load.wait()
        over, waits = iter([False, False, True, True]), []
        load._over = SimpleNamespace(is_set=lambda: next(over), wait=waits.append)
        assert len(list(load.watch(10.0))) == 4
        assert waits == [LOOK_SECONDS] * 3 + [0]

    @pytest.mark.parametrize(
        ("waits", "function"),
        [
            (Load.wait, Load.wait),
            (lambda load: load.wait(60), Load.wait),
            (lambda load: list(load.watch()), Load.watch),
            (lambda load: list(load.watch(60)), Load.watch),
        ],
    )
    def test_an_interrupt_ends_the_waiting_and_not_the_load(self, interrupt_in, waits, function):
        def sends(*_, until, **__):
            yield outcome()
            until.wait()

        load = Load(None, TARGET, [b"1"], rate=1, seconds=3600, sending=sends)
        interrupt_in(function)
        with pytest.raises(KeyboardInterrupt):
            waits(load)
        assert load.running
        load.wait(0.01)
        assert load.running
        load.stop()
        assert not load.running
        assert (load.stopped, load.tally.sent) == (True, 1)

    def test_an_interrupt_of_its_end_may_be_followed_by_another_stop(self, interrupt_in):
        ends = threading.Event()

        def sends(*_, **__):
            ends.wait()
            yield from ()

        load = Load(None, TARGET, [b"1"], rate=1, seconds=3600, sending=sends)
        interrupt_in(Load.stop)
        with pytest.raises(KeyboardInterrupt):
            load.stop()
        assert load.running
        ends.set()
        load.stop()
        assert (load.running, load.stopped) == (False, True)

    def test_watching_may_have_an_end_and_raises_what_kept_it_from_sending(self):
        def waits(*_, until, **__):
            until.wait()
            yield from ()

        ticks = itertools.count()
        load = Load(None, TARGET, [b"1"], rate=10, seconds=1, sending=waits, clock=lambda: float(next(ticks)))
        assert len(list(load.watch(0.01))) == 2  # one when the time is over, however fast it went
        assert load.running
        load.stop()

        def broken(*_, **__):
            raise refused("no credentials")
            yield

        with pytest.raises(ServiceError, match="no credentials"):
            list(Load(None, TARGET, [b"1"], rate=10, seconds=1, sending=broken).watch())

    def test_why_requests_are_lost_most_often_is_told(self):
        def loses(*_, **__):
            yield from (outcome(refusal=refused(each)) for each in ("a", "b", "b"))

        load = Load(None, TARGET, [b"1"], rate=10, seconds=1, sending=loses)
        load.wait()
        assert (load.now().lost, load.now().error) == (3, "ModelError: InvokeEndpoint: b")

    def test_where_the_endpoint_falls_behind_it_ends_with_its_time(self):
        now = [0.0]

        def slow(_connection, _target, requests, **_):
            for request in requests:
                now[0] += 1.0
                yield outcome(number=request.number)

        load = Load(None, TARGET, [b"1"], rate=100, seconds=5, sending=slow, clock=lambda: now[0])
        load.wait()
        assert load.tally.answered == 6
        load = Load(None, TARGET, [b"1"], rate=0.1, seconds=5, sending=slow, clock=lambda: now[0])
        load.wait()
        assert load.tally.answered == 1

    def test_waiting_may_have_an_end(self):
        with Server(lambda _: Reply()) as server:
            load = Load(connect(server.url), TARGET, [b"1"], rate=10, seconds=3600)
            load.wait(0.01)
            assert load.running
            load.stop()

    @pytest.mark.parametrize("failure", [refused("no credentials"), ZeroDivisionError("a bug")])
    def test_what_keeps_it_from_sending_anything_is_raised_by_waiting(self, failure):
        def broken(*_, **__):
            raise failure
            yield

        load = Load(None, TARGET, [b"1"], rate=10, seconds=1, sending=broken)
        with pytest.raises(type(failure), match=str(failure)):
            load.wait()
        assert load.failure is failure
