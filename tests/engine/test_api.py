from __future__ import annotations

import asyncio
import itertools

import pytest
from controlkit import IMAGE, NOW, ROLE, controlling, variant
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.api import MAX_TAGS, Account, limited, tag_list, tags_of
from sm_magics.local.lifecycle import Refused

MODEL_ARN = "arn:aws:sagemaker:us-east-1:123456789012:model/m"
CONFIG_ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/c1"
CAPTURE = {
    "InitialSamplingPercentage": 20,
    "DestinationS3Uri": "s3://bucket/data",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}


@pytest.fixture
def control(tmp_path):
    """Yield a control plane with nothing in it."""
    with controlling(tmp_path) as made:
        yield made


def create_model(**changed):
    """Return a request of CreateModel."""
    request = {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}, **changed}
    return {key: value for key, value in request.items() if value is not None}


def refused_config(control, variants=None, **more):
    rows = [variant("A")] if variants is None else variants
    return control.refused("CreateEndpointConfig", EndpointConfigName="c1", ProductionVariants=rows, **more)


class TestModels:
    def test_one_is_described_as_it_was_made(self, control):
        tags = [{"Key": "team", "Value": "x"}]
        vpc = {"SecurityGroupIds": ["sg-1"], "Subnets": ["s-1"]}
        assert control.call("CreateModel", **create_model(Tags=tags, VpcConfig=vpc)) == {"ModelArn": MODEL_ARN}
        assert control.call("DescribeModel", ModelName="M") == {
            "ModelName": "m",
            "ModelArn": MODEL_ARN,
            "CreationTime": NOW,
            "ExecutionRoleArn": ROLE,
            "PrimaryContainer": {"Mode": "SingleModel", "Image": IMAGE},
            "VpcConfig": vpc,
            "EnableNetworkIsolation": False,
        }

    def test_one_of_a_list_of_containers_is_described_so(self, control):
        control.call("CreateModel", **create_model(PrimaryContainer=None, Containers=[{"Image": IMAGE}]))
        told = control.call("DescribeModel", ModelName="m")
        assert (told["Containers"], "PrimaryContainer" in told) == ([{"Image": IMAGE}], False)

    def test_a_second_of_the_name_is_refused_however_it_is_written(self, control):
        control.model("m")
        told = control.refused("CreateModel", **create_model(ModelName="M"))
        assert told == f'Cannot create already existing model "{MODEL_ARN}".'

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"PrimaryContainer": None}, "Specify either PrimaryContainer or Containers."),
            ({"Containers": [{"Image": IMAGE}]}, "Specify either PrimaryContainer or Containers."),
            ({"PrimaryContainer": None, "Containers": [{"Image": IMAGE}] * 2}, "does not offer inference pipelines"),
            ({"PrimaryContainer": {"Image": IMAGE, "Mode": "MultiModel"}}, "does not offer multi-model containers"),
            ({"PrimaryContainer": {"Image": IMAGE, "ModelDataSource": {"S3DataSource": {}}}}, "does not offer Model"),
            ({"PrimaryContainer": {"ModelPackageName": "p"}}, "does not offer ModelPackageName"),
            ({"PrimaryContainer": {"ModelDataUrl": "s3://b/k"}}, "Specify one of either Image and Model Data URL or"),
            ({"InferenceExecutionConfig": {"Mode": "Direct"}}, "does not offer InferenceExecutionConfig"),
            ({"PrimaryContainer": {"Image": "team/own:1"}}, 'has no container that serves image "team/own:1"'),
            ({"PrimaryContainer": {"Image": "/no/such/program"}}, 'Image "/no/such/program" is no file'),
            ({"PrimaryContainer": {"Image": "file:///bin/sh#00000000"}}, "was changed since the model was made: it is"),
            ({"Tags": [{"Key": str(n), "Value": ""} for n in range(51)]}, "at most 50 tags, not 51"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_served_is_refused_and_leaves_nothing(self, control, changed, told):
        assert told in control.refused("CreateModel", **create_model(**changed))
        assert control.store.all("model") == []

    def test_so_is_a_program_that_may_not_be_executed(self, control, tmp_path):
        program = tmp_path / "serve.sh"
        program.touch(0o644)
        told = control.refused("CreateModel", **create_model(PrimaryContainer={"Image": str(program)}))
        assert told == f'Image "{program}" is a file that cannot be executed.'

    def test_data_that_is_not_there_is_told_in_the_services_words(self, control, tmp_path):
        url = (tmp_path / "nothing.tar.gz").as_uri()
        told = control.refused("CreateModel", **create_model(PrimaryContainer={"Image": IMAGE, "ModelDataUrl": url}))
        assert told.startswith(f'Could not access model data at {url}. Please ensure that the role "{ROLE}" exists and')
        assert "the object is located in us-east-1" in " ".join(told.split())
        assert control.store.all("model") == []

    @pytest.mark.parametrize("operation", ["DescribeModel", "DeleteModel"])
    def test_one_that_there_is_not_is_not_found(self, control, operation):
        assert control.refused(operation, ModelName="m") == f'Could not find model "{MODEL_ARN}".'

    def test_they_are_listed_and_deleted(self, control):
        control.model("m")
        control.now += 1
        control.model("n")
        listed = control.call("ListModels")["Models"]
        assert listed[1] == {"ModelName": "m", "ModelArn": MODEL_ARN, "CreationTime": NOW}
        assert control.call("DeleteModel", ModelName="N") is None
        assert [each["ModelName"] for each in control.call("ListModels")["Models"]] == ["m"]


class TestConfigs:
    @pytest.fixture(autouse=True)
    def _model(self, control):
        control.model("m")

    def test_one_is_described_with_the_weights_that_were_left_out(self, control):
        rows = [variant("A"), variant("B", InitialVariantWeight=0.0)]
        request = {
            "EndpointConfigName": "c1",
            "ProductionVariants": rows,
            "KmsKeyId": "k",
            "DataCaptureConfig": CAPTURE,
        }
        answer = control.call("CreateEndpointConfig", **request, Tags=[{"Key": "a", "Value": "b"}])
        assert answer == {"EndpointConfigArn": CONFIG_ARN}
        assert control.call("DescribeEndpointConfig", EndpointConfigName="c1") == {
            **request,
            "ProductionVariants": [{"InitialVariantWeight": 1.0, **rows[0]}, rows[1]],
            "EndpointConfigArn": CONFIG_ARN,
            "CreationTime": NOW,
        }

    def test_a_second_of_the_name_is_refused(self, control):
        control.config("c1")
        assert refused_config(control) == f'Cannot create already existing endpoint configuration "{CONFIG_ARN}".'

    @pytest.mark.parametrize(
        ("variants", "told"),
        [
            ([variant("A", "gone")], 'Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/gone".'),
            ([variant("A"), variant("A")], 'The variant name "A" was non-unique within the request.'),
            ([variant("A", ModelName=None)], "Variant A needs ModelName."),
            ([variant("A", InstanceType=None)], "Variant A needs InstanceType."),
            ([variant("A", InitialInstanceCount=None)], "Variant A needs InitialInstanceCount."),
            ([variant("A", InitialVariantWeight=0.0)], "must have a weight greater than 0"),
            ([variant("A", ServerlessConfig={"MemorySizeInMB": 1024})], "does not offer ServerlessConfig"),
            ([variant("A", ManagedInstanceScaling={"Status": "ENABLED"})], "does not offer ManagedInstanceScaling"),
            ([variant("A", RoutingConfig={"RoutingStrategy": "RANDOM"})], "does not offer RoutingStrategy RANDOM"),
        ],
    )
    def test_variants_that_cannot_be_are_refused_and_leave_nothing(self, control, variants, told):
        assert told in refused_config(control, variants)
        assert control.store.all("endpoint-config") == []

    @pytest.mark.parametrize(
        ("more", "told"),
        [
            ({"AsyncInferenceConfig": {"OutputConfig": {}}}, "does not offer AsyncInferenceConfig"),
            ({"ExplainerConfig": {"ClarifyExplainerConfig": {}}}, "does not offer ExplainerConfig"),
            ({"ShadowProductionVariants": [variant("A")]}, 'The variant name "A" was non-unique'),
            ({"ShadowProductionVariants": [variant("S"), variant("T")]}, "one variant for ShadowProductionVariants"),
            ({"ShadowProductionVariants": [variant("S", "gone")]}, "Could not find model"),
            ({"DataCaptureConfig": {**CAPTURE, "DestinationS3Uri": "https://x/y"}}, "https://x/y cannot be used"),
            ({"DataCaptureConfig": {**CAPTURE, "DestinationS3Uri": "s3://b/../../x"}}, "leads out of its bucket"),
        ],
    )  # fmt: skip
    def test_so_is_what_is_not_offered_beside_them(self, control, more, told):
        assert told in refused_config(control, **more)
        assert control.store.all("endpoint-config") == []

    def test_a_shadow_beside_one_variant_is_taken_with_no_weight_needed_of_it(self, control):
        control.config("c1", ShadowProductionVariants=[variant("S")])
        told = control.call("DescribeEndpointConfig", EndpointConfigName="c1")
        assert told["ShadowProductionVariants"] == [{"InitialVariantWeight": 1.0, **variant("S")}]

    @pytest.mark.parametrize("operation", ["DescribeEndpointConfig", "DeleteEndpointConfig"])
    def test_one_that_there_is_not_is_not_found(self, control, operation):
        told = control.refused(operation, EndpointConfigName="c1")
        assert told == f'Could not find endpoint configuration "{CONFIG_ARN}".'

    def test_it_outlives_its_model_and_is_listed_and_deleted(self, control):
        control.config("c1")
        control.call("DeleteModel", ModelName="m")
        row = {"EndpointConfigName": "c1", "EndpointConfigArn": CONFIG_ARN, "CreationTime": NOW}
        assert control.call("ListEndpointConfigs", NameContains="c") == {"EndpointConfigs": [row], "NextToken": None}
        assert control.call("DeleteEndpointConfig", EndpointConfigName="C1") is None
        assert control.call("ListEndpointConfigs")["EndpointConfigs"] == []


class TestTags:
    @pytest.fixture(params=["model", "endpoint-config", "endpoint"])
    def arn(self, control, request):
        """Return the ARN of a resource of each kind in turn."""
        control.model("m")
        control.config("c1")
        control.create("boston")
        (resource,) = control.store.all(request.param)
        return resource.arn

    def test_of_every_kind_are_added_listed_and_deleted(self, control, arn):
        control.call("AddTags", ResourceArn=arn, Tags=tag_list({"a": "1", "b": "2"}))
        assert control.call("AddTags", ResourceArn=arn, Tags=tag_list({"b": "3"})) == {
            "Tags": tag_list({"a": "1", "b": "3"})
        }
        assert control.call("DeleteTags", ResourceArn=arn, TagKeys=["a", "nothing"]) == {}
        assert control.call("ListTags", ResourceArn=arn) == {"Tags": tag_list({"b": "3"})}

    def test_are_those_of_an_arn_whatever_the_case_of_its_name(self, control, arn):
        head, slash, name = arn.rpartition("/")
        control.call("AddTags", ResourceArn=head + slash + name.upper(), Tags=tag_list({"a": "1"}))
        assert control.call("ListTags", ResourceArn=arn) == {"Tags": tag_list({"a": "1"})}

    def test_of_more_than_the_limit_none_is_added(self, control, arn):
        control.call("AddTags", ResourceArn=arn, Tags=tag_list({"first": ""}))
        many = tag_list({str(n): "" for n in range(MAX_TAGS)})
        assert control.refused("AddTags", ResourceArn=arn, Tags=many) == "A resource can have at most 50 tags, not 51."
        assert control.call("ListTags", ResourceArn=arn) == {"Tags": tag_list({"first": ""})}

    @pytest.mark.parametrize(
        "arn", [MODEL_ARN, CONFIG_ARN, "arn:aws:sagemaker:us-east-1:123456789012:app/x", "model/m", "nonsense", ""]
    )
    def test_of_what_there_is_not_are_refused(self, control, arn):
        control.model("another")
        calls = {"AddTags": {"Tags": []}, "ListTags": {}, "DeleteTags": {"TagKeys": []}}
        for operation, more in calls.items():
            assert control.refused(operation, ResourceArn=arn, **more) == f'Could not find resource "{arn}".'

    @given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=MAX_TAGS))
    def test_are_the_same_as_a_list_and_as_a_mapping(self, tags):
        assert tags_of({"Tags": tag_list(tags)}) == limited(tags) == tags

    def test_may_be_left_out_or_null(self):
        assert tags_of({}) == tags_of({"Tags": None}) == {}
        with pytest.raises(Refused):
            limited({str(n): "" for n in range(MAX_TAGS + 1)})


def test_of_calls_at_the_same_moment_exactly_one_makes_the_resource(control):
    async def all_at_once():
        calls = [control.operations["CreateModel"](create_model()) for _ in range(5)]
        return await asyncio.gather(*calls, return_exceptions=True)

    answers = asyncio.run(all_at_once())
    assert sorted(type(each) is Refused for each in answers) == [False, True, True, True, True]


def test_tags_of_calls_at_the_same_moment_are_all_kept(control):
    control.model("m")

    async def all_at_once():
        tag = control.operations["AddTags"]
        await asyncio.gather(*(tag({"ResourceArn": MODEL_ARN, "Tags": tag_list({str(n): ""})}) for n in range(9)))

    asyncio.run(all_at_once())
    assert control.store.model("m").tags == {str(n): "" for n in range(9)}


@given(*itertools.repeat(st.from_regex(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,10}", fullmatch=True), 2))
def test_an_arn_is_the_same_for_names_that_differ_by_case_only(one, other):
    account = Account("eu-west-1", "000000000001")
    same = account.arn("model", one) == account.arn("model", other)
    assert same is (one.lower() == other.lower())
    assert account.arn("model", one).startswith("arn:aws:sagemaker:eu-west-1:000000000001:model/")
