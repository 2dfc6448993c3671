"""Engines that robots of the same hardware build for each other, under a key that only they have.

An engine is executable code, so nothing that the hub or the store says makes one trusted here: the file
is sealed with the twins' own key, over the engine's key and the robot that built it, and this robot's
settings name the builders that it trusts.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from edge_bridge.backends.engine_cache import read_whole
from edge_bridge.backends.engine_key import TwinsKeyError, twins_key
from edge_bridge.backends.engine_settings import TwinSettings
from edge_bridge.backends.sealed import SealError, opened, sealed
from edge_bridge.backends.twin_file import Ask, TwinFile
from fleetward.contracts.ids import RobotId
from fleetward.engines.recipe import EngineKey

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class TwinEngineError(Exception):
    """No engine of a twin is used; the message says why."""


class TwinEngines:
    """What one worker takes from twins, and leaves for them."""

    def __init__(self, settings: TwinSettings, ask: Ask) -> None:
        self._settings = settings
        self._ask = ask

    def taken(self, key: EngineKey) -> tuple[memoryview, RobotId] | None:
        """An engine, proved to be built by a twin that is trusted here, and by whom; None: there is none.

        Raises TwinEngineError.
        """
        if not self._settings.builders:
            return None
        shared = self._key()
        found = self._ask(key.name)
        if found is None:
            return None
        content = _read(found)
        if not self._settings.trusts(found.builder):
            raise _refused(found, "its builder is not among those trusted here")
        try:
            return opened(shared, _label(key, found.builder), content), found.builder
        except SealError as problem:
            raise _refused(found, str(problem)) from problem

    def offered(self, key: EngineKey, engine: bytes) -> bytes:
        """The file for twins of an engine that was built here; raises TwinEngineError."""
        return sealed(self._key(), _label(key, self._settings.robot_id), engine)

    def _key(self) -> bytes:
        try:
            return twins_key(Path(self._settings.key))
        except TwinsKeyError as problem:
            raise TwinEngineError(f"no engine is shared with twins: {problem}") from problem


def _label(key: EngineKey, builder: RobotId) -> bytes:
    """What a seal of twins holds for: the engine, and who built it."""
    return _encode(["twins", builder, key])


def _read(found: TwinFile) -> bytes:
    """All of it, once; it is gone afterwards."""
    path = Path(found.path)
    try:
        return read_whole(path) or b""
    except (OSError, SealError) as problem:
        raise _refused(found, str(problem)) from problem
    finally:
        path.unlink(missing_ok=True)


def _refused(found: TwinFile, reason: str) -> TwinEngineError:
    return TwinEngineError(f"the engine that {found.builder} offers was refused: {reason}")
