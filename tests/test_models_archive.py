from __future__ import annotations

import gzip
import io
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.errors import PackagingError
from sm_magics.models import archive

PARTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=60).filter(
    lambda part: part not in {".", ".."}
)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
FILES = st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=8).filter(
    lambda files: not any(other.startswith(f"{name}/") for name in files for other in files)
)


def contents(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def tarball(path, *members: tarfile.TarInfo):
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, **attributes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


@given(FILES)
def test_what_is_packed_is_unpacked_the_same(files):
    assert contents(archive.pack(files)) == files


@given(FILES, st.randoms())
def test_the_same_files_in_any_order_are_the_same_bytes(files, random):
    items = list(files.items())
    random.shuffle(items)
    assert archive.pack(dict(items)) == archive.pack(files)


@given(FILES)
def test_what_is_packed_passes_the_check(tmp_path_factory, files):
    path = tmp_path_factory.mktemp("packed") / "model.tar.gz"
    path.write_bytes(archive.pack(files))
    archive.check(path)


def test_nothing_of_this_machine_or_moment_is_in_an_archive():
    data = archive.pack({"b": b"2", "code/a": b"1"})
    assert data[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, no system
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [(m.name, m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar] == [
            ("b", 0, 0, 0, "", "", 0o644),
            ("code/a", 0, 0, 0, "", "", 0o644),
        ]


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../b", "a//b", "./a", "a/", ".", "", "a\0b"])
def test_a_name_that_is_not_plain_and_relative_is_refused(name):
    with pytest.raises(PackagingError, match="cannot name a file"):
        archive.pack({name: b""})


def test_a_file_that_would_have_to_be_a_directory_is_refused():
    with pytest.raises(PackagingError, match="'a' is a file, and 'a/b/c' needs it to be a directory"):
        archive.pack({"a": b"", "a/b/c": b""})


def test_no_files_are_refused():
    with pytest.raises(PackagingError, match="no file to pack"):
        archive.pack({})


def test_a_directory_is_packed_as_its_files_are(tmp_path):
    files = {"xgboost-model": b"model", "code/inference.py": b"code"}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "code" / "inference.py").chmod(0o755)
    assert archive.pack_directory(tmp_path) == archive.pack(files)


def test_what_notebooks_and_python_leave_behind_is_not_packed(tmp_path):
    for name in (".ipynb_checkpoints/a.ipynb", "__pycache__/a.pyc", "code/__pycache__/b.pyc", "._model", ".DS_Store"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"left behind")
    with pytest.raises(PackagingError, match="no file in it to pack"):
        archive.pack_directory(tmp_path)
    (tmp_path / "model").write_bytes(b"model")
    assert contents(archive.pack_directory(tmp_path)) == {"model": b"model"}


def test_a_link_within_the_directory_is_packed_as_what_it_leads_to(tmp_path):
    (tmp_path / "model").write_bytes(b"model")
    (tmp_path / "again").symlink_to("model")
    assert contents(archive.pack_directory(tmp_path)) == {"again": b"model", "model": b"model"}


@pytest.mark.parametrize("target", ["../secret", "loop", "missing", "code"])
def test_a_link_out_of_the_directory_or_to_no_file_is_refused(tmp_path, target):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "loop").symlink_to(target)
    with pytest.raises(PackagingError, match="loop: "):
        archive.pack_directory(tmp_path / "model")


def test_a_pipe_in_the_directory_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PackagingError, match="pipe: not a regular file"):
        archive.pack_directory(tmp_path)


def test_an_archive_made_by_tar_of_the_current_directory_is_accepted(tmp_path):
    top = member(".", type=tarfile.DIRTYPE)
    archive.check(tarball(tmp_path / "model.tar.gz", top, member("./xgboost-model", size=3)))


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (member("/etc/passwd", size=1), "'/etc/passwd' has an absolute name"),
        (member("../up", size=1), "'../up' leads out of the archive"),
        (member("a/../../up", size=1), "'a/../../up' leads out of the archive"),
        (member("s", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "'s' is a link to '/etc/passwd'"),
        (member("h", type=tarfile.LNKTYPE, linkname="model"), "'h' is a link to 'model'"),
        (member("null", type=tarfile.CHRTYPE), "'null' is a device or a pipe"),
        (member("pipe", type=tarfile.FIFOTYPE), "'pipe' is a device or a pipe"),
    ],
)
def test_a_member_that_is_no_plain_file_below_the_root_is_refused_by_name(tmp_path, bad, problem):
    path = tarball(tmp_path / "model.tar.gz", member("model", size=3), bad)
    with pytest.raises(PackagingError) as caught:
        archive.check(path)
    assert caught.value.message == f"{path}: member {problem}"
    assert "pack it again" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b'{"learner": {}}', "not compressed with gzip"),
        (gzip.compress(b'{"learner": {}}' * 1000), "not a sound tar archive"),
        (gzip.compress(bytes(10240)), "holds no file"),
        (b"\x1f\x8bnonsense", "not a sound tar archive"),
        (archive.pack({"model": os.urandom(2000)})[:-9], "cut short"),
        (archive.pack({"model": os.urandom(2000)})[:1000], "cut short"),
        (archive.pack({"model": b"x"})[:-8] + bytes(8), "not a sound tar archive: CRC"),
        (gzip.compress(gzip.decompress(archive.pack({"model": bytes(5000)}))[:3000]), "not a sound tar archive"),
    ],
    ids=["missing", "empty", "plain", "no tar", "no file", "nonsense", "cut", "cut more", "checksum", "tar cut"],
)
def test_a_file_that_is_no_sound_archive_is_refused(tmp_path, content, problem):
    path = tmp_path / "model.tar.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PackagingError, match=problem) as caught:
        archive.check(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_an_archive_of_directories_only_is_refused(tmp_path):
    with pytest.raises(PackagingError, match="holds no file"):
        archive.check(tarball(tmp_path / "model.tar.gz", member("code", type=tarfile.DIRTYPE)))


def test_a_directory_is_no_archive(tmp_path):
    with pytest.raises(PackagingError, match="a directory, not an archive"):
        archive.check(tmp_path)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=20))
def test_a_damaged_archive_is_sound_or_refused_but_never_another_error(tmp_path_factory, position, damage):
    good = archive.pack({"model": bytes(range(256)), "code/inference.py": b"pass"})
    path = tmp_path_factory.mktemp("damaged") / "model.tar.gz"
    path.write_bytes(good[:position] + damage + good[position + len(damage) :])
    try:
        archive.check(path)
    except PackagingError as error:
        assert error.hint  # noqa: PT017 - both outcomes are right
