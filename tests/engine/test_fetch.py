"""Fetching from S3, as moto plays it."""

from __future__ import annotations

import os
import subprocess
import sys

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from sm_magics.local import fetch as module
from sm_magics.local.fetch import fetch, main

URL = "s3://bucket/models/a b/model.tar.gz"


@pytest.fixture
def s3(monkeypatch):
    """Yield a client of S3 with one bucket, and one object at `URL`."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="models/a b/model.tar.gz", Body=b"first")
        yield client


@pytest.fixture
def target(tmp_path):
    return tmp_path / "fetched"


def put(s3, body):
    s3.put_object(Bucket="bucket", Key="models/a b/model.tar.gz", Body=body)


def test_an_object_is_brought_whole_with_the_mark_of_what_it_is(s3, target):
    fetch(URL, target)
    assert target.read_bytes() == b"first"
    assert (target.parent / "fetched.etag").read_text() == s3.head_object(
        Bucket="bucket", Key="models/a b/model.tar.gz"
    )["ETag"]
    assert sorted(each.name for each in target.parent.iterdir()) == ["fetched", "fetched.etag"]


def test_it_is_brought_again_only_once_it_has_changed(s3, target):
    fetch(URL, target)
    target.write_bytes(b"kept")
    fetch(URL, target)
    assert target.read_bytes() == b"kept"
    put(s3, b"second")
    fetch(URL, target)
    assert target.read_bytes() == b"second"


@pytest.mark.parametrize("missing", ["fetched", "fetched.etag"])
def test_and_when_what_was_brought_is_not_whole(s3, target, missing):
    del s3
    fetch(URL, target)
    target.write_bytes(b"of another time")
    (target.parent / missing).unlink()
    fetch(URL, target)
    assert target.read_bytes() == b"first"


def test_one_can_only_look_for_it(s3, tmp_path, monkeypatch):
    del s3
    monkeypatch.chdir(tmp_path)
    fetch(URL, None)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_leaves_what_was(s3, target):
    fetch(URL, target)
    s3.delete_object(Bucket="bucket", Key="models/a b/model.tar.gz")
    with pytest.raises(ClientError, match="404"):
        fetch(URL, target)
    assert target.read_bytes() == b"first"


def test_a_download_that_breaks_off_leaves_what_was(s3, target, monkeypatch):
    fetch(URL, target)
    put(s3, b"second")

    def broken(_client, _bucket, _key, path):
        with open(path, "wb") as file:  # noqa: PTH123 - as boto3 has it
            file.write(b"sec")
        raise ConnectionError("reset by peer")

    original = boto3.client
    monkeypatch.setattr(boto3, "client", lambda name: Broken(original(name), broken))
    with pytest.raises(ConnectionError):
        fetch(URL, target)
    assert target.read_bytes() == b"first"
    monkeypatch.setattr(boto3, "client", original)
    fetch(URL, target)
    assert target.read_bytes() == b"second"
    assert not target.with_suffix(".partial").exists()


class Broken:
    """A client whose downloads break off."""

    def __init__(self, client, download):
        self.head_object = client.head_object
        self.download_file = lambda *given: download(client, *given)


class TestMain:
    def run(self, monkeypatch, *arguments):
        monkeypatch.setattr(sys, "argv", ["fetch", *arguments])
        return main()

    def test_it_succeeds_in_silence(self, s3, target, monkeypatch, capsys):
        del s3
        assert self.run(monkeypatch, URL, str(target)) == 0
        assert self.run(monkeypatch, URL, "-") == 0
        assert target.read_bytes() == b"first"
        assert capsys.readouterr() == ("", "")

    def test_why_it_failed_is_the_one_line_that_it_says(self, s3, monkeypatch, capsys):
        del s3
        assert self.run(monkeypatch, "s3://bucket/nothing", "-") == 1
        told = capsys.readouterr()
        assert (told.out, told.err.count("\n")) == ("", 1)
        assert "404" in told.err

    def test_even_when_the_error_has_several(self, monkeypatch, capsys):
        def failing(_url, _target):
            raise RuntimeError("one\ntwo")

        monkeypatch.setattr(module, "fetch", failing)
        assert self.run(monkeypatch, URL, "-") == 1
        assert capsys.readouterr().err == "one two \n"


def test_as_a_process_without_credentials_it_says_so_and_fails(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/none"}
    environment |= {"AWS_SHARED_CREDENTIALS_FILE": "/none", "AWS_DEFAULT_REGION": "us-east-1"}
    for each in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        environment.pop(each, None)
    done = subprocess.run(
        [sys.executable, "-m", "sm_magics.local.fetch", URL, "-"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == "Unable to locate credentials"
