"""The extension of JupyterLab is in the wheel, where the front ends look for it, and is named as they expect."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import sm_magics

ROOT = Path(__file__).parents[1]
PLACE = "share/jupyter/labextensions/sm-magics"


def built(folder):
    """Return the files of the wheel, by where each goes."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(build, cwd=ROOT, check=True)
    (made,) = folder.glob("*.whl")
    with zipfile.ZipFile(made) as wheel:
        return {name.partition(".data/data/")[2] or name: wheel.read(name) for name in wheel.namelist()}


def test_a_wheel_has_it_where_jupyter_looks_and_nowhere_else(tmp_path):
    wheel = built(tmp_path)
    package = json.loads(wheel[f"{PLACE}/package.json"])
    assert (package["name"], package["version"]) == ("sm-magics", sm_magics.__version__)
    load = package["jupyterlab"]["_build"]["load"]
    entry = wheel[f"{PLACE}/{load}"]
    digest = hashlib.sha256(entry).hexdigest()[:12]
    assert load == f"static/remoteEntry.{digest}.js"  # an edited one is a new name: browsers keep the old one for days
    assert b'_JUPYTERLAB["sm-magics"]' in entry
    assert b"http" not in entry  # it loads nothing from anywhere
    assert json.loads(wheel[f"{PLACE}/install.json"])["packageName"] == "sm-magics"
    assert [name for name in wheel if "labextensions" in name and not name.startswith(PLACE)] == []
    assert "sm_magics/magics/endpoint.py" in wheel
