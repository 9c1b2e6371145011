"""The containers that the embedded engine serves: which one an image is, and how to load its model.

`find` names the container of an image URI; `Kind.load` gives the loaded model behind `contract.Container`. Nothing here
imports numpy or xgboost: a worker that serves a model holds little more than Python and the model itself. The router
only names containers: what they are is imported where one is loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from sm_magics.local.containers.contract import Container, LoadError, Request, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Container",
    "Kind",
    "LoadError",
    "Request",
    "Response",
    "find",
    "local_command",
    "resolved",
    "whats_changed",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """One container that this engine has: its name, and the tag of the image, which says how it behaves."""

    name: Literal["xgboost", "linear-learner"]
    version: str

    def preload(self) -> None:
        """Load what every worker needs, once, in the process that they are forked from. Starts no threads."""
        if self.name == "xgboost":
            from sm_magics.local.containers import xgboost, xgboost_library  # noqa: F401, PLC0415 - see above

            with contextlib.suppress(LoadError):  # a worker that needs the missing library says so by itself
                xgboost_library.library()
        else:
            from sm_magics.local.containers import linear_learner  # noqa: F401, PLC0415 - see above

    def load(self, model_dir: Path, environment: Mapping[str, str]) -> Container:
        """Load the model in `model_dir` as the container would with these environment variables.

        Raises
        ------
        LoadError
            When the container could not load it; its text is what the container would log.
        """
        if self.name == "xgboost":
            from sm_magics.local.containers import xgboost  # noqa: PLC0415 - see above

            return xgboost.load(model_dir, environment, self.version)
        from sm_magics.local.containers import linear_learner  # noqa: PLC0415 - see above

        return linear_learner.load(model_dir)


_REPOSITORIES: Mapping[str, Literal["xgboost", "linear-learner"]] = {
    "xgboost": "xgboost",
    "sagemaker-xgboost": "xgboost",
    "linear-learner": "linear-learner",
}
_IMAGE = re.compile(
    r"(?:(?:[\w-]+(?:\.[\w-]+)+|localhost)(?::\d+)?/)?(?P<repository>[a-z0-9-]+)"
    r"(?::(?P<tag>[\w.-]+)(?:@sha256:[0-9a-f]{64})?)?"
)
_FINGERPRINT = re.compile("[0-9a-f]{8,64}")


def find(image_uri: str) -> Kind | None:
    """Return the container that serves an image, by the repository and tag of its URI; None for any other image."""
    image = _IMAGE.fullmatch(image_uri)
    name = _REPOSITORIES.get(image["repository"]) if image else None
    if image is None or name is None:
        return None
    tag = image["tag"] or "latest"
    first_party = image["repository"] != "sagemaker-xgboost"
    return Kind(name, "1" if first_party and tag == "latest" else tag)  # of those images latest is the same as 1


def local_command(image: str) -> Path | None:
    """Return the program of this machine that an image is: an absolute path or a `file://` URI; None for any other.

    What a URI has after a `#` names nothing: it may be the program's fingerprint, see `whats_changed`.
    """
    if image.startswith("file:///"):
        return Path(unquote(urlsplit(image).path))
    return Path(image) if image.startswith("/") else None


def resolved(image: str) -> str | None:
    """Return an image with the digest of what serves it here; None when that cannot be read.

    A program has the digest of its file. An image of AWS's has that of this package, which serves it in its place, and
    its name says so: the digest is in no registry.
    """
    command, kind = local_command(image), find(image)
    if command is not None:
        name, files = image.partition("#")[0], [command]
    elif kind is not None:
        name, files = f"sm_magics/{kind.name}:{kind.version}", sorted(Path(__file__).parent.glob("*.py"))
    else:
        return None
    digest = hashlib.sha256()
    try:
        for each in files:
            digest.update(each.read_bytes())
    except OSError:
        return None
    return f"{name}@sha256:{digest.hexdigest()}"


def whats_changed(image: str, resolved_before: str | None = None) -> str | None:
    """Return what is wrong with a program that is not the one that was meant; None when it is, or nothing tells.

    That is told by 8 or more hexadecimal digits after the `#` of a `file://` URI, the first of the SHA-256 of the file,
    and by what `resolved` returned before.
    """
    command = local_command(image)
    fingerprint, before = image.partition("#")[2], (resolved_before or "").rpartition("@sha256:")[2]
    meant = [each for each in (fingerprint, before) if _FINGERPRINT.fullmatch(each)]
    if command is None or not meant:
        return None
    try:
        with command.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if all(map(digest.startswith, meant)) else "was changed since the model was made"
