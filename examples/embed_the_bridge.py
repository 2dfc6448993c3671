"""The bridge inside your robot's own program: you give it frames, it gives you results.

    fleetward up --robots 0
    fleetward robot enrol arm-7 --label site=lab
    python examples/embed_the_bridge.py arm-7
    fleetward rollout start detector:1.2.0 --to robot=arm-7

Models arrive, are verified, swapped and taken back while your loop runs; it never waits for them.
Why a robot did not take one stands in its log, on standard error unless you configure logging.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from edge_bridge.bridge import Bridge
from edge_bridge.frames import Frame
from edge_bridge.settings import Settings
from edge_bridge.sources.source import PushSource
from edge_bridge.workers.slots import InferenceDone
from fleetward.client.access import read_access
from fleetward.contracts.ids import robot_id
from fleetward.contracts.signals import CONTROL_LOOP_DURATION


async def drive(robot: str, home: Path, results_wanted: int, patience_s: float) -> None:
    """A robot's control loop, until the model has answered ``results_wanted`` frames."""
    settings = Settings(
        robot_id=robot_id(robot),
        nats_url=read_access(home).bus.url,
        credentials=home / "credentials" / "robots" / f"{robot}.creds",
        state_dir=home / "robots" / robot,
        trust_dir=home / "credentials" / "robots" / f"{robot}.trust",
        control_probe_hz=0,  # this loop reports its own duration
    )
    camera, results = PushSource(), list[InferenceDone]()
    picture = Frame(content=bytes(320 * 320 * 3), shape=(320, 320, 3))  # RGB, uint8
    async with Bridge(settings, source=camera, on_result=results.append) as bridge:
        await bridge.ready()
        print(f"{robot} waits for a model", flush=True)
        give_up_at = time.monotonic() + patience_s
        while len(results) < results_wanted:
            began = time.monotonic()
            camera.push(picture)  # your camera's newest
            bridge.record(CONTROL_LOOP_DURATION.name, time.monotonic() - began)
            bridge.report_fact("docked", True)  # for rollouts with the interlock "docked"
            await asyncio.sleep(0.1)  # ten frames a second
            if not results and began > give_up_at:
                sys.exit(f"{robot} got no model within {patience_s:g} s: see its log above")
        served = bridge.active.model if bridge.active else "no model"
        print(f"{robot} serves {served}: {results[-1].outputs_summary}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A robot's program with the bridge inside.")
    parser.add_argument("robot")
    parser.add_argument("--results", type=int, default=100, help="stop after so many")
    parser.add_argument("--home", type=Path, default=Path(".fleetward"))
    parser.add_argument("--patience", type=float, default=600, help="seconds without a model")
    given = parser.parse_args()
    asyncio.run(drive(given.robot, given.home, given.results, given.patience))
