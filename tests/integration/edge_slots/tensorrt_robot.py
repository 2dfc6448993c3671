"""A machine with a GPU, as far as stand-ins for TensorRT and CUDA make one (``testkit/stand_ins``)."""

from __future__ import annotations

from pathlib import Path

import msgspec

import testkit.stand_ins
from edge_bridge.backends.engine_settings import EngineSettings
from edge_bridge.workers.protocol import Ready
from edge_bridge.workers.slot_settings import SlotSettings
from tests.integration.edge_slots.rig import SETTINGS, Rig
from tests.integration.edge_slots.tiny_models import brightness

STAND_INS = Path(testkit.stand_ins.__file__).parent


class Robot:
    """A machine with a GPU, and what its TensorRT was made to do."""

    def __init__(self, directory: Path) -> None:
        self.engines = directory / "engines"
        self.journal = directory / "journal"
        self.settings = settings(self.engines)

    def took(self) -> list[str]:
        """ "built" or the SHA-256 of what was deserialised, in order."""
        return self.journal.read_text().split() if self.journal.exists() else []

    def engine_file(self) -> Path:
        (path,) = self.engines.glob("*.engine")
        return path


def settings(engines: Path, backend: str = "tensorrt") -> SlotSettings:
    return msgspec.structs.replace(
        SETTINGS, backend=backend, engines=EngineSettings(directory=str(engines))
    )


async def loaded(rig: Rig, directory: Path, name: str = "v1") -> Ready:
    """The model served, and what its worker said."""
    ready = await rig.slots.stage(brightness(directory, name))
    await rig.slots.swap()
    return ready
