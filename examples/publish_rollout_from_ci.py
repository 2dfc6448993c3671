"""From a pipeline: publish the model a build made, roll it out, fail the build if it comes back.

    fleetward up --robots 3
    python examples/publish_rollout_from_ci.py model.onnx detector 1.2.0 --to site=lab

The rollout's id is made from model and version, so a job that is run again joins its rollout
instead of starting a second one. Exit code 0: every selected robot proved the model.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from fleetward.client import Fleet
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.rollouts import RolloutPolicy, RolloutState


async def deliver(job: argparse.Namespace) -> RolloutState:
    """Publish the file, ask for the rollout, and follow it to its end."""
    async with Fleet.connect(job.home) as fleet:
        pushed = await fleet.push_model(
            job.file, job.name, job.version, metadata={"pipeline": "example"}
        )
        print(f"{pushed.version.manifest.model} is {pushed.version.manifest.digest}")

        started = await fleet.start_rollout(
            f"{job.name}:{job.version}",
            job.to,
            policy=RolloutPolicy(wave_percents=(34, 100), bake_s=job.bake),
            rollout=f"ci-{job.name}-{job.version}".replace(".", "-"),
            requested_by="ci",
        )
        async for rollout in fleet.watch_rollout(started.rollout_id):
            phases = ", ".join(f"{who} {held.phase.value}" for who, held in rollout.robots.items())
            print(f"{rollout.state.value}, wave {rollout.wave + 1}: {phases} {rollout.reason}")
        return rollout.state


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Publish a model and roll it out.")
    parser.add_argument("file")
    parser.add_argument("name")
    parser.add_argument("version")
    parser.add_argument("--to", default="all", help="which robots, for example site=lab")
    parser.add_argument("--bake", type=float, default=5.0, help="seconds each wave must do well")
    parser.add_argument("--home", default=".fleetward")
    try:
        state = asyncio.run(deliver(parser.parse_args()))
    except FleetwardError as error:
        sys.exit(f"not delivered: {error}")
    sys.exit(0 if state is RolloutState.SUCCEEDED else 1)
