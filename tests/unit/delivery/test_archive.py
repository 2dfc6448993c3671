"""A hostile archive writes nothing outside the one file that was asked for, and ends early."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from fleetward.contracts.ids import Digest, ModelName, Version
from fleetward.delivery.archive import (
    ABOUT,
    MAX_ABOUT_BYTES,
    MODEL,
    ArchivedVersion,
    ArchiveWriter,
    unpack,
)
from fleetward.delivery.errors import ArchiveError

CONTENT = bytes(range(256)) * 9
ABOUT_IT = ArchivedVersion(
    format=1,
    name=ModelName("detector"),
    version=Version("1.0"),
    digest=Digest(f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"),
    size_bytes=len(CONTENT),
    release=3,
    lineage={"dataset": "roads-7"},
    card="# Détecteur",
    signed_payload=b"\x00\xff",
)


def written(path: Path, about: ArchivedVersion = ABOUT_IT, content: bytes = CONTENT) -> Path:
    with path.open("wb") as file:
        writer = ArchiveWriter(file, about)
        writer.write(content[:100])
        writer.write(content[100:])
        writer.close()
    return path


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return path


def plain(name: str, content: bytes, size: int | None = None) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content) if size is None else size
    return member, content


def link(name: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member, b""


SAID = plain(ABOUT, msgspec.json.encode(ABOUT_IT))


def test_what_was_written_is_read_to_the_byte(tmp_path: Path) -> None:
    archive = written(tmp_path / "a.tar")

    assert unpack(archive, tmp_path / "model") == ABOUT_IT
    assert (tmp_path / "model").read_bytes() == CONTENT
    with tarfile.open(archive) as tar:  # any tar reads it
        assert tar.getnames() == [ABOUT, MODEL]


@pytest.mark.parametrize(
    "members",
    [
        [plain("../../etc/cron.d/evil", b"x")],
        [plain("/etc/passwd", b"x")],
        [SAID, plain("../model", CONTENT)],
        [SAID, plain("/model", CONTENT)],
        [SAID, link(MODEL, tarfile.SYMTYPE)],
        [SAID, link(MODEL, tarfile.LNKTYPE)],
        [SAID, link(MODEL, tarfile.DIRTYPE)],
        [SAID, link(MODEL, tarfile.CHRTYPE)],
        [SAID, link(MODEL, tarfile.FIFOTYPE)],
        [SAID, plain(MODEL + "x" * 300, CONTENT)],  # a GNU long name
        [SAID],
        [plain(MODEL, CONTENT), SAID],
        [SAID, plain(MODEL, CONTENT), plain("more", b"x")],
        [SAID, plain(MODEL, CONTENT[:-1])],
        [SAID, plain(MODEL, CONTENT[:-1] + b"!")],
        [plain(ABOUT, b" " * (MAX_ABOUT_BYTES + 1)), plain(MODEL, CONTENT)],
        [plain(ABOUT, b"[" * 5000), plain(MODEL, CONTENT)],
        [plain(ABOUT, b"\xff\xfe"), plain(MODEL, CONTENT)],
    ],
    ids=[
        "name that climbs",
        "absolute name",
        "model that climbs",
        "absolute model",
        "symbolic link",
        "hard link",
        "directory",
        "device",
        "pipe",
        "long name",
        "no model",
        "other order",
        "a third member",
        "short model",
        "other bytes",
        "large words",
        "deep words",
        "no words",
    ],
)
def test_no_other_archive_is_read(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    archive = tar_of(tmp_path / "a.tar", *members)
    with pytest.raises(ArchiveError):
        unpack(archive, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} <= {"a.tar", "out"}


@pytest.mark.parametrize("size", [2**63, 2**33, 0])
def test_a_claimed_size_is_bounded_before_anything_is_read(tmp_path: Path, size: int) -> None:
    header = plain(MODEL, b"", size)[0].tobuf(tarfile.GNU_FORMAT)
    with tar_of(tmp_path / "a.tar", SAID).open("r+b") as file:
        file.seek(1024)
        file.write(header)
    with pytest.raises(ArchiveError):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("cut", [0, 100, 512, 1500, 2000])
def test_a_cut_off_archive_is_refused(tmp_path: Path, cut: int) -> None:
    whole = written(tmp_path / "a.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:cut])
    with pytest.raises(ArchiveError):
        unpack(tmp_path / "cut.tar", tmp_path / "out")


@pytest.mark.parametrize(
    "about",
    [
        structs.replace(ABOUT_IT, format=2),
        structs.replace(ABOUT_IT, size_bytes=1),
        structs.replace(ABOUT_IT, name=ModelName("../evil")),
    ],
    ids=["format", "size", "name"],
)
def test_words_that_do_not_fit_are_refused(tmp_path: Path, about: ArchivedVersion) -> None:
    archive = tar_of(
        tmp_path / "a.tar", plain(ABOUT, msgspec.json.encode(about)), plain(MODEL, CONTENT)
    )
    with pytest.raises(ArchiveError):
        unpack(archive, tmp_path / "out")


def test_a_writer_that_was_given_other_bytes_ends_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="Export it again"):
        written(tmp_path / "a.tar", content=CONTENT[:-1])
