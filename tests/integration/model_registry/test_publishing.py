"""A pushed model is whole, signed and announced; a refused one leaves nothing behind."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from uuid import uuid4

import pytest

from fleetward.bus.errors import RefusedError
from fleetward.client import FileRefusedError, Fleet, UnknownModelError
from fleetward.client.live import live_facts
from fleetward.contracts.codec import decode
from fleetward.contracts.errors import InvalidIdError
from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import (
    ModelManifest,
    ModelPublished,
    ModelRegistered,
    TensorSpec,
)
from fleetward.trust.signing import MANIFEST, SignatureError, TrustedKeys
from testkit.servers import ObjectStore
from tests.integration.model_registry import bucket, graphs


@pytest.fixture
def name() -> str:
    """A model name that no other test of the module uses."""
    return f"m-{uuid4().hex[:12]}"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return graphs.saved(graphs.good_model(), tmp_path / "good.onnx")


@pytest.fixture
def whole(model: Path) -> bytes:
    """The bytes of ``model``."""
    return model.read_bytes()


def digest_of(contents: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(contents).hexdigest()}")


async def test_a_pushed_model_is_recorded_with_its_interface(
    fleet: Fleet, name: str, model: Path, whole: bytes
) -> None:
    pushed = await fleet.push_model(model, name, "1.0", metadata={"team": "perception"})

    manifest = (await fleet.model(f"{name}:1.0")).manifest
    assert manifest == pushed.version.manifest
    assert manifest.digest == digest_of(whole)
    assert manifest.size_bytes == len(whole)
    assert manifest.inputs == (TensorSpec("x", "FLOAT", (4,)),)
    assert manifest.metadata == {"licence": "Apache-2.0", "team": "perception"}
    assert manifest.release == 1
    assert pushed.already_published is False


async def test_its_manifest_verifies_under_the_registrys_key(
    fleet: Fleet, registry: TrustedKeys, name: str, model: Path
) -> None:
    signed = (await fleet.push_model(model, name, "1.0")).version.signed

    registry.verify(MANIFEST, signed.payload, signed.key_id, signed.signature)
    assert decode(signed.payload, ModelManifest).model.name == name
    with pytest.raises(SignatureError):
        registry.verify(MANIFEST, signed.payload + b" ", signed.key_id, signed.signature)


async def test_its_publication_is_announced_once(fleet: Fleet, name: str, model: Path) -> None:
    async with live_facts(fleet.connection, ModelPublished, name=name) as announced:
        await fleet.push_model(model, name, "1.0")
        await fleet.push_model(model, name, "1.0")
        await fleet.push_model(model, name, "1.1")

        assert [(await announced.next(5.0)), (await announced.next(5.0))] != [None, None]
        heard = await announced.next(0.2)
    assert heard is None


async def test_the_bytes_lie_under_their_digest_and_the_upload_is_gone(
    fleet: Fleet, object_store: ObjectStore, name: str, model: Path, whole: bytes
) -> None:
    pushed = await fleet.push_model(model, name, "1.0")

    keys = await bucket.keys_in(object_store)
    chunks = pushed.version.manifest.chunks
    assert chunks is not None
    assert chunks.key in keys
    assert f"packs/sha256/{digest_of(whole)[7:]}" in keys
    assert f"models/sha256/{digest_of(whole)[7:]}" not in keys
    assert not any(key.startswith("uploads/") for key in keys)


async def test_progress_reaches_the_whole_file(
    fleet: Fleet, name: str, model: Path, whole: bytes
) -> None:
    seen: list[tuple[int, int]] = []

    await fleet.push_model(
        model, name, "1.0", progress=lambda sent, total: seen.append((sent, total))
    )

    assert seen[-1] == (len(whole), len(whole))


async def test_the_same_bytes_again_are_already_published(
    fleet: Fleet, name: str, model: Path
) -> None:
    first = await fleet.push_model(model, name, "1.0")
    second = await fleet.push_model(model, name, "1.0")

    assert second.already_published is True
    assert second.version == first.version
    assert len((await fleet.model_record(name)).versions) == 1


async def test_other_bytes_under_a_published_version_are_refused(
    fleet: Fleet, object_store: ObjectStore, name: str, model: Path, tmp_path: Path
) -> None:
    first = await fleet.push_model(model, name, "1.0")
    other = graphs.saved(graphs.good_model(bias=2.0), tmp_path / "other.onnx")

    with pytest.raises(RefusedError, match="under another version") as refused:
        await fleet.push_model(other, name, "1.0")

    assert refused.value.code == "VersionTakenError"
    assert (await fleet.model(f"{name}:1.0")) == first.version
    await nothing_was_kept(object_store, digest_of(other.read_bytes()))


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"this is not a model", "not an ONNX model"),
        (graphs.good_model(3.0).SerializeToString()[:-50], "not an ONNX model, or not all of one"),
        (graphs.external_model("../../etc/passwd").SerializeToString(), "outside the model"),
        (graphs.external_model("/etc/passwd").SerializeToString(), "outside the model"),
        (graphs.model_without_inputs().SerializeToString(), "no inputs"),
    ],
)
async def test_a_bad_file_is_refused_with_nothing_visible(
    fleet: Fleet,
    object_store: ObjectStore,
    name: str,
    tmp_path: Path,
    contents: bytes,
    reason: str,
) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(contents)

    with pytest.raises(RefusedError, match=reason) as refused:
        await fleet.push_model(path, name, "1.0")

    assert refused.value.code == "ModelRefusedError"
    with pytest.raises(UnknownModelError):
        await fleet.model_record(name)
    await nothing_was_kept(object_store, digest_of(contents))


@pytest.mark.parametrize("bad", ["*", "a.b", "Upper", "", "-x", "x" * 49])
async def test_a_bad_model_name_is_refused_before_anything_is_sent(
    fleet: Fleet, model: Path, bad: str
) -> None:
    with pytest.raises(InvalidIdError, match="model name"):
        await fleet.push_model(model, bad, "1.0")


async def test_a_missing_file_is_refused_before_anything_is_sent(
    fleet: Fleet, name: str, tmp_path: Path
) -> None:
    with pytest.raises(FileRefusedError, match="No such file"):
        await fleet.push_model(tmp_path / "nowhere.onnx", name, "1.0")


async def test_of_two_racing_pushes_of_one_version_exactly_one_wins(
    fleet: Fleet, name: str, tmp_path: Path
) -> None:
    files = [
        graphs.saved(graphs.good_model(float(bias)), tmp_path / f"{bias}.onnx") for bias in (5, 6)
    ]

    outcomes = await asyncio.gather(
        *(fleet.push_model(file, name, "1.0") for file in files), return_exceptions=True
    )

    won = [outcome for outcome in outcomes if isinstance(outcome, ModelRegistered)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, RefusedError)]
    assert (len(won), len(lost)) == (1, 1)
    assert lost[0].code == "VersionTakenError"
    assert (await fleet.model_record(name)).versions == (won[0].version,)


async def test_racing_pushes_of_many_versions_all_get_their_own_release(
    fleet: Fleet, name: str, model: Path
) -> None:
    await asyncio.gather(*(fleet.push_model(model, name, f"1.{number}") for number in range(5)))

    versions = (await fleet.model_record(name)).versions
    assert sorted(held.manifest.release for held in versions) == [1, 2, 3, 4, 5]
    assert {held.manifest.model.version for held in versions} == {f"1.{n}" for n in range(5)}


async def test_the_same_push_twice_at_once_is_published_once(
    fleet: Fleet, object_store: ObjectStore, name: str, model: Path
) -> None:
    pushed = await asyncio.gather(*(fleet.push_model(model, name, "1.0") for _ in range(3)))

    assert len({each.version.manifest.release for each in pushed}) == 1
    assert len((await fleet.model_record(name)).versions) == 1
    assert not any(key.startswith("uploads/") for key in await bucket.keys_in(object_store))


async def nothing_was_kept(store: ObjectStore, digest: Digest) -> None:
    keys = await bucket.keys_in(store)
    assert not any(key.startswith("uploads/") for key in keys)
    assert f"packs/sha256/{digest.removeprefix('sha256:')}" not in keys
