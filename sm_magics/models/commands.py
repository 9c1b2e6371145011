"""A program of this machine as an image: `image: ./serve.sh`, which the embedded engine runs as a container."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sm_magics.errors import PackagingError

__all__ = ["command_uri", "path_of"]

_HASH_LENGTH = 12


def command_uri(image: str, *, runs: bool) -> str:
    """Return the `file://` URI of a program, with a fingerprint of its content, so that an edited one is a new model.

    Raises
    ------
    PackagingError
        When there is no such program, it cannot be executed, or `runs` says that no program runs where the model goes.
    """
    if not runs:
        raise PackagingError(
            f"the image '{image}' is a program of this machine, which only the embedded engine runs",
            hint="build a container image that starts it, push it to ECR, and write its URI",
        )
    path = path_of(image)
    if not path.is_file():
        raise PackagingError(
            f"the image '{image}' is no file: there is none at {path}", hint=f"it was looked for from {Path.cwd()}"
        )
    if not os.access(path, os.X_OK):
        raise PackagingError(f"the image '{image}' cannot be executed", hint=f"chmod +x {path}")
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PackagingError(f"the image '{image}' cannot be read: {error.strerror}", hint=f"chmod +r {path}") from None
    return f"{path.as_uri()}#{digest[:_HASH_LENGTH]}"


def path_of(text: str) -> Path:
    """Return the absolute path that a path or a `file:` URI names."""
    if text.startswith("file:"):
        return Path(unquote(urlsplit(text).path)).absolute()
    try:
        return Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - without following links
    except RuntimeError:  # of a user that does not exist
        return Path(text).absolute()
