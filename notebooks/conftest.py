"""Runs the tutorials as tests: on an engine of their own, stopped at the end, without live displays."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from sm_magics.local.start import find

STATE = Path(tempfile.mkdtemp(prefix="sm_magics-notebooks-"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Set what a notebook's kernel inherits, before nbval starts it."""
    os.environ["SM_MAGICS_STATE"] = str(STATE)
    os.environ["SM_MAGICS_DISPLAY"] = "static"


def pytest_sessionfinish() -> None:
    """Stop the notebooks' engine."""
    engine = find(STATE)
    if engine is not None:
        engine.stop()
    shutil.rmtree(STATE, ignore_errors=True)
