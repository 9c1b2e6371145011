from __future__ import annotations

import threading

import pytest

from sm_magics.connection import call
from sm_magics.errors import CellError, DeployError, InvokeError, ServiceError
from sm_magics.faults import Fault
from sm_magics.results import Faults

ONE = "variants: {A: $linear}"
GUARDED = """%%sm_endpoint {name}
variants: {{A: $xgb}}
deploy: {{canary: 10%, wait: 40s}}
rollback_on: [{{metric: Invocation5XXErrors, above: 1%, for: 10s}}]
"""


class TestFaults:
    def test_errors_on_purpose_are_real_and_clear_heals(self, notebook, deployer, name):
        deployer.run(name, ONE)
        ran = notebook.run(f"%sm_fault {name} 5xx=100% -o kept")
        assert isinstance(ran.result, Faults)
        assert notebook.variables["kept"] is ran.result
        assert ran.result.faults == (Fault("5xx", percentage=100.0),)
        assert type(notebook.cell(f"%sm_invoke {name} --data $X --rows 1").error) is InvokeError
        assert "no faults" in notebook.run(f"%sm_fault {name} clear").shown
        notebook.run(f"%sm_invoke {name} --data $X --rows 3")

    def test_the_card_tells_what_fails_where_and_how_much_and_when_it_ends(self, notebook, deployer, name):
        config = deployer.run(name, "variants: {A: $linear, B: $xgb}")[-1].snapshot.config_name
        assert "Nothing goes wrong on purpose." in notebook.run(f"%sm_fault {name}").shown
        notebook.run(f"%sm_fault {name} B slow=200ms throttle=10%")
        notebook.run(f"%sm_fault {name} --next ping=fail quota")
        shown = notebook.run(f"%sm_fault {name}").shown
        rows = {line.split()[0]: " ".join(line.split()[1:]) for line in shown.split("\n") if line.strip()}
        assert f"Faults of {name} · 4 faults" in shown
        assert rows["slow"] == "B 200ms later all"
        assert rows["throttle"] == "B 10 % of invocations all"
        assert rows["ping"] == f"all every health check all but that of {config}"
        assert rows["quota"] == f"all every new instance all but that of {config}"
        assert "a restart of the engine clears them" in " ".join(shown.split())
        assert " · 2 faults" in notebook.run(f"%sm_fault {name} B clear").shown

    def test_faults_may_wait_for_an_endpoint_that_is_to_come(self, notebook, name):
        assert "the next" in notebook.run(f"%sm_fault {name} A quota --next").shown
        error = notebook.cell(f"%%sm_endpoint {name}\n{ONE}").error
        assert type(error) is ServiceError
        assert error.code == "ResourceLimitExceeded"
        notebook.run(f"%sm_fault {name} A clear")
        notebook.run(f"%%sm_endpoint {name}\n{ONE}")

    def test_a_canary_of_what_fails_is_rolled_back_by_its_alarm(self, notebook, deployer, name, connection):
        before = deployer.run(name, ONE)[-1].snapshot.config_name
        notebook.run(f"%sm_fault {name} 5xx=100% --next")
        over, statuses = threading.Event(), set()

        def invoke():
            client = connection.client("sagemaker-runtime")
            body = {"EndpointName": name, "ContentType": "text/csv", "Body": ",".join(["0"] * 13)}
            while not over.wait(0.05):
                try:
                    statuses.add(call(client, "InvokeEndpoint", **body)["ResponseMetadata"]["HTTPStatusCode"])
                except ServiceError as error:
                    statuses.add(error.code)

        users = threading.Thread(target=invoke)
        users.start()
        try:
            told = notebook.fails(GUARDED.format(name=name), DeployError)
        finally:
            over.set()
            users.join()
        assert f"sm_magics/{name}/A/Invocation5XXErrors/" in told
        assert "rolled back" in told
        assert connection.describe("Endpoint", name)["EndpointConfigName"] == before
        assert "ModelError" in statuses
        notebook.run(f"%sm_invoke {name} --data $X --rows 1")


class TestMistakes:
    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("boston 5xx=2", "write 5xx=20%"),
            ("boston explode=1", "'explode' is no kind of fault"),
            ("boston clear --next", "clear stands alone"),
            ("", "the following arguments are required: NAME"),
        ],
    )
    def test_a_word_that_cannot_be_is_an_error_before_anything_is_asked(self, notebook, line, told):
        assert told in notebook.fails(f"%sm_fault {line}", CellError)
        assert notebook.session.connected is None

    def test_a_word_that_is_neither_a_kind_nor_a_variant(self, notebook, served):
        assert "did you mean XGB-Model?" in notebook.fails(f"%sm_fault {served} XGB crash", CellError)
        assert "did you mean crash?" in notebook.fails(f"%sm_fault {served} crsh", CellError)

    @pytest.mark.parametrize("words", ["", "crash", "clear"])
    def test_an_endpoint_that_is_not_there(self, notebook, served, words):
        told = notebook.fails(f"%sm_fault bostn {words}", CellError)
        assert "there is no endpoint 'bostn'" in told
        assert f"did you mean '{served}'?" in told

    def test_on_aws_nothing_fails_on_purpose(self, notebook, fake_connection):
        notebook.session.connect = lambda: fake_connection(get_available_services=[["sagemaker"]])
        assert "on the embedded engine only" in notebook.fails("%sm_fault boston crash", CellError)


def test_without_words_only_the_name_is_missing(notebook):
    assert notebook.fails("%sm_fault", CellError).startswith("the following arguments are required: NAME\n")
