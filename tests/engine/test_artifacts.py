from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local import artifacts as module
from sm_magics.local.artifacts import Artifacts, Unpackable, Unreadable, _unpack

PLAIN = os.environ | {"AWS_EC2_METADATA_DISABLED": "true"}


def tar(*members):
    """Return a tar.gz; a member is a name and its content, or a name, a type and what it links to."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content, *link in members:
            member = tarfile.TarInfo(name)
            if link:
                member.type, member.linkname = content, link[0]
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(tmp_path / "state", PLAIN)


def stored(tmp_path, data, key="m/model.tar.gz"):
    path = tmp_path / "state" / "artifacts" / "bucket" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return f"s3://bucket/{key}"


def test_model_data_is_unpacked_once_and_shared_by_content(artifacts, tmp_path):
    data = tar(("a", b"1"), ("b/c", b"2"))
    first, second = stored(tmp_path, data), stored(tmp_path, data, "other.tar.gz")

    async def both():
        return await asyncio.gather(*(artifacts.unpack(url) for url in (first, second, first)))

    one, two, three = asyncio.run(both())
    assert one == two == three
    assert {str(p.relative_to(one)): p.read_bytes() for p in one.rglob("*") if p.is_file()} == {"a": b"1", "b/c": b"2"}


def test_a_file_url_is_read_where_it_is_even_with_spaces(artifacts, tmp_path):
    path = tmp_path / "a model.tar.gz"
    path.write_bytes(tar(("a", b"1")))
    assert (asyncio.run(artifacts.unpack(f"file://{str(path).replace(' ', '%20')}")) / "a").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///nowhere/model.tar.gz", "there is no file"),
        ("https://example.com/model.tar.gz", "only s3:// and file://"),
        ("s3:///key", "only s3:// and file://"),
        ("s3://bucket/../../credentials.json", "leads out of its bucket"),
        ("s3://bucket/a/../../../credentials.json", "leads out of its bucket"),
        ("s3://bucket//etc/passwd", "leads out of its bucket"),
        ("s3://../credentials.json", "leads out of its bucket"),
        ("s3://./credentials.json", "leads out of its bucket"),
    ],
)
def test_what_is_not_there_or_lies_elsewhere_cannot_be_read(artifacts, url, why):
    for call in (artifacts.check, artifacts.unpack):
        with pytest.raises(Unreadable, match=why):
            asyncio.run(call(url))


def test_what_an_engine_that_was_killed_has_left_is_removed(tmp_path):
    models = tmp_path / "state" / "models"
    (models / ".unpacking-x").mkdir(parents=True)
    (models / ".base-x").mkdir()
    (models / "whole").mkdir()
    Artifacts(tmp_path / "state", PLAIN)
    assert [each.name for each in models.iterdir()] == ["whole"]


def test_each_program_has_a_folder_of_its_own_with_the_model_in_it(artifacts, tmp_path):
    model = tmp_path / "unpacked"
    model.mkdir()
    (model / "weights.txt").write_text("heavy")
    one, other = artifacts.base(model), artifacts.base(model)
    assert one != other
    assert (one / "model" / "weights.txt").read_text() == (other / "model" / "weights.txt").read_text() == "heavy"
    (one / "code").mkdir()
    shutil.rmtree(one)
    assert (model / "weights.txt").exists()


BAD = {
    "a parent": tar(("../evil", b"1")),
    "a parent further on": tar(("a/../../evil", b"1")),
    "a symbolic link": tar(("a", tarfile.SYMTYPE, "/etc/passwd")),
    "a symbolic link inside": tar(("b", b"1"), ("a", tarfile.SYMTYPE, "b")),
    "a hard link": tar(("a", tarfile.LNKTYPE, "/etc/passwd")),
    "a device": tar(("a", tarfile.CHRTYPE, "")),
    "a pipe": tar(("a", tarfile.FIFOTYPE, "")),
    "a file in a file": tar(("a", b"1"), ("a/b", b"2")),
    "no archive": b"no archive",
    "an empty file": b"",
    "a tar that is not packed": gzip.decompress(tar(("a", b"1"))),
    "half of one": tar(("a", os.urandom(1000)))[:500],
}


@pytest.mark.parametrize("what", BAD)
def test_what_no_host_of_containers_would_unpack_leaves_nothing_behind(artifacts, tmp_path, what):
    url = stored(tmp_path, BAD[what])
    with pytest.raises(Unpackable):
        asyncio.run(artifacts.unpack(url))
    assert list((tmp_path / "state" / "models").iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_header_that_claims_much_is_refused_before_it_is_read(artifacts, tmp_path, kind):
    member = tarfile.TarInfo("a")
    member.type, member.size = kind, 4 << 30
    packed = gzip.compress(member.tobuf() + bytes(2 << 20))
    with pytest.raises(Unpackable, match="is too long"):
        asyncio.run(artifacts.unpack(stored(tmp_path, packed)))
    assert list((tmp_path / "state" / "models").iterdir()) == []


def test_an_archive_of_files_without_end_is_refused(artifacts, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILES", 10)
    asyncio.run(artifacts.unpack(stored(tmp_path, tar(*((str(each), b"") for each in range(10))))))
    with pytest.raises(Unpackable, match="more than 10 files"):
        asyncio.run(artifacts.unpack(stored(tmp_path, tar(*((str(each), b"") for each in range(11))))))


def test_an_absolute_name_stays_below_the_directory(artifacts, tmp_path):
    directory = asyncio.run(artifacts.unpack(stored(tmp_path, tar(("/etc/a", b"1")))))
    assert (directory / "etc" / "a").read_bytes() == b"1"


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", "~", "x" * 300, "ü"]), min_size=1, max_size=4).map("/".join)
MEMBERS = st.one_of(
    st.tuples(NAMES, st.binary(max_size=8)),
    st.tuples(NAMES, st.sampled_from([tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE]), NAMES),
)


@given(st.lists(MEMBERS, max_size=4), st.data())
def test_nothing_is_ever_written_outside_whatever_an_archive_says(tmp_path_factory, members, data):
    outside = tmp_path_factory.mktemp("outside")
    inside = outside / "a" / "b"
    inside.mkdir(parents=True)
    whole = tar(*members)
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole)))]
    (outside / "model.tar.gz").write_bytes(whole)
    with contextlib.suppress(Unpackable):
        _unpack(outside / "model.tar.gz", inside / "target")
    assert {p for p in outside.rglob("*") if not p.is_relative_to(inside / "target")} == {
        outside / "a",
        inside,
        outside / "model.tar.gz",
    }
    assert not any(path.is_symlink() for path in Path(inside).rglob("*"))


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def test_what_is_of_no_use_is_removed_when_it_was_not_the_time_before_either(artifacts, tmp_path):
    models = tmp_path / "state" / "models"
    urls = [stored(tmp_path, tar((name, name.encode())), f"{name}.tar.gz") for name in ("used", "known", "old")]

    async def run():
        used, known, old = [await artifacts.unpack(url) for url in urls]
        for _ in range(3):
            await artifacts.tidy([*urls, None], {used})
        assert {used, known, old} < set(models.iterdir())
        await artifacts.tidy(urls[:2], {used})
        assert old.is_dir()
        assert await artifacts.unpack(urls[2]) == old  # wanted again, so it is of use again
        await artifacts.tidy(urls[:1], set())
        assert old.is_dir()
        await artifacts.tidy(urls[:1], set())
        assert names(models) == sorted(["empty", used.name])
        assert await artifacts.unpack(urls[2]) == old
        assert (old / "old").read_bytes() == b"old"

    asyncio.run(run())


def test_a_url_that_means_other_data_now_keeps_the_new_and_not_the_old(artifacts, tmp_path):
    async def run():
        old = await artifacts.unpack(stored(tmp_path, tar(("a", b"1"))))
        new = await artifacts.unpack(url := stored(tmp_path, tar(("a", b"2"))))
        for _ in range(2):
            await artifacts.tidy({url}, set())
        assert (old.exists(), new.exists()) == (False, True)

    asyncio.run(run())


def test_what_was_fetched_is_kept_with_its_etag_for_as_long_as_its_url_is_needed(artifacts, tmp_path):
    fetched = tmp_path / "state" / "fetched"
    kept, gone = (hashlib.sha256(url.encode()).hexdigest() for url in ("s3://b/kept", "s3://b/gone"))
    for name in (kept, f"{kept}.etag", f"{kept}.partial", gone, f"{gone}.etag", f"{gone}.partial"):
        (fetched / name).write_bytes(b"1")
    for _ in range(2):
        asyncio.run(artifacts.tidy({"s3://b/kept"}, set()))
    assert names(fetched) == [kept, f"{kept}.etag", f"{kept}.partial"]
    assert names(tmp_path / "state" / "models") == ["empty"]
