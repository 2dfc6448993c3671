"""Another version costs what changed; a robot's grant leads to every byte; formats are held to."""

from __future__ import annotations

import io
import pickle
import random
import zipfile
from pathlib import Path
from uuid import uuid4

import pytest

from fleetward.bus.errors import RefusedError
from fleetward.client import FileRefusedError, Fleet
from testkit.servers import NatsSystem, ObjectStore
from tests.integration.model_registry import bucket
from tests.integration.model_registry.targets import give_target, granted, rebuilt
from tests.unit.delivery.model_files import Tensor, safetensors, saved, tensors

MIB = 1024 * 1024


@pytest.fixture
def name() -> str:
    """A model name that no other test of the module uses."""
    return f"m-{uuid4().hex[:12]}"


async def packed_bytes(store: ObjectStore) -> int:
    """The bytes in all packs together."""
    sizes = await bucket.sizes_in(store)
    return sum(size for key, size in sizes.items() if key.startswith("packs/"))


async def test_another_version_sends_only_what_changed(
    fleet: Fleet, object_store: ObjectStore, name: str, tmp_path: Path
) -> None:
    held = tensors(8, MIB, seed=random.randrange(10**9))
    await fleet.push_model(saved(safetensors(held), tmp_path / "1"), name, "1.0")
    before = await packed_bytes(object_store)
    changed = [*held[:5], Tensor(held[5].name, bytes(MIB)), *held[6:]]
    seen: list[tuple[int, int]] = []

    content = safetensors(changed, {"step": "2"})
    await fleet.push_model(
        saved(content, tmp_path / "2"),
        name,
        "2.0",
        progress=lambda sent, total: seen.append((sent, total)),
    )

    assert await packed_bytes(object_store) - before < MIB + 4096
    assert seen[0][0] > 6 * MIB
    assert seen[-1] == (len(content), len(content))


async def test_the_same_bytes_as_another_version_store_nothing_more(
    fleet: Fleet, object_store: ObjectStore, name: str, tmp_path: Path
) -> None:
    path = saved(safetensors(tensors(3, MIB)), tmp_path / "m")
    first = (await fleet.push_model(path, name, "1.0")).version.manifest
    before = await bucket.kept_in(object_store)

    second = (await fleet.push_model(path, name, "2.0")).version.manifest

    assert second.chunks == first.chunks
    assert await bucket.kept_in(object_store) == before


async def test_a_grant_leads_to_every_byte(
    fleet: Fleet, shared_nats_system: NatsSystem, name: str, tmp_path: Path
) -> None:
    held = tensors(3, MIB + 99, seed=7)
    contents = [safetensors(held), safetensors([*held[:2], *tensors(1, MIB, seed=8)])]
    versions = []
    for number, content in enumerate(contents):
        path = saved(content, tmp_path / str(number))
        versions.append((await fleet.push_model(path, name, f"{number}.0")).version)
    await give_target(shared_nats_system, "arm-1", versions[1], fallback=versions[0])

    grant = await granted(shared_nats_system, "arm-1", versions[1].manifest.digest)

    assert len(grant.packs) == 2
    assert grant.deltas == ()
    assert await rebuilt(grant, versions[1]) == contents[1]


async def test_safetensors_are_published_with_what_they_say_of_themselves(
    fleet: Fleet, name: str, tmp_path: Path
) -> None:
    content = safetensors(tensors(2, 100), {"licence": "MIT", "long": "x" * 300})

    pushed = await fleet.push_model(saved(content, tmp_path / "m"), name, "1.0")

    manifest = pushed.version.manifest
    assert (manifest.format, manifest.opset) == ("safetensors", 0)
    assert (manifest.inputs, manifest.outputs) == ((), ())
    assert manifest.metadata == {"licence": "MIT"}


class Bomb:
    """Runs code in whoever loads it."""

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise SystemExit('unpickled')",))


def zipped(content: bytes) -> bytes:
    """A file as PyTorch saves it."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return held.getvalue()


REFUSED = {
    "pickle": (pickle.dumps(Bomb()), "pickle"),
    "PyTorch checkpoint": (zipped(pickle.dumps(Bomb())), "pickle"),
    "GGUF": (b"GGUF" + bytes(500), "not an ONNX model"),
    "no tensor": (safetensors([], {"a": "b"}), "holds no tensor"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
async def test_what_is_neither_onnx_nor_safetensors_is_refused(
    fleet: Fleet, object_store: ObjectStore, name: str, tmp_path: Path, content: bytes, reason: str
) -> None:
    before = await bucket.kept_in(object_store)

    with pytest.raises(RefusedError, match=reason) as refused:
        await fleet.push_model(saved(content, tmp_path / "m"), name, "1.0")

    assert refused.value.code == "ModelRefusedError"
    assert await bucket.kept_in(object_store) == before


async def test_safetensors_that_contradict_themselves_are_refused_before_anything_is_sent(
    fleet: Fleet, name: str, tmp_path: Path
) -> None:
    path = saved(safetensors(tensors(2, 100))[:-1], tmp_path / "m")

    with pytest.raises(FileRefusedError, match="no sound model"):
        await fleet.push_model(path, name, "1.0")
