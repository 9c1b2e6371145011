"""Where model artifacts lie, by `s3://` URI: in the engine's own folders, or in a bucket of S3."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from sm_magics.connection.calls import call
from sm_magics.errors import ConnectError, EngineError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics.models import Artifact

__all__ = ["ArtifactStore", "DirectoryStore", "S3Store"]

PREFIX = "sm_magics/models"


class ArtifactStore(Protocol):
    """Where model artifacts lie, by `s3://` URI."""

    @property
    def prefix(self) -> str:
        """The URI under which our artifacts lie."""

    def holds(self, uri: str) -> bool:
        """Whether there is an object at `uri`."""

    def put(self, uri: str, artifact: Artifact) -> None:
        """Put an artifact at `uri`.

        Raises
        ------
        EngineError, ServiceError
            When it cannot be written; nothing of it is left.
        """

    def below(self, uri: str) -> list[str]:
        """Return the objects under `uri`, by names that pandas reads, in their order."""

    def read(self, name: str) -> bytes:
        """Return what is in one of the objects that `below` named."""


class DirectoryStore:
    """The engine's own artifact store: a folder for each bucket."""

    def __init__(self, root: Path, bucket: str) -> None:
        self._root = root
        self.prefix = f"s3://{bucket}/{PREFIX}"

    def holds(self, uri: str) -> bool:
        return self._path(uri).is_file()

    def put(self, uri: str, artifact: Artifact) -> None:
        path = self._path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{uuid.uuid4().hex}")
        try:
            if artifact.path is not None:
                shutil.copyfile(artifact.path, scratch)
            else:
                scratch.write_bytes(artifact.data or b"")
            scratch.replace(path)
        except OSError as error:
            raise EngineError(
                f"a model's artifact cannot be kept in {path.parent}: {error.strerror or error}",
                hint="make room there, or take another directory: %sm_connect local --state DIR",
            ) from error
        finally:
            scratch.unlink(missing_ok=True)  # of a full disk, or an interrupt

    def below(self, uri: str) -> list[str]:
        return sorted(str(each) for each in self._path(uri).rglob("[!.]*") if each.is_file())

    def read(self, name: str) -> bytes:
        return Path(name).read_bytes()

    def _path(self, uri: str) -> Path:
        parts = urlsplit(uri)
        if parts.scheme == "file":
            return Path(unquote(parts.path))
        return self._root / parts.netloc / parts.path.lstrip("/")


class S3Store:
    """A bucket of S3."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self.prefix = f"s3://{bucket}/{PREFIX}"

    def check(self) -> None:
        """Return when the bucket is there.

        Raises
        ------
        ConnectError
            When it is not, or not ours to use.
        """
        try:
            call(self._client, "HeadBucket", Bucket=self._bucket)
        except ServiceError as error:
            raise ConnectError(
                f"bucket '{self._bucket}' cannot be used: {error.message}",
                hint="make it, or name one that you may write to: --bucket NAME",
            ) from error

    def holds(self, uri: str) -> bool:
        try:
            call(self._client, "HeadObject", **_place(uri))
        except ServiceError as error:
            if error.code in {"404", "NoSuchKey", "NotFound"}:
                return False
            raise
        return True

    def put(self, uri: str, artifact: Artifact) -> None:
        if artifact.path is None:
            call(self._client, "PutObject", Body=artifact.data, **_place(uri))
            return
        with artifact.path.open("rb") as file:
            call(self._client, "UploadFileobj", Fileobj=file, **_place(uri))

    def below(self, uri: str) -> list[str]:
        place = _place(f"{uri.rstrip('/')}/")
        request: Mapping[str, str] | None = {"Bucket": place["Bucket"], "Prefix": place["Key"]}
        found: list[str] = []
        while request:  # in the order of their keys, a page at a time
            page = call(self._client, "ListObjectsV2", **request)
            found += [f"s3://{place['Bucket']}/{each['Key']}" for each in page.get("Contents", ())]
            token = page.get("NextContinuationToken")
            request = {**request, "ContinuationToken": token} if token else None
        return found

    def read(self, name: str) -> bytes:
        body: bytes = call(self._client, "GetObject", **_place(name))["Body"].read()
        return body


def _place(uri: str) -> Mapping[str, str]:
    parts = urlsplit(uri)
    return {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}
