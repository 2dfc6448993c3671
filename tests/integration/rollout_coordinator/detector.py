"""One model with three versions, as the registry would have it."""

from __future__ import annotations

from datetime import datetime, timezone

from msgspec.structs import replace

from fleetward.contracts.ids import ModelName, ModelRef, Version
from fleetward.contracts.registry import ModelManifest, ModelRecord, ModelVersion, SignedManifest
from testkit.telemetry import digest_of

MODEL = ModelName("detector")
DIGESTS = {"1": digest_of("a"), "2": digest_of("b"), "3": digest_of("c")}


def record() -> ModelRecord:
    """The state that the coordinator plans from."""
    first = ModelManifest(
        model=ModelRef(MODEL, Version("1")),
        digest=DIGESTS["1"],
        size_bytes=1,
        format="onnx",
        opset=17,
        inputs=(),
        outputs=(),
        release=1,
        published_at=datetime.now(timezone.utc),
    )
    unsigned = SignedManifest(payload=b"", key_id="", signature=b"")
    versions = (
        replace(first, model=ModelRef(MODEL, Version(version)), digest=digest)
        for version, digest in DIGESTS.items()
    )
    return ModelRecord(
        name=MODEL,
        versions=tuple(ModelVersion(manifest=each, signed=unsigned) for each in versions),
    )
