"""`model.tar.gz`: made so that the same files always give the same bytes, and checked when it was made elsewhere."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sm_magics.errors import PackagingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["check", "is_directory", "pack", "pack_directory"]

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20
_COMPRESSION = 6
_PACK_AGAIN = "pack it again from inside its directory: tar -czf model.tar.gz -C DIRECTORY ."


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a `model.tar.gz` of `files`, contents by relative name with `/` between the parts.

    Raises
    ------
    PackagingError
        When a name is absolute, leads out of the archive, or is a file and a directory at once.
    """
    if not files:
        raise PackagingError("there is no file to pack", hint="a model needs at least one")
    for name in files:
        _check_name(name, files)
    return _pack((name, files[name]) for name in sorted(files))


def pack_directory(directory: Path) -> bytes:
    """Return a `model.tar.gz` of what is in `directory`, without dotfiles and `__pycache__`.

    Raises
    ------
    PackagingError
        When there is nothing to pack, a link leads out of the directory or to a directory, or a file cannot be read.
    """
    root = directory.resolve()
    try:
        found = sorted((path.relative_to(root).as_posix(), path) for path in _files(root))
        if found:
            return _pack((name, path.read_bytes()) for name, path in found)
    except OSError as error:
        raise PackagingError(f"{error.filename}: {error.strerror}", hint="make it readable") from None
    raise PackagingError(
        f"{directory}: there is no file in it to pack",
        hint="dotfiles and __pycache__ are left out; point to the directory that holds the model",
    )


def check(path: Path) -> None:
    """Check that `path` is a `model.tar.gz` that a container can unpack.

    Raises
    ------
    PackagingError
        When it is missing, a directory, no gzip-compressed tar, damaged or empty, or when a member is not a plain file
        or directory below the archive's root.
    """
    try:
        _check_file(path)
        if not _count_files(path):
            raise PackagingError(f"{path}: the archive holds no file", hint=_PACK_AGAIN)
    except EOFError:
        raise PackagingError(f"{path}: the archive is cut short", hint="copy or download it again") from None
    except (tarfile.TarError, zlib.error, gzip.BadGzipFile) as error:
        raise PackagingError(f"{path}: not a sound tar archive: {error}", hint=_PACK_AGAIN) from None
    except OSError as error:
        raise PackagingError(f"{path}: {error.strerror or error}", hint="make it readable") from None


def is_directory(path: Path) -> bool:
    """Whether `path` is a directory; what is no path at all, such as a long text, is none."""
    with contextlib.suppress(OSError):
        return path.is_dir()
    return False


def _pack(entries: Iterable[tuple[str, bytes]]) -> bytes:
    """Pack files in the order given, with nothing in the archive that differs between two runs."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=_COMPRESSION, fileobj=buffer, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, content in entries:
            member = tarfile.TarInfo(name)  # owner and time are 0 unless they are set
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _check_name(name: str, files: Mapping[str, bytes]) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or str(path) != name or "\0" in name:
        raise PackagingError(
            f"'{name}' cannot name a file in an archive", hint="use a relative name such as code/inference.py"
        )
    for parent in path.parents:
        if str(parent) in files:
            raise PackagingError(
                f"'{parent}' is a file, and '{name}' needs it to be a directory", hint="rename one of them"
            )


def _files(root: Path) -> Iterator[Path]:
    for place, directories, names in os.walk(root, onerror=_raise):
        directories[:] = [name for name in directories if not _left_out(name)]
        for name in (*directories, *names):
            path = Path(place, name)
            if _left_out(name) or (path.is_dir() and not path.is_symlink()):
                continue
            _check_entry(path, root)
            yield path


def _raise(error: OSError) -> None:
    raise error


def _left_out(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


def _check_entry(path: Path, root: Path) -> None:
    if not path.is_file():
        raise PackagingError(
            f"{path}: not a regular file nor a link to one", hint="put a copy in its place, or take it out"
        )
    if not path.resolve().is_relative_to(root):
        raise PackagingError(f"{path}: a link that leads to {path.resolve()}", hint="put a copy in its place")


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise PackagingError(f"{path}: a directory, not an archive", hint=_PACK_AGAIN)
    if not path.is_file():
        raise PackagingError(f"{path}: there is no such file", hint=f"it was looked for from {Path.cwd()}")
    with path.open("rb") as file:
        magic = file.read(2)
    if not magic:
        raise PackagingError(f"{path}: the file is empty", hint=_PACK_AGAIN)
    if magic != _GZIP_MAGIC:
        raise PackagingError(f"{path}: not compressed with gzip", hint=_PACK_AGAIN)


def _count_files(path: Path) -> int:
    """Read the whole archive, so that damage anywhere shows, and count its files."""
    count = 0
    with gzip.open(path) as stream:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                _check_member(path, member)
                count += member.isfile()
        while stream.read(_CHUNK):
            pass
    return count


def _check_member(path: Path, member: tarfile.TarInfo) -> None:
    name, hint = PurePosixPath(member.name), _PACK_AGAIN
    if name.is_absolute():
        problem = "has an absolute name"
    elif ".." in name.parts:
        problem = "leads out of the archive"
    elif member.issym() or member.islnk():
        problem, hint = f"is a link to '{member.linkname}'", "put a copy in the place of the link and pack it again"
    elif not (member.isfile() or member.isdir()):
        problem = "is a device or a pipe"
    else:
        return
    raise PackagingError(f"{path}: member '{member.name}' {problem}", hint=hint)
