"""What the model registry knows: versions, what they contain, who may trust them, aliases."""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import AliasName, Digest, ModelName, ModelRef, RobotId, Version

MAX_VERSIONS_PER_MODEL = 500
MAX_ALIAS_MOVES_KEPT = 200

DEFAULT_BUCKET = "fleetward-models"
UPLOADS_PREFIX = "uploads/"
"""The only place of the bucket that people may write to; the registry adopts what it verified."""


class TensorSpec(Struct, frozen=True):
    """One input or output of a graph: element type by ONNX's name; -1 is a free dimension."""

    name: str
    element_type: str
    shape: tuple[int, ...]


class StoredObject(Struct, frozen=True):
    """An immutable object in the bucket, believed only when its bytes have this digest."""

    key: str
    digest: Digest
    size_bytes: int


class DeltaOffer(Struct, frozen=True, kw_only=True):
    """How a robot that holds ``base`` gets a version for fewer bytes.

    ``header_bytes`` from the start of ``stored`` say which ranges are needed; ``fetch_bytes`` is all
    that moves: header, payloads and the chunks that the delta takes from packs.
    """

    base: Digest
    stored: StoredObject
    header_bytes: int
    fetch_bytes: int


class ModelManifest(Struct, frozen=True, kw_only=True):
    """What is signed: exactly which bytes are this version and what they take and give."""

    model: ModelRef
    digest: Digest
    size_bytes: int
    format: str
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: dict[str, str] = {}
    release: int
    """Counts up with every version published under this name; guards against downgrades."""
    published_at: UtcTime
    chunks: StoredObject | None = None
    """The chunk manifest (``fleetward.delivery.manifest``): the packs that hold these bytes."""
    fits: str = ""
    """A selector over labels: these bytes are for such robots alone (``fleetward.contracts.variants``)."""


class SignedManifest(Struct, frozen=True, kw_only=True):
    """A manifest as signed bytes: verify ``signature`` over ``payload`` before decoding it.

    payload: msgpack of ModelManifest. signature: Ed25519, 64 bytes (RFC 8032).
    """

    payload: bytes
    key_id: str
    signature: bytes


class MergedAdapter(Struct, frozen=True, kw_only=True):
    """A version is ``base`` with the low-rank adapter (LoRA) in ``stored`` merged into it.

    scale: the factor on the product of its matrices, PEFT's alpha over rank. Only a hint for
    preparing deltas: what a delta makes is checked against the version's own digests.
    """

    base: Version
    stored: StoredObject
    scale: float = 1.0


class ModelVersion(Struct, frozen=True, kw_only=True):
    """One version as the registry lists it."""

    manifest: ModelManifest
    signed: SignedManifest
    deltas: tuple[DeltaOffer, ...] = ()
    merged: MergedAdapter | None = None


class Variant(Struct, frozen=True, kw_only=True):
    """One artifact of a version, for the robots whose labels ``fits`` names; without: for the others."""

    model: ModelRef
    digest: Digest
    fits: str = ""


class AliasMove(Struct, frozen=True, kw_only=True):
    """One step in an alias's history: who it pointed to from then on."""

    alias: AliasName
    version: Version
    moved_at: UtcTime


class ModelRecord(Event, frozen=True, kw_only=True):
    """Everything about one model name: the state the registry compares and sets."""

    name: ModelName
    versions: tuple[ModelVersion, ...] = ()
    aliases: dict[AliasName, Version] = {}
    alias_history: tuple[AliasMove, ...] = ()
    """The newest moves; every move there ever was is a fact AliasMoved."""
    gates: dict[AliasName, tuple[str, ...]] = {}
    """What a version must have before an alias may name it, in this order."""


class ModelPublished(Event, frozen=True, kw_only=True):
    """A version exists, is verified and signed, and may be rolled out."""

    name: ModelName
    version: Version
    digest: Digest
    size_bytes: int
    release: int
    fits: str = ""
    published_at: UtcTime


class AliasMoved(Event, frozen=True, kw_only=True):
    """An alias now names another version."""

    name: ModelName
    alias: AliasName
    version: Version
    previous_version: Version | None = None
    moved_at: UtcTime
    by: str = ""


class ListChunks(Event, frozen=True, kw_only=True):
    """Asks which chunks stand already, before an upload of another version of ``name``."""

    name: ModelName


class ManifestLink(Struct, frozen=True, kw_only=True):
    """Where to GET the chunk manifest of a published version."""

    stored: StoredObject
    url: str


class ChunksListed(Event, frozen=True, kw_only=True):
    """The chunk manifests of the newest versions, newest first; the links hold for a while."""

    manifests: tuple[ManifestLink, ...] = ()


class RegisterModel(Event, frozen=True, kw_only=True):
    """Asks the registry to adopt what was uploaded below ``<upload_key>/`` as ``name:version``.

    ``digest`` and ``size_bytes`` are the client's claim; the registry rebuilds the file from its
    packs and re-hashes every byte.
    ``lineage``, ``licence`` and ``card`` describe it (``fleetward.contracts.curation``).
    """

    name: ModelName
    version: Version
    digest: Digest
    size_bytes: int
    upload_key: str
    chunks: StoredObject | None = None
    """The uploaded chunk manifest (``fleetward.delivery.manifest``); no version is without one."""
    packs: tuple[StoredObject, ...] = ()
    """The packs it names that were uploaded with it; every other one stands already."""
    fits: str = ""
    """As in its manifest: ``version`` is then written VERSION+VARIANT."""
    merged: MergedAdapter | None = None
    """The adapter that made it out of another version, uploaded with it."""
    metadata: dict[str, str] = {}
    lineage: dict[str, str] = {}
    licence: str = ""
    card: str = ""


class ModelRegistered(Event, frozen=True, kw_only=True):
    """The registry's answer: the version as it now stands."""

    version: ModelVersion
    already_published: bool = False


class MoveAlias(Event, frozen=True, kw_only=True):
    """Asks for an alias to move, by compare-and-set: refused unless ``expected`` still holds.

    ``expected`` None means that the alias must not exist yet.
    """

    name: ModelName
    alias: AliasName
    version: Version
    expected: Version | None = None
    by: str = ""


class GrantFetch(Event, frozen=True, kw_only=True):
    """A robot asks for the bytes of a digest that its own target names; ``held`` it has already."""

    robot_id: RobotId
    digest: Digest
    held: tuple[Digest, ...] = ()


class DeltaGranted(Struct, frozen=True, kw_only=True):
    """Where to GET a delta from a model that the robot holds."""

    offer: DeltaOffer
    url: str


class FetchGranted(Event, frozen=True, kw_only=True):
    """Where to GET the parts (ranges allowed) until ``expires_at``, and what to verify them by.

    The chunk manifest lies at ``chunks_url``, each pack it names at ``packs[digest]``.
    """

    expires_at: UtcTime
    signed: SignedManifest
    chunks_url: str = ""
    packs: dict[Digest, str] = {}
    deltas: tuple[DeltaGranted, ...] = ()
