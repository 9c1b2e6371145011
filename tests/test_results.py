from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from comparekit import compared

from sm_magics import results
from sm_magics.compare.load import Load
from sm_magics.inventory import Deletion, Inventory, Owned
from sm_magics.invoke import Answer, Invocations, Row, Target
from sm_magics.logs import Entry
from sm_magics.metrics import Span
from sm_magics.plan import Action, Plan
from sm_magics.render.shown import Shown
from sm_magics.render.view import View
from sm_magics.watch import Snapshot, VariantState

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/boston"
SNAPSHOT = Snapshot("boston", ARN, "InService", "c", (VariantState("A", 1.0, 1.0, 1, 1),), raw={"k": "v"})
CONFIG = {"ProductionVariants": [{"VariantName": "A", "ModelName": "m", "InstanceType": "t"}]}
ROW = Row(0, 1.0, None, "A", 1.0)
DELETION = Deletion("boston", (Action("DeleteEndpoint", {}, "endpoint boston", "", "gone", ""),))
OWNED = Inventory((Owned("endpoint", "boston", "boston", datetime(2026, 1, 1, tzinfo=UTC)),), (), ())

LOAD = Load(None, Target("boston"), [b"1"], rate=50, seconds=60, sending=lambda *_, **__: iter(()))
LOAD.wait()

ALL = [
    (results.Endpoint(SNAPSHOT, CONFIG, "here"), "Endpoint boston · InService"),
    (results.EndpointTable((SNAPSHOT,), "here"), "Endpoints · here"),
    (results.Planned(Plan("boston", "c", {})), "Plan for endpoint boston · nothing to do"),
    (results.Model("m", {"PrimaryContainer": {}}), "Model m"),
    (results.Invoked(Invocations(Target("boston"), (ROW,), {"A": 1.0}, None)), "1 row to boston"),
    (results.Payload(Target("boston"), Answer("1", "text/csv", "A", 1.0)), "Answer of boston"),
    (results.Loaded(LOAD), "Load on boston · 50 requests a second for 1m · stopped"),
    (results.Compared(compared(20)[0]), "Comparison on boston · rmse · 20 rows, each to both variants · A is better"),
    (results.Watched(View("Watching boston")), "Watching boston"),
    (results.Deleted(DELETION, done=True), "Deleting boston · done"),
    (results.Logs("boston", None, (Entry("A", "i-1", "one", 1),)), "Logs of boston"),
    (results.Metrics("boston", (), Span(0, 60, 60)), "Metrics of boston · last 1h"),
    (results.History("boston", ()), "History of boston"),
    (results.Listing(OWNED, "here"), "Made by sm_magics · here"),
    (results.Faults("boston", ()), "Faults of boston · no faults"),
    (results.Card(View("A card")), "A card"),
]


def test_every_kind_of_result_is_tested_here():
    assert {type(result).__name__ for result, _ in ALL} == set(results.__all__)


@pytest.mark.parametrize(("result", "title"), ALL, ids=lambda value: type(value).__name__)
class TestEveryResult:
    def test_it_shows_itself_as_its_card(self, result, title):
        assert isinstance(result, Shown)
        assert str(result).split("\n")[0] == title
        assert repr(result) == str(result)
        assert title.split(" · ")[0] in result._repr_mimebundle_()["text/html"]

    def test_it_can_be_made_quiet_and_is_the_same_otherwise(self, result, title):
        quiet = replace(result, quiet=True)
        assert quiet._ipython_display_() is None
        assert str(quiet).split("\n")[0] == title

    def test_it_cannot_be_changed(self, result, title):
        with pytest.raises(AttributeError):
            result.quiet = True
        assert str(result).split("\n")[0] == title


def test_an_endpoint_gives_its_name_its_arn_and_its_status():
    endpoint = results.Endpoint(SNAPSHOT, CONFIG, "here")
    assert (endpoint.name, endpoint.arn, endpoint.status) == ("boston", ARN, "InService")
    assert endpoint.snapshot.raw == {"k": "v"}


def test_an_endpoint_that_was_only_shown_says_nothing_of_calls():
    assert "Nothing to change" not in str(results.Endpoint(SNAPSHOT, CONFIG, "here"))
    assert "Nothing to change" in str(results.Endpoint(SNAPSHOT, CONFIG, "here", done=()))


def test_a_frame_of_no_metrics_and_of_no_lines_has_its_columns():
    metrics = results.Metrics("boston", (), Span(0, 60, 60)).to_frame()
    assert (len(metrics), list(metrics)[:3]) == (0, ["time", "variant", "invocations"])
    lines = results.Logs("boston", None, ()).to_frame()
    assert (len(lines), str(lines["time"].dt.tz)) == (0, "UTC")


def test_invocations_give_their_rows():
    assert results.Invoked(Invocations(Target("boston"), (ROW,), {}, None)).rows == (ROW,)
