from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from sm_magics.errors import PackagingError
from sm_magics.models import images

REGIONS = sorted(images._accounts())


@pytest.mark.parametrize(
    ("image", "region", "uri"),
    [
        ("xgboost@1.7-1", "us-east-1", "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"),
        (
            "xgboost@0.90-2",
            "eu-west-1",
            "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:0.90-2-cpu-py3",
        ),
        ("xgboost@1.0-1", "eu-west-1", "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.0-1-cpu-py3"),
        ("xgboost@1", "us-east-1", "811284229777.dkr.ecr.us-east-1.amazonaws.com/xgboost:1"),
        ("xgboost@1", "eu-west-1", "685385470294.dkr.ecr.eu-west-1.amazonaws.com/xgboost:1"),
        ("linear-learner", "us-west-2", "174872318107.dkr.ecr.us-west-2.amazonaws.com/linear-learner:1"),
        ("linear-learner@1", "cn-north-1", "390948362332.dkr.ecr.cn-north-1.amazonaws.com.cn/linear-learner:1"),
        (
            "sklearn@1.2-1",
            "us-gov-west-1",
            "414596584902.dkr.ecr.us-gov-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
        ),
    ],
)
def test_a_short_name_is_the_uri_of_its_region(image, region, uri):
    assert images.image_uri(image, region) == uri


@pytest.mark.parametrize(
    "uri", ["123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine:latest", "mine/image", "a/b@sha256:1"]
)
def test_a_uri_passes_unchanged_in_any_region(uri):
    assert images.image_uri(uri, "nowhere") == uri


@pytest.mark.parametrize(
    ("image", "region", "message", "hint"),
    [
        ("xgbost@1.7-1", "us-east-1", "no prebuilt image is called 'xgbost@1.7-1'", "did you mean 'xgboost@1.7-1'?"),
        ("xgboost:1.7-1", "us-east-1", "no prebuilt image is called 'xgboost:1.7-1'", "did you mean 'xgboost@1.7-1'?"),
        ("tensorflow", "us-east-1", "no prebuilt image is called 'tensorflow'", "xgboost@3.2-0"),
        ("xgboost", "us-east-1", "the image 'xgboost' needs a version after an @", "known versions: 1, 0.90-1,"),
        (
            "xgboost@1.7",
            "us-east-1",
            "the image 'xgboost' has no version '1.7'",
            "did you mean '1.7-1'? known versions: ",
        ),
        ("xgboost@latest", "us-east-1", "the image 'xgboost' has no version 'latest'", "3.2-0"),
        ("xgboost@1.7-1", "us-eats-1", "in region 'us-eats-1' is not known", "did you mean 'us-east-1'?"),
        ("xgboost@1.7-1", "local", "in region 'local' is not known", "write the image's full URI"),
        ("xgboost@1", "il-central-1", "there is no xgboost@1 in il-central-1", "later version"),
    ],
)
def test_what_is_not_known_is_an_error_that_says_what_is(image, region, message, hint):
    with pytest.raises(PackagingError) as caught:
        images.image_uri(image, region)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("region", REGIONS)
def test_every_known_image_is_recognised_by_its_uri_in_every_region_that_has_it(region):
    for short in images.KNOWN:
        try:
            uri = images.image_uri(short, region)
        except PackagingError as error:
            assert short == "xgboost@1", error  # noqa: PT017 - the one image that some regions lack
        else:
            assert str(images.recognise(uri)) == short


@pytest.mark.parametrize(
    ("uri", "known"),
    [
        ("1.dkr.ecr.r.amazonaws.com/sagemaker-xgboost:1.7-1-1", images.Known("xgboost", "1.7-1-1")),
        ("1.dkr.ecr.r.amazonaws.com/xgboost:latest", images.Known("xgboost", "latest")),
        ("1.dkr.ecr.r.amazonaws.com/linear-learner:1@sha256:00", images.Known("linear-learner", "1")),
        ("1.dkr.ecr.r.amazonaws.com/team/mine:1", None),
        ("1.dkr.ecr.r.amazonaws.com/my-sagemaker-xgboost:1.7-1", None),
    ],
)
def test_an_image_is_recognised_by_repository_and_tag(uri, known):
    assert images.recognise(uri) == known


@pytest.mark.parametrize("region", REGIONS)
def test_the_dns_suffix_is_that_of_the_region_s_partition(region):
    data = Path(importlib.util.find_spec("botocore").origin).parent / "data" / "endpoints.json"
    partitions = json.loads(data.read_text())["partitions"]
    suffix = next(p["dnsSuffix"] for p in partitions if re.match(p["regionRegex"], region))
    assert f".dkr.ecr.{region}.{suffix}/" in images.image_uri("xgboost@1.7-1", region)


def test_the_known_images_are_listed_with_their_versions():
    assert {"linear-learner@1", "sklearn@1.2-1", "xgboost@1", "xgboost@3.0-5", "xgboost@3.2-0"} <= set(images.KNOWN)
    assert images.versions("linear-learner") == ("1",)


def test_every_account_is_twelve_digits():
    assert len(REGIONS) == 37
    for publishers in images._accounts().values():
        assert {"framework", "algorithm"} <= publishers.keys() <= {"framework", "algorithm", "xgboost:1"}
        assert all(re.fullmatch(r"\d{12}", account) for account in publishers.values())
