"""The life of an Amazon SageMaker endpoint as re-runnable Jupyter cells: `%load_ext sm_magics`."""

from __future__ import annotations

from typing import Any

__all__ = ["__version__", "load_ipython_extension", "unload_ipython_extension"]

__version__ = "0.1.0"


def load_ipython_extension(shell: Any) -> None:
    """Register the magics; imports nothing but the standard library and IPython, and contacts nobody."""
    from sm_magics.magics import register

    register(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away again."""
    from sm_magics.magics import unregister

    unregister(shell)
