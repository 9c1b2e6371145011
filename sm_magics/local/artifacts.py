"""Model data: found by its URL, fetched when it lies elsewhere, and unpacked once for all instances that serve it.

An `s3://` URL is looked up in the engine's own artifact store, a directory with a folder for each bucket. What is not
there is fetched with the user's AWS credentials, by a process of its own, and kept as long as its ETag stays the same.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Artifacts", "Unpackable", "Unreadable"]


_UNPACKING, _BASE = ".unpacking-", ".base-"
MAX_FILES = 100_000  # of one archive; ours, as tarfile keeps each in memory
MAX_HEADER = 1 << 20  # bytes of a long name or of extended headers, which tarfile reads at once


class Unreadable(Exception):  # noqa: N818 - says what the data is
    """There is no object at the URL, or it cannot be read."""


class Unpackable(Exception):  # noqa: N818 - says what the data is
    """The object is no archive that a container's host would unpack."""


class Artifacts:
    """Model data by URL.

    Parameters
    ----------
    state
        The engine's state directory; `artifacts`, `fetched` and `models` below it are used.
    environment
        The environment of the process that fetches from S3: the user's, with credentials.
    """

    def __init__(self, state: Path, environment: Mapping[str, str]) -> None:
        self._own = state / "artifacts"
        self._fetched = state / "fetched"
        self._models = state / "models"
        self._environment = environment
        self._locks: dict[str, asyncio.Lock] = {}
        self._unpacked: dict[str, Path] = {}  # where the model at a URL lies, the one last unpacked
        self._suspected: set[Path] = set()
        for each in (self._own, self._fetched, self._models):
            each.mkdir(parents=True, exist_ok=True)
        for left in (*self._models.glob(f"{_UNPACKING}*"), *self._models.glob(f"{_BASE}*")):
            shutil.rmtree(left, ignore_errors=True)  # by an engine before: its programs ended with it

    async def check(self, url: str) -> None:
        """Return when there is something readable at `url`.

        Raises
        ------
        Unreadable
            When there is not.
        """
        if self._near(url) is None:
            await self._fetch(url, look_only=True)

    async def unpack(self, url: str) -> Path:
        """Return the directory that holds the model at `url`; it is shared and must not be changed.

        Raises
        ------
        Unreadable, Unpackable
            When there is no such object, or it is no archive.
        """
        archive = self._near(url) or await self._fetch(url, look_only=False)
        digest = await asyncio.to_thread(_digest, archive)
        target = self._models / digest
        async with self._locks.setdefault(digest, asyncio.Lock()):
            if not target.is_dir():
                await asyncio.to_thread(_unpack, archive, target)
        self._suspected.discard(target)
        self._unpacked[url] = target
        return target

    def empty(self) -> Path:
        """Return the directory of a model without data."""
        directory = self._models / "empty"
        directory.mkdir(exist_ok=True)
        return directory

    def base(self, directory: Path) -> Path:
        """Return a new folder that is to a program what /opt/ml is in a container, with its model as `model`.

        It is the program's own, to write in; whoever runs it removes the folder.
        """
        base = Path(tempfile.mkdtemp(dir=self._models, prefix=_BASE))
        (base / "model").symlink_to(directory)
        return base

    async def tidy(self, urls: Collection[str | None], in_use: Collection[Path]) -> None:
        """Remove what is of no use, and was not at the last call either.

        Of use are the models that lie in directories `in_use`, and those that were unpacked or fetched from `urls`.
        """
        needed = {self.empty(), *in_use, *(path for url, path in self._unpacked.items() if url in urls)}
        names = {_name(url) for url in urls if url is not None}
        unused = {each for each in self._models.iterdir() if each not in needed and each.name[0] != "."}
        unused |= {each for each in self._fetched.iterdir() if each.name.partition(".")[0] not in names}
        gone = unused & self._suspected
        self._suspected = unused - gone
        self._unpacked = {url: path for url, path in self._unpacked.items() if path not in gone}
        if gone:
            scratch = Path(tempfile.mkdtemp(dir=self._models, prefix=_UNPACKING))
            for each in gone:  # at once, so that neither a new instance nor a crash ever finds half of a model
                each.rename(scratch / each.name)
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    def place(self, url: str) -> Path:
        """Return the path that a `file://` or `s3://` URL means on this machine, whether or not it is there.

        Raises
        ------
        Unreadable
            When it means none, or none in its bucket.
        """
        parts = urlsplit(url)
        if parts.scheme == "file":
            return Path(unquote(url.removeprefix("file://")))
        if parts.scheme != "s3" or not parts.netloc:
            raise Unreadable("only s3:// and file:// URLs can be used here")
        key = PurePosixPath(url.removeprefix(f"s3://{parts.netloc}").removeprefix("/"))
        if ".." in key.parts or key.is_absolute() or parts.netloc in {".", ".."}:
            raise Unreadable("the key of the object leads out of its bucket")
        return self._own / parts.netloc / key

    def _near(self, url: str) -> Path | None:
        """Return the file that `url` names on this machine, None when it has to be fetched."""
        path = self.place(url)
        if path.is_file():
            return path
        if not url.startswith("s3:"):
            raise Unreadable(f"there is no file {path}")
        return None

    async def _fetch(self, url: str, *, look_only: bool) -> Path:
        target = self._fetched / _name(url)
        async with self._locks.setdefault(url, asyncio.Lock()):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "sm_magics.local.fetch",
                url,
                "-" if look_only else str(target),
                env=dict(self._environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            _, told = await process.communicate()
        if process.returncode:
            raise Unreadable(told.decode(errors="replace").strip().rpartition("\n")[2] or "it cannot be fetched")
        return target


def _name(url: str) -> str:
    """Return the name of the file that keeps what was fetched from a URL."""
    return hashlib.sha256(url.encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Unzipped(gzip.GzipFile):
    """A packed file of which nobody reads much at once, so that a few packed bytes cannot fill the memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes is too long")
        return super().read(size)


def _unpack(archive: Path, target: Path) -> None:
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=_UNPACKING))
    try:
        with _Unzipped(archive) as unzipped, tarfile.open(fileobj=unzipped, mode="r:") as tar:
            for number, member in enumerate(tar):
                if number == MAX_FILES:
                    raise Unpackable(f"it has more than {MAX_FILES:,} files")
                if not (member.isfile() or member.isdir()):
                    raise Unpackable(f"'{member.name}' is a link or a device")
                tar.extract(member, scratch, filter="data")
        scratch.chmod(0o755)
        scratch.rename(target)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        shutil.rmtree(scratch, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in {28, 122}:  # no space, no quota
            raise Unpackable(f"there is no room to unpack it: {os.strerror(error.errno)}") from None
        raise Unpackable(str(error) or type(error).__name__) from None
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
