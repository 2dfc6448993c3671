"""A real registry process over a real server and a real store, and an operator's client to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from fleetward.client import Fleet
from fleetward.client.access import Access, StoreAccess
from fleetward.contracts.rows import Principal
from fleetward.trust.ceremony import first_signed_root
from fleetward.trust.following import believed_keys
from fleetward.trust.signing import SigningKey, TrustedKeys
from testkit.servers import NatsSystem, ObjectStore
from testkit.service_process import ServiceProcess


@pytest.fixture(scope="module")
def registry_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the registry of the module has its keys; the root keys lie in ``root``."""
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def registry_environment(
    module_nats_server: NatsSystem, object_store: ObjectStore, registry_directory: Path
) -> dict[str, str]:
    """What a registry of the module is started with; its keys are made for it."""
    directory = registry_directory
    root = _root_in(directory)
    return {
        "FLEETWARD_NATS_URL": module_nats_server.url,
        "FLEETWARD_CREDENTIALS": str(module_nats_server.credentials(Principal.REGISTRY)),
        "FLEETWARD_STATE_DIR": str(directory / "state"),
        "FLEETWARD_ROOT": str(root),
        "FLEETWARD_ONLINE_KEYS": str(directory / "online"),
        "FLEETWARD_S3_ENDPOINT": object_store.endpoint,
        "FLEETWARD_S3_ACCESS_KEY": object_store.keys.registry.access_key,
        "FLEETWARD_S3_SECRET_KEY": object_store.keys.registry.secret_key,
    }


@pytest.fixture
def first_root(tmp_path: Path) -> Path:
    """What a registry in the test's own process begins with; the online keys lie beside it."""
    return _root_in(tmp_path)


@pytest.fixture(scope="module")
def registry(
    registry_environment: dict[str, str], registry_directory: Path
) -> Iterator[TrustedKeys]:
    """A running model-registry; gives the keys that its root names, by purpose."""
    process = ServiceProcess("model_registry", registry_directory, registry_environment)
    try:
        asyncio.run(process.start())
        yield believed_keys((registry_directory / "root.json").read_bytes())
    finally:
        status = asyncio.run(process.stop())
    assert status == 0, process.log()


@pytest.fixture
def operator_access(
    shared_nats_system: NatsSystem, object_store: ObjectStore, tmp_path: Path
) -> Access:
    """What an operator of the system under test has in hand."""
    store_key = object_store.keys.operator
    return Access(
        bus=shared_nats_system.settings(Principal.OPERATOR),
        store=StoreAccess(
            endpoint=object_store.endpoint,
            access_key=store_key.access_key,
            secret_key=store_key.secret_key,
            bucket=object_store.bucket,
        ),
        traces_dir=tmp_path / "traces",
    )


@pytest.fixture
async def fleet(registry: TrustedKeys, operator_access: Access) -> AsyncIterator[Fleet]:
    """An operator's client, connected while the registry runs."""
    assert registry is not None
    async with Fleet.connect(access=operator_access) as connected:
        yield connected


def _root_in(directory: Path) -> Path:
    commands = SigningKey.create(directory / "commands.key")
    root = first_signed_root(
        directory / "root", directory / "online", commands, datetime.now(timezone.utc)
    )
    path = directory / "root.json"
    path.write_bytes(root)
    return path
