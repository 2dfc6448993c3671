"""Whatever a client claims about its upload, only what the registry hashed itself is kept."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from msgspec import structs

from fleetward.bus.errors import RefusedError
from fleetward.client import Fleet, UnknownModelError
from fleetward.contracts.registry import StoredObject
from fleetward.delivery.manifest import encode_manifest
from testkit.servers import ObjectStore
from tests.integration.model_registry import bucket, graphs
from tests.integration.model_registry.forged_uploads import ForgedUpload, digest_of, manifest_of

MODEL: bytes = graphs.good_model(41.0).SerializeToString()
OTHER: bytes = graphs.good_model(42.0).SerializeToString()
FOREIGN_KEY = "models/sha256/foreign"


def with_pack(upload: ForgedUpload, **changes: object) -> None:
    upload.packs = [structs.replace(upload.packs[0], **changes)]


def truncated(upload: ForgedUpload) -> None:
    upload.put_packs = [MODEL[:100]]


def truncated_and_claimed(upload: ForgedUpload) -> None:
    upload.put_packs = [MODEL[:100]]
    with_pack(upload, size_bytes=100)


def changed(upload: ForgedUpload) -> None:
    upload.put_packs = [MODEL[:-1] + bytes([MODEL[-1] ^ 1])]


def never_came(upload: ForgedUpload) -> None:
    upload.put_packs = []


def pack_not_uploaded(upload: ForgedUpload) -> None:
    upload.packs, upload.put_packs = [], []


def chunk_of_other_bytes(upload: ForgedUpload) -> None:
    lie = manifest_of([OTHER], pack=digest_of(MODEL), digest=digest_of(MODEL))
    upload.manifest = encode_manifest(lie)


def file_of_other_bytes(upload: ForgedUpload) -> None:
    upload.digest = digest_of(OTHER)


def chunks_in_another_order(upload: ForgedUpload) -> None:
    swapped = [MODEL[100:], MODEL[:100]]
    upload.manifest = encode_manifest(manifest_of(swapped, digest=digest_of(MODEL)))
    content = b"".join(swapped)
    upload.put_packs = [content]
    key = f"{upload.upload_key}/{digest_of(content)[7:]}"
    upload.packs = [StoredObject(key, digest_of(content), len(content))]


def another_size(upload: ForgedUpload) -> None:
    upload.size_bytes += 1


def no_manifest(upload: ForgedUpload) -> None:
    upload.manifest = b"FWCM" + bytes(100)


def foreign_pack(upload: ForgedUpload) -> None:
    with_pack(upload, key=FOREIGN_KEY)


def manifest_elsewhere(upload: ForgedUpload) -> None:
    upload.chunks_key = "models/sha256/x"


def pack_of_another_upload(upload: ForgedUpload) -> None:
    with_pack(upload, key=f"uploads/other/{digest_of(MODEL)[7:]}")


def pack_above_the_upload(upload: ForgedUpload) -> None:
    with_pack(upload, key=f"{upload.upload_key}/../../models")
    upload.put_packs = []


LIES: list[tuple[Callable[[ForgedUpload], None], str]] = [
    (truncated, "UploadIncompleteError"),
    (truncated_and_claimed, "DigestMismatchError"),
    (changed, "DigestMismatchError"),
    (never_came, "UploadMissingError"),
    (pack_not_uploaded, "PackMissingError"),
    (chunk_of_other_bytes, "DigestMismatchError"),
    (file_of_other_bytes, "DigestMismatchError"),
    (chunks_in_another_order, "DigestMismatchError"),
    (another_size, "UploadIncompleteError"),
    (no_manifest, "ModelRefusedError"),
    (foreign_pack, "UploadKeyError"),
    (manifest_elsewhere, "UploadKeyError"),
    (pack_of_another_upload, "UploadKeyError"),
    (pack_above_the_upload, "UploadKeyError"),
]


@pytest.fixture
def name() -> str:
    """A model name that no other test of the module uses."""
    return f"m-{uuid4().hex[:12]}"


@pytest.mark.parametrize(("lie", "code"), LIES, ids=[lie.__name__ for lie, _ in LIES])
async def test_a_lie_is_refused_and_nothing_is_kept(
    fleet: Fleet,
    object_store: ObjectStore,
    name: str,
    lie: Callable[[ForgedUpload], None],
    code: str,
) -> None:
    upload = ForgedUpload.of(MODEL)
    lie(upload)
    before = await bucket.kept_in(object_store)

    with pytest.raises(RefusedError) as refused:
        await upload.register(fleet, object_store, name)

    assert refused.value.code == code, refused.value
    with pytest.raises(UnknownModelError):
        await fleet.model_record(name)
    assert await bucket.kept_in(object_store) - {FOREIGN_KEY} == before - {FOREIGN_KEY}


async def test_the_honest_upload_is_taken(
    fleet: Fleet, object_store: ObjectStore, name: str
) -> None:
    registered = await ForgedUpload.of(MODEL).register(fleet, object_store, name)

    assert registered.version.manifest.digest == digest_of(MODEL)


@pytest.mark.parametrize("key", ["models/sha256/00", "uploads/../models/x", "uploads/", "", "x"])
async def test_only_uploads_can_be_adopted(
    fleet: Fleet, object_store: ObjectStore, name: str, key: str
) -> None:
    upload = ForgedUpload.of(MODEL)
    upload.upload_key = key

    with pytest.raises(RefusedError, match="is not the key of an upload"):
        await upload.register(fleet, object_store, name)


async def test_a_refusal_does_not_remove_a_foreign_object(
    fleet: Fleet, object_store: ObjectStore, name: str
) -> None:
    await bucket.put(object_store, FOREIGN_KEY, b"x" * len(MODEL))
    upload = ForgedUpload.of(MODEL)
    foreign_pack(upload)
    upload.put_packs = []

    with pytest.raises(RefusedError):
        await upload.register(fleet, object_store, name)

    assert FOREIGN_KEY in await bucket.keys_in(object_store)


@pytest.mark.parametrize("bad", ["*", "a.b", "Upper", "", "-x", "x" * 49])
async def test_a_bad_model_name_is_refused(
    fleet: Fleet, object_store: ObjectStore, bad: str
) -> None:
    with pytest.raises(RefusedError):
        await ForgedUpload.of(MODEL).register(fleet, object_store, bad)
