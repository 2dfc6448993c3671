"""Your own alert: listen to what robots measure, decide as you like, tell the whole fleet.

    fleetward up --robots 3
    python examples/raise_own_alert.py --signal link.rtt --above 0.2 --for-samples 5
    fleetward alert list

A rollout's canary robots are watched for critical alerts, own ones too: one halts the rollout.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict, deque

from fleetward.client import Fleet, samples_of
from fleetward.contracts.alerts import AlertFired, Severity
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rows import Principal


async def watch(rule: argparse.Namespace) -> AlertFired:
    """Return the first alert: so many samples in a row of one robot lay above the bound."""
    recent: dict[RobotId, deque[float]] = defaultdict(lambda: deque(maxlen=rule.for_samples))
    async with Fleet.connect(rule.home, principal=Principal.APPLICATION) as fleet:
        async for frame in fleet.telemetry_stream(rule.robot):
            for sample in samples_of(frame):
                if sample.signal != rule.signal:
                    continue
                values = recent[sample.robot_id]
                values.append(sample.value)
                if len(values) == rule.for_samples and min(values) > rule.above:
                    return await fleet.raise_alert(
                        sample.robot_id,
                        rule.alert,
                        value=sample.value,
                        expression=f"{rule.signal} > {rule.above:g}",
                        summary=f"{rule.for_samples} samples in a row",
                        severity=Severity(rule.severity),
                    )
    raise RuntimeError("a stream of telemetry ends only with the program")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Raise an alert on what robots measure.")
    parser.add_argument("--signal", default="link.rtt", help="a name of contracts/signals.py")
    parser.add_argument("--above", type=float, default=0.2, help="in the signal's own unit")
    parser.add_argument("--for-samples", type=int, default=5)
    parser.add_argument("--robot", help="only this robot; all when left out")
    parser.add_argument("--alert", default="MyOwnAlert")
    parser.add_argument(
        "--severity", default="warning", choices=[level.value for level in Severity]
    )
    parser.add_argument("--home", default=".fleetward")
    fired = asyncio.run(watch(parser.parse_args()))
    print(f"{fired.alert} fired for {fired.robot_id}: {fired.expression}, it is {fired.value:.4g}")
