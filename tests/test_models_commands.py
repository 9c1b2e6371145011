from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sm_magics import service_model
from sm_magics.errors import DeployError, PackagingError
from sm_magics.local import containers
from sm_magics.models import Place, package
from sm_magics.models.commands import command_uri
from sm_magics.spec import is_path
from sm_magics.spec.types import ModelFields

ROLE = "arn:aws:iam::123456789012:role/Serving"
HERE = Place("us-east-1", ROLE, "s3://bucket/models", runs_programs=True)


@pytest.fixture
def program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "ser ve.sh"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def of(image, place=HERE):
    return package("boston", ModelFields(container={"Image": image}, request={}), place)


@pytest.mark.parametrize("image", ["./serve.sh", "../serve", "/opt/serve", "~/serve.sh", "file:///opt/serve"])
def test_a_path_is_a_program(image):
    assert is_path(image)


@pytest.mark.parametrize("image", ["xgboost@3.0-5", "mine.com/repo:1", "a/b", "linear-learner", "serve.sh"])
def test_any_other_name_is_an_image(image):
    assert not is_path(image)


def test_however_it_is_written_it_is_the_same_model_which_the_engine_finds(program):
    written = ["./ser ve.sh", f"./../{program.parent.name}/ser ve.sh", str(program), "~/ser ve.sh", program.as_uri()]
    models = [of(image) for image in written]
    assert len({each.name for each in models}) == 1
    image = models[0].request["PrimaryContainer"]["Image"]
    assert image.startswith(f"file://{program.parent}/ser%20ve.sh#")
    assert containers.local_command(image) == program


def test_what_is_asked_for_breaks_no_rule_of_the_service(program):
    service = service_model.load("sagemaker", ("CreateModel",))
    request = {"ModelName": "boston", **of(str(program)).request}
    assert list(service.check(service.input("CreateModel"), request)) == []


def test_an_edited_program_is_another_model(program):
    before = of("./ser ve.sh").name
    program.write_text("#!/bin/sh\n# edited\n")
    after = of("./ser ve.sh").name
    assert before != after
    program.write_text("#!/bin/sh\n")
    assert of("./ser ve.sh").name == before


def test_where_no_program_runs_it_is_refused_before_anything_is_read():
    with pytest.raises(PackagingError, match="program of this machine, which only the embedded engine runs") as caught:
        of("./serve.sh", Place("us-east-1", ROLE, "s3://bucket/models"))
    assert "push it to ECR" in caught.value.hint


def test_one_that_is_missing_or_cannot_be_executed_is_told_by_name(program):
    with pytest.raises(PackagingError, match=r"the image '\./other\.sh' is no file: there is none at /"):
        of("./other.sh")
    with pytest.raises(PackagingError, match=r"the image '\./' is no file"):
        of("./")
    program.chmod(0o644)
    with pytest.raises(PackagingError, match="cannot be executed") as caught:
        of("./ser ve.sh")
    assert caught.value.hint == f"chmod +x {program}"


def test_one_that_cannot_be_read_is_told_by_name(program, monkeypatch):
    def refused(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(PackagingError, match="cannot be read: Permission denied"):
        command_uri(str(program), runs=True)


def test_a_home_of_nobody_is_a_path_like_any_other():
    with pytest.raises(PackagingError, match="is no file"):
        command_uri("~nobody-of-this-name/serve", runs=True)


def test_a_file_that_is_written_as_a_name_is_told_how_to_write_it(program):
    program.rename("serve.sh")
    with pytest.raises(PackagingError, match=r"no prebuilt image is called 'serve\.sh'") as caught:
        of("serve.sh")
    assert caught.value.hint == "for the program of this name write ./serve.sh"


class TestInCells:
    @pytest.fixture(autouse=True)
    def readme(self, tmp_path, monkeypatch):
        """Put the program of the README and its data into the notebook's directory."""
        monkeypatch.chdir(tmp_path)
        text = (Path(__file__).parents[1] / "README.md").read_text()
        (code,) = re.findall(r"```python\n(#!.*?)```", text, re.DOTALL)
        self.write(code)
        Path("model").mkdir()
        Path("model/model.json").write_text(json.dumps({"scale": 2}))

    def write(self, code):
        Path("serve.py").write_text(code)
        Path("serve.py").chmod(0o755)

    def serve(self, name):
        return f"%%sm_endpoint {name}\nvariants: {{A: {{model: {{image: ./serve.py, data: ./model}}}}}}"

    def answer(self, notebook, name):
        runtime = notebook.session.connection().client("sagemaker-runtime")
        told = runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=b"1,2")
        return told["Body"].read()

    def test_the_readme_s_program_serves_and_an_edited_one_is_an_update(self, notebook, name):
        assert notebook.run(self.serve(name)).result.verified
        assert self.answer(notebook, name) == b"6"
        assert "Nothing to change" in notebook.run(self.serve(name)).shown
        notebook.variables["row"] = [["1", "b"]]
        told = str(notebook.cell(f"%sm_invoke {name} --data $row").error)
        assert f"endpoint '{name}' answered 400: could not convert string to float: 'b'" in told
        self.write(Path("serve.py").read_text().replace("scale *", "10 * scale *"))
        notebook.run(self.serve(name))
        assert self.answer(notebook, name) == b"60"
        notebook.run(f"%sm_delete {name} --yes")

    def test_one_that_ends_at_once_fails_the_cell_with_what_it_said(self, notebook, name):
        self.write("#!/bin/sh\necho no licence found >&2\nexit 4\n")
        told = notebook.cell(self.serve(name))
        assert type(told.error) is DeployError
        assert "CannotStartContainerError" in str(told.error)
        assert "no licence found" in told.shown
        assert "ended with status 4" in told.shown

    def test_one_that_cannot_be_executed_fails_the_cell_before_any_call(self, notebook, name):
        Path("serve.py").chmod(0o644)
        with pytest.raises(PackagingError, match=r"variant A: the image '\./serve\.py' cannot be executed"):
            raise notebook.cell(self.serve(name)).error
