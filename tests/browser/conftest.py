"""A browser, a server, and notebooks that are opened in it."""

from __future__ import annotations

import itertools
import os

import pytest
from frontend import FLAGS, FRONT_ENDS, Opened, Server, browser_path
from playwright.sync_api import sync_playwright

from sm_magics.watch import look

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def installed_browser():
    """Return where the browser is. CI must have one; elsewhere these tests are skipped without it."""
    path = browser_path()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no chromium on the PATH")
    return path


@pytest.fixture(scope="session")
def server(installed_browser, tmp_path_factory, state):  # noqa: ARG001 - none without a browser
    """Yield the server of JupyterLab and Notebook 7, whose kernels use the engine that all tests share."""
    started = Server(tmp_path_factory.mktemp("jupyter"), state)
    yield started
    started.stop()


@pytest.fixture(scope="module")  # no longer: Playwright holds the thread's event loop
def browser(installed_browser):
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=installed_browser, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(params=FRONT_ENDS)
def front_end(request):
    return request.param


@pytest.fixture
def open_page(browser, server):
    """Return a function that opens a notebook that is there; what its page says and asks for is checked in the end."""
    pages = []

    def open_one(name, front_end="lab"):
        pages.append(Opened(browser, server, name, front_end))
        return pages[-1]

    yield open_one
    for each in pages:
        each.shut_down()
    for each in pages:
        each.check()


@pytest.fixture
def open_cells(open_page, server):
    """Return a function that opens a new notebook of code cells, the first of which loads the extension."""

    def open_one(*cells, front_end="lab", name=None):
        name = name or f"cells-{next(_NUMBERS)}.ipynb"
        server.write(name, "%load_ext sm_magics", *cells)
        opened = open_page(name, front_end)
        opened.begin(0)
        return opened

    return open_one


@pytest.fixture(scope="session")
def models(served, connection):
    """Return the names of two models that are there already, so that kernels train nothing."""
    config = connection.describe("EndpointConfig", look(connection, served).config_name)
    return [each["ModelName"] for each in config["ProductionVariants"]]


@pytest.fixture
def cell(name, models):
    """Return a cell that makes an endpoint of the test's own."""
    return f"%%sm_endpoint {name}\nvariants:\n  A: {{model: {models[0]}}}\n"
