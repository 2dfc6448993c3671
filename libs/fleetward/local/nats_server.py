"""A real nats-server in operator mode on loopback: its configuration, and when it is ready."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fleetward.contracts.catalog import STREAMS
from fleetward.contracts.rows import MIB
from fleetward.local import binaries
from fleetward.local.child import Command
from fleetward.local.ports import LOOPBACK
from fleetward.trust.identities import ServerTrust
from fleetward.trust.private_files import make_private_dir, write_private

NAME = "nats-server"
MAX_PAYLOAD_BYTES = 8 * MIB
MAX_CONNECTIONS = 10_000
FIRST_RETRY_S = 0.01
LAST_RETRY_S = 0.25
_STORAGE_HEADROOM = 1.25


def prepare(directory: Path, port: int, trust: ServerTrust) -> Path:
    """Write the configuration and the operator's JWT; returns the configuration's path."""
    make_private_dir(directory)
    write_private(directory / "operator.jwt", trust.operator_jwt.encode())
    path = directory / "nats-server.conf"
    write_private(path, configuration(directory, port, trust).encode())
    return path


def configuration(directory: Path, port: int, trust: ServerTrust) -> str:
    """The text of nats-server's configuration.

    ``sync_interval: always``: an acknowledged fact survives a power cut. ``js_ack_fc_v2: false``:
    nats-py 2.16 does not know the new acknowledgement subjects. Storage is bounded by what the
    catalog reserves, since the server refuses streams beyond it.
    """
    preload = "\n".join(f"  {account}: {token}" for account, token in trust.accounts.items())
    storage_bytes = int(sum(stream.max_bytes for stream in STREAMS) * _STORAGE_HEADROOM)
    return f"""\
listen: "{LOOPBACK}:{port}"
server_name: fleetward
operator: "{directory}/operator.jwt"
system_account: {trust.system_account}
resolver {{ type: full, dir: "{directory}/accounts", allow_delete: false, interval: "2m" }}
resolver_preload {{
{preload}
}}
max_payload: {MAX_PAYLOAD_BYTES}
max_connections: {MAX_CONNECTIONS}
write_deadline: "5s"
ping_interval: "20s"
jetstream {{
  store_dir: "{directory}/jetstream"
  max_memory_store: {64 * MIB}
  max_file_store: {storage_bytes}
  sync_interval: always
}}
feature_flags {{ js_ack_fc_v2: false }}
"""


def command(directory: Path, log: Path) -> Command:
    """How to start the server that ``prepare`` configured."""
    return Command(
        name=NAME,
        arguments=[str(binaries.nats_server()), "-c", str(directory / "nats-server.conf")],
        directory=directory,
        log=log,
    )


async def listening(port: int) -> None:
    """Return once the server greets on ``port``; it does so after its streams are recovered."""
    delay_s = FIRST_RETRY_S
    while not await _greets(port):
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, LAST_RETRY_S)


async def _greets(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    try:
        return (await reader.readline()).startswith(b"INFO ")
    except OSError:
        return False
    finally:
        writer.close()
