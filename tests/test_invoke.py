from __future__ import annotations

import contextlib
import io
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from invokekit import Reply, Server, connect
from invokekit import refusal as refused

from sm_magics.errors import CellError, InvokeError
from sm_magics.invoke import PATIENCE, Answer, Row, Target, invoke, invoke_rows, prediction_of
from sm_magics.rows import json_line

SLOW = "Your invocation timed out while waiting for a response from container primary."


def answered(body, content_type="text/csv; charset=utf-8"):
    return Answer(body, content_type, "A", 1.0)


@pytest.mark.parametrize(
    ("body", "content_type", "prediction"),
    [
        ("24.5", "text/csv; charset=utf-8", 24.5),
        ("24.5\n", "text/csv", 24.5),
        ("0.1,0.2,0.7", "text/csv", (0.1, 0.2, 0.7)),
        ("nan", "text/csv", pytest.approx(float("nan"), nan_ok=True)),
        ("setosa", "text/csv", "setosa"),
        ("", "text/csv", ""),
        ('{"predictions": [{"score": 24.5}]}', "application/json", 24.5),
        ('{"predictions": [{"score": [0.1, 0.9], "predicted_label": 1}]}', "application/json", 1.0),
        ('{"predictions": [{"score": 0.9, "predicted_label": 1.0}]}', "application/json", 1.0),
        ('{"predictions": [{"predicted_label": "setosa"}]}', "application/json", "setosa"),
        ('{"predictions": [24.5]}', "application/json", 24.5),
        ("24.5", "application/json", 24.5),
        ("[[24.5]]", "application/json", 24.5),
        ("[[0.1, 0.9]]", "application/json", (0.1, 0.9)),
        ('"setosa"', "application/json", "setosa"),
        ('{"score": 24.5}\n', "application/jsonlines", 24.5),
        ('{"predictions": []}', "application/json", '{"predictions": []}'),
        ('{"other": 1}', "application/json", '{"other": 1}'),
        ("[[1, 2], [3, 4]]", "application/json", "[[1, 2], [3, 4]]"),
        ("null", "application/json", "null"),
        ("no json", "application/json", "no json"),
        ("", "application/jsonlines", ""),
    ],
)
def test_an_answer_becomes_a_number_where_it_is_one_and_stays_a_text_where_not(body, content_type, prediction):
    assert prediction_of(answered(body, content_type)) == prediction


@pytest.mark.parametrize(
    ("prediction", "truth", "error"),
    [(3.0, 2.0, 1.0), (3.0, 2, 1.0), ("a", 2.0, None), (3.0, None, None), (3.0, "b", None), ((1.0, 2.0), 1.0, None)],
)
def test_an_error_is_prediction_minus_truth_where_both_are_numbers(prediction, truth, error):
    assert Row(0, prediction, truth, "A", 1.0).error == error


@pytest.fixture
def runtime(fake_connection):
    """Return a function that connects to an endpoint that answers by a script."""

    def connect(*answers, variants=(("A", 1.0),)):
        described = {
            "ProductionVariants": [{"VariantName": name, "DesiredWeight": weight} for name, weight in variants]
        }
        return fake_connection(describe_endpoint=[described], invoke_endpoint=answers)

    return connect


def body(text, variant="A"):
    return lambda **_: {"Body": io.BytesIO(text), "ContentType": "text/csv", "InvokedProductionVariant": variant}


class TestOnePayload:
    def test_only_what_is_given_is_sent(self, runtime):
        connection = runtime(body(b"1.5"))
        invoke(connection, Target("boston"), b"1,2")
        invoke(connection, Target("boston", "A", "application/json", "text/csv"), b"{}", inference_id="one")
        first, second = (request for operation, request in connection.session.calls)
        assert first == {"EndpointName": "boston", "Body": b"1,2", "ContentType": "text/csv"}
        assert second == {
            "EndpointName": "boston",
            "Body": b"{}",
            "TargetVariant": "A",
            "ContentType": "application/json",
            "Accept": "text/csv",
            "InferenceId": "one",
        }

    def test_the_answer_comes_with_its_variant_type_and_time(self, runtime):
        ticks = itertools.count(0.0, 0.25)
        answer = invoke(runtime(body(b"1.5")), Target("boston"), b"1,2", lambda: next(ticks))
        assert answer == Answer("1.5", "text/csv", "A", 250.0)

    def test_bytes_that_are_no_text_do_not_break_it(self, runtime):
        assert invoke(runtime(body(b"\xff\xfe")), Target("boston"), b"1").body == "��"

    def test_a_model_s_own_error_is_told_with_its_status_and_words(self, runtime, refusal):
        error = refusal(
            'Received client error (400) from primary with message "could not convert string to float"',
            "ModelError",
            424,
            OriginalStatusCode=400,
            OriginalMessage="could not convert string to float: 'a'\n",
        )
        with pytest.raises(InvokeError) as caught:
            invoke(runtime(error), Target("boston"), b"a")
        assert caught.value.message == "endpoint 'boston' answered 400: could not convert string to float: 'a'"
        assert caught.value.hint == "send numbers only: encode text columns as the training did"

    def test_a_variant_that_was_asked_for_is_named(self, runtime, refusal):
        error = refusal("", "ModelError", 424, OriginalStatusCode=500, OriginalMessage="boom")
        with pytest.raises(InvokeError, match="variant 'B' answered 500: boom"):
            invoke(runtime(error), Target("boston", "B"), b"a")

    def test_an_endless_message_is_cut(self, runtime, refusal):
        error = refusal("", "ModelError", 424, OriginalStatusCode=500, OriginalMessage="x" * 9999)
        with pytest.raises(InvokeError) as caught:
            invoke(runtime(error), Target("boston"), b"a")
        assert len(caught.value.message) == 1000


class TestRows:
    @pytest.fixture
    def serve(self, fake_connection):
        """Yield a function that connects to an endpoint, which answers over HTTP by a script, and gives its server."""
        with contextlib.ExitStack() as stack:

            def start(*replies, variants=(("A", 1.0),)):
                described = {
                    "ProductionVariants": [{"VariantName": name, "DesiredWeight": weight} for name, weight in variants]
                }
                turns = iter(replies)
                asked = []
                server = stack.enter_context(Server(lambda one: asked.append(one) or next(turns)))
                connection = fake_connection(describe_endpoint=[described])
                real = connect(server.url)
                connection._clients["sagemaker-runtime"] = real.client("sagemaker-runtime")
                connection.session.get_credentials = real.session.get_credentials
                return connection, asked

            yield start

    def test_each_row_is_a_request_of_its_own_in_order(self, serve):
        connection, asked = serve(by("A", b"1"), by("B", b"2"), variants=(("A", 3.0), ("B", 1.0)))
        sent = invoke_rows(connection, Target("boston"), [[1, 2], [3, 4], [5, 6]], truths=[0.0, 4.0, 9.0], limit=2)
        assert [each.body for each in asked] == [b"1,2", b"3,4"]
        assert [(row.number, row.prediction, row.error, row.variant) for row in sent.rows] == [
            (0, 1.0, 1.0, "A"),
            (1, 2.0, -2.0, "B"),
        ]
        assert sent.weights == {"A": 3.0, "B": 1.0}
        assert sent.available == 3

    def test_true_values_of_the_rows_that_are_sent_go_by_their_index(self, serve):
        connection, asked = serve(Reply(body=b"1"), Reply(body=b"1"))
        frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]}, index=[3, 1, 0, 2])
        truths = pd.Series([0.0, 10.0, 20.0, 30.0]).loc[[1, 3, 2]]
        with pytest.raises(CellError, match="is not that of the first 2 rows of --data"):
            invoke_rows(connection, Target("boston"), frame, truths=truths.sort_index().head(2), limit=2)
        assert asked == []
        sent = invoke_rows(connection, Target("boston"), frame, truths=truths, limit=2)
        assert [row.truth for row in sent.rows] == [30.0, 10.0]

    def test_without_truths_nothing_is_true(self, serve):
        connection, _ = serve(by("A", b"1"))
        assert [row.truth for row in invoke_rows(connection, Target("boston"), [[1]]).rows] == [None]

    def test_the_answer_comes_with_its_time(self, serve):
        connection, _ = serve(by("A", b"1"))
        ticks = itertools.count(0.0, 0.25)
        (row,) = invoke_rows(connection, Target("boston"), [[1]], clock=lambda: next(ticks)).rows
        assert row.milliseconds == 250.0

    def test_rows_go_as_their_target_says_with_ids_of_their_own(self, serve):
        connection, asked = serve(by("A", b"1"), by("A", b"2"))
        target = Target("boston", "A", "application/jsonlines", "application/json")
        invoke_rows(connection, target, [[1.5], [2]], serialize=json_line, inference_id="run")
        assert [each.body for each in asked] == [b'{"features":[1.5]}', b'{"features":[2]}']
        told = [
            {name.removeprefix("x-amzn-sagemaker-"): value for name, value in each.headers.items()} for each in asked
        ]
        assert [each["inference-id"] for each in told] == ["run-0", "run-1"]
        for each in told:
            assert (each["content-type"], each["accept"]) == ("application/jsonlines", "application/json")
            assert each["target-variant"] == "A"

    def test_a_row_that_fails_is_told_with_its_columns_and_the_hint_and_the_others_are_sent(self, serve):
        told = "could not convert string to float"
        error = refused("ModelError", told, 424, OriginalStatusCode=400, OriginalMessage=told)
        connection, asked = serve(by("A", b"1"), error, by("A", b"3"))
        sent = invoke_rows(connection, Target("boston"), [[1, 2], [3, 4], [5, 6]])
        assert [(row.number, row.prediction) for row in sent.rows] == [(0, 1.0), (2, 3.0)]
        assert [(each.number, each.columns) for each in sent.failed] == [(1, 2)]
        assert sent.error.message == (
            f"1 of 3 rows failed: first row 1 (2 columns): endpoint 'boston' answered 400: {told}"
        )
        assert sent.error.hint == "send numbers only: encode text columns as the training did"
        assert len(asked) == 3

    def test_where_none_is_answered_only_a_few_are_sent(self, serve):
        error = refused("ModelError", "boom", 424, OriginalStatusCode=500, OriginalMessage="boom")
        connection, asked = serve(*[error] * 20)
        sent = invoke_rows(connection, Target("boston"), [[1]] * 20)
        assert len(asked) == len(sent.failed) == PATIENCE
        assert sent.error.message.startswith("5 of 20 rows failed, and no more were sent: first row 0 (1 column): ")
        assert sent.error.hint == "%sm_logs boston shows what its instances printed"

    @pytest.mark.parametrize(
        ("reply", "told", "hint"),
        [
            (
                refused("ModelError", SLOW, 424, OriginalStatusCode=0, OriginalMessage=SLOW),
                f"endpoint 'boston' did not answer: {SLOW}",
                "%sm_logs boston why not",
            ),
            (refused("ValidationError", "Could not find variant", 400), "Could not find variant", "%sm_status boston"),
        ],
    )
    def test_what_took_its_minute_or_is_no_matter_of_the_row_ends_it(self, serve, reply, told, hint):
        connection, asked = serve(by("A", b"1"), reply, by("A", b"1"))
        sent = invoke_rows(connection, Target("boston"), [[1]] * 3)
        assert (len(asked), len(sent.rows)) == (2, 1)
        assert sent.error.message.startswith("1 of 3 rows failed, and no more were sent: first row 1 (1 column): ")
        assert told in sent.error.message
        assert hint in sent.error.hint

    def test_an_interrupt_keeps_what_was_answered(self, serve):
        connection, _ = serve(by("A", b"1"), by("A", b"2"))
        turns = iter([None, KeyboardInterrupt()])

        def serialize(_row):
            if (error := next(turns)) is not None:
                raise error
            return b"1"

        sent = invoke_rows(connection, Target("boston"), [[1]] * 3, serialize=serialize)
        assert [row.prediction for row in sent.rows] == [1.0]
        assert sent.interrupted
        assert sent.planned == 3

    @pytest.mark.parametrize(("status", "hint"), [("Failed", "says more"), ("Creating", "--wait waits for it")])
    def test_an_endpoint_that_does_not_serve_is_said_so(self, fake_connection, status, hint):
        connection = fake_connection(describe_endpoint=[{"EndpointStatus": status}])
        with pytest.raises(InvokeError, match=f"endpoint 'boston' is {status}, so nothing answers") as caught:
            invoke_rows(connection, Target("boston"), [[1]])
        assert caught.value.hint == f"%sm_status boston {hint}"

    def test_too_few_truths_are_found_before_anything_is_sent(self, serve):
        connection, asked = serve(by("A", b"1"))
        with pytest.raises(CellError, match="--expect"):
            invoke_rows(connection, Target("boston"), [[1], [2]], truths=[1.0])
        with pytest.raises(CellError, match="--expect has 3 values for 2 rows: they may not belong together"):
            invoke_rows(connection, Target("boston"), [[1], [2]], truths=[1.0, 2.0, 3.0], limit=1)
        assert asked == connection.session.calls == []

    def test_what_cannot_be_sent_at_all_is_told_without_a_row(self, serve):
        connection, _ = serve(by("A", b"1"))
        connection.session.get_credentials = lambda: None
        connection._clients["sagemaker-runtime"]._request_signer._credentials = None
        with pytest.raises(InvokeError, match=r"^InvokeEndpoint: Unable to locate credentials"):
            invoke_rows(connection, Target("boston"), [[1]])

    def test_an_endpoint_that_is_not_there_is_said_so(self, fake_connection, refusal):
        connection = fake_connection(describe_endpoint=[refusal("Could not find endpoint")])
        with pytest.raises(InvokeError, match="there is no endpoint 'nope'") as caught:
            invoke_rows(connection, Target("nope"), [[1]])
        assert "%sm_status" in caught.value.hint


def by(variant, body):
    return Reply(body, headers={"x-Amzn-Invoked-Production-Variant": variant})


class TestOnTheEngine:
    def test_predictions_are_those_of_the_models(self, connection, served, linear, xgb, data):
        rows, truths = data
        sent = invoke_rows(connection, Target(served), pd.DataFrame(rows), truths=truths, limit=20)
        models = {"Linear-Model": linear, "XGB-Model": xgb}
        for row in sent.rows:
            expected = float(models[row.variant].predict(rows[row.number : row.number + 1])[0])
            assert row.prediction == pytest.approx(expected, rel=1e-4)
        assert {row.variant for row in sent.rows} == set(models)
        assert sum(row.variant == "XGB-Model" for row in sent.rows) == 4  # 20 % of 20, exactly

    def test_a_variant_can_be_asked_for(self, connection, served, data):
        sent = invoke_rows(connection, Target(served, "XGB-Model"), data[0], limit=5)
        assert {row.variant for row in sent.rows} == {"XGB-Model"}

    @pytest.mark.parametrize("variant", ["Linear-Model", "XGB-Model"])
    def test_a_row_of_the_wrong_width_says_which_and_what_to_do(self, connection, served, variant):
        error = invoke_rows(connection, Target(served, variant), np.zeros((1, 20))).error
        assert re.match(r"row 0 \(20 columns\): variant .* answered 400", error.message)
        assert "as many columns" in error.hint

    def test_a_missing_value_is_the_model_s_to_understand(self, connection, served, xgb):
        row = np.full((1, 13), np.nan)
        (sent,) = invoke_rows(connection, Target(served, "XGB-Model"), row).rows
        assert sent.prediction == pytest.approx(float(xgb.predict(row)[0]), rel=1e-5)

    def test_an_unknown_variant_is_said_so_with_where_to_look(self, connection, served):
        with pytest.raises(InvokeError, match='Could not find variant "Z"') as caught:
            invoke(connection, Target(served, "Z"), b"1")
        assert "%sm_status" in caught.value.hint

    def test_an_unknown_endpoint_is_said_so_with_where_to_look(self, connection):
        with pytest.raises(InvokeError, match=r"Endpoint nope of account .* not found") as caught:
            invoke(connection, Target("nope"), b"1")
        assert "%sm_status" in caught.value.hint

    def test_a_payload_that_is_too_large_is_told_as_such(self, connection, served):
        with pytest.raises(InvokeError) as caught:
            invoke(connection, Target(served), b"1," * (4 << 20))
        assert "6 MiB" in caught.value.hint
