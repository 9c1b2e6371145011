from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sm_magics import inventory as module
from sm_magics.deploy import create_model
from sm_magics.errors import PlanError, ServiceError
from sm_magics.events import Called, Calling, Planned, Seen
from sm_magics.inventory import Inventory, Owned, delete, deletion, inventory, surplus
from sm_magics.resolve import desired_model
from sm_magics.settle import settle
from sm_magics.spec import parse_model
from sm_magics.target import MODEL_TAG
from sm_magics.watch import look

ONE = "variants: {A: $linear}"
NOW = datetime(2026, 11, 25, tzinfo=UTC)
ROLE = "arn:aws:iam::123456789012:role/r"


def of(owned, name):
    """Return what an inventory has for one owner, by kind."""
    things = (*owned.endpoints, *owned.configs, *owned.models)
    return sorted(each.kind for each in things if each.owner == name)


def declare(deployer, name):
    desired = desired_model(parse_model("data: $linear", name, deployer.variables), deployer.connection)
    create_model(deployer.connection, desired, {MODEL_TAG: name})
    return desired.name


def operations(going):
    return [each.operation for each in going.actions]


def test_everything_made_for_an_endpoint_is_listed_under_its_name(deployer, name):
    deployer.run(name, ONE)
    owned = inventory(deployer.connection)
    assert of(owned, name) == ["endpoint", "endpoint config", "model"]
    (endpoint,) = [each for each in owned.endpoints if each.name == name]
    assert (endpoint.owner, endpoint.status) == (name, "InService")
    assert not [each for each in owned.leftovers if each.owner == name]


def test_what_others_made_is_not_listed(connection):
    connection.call(
        "CreateModel", ModelName="foreign-0123abcd", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "xgboost:1"}
    )
    try:
        assert "foreign-0123abcd" not in {each.name for each in inventory(connection).models}
        with pytest.raises(PlanError, match="no endpoint and no declared model"):
            deletion(connection, "foreign-0123abcd")
    finally:
        connection.call("DeleteModel", ModelName="foreign-0123abcd")


def test_only_names_that_could_be_ours_are_asked_for_their_tags(fake_connection):
    row = {"ModelArn": "arn", "CreationTime": datetime.now(UTC)}
    models = [{**row, "ModelName": "somebody-else"}, {**row, "ModelName": "boston-a-0123abcd"}]
    connection = fake_connection(
        list_endpoints=[{"Endpoints": []}],
        list_endpoint_configs=[{"EndpointConfigs": []}],
        list_models=[{"Models": models}],
        list_tags=[{"Tags": [{"Key": "sm_magics:endpoint", "Value": "boston"}]}],
        describe_alarms=[{"MetricAlarms": []}],
    )
    assert [each.name for each in inventory(connection).models] == ["boston-a-0123abcd"]
    assert connection.session.operations.count("list_tags") == 1


def test_what_is_deleted_while_it_is_listed_is_left_out(fake_connection, refusal):
    model = {"ModelArn": "arn", "CreationTime": datetime.now(UTC), "ModelName": "boston-a-0123abcd"}
    connection = fake_connection(
        list_endpoints=[{"Endpoints": []}],
        list_endpoint_configs=[{"EndpointConfigs": []}],
        list_models=[{"Models": [model]}],
        list_tags=[refusal("Could not find resource")],
        describe_alarms=[{"MetricAlarms": []}],
    )
    assert inventory(connection).models == ()


def test_tags_that_may_not_be_read_are_an_error_and_not_no_tags(fake_connection, refusal):
    endpoint = {"EndpointArn": "arn", "CreationTime": datetime.now(UTC), "EndpointName": "boston"}
    connection = fake_connection(
        list_endpoints=[{"Endpoints": [endpoint]}], list_tags=[refusal("not allowed", "AccessDeniedException")]
    )
    with pytest.raises(ServiceError, match="not allowed"):
        inventory(connection)


def test_leftovers_are_the_parts_of_endpoints_that_are_gone(deployer, name, connection):
    deployer.run(name, ONE)
    connection.call("DeleteEndpoint", EndpointName=name)
    while look(connection, name) is not None:
        pass
    left = [each.kind for each in inventory(connection).leftovers if each.owner == name]
    assert left == ["endpoint config", "model"]
    going = deletion(connection, name)
    assert operations(going) == ["DeleteEndpointConfig", "DeleteModel"]
    list(delete(connection, going, deployer.clock))
    assert of(inventory(connection), name) == []


def test_a_declared_model_is_no_leftover():
    made = datetime.now(UTC)
    model = Owned("declared model", "xgb-0123abcd", "xgb", made)
    assert Inventory((), (), (model,)).leftovers == ()


class TestDeletion:
    def test_the_endpoint_goes_first_then_its_configs_then_its_models(self, deployer, name, connection):
        deployer.run(name, ONE)
        deployer.run(name, "variants: {A: $xgb}")
        going = deletion(connection, name)
        assert operations(going) == ["DeleteEndpoint", *["DeleteEndpointConfig"] * 2, *["DeleteModel"] * 2]
        events = list(delete(connection, going, deployer.clock))
        assert isinstance(events[0], Planned)
        assert [each.action.operation for each in events if isinstance(each, Called)] == operations(going)
        calling = [
            each.action.operation for each in events if isinstance(each, Calling | Seen) if isinstance(each, Calling)
        ]
        assert calling == operations(going)
        assert of(inventory(connection), name) == []

    def test_planning_it_changes_nothing(self, deployer, name, connection):
        deployer.run(name, ONE)
        deletion(connection, name)
        assert of(inventory(connection), name) == ["endpoint", "endpoint config", "model"]

    def test_an_endpoint_in_progress_is_waited_for(self, deployer, name, connection, paused):
        with paused():
            deployer.run(name, ONE, wait=False)
            events = delete(connection, deletion(connection, name), deployer.clock)
            assert next(each for each in events if isinstance(each, Seen)).snapshot.status == "Creating"
        called = (each.action.operation for each in events if isinstance(each, Called))
        assert next(called) == "DeleteEndpoint"
        list(called)
        assert look(connection, name) is None

    def test_without_waiting_it_ends_with_the_last_call(self, deployer, name, connection):
        deployer.run(name, ONE)
        events = list(delete(connection, deletion(connection, name), deployer.clock, wait=False))
        assert events[-1].action.operation == "DeleteModel"

    def test_an_endpoint_that_is_not_ours_is_refused(self, deployer, name, connection):
        model = declare(deployer, f"{name}m")
        variant = {"VariantName": "A", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        connection.call("CreateEndpointConfig", EndpointConfigName=f"{name}-by-hand", ProductionVariants=[variant])
        connection.call("CreateEndpoint", EndpointName=name, EndpointConfigName=f"{name}-by-hand")
        with pytest.raises(PlanError, match="was not made by sm_magics") as caught:
            deletion(connection, name)
        assert caught.value.hint

    def test_nothing_of_that_name_is_an_error_that_says_where_to_look(self, connection):
        with pytest.raises(PlanError, match="no endpoint and no declared model 'nope'") as caught:
            deletion(connection, "nope")
        assert "%sm_list" in caught.value.hint

    def test_a_model_that_another_endpoint_serves_is_kept_and_said_so(self, deployer, name, connection):
        (model,) = deployer.target(name, ONE).models
        deployer.run(name, ONE)
        other = f"{name}other"
        deployer.run(other, f"variants: {{A: {model.name}}}")
        try:
            going = deletion(connection, name)
            assert going.kept == ((f"model {model.name}", f"endpoint {other} serves it"),)
            assert "DeleteModel" not in operations(going)
        finally:
            list(delete(connection, deletion(connection, other), deployer.clock))

    def test_a_config_that_another_endpoint_runs_on_is_kept_with_its_model(self, deployer, name, connection):
        config = deployer.run(name, ONE)[-1].snapshot.config_name
        (model,) = deployer.target(name, ONE).models
        other = f"{name}other"
        connection.call("CreateEndpoint", EndpointName=other, EndpointConfigName=config)
        try:
            going = deletion(connection, name)
            assert operations(going) == ["DeleteEndpoint"]
            assert [what for what, _ in going.kept] == [f"endpoint config {config}", f"model {model.name}"]
        finally:
            deployer.remove(other)

    def test_a_declared_model_is_deleted_by_the_name_it_was_declared_by(self, deployer, name, connection):
        model = declare(deployer, f"{name}m")
        going = deletion(connection, f"{name}m")
        assert operations(going) == ["DeleteModel"]
        list(delete(connection, going, deployer.clock))
        assert connection.describe("Model", model) is None

    def test_a_declared_model_that_is_served_is_refused_with_what_to_delete_first(self, deployer, name, connection):
        model = declare(deployer, f"{name}m")
        deployer.run(name, f"variants: {{A: {model}}}")
        with pytest.raises(PlanError, match=f"endpoint '{name}' still serves model") as caught:
            deletion(connection, f"{name}m")
        assert f"%sm_delete {name} --yes" in caught.value.hint
        list(delete(connection, deletion(connection, name), deployer.clock))
        list(delete(connection, deletion(connection, f"{name}m"), deployer.clock))

    def test_what_somebody_deleted_meanwhile_is_no_error(self, deployer, name, connection):
        deployer.run(name, ONE)
        going = deletion(connection, name)
        config = next(each for each in going.actions if each.operation == "DeleteEndpointConfig")
        connection.call("DeleteEndpointConfig", **config.request)
        list(delete(connection, going, deployer.clock))
        assert of(inventory(connection), name) == []

    def test_a_call_that_is_refused_ends_it_and_running_it_again_goes_on(self, deployer, name, connection):
        deployer.run(name, ONE)
        going = deletion(connection, name)
        events = connection.client("sagemaker").meta.events

        def refuse(**_):
            raise ServiceError("DeleteEndpointConfig", "AccessDeniedException", "not allowed", {})

        events.register("before-call.sagemaker.DeleteEndpointConfig", refuse)
        with pytest.raises(ServiceError, match="not allowed"):
            list(delete(connection, going, deployer.clock))
        events.unregister("before-call.sagemaker.DeleteEndpointConfig", refuse)
        list(delete(connection, deletion(connection, name), deployer.clock))
        assert of(inventory(connection), name) == []


class TestAlarms:
    NAMES = tuple(f"sm_magics/boston/A/{metric}/0a1b2c3d" for metric in ("Invocation5XXErrors", "ModelLatency"))

    def connection(self, fake_connection, refusal, *answers, endpoints=(), **changes):
        missing = refusal("Could not find it")
        rows = [{"EndpointName": each, "EndpointArn": each, "CreationTime": NOW} for each in endpoints]
        script = {
            "list_endpoints": [{"Endpoints": rows}],
            "list_endpoint_configs": [{"EndpointConfigs": []}],
            "list_models": [{"Models": []}],
            "list_tags": [{"Tags": [{"Key": "sm_magics:endpoint", "Value": "boston"}]}],
            "describe_endpoint": [missing],
            "describe_alarms": answers,
        }
        return fake_connection(**{**script, **changes})

    def page(self, *names, **more):
        rows = [{"AlarmName": each, "StateValue": "OK", "AlarmConfigurationUpdatedTimestamp": NOW} for each in names]
        return {"MetricAlarms": rows, **more}

    def test_ours_are_known_by_their_names_on_every_page(self, fake_connection, refusal):
        first, second = self.NAMES
        pages = self.page(first, "sm_magics/by-hand", NextToken="t"), self.page(second)
        connection = self.connection(fake_connection, refusal, *pages, endpoints=["boston"])
        owned = inventory(connection)
        assert [(each.kind, each.name, each.owner, each.status) for each in owned.alarms] == [
            ("alarm", first, "boston", "OK"),
            ("alarm", second, "boston", "OK"),
        ]
        assert owned.leftovers == ()
        asked = [request for operation, request in connection.session.calls if operation == "describe_alarms"]
        assert asked == [{"AlarmNamePrefix": "sm_magics/"}, {"AlarmNamePrefix": "sm_magics/", "NextToken": "t"}]

    def test_those_of_an_endpoint_that_is_gone_are_left_over_and_can_be_deleted(
        self, fake_connection, refusal, fake_clock
    ):
        gone = refusal("gone", "ResourceNotFound", 404)
        connection = self.connection(fake_connection, refusal, self.page(*self.NAMES), delete_alarms=[{}, gone])
        assert [each.name for each in inventory(connection).leftovers] == [*self.NAMES]
        going = deletion(connection, "boston")
        assert [each.what for each in going.actions] == [f"alarm {each}" for each in self.NAMES]
        list(delete(connection, going, fake_clock))
        deleted = [request for operation, request in connection.session.calls if operation == "delete_alarms"]
        assert deleted == [{"AlarmNames": [each]} for each in self.NAMES]

    def test_who_may_not_look_at_alarms_has_none(self, fake_connection, refusal):
        forbidden = refusal("no", "AccessDenied", 403)
        assert inventory(self.connection(fake_connection, refusal, forbidden)).alarms == ()
        with pytest.raises(ServiceError, match="too many"):
            inventory(self.connection(fake_connection, refusal, refusal("too many", "Throttling")))


class TestSurplus:
    def test_the_oldest_configs_go_but_neither_that_which_serves_nor_the_one_before(
        self, deployer, name, connection, monkeypatch
    ):
        made = [deployer.run(name, f"variants: {{V{n}: $linear}}")[-1].snapshot.config_name for n in range(4)]
        assert surplus(connection, name).actions == ()
        monkeypatch.setattr(module, "KEPT", 1)
        going = [each.request["EndpointConfigName"] for each in surplus(connection, name).actions]
        assert going == made[:2]
        connection.call("UpdateEndpoint", EndpointName=name, EndpointConfigName=made[1])
        list(settle(connection, name, deployer.clock, 30))
        assert [each.request["EndpointConfigName"] for each in surplus(connection, name).actions] == made[2:]

    def test_what_another_endpoint_serves_is_kept(self, deployer, name, connection, monkeypatch):
        first = deployer.run(name, ONE)[-1].snapshot.config_name
        for body in ("variants: {B: $linear}", "variants: {C: $linear}"):
            deployer.run(name, body)
        monkeypatch.setattr(module, "KEPT", 0)
        other = f"{name}-other"
        connection.call("CreateEndpoint", EndpointName=other, EndpointConfigName=first)
        try:
            assert surplus(connection, name).actions == ()
        finally:
            deployer.remove(other)
        assert [each.request["EndpointConfigName"] for each in surplus(connection, name).actions] == [first]
