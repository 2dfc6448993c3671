"""A push whose process is killed anywhere leaves a whole version or none, and is gone on with."""

from __future__ import annotations

import random
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec import structs

from fleetward.client import Fleet
from fleetward.client.access import Access
from fleetward.contracts.registry import ModelVersion
from fleetward.trust.signing import TrustedKeys
from testkit.servers import ObjectStore
from tests.integration.model_registry import bucket, command_line
from tests.integration.model_registry.watched_store import watched
from tests.integration.model_registry.whole_versions import expect_whole
from tests.unit.delivery.model_files import safetensors, saved, tensors

pytestmark = pytest.mark.slow

KILLS = 4
NEVER = 2**60
NAME = "killed"


class DyingPush:
    """``fleetward model push`` whose way to the store kills it before the request of a number."""

    def __init__(self) -> None:
        self._fatal = NEVER
        self.heard_requests: list[str] = []

    async def heard(self, request: str) -> None:
        """Let a request pass, or nothing any more."""
        if len(self.heard_requests) == self._fatal:
            self._process.kill()
            raise ConnectionError("killed")
        self.heard_requests.append(request)

    async def die_of(self, fatal: int, path: Path, version: str, access: Access) -> None:
        """Push the file by a process that is killed before the request numbered ``fatal``."""
        self._fatal, self.heard_requests = fatal, []
        words = ("model", "push", str(path), "--name", NAME, "--version", version)
        self._process = await command_line.started(access, *words)
        assert await self._process.wait() == -signal.SIGKILL
        self._fatal, self.heard_requests = NEVER, []


async def test_a_push_killed_at_any_request_is_gone_on_with(
    registry: TrustedKeys, operator_access: Access, object_store: ObjectStore, tmp_path: Path
) -> None:
    assert registry is not None
    chance, path, dying = random.Random(5), tmp_path / "model", DyingPush()
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(watched(object_store.endpoint, dying.heard))
        access = past(operator_access, endpoint)
        fleet = await stack.enter_async_context(Fleet.connect(access=access))
        await fleet.push_model(saved(another(0), path), NAME, "0.0")
        requests = len(dying.heard_requests)
        for kill in range(1, KILLS + 1):
            saved(another(kill), path)
            await dying.die_of(chance.randrange(requests), path, f"{kill}.0", access)
            assert len(await versions_of(fleet)) == kill
            arrived = {key for key in await bucket.keys_in(object_store) if "uploads/" in key}

            await fleet.push_model(path, NAME, f"{kill}.0")

            again = [one for one in dying.heard_requests if one.startswith(("PUT", "POST"))]
            assert not any(key in request for key in arrived for request in again)
        await expect_whole(object_store, *await versions_of(fleet))


def another(number: int) -> bytes:
    """A model that shares half of its bytes with every other."""
    return safetensors([*tensors(1, 300_000), *tensors(1, 300_000, seed=number + 2)])


def past(access: Access, endpoint: str) -> Access:
    """The same access, with the store at ``endpoint``."""
    assert access.store is not None
    return structs.replace(access, store=structs.replace(access.store, endpoint=endpoint))


async def versions_of(fleet: Fleet) -> tuple[ModelVersion, ...]:
    return (await fleet.model_record(NAME)).versions
