"""A model is in the store whole or not at all, and what a robot may need stays."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from edge_bridge.errors import DigestMismatchError, DiskFailedError, DiskFullError, WrongChunkError
from edge_bridge.store import ModelStore
from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import SignedManifest
from fleetward.delivery.manifest import encode_manifest
from tests.unit.delivery.chunked_files import Packs, digest_of

SIGNED = SignedManifest(payload=b"p", key_id="k", signature=b"s")


def store_in(directory: Path, limit_bytes: int = 10**9) -> ModelStore:
    return ModelStore(directory, limit_bytes=limit_bytes, reserve_bytes=0)


def put(store: ModelStore, content: bytes) -> Digest:
    manifest = Packs().publish([content])
    partial = store.partial(manifest).open()
    partial.append(content)
    store.adopt(partial, manifest.header.digest, SIGNED, encode_manifest(manifest))
    partial.close()
    return manifest.header.digest


def files_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


def test_an_adopted_model_is_there_with_its_manifest_after_a_restart(tmp_path: Path) -> None:
    digest = put(store_in(tmp_path), b"weights")
    again = store_in(tmp_path)
    assert again.digests() == {digest}
    assert again.path(digest).read_bytes() == b"weights"
    assert again.manifest(digest) == SIGNED
    assert again.held() == {digest: Packs().publish([b"weights"])}


def test_a_chunk_that_is_another_does_not_enter_a_partial(tmp_path: Path) -> None:
    partial = store_in(tmp_path).partial(Packs().publish([b"wanted"])).open()
    with pytest.raises(WrongChunkError):
        partial.append(b"other!")
    assert partial.kept_bytes == 0


def test_a_partial_that_changed_on_disk_is_not_adopted(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    manifest = Packs().publish([b"wanted"])
    partial = store.partial(manifest).open()
    partial.append(b"wanted")
    partial.path.write_bytes(b"rotten")
    with pytest.raises(DigestMismatchError):
        store.adopt(partial, manifest.header.digest, SIGNED, b"")
    partial.close()
    assert store.digests() == frozenset()
    assert store.partial(manifest).open().kept_bytes == 0


def test_a_model_that_rotted_on_disk_is_removed(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    digest = put(store, b"weights")
    store.path(digest).write_bytes(b"wEights")
    with pytest.raises(DigestMismatchError):
        store.verify(digest)
    assert store.digests() == frozenset()


def test_a_model_without_its_manifest_is_not_there(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    digest = put(store, b"weights")
    store.path(digest).with_suffix(".manifest").unlink()
    assert store.digests() == frozenset()


def test_room_is_made_from_the_oldest_model_that_nothing_needs(tmp_path: Path) -> None:
    store = store_in(tmp_path, limit_bytes=40)
    first, second, third = (put(store, letter * 10) for letter in (b"a", b"b", b"c"))
    store.make_room(digest_of(b"new"), 20, pinned=[first])
    assert store.digests() == {first, third}
    assert second not in store.digests()


def test_pinned_models_are_never_sacrificed(tmp_path: Path) -> None:
    store = store_in(tmp_path, limit_bytes=25)
    kept = {put(store, letter * 10) for letter in (b"a", b"b")}
    with pytest.raises(DiskFullError, match="Free space"):
        store.make_room(digest_of(b"new"), 10, pinned=kept)
    assert store.digests() == kept


def test_a_disk_below_its_reserve_takes_no_model(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, limit_bytes=10**9, reserve_bytes=2**62)
    with pytest.raises(DiskFullError):
        store.make_room(digest_of(b"new"), 10, pinned=[])


def test_collecting_keeps_the_pinned_and_the_newest(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    first, second, third = (put(store, letter * 10) for letter in (b"a", b"b", b"c"))
    store.collect(pinned=[first], keep_unpinned=1)
    assert store.digests() == {first, third}
    assert second not in store.digests()


def test_partials_of_other_models_make_room_first(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    partial = store.partial(Packs().publish([b"half", b"rest"])).open()
    partial.append(b"half")
    partial.close()
    store.make_room(digest_of(b"new"), 10, pinned=[])
    assert files_in(tmp_path) == []


_FILLING = """
import sys
from pathlib import Path
from edge_bridge.errors import DiskFullError
from tests.unit.edge_bridge_bus.test_store import put, store_in

try:
    put(store_in(Path(sys.argv[1])), bytes(200_000))
except DiskFullError as full:
    print("full:", full)
"""


def test_a_full_disk_is_named_and_leaves_no_model_half_written(tmp_path: Path) -> None:
    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [sys.executable, "-c", _FILLING, str(tmp_path)],
        preexec_fn=small_files_only,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("full: there is no room")
    assert "Free space on the robot's disk" in done.stdout
    assert store_in(tmp_path).digests() == frozenset()
    assert list(tmp_path.glob("*.model")) == []


def test_a_disk_that_fails_is_a_reason_to_try_again(tmp_path: Path) -> None:
    partial = store_in(tmp_path).partial(Packs().publish([b"weights"]))
    partial.path.mkdir()
    with pytest.raises(DiskFailedError, match="the robot's disk failed"):
        partial.open()


def test_collecting_leaves_nothing_of_a_fetch_that_a_newer_target_cut_off(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    served = put(store, b"served")
    manifest = Packs().publish([b"half", b"rest"])
    partial = store.partial(manifest).open()
    partial.append(b"half")
    partial.close()

    store.collect(pinned=[served, manifest.header.digest], keep_unpinned=1)
    assert store.partial(manifest).open().kept_bytes == len(b"half")

    store.collect(pinned=[served], keep_unpinned=1)
    assert not list((tmp_path / "partial").iterdir())
    assert store.partial(manifest).open().kept_bytes == 0
