"""`%load_ext sm_magics` in a fresh interpreter: what it imports, whom it contacts, and how quick it is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import sm_magics

SCRIPT = """
import json, sys, time
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell(config=config)
before, events = set(sys.modules), []

def note(event, _arguments):
    if event.startswith(("socket.", "subprocess.", "os.fork")):
        events.append(event)

sys.addaudithook(note)
began = time.perf_counter()
shell.run_line_magic("load_ext", "sm_magics")
seconds = time.perf_counter() - began
top = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
print(json.dumps({"top": top, "events": events, "seconds": seconds, "all": sorted(sys.modules)}))
"""
HEAVY = ("yaml", "boto3", "botocore", "ipywidgets", "jinja2", "numpy", "pandas", "xgboost", "sklearn", "matplotlib")


@pytest.fixture(scope="module")
def loaded():
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(ran.stdout)


def test_it_imports_nothing_but_the_standard_library_ipython_and_itself(loaded):
    others = [name for name in loaded["top"] if name not in {*sys.stdlib_module_names, "sm_magics", "IPython"}]
    assert others == []


@pytest.mark.parametrize("name", HEAVY)
def test_nothing_heavy_is_there_afterwards(loaded, name):
    assert not [each for each in loaded["all"] if each.partition(".")[0] == name]


def test_it_contacts_nobody_and_starts_no_process(loaded):
    assert loaded["events"] == []


def test_it_is_quick(loaded):
    assert loaded["seconds"] < 1.0  # 20 ms on a quiet machine; a heavy import would take longer than this


def test_importing_the_package_registers_nothing():
    assert sm_magics.__all__ == ["__version__", "load_ipython_extension", "unload_ipython_extension"]
