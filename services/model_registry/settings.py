"""What a model-registry process is told from outside, read once, with its limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from msgspec import Struct

from fleetward.bus.connection import BusSettings
from fleetward.bus.environment import Environment
from fleetward.contracts.registry import DEFAULT_BUCKET
from fleetward.contracts.robot_keys import CREDENTIAL_DAYS
from fleetward.contracts.rows import Principal
from fleetward.delivery.manifest import MAX_MODEL_BYTES
from fleetward.trust.succession import SuccessionLimits
from model_registry.inspection import InspectionLimits
from model_registry.retention import RetentionPolicy
from model_registry.segment_room import SegmentLimits

GIB = 1024**3
SEGMENTS_GIB = 64
SEGMENTS = 43_200
"""A month of a segment a minute."""
ENGINES_GIB = 16
MAX_CREDENTIAL_DAYS = 3650.0


class StoreSettings(Struct, frozen=True, kw_only=True):
    """Where the bytes lie. ``public_endpoint`` is what robots are told, when it differs."""

    endpoint: str
    public_endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    attempts: int = 3
    chunk_bytes: int = 4 * 1024**2
    grant_s: int = 3600
    stale_upload_s: float = 86_400.0


class RenewalSettings(Struct, frozen=True, kw_only=True):
    """signer: the file of the key that issues robots' credentials. account: the public key of theirs."""

    signer: Path
    account: str
    limits: SuccessionLimits = SuccessionLimits()


class Settings(Struct, frozen=True, kw_only=True):
    """Everything a model-registry process is told."""

    bus: BusSettings
    store: StoreSettings
    state_dir: Path
    root: Path
    """The root that the system began with; later ones are on the bus."""
    online_keys: Path
    """The directory of the keys that sign targets, snapshot and timestamp."""
    traces_dir: Path | None = None
    report_trust_dir: Path | None = None
    """Where ``report.pub`` lies: the keys whose validation reports count. None: anybody's do."""
    renewal: RenewalSettings | None = None
    """None: robots' credentials are renewed elsewhere, or not at all."""
    inspection: InspectionLimits = InspectionLimits()
    retention: RetentionPolicy = RetentionPolicy()
    max_model_bytes: int = MAX_MODEL_BYTES
    verifications_at_once: int = 2
    segments: SegmentLimits = SegmentLimits(size_bytes=SEGMENTS_GIB * GIB, count=SEGMENTS)
    engines_bytes: int = ENGINES_GIB * GIB
    """Of the engines that one robot built for its twins; the oldest go first."""

    @property
    def incoming_dir(self) -> Path:
        """Where uploads lie while they are hashed and inspected; emptied at every start."""
        return self.state_dir / "incoming"

    @property
    def deltas_dir(self) -> Path:
        """Where deltas are written before they are kept, and which were not worth it."""
        return self.state_dir / "deltas"


def settings_from(variables: Mapping[str, str]) -> Settings:
    """Settings from FLEETWARD_ variables; raises SettingsError."""
    environment = Environment(variables)
    endpoint = environment.text("FLEETWARD_S3_ENDPOINT")
    return Settings(
        bus=environment.bus(Principal.REGISTRY.value),
        store=StoreSettings(
            endpoint=endpoint,
            public_endpoint=environment.text("FLEETWARD_S3_PUBLIC_ENDPOINT", endpoint),
            access_key=environment.text("FLEETWARD_S3_ACCESS_KEY"),
            secret_key=environment.text("FLEETWARD_S3_SECRET_KEY"),
            bucket=environment.text("FLEETWARD_S3_BUCKET", DEFAULT_BUCKET),
        ),
        state_dir=environment.path("FLEETWARD_STATE_DIR"),
        root=environment.path("FLEETWARD_ROOT"),
        online_keys=environment.path("FLEETWARD_ONLINE_KEYS"),
        traces_dir=environment.optional_path("FLEETWARD_TRACES_DIR"),
        report_trust_dir=environment.optional_path("FLEETWARD_REPORT_TRUST_DIR"),
        renewal=_renewal(environment),
        retention=_retention(environment),
        segments=SegmentLimits(
            size_bytes=int(environment.number("FLEETWARD_SEGMENTS_GIB", SEGMENTS_GIB) * GIB),
            count=max(1, int(environment.number("FLEETWARD_SEGMENTS", SEGMENTS))),
        ),
        engines_bytes=int(environment.number("FLEETWARD_ENGINES_GIB", ENGINES_GIB) * GIB),
    )


def _renewal(environment: Environment) -> RenewalSettings | None:
    """Without FLEETWARD_ROBOT_SIGNER no credentials are renewed here."""
    signer = environment.optional_path("FLEETWARD_ROBOT_SIGNER")
    if signer is None:
        return None
    days = environment.number("FLEETWARD_CREDENTIAL_DAYS", CREDENTIAL_DAYS)
    return RenewalSettings(
        signer=signer,
        account=environment.text("FLEETWARD_ROBOT_ACCOUNT"),
        limits=SuccessionLimits(life=timedelta(days=min(days, MAX_CREDENTIAL_DAYS))),
    )


def _retention(environment: Environment) -> RetentionPolicy:
    """Without FLEETWARD_KEEP_VERSIONS every version is kept."""
    kept, versions = RetentionPolicy(), environment.optional_number("FLEETWARD_KEEP_VERSIONS")
    return RetentionPolicy(
        keep_versions=int(versions) if versions is not None else None,
        grace_s=environment.number("FLEETWARD_PRUNE_GRACE_S", kept.grace_s),
    )
