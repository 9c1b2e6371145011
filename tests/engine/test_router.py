from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.router import MAX_BLOCK, Route, Shares

WEIGHTS = st.dictionaries(
    st.sampled_from("ABCDEFGHIJ"), st.one_of(st.integers(0, 100).map(float), st.floats(0, 1e6)), min_size=1
).filter(lambda weights: sum(weights.values()) > 1e-3)


def drawn(weights: dict[str, float], number: int, seed: int = 0) -> list[str]:
    shares = Shares(weights, random.Random(seed))
    return [shares.draw() for _ in range(number)]


@pytest.mark.parametrize(("weights", "block"), [({"A": 4, "B": 1}, 5), ({"A": 90, "B": 10}, 10), ({"A": 1, "B": 2}, 3)])
def test_a_block_has_exactly_the_shares_of_the_weights(weights, block):
    total = sum(weights.values())
    for start in range(0, 20 * block, block):
        counts = Counter(drawn(weights, 20 * block)[start : start + block])
        assert counts == {name: block * weight / total for name, weight in weights.items()}


def test_the_order_within_blocks_has_no_pattern_and_follows_the_seed():
    first = drawn({"A": 1, "B": 1}, 40)
    assert first == drawn({"A": 1, "B": 1}, 40)
    assert first != drawn({"A": 1, "B": 1}, 40, seed=1)
    assert {"".join(first[n : n + 2]) for n in range(0, 40, 2)} == {"AB", "BA"}


def test_a_weight_of_zero_is_never_drawn():
    assert set(drawn({"A": 0.0, "B": 0.1}, 500)) == {"B"}


@given(WEIGHTS, st.integers(0, 3))
def test_the_shares_stay_within_one_request_of_the_weights_at_every_block(weights, seed):
    number = 20 * MAX_BLOCK
    counts = Counter(drawn(weights, number, seed))
    total = sum(weights.values())
    for name, weight in weights.items():
        assert abs(counts[name] - number * weight / total) <= MAX_BLOCK / 2 + 1


class FakeInstance:
    def __init__(self, variant: str = "A", *, ready: bool = True, outstanding: int = 0) -> None:
        self.variant, self.ready, self.outstanding, self.sent = variant, ready, outstanding, []

    def send(self, request, _waiter):
        self.sent.append(request)
        self.outstanding += 1


class Waiter:
    gone = False

    def lost(self):
        self.gone = True


def route(*instances: FakeInstance) -> Route:
    groups: dict = {}
    for each in instances:
        groups.setdefault(each.variant, []).append(each)
    return Route("c1", dict.fromkeys(groups, 1.0), groups, random.Random(0))


def test_the_instance_with_the_fewest_outstanding_requests_gets_the_next():
    busy, free = FakeInstance(outstanding=3), FakeInstance(outstanding=1)
    way = route(busy, free)
    for number in range(3):
        way.send("A", b"%d" % number, Waiter())
    assert (free.sent, busy.sent) == ([b"0", b"1"], [b"2"])


def test_a_target_overrides_the_weights_and_an_unknown_one_is_none():
    way = route(FakeInstance("A"), FakeInstance("B"))
    assert way.variant("B") == "B"
    assert way.variant("X") is None
    assert way.variant(None) in {"A", "B"}


def test_requests_are_parked_while_no_instance_is_ready_and_sent_in_order_after():
    instance = FakeInstance(ready=False)
    way = route(instance)
    assert way.send("A", b"1", Waiter())
    assert way.send("A", b"2", Waiter())
    assert (way.parked, instance.sent) == (2, [])
    instance.ready = True
    way.release("A")
    assert (way.parked, instance.sent) == (0, [b"1", b"2"])


def test_parked_requests_of_an_endpoint_that_goes_away_are_lost_and_told_so():
    way = route(FakeInstance(ready=False))
    waiter = Waiter()
    way.send("A", b"1", waiter)
    way.abandon()
    assert waiter.gone
