"""JupyterLab and Notebook 7 in a real browser, as a user has them, and cut off from every other machine.

One server has both, at `/lab/` and at `/notebooks/`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
from nbconvert import HTMLExporter
from playwright.sync_api import expect

FRONT_ENDS = {"lab": "lab/tree/{}?reset", "notebook": "notebooks/{}"}  # without the tabs that were there before
MS = 20_000  # for what must come at some time
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"],
    *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
SERVER = (
    *["--no-browser", "--ip=127.0.0.1", "--allow-root", "--IdentityProvider.token=", "--ServerApp.password="],
    *["--ServerApp.port_retries=0", "--ServerApp.terminals_enabled=False", "--LanguageServerManager.autodetect=False"],
    *["--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True"],
    *["--LabApp.news_url=", "--LabApp.extension_manager=readonly"],
)
EXTENSIONS = Path(__file__).parents[2] / "sm_magics"  # the checkout's `labextensions`, however it is installed
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "docmanager-extension/plugin": {"autosave": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # else what is not in view is not on the page
}
NOT_OURS = (
    "reading 'schema'",  # Notebook 7.6 says so of itself
    "'filebrowser:open-path' not registered",
    "Canceled future for",  # JupyterLab's debugger, of a kernel that ends while it asks
)
ACTIVE = "window.jupyterapp?.shell.currentWidget"


def browser_path():
    """Return where a browser is, None when there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Server:
    """A server on notebooks of a folder of its own."""

    def __init__(self, folder, state):
        self.root = folder / "notebooks"
        self.root.mkdir()
        for name, settings in SETTINGS.items():
            place = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(settings))
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",  # with the signatures of the notebooks that are trusted
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        own = {name: str(folder / part) for name, part in folders.items()}
        own["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(EXTENSIONS), os.environ.get("JUPYTER_PATH")]))
        environment = {**os.environ, **own, "SM_MAGICS_STATE": str(state), "SM_MAGICS_DISPLAY": "auto"}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *SERVER, f"--port={port}", f"--ServerApp.root_dir={self.root}"],
                env=environment,
                stdout=log,
                stderr=log,
            )
        self._wait()

    def _wait(self):
        deadline = time.monotonic() + MS / 1000
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/api"):  # noqa: S310 - http
                return
            time.sleep(0.1)
        raise AssertionError(self._log.read_text())

    def write(self, name, *cells):
        """Write a notebook of code cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.root / name)

    def read(self, name):
        """Return a notebook as it was saved."""
        return nbformat.read(self.root / name, as_version=4)

    def stop(self):
        self._process.terminate()
        self._process.wait(30)


class Opened:
    """A notebook that is open on a page of its own; notes what the page complains of and whom it contacts."""

    def __init__(self, browser, server, name, front_end, scale=1):
        self.complaints, self.contacted = [], set()
        self.context = browser.new_context(viewport={"width": 1200, "height": 900}, device_scale_factor=scale)
        self.context.on("request", lambda request: self.contacted.add(urlsplit(request.url).hostname))
        self.page = self.context.new_page()
        self.page.set_default_timeout(MS)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.goto(f"{server.url}/{FRONT_ENDS[front_end].format(name)}")
        self.until_idle()
        if front_end == "lab":
            self.do("application:toggle-left-area")  # the list of files

    def do(self, command, **arguments):
        """Execute a command of the front end and return what it gives in the end."""
        script = "([command, given]) => window.jupyterapp.commands.execute(command, given).then(done => done === true)"
        return self.page.evaluate(script, [command, arguments])

    def until_idle(self):
        self.page.wait_for_function(f"() => {ACTIVE}?.sessionContext?.session?.kernel?.status === 'idle'")

    def run_all(self):
        return self.do("notebook:run-all-cells")

    def begin(self, number):
        """Run a cell, without waiting for its end."""
        self.page.evaluate(
            f"number => {{ const notebook = {ACTIVE}.content; notebook.activeCellIndex = number;"
            " void window.jupyterapp.commands.execute('notebook:run-cell'); }",
            number,
        )

    def cell(self, number):
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def outputs(self, number):
        return self.cell(number).locator(".jp-OutputArea-output")

    def sees(self, number, text, ms=MS):
        """Wait until a cell shows a text."""
        expect(self.cell(number).locator(".jp-OutputArea")).to_contain_text(text, timeout=ms)

    def has_run(self, number):
        """Wait until a cell has its number."""
        expect(self.cell(number).locator(".jp-InputPrompt")).to_contain_text(re.compile(r"\[\d+\]"), timeout=MS)

    def is_running(self, number):
        """Wait until a cell has begun, and see that it has not ended."""
        expect(self.cell(number).locator(".jp-InputPrompt")).to_contain_text("[*]")

    def interrupt(self):
        """Press the toolbar's stop button."""
        self.page.locator('[data-command="notebook:interrupt-kernel"]').first.click()

    def restart(self):
        """Restart the kernel, as the dialog that asks whether to do it does."""
        self.page.evaluate(f"() => {ACTIVE}.sessionContext.restartKernel()")

    def end_kernel(self):
        """Shut the kernel down, as the menu does."""
        self.do("kernelmenu:shutdown")
        self.page.wait_for_function(f"() => !{ACTIVE}.sessionContext.session?.kernel")

    def save(self):
        self.do("docmanager:save")

    def in_theme(self, theme):
        self.do("apputils:change-theme", theme=theme)
        self.page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=theme)
        expect(self.page.locator(".jp-Splash, #jupyterlab-splash")).to_have_count(0, timeout=MS)

    def shut_down(self):
        """End the kernel and close the page."""
        with contextlib.suppress(Exception):
            self.page.evaluate(f"() => {ACTIVE}.sessionContext.shutdown()")
        self.context.close()

    def check(self):
        """Fail when the page complained of us, or contacted anyone but its server."""
        complaints = [each for each in self.complaints if not any(known in each for known in NOT_OURS)]
        assert not complaints, complaints
        assert self.contacted <= {"127.0.0.1", None}, self.contacted  # None: data and blobs of the page itself


@contextlib.contextmanager
def as_a_file(browser, notebook, folder):
    """Yield the page that nbconvert makes of a notebook, opened from a file without a network.

    In the end it has to have asked for nothing, and complained of nothing, but what the page of an empty notebook does.
    """
    seen = []
    for name, each in (("empty", nbformat.v4.new_notebook()), ("page", notebook)):
        place = folder / f"{name}.html"
        place.write_text(HTMLExporter().from_notebook_node(each)[0], encoding="utf-8")
        asked, said = set(), set()
        with browser.new_context(offline=True) as context:
            context.on("request", lambda request, asked=asked: asked.add(request.url))
            page = context.new_page()
            page.on("pageerror", lambda error, said=said: said.add(str(error)))
            page.on("console", lambda told, said=said: said.add(told.text) if told.type == "error" else None)
            page.goto(place.as_uri())
            if name == "page":
                yield page
        seen.append((asked - {place.as_uri()}, said))
    assert seen[1] == seen[0]


def pictures(opened, name, narrow=560):
    """Keep what the page looks like, light, dark and narrow, for whoever wants to look."""
    folder = Path(__file__).parents[2] / "build" / "screenshots"
    for kind, theme, width in (("dark", "JupyterLab Dark", 1200), ("narrow", "JupyterLab Light", narrow)):
        opened.in_theme(theme)
        opened.page.set_viewport_size({"width": width, "height": 900})
        opened.page.screenshot(path=folder / f"{name}-{kind}.png")
    opened.page.set_viewport_size({"width": 1200, "height": 900})
    opened.page.screenshot(path=folder / f"{name}-light.png")
