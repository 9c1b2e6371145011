from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics import guard as module
from sm_magics.compare.verdict import Verdict
from sm_magics.errors import CellError, InvokeError
from sm_magics.faults import Asked, Fault, carry_out
from sm_magics.guard import (
    Counts,
    Guards,
    Metered,
    Quality,
    check_every,
    check_steps,
    guards,
    more_errors,
    parse_guards,
    slower,
)
from sm_magics.invoke import Target, invoke
from sm_magics.metrics import Used

TWO = "variants: {A: {model: $linear}, B: {model: $xgb}}"
ALPHA = 0.001


class TestErrors:
    def test_many_more_are_told_with_their_counts(self):
        told = more_errors(Counts(40, 12), Counts(360, 0), ALPHA)
        assert told.startswith("12 of 40 requests to it failed, of those to the others 0 of 360 (p = ")

    @pytest.mark.parametrize(
        ("newcomer", "others"),
        [
            (Counts(0, 0), Counts(0, 0)),
            (Counts(0, 0), Counts(1000, 0)),
            (Counts(10, 1), Counts(1000, 0)),
            (Counts(100, 5), Counts(100, 5)),
            (Counts(100, 0), Counts(100, 50)),
            (Counts(5, 5), Counts(0, 0)),
        ],
    )
    def test_what_may_be_chance_is_not_told(self, newcomer, others):
        assert more_errors(newcomer, others, ALPHA) is None

    @given(st.integers(0, 200), st.integers(0, 200), st.floats(0, 1))
    def test_one_that_fails_no_more_often_is_never_told(self, requests, of_others, share):
        mine, theirs = Counts(requests, int(requests * share)), Counts(of_others, -int(-of_others * share // 1))
        assert more_errors(mine, theirs, 0.01) is None

    def test_one_that_is_no_worse_is_taken_back_as_seldom_as_it_says(self):
        rng = np.random.default_rng(1)
        looks, runs, alarms = 5, 400, 0
        for _ in range(runs):
            mine, others = rng.random(200) < 0.1, rng.random(1000) < 0.1
            alarms += any(
                more_errors(Counts(n, int(mine[:n].sum())), Counts(5 * n, int(others[: 5 * n].sum())), 0.01 / looks)
                for n in range(40, 201, 40)
            )
        assert alarms / runs <= 0.01


class TestLatency:
    def test_a_p99_that_is_higher_in_both_ways_is_told(self):
        told = slower(Counts(100, 0, 151.0), Counts(100, 0, 100.0))
        assert told == "its p99 latency is 151.0 ms, that of the others 100.0 ms"

    @pytest.mark.parametrize(
        ("newcomer", "others"),
        [
            (Counts(100, 0, 149.0), Counts(100, 0, 100.0)),
            (Counts(100, 0, 5.0), Counts(100, 0, 1.0)),
            (Counts(99, 0, 900.0), Counts(100, 0, 100.0)),
            (Counts(100, 0, 900.0), Counts(99, 0, 100.0)),
            (Counts(100, 0, None), Counts(100, 0, 100.0)),
        ],
    )
    def test_less_is_not(self, newcomer, others):
        assert slower(newcomer, others) is None


class TestParsing:
    def test_it_takes_errors_latency_and_metrics(self):
        assert parse_guards("errors, latency,rmse,errors") == ("errors", "latency", "rmse")

    @pytest.mark.parametrize(
        ("text", "hint"), [("error", "did you mean 'errors'?"), ("xyzzy", "there are errors, lat")]
    )
    def test_others_are_refused(self, text, hint):
        with pytest.raises(CellError, match=f"there is no guard '{text}'") as caught:
            parse_guards(text)
        assert hint in caught.value.hint

    def test_without_scipy_it_says_what_to_install(self, monkeypatch):
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(CellError, match="--guard needs scipy"):
            parse_guards("errors")

    @pytest.mark.parametrize(
        ("kinds", "given", "told"),
        [
            (["rmse"], {}, "--guard rmse needs rows and true values"),
            (["rmse"], {"data": iter([[1]]), "target": [1]}, "sends the rows in each step anew"),
            (["rmse"], {"data": [[1]], "target": iter([1])}, "sends the rows in each step anew"),
            (["errors"], {"data": [[1]], "target": [1]}, "are for a guard of quality"),
        ],
    )
    def test_rows_go_with_a_metric(self, kinds, given, told):
        with pytest.raises(CellError, match=told):
            guards(None, "e", "B", {"A": 1.0, "B": 0.0}, kinds, looks=5, **given)


class TestTime:
    @pytest.mark.parametrize("kinds", [("errors",), ("latency", "rmse"), ("rmse",)])
    def test_no_time_is_refused(self, connection, kinds):
        with pytest.raises(CellError, match=f"--every 0s leaves --guard {','.join(kinds)} no time") as caught:
            check_every(connection, 0.0, kinds)
        assert "--every 5m" in caught.value.hint

    def test_where_cloudwatch_counts_by_minutes_less_than_four_are_refused(self, connection):
        aws = replace(connection, counts_every=60)
        with pytest.raises(
            CellError, match="--every 239s is too short for --guard errors: CloudWatch counts"
        ) as caught:
            check_every(aws, 239.0, ("errors", "rmse"))
        assert caught.value.hint == "hold each share longer: --every 4m"
        check_every(aws, 240.0, ("errors", "latency"))
        check_every(aws, 1.0, ("rmse",))  # rows that are sent are measured at once
        check_every(connection, 0.05, ("errors",))

    @pytest.mark.parametrize("kinds", [("errors",), ("rmse", "latency")])
    def test_a_first_step_that_leaves_the_others_nothing_is_refused(self, kinds):
        with pytest.raises(CellError, match="--steps 100 leaves the others no requests, with which --guard") as caught:
            check_steps((100.0,), kinds)
        assert "--steps 10,100" in caught.value.hint
        check_steps((99.0, 100.0), kinds)
        check_steps((100.0,), ("rmse",))


def send(connection, name, data, variant, count, wide=1):
    body = ",".join(map(str, data[0][0])).encode() * wide
    for _ in range(count):
        with contextlib.suppress(InvokeError):
            invoke(connection, Target(name, variant), body)


def used(requests, failed):
    counted = {"invocations": requests, "errors_4xx": 0.0, "errors_5xx": failed, "model_errors": failed}
    return Used("", {"model_p99": None}, {key: (value,) for key, value in counted.items()})


class TestOnTheEngine:
    def test_errors_of_this_step_are_seen_and_those_before_are_not(self, deployer, connection, name, data):
        deployer.run(name, TWO)
        watch = Metered(connection, name, "B", ["A"], kinds=["errors", "latency"], looks=5)
        send(connection, name, data, "A", 30)
        carry_out(connection, name, Asked("B", (Fault("5xx", "B", percentage=100.0),)))
        send(connection, name, data, "B", 3)
        watch.begin()
        send(connection, name, data, "B", 3)
        assert watch.trouble() is None  # the others' before the first step do not count
        send(connection, name, data, "A", 30)
        watch.begin()
        assert watch.trouble() is None
        send(connection, name, data, "B", 3)
        assert watch.trouble().startswith("3 of 3 requests to it failed, of those to the others 0 of 30")
        watch.begin()
        assert watch.trouble() is None

    def test_rows_that_are_refused_are_no_errors(self, deployer, connection, name, data):
        deployer.run(name, TWO)
        watch = Metered(connection, name, "B", ["A"], kinds=["errors"], looks=5)
        watch.begin()
        send(connection, name, data, "A", 30)
        send(connection, name, data, "B", 30, wide=9)
        with pytest.raises(InvokeError, match="answered 415"):
            invoke(connection, Target(name, "B"), b"no number")
        assert watch.trouble() is None
        carry_out(connection, name, Asked("B", (Fault("5xx", "B", percentage=100.0),)))
        send(connection, name, data, "B", 20)
        assert watch.trouble().startswith("20 of 51 requests to it failed, of those to the others 0 of 30")

    def test_where_minutes_are_counted_a_step_counts_from_the_next_full_one_on(self, monkeypatch):
        now, spans = [1000.0], []

        def read(_connection, _endpoint, _names, span, _measures):
            spans.append((span.start, span.count))
            return used(200.0, 40.0), used(1000.0, 0.0)

        monkeypatch.setattr(module, "read", read)
        aws = SimpleNamespace(counts_every=60)
        watch = Metered(aws, "e", "B", ["A"], kinds=["errors", "latency"], looks=5, wall=lambda: now[0])
        watch.begin()
        assert watch.trouble() is None
        now[0] = 1020.0
        assert watch.trouble() is None
        now[0] = 1130.0
        assert "40 of 200 requests to it failed, of those to the others 0 of 1,000" in watch.trouble()
        assert spans == [(960, 1), (1020, 2)]

    def test_what_goes_wrong_for_all_is_not_the_newcomer_s(self, monkeypatch):
        looks = deque([(used(0.0, 0.0), used(10_000.0, 0.0))])
        monkeypatch.setattr(module, "read", lambda *_: looks[0])
        engine = SimpleNamespace(counts_every=10)
        watch = Metered(engine, "e", "B", ["A"], kinds=["errors"], looks=5)
        looks.appendleft((used(0.0, 0.0), used(0.0, 0.0)))
        watch.begin()
        looks.popleft()
        watch.begin()
        looks[0] = used(200.0, 40.0), used(11_000.0, 200.0)
        assert watch.trouble() is None
        looks[0] = used(200.0, 40.0), used(11_000.0, 10.0)
        assert "40 of 200 requests to it failed, of those to the others 10 of 1,000" in watch.trouble()
        looks[0] = used(200.0, 40.0), used(10_099.0, 20.0)  # too few in this step to say what is usual
        assert "of those to the others 20 of 10,099" in watch.trouble()

    def test_a_slow_one_is_seen(self, deployer, connection, name, data, monkeypatch):
        monkeypatch.setattr(module, "ENOUGH", 5)
        deployer.run(name, TWO)
        watch = Metered(connection, name, "B", ["A"], kinds=["latency"], looks=5)
        watch.begin()
        send(connection, name, data, "A", 6)
        carry_out(connection, name, Asked("B", (Fault("slow", "B", seconds=0.1),)))
        send(connection, name, data, "B", 6)
        assert watch.trouble().startswith("its p99 latency is 1")

    def test_quality_is_measured_once_in_a_step(self, connection, served, data):
        weights = {"Linear-Model": 4.0, "XGB-Model": 1.0}
        options = {"looks": 5, "data": data[0], "target": data[1]}
        worse = guards(connection, served, "XGB-Model", weights, ["rmse"], **options)
        better = guards(connection, served, "Linear-Model", weights, ["rmse"], **options)
        assert [type(each) for each in worse.each] == [Quality]
        for _ in range(2):
            worse.begin()
            assert worse.trouble().startswith("Linear-Model is better: rmse")
            assert worse.trouble() is None
        better.begin()
        assert better.trouble() is None

    def test_what_was_to_be_careful_about_is_told_with_the_verdict(self, monkeypatch):
        found = Verdict("better", "A is better.", best="A", cautions=("No answer: B for 9 of 60 rows.",))
        monkeypatch.setattr("sm_magics.compare.asked.asked", lambda *_: SimpleNamespace(progress=iter(())))
        monkeypatch.setattr("sm_magics.compare.asked.compare", lambda _: SimpleNamespace(verdict=found))
        watch = Quality(None, {}, "B")
        watch.begin()
        assert watch.trouble() == "A is better. No answer: B for 9 of 60 rows."

    def test_rows_without_their_truths_are_refused_before_anything_is_moved(self, connection, served, data):
        weights = {"Linear-Model": 4.0, "XGB-Model": 1.0}
        few = guards(connection, served, "XGB-Model", weights, ["rmse"], looks=5, data=data[0], target=data[1][:1])
        with pytest.raises(CellError):
            few.begin()

    def test_one_that_does_not_answer_is_worse(self, deployer, connection, name, data):
        deployer.run(name, TWO)
        carry_out(connection, name, Asked("B", (Fault("5xx", "B", percentage=100.0),)))
        found = guards(connection, name, "B", {"A": 1.0, "B": 0.0}, ["rmse"], looks=5, data=data[0], target=data[1])
        found.begin()
        assert "answered none of the first" in found.trouble()

    def test_traffic_does_not_go_back_to_one_that_does_not_answer(self, deployer, connection, name, data):
        deployer.run(name, TWO)
        carry_out(connection, name, Asked("A", (Fault("5xx", "A", percentage=100.0),)))
        found = guards(connection, name, "B", {"A": 1.0, "B": 0.0}, ["rmse"], looks=5, data=data[0], target=data[1])
        found.begin()
        assert found.trouble() is None


def test_of_several_the_first_that_finds_something_is_heard():
    class One:
        def __init__(self, *told):
            self.told, self.began = deque(told), 0

        def begin(self):
            self.began += 1

        def trouble(self):
            return self.told.popleft()

    first, second = One(None, "first"), One("second", "never")
    both = Guards((first, second))
    both.begin()
    assert (first.began, second.began) == (1, 1)
    assert both.trouble() == "second"
    assert both.trouble() == "first"
