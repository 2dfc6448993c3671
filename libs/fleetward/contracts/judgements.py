"""What happens to a published version: facts about it, and the requests that cause them."""

from __future__ import annotations

from fleetward.contracts.curation import ModelCuration, Preflight
from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import AliasName, Digest, ModelName, Version
from fleetward.contracts.registry import ModelVersion

MAX_REPORT_BYTES = 48 * 1024


class ModelDeprecated(Event, frozen=True, kw_only=True):
    """Another version should be used instead of this one; it still may be."""

    name: ModelName
    version: Version
    digest: Digest
    reason: str
    by: str = ""
    deprecated_at: UtcTime


class ModelWithdrawn(Event, frozen=True, kw_only=True):
    """These bytes must not be served any more: no grant, no target, no fallback."""

    name: ModelName
    version: Version
    digest: Digest
    reason: str
    by: str = ""
    withdrawn_at: UtcTime


class ModelPreflighted(Event, frozen=True, kw_only=True):
    """The registry tried to build and to run a version."""

    name: ModelName
    version: Version
    digest: Digest
    preflight: Preflight


class ValidationReported(Event, frozen=True, kw_only=True):
    """A simulator, a bench or a pipeline tried a version and says how it did.

    payload: JSON of ValidationReport (``fleetward.contracts.validation``), exactly as reported.
    signature: Ed25519 over it by the reporter's key for the purpose ``report``; empty when the
    registry was not told which reporters to trust.
    """

    name: ModelName
    version: Version
    digest: Digest
    kind: str
    passed: bool
    payload: bytes
    key_id: str = ""
    signature: bytes = b""
    reported_at: UtcTime


class ModelApproved(Event, frozen=True, kw_only=True):
    """Somebody said yes to exactly these bytes."""

    name: ModelName
    version: Version
    digest: Digest
    by: str
    note: str = ""
    approved_at: UtcTime


class GatesRequired(Event, frozen=True, kw_only=True):
    """From now on an alias moves only to versions that have all this, in this order."""

    name: ModelName
    alias: AliasName
    gates: tuple[str, ...]
    by: str = ""
    required_at: UtcTime


class ModelsRetired(Event, frozen=True, kw_only=True):
    """Versions left the registry by its retention policy; their bytes may go."""

    name: ModelName
    versions: tuple[Version, ...]
    digests: tuple[Digest, ...]
    retired_at: UtcTime


class DeprecateModel(Event, frozen=True, kw_only=True):
    """Asks that a version be marked as superseded."""

    name: ModelName
    version: Version
    reason: str
    by: str = ""


class WithdrawModel(Event, frozen=True, kw_only=True):
    """Asks that a version's bytes never be served again, under whatever name."""

    name: ModelName
    version: Version
    reason: str
    by: str = ""


class PreflightModel(Event, frozen=True, kw_only=True):
    """Asks the registry to build and to run a version, in a process of its own."""

    name: ModelName
    version: Version


class AttachReport(Event, frozen=True, kw_only=True):
    """Asks that a validation report count for a version. See ValidationReported for the fields."""

    name: ModelName
    version: Version
    payload: bytes
    key_id: str = ""
    signature: bytes = b""


class ApproveModel(Event, frozen=True, kw_only=True):
    """Asks that somebody's yes count for a version; ``digest`` is what they looked at.

    ``by`` is believed: all operators share one set of credentials, which does not say who asks.
    """

    name: ModelName
    version: Version
    digest: Digest
    by: str
    note: str = ""


class RequireGates(Event, frozen=True, kw_only=True):
    """Asks that an alias move only to versions that have all this."""

    name: ModelName
    alias: AliasName
    gates: tuple[str, ...]
    by: str = ""


class ExportModel(Event, frozen=True, kw_only=True):
    """Asks for everything that another registry needs to publish the same version."""

    name: ModelName
    version: Version


class ExportGranted(Event, frozen=True, kw_only=True):
    """Where to GET the bytes until ``expires_at``, as in FetchGranted, and what is said of them."""

    version: ModelVersion
    curation: ModelCuration
    card: str = ""
    url: str = ""
    chunks_url: str = ""
    packs: dict[Digest, str] = {}
    expires_at: UtcTime


class PruneModels(Event, frozen=True, kw_only=True):
    """Asks the registry to remove what nothing needs any more; ``dry_run`` only says what."""

    dry_run: bool = False


class ModelsPruned(Event, frozen=True, kw_only=True):
    """What was, or would be, removed: versions by the retention policy, objects by reference."""

    versions: tuple[str, ...] = ()
    objects: int = 0
    bytes: int = 0
    uploads: int = 0
    dry_run: bool = False
    pruned_at: UtcTime
