"""Connections to the embedded engine, and to AWS as moto plays it: with boto3 and nothing that knows which it is."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto.server import ThreadedMotoServer

from sm_magics.alarms import requests
from sm_magics.clock import Clock
from sm_magics.connection import call, connect_aws, connect_local, is_missing
from sm_magics.connection.stores import DirectoryStore
from sm_magics.deploy import deploy, observe
from sm_magics.errors import ConnectError, EngineError, ServiceError
from sm_magics.inventory import delete, deletion, inventory
from sm_magics.local.start import find
from sm_magics.models import Artifact
from sm_magics.plan import plan
from sm_magics.resolve import resolve
from sm_magics.spec import parse_endpoint

ROLE = "arn:aws:iam::123456789012:role/Serving"
BUCKET = "sagemaker-eu-west-1-123456789012"


class TestTheEmbeddedEngine:
    def test_it_is_started_on_first_use_and_shared_afterwards(self, tmp_path):
        assert find(tmp_path) is None
        first = connect_local(tmp_path)
        engine = find(tmp_path)
        try:
            assert first.call("ListEndpoints")["Endpoints"] == []
            assert connect_local(tmp_path).endpoint_url == first.endpoint_url == engine.url
        finally:
            engine.stop()

    def test_one_that_was_stopped_is_started_again_and_knows_what_it_knew(self, tmp_path):
        connection = connect_local(tmp_path)
        connection.call("CreateModel", ModelName="kept", PrimaryContainer={"Image": "xgboost:1"}, ExecutionRoleArn=ROLE)
        find(tmp_path).stop()
        assert find(tmp_path) is None
        try:
            assert connect_local(tmp_path).describe("Model", "kept")["ModelName"] == "kept"
        finally:
            find(tmp_path).stop()

    @pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a place where nobody can make a directory")
    def test_a_state_directory_that_cannot_be_made_is_an_error_that_names_it(self):
        with pytest.raises(EngineError, match=r"/proc/nobody/state cannot be used") as caught:
            connect_local(Path("/proc/nobody/state"))
        assert "SM_MAGICS_STATE" in caught.value.hint

    def test_a_region_other_than_the_running_engine_s_is_refused_and_not_ignored(self, state, connection):
        with pytest.raises(ConnectError, match="plays region us-east-1, not eu-west-1") as caught:
            connect_local(state, region="eu-west-1")
        assert "--state" in caught.value.hint
        assert connect_local(state, region="us-east-1").endpoint_url == connection.endpoint_url

    @pytest.mark.parametrize(
        "environment",
        [
            {"AWS_PROFILE": "nobody"},
            {"AWS_CONFIG_FILE": __file__},
            {"AWS_SHARED_CREDENTIALS_FILE": __file__},
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
        ],
        ids=lambda environment: next(iter(environment)),
    )
    def test_nothing_that_is_meant_for_aws_gets_in_the_way(self, state, monkeypatch, environment):
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        assert "Models" in connect_local(state).call("ListModels")

    def test_artifacts_of_bytes_and_of_files_lie_where_their_uri_says(self, connection, tmp_path):
        (tmp_path / "model.tar.gz").write_bytes(b"from a file")
        for artifact, content in [
            (Artifact.of_bytes(b"from bytes"), b"from bytes"),
            (Artifact.of_file(tmp_path / "model.tar.gz"), b"from a file"),
        ]:
            uri = f"{connection.artifacts.prefix}/{content.decode().replace(' ', '-')}/model.tar.gz"
            assert not connection.artifacts.holds(uri)
            connection.artifacts.put(uri, artifact)
            assert connection.artifacts.holds(uri)
            assert connection.artifacts._path(uri).read_bytes() == content

    def test_an_engine_that_is_gone_is_a_service_error_that_says_what_to_do(self, tmp_path):
        connection = connect_local(tmp_path)
        find(tmp_path).stop()
        with pytest.raises(ServiceError, match="ListEndpoints: Could not connect") as caught:
            connection.call("ListEndpoints")
        assert "run the cell again" in caught.value.hint


class TestCalls:
    def test_a_client_is_made_once_for_each_service(self, connection):
        assert connection.client("sagemaker") is connection.client("sagemaker")
        assert connection.client("sagemaker") is not connection.client("logs")

    def test_a_model_has_more_time_to_answer_than_the_60_s_that_the_service_gives_it(self, connection):
        assert connection.client("sagemaker-runtime").meta.config.read_timeout > 60

    def test_what_the_service_refuses_keeps_its_operation_code_and_message(self, connection):
        with pytest.raises(ServiceError) as caught:
            connection.call("DeleteModel", ModelName="nope")
        assert caught.value.operation == "DeleteModel"
        assert caught.value.code == "ValidationException"
        assert "Could not find model" in caught.value.message
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert is_missing(caught.value)

    def test_what_boto3_itself_refuses_is_a_service_error_too(self, connection):
        with pytest.raises(ServiceError, match="Missing required parameter") as caught:
            connection.call("CreateEndpoint", EndpointName="e")
        assert caught.value.code == "ParamValidationError"
        assert not is_missing(caught.value)

    def test_describing_what_is_not_there_or_cannot_be_there_is_none(self, connection):
        assert connection.describe("Endpoint", "nope") is None
        assert connection.describe("Model", "no name_at all") is None

    def test_describing_leaves_out_what_only_http_says(self, connection, served):
        assert "ResponseMetadata" not in connection.describe("Endpoint", served)

    def test_any_other_refusal_of_a_description_is_raised(self, fake_connection, refusal):
        connection = fake_connection(describe_model=[refusal("not yours", "AccessDeniedException")])
        with pytest.raises(ServiceError, match="not yours"):
            connection.describe("Model", "m")

    def test_pages_follow_the_token_to_the_end(self, fake_connection):
        connection = fake_connection(list_models=[{"Models": [1], "NextToken": "t"}, {"Models": [2]}])
        assert [page["Models"] for page in connection.pages("ListModels", MaxResults=1)] == [[1], [2]]
        assert connection.session.calls == [
            ("list_models", {"MaxResults": 1}),
            ("list_models", {"MaxResults": 1, "NextToken": "t"}),
        ]


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto, monkeypatch, tmp_path):
    """Point boto3 at moto, with credentials and a bucket, and at nothing of the machine's own."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.Session().client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
    return moto


def test_a_disk_that_is_full_leaves_nothing_half_written(tmp_path, monkeypatch):
    def fill(_source, target):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", fill)
    store = DirectoryStore(tmp_path, "bucket")
    with pytest.raises(EngineError, match=f"cannot be kept in {tmp_path}/bucket/a: No space left") as caught:
        store.put("s3://bucket/a/model.tar.gz", Artifact("0a1b", path=tmp_path))
    assert not store.holds("s3://bucket/a/model.tar.gz")
    assert "--state DIR" in caught.value.hint
    assert list((tmp_path / "bucket" / "a").iterdir()) == []


@pytest.mark.usefixtures("aws")
class TestAws:
    def test_it_takes_the_account_the_region_and_sagemaker_s_bucket_by_default(self):
        connection = connect_aws(role=ROLE, region="eu-west-1")
        assert (connection.account, connection.region, connection.role) == ("123456789012", "eu-west-1", ROLE)
        assert connection.artifacts.prefix == f"s3://{BUCKET}/sm_magics/models"
        assert connection.label == "AWS account 123456789012, eu-west-1"

    def test_a_profile_and_its_region_are_those_of_the_configuration(self, tmp_path, monkeypatch):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        keys = "aws_access_key_id = AKIAOTHER\naws_secret_access_key = secret\n"
        (tmp_path / "config").write_text(f"[profile team]\nregion = eu-west-1\n{keys}")
        assert connect_aws(role=ROLE, profile="team").region == "eu-west-1"

    def test_without_credentials_it_says_where_to_give_them(self, monkeypatch):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(ConnectError, match="Unable to locate credentials") as caught:
            connect_aws(role=ROLE, region="eu-west-1")
        assert "--profile" in caught.value.hint

    def test_without_a_region_it_says_how_to_name_one(self):
        with pytest.raises(ConnectError, match="no AWS region") as caught:
            connect_aws(role=ROLE)
        assert "--region" in caught.value.hint

    def test_a_profile_that_is_not_there_is_named(self):
        with pytest.raises(ConnectError, match="nobody"):
            connect_aws(role=ROLE, region="eu-west-1", profile="nobody")

    def test_a_bucket_that_is_not_there_is_named_with_the_flag_for_another(self):
        with pytest.raises(ConnectError, match="bucket 'wrong' cannot be used") as caught:
            connect_aws(role=ROLE, region="eu-west-1", bucket="wrong")
        assert "--bucket" in caught.value.hint

    def test_a_service_that_does_not_answer_is_a_connect_error(self, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(ConnectError, match="Could not connect") as caught:
            connect_aws(role=ROLE, region="eu-west-1")
        assert "nothing answers" in caught.value.hint

    def test_artifacts_of_bytes_and_of_files_are_uploaded(self, tmp_path):
        artifacts = connect_aws(role=ROLE, region="eu-west-1").artifacts
        (tmp_path / "model.tar.gz").write_bytes(b"from a file")
        for artifact, content in [
            (Artifact.of_bytes(b"from bytes"), b"from bytes"),
            (Artifact.of_file(tmp_path / "model.tar.gz"), b"from a file"),
        ]:
            key = f"sm_magics/models/{content.decode().replace(' ', '-')}/model.tar.gz"
            assert not artifacts.holds(f"s3://{BUCKET}/{key}")
            artifacts.put(f"s3://{BUCKET}/{key}", artifact)
            assert artifacts.holds(f"s3://{BUCKET}/{key}")
            stored = boto3.Session().client("s3", region_name="eu-west-1").get_object(Bucket=BUCKET, Key=key)
            assert stored["Body"].read() == content

    def test_objects_below_a_uri_are_listed_in_order_over_all_pages_and_no_neighbours(self):
        artifacts = connect_aws(role=ROLE, region="eu-west-1").artifacts
        client, limits = artifacts._client, []

        def two_a_page(params, **_):
            limits.append(params.setdefault("MaxKeys", 2))

        client.meta.events.register("provide-client-params.s3.ListObjectsV2", two_a_page)
        root = f"s3://{BUCKET}/captured/boston"
        for each in ("/B/1.jsonl", "/A/2.jsonl", "/A/1.jsonl", "-2/A/1.jsonl"):
            artifacts.put(root + each, Artifact.of_bytes(b"{}"))
        found = [f"{root}/A/1.jsonl", f"{root}/A/2.jsonl", f"{root}/B/1.jsonl"]
        assert artifacts.below(root) == artifacts.below(f"{root}/") == found
        assert limits == [2, 2, 2, 2]
        assert artifacts.below(f"s3://{BUCKET}/captured/nothing") == []

    def test_a_bucket_that_may_not_be_read_is_an_error_and_not_an_empty_bucket(self):
        artifacts = connect_aws(role=ROLE, region="eu-west-1").artifacts
        client = artifacts._client
        client.meta.events.register("before-send.s3.HeadObject", lambda **_: _answer(403))
        with pytest.raises(ServiceError, match="HeadObject"):
            artifacts.holds(f"s3://{BUCKET}/k")

    def test_an_endpoint_is_made_shown_listed_and_deleted_with_the_same_calls_as_on_the_engine(self, linear, xgb):
        connection = connect_aws(role=ROLE, region="eu-west-1")
        body = "variants:\n  A: {model: $linear, weight: 4}\n  B: {model: $xgb, weight: 1}\n"
        variables = {"linear": linear, "xgb": xgb}
        target = resolve(parse_endpoint(body, "boston", variables), connection, {})
        happened = list(deploy(connection, target, Clock()))
        assert happened[-1].verified
        assert happened[-1].snapshot.config_name == target.config_name
        assert plan(target, observe(connection, target)).actions == ()
        owned = inventory(connection)
        assert [each.name for each in owned.endpoints] == ["boston"]
        assert [each.name for each in owned.configs] == [target.config_name]
        assert {each.name for each in owned.models} == {each.name for each in target.models}
        named = parse_endpoint(f"variants: {{A: {target.models[0].name}}}", "other", {})
        assert resolve(named, connection, {}).models == ()
        list(delete(connection, deletion(connection, "boston"), Clock()))
        assert inventory(connection) == type(owned)((), (), ())

    def test_moto_has_no_update_endpoint_so_an_update_ends_in_a_service_error_that_takes_back(self, linear, xgb):
        connection = connect_aws(role=ROLE, region="eu-west-1")
        variables = {"linear": linear, "xgb": xgb}
        first = resolve(parse_endpoint("variants: {A: $linear}", "bos", variables), connection, {})
        list(deploy(connection, first, Clock()))
        second = resolve(parse_endpoint("variants: {A: $xgb}", "bos", variables), connection, {})
        with pytest.raises(ServiceError, match="UpdateEndpoint"):
            list(deploy(connection, second, Clock()))
        assert connection.describe("EndpointConfig", second.config_name) is None
        assert connection.describe("Model", second.models[0].name) is None
        assert connection.describe("Endpoint", "bos")["EndpointConfigName"] == first.config_name

    def test_alarms_are_made_for_an_update_listed_and_deleted(self, linear, xgb):
        connection = connect_aws(role=ROLE, region="eu-west-1")
        variables = {"linear": linear, "xgb": xgb}
        guards = "deploy: {canary: 10%, wait: 5m}\nrollback_on: [{metric: Invocation5XXErrors, above: 1%, for: 5m}]"
        first = resolve(parse_endpoint("variants: {A: $linear}", "bo", variables), connection, {})
        list(deploy(connection, first, Clock()))
        target = resolve(parse_endpoint(f"variants: {{A: $xgb}}\n{guards}", "bo", variables), connection, {})
        made = []
        events = connection.client("cloudwatch").meta.events
        events.register("before-call.cloudwatch", lambda model, **_: made.append(model.name))
        with pytest.raises(ServiceError, match="UpdateEndpoint"):  # which moto lacks: all is taken back
            list(deploy(connection, target, Clock()))
        assert made == ["DescribeAlarms", "PutMetricAlarm", "DeleteAlarms"]
        assert inventory(connection).alarms == ()
        (request,) = requests(target)
        call(connection.client("cloudwatch"), "PutMetricAlarm", **request)
        assert [each.name for each in inventory(connection).alarms] == [request["AlarmName"]]
        assert observe(connection, target).alarms == {request["AlarmName"]}
        list(delete(connection, deletion(connection, "bo"), Clock()))
        assert not [each for each in inventory(connection).alarms if each.owner == "bo"]


def _answer(status):
    return AWSResponse("http://127.0.0.1/", status, {}, SimpleNamespace(stream=lambda **_: iter([b""])))
