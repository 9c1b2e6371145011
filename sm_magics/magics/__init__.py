"""The magics: parse the line, resolve names, call, present. One module for each family."""

from __future__ import annotations

import re
from typing import Any

from sm_magics.magics.compare import CompareMagics
from sm_magics.magics.complete import Completer
from sm_magics.magics.connect import ConnectMagics
from sm_magics.magics.endpoint import EndpointMagics
from sm_magics.magics.fault import FaultMagics
from sm_magics.magics.help import HelpMagics
from sm_magics.magics.invoke import InvokeMagics
from sm_magics.magics.load import LoadMagics
from sm_magics.magics.model import ModelMagics
from sm_magics.magics.observe import ObserveMagics
from sm_magics.magics.panel import PanelMagics
from sm_magics.magics.session import Session
from sm_magics.magics.traffic import TrafficMagics
from sm_magics.magics.versions import VersionsMagics

__all__ = ["register", "unregister"]

FAMILIES = (
    EndpointMagics,
    ModelMagics,
    InvokeMagics,
    CompareMagics,
    TrafficMagics,
    VersionsMagics,
    PanelMagics,
    LoadMagics,
    ObserveMagics,
    FaultMagics,
    ConnectMagics,
    HelpMagics,
)
_EMPTY_CELL = re.compile(r"^(get_ipython\(\)\.run_cell_magic\('sm_\w+', .*, )''\)$")


def register(shell: Any) -> None:
    """Add the magics of one new session to a shell."""
    session = Session(shell)
    for family in FAMILIES:
        shell.register_magics(family(session))
    shell.input_transformers_post.append(open_empty_cell)
    shell.Completer.custom_matchers.append(Completer(session).match)


def unregister(shell: Any) -> None:
    """Take away what `register` added."""
    for kind in ("line", "cell"):
        table = shell.magics_manager.magics[kind]
        for name in [name for name in table if name.startswith("sm_")]:
            del table[name]
    if open_empty_cell in shell.input_transformers_post:
        shell.input_transformers_post.remove(open_empty_cell)
    matchers = shell.Completer.custom_matchers
    for each in list(matchers):
        if isinstance(ours := getattr(each, "__self__", None), Completer):
            matchers.remove(each)
            ours.session.close()


def open_empty_cell(lines: list[str]) -> list[str]:
    """Hand an empty cell on to its magic, which says what belongs there.

    IPython itself would print a usage error, which nbconvert and nbval take for success.
    """
    return [_EMPTY_CELL.sub(r"\1'\\n')", line.rstrip("\n")) + "\n" if "'sm_" in line else line for line in lines]
