"""What is said when stored bytes are looked at again, and when damaged ones are replaced."""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.event import Event
from fleetward.contracts.ids import Digest, ModelName, Version
from fleetward.contracts.registry import ManifestLink, StoredObject


class DamagedPack(Struct, frozen=True, kw_only=True):
    """A pack that is not what its name says. ``url``: what lies there now; empty when nothing does."""

    digest: Digest
    url: str = ""


class CheckPacks(Event, frozen=True, kw_only=True):
    """Asks the registry to read and hash every pack that a version needs."""

    name: ModelName
    version: Version


class PacksChecked(Event, frozen=True, kw_only=True):
    """Which of a version's packs are damaged, and its chunk manifest, to make them again by."""

    packs: int
    damaged: tuple[DamagedPack, ...] = ()
    chunks: ManifestLink


class RepairPacks(Event, frozen=True, kw_only=True):
    """Asks the registry to put uploaded packs where damaged ones lie; ``packs`` names the uploads.

    The registry hashes them: a pack can only ever become what its name says.
    """

    name: ModelName
    version: Version
    upload_key: str
    packs: tuple[StoredObject, ...]


class PacksRepaired(Event, frozen=True, kw_only=True):
    """Which packs are whole again."""

    packs: tuple[Digest, ...] = ()
