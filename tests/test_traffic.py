from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.errors import CellError
from sm_magics.traffic import check_rising, check_spaces, check_variant, completed, parse_steps, parse_weights, stepped

NAMES = ("Linear-Model", "XGB-Model")
WEIGHTS = st.dictionaries(st.sampled_from("ABCDE"), st.floats(0, 1e6), min_size=2)


def refused(act, *given):
    with pytest.raises(CellError) as caught:
        act(*given)
    return str(caught.value)


class TestWeights:
    def test_numbers_are_weights_as_they_are(self):
        words = ["XGB-Model=1", "Linear-Model=0.5"]
        assert parse_weights(words, "boston", NAMES) == {"Linear-Model": 0.5, "XGB-Model": 1.0}

    def test_they_may_be_written_as_percent(self):
        assert parse_weights(["XGB-Model=10%"], "boston", NAMES) == {"Linear-Model": 90.0, "XGB-Model": 10.0}

    def test_one_that_is_left_out_gets_the_rest_of_100(self):
        assert parse_weights(["XGB-Model=10"], "boston", NAMES) == {"Linear-Model": 90.0, "XGB-Model": 10.0}
        assert parse_weights(["XGB-Model=100"], "boston", NAMES)["Linear-Model"] == 0

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["XGB-Modle=1", "Linear-Model=1"], "has no variant 'XGB-Modle'\n  did you mean 'XGB-Model'?"),
            (["xgb-model=1", "Linear-Model=1"], "has no variant 'xgb-model'\n  did you mean 'XGB-Model'?"),
            (["Other=1"], "endpoint 'boston' has no variant 'Other'\n  it has Linear-Model, XGB-Model"),
            (["XGB-Model"], "'XGB-Model' says no share"),
            (["XGB-Model=many"], "XGB-Model=many: 'many' is no share"),
            (["XGB-Model=-1"], "'-1' is no share"),
            (["XGB-Model=3.41e38"], "a share is a number from 0 to 3.40282e+38"),
            (["XGB-Model=inf"], "'inf' is no share"),
            (["XGB-Model=nan"], "'nan' is no share"),
            (["XGB-Model=1", "XGB-Model=2"], "variant 'XGB-Model' has two shares"),
            (["XGB-Model=101"], "there is no rest of 100 for 'Linear-Model': the others have 101"),
            (["XGB-Model=0", "Linear-Model=0"], "no variant would get any traffic"),
        ],
    )
    def test_what_cannot_be_is_refused(self, words, told):
        assert told in refused(parse_weights, words, "boston", NAMES)

    def test_shares_may_come_as_numbers(self):
        assert completed({"XGB-Model": 25}, "boston", NAMES) == {"Linear-Model": 75.0, "XGB-Model": 25.0}
        assert "'-1' is no share" in refused(completed, {"XGB-Model": -1}, "boston", NAMES)
        assert "did you mean" in refused(completed, {"XGB-Modle": 1}, "boston", NAMES)

    def test_a_rest_that_is_none_but_for_rounding_is_none(self):
        assert completed({"A": 64.1, "B": 35.8, "C": 0.1}, "boston", "ABCD")["D"] == 0
        assert completed({"A": 6.7, "B": 77.9, "C": 15.4}, "boston", "ABCD")["D"] == 0
        assert completed({"A": 99.9}, "boston", "AB")["B"] == 0.1

    def test_of_an_endpoint_without_variants_that_is_said(self):
        assert "has no variant 'A'\n  it has none yet" in refused(check_variant, "boston", "A", [])

    def test_more_than_one_left_out_is_refused(self):
        assert "nothing is said of B and C" in refused(parse_weights, ["A=1"], "boston", ("A", "B", "C"))


class TestSteps:
    def test_they_are_percent(self):
        assert parse_steps("10,50,100") == (10.0, 50.0, 100.0)
        assert parse_steps("0.5%, 2%") == (0.5, 2.0)

    @pytest.mark.parametrize("text", ["50,10", "10,10", "0,10", "10,101", "a", "10,,20", "nan"])
    def test_what_does_not_rise_to_100_at_most_is_refused(self, text):
        assert f"--steps {text}: " in refused(parse_steps, text)

    @pytest.mark.parametrize("text", ["10,", ",10", "10,,20", " "])
    def test_a_comma_with_nothing_beside_it_is_pointed_at(self, text):
        assert f"--steps {text}: a comma has no share beside it" in refused(parse_steps, text)

    def test_a_list_that_a_space_ended_is_put_together(self):
        assert "--steps 5, 10: a list ends at a space" in refused(check_spaces, "--steps", "5,", ["10"])
        assert "spaces: --steps 5,10,50" in refused(check_spaces, "--steps", "5", [",10,", "50"])
        check_spaces("--steps", "5,", [])
        check_spaces("--steps", "5,10", ["20"])

    @pytest.mark.parametrize(
        ("weights", "steps", "hint"),
        [
            (
                {"A": 8, "B": 2},
                (10, 50, 100),
                "has 20 % of the traffic: --steps 10 is less\n  begin above: --steps 50,100",
            ),
            (
                {"A": 4, "B": 6},
                (10, 50),
                "has 60 % of the traffic: --steps 10 is less\n  to give it less: %sm_traffic e A=50",
            ),
        ],
    )
    def test_a_share_that_is_to_rise_does_not_fall_first(self, weights, steps, hint):
        assert hint in refused(check_rising, "e", "B", weights, steps)

    @pytest.mark.parametrize(
        "weights", [{"A": 9, "B": 1}, {"A": 1, "B": 0}, {"A": 0, "B": 0}, {"A": 2.7, "B": 0.30001}]
    )
    def test_one_that_rises_or_stays_is_none_of_that(self, weights):
        check_rising("e", "B", weights, (10, 50))

    @given(WEIGHTS, st.data(), st.floats(0, 100))
    def test_a_step_gives_the_newcomer_its_percent_and_keeps_the_others_proportions(self, weights, data, percent):
        newcomer = data.draw(st.sampled_from(sorted(weights)))
        others = [name for name in weights if name != newcomer]
        after = stepped(weights, newcomer, percent)
        assert after.keys() == weights.keys()
        assert after[newcomer] == percent
        assert sum(after.values()) == pytest.approx(100)
        total = sum(weights[name] for name in others)
        for name in others:
            share = weights[name] / total if total else 1 / len(others)
            assert after[name] == pytest.approx((100 - percent) * share)


def test_a_variant_that_there_is_passes():
    check_variant("boston", "XGB-Model", NAMES)
