"""The data that packaging takes and gives: where models go, and what a model should be."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from sm_magics.errors import PackagingError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Artifact", "DesiredModel", "Packed", "Place", "as_label", "plain"]

NAME_LENGTH = 63  # of a SageMaker model
HASH_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where models are made: the region, the role that serves them, and the S3 prefix of their artifacts.

    `runs_programs` says whether an image may be a program of this machine.
    """

    region: str
    role: str
    bucket_prefix: str
    runs_programs: bool = False

    def uri(self, artifact: Artifact) -> str:
        """Return where `artifact` has to lie; the same bytes always lie at the same place."""
        return f"{self.bucket_prefix.rstrip('/')}/{artifact.digest[:16]}/model.tar.gz"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A `model.tar.gz`, in memory or in a file (exactly one of the two), and its SHA-256 in hex."""

    digest: str
    data: bytes | None = field(default=None, repr=False)
    path: Path | None = None

    @classmethod
    def of_bytes(cls, data: bytes) -> Self:
        return cls(hashlib.sha256(data).hexdigest(), data=data)

    @classmethod
    def of_file(cls, path: Path) -> Self:
        with path.open("rb") as file:
            return cls(hashlib.file_digest(file, "sha256").hexdigest(), path=path)


@dataclass(frozen=True, slots=True)
class Packed:
    """What an object of the notebook turned into: a container's image, its environment, and its files or their URI."""

    image: str | None
    files: Mapping[str, bytes] | None = None
    data_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DesiredModel:
    """A model as it should be in SageMaker.

    `request` is the CreateModel request without ModelName and Tags. `artifact`, if there is one, must lie at the
    request's ModelDataUrl before the call. The name carries a hash of the request, hence of all that the model is.
    `columns` are the names of its columns in their order, where the object that it was made of has them.
    """

    name: str
    request: Mapping[str, Any]
    artifact: Artifact | None = None
    columns: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def of(
        cls, label: str, request: Mapping[str, Any], artifact: Artifact | None, columns: tuple[str, ...] = ()
    ) -> Self:
        return cls(_name(label, request), request, artifact, columns)


def as_label(text: str) -> str:
    """Return `text` as a label: lower case letters, digits and single hyphens between them, never empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "model"


def _name(label: str, request: Mapping[str, Any]) -> str:
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:HASH_LENGTH]
    return f"{label[: NAME_LENGTH - HASH_LENGTH - 1].rstrip('-')}-{digest}"


def plain(value: Any, where: str = "") -> Any:
    """Return a part of a request as plain dicts, lists, texts and numbers.

    Raises
    ------
    PackagingError
        When something in it has no place in a request; `where` leads there.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}" if where else str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{number}]") for number, item in enumerate(value)]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # one number of numpy
        value = value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    raise PackagingError(
        f"{where} is a {type(value).__name__}, which a request cannot hold",
        hint="give text, a number, a list or a mapping; objects go under 'data'",
    )
