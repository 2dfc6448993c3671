"""A rollout of two variants, which its robots are given in turn."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.ids import ModelRef, Version
from fleetward.contracts.registry import Variant
from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.variants import digest_of_all
from testkit.telemetry import digest_of
from tests.unit.rollout_coordinator.scenes import NEW, NEW_MODEL

NEW_TOO = digest_of("c")
VARIANTS = tuple(
    Variant(model=ModelRef(NEW_MODEL.name, Version(f"2+{kind}")), digest=digest, fits=f"hw={kind}")
    for kind, digest in (("orin", NEW), ("thor", NEW_TOO))
)


def with_variants(plain: Rollout) -> Rollout:
    """The same plan, of two variants."""
    return replace(
        plain,
        digest=digest_of_all(VARIANTS),
        variants=VARIANTS,
        robots={
            name: replace(progress, variant=number % len(VARIANTS))
            for number, (name, progress) in enumerate(plain.robots.items())
        },
    )
