"""What a registry process needs in memory to publish a large model, from the real store and bus."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from fleetward.client import Fleet
from fleetward.client.access import Access, StoreAccess
from fleetward.contracts.rows import Principal
from fleetward.local.child import Child
from fleetward.trust.ceremony import first_signed_root
from fleetward.trust.signing import SigningKey
from testkit.servers import NatsSystem, ObjectStore, running_nats
from testkit.service_process import ServiceProcess
from tests.bench.distribution_robot import peak_bytes
from tests.bench.measurement import RESULTS, Measurement

MEGABYTE = 1_000_000
TENSORS = 64
TENSOR_BYTES = 16 * 1024**2
"""1 GiB in all."""
MEMORY_GOAL_MB = 300


async def measure() -> list[Measurement]:
    """One push of random weights; needs some 4 GB of disk."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=RESULTS, prefix="publish-") as name:
        folder = Path(name).absolute()
        store = ObjectStore(folder / "store")
        await store.start()
        try:
            async with running_nats(folder / "system") as system:
                return [await _published(folder, system, store)]
        finally:
            await store.stop()


async def _published(folder: Path, system: NatsSystem, store: ObjectStore) -> Measurement:
    path = _written(folder / "model.safetensors")
    async with (
        _registry(folder, system, store) as pid,
        Fleet.connect(access=_access(folder, system, store)) as fleet,
    ):
        idle_mb = peak_bytes(pid) / MEGABYTE
        began = time.perf_counter()
        await fleet.push_model(path, "large", "1.0")
        seconds = time.perf_counter() - began
        peak_mb = peak_bytes(pid) / MEGABYTE
    size_mb = path.stat().st_size / MEGABYTE
    return Measurement(
        name=f"publish {size_mb:,.0f} MB: the registry's resident memory, peak",
        value=peak_mb,
        unit="MB",
        against=f"{idle_mb:.0f} MB before it; sent, rebuilt and signed within {seconds:.0f} s",
        goal=f"<= {MEMORY_GOAL_MB} MB",
        met=peak_mb <= MEMORY_GOAL_MB,
    )


def _written(path: Path) -> Path:
    """A safetensors file of random bytes."""
    header = {
        f"layer.{number}.weight": {
            "dtype": "BF16",
            "shape": [TENSOR_BYTES // 2],
            "data_offsets": [number * TENSOR_BYTES, (number + 1) * TENSOR_BYTES],
        }
        for number in range(TENSORS)
    }
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _ in range(TENSORS):
            file.write(os.urandom(TENSOR_BYTES))
    return path


@asynccontextmanager
async def _registry(folder: Path, system: NatsSystem, store: ObjectStore) -> AsyncIterator[int]:
    """A running registry with keys of its own; its process id."""
    directory = folder / "registry"
    directory.mkdir()
    commands = SigningKey.create(directory / "commands.key")
    now = datetime.now(timezone.utc)
    root = first_signed_root(directory / "root", directory / "online", commands, now)
    (directory / "root.json").write_bytes(root)
    key = store.keys.registry
    environment = {
        "PATH": os.environ["PATH"],
        "FLEETWARD_NATS_URL": system.url,
        "FLEETWARD_CREDENTIALS": str(system.credentials(Principal.REGISTRY)),
        "FLEETWARD_STATE_DIR": str(directory / "state"),
        "FLEETWARD_ROOT": str(directory / "root.json"),
        "FLEETWARD_ONLINE_KEYS": str(directory / "online"),
        "FLEETWARD_S3_ENDPOINT": store.endpoint,
        "FLEETWARD_S3_ACCESS_KEY": key.access_key,
        "FLEETWARD_S3_SECRET_KEY": key.secret_key,
    }
    process = ServiceProcess("model_registry", directory, environment, launch=Child.start)
    await process.start()
    try:
        assert process.child is not None
        yield process.child.pid
    finally:
        await process.stop()


def _access(folder: Path, system: NatsSystem, store: ObjectStore) -> Access:
    key = store.keys.operator
    return Access(
        bus=system.settings(Principal.OPERATOR),
        store=StoreAccess(
            endpoint=store.endpoint,
            access_key=key.access_key,
            secret_key=key.secret_key,
            bucket=store.bucket,
        ),
        traces_dir=folder / "traces",
    )
