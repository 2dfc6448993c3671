"""One model that is published again and again, and what anybody can see of it."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from nats.aio.client import Client

from fleetward.bus.last_values import last_value
from fleetward.client.publishing import MergedFile, push
from fleetward.client.uploads import Uploads
from fleetward.contracts.ids import ModelName, ModelRef, Version
from fleetward.contracts.registry import ModelRecord, ModelRegistered, ModelVersion
from fleetward.contracts.trust import RoleSigned
from fleetward.trust.roles import role_of
from tests.unit.delivery.model_files import safetensors, saved, tensors
from tests.unit.delivery.safetensors_files import tensor, write_safetensors

KIB = 1024
BASE = Version("0.0")


class RepeatedPublish:
    """``published``: the bytes of each version whose push came back.

    Its models have a tensor of ``tensor_bytes`` of their own, and share two that are twice as large.
    """

    def __init__(
        self,
        name: ModelName,
        connection: Client,
        directory: Path,
        uploads: Uploads,
        tensor_bytes: int = 32 * KIB,
    ) -> None:
        self.name = name
        self.directory = directory
        self.published: dict[str, bytes] = {}
        self._connection = connection
        self._uploads = uploads
        self._tensor_bytes = tensor_bytes
        self._chance = random.Random(name)

    def another(self) -> bytes:
        """A model that is like the others but for one tensor."""
        last = tensors(1, self._tensor_bytes, seed=self._chance.randrange(10**9))
        return safetensors([*tensors(2, 2 * self._tensor_bytes, seed=len(self.name)), *last])

    async def push(self, version: Version, content: bytes) -> ModelRegistered:
        """What ``fleetward model push`` does, with an adapter that was merged into the base."""
        path = saved(content, self.directory / version)
        registered = await push(
            self._connection,
            self._uploads,
            path,
            ModelRef(self.name, version),
            {},
            lambda sent, total: None,
            merged=self._merged(content) if version != BASE else None,
        )
        self.published[version] = content
        return registered

    def _merged(self, content: bytes) -> MergedFile:
        half = tensor(np.frombuffer(content[-16:], np.uint8).astype(np.float32), "F32")
        shaped = (half[0], (4, 4), half[2])
        path = self.directory / "lora"
        write_safetensors(path, {"q.lora_A.weight": shaped, "q.lora_B.weight": shaped})
        return MergedFile(base=BASE, adapter=path)

    async def visible(self) -> Mapping[str, ModelVersion]:
        """Every version that a person sees, which is every version that a robot may have."""
        value = await last_value(self._connection, ModelRecord, name=self.name)
        record = value.event if value is not None else ModelRecord(name=self.name)
        versions = {each.manifest.model.version: each for each in record.versions}
        assert await self._listed() == {f"{self.name}/{version}" for version in versions}
        assert set(record.aliases.values()) <= set(versions)
        return {str(version): each for version, each in versions.items()}

    async def _listed(self) -> set[str]:
        signed = await last_value(self._connection, RoleSigned, role=role_of(self.name))
        return set(json.loads(signed.event.metadata)["signed"]["targets"]) if signed else set()
