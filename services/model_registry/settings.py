"""What a model-registry process is told from outside, read once, with its limits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from fleetward.bus.connection import BusSettings
from fleetward.contracts.rows import Principal
from model_registry.errors import SettingsError
from model_registry.inspection import InspectionLimits

GIB = 1024**3


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


class Settings(Struct, frozen=True, kw_only=True):
    """Everything a model-registry process is told."""

    bus: BusSettings
    store: StoreSettings
    state_dir: Path
    signing_key: Path
    traces_dir: Path | None = None
    inspection: InspectionLimits = InspectionLimits()
    max_model_bytes: int = 2 * GIB - 1
    """protobuf's own limit for one message, and so ONNX's for one file."""
    verifications_at_once: int = 2

    @property
    def incoming_dir(self) -> Path:
        """Where uploads lie while they are hashed and inspected; emptied at every start."""
        return self.state_dir / "incoming"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in ``environment``; raises SettingsError naming the variable that lacks."""

    def required(name: str) -> str:
        value = environment.get(name, "")
        if not value:
            raise SettingsError(f"{name} is not set; model-registry needs it. See README.md.")
        return value

    endpoint = required("FLEETWARD_S3_ENDPOINT")
    traces_dir = environment.get("FLEETWARD_TRACES_DIR")
    return Settings(
        bus=BusSettings(
            url=required("FLEETWARD_NATS_URL"),
            credentials=Path(required("FLEETWARD_CREDENTIALS")),
            name=Principal.REGISTRY.value,
        ),
        store=StoreSettings(
            endpoint=endpoint,
            public_endpoint=environment.get("FLEETWARD_S3_PUBLIC_ENDPOINT") or endpoint,
            access_key=required("FLEETWARD_S3_ACCESS_KEY"),
            secret_key=required("FLEETWARD_S3_SECRET_KEY"),
            bucket=environment.get("FLEETWARD_S3_BUCKET") or "fleetward-models",
        ),
        state_dir=Path(required("FLEETWARD_STATE_DIR")),
        signing_key=Path(required("FLEETWARD_SIGNING_KEY")),
        traces_dir=Path(traces_dir) if traces_dir else None,
    )
