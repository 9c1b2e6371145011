"""What the tests of the notebook's side share: an engine, shells as users have them, small models, and fakes."""

from __future__ import annotations

import atexit
import contextlib
import io
import itertools
import os
import signal
import sys
import tarfile
import threading
import time
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from botocore.exceptions import ClientError
from hypothesis import settings
from IPython.core.interactiveshell import InteractiveShell
from sklearn.linear_model import LinearRegression
from traitlets.config import Config

from sm_magics.clock import Clock
from sm_magics.connection import Connection, connect_local
from sm_magics.deploy import deploy
from sm_magics.errors import ServiceError
from sm_magics.local.start import find
from sm_magics.resolve import resolve
from sm_magics.settle import gone, settle
from sm_magics.spec import parse_endpoint

_NUMBERS = itertools.count(1)
settings.register_profile("steady", deadline=None)  # machines are noisy: no test is about how long it takes
settings.load_profile("steady")


@pytest.fixture(scope="session")
def state(tmp_path_factory):
    """Yield the state directory of the engine that the tests of one process share; it is stopped in the end."""
    folder = tmp_path_factory.mktemp("engine")
    yield folder
    engine = find(folder)
    if engine is not None:
        engine.stop()


@pytest.fixture(scope="session")
def connection(state):
    """Return a connection to the shared engine."""
    return connect_local(state)


@pytest.fixture(scope="session")
def data():
    """Return 200 rows of 13 columns and what is to be predicted."""
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(200, 13))
    return rows, rows @ rng.normal(size=13) + 20


@pytest.fixture(scope="session")
def linear(data):
    """Return a fitted LinearRegression."""
    return LinearRegression().fit(*data)


@pytest.fixture(scope="session")
def xgb(data):
    """Return a fitted XGBRegressor."""
    return xgboost.XGBRegressor(n_estimators=10, max_depth=3).fit(*data)


@pytest.fixture(scope="session")
def corrupt(tmp_path_factory):
    """Return the path of an artifact that no container can load: its booster is no booster."""
    folder = tmp_path_factory.mktemp("corrupt")
    (folder / "xgboost-model").write_text("this is no booster")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(folder / "xgboost-model", "xgboost-model")
    return str(folder / "model.tar.gz")


@dataclass
class Deployer:
    """Brings endpoints to the shared engine without a shell."""

    connection: Connection
    variables: dict[str, Any]
    clock: Clock = field(default_factory=Clock)

    def target(self, name, body):
        return resolve(parse_endpoint(body, name, self.variables), self.connection, {})

    def run(self, name, body, **options):
        """Deploy and return what happened."""
        return list(deploy(self.connection, self.target(name, body), self.clock, **options))

    def names(self, kind, part):
        """Return the names of all resources of a kind that have `part` in their name."""
        rows = [row for page in self.connection.pages(f"List{kind}s", NameContains=part) for row in page[f"{kind}s"]]
        return sorted(row[f"{kind}Name"] for row in rows)

    def remove(self, name):
        with contextlib.suppress(ServiceError):
            list(settle(self.connection, name, self.clock, 30))
            self.connection.call("DeleteEndpoint", EndpointName=name)
            list(gone(self.connection, name, self.clock, 30))


@pytest.fixture
def deployer(connection, linear, xgb, corrupt):
    return Deployer(connection, {"linear": linear, "xgb": xgb, "corrupt": corrupt})


@pytest.fixture
def name(deployer):
    """Yield the name of an endpoint of the test's own, which is deleted afterwards."""
    own = f"ep{next(_NUMBERS)}x"
    yield own
    deployer.remove(own)


@pytest.fixture
def paused(state):
    """Return a context in which the process that starts workers is held, so that no fleet comes up meanwhile."""

    @contextlib.contextmanager
    def pause():
        engine = find(state).pid
        held = [int(pid) for pid in Path(f"/proc/{engine}/task/{engine}/children").read_text().split()]
        assert held
        for pid in held:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in held:
                os.kill(pid, signal.SIGCONT)

    return pause


@pytest.fixture
def coming_first(connection, paused):
    """Return a function that makes another's change right before our next call of an operation.

    That change is under way until our call is answered, however fast the service and however slow we are. Where our
    call never comes, nothing of it is left for the next test.
    """
    events = connection.client("sagemaker").meta.events
    with contextlib.ExitStack() as held:

        def before(operation, change):
            mine = held.enter_context(contextlib.ExitStack())

            def begin(**_):
                events.unregister(f"before-call.sagemaker.{operation}", begin)
                mine.enter_context(paused())
                change()
                events.register(f"after-call.sagemaker.{operation}", end)

            def end(**_):
                events.unregister(f"after-call.sagemaker.{operation}", end)
                mine.close()

            events.register(f"before-call.sagemaker.{operation}", begin)
            mine.callback(events.unregister, f"before-call.sagemaker.{operation}", begin)
            mine.callback(events.unregister, f"after-call.sagemaker.{operation}", end)

        yield before


@pytest.fixture
def noting_writes():
    """Return a context that gives the list of all calls made within it, on one connection, that change something."""

    @contextlib.contextmanager
    def note_on(connection):
        made = []

        def note(model, **_):
            if model.name.startswith(("Create", "Update", "Delete", "Add")):
                made.append(model.name)

        events = connection.client("sagemaker").meta.events
        events.register("before-call.sagemaker", note)
        yield made
        events.unregister("before-call.sagemaker", note)

    return note_on


TWO_VARIANTS = """
variants:
  Linear-Model: {model: $linear, weight: 4}
  XGB-Model: {model: $xgb, weight: 1}
"""


@pytest.fixture(scope="session")
def served(connection, linear, xgb):
    """Return the name of an endpoint with two variants, 80 % and 20 %, that tests look at and leave alone."""
    Deployer(connection, {"linear": linear, "xgb": xgb}).run("boston", TWO_VARIANTS)
    return "boston"


@dataclass(frozen=True)
class Ran:
    """What came of a cell: its result, its error, and all that was shown."""

    result: Any
    error: BaseException | None
    shown: str


class Notebook:
    """A shell with our magics, run as a user runs it."""

    def __init__(self, shell):
        self.shell = shell

    @property
    def variables(self):
        return self.shell.user_ns

    @property
    def session(self):
        """The session behind this shell's magics."""
        return self.shell.find_line_magic("sm_status").__self__.session

    def cell(self, text):
        """Run a cell, whatever comes of it."""
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            ran = self.shell.run_cell(text, store_history=True)
        return Ran(ran.result, ran.error_before_exec or ran.error_in_exec, stream.getvalue())

    def run(self, text):
        """Run a cell that must succeed."""
        ran = self.cell(text)
        assert ran.error is None, ran.shown
        return ran

    def fails(self, text, kind):
        """Run a cell that must fail with an error of ours, shown without a traceback; return its text."""
        ran = self.cell(text)
        assert type(ran.error) is kind, ran.shown
        assert ran.shown.endswith(f"{kind.__name__}: {ran.error}\n")
        assert "Traceback" not in ran.shown
        assert ".py" not in ran.shown
        return str(ran.error)


@pytest.fixture
def open_notebook(state, monkeypatch):
    """Return a function that opens one more notebook on the shared engine."""
    monkeypatch.setenv("SM_MAGICS_STATE", str(state))
    monkeypatch.setenv("SM_MAGICS_DISPLAY", "static")
    opened = []

    def open_one():
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        module = types.ModuleType(f"notebook_{len(opened)}")
        shell = InteractiveShell(config=config, user_module=module, user_ns=module.__dict__)
        shell.run_line_magic("load_ext", "sm_magics")
        opened.append(shell)
        return Notebook(shell)

    yield open_one
    for shell in opened:
        if (magic := shell.find_line_magic("sm_load")) is not None:
            magic.__self__.session.close()
        shell.restore_sys_module_state()
        atexit.unregister(shell.atexit_operations)  # which collects garbage, for every shell anew


@pytest.fixture
def notebook(open_notebook, connection, linear, xgb, data, corrupt):
    """Return a notebook with the models `linear` and `xgb`, the rows `X` and what is true of them, `y`.

    It connects to the shared engine by a connection that was made before: making clients takes boto3 half a second.
    """
    opened = open_notebook()
    opened.session.connect = lambda: connection
    opened.variables.update(linear=linear, xgb=xgb, X=data[0], y=data[1], corrupt=corrupt)
    return opened


@pytest.fixture
def interrupt_in():
    """Return what interrupts the main thread, as Ctrl-C does, once it waits for another thread in a function."""
    main, threads = threading.main_thread().ident, []

    def waits(function):
        frame = sys._current_frames()[main]
        waiting = frame.f_code.co_filename == threading.__file__
        while frame is not None and frame.f_code is not function.__code__:
            frame = frame.f_back
        return waiting and frame is not None

    def interrupt(function):
        deadline = time.monotonic() + 30
        while not waits(function):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        signal.pthread_kill(main, signal.SIGINT)

    def begin(function):
        threads.append(threading.Thread(target=interrupt, args=(function,), daemon=True))
        threads[-1].start()

    yield begin
    for each in threads:
        each.join()


class FakeClock:
    """Time that passes only where it is slept."""

    def __init__(self):
        self.slept = []

    def now(self):
        return float(sum(self.slept))

    def sleep(self, seconds):
        self.slept.append(seconds)


@pytest.fixture
def fake_clock():
    return FakeClock()


class FakeService:
    """A boto3 client, and the session that makes it, that answers by a script.

    A script is what each operation answers in turn, the last again and again: a mapping, an exception to raise, or a
    function of the request.
    """

    def __init__(self, script):
        self.script = {operation: list(answers) for operation, answers in script.items()}
        self.calls = []
        self.endpoint_url = None

    def client(self, _service, **_options):
        return self

    def __getattr__(self, operation):
        def run(**request):
            self.calls.append((operation, request))
            assert operation in self.script, f"{operation} was not expected"
            answers = self.script[operation]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            answer = answer(**request) if callable(answer) else answer
            if isinstance(answer, Exception):
                raise answer
            return answer

        return run

    @property
    def operations(self):
        return [operation for operation, _ in self.calls]


class FakeStore:
    """An artifact store that keeps what it is given."""

    prefix = "s3://bucket/sm_magics/models"

    def __init__(self):
        self.kept = {}

    def holds(self, uri):
        return uri in self.kept

    def put(self, uri, artifact):
        self.kept[uri] = artifact


@pytest.fixture
def fake_connection():
    """Return a function from a script to a connection that answers by it; `connection.session` has the calls."""

    def connect(**script):
        service = FakeService(script)
        return Connection(service, "123456789012", "us-east-1", "arn:aws:iam::123456789012:role/r", FakeStore(), "fake")

    return connect


@pytest.fixture
def refusal():
    """Return a function that makes the exception with which boto3 tells that the service refused a call."""

    def make(message, code="ValidationException", status=400, **rest):
        error = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}, **rest}
        return ClientError(error, "Operation")

    return make
