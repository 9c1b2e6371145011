from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.router import MAX_BLOCK, Lane, Parking, Part, Route, Shares
from sm_magics.local.tally import Meter

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
    def __init__(self, *, ready: bool = True, outstanding: int = 0) -> None:
        self.ready, self.outstanding, self.sent = ready, outstanding, []

    def send(self, request, _waiter):
        self.sent.append(request)
        self.outstanding += 1


class Waiter:
    gone = over = False

    def lost(self, *, started):
        assert not started
        self.gone = True


def lane(*instances: FakeInstance, variant: str = "A", config: str = "c1", parking: Parking | None = None) -> Lane:
    made = Lane(variant, config, Meter(), parking or Parking())
    made.instances += instances
    return made


def part(share: float = 1, config: str = "c1", **weights: float) -> Part:
    lanes = {name: lane(FakeInstance(), variant=name, config=config) for name in weights}
    return Part(lanes, weights, Fraction(share).limit_denominator(1000))


def route(*parts: Part) -> Route:
    made = Route("boston", random.Random(0))
    made.serve(parts)
    return made


def served(way: Route, number: int, target: str | None = None) -> Counter:
    lanes = (way.lane(target) for _ in range(number))
    return Counter((each.config_name, each.variant) for each in lanes)


def test_the_instance_with_the_fewest_outstanding_requests_gets_the_next():
    busy, free = FakeInstance(outstanding=3), FakeInstance(outstanding=1)
    both = lane(busy, free)
    for number in range(3):
        both.send(b"%d" % number, Waiter())
    assert (free.sent, busy.sent) == ([b"0", b"1"], [b"2"])


def test_a_target_overrides_the_weights_and_an_unknown_one_is_none():
    way = route(part(A=1, B=0))
    assert served(way, 10) == {("c1", "A"): 10}
    assert served(way, 10, "B") == {("c1", "B"): 10}
    assert way.lane("X") is None


def test_two_fleets_share_the_traffic_exactly_and_so_does_each_variant_of_theirs():
    way = route(part(0.1, "new", A=4, B=1), part(0.9, "old", A=4, B=1))
    assert served(way, 500) == {("new", "A"): 40, ("new", "B"): 10, ("old", "A"): 360, ("old", "B"): 90}
    assert served(way, 100, "A") == {("new", "A"): 10, ("old", "A"): 90}


def test_a_fleet_without_a_share_gets_nothing_not_even_by_its_variants_name():
    way = route(part(0, "new", N=1), part(1, "old", A=1))
    assert served(way, 10) == {("old", "A"): 10}
    assert way.lane("N") is None


def test_requests_are_parked_while_no_instance_is_ready_and_sent_in_order_after():
    instance = FakeInstance(ready=False)
    waiting = lane(instance)
    assert waiting.send(b"1", Waiter())
    assert waiting.send(b"2", Waiter())
    assert (waiting.parked, instance.sent) == (2, [])
    instance.ready = True
    waiting.release()
    assert (waiting.parked, instance.sent) == (0, [b"1", b"2"])


def test_where_no_instance_comes_back_nothing_is_parked():
    instance = FakeInstance(ready=False)
    waiting = lane(instance)
    waiting.down = True
    assert not waiting.send(b"1", Waiter())
    assert waiting.parked == 0
    instance.ready = True
    assert waiting.send(b"2", Waiter())
    assert instance.sent == [b"2"]


def test_parked_requests_of_an_endpoint_that_goes_away_are_lost_and_told_so():
    waiting = lane(FakeInstance(ready=False))
    waiter = Waiter()
    waiting.send(b"1", waiter)
    waiting.abandon()
    assert waiter.gone


@pytest.mark.parametrize(("requests", "size"), [(3, 1000), (1000, 30)])
def test_no_more_than_so_many_requests_and_bytes_are_parked_in_all_lanes_together(requests, size):
    parking = Parking(requests, size)
    first, second = lane(parking=parking), lane(parking=parking)
    request = bytes(10)
    assert [each.send(request, Waiter()) for each in (first, second, first)] == [True] * 3
    assert not first.send(request, Waiter())
    assert not second.send(request, Waiter())
    first.abandon()
    assert [second.send(request, Waiter()) for _ in range(3)] == [True, True, False]
    second.instances.append(FakeInstance())
    second.release()
    assert [first.send(request, Waiter()) for _ in range(4)] == [True, True, True, False]


def test_what_nobody_waits_for_any_more_makes_room():
    parking = Parking(2, 1000)
    first, second = lane(parking=parking), lane(parking=parking)
    late = Waiter()
    first.send(b"1", late)
    first.send(b"2", Waiter())
    assert not second.send(b"3", Waiter())
    late.over = True
    assert second.send(b"3", Waiter())
    assert (first.parked, second.parked) == (1, 1)
