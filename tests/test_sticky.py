from __future__ import annotations

import hashlib
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics import sticky as module
from sm_magics.errors import SmError
from sm_magics.sticky import assigned, id_of

NAMES = st.text("abcXYZ-09", min_size=1, max_size=12)
WEIGHTS = st.dictionaries(NAMES, st.floats(0.001, 1000), min_size=2, max_size=6)
USERS = [str(each) for each in range(200)]


def all_of(weights, users=USERS, endpoint="boston"):
    return {user: assigned(endpoint, user, weights) for user in users}


def test_shares_of_users_are_those_of_the_weights():
    users = [f"user-{each}" for each in range(30_000)]
    found = list(all_of({"A": 4.0, "B": 1.0, "C": 3.0, "D": 0.0}, users).values())
    for name, share in {"A": 0.5, "B": 0.125, "C": 0.375, "D": 0.0}.items():
        four_deviations = 4 * math.sqrt(share * (1 - share) / len(users))
        assert abs(found.count(name) / len(users) - share) <= four_deviations


@given(WEIGHTS, st.data(), st.floats(1.001, 100))
def test_raising_a_weight_only_moves_users_to_that_variant(weights, data, factor):
    raised = data.draw(st.sampled_from(sorted(weights)))
    before, after = all_of(weights), all_of({**weights, raised: weights[raised] * factor})
    assert {after[user] for user in USERS if after[user] != before[user]} <= {raised}


@given(WEIGHTS, st.data())
def test_taking_a_variant_away_only_moves_its_own_users(weights, data):
    gone = data.draw(st.sampled_from(sorted(weights)))
    before = all_of(weights)
    after = all_of({name: weight for name, weight in weights.items() if name != gone})
    assert all(after[user] == before[user] for user in USERS if before[user] != gone)


@given(WEIGHTS, st.sampled_from([0.5, 2.0, 8.0]))
def test_only_the_proportions_of_weights_matter_and_no_order(weights, factor):
    scaled = {name: weight * factor for name, weight in reversed(weights.items())}
    assert all_of(weights) == all_of(scaled)


def test_endpoints_split_users_independently():
    one, other = all_of({"A": 1.0, "B": 1.0}), all_of({"A": 1.0, "B": 1.0}, endpoint="other")
    assert 60 < sum(one[user] == other[user] for user in USERS) < 140


def test_it_is_the_same_on_any_machine_and_any_day():
    assert "".join(all_of({"A": 1.0, "B": 1.0}, map(str, range(12))).values()) == "BBBBABBBBAAA"


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_the_lowest_and_the_highest_hash_are_no_special_case(byte, monkeypatch):
    class Extreme:
        def digest(self):
            return byte * 8

    monkeypatch.setattr(hashlib, "blake2b", lambda *_, **__: Extreme())
    assert 0 < module._drawn("e", "u", "A") < 1
    assert assigned("e", "u", {"A": 1.0, "B": 1.0}) == "A"


class TestIds:
    @pytest.mark.parametrize(
        "user",
        [
            1,
            1.0,
            "1",
            np.int64(1),
            np.float64(1),
            np.float32(1),
            pd.Series([1, None])[0],
            pd.array([1])[0],
            b"1",
            bytearray(b"1"),
            np.bytes_(b"1"),
            np.array(1),
            np.array(1.0),
            np.array("1"),
        ],
    )
    def test_a_whole_number_is_the_same_user_however_a_column_holds_it(self, user):
        assert id_of(user) == "1"

    @pytest.mark.parametrize(("user", "text"), [(1.5, "1.5"), (-0.0, "0"), (0, "0"), ("1.0", "1.0")])
    def test_all_else_is_what_it_is_as_text(self, user, text):
        assert id_of(user) == text

    @given(st.integers(1 - 2**53, 2**53 - 1))
    def test_every_integer_that_a_float_holds_is_the_same_user(self, user):
        assert id_of(float(user)) == id_of(user) == str(user)

    @pytest.mark.parametrize(
        "user", [pd.Series([1, 2]), np.array([1, 2]), [1], (1,), range(1), {"id": 1}, {1}, pd.DataFrame()]
    )
    def test_many_at_once_are_refused_shortly(self, user):
        with pytest.raises(SmError, match=f"^a {type(user).__name__} is nobody's id\n") as caught:
            id_of(user)
        assert "one at a time" in caught.value.hint

    def test_bytes_are_the_text_that_they_are_and_others_are_refused(self):
        assert id_of("é".encode()) == id_of("é")
        with pytest.raises(SmError, match=r"b'\\xff' is nobody's id: these bytes are no UTF-8"):
            id_of(b"\xff")

    @pytest.mark.parametrize("user", [True, False, np.array([True])[0], np.array(0, bool)])
    def test_true_and_false_are_nobody(self, user):
        with pytest.raises(SmError, match="is nobody's id: true and false are for everybody"):
            id_of(user)

    def test_an_array_without_dimensions_is_exact_as_far_as_its_own_type(self):
        with pytest.raises(SmError, match="may stand for several"):
            id_of(np.array(2.0**24, np.float32))

    def test_text_that_is_no_unicode_is_refused(self):
        with pytest.raises(SmError, match=r"'ab\\udcff' is nobody's id: it is no Unicode"):
            id_of("ab\udcff")

    @pytest.mark.parametrize("users", [(each for each in "ab"), iter([1]), map(str, [1]), zip([1], [2], strict=True)])
    def test_an_iterator_is_many_at_once_too(self, users):
        with pytest.raises(SmError, match=f"a {type(users).__name__} is nobody's id"):
            id_of(users)

    @pytest.mark.parametrize("user", [math.inf, -math.inf, np.float32("inf"), Decimal("Infinity")])
    def test_what_is_no_finite_number_is_refused(self, user):
        with pytest.raises(SmError, match="is nobody's id: it is no finite number"):
            id_of(user)

    @pytest.mark.parametrize("user", [None, "", b"", float("nan"), pd.NA])
    def test_who_has_no_id_is_refused(self, user):
        with pytest.raises(SmError, match="is nobody's id"):
            id_of(user)

    def test_a_float_that_may_stand_for_several_is_refused(self):
        with pytest.raises(SmError, match="may stand for several") as caught:
            id_of(2.0**53)  # or 2**53 + 1
        assert "Int64" in caught.value.hint
        assert id_of(2**53 + 1) == "9007199254740993"

    @pytest.mark.parametrize(
        ("kind", "bits"), [(np.float16, 11), (np.float32, 24), (np.float64, 53), (np.longdouble, 53)]
    )
    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_short_float_of_numpy_is_exact_up_to_its_own_bounds(self, kind, bits, sign):
        most = sign * (2**bits - 1)
        assert id_of(kind(most)) == str(most)
        with pytest.raises(SmError, match="may stand for several"):
            id_of(kind(most + sign))  # or one further


def test_without_any_weight_there_is_nobody():
    with pytest.raises(SmError, match="no variant of endpoint 'e' has a weight"):
        assigned("e", "u", {"A": 0.0})
