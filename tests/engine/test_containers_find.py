from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from sm_magics.local.containers import Kind, LoadError, find, resolved, whats_changed, xgboost_library

REGISTRY = "683313688378.dkr.ecr.us-east-1.amazonaws.com/"


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", Kind("xgboost", "1")),
        (REGISTRY + "sagemaker-xgboost:1.7-1", Kind("xgboost", "1.7-1")),
        (REGISTRY + "sagemaker-xgboost:0.90-1-cpu-py3", Kind("xgboost", "0.90-1-cpu-py3")),
        ("450853457545.dkr.ecr.cn-north-1.amazonaws.com.cn/sagemaker-xgboost:3.0-5", Kind("xgboost", "3.0-5")),
        ("382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1", Kind("linear-learner", "1")),
        ("localhost:5000/linear-learner:1", Kind("linear-learner", "1")),
        ("sagemaker-xgboost:3.2-0", Kind("xgboost", "3.2-0")),
        ("sagemaker-xgboost:3.2-0@sha256:" + 64 * "0", Kind("xgboost", "3.2-0")),
        ("xgboost:latest", Kind("xgboost", "1")),
        ("linear-learner", Kind("linear-learner", "1")),
        ("sagemaker-xgboost:latest", Kind("xgboost", "latest")),
    ],
)
def test_an_image_is_known_by_its_repository_and_tag(image, kind):
    assert find(image) == kind


@pytest.mark.parametrize(
    "image",
    [
        "",
        REGISTRY + "sagemaker-scikit-learn:1.2-1-cpu-py3",
        REGISTRY + "team/xgboost:1",
        "team/xgboost:1",
        REGISTRY + "xgboost-extended:1",
        REGISTRY + "sagemaker-xgboost@sha256:" + 64 * "0",
        "s3://bucket/xgboost:1",
        "xgboost:1 ",
    ],
)
def test_any_other_image_is_none_of_ours(image):
    assert find(image) is None


def test_an_image_is_resolved_to_the_digest_of_what_serves_it(tmp_path):
    program = tmp_path / "serve.sh"
    program.write_text("#!/bin/sh")
    digest = hashlib.sha256(b"#!/bin/sh").hexdigest()
    assert resolved(str(program)) == f"{program}@sha256:{digest}"
    assert resolved(f"{program.as_uri()}#1a2b") == f"{program.as_uri()}@sha256:{digest}"
    program.write_text("#!/bin/bash")
    assert digest not in resolved(str(program))


@pytest.mark.parametrize("fingerprinted", [True, False])
def test_a_program_that_is_not_the_one_that_was_meant_is_told(tmp_path, fingerprinted):
    program = tmp_path / "serve.sh"
    program.write_text("#!/bin/sh")
    image = f"{program.as_uri()}#{hashlib.sha256(b'#!/bin/sh').hexdigest()[:12]}" if fingerprinted else str(program)
    before = None if fingerprinted else resolved(image)
    assert whats_changed(image, before) is None
    program.write_text("#!/bin/bash")
    assert whats_changed(image, before) == "was changed since the model was made"
    program.unlink()
    assert whats_changed(image, before) == "cannot be read: No such file or directory"


def test_where_nothing_tells_which_program_was_meant_any_is(tmp_path):
    program = tmp_path / "serve.sh"
    program.write_text("#!/bin/sh")
    for image in (str(program), program.as_uri(), f"{program.as_uri()}#1a2b", "linear-learner:1"):
        assert whats_changed(image) is None
    assert whats_changed("linear-learner:1", "linear-learner:1@sha256:" + 64 * "0") is None


def test_an_image_of_aws_is_resolved_to_what_stands_in_for_it_here():
    name, digest = resolved(REGISTRY + "sagemaker-xgboost:3.0-5").split("@sha256:")
    assert (name, len(digest)) == ("sm_magics/xgboost:3.0-5", 64)
    assert resolved("linear-learner") == f"sm_magics/linear-learner:1@sha256:{digest}"


@pytest.mark.parametrize("image", ["/no/such/program", "file:///no/such/program", "team/model:1"])
def test_what_cannot_be_read_is_not_resolved(image):
    assert resolved(image) is None


def test_preloading_without_xgboost_is_no_error(monkeypatch):
    def missing():
        raise LoadError("xgboost is not installed here")

    monkeypatch.setattr(xgboost_library, "library", missing)
    Kind("xgboost", "3.0-5").preload()
    Kind("linear-learner", "1").preload()


def test_nothing_heavy_is_imported_and_preloading_starts_no_thread():
    program = """
import os, sys
from sm_magics.local import containers
containers.find("xgboost:1").preload()
heavy = {"numpy", "pandas", "scipy", "xgboost", "sklearn", "botocore", "IPython"} & set(sys.modules)
assert not heavy, heavy
assert not os.path.exists("/proc/self/task") or len(os.listdir("/proc/self/task")) == 1
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_router_does_not_load_what_it_does_not_serve():
    program = """
import sys
import sm_magics.local.process
assert {name for name in sys.modules if name.startswith("sm_magics.local.containers.")} == {
    "sm_magics.local.containers.contract"
}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
