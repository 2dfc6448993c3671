"""A pack that the store damaged or lost is found, and made whole again from the version's file."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from fleetward.bus.errors import RefusedError
from fleetward.bus.requests import ask
from fleetward.cli.exits import Exit
from fleetward.client import FileRefusedError, Fleet
from fleetward.client.access import Access
from fleetward.client.repairs import check, repair
from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import ModelVersion, StoredObject
from fleetward.contracts.repairs import RepairPacks
from testkit.servers import ObjectStore
from tests.integration.model_registry import bucket, command_line
from tests.integration.model_registry.whole_versions import expect_whole
from tests.unit.delivery.model_files import Tensor, safetensors, saved, tensors

SIZE_BYTES = 200_000


@pytest.fixture
def name() -> str:
    """A model name that no other test of the module uses."""
    return f"m-{uuid4().hex[:12]}"


async def pushed(
    fleet: Fleet, store: ObjectStore, tmp_path: Path, name: str
) -> tuple[list[ModelVersion], list[str]]:
    """A version with a pack of its own, another that needs half of it and brings one; the packs."""
    held = tensors(2, SIZE_BYTES, seed=uuid4().int)
    changed = [held[0], Tensor(held[1].name, tensors(1, SIZE_BYTES, seed=uuid4().int)[0].content)]
    versions, packs = [], []
    before = await bucket.keys_in(store)
    for number, content in enumerate((held, changed)):
        path = saved(safetensors(content), tmp_path / f"{number}")
        versions.append((await fleet.push_model(path, name, f"{number}.0")).version)
        packs += sorted(key for key in await bucket.keys_in(store) - before if "packs/" in key)
        before |= {*packs}
    return versions, packs


async def change(store: ObjectStore, key: str, at: int) -> bytes:
    """Damage one byte of an object; what it was."""
    whole = await bucket.contents_of(store, key)
    await bucket.put(store, key, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    return whole


async def test_a_damaged_pack_is_found_and_replaced(
    fleet: Fleet, object_store: ObjectStore, tmp_path: Path, name: str
) -> None:
    versions, packs = await pushed(fleet, object_store, tmp_path, name)
    model = versions[0].manifest.model
    whole = await change(object_store, packs[0], SIZE_BYTES // 2)
    with pytest.raises(AssertionError):
        await expect_whole(object_store, versions[0])

    assert len((await check(fleet, model)).damaged) == 1
    (repaired,) = await repair(fleet, model, tmp_path / "0")

    assert packs[0].endswith(repaired.removeprefix("sha256:"))
    assert await bucket.contents_of(object_store, packs[0]) == whole
    assert (await check(fleet, model)).damaged == ()
    await expect_whole(object_store, *versions)
    assert not [key for key in await bucket.keys_in(object_store) if key.startswith("uploads/")]


@pytest.mark.parametrize("left", [None, b"", b"x" * 10, b"y" * 3 * SIZE_BYTES])
async def test_a_pack_is_made_again_whatever_is_left_of_it(
    fleet: Fleet, object_store: ObjectStore, tmp_path: Path, name: str, left: bytes | None
) -> None:
    versions, packs = await pushed(fleet, object_store, tmp_path, name)
    if left is None:
        await bucket.remove(object_store, packs[0])
    else:
        await bucket.put(object_store, packs[0], left)

    assert len(await repair(fleet, versions[0].manifest.model, tmp_path / "0")) == 1

    await expect_whole(object_store, *versions)


async def test_another_versions_file_repairs_what_it_has_and_names_what_it_lacks(
    fleet: Fleet, object_store: ObjectStore, tmp_path: Path, name: str
) -> None:
    versions, packs = await pushed(fleet, object_store, tmp_path, name)
    second = versions[1].manifest.model
    await change(object_store, packs[0], SIZE_BYTES // 2)
    assert len(await repair(fleet, second, tmp_path / "1")) == 1
    await expect_whole(object_store, *versions)

    await change(object_store, packs[0], 3 * SIZE_BYTES // 2)
    with pytest.raises(FileRefusedError, match="also holds chunks of other versions"):
        await repair(fleet, second, tmp_path / "1")


async def test_another_file_repairs_nothing(
    fleet: Fleet, object_store: ObjectStore, tmp_path: Path, name: str
) -> None:
    versions, packs = await pushed(fleet, object_store, tmp_path, name)
    await change(object_store, packs[0], SIZE_BYTES // 2)

    with pytest.raises(FileRefusedError, match="Name the file that was published"):
        await repair(fleet, versions[0].manifest.model, tmp_path / "1")


async def test_the_command_says_what_is_damaged_and_what_was_replaced(
    fleet: Fleet, operator_access: Access, object_store: ObjectStore, tmp_path: Path, name: str
) -> None:
    _, packs = await pushed(fleet, object_store, tmp_path, name)
    await change(object_store, packs[0], SIZE_BYTES // 2)
    digest = f"sha256:{packs[0].rpartition('/')[2]}"
    looked = ("model", "repair", f"{name}:0.0", "--json")
    assert await told(operator_access, *looked) == (
        Exit.FAILED,
        {"model": f"{name}:0.0", "packs": 1, "damaged": [digest]},
    )

    assert await told(operator_access, *looked, str(tmp_path / "0")) == (
        Exit.OK,
        {"model": f"{name}:0.0", "repaired": [digest]},
    )


async def told(access: Access, *words: str) -> tuple[int | None, object]:
    """A command's exit code, and what it printed."""
    process = await command_line.started(access, *words)
    printed, _ = await process.communicate()
    return process.returncode, json.loads(printed)


async def test_no_upload_becomes_a_pack_of_another_name(
    fleet: Fleet, object_store: ObjectStore, tmp_path: Path, name: str
) -> None:
    versions, packs = await pushed(fleet, object_store, tmp_path, name)
    model = versions[0].manifest.model
    digest = Digest(f"sha256:{packs[0].rpartition('/')[2]}")
    forged = StoredObject(f"uploads/forged/{digest[7:]}", digest, 100)
    await bucket.put(object_store, forged.key, b"x" * 100)
    request = RepairPacks(
        name=model.name, version=model.version, upload_key="uploads/forged", packs=(forged,)
    )

    with pytest.raises(RefusedError) as refused:
        await ask(fleet.connection, request)

    assert refused.value.code == "DigestMismatchError"
    await expect_whole(object_store, *versions)
