"""A real S3 store (SeaweedFS) on loopback: its configuration, and when it is ready."""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path

from msgspec import Struct

from fleetward.contracts.registry import DEFAULT_BUCKET, UPLOADS_PREFIX
from fleetward.delivery.s3 import s3_client
from fleetward.local import binaries
from fleetward.local.child import Command
from fleetward.local.ports import GRPC_OFFSET, LOOPBACK
from fleetward.trust.private_files import make_private_dir, write_private

NAME = "seaweedfs"
SERVERS = ("master", "volume", "filer", "s3", "admin")
FIRST_RETRY_S = 0.02
LAST_RETRY_S = 0.25
_PROBE_TIMEOUT_S = 2
TAKES_WITHIN_S = 10.0
_PROBE_KEY = f"{UPLOADS_PREFIX}is-it-there"


class AccessKey(Struct, frozen=True, kw_only=True):
    """One S3 identity."""

    access_key: str
    secret_key: str

    @classmethod
    def create(cls) -> AccessKey:
        """A new random key."""
        return cls(access_key=secrets.token_hex(10), secret_key=secrets.token_urlsafe(30))


class StoreKeys(Struct, frozen=True, kw_only=True):
    """Who may do what: provisioner makes the bucket, registry owns it, operator uploads into it."""

    provisioner: AccessKey
    registry: AccessKey
    operator: AccessKey

    @classmethod
    def create(cls) -> StoreKeys:
        """New random keys."""
        return cls(
            provisioner=AccessKey.create(),
            registry=AccessKey.create(),
            operator=AccessKey.create(),
        )


class StorePorts(Struct, frozen=True, kw_only=True):
    """HTTP ports; each server's gRPC port is GRPC_OFFSET above."""

    master: int
    volume: int
    filer: int
    s3: int
    admin: int

    @property
    def endpoint(self) -> str:
        """Where S3 clients go."""
        return f"http://{LOOPBACK}:{self.s3}"


def prepare(directory: Path, keys: StoreKeys) -> None:
    """Write the identities the store shall know."""
    make_private_dir(directory)
    make_private_dir(directory / "storage")
    make_private_dir(directory / "temporary")
    write_private(directory / "identities.json", json.dumps(_identities(keys)).encode())


def command(directory: Path, ports: StorePorts, log: Path) -> Command:
    """How to start the store that ``prepare`` configured: everything but S3 switched off or bound to loopback."""
    servers = {name: getattr(ports, name) for name in SERVERS}
    flags = [f"-{name}.port={port}" for name, port in servers.items()]
    flags += [f"-{name}.port.grpc={port + GRPC_OFFSET}" for name, port in servers.items()]
    return Command(
        name=NAME,
        arguments=[
            str(binaries.weed()),
            "mini",
            "-dir=storage",
            f"-ip={LOOPBACK}",
            f"-ip.bind={LOOPBACK}",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.config=identities.json",
            "-s3.localSocket=s3.sock",
            "-filer.localSocket=filer.sock",
            "-volume.preStopSeconds=0",
            *flags,
        ],
        environment={"TMPDIR": str(directory / "temporary")},
        directory=directory,
        log=log,
    )


def remove_sockets(ports: StorePorts) -> None:
    """Remove the sockets that SeaweedFS leaves in /tmp, whatever TMPDIR says."""
    for server in SERVERS:
        grpc_port = getattr(ports, server) + GRPC_OFFSET
        Path(f"/tmp/seaweedfs-{server}-grpc-{grpc_port}.sock").unlink(missing_ok=True)  # noqa: S108


async def listening(ports: StorePorts, keys: StoreKeys, bucket: str = DEFAULT_BUCKET) -> None:
    """Return once the store takes an object into ``bucket``, which is created if it is not there.

    It answers before it does: its parts find each other a moment later, on a busy machine seconds. One that
    answers and takes nothing for ``TAKES_WITHIN_S``, as when its disk is full, still gives what it has.
    """
    delay_s, answered_s = FIRST_RETRY_S, None
    while True:
        is_there, takes = await _probed(ports, keys.provisioner, bucket)
        now_s = asyncio.get_running_loop().time()
        if is_there and answered_s is None:
            answered_s = now_s
        if takes or (is_there and answered_s and now_s - answered_s > TAKES_WITHIN_S):
            return
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, LAST_RETRY_S)


async def _probed(ports: StorePorts, key: AccessKey, bucket: str) -> tuple[bool, bool]:
    """Whether the bucket is there now, and whether it takes an object; neither while the store starts."""
    from aiobotocore.config import AioConfig
    from botocore.exceptions import BotoCoreError, ClientError

    config = AioConfig(
        connect_timeout=_PROBE_TIMEOUT_S,
        read_timeout=_PROBE_TIMEOUT_S,
        retries={"total_max_attempts": 1},
    )
    is_there = False
    try:
        async with s3_client(ports.endpoint, key.access_key, key.secret_key, config) as store:
            names = [entry["Name"] for entry in (await store.list_buckets())["Buckets"]]
            if bucket not in names:
                await store.create_bucket(Bucket=bucket)
            is_there = True
            await store.put_object(Bucket=bucket, Key=_PROBE_KEY, Body=b"?")
            await store.delete_object(Bucket=bucket, Key=_PROBE_KEY)
            return True, True
    except (BotoCoreError, ClientError, OSError):
        return is_there, False


def _identities(keys: StoreKeys, bucket: str = DEFAULT_BUCKET) -> dict[str, object]:
    uploads = f"{bucket}/{UPLOADS_PREFIX}*"
    whole = [f"{action}:{bucket}" for action in ("Read", "Write", "List", "Tagging")]
    return {
        "identities": [
            _identity("provisioner", keys.provisioner, ["Admin"]),
            _identity("registry", keys.registry, whole),
            _identity("operator", keys.operator, [f"Read:{uploads}", f"Write:{uploads}"]),
        ]
    }


def _identity(name: str, key: AccessKey, actions: list[str]) -> dict[str, object]:
    credentials = [{"accessKey": key.access_key, "secretKey": key.secret_key}]
    return {"name": name, "credentials": credentials, "actions": actions}
