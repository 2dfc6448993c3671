"""A release in one file: whole and as its lock says, or refused."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from fleetward.releases.archive import (
    LOCK,
    ArchiveError,
    LockedWheel,
    Platform,
    ReleaseLock,
    check,
    is_archive,
    write_archive,
)

HERE = Platform(python="3.11", arch="x86_64", glibc="2.35")
BRIDGE, OTHER = "edge_bridge-0.2.0-py3-none-any.whl", "other-1.0-py3-none-any.whl"


def wheel(directory: Path, name: str, *members: str) -> Path:
    path = directory / name
    with zipfile.ZipFile(path, "w") as archive:
        for member in members or ("package/__init__.py",):
            archive.writestr(member, f"# {member}\n" * 50)
    return path


def packed(directory: Path, *members: str) -> tuple[Path, ReleaseLock]:
    wheels = [wheel(directory, BRIDGE, *members), wheel(directory, OTHER)]
    path = directory / "release.tar"
    return path, write_archive(path, HERE, "0.2.0", wheels)


def rewritten(path: Path, **changed: bytes) -> None:
    """The archive with other contents under these names; empty: without it."""
    with tarfile.open(path) as archive:
        held = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]  # all are files
    with tarfile.open(path, "w") as archive:
        for name, content in {**held, **changed}.items():
            if content:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def with_lock(path: Path, lock: ReleaseLock) -> None:
    rewritten(path, **{LOCK: msgspec.json.encode(lock)})


def test_what_was_packed_is_read_and_the_same_wheels_are_the_same_bytes(tmp_path: Path) -> None:
    path, lock = packed(tmp_path)
    assert is_archive(path)
    assert check(path) == lock
    assert [one.filename for one in lock.wheels] == [BRIDGE, OTHER]
    first = path.read_bytes()
    (tmp_path / OTHER).touch()
    write_archive(path, HERE, "0.2.0", [tmp_path / OTHER, tmp_path / BRIDGE])
    assert path.read_bytes() == first


def test_a_wheel_with_other_bytes_is_refused(tmp_path: Path) -> None:
    path, _ = packed(tmp_path)
    other = wheel(tmp_path, "else.whl", "package/other.py").read_bytes()
    rewritten(path, **{OTHER: other})
    with pytest.raises(ArchiveError, match="is not the wheel that its lock names"):
        check(path)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../outside.py", "a/../../b.py", "a\\..\\..\\b.py"]
)
def test_a_wheel_that_unpacks_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    path, _ = packed(tmp_path, name)
    with pytest.raises(ArchiveError, match="outside of where it is unpacked"):
        check(path)


def test_a_lock_that_names_other_wheels_is_refused(tmp_path: Path) -> None:
    path, lock = packed(tmp_path)
    with_lock(path, replace(lock, wheels=lock.wheels[:1]))
    with pytest.raises(ArchiveError, match="names other wheels"):
        check(path)


def test_a_release_without_the_bridge_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "release.tar"
    write_archive(path, HERE, "1.0", [wheel(tmp_path, OTHER)])
    with pytest.raises(ArchiveError, match="no wheel of edge-bridge"):
        check(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 2}, "format 2"),
        ({"unpacked": 3 * 1024**3}, "are the most"),
        ({"unpacked": -1}, "unpacks to"),
        ({"unpacked": 7}, "unpacks to other than its lock says"),
    ],
)
def test_a_lock_that_says_what_is_not_so_is_refused(
    tmp_path: Path, changes: dict[str, int], reason: str
) -> None:
    path, lock = packed(tmp_path)
    if "unpacked" in changes:
        wheels = tuple(replace(one, unpacked_bytes=changes["unpacked"]) for one in lock.wheels)
        with_lock(path, replace(lock, wheels=wheels))
    else:
        with_lock(path, replace(lock, format=changes["format"]))
    with pytest.raises(ArchiveError, match=reason):
        check(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"wheels": 1}'])
def test_a_lock_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    path, _ = packed(tmp_path)
    rewritten(path, **{LOCK: content})
    with pytest.raises(ArchiveError, match=r"release\.json"):
        check(path)


def test_what_is_no_file_in_an_archive_is_refused(tmp_path: Path) -> None:
    path, _ = packed(tmp_path)
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("link.whl")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(ArchiveError, match="no release has"):
        check(path)


@pytest.mark.parametrize("kept", [600, 1500, 2500])
def test_an_archive_that_was_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    path, _ = packed(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArchiveError):
        check(path)


def test_a_wheel_that_is_no_zip_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / BRIDGE).write_bytes(b"no zip")
    with pytest.raises(ArchiveError, match="no readable wheel"):
        write_archive(tmp_path / "release.tar", HERE, "0.2.0", [tmp_path / BRIDGE])


def test_a_locked_wheel_says_how_large_it_becomes(tmp_path: Path) -> None:
    _, lock = packed(tmp_path)
    assert isinstance(lock.wheels[0], LockedWheel)
    assert lock.unpacked_bytes == 2 * 50 * len("# package/__init__.py\n")
