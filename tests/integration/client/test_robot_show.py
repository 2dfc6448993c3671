"""``robot show``: the account of frames, what a model runs on, and a receipt that is believed or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

from msgspec import structs

from fleetward.bus.publish import publish
from fleetward.contracts.ids import (
    BootId,
    ModelRef,
    RobotId,
    RolloutId,
    model_name,
    robot_id,
    version,
)
from fleetward.contracts.receipts import SwapReceipt
from fleetward.contracts.robots import ModelActivated, RobotCheckedIn, RobotEnrolled
from fleetward.contracts.rows import Principal
from fleetward.trust.nats_jwt import KeyPair, key_in
from fleetward.trust.receipts import signed_receipt
from testkit.servers import NatsSystem
from testkit.telemetry import digest_of
from tests.integration.client.test_command_line import fleetward

NOW = datetime.now(timezone.utc)
MODEL = ModelRef(model_name("detector"), version("1.4.0"))
ENGINE = "sha256:" + 64 * "e"


async def said(system: NatsSystem, name: RobotId) -> KeyPair:
    """Everything a robot says until its model serves; its key."""
    key = key_in(system.credentials(name).read_text())
    enrolled = RobotEnrolled(
        robot_id=name, labels={"site": "berlin"}, enrolled_at=NOW, public_key=key.public
    )
    await publish(await system.connect(Principal.ENROLLER), enrolled)
    robot = await system.connect(name)
    activated = ModelActivated(
        robot_id=name,
        rollout_id=RolloutId("ro-1"),
        generation=3,
        model=MODEL,
        digest=digest_of("a"),
        inferences=20,
        swap_ms=4.0,
        warm_up_ms=9.0,
        bytes_fetched=0,
        backend="tensorrt",
        engine_key=ENGINE,
        load_remarks=("the engine on the disk was refused and removed: its seal does not match",),
        activated_at=NOW,
    )
    checked_in = RobotCheckedIn(
        robot_id=name,
        boot_id=BootId("b1"),
        sequence=1,
        active_model=MODEL,
        frames_captured=100,
        frames_served=90,
        frames_failed=2,
        frames_dropped=7,
        frames_reissued=3,
        checked_in_at=NOW,
    )
    for event in (activated, checked_in):
        await publish(robot, event)
    return key


def receipt(name: RobotId) -> SwapReceipt:
    return SwapReceipt(
        robot_id=name,
        boot_id=BootId("b1"),
        rollout_id=RolloutId("ro-1"),
        generation=3,
        model=MODEL,
        digest=digest_of("a"),
        inferences=20,
        swap_ms=4.0,
        backend="tensorrt",
        engine_key=ENGINE,
        warm_up_p99_ms=3.25,
        parity={"boxes": 0.0123},
        parity_frames=40,
        temperatures_c={"gpu-thermal": 61.5},
        power_mode="MAXN",
        signed_at=NOW,
    )


async def test_a_robot_is_shown_with_its_frames_its_engine_and_its_receipt(
    shared_nats_system: NatsSystem, home_of: Callable[[NatsSystem], Path]
) -> None:
    home, name = home_of(shared_nats_system), robot_id(f"arm-{uuid4().hex[:8]}")
    key = await said(shared_nats_system, name)
    robot = await shared_nats_system.connect(name)

    early = await fleetward(home, "robot", "show", name)
    assert "none signed yet" in early.output

    await publish(robot, signed_receipt(receipt(name), key))
    shown = (await fleetward(home, "robot", "show", name)).output
    for told in (
        "100 captured = 90 served + 2 failed + 7 dropped + 1 open; 3 re-issued",
        "the engine on the disk was refused",
        "✓ signed by the robot",
        ENGINE,
        "3.2 ms",
        "boxes 1.23%, on 40 frames",
        "gpu-thermal 61.5 °C",
        "MAXN",
    ):
        assert told in shown
    plain = json.loads((await fleetward(home, "robot", "show", name, "--json")).output)
    assert plain["receipt"]["signed"]["engine_key"] == ENGINE
    assert plain["frames_captured"] == 100

    forged = structs.replace(
        signed_receipt(structs.replace(receipt(name), power_mode="cold"), KeyPair.create("user")),
        key=key.public,
    )
    await publish(robot, forged)
    refused = (await fleetward(home, "robot", "show", name)).output
    assert "✗ refused" in refused
    assert "cold" not in refused


async def test_a_robot_that_nobody_enrolled_is_not_shown(
    shared_nats_system: NatsSystem, home_of: Callable[[NatsSystem], Path]
) -> None:
    ran = await fleetward(home_of(shared_nats_system), "robot", "show", "nobody")
    assert ran.code == 1
    assert "No robot nobody is enrolled" in ran.complaint
