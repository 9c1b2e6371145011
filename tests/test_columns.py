from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.columns import MOST_SHOWN, check_columns, noted
from sm_magics.compare.exchange import Target
from sm_magics.errors import CellError
from sm_magics.models import DesiredModel

KNOWN = {"m-a": ("x", "y", "z"), "m-b": ("z", "y", "x")}


def model(name, *columns):
    return DesiredModel(name, {}, None, columns)


def frame(*columns):
    return pd.DataFrame([[0.0] * len(columns)], columns=list(columns))


@pytest.fixture
def served(fake_connection):
    """Return a function from weights to a connection where variants A, B serve the models m-a, m-b with them."""

    def connect(a=1.0, b=0.0):
        variants = [
            {"VariantName": name, "DesiredWeight": weight, "CurrentWeight": weight}
            for name, weight in (("A", a), ("B", b))
        ]
        return fake_connection(
            describe_endpoint=[
                {
                    "EndpointName": "boston",
                    "EndpointArn": "arn",
                    "EndpointStatus": "InService",
                    "EndpointConfigName": "c",
                    "ProductionVariants": variants,
                }
            ],
            describe_endpoint_config=[
                {"ProductionVariants": [{"VariantName": each, "ModelName": f"m-{each.lower()}"} for each in "AB"]}
            ],
        )

    return connect


def told(connection, data, variant=None, known=KNOWN, compared=()):
    with pytest.raises(CellError) as caught:
        check_columns(connection, Target("boston", variant), data, known, compared=compared)
    return str(caught.value)


class TestCheck:
    def test_the_very_columns_in_another_order_are_refused(self, served):
        assert told(served(), frame("x", "z", "y")) == (
            "--data has its columns in another order than the model of variant 'A' takes them: "
            "column 1 is z where the model takes y\n  put them in its order first: x, y, z"
        )

    def test_each_variant_that_may_answer_is_asked_and_no_other(self, served):
        check_columns(served(1.0, 0.0), Target("boston"), frame("x", "y", "z"), KNOWN)
        assert "variant 'B'" in told(served(1.0, 0.5), frame("x", "y", "z"))
        assert "variant 'B'" in told(served(1.0, 0.0), frame("x", "y", "z"), "B")
        check_columns(served(1.0, 0.5), Target("boston", "A"), frame("x", "y", "z"), KNOWN)

    def test_one_that_is_compared_gets_rows_without_a_weight(self, served):
        assert "variant 'B'" in told(served(1.0, 0.0), frame("x", "y", "z"), compared={"A": 1.0, "B": 0.0})
        check_columns(served(1.0, 1.0), Target("boston"), frame("x", "y", "z"), KNOWN, compared=["A"])

    @pytest.mark.parametrize(
        "data",
        [
            frame("x", "y", "z"),
            frame("y", "x"),
            frame("x", "z", "other"),
            frame("x", "x", "y"),
            frame("x"),
            [[3, 2, 1]],
            pd.Series([1, 2], index=["y", "x"]),
            SimpleNamespace(columns=lambda: ["y", "x", "z"]),
        ],
        ids=["same", "fewer", "others", "twice", "one", "list", "series", "method"],
    )
    def test_whatever_else_it_may_be_is_left_to_the_model(self, served, data):
        check_columns(served(), Target("boston"), data, KNOWN)

    def test_where_nothing_is_known_nothing_is_asked(self, fake_connection):
        for known in ({}, {"m-a": ()}):
            check_columns(fake_connection(), Target("boston"), frame("y", "x"), known)

    def test_models_of_others_may_take_any_order(self, served):
        check_columns(served(), Target("boston"), frame("y", "x", "z"), {"m-other": ("x", "y", "z")})

    def test_an_endpoint_or_a_config_that_is_gone_is_not_ours_to_tell(self, fake_connection, served, refusal):
        gone = refusal("Could not find it")
        check_columns(fake_connection(describe_endpoint=[gone]), Target("boston"), frame("y", "x", "z"), KNOWN)
        connection = served()
        connection.session.script["describe_endpoint_config"] = [gone]
        check_columns(connection, Target("boston"), frame("y", "x", "z"), KNOWN)

    def test_of_many_columns_the_first_are_listed(self, served):
        names = tuple(f"c{n}" for n in range(MOST_SHOWN + 1))
        assert told(served(), frame(*reversed(names)), known={"m-a": names}).endswith(", c7, …")

    def test_names_that_are_numbers_are_names(self, served):
        assert "column 0 is 1 where the model takes 0" in told(served(), frame(1, 0), known={"m-a": ("0", "1")})


class TestNoting:
    def test_what_is_made_is_known_by_its_name(self):
        assert noted({"m": ("a",)}, [model("n", "x", "y")]) == {"m": ("a",), "n": ("x", "y")}

    def test_of_the_same_content_with_other_names_nothing_is_known(self):
        assert noted(noted({}, [model("m", "x", "y")]), [model("m", "y", "x")]) == {"m": ()}
        assert noted(noted({}, [model("m")]), [model("m", "y", "x")]) == {"m": ()}

    @given(st.lists(st.tuples(st.sampled_from("mn"), st.sampled_from([(), ("x", "y"), ("y", "x")]))))
    def test_what_is_known_is_what_every_object_said(self, said):
        known = {}
        for name, columns in said:
            known = noted(known, [model(name, *columns)])
        for name, columns in known.items():
            every = {each for other, each in said if other == name}
            assert columns == (every.pop() if len(every) == 1 else ())
