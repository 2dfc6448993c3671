"""`rollout quote` says per kind of robot what would move, as people and as machines read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from fleetward.bus.publish import publish
from fleetward.bus.requests import answer
from fleetward.contracts.ids import BootId, Digest, ModelName, ModelRef, RobotId, version
from fleetward.contracts.quotes import Quote, QuoteUpdate, UpdateQuoted
from fleetward.contracts.registry import (
    ModelManifest,
    ModelRecord,
    ModelVersion,
    SignedManifest,
)
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem
from tests.integration.client.test_command_line import fleetward
from tests.unit.delivery.chunked_files import digest_of

NOW = datetime.now(timezone.utc)
BEFORE, AFTER = digest_of(b"before"), digest_of(b"after")
NAME = ModelName(f"m-{uuid4().hex[:10]}")
PRICES = {
    (): Quote(fetch_bytes=90_000_000),
    (BEFORE,): Quote(fetch_bytes=3_000_000, delta_base=BEFORE),
}


@pytest.fixture
async def system(shared_nats_system: NatsSystem) -> NatsSystem:
    """A published model, three robots of two kinds, and a registry that knows two prices."""
    registry = await shared_nats_system.connect(Principal.REGISTRY)
    await publish(registry, ModelRecord(name=NAME, versions=(_version(),)))

    async def quoted(asked: QuoteUpdate) -> UpdateQuoted:
        model = ModelRef(asked.name, asked.version)
        prices = tuple(PRICES[held] for held in asked.held)
        return UpdateQuoted(model=model, digest=AFTER, size_bytes=90_000_000, quotes=prices)

    await answer(registry, QuoteUpdate, quoted)
    await registry.flush()
    await _robot(shared_nats_system, "arm-1", "quote-berlin", (BEFORE,))
    await _robot(shared_nats_system, "arm-2", "quote-berlin", (BEFORE,))
    await _robot(shared_nats_system, "arm-3", "quote-oslo", ())
    return shared_nats_system


async def test_a_quote_has_a_row_for_each_kind_of_robot_and_the_cap_that_is_enough(
    system: NatsSystem, home_of: Callable[[NatsSystem], Path]
) -> None:
    ran = await fleetward(
        home_of(system),
        *("rollout", "quote", f"{NAME}:2.0", "--link-mbps", "8"),
        *("--to", "site in (quote-berlin, quote-oslo)"),
    )

    assert ran.code == 0, ran.complaint
    rows = [" ".join(line.split()) for line in ran.output.splitlines()]
    assert rows[1:3] == [
        "arm-3 site=quote-oslo 90.0 MB chunks 90 s 90.0 MB",
        "arm-1, arm-2 site=quote-berlin 3.0 MB delta 3 s 6.0 MB",
    ]
    assert "3 robots fetch 96.0 MB together" in rows[3]
    assert "--byte-cap 90000000B" in rows[3]


async def test_a_machine_reads_bytes_and_minutes(
    system: NatsSystem, home_of: Callable[[NatsSystem], Path]
) -> None:
    ran = await fleetward(
        home_of(system),
        *("rollout", "quote", f"{NAME}:2.0", "--to", "site=quote-berlin", "--json"),
        *("--link-mbps", "8"),
    )
    found = json.loads(ran.output)
    (cohort,) = found["cohorts"]
    assert (found["total_bytes"], found["byte_cap"]) == (6_000_000, 3_000_000)
    assert cohort["minutes"] == 0.05
    assert (cohort["robots"], cohort["delta_base"]) == (["arm-1", "arm-2"], BEFORE)


async def test_a_selector_that_nobody_answers_to_is_said(
    system: NatsSystem, home_of: Callable[[NatsSystem], Path]
) -> None:
    ran = await fleetward(
        home_of(system), "rollout", "quote", f"{NAME}:2.0", "--to", "site=quote-nowhere"
    )
    assert ran.code == 1
    assert "matches no robot" in ran.complaint


async def _robot(system: NatsSystem, name: str, site: str, held: tuple[Digest, ...]) -> None:
    robot = RobotId(name)
    enroller = await system.connect(Principal.ENROLLER)
    await publish(enroller, RobotEnrolled(robot_id=robot, labels={"site": site}, enrolled_at=NOW))
    checked_in = RobotCheckedIn(
        robot_id=robot,
        boot_id=BootId("b-1"),
        sequence=1,
        cached_digests=held,
        checked_in_at=NOW,
    )
    await publish(await system.connect(name), checked_in)


def _version() -> ModelVersion:
    manifest = ModelManifest(
        model=ModelRef(NAME, version("2.0")),
        digest=AFTER,
        size_bytes=90_000_000,
        format="onnx",
        opset=17,
        inputs=(),
        outputs=(),
        release=1,
        published_at=NOW,
    )
    signed = SignedManifest(payload=b"p", key_id="k", signature=b"s")
    return ModelVersion(manifest=manifest, signed=signed)
