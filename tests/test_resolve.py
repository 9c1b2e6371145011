from __future__ import annotations

import pytest

from sm_magics.deploy import create_model
from sm_magics.errors import CellError, PackagingError
from sm_magics.resolve import desired_model, find_model, resolve, spec_of
from sm_magics.spec import parse_endpoint, parse_model, to_yaml
from sm_magics.target import MODEL_TAG
from sm_magics.watch import Snapshot, VariantState, look


def target(deployer, body, declared=None, name="boston"):
    return resolve(parse_endpoint(body, name, deployer.variables), deployer.connection, declared or {})


@pytest.fixture
def declared(deployer, connection):
    """Declare a model by the name `shared`, as a cell of an earlier session did; its name on SageMaker."""
    desired = desired_model(parse_model("data: $linear", "shared", deployer.variables), connection)
    if connection.describe("Model", desired.name) is None:
        create_model(connection, desired, {MODEL_TAG: "shared"})
    return desired.name


class TestResolve:
    def test_an_object_becomes_a_model_named_by_endpoint_variant_and_content(self, deployer):
        found = target(deployer, "variants: {My_V: $linear}".replace("_", "-"))
        (model,) = found.models
        assert model.name.startswith("boston-my-v-")
        assert found.config["ProductionVariants"][0]["ModelName"] == model.name
        assert model.request["ExecutionRoleArn"] == deployer.connection.role
        assert model.artifact is not None

    def test_the_same_object_gives_the_same_name_and_another_one_another(self, deployer):
        names = [target(deployer, f"variants: {{A: ${model}}}").models[0].name for model in ("linear", "linear", "xgb")]
        assert names[0] == names[1] != names[2]

    def test_a_role_of_the_cell_comes_before_the_connection_s(self, deployer):
        role = "arn:aws:iam::123456789012:role/Mine"
        assert target(deployer, f"variants: {{A: $linear}}\nrole: {role}").models[0].request["ExecutionRoleArn"] == role

    def test_a_named_model_is_found_and_not_made(self, deployer, declared):
        found = target(deployer, f"variants: {{A: {declared}}}")
        assert found.models == ()
        assert found.config["ProductionVariants"][0]["ModelName"] == declared

    def test_what_cannot_be_packaged_names_the_variant(self, deployer):
        deployer.variables["number"] = 3
        with pytest.raises(PackagingError, match="variant A: ") as caught:
            target(deployer, "variants: {A: $number}")
        assert caught.value.hint

    def test_shadow_variants_get_their_models_too(self, deployer):
        found = target(deployer, "variants: {A: $linear}\nshadow: {B: $xgb}")
        assert len(found.models) == 2
        assert found.config["ShadowProductionVariants"][0]["ModelName"] == found.models[1].name


class TestCapture:
    @pytest.mark.parametrize("written", ["./kept here", "~/kept here", "{}/kept here", "file://{}/kept%20here"])
    def test_a_directory_becomes_its_url(self, deployer, tmp_path, monkeypatch, written):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        found = target(deployer, f'variants: {{A: $linear}}\ncapture: "{written.format(tmp_path)}"')
        assert found.config["DataCaptureConfig"]["DestinationS3Uri"] == f"file://{tmp_path}/kept%20here"

    def test_where_the_service_cannot_write_to_this_machine_it_is_refused(self, fake_connection):
        for to in ("./kept", "file:///kept"):
            spec = parse_endpoint(f"variants: {{A: m}}\ncapture: {to}", "boston", {})
            with pytest.raises(CellError, match=f"capture: '{to}' is a directory of this machine") as caught:
                resolve(spec, fake_connection(describe_model=[{"ModelName": "m"}]), {})
            assert "s3://bucket/prefix" in caught.value.hint

    def test_a_file_is_no_place_to_capture_to(self, deployer, tmp_path):
        (tmp_path / "kept").touch()
        with pytest.raises(CellError, match="is a file"):
            target(deployer, f"variants: {{A: $linear}}\ncapture: {tmp_path}/kept")


class TestFindModel:
    def test_a_model_of_this_session_comes_first(self, connection, declared):
        assert find_model("mine", connection, {"mine": declared})["ModelName"] == declared

    def test_then_the_model_of_that_very_name(self, connection, declared):
        assert find_model(declared, connection, {})["ModelName"] == declared

    def test_then_one_that_an_earlier_session_declared_so(self, connection, declared):
        assert find_model("shared", connection, {})["ModelName"] == declared

    def test_a_declared_model_that_was_deleted_is_looked_for_further(self, connection, declared):
        assert find_model("shared", connection, {"shared": "gone-0123abcd"})["ModelName"] == declared

    def test_none_is_an_error_with_the_nearest_name(self, connection, declared):
        with pytest.raises(CellError, match="there is no model 'shred'") as caught:
            find_model("shred", connection, {"shared": declared})
        assert caught.value.hint == "did you mean 'shared'?"

    def test_with_nothing_near_it_says_how_to_make_one(self, connection):
        with pytest.raises(CellError) as caught:
            find_model("zzzzzzzz", connection, {})
        assert "%%sm_model zzzzzzzz" in caught.value.hint

    def test_a_name_that_no_model_can_have_is_just_not_there(self, connection):
        with pytest.raises(CellError, match="there is no model"):
            find_model("no model can be called so!", connection, {})


class TestDesiredModel:
    def test_it_is_named_after_the_declaration(self, deployer, connection):
        spec = parse_model("data: $xgb", "candidate", deployer.variables)
        assert desired_model(spec, connection).name.startswith("candidate-")

    def test_what_cannot_be_packaged_names_the_model(self, deployer, connection):
        spec = parse_model("data: ./nowhere.tar.gz", "candidate", deployer.variables)
        with pytest.raises(PackagingError, match="model candidate: "):
            desired_model(spec, connection)


class TestSpecOf:
    def test_the_spec_of_an_endpoint_reproduces_it(self, deployer, served, connection):
        snapshot = look(connection, served)
        config = connection.describe("EndpointConfig", snapshot.config_name)
        text = to_yaml(spec_of(connection, snapshot, config))
        again = deployer.run(served, text)
        assert again[0].plan.actions == ()

    def test_weights_and_counts_are_the_live_ones(self, deployer, name, connection):
        deployer.run(name, "variants: {A: $linear, B: $xgb}\ntags: {team: pricing}")
        wanted = [{"VariantName": "A", "DesiredWeight": 3.0}]
        connection.call("UpdateEndpointWeightsAndCapacities", EndpointName=name, DesiredWeightsAndCapacities=wanted)
        snapshot = look(connection, name)
        spec = spec_of(connection, snapshot, connection.describe("EndpointConfig", snapshot.config_name))
        assert [each.fields["InitialVariantWeight"] for each in spec.variants] == [3.0, 1.0]
        assert spec.tags == {"team": "pricing"}

    def test_without_its_config_there_is_no_telling(self, connection, served):
        assert spec_of(connection, look(connection, served), None) is None

    def test_the_policy_is_that_of_the_last_deployment(self, deployer, name, connection):
        deployer.run(name, "variants: {A: $linear}\ndeploy: {canary: 10%, wait: 5m}")
        snapshot = look(connection, name)
        text = to_yaml(spec_of(connection, snapshot, connection.describe("EndpointConfig", snapshot.config_name)))
        assert "deploy: {canary: 10%, wait: 5m}\n" in text
        assert deployer.run(name, text)[0].plan.actions == ()


CANARY = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "WaitIntervalInSeconds": 300,
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
        }
    }
}
ONCE = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}}
OURS = "sm_magics/boston/A/Invocation5XXErrors/0a1b2c3d"
ALARM = {
    "AlarmName": OURS,
    "MetricName": "Invocation5XXErrors",
    "Statistic": "Average",
    "Threshold": 0.01,
    "Period": 60,
    "EvaluationPeriods": 5,
}


class TestGuardrails:
    """What is told of the last deployment, by a service that answers by a script."""

    def text(self, fake_connection, policy, names, answer):
        last = {**policy, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": each} for each in names]}}
        connection = fake_connection(list_tags=[{"Tags": []}], describe_alarms=[answer])
        state = VariantState("A", 1.0, 1.0, 1, 1)
        snapshot = Snapshot("boston", "arn", "InService", "c", (state,), raw={"LastDeploymentConfig": last})
        return to_yaml(spec_of(connection, snapshot, {"ProductionVariants": [{"VariantName": "A", "ModelName": "m"}]}))

    def test_alarms_of_ours_are_described_again_and_others_named(self, fake_connection):
        text = self.text(fake_connection, CANARY, [OURS, "theirs"], {"MetricAlarms": [ALARM]})
        assert "deploy: {canary: 10%, wait: 5m}\n" in text
        assert "rollback_on: [theirs, {metric: Invocation5XXErrors, above: 1%, for: 5m}]\n" in text

    def test_those_that_may_not_be_looked_at_are_left_out(self, fake_connection, refusal):
        text = self.text(fake_connection, CANARY, [OURS], refusal("no", "AccessDenied", 403))
        assert "deploy: {canary: 10%, wait: 5m}\n" in text
        assert "rollback_on" not in text

    def test_the_default_says_nothing(self, fake_connection):
        assert "deploy" not in self.text(fake_connection, ONCE, [], {})
