"""The text of every card, word by word: it is what terminals, diffs and the tutorials show."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sm_magics.explain import LogTail
from sm_magics.faults import Fault
from sm_magics.inventory import Deletion, Inventory, Owned
from sm_magics.plan import Action, Plan
from sm_magics.render import text, views
from sm_magics.render.view import Badge, badge, bar
from sm_magics.target import Share
from sm_magics.watch import Snapshot, VariantState

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/boston"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
MADE = datetime(2026, 1, 1, tzinfo=UTC)


def snapshot(**changes):
    states = (VariantState("A", 4.0, 4.0, 1, 1), VariantState("B", 1.0, 1.0, 2, 2))
    raw = {"ProductionVariants": [{"VariantName": "A", "DeployedImages": [{"SpecifiedImage": IMAGE}]}]}
    fields = {"status": "InService", "config_name": "boston-c1", "variants": states, "raw": raw, **changes}
    return Snapshot("boston", ARN, **fields)


CONFIG = {
    "ProductionVariants": [
        {"VariantName": "A", "ModelName": "model-a", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1},
        {"VariantName": "B", "ModelName": "model-b", "InstanceType": "ml.c5.large", "InitialInstanceCount": 2},
    ]
}


def shown(view):
    """Return the text of a card with its bars as numbers of full cells, whatever their length is."""
    told = text.render(view)
    for full in (0.0, 0.2, 0.5, 0.8, 1.0):
        told = told.replace(bar(full), f"<{full:.1f}>".ljust(len(bar(full))))
    return [line.rstrip() for line in told.split("\n")]


def row_of(view, first):
    """Return the words of the row that begins with `first`."""
    return next(line.split() for line in shown(view) if line.split()[:1] == [first])


class TestEndpoint:
    def test_the_card_says_what_serves_with_which_weight_on_what(self):
        lines = shown(views.endpoint(snapshot(), CONFIG, "local engine", done="Done and verified: CreateEndpoint."))
        assert lines[0] == "Endpoint boston · InService"
        assert lines[2:4] == ["  config      boston-c1", "  connection  local engine"]
        assert lines[5].split() == ["variant", "model", "image", "instances", "weight", "traffic"]
        assert " ".join(lines[7].split()) == "A model-a sagemaker-xgboost:3.0-5 1 × ml.m5.large 4 <0.8> 80 %"
        assert " ".join(lines[8].split()) == "B model-b 2 × ml.c5.large 1 <0.2> 20 %"
        assert lines[9:] == ["", "  Done and verified: CreateEndpoint."]

    def test_without_its_config_it_says_that_the_model_is_unknown(self):
        row = " ".join(row_of(views.endpoint(snapshot(), None, "here"), "A"))
        assert "unknown: the config was deleted" in row

    def test_instances_that_are_missing_are_counted(self):
        moving = (VariantState("A", 1.0, 1.0, 1, 3),)
        assert "1 of 3 × ml.m5.large" in " ".join(row_of(views.endpoint(snapshot(variants=moving), CONFIG, "h"), "A"))

    def test_what_the_reader_may_not_expect_of_a_call_is_said_before_and_after(self):
        step = Action("UpdateEndpointWeightsAndCapacities", {}, "endpoint b", "", "", "", caution="Not watched.")
        assert views.done([step], verified=True).endswith("UpdateEndpointWeightsAndCapacities.\nNot watched.")
        assert shown(views.plan(Plan("b", "c", {}, (step,))))[-1] == "  Not watched."

    def test_where_no_instance_is_ready_it_says_so_and_where_to_look(self):
        dead = (VariantState("A", 1.0, 1.0, 0, 4), VariantState("B", 1.0, 1.0, 2, 2))
        lines = shown(views.endpoint(snapshot(variants=dead), CONFIG, "h"))
        assert lines[-1] == "  No instance of A is ready. What they printed: %sm_logs boston"
        assert "0 of 4 × ml.m5.large" in "\n".join(lines)
        assert row_of(views.endpoints([snapshot(variants=dead)], "h"), "boston")[-3:] == ["2", "of", "6"]
        assert "No instance" not in "\n".join(shown(views.endpoint(snapshot(), CONFIG, "h")))

    def test_a_creation_that_failed_has_its_log_and_what_to_do_and_no_empty_table(self):
        failed = snapshot(status="Failed", variants=(), failure_reason="no ping")
        log = LogTail("/aws/x/A/i-1", ("cannot load", "the model"))
        assert shown(views.endpoint(failed, CONFIG, "h", log=log))[3:] == [
            "  connection  h",
            "",
            "  Reason: no ping",
            "",
            "  Last lines of /aws/x/A/i-1:",
            "    cannot load",
            "    the model",
            "",
            "  Run its cell again, mended, which replaces it, or delete it: %sm_delete boston --yes",
        ]

    def test_a_shadow_says_how_much_is_copied_to_it(self):
        shadow = {"VariantName": "New", "ModelName": "model-n", "InstanceType": "ml.m5.large"}
        view = views.endpoint(
            snapshot(shadows=(VariantState("New", 1.0, 1.0, 1, 1),)),
            {**CONFIG, "ShadowProductionVariants": [shadow]},
            "h",
        )
        assert " ".join(row_of(view, "New")) == "New (shadow) model-n 1 × ml.m5.large 1 <0.2> 20 % copied"
        assert row_of(view, "A")[-2:] == ["80", "%"]

    @pytest.mark.parametrize(("status", "told"), [("Started", ""), ("Stopped", " (Stopped)")])
    def test_capture_says_how_much_goes_where_and_whether_it_arrives(self, status, told):
        capture = {
            "EnableCapture": True,
            "CaptureStatus": status,
            "CurrentSamplingPercentage": 20,
            "DestinationS3Uri": "s3://bucket/prefix",
        }
        lines = shown(views.endpoint(snapshot(raw={"DataCaptureConfig": capture}), CONFIG, "h"))
        assert f"  capture     20 % to s3://bucket/prefix{told}" in lines
        off = {"DataCaptureConfig": {**capture, "EnableCapture": False}}
        assert not any("capture" in line for line in shown(views.endpoint(snapshot(raw=off), CONFIG, "h")))

    def test_a_serverless_variant_is_called_so(self):
        config = {"ProductionVariants": [{"VariantName": "A", "ModelName": "m", "ServerlessConfig": {}}]}
        states = (VariantState("A", 1.0, 1.0, 0, None),)
        assert "serverless" in row_of(views.endpoint(snapshot(variants=states), config, "h"), "A")

    def test_while_it_is_created_the_fleet_that_is_coming_is_shown(self):
        coming = (VariantState("A", 0.0, 1.0, 0, 1, "Creating"),)
        view = views.endpoint(snapshot(status="Creating", variants=(), pending=coming), CONFIG, "h")
        assert row_of(view, "A")[1] == "model-a"
        assert view.badge.tone == "busy"

    def test_why_it_failed_is_told(self):
        view = views.endpoint(snapshot(status="Failed", failure_reason="no capacity"), CONFIG, "h")
        assert "  Reason: no capacity" in shown(view)
        assert view.badge.tone == "bad"

    def test_the_cell_that_would_reproduce_it_is_shown_as_it_is(self):
        view = views.endpoint(snapshot(), CONFIG, "h", body="variants:\n  A: m\n")
        assert shown(view)[-3:] == [
            "    %%sm_endpoint boston",
            "    variants:",
            "      A: m",
        ]

    def test_a_status_that_is_not_known_is_shown_plainly(self):
        assert badge("Hibernating") == Badge("Hibernating", "plain")


@pytest.mark.parametrize(
    ("operations", "verified", "told"),
    [
        ([], True, "Nothing to change: the endpoint is what the cell says."),
        (["CreateEndpoint"], True, "Done and verified: CreateEndpoint."),
        (["CreateModel", "CreateModel", "UpdateEndpoint"], True, "Done and verified: 2 × CreateModel, UpdateEndpoint."),
        (["CreateEndpoint"], False, "Asked for, and not waited for: CreateEndpoint."),
    ],
)
def test_what_was_done_is_told_in_a_sentence(operations, verified, told):
    assert views.done([Action(each, {}, "", "", "", "") for each in operations], verified=verified) == told


def test_the_table_of_endpoints_has_a_row_for_each():
    view = views.endpoints([snapshot(), snapshot(status="Creating", variants=())], "local engine")
    assert shown(view) == [
        "Endpoints · local engine",
        "",
        "  endpoint  status     variants  traffic      instances",
        "  ─────────────────────────────────────────────────────",
        "  boston    InService  A, B      80 % / 20 %          3",
        "  boston    Creating                                  0",
    ]


def test_no_endpoints_is_said_in_words():
    assert shown(views.endpoints([], "here")) == ["Endpoints · here", "", "  There are no endpoints yet."]


class TestPlan:
    def test_the_card_lists_each_call_with_what_changes_and_why(self):
        actions = (
            Action("CreateModel", {}, "model m", "", "sagemaker-xgboost:3.0-5", "new content"),
            Action("UpdateEndpoint", {}, "endpoint boston", "A 100 %", "B 100 %", "without A, with B"),
        )
        assert shown(views.plan(Plan("boston", "c", {"B": Share(1.0, 1)}, actions))) == [
            "Plan for endpoint boston · 2 calls",
            "",
            "     AWS call        what             from     to                       why",
            "  ───────────────────────────────────────────────────────────────────────────────────────",
            "  1  CreateModel     model m          –        sagemaker-xgboost:3.0-5  new content",
            "  2  UpdateEndpoint  endpoint boston  A 100 %  B 100 %                  without A, with B",
        ]

    def test_one_call_is_not_several(self):
        plan = Plan("boston", "c", {}, (Action("CreateEndpoint", {}, "e", "", "", "w"),))
        assert shown(views.plan(plan))[0] == "Plan for endpoint boston · 1 call"

    def test_nothing_to_do_is_said_so(self):
        assert shown(views.plan(Plan("boston", "c", {}))) == [
            "Plan for endpoint boston · nothing to do",
            "",
            "  The endpoint is what the cell says.",
        ]

    def test_an_endpoint_in_progress_would_be_waited_for(self):
        lines = shown(views.plan(Plan("boston", "c", {}, settle_first=True)))
        assert lines[0] == "Plan for endpoint boston · wait first"
        assert "right now" in lines[2]


class TestDeletion:
    GOING = Deletion(
        "boston",
        (
            Action("DeleteEndpoint", {}, "endpoint boston", "InService", "gone", "made here"),
            Action("DeleteModel", {}, "model m", "", "gone", "made here"),
        ),
        (("model m2", "endpoint other serves it"),),
    )

    def test_before_it_is_done_the_card_says_how_to_do_it(self):
        assert shown(views.deletion(self.GOING, done=False)) == [
            "Deleting boston · not yet",
            "",
            "  would be deleted  AWS call",
            "  ────────────────────────────────",
            "  endpoint boston   DeleteEndpoint",
            "  model m           DeleteModel",
            "",
            "  Kept model m2: endpoint other serves it.",
            "",
            "  Nothing was deleted. To do it: %sm_delete boston --yes",
        ]

    def test_afterwards_it_says_what_is_gone_and_what_was_kept(self):
        lines = shown(views.deletion(self.GOING, done=True))
        assert lines[0] == "Deleting boston · done"
        assert lines[2].split()[0] == "deleted"
        assert lines[-1] == "  Kept model m2: endpoint other serves it."


class TestInventory:
    def test_what_is_left_over_is_told_with_how_to_delete_it(self):
        owned = Inventory(
            (Owned("endpoint", "a", "a", MADE, "InService"),),
            (Owned("endpoint config", "b-c", "b", MADE),),
            (Owned("model", "b-m", "b", MADE), Owned("declared model", "m-1", "m", MADE)),
        )
        assert shown(views.inventory(owned, "here")) == [
            "Made by sm_magics · here",
            "",
            "  kind             name  made for  status",
            "  ──────────────────────────────────────────",
            "  endpoint         a     a         InService",
            "  endpoint config  b-c   b         left over",
            "  model            b-m   b         left over",
            "  declared model   m-1   m",
            "",
            "  Left over from endpoint b, which is gone. To delete it: %sm_delete b --yes",
        ]

    def test_alarms_are_listed_after_their_endpoints(self):
        name = "sm_magics/b/A/ModelLatency/0a1b2c3d"
        lines = shown(views.inventory(Inventory((), (), (), (Owned("alarm", name, "b", MADE, "OK"),)), "here"))
        assert lines[4].split() == ["alarm", name, "b", "left", "over"]
        assert lines[-1] == "  Left over from endpoint b, which is gone. To delete it: %sm_delete b --yes"

    def test_nothing_is_said_so(self):
        assert shown(views.inventory(Inventory((), (), ()), "here"))[-1] == "  Nothing."


class TestModel:
    def test_the_card_names_its_image_data_environment_and_role(self):
        container = {"Image": IMAGE, "ModelDataUrl": "s3://b/m.tar.gz", "Environment": {"K": "v"}}
        request = {"PrimaryContainer": container, "ExecutionRoleArn": "arn:r"}
        assert shown(views.model("m", request, "Made by CreateModel.")) == [
            "Model m",
            "",
            f"  image  {IMAGE}",
            "  data   s3://b/m.tar.gz",
            "  K      v",
            "  role   arn:r",
            "",
            "  Made by CreateModel.",
        ]

    @pytest.mark.parametrize(
        ("key", "value", "is_shown"),
        [
            ("HF_TOKEN", "hf_abc", False),
            ("DB_PASSWORD", "abc", False),
            ("OPENAI_API_KEY", "abc", False),
            ("AWS_SECRET_ACCESS_KEY", "abc", False),
            ("token", "abc", False),
            ("DATABASE", "postgres://me:abc@host/db", False),
            ("MAX_INPUT_TOKENS", "abc", True),
            ("TOKENIZERS_PARALLELISM", "abc", True),
            ("KEYED_BY", "abc", True),
            ("URL", "https://host/abc", True),
        ],
    )
    def test_what_looks_like_a_secret_does_not_get_into_the_notebook(self, key, value, is_shown):
        told = "\n".join(shown(views.model("m", {"PrimaryContainer": {"Environment": {key: value}}}, "")))
        assert (value in told) is is_shown
        assert ("hidden, as it looks like a secret" in told) is not is_shown

    def test_one_without_data_says_none_and_one_of_a_list_is_understood(self):
        assert "  data   none" in shown(views.model("m", {"Containers": [{"Image": IMAGE}]}, ""))

    def test_one_that_comes_from_a_package_has_no_image(self):
        assert shown(views.model("m", {"PrimaryContainer": {"ModelPackageName": "p"}}, ""))[0] == "Model m"


def test_faults_are_told_with_how_much_and_where():
    some = (Fault("crash"), Fault("5xx", "A", percentage=0.5), Fault("slow", seconds=1.5, next_only=True))
    told = [
        " ".join(line.split())
        for line in shown(views.faults("boston", (*some, Fault("quota", spared="c1", next_only=True))))
    ]
    assert told[0] == "Faults of boston · 4 faults"
    assert told[2] == "kind variant how much fleets"
    assert told[4] == "crash all once, at the next invocation all"
    assert told[5].startswith("5xx A 0.5 % of invocations all")
    assert told[6] == "slow all 1.5s later the next"
    assert told[7] == "quota all every new instance all but that of c1"
    assert shown(views.faults("boston", ())) == ["Faults of boston · no faults", "", "  Nothing goes wrong on purpose."]
    assert shown(views.faults("boston", some[:1]))[0] == "Faults of boston · 1 fault"


def test_facts_are_shown_with_or_without_a_note():
    assert shown(views.facts("Settings", {"wait": "true"})) == ["Settings", "", "  wait  true"]
    assert shown(views.facts("Settings", {"wait": "true"}, "So it is."))[-1] == "  So it is."
